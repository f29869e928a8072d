"""Wrong keys, wrong secrets, replays and garbage: refused, counted, and never felt."""
import contextlib
import os
import random
import socket
import struct
import time

import pytest

from flood import Flood
from lab import wait_for
from node import PORT, Node, Pair, bridgectl
from relay import DOWN, UP
from traffic import assert_pings, pinging

COUNTED_S = 2  # until what has arrived was looked at, on a busy host
INITIATION, RESPONSE, COOKIE, DATA, CONTROL = 1, 2, 3, 4, 5


@contextlib.contextmanager
def undisturbed(pair):
    """Nothing that happens in this block is felt: no ping lost or doubled, no frame of the
    oracle lost or doubled, no state change."""
    since = time.time()
    with Flood(pair.guests, rate=200), pinging(pair.guest_left, Pair.RIGHT_IP) as results:
        yield
        time.sleep(0.3)  # traffic goes on for a while
    result = results[0]
    assert result.sent > 5 and result.lost == 0 and result.duplicates == 0, result.text
    for node in pair.nodes:
        assert not node.events(since=since), node.events(since=since)


def wait_dropped(node, peer, why, more_than):
    """Until the node has counted more drops than that: the last ones may still be in its queue."""
    wait_for(lambda: node.peer_status(peer)["drops"][why] > more_than, COUNTED_S,
             lambda: f"{node.name}: {why} drops {node.peer_status(peer)['drops']}")


def third(pair, lab):
    """Another host on the same underlay, with a bridge of the same name."""
    host = lab.host("mallory")
    pair.wan.attach(host)
    host.bridge("br-sv")
    return Node(host)


@contextlib.contextmanager
def sender(pair, host):
    """A function that sends datagrams from the host's own address to the left node."""
    with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        target = (pair.wan.address(pair.left.host), PORT)
        yield lambda datagram: sock.sendto(datagram, target)


def test_unknown_key(lab):
    pair = Pair(lab).start()
    mallory = third(pair, lab)
    mallory.peer("kvm1", pair.left, address=pair.wan.endpoint(pair.left.host))
    mallory.tunnel("sv", "kvm1", "br-sv")
    with undisturbed(pair):
        mallory.start()
        wait_for(lambda: pair.left.counter("unknown_key") >= 1, 3, "nothing was counted")
        assert mallory.state() in ("handshake", "down")


@pytest.mark.parametrize("theirs", ["another", "none"])
def test_wrong_preshared_key(lab, theirs):
    pair = Pair(lab, psk=True)
    mallory = third(pair, lab)
    pair.left.peer("mallory", mallory, address=pair.wan.endpoint(mallory.host),
                   psk=bridgectl("genpsk"))
    pair.left.tunnel("mallory", "mallory", "br-sv")
    mallory.peer("kvm1", pair.left, address=pair.wan.endpoint(pair.left.host),
                 psk=bridgectl("genpsk") if theirs == "another" else None)
    mallory.tunnel("sv", "kvm1", "br-sv")
    pair.start()
    with undisturbed(pair):
        mallory.start()
        time.sleep(2)  # long enough for a session that should not come
        for node, peer in ((mallory, "kvm1"), (pair.left, "mallory")):
            row = node.peer_status(peer)
            assert row["state"] != "up" and row["data_mode"] == "", row
        assert pair.left.state("mallory") in ("handshake", "down")


def test_same_key_claimed_by_another_host(lab):
    """Knowing a peer's public key is not being that peer."""
    pair = Pair(lab).start()
    mallory = third(pair, lab)
    mallory.peer("kvm1", pair.right.public_key, address=pair.wan.endpoint(pair.left.host))
    mallory.tunnel("sv", "kvm1", "br-sv")
    with undisturbed(pair):
        mallory.start()
        time.sleep(1.2)  # several of its attempts
        assert mallory.state() in ("handshake", "down")
    assert pair.left.peer_status("xen1")["endpoint"] == pair.wan.endpoint(pair.right.host)


def relayed(lab, **options):
    pair, relay = Pair.relayed(lab, **options)
    relay.capturing = True
    return pair.start(), relay


@pytest.mark.parametrize("mode", ["aead", "auth"])
def test_replayed_packets(lab, mode):
    """Everything from the first handshake on, once more, in both directions, from the right
    addresses. (Mode none has no counter in its data, and promises nothing here.)"""
    pair, relay = relayed(lab, data=[mode])
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=30)
    relay.capturing = False
    before = [node.peer_status(peer)["drops"]["replay"]
              for node, peer in ((pair.left, "xen1"), (pair.right, "kvm1"))]
    with undisturbed(pair):
        assert relay.replay(UP) > 30 and relay.replay(DOWN) > 30
    for node, peer, count in ((pair.left, "xen1", before[0]), (pair.right, "kvm1", before[1])):
        wait_dropped(node, peer, "replay", count + 10)
    wait_for(lambda: pair.right.counter("replayed_initiations") >= 1, COUNTED_S, "not counted")


def test_replayed_control_packets_in_mode_none(lab):
    """Liveness and gates are steered by sealed packets only, also where data are not sealed."""
    pair, relay = relayed(lab, data=["none"])
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=30)
    relay.capturing = False
    sealed = [(way, datagram) for way, datagram in relay.captured
              if datagram[0] in (INITIATION, RESPONSE, COOKIE, CONTROL)]
    before = pair.right.peer_status("kvm1")["drops"]["replay"]
    with undisturbed(pair):
        for way, datagram in sealed:
            relay.inject(way, datagram)
    wait_dropped(pair.right, "kvm1", "replay", before)


def test_damaged_packets(lab):
    """One bit wrong in each recorded datagram."""
    pair, relay = relayed(lab)
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=30)
    relay.capturing = False
    rng = random.Random(7)
    before = pair.right.peer_status("kvm1")["drops"]["auth"]
    with undisturbed(pair):
        for way, datagram in list(relay.captured):
            damaged = bytearray(datagram)
            damaged[rng.randrange(16, len(damaged))] ^= 1 << rng.randrange(8)
            # A counter that was not used yet gets past the replay window, up to the tag.
            if datagram[0] in (DATA, CONTROL):
                struct.pack_into("<Q", damaged, 8, 1 << 40)
            relay.inject(way, bytes(damaged))
    wait_dropped(pair.right, "kvm1", "auth", before + 10)


def test_garbage(lab):
    """Noise of every length and with every header, from a stranger and from the peer's address."""
    pair, relay = relayed(lab)
    stranger = lab.host("stranger")
    pair.wan.attach(stranger)
    rng = random.Random(11)
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)
    known = [datagram for _, datagram in relay.captured]
    before = pair.left.status()["node"]["counters"]
    with undisturbed(pair), sender(pair, stranger) as send:
        for count in range(3000):
            size = rng.choice((0, 1, 15, 16, 17, 31, 32, 47, 48, 100, 148, 500, 1400))
            noise = os.urandom(size)
            if count % 3 == 1:
                noise = bytes([rng.randrange(8)]) + bytes(3) + noise
            elif count % 3 == 2:
                noise = rng.choice(known)[:rng.choice((4, 16, 40))] + noise
            send(noise)
            relay.inject(rng.choice((UP, DOWN)), noise)
            if count % 20 == 0:
                time.sleep(0.005)  # the receive buffer is shared with the tunnel
    for name in ("bad_header", "unknown_index"):
        wait_for(lambda name=name: pair.left.counter(name) > before[name], COUNTED_S,
                 f"no {name} was counted")


def test_flood_of_initiations(lab):
    """Copies of a real initiation from a stranger: cheap to refuse, never answered at length."""
    pair, relay = relayed(lab)
    initiations = [datagram for way, datagram in relay.captured
                   if way == UP and datagram[0] == INITIATION]
    assert initiations
    stranger = lab.host("stranger")
    pair.wan.attach(stranger)
    with stranger.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        target = (pair.wan.address(pair.right.host), PORT)
        sock.settimeout(0.1)
        sent = 0
        with undisturbed(pair):
            for _ in range(100):
                for _ in range(30):
                    sock.sendto(initiations[0], target)
                    sent += len(initiations[0])
                time.sleep(0.01)
        answered = 0
        with contextlib.suppress(socket.timeout):
            while True:
                answered += len(sock.recv(65536))
        assert answered <= sent

    def refused():
        counters = pair.right.status()["node"]["counters"]
        return sum(counters[name] for name in
                   ("replayed_initiations", "rate_limited", "cookies_sent"))

    wait_for(lambda: refused() >= 1000, COUNTED_S, lambda: f"{refused()} were counted")
