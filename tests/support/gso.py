"""Super-frames by hand: sent and heard through packet sockets with virtio headers, and judged.

A guest's kernel hands its bridge TCP frames of up to 64 KiB with the checksum unfinished, and says so
beside the frame (struct virtio_net_hdr, linux/virtio_net.h). `Train` makes such a frame of any kind, with
what a stack rarely sends: VLAN tags, IP options, extension headers, CWR. On the other side
kernels and l2tund may have cut and joined at will; `Judge` looks whether what arrived is the same traffic.
"""
import random
import struct
from dataclasses import dataclass, replace

import frames

VNET = struct.Struct("=BBHHHH")  # flags, gso type, header length, gso size, csum start and offset
NEEDS_CSUM, DATA_VALID = 1, 2
GSO_NONE, GSO_TCP4, GSO_TCP6, GSO_UDP, GSO_ECN = 0, 1, 4, 5, 0x80
PACKET_VNET_HDR = 15
TCP, UDP = 6, 17
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
EXTENSIONS = (HOP_BY_HOP, ROUTING, DESTINATION)
FIN, SYN, RST, PSH, ACK, URG, ECE, CWR = (1 << bit for bit in range(8))
DONT_FRAGMENT = 0x4000
TAGS = (frames.ETH_P_8021Q, frames.ETH_P_8021AD)
PADDED = 60  # the smallest frame of a real wire


def ones_sum(data, start=0):
    """The Internet checksum's sum (RFC 1071), not yet complemented."""
    if len(data) % 2:
        data += b"\0"
    total = start + int.from_bytes(data, "big")
    return (total % 0xffff) or (0xffff if total else 0)


def pseudo_sum(src, dst, proto, length):
    return ones_sum(src + dst + struct.pack(">II", length, proto))


@dataclass
class Vnet:
    """struct virtio_net_hdr"""
    flags: int = 0
    gso_type: int = GSO_NONE
    hdr_len: int = 0
    gso_size: int = 0
    csum_start: int = 0
    csum_offset: int = 0

    def pack(self):
        return VNET.pack(self.flags, self.gso_type, self.hdr_len, self.gso_size,
                         self.csum_start, self.csum_offset)


class VnetPort(frames.Port):
    """A packet socket that sends and hears super-frames as they are."""

    def __init__(self, ns, ifname="eth0"):
        super().__init__(ns, ifname, 0)
        self.sock.setsockopt(frames.SOL_PACKET, PACKET_VNET_HDR, 1)
        self.sock.bind((ifname, frames.ETH_P_ALL))

    def send(self, frame, vnet=None):
        self.sock.send((vnet or Vnet()).pack() + frame)

    def receive(self):
        """(vnet, frame) that came in, tag put back and csum_start with it; None: none waits."""
        while True:
            try:
                data, aux, _, address = self.sock.recvmsg(1 << 17, 256)
            except BlockingIOError:
                return None
            if address[2] == frames.PACKET_OUTGOING:
                continue
            vnet = Vnet(*VNET.unpack_from(data))
            bare = data[VNET.size:]
            frame = frames.with_tag(bare, aux)
            if vnet.flags & NEEDS_CSUM:
                vnet.csum_start += len(frame) - len(bare)
            return vnet, frame


@dataclass
class Train:
    """One segment or super-frame of TCP or UDP, and what it consists of."""
    dst: bytes
    src: bytes
    payload: bytes
    proto: int = TCP
    v6: bool = False
    size: int = 0  # of its segments' payload; 0: one segment
    vlans: tuple = ()
    options: bytes = b""  # of IPv4
    extensions: tuple = ()  # of IPv6: (protocol number, contents after the first two bytes)
    flags: int = ACK
    l4_options: bytes = b""
    seq: int = 1
    port: int = 40000  # source: tells flows apart
    ident: int = 1
    dont_fragment: bool = True
    tos: int = 0
    hops: int = 61
    ack: int = 0x01020304
    window: int = 0x2345
    partial: bool = True  # leaves the checksum to others

    def addresses(self):
        if self.v6:
            return tuple(bytes.fromhex("fd09" + "00" * 12) + bytes((9, last)) for last in (1, 2))
        return bytes((10, 9, 0, 201)), bytes((10, 9, 0, 202))

    def _l4(self, checksum):
        if self.proto == UDP:
            return struct.pack(">HHHH", self.port, 9, 8 + len(self.payload), checksum)
        offset = (20 + len(self.l4_options)) // 4
        return struct.pack(">HHIIBBHHH", self.port, 9, self.seq, self.ack, offset << 4,
                           self.flags, self.window, checksum, 0) + self.l4_options

    def _ip(self, length):
        src, dst = self.addresses()
        if self.v6:
            chain, upper = b"", self.proto
            for number, contents in reversed(self.extensions):
                chain = bytes((upper, (len(contents) + 2) // 8 - 1)) + contents + chain
                upper = number
            head = struct.pack(">IHBB", 6 << 28 | self.tos << 20, len(chain) + length, upper,
                               self.hops)
            return head + src + dst + chain
        words = (20 + len(self.options)) // 4
        head = struct.pack(">BBHHHBBH", 0x40 | words, self.tos, words * 4 + length, self.ident,
                           DONT_FRAGMENT if self.dont_fragment else 0, self.hops, self.proto, 0)
        head += src + dst + self.options
        check = 0xffff ^ ones_sum(head)
        return head[:10] + struct.pack(">H", check) + head[12:]

    def build(self):
        """(vnet, frame), as a guest's kernel would hand them over."""
        src, dst = self.addresses()
        bare = self._l4(0)
        length = len(bare) + len(self.payload)
        total = pseudo_sum(src, dst, self.proto, length)
        if not self.partial:
            total = 0xffff ^ ones_sum(bare + self.payload, total)
            total = total or (0xffff if self.proto == UDP else 0)
        ip = self._ip(length)
        frame = frames.ethernet(self.dst, self.src, frames.ETH_P_IPV6 if self.v6
                                else frames.ETH_P_IP, ip + self._l4(total) + self.payload,
                                self.vlans)
        if not self.partial:
            return Vnet(), frame
        start = 14 + 4 * len(self.vlans) + len(ip)
        vnet = Vnet(NEEDS_CSUM, csum_start=start, csum_offset=6 if self.proto == UDP else 16)
        if self.size and len(self.payload) > self.size:
            vnet.gso_type = GSO_UDP if self.proto == UDP else GSO_TCP6 if self.v6 else GSO_TCP4
            if self.flags & CWR and self.proto == TCP:
                vnet.gso_type |= GSO_ECN
            vnet.gso_size, vnet.hdr_len = self.size, start + len(bare)
        return vnet, frame

    def segments(self):
        """The same cut into one frame for each segment, checksums finished: what a stack without
        offloads sends."""
        size = self.size or len(self.payload)
        for number, at in enumerate(range(0, len(self.payload), size)):
            flags = self.flags
            if at:
                flags &= ~CWR
            if at + size < len(self.payload):
                flags &= ~(FIN | PSH)
            yield replace(self, payload=self.payload[at:at + size], size=0, flags=flags,
                          seq=(self.seq + at) & 0xffffffff, ident=self.ident + number, partial=False)


class Wrong(AssertionError):
    """A frame that must not be as it is."""


def demand(condition, what, *values):
    if not condition:
        raise Wrong(f"{what}: {', '.join(map(str, values))}" if values else what)


@dataclass
class Parsed:
    """A frame taken apart."""
    frame: bytes
    vlans: tuple = ()
    v6: bool = False
    l3: int = 0  # where the IP header begins
    l4: int = 0
    end: int = 0  # of the packet, by its own length; padding follows
    proto: int = 0

    @property
    def header(self):
        """Length of the TCP or UDP header."""
        return 8 if self.proto == UDP else (self.frame[self.l4 + 12] >> 4) * 4

    @property
    def payload(self):
        return self.frame[self.l4 + self.header:self.end]

    @property
    def port(self):
        return struct.unpack_from(">H", self.frame, self.l4)[0]

    @property
    def seq(self):
        return struct.unpack_from(">I", self.frame, self.l4 + 4)[0]

    @property
    def flags(self):
        return self.frame[self.l4 + 13]

    @property
    def addresses(self):
        at, size = (self.l3 + 8, 16) if self.v6 else (self.l3 + 12, 4)
        return self.frame[at:at + size], self.frame[at + size:at + 2 * size]

    def constant(self):
        """All header bytes that every segment of a super-frame has in common."""
        ip = bytearray(self.frame[:self.l4])
        at = self.l3
        if self.v6:
            ip[at + 4:at + 6] = bytes(2)  # length
        else:
            ip[at + 2:at + 6], ip[at + 10:at + 12] = bytes(4), bytes(2)  # length, number; sum
        l4 = bytearray(self.frame[self.l4:self.l4 + self.header])
        if self.proto == UDP:
            l4[4:8] = bytes(4)  # length, checksum
        else:
            l4[4:8] = bytes(4)  # sequence number
            l4[13] &= ~(FIN | PSH | CWR)
            l4[16:18] = bytes(2)
        return bytes(ip), bytes(l4)


def parse(frame):
    """Takes a frame apart; None when it is not TCP or UDP over IP, or does not hold its headers."""
    try:
        packet = _parse(frame)
        whole = packet and packet.l4 + packet.header <= min(packet.end, len(frame))
    except (IndexError, struct.error):
        return None
    return packet if whole else None


def _parse(frame):
    at, vlans = 12, []
    while struct.unpack_from(">H", frame, at)[0] in TAGS:
        vlans.append(struct.unpack_from(">HH", frame, at))
        at += 4
    kind = struct.unpack_from(">H", frame, at)[0]
    l3 = at + 2
    if kind == frames.ETH_P_IP:
        proto, l4 = frame[l3 + 9], l3 + (frame[l3] & 15) * 4
        end = l3 + struct.unpack_from(">H", frame, l3 + 2)[0]
    elif kind == frames.ETH_P_IPV6:
        proto, l4 = frame[l3 + 6], l3 + 40
        end = l4 + struct.unpack_from(">H", frame, l3 + 4)[0]
        while proto in EXTENSIONS:
            proto, l4 = frame[l4], l4 + (frame[l4 + 1] + 1) * 8
    else:
        return None
    if proto not in (TCP, UDP):
        return None
    return Parsed(frame, tuple(vlans), kind == frames.ETH_P_IPV6, l3, l4, end, proto)


def check_lengths(packet):
    frame, end = packet.frame, packet.end
    demand(end <= len(frame), "the IP length points outside", end, len(frame))
    demand(end == len(frame) or len(frame) <= PADDED, "bytes behind the packet", end, len(frame))
    demand(packet.v6 or ones_sum(frame[packet.l3:packet.l4]) == 0xffff, "IPv4 checksum")
    if packet.proto == UDP:
        length = struct.unpack_from(">H", frame, packet.l4 + 4)[0]
        demand(length == end - packet.l4, "UDP length", length, end - packet.l4)


def checksum_good(packet, vnet):
    """Whether the checksum is finished and right, or rightly unfinished."""
    src, dst = packet.addresses
    start, end = packet.l4, packet.end
    pseudo = pseudo_sum(src, dst, packet.proto, end - start)
    if vnet.flags & NEEDS_CSUM:
        offset = 6 if packet.proto == UDP else 16
        demand((vnet.csum_start, vnet.csum_offset) == (start, offset),
               "the hint points elsewhere", vnet, start, offset)
        written = struct.unpack_from(">H", packet.frame, start + offset)[0]
        return written % 0xffff == pseudo % 0xffff
    return ones_sum(packet.frame[start:end], pseudo) == 0xffff


def check_super(packet, vnet, size):
    """The hints of a super-frame say what it is."""
    kind = GSO_UDP if packet.proto == UDP else GSO_TCP6 if packet.v6 else GSO_TCP4
    demand(vnet.gso_type & ~GSO_ECN == kind, "gso type", vnet)
    demand(vnet.flags & NEEDS_CSUM, "a super-frame with a finished checksum", vnet)
    demand(0 < vnet.gso_size <= size, "gso size", vnet, size)
    if packet.proto == TCP and packet.flags & CWR:
        demand(vnet.gso_type & GSO_ECN, "CWR would be repeated", vnet)


class Judge:
    """Compares what arrives with one Train that was sent, alone in its flow (`port`); `segments` are
    those that it was sent as, where these are not all alike."""

    def __init__(self, train, segments=None):
        self.train = train
        self.size = train.size or len(train.payload)
        self.segments = list(segments or train.segments())
        self._constants = [parse(segment.build()[1]).constant() for segment in self.segments]
        self.arrived = bytearray(len(train.payload))  # how often each byte came
        self.frames = self.supers = 0
        self.idents = []
        self.cut = False  # into smaller segments than the sender's

    @property
    def complete(self):
        return min(self.arrived, default=1) > 0

    def take(self, vnet, frame):
        """Judges one frame; False when it belongs to somebody else."""
        packet = parse(frame)
        if (packet is None or packet.port != self.train.port or packet.v6 != self.train.v6
                or packet.proto != self.train.proto or packet.frame[6:12] != self.train.src):
            return False
        self.frames += 1
        check_lengths(packet)
        demand(checksum_good(packet, vnet), "checksum", vnet)
        demand(packet.payload, "an empty segment")
        if vnet.gso_type & ~GSO_ECN:
            self.supers += 1
            check_super(packet, vnet, self.size)
        else:
            demand(len(packet.payload) <= self.size, "a segment too long", len(packet.payload))
        if packet.proto == UDP:
            self._udp(packet, vnet)
        else:
            self._tcp(packet)
        if not packet.v6 and not self.train.dont_fragment:
            self._identify(packet, vnet)
        return True

    def _cover(self, packet, at, data):
        """Notes what has arrived, and that the headers are those of each segment in it."""
        demand(0 <= at and self.train.payload[at:at + len(data)] == data, "payload", at, len(data))
        demand(not any(self.arrived[at:at + len(data)]), "payload came twice", at, len(data))
        self.arrived[at:at + len(data)] = b"\1" * len(data)
        for number in range(at // self.size, (at + len(data) - 1) // self.size + 1):
            wanted = self._constants[number]
            demand(packet.constant() == wanted, "headers", number,
                   *(part.hex() for part in packet.constant() + wanted))

    def _tcp(self, packet):
        at = (packet.seq - self.train.seq) & 0xffffffff
        data = packet.payload
        self._cover(packet, at, data)
        end = at + len(data)
        first, last = at // self.size, (end - 1) // self.size
        ends = end == len(self.train.payload) or end % self.size == 0
        wanted = self.segments[last].flags & (FIN | PSH) if ends else 0
        demand(packet.flags & (FIN | PSH) == wanted, "FIN or PSH", at, packet.flags)
        demand(not any(segment.flags & (FIN | PSH) for segment in self.segments[first:last]),
               "FIN or PSH inside", at, len(data))
        wanted = self.segments[first].flags & CWR if at % self.size == 0 else 0
        demand(packet.flags & CWR == wanted, "CWR", at, packet.flags)
        demand(not any(segment.flags & CWR for segment in self.segments[first + 1:last + 1]),
               "CWR inside", at, len(data))

    def _udp(self, packet, vnet):
        """Datagrams keep their limits: each is one of those sent."""
        piece = vnet.gso_size if vnet.gso_type else len(packet.payload)
        data = packet.payload
        for begin in range(0, len(data), piece):
            one = data[begin:begin + piece]
            at = self.train.payload.find(one)
            demand(at >= 0 and at % self.size == 0
                   and (len(one) == self.size or at + len(one) == len(self.train.payload)),
                   "not one of the datagrams", len(one), at)
            self._cover(packet, at, one)

    def _identify(self, packet, vnet):
        """Packets that may be fragmented must differ in their identification."""
        first = struct.unpack_from(">H", packet.frame, packet.l3 + 4)[0]
        size = vnet.gso_size if vnet.gso_type else len(packet.payload)
        count = -(-len(packet.payload) // size)
        last = packet.payload == self.train.payload[-len(packet.payload):]
        self.cut |= size < self.size and not last
        self.idents += range(first, first + count)

    def finish(self):
        missing = self.arrived.count(0)
        demand(not missing, "payload missing", missing, self.arrived.find(0))
        # More segments than the sender counted have to share his numbers: RFC 6864 has it that such
        # numbers mean little at these speeds, and TCP has its checksum.
        if not self.cut:
            twice = len(self.idents) - len(set(self.idents))
            demand(not twice, "identifications used twice", twice)


def payload(size, seed=1):
    return random.Random(seed).randbytes(size)
