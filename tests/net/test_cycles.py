"""A thousand times up and down: nothing grows."""
import time

from lab import SHORT
from node import ControlClient, Pair
from traffic import assert_pings

CYCLES = 200 if SHORT else 1000
RESTARTS = 12 if SHORT else 20
WARM_UP = 100
GROWTH_KIB = 256


def figures(node):
    return node.descriptors(), node.memory_kib()


def test_cycles(lab):
    pair = Pair(lab).start()
    with ControlClient(pair.left) as client:
        def ask(method):
            answer = client.request(method, name="sv")
            assert "result" in answer, answer
            return answer["result"]

        warm = None
        for cycle in range(CYCLES):
            if cycle == WARM_UP:
                warm = [figures(node) for node in pair.nodes]
            ask("tunnel.down")
            ask("tunnel.up")
            # Each time the port is back; now and then wait for what comes behind it, too.
            wanted = ("forwarding",) if cycle % 20 == 0 else ("prepare", "forwarding")
            deadline = time.monotonic() + 10
            while ask("tunnel.show")["state"] not in wanted:
                assert time.monotonic() < deadline, (cycle, ask("tunnel.show"))
                time.sleep(0.001)
    pair.wait_forwarding()
    for node, (descriptors, memory) in zip(pair.nodes, warm):
        now = figures(node)
        assert now[0] <= descriptors, f"{node.name}: {descriptors} -> {now[0]} descriptors"
        # Under a sanitizer freed memory is kept aside; its leak check at the end tells more.
        assert node.sanitized or now[1] <= memory + GROWTH_KIB, f"{memory} -> {now[1]} KiB"
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=10)


def test_sessions_that_come_and_go(lab):
    """The peer restarts again and again: the one that stays does not grow either."""
    pair = Pair(lab).start()
    first = None
    for cycle in range(RESTARTS):
        if cycle == 10:
            first = figures(pair.left)
        pair.right.stop()
        pair.right.start(wait=False)
        pair.wait_forwarding()
    now = figures(pair.left)
    assert now[0] <= first[0], f"{first[0]} -> {now[0]} descriptors"
    assert pair.left.sanitized or now[1] <= first[1] + GROWTH_KIB, f"{first} -> {now}"
