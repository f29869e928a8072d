"""Bad underlays: what gets through is right, and nothing comes twice."""
import time

import pytest

from flood import Flood
from lab import long_only, need, plain_only, wait_for
from node import Pair
from traffic import assert_pings, ping, tcp_both_ways


@pytest.mark.parametrize("percent, limit_s", [
    pytest.param(10, 10, marks=plain_only()), (30, 30)])
def test_random_loss(lab, percent, limit_s):
    """Handshake and reassembly get through, and after the loss everything is as before it."""
    need("numgen")
    pair = Pair(lab)
    for node in pair.nodes:
        node.host.drop_udp(percent)
    for node in pair.nodes:
        node.start()
    pair.wait_forwarding(timeout=limit_s)
    # The guests' own search for each other may fail for seconds: three questions, half of them lost.
    wait_for(lambda: ping(pair.guest_left, Pair.RIGHT_IP, count=3).replies, 30, "no answer at all")
    with Flood(pair.guests, rate=200, verify=False) as flood:
        small = ping(pair.guest_left, Pair.RIGHT_IP, count=100)
        # Two pieces each way.
        large = ping(pair.guest_left, Pair.RIGHT_IP, count=100, size=1472)
    assert not flood.duplicates, flood.summary()
    assert flood.losses(), "the loss was not real"
    through = 1 - percent / 100
    assert len(small.replies) >= 100 * through ** 2 * 0.5, small.text
    assert len(large.replies) >= 100 * through ** 4 * 0.4, large.text
    if percent <= 10:
        tcp_both_ways(pair.guest_left, pair.guest_right, Pair.RIGHT_IP, size=30_000, timeout=60)
    for node in pair.nodes:
        node.host.drop_udp(0)
    pair.wait_forwarding()
    wait_for(lambda: ping(pair.guest_left, Pair.RIGHT_IP, count=3).lost == 0, 5, "no rest")
    with Flood(pair.guests, rate=200):
        assert_pings(pair.guest_left, Pair.RIGHT_IP, count=20, size=1472)


def test_loss_is_told(lab):
    need("numgen")
    pair = Pair(lab).start()
    pair.right.host.drop_udp(20)
    with Flood(pair.guests, rate=300, verify=False):
        wait_for(lambda: 0.08 < pair.left.peer_status("xen1")["loss_tx"] < 0.4, 15,
                 lambda: f"loss_tx is {pair.left.peer_status('xen1')}")
        wait_for(lambda: 0.08 < pair.right.peer_status("kvm1")["loss_rx"] < 0.4, 15,
                 lambda: f"loss_rx is {pair.right.peer_status('kvm1')}")
    # What waits in a busy host's queue counts as lost for a moment.
    wait_for(lambda: pair.left.peer_status("xen1")["loss_rx"] < 0.08, 5,
             lambda: f"loss_rx is {pair.left.peer_status('xen1')}")


@pytest.mark.parametrize("mode", ["aead", pytest.param("auth", marks=long_only("a variant"))])
def test_duplicated_and_reordered(lab, mode):
    """Datagrams that come twice or 50 ms late: each frame once all the same. (Mode none has no
    counter in its data: what its wire doubles arrives twice.)"""
    pair, relay = Pair.relayed(lab, mtu=9000, data=[mode])
    pair.start()
    relay.duplicate = relay.reorder = 0.2
    with Flood(pair.guests, rate=200):
        time.sleep(1)  # how long it floods
        assert_pings(pair.guest_left, Pair.RIGHT_IP, count=40, size=8972)
        tcp_both_ways(pair.guest_left, pair.guest_right, Pair.RIGHT_IP, size=300_000)
    assert pair.left.state() == pair.right.state() == "forwarding"
