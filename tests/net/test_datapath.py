"""What goes in comes out: payload end to end through a bad underlay, with the data path's switches in
every position."""
import pytest

import switches
from lab import LONG, need, plain_card, plain_only, wait_for
from node import Pair
from traffic import Datagrams, ping, tcp_both_ways

FACTORS = {"mode": switches.MODES, "mtu": (1500, 9000), "family": (4, 6),
           "guest": ("offloads", "plain"), "workers": (1, 2)}
PAIRWISE = switches.pairwise(FACTORS)
SMALL = 3  # rows that a sanitizer build sees: all on, all off, and a mix
WEATHER_S = 0.002  # how late a reordered datagram comes: behind some dozens of others
TCP_BYTES = 2 << 20
DATAGRAMS = 600
RESENT_MAX = 3
ARRIVE_S = 5  # until guests have found each other


def _all_rows():
    """Every combination at either end, never the same one at both."""
    combinations = switches.every_combination()
    rng = switches.random.Random(2)
    for left, right in zip(combinations, combinations[37:] + combinations[:37]):
        yield {**switches.draw(rng, FACTORS), "left": left, "right": right}


def rows():
    """Parameters: those of the covering array, and with NET_LONG=1 all others."""
    found = [*PAIRWISE, *_all_rows()] if LONG else PAIRWISE
    return [pytest.param(row, id=switches.name_of(row),
                         marks=[plain_only()] if index >= SMALL else [])
            for index, row in enumerate(found)]


def address_of(row, side):
    return {("left", 4): Pair.LEFT_IP, ("left", 6): Pair.LEFT_IP6,
            ("right", 4): Pair.RIGHT_IP, ("right", 6): Pair.RIGHT_IP6}[side, row["family"]]


def udp_both_ways(pair, row, count, copies, least):
    """Numbered datagrams from left to right, then back; the shares that arrived."""
    headers = 28 if row["family"] == 4 else 48
    shares = []
    for way, far in ((pair.guests, "right"), (pair.guests[::-1], "left")):
        with Datagrams(*way, address_of(row, far), row["mtu"] - headers) as datagrams:
            datagrams.send(count)
            if least == 1:
                datagrams.send_missing(RESENT_MAX)
            datagrams.check(copies, least)
            shares.append(datagrams.share)
    return shares


@pytest.mark.parametrize("row", rows())
def test_switches(lab, row):
    """Through a relay, first as it is, then with 5 % of the datagrams lost, 5 % doubled and 10 %
    late: TCP by its hash, UDP datagram by datagram, both ways."""
    print(row)
    pair, relay = Pair.relayed(lab, mtu=row["mtu"], data=[row["mode"]])
    pair.left.offload = switches.section(row["left"])
    pair.right.offload = switches.section(row["right"])
    for node in pair.nodes:
        node.options["workers"] = row["workers"]
    if row["guest"] == "plain":
        need("ethtool")
        for guest in pair.guests:
            plain_card(guest)
    pair.start()
    address = address_of(row, "right")
    wait_for(lambda: not ping(pair.guest_left, address, count=3).lost, ARRIVE_S, "no pings")
    udp_both_ways(pair, row, DATAGRAMS // 2, copies=1, least=1)
    tcp_both_ways(*pair.guests, address, size=TCP_BYTES)
    relay.reorder_s = WEATHER_S
    relay.loss, relay.duplicate, relay.reorder = 0.05, 0.05, 0.1
    # Mode none has no counter: what the wire doubles arrives twice. A frame of 9000 needs seven
    # datagrams, and 70 % of such get through whole.
    shares = udp_both_ways(pair, row, DATAGRAMS, 2 if row["mode"] == "none" else 1, 0.6)
    assert max(shares) < 1, "the loss was not real"
    rates = tcp_both_ways(*pair.guests, address, size=TCP_BYTES, timeout=60)
    print(f"with loss: {rates[0]:.1f} and {rates[1]:.1f} Mbit/s")
    for node in pair.nodes:
        assert node.state() == "forwarding"
