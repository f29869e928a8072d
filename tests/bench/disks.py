"""How fast a disk gets to another host, beside what people use for it, in turns in the same run.

2 GiB of random bytes, text and zeros in equal parts lie on the left host; each way brings them to
a new sparse file on the right one. What the cache holds of the source is dropped before each
time, and every way's clock stops when the target is flushed to its disk. Ours are verified by
then: read back and compared; none of the others is. All of it twice: from disk to disk, where
a disk that both hosts share decides who is how fast, and with both in memory, where the ways
themselves do. Goals are for the latter.
"""
import contextlib
import dataclasses
import json
import os
import random
import secrets
import shutil
import subprocess
import tempfile
import threading
import time

from lab import Lab, wait_for
from node import BRIDGECTL
from sshd import Sshd

MIB = 1 << 20
SIZE = 2048 * MIB
STRIPE = 64 * MIB
CHANGED = 0.02  # of the disk, in pieces of CHANGE
CHANGE = 256 << 10
NBD_PORT = 10809
NC_PORT = 10810
PSK_USER = "bench"
DD_FROM = "bs=1M status=none"
DD_INTO = "bs=1M iflag=fullblock conv=notrunc,fdatasync status=none"


def _text(size):
    rng = random.Random(1)
    lines = b"".join(b"%d %s: %x\n" % (number, rng.choice((b"GET /index", b"connect", b"status")),
                                       rng.getrandbits(48)) for number in range(20000))
    return (lines * (size // len(lines) + 1))[:size]


def write_mixed(path, size=SIZE):
    """Stripes of random bytes, text and zeros in turn. Zeros are written, not holes."""
    text = _text(STRIPE)
    with open(path, "wb") as out:
        for number in range(size // STRIPE):
            out.write((lambda: os.urandom(STRIPE), lambda: text,
                       lambda: bytes(STRIPE))[number % 3]())


def forget(path):
    """Writes out what the cache holds of a file and drops it."""
    with open(path, "rb") as file:
        os.fdatasync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def change(path):
    """Changes CHANGED of the file at random places; the number of bytes."""
    rng = random.Random(time.time())
    places = rng.sample(range(SIZE // CHANGE), int(SIZE * CHANGED / CHANGE))
    with open(path, "r+b") as file:
        for place in places:
            file.seek(place * CHANGE)
            file.write(os.urandom(CHANGE))
    return len(places) * CHANGE


class Memory:
    """The most that any agent had resident, in MiB, while the block runs."""

    def __enter__(self):
        self.peak = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._stop.set()
        self._thread.join()

    def _watch(self):
        while not self._stop.wait(0.05):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                with contextlib.suppress(OSError, ValueError):
                    self._look(pid)

    def _look(self, pid):
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
        if b"agent" not in words[1:2] or not words[0].endswith(b"bridgectl"):
            return
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    self.peak = max(self.peak, int(line.split()[1]) / 1024)


class Bed:
    """Two hosts, the source on the left one, sshd on the right one."""

    def __init__(self, lab):
        self.lab = lab
        self.wan = lab.underlay("wan", mtu=9000)
        self.left, self.right = lab.host("left"), lab.host("right")
        for host in (self.left, self.right):
            self.wan.attach(host)
        self.address = self.wan.address(self.right)
        self.door = Sshd(self.right, self.address)
        self.source, self.target = f"{lab.dir}/source.img", f"{lab.dir}/target.img"
        self.keys = f"{lab.dir}/keys.psk"
        with open(self.keys, "w", encoding="ascii") as out:
            out.write(f"{PSK_USER}:{secrets.token_hex(32)}\n")
        os.chmod(self.keys, 0o600)
        write_mixed(self.source)

    def new_target(self):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.target)
        with open(self.target, "wb") as file:
            file.truncate(SIZE)

    def shell(self, script, **environment):
        """A pipeline as an administrator types it, on the left host."""
        with self.left.entered():
            subprocess.run(["bash", "-o", "pipefail", "-ec", script], check=True, timeout=600,
                           stdout=subprocess.DEVNULL, env={**os.environ, **environment})

    def copy(self, *options):
        result = self.left.run(
            BRIDGECTL, "--json", "disk", "copy", "--to", self.door.name, "--ssh", self.door.command,
            "--remote-bridgectl", BRIDGECTL, "--state-dir", f"{self.lab.dir}/state",
            "--run-dir", f"{self.lab.dir}/run", "--fresh", *options, self.source, self.target,
            timeout=600)
        return json.loads(result.stdout.splitlines()[-1])

    @contextlib.contextmanager
    def serving(self, *argv, port):
        """A server on the right host that is there when the block begins."""
        server = self.right.popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for(lambda: f":{port:04X} " in self._listening(), 10, f"{argv[0]} does not listen")
            yield server
        finally:
            server.terminate()
            server.wait()

    def _listening(self):
        with self.right.entered(), open("/proc/thread-self/net/tcp", encoding="ascii") as file:
            v4 = file.read()
        with self.right.entered(), open("/proc/thread-self/net/tcp6", encoding="ascii") as file:
            return " ".join(line.split()[1] + " " for line in (v4 + file.read()).splitlines()
                            if " 0A " in line)


def _nbd(bed, *server, uri):
    with bed.serving("nbdkit", "-f", "-p", str(NBD_PORT), *server, "file", bed.target,
                     port=NBD_PORT):
        bed.shell(f"nbdcopy --flush '{bed.source}' '{uri}'")


def nbdcopy(bed):
    _nbd(bed, uri=f"nbd://{bed.address}:{NBD_PORT}")


def nbdcopy_tls(bed):
    _nbd(bed, "--tls=require", f"--tls-psk={bed.keys}",
         uri=f"nbds://{PSK_USER}@{bed.address}:{NBD_PORT}/?tls-psk-file={bed.keys}")


def dd_nc(bed):
    into = f"nc -l {NC_PORT} | dd of='{bed.target}' {DD_INTO}"
    with bed.serving("bash", "-c", into, port=NC_PORT) as server:
        bed.shell(f"dd if='{bed.source}' {DD_FROM} | nc -N {bed.address} {NC_PORT}")
        server.wait(timeout=60)


def dd_ssh(bed):
    bed.shell(f"dd if='{bed.source}' {DD_FROM} | {bed.door.command} {bed.door.name} "
              f"\"dd of='{bed.target}' {DD_INTO}\"")


def rsync(bed):
    bed.shell(f"rsync --inplace --whole-file --fsync -e '{bed.door.command}' '{bed.source}' "
              f"{bed.door.name}:'{bed.target}'")


@dataclasses.dataclass(frozen=True)
class Way:
    name: str
    run: object
    needs: tuple = ()


WAYS = {
    "tls": Way("disk copy, TLS", lambda bed: bed.copy()),
    "plain": Way("disk copy, plaintext", lambda bed: bed.copy("--insecure-plaintext")),
    "ssh": Way("disk copy, inside ssh", lambda bed: bed.copy("--via-ssh")),
    "dd-nc": Way("dd | nc | dd", dd_nc, ("nc",)),
    "dd-ssh": Way("dd | ssh | dd", dd_ssh),
    "rsync": Way("rsync --inplace over ssh", rsync, ("rsync",)),
    "nbdcopy": Way("nbdcopy", nbdcopy, ("nbdcopy", "nbdkit")),
    "nbdcopy-tls": Way("nbdcopy, TLS-PSK", nbdcopy_tls, ("nbdcopy", "nbdkit")),
}

# (ours, the other, at least so many times as fast)
GOALS = (("tls", "dd-nc", 2), ("tls", "nbdcopy", 1), ("tls", "nbdcopy-tls", 5))


def _timed(bed, way):
    bed.new_target()
    forget(bed.source)
    start = time.monotonic()
    way.run(bed)
    if way not in (WAYS["tls"], WAYS["plain"], WAYS["ssh"]):
        forget(bed.target)  # part of it is still in the cache; ours flush by themselves
    return SIZE / (time.monotonic() - start) / 1e6


def _full(results, bed, rounds, where, goals=()):
    speeds = {}
    for name, way in WAYS.items():
        if absent := [word for word in way.needs if not shutil.which(word)]:
            results.skip(way.name, f"there is no {absent[0]}")
        else:
            speeds[name] = []
    for _ in range(rounds):
        for name, values in speeds.items():
            values.append(_timed(bed, WAYS[name]))
    for name, values in speeds.items():
        results.add(f"{where}: {WAYS[name].name}", "MB/s", values)
    for ours, other, bound in goals:
        if other in speeds:
            results.add(f"{where}: {WAYS[ours].name} : {WAYS[other].name}", "times",
                        [a / b for a, b in zip(speeds[ours], speeds[other])], above=bound)


def _in_memory(bed):
    """Both disks, from here on. Gone with the laboratory."""
    folder = tempfile.mkdtemp(prefix="l2t-", dir="/dev/shm")
    bed.lab.on_close(shutil.rmtree, folder, True)
    shutil.copyfile(bed.source, f"{folder}/source.img")
    bed.source, bed.target = f"{folder}/source.img", f"{folder}/target.img"


def _delta(results, bed, rounds):
    bed.new_target()
    bed.copy()
    unchanged, changed = [], []
    for _ in range(rounds):
        start = time.monotonic()
        report = bed.copy("--delta")
        unchanged.append(SIZE / (time.monotonic() - start) / 1e9)
        assert report["sent_bytes"] == 0, report
    for _ in range(rounds):
        size = change(bed.source)
        changed.append(bed.copy("--delta")["sent_bytes"] / size)
    results.add("delta pass, nothing changed", "GB/s", unchanged, above=3)
    results.add("delta pass, 2 % changed: sent : changed", "times", changed, worst=1.1)


def bench_disk(results, rounds):
    """Copies of a disk to another host: speed, memory, what a second pass costs."""
    with Lab() as lab, Memory() as memory:
        bed = Bed(lab)
        _full(results, bed, min(rounds, 3), "disk to disk")
        _in_memory(bed)
        _full(results, bed, rounds, "in memory", GOALS)
        _delta(results, bed, rounds)
    results.add("most memory of an agent", "MiB", [memory.peak], below=128)
