"""Seeded random faults in a laboratory of many nodes.

    plan = make_plan(seed, many, seconds=40)
    with FaultLog(many) as log:
        run_plan(many, plan, log)

The plan is made beforehand and depends on nothing but the seed and the shape of the laboratory:
the same seed gives the same faults at the same times. When run_plan() returns, every fault has
ended: links are whole, daemons run, bridges are there. What the daemons make of it is another
matter.

A fault holds what it acts on for as long as it lasts, so that no other one is planned on it: a
daemon that is killed is not stopped as well, a link has one filter.
"""
import contextlib
import dataclasses
import heapq
import itertools
import random
import signal
import threading
import time

from lab import CommandFailed
from many import BRIDGE, Edge, Many
from node import ControlClient

BURST_SHARE = 0.3  # of the faults come together with the one before
PAUSE_SHARE = 0.15  # and before this share there is time for everything to come back
MEAN_GAP_S = 0.6
PAUSE_S = (2.5, 5.0)
REMOVALS_MAX = 2  # of one port in a plan: the daemon comes back later each time
MARGIN_S = 0.3  # between two faults of the same thing


@dataclasses.dataclass(frozen=True)
class Fault:
    """`at` and `lasts` in seconds from the start; `end` is the node of an edge's end, or a node."""

    at: float
    lasts: float
    kind: str
    edge: Edge = None
    end: int = None
    value: int = 0

    @property
    def until(self):
        return self.at + self.lasts

    def __str__(self):
        where = " ".join(([str(self.edge)] if self.edge else [])
                         + ([f"n{self.end}"] if self.end is not None else []))
        return (f"{self.kind} {where}" + (f" {self.value}" if self.value else "")
                + (f" for {self.lasts:.2f} s" if self.lasts else ""))


@dataclasses.dataclass(frozen=True)
class Kind:
    """How often, how long, on what; `holds` gives what nothing else may act on meanwhile."""

    weight: int
    lasts: tuple
    begin: object
    end: object = None
    on_edge: bool = False
    values: tuple = (0,)
    holds: object = None


def _ask(many, fault, method, **params):
    with ControlClient(many.nodes[fault.end], timeout=5) as client:
        answer = client.request(method, **params)
    assert answer and "result" in answer, f"{fault}: {method}: {answer}"


def _device(many, fault, commands):
    """`ip` on a device of the daemon, that may not be there at this moment."""
    with contextlib.suppress(CommandFailed):
        many.nodes[fault.end].host.ip(commands)


def _cut(many, fault):
    many.cut(fault.edge)


def _heal(many, fault):
    many.heal(fault.edge)


def _cut_one_way(many, fault):
    many.cut_way(fault.edge, fault.end)


def _lose(many, fault):
    for end in fault.edge.ends:
        many.cut_way(fault.edge, end, percent=fault.value)


def _unplug(many, fault):
    many.wans[fault.value].cut(many.nodes[fault.end].host)


def _plug(many, fault):
    many.wans[fault.value].heal(many.nodes[fault.end].host)


def _kill(many, fault):
    many.nodes[fault.end].kill()


def _stop(many, fault):
    many.nodes[fault.end].stop()


def _start(many, fault):
    many.nodes[fault.end].start(wait=False)


def _freeze(many, fault):
    many.nodes[fault.end].signal(signal.SIGSTOP)


def _thaw(many, fault):
    many.nodes[fault.end].signal(signal.SIGCONT)


def _delete_bridge(many, fault):
    many.nodes[fault.end].host.ip(f"link del {BRIDGE}")


def _make_bridge(many, fault):
    host = many.nodes[fault.end].host
    host.bridge(BRIDGE)
    host.ip(f"link set v-g{fault.end} master {BRIDGE}")


def _bridge_down(many, fault):
    many.nodes[fault.end].host.ip(f"link set {BRIDGE} down")


def _bridge_up(many, fault):
    many.nodes[fault.end].host.ip(f"link set {BRIDGE} up")


def _delete_tap(many, fault):
    _device(many, fault, f"link del {fault.edge.tap}")


def _take_port(many, fault):
    _device(many, fault, f"link set {fault.edge.tap} nomaster")


def _switch_off(many, fault):
    _ask(many, fault, "tunnel.down", name=fault.edge.name)


def _switch_on(many, fault):
    _ask(many, fault, "tunnel.up", name=fault.edge.name)


def _reload(many, fault):
    """With another priority of one tunnel."""
    node = many.nodes[fault.end]
    node.tunnels[fault.edge.name]["priority"] = fault.value
    node.write_config()
    _ask(many, fault, "reload")


def _link(fault):
    return {("link", fault.edge)}


def _daemon(fault):
    return {("daemon", fault.end)}


def _underlay(fault):
    return {("underlay", fault.end, fault.value)}


def _bridge(fault):
    return {("bridge", fault.end)}


def _port(fault):
    return {("port", fault.edge, fault.end)}


KINDS = {
    "cut": Kind(4, (0.3, 6), _cut, _heal, True, holds=_link),
    "cut one way": Kind(3, (0.3, 6), _cut_one_way, _heal, True, holds=_link),
    "loss in percent": Kind(3, (0.5, 8), _lose, _heal, True, (10, 20, 30), _link),
    "unplug underlay": Kind(1, (0.3, 4), _unplug, _plug, values=(0, 1), holds=_underlay),
    "kill": Kind(3, (0, 2), _kill, _start, holds=_daemon),
    "stop": Kind(2, (0, 2), _stop, _start, holds=_daemon),
    "freeze": Kind(4, (0.2, 5), _freeze, _thaw, holds=_daemon),
    "delete bridge": Kind(1, (0, 1), _delete_bridge, _make_bridge, holds=_bridge),
    "bridge down": Kind(1, (0, 1), _bridge_down, _bridge_up, holds=_bridge),
    "delete TAP": Kind(1, (0, 0), _delete_tap, on_edge=True, holds=_port),
    "take port": Kind(1, (0, 0), _take_port, on_edge=True, holds=_port),
    "switch off": Kind(2, (0.1, 3), _switch_off, _switch_on, True, holds=_daemon),
    "reload, priority": Kind(1, (0, 0), _reload, None, True, (50, 100, 150), _daemon),
}


class FaultLog:
    """What was done and what the daemons said, in the order of time, for the report of a failure.

    The daemons' lines have the time at which they were found in their files, at most WATCH_S late.
    """

    WATCH_S = 0.01

    def __init__(self, many):
        self.start = time.monotonic()
        self.lines = []  # (time.monotonic(), text)
        self._files = {node.name: node.log_path for node in many.nodes}
        self._read = {}  # name -> (how far, an unfinished line)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def add(self, text):
        self.lines.append((time.monotonic(), text))

    def text(self, since=0.0, until=float("inf")):
        return "\n".join(f"{when - self.start:9.3f}  {text}" for when, text in self.lines[:]
                         if since <= when <= until)

    def _watch(self):
        while not self._stop.wait(self.WATCH_S):
            for name, path in self._files.items():
                self._look(name, path)

    def _look(self, name, path):
        offset, rest = self._read.get(name, (0, ""))
        try:
            if path.stat().st_size == offset:
                return
            with open(path, "rb") as log:
                log.seek(offset)
                data = log.read()
        except FileNotFoundError:  # not started yet
            return
        *whole, rest = (rest + data.decode(errors="replace")).split("\n")
        self._read[name] = (offset + len(data), rest)
        for line in whole:
            if not line.startswith("l2tund: info:"):
                self.add(f"    {name}: {line.removeprefix('l2tund: ')}")


def make_plan(seed, many: Many, seconds):
    """Faults in the order of their beginning, all of them over after `seconds`."""
    rng = random.Random(seed)
    names = list(KINDS)
    weights = [KINDS[name].weight for name in names]
    plan = []
    held = {}  # what -> until when
    removals = {}
    now = 0.5
    while True:
        draw = rng.random()
        if draw < PAUSE_SHARE:
            now += rng.uniform(*PAUSE_S)
        elif draw >= PAUSE_SHARE + BURST_SHARE:
            now += rng.expovariate(1 / MEAN_GAP_S)
        if now >= seconds - MARGIN_S:
            return plan
        fault = _draw(rng, rng.choices(names, weights)[0], many, now, seconds - now)
        what = KINDS[fault.kind].holds(fault)
        removal = ("port" in {kind for kind, *_ in what}) and (fault.edge, fault.end)
        if any(held.get(thing, 0.0) > now for thing in what):
            continue
        if removal and removals.get(removal, 0) >= REMOVALS_MAX:
            continue
        if removal:
            removals[removal] = removals.get(removal, 0) + 1
        held.update({thing: fault.until + MARGIN_S for thing in what})
        plan.append(fault)


def _draw(rng, name, many, now, left):
    kind = KINDS[name]
    edge = rng.choice(many.edges) if kind.on_edge else None
    end = rng.choice(edge.ends) if edge else rng.randrange(len(many.nodes))
    value = rng.choice(kind.values)
    if name == "unplug underlay":
        value %= len(many.wans)
    # Short ones more often than long ones: most races are in the first moments.
    low, high = kind.lasts
    lasts = min(low + (high - low) * rng.random() ** 2, left)
    if name in ("cut", "loss in percent"):
        end = None
    return Fault(round(now, 3), round(lasts, 3), name, edge, end, value)


def run_plan(many, plan, log):
    """Runs it, in real time; late faults come in their order."""
    order = itertools.count()
    steps = []
    for fault in plan:
        kind = KINDS[fault.kind]
        heapq.heappush(steps, (fault.at, next(order), kind.begin, fault, str(fault)))
        if kind.end:
            heapq.heappush(steps, (fault.until, next(order), kind.end, fault,
                                   f"end of {fault.kind} {fault.edge or ''}"
                                   f" {'' if fault.end is None else f'n{fault.end}'}"))
    start = time.monotonic()
    while steps:
        at, _, function, fault, text = heapq.heappop(steps)
        time.sleep(max(0.0, start + at - time.monotonic()))
        log.add(text)
        function(many, fault)
