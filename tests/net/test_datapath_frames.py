"""Frames of every size, byte for byte, and full-size ones that routers must not fragment."""
import random
import select

import pytest

from frames import ETH_P_8021Q, ETH_P_TEST, Port, ethernet, no_fragments
from lab import SHORT, need, plain_only, variants
from node import Pair
from traffic import assert_pings, tcp_both_ways

MTU = 9000
SMALLEST, LARGEST, HEADER, TAG = 60, 9018, 14, 4
WINDOW = 24  # frames on their way in each direction
STEP = 37 if SHORT else 1  # a prime: all remainders come up


class Stream:
    """Frames of our own ethertype from one guest to the other, at most WINDOW of them not yet
    arrived; each has to arrive once and as it was, in whatever order."""

    def __init__(self, sender, receiver, seed):
        self._out = Port(sender, "eth0", 0)
        self._in = Port(receiver, "eth0")
        self._noise = random.Random(seed).randbytes(2 * LARGEST)
        self._waiting = {}  # number -> frame
        self._done = set()
        self.wrong = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._out.sock.close()
        self._in.sock.close()

    def frame(self, number, size, vlans):
        """Numbered, and different from the others of the same size."""
        body = size - HEADER - TAG * len(vlans)
        start = number % LARGEST
        content = (b"size%08d" % number + self._noise[start:start + body])[:body]
        return ethernet(self._in.mac, self._out.mac, ETH_P_TEST, content, vlans)

    def send(self, number, size, vlans):
        frame = self._waiting[number] = self.frame(number, size, vlans)
        self._out.send(frame)

    @property
    def room(self):
        return len(self._waiting) < WINDOW

    @property
    def idle(self):
        return not self._waiting

    @property
    def sockets(self):
        return [self._in.sock]

    def receive(self):
        """Takes in what has arrived."""
        while (frame := self._in.receive()) is not None:
            at = HEADER
            while frame[at - 2:at] == b"\x81\x00":
                at += TAG
            if frame[at - 2:at] != ETH_P_TEST.to_bytes(2, "big"):
                continue  # of the guests' own making
            number = int(frame[at + 4:at + 12])
            if number in self._done:
                self.wrong.append(f"frame {number} came twice")
            elif frame != self._waiting.pop(number, None):
                self.wrong.append(f"frame {number} of {len(frame)} bytes was changed")
            self._done.add(number)

    def missing(self):
        return [(number, len(frame)) for number, frame in self._waiting.items()]


def every_size(streams, tags):
    """Sends each size in all streams at once, as fast as they arrive."""
    vlans = [(ETH_P_8021Q, 0x2000 + tag) for tag in range(5, 5 + tags)]
    sizes = list(range(SMALLEST, HEADER + MTU + TAG * min(tags, 1) + 1, STEP))
    sizes += [] if sizes[-1] >= HEADER + MTU else [HEADER + MTU]
    # Neighbours in time differ in size, so that they are packed and cut in many ways.
    random.Random(tags).shuffle(sizes)
    for number, size in enumerate(sizes):
        wait_room(streams, lambda stream: stream.room)
        for stream in streams:
            stream.send(number, size, vlans)
    wait_room(streams, lambda stream: stream.idle)


def wait_room(streams, enough):
    while not all(enough(stream) for stream in streams):
        socks = [sock for stream in streams for sock in stream.sockets]
        ready = select.select(socks, [], [], 5)[0]
        assert ready, f"lost (number, size): {[stream.missing() for stream in streams]}"
        for stream in streams:
            stream.receive()
            assert not stream.wrong, stream.wrong


@pytest.mark.parametrize("tags", [0, 1, *variants(2)])
@pytest.mark.parametrize("underlay, mode, workers", [
    (1500, "aead", 1),
    pytest.param(1500, "none", 2, marks=plain_only()),
    pytest.param(9000, "aead", 2, marks=plain_only()),
    pytest.param(9000, "none", 1, marks=plain_only())])
def test_every_size(lab, underlay, mode, workers, tags):
    """Nothing lost, nothing doubled, nothing changed, from 60 bytes to the MTU and its tag."""
    pair = Pair(lab, mtu=MTU, underlay_mtu=underlay, data=[mode])
    for node in pair.nodes:
        node.options["workers"] = workers
    pair.start()
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=3)
    left, right = pair.guests
    with Stream(left, right, 1) as there, Stream(right, left, 2) as back:
        every_size([there, back], tags)


def outer_fragments(host):
    """What a host's IP layers have made or put together of pieces, by /proc/net."""
    with host.entered(), open("/proc/thread-self/net/snmp", encoding="ascii") as snmp:
        names, values = [line.split()[1:] for line in snmp if line.startswith("Ip:")]
    counts = dict(zip(names, map(int, values)))
    with host.entered(), open("/proc/thread-self/net/snmp6", encoding="ascii") as snmp:
        counts.update((name, int(value)) for name, value in map(str.split, snmp))
    return {name: count for name, count in counts.items()
            if name in ("FragCreates", "ReasmReqds", "Ip6FragCreates", "Ip6ReasmReqds") and count}


@pytest.mark.parametrize("mtu, underlay, family", [
    (1500, 1500, 4),
    pytest.param(1500, 1500, 6, marks=plain_only()),
    pytest.param(9000, 1500, 4, marks=plain_only()),
    pytest.param(9000, 9000, 6, marks=plain_only()),
    pytest.param(1500, 1280, 4, marks=plain_only())])
def test_full_size_with_df(lab, mtu, underlay, family):
    """Full-size frames with Don't Fragment pass, alone and in a TCP flow, and what carries them is
    never fragmented."""
    if family == 6:
        need("ipv6")
    pair = Pair(lab, mtu=mtu, underlay_mtu=underlay, family=family).start()
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=2)
    hosts = [node.host for node in pair.nodes]
    with no_fragments(pair.wan, *hosts):
        for guest, address, headers in ((pair.guest_left, Pair.RIGHT_IP, 28),
                                        (pair.guest_right, Pair.LEFT_IP, 28),
                                        (pair.guest_left, Pair.RIGHT_IP6, 48)):
            assert_pings(guest, address, count=10, size=mtu - headers, options=["-M", "do"])
        tcp_both_ways(*pair.guests, Pair.RIGHT_IP)
        tcp_both_ways(*pair.guests, Pair.RIGHT_IP6)
    assert [outer_fragments(host) for host in hosts] == [{}, {}]
