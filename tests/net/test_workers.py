"""Threads that move frames (`workers` above 1): they are there and share the work, nodes with
different numbers of them understand each other, and loops are kept closed as without them: the
tests of that run here again."""
import os
import threading

import pytest

import node as node_module
from blast import UdpBlast
from lab import LONG, SHORT, alone, wait_for
from node import Pair
from traffic import assert_pings, tcp_both_ways

# pylint: disable=unused-import
from test_foreign import (test_loop_of_two_tunnels_and_two_guests, test_path_later,
                          test_restart_beside_a_cable)
from test_parallel import test_cut_and_heal, test_frozen_end, test_one_end_restarts
from test_storm import (test_flooding_guest, test_repetitions_that_are_none,
                        test_storm_blocks_and_ends)
from test_tree import (keeper, ring4, test_node_ends, test_node_frozen, test_partition_and_heal,
                       test_port_moved_by_another_program)

WORKERS = 2
SLOW = ("test_flooding_guest", "test_repetitions_that_are_none", "test_storm_blocks_and_ends")
FLOWS = 16
RATE = 30_000


@pytest.fixture(scope="module", autouse=True)
def workers():
    """All nodes of this file have workers, unless they say themselves."""
    before, node_module.WORKERS = node_module.WORKERS, WORKERS
    yield
    node_module.WORKERS = before


@pytest.fixture(autouse=True)
def no_variants(request):
    """Of tests of other files one shape each will do here, and with sanitizers not those that mostly
    wait."""
    if not LONG and request.node.get_closest_marker("variant"):
        pytest.skip("a variant that runs without workers (NET_LONG=1 runs it)")
    if SHORT and request.node.originalname in SLOW:
        pytest.skip("a time (NET_SHORT=0 runs it)")


def threads(node):
    """The processor time in nanoseconds of each thread of the daemon, by its name."""
    found = {}
    for task in os.listdir(f"/proc/{node.pid}/task"):
        with open(f"/proc/{node.pid}/task/{task}/comm", encoding="ascii") as comm:
            name = comm.read().strip()
        with open(f"/proc/{node.pid}/task/{task}/schedstat", encoding="ascii") as stat:
            found[name] = int(stat.read().split()[0])
    return found


def flows(pair, n, size=1 << 20):
    """That many TCP connections at once, each both ways and compared."""
    failed = []

    def one(number):
        try:
            tcp_both_ways(pair.guest_left, pair.guest_right, Pair.RIGHT_IP, size=size,
                          port=6000 + number, timeout=60)
        except Exception as error:  # pylint: disable=broad-except
            failed.append(error)

    running = [threading.Thread(target=one, args=(number,)) for number in range(n)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not failed


def test_all_share_the_work(lab):
    pair = Pair(lab).start()
    before = {node: threads(node) for node in pair.nodes}
    refused = {node: node.status()["node"]["counters"] for node in pair.nodes}
    flows(pair, FLOWS)
    for node in pair.nodes:
        after = threads(node)
        assert set(after) >= {f"l2tund-{number + 1}" for number in range(WORKERS)}, after
        assert node.status()["node"]["workers"] == WORKERS
        for number in range(WORKERS):
            name = f"l2tund-{number + 1}"
            assert after[name] - before[node][name] > 1_000_000, f"{node.name}: {name} idles"
        assert node.tunnel_status()["rx_frames"] > FLOWS * 10
        assert node.status()["node"]["counters"] == refused[node]


@pytest.mark.parametrize("left, right, mode", [(1, 3, "aead"), (3, 1, "none"), (4, 3, "auth")])
def test_different_numbers(lab, left, right, mode):
    pair = Pair(lab, data=[mode])
    pair.left.options["workers"], pair.right.options["workers"] = left, right
    pair.start()
    flows(pair, 4)
    assert_pings(pair.guest_right, Pair.LEFT_IP6, count=20, size=9000)
    for node, other in ((pair.left, pair.right), (pair.right, pair.left)):
        drops = node.peer_status(other.name)["drops"]
        assert drops["auth"] == drops["replay"] == drops["decode"] == 0, drops


def test_device_is_deleted(lab):
    """Each thread sees its queue go; the port is made anew."""
    pair = Pair(lab).start()
    for _ in range(3):
        seen = len(pair.left.events())
        pair.left.host.ip("link del l2t-sv")
        wait_for(lambda seen=seen: len(pair.left.events()) > seen, 10, "nobody has noticed")
        pair.wait_forwarding(20)
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=20)


@alone("floods")
def test_busy_tunnel_is_taken_away_and_back(lab):
    """What threads are working with is freed under them: tunnel down and up, reload without it."""
    pair = Pair(lab).start()
    with UdpBlast(pair.guest_left, RATE, Pair.RIGHT_IP, 9), \
            UdpBlast(pair.guest_right, RATE, Pair.LEFT_IP, 9):
        for _ in range(5):
            pair.left.ctl("tunnel", "down", "sv")
            pair.left.ctl("tunnel", "up", "sv")
            pair.wait_forwarding()
        tunnels = dict(pair.right.tunnels)
        for _ in range(3):
            pair.right.tunnels.clear()
            pair.right.write_config()
            pair.right.ctl("reload")
            pair.right.tunnels.update(tunnels)
            pair.right.write_config()
            pair.right.ctl("reload")
            pair.wait_forwarding()
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=20)
