"""make bench: how soon, how idle, how large, and how fast beside other ways.

Every figure is measured several times and given as median, least and most. A goal is for the median
or, where people would feel each single one, for the worst; the exit status is 1 when one is
missed. Throughput on a machine that runs both ends says little about two machines: there only
ratios between ways that were measured in turns count.

    make bench BENCH="failover mesh" BENCH_FLAGS="--json results.jsonl"
    make bench BENCH="tcp pps" BENCH_FLAGS="--cases base --ways l2tund-none,vxlan --rounds 3"
"""
import argparse
import os
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import disks  # noqa: E402  (needs the path above)
import frames  # noqa: E402
import report  # noqa: E402
import throughput  # noqa: E402
import topology  # noqa: E402
from figures import Results, cpu_shares  # noqa: E402
from lab import Lab, missing, wait_for  # noqa: E402
from node import L2TUND, Pair  # noqa: E402

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


def sanitized():
    return b"__asan_init" in pathlib.Path(L2TUND).read_bytes()


# name -> (function of results, rounds and whether it is only a try; rounds of a whole run)
PARTS = {
    "start": (lambda results, rounds, quick: bench_start(results, rounds), 20),
    "failover": (lambda results, rounds, quick: topology.bench_failover(results, rounds), 20),
    "mesh": (lambda results, rounds, quick: topology.bench_mesh(results, rounds), 20),
    "flood": (lambda results, rounds, quick: topology.bench_flood(results, rounds), 5),
    "rest": (lambda results, rounds, quick: topology.bench_rest(results, 6 if quick else 30), 0),
    "disk": (lambda results, rounds, quick: disks.bench_disk(results, rounds), 5),
    "idle": (lambda results, rounds, quick: bench_idle(results, 6 if quick else 30), 0),
}


def chosen(known):
    """A type for argparse: names with commas between them."""
    def parse(text):
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"there is no \"{name}\"; there are"
                                                 f" {', '.join(known)}")
        return names
    return parse


def arguments():
    parts = [*PARTS, *throughput.PARTS]
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("part", nargs="*", help=f"only these: {', '.join(parts)}")
    parser.add_argument("--only", metavar="PART", action="append", default=[],
                        help="the same; may be given again")
    parser.add_argument("--json", metavar="FILE", help="append a line of JSON for each figure")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a try, not a figure")
    group = parser.add_argument_group("of tcp, pps, ping and df")
    group.add_argument("--ways", type=chosen(throughput.WAYS), metavar="WAY,...",
                       help=f"of {', '.join(throughput.WAYS)}")
    group.add_argument("--cases", type=chosen(throughput.CASES), metavar="CASE,...",
                       help=f"of {', '.join(throughput.CASES)}")
    group.add_argument("--rounds", type=int, default=5)
    group.add_argument("--seconds", type=int, default=1, help="for each single measurement")
    group.add_argument("--plot", metavar="FILE", help="draw TCP of the case base as SVG")
    args = parser.parse_args()
    args.part += args.only
    for name in args.part:
        if name not in parts:
            parser.error(f"there is no part \"{name}\"; there are {', '.join(parts)}")
    return args


def bench_ways(results, args):
    """Everything that compares ways, in one run."""
    parts = [part for part in args.part if part in throughput.PARTS]
    if args.part and not parts:
        return
    measures = [] if throughput.WHOLE in parts else [
        measure for part in parts for measure in throughput.PARTS[part]]
    if reason := throughput.why_not():
        results.skip("ways beside each other", reason)
        return
    records = []

    def keep(record):
        records.append(record)
        results.keep(record)

    throughput.Run(throughput.Wishes(
        list(dict.fromkeys(measures)) or None, args.cases, args.ways,
        1 if args.quick else args.rounds, args.seconds), keep).do()
    results.missed += report.report(records, args.plot)


def main():
    args = arguments()
    for feature in ("netns", "tap"):
        if reason := missing(feature):
            print(f"bench: {reason}", file=sys.stderr)
            return 1
    if not os.access(L2TUND, os.X_OK):
        print(f"bench: there is no {L2TUND}; `make bench` builds and finds it", file=sys.stderr)
        return 1
    if sanitized():
        print("bench: this l2tund was built with sanitizers; the figures mean nothing\n")
    results = Results(args.json)
    with throughput.ending_well():
        for name, (function, rounds) in PARTS.items():
            if name in args.part or not args.part:
                with results.measuring(name):
                    function(results, min(rounds, 2) if args.quick else rounds, args.quick)
        bench_ways(results, args)
    if results.missed:
        print("\nmissed:", *results.missed, sep="\n  ")
    return 1 if results.missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("bench: interrupted")
