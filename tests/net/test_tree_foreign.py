"""Paths that are not ours between bridges of a tree: between nodes that have no tunnel with each
other, between two bridges of one host, through a host that runs something else."""
import time

import pytest

import foreign
from flood import Flood
from lab import long_only, need, plain_only, variants, wait_for
from many import BRIDGE, Edge, Many, ring

OTHER = "br-two"
RATE = 400  # frames per second of all segments together
FLOOD_S = 0.4  # how long it floods once all is well
AFTER_S = 0.1  # from what the daemons say to what the kernel's ports do
REOPEN_S = 6  # after a path is gone
# After a cut everybody reaches everybody again at once, but when several ends saw what went round at
# the same time and each closed its own: then the hold-down has to pass.
SETTLED_S = 10 + REOPEN_S
CLOSED = {("blocked", "foreign"), ("blocked", "watchdog"), ("blocked", "storm"),
          ("down", "remote"), ("standby", "foreign")}

CHAIN = [(0, 1), (1, 2)]


def also(*kinds):
    """Kinds that test_foreign.py has between two nodes already."""
    return [pytest.param(kind, marks=long_only("the same as with a cable")) for kind in kinds]


def path_between(many, kind, a, b):
    return foreign.make(kind, many.lab, many.wans[0], many.nodes[a].host, many.nodes[b].host)


def settled_with(many, *paths):
    """Waits until the tunnels and these paths make a tree; gives the tunnels that are left out."""
    others = [Edge(*path) for path in paths]
    segments = [tuple((number, BRIDGE) for number in path) for path in paths]
    begun = time.monotonic()
    # Both at once: a tunnel that goes on forwarding may have to stop for the agreement yet.
    wait_for(lambda: many.agreed(*segments)
             and many.why_not_spanned(foreign=others, idle=CLOSED) is None, SETTLED_S,
             lambda: f"not settled: {many.why_not_spanned(foreign=others, idle=CLOSED)};"
                     f" agreed: {many.agreed(*segments)}; {many.states()}")
    used = many.forwarding()
    print(f"settled after {time.monotonic() - begun:.2f} s")
    return [edge for edge in many.edges if edge not in used]


def any_closed(many, used):
    """Whether one of these tunnels does not forward at one end."""
    return any((many.states()[end] or {}).get(edge.name, ("",))[0] != "forwarding"
               for edge in used for end in edge.ends)


def plug_in(many, path, used):
    """Plugs a path in beside tunnels that forward; gives the time at which one was seen closed."""
    path.lay()
    time.sleep(0.3)  # so that the bursts of probes are over: the last step's event counts
    joined = time.monotonic()
    path.join()
    wait_for(lambda: any_closed(many, used), 5, lambda: f"not cut: {many.states()}",
             interval=0.005)
    cut = time.monotonic()
    print(f"seen as cut {(cut - joined) * 1000:.0f} ms after it was plugged in")
    return cut


def assert_well(flood, cut, settled):
    """Nothing came twice after the cut, and nothing was lost when all had settled."""
    assert not [frame for frame, _ in flood.duplicates if frame.time > cut], flood.summary()
    assert not [frame for frame, _ in flood.losses() if frame.time > settled + AFTER_S], (
        flood.summary())


# Between nodes without a tunnel of their own

@pytest.mark.parametrize("kind", ["cable", *also("vxlan", "vtun", "guest")])
def test_across_a_chain_before(lab, kind):
    """A-B-C and something from A to C: no frame comes twice. Without it the chain closes up."""
    many = Many(lab, 3, CHAIN)
    path = path_between(many, kind, 0, 2)
    path.plug()
    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.launch()
            out = settled_with(many, (0, 2))
        assert len(out) == 1
        time.sleep(FLOOD_S)
        assert settled_with(many, (0, 2)) == out
        with flood.may_lose("from one path to the other", after=AFTER_S):
            path.unplug()
            many.wait_spanned(REOPEN_S)
        time.sleep(FLOOD_S)


@pytest.mark.parametrize("kind", ["cable", "to-left", *also("vxlan", "vtun", "to-right")])
def test_across_a_chain_later(lab, kind):
    """A loop for a moment, through the tunnels of three nodes."""
    many = Many(lab, 3, CHAIN).start()
    used = many.forwarding()
    path = path_between(many, kind, 0, 2)
    one_way = kind.startswith("to-")
    with Flood(many.guests, rate=RATE, verify=False) as flood:
        cut = plug_in(many, path, used)
        if not one_way:
            assert len(settled_with(many, (0, 2))) == 1
        settled = time.monotonic()
        time.sleep(1)  # how long it must stay cut
        assert any_closed(many, used)
    foreign.assert_cut_in_time(flood, kind)
    assert_well(flood, cut, float("inf") if one_way else settled)


@pytest.mark.parametrize("pairs", [*variants(ring(3)), [(0, 1), (0, 1, 1), (1, 2), (2, 0)]],
                         ids=["triangle", "with a parallel"])
def test_beside_tunnels_of_a_ring_before(lab, pairs):
    many = Many(lab, 3, pairs)
    path_between(many, "cable", 0, 2).plug()
    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.launch()
            out = settled_with(many, (0, 2))
        assert many.edge("t0-2") in out
        time.sleep(FLOOD_S)


@plain_only("a time")
def test_across_a_ring_later(lab):
    """Plugged in between opposite nodes of a ring, and out again: all as before after the hold-down,
    in which the path is believed to be there still."""
    many = Many(lab, 4, ring(4)).start()
    used = many.forwarding()
    path = path_between(many, "cable", 0, 2)
    with Flood(many.guests, rate=RATE, verify=False) as flood:
        cut = plug_in(many, path, used)
        out = settled_with(many, (0, 2))
        settled = time.monotonic()
        time.sleep(AFTER_S + FLOOD_S)
        gone = time.monotonic()
        path.unplug()
        many.wait_spanned(SETTLED_S, idle=CLOSED)
        print(f"{out} out with the path; joined {time.monotonic() - gone:.2f} s after it was gone")
        back = time.monotonic()
        time.sleep(FLOOD_S)
    foreign.assert_cut_in_time(flood, "ring")
    assert not [frame for frame, _ in flood.duplicates if frame.time > cut], flood.summary()
    lost = [frame for frame, _ in flood.losses()
            if settled + AFTER_S < frame.time < gone - AFTER_S or frame.time > back + AFTER_S]
    assert not lost, flood.summary()


# Through a host that runs other software

def detour(many, kind):
    """A host without l2tund, whose bridge is joined with those of the first and last node."""
    host = many.lab.host("detour")
    many.wans[0].attach(host)
    host.bridge(BRIDGE)
    ends = many.nodes[0].host, many.nodes[-1].host
    if kind == "vxlan":
        need("vxlan")
        return host, [foreign.VxlanPath(many.lab, many.wans[0], end, host) for end in ends]
    first = foreign.make("cable", many.lab, many.wans[0], ends[0], host)
    second = foreign.make(kind, many.lab, many.wans[0], host, ends[1])
    return host, [first, second]


@pytest.mark.parametrize("kind", ["vxlan", *variants("vtun")])
@pytest.mark.parametrize("later", [False, True], ids=["before", "later"])
def test_through_a_host_with_other_software(lab, kind, later):
    """Its bridge passes the probes on, as it does everything."""
    many = Many(lab, 2, [(0, 1)])
    host, paths = detour(many, kind)
    there = host.guest("outsider", BRIDGE)
    with Flood([*many.guests, there], rate=RATE, verify=False) as flood:
        paths[0].plug()
        if later:
            many.start()
            cut = plug_in(many, paths[1], many.edges)
        else:
            paths[1].plug()
            many.launch()
        settled_with(many, (0, 1))
        settled = time.monotonic()
        time.sleep(1)  # how long it must stay closed
        assert any_closed(many, many.edges)
    if later:
        foreign.assert_cut_in_time(flood, f"through another host, {kind}")
        assert_well(flood, cut, settled)
    else:
        assert not flood.duplicates, flood.summary()
        assert_well(flood, settled, settled)


# Between two bridges of one host

JOINTS = [((number, BRIDGE), (number, OTHER)) for number in (0, 1)]


def joined(many, kind, number):
    """Something between both bridges of a host."""
    host = many.nodes[number].host
    make = {"cable": foreign.Cable, "guest": foreign.GuestBridge}[kind]
    return make(many.lab, many.wans[0], host, host, bridges=(BRIDGE, OTHER))


def two_bridges(lab):
    return Many(lab, 2, [(0, 1), (0, 1, 0, OTHER)], bridges=(BRIDGE, OTHER))


def forwarding_one(many):
    """Which tunnel forwards, once exactly one does and the other one at neither end."""
    used = many.forwarding()
    idle = [edge for edge in many.edges if edge not in used]
    if len(used) != 1 or len(idle) != 1:
        return None
    ends = [states.get(idle[0].name, ("",))[0] for states in many.states() if states]
    return used[0] if len(ends) == 2 and "forwarding" not in ends else None


def test_two_bridges_of_one_host_joined(lab):
    """That makes one Ethernet of two, and no loop: nothing is to be blocked."""
    many = two_bridges(lab)
    joined(many, "cable", 0).plug()
    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.start()
            many.wait_spanned(bridge=OTHER)
        since = time.time()
        time.sleep(3)  # how long nothing must happen: several probes of each kind
        for node in many.nodes:
            assert not node.events(since=since), node.events(since=since)


@pytest.mark.parametrize("kinds", [*variants(("cable", "cable")), ("guest", "cable")],
                         ids=["cables", "guest with two cards"])
def test_two_bridges_joined_at_both_hosts_before(lab, kinds):
    """Two tunnels and two joints are a ring of four bridges."""
    many = two_bridges(lab)
    for number, kind in enumerate(kinds):
        joined(many, kind, number).plug()
    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.launch()
            for node in many.nodes:
                wait_for(node.answers, 10, f"{node.name} does not answer")
            chosen = wait_for(lambda: forwarding_one(many), 10, lambda: f"{many.states()}")
        time.sleep(1)  # so long it must stay
        assert forwarding_one(many) is chosen


@pytest.mark.parametrize("kind", ["guest", *also("cable")])
def test_two_bridges_joined_at_both_hosts_later(lab, kind):
    many = two_bridges(lab)
    joined(many, "cable", 0).plug()
    path = joined(many, kind, 1)
    with Flood(many.guests, rate=RATE, verify=False) as flood:
        many.start()
        many.wait_spanned(bridge=OTHER)
        cut = plug_in(many, path, many.edges)
        # What goes round may cut one before anybody knows of the new path: then the other one
        # closes too, until all do.
        chosen = wait_for(lambda: many.agreed(*JOINTS) and forwarding_one(many), SETTLED_S,
                          lambda: f"{many.agreed(*JOINTS)} {many.states()}")
        settled = time.monotonic()
        print(f"settled {settled - cut:.2f} s later")
        time.sleep(1)  # so long it must stay
        assert forwarding_one(many) is chosen
    foreign.assert_cut_in_time(flood, "two bridges")
    assert_well(flood, cut, settled)


# Two networks of ours

def test_two_trees_joined_by_two_wires_before(lab):
    """Two pairs of nodes whose sessions know nothing of each other, joined at both ends: what goes
    round is found by what comes back."""
    many = Many(lab, 4, [(0, 1), (2, 3)])
    wires = [path_between(many, "cable", a, b) for a, b in ((0, 2), (1, 3))]
    with Flood(many.guests, rate=RATE, verify=False) as flood:
        for wire in wires:
            wire.plug()
        many.launch()
        for node in many.nodes:
            wait_for(node.answers, 10, f"{node.name} does not answer")
        # One of them blocked, not only later than the other one: then the loop is still to come. Both
        # may have seen it at the same moment; strangers cannot tell each other that one is enough.
        wait_for(lambda: len(many.forwarding()) <= 1
                 and any(state == "blocked" for states in many.states()
                         for state, _ in (states or {}).values()), 10,
                 lambda: f"{many.states()}")
        print(f"left: {many.forwarding()}")
        settled = time.monotonic()
        time.sleep(1)  # so long it must stay
        assert any_closed(many, many.edges)
    foreign.assert_cut_in_time(flood, "strangers")
    assert not [frame for frame, _ in flood.duplicates if frame.time > settled], flood.summary()
