"""What people notice of the tree: how long a failure parts them, how soon all are joined, what it
costs when nothing happens, what a guest that floods does to others.

Outages are measured on the data path: the flood oracle sends numbered frames between all guests,
every STEP_S from each, and an outage is the longest time in which nothing that was sent arrived. It
fails the measurement on a duplicate.
"""
import time

import figures
from blast import Blast
from flood import Flood
from lab import Lab, wait_for
from many import Many, components, full_mesh
from node import ControlClient, Pair
from traffic import ping, pinging

STEP_S = 0.0025
MESH_NODES = 8
MESH_RATE = 600  # frames a second of all; a frame of each guest every 13 ms
BLAST_RATE = 200_000
BLAST_S = 4
SETTLE_S = 5  # path-MTU probes and first hellos are not what resting costs


def _ask(node, method, **params):
    with ControlClient(node) as client:
        answer = client.request(method, **params)
    assert answer and "result" in answer, (method, answer)
    return answer["result"]


class Failover:
    """A laboratory, and one way to break and repair what forwards. `broken` are the tunnels of
    which none forwards afterwards, `left` the nodes that are to stay joined."""

    pairs = [(0, 1), (0, 1, 1)]
    profile = "default"

    def __init__(self, lab):
        count = 1 + max(max(pair[:2]) for pair in self.pairs)
        self.many = Many(lab, count, self.pairs, profile=self.profile).start()
        self.left = list(range(count))

    def prepare(self, turn):
        """Chooses what to break; gives the tunnels that it concerns."""
        del turn
        self.edge = self.many.forwarding()[0]
        return [self.edge]

    def repair(self):
        raise NotImplementedError

    def break_it(self):
        raise NotImplementedError


class Cut(Failover):
    """Frames of one tunnel vanish, both ways, and nobody says so."""

    def break_it(self):
        self.many.wans[self.edge.way].cut(self.many.nodes[self.edge.b].host)

    def repair(self):
        self.many.wans[self.edge.way].heal(self.many.nodes[self.edge.b].host)


class CutFast(Cut):
    profile = "fast"


class SwitchOff(Failover):
    """`bridgectl tunnel down` at one end."""

    def prepare(self, turn):
        concerned = super().prepare(turn)
        self.node = self.many.nodes[self.edge.ends[turn % 2]]
        return concerned

    def break_it(self):
        _ask(self.node, "tunnel.down", name=self.edge.name)

    def repair(self):
        _ask(self.node, "tunnel.up", name=self.edge.name)


class RingCut(Cut):
    """A ring of three: the tunnel that stood by is at another place."""

    pairs = [(0, 1), (1, 2), (2, 0)]

    def break_it(self):
        self.many.cut(self.edge)

    def repair(self):
        self.many.heal(self.edge)


class RingCutFast(RingCut):
    profile = "fast"


class RingStop(Failover):
    """The node in the middle ends, and says so; the other two have a tunnel of their own."""

    pairs = [(0, 1), (1, 2), (2, 0)]

    def prepare(self, turn):
        edges = self.many.forwarding()
        middle = next(node for node in range(3) if all(node in edge.ends for edge in edges))
        self.left = [node for node in range(3) if node != middle]
        self.node = self.many.nodes[middle]
        return edges

    def break_it(self):
        self.node.stop()

    def repair(self):
        self.node.start()


class RingKill(RingStop):
    """The same without a word."""

    def break_it(self):
        self.node.kill()


def _joined_without(scene, broken):
    used = [edge for edge in scene.many.forwarding() if edge not in broken]
    return any(set(scene.left) <= set(part)
               for part in components(len(scene.many.nodes), used))


def one_failover(scene, turn):
    """The outage, and the seconds from the failure until the first and the last end had noticed
    and until the last gate was open."""
    many = scene.many
    broken = scene.prepare(turn)
    guests = [many.guests[number] for number in scene.left]
    with Flood(guests, rate=len(guests) / STEP_S, verify=False) as flood:
        time.sleep(0.2)  # frames before, for comparison
        at = time.time()
        scene.break_it()
        wait_for(lambda: _joined_without(scene, broken), 15,
                 lambda: f"no other way: {many.states()}")
        time.sleep(0.2)  # and after
    assert not flood.duplicates, flood.summary()
    events = [event for number in scene.left
              for event in many.nodes[number].events(since=at)]
    names = [edge.name for edge in broken]
    noticed = [event["at"] for event in events
               if event["name"] in names and event["from"] == "forwarding"]
    opened = [event["at"] for event in events
              if event["name"] not in names and event["to"] == "forwarding"]
    scene.repair()
    many.wait_spanned()
    return (max(flood.outages().values(), default=0.0), min(noticed) - at, max(noticed) - at,
            max(opened) - at)


def bench_failover(results, rounds):
    for name, kind, goal in (
            ("parallel, cut, default", Cut, 2.5),
            ("parallel, cut, fast", CutFast, 0.8),
            ("parallel, tunnel down", SwitchOff, 0.3),
            ("ring of 3, cut, default", RingCut, 2.5),
            ("ring of 3, cut, fast", RingCutFast, 0.8),
            ("ring of 3, middle stopped", RingStop, 0.3),
            ("ring of 3, middle killed", RingKill, 2.5)):
        with results.measuring(f"failover: {name}"):
            with Lab() as lab:
                scene = kind(lab)
                rows = [one_failover(scene, turn) for turn in range(rounds)]
            outages, first, last, opened = zip(*rows)
            results.add(f"failover: {name}", "s", outages, worst=goal)
            results.add("  until the first end has noticed", "s", first)
            results.add("  until the last end has noticed", "s", last)
            results.add("  until the last gate is open", "s", opened)


def last_loss(flood, since):
    """Seconds until the last frame that did not arrive everywhere was sent."""
    lost = [frame.time for frame, _ in flood.losses()]
    return max(lost, default=since) - since


def mesh_start(many):
    """(until all daemons run, until frames arrive everywhere, until all tunnels are settled)"""
    with Flood(many.guests, rate=MESH_RATE, verify=False) as flood:
        start = time.monotonic()
        many.launch()
        launched = time.monotonic() - start
        many.wait_spanned(30, interval=0.1)
        settled = time.monotonic() - start
        time.sleep(0.3)  # how long it floods once all is well
    assert not flood.duplicates, flood.summary()
    return launched, last_loss(flood, start), settled


def bench_mesh(results, rounds):
    """Full mesh of eight nodes, all started at once."""
    rows = []
    with Lab() as lab:
        many = Many(lab, MESH_NODES, full_mesh(MESH_NODES))
        for _ in range(rounds):
            rows.append(mesh_start(many))
            many.stop()
    launched, spanned, settled = zip(*rows)
    results.add(f"full mesh of {MESH_NODES}: start to last lost frame", "s", spanned, worst=3.0)
    results.add("  of that until the last daemon was started", "s", launched)
    results.add("  start to all tunnels settled", "s", settled)


def bench_rest(results, seconds):
    """Processor time of daemons in a settled laboratory: eight nodes with eight tunnels each, and
    for comparison two nodes with eight tunnels, where each daemon has as many sessions, hellos and
    probes but nearly no tree."""
    doubled = [(number, number + 1, 1) for number in range(0, MESH_NODES, 2)]
    shapes = (("2 nodes x 1 tunnel", 2, [(0, 1)], None),
              ("2 nodes x 8 tunnels", 2, [(0, 1, way) for way in range(8)], None),
              ("8 nodes x 8 tunnels", MESH_NODES, full_mesh(MESH_NODES) + doubled, 1.0))
    for name, count, pairs, goal in shapes:
        with results.measuring(f"at rest, {name}"), Lab() as lab:
            many = Many(lab, count, pairs).start(30)
            time.sleep(SETTLE_S)
            shares = figures.cpu_shares(many.nodes, seconds)
            results.add(f"at rest, {name}: a daemon in all", "% of a core", shares, worst=goal)
            results.add("  its memory", "MiB", [node.memory_kib() / 1024 for node in many.nodes])


def control_latencies(nodes, until):
    """Milliseconds that `status` takes over the control socket."""
    found = []
    while time.monotonic() < until:
        for node in nodes:
            start = time.monotonic()
            _ask(node, "status")
            found.append(1000 * (time.monotonic() - start))
        time.sleep(0.02)
    return found


def bench_flood(results, rounds):
    """A guest that sends broadcasts as fast as he can, at most BLAST_RATE: what others feel."""
    with Lab() as lab:
        pair = Pair(lab)
        flooder = pair.left.host.guest("flooder", "br-sv")
        pair.start()
        quiet = ping(pair.guest_left, Pair.RIGHT_IP, count=200, interval=0.01)
        results.add("ping without a flood", "ms", list(quiet.replies.values()))
        results.add("control socket without a flood", "ms",
                    control_latencies(pair.nodes, time.monotonic() + 1))
        rtts, lost, control, rates = [], [], [], []
        since = time.time()
        for _ in range(rounds):
            with pinging(pair.guest_left, Pair.RIGHT_IP, interval=0.01) as runs, \
                    Blast(flooder, BLAST_RATE) as blast:
                control += control_latencies(pair.nodes, time.monotonic() + BLAST_S)
            rates.append(blast.rate)
            rtts += runs[0].replies.values()
            lost.append(100 * runs[0].lost / runs[0].sent)
        changes = sum(len(node.events(since=since)) for node in pair.nodes)
    results.add("broadcasts of the flooding guest", "1/s", rates)
    results.add("ping of another guest meanwhile", "ms", rtts)
    results.add("  of its pings lost", "%", lost, worst=1.0)
    results.add("control socket meanwhile", "ms", control)
    results.add("changes of the tunnel's state meanwhile", "in all", [changes], worst=0)
