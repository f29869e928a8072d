"""Others change bridges and ports under us: what we want returns, what is theirs stays."""
import contextlib
import time

import pytest

from flood import Flood
from lab import long_only, plain_only, veth, wait_for
from node import Pair
from traffic import assert_pings

TAP = "l2t-sv"
EVENT_S = 1.0
REATTACH_S = 4.0
CAP_SYS_PTRACE = 1 << 19


def master(host, port):
    link = host.link(port)
    return link.get("master") if link else None


def bridge_facts(host, name="br-sv"):
    link = host.link(name)
    return link["address"], link["mtu"]


@contextlib.contextmanager
def never_seen_changing(host, name="br-sv"):
    """The bridge's MAC and MTU are the same at every moment of the block, not only at its end."""
    before = bridge_facts(host, name)
    monitor = host.popen(["ip", "-o", "monitor", "link"], stdout=-1, text=True)
    try:
        yield
        assert bridge_facts(host, name) == before
    finally:
        monitor.terminate()
        text, _ = monitor.communicate(timeout=5)
    for line in text.splitlines():
        if f": {name}: <" in line:
            assert f" mtu {before[1]} " in line and before[0] in line, line


@pytest.mark.parametrize("mtu, guests", [
    (1500, 1), (9000, 0), *(pytest.param(*case, marks=plain_only())
                            for case in ((9000, 1), (1400, 1), (1500, 0)))])
def test_bridge_is_left_as_it_was(lab, mtu, guests):
    """MAC and MTU through attach, forwarding and detach, with and without other ports."""
    pair = Pair(lab, mtu=mtu)
    host = pair.left.host
    if not guests:
        host.ip("link del v-guest1", f"link set br-sv mtu {mtu}")
    before = bridge_facts(host)
    assert before[1] == mtu
    with never_seen_changing(host):
        pair.start()
        assert host.link(TAP)["mtu"] == mtu
        assert bridge_facts(host) == before
        pair.left.stop()
        assert host.link(TAP) is None
    assert bridge_facts(host) == before


def test_attach_brings_nothing_of_our_own(lab):
    """The TAP is quiet: no IPv6 address, a MAC that cannot become the bridge's."""
    pair = Pair(lab).start()
    link = pair.left.host.link(TAP)
    assert link["address"].startswith("fe:")
    assert "inet6" not in pair.left.host.run("ip", "addr", "show", "dev", TAP).stdout
    assert link["linkinfo"]["info_slave_data"]["state"] == "forwarding"


def test_bridge_deleted_and_made_again(lab):
    pair = Pair(lab).start()
    host = pair.left.host
    with Flood(pair.guests, rate=100) as flood:
        with flood.may_lose("bridge away", after=0.05):
            host.ip("link del br-sv")
            pair.left.wait_state("down", reason="no-bridge", timeout=EVENT_S)
            pair.right.wait_state("down", reason="remote", timeout=EVENT_S)
            assert "br-sv" in pair.left.tunnel_status()["detail"]
            host.bridge("br-sv")
            host.ip("link set v-guest1 master br-sv")
            pair.wait_forwarding(REATTACH_S)
        time.sleep(0.3)  # how long it floods once all is well
    assert master(host, TAP) == "br-sv"
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=10)


def test_missing_bridge_is_waited_for(lab):
    pair = Pair(lab)
    host = pair.left.host
    host.ip("link del br-sv")
    pair.left.start()
    pair.right.start()
    pair.left.wait_state("down", reason="no-bridge")
    host.bridge("br-sv")
    host.ip("link set v-guest1 master br-sv")
    pair.wait_forwarding(REATTACH_S)
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_bridge_made_when_wanted(lab):
    """create = yes: made with its uplinks, made again when deleted, left behind at the end."""
    pair = Pair(lab)
    host = pair.left.host
    host.ip("link del br-sv")
    veth(host, "up0", lab.netns("wire"), "eth0")
    pair.left.bridge("br-sv", create=True, ports=["up0", "v-guest1"])
    pair.start()
    link = host.link("br-sv")
    data = link["linkinfo"]["info_data"]
    assert data["stp_state"] == 0 and data["forward_delay"] == 0
    assert link["address"].startswith("02:") and "UP" in link["flags"]
    assert master(host, "up0") == "br-sv"
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)
    host.ip("link del br-sv")
    wait_for(lambda: master(host, TAP) == "br-sv", REATTACH_S, "the bridge was not made again")
    pair.wait_forwarding(REATTACH_S)
    wait_for(lambda: master(host, "v-guest1") == "br-sv", EVENT_S, "the uplink was not attached")
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)
    pair.left.stop()
    assert host.link("br-sv")


def test_port_taken_out_by_hand(lab):
    """`ip link set l2t-sv nomaster`: the gate closes at once, the port returns about 2 s later."""
    pair = Pair(lab).start()
    host = pair.left.host
    with Flood(pair.guests, rate=100) as flood:
        with flood.may_lose("nomaster", after=0.05):
            taken = time.monotonic()
            host.ip(f"link set {TAP} nomaster")
            row = pair.left.wait_state("down", reason="port", timeout=EVENT_S)
            assert "put back" in row["detail"]
            wait_for(lambda: master(host, TAP) == "br-sv", REATTACH_S, "not attached again")
            waited = time.monotonic() - taken
            pair.wait_forwarding(REATTACH_S)
        time.sleep(0.3)  # how long it floods once all is well
    assert 1.5 <= waited <= 3, f"attached again after {waited:.2f} s"
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_port_taken_out_at_both_ends(lab):
    pair = Pair(lab).start()
    for node in pair.nodes:
        node.host.ip(f"link set {TAP} nomaster")
    for node in pair.nodes:
        node.wait_state("down", timeout=EVENT_S)
    pair.wait_forwarding(REATTACH_S)
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_port_moved_to_another_bridge(lab):
    """Never a frame of ours into a bridge that we were not told to join."""
    pair = Pair(lab).start()
    host = pair.left.host
    host.bridge("br-other")
    outsider = host.guest("outsider", "br-other")
    with Flood([*pair.guests, outsider], rate=150, verify=False) as flood:
        time.sleep(0.3)  # how long it floods before
        host.ip(f"link set {TAP} master br-other")
        moved = time.monotonic()
        wait_for(lambda: master(host, TAP) == "br-sv", REATTACH_S, "not moved back")
        pair.wait_forwarding(REATTACH_S)
    assert not flood.duplicates, flood.summary()
    strays = [frame for frame in flood.frames if frame.sender == 1 and frame.counts[2]]
    late = [frame for frame in strays if frame.time > moved + 0.2]
    assert not late, f"{len(late)} frames reached the wrong bridge"


def test_tap_deleted(lab):
    pair = Pair(lab).start()
    pair.left.host.ip(f"link del {TAP}")
    pair.left.wait_state("down", reason="port", timeout=EVENT_S)
    pair.wait_forwarding(REATTACH_S)
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_tap_set_down(lab):
    pair = Pair(lab).start()
    pair.left.host.ip(f"link set {TAP} down")
    wait_for(lambda: "UP" in pair.left.host.link(TAP)["flags"], REATTACH_S, "it stays down")
    pair.wait_forwarding(REATTACH_S)
    wait_for(lambda: pair.left.host.link(TAP)["linkinfo"]["info_slave_data"]["state"]
             == "forwarding", REATTACH_S, "the port does not forward")
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_name_of_the_tap_is_taken(lab):
    """Another program's device is never touched, its holder is named; free, it is ours."""
    pair = Pair(lab)
    pair.left.host.ip(f"tuntap add dev {TAP} mode tap")
    for node in pair.nodes:
        node.start()
    row = pair.left.wait_state("down", reason="port")
    assert TAP in row["detail"] and "ip link del" in row["detail"]
    pair.left.host.ip(f"link del {TAP}")
    pair.wait_forwarding(timeout=8)


def test_bridge_mtu_changes(lab):
    """Up and down again: the TAP follows, and never is what holds the bridge down."""
    pair = Pair(lab).start()
    for mtu in (9000, 1400, 1500):
        for node, guest in zip(pair.nodes, pair.guests):
            number = guest.name[-1]
            node.host.ip(f"link set v-guest{number} mtu {mtu}", f"link set br-sv mtu {mtu}")
            guest.ip(f"link set eth0 mtu {mtu}")
        for node in pair.nodes:
            wait_for(lambda host=node.host: host.link(TAP)["mtu"] == mtu
                     and bridge_facts(host)[1] == mtu, EVENT_S,
                     lambda host=node.host: f"{host.link(TAP)} {bridge_facts(host)}, not {mtu}")
            wait_for(lambda node=node: node.bridge_status()["mtu"] == mtu, EVENT_S,
                     "status has another MTU")
        assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5, size=mtu - 28,
                     options=["-M", "do"])


@long_only("takes 20 s; a unit test has the same in virtual time")
def test_five_removals_latch(lab):
    """A fight for the port ends: it is given up until `bridgectl tunnel up`."""
    pair = Pair(lab).start()
    host = pair.left.host
    for _ in range(4):
        host.ip(f"link set {TAP} nomaster")
        pair.left.wait_state("down", reason="port", timeout=EVENT_S)
        # Waiting for the back-off would take 20 s; `tunnel up` would forget the count.
        host.ip(f"link set {TAP} master br-sv")
        pair.left.wait_state("forwarding", timeout=12)
    host.ip(f"link set {TAP} nomaster")
    row = pair.left.wait_state("latched", timeout=EVENT_S)
    assert "tunnel up sv" in row["detail"]
    pair.left.ctl("tunnel", "up", "sv")
    pair.wait_forwarding(REATTACH_S)
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_status_knows_the_ports(shared_pair):
    ports = {port["name"]: port for port in shared_pair.left.bridge_status()["ports"]}
    assert ports[TAP]["kind"] == "tunnel"
    assert ports["v-guest1"]["kind"] == "guest"


def test_foreign_tap_is_named(shared_pair):
    """A TAP of another program in the same bridge: its kind is told, and its owner if he can
    be seen."""
    code = ("import fcntl, struct, sys; f = open('/dev/net/tun', 'r+b', buffering=0);"
            "fcntl.ioctl(f, 0x400454ca, struct.pack('16sH', b'tap7', 0x1002));"
            "print('ok', flush=True); sys.stdin.read()")
    host = shared_pair.left.host
    child = host.popen(["/usr/bin/python3", "-c", code], stdin=-1, stdout=-1, text=True)
    try:
        assert child.stdout.readline() == "ok\n"
        host.ip("link set tap7 master br-sv")

        def row():
            return [port for port in shared_pair.left.bridge_status()["ports"]
                    if port["name"] == "tap7" and port["owner"]]

        port = wait_for(row, 4, lambda: f"no tap7 with an owner: {shared_pair.left.status()}")[0]
        assert port["kind"] == "foreign-tap"
        # The daemon itself may not look into other processes; its lookout does.
        assert not shared_pair.left.capabilities() & CAP_SYS_PTRACE
        assert str(child.pid) in port["owner"] and "python3" in port["owner"]
    finally:
        child.communicate("")
