"""The exactly-once flood oracle.

Uniquely numbered broadcasts, multicasts and unicasts to an unknown address are sent on every
segment, and counted on every other one. When all goes well each frame arrives at each other
segment exactly once. 0 is a loss (the segments were parted), 2 or more is a duplicate (there
was a loop, if only for a moment), and so is a frame that comes back to where it was sent.

    with Flood([guest1, guest2, guest3]) as flood:
        ...
        with flood.may_lose("underlay cut"):
            ...

The end of the block fails the test when there was a duplicate at any time, or a loss of a frame
that was not sent inside a may_lose() block. Flood runs in a process of its own (this file as a
program), so that a busy test does not make its counts wrong; frames that its sockets had to
drop are known, and make the verdict on losses void rather than wrong.
"""
import contextlib
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

KINDS = ("broadcast", "multicast", "unknown unicast")
UNKNOWN = bytes.fromhex("02dead00beef")  # nobody's address
DESTINATIONS = (frames.BROADCAST, frames.MULTICAST, UNKNOWN)
HEADER = struct.Struct(">8sIBBI")  # magic, run, sender, kind, number
MAGIC = b"l2tflood"
SIZE = 60
PACKET_STATISTICS = 6
QUIET_S = 0.15  # this long without a frame ends the count
DRAIN_S = 3.0


class Frame:
    """One frame sent, and how often each segment got it."""

    __slots__ = ("sender", "number", "kind", "time", "counts", "_domains")

    def __init__(self, domains, sender, number, kind, when, counts):
        self.sender = sender
        self.number = number
        self.kind = kind
        self.time = when  # time.monotonic() of sending
        self.counts = counts
        self._domains = domains

    def expected(self, receiver):
        same = self._domains[receiver] == self._domains[self.sender]
        return 1 if same and receiver != self.sender else 0


class Flood:
    """Sends through its life as a context manager and judges at the end.

    `rate` is frames per second of all segments together, `verify=False` leaves the verdict
    to the caller, who then looks at `duplicates`, `losses()` and `outages()`. `domains` says of each
    segment to which Ethernet it belongs, when these are several: nothing may pass between them.
    """

    def __init__(self, segments, rate=300, ifname="eth0", verify=True, domains=None):
        self.names = [segment.name for segment in segments]
        self.verify = verify
        self.domains = domains or [0] * len(segments)
        self.frames = []
        self.dropped = 0
        self._windows = []  # (from, to, why)
        self._rate = rate
        self._child = None
        self._sockets = []
        for segment in segments:
            sock = segment.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            frames.big_buffer(sock)
            sock.bind((ifname, frames.ETH_P_TEST))
            self._sockets.append(sock)

    def __enter__(self):
        fds = [sock.fileno() for sock in self._sockets]
        self._child = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), str(self._rate), *map(str, fds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=fds, text=True,
            start_new_session=True)
        assert self._child.stdout.readline() == "started\n", "the flood did not start"
        return self

    def __exit__(self, kind, *_):
        self._collect()
        if kind is not None:
            print(self.summary())  # beside what went wrong otherwise
        elif self.verify:
            self.check()

    def _collect(self):
        try:
            out, _ = self._child.communicate(timeout=DRAIN_S + 20)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.communicate()
            raise
        finally:
            for sock in self._sockets:
                sock.close()
        told = json.loads(out)
        self.dropped = told["dropped"]
        self.frames = [Frame(self.domains, *row) for row in told["frames"]]

    @contextlib.contextmanager
    def may_lose(self, why, before=0.1, after=0.0):
        """Frames sent in this block may be lost, and those still on their way when it began."""
        start = time.monotonic() - before
        try:
            yield
        finally:
            self._windows.append((start, time.monotonic() + after, why))

    @property
    def duplicates(self):
        """(frame, receiver) where the frame came more often than it should."""
        return [(frame, receiver) for frame in self.frames
                for receiver, count in enumerate(frame.counts) if count > frame.expected(receiver)]

    def losses(self, everywhere=False):
        """(frame, receiver) where the frame never came; those of may_lose() only if asked for."""
        return [(frame, receiver) for frame in self.frames
                for receiver, count in enumerate(frame.counts)
                if count < frame.expected(receiver)
                and (everywhere or not self._excused(frame))]

    def _excused(self, frame):
        return any(start <= frame.time <= end for start, end, _ in self._windows)

    def outages(self, since=0.0):
        """(sender, receiver) -> seconds of the longest time in which nothing sent arrived, of what
        was sent later than `since` (time.monotonic())."""
        longest = {}
        begun = {}
        for frame in sorted(self.frames, key=lambda frame: frame.time):
            for receiver, count in enumerate(frame.counts):
                if frame.time < since or not frame.expected(receiver):
                    continue
                way = (self.names[frame.sender], self.names[receiver])
                start = begun.setdefault(way, None)
                if count == 0 and start is None:
                    begun[way] = start = frame.time
                if start is not None:
                    longest[way] = max(longest.get(way, 0), frame.time - start)
                if count:
                    begun[way] = None
        return longest

    def summary(self):
        """A text for people."""
        lost, excused = self.losses(), self.losses(everywhere=True)
        duplicates = self.duplicates
        lines = [f"flood: {len(self.frames)} frames from {len(self.names)} segments:"
                 f" {len(duplicates)} duplicates, {len(lost)} losses"
                 f" ({len(excused) - len(lost)} more where allowed),"
                 f" {self.dropped} dropped by the oracle itself"]
        start = self.frames[0].time if self.frames else 0
        for what, found in (("duplicate", duplicates), ("lost", lost)):
            for frame, receiver in found[:8]:
                lines.append(
                    f"  {what}: {KINDS[frame.kind]} {frame.number} of {self.names[frame.sender]}"
                    f" came {frame.counts[receiver]} times to {self.names[receiver]},"
                    f" sent at {frame.time - start:.3f} s")
        for begin, end, why in self._windows:
            lines.append(f"  losses allowed from {begin - start:.3f} to {end - start:.3f} s: {why}")
        return "\n".join(lines)

    def check(self):
        """No duplicate ever, no loss but where allowed, and frames were really sent."""
        assert self.frames, "flood: nothing was sent"
        assert not self.duplicates, self.summary()
        assert not self.dropped, self.summary()
        assert not self.losses(), self.summary()


class _Counter:
    """The child's side: sends at an even pace, counts what comes."""

    def __init__(self, rate, fds):
        self.socks = [socket.socket(fileno=fd) for fd in fds]
        self.interval = 1 / rate
        self.run = int.from_bytes(os.urandom(4), "big")
        self.sent = [[] for _ in self.socks]  # of each sender: (kind, time, counts)
        self.poll = select.poll()
        self.by_fd = {}
        for index, sock in enumerate(self.socks):
            sock.setblocking(False)
            self.by_fd[sock.fileno()] = index
            self.poll.register(sock, select.POLLIN)

    def send_one(self, turn):
        sender = turn % len(self.socks)
        kind = turn // len(self.socks) % len(KINDS)
        mine = self.sent[sender]
        body = HEADER.pack(MAGIC, self.run, sender, kind, len(mine))
        source = bytes((2, 0x6c, 0x32, 0x66, 0x6c, sender))
        frame = frames.ethernet(DESTINATIONS[kind], source, frames.ETH_P_TEST, body)
        # Noted first: the frame may come back before send() returns.
        mine.append((kind, time.monotonic(), [0] * len(self.socks)))
        try:
            self.socks[sender].send(frame.ljust(SIZE, b"\0"))
        except OSError:  # no buffer, or the interface is down: never sent
            mine.pop()

    def receive(self, fd):
        """Takes what waits, within a budget; says whether any of it was ours."""
        receiver = self.by_fd[fd]
        sock = self.socks[receiver]
        ours = False
        for _ in range(256):
            try:
                data = sock.recv(2048)
            except OSError:  # nothing waits, or the interface went down
                break
            if len(data) < 14 + HEADER.size:
                continue
            magic, run, sender, _, number = HEADER.unpack_from(data, 14)
            if magic == MAGIC and run == self.run:
                self.sent[sender][number][2][receiver] += 1
                ours = True
        return ours

    def wait(self, timeout):
        """Waits for frames or the end of stdin; (some frame of ours came, stdin ended)."""
        ours = ended = False
        for fd, _ in self.poll.poll(max(0, timeout * 1000)):
            if fd in self.by_fd:
                ours |= self.receive(fd)
            else:
                ended = True
        return ours, ended

    def flood(self):
        self.poll.register(0, select.POLLIN | select.POLLHUP)
        turn = 0
        due = time.monotonic()
        ended = False
        while not ended:
            now = time.monotonic()
            if now >= due:
                self.send_one(turn)
                turn += 1
                due = max(due + self.interval, now - 0.05)  # never a burst to catch up
            _, ended = self.wait(due - time.monotonic())
        self.poll.unregister(0)

    def drain(self):
        now = time.monotonic()
        end, quiet = now + DRAIN_S, now + QUIET_S
        while now < min(end, quiet):
            ours, _ = self.wait(min(end, quiet) - now)
            now = time.monotonic()
            if ours:
                quiet = now + QUIET_S

    def report(self):
        dropped = 0
        for sock in self.socks:
            stats = sock.getsockopt(frames.SOL_PACKET, PACKET_STATISTICS, 8)
            dropped += struct.unpack("II", stats)[1]
        rows = [(sender, number, kind, when, counts)
                for sender, mine in enumerate(self.sent)
                for number, (kind, when, counts) in enumerate(mine)]
        rows.sort(key=lambda row: row[3])
        return {"dropped": dropped, "frames": rows}


def main(argv):
    counter = _Counter(float(argv[1]), [int(fd) for fd in argv[2:]])
    print("started", flush=True)
    counter.flood()
    counter.drain()
    json.dump(counter.report(), sys.stdout)


if __name__ == "__main__":
    main(sys.argv)
