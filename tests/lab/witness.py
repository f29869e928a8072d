"""A guest that watches: a namespace on a bridge that pings an address all the time, and afterwards knows
when there was no answer."""
import re
import signal
import tempfile
import time

from lab import wait_for

LINE = re.compile(r"^\[(\d+\.\d+)\] \d+ bytes from .* icmp_seq=(\d+) ")


class Pings:
    """with Pings(guest, "10.9.0.11") as pings: ...; pings.longest_gap()"""

    def __init__(self, guest, address, interval_s=0.2):
        self.guest, self.address, self.interval_s = guest, address, interval_s
        self.answers = []  # time.time() of each

    def __enter__(self):
        self._out = tempfile.NamedTemporaryFile("w+", prefix="l2-pings-", encoding="utf-8")
        self._process = self.guest.popen(["ping", "-n", "-D", "-i", str(self.interval_s), self.address],
                                         stdout=self._out, stderr=self._out)
        return self

    def __exit__(self, *exc):
        self._process.send_signal(signal.SIGINT)
        self._process.wait(10)
        self.read()
        self._out.close()

    def read(self):
        with open(self._out.name, encoding="utf-8") as text:
            self.answers = [float(m[1]) for m in map(LINE.match, text) if m]
        return self.answers

    def wait_answer(self, timeout, since=None):
        """Until one comes that is later than `since` (time.time()), else than now."""
        since = time.time() if since is None else since
        wait_for(lambda: [at for at in self.read() if at > since], timeout,
                 lambda: f"no answer from {self.address}", 0.1)

    def longest_gap(self, since=0.0):
        """(seconds, time.time() of its beginning) of the longest silence between two answers."""
        answers = [at for at in self.answers if at >= since]
        return max(((b - a, a) for a, b in zip(answers, answers[1:])), default=(0.0, 0.0))
