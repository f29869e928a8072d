"""Paths between two bridges that are not ours: what the guards have to find.

Each joins br-sv of two hosts by plug() and parts them by unplug(), as often as wanted; a cable and a
guest can also join other bridges, two of one host too. make() chooses by name. `ports` are
the names of the ports by which the bridges of the left and of the right host get at it, `owners()`
what a daemon says of who holds them. lay() and join() are plug() in two steps: all but the last,
and that one.
"""
import itertools

import vtun
from lab import need, skip, veth
from vtun import TAP, Vtun

BRIDGE = "br-sv"
CUT_S = 1.0  # from the first duplicate to the last; the goal is 0.03
# What the policer leaves of a loop in that time (burst, then rate), each way, seen at both ends.
CUT_COPIES = 2 * 2 * (1000 + int(4000 * CUT_S))


class Cable:
    """A wire. `only` ("to-left" or "to-right") lets nothing pass the other way."""

    def __init__(self, lab, wan, left, right, only=None, bridges=(BRIDGE, BRIDGE)):
        del lab, wan  # the other kinds need them
        self._hosts = (left, right)
        self._bridges = bridges
        self._only = only
        self.ports = ("cable", "cable" if left is not right else "cable2")

    def lay(self):
        """All but the last step of plug(): the left end is in, the right one not yet."""
        left, right = self._hosts
        veth(left, self.ports[0], right, self.ports[1])
        if self._only:
            self._drop_at(left if self._only == "to-right" else right)
        left.ip(f"link set cable master {self._bridges[0]}")

    @staticmethod
    def _drop_at(host):
        host.nft("table netdev oneway { chain in {\n"
                 "type filter hook ingress device cable priority 0; drop\n}\n}\n")

    def plug(self):
        self.lay()
        self.join()

    def join(self):
        self._hosts[1].ip(f"link set {self.ports[1]} master {self._bridges[1]}")

    def unplug(self, how="link del cable"):
        self._hosts[0].ip(how)

    def owners(self):
        return ("", "")


class GuestBridge:
    """A guest with a network card in each bridge, and a bridge of its own over both."""

    def __init__(self, lab, wan, left, right, bridges=(BRIDGE, BRIDGE)):
        del wan
        self.ports = ("v-mole0", "v-mole1")
        self._ns = lab.netns("mole")
        self._ns.ip("link add name inside type bridge stp_state 0 forward_delay 0",
                    "link set inside up")
        for number, host in enumerate((left, right)):
            port = self.ports[number]
            host.ip(f"link add name {port} type veth peer name eth{number} netns {self._ns.path}",
                    f"link set {port} master {bridges[number]} up")
            self._ns.ip(f"link set eth{number} up")

    def lay(self):
        self._ns.ip("link set eth0 master inside")

    def plug(self):
        self.lay()
        self.join()

    def join(self):
        self._ns.ip("link set eth1 master inside")

    def unplug(self):
        self._ns.ip("link set eth1 nomaster")

    def owners(self):
        return ("", "")


class VtunPath:
    """vtund of the distribution, a TAP in each bridge."""

    ports = (TAP, TAP)

    def __init__(self, lab, wan, left, right):
        self._vtun = Vtun(lab, wan, left, right, BRIDGE)

    def lay(self):
        self._vtun.make_taps()

    def plug(self):
        self._vtun.start()

    def join(self):
        self._vtun.begin()

    def unplug(self):
        self._vtun.stop()

    def owners(self):
        return tuple(f"vtund pid {pid}" for pid in self._vtun.pids())


class VxlanPath:
    """The kernel's own tunnel: no program holds it."""

    _ids = itertools.count(7)

    def __init__(self, lab, wan, left, right):
        del lab
        self._hosts = (left, right)
        number = next(self._ids)
        self.ports = (f"vx{number}", f"vx{number}")
        for host, other in ((left, right), (right, left)):
            host.ip(f"link add name vx{number} type vxlan id {number} dstport 4789"
                    f" local {wan.address(host)} remote {wan.address(other)}",
                    f"link set vx{number} up")

    def lay(self):
        self._hosts[0].ip(f"link set {self.ports[0]} master {BRIDGE}")

    def plug(self):
        self.lay()
        self.join()

    def join(self):
        self._hosts[1].ip(f"link set {self.ports[1]} master {BRIDGE}")

    def unplug(self):
        self._hosts[1].ip(f"link set {self.ports[1]} nomaster")

    def owners(self):
        return ("", "")


def make(kind, lab, wan, left, right):
    """A path of this kind; skips the test when it cannot be had."""
    if kind == "vtun" and (reason := vtun.why_not()):
        skip(reason)
    if kind == "vxlan":
        need("vxlan")
    if kind.startswith("to-"):
        need("netdev-nft")
        return Cable(lab, wan, left, right, only=kind)
    kinds = {"cable": Cable, "guest": GuestBridge, "vtun": VtunPath, "vxlan": VxlanPath}
    return kinds[kind](lab, wan, left, right)


class Damage:
    """What a flood oracle counted too often, and for how long."""

    def __init__(self, flood):
        found = flood.duplicates
        times = [frame.time for frame, _ in found]
        self.frames = len({(frame.sender, frame.number) for frame, _ in found})
        self.copies = sum(frame.counts[receiver] - frame.expected(receiver)
                          for frame, receiver in found)
        self.seconds = max(times) - min(times) if times else 0.0

    def __str__(self):
        return (f"{self.frames} frames came {self.copies} times too often; from the first of them"
                f" to the last {self.seconds * 1000:.0f} ms")


def assert_cut_in_time(flood, what):
    """Prints what a loop of others did, and compares it with what the guards promise."""
    damage = Damage(flood)
    print(f"{what}: {damage}")
    assert damage.seconds <= CUT_S, f"{what}: {damage}\n{flood.summary()}"
    # The more segments, the more of them see the same copy.
    seen_by = max(1, len(flood.names) // 2)
    assert damage.copies <= CUT_COPIES * seen_by, f"{what}: {damage}\n{flood.summary()}"
