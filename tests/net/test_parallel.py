"""Two tunnels between the same two bridges: one forwards, the other stands by; never a loop."""
import time

import pytest

from flood import Flood
from lab import variants, wait_for
from node import L2TUND, Node
from traffic import assert_pings

TAKEOVER_S = 2.5
TAKEOVER_GRACEFUL_S = 0.3


class Parallel:
    """Two hosts with several underlays, and over each a tunnel between the same bridges."""

    def __init__(self, lab, ways=2, **options):
        self.wans = [lab.underlay(f"wan{way}") for way in range(ways)]
        hosts = [lab.host("kvm1"), lab.host("xen1")]
        for host in hosts:
            for wan in self.wans:
                wan.attach(host)
            host.bridge("br-sv")
        self.left, self.right = self.nodes = [Node(host) for host in hosts]
        self.guests = [host.guest(f"guest{number}", "br-sv", f"10.9.0.{number}/24")
                       for number, host in enumerate(hosts, 1)]
        for node, other in (self.nodes, reversed(self.nodes)):
            for number, wan in enumerate(self.wans):
                node.peer(f"p{number}", other, address=wan.endpoint(other.host))
                node.tunnel(f"sv{number}", f"p{number}", "br-sv", **options)

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        return self.wait_settled()

    def states(self, node):
        return {row["name"]: (row["state"], row["reason"]) for row in node.status()["tunnels"]}

    def settled(self):
        """The number of the tunnel that forwards at both ends while the others that are there
        stand by, as a text; None when it is not so."""
        found = []
        for node in self.nodes:
            states = self.states(node)
            forwarding = [name for name, state in states.items() if state == ("forwarding", "")]
            idle = [state for name, state in states.items() if name not in forwarding]
            allowed = {("standby", "parallel"), ("down", "admin"), ("down", "remote")}
            if len(forwarding) != 1 or not allowed.issuperset(idle):
                return None
            found += forwarding
        return found[0].removeprefix("sv") if found[0] == found[1] else None

    def wait_settled(self, timeout=10):
        for node in self.nodes:
            wait_for(node.answers, timeout, f"{node.name} does not answer")
        return int(wait_for(self.settled, timeout,
                            lambda: f"not settled: {[self.states(node) for node in self.nodes]}"))


def test_one_forwards_from_the_first_moment(lab):
    """Watched from before the start: no frame ever comes twice."""
    pair = Parallel(lab)
    with Flood(pair.guests, rate=500, verify=False) as flood:
        active = pair.start()
        since = time.monotonic()
        time.sleep(0.5)  # how long it floods once all is well
    assert not flood.duplicates, flood.summary()
    assert not [frame for frame, _ in flood.losses() if frame.time > since], flood.summary()
    assert_pings(pair.guests[0], "10.9.0.2")
    for node in pair.nodes:
        standby = node.tunnel_status(f"sv{1 - active}")
        assert f"sv{active}" in standby["detail"], standby
        node.wait_healthy()


def test_cut_and_heal(lab):
    pair = Parallel(lab)
    with Flood(pair.guests, rate=300, verify=False) as flood:
        active = pair.start()
        settled = time.monotonic()
        for _ in range(2):
            pair.wans[active].cut(pair.right.host)
            for node in pair.nodes:
                node.wait_state("forwarding", f"sv{1 - active}", timeout=TAKEOVER_S + 1)
            time.sleep(0.2)  # how long it floods over the second way
            pair.wans[active].heal(pair.right.host)
            for node in pair.nodes:
                node.wait_state("standby", f"sv{active}", reason="parallel")
            # The one that took over goes on: a change of way costs frames.
            assert pair.wait_settled() == 1 - active
            time.sleep(0.2)  # how long it floods with both ways there
            active = 1 - active
    assert not flood.duplicates, flood.summary()
    outages = flood.outages(since=settled)
    assert outages and max(outages.values()) <= TAKEOVER_S, outages
    assert_pings(pair.guests[0], "10.9.0.2")


def test_switched_off_and_on(lab):
    """`bridgectl tunnel down`: the other one takes over at once."""
    pair = Parallel(lab)
    with Flood(pair.guests, rate=300, verify=False) as flood:
        active = pair.start()
        settled = time.monotonic()
        pair.left.ctl("tunnel", "down", f"sv{active}")
        for node in pair.nodes:
            node.wait_state("forwarding", f"sv{1 - active}", timeout=2)
        pair.left.wait_state("down", f"sv{active}", reason="admin")
        time.sleep(0.2)  # how long it floods over the second way
        pair.left.ctl("tunnel", "up", f"sv{active}")
        for node in pair.nodes:
            node.wait_state("standby", f"sv{active}", reason="parallel")
        assert pair.wait_settled() == 1 - active
        time.sleep(0.2)  # and with both ways there
    assert not flood.duplicates, flood.summary()
    outages = flood.outages(since=settled)
    assert max(outages.values(), default=0) <= TAKEOVER_GRACEFUL_S, outages


@pytest.mark.parametrize("best", [0, *variants(1, 2)])
def test_priority_decides(lab, best):
    """Of several that could take over, the one with the lowest number does."""
    pair = Parallel(lab, ways=3)
    for node in pair.nodes:
        for way in range(3):
            node.tunnels[f"sv{way}"]["priority"] = 10 if way == best else 100
    with Flood(pair.guests, rate=200, verify=False) as flood:
        active = pair.start()
        # The one that forwards stays, so it is taken away until the best one has its turn.
        for _ in range(2):
            if active == best:
                break
            pair.left.ctl("tunnel", "down", f"sv{active}")
            active = pair.wait_settled()
            assert active == best
    assert not flood.duplicates, flood.summary()


@pytest.mark.parametrize("victim", [0, *variants(1)])
def test_one_end_restarts(lab, victim):
    pair = Parallel(lab)
    with Flood(pair.guests, rate=300, verify=False) as flood:
        pair.start()
        node = pair.nodes[victim]
        for end in (node.kill, node.stop):
            end()
            node.start()
            pair.wait_settled()
        since = time.monotonic()
        time.sleep(0.3)  # how long it floods once all is well
    assert not flood.duplicates, flood.summary()
    assert not [frame for frame, _ in flood.losses() if frame.time > since], flood.summary()


def test_frozen_end(lab):
    """An end that sleeps through a takeover finds its gate closed when it wakes."""
    pair = Parallel(lab)
    with Flood(pair.guests, rate=200, verify=False) as flood:
        active = pair.start()
        with pair.right.stopped():
            pair.wans[active].cut(pair.right.host)
            wait_for(lambda: {state for state, _ in pair.states(pair.left).values()}
                     <= {"handshake", "down"}, 5, "the left end did not notice")
        for node in pair.nodes:
            node.wait_state("forwarding", f"sv{1 - active}")
        pair.wans[active].heal(pair.right.host)
        pair.wait_settled()
    assert not flood.duplicates, flood.summary()


def test_same_pair_of_bridges_twice_over_one_peer_is_refused(lab):
    """Two tunnels with the same peer and bridges: an error of the configuration."""
    pair = Parallel(lab)
    pair.left.tunnel("again", "p0", "br-sv")
    pair.left.write_config()
    result = pair.left.host.run(L2TUND, "-t", "-c", str(pair.left.config_path), check=False)
    assert result.returncode != 0
    assert "tunnel again: joins the same two bridges" in result.stderr, result.stderr
