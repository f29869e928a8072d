"""Unicast frames to addresses that the bridge does not know: it floods them, so they are policed as
broadcasts are. Those to known addresses are nobody's business, also while others flood."""
import json
import time

import pytest

from blast import Blast
from frames import BROADCAST, ETH_P_TEST, Port, ethernet, mac_bytes
from lab import alone, need, plain_only, wait_for
from node import Pair
from traffic import assert_pings, ping, pinging

UNKNOWN = bytes.fromhex("02dead00beef")  # nobody's address
BLAST_RATE = 200_000
BLAST_LEAST = 15_000  # several times what the policer lets pass
BLAST_S = 3
LOSS_MAX = 0.03  # a busy machine loses some; the policer would take nearly all
POLICER_BURST = 1000
REPEATS = 20  # of one flooded frame in 100 ms are a storm
FLOWS = 30


def policed(node):
    return node.tunnel_status()["drops"]["policer"]


def mirror(node):
    return node.bridge_status()["learnt"]


def wait_calm(pair):
    """The stricter first two seconds are over, and the mirrors say what the bridges do."""
    time.sleep(2)
    for node in pair.nodes:
        wait_for(lambda node=node: mirror(node)["reliable"], 2, lambda node=node: mirror(node))


def numbered(port, number, destination=UNKNOWN):
    return ethernet(destination, port.mac, ETH_P_TEST, b"unicast%09d" % number + bytes(32))


class Sink:
    """Counts the test's frames to this address that a guest's wire sees."""

    def __init__(self, guest, destination=UNKNOWN):
        self._port = Port(guest, "eth0", ETH_P_TEST)
        self._destination = destination

    def count(self, quiet=0.3):
        found = 0
        while self._port.wait_for(lambda frame: frame[:6] == self._destination, quiet):
            found += 1
        return found

    def close(self):
        self._port.sock.close()


@alone("floods")
@plain_only("an amount")
def test_flood_of_unknown_unicasts_is_bounded(lab):
    """A guest floods the tunnel with frames for nobody; others, whose addresses are known, lose
    nothing. (They do where the machine itself is too slow: those drops are counted elsewhere.)"""
    pair = Pair(lab)
    flooder = pair.left.host.guest("flooder", "br-sv")
    pair.start()
    wait_calm(pair)
    assert_pings(pair.guest_left, Pair.RIGHT_IP)
    before = pair.left.tunnel_status()
    with pinging(pair.guest_left, Pair.RIGHT_IP) as results:
        with Blast(flooder, BLAST_RATE, destination=UNKNOWN) as blast:
            time.sleep(BLAST_S)  # how long he floods
            row = pair.left.tunnel_status()
    result = results[0]
    passed = row["tx_frames"] - before["tx_frames"]
    print(f"{blast.rate:.0f} unknown unicasts/s, {passed} passed, policer {row['drops']};"
          f" {result.lost} of {result.sent} pings lost")
    assert blast.rate >= BLAST_LEAST, f"only {blast.rate:.0f}/s"
    assert row["state"] == "forwarding", row
    assert passed <= POLICER_BURST + 4000 * (BLAST_S + 1) + 4 * result.sent
    assert row["drops"]["policer"] > 0
    assert result.lost <= LOSS_MAX * result.sent, result.text[-2000:]


@alone("amounts")
@pytest.mark.parametrize("here", [True, False], ids=["before it is sent", "before it is flooded"])
def test_policed_at_either_end(lab, here):
    """The sender's end knows that nobody is there, or the receiver's end does."""
    rate, seconds = 500, 2
    pair = Pair(lab, policer=rate).start()
    wait_calm(pair)
    if not here:  # it was there once, and the other bridge has forgotten it
        pair.left.host.run("bridge", "fdb", "add", UNKNOWN.hex(":"), "dev", "l2t-sv", "master",
                           "static")
        wait_for(lambda: mirror(pair.left)["addresses"] > 0, 2, "not seen")
        time.sleep(0.1)
    before = [policed(node) for node in pair.nodes]
    sink = Sink(pair.guest_right)
    total = 2000 * seconds
    with Port(pair.guest_left, "eth0", 0) as port:
        start = time.monotonic()
        for number in range(total):
            port.send(numbered(port, number))
            time.sleep(max(0.0, start + number / 2000 - time.monotonic()))
        took = time.monotonic() - start
    arrived = sink.count()
    sink.close()
    drops = [policed(node) - was for node, was in zip(pair.nodes, before)]
    print(f"{arrived} of {total} arrived in {took:.1f} s, policed {drops}")
    assert rate * took * 0.9 <= arrived <= rate * (took + 1) + POLICER_BURST
    assert drops[0 if here else 1] > 0
    assert 0 <= arrived + sum(drops) - total <= 50
    assert pair.left.state() == "forwarding"


def test_same_unknown_frame_again_and_again_is_a_storm(lab):
    pair = Pair(lab).start()
    wait_calm(pair)
    with Port(pair.guest_left, "eth0", 0) as port:
        for _ in range(10 * REPEATS):
            port.send(numbered(port, 1))
    pair.left.wait_state("blocked", reason="storm", timeout=2)


@alone("amounts")
@plain_only("an amount")
def test_bridge_that_learns_nothing(lab):
    """Ageing time 0 makes a hub of it: everything is flooded, and on purpose."""
    pair = Pair(lab)
    for node in pair.nodes:
        node.host.ip("link set br-sv type bridge ageing_time 0")
    pair.start()
    time.sleep(2)
    assert not mirror(pair.left)["reliable"]
    sink = Sink(pair.guest_right)
    with Port(pair.guest_left, "eth0", 0) as port:
        for number in range(8000):
            port.send(numbered(port, number))
            if number % 100 == 99:
                time.sleep(0.01)
    assert sink.count() >= 7900
    sink.close()
    assert [policed(node) for node in pair.nodes] == [0, 0]
    pair.left.host.ip("link set br-sv type bridge ageing_time 30000")
    wait_for(lambda: mirror(pair.left)["reliable"], 2, lambda: mirror(pair.left))


def _udp_flow(pair, number):
    """A flow between two addresses that nobody has heard of: neighbours are set by hand, so no ARP
    tells the bridges where they are. Gives frames sent and received."""
    sender = pair.guest_left.socket(2, 2)  # AF_INET, SOCK_DGRAM
    receiver = pair.guest_right.socket(2, 2)
    with sender, receiver:
        receiver.bind((Pair.RIGHT_IP, 6000 + number))
        receiver.settimeout(0.5)
        for _ in range(50):
            sender.sendto(b"x" * 900, (Pair.RIGHT_IP, 6000 + number))
        got = 0
        try:
            while got < 50:
                receiver.recv(2048)
                got += 1
        except TimeoutError:
            pass
    return 50, got


@plain_only("an amount")
def test_flows_begin_without_loss(lab):
    """Pings and UDP bursts right after each address was forgotten everywhere."""
    pair = Pair(lab).start()
    wait_calm(pair)
    sent = got = 0
    for number in range(FLOWS):
        for node, port in ((pair.left, "v-guest1"), (pair.right, "v-guest2")):
            for name in (port, "l2t-sv"):
                node.host.run("bridge", "link", "set", "dev", name, "learning", "on")
                node.host.ip(f"link set {name} type bridge_slave fdb_flush")
        if number % 2:
            flow = _udp_flow(pair, number)
            sent, got = sent + flow[0], got + flow[1]
        else:
            assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5, interval=0.002)
    print(f"{got} of {sent} datagrams")
    assert got == sent
    assert [policed(node) for node in pair.nodes] == [0, 0]


@alone("floods")
@plain_only("an amount")
def test_iperf3_meets_no_policer(lab):
    need("iperf3")
    pair = Pair(lab).start()
    wait_calm(pair)
    server = pair.guest_right.popen(["iperf3", "-s", "-1"], stdout=-3, stderr=-3)
    try:
        wait_for(lambda: ":5201" in pair.guest_right.run("ss", "-ltn").stdout, 5, "no iperf3")
        result = pair.guest_left.run("iperf3", "-c", Pair.RIGHT_IP, "-t", "3", "-P", "4", "-J",
                                     timeout=30)
    finally:
        server.kill()
        server.wait()
    rate = json.loads(result.stdout)["end"]["sum_received"]["bits_per_second"]
    print(f"{rate / 1e6:.0f} Mbit/s")
    assert rate > 10e6
    assert [policed(node) for node in pair.nodes] == [0, 0]


def test_moves_are_seen(lab):
    """A guest moves: probes are asked for, nothing is blocked."""
    pair = Pair(lab).start()
    wait_calm(pair)
    mac = bytes.fromhex("02aa00000001")
    for guest in (pair.guest_left, pair.guest_right, pair.guest_left):
        with Port(guest, "eth0", 0) as port:
            port.send(ethernet(BROADCAST, mac, ETH_P_TEST, bytes(46)))
        time.sleep(0.1)
    for node in pair.nodes:
        wait_for(lambda node=node: mirror(node)["moves"] >= 1, 2, lambda node=node: mirror(node))
        wait_for(lambda node=node: mirror(node)["bursts"] >= 1, 2, lambda node=node: mirror(node))
    assert mirror(pair.left)["moves"] == 2 and mirror(pair.right)["moves"] == 2
    assert pair.left.state() == "forwarding"
    assert not ping(pair.guest_left, Pair.RIGHT_IP, count=5).lost
    assert mac_bytes("02:aa:00:00:00:01") == mac
