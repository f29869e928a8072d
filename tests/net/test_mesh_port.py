"""Mode mesh: the port is isolated before anything passes, and stays so whatever others do."""
import contextlib
import time

import pytest

from flood import Flood
from lab import plain_only, wait_for
from node import Node, Pair
from traffic import assert_pings

pytestmark = plain_only("its daemon is the same; tests/sim and unit tests run mesh mode under sanitizers")

TAP = "l2t-sv"
EVENT_S = 1.0
BACK_S = 2.0


def isolated(host, port=TAP):
    link = host.link(port)
    return bool(link and link["linkinfo"].get("info_slave_data", {}).get("isolated"))


def switch(host, on, port=TAP):
    """What somebody with bridge(8) does."""
    host.run("bridge", "link", "set", "dev", port, "isolated", "on" if on else "off")


@contextlib.contextmanager
def carrier_only_isolated(host, port=TAP):
    """At no moment of the block does the kernel show the port with carrier and not isolated."""
    monitor = host.popen(["ip", "-o", "-d", "monitor", "link"], stdout=-1, text=True)
    try:
        yield
    finally:
        monitor.terminate()
        text, _ = monitor.communicate(timeout=5)
    shown = [line for line in text.splitlines() if f": {port}: <" in line and " master " in line]
    assert any(" isolated on " in line for line in shown), text
    for line in shown:
        assert "LOWER_UP" not in line or " isolated off " not in line, line


def modes(lab, left, right):
    pair = Pair(lab)
    for node, mode in zip(pair.nodes, (left, right)):
        node.tunnels["sv"]["mode"] = mode
    return pair


def test_isolated_before_anything_passes(lab):
    pair = modes(lab, "mesh", "mesh")
    with carrier_only_isolated(pair.left.host), carrier_only_isolated(pair.right.host):
        pair.start()
        assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)
    for node, guest in zip(pair.nodes, pair.guests):
        assert isolated(node.host)
        assert not isolated(node.host, f"v-{guest.name}")
        assert node.tunnel_status()["mode"] == "mesh"


def test_switched_off_by_hand(lab):
    """Closed at once, isolated again within a second, and soon forwarding again."""
    pair = modes(lab, "mesh", "mesh").start()
    host = pair.left.host
    with Flood(pair.guests, rate=100) as flood:
        with flood.may_lose("isolation off", after=0.05):
            since = time.time()
            switch(host, False)
            wait_for(lambda: isolated(host), EVENT_S, "not isolated again")
            wait_for(lambda: [event for event in pair.left.events(name="sv", since=since)
                              if event["from"] == "forwarding"], EVENT_S, "it was never closed")
            pair.wait_forwarding(BACK_S)
        time.sleep(0.3)  # how long it floods once all is well
    assert "isolation was switched off by another program" in pair.left.log()[1]
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_isolated_again_after_it_was_taken_out(lab):
    pair = modes(lab, "mesh", "mesh").start()
    host = pair.left.host
    host.ip(f"link set {TAP} nomaster")
    pair.left.wait_state("down", reason="port", timeout=EVENT_S)
    pair.wait_forwarding(timeout=6)
    assert isolated(host)


def test_tree_port_that_others_isolate(lab):
    """It goes on forwarding; the isolation is reported and taken away."""
    pair = Pair(lab).start()
    host = pair.left.host
    since = time.time()
    assert not isolated(host)
    switch(host, True)
    wait_for(lambda: not isolated(host), EVENT_S, "still isolated")
    wait_for(lambda: "another program has isolated it" in pair.left.log()[1], EVENT_S, "not told")
    assert not pair.left.events(name="sv", since=since)
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


@pytest.mark.parametrize("left, right", [("mesh", "tree"), ("tree", "mesh")])
def test_other_mode_at_the_other_end(lab, left, right):
    pair = modes(lab, left, right)
    with Flood(pair.guests, rate=100, verify=False) as flood:
        for node in pair.nodes:
            node.start()
        for node, here, there in ((pair.left, left, right), (pair.right, right, left)):
            row = node.wait_state("down", reason="remote")
            assert f"mode is {here} here and {there} at peer" in row["detail"]
            assert f"{node.config_path}:" in row["detail"]
        time.sleep(0.3)  # what would have come through by now
    assert not [frame for frame in flood.frames if sum(frame.counts)], flood.summary()
    pair.right.tunnels["sv"]["mode"] = left
    pair.right.write_config()
    pair.right.ctl("reload")
    pair.wait_forwarding()
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_nothing_passes_from_tunnel_to_tunnel(lab):
    """Three nodes, two tunnels: the one in between talks with both, they not with each other."""
    wan = lab.underlay("wan")
    hosts = [lab.host(f"node{number}") for number in range(3)]
    guests = []
    for number, host in enumerate(hosts):
        wan.attach(host)
        host.bridge("br-sv")
        guests.append(host.guest(f"guest{number}", "br-sv", f"10.9.0.{number + 1}/24"))
    nodes = [Node(host) for host in hosts]
    for number in (1, 2):
        for node, far in ((nodes[0], nodes[number]), (nodes[number], nodes[0])):
            node.peer(far.name, far, address=wan.endpoint(far.host))
            node.tunnel(f"t{number}", far.name, "br-sv", mode="mesh")
    for node in nodes:
        node.start()
    for node, name in ((nodes[0], "t1"), (nodes[0], "t2"), (nodes[1], "t1"), (nodes[2], "t2")):
        node.wait_state("forwarding", name)
    assert_pings(guests[1], "10.9.0.1", count=3)
    assert_pings(guests[2], "10.9.0.1", count=3)
    result = guests[1].run("ping", "-c", "3", "-i", "0.2", "-W", "0.5", "10.9.0.3", check=False)
    assert result.returncode != 0, result.stdout
