"""Random faults, many at a time, in a laboratory of six nodes: frames get lost, none comes twice.

    CHAOS_SEED=7      the faults of that run again; a random seed is printed otherwise
    CHAOS_SECONDS=600 how long there are faults, in rounds of ROUND_S with seed, seed + 1, ...
    CHAOS_KEEP=DIR    where a failed run leaves everything that it knows
"""
import collections
import os
import pathlib
import random
import re
import shutil
import time

import pytest

from chaos import FaultLog, make_plan, run_plan
from flood import Flood
from lab import SHORT, long_only, need, wait_for
from many import Many

SECONDS = float(os.environ.get("CHAOS_SECONDS", "20" if SHORT else "35"))
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
KEEP = os.environ.get("CHAOS_KEEP")
ROUND_S = 60
NODES = 6
# A ring of six with two chords, and one of its tunnels doubled over another underlay.
TUNNELS = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 0), (0, 3), (1, 4), (2, 3, 1)]
FAST = ("t0-1", "t3-4", "t0-3", "t2-3.1")  # a dead time of 0.4 s; the others have 2 s
# These go over ways that take their time, another one in each round. What is told is late then, and
# between a decision and the others' knowledge of it there is time for frames.
SLOW = ("t1-2", "t4-5", "t0-3")
DELAYS_S = (0.0, 0.005, 0.02, 0.05)
RATE = 300  # frames a second of all segments: a loop of some milliseconds shows, six daemons idle
# A call is tried again after 2 s at the latest, a port that was taken out twice put back after 4 s.
SPANNED_S = 10
AROUND_S = 3  # of the log, before a duplicate
REACHED_MIN = 0.2  # of the frames arrive everywhere in spite of all: it is not simply all closed
# There is nothing here that they may find. (`one-way` is no mistake.)
GUARDS = re.compile(r"tunnel \S+: .* -> (?:blocked|latched) \((?:foreign|watchdog|storm)\)")


class Chaos:
    """The laboratory, and what is known for the report."""

    def __init__(self, lab):
        self.many = Many(lab, NODES, TUNNELS)
        for edge in self.many.edges:
            if edge.name in FAST:
                for end in edge.ends:
                    self.many.nodes[end].tunnels[edge.name]["profile"] = "fast"
        self.relays = [self.many.relay(self.many.edge(name)) for name in SLOW]
        self.log = lab.enter(FaultLog(self.many))

    def start(self):
        """All six at once."""
        self._slow(SEED)
        with Flood(self.many.guests, rate=RATE, verify=False) as flood:
            self.many.start(SPANNED_S)
            spanned = time.monotonic()
            time.sleep(0.5)  # how long it floods once all is well
        self._judge(flood, SEED, spanned)

    def round(self, number, seed, seconds):
        """Faults for so long, then quiet: everything has to come back."""
        many, log = self.many, self.log
        self._forget_removals()
        self._slow(seed)
        plan = make_plan(seed, many, seconds)
        log.add(f"--- round {number}, seed {seed}, {len(plan)} faults")
        with Flood(many.guests, rate=RATE, verify=False) as flood:
            run_plan(many, plan, log)
            ended = time.monotonic()
            log.add("--- all faults are over")
            many.wait_spanned(SPANNED_S)
            spanned = time.monotonic()
            log.add("--- spanned")
            time.sleep(0.5)  # how long it floods once all is well
        self._judge(flood, seed, spanned)
        assert not plan or reached(flood) >= REACHED_MIN, f"only {reached(flood):.0%} arrived"
        kinds = collections.Counter(fault.kind for fault in plan)
        print(f"round {number}, seed {seed}: {len(plan)} faults in {seconds:.0f} s"
              f" ({', '.join(f'{count} {kind}' for kind, count in kinds.most_common())});"
              f" spanned {spanned - ended:.2f} s after the last; {len(flood.frames)} frames,"
              f" {reached(flood):.0%} of their copies arrived, 0 duplicates", flush=True)

    def _slow(self, seed):
        rng = random.Random(seed)
        for relay in self.relays:
            relay.delay_s = rng.choice(DELAYS_S)
            relay.reorder_s = relay.delay_s
            relay.reorder, relay.duplicate = rng.choice(((0, 0), (0.1, 0.02)))

    def _forget_removals(self):
        """`bridgectl tunnel up`: a port that was taken out too often would not come back."""
        for node in self.many.nodes:
            for tunnel in node.tunnels:
                node.ctl("tunnel", "up", tunnel)
        self.many.wait_spanned(SPANNED_S)

    def _judge(self, flood, seed, spanned):
        assert not flood.dropped, "the oracle could not keep up"
        assert not flood.duplicates, self._duplicates(flood, seed)
        late = [frame for frame, _ in flood.losses() if frame.time > spanned + 0.1]
        assert not late, f"seed {seed}: {len(late)} losses when all was over\n{flood.summary()}"
        for node in self.many.nodes:
            blocked = GUARDS.search(node.log()[1])
            assert not blocked, f"seed {seed}: {node.name}: {blocked.group()}"

    def _duplicates(self, flood, seed):
        """When there was a loop, and what had happened before."""
        times = sorted({frame.time for frame, _ in flood.duplicates})
        bursts = [times[0]]
        for before, after in zip(times, times[1:]):
            if after - before > AROUND_S:
                bursts.append(after)
        parts = [f"seed {seed}: {len(times)} frames came more than once", flood.summary()]
        for start in bursts[:3]:
            parts += [f"the first of a row was sent at {start - self.log.start:.3f}:",
                      self.log.text(start - AROUND_S, start + 1)]
        return "\n".join(parts)


def reached(flood):
    """The share of (frame, other segment) that arrived."""
    wanted = len(flood.frames) * (NODES - 1)
    return 1 - len(flood.losses(everywhere=True)) / wanted if wanted else 0.0


def keep(chaos, lab, seed):
    target = pathlib.Path(KEEP) / f"chaos-{seed}"
    shutil.copytree(lab.dir, target, dirs_exist_ok=True,
                    ignore=lambda folder, names: [name for name in names if "sock" in name])
    (target / "timeline").write_text(chaos.log.text(), encoding="utf-8")
    print(f"everything is in {target}")


@pytest.mark.parametrize("delay_s", [pytest.param(0.02, marks=long_only("a variant")), 0.05])
def test_frames_on_their_way(lab, delay_s):
    """A tunnel is switched off while frames that passed it are still in a slow one; the tunnel
    that takes over does not carry them round."""
    many = Many(lab, 3, [(0, 1), (1, 2), (0, 2)])
    for end in (0, 2):  # so that this one stands by
        many.nodes[end].tunnels["t0-2"]["priority"] = 200
    many.relay(many.edge("t0-1")).delay_s = delay_s
    many.start(SPANNED_S)
    with Flood(many.guests, rate=600, verify=False) as flood:
        for _ in range(5):
            # The one that forwards stays, so the other one is brought back by taking it away.
            for name in ("t1-2", "t0-2"):
                time.sleep(0.2)  # how long frames pass here
                if many.edge(name) in many.forwarding():
                    many.nodes[2].ctl("tunnel", "down", name)
                    wait_for(lambda: len(many.forwarding()) == 2, SPANNED_S, "nothing took over")
                    many.nodes[2].ctl("tunnel", "up", name)
                    many.wait_spanned()
    assert not flood.duplicates, flood.summary()


@pytest.mark.timeout(int(3 * SECONDS) + 120)
def test_random_faults(lab):
    need("numgen")
    chaos = Chaos(lab)
    # The last thing shown, below the daemons' logs.
    lab.logs.append(lambda: ("faults and answers", chaos.log.text()))
    print(f"CHAOS_SEED={SEED} CHAOS_SECONDS={SECONDS:g}", flush=True)
    rounds = max(1, round(SECONDS / ROUND_S))
    seed = SEED
    try:
        chaos.start()
        for number in range(rounds):
            seed = SEED + number
            chaos.round(number, seed, SECONDS / rounds)
    except BaseException:
        if KEEP:
            keep(chaos, lab, seed)
        raise
