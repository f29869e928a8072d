"""Announcements: what is behind an end is made known to the other side's switches by RARP."""
import time

from frames import BROADCAST, ETH_P_TEST, Port, ethernet, mac_bytes
from lab import veth, wait_for
from node import Pair
from traffic import assert_pings

ETH_P_RARP = 0x8035
MANY = 300
PACED_S = 5  # for that many: faster than the policer's early rate would be felt by others
SOON_S = 1.0  # after the gate has opened; addresses are relearned while people still wait


def mac_of(guest):
    return mac_bytes(guest.link("eth0")["address"])


class Announced:
    """The addresses announced on a guest's bridge, in order."""

    def __init__(self, guest):
        self._port = Port(guest, "eth0", ETH_P_RARP)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._port.sock.close()

    def wait(self, mac, timeout):
        """Until this one was announced; gives all until then, or None."""
        found = []

        def matches(frame):
            source = self._check(frame)
            found.append(source)
            return source == mac

        return found if self._port.wait_for(matches, timeout) else None

    @staticmethod
    def _check(frame):
        """A RARP request that says nothing but that its source is here (RFC 903)."""
        source = frame[6:12]
        assert frame[:6] == BROADCAST, frame.hex()
        assert frame[14:22] == bytes.fromhex("0001080006040003"), frame.hex()
        assert frame[22:28] == source and frame[32:38] == source, frame.hex()
        assert frame[28:32] == bytes(4) and frame[38:42] == bytes(4), frame.hex()
        return source

    def rest(self, quiet=0.5):
        """All that come until none has come for `quiet` seconds."""
        found = []
        while (frame := self._port.wait_for(lambda frame: True, quiet)) is not None:
            found.append(self._check(frame))
        return found


def show_up(guest, *macs):
    """A frame from each of these addresses, or from its own, for the bridge to learn."""
    with Port(guest, "eth0", 0) as port:
        for mac in macs or (port.mac,):
            port.send(ethernet(BROADCAST, mac, ETH_P_TEST, bytes(46)))


def learned(host, macs):
    """Whether all these addresses are in the bridge's forwarding table."""
    table = host.run("bridge", "fdb", "show", "br", "br-sv").stdout
    return all(mac.hex(":") in table for mac in macs)


def test_after_a_gate_opens(lab):
    """Both ways, what is local and no more."""
    pair = Pair(lab)
    macs = [mac_of(guest) for guest in pair.guests]
    for node, guest, mac in zip(pair.nodes, pair.guests, macs):
        show_up(guest)
        wait_for(lambda node=node, mac=mac: learned(node.host, [mac]), 2, "not learned")
    with Announced(pair.guest_left) as left, Announced(pair.guest_right) as right:
        pair.start()
        start = time.monotonic()
        heard = [left.wait(macs[1], SOON_S + 1), right.wait(macs[0], SOON_S + 1)]
        assert None not in heard, heard
        assert time.monotonic() - start <= SOON_S
        everything = [heard[0] + left.rest(), heard[1] + right.rest()]
    for all_heard, own in zip(everything, macs):
        assert own not in all_heard, "the other side claims what is here"
        assert len(all_heard) <= 6, [mac.hex(":") for mac in all_heard]


def test_by_hand(shared_pair):
    mac = mac_of(shared_pair.guest_left)
    stranger = bytes.fromhex("02c0ffee0001")
    assert_pings(shared_pair.guest_left, Pair.RIGHT_IP)
    with Announced(shared_pair.guest_right) as right, \
            Announced(shared_pair.guest_left) as left:
        right.rest()
        left.rest()
        shared_pair.left.ctl("announce", "br-sv")
        everything = right.rest()
        assert everything.count(mac) == 1, everything
        assert mac_of(shared_pair.guest_right) not in everything
        shared_pair.left.ctl("announce", "br-sv", "--mac", stranger.hex(":"))
        assert right.rest() == [stranger]
        assert left.rest() == [], "announcements are for the other side"


def test_errors(shared_pair):
    for words in (("announce", "br-none"), ("announce", "br-sv", "--mac", "02:xx"),
                  ("announce", "br-sv", "--mac", "ff:ff:ff:ff:ff:ff"), ("announce",)):
        result = shared_pair.left.ctl(*words, check=False)
        assert result.returncode != 0, words
        assert result.stderr.startswith("bridgectl: ") and result.stderr.count("\n") <= 2, (
            result.stderr)


def test_many_are_paced(shared_pair):
    """All of them arrive; the policer has nothing to do with it."""
    macs = [bytes.fromhex("02aabb00") + number.to_bytes(2, "big") for number in range(MANY)]
    show_up(shared_pair.guest_left, *macs)
    host = shared_pair.left.host
    wait_for(lambda: learned(host, macs), 5, "the bridge does not learn")
    with Announced(shared_pair.guest_right) as right:
        right.rest()
        start = time.monotonic()
        shared_pair.left.ctl("announce", "br-sv")
        heard = right.rest(quiet=1.0)
        took = time.monotonic() - start - 1.0
    assert set(macs) <= set(heard), f"{len(set(macs) - set(heard))} were not announced"
    assert took <= PACED_S
    assert len(heard) <= MANY + 6
    print(f"{len(heard)} announcements in {took:.2f} s")
    assert_pings(shared_pair.guest_left, Pair.RIGHT_IP)


def test_switches_behind_the_other_end_relearn(lab):
    """A switch that looks for an address elsewhere learns at once where it is reached now."""
    pair = Pair(lab)
    roamer = bytes.fromhex("02c0ffee0002")
    switch = lab.host("switch")
    switch.bridge("sw")
    guest = lab.netns("guest3")
    veth(switch, "p0", pair.right.host, "uplink")
    veth(switch, "p1", guest, "eth0")
    switch.ip("link set p0 master sw", "link set p1 master sw")
    pair.right.host.ip("link set uplink master br-sv")
    switch.run("bridge", "fdb", "replace", roamer.hex(":"), "dev", "p1", "master", "dynamic")
    show_up(pair.guest_left, roamer)
    wait_for(lambda: learned(pair.left.host, [roamer]), 2, "not learned")

    def place():
        table = switch.run("bridge", "fdb", "show", "br", "sw").stdout
        return [line.split()[2] for line in table.splitlines() if roamer.hex(":") in line]

    assert place() == ["p1"]
    pair.start()
    wait_for(lambda: place() == ["p0"], SOON_S,
             lambda: f"the switch still looks for it at {place()}")
