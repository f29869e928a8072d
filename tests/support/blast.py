"""A guest that sends broadcasts as fast as it can: every frame different from every other.

    with Blast(guest, rate=200000) as blast:
        ...
    assert blast.sent > ...

`UdpBlast` sends datagrams to another guest instead, as a program of the guest would.

Runs in a process of its own (this file as a program) and sends with sendmmsg(2), which Python does
not have; `rate` is what it aims at, and `sent` and `seconds` what became of it.
"""
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import frames

BATCH = 256
FLOOD_BATCH = 2  # more at once fill a TAP's queue on a busy machine before its daemon gets to run
SIZE = 60
UDP_HEADERS = 14 + 20 + 8
PACKET_QDISC_BYPASS = 20


class Blast:
    """Sends from here to the end of the block."""

    def __init__(self, guest, rate, ifname="eth0", destination=frames.BROADCAST):
        sock = guest.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.bind((ifname, frames.ETH_P_TEST))
        sock.setsockopt(frames.SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        self._prepare(sock, rate, SIZE, frames.ethernet(destination, sock.getsockname()[4],
                                                        frames.ETH_P_TEST, b"l2tblast"))

    def _prepare(self, sock, rate, size, head, batch=FLOOD_BATCH):
        self._sock = sock
        self._argv = [str(rate), str(size), head.hex(), str(batch)]
        self._child = None
        self.sent = 0
        self.seconds = 0.0

    def __enter__(self):
        fd = self._sock.fileno()
        self._child = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), str(fd), *self._argv],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[fd], text=True,
            start_new_session=True)
        assert self._child.stdout.readline() == "started\n", "the blast did not start"
        return self

    def __exit__(self, *_):
        try:
            out, _ = self._child.communicate(timeout=20)
        finally:
            self._child.kill()
            self._sock.close()
        told = json.loads(out)
        self.sent, self.seconds = told["sent"], told["seconds"]

    @property
    def rate(self):
        return self.sent / self.seconds


class UdpBlast(Blast):
    """The shortest Ethernet frames that carry UDP over IPv4: 64 bytes with their checksum."""

    def __init__(self, guest, rate, address, port):
        sock = guest.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.connect((address, port))
        self._prepare(sock, rate, SIZE - UDP_HEADERS, b"", BATCH)


class _Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class _Header(ctypes.Structure):
    """struct msghdr"""
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.c_void_p),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p),
                ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]


class _Message(ctypes.Structure):
    """struct mmsghdr"""
    _fields_ = [("header", _Header), ("len", ctypes.c_uint)]


class _Batch:
    """BATCH frames that share a head, differ in a number, and share the number of the batch."""

    def __init__(self, size, head):
        self._head = ctypes.create_string_buffer(head, len(head))
        self._turn = ctypes.create_string_buffer(8)
        rest = size - len(head) - 8
        self._tails = [ctypes.create_string_buffer(struct.pack(">I", index).ljust(rest, b"\0"),
                                                   rest) for index in range(BATCH)]
        self._vectors = [(_Iovec * 3)(*(_Iovec(ctypes.addressof(part), len(part))
                                        for part in (self._head, self._turn, tail)))
                         for tail in self._tails]
        self.messages = (_Message * BATCH)(*(
            _Message(_Header(iov=ctypes.addressof(vectors), iovlen=3)) for vectors in self._vectors))
        self._count = 0

    def next(self):
        self._count += 1
        struct.pack_into(">Q", self._turn, 0, self._count)
        return self.messages


def main(argv):
    fd, rate = int(argv[1]), float(argv[2])
    sock = socket.socket(fileno=fd)
    batch = _Batch(int(argv[3]), bytes.fromhex(argv[4]))
    libc = ctypes.CDLL(None)
    at_once = int(argv[5])
    print("started", flush=True)
    sent = 0
    start = now = time.monotonic()
    while not select.select([0], [], [], 0)[0]:
        ahead = sent / rate - (now - start)
        if ahead > 0:
            time.sleep(ahead)
        # What the kernel does not take at once is given up, as a network card would.
        sent += max(0, libc.sendmmsg(fd, batch.next(), at_once, socket.MSG_DONTWAIT))
        now = time.monotonic()
    json.dump({"sent": sent, "seconds": now - start}, sys.stdout)
    sock.detach()


if __name__ == "__main__":
    main(sys.argv)
