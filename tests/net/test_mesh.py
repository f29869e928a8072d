"""mode = mesh: all tunnels forward, and the bridges pass nothing from one tunnel on to another."""
import time

import foreign
from flood import Flood
from lab import plain_only, wait_for
from many import Many, full_mesh
from traffic import assert_pings

pytestmark = plain_only("its daemon is the same; tests/sim and unit tests run mesh mode under sanitizers")

RATE = 300  # frames per second of all segments together
FLOOD_S = 0.5  # how long it floods once all is well
AFTER_S = 0.1  # from what the daemons say to what the kernel's ports do
REOPEN_S = 6  # after a path is gone
ALIVE_S = 0.5  # after a cut everybody reaches everybody again


def mesh_of(lab, count, extra=()):
    return Many(lab, count, full_mesh(count) + list(extra), mode="mesh")


def wait_all_forward(many, timeout=10):
    many.wait_spanned(timeout, tree=False)
    assert many.forwarding() == many.edges, many.states()


def isolated(many):
    """Whether the port of each tunnel end is."""
    return [many.nodes[end].host.link(edge.tap)["linkinfo"]["info_slave_data"]["isolated"]
            for edge in many.edges for end in edge.ends]


def wire_between(many, a, b):
    return foreign.make("cable", many.lab, many.wans[0], many.nodes[a].host, many.nodes[b].host)


def pairs_joined(many):
    """The tunnels that forward at both ends, as pairs of nodes."""
    return sorted(edge.ends for edge in many.forwarding())


def test_every_tunnel_forwards(lab):
    many = mesh_of(lab, 4)
    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.launch()
            wait_all_forward(many)
        time.sleep(FLOOD_S)
        for number in range(1, 4):
            assert_pings(many.guests[0], many.address(number), count=5)
    assert all(isolated(many))
    for node in many.nodes:
        node.wait_healthy()
        assert {row["mode"] for row in node.status()["tunnels"]} == {"mesh"}


def test_a_tunnel_is_cut(lab):
    """Two nodes lose each other, since nobody passes anything on; all others feel nothing."""
    many = mesh_of(lab, 4)
    many.launch()
    wait_all_forward(many)
    victim = many.edge("t1-2")
    with Flood(many.guests, rate=RATE, verify=False) as flood:
        many.cut(victim)
        for end in victim.ends:
            wait_for(lambda end=end: many.nodes[end].state(victim.name) != "forwarding", 4,
                     "not noticed")
        many.heal(victim)
        wait_all_forward(many)
        healed = time.monotonic()
        time.sleep(AFTER_S + FLOOD_S)
    assert not flood.duplicates, flood.summary()
    lost = [frame for frame, receiver in flood.losses()
            if frame.time > healed + AFTER_S or {frame.sender, receiver} != {1, 2}]
    assert not lost, flood.summary()


def test_parallel_tunnels(lab):
    """Of those between the same two bridges one forwards, and the other takes over."""
    many = mesh_of(lab, 3, [(0, 1, 1)])
    pair = [many.edge("t0-1"), many.edge("t0-1.1")]
    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.launch()
            many.wait_spanned(tree=False)
        active = [edge for edge in pair if edge in many.forwarding()]
        assert len(active) == 1 and len(many.forwarding()) == 3, many.states()
        time.sleep(FLOOD_S)
        with flood.may_lose("the one in use is off", after=AFTER_S):
            many.nodes[0].ctl("tunnel", "down", active[0].name)
            wait_for(lambda: len(many.forwarding()) == 3, 4, lambda: f"{many.states()}")
        time.sleep(FLOOD_S)
        many.nodes[0].ctl("tunnel", "up", active[0].name)
        wait_for(lambda: many.why_not_spanned(tree=False) is None, 4, lambda: f"{many.states()}")
        assert active[0] not in many.forwarding()
        time.sleep(FLOOD_S)


def joined_by_one(many, a, b):
    """Two nodes that a wire joins: one of them has tunnels with all others, the other has none."""
    used = pairs_joined(many)
    rest = [number for number in range(len(many.nodes)) if number not in (a, b)]
    among = [pair for pair in full_mesh(len(many.nodes)) if not {a, b} & set(pair)]
    for leader in (a, b):
        wanted = sorted(among + [tuple(sorted((leader, number))) for number in rest])
        if used == wanted:
            return True
    return False


def test_wire_between_two_of_them_before(lab):
    many = mesh_of(lab, 4)
    wire = wire_between(many, 1, 2)
    wire.plug()
    with Flood(many.guests, rate=RATE) as flood:
        with flood.may_lose("start", after=AFTER_S):
            many.launch()
            for node in many.nodes:
                wait_for(node.answers, 10, f"{node.name} does not answer")
            wait_for(lambda: joined_by_one(many, 1, 2), 10, lambda: f"{many.states()}")
        time.sleep(FLOOD_S)
        assert joined_by_one(many, 1, 2), many.states()
        with flood.may_lose("the wire is out", after=AFTER_S):
            wire.unplug()
            wait_all_forward(many, REOPEN_S)
        time.sleep(FLOOD_S)


def test_wire_between_two_of_them_later(lab):
    many = mesh_of(lab, 4)
    many.launch()
    wait_all_forward(many)
    wire = wire_between(many, 1, 2)
    with Flood(many.guests, rate=RATE, verify=False) as flood:
        wire.lay()
        time.sleep(0.3)  # so that the bursts of probes are over: the last step's event counts
        wire.join()
        wait_for(lambda: joined_by_one(many, 1, 2), 5, lambda: f"{many.states()}")
        cut = time.monotonic()
        time.sleep(ALIVE_S + FLOOD_S)
        assert joined_by_one(many, 1, 2), many.states()
    foreign.assert_cut_in_time(flood, "mesh")
    assert not [frame for frame, _ in flood.duplicates if frame.time > cut], flood.summary()
    assert not [frame for frame, _ in flood.losses() if frame.time > cut + ALIVE_S], (
        flood.summary())


def test_nothing_is_passed_on(lab):
    """A node that has a tunnel with one of them only reaches that one: a mesh has to be full."""
    many = Many(lab, 4, full_mesh(3) + [(2, 3)], mode="mesh")
    with Flood(many.guests, rate=RATE, verify=False) as flood:
        many.launch()
        wait_all_forward(many)
        since = time.monotonic() + AFTER_S
        time.sleep(AFTER_S + FLOOD_S)
    assert not flood.duplicates, flood.summary()
    lost = {tuple(sorted((frame.sender, receiver))) for frame, receiver in flood.losses()
            if frame.time > since}
    assert lost == {(0, 3), (1, 3)}, flood.summary()
