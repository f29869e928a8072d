"""Super-frames of every type, the frames that they consist of, and headers that lie: what arrives is the
same traffic, however kernels and daemons have cut and joined it."""
import collections
import dataclasses
import random
import select
import time

import pytest

import gso
from frames import ETH_P_8021AD, ETH_P_8021Q
from gso import ACK, CWR, ECE, FIN, NEEDS_CSUM, PSH, Judge, Train, Vnet, VnetPort
from lab import need, plain_card, plain_only
from node import Pair
from traffic import assert_pings, tcp_both_ways

TAG, OUTER = (ETH_P_8021Q, 0x6005), (ETH_P_8021AD, 7)
PAD = bytes((1, 4, 0, 0, 0, 0))  # an option of IPv6 that fills a header of 8 bytes
HOP, DEST = (gso.HOP_BY_HOP, PAD), (gso.DESTINATION, PAD + bytes((1, 6)) + bytes(6))
STAMPS = bytes.fromhex("0101080a0000100000002000")
ROUTER_ALERT = bytes.fromhex("94040000")
ECT = 2
ARRIVE_S = 5.0

V4 = {
    "plain": {},
    "end": {"flags": FIN | PSH | ACK},
    "cwr": {"flags": CWR | ACK, "tos": ECT},
    "ece": {"flags": ECE | PSH | ACK, "tos": ECT},
    "stamps": {"l4_options": STAMPS},
    "options": {"options": ROUTER_ALERT * 2},
    "may-fragment": {"dont_fragment": False},
    "tagged": {"vlans": (TAG,)},
    "qinq": {"vlans": (OUTER, TAG), "l4_options": STAMPS},
    "wraps": {"seq": 0xffffffff - 9000},
}
V6 = {
    "plain": {},
    "end": {"flags": FIN | PSH | ACK},
    "cwr": {"flags": CWR | ACK, "tos": ECT},
    "stamps": {"l4_options": STAMPS},
    "hop-by-hop": {"extensions": (HOP,)},
    "extensions": {"extensions": (HOP, DEST)},
    "tagged": {"vlans": (TAG,), "l4_options": STAMPS},
    "tagged-extensions": {"vlans": (TAG,), "extensions": (DEST,)},
}
UDP = {"plain", "options", "may-fragment", "tagged", "qinq", "hop-by-hop", "extensions",
       "tagged-extensions"}


def kinds(mtu):
    """(name, Train without addresses) of everything that a guest with this MTU may send."""
    for v6, table in ((False, V4), (True, V6)):
        for name, options in table.items():
            for proto in (gso.TCP, gso.UDP):
                if proto == gso.UDP:
                    if name not in UDP:
                        continue
                    options = {k: v for k, v in options.items() if k != "l4_options"}
                    length = 31_000
                else:
                    length = 60_000
                train = Train(b"", b"", gso.payload(length), proto=proto, v6=v6, **options)
                for size in (room(train, mtu), 536):
                    if name == "plain" or size != 536:
                        text = f"{'udp' if proto == gso.UDP else 'tcp'}{6 if v6 else 4}"
                        yield f"{text} {name} {size}", dataclasses.replace(
                            train, size=size, payload=train.payload[:size * 40 + 7])


def room(train, mtu):
    """The largest segment's payload."""
    empty = dataclasses.replace(train, dst=bytes(6), src=bytes(6), payload=b"", size=0).build()[1]
    tags = 4 * len(train.vlans)
    # A link lets a frame be longer than its MTU by a tag of 802.1Q, not by one of 802.1ad.
    free = 0 if len(train.vlans) > 1 else tags
    return mtu - (len(empty) - 14 - free)


class Line:
    """The way from one guest to the other; each train that is sent gets a port of its own."""

    def __init__(self, sender, receiver):
        self._out = VnetPort(sender)
        self._in = VnetPort(receiver)
        self._port = 40000

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._out.sock.close()
        self._in.sock.close()

    def address(self, train):
        """The same train on this line, and in a flow of its own."""
        self._port += 1
        return dataclasses.replace(train, dst=self._in.mac, src=self._out.mac, port=self._port)

    def send(self, train):
        vnet, frame = train.build()
        self._out.send(frame, vnet)

    def send_raw(self, frame, vnet):
        self._out.send(frame, vnet)

    def frames(self, timeout=ARRIVE_S):
        """Everything that arrives for so long."""
        end = time.monotonic() + timeout
        while select.select([self._in.sock], [], [], max(0, end - time.monotonic()))[0]:
            while (found := self._in.receive()) is not None:
                yield found

    def judge(self, train, segments=None):
        judge = Judge(train, segments)
        for vnet, frame in self.frames():
            judge.take(vnet, frame)
            if judge.complete:
                break
        judge.finish()
        return judge

    def carry(self, train, form):
        """Sends the train in one of its forms, and judges what becomes of it."""
        train = self.address(train)
        if form == "super":
            self.send(train)
            return self.judge(train)
        segments = [dataclasses.replace(segment, partial=form == "partial")
                    for segment in train.segments()]
        return self.carry_segments(train, segments)

    def carry_segments(self, train, segments):
        for segment in segments:
            self.send(segment)
        return self.judge(train, segments)


def carry_all(line, mtu, forms):
    """Every kind in every form; tells of all that went wrong."""
    wrong, supers, count = [], 0, 0
    for name, train in kinds(mtu):
        for form in forms:
            try:
                supers += bool(line.carry(train, form).supers)
                count += 1
            except gso.Wrong as error:
                wrong.append(f"{name}, {form}: {error}")
            except OSError as error:  # this kernel does not take it from us
                print(f"{name}, {form}: {error}")
    print(f"{count} trains carried, {supers} of them arrived as super-frames")
    assert not wrong, f"{len(wrong)} of {count + len(wrong)}:\n" + "\n".join(wrong)
    assert count


@pytest.mark.parametrize("guest", ["offloads", "plain"])
@pytest.mark.parametrize("mtu, underlay, mode, workers", [
    (1500, 1500, "aead", 1),
    pytest.param(1500, 1500, "none", 2, marks=plain_only()),
    (9000, 1500, "none", 1),
    pytest.param(9000, 9000, "auth", 1, marks=plain_only()),
    pytest.param(1500, 9000, "aead", 2, marks=plain_only())])
def test_every_type(lab, mtu, underlay, mode, workers, guest):
    """TCP and UDP over IPv4 and IPv6, with tags, options, extension headers, CWR, PSH and FIN: as
    super-frames, as segments whose checksum is unfinished, and as finished ones."""
    pair = Pair(lab, mtu=mtu, underlay_mtu=underlay, data=[mode])
    for node in pair.nodes:
        node.options["workers"] = workers
    if guest == "plain":
        need("ethtool")
        for each in pair.guests:
            plain_card(each)
    pair.start()
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=3)
    with Line(*pair.guests) as line:
        carry_all(line, mtu, ("super", "partial", "finished"))


def differing(train, rng):
    """Its segments, some with other headers than the one before."""
    now = {}
    for segment in train.segments():
        if rng.random() < 0.4:
            now[rng.choice(("tos", "hops", "ack", "window"))] = rng.randrange(4, 60)
        flags = segment.flags
        if rng.random() < 0.2:
            flags |= rng.choice((PSH, CWR, ECE))
        if train.l4_options and rng.random() < 0.2:
            now["l4_options"] = train.l4_options[:-1] + rng.randbytes(1)
        yield dataclasses.replace(segment, **{**now, "flags": flags},
                                  partial=rng.random() < 0.3)


@pytest.mark.parametrize("mtu", [1500, 9000])
def test_segments_that_differ(lab, mtu):
    """Segments of one flow with other windows, acknowledgments, TOS, hop limits, time stamps, flags:
    each byte arrives with its own headers."""
    pair = Pair(lab, mtu=mtu).start()
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=3)
    rng = random.Random(mtu)
    supers = 0
    with Line(*pair.guests) as line:
        for _, train in kinds(mtu):
            train = line.address(train)
            supers += line.carry_segments(train, list(differing(train, rng))).supers
    print(f"{supers} super-frames")


def damaged(train, rng):
    """A segment with one bit of its payload wrong; its checksum says so."""
    _, frame = train.build()
    frame = bytearray(frame)
    frame[-1 - rng.randrange(len(train.payload))] ^= 1 << rng.randrange(8)
    return bytes(frame)


@pytest.mark.parametrize("mtu", [1500, 9000])
def test_wrong_checksums_stay_wrong(lab, mtu):
    """Among good segments of a flow are damaged ones: nobody may give them a good checksum by
    cutting, joining or finishing them. They arrive as they are."""
    pair = Pair(lab, mtu=mtu).start()
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=3)
    rng = random.Random(3)
    with Line(*pair.guests) as line:
        for name, train in kinds(mtu):
            train = line.address(train)
            bad = collections.Counter()
            for number, segment in enumerate(train.segments()):
                if number % 3 == 1:
                    frame = damaged(segment, rng)
                    bad[frame] += 1
                    line.send_raw(frame, Vnet())
                else:
                    line.send(segment)
            expect_damaged(line, name, train, bad)


def expect_damaged(line, name, train, bad):
    for vnet, frame in line.frames():
        packet = gso.parse(frame)
        if packet is None or packet.port != train.port or frame[6:12] != train.src:
            continue
        if bad[frame]:
            assert not vnet.flags & NEEDS_CSUM and not vnet.gso_type, (name, vnet)
            bad[frame] -= 1
            if not +bad:
                return
        else:
            assert gso.checksum_good(packet, vnet), f"{name}: changed, and still damaged"
            assert packet.payload in train.payload, f"{name}: damaged, with a good checksum"
    raise AssertionError(f"{name}: {sum(bad.values())} damaged frames did not arrive")


def odd_frames(line, rng, count, payload):
    """Frames each with one bit of its headers wrong, each of a flow of its own."""
    trains = [train for _, train in kinds(1500)]
    for _ in range(count):
        train = line.address(dataclasses.replace(
            rng.choice(trains), payload=gso.payload(payload, rng.random()), size=0, partial=False))
        _, frame = train.build()
        frame = bytearray(frame)
        frame[rng.randrange(14, len(frame) - payload)] ^= 1 << rng.randrange(8)
        yield bytes(frame)


@pytest.mark.parametrize("payload", [0, 6, 700])
def test_odd_headers(lab, payload):
    """Frames with wrong lengths, versions, checksums, offsets: a bridge carries them as they are."""
    pair = Pair(lab)
    for node in pair.nodes:
        node.host.no_bridge_filter()
    pair.start()
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=3)
    with Line(*pair.guests) as line:
        rng = random.Random(payload)
        frames = list(odd_frames(line, rng, 1500, payload))
        for begin in range(0, len(frames), 30):
            waiting = collections.Counter(frames[begin:begin + 30])
            for frame in waiting.elements():
                line.send_raw(frame, Vnet())
            for _, frame in line.frames():
                waiting -= {frame: 1} if waiting[frame] else {}
                if not waiting:
                    break
            assert not waiting, [frame[:100].hex() for frame in waiting]


def absurd(rng, frame):
    """A virtio header that need not fit the frame."""
    edge = [0, 1, 2, 13, 14, 33, 34, 50, 54, len(frame) - 1, len(frame), 0x7fff, 0xfffe, 0xffff]
    return Vnet(flags=rng.choice((0, NEEDS_CSUM, NEEDS_CSUM, 2, 3, 0xff)),
                gso_type=rng.choice((0, 1, 3, 4, 5, 0x81, 0x84, 0x85, 0x80, rng.randrange(256))),
                hdr_len=rng.choice(edge),
                gso_size=rng.choice((0, 1, 2, 8, 100, 1448, 1460, 8948, 0xffff)),
                csum_start=rng.choice(edge), csum_offset=rng.choice((0, 2, 6, 6, 16, 16, 0xffff)))


def hostile_frames(line, rng, count):
    """Headers and frames that each may be right or wrong, cut off anywhere."""
    trains = [train for _, train in kinds(1500)]
    for _ in range(count):
        train = line.address(rng.choice(trains))
        vnet, frame = dataclasses.replace(
            train, payload=train.payload[:rng.choice((0, 1, 100, 1448, 1460, 3000, 60000))]).build()
        dice = rng.random()
        if dice < 0.6:
            vnet = absurd(rng, frame)
        elif dice < 0.8:  # one field wrong
            name = rng.choice([field.name for field in dataclasses.fields(vnet)])
            vnet = dataclasses.replace(vnet, **{name: getattr(absurd(rng, frame), name)})
        if rng.random() < 0.4:
            frame = frame[:rng.choice((14, 15, 18, 33, 34, 35, 40, 53, 54, 55, 60, 74, 94, 200))]
        if rng.random() < 0.3:
            frame = bytearray(frame)
            frame[rng.randrange(12, min(len(frame), 100))] = rng.randrange(256)
        yield vnet, bytes(frame)


@pytest.mark.parametrize("mtu, mode", [(1500, "aead"), (9000, "none")])
def test_hostile_headers(lab, mtu, mode):
    """What a guest says of its frames need not be true: the kernel refuses some of it, the daemon
    gets the rest, and good traffic goes on meanwhile."""
    pair = Pair(lab, mtu=mtu, data=[mode]).start()
    mallory = pair.left.host.guest("mallory", "br-sv", mtu=mtu)
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=3)
    rng = random.Random(mtu)
    since = time.time()
    taken = refused = 0
    train = next(train for name, train in kinds(mtu) if name.startswith("tcp4 stamps"))
    with Line(*pair.guests) as good, Line(mallory, pair.guest_right) as bad:
        for number, (vnet, frame) in enumerate(hostile_frames(bad, rng, 4000)):
            try:
                bad.send_raw(frame, vnet)
                taken += 1
            except OSError:
                refused += 1
            if number % 100 == 0:
                good.carry(train, "super")
    print(f"the kernel took {taken} and refused {refused};",
          *(node.ctl_json("tunnel", "show", "sv")["drops_by_reason"] for node in pair.nodes))
    assert taken > 500
    assert_pings(pair.guest_left, Pair.RIGHT_IP)
    tcp_both_ways(*pair.guests, Pair.RIGHT_IP)
    for node in pair.nodes:
        assert not node.events(since=since), node.events(since=since)
