"""Tunnels that join more than two bridges in rings: what is too much stands by, takes over, and no
frame ever comes twice, whatever happens in which order."""
import time

import pytest

from flood import Flood
from lab import Lab, long_only, need, plain_only, variants, wait_for
from many import BRIDGE, Many, components, full_mesh, ring
from node import L2TUND, Node, Pair
from traffic import assert_pings, ping

RATE = 300  # frames per second of all segments together
FLOOD_S = 0.4  # how long it floods once all is well
AFTER_S = 0.1  # from what the daemons say to what the kernel's ports do
TAKEOVER_S = 2.5
TAKEOVER_GRACEFUL_S = 1.0  # it was told; finding out that nobody answers takes two seconds
PREEMPT_S = 60  # this long a better tunnel has to be up
TOLD_S = 5  # until everybody knows which gates are open; before that, the choice is made anew


def idle_edge(many):
    """The tunnel of a ring that stands by."""
    used = many.forwarding()
    found = [edge for edge in many.edges if edge not in used]
    assert len(found) == 1, found
    return found[0]


def wait_takeover(many, edge, timeout=TAKEOVER_S + 1):
    """Until a tunnel forwards; asks only its two ends, since others may not answer."""
    for end in edge.ends:
        many.nodes[end].wait_state("forwarding", edge.name, timeout=timeout)


def wait_told(many):
    wait_for(many.agreed, TOLD_S, lambda: f"not told: {many.states()}")


def wait_parts(many, parts, timeout=TAKEOVER_S + 1):
    wait_for(lambda: components(len(many.nodes), many.forwarding()) == parts, timeout,
             lambda: f"not in the parts {parts}: {many.states()}")


def lost_between(flood, numbers, since, until=float("inf")):
    """Losses of frames between these guests only, of those sent from `since` to `until`."""
    return [frame for frame, receiver in flood.losses(everywhere=True)
            if frame.sender in numbers and receiver in numbers and since < frame.time < until]


# From the first moment

SHAPES = {
    "triangle": (3, ring(3)),
    "ring of 4": (4, ring(4)),
    "chain with a parallel": (3, [(0, 1), (0, 1, 1), (1, 2), (1, 2, 1)]),
    "ring with parallels": (3, ring(3) + [(0, 1, 1), (1, 2, 1)]),
    "full mesh of 5": (5, full_mesh(5)),
    "six nodes": (6, ring(6) + [(0, 3), (1, 4), (2, 5)]),
}
SHAPES_SHORT = ("chain with a parallel", "six nodes")


@pytest.mark.parametrize("shape", [
    *variants(*(shape for shape in SHAPES if shape not in SHAPES_SHORT)), *SHAPES_SHORT])
def test_all_start_at_once(lab, shape):
    """Both ends of each tunnel call at the same time, and every tunnel could be the first."""
    many = Many(lab, *SHAPES[shape])
    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.start()
        time.sleep(FLOOD_S)
    used = many.forwarding()
    for edge in many.edges:
        for end in edge.ends:
            row = many.nodes[end].tunnel_status(edge.name)
            assert (edge in used) == (row["state"] == "forwarding"), row
            assert edge in used or row["detail"], row
    for node in many.nodes:
        node.wait_healthy()


@pytest.mark.parametrize("order", [*variants((0, 1, 2, 3)), (0, 2, 1, 3)],
                         ids=["in turn", "across"])
def test_start_one_by_one(lab, order):
    """The last one closes a ring that was open, or joins two halves."""
    many = Many(lab, 4, ring(4))
    with Flood(many.guests, rate=RATE, verify=False) as flood:
        there = []
        for number in order:
            many.nodes[number].start()
            there.append(number)
            begun = [edge for edge in many.edges if set(edge.ends) <= set(there)]
            wait_parts(many, components(4, begun))
        with flood.may_lose("the last one", after=AFTER_S):
            many.wait_spanned()
        since = time.monotonic()
        time.sleep(FLOOD_S)
    assert not flood.duplicates, flood.summary()
    assert not lost_between(flood, range(4), since), flood.summary()


def test_only_one_end_calls(lab):
    many = Many(lab, 3, ring(3))
    for edge in many.edges:
        many.nodes[edge.a].peers[f"n{edge.b}"]["address"] = None
    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.start()
        time.sleep(FLOOD_S)


def test_rings_of_two_bridges(lab):
    """Each bridge has its own tree over the same sessions, and no frame changes the bridge."""
    other = "br-two"
    pairs = ring(3) + [(a, b, 0, other) for a, b in ring(3)]
    many = Many(lab, 3, pairs, bridges=(BRIDGE, other))
    with Flood(many.guests, rate=2 * RATE, domains=[0] * 3 + [1] * 3) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.start()
            many.wait_spanned(bridge=other)
        time.sleep(FLOOD_S)
        with flood.may_lose("one tunnel of one bridge", after=AFTER_S):
            down = next(edge for edge in many.forwarding() if edge.bridge == other)
            many.nodes[down.a].ctl("tunnel", "down", down.name)
            many.wait_spanned(bridge=other, without=[down])
        time.sleep(FLOOD_S)
    assert not many.why_not_spanned()


@plain_only("settings of the bridge")
def test_identical_macs_of_bridges(lab):
    """Cloned hosts: nodes are known by their keys, segments by node and bridge."""
    many = Many(lab, 3, ring(3))
    for node in many.nodes:
        node.host.ip(f"link set {BRIDGE} address 02:00:00:00:00:77")
    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.start()
        time.sleep(FLOOD_S)
    for node in many.nodes:
        assert node.bridge_status()["foreign"] == []
    assert_pings(many.guests[0], many.address(1))


@pytest.mark.parametrize("everywhere", [pytest.param(False, marks=long_only("a variant")), True],
                         ids=["one bridge", "all bridges"])
def test_bridges_with_stp(lab, everywhere):
    """Their spanning tree goes on beside ours: slower to open, never a loop."""
    many = Many(lab, 3, ring(3))
    with_stp = many.nodes if everywhere else many.nodes[:1]
    for node in with_stp:
        node.host.ip(f"link set {BRIDGE} type bridge forward_delay 200 hello_time 100 max_age 600",
                     f"link set {BRIDGE} type bridge stp_state 1")

    def reached():
        return not any(ping(many.guests[a], many.address(b), count=1, options=("-w", "1")).lost
                       for a, b in ring(3))

    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("start, listening and learning", after=AFTER_S):
            many.start()
            wait_for(reached, 20, lambda: f"guests do not reach each other: {many.states()}")
        time.sleep(FLOOD_S)
    for node in with_stp:
        data = node.host.link(BRIDGE)["linkinfo"]["info_data"]
        assert data["stp_state"] == 1 and data["forward_delay"] == 200, data


@pytest.mark.parametrize("percent, limit_s", [
    pytest.param(10, 15, marks=long_only("a variant")), (30, 40)])
def test_random_loss(lab, percent, limit_s):
    """Messages of the topology are lost like all others."""
    need("numgen")
    many = Many(lab, 4, ring(4))
    for node in many.nodes:
        node.host.drop_udp(percent)
    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("random loss", after=AFTER_S):
            many.start(limit_s)
            idle = idle_edge(many)
            many.cut(many.forwarding()[0])
            wait_for(lambda: len(many.forwarding()) == 3, limit_s,
                     lambda: f"{idle} does not take over: {many.states()}")
            for edge in many.edges:
                many.heal(edge)
            for node in many.nodes:
                node.host.drop_udp(0)
            many.wait_spanned()
        time.sleep(FLOOD_S)


# A ring in which something happens

class Keeper:
    """A ring of four for the tests that leave it as it was; another one after one that did not."""

    def __init__(self):
        self._lab = self._many = None

    def get(self):
        if self._lab is None:
            self._lab = Lab()
            self._many = Many(self._lab, 4, ring(4)).start()
        return self._many

    def drop(self):
        lab, self._lab = self._lab, None
        if lab is not None:
            lab.close()


@pytest.fixture(scope="module")
def keeper(daemon):
    made = Keeper()
    yield made
    made.drop()


@pytest.fixture
def ring4(keeper, request):
    many = keeper.get()
    yield many
    if request.node.failed or many.why_not_spanned() is not None:
        keeper.drop()


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_node_ends(ring4, how):
    """Of the others, those that it joined are joined by what stood by."""
    idle = idle_edge(ring4)
    victim = next(number for number in range(4) if number not in idle.ends)
    others = [number for number in range(4) if number != victim]
    node = ring4.nodes[victim]
    with Flood(ring4.guests, rate=RATE) as flood:
        with flood.may_lose(how, after=AFTER_S):
            ended = time.monotonic()
            getattr(node, how)()
            wait_takeover(ring4, idle)
            time.sleep(FLOOD_S)
            back = time.monotonic()
            node.start()
            ring4.wait_spanned()
        time.sleep(FLOOD_S)
    # What took over goes on when the node returns: nobody but its own guest feels that.
    assert not lost_between(flood, others, back), flood.summary()
    limit = TAKEOVER_S if how == "kill" else TAKEOVER_GRACEFUL_S
    lost = lost_between(flood, others, ended, back)
    took = max((frame.time for frame in lost), default=ended) - ended
    print(f"{how}: the others were joined again after {took:.2f} s")
    assert took <= limit, flood.summary()


def test_node_frozen(ring4):
    """A daemon that sleeps through a takeover forwards nothing when it wakes."""
    idle = idle_edge(ring4)
    victim = next(number for number in range(4) if number not in idle.ends)
    others = [number for number in range(4) if number != victim]
    with Flood(ring4.guests, rate=RATE) as flood:
        with flood.may_lose("frozen", after=AFTER_S):
            with ring4.nodes[victim].stopped():
                wait_takeover(ring4, idle)
                time.sleep(FLOOD_S)
                back = time.monotonic()
            ring4.wait_spanned()
        time.sleep(FLOOD_S)
    assert not lost_between(flood, others, back), flood.summary()


@long_only("what chaos does, too")
def test_node_frozen_shortly(ring4):
    """Shorter than the dead time: the tree stays, nothing comes twice."""
    used = ring4.forwarding()
    with Flood(ring4.guests, rate=RATE) as flood:
        with flood.may_lose("frozen", after=AFTER_S):
            for node in ring4.nodes:
                with node.stopped():
                    time.sleep(0.5)  # how long it is frozen
            ring4.wait_spanned()
        time.sleep(FLOOD_S)
    assert ring4.forwarding() == used


def test_partition_and_heal(ring4):
    """Cut in two halves, each goes on by itself; healed, they are one again."""
    first, second = ring4.edges[0], ring4.edges[2]
    halves = [[0, 3], [1, 2]]
    with Flood(ring4.guests, rate=RATE) as flood:
        with flood.may_lose("parted", after=AFTER_S):
            ring4.cut(first)
            ring4.cut(second)
            wait_parts(ring4, halves)
            parted = time.monotonic() + AFTER_S
            time.sleep(AFTER_S + FLOOD_S)
            healing = time.monotonic()
            ring4.heal(first)
            ring4.heal(second)
            ring4.wait_spanned()
        time.sleep(FLOOD_S)
    for half in halves:
        assert not lost_between(flood, half, parted), flood.summary()
    crossed = [frame for frame in flood.frames if parted < frame.time < healing
               and any(frame.counts[number] for half in halves for number in half
                       if frame.sender not in half)]
    assert not crossed, "the halves were not parted"


@pytest.mark.parametrize("end", ["a", *variants("b")])
def test_one_way_underlay(ring4, end):
    """What hears nothing is no way, also for the direction that is left."""
    idle, victim = idle_edge(ring4), ring4.forwarding()[0]
    with Flood(ring4.guests, rate=RATE) as flood:
        with flood.may_lose("one way", after=AFTER_S):
            cut = time.monotonic()
            ring4.cut_way(victim, getattr(victim, end))
            ring4.wait_spanned(without=[victim])
            assert idle in ring4.forwarding()
        joined = time.monotonic()
        for number in victim.ends:
            assert ring4.nodes[number].state(victim.name) != "forwarding"
        time.sleep(FLOOD_S)
        ring4.heal(victim)
        ring4.wait_spanned()  # without a loss: it stands by
        time.sleep(FLOOD_S)
    print(f"joined again after {joined - cut:.2f} s")
    assert idle_edge(ring4) is victim


def test_port_moved_by_another_program(ring4):
    """Its tunnel cannot be used; the ring goes on without it until the port is back."""
    victim = ring4.forwarding()[0]
    host = ring4.nodes[victim.a].host
    host.bridge("br-other")
    with Flood(ring4.guests, rate=RATE) as flood:
        with flood.may_lose("moved", after=AFTER_S):
            host.ip(f"link set {victim.tap} master br-other")
            ring4.wait_spanned(without=[victim])
        wait_for(lambda: host.link(victim.tap).get("master") == BRIDGE, 5, "it is not put back")
        ring4.wait_spanned()
        time.sleep(FLOOD_S)
    host.ip("link del br-other")
    assert idle_edge(ring4) is victim


def test_bridge_made_anew(ring4):
    """Ports and all: a segment of the ring goes and comes."""
    node = ring4.nodes[1]
    others = [0, 2, 3]
    with Flood(ring4.guests, rate=RATE) as flood:
        with flood.may_lose("bridge away", after=AFTER_S):
            node.host.ip(f"link del {BRIDGE}")
            wait_for(lambda: len(components(4, ring4.forwarding())) == 2, TAKEOVER_S,
                     lambda: f"the others are not joined: {ring4.states()}")
            back = time.monotonic()
            node.host.bridge(BRIDGE)
            node.host.ip(f"link set v-g1 master {BRIDGE}")
            ring4.wait_spanned()
        time.sleep(FLOOD_S)
    assert not lost_between(flood, others, back + AFTER_S), flood.summary()


def test_reload(ring4):
    """Nothing changed: nothing is felt. What stands by may go and come unnoticed; a tunnel that
    forwards and goes is replaced."""
    idle = idle_edge(ring4)
    in_use = ring4.forwarding()[0]

    def configured(edge, there, kept={}):
        for end in edge.ends:
            node = ring4.nodes[end]
            if there:
                node.tunnels[edge.name] = kept.pop((end, edge.name))
            else:
                kept[end, edge.name] = node.tunnels.pop(edge.name)
            node.write_config()
            node.ctl("reload")

    with Flood(ring4.guests, rate=RATE) as flood:
        for node in ring4.nodes:
            node.ctl("reload")
        assert idle_edge(ring4) is idle
        configured(idle, False)
        ring4.wait_spanned(without=[idle])
        configured(idle, True)
        ring4.wait_spanned()
        time.sleep(FLOOD_S)
        with flood.may_lose("removed", after=AFTER_S):
            configured(in_use, False)
            ring4.wait_spanned(without=[in_use])
        time.sleep(FLOOD_S)
        configured(in_use, True)
        ring4.wait_spanned()
        time.sleep(FLOOD_S)
    assert idle_edge(ring4) is in_use


def test_switched_off_and_on(ring4):
    """By hand, each tunnel of the ring in its turn: told, so it takes no dead time."""
    with Flood(ring4.guests, rate=RATE) as flood:
        for edge in ring4.edges:
            with flood.may_lose(f"{edge} off", after=AFTER_S):
                ring4.nodes[edge.b].ctl("tunnel", "down", edge.name)
                ring4.wait_spanned(without=[edge])
            wait_told(ring4)
            ring4.nodes[edge.b].ctl("tunnel", "up", edge.name)
            ring4.wait_spanned()
    worst = max(flood.outages().values(), default=0)
    print(f"longest outage {worst:.2f} s")
    assert worst <= TAKEOVER_GRACEFUL_S, flood.summary()


@plain_only("what test_probes does, too")
def test_guest_reflects(ring4):
    """A guest sends all that is flooded back (hairpin): everybody gets it twice, by his doing. It
    is no path of the ring, so nothing is blocked, and nothing comes a third time."""
    since = time.time()
    host = ring4.nodes[1].host
    mirror = host.guest("mirror", BRIDGE)
    mirror.ip("link add name inside type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
              "link set inside up", "link set eth0 master inside")
    mirror.run("bridge", "link", "set", "dev", "eth0", "hairpin", "on")
    used = ring4.forwarding()
    with Flood(ring4.guests, rate=RATE / 3, verify=False) as flood:
        time.sleep(2)  # several probes of each kind
    assert ring4.forwarding() == used, ring4.states()
    assert flood.duplicates, "nothing was reflected"
    assert max(max(frame.counts) for frame in flood.frames) == 2, flood.summary()
    for node in ring4.nodes:
        assert not node.events(since=since), node.events(since=since)
    host.ip("link del v-mirror")
    with Flood(ring4.guests, rate=RATE):
        time.sleep(FLOOD_S)


# Which of them

def uplink_of_3(many):
    """The tunnel by which the last of four nodes is joined with the others."""
    found = [edge for edge in many.forwarding() if edge.b == 3]
    return found[0] if len(found) == 1 else None


@long_only("computed by unit tests")
def test_priority_decides(lab):
    """Of those that could take over the one with the lowest number does; what forwards stays."""
    many = Many(lab, 4, full_mesh(4), priority=1)
    order = [many.edge("t1-3"), many.edge("t2-3"), many.edge("t0-3")]
    for value, edge in enumerate(order):
        # The greater value of both ends counts.
        many.nodes[3].tunnels[edge.name]["priority"] = 10 * (value + 1)
    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.start()
        for _ in range(3):
            active = uplink_of_3(many)
            with flood.may_lose(f"{active} off", after=AFTER_S):
                many.nodes[3].ctl("tunnel", "down", active.name)
                many.wait_spanned(without=[active])
            chosen = uplink_of_3(many)
            assert chosen is next(edge for edge in order if edge is not active), (active, chosen)
            wait_told(many)
            many.nodes[3].ctl("tunnel", "up", active.name)
            many.wait_spanned()
            assert uplink_of_3(many) is chosen


@long_only("takes a minute: how long a better tunnel waits")
@pytest.mark.parametrize("both", [True, False], ids=["both ends", "one end"])
def test_preempt(lab, both):
    """With `preempt` at both ends a better tunnel takes its place back, when it is up for long."""
    many = Many(lab, 3, ring(3))
    best, worst = many.edge("t0-1"), many.edge("t1-2")
    for edge, priority in ((best, 10), (worst, 200)):
        for end in edge.ends:
            many.nodes[end].tunnels[edge.name]["priority"] = priority
    for end in best.ends if both else best.ends[:1]:
        many.nodes[end].tunnels[best.name]["preempt"] = True
    with Flood(many.guests, rate=RATE / 3) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.start()
            many.nodes[0].ctl("tunnel", "down", best.name)
            many.wait_spanned(without=[best])
        wait_told(many)
        many.nodes[0].ctl("tunnel", "up", best.name)
        many.wait_spanned()
        up = time.monotonic()
        assert idle_edge(many) is best
        time.sleep(PREEMPT_S - 5)  # so long it must wait
        assert idle_edge(many) is best
        with flood.may_lose("replaced", after=AFTER_S):
            if both:
                wait_for(lambda: many.why_not_spanned() is None and idle_edge(many) is worst, 15,
                         lambda: f"{best} does not replace {worst}: {many.states()}")
            else:
                time.sleep(15)  # so long it must not happen
                assert idle_edge(many) is best
        print(f"after {time.monotonic() - up:.0f} s")
        time.sleep(FLOOD_S)


# More than one daemon for one thing

def test_second_daemon_of_the_host(lab):
    """Two daemons on one host, each joined with the same bridge of another: two paths, of which
    neither knows the other's."""
    pair = Pair(lab).start()
    second = Node(pair.left.host, "second", listen=["0.0.0.0:4700"])
    second.peer("xen1", pair.right, address=pair.wan.endpoint(pair.right.host))
    second.tunnel("two", "xen1", BRIDGE)
    pair.right.peer("second", second)
    pair.right.tunnel("two", "second", BRIDGE)
    pair.right.write_config()
    with Flood(pair.guests, rate=RATE) as flood:
        pair.right.ctl("reload")
        second.start()
        wait_for(lambda: second.tunnel_status("two")["reason"] == "foreign", 15,
                 lambda: f"{second.tunnel_status('two')}")
        # Who it is, is asked after the cut.
        wait_for(lambda: pair.left.name in second.tunnel_status("two")["detail"], 10,
                 lambda: f"not named: {second.tunnel_status('two')}")
        time.sleep(2)  # so long it must stay closed
        assert "forwarding" not in (second.state("two"), pair.right.state("two"))
        with flood.may_lose("the first one ends", after=AFTER_S):
            pair.left.stop()
            for node in (second, pair.right):
                node.wait_state("forwarding", "two", timeout=15)
        time.sleep(FLOOD_S)


def test_second_daemon_with_the_same_configuration(lab):
    """Refused, also when everything but the bridges and the network namespace differs."""
    pair = Pair(lab).start()
    folder = pair.left.dir
    for number, words in enumerate(((), ("control",), ("control", "state_dir"))):
        options = dict(pair.left.options)
        options.update({word: folder / f"{word}{number}" for word in words})
        path = folder / f"again{number}.conf"
        text = pair.left.config_text()
        for word in words:
            text = text.replace(str(pair.left.options[word]), str(options[word]))
        path.write_text(text, encoding="utf-8")
        if "state_dir" in words:
            options["state_dir"].mkdir()
        result = pair.left.host.run(L2TUND, "-f", "-c", str(path), check=False)
        assert result.returncode not in (0, 77), result
        assert result.stderr.strip(), "refused without a word"
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def give_key(copy, original):
    copy.options["private_key"] = original.options["private_key"]
    copy.public_key = original.public_key


def test_copied_key_called_by_others(lab):
    """A host was cloned with its key, and each of the two has a neighbour of its own: both are heard
    of as one node. Never a loop, whoever wins; the alarm is there; it ends when one of them does."""
    many = Many(lab, 4, [(0, 1), (1, 2), (2, 3)])
    original, copy = many.nodes[0], many.nodes[3]
    give_key(copy, original)
    many.nodes[2].peers["n3"]["public_key"] = copy.public_key
    with Flood(many.guests, rate=RATE, verify=False) as flood:
        for node in many.nodes[:3]:
            node.start()
        wait_parts(many, [[0, 1, 2], [3]])
        copy.start()
        twins = wait_for(lambda: [node for node in (original, copy)
                                  if node.status()["topology"]["twin"]], 10,
                         "nobody tells that a key is used twice")
        wait_for(lambda: twins[0].ctl("check", check=False).returncode == 2, 2,
                 lambda: twins[0].ctl("check", check=False).stdout)
        time.sleep(4)  # how long they fight
        told = [event for node in (original, copy) for event in node.events("topology")]
        assert any("key" in event["detail"] for event in told), told
        copy.stop()
        wait_parts(many, [[0, 1, 2], [3]], timeout=30)
        since = time.monotonic() + AFTER_S
        time.sleep(AFTER_S + FLOOD_S)
    assert not flood.duplicates, flood.summary()
    assert not lost_between(flood, range(3), since), flood.summary()


def test_copied_key_calls_the_same(lab):
    """Both call the same neighbours. The one that was started later is the node; the other one is not
    heard, which is counted, and is again when it is started anew."""
    many = Many(lab, 4, [(0, 1), (1, 2), (2, 0), (1, 3), (2, 3)])
    original, copy = many.nodes[0], many.nodes[3]
    give_key(copy, original)
    for number in (1, 2):
        node = many.nodes[number]
        node.peers.pop("n3")
        node.tunnels.pop(f"t{number}-3")
        node.peers["n0"]["address"] = None
    with Flood(many.guests, rate=RATE, verify=False) as flood:
        for node in many.nodes[:3]:
            node.start()
        wait_parts(many, [[0, 1, 2], [3]])
        # Incarnations begin with the clock's seconds.
        incarnation = original.status()["node"]["incarnation"]
        wait_for(lambda: time.time() > incarnation + 1, 2, "the clock stands still")
        copy.start()
        wait_for(lambda: all(row["state"] != "up" for row in original.status()["peers"]), 10,
                 "the later one is not preferred")
        wait_for(lambda: any("key was copied" in event["detail"] for node in many.nodes[1:3]
                             for event in node.events("topology")), 15,
                 "nobody tells that a key is used twice")
        copy.stop()
        original.stop()
        original.start()
        wait_parts(many, [[0, 1, 2], [3]])
        since = time.monotonic() + AFTER_S
        time.sleep(AFTER_S + FLOOD_S)
    assert not flood.duplicates, flood.summary()
    assert not lost_between(flood, range(3), since), flood.summary()
