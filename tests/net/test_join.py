"""Two nodes, guest to guest: everything an Ethernet carries, in all modes, over all underlays."""
import os
import socket
import struct
import time

import pytest

import frames
from flood import Flood
from lab import Lab, long_only, need
from node import Pair
from traffic import assert_pings, tcp_both_ways

VARIANTS = {
    "aead": {},
    "auth": {"data": ["auth"]},
    "none": {"data": ["none"]},
    "ipv6": {"family": 6},
    "psk": {"psk": True},
    "mtu9000": {"mtu": 9000},
    "mtu9000-none-ipv6": {"mtu": 9000, "data": ["none"], "family": 6},
    "wide-underlay": {"mtu": 9000, "underlay_mtu": 9000},
}
ONCE = ("ipv6", "mtu9000", "psk")  # each of them is part of another one, or close to it


@pytest.fixture(scope="module", params=[*(VARIANTS[name] for name in VARIANTS if name not in ONCE),
                                        *(pytest.param(VARIANTS[name], marks=[long_only("part of another variant")])
                                          for name in ONCE)],
                ids=[*(name for name in VARIANTS if name not in ONCE), *ONCE])
def variant(request, daemon):
    options = request.param
    if options.get("family") == 6:
        need("ipv6")
    with Lab() as lab:
        pair = Pair(lab, **options).start()
        pair.mtu = options.get("mtu", 1500)
        pair.data = options.get("data", ["aead"])[0]
        with frames.no_fragments(pair.wan, pair.left.host, pair.right.host):
            yield pair


def test_every_ping_is_answered_once(variant):
    assert_pings(variant.guest_left, Pair.RIGHT_IP, count=40)
    assert_pings(variant.guest_right, Pair.LEFT_IP6, count=20)


def test_full_size_frames(variant):
    """Frames of the bridge's MTU, both ways, and one byte around every round size."""
    for size in (variant.mtu - 28, variant.mtu - 29):
        assert_pings(variant.guest_left, Pair.RIGHT_IP, count=5, size=size, options=["-M", "do"])
    assert_pings(variant.guest_right, Pair.LEFT_IP6, count=5, size=variant.mtu - 48,
                 options=["-M", "do"])


def test_frames_of_every_size(variant):
    """Where a frame is packed, sent alone or cut, its bytes are the same at the other end."""
    with frames.Port(variant.guest_left, "eth0") as sender, \
            frames.Port(variant.guest_right, "eth0") as receiver:
        around = {1200, 1280, 1400, 1430, 1440, 1450, 1460, 1470, 1480, 1490, variant.mtu}
        sizes = [46, 60, 1000] + sorted({size + step for size in around for step in range(-6, 1)})
        for size in sizes:
            sent = frames.ethernet(frames.BROADCAST, sender.mac, frames.ETH_P_TEST,
                                   os.urandom(size))
            sender.send(sent)
            assert receiver.wait_for(lambda frame: frame == sent), f"payload of {size} bytes"


def test_vlan_tags_are_kept(variant):
    with frames.Port(variant.guest_left, "eth0") as left, \
            frames.Port(variant.guest_right, "eth0") as right:
        for sender, receiver in ((left, right), (right, left)):
            for size, vlans in ((variant.mtu, [(frames.ETH_P_8021Q, 0x6005)]),
                                (46, [(frames.ETH_P_8021Q, 0x0fff)]),
                                (variant.mtu - 8, [(frames.ETH_P_8021AD, 7),
                                                   (frames.ETH_P_8021Q, 9)])):
                sent = frames.ethernet(frames.BROADCAST, sender.mac, frames.ETH_P_TEST,
                                       os.urandom(size), vlans)
                sender.send(sent)
                assert receiver.wait_for(lambda frame: frame == sent), f"{size} bytes, {vlans}"


def test_ip_multicast(variant):
    group = "239.1.2.3"
    with variant.guest_right.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver, \
            variant.guest_left.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        receiver.bind((group, 5000))
        receiver.settimeout(2)
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                            socket.inet_aton(group) + socket.inet_aton(Pair.RIGHT_IP))
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                          socket.inet_aton(Pair.LEFT_IP))
        for number in range(10):
            sender.sendto(struct.pack("!I", number), (group, 5000))
        assert [struct.unpack("!I", receiver.recv(100))[0] for _ in range(10)] == list(range(10))


def test_tcp_both_ways(variant):
    tcp_both_ways(variant.guest_left, variant.guest_right, Pair.RIGHT_IP)
    tcp_both_ways(variant.guest_right, variant.guest_left, Pair.LEFT_IP6, size=1 << 20)


def test_every_flooded_frame_arrives_once(variant):
    with Flood(variant.guests, rate=400):
        time.sleep(1)  # how long it floods


def test_status_tells_what_is_used(variant):
    for node, other in ((variant.left, variant.right), (variant.right, variant.left)):
        peer = node.peer_status(other.name)
        assert peer["state"] == "up"
        assert peer["data_mode"] == variant.data
        assert 1200 <= peer["path_mtu"] <= variant.wan.mtu
        assert peer["public_key"] == other.public_key
        tunnel = node.tunnel_status()
        assert tunnel["rx_frames"] > 100 and tunnel["tx_frames"] > 100
        assert tunnel["rx_bytes"] > 1 << 20
        node.wait_healthy()


def test_path_mtu_is_found(variant):
    """Larger datagrams are found to pass after a while, up to what the underlay takes."""
    wanted = variant.wan.mtu
    if wanted > 1500:
        wanted = 9000
    for node, other in ((variant.left, variant.right), (variant.right, variant.left)):
        deadline = time.monotonic() + 10
        while node.peer_status(other.name)["path_mtu"] != wanted:
            assert time.monotonic() < deadline, node.peer_status(other.name)
            time.sleep(0.05)


def test_modes_must_agree(lab):
    """Strongest mode that both allow; none in common: no session, and both say why."""
    pair = Pair(lab)
    pair.left.peers["xen1"]["data"] = ["aead", "none"]
    pair.right.peers["kvm1"]["data"] = ["auth", "none"]
    pair.start()
    assert pair.left.peer_status("xen1")["data_mode"] == "none"
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)
    pair.left.stop()
    pair.left.peers["xen1"]["data"] = ["aead"]
    pair.left.start()
    time.sleep(1.5)  # long enough for a session that should not come
    for node in pair.nodes:
        assert node.state() in ("handshake", "down")
