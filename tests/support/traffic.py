"""Traffic between guests as real programs make it: pings, TCP transfers compared by hash."""
import contextlib
import hashlib
import random
import re
import signal
import socket
import threading
import time

TCP_PORT = 5001


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
