"""Ends that die, are cut off or go: how soon it is noticed, and how soon all is well again."""
import time

import pytest

from flood import Flood
from lab import variants, wait_for
from node import L2TUND, Pair
from traffic import assert_pings

BACK_S = 3.0
DEAD_S = 2.5
DEAD_FAST_S = 0.8
GRACEFUL_S = 0.3


def left_forwarding_after(node, since):
    """Seconds from `since` (time.time()) until the tunnel left its forwarding state."""
    def first():
        return [event for event in node.events(name="sv", since=since)
                if event["from"] == "forwarding"]

    return wait_for(first, 10, f"{node.name} did not notice")[0]["at"] - since


@pytest.mark.parametrize("victim", ["left", *variants("right")])
def test_killed_and_started_again(lab, victim):
    pair = Pair(lab).start()
    node = getattr(pair, victim)
    with Flood(pair.guests, rate=200) as flood:
        with flood.may_lose("killed", after=0.05):
            node.kill()
            wait_for(lambda: node.host.link("l2t-sv") is None, 1, "the TAP outlives its daemon")
            node.start(wait=False)
            pair.wait_forwarding()
            took = time.monotonic() - node.started
        time.sleep(0.3)  # how long it floods once all is well
    assert took <= BACK_S, f"back after {took:.2f} s"
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=10)


@pytest.mark.parametrize("profile, limit", [("default", DEAD_S), ("fast", DEAD_FAST_S)])
def test_silent_cut_is_noticed(lab, profile, limit):
    pair = Pair(lab, profile=profile).start()
    with Flood(pair.guests, rate=200) as flood:
        with flood.may_lose("cut", after=0.05):
            cut = time.time()
            pair.wan.cut(pair.right.host)
            for node in pair.nodes:
                took = left_forwarding_after(node, cut)
                assert took <= limit, f"{node.name} noticed after {took:.2f} s"
                assert node.tunnel_status()["detail"]
            pair.wan.heal(pair.right.host)
            pair.wait_forwarding()
        time.sleep(0.3)  # how long it floods once all is well
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=10)


def test_peer_killed_is_noticed(lab):
    pair = Pair(lab).start()
    killed = time.time()
    pair.right.kill()
    took = left_forwarding_after(pair.left, killed)
    assert took <= DEAD_S, f"noticed after {took:.2f} s"
    pair.left.wait_state("down", reason="unreachable")


def test_graceful_end(lab):
    """SIGTERM tells the peer, ends with status 0 and leaves no TAP."""
    pair = Pair(lab).start()
    for node, other in ((pair.left, pair.right), (pair.right, pair.left)):
        going = time.time()
        node.stop()
        assert node.host.link("l2t-sv") is None
        took = left_forwarding_after(other, going)
        assert took <= GRACEFUL_S, f"{other.name} noticed after {took:.2f} s"
        node.start()
        pair.wait_forwarding()
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_both_restart_at_once(lab):
    pair = Pair(lab).start()
    for node in pair.nodes:
        node.kill()
    for node in pair.nodes:
        node.start(wait=False)
    pair.wait_forwarding()
    assert time.monotonic() - pair.left.started <= BACK_S
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_incarnation_grows(lab):
    pair = Pair(lab)
    seen = []
    for _ in range(3):
        pair.left.start()
        seen.append(pair.left.status()["node"]["incarnation"])
        pair.left.kill()
    assert seen == sorted(set(seen)), seen


def test_one_daemon_per_configuration(lab):
    """A second one refuses to start and names the first; the first does not notice."""
    pair = Pair(lab).start()
    result = pair.left.host.run(L2TUND, "-f", "-c", str(pair.left.config_path), check=False)
    assert result.returncode not in (0, 77)
    assert str(pair.left.pid) in result.stderr, result.stderr
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)
