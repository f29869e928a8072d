"""A tunnel over itself: the way to the peer leads through the very bridge that the tunnel joins."""
import time

import pytest

from lab import plain_only, variants, veth, wait_for
from node import Node, Pair
from traffic import assert_pings, ping, pinging

HOLD_DOWN_S = 10
REOPEN_S = 5
FOUND_S = 1.0
OWN = {4: ("10.99.0.1", "10.99.0.2", 24, 32), 6: ("fd99::1", "fd99::2", 64, 128)}


def join_hosts(pair, family):
    """Gives both hosts an address on the joined bridge and has them know each other there."""
    left, right, prefix, _ = OWN[family]
    for node, own in ((pair.left, left), (pair.right, right)):
        nodad = " nodad" if family == 6 else ""
        node.host.ip(f"addr add {own}/{prefix} dev br-sv{nodad}")
    assert_pings(pair.left.host, right)


def route(pair, family, what):
    """Adds or deletes a route to the right host's underlay address over the bridge."""
    _, gateway, _, one = OWN[family]
    target = pair.wan.address(pair.right.host, family)
    source = pair.wan.address(pair.left.host, family)
    pair.left.host.ip(f"route {what} {target}/{one} via {gateway} dev br-sv src {source}")


def packets(host, name="br-sv"):
    """What this interface has sent so far."""
    with host.entered(), open("/proc/net/dev", encoding="ascii") as table:
        for line in table:
            if line.strip().startswith(f"{name}:"):
                return int(line.split(":")[1].split()[9])
    raise AssertionError(f"no {name}")


@pytest.mark.parametrize("family", [*variants(4), 6])
@pytest.mark.timeout(90)
def test_route_moves_onto_the_bridge(lab, family):
    """Found at once, nothing is multiplied, and it comes back by itself when the route does (with
    IPv6 that is not waited for)."""
    pair = Pair(lab, family=family).start()
    join_hosts(pair, family)
    frames = pair.left.tunnel_status()["tx_frames"]
    sent, cpu = packets(pair.left.host), pair.left.cpu_s()
    since = time.time()
    moved = time.monotonic()
    with pinging(pair.guest_left, Pair.RIGHT_IP) as results:
        route(pair, family, "add")
        row = pair.left.wait_state("blocked", reason="recursion", timeout=FOUND_S)
        print(f"blocked after {time.monotonic() - moved:.2f} s: {row['detail']}")
        address = pair.wan.address(pair.right.host, family)
        assert address in row["detail"] and "br-sv" in row["detail"], row
        assert "route" in row["detail"], row
        # It stays so, and says so, as long as the route does: longer than hold-down and dead time.
        while time.monotonic() - moved < (HOLD_DOWN_S + 3 if family == 4 else 1):
            row = pair.left.tunnel_status()
            assert (row["state"], row["reason"]) == ("blocked", "recursion"), row
            time.sleep(0.2)
        why = pair.left.ctl("tunnel", "why", "sv", check=False).stdout
        assert "by itself" in " ".join(why.split()), why
        # Pings, a probe now and then, calls to the peer: nothing that goes round.
        grown = row["tx_frames"] - frames
        count = packets(pair.left.host) - sent
        spent = pair.left.cpu_s() - cpu
        print(f"{grown} frames into the tunnel, {count} packets into the bridge,"
              f" {spent:.2f} s of CPU")
        assert grown <= 100 and count <= 500
        assert spent <= 2
        route(pair, family, "del")
        mended = time.monotonic()
        if family == 6:
            pair.left.ctl("tunnel", "clear", "sv")
        pair.wait_forwarding(HOLD_DOWN_S + REOPEN_S)
        print(f"forwarding {time.monotonic() - mended:.1f} s after the route was mended")
        wait_for(lambda: not ping(pair.guest_left, Pair.RIGHT_IP, count=1).lost, 2, "no ping")
    assert results[0].duplicates == 0, results[0].text[-2000:]
    blocks = [event for event in pair.left.events(since=since) if event["to"] == "blocked"]
    assert len(blocks) == 1, blocks
    assert_pings(pair.guest_left, Pair.RIGHT_IP)


@plain_only("a time")
def test_other_way_to_the_peer_takes_over(lab):
    """The route of one of two parallel tunnels moves: the other one is none of its business."""
    pair = Pair(lab)
    other = lab.underlay("wan2")
    for node in pair.nodes:
        other.attach(node.host)
    for node, far in ((pair.left, pair.right), (pair.right, pair.left)):
        node.peer("other", far, address=other.endpoint(far.host))
        node.tunnel("alt", "other", "br-sv", priority=200)
    other.cut(pair.left.host)  # so that sv is the first
    pair.start()
    other.heal(pair.left.host)
    pair.left.wait_state("standby", tunnel="alt")
    join_hosts(pair, 4)
    route(pair, 4, "add")
    pair.left.wait_state("blocked", reason="recursion", timeout=FOUND_S)
    pair.left.wait_state("forwarding", tunnel="alt", timeout=REOPEN_S)
    wait_for(lambda: not ping(pair.guest_left, Pair.RIGHT_IP, count=1).lost, 5, "no ping")
    route(pair, 4, "del")
    pair.left.wait_state("standby", timeout=HOLD_DOWN_S + REOPEN_S)


def routed(lab):
    """Two sites, each with one bridge for everything: the host's own address, its guests, and an
    uplink to the router between them. The tunnel joins these bridges."""
    router = lab.netns("router")
    router.sysctl("net/ipv4/ip_forward", 1)
    router.sysctl("net/ipv4/conf/all/arp_ignore", 1)
    nodes = []
    for number, name in ((1, "kvm1"), (2, "xen1")):
        host = lab.host(name)
        host.bridge("br-sv")
        veth(host, "uplink", router, f"site{number}")
        host.ip("link set uplink master br-sv", f"addr add 10.{number}.0.2/24 dev br-sv",
                f"route add default via 10.{number}.0.1")
        router.ip(f"addr add 10.{number}.0.1/24 dev site{number}")
        nodes.append(Node(host))
    for node, other, address in ((nodes[0], nodes[1], "10.2.0.2"),
                                 (nodes[1], nodes[0], "10.1.0.2")):
        node.peer(other.name, other, address=f"{address}:4655")
        node.tunnel("sv", other.name, "br-sv")
    guests = [node.host.guest(f"guest{number}", "br-sv", f"10.9.0.{number}/24")
              for number, node in enumerate(nodes, 1)]
    return nodes, guests


def test_underlay_through_another_port_of_the_bridge(lab):
    """The usual host with one bridge: its packets leave by the uplink. They are flooded when the
    bridge has forgotten the router, which is no reason to cut anything."""
    nodes, guests = routed(lab)
    for node in nodes:
        node.start(wait=False)
    for node in nodes:
        wait_for(node.answers, 10, "no answer")
        node.wait_state("forwarding")
    assert_pings(guests[0], "10.9.0.2")
    since = time.time()
    before = [node.tunnel_status()["tx_frames"] for node in nodes]
    with pinging(guests[0], "10.9.0.2") as results:
        for _ in range(30):
            for node in nodes:
                node.host.ip("link set uplink type bridge_slave fdb_flush")
            time.sleep(0.1)
    stayed = sum(node.tunnel_status()["drops"]["gate"] for node in nodes)
    print(f"{stayed} own packets stayed here; {results[0].lost} of {results[0].sent} pings lost")
    assert stayed > 0, "none was flooded: this proves nothing"
    assert results[0].lost == 0 and results[0].duplicates == 0, results[0].text[-2000:]
    for node, was in zip(nodes, before):
        assert not node.events(since=since), node.events(since=since)
        # Pings and their answers, some ARP, some probes: none of our own packets within.
        assert node.tunnel_status()["tx_frames"] - was <= results[0].sent + 100
