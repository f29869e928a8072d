"""make bench: how soon, how idle, how large, how far from kernel VXLAN.

Every figure is measured several times and given as median, least and most. A goal is for the median
or, where people would feel each single one, for the worst; the exit status is 1 when one is
missed. What has none is for information: throughput on a machine that runs both ends says little
about two machines.

    make bench BENCH="failover mesh" BENCH_FLAGS="--json results.jsonl"
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import frames  # noqa: E402  (needs the path above)
import topology  # noqa: E402
from figures import Results, cpu_shares  # noqa: E402
from lab import Lab, missing, wait_for  # noqa: E402
from node import L2TUND, Pair  # noqa: E402
from traffic import ping  # noqa: E402

VXLAN_ADDRESSES = ("10.7.0.1", "10.7.0.2")
TUNNELS = 100


class Beacon:
    """Sends a broadcast from a guest every few milliseconds, until closed. All are different: the
    same one 20 times in 100 ms would be a storm."""

    INTERVAL_S = 0.005

    def __init__(self, guest):
        self._port = frames.Port(guest, "eth0", frames.ETH_P_TEST)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        number = 0
        while not self._stop.wait(self.INTERVAL_S):
            number += 1
            self._port.send(frames.ethernet(frames.BROADCAST, self._port.mac, frames.ETH_P_TEST,
                                            number.to_bytes(46, "big")))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        self._thread.join()
        self._port.__exit__()


def first_frame(pair):
    """Seconds from the start of the left daemon to the first frame at its guest."""
    with Beacon(pair.guest_right), frames.Port(pair.guest_left, "eth0") as port:
        pair.left.start(wait=False)
        frame = port.wait_for(lambda data: data[12:14] == b"\x88\xb6", timeout=20)
        took = time.monotonic() - pair.left.started
    assert frame, f"no frame came within {took:.1f} s\n{pair.left.tail()}"
    return took


def bench_start(results, rounds):
    """From exec to the first frame of a guest forwarded, the peer being up; and both at once."""
    after_stop, after_kill, together = [], [], []
    with Lab() as lab:
        pair = Pair(lab)
        pair.right.start()
        for _ in range(rounds):
            after_stop.append(first_frame(pair))
            pair.wait_forwarding()
            pair.left.kill()
            after_kill.append(first_frame(pair))
            pair.wait_forwarding()
            pair.left.stop()
            pair.right.wait_state("down")
        pair.right.stop()
        for _ in range(rounds):
            pair.right.start(wait=False)
            together.append(first_frame(pair))
            pair.wait_forwarding()
            pair.left.stop()
            pair.right.stop()
    results.add("first attach: start to first forwarded frame", "s", after_stop, worst=1.0)
    results.add("first attach: both started at once", "s", together, worst=1.0)
    results.add("the same right after kill -9", "s", after_kill, worst=3.0)


def settle(pair, count):
    for node in pair.nodes:
        wait_for(lambda node=node: [row["state"] for row in node.status()["tunnels"]]
                 == ["forwarding"] * count, 120, f"{node.name}: not all forward", interval=0.2)
    # First hellos, path-MTU probes and bridge housekeeping are not what idling costs.
    time.sleep(5)


def idle(results, pair, count, seconds, cpu_goal, memory_goal):
    settle(pair, count)
    shares = cpu_shares(pair.nodes, seconds)
    name = f"with {count} tunnel{'s' if count > 1 else ''}"
    results.add(f"idle processor use {name}", "% of a core", shares, below=cpu_goal)
    results.add(f"resident memory {name}", "MiB",
                [node.memory_kib() / 1024 for node in pair.nodes], below=memory_goal)


def bench_idle(results, seconds):
    """Processor time and memory of daemons that have nothing to do."""
    with Lab() as lab:
        idle(results, Pair(lab).start(), 1, seconds, None, 8)
    with Lab() as lab:
        pair = Pair(lab)
        for node, other in ((pair.left, pair.right), (pair.right, pair.left)):
            for number in range(1, TUNNELS):
                node.bridge(f"br{number}", create=True)
                node.tunnel(f"t{number}", other.name, f"br{number}")
            node.start(wait=False)
        for node in pair.nodes:
            wait_for(node.answers, 60, f"{node.name} does not answer")
        idle(results, pair, TUNNELS, seconds, 0.5, 40)


class Beside:
    """A pair joined by l2tund, and beside it the same two hosts joined by kernel VXLAN."""

    def __init__(self, lab):
        self.pair = Pair(lab)
        self.vxlan_guests = []
        hosts = [node.host for node in self.pair.nodes]
        for host, other, address in zip(hosts, reversed(hosts), VXLAN_ADDRESSES):
            # What fits the underlay unfragmented, as an administrator would set it.
            host.bridge("br-vx", 1450)
            host.ip(f"link add name vx type vxlan id 7 dstport 4789 dev wan"
                    f" local {self.pair.wan.address(host)} remote {self.pair.wan.address(other)}",
                    "link set vx mtu 1450 master br-vx", "link set vx up")
            self.vxlan_guests.append(host.guest(f"vx-{host.name}", "br-vx", f"{address}/24", 1450))
        self.pair.start()

    def ways(self):
        """(name, from, to, address)"""
        pair = self.pair
        return (("underlay", pair.left.host, pair.right.host, pair.wan.address(pair.right.host)),
                ("vxlan", *self.vxlan_guests, VXLAN_ADDRESSES[1]),
                ("l2tund", *pair.guests, Pair.RIGHT_IP))


def bench_rtt(results, rounds):
    """Ping round trips in microseconds, in turns over every way."""
    with Lab() as lab:
        beside = Beside(lab)
        medians = {name: [] for name, *_ in beside.ways()}
        for turn in range(rounds + 1):
            for name, source, _, address in beside.ways():
                rtts = ping(source, address, count=50, interval=0.005).replies.values()
                if turn:  # the first one warms caches and forwarding tables
                    medians[name].append(1000 * statistics.median(rtts))
    for name, values in medians.items():
        results.add(f"ping round trip over {name}", "us", values)
    results.add("l2tund above vxlan", "us",
                [ours - theirs for ours, theirs in zip(medians["l2tund"], medians["vxlan"])])


def iperf(source, target, address, seconds):
    """Gbit/s of one TCP flow."""
    server = target.popen(["iperf3", "-s", "-1", "-B", address], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: ":5201" in target.run("ss", "-ltn").stdout, 3, "iperf3 does not listen")
        result = source.run("iperf3", "-c", address, "-t", str(seconds), "-O", "1", "-J",
                            timeout=seconds + 20)
        return json.loads(result.stdout)["end"]["sum_received"]["bits_per_second"] / 1e9
    finally:
        server.terminate()
        server.wait()


def bench_tcp(results, rounds, seconds):
    """One TCP flow, in turns over every way; for information."""
    with Lab() as lab:
        beside = Beside(lab)
        rates = {name: [] for name, *_ in beside.ways()}
        for _ in range(rounds):
            for name, source, target, address in beside.ways():
                rates[name].append(iperf(source, target, address, seconds))
    for name, values in rates.items():
        results.add(f"TCP over {name}", "Gbit/s", values)


def sanitized():
    return b"__asan_init" in pathlib.Path(L2TUND).read_bytes()


def part_rtt(results, rounds, quick):
    del quick
    if reason := missing("vxlan"):
        results.skip("ping round trip", reason)
    else:
        bench_rtt(results, rounds)


def part_tcp(results, rounds, quick):
    del rounds
    if reason := missing("vxlan") or missing("iperf3"):
        results.skip("TCP", reason)
    else:
        bench_tcp(results, 1 if quick else 3, 1 if quick else 3)


# name -> (function of results, rounds and whether it is only a try; rounds of a whole run)
PARTS = {
    "start": (lambda results, rounds, quick: bench_start(results, rounds), 20),
    "failover": (lambda results, rounds, quick: topology.bench_failover(results, rounds), 20),
    "mesh": (lambda results, rounds, quick: topology.bench_mesh(results, rounds), 20),
    "flood": (lambda results, rounds, quick: topology.bench_flood(results, rounds), 5),
    "rest": (lambda results, rounds, quick: topology.bench_rest(results, 6 if quick else 30), 0),
    "idle": (lambda results, rounds, quick: bench_idle(results, 6 if quick else 30), 0),
    "rtt": (part_rtt, 7),
    "tcp": (part_tcp, 0),
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("part", nargs="*", help=f"only these: {', '.join(PARTS)}")
    parser.add_argument("--only", metavar="PART", action="append", default=[],
                        help="the same; may be given again")
    parser.add_argument("--json", metavar="FILE", help="append a line of JSON for each figure")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a try, not a figure")
    args = parser.parse_args()
    for name in args.part + args.only:
        if name not in PARTS:
            parser.error(f"there is no part \"{name}\"; there are {', '.join(PARTS)}")
    return args


def main():
    args = arguments()
    for feature in ("netns", "tap"):
        if reason := missing(feature):
            print(f"bench: {reason}", file=sys.stderr)
            return 1
    if sanitized():
        print("bench: this l2tund was built with sanitizers; the figures mean nothing\n")
    results = Results(args.json)
    for name in args.part + args.only or PARTS:
        function, rounds = PARTS[name]
        with results.measuring(name):
            function(results, min(rounds, 2) if args.quick else rounds, args.quick)
    if results.missed:
        print(f"\nmissed: {', '.join(results.missed)}")
    return 1 if results.missed else 0


if __name__ == "__main__":
    sys.exit(main())
