"""Paths between the two bridges of a tunnel that are not ours: a wire, another tunnel program, a
guest that bridges. The tunnel must not forward beside them, says why, and comes back by itself."""
import re
import time

import pytest

import foreign
from flood import Flood
from lab import long_only, variants, veth, wait_for
from node import Pair
from traffic import assert_pings

REOPEN_S = 5  # after the path is gone, when the tunnel had not forwarded before
HOLD_DOWN_S = 10  # when it had
NAMED_S = 2  # until the guilty port and its owner are in the sentence
EVIDENCE_S = 3  # this long after the last probe it is forgotten


def path_of(kind, lab, pair):
    return foreign.make(kind, lab, pair.wan, pair.left.host, pair.right.host)


def start_nodes(pair):
    for node in pair.nodes:
        node.start(wait=False)
    for node in pair.nodes:
        wait_for(node.answers, 10, f"{node.name} does not answer")


def wait_blocked(node, port, owner, reasons=("foreign",), timeout=10):
    """Until the tunnel is blocked, for the right reason, and names where the path begins."""
    row = node.wait_state("blocked", timeout=timeout)
    assert row["reason"] in reasons, row
    if row["reason"] == "foreign":
        # Who it is, is asked after the cut.
        wait_for(lambda: names(node.tunnel_status()["detail"], port, owner), NAMED_S,
                 lambda: f"not named: {port} ({owner}), but {node.tunnel_status()}")


def names(detail, port, owner):
    return re.search(rf"\b{port}\b", detail) and owner in detail


def assert_foreign_listed(node, other, port, owner):
    """`bridges[].foreign` of the status: who is at the other end, and through what."""
    entries = node.bridge_status()["foreign"]
    assert len(entries) == 1, entries
    entry = entries[0]
    assert entry["node"] in (other.name, other.status()["node"]["id"]), entry
    assert entry["bridge"] == "br-sv" and entry["via"] == port, entry
    assert 0 <= entry["age_ms"] <= EVIDENCE_S * 1000, entry
    assert entry["owner"] == owner, entry


def never_forwarded(node):
    return not [event for event in node.events() if event["to"] == "forwarding"]


# Before the tunnel

@pytest.mark.parametrize("kind", [*variants("cable"), "vtun", pytest.param("guest", marks=long_only("a variant"))])
def test_path_before(lab, kind):
    """No frame ever comes twice; when the path is taken away, the tunnel takes its place."""
    pair = Pair(lab)
    path = path_of(kind, lab, pair)
    path.plug()
    ends = list(zip(pair.nodes, reversed(pair.nodes), path.ports, path.owners()))
    with Flood(pair.guests, rate=500) as flood:
        start_nodes(pair)
        for node, other, port, owner in ends:
            wait_blocked(node, port, owner)
            assert_foreign_listed(node, other, port, owner)
            assert never_forwarded(node), node.events()
            assert node.ctl("check", check=False).returncode == 2
            why = node.ctl("tunnel", "why", "sv", check=False).stdout
            assert port in why and owner in why, why
            told = [event for event in node.events() if event["to"] == "blocked"]
            assert told and port in told[0]["detail"], told
        # How long it stays blocked while the path is there; once longer than evidence lasts.
        time.sleep(EVIDENCE_S + 1.5 if kind == "cable" else 0.5)
        for node in pair.nodes:
            assert node.state() == "blocked", node.tunnel_status()
        with flood.may_lose("from one path to the other"):
            path.unplug()
            gone = time.monotonic()
            pair.wait_forwarding(REOPEN_S)
            print(f"{kind}: forwarding {time.monotonic() - gone:.2f} s after it was gone")
        time.sleep(0.3)  # how long it floods over the tunnel
    for node in pair.nodes:
        wait_for(lambda node=node: node.bridge_status()["foreign"] == [], EVIDENCE_S + 1,
                 lambda node=node: f"still evidence: {node.bridge_status()}")
        node.wait_healthy()
    assert_pings(pair.guest_left, Pair.RIGHT_IP)


@pytest.mark.parametrize("how", ["link set cable nomaster",
                                 pytest.param("link set cable down",
                                              marks=long_only("a variant"))])
def test_cable_is_gone_when_it_carries_nothing(lab, how):
    """The port may stay; what counts is whether frames pass."""
    pair = Pair(lab)
    cable = path_of("cable", lab, pair)
    cable.plug()
    with Flood(pair.guests, rate=500) as flood:
        start_nodes(pair)
        for node in pair.nodes:
            wait_blocked(node, "cable", "")
        with flood.may_lose("from one path to the other"):
            cable.unplug(how)
            pair.wait_forwarding(REOPEN_S)


@pytest.mark.parametrize("kind", ["to-left", *variants("to-right")])
def test_one_way_path_before(lab, kind):
    """One end hears the other and must do for both."""
    pair = Pair(lab)
    path_of(kind, lab, pair).plug()
    hears, silent = pair.nodes if kind == "to-left" else reversed(pair.nodes)
    with Flood(pair.guests, rate=500, verify=False) as flood:
        start_nodes(pair)
        wait_blocked(hears, "cable", "")
        time.sleep(1)  # how long the end that hears nothing must stay closed, too
        assert hears.state() == "blocked" and silent.state() != "forwarding"
        assert silent.tunnel_status()["reason"], silent.tunnel_status()
        assert never_forwarded(silent) and never_forwarded(hears)
    assert not flood.duplicates, flood.summary()


@pytest.mark.parametrize("victim", [0, 1])
def test_restart_beside_a_cable(lab, victim):
    """An end that forgot everything finds the path again before it forwards."""
    pair = Pair(lab)
    path_of("cable", lab, pair).plug()
    with Flood(pair.guests, rate=500):
        start_nodes(pair)
        for node in pair.nodes:
            wait_blocked(node, "cable", "")
        node = pair.nodes[victim]
        for end in (node.kill, node.stop):
            end()
            node.start()
            wait_blocked(node, "cable", "")
            assert pair.nodes[1 - victim].state() != "forwarding"
    assert never_forwarded(node), node.events()


# While the tunnel forwards

@pytest.mark.parametrize("kind", ["cable", *variants("vtun", "guest", "to-left"), "to-right"])
def test_path_later(lab, kind):
    """A loop for a moment: its length is bounded, and so is what it does meanwhile."""
    pair = Pair(lab).start()
    path = path_of(kind, lab, pair)
    with Flood(pair.guests, rate=1000, verify=False) as flood:
        path.lay()
        time.sleep(0.3)  # so that the bursts of probes are over: the right port's event counts
        joined = time.monotonic()
        path.join()
        wait_for(lambda: any(node.state() == "blocked" for node in pair.nodes), 5,
                 lambda: f"not cut: {[node.tunnel_status() for node in pair.nodes]}",
                 interval=0.005)
        blocked = time.monotonic()
        time.sleep(1)  # how long it must stay cut
        for node in pair.nodes:
            assert node.state() != "forwarding", node.tunnel_status()
    print(f"{kind}: seen as blocked {(blocked - joined) * 1000:.0f} ms after it was plugged in")
    assert not [frame for frame, _ in flood.duplicates if frame.time > blocked], flood.summary()
    foreign.assert_cut_in_time(flood, kind)
    if not kind.startswith("to-"):
        # Alive all the while: over the other path.
        assert not [frame for frame, _ in flood.losses() if frame.time > blocked + 0.5], (
            flood.summary())
        for node, port, owner in zip(pair.nodes, path.ports, path.owners()):
            row = node.tunnel_status()
            if row["state"] == "blocked":
                wait_blocked(node, port, owner, ("foreign", "watchdog"))


@long_only("ten seconds that test_tree_foreign waits for, too")
def test_hold_down(lab):
    """After it was cut, a tunnel does not come back the moment the cable is out."""
    pair = Pair(lab).start()
    cable = path_of("cable", lab, pair)
    with Flood(pair.guests, rate=300, verify=False) as flood:
        cable.plug()
        wait_for(lambda: any(node.state() == "blocked" for node in pair.nodes), 5, "not cut")
        blocked = time.monotonic()
        cable.unplug()
        time.sleep(HOLD_DOWN_S - 1)
        assert not any(node.state() == "forwarding" for node in pair.nodes)
        pair.wait_forwarding(1 + REOPEN_S)
        opened = time.monotonic()
        print(f"forwarding {opened - blocked:.1f} s after it was cut")
        time.sleep(0.3)  # how long it floods over the tunnel again
    assert not [frame for frame, _ in flood.losses() if frame.time > opened], flood.summary()
    assert not [frame for frame, _ in flood.duplicates if frame.time > blocked], flood.summary()
    foreign.assert_cut_in_time(flood, "cable")


def cut_for_a_loop(node):
    """The tunnels that this node keeps closed because of one, not only until all agree."""
    return {row["name"] for row in node.status()["tunnels"]
            if row["state"] == "blocked" or (row["state"], row["reason"]) == ("standby", "foreign")}


def test_loop_of_two_tunnels_and_two_guests(lab):
    """No path joins the two ends of either tunnel, yet all four bridges make a ring: either probes
    between the bridges of one host are heard in time, or what travels round it finds it."""
    pair = Pair(lab)
    hosts = [node.host for node in pair.nodes]
    for node, host in zip(pair.nodes, hosts):
        host.bridge("br-two")
        node.tunnel("two", next(iter(node.peers)), "br-two")
    pair.start()
    for node in pair.nodes:
        node.wait_state("forwarding", "two")
    with Flood(pair.guests, rate=500, verify=False) as flood:
        for host in hosts:
            veth(host, "w-sv", host, "w-two")
            host.ip("link set w-sv master br-sv", "link set w-two master br-two")
        joined = time.monotonic()
        wait_for(lambda: any(map(cut_for_a_loop, pair.nodes)), 5,
                 lambda: f"not cut: {[node.status()['tunnels'] for node in pair.nodes]}")
        cut = time.monotonic()
        time.sleep(1)  # how long it must stay cut
        closed = [cut_for_a_loop(node) for node in pair.nodes]
    print(f"two tunnels: seen as cut {(cut - joined) * 1000:.0f} ms after it was closed,"
          f" then {closed}")
    assert any(closed), closed
    assert not [frame for frame, _ in flood.duplicates if frame.time > cut], flood.summary()
    foreign.assert_cut_in_time(flood, "two tunnels")
