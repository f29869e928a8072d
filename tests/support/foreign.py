"""Paths between two bridges that are not ours: what the guards have to find.

Each joins br-sv of two hosts by plug() and parts them by unplug(), as often as wanted. `ports` are
the names of the ports by which the bridges of the left and of the right host get at it, `owners()`
what a daemon says of who holds them. lay() and join() are plug() in two steps: all but the last,
and that one.
"""
from lab import veth
from vtun import TAP, Vtun

BRIDGE = "br-sv"


class Cable:
    """A wire. `only` ("to-left" or "to-right") lets nothing pass the other way."""

    def __init__(self, lab, wan, left, right, only=None):
        del lab, wan  # the other kinds need them
        self._hosts = (left, right)
        self._only = only
        self.ports = ("cable", "cable")

    def lay(self):
        """All but the last step of plug(): the left end is in, the right one not yet."""
        left, right = self._hosts
        veth(left, "cable", right, "cable")
        if self._only:
            self._drop_at(left if self._only == "to-right" else right)
        left.ip(f"link set cable master {BRIDGE}")

    @staticmethod
    def _drop_at(host):
        host.nft("table netdev oneway { chain in {\n"
                 "type filter hook ingress device cable priority 0; drop\n}\n}\n")

    def plug(self):
        self.lay()
        self.join()

    def join(self):
        self._hosts[1].ip(f"link set cable master {BRIDGE}")

    def unplug(self, how="link del cable"):
        self._hosts[0].ip(how)

    def owners(self):
        return ("", "")


class GuestBridge:
    """A guest with a network card in each bridge, and a bridge of its own over both."""

    def __init__(self, lab, wan, left, right):
        del wan
        self.ports = ("v-mole0", "v-mole1")
        self._ns = lab.netns("mole")
        self._ns.ip("link add name inside type bridge stp_state 0 forward_delay 0",
                    "link set inside up")
        for number, host in enumerate((left, right)):
            port = self.ports[number]
            host.ip(f"link add name {port} type veth peer name eth{number} netns {self._ns.path}",
                    f"link set {port} master {BRIDGE} up")
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
