"""A daemon that is frozen and continued must not pour stale frames into the bridge."""
import time

from flood import Flood
from lab import plain_only
from node import Pair
from traffic import assert_pings

FROZEN_S = 5

pytestmark = plain_only("what chaos does, too")


def test_frozen_for_longer_than_the_dead_time(lab):
    pair = Pair(lab).start()
    with Flood(pair.guests, rate=100) as flood:
        time.sleep(0.3)  # how long it floods before
        with flood.may_lose("frozen", after=0.05):
            with pair.left.stopped():
                frozen = time.monotonic()
                time.sleep(FROZEN_S)
                thawed = time.monotonic()
            pair.wait_forwarding()
        time.sleep(0.3)  # and after
    stale = [frame for frame in flood.frames
             if frozen + 0.1 < frame.time < thawed and any(frame.counts)]
    assert not stale, (
        f"{len(stale)} frames from while it was frozen came through later, sent by guests"
        f" { {flood.names[frame.sender] for frame in stale} } {stale[0].time - frozen:.2f} to"
        f" {stale[-1].time - frozen:.2f} s after its stop")
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=10)


def test_frozen_for_less_than_the_dead_time(lab):
    """Late frames may come, none twice, and the tunnel stays or returns."""
    pair = Pair(lab).start()
    with Flood(pair.guests, rate=100) as flood:
        for node in pair.nodes:
            with flood.may_lose("frozen briefly", after=0.5):
                with node.stopped():
                    time.sleep(1)
                pair.wait_forwarding()
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=10)
