"""Control beside data at full load: hellos and the tree's messages keep their timers, however much the
guests send. (Shares of lost data are nobody's fault here: the machine is slower than the senders.)"""
import contextlib
import json
import time

import pytest

from blast import Blast
from frames import mac_bytes
from lab import LONG, SHORT, alone, long_only, need, plain_only, wait_for
from node import Pair
from traffic import assert_pings, tcp_both_ways

LOAD_S = 600 if LONG else 4 if SHORT else 10
RATE = 2_000_000  # more than any machine sends
LOOK_S = 0.25
RTT_MAX_MS = 200  # half of the time after which a silent peer counts as dead, profile fast


@contextlib.contextmanager
def small_frames(pair):
    """Both guests send the other one minimal frames, as fast as they can."""
    left, right = pair.guests
    macs = {guest: mac_bytes(guest.link("eth0")["address"]) for guest in (left, right)}
    with Blast(left, RATE, destination=macs[right]) as there, \
            Blast(right, RATE, destination=macs[left]) as back:
        yield
    for name, blast in (("left", there), ("right", back)):
        print(f"{name}: {blast.rate:.0f} frames/s sent")
        assert blast.sent > 1000 * LOAD_S


@contextlib.contextmanager
def flows(pair):
    """Four TCP flows in each direction; gives the client."""
    need("iperf3")
    left, right = pair.guests
    server = right.popen(["iperf3", "-s", "-1"], stdout=-3, stderr=-3)
    client = None
    try:
        wait_for(lambda: ":5201" in right.run("ss", "-ltn").stdout, 5, "iperf3 does not listen")
        client = left.popen(["iperf3", "-c", Pair.RIGHT_IP, "--bidir", "-P", "4", "-J", "-t",
                             str(LOAD_S)], stdout=-1, text=True)
        yield client
    finally:
        for child in filter(None, (client, server)):
            child.kill()
            child.wait()


@contextlib.contextmanager
def tcp(pair):
    """TCP alone: it gets somewhere."""
    with flows(pair) as client:
        yield
        out, _ = client.communicate(timeout=60)
    end = json.loads(out)["end"]
    for name in ("sum_received", "sum_received_bidir_reverse"):
        print(f"{name}: {end[name]['bits_per_second'] / 1e6:.0f} Mbit/s")
        assert end[name]["bytes"] > 0


@contextlib.contextmanager
def everything(pair):
    """Both. TCP yields to who does not, so nothing is asked of it here."""
    with flows(pair), small_frames(pair):
        yield


def watch(pair, seconds):
    """Looks at both nodes again and again; gives the longest round trip that a peer told of, ms."""
    worst = 0
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        for node in pair.nodes:
            status = node.status()
            assert [row["state"] for row in status["tunnels"]] == ["forwarding"], status["tunnels"]
            assert [row["state"] for row in status["peers"]] == ["up"], status["peers"]
            worst = max(worst, *(row["rtt_us"] / 1000 for row in status["peers"]))
        time.sleep(min(left, LOOK_S))  # the load goes on meanwhile
    return worst


@alone("floods")
@pytest.mark.timeout(LOAD_S + 120)
@pytest.mark.parametrize("load, mode, workers", [
    (everything, "none", 2),
    pytest.param(everything, "aead", 1, marks=plain_only()),
    pytest.param(small_frames, "aead", 1, marks=long_only("a part of everything")),
    pytest.param(tcp, "none", 2, marks=long_only("a part of everything")),
    pytest.param(tcp, "aead", 1, marks=long_only("a part of everything"))])
def test_control_lives(lab, load, mode, workers):
    """Saturated in both directions, no tunnel leaves forwarding and no peer is given up, with the
    shorter timers."""
    pair = Pair(lab, data=[mode], profile="fast")
    for node in pair.nodes:
        node.options["workers"] = workers
    pair.start()
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=3)
    since = time.time()
    with load(pair):
        worst = watch(pair, LOAD_S)
    rows = [node.status()["peers"][0] for node in pair.nodes]
    print(f"longest round trip of a hello {worst:.1f} ms; loss told",
          [(row["loss_rx"], row["loss_tx"]) for row in rows])
    for node in pair.nodes:
        assert not node.events(since=since), node.events(since=since)
        assert not node.events(kind="peer", since=since), node.events(kind="peer", since=since)
    assert worst < RTT_MAX_MS
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=20)
    tcp_both_ways(*pair.guests, Pair.RIGHT_IP)
