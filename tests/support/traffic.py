"""Traffic between guests as real programs make it: pings, TCP transfers compared by hash."""
import contextlib
import hashlib
import random
import re
import select
import signal
import socket
import struct
import threading
import time
import zlib

import frames

TCP_PORT = 5001
UDP_PORT = 5002
SOL_UDP = 17
UDP_SEGMENT = 103
UDP_SEGMENTS_MAX = 64


class PingResult:
    """What one run of ping told: sequence numbers that were answered, and when."""

    _REPLY = re.compile(r"^\[(\d+\.\d+)\].* icmp_seq=(\d+) .*time=([\d.]+) ms(.*)$", re.M)
    _TOTAL = re.compile(r"^(\d+) packets transmitted", re.M)

    def __init__(self, text, interval, interrupted=False):
        self.text = text
        self.interval = interval
        total = self._TOTAL.search(text)
        assert total, f"ping said nothing that we understand:\n{text}"
        self.sent = int(total.group(1))
        self.replies = {}  # sequence number -> round trip in ms
        self.duplicates = 0
        for _, seq, rtt, rest in self._REPLY.findall(text):
            if "DUP" in rest or int(seq) in self.replies:
                self.duplicates += 1
            else:
                self.replies[int(seq)] = float(rtt)
        # The last one may have left just before the interrupt.
        if interrupted and self.sent not in self.replies:
            self.sent -= 1

    @property
    def lost(self):
        return self.sent - len(self.replies)

    @property
    def outage(self):
        """Seconds of the longest row of unanswered pings."""
        longest = row = 0
        for seq in range(1, self.sent + 1):
            row = 0 if seq in self.replies else row + 1
            longest = max(longest, row)
        return longest * self.interval


def _ping_argv(address, interval, size, options):
    return ["ping", "-n", "-D", "-i", str(interval), "-W", "1", "-s", str(size), *options,
            address]


def ping(ns, address, count=20, interval=0.02, size=56, options=()):
    """Pings and waits for the end; look at the result, nothing is asserted here."""
    argv = _ping_argv(address, interval, size, ["-c", str(count), *options])
    result = ns.run(*argv, check=False, timeout=count * interval + 15)
    return PingResult(result.stdout + result.stderr, interval)


def assert_pings(ns, address, **how):
    """Every ping is answered exactly once."""
    result = ping(ns, address, **how)
    assert result.lost == 0 and result.duplicates == 0, result.text
    return result


@contextlib.contextmanager
def pinging(ns, address, interval=0.02, size=56):
    """Pings all through the block; the list it gives holds the PingResult afterwards."""
    child = ns.popen(_ping_argv(address, interval, size, []), stdout=-1, stderr=-2, text=True)
    results = []
    try:
        yield results
    finally:
        child.send_signal(signal.SIGINT)
        text, _ = child.communicate(timeout=10)
    results.append(PingResult(text, interval, interrupted=True))


def _send_data(sock, seed, size, ret):
    block = random.Random(seed).randbytes(1 << 16)
    digest = hashlib.sha256()
    left = size
    while left:
        piece = block[:min(left, len(block))]
        sock.sendall(piece)
        digest.update(piece)
        left -= len(piece)
        block = block[1:] + block[:1]  # so that a piece lost or repeated shows
    sock.shutdown(socket.SHUT_WR)
    ret["sent"] = digest.hexdigest()


def _receive_data(sock, ret):
    digest = hashlib.sha256()
    count = 0
    while data := sock.recv(1 << 18):
        digest.update(data)
        count += len(data)
    ret["received"] = digest.hexdigest()
    ret["bytes"] = count


def _transfer(sender, receiver, seed, size, timeout):
    """One direction over a connected pair; gives the rate in Mbit/s."""
    sent, received = {}, {}
    start = time.monotonic()
    threads = [threading.Thread(target=_send_data, args=(sender, seed, size, sent), daemon=True),
               threading.Thread(target=_receive_data, args=(receiver, received), daemon=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.1, start + timeout - time.monotonic()))
    took = time.monotonic() - start
    assert received, f"TCP transfer of {size} bytes not done within {timeout} s"
    assert received["bytes"] == size, f"{received['bytes']} of {size} bytes arrived"
    assert received["received"] == sent["sent"], "the bytes that arrived are not those sent"
    return size * 8 / took / 1e6


def tcp_both_ways(client, server, address, size=4 << 20, timeout=20, port=TCP_PORT):
    """One TCP connection, `size` bytes each way, one after the other, compared by SHA-256.

    Gives the rates in Mbit/s, client to server first.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = server.socket(family, socket.SOCK_STREAM)
    calling = client.socket(family, socket.SOCK_STREAM)
    with listener, calling:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1)
        listener.settimeout(timeout)
        calling.settimeout(timeout)
        calling.connect((address, port))
        answering, _ = listener.accept()
        with answering:
            answering.settimeout(timeout)
            return (_transfer(calling, answering, 1, size, timeout),
                    _transfer(answering, calling, 2, size, timeout))


class Datagrams:
    """Numbered UDP datagrams from one guest to another; each has a checksum of its own contents.

    Sizes are mixed; every other burst goes out as one super-frame (UDP_SEGMENT, udp(7)) when
    `gso` is set. After send(): `counts` says how often each number arrived, `damaged` what
    arrived and was never sent.
    """

    HEADER = struct.Struct(">IHI")  # number, size, CRC-32 of the rest
    BURST = 16

    def __init__(self, sender, receiver, address, largest, seed=1, port=UDP_PORT):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.sizes = []
        self.sent = []
        self.counts = {}
        self.damaged = []
        self._largest = largest
        self._random = random.Random(seed)
        self._target = (address, port)
        self._receiver = receiver.socket(family, socket.SOCK_DGRAM)
        frames.big_buffer(self._receiver)
        self._receiver.bind(self._target)
        self._receiver.setblocking(False)
        self._sender = sender.socket(family, socket.SOCK_DGRAM)
        self._sender.connect(self._target)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._sender.close()
        self._receiver.close()

    def _make(self, size):
        rest = self._random.randbytes(size - self.HEADER.size)
        self.sizes.append(size)
        self.sent.append(self.HEADER.pack(len(self.sizes) - 1, size, zlib.crc32(rest)) + rest)
        return self.sent[-1]

    def _size(self):
        small = self._random.random() < 0.3
        return self._random.randrange(self.HEADER.size, 200 if small else self._largest + 1)

    def _send_super(self):
        size = self._size()
        count = min(UDP_SEGMENTS_MAX, 60000 // size, self.BURST)
        pieces = [self._make(size) for _ in range(count - 1)]
        pieces.append(self._make(self._random.randrange(self.HEADER.size, size + 1)))
        self._sender.setsockopt(SOL_UDP, UDP_SEGMENT, size)
        self._sender.send(b"".join(pieces))
        self._sender.setsockopt(SOL_UDP, UDP_SEGMENT, 0)

    def send(self, count, gso=True, pause_s=0.002):
        """Sends at least `count` of them in bursts, and takes in what arrives meanwhile."""
        turn = 0
        while len(self.sizes) < count:
            if gso and turn % 2:
                self._send_super()
            else:
                for _ in range(self.BURST):
                    self._sender.send(self._make(self._size()))
            turn += 1
            self.receive(pause_s)
        self.receive(0.5, everything=True)

    def send_missing(self, most):
        """What has not arrived once more, `most` of them: a busy machine drops a datagram now and then where
        nothing is wrong, but not the same one again."""
        missing = [data for number, data in enumerate(self.sent) if number not in self.counts]
        for data in missing[:most]:
            self._sender.send(data)
            self.receive(0.5, everything=True)
        if missing:
            print(f"{len(missing)} of {len(self.sent)} datagrams had to be sent again")

    def receive(self, quiet_s, everything=False):
        """Takes in what arrives for so long, or (everything) until nothing has come for so long."""
        end = time.monotonic() + quiet_s
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._receiver], [], [], left)[0]:
                return
            self._arrived(self._receiver.recv(65536))
            if everything:
                end = time.monotonic() + quiet_s

    def _arrived(self, data):
        if len(data) >= self.HEADER.size:
            number, size, crc = self.HEADER.unpack_from(data)
            if (size == len(data) and number < len(self.sizes) and self.sizes[number] == size
                    and zlib.crc32(data[self.HEADER.size:]) == crc):
                self.counts[number] = self.counts.get(number, 0) + 1
                return
        self.damaged.append(data[:32])

    @property
    def share(self):
        """How much of what was sent has arrived."""
        return len(self.counts) / len(self.sizes)

    def check(self, copies=1, least=1.0):
        """None damaged, none more often than `copies`, at least this share arrived."""
        assert not self.damaged, (
            f"{len(self.damaged)} damaged datagrams, first: {self.damaged[0].hex()}")
        often = {number: count for number, count in self.counts.items() if count > copies}
        assert not often, f"came more often than {copies} times: {often}"
        assert self.share >= least, (
            f"{len(self.counts)} of {len(self.sizes)} arrived; missing sizes: "
            f"{[size for number, size in enumerate(self.sizes) if number not in self.counts][:20]}")
