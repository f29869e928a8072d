"""A UDP relay between two ends of a tunnel: bad weather with a seed, NAT, capture and replay.

It stands in a namespace of its own on the underlay. One end calls the relay's address; the relay
passes everything on to the other end from a port of its own, one per caller, as a NAT does.
Rates are shares from 0 to 1 and may be changed at any time. Python is fast enough for control
traffic, pings and small transfers; throughput is measured elsewhere.
"""
import contextlib
import heapq
import itertools
import random
import selectors
import socket
import threading
import time

from frames import big_buffer

UP, DOWN = "up", "down"  # from the caller to the target, and back


class Relay:
    """A context manager; runs in a thread of this process."""

    CAPTURE_MAX = 20000

    def __init__(self, ns, listen, target, seed=1):
        """`listen` and `target` are (address, port); `ns` is the relay's namespace."""
        self.loss = self.duplicate = self.reorder = 0.0
        self.delay_s = 0.0
        self.reorder_s = 0.05  # how much later a reordered datagram leaves
        self.passed = {UP: 0, DOWN: 0}
        self.captured = []  # (direction, datagram), while capturing
        self.capturing = False
        self._ns = ns
        self._target = target
        self._family = socket.AF_INET6 if ":" in target[0] else socket.AF_INET
        self._random = random.Random(seed)
        self._lock = threading.RLock()
        self._selector = selectors.DefaultSelector()
        self._order = itertools.count()
        self._later = []  # heap of (time, order, direction, caller, datagram)
        self._outside = {}  # caller -> our socket towards the target
        self._stop = False
        self._front = self._socket(listen)
        self._selector.register(self._front, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def _socket(self, address):
        sock = self._ns.socket(self._family, socket.SOCK_DGRAM)
        big_buffer(sock)
        sock.setblocking(False)
        sock.bind(address)
        return sock

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._stop = True
        self._thread.join(5)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def rebind(self):
        """Forgets the mappings: callers appear to the target from new ports, as behind a NAT
        that was restarted. What the target sends to the old ports is lost."""
        with self._lock:
            for sock in self._outside.values():
                self._selector.unregister(sock)
                sock.close()
            self._outside.clear()

    @contextlib.contextmanager
    def caller(self):
        """A function that sends a datagram to the relay from an end of its own."""
        with self._ns.socket(self._family, socket.SOCK_DGRAM) as sock:
            yield lambda datagram: sock.sendto(datagram, self._front.getsockname())

    def inject(self, direction, datagram):
        """Sends a datagram to the target, or to every caller."""
        with self._lock:
            for caller in list(self._outside):
                self._send(direction, caller, datagram)

    def replay(self, direction):
        """Sends again everything that was captured in this direction; gives how many."""
        with self._lock:
            again = [datagram for way, datagram in self.captured if way == direction]
        for datagram in again:
            self.inject(direction, datagram)
            time.sleep(0.0005)  # the receiver's buffer is finite
        return len(again)

    def _run(self):
        while not self._stop:
            wait = 0.05
            if self._later:
                wait = min(wait, max(0, self._later[0][0] - time.monotonic()))
            ready = self._selector.select(wait)
            with self._lock:
                for key, _ in ready:
                    self._drain(key.fileobj, key.data)
                self._send_due()

    def _drain(self, sock, caller):
        for _ in range(64):
            try:
                datagram, source = sock.recvfrom(65536)
            except OSError:  # nothing waits, closed by rebind(), or an ICMP error
                return
            if caller is None:
                self._arrived(UP, source, datagram)
            else:
                self._arrived(DOWN, caller, datagram)

    def _arrived(self, direction, caller, datagram):
        if direction == UP and caller not in self._outside:
            self._open(caller)
        if self.capturing and len(self.captured) < self.CAPTURE_MAX:
            self.captured.append((direction, datagram))
        if self._random.random() < self.loss:
            return
        copies = 2 if self._random.random() < self.duplicate else 1
        for _ in range(copies):
            delay = self.delay_s
            if self._random.random() < self.reorder:
                delay += self.reorder_s
            if delay:
                heapq.heappush(self._later, (time.monotonic() + delay, next(self._order),
                                             direction, caller, datagram))
            else:
                self._send(direction, caller, datagram)

    def _open(self, caller):
        sock = self._outside[caller] = self._socket(("", 0))
        self._selector.register(sock, selectors.EVENT_READ, caller)

    def _send_due(self):
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            _, _, direction, caller, datagram = heapq.heappop(self._later)
            self._send(direction, caller, datagram)

    def _send(self, direction, caller, datagram):
        try:
            if direction == DOWN:
                self._front.sendto(datagram, caller)
            elif caller in self._outside:
                self._outside[caller].sendto(datagram, self._target)
            self.passed[direction] += 1
        except OSError:  # full, or too large for the link: lost, as on a real one
            pass
