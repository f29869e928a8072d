"""make demo: two hosts joined by l2tund, on this machine, in network namespaces. With --with-guest
(make demo-guest) a guest moves between them and is started.

Nothing outside the namespaces is touched, and they end with this program. The commands shown
are those that run; a prompt names the host they run on.
"""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import demo_disk  # noqa: E402  (needs the path above)
import demo_guest  # noqa: E402
import guest_image  # noqa: E402
from lab import Lab, missing, wait_for  # noqa: E402
from node import BRIDGECTL, L2TUND, Node  # noqa: E402
from show import Failed, heading, result_line, run  # noqa: E402
from sshd import Sshd  # noqa: E402

BRIDGE = "br-sv"
TUNNEL = "sv"
ADDRESSES = {"kvm1": "10.9.0.1", "xen1": "10.9.0.2"}
FORWARDING_S = 15


def make_hosts(lab):
    """Two hosts on one underlay; each with a bridge and one guest on it."""
    wan = lab.underlay("wan")
    nodes, guests = [], []
    for name, address in ADDRESSES.items():
        host = lab.host(name)
        wan.attach(host)
        host.bridge(BRIDGE)
        guests.append(host.guest(f"guest-of-{name}", BRIDGE, f"{address}/24"))
        nodes.append(Node(host))
        run(host, "ip", "-br", "addr", "show", "dev", "wan")
        run(host, "ip", "-br", "link", "show", "master", BRIDGE)
    left, right = nodes
    for node, other in ((left, right), (right, left)):
        node.peer(other.name, other, address=wan.endpoint(other.host))
        node.tunnel(TUNNEL, other.name, BRIDGE)
        node.write_config()
    return wan, nodes, guests


def parted(guest):
    """Without a tunnel nothing may get through, or the demo would show nothing."""
    result = run(guest, "ping", "-c", "1", "-W", "0.5", ADDRESSES["xen1"], check=False)
    if result.returncode == 0:
        raise Failed("the guests reach each other without a tunnel")
    guest.ip("neigh flush dev eth0")  # or the next ping waits for the retry of this one's ARP
    result_line("as it should be: two bridges that nothing joins")


def start(nodes):
    for node in nodes:
        print(f"{node.name}# l2tund -f -c {node.config_path} &", flush=True)
        node.start(wait=False)
    begun = nodes[-1].started
    for node in nodes:
        wait_for(node.answers, FORWARDING_S, f"{node.name} does not answer")
    for node in nodes:
        node.wait_state("forwarding", TUNNEL, timeout=FORWARDING_S)
    result_line(f"the tunnel forwards, {time.monotonic() - begun:.2f} s after the second start")


def joined(guests):
    for guest, address in zip(guests, reversed(ADDRESSES.values())):
        result = run(guest, "ping", "-c", "5", "-i", "0.2", address)
        if " 0% packet loss" not in result.stdout:
            raise Failed("pings were lost")
    result_line("the guests are on one Ethernet: 10 pings, none lost")


def stop(nodes):
    for node in nodes:
        print(f"{node.name}# kill {node.pid}    # SIGTERM", flush=True)
        node.stop()
        if node.host.link(f"l2t-{TUNNEL}"):
            raise Failed(f"the tunnel's device is still there on {node.name}")
        run(node.host, "ip", "-br", "link", "show", "master", BRIDGE)
    result_line("both ended with status 0; their devices are gone, the bridges stay")


def show(lab, with_guest):
    heading("Two hosts, each with a bridge and a guest on it, joined by an underlay network")
    wan, nodes, guests = make_hosts(lab)

    heading("Keys and configuration files (bridgectl keygen made the keys)")
    for node in nodes:
        run(node.host, "cat", str(node.config_path))
        run(node.host, L2TUND, "-t", "-c", str(node.config_path))

    heading("Before: the guests cannot reach each other")
    parted(guests[0])

    heading("Start l2tund on both")
    start(nodes)

    heading("Guest to guest")
    joined(guests)

    heading("What bridgectl shows")
    for node in nodes:
        run(node.host, BRIDGECTL, "-s", node.control, "status")

    kvm, xen = (node.host for node in nodes)
    door = Sshd(xen, wan.address(xen))
    demo_disk.show(lab, door, new=kvm)

    if with_guest:
        demo_guest.show(lab, door, new=nodes[0], witness=guests[1])

    heading("Stop")
    stop(nodes)


def main():
    for feature in ("netns", "tap"):
        if reason := missing(feature):
            print(f"demo: {reason}; it needs root and a kernel with these", file=sys.stderr)
            return 1
    with_guest = "--with-guest" in sys.argv[1:]
    if with_guest and (reason := demo_guest.missing()):
        print(f"demo: {reason}", file=sys.stderr)
        return 1
    begun = time.monotonic()
    with Lab() as lab:
        try:
            show(lab, with_guest)
        except (Failed, AssertionError, OSError, guest_image.Missing) as error:
            print(f"\ndemo: FAILED: {error}", file=sys.stderr)
            for log in lab.logs:
                title, text = log()
                print(f"\n== {title}\n{text}", file=sys.stderr)
            return 1
    print(f"\nDone in {time.monotonic() - begun:.1f} s; the namespaces are gone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
