"""Ethernet frames by hand: sending and hearing them on an interface, and captures with a filter.

The kernel takes a VLAN tag out of a received frame and hands it over beside it (PACKET_AUXDATA);
Port puts it back, so that a frame is compared as it was on the wire.
"""
import contextlib
import ctypes
import select
import socket
import struct
import time

ETH_P_ALL = 0x0003
ETH_P_IP = 0x0800
ETH_P_IPV6 = 0x86dd
ETH_P_8021Q = 0x8100
ETH_P_8021AD = 0x88a8
ETH_P_TEST = 0x88b5 + 1  # IEEE 802 local experimental 2
BROADCAST = bytes.fromhex("ffffffffffff")
MULTICAST = bytes.fromhex("036c32666c64")  # local, so bridges flood it and snooping leaves it be

SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_OUTGOING = 4
PACKET_IGNORE_OUTGOING = 23
SO_ATTACH_FILTER = 26
SO_RCVBUFFORCE = 33
AUXDATA = struct.Struct("IIIHHHH")
TP_STATUS_VLAN_VALID = 1 << 4
TP_STATUS_VLAN_TPID_VALID = 1 << 6


def mac_bytes(text):
    return bytes.fromhex(text.replace(":", ""))


def ethernet(dst, src, ethertype, payload, vlans=()):
    """A frame; `vlans` are (tpid, tci) pairs, the outermost first."""
    tags = b"".join(struct.pack(">HH", tpid, tci) for tpid, tci in vlans)
    return dst + src + tags + struct.pack(">H", ethertype) + payload


def big_buffer(sock, size=8 << 20):
    """As large a receive buffer as we are allowed."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size)
    except PermissionError:  # in a user namespace
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


class Port:
    """A packet socket on one interface."""

    def __init__(self, ns, ifname, ethertype=ETH_P_ALL):
        self.sock = ns.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        big_buffer(self.sock)
        self.sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.sock.setblocking(False)
        self.sock.bind((ifname, ethertype))
        self.mac = self.sock.getsockname()[4]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def send(self, frame):
        self.sock.send(frame)

    def receive(self):
        """The next frame that came in, or None when none waits."""
        while True:
            try:
                data, aux, _, address = self.sock.recvmsg(65536, 256)
            except BlockingIOError:
                return None
            if address[2] != PACKET_OUTGOING:
                return with_tag(data, aux)

    def wait_for(self, match, timeout=2):
        """The first frame for which match(frame) is true, or None after the timeout."""
        deadline = time.monotonic() + timeout
        while True:
            frame = self.receive()
            if frame is not None:
                if match(frame):
                    return frame
                continue
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                return None


def with_tag(data, ancillary):
    """The frame as it was on the wire."""
    for level, kind, value in ancillary:
        if level == SOL_PACKET and kind == PACKET_AUXDATA:
            status, _, _, _, _, tci, tpid = AUXDATA.unpack(value)
            if status & TP_STATUS_VLAN_VALID:
                if not status & TP_STATUS_VLAN_TPID_VALID:
                    tpid = ETH_P_8021Q
                return data[:12] + struct.pack(">HH", tpid, tci) + data[12:]
    return data


# Classic BPF, so that a capture costs nothing while bulk data passes it.
LDH, LDB = 0x28, 0x30
JEQ, JSET, RET = 0x15, 0x45, 0x06


def _program(*rows):
    return [struct.pack("HBBI", code, yes, no, value) for code, yes, no, value in rows]


FRAGMENTS = _program(
    (LDH, 0, 0, 12),
    (JEQ, 0, 2, ETH_P_IP),
    (LDH, 0, 0, 20),
    (JSET, 3, 4, 0x3fff),  # more fragments, or an offset
    (JEQ, 0, 3, ETH_P_IPV6),
    (LDB, 0, 0, 20),
    (JEQ, 0, 1, 44),  # a fragment header follows the fixed one
    (RET, 0, 0, 0x40000),
    (RET, 0, 0, 0),
)
"""Pieces of IPv4 or IPv6 packets."""

MAY_FRAGMENT = _program(
    (LDH, 0, 0, 12),
    (JEQ, 0, 5, ETH_P_IP),
    (LDB, 0, 0, 23),
    (JEQ, 0, 3, socket.IPPROTO_UDP),
    (LDH, 0, 0, 20),
    (JSET, 1, 0, 0x4000),
    (RET, 0, 0, 0x40000),
    (RET, 0, 0, 0),
)
"""IPv4 UDP without Don't Fragment."""


def _attach(sock, program):
    code = b"".join(program)
    kept = ctypes.create_string_buffer(code, len(code))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER,
                    struct.pack("HL", len(program), ctypes.addressof(kept)))


class Capture:
    """Frames that come in at an interface and pass a filter, from now on."""

    def __init__(self, ns, ifname, program):
        self._port = Port(ns, ifname, 0)
        _attach(self._port.sock, program)
        self._port.sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self._port.sock.bind((ifname, ETH_P_ALL))
        self._frames = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._port.sock.close()

    def frames(self):
        """All frames caught so far."""
        while (frame := self._port.receive()) is not None:
            self._frames.append(frame)
        return self._frames


@contextlib.contextmanager
def no_fragments(underlay, *hosts):
    """Fails when a host sends IP fragments, or UDP that routers may fragment, in this block."""
    with contextlib.ExitStack() as stack:
        captures = [(what, host.name, stack.enter_context(
                        Capture(underlay.switch, underlay.port(host), program)))
                    for host in hosts
                    for what, program in (("IP fragments", FRAGMENTS),
                                          ("UDP datagrams without DF", MAY_FRAGMENT))]
        yield
        for what, name, capture in captures:
            frames = capture.frames()
            assert not frames, f"{len(frames)} {what} from {name}, first: {frames[0][:64].hex()}"
