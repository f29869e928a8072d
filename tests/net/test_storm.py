"""The last guards: the policer of flooded frames, the same frame again and again, and the latch;
and that none of the guards is felt when nothing is wrong."""
import re
import time

import pytest

from blast import Blast
from flood import Flood
from frames import BROADCAST, ETH_P_TEST, MULTICAST, Port, ethernet
from lab import alone, long_only, plain_only, wait_for
from node import Pair
from traffic import assert_pings, ping, pinging, tcp_both_ways

BLAST_RATE = 200_000  # what a guest may try; what the machine can do is printed
BLAST_LEAST = 15_000  # several times what the policer lets pass
BLAST_S = 5  # more than twice the time after which a silent peer is dead
LOSS_MAX = 0.03  # a busy machine loses some; the policer would take nearly all
POLICER_BURST = 1000
REPEATS = 20  # of one frame in 100 ms are a storm
HOLD_DOWN_S = 10
REOPEN_S = 5
EARLY_S = 2  # after a gate opened the policer is stricter
MIXED_S = 10  # at least, and each thing once


def blocks(pair, since=0.0):
    return [event for node in pair.nodes for event in node.events(since=since)
            if event["to"] in ("blocked", "latched")]


def policed(node):
    return node.tunnel_status()["drops"]["policer"]


class Receiver:
    """Counts the test's frames that come to a guest."""

    def __init__(self, guest):
        self._port = Port(guest, "eth0", ETH_P_TEST)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._port.sock.close()

    def count(self, quiet=0.3):
        """How many came so far, once none has come for `quiet` seconds."""
        found = 0
        while self._port.wait_for(lambda frame: True, quiet):
            found += 1
        return found


def numbered(port, number, destination=BROADCAST):
    return ethernet(destination, port.mac, ETH_P_TEST, b"storm%09d" % number + bytes(32))


def send_evenly(guest, rate, seconds, destination=BROADCAST):
    """Different frames at this rate; gives how many."""
    total = int(rate * seconds)
    with Port(guest, "eth0", 0) as port:
        start = time.monotonic()
        for number in range(total):
            port.send(numbered(port, number, destination))
            time.sleep(max(0.0, start + number / rate - time.monotonic()))
    return total


# The policer

@alone("floods")
@pytest.mark.parametrize("far", [False, pytest.param(True, marks=long_only("a variant"))],
                         ids=["beside the flooder", "across from him"])
def test_flooding_guest(lab, far):
    """A guest sends broadcasts as fast as he can. The tunnel stays, and other guests of either
    side hardly feel it."""
    pair = Pair(lab)
    flooder = (pair.right if far else pair.left).host.guest("flooder", "br-sv")
    pair.start()
    assert_pings(pair.guest_left, Pair.RIGHT_IP)
    since = time.time()
    quiet = ping(pair.guest_left, Pair.RIGHT_IP, count=50)
    with pinging(pair.guest_left, Pair.RIGHT_IP) as results:
        with Blast(flooder, BLAST_RATE) as blast:
            time.sleep(BLAST_S)  # how long he floods
            states = [node.tunnel_status() for node in pair.nodes]
    result = results[0]
    drops = [policed(node) for node in pair.nodes]
    print(f"{blast.rate:.0f} broadcasts/s; {result.lost} of {result.sent} pings lost, longest"
          f" {result.outage:.2f} s (without: {quiet.lost} of {quiet.sent}); policer {drops}")
    assert blast.rate >= BLAST_LEAST, f"only {blast.rate:.0f} broadcasts/s"
    assert [row["state"] for row in states] == ["forwarding"] * 2, states
    for node in pair.nodes:
        assert not node.events(since=since), node.events(since=since)
        assert not node.events("peer", since=since), node.events("peer", since=since)
    assert sum(drops) > 0, "nothing was policed"
    assert result.lost <= LOSS_MAX * result.sent, result.text[-3000:]
    passed = states[1 if far else 0]["tx_frames"]
    assert passed <= POLICER_BURST + 4000 * (BLAST_S + 2) + 4 * result.sent + 1000, states


@alone("amounts")
@plain_only("an amount")
def test_policer_of_the_configuration(lab):
    """`policer = 500`: what is more is dropped and counted; unicasts are none of its business."""
    rate, offered, seconds = 500, 2000, 2
    pair = Pair(lab, policer=rate).start()
    assert_pings(pair.guest_left, Pair.RIGHT_IP)
    for destination in (BROADCAST, MULTICAST):
        before = sum(policed(node) for node in pair.nodes)
        with Receiver(pair.guest_right) as receiver, \
                pinging(pair.guest_left, Pair.RIGHT_IP) as results:
            start = time.monotonic()
            sent = send_evenly(pair.guest_left, offered, seconds, destination)
            took = time.monotonic() - start
            arrived = receiver.count()
        # What one end lets pass may be too much for the other by its own clock.
        dropped = sum(policed(node) for node in pair.nodes) - before
        assert rate * took * 0.9 <= arrived <= rate * (took + 1) + POLICER_BURST, (arrived, took)
        # ARP and the daemon's own probes are flooded, too.
        assert 0 <= arrived + dropped - sent <= 50, (sent, arrived, dropped)
        assert results[0].lost == 0, results[0].text
    assert not blocks(pair)


@alone("amounts")
@plain_only("an amount")
def test_ordinary_broadcasts_never_meet_the_policer(lab):
    """Three quarters of the rate, after an opening and later on, in both directions at once."""
    pair = Pair(lab).start()
    with Flood(pair.guests, rate=1500):  # 750/s each way, two thirds of them to groups
        time.sleep(EARLY_S)
    with Receiver(pair.guest_right) as receiver:
        sent = send_evenly(pair.guest_left, 3000, 2)
        assert receiver.count() == sent
    assert [policed(node) for node in pair.nodes] == [0, 0]
    assert not blocks(pair)


# The same frame again and again

def send_copies(guest, count, seconds, frame=None):
    """One frame this often, evenly over the time."""
    with Port(guest, "eth0", 0) as port:
        frame = frame or numbered(port, time.monotonic_ns() % 10**9)
        start = time.monotonic()
        for number in range(count):
            port.send(frame)
            time.sleep(max(0.0, start + number * seconds / count - time.monotonic()))


@pytest.mark.parametrize("copies, seconds", [(REPEATS - 1, 0.0), (100, 2.0)],
                         ids=["19 at once", "50 per second"])
def test_repetitions_that_are_none(shared_pair, copies, seconds):
    with Receiver(shared_pair.guest_right) as receiver:
        send_copies(shared_pair.guest_left, copies, seconds)
        assert receiver.count() == copies
    assert shared_pair.left.state() == "forwarding" and not blocks(shared_pair)


def test_same_unicast_often_is_no_storm(shared_pair):
    """Only flooded frames go round."""
    assert_pings(shared_pair.guest_left, Pair.RIGHT_IP)
    target = bytes.fromhex(shared_pair.guest_right.link("eth0")["address"].replace(":", ""))
    with Port(shared_pair.guest_left, "eth0", 0) as port, \
            Receiver(shared_pair.guest_right) as receiver:
        frame = ethernet(target, port.mac, ETH_P_TEST, bytes(46))
        for _ in range(10 * REPEATS):
            port.send(frame)
        assert receiver.count() == 10 * REPEATS
    assert not blocks(shared_pair)


def test_storm_blocks_and_ends(lab):
    """Twenty copies are a storm; the tunnel comes back by itself after the hold-down."""
    pair = Pair(lab).start()
    with Receiver(pair.guest_right) as receiver:
        send_copies(pair.guest_left, 10 * REPEATS, 0)
        row = pair.left.wait_state("blocked", reason="storm", timeout=2)
        blocked = time.monotonic()
        passed = receiver.count()
    # The far end may close before it has passed on what waits there.
    assert 0 < passed <= 2 * REPEATS, f"{passed} copies passed"
    assert row["detail"], row
    print(f"{passed} of {10 * REPEATS} copies passed; {row['detail']}")
    assert pair.right.state() != "forwarding"
    assert pair.left.ctl("check", check=False).returncode == 2
    assert "storm" in pair.left.ctl("tunnel", "why", "sv", check=False).stdout
    time.sleep(HOLD_DOWN_S - 1)
    assert pair.left.state() == "blocked", pair.left.tunnel_status()
    pair.wait_forwarding(1 + REOPEN_S)
    print(f"forwarding {time.monotonic() - blocked:.1f} s after it was blocked")
    assert_pings(pair.guest_left, Pair.RIGHT_IP)


def test_clear_ends_a_block(lab):
    """Whoever has looked need not wait for the hold-down."""
    pair = Pair(lab).start()
    for _ in range(2):
        send_copies(pair.guest_left, 2 * REPEATS, 0)
        pair.left.wait_state("blocked", reason="storm", timeout=2)
        pair.left.ctl("tunnel", "clear", "sv")
        pair.wait_forwarding(REOPEN_S)
    assert_pings(pair.guest_left, Pair.RIGHT_IP)


@pytest.mark.timeout(260)
@long_only("takes three minutes: four hold-downs")
def test_five_storms_latch(lab):
    """The fifth storm within half an hour latches: somebody has to look."""
    pair = Pair(lab).start()
    for count in range(1, 6):
        pair.wait_forwarding(HOLD_DOWN_S * 2 ** count + REOPEN_S)
        send_copies(pair.guest_left, 2 * REPEATS, 0)
        row = pair.left.wait_state("latched" if count == 5 else "blocked", timeout=2)
        assert row["reason"] == "storm", row
    assert "clear" in row["detail"] + pair.left.ctl("tunnel", "why", "sv", check=False).stdout
    assert pair.left.ctl("check", check=False).returncode == 2
    pair.left.ctl("tunnel", "clear", "sv")
    pair.wait_forwarding(REOPEN_S)
    assert_pings(pair.guest_left, Pair.RIGHT_IP)


# When nothing is wrong

def _reconnect(pair):
    pair.wan.cut(pair.right.host)
    pair.right.wait_state("handshake", timeout=5)
    pair.wan.heal(pair.right.host)
    pair.wait_forwarding()


def _restart(pair):
    pair.right.stop()
    pair.right.start()
    pair.wait_forwarding()


def _kill(pair):
    pair.left.kill()
    pair.left.start()
    pair.wait_forwarding()


def _new_bridge(pair):
    host = pair.right.host
    host.ip("link del br-sv")
    pair.right.wait_state("down", reason="no-bridge")
    host.bridge("br-sv")
    host.ip("link set v-guest2 master br-sv")
    pair.wait_forwarding()


def _down_and_up(pair):
    pair.left.ctl("tunnel", "down", "sv")
    pair.right.wait_state("down")
    pair.left.ctl("tunnel", "up", "sv")
    pair.wait_forwarding()


def _guest_moves(pair):
    """A guest's address appears on the other side, as after a live migration."""
    port = pair.left.host.link("v-roamer") and pair.left.host
    source, target = ((pair.left.host, pair.right.host) if port
                      else (pair.right.host, pair.left.host))
    source.ip("link del v-roamer")
    _roamer(pair, target)


def _roamer(pair, host):
    guest = host.guest("roamer", "br-sv")
    guest.ip("link set eth0 address 02:aa:00:00:00:01", "addr add 10.9.0.3/24 dev eth0")
    wait_for(lambda: not ping(guest, Pair.LEFT_IP, count=1, options=("-w", "1")).lost, 5,
             "the guest that moved has no answer")


@plain_only("what chaos does, too")
def test_nothing_is_blocked_in_normal_operation(lab):
    """All that is usual, one thing after the other."""
    pair = Pair(lab).start()
    _roamer(pair, pair.left.host)
    trouble = [_reconnect, _guest_moves, _restart, _guest_moves, _kill, _new_bridge,
               _down_and_up]
    pasts = []
    end = time.monotonic() + MIXED_S
    with Flood(pair.guests, rate=400) as flood, pinging(pair.guest_left, Pair.RIGHT_IP):
        turn = 0
        while time.monotonic() < end or turn < len(trouble):
            what = trouble[turn % len(trouble)]
            turn += 1
            with flood.may_lose(what.__name__, after=0.3):
                what(pair)
            pasts += blocks(pair)  # a restart forgets them
            tcp_both_ways(pair.guest_left, pair.guest_right, Pair.RIGHT_IP, 1 << 20)
    print(f"{turn} changes")
    assert not pasts + blocks(pair)
    for node in pair.nodes:
        assert policed(node) == 0
        assert not re.search("-> (blocked|latched)", node.log()[1])
