"""A peer whose address changes is followed, by authenticated packets only."""
import time

import pytest

from flood import Flood
from lab import wait_for
from node import Pair
from relay import UP
from traffic import assert_pings, pinging

OUTAGE_S = 0.7


def behind_nat(lab, **options):
    """A pair whose left node reaches the right one through a relay that acts as a NAT."""
    pair, relay = Pair.relayed(lab, "nat", **options)
    return pair.start(), relay


def state_changes(pair, since):
    return [event for node in pair.nodes for event in node.events(since=since)]


@pytest.mark.parametrize("mode", ["aead", "auth", "none"])
def test_nat_forgets_its_mapping(lab, mode):
    """The other end answers to the new port with the next packet; nothing is renegotiated."""
    pair, relay = behind_nat(lab, data=[mode])
    endpoint = pair.right.peer_status("kvm1")["endpoint"]
    since = time.time()
    with Flood(pair.guests, rate=100) as flood:
        with pinging(pair.guest_left, Pair.RIGHT_IP) as results, flood.may_lose("NAT restarted"):
            relay.rebind()
            wait_for(lambda: pair.right.peer_status("kvm1")["endpoint"] != endpoint, 2,
                     "the endpoint did not move")
            time.sleep(0.3)  # how long it pings once all is well
    assert results[0].outage <= OUTAGE_S, results[0].text
    assert not state_changes(pair, since)
    assert_pings(pair.guest_right, Pair.LEFT_IP, count=10)


def test_own_address_changes(lab):
    """A new DHCP lease on the calling side: its next packet leaves from the new address."""
    pair = Pair(lab, passive=True).start()
    endpoint = pair.right.peer_status("kvm1")["endpoint"]
    since = time.time()
    with Flood(pair.guests, rate=100) as flood:
        with pinging(pair.guest_left, Pair.RIGHT_IP) as results, flood.may_lose("new address"):
            pair.wan.readdress(pair.left.host)
            wait_for(lambda: pair.right.peer_status("kvm1")["endpoint"] != endpoint, 4,
                     "the endpoint did not move")
            pair.wait_forwarding()
            time.sleep(0.3)  # how long it pings once all is well
    assert results[0].outage <= OUTAGE_S, results[0].text
    assert not state_changes(pair, since)
    assert_pings(pair.guest_right, Pair.LEFT_IP, count=10)


def test_a_stranger_cannot_move_the_endpoint(lab):
    """Packets from elsewhere, recorded or made up, change nothing."""
    pair, relay = behind_nat(lab)
    stranger = lab.host("stranger")
    other = pair.relay(stranger)
    relay.capturing = True
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=20)
    relay.capturing = False
    endpoint = pair.right.peer_status("kvm1")["endpoint"]
    with other.caller() as caller:
        for way, datagram in relay.captured:
            if way == UP:
                caller(datagram)
                caller(datagram[:-1] + bytes([datagram[-1] ^ 1]))
    wait_for(lambda: other.passed[UP] >= 40, 2, "the stranger's packets did not leave")
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=20)
    assert pair.right.peer_status("kvm1")["endpoint"] == endpoint
