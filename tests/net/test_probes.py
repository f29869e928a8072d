"""Probes: what they must not do. They block nothing where there is no other path, stay on their own
side, and are hardly seen by anybody else."""
import struct
import time

import pytest

from frames import BROADCAST, ETH_P_ALL, MULTICAST, Port, ethernet
from lab import variants, veth
from node import Node, Pair
from traffic import assert_pings

ETH_P_PROBE = 0x88b5
PROBE_HEAD = struct.pack(">H", ETH_P_PROBE) + b"L2PB"
PROBE_KIND_AT, PROBE_NODE_AT, PROBE_L = 19, 20, 1
QUIET_S = 2.0  # how long nothing must happen: several probes of the steady rate


# What is no path

def assert_undisturbed(pair, since):
    """Nothing was blocked, nor anything else changed."""
    for node in pair.nodes:
        assert node.state() == "forwarding", node.tunnel_status()
        assert not node.events(since=since), node.events(since=since)
        assert node.bridge_status()["foreign"] == []


@pytest.mark.parametrize("side", [0, *variants(1)])
def test_reflections_block_nothing(lab, side):
    """A switch that sends flooded frames back to where they came from (hairpin) shows us our own
    probes. That is a nuisance, but no path to anywhere."""
    pair = Pair(lab)
    host = pair.nodes[side].host
    switch = lab.netns("switch")
    switch.ip("link add name sw type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
              "link set sw up")
    veth(host, "uplink", switch, "p0")
    host.ip("link set uplink master br-sv")
    switch.ip("link set p0 master sw")
    switch.run("bridge", "link", "set", "dev", "p0", "hairpin", "on")
    with Port(host, "uplink") as port:
        for node in pair.nodes:
            node.start(wait=False)
        assert port.wait_for(lambda frame: frame[12:18] == PROBE_HEAD, 5), "nothing is reflected"
    pair.wait_forwarding()
    since = time.time()
    time.sleep(QUIET_S)  # how long nothing must happen
    assert_undisturbed(pair, since)


def test_hairpin_port_of_a_guest_blocks_nothing(lab):
    pair = Pair(lab).start()
    since = time.time()
    for node, port in zip(pair.nodes, ("v-guest1", "v-guest2")):
        node.host.run("bridge", "link", "set", "dev", port, "hairpin", "on")
    assert_pings(pair.guest_left, Pair.RIGHT_IP)
    time.sleep(QUIET_S)  # how long nothing must happen
    assert_undisturbed(pair, since)


def test_probes_of_strangers_block_nothing(lab):
    """Another domain's probes, forged ones, damaged ones: not evidence."""
    pair = Pair(lab).start()
    with Port(pair.guest_right, "eth0", ETH_P_PROBE) as port:
        heard = port.wait_for(lambda frame: frame[12:18] == PROBE_HEAD, 5)
    assert heard, "the bridge is not probed"
    since = time.time()
    with Port(pair.guest_left, "eth0", 0) as port:
        for at in (PROBE_NODE_AT, len(heard) - 1, 30, 50):
            frame = bytearray(heard)
            frame[at] ^= 0x40
            for _ in range(5):
                port.send(bytes(frame))
        port.send(heard[:40])
        port.send(ethernet(BROADCAST, port.mac, ETH_P_PROBE, b"L2PB" + bytes(200)))
        time.sleep(QUIET_S)  # how long nothing must happen
    assert_undisturbed(pair, since)


# Probes themselves

def kinds_heard(port, nodes):
    """For each node the kinds of its probes among the frames that wait at a port."""
    kinds = {bytes.fromhex(node.status()["node"]["id"]): [] for node in nodes}
    while (frame := port.receive()) is not None:
        if frame[12:18] == PROBE_HEAD:
            kinds[frame[PROBE_NODE_AT:PROBE_NODE_AT + 8]].append(frame[PROBE_KIND_AT])
    return list(kinds.values())


def test_local_probes_do_not_pass_the_tunnel(lab):
    """Each end's guests hear the probes of their own bridge, and never those of the other."""
    pair = Pair(lab).start()
    with Port(pair.guest_left, "eth0", ETH_P_ALL) as left, \
            Port(pair.guest_right, "eth0", ETH_P_ALL) as right:
        veth(pair.left.host, "new", pair.left.host, "newer")
        pair.left.host.ip("link set new master br-sv")  # a burst
        time.sleep(QUIET_S)  # several probes of each kind
        for port, nodes in ((left, pair.nodes), (right, reversed(pair.nodes))):
            own, other = kinds_heard(port, nodes)
            assert own.count(PROBE_L) >= 2, own
            assert PROBE_L not in other, other


def test_the_probes_ethertype_is_not_ours(lab):
    """What others do with the experimental EtherType passes the tunnel like anything."""
    pair = Pair(lab).start()
    with Port(pair.guest_left, "eth0", 0) as sender, \
            Port(pair.guest_right, "eth0", ETH_P_ALL) as receiver:
        for destination in (BROADCAST, MULTICAST):
            for body in (b"l2pb".ljust(82), b"L2P", bytes(46), b"L2PA" * 300):
                sent = ethernet(destination, sender.mac, ETH_P_PROBE, body)
                sender.send(sent)
                assert receiver.wait_for(lambda frame, sent=sent: frame == sent), body


def addresses(pair):
    """MAC addresses of the guests and of the bridges, which send a frame of their own at times."""
    links = [guest.link("eth0") for guest in pair.guests]
    links += [node.host.link("br-sv") for node in pair.nodes]
    return {link["address"] for link in links}


def test_probes_leave_little_in_the_forwarding_tables(lab):
    """At most one address per probing bridge, and at the port where it belongs."""
    pair = Pair(lab).start()
    assert_pings(pair.guest_left, Pair.RIGHT_IP)
    time.sleep(QUIET_S)  # several probes of each kind
    known = addresses(pair)
    for node in pair.nodes:
        learned = [line.split() for line in
                   node.host.run("bridge", "fdb", "show", "br", "br-sv").stdout.splitlines()
                   if "permanent" not in line]
        others = [words for words in learned if words[0] not in known]
        assert all(words[0].startswith("02:") and "l2t-sv" in words for words in others), learned
        assert len(others) <= 1, learned


def test_keys_of_a_third_node_do_not_count(lab):
    """A node that we have no session with shares a wire with us: a stranger, no evidence."""
    pair = Pair(lab).start()
    host = lab.host("third")
    host.bridge("br-sv")
    pair.wan.attach(host)
    other = Node(host)
    other.peer("nobody", pair.left, address="198.18.9.9:4655")
    other.tunnel("sv", "nobody", "br-sv")
    other.start()
    since = time.time()
    veth(host, "wire", pair.left.host, "wire")
    host.ip("link set wire master br-sv")
    pair.left.host.ip("link set wire master br-sv")
    time.sleep(QUIET_S)  # how long nothing must happen
    assert_undisturbed(pair, since)
