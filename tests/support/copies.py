"""Copies as an administrator runs them: made-up disks, `bridgectl disk copy` in the foreground and
behind, the processes that it is made of, a guest that writes meanwhile, hosts reached by ssh."""
import contextlib
import json
import os
import pathlib
import random
import subprocess
import threading

from lab import skip, wait_for
from node import BRIDGECTL
from sshd import Sshd

MIB = 1 << 20
CHUNK = 65536
DONE, FAILED, USAGE, UNREACHABLE, RESUMABLE = range(5)


# --- Disks ---

def mixed(size, seed=1):
    """Random bytes, text and zeros in pieces of 1 MiB and less."""
    rng = random.Random(seed)
    parts, left = [], size
    while left:
        n = min(left, rng.choice((4096, 65536, 300000, MIB)))
        kind = rng.randrange(3)
        parts.append(rng.randbytes(n) if kind == 0 else bytes(n) if kind == 1
                     else (b"the same line again and again\n" * (n // 30 + 1))[:n])
        left -= n
    return b"".join(parts)


def random_file(path, size, seed=1):
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def sparse(path, size):
    with open(path, "wb") as f:
        f.truncate(size)
    return path


def image_with_table(path, sizes, gap=1):
    """An image with an msdos table: partitions of so many MiB, everything filled with 0xA5."""
    total = 1 + sum(sizes) + gap
    path.write_bytes(b"\xa5" * (total * MIB))
    lines, start = ["label: dos"], 1
    for size in sizes:
        lines.append(f"start={start * 2048}, size={size * 2048}, type=83")
        start += size
    subprocess.run(["sfdisk", "-q", "--no-tell-kernel", "--no-reread", "-w", "never", path],
                   input="\n".join(lines) + "\n", text=True, check=True)
    return path


def same(a, b, length=None, b_offset=0):
    with open(a, "rb") as fa, open(b, "rb") as fb:
        fb.seek(b_offset)
        left = os.stat(a).st_size if length is None else length
        while left:
            one, other = fa.read(min(left, MIB)), fb.read(min(left, MIB))
            if one != other or not one:
                return False
            left -= len(one)
    return True


def loop_device(path, undo):
    if os.geteuid() != 0:
        skip("loop devices need root")
    made = subprocess.run(["losetup", "-f", "--show", path], text=True, capture_output=True)
    if made.returncode != 0:
        skip(f"no loop devices here ({made.stderr.strip()})")
    device = made.stdout.strip()
    undo.callback(subprocess.run, ["losetup", "-d", device])
    return device


# --- Running copies ---

class Place:
    """Where one test's copies run: a folder, a host, options that all of them have."""

    def __init__(self, folder, host=None):
        self.dir = folder
        self.host = host
        self.options = []

    def words(self, *words):
        # Sockets' paths are short: pytest's folders are not.
        common = [] if words[1] == "verify" else ["--run-dir", self.run_dir]
        if words[1] in ("copy", "verify"):
            common += self.options
        if words[1] == "copy":
            common += ["--state-dir", str(self.dir / "state")]
        return [BRIDGECTL, *map(str, words), *common]

    @property
    def run_dir(self):
        return f"/tmp/l2-run-{os.getpid()}"

    def popen(self, *words, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.PIPE, "text": True, **options}
        if self.host:
            return self.host.popen(self.words(*words), **options)
        return subprocess.Popen(self.words(*words), start_new_session=True, **options)

    def run(self, *words, code=DONE, timeout=90):
        process = self.popen(*words)
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        assert process.returncode == code, f"{' '.join(map(str, words))}: {process.returncode}\n{out}{err}"
        return subprocess.CompletedProcess(words, code, out, err)

    def copy(self, *words, **options):
        return self.run("disk", "copy", *words, **options)

    def result(self, *words, **options):
        """The last line of --json."""
        lines = self.copy("--json", *words, **options).stdout.splitlines()
        result = json.loads(lines[-1])
        assert result["event"] == "result", lines
        return result

    def status(self):
        return json.loads(self.run("disk", "status", "--json").stdout)["copies"]

    def wait_status(self, condition, timeout=30):
        """Waits until the one copy that runs is so."""
        def look():
            copies = self.status()
            return copies[0] if copies and condition(copies[0]) else None
        return wait_for(look, timeout, lambda: f"status: {self.status()}")

    @contextlib.contextmanager
    def running(self, *words):
        """A copy in the background with --json; ended at the end of the block if it still runs."""
        process = self.popen("disk", "copy", "--json", *words)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()


def ended(process, timeout=60):
    """(exit code, its JSON lines, standard error) of a copy in the background."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as found:
        return list(map(int, found.read().split()))


def agents(process):
    """{role: process id} of the local ends."""
    found = {}
    for pid in children(process.pid):
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"agent" in words:
            found[words[words.index(b"agent") + 1].decode()] = pid
    return found


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def one_sentence(result):
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("bridgectl: "), result.stderr
    return lines[0]


# --- A guest ---

class Writer(threading.Thread):
    """A guest: writes a random chunk somewhere every few milliseconds until it is stopped."""

    def __init__(self, path, size, pause_s=0.01):
        super().__init__(daemon=True)
        self.path, self.size, self.pause_s = path, size, pause_s
        self.off = threading.Event()
        self.writes = 0

    def run(self):
        rng = random.Random(7)
        fd = os.open(self.path, os.O_RDWR | os.O_DSYNC)
        try:
            while not self.off.wait(self.pause_s):
                os.pwrite(fd, rng.randbytes(4096), rng.randrange(self.size // 4096) * 4096)
                self.writes += 1
        finally:
            os.close(fd)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.off.set()
        self.join()


def finish_warm(place, process):
    done = place.run("disk", "finish", "target")
    code, lines, err = ended(process)
    assert code == DONE, err
    return done, lines


# --- Other hosts ---

class Hosts:
    """Here is kvm1; xen1 and xen2 are reached by ssh. All see the same files."""

    def __init__(self, lab, folder):
        self.wan = lab.underlay("wan")
        self.here, self.xen1, self.xen2 = (lab.host(name) for name in ("kvm1", "xen1", "xen2"))
        for host in (self.here, self.xen1, self.xen2):
            self.wan.attach(host)
        self.door = Sshd(self.xen1, self.wan.address(self.xen1))
        self.place = Place(folder, self.here)
        self.place.options = ["--ssh", self.door.command, "--remote-bridgectl", BRIDGECTL]
