"""Copies that are broken off: processes killed at random, disks that fail, networks that are cut,
strangers at the data port. Each time: what is said, what is sent once more, what the target holds."""
import contextlib
import json
import os
import pathlib
import random
import re
import select
import signal
import subprocess
import time

import pytest

from copies import (CHUNK, DONE, FAILED, MIB, RESUMABLE, UNREACHABLE, agents, alive, children, ended,
                    image_with_table, loop_device, one_sentence, random_file, same, sparse)
from lab import LONG, long_only, plain_only, skip, wait_for

# --- Kills ---

BEFORE, SIZE, AFTER = 4, 32, 4  # MiB of the partitions
RATE = 24 * MIB
FLUSH_S = 0.2
SLACK = MIB // 2  # what a target writes beside the data: its map, lines


class Ground:
    """A source of which pieces go from one content to another and back, and a disk of three
    partitions, of which the middle one is the target."""

    def __init__(self, place, rng):
        self.place, self.rng = place, rng
        self.source, self.disk = place.dir / "source", place.dir / "disk"
        image_with_table(self.disk, [BEFORE, SIZE, AFTER])
        self.start = (1 + BEFORE) * MIB
        self.length = SIZE * MIB - 5 * 512
        self.contents = [rng.randbytes(self.length), self._other()]
        self.source.write_bytes(self.contents[0])
        self.around = self._around()

    def _other(self):
        """Other bytes, some of them zeros."""
        return b"".join(bytes(n) if self.rng.randrange(4) == 0 else self.rng.randbytes(n)
                        for n in [MIB] * SIZE)[:self.length]

    def _around(self):
        data = self.disk.read_bytes()
        return data[:self.start], data[self.start + self.length:]

    def check_around(self):
        assert self._around() == self.around, "a byte beside the target has changed"

    def change(self):
        """Chunks of one content become those of the other: A, B and perhaps A again."""
        with open(self.source, "r+b") as f:
            for _ in range(self.rng.choice((0, 1, 20))):
                begin = self.rng.randrange(self.length // CHUNK) * CHUNK
                end = min(begin + self.rng.choice((1, 4, 64)) * CHUNK, self.length)
                f.seek(begin)
                f.write(self.rng.choice(self.contents)[begin:end])

    def differs(self):
        """Bytes of the chunks that the target has otherwise."""
        a = self.source.read_bytes()
        b = self.disk.read_bytes()[self.start:self.start + self.length]
        return sum(len(a[at:at + CHUNK]) for at in range(0, self.length, CHUNK)
                   if a[at:at + CHUNK] != b[at:at + CHUNK])


def written_by(pid):
    """Bytes that this process gave to write(2) and its like; 0: it is gone."""
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/io").read_text()
        return int(re.search(r"^wchar: (\d+)", text, re.M).group(1))
    return 0


class Run:
    """One run of the copy, ended by itself or by a kill; what it told until then."""

    def __init__(self, ground, *words, after_s):
        self.known, self.compares, self.written = 0, False, 0
        self.victim, self.text = None, b""
        words = ["--json", ground.source, ground.disk, "--partition", 2, "--rate", RATE, "--retries", 0,
                 "--flush-interval", FLUSH_S, "--compress", "never", *words]
        self.process = ground.place.popen("disk", "copy", *words, text=False)
        try:
            self._read(time.monotonic() + after_s)
            self._kill(ground.rng)
            self._read(time.monotonic() + 60)
        finally:
            self.process.kill()
            self.process.wait()
            self.err = self.process.stderr.read().decode()
            self.process.stdout.close()
            self.process.stderr.close()
        self._take(ground.length)

    def _read(self, until):
        while (left := until - time.monotonic()) > 0:
            if not select.select([self.process.stdout], [], [], left)[0]:
                return
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return
            self.text += data

    def _kill(self, rng):
        """Whoever lives; the agents may not have begun, or the copy may be over."""
        self.pids = {"conductor": self.process.pid}
        with contextlib.suppress(FileNotFoundError):
            self.pids.update(agents(self.process))
        if self.process.poll() is None:
            self.victim = rng.choice(sorted(self.pids))
            self.written = written_by(self.pids.get("target"))
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pids[self.victim], signal.SIGKILL)
        if self.victim == "conductor":
            self.process.wait()

    def _take(self, length):
        lines = [json.loads(line) for line in self.text.splitlines(True) if line.endswith(b"\n")]
        passes = {}
        for line in lines:
            if line["event"] == "progress":
                passes[line["pass"]] = line["sent_bytes"]
        notes = " ".join(line["text"] for line in lines if line["event"] == "note")
        if went_on := re.search(r"Going on from (\d+) %", notes):
            # It was rounded.
            self.known = int(max(int(went_on.group(1)) - 0.5, 0) / 100 * length)
        self.compares = "broken off while it wrote" in notes or "An earlier copy" in notes
        # Progress is told twice a second; a target that was looked at just before says more.
        self.sent = max(sum(passes.values()), self.written - SLACK)
        self.done = self.process.returncode == DONE
        if self.done:
            self.sent = lines[-1]["sent_bytes"]


MODES = [["--overwrite"], ["--overwrite"], ["--delta"], ["--warm", "--overwrite"]]


def killed_again_and_again(place, kills, seed):
    rng = random.Random(seed)
    ground = Ground(place, rng)
    sent = runs = resumed = killed = 0
    while killed < kills:
        differs = ground.differs()
        mode = rng.choice(MODES)
        run = Run(ground, *mode, after_s=rng.uniform(0.02, 1.0))
        for pid in run.pids.values():
            wait_for(lambda pid=pid: not alive(pid), 20, "an end outlives its conductor")
        ground.check_around()
        runs += 1
        told = f"seed {seed}, run {runs} ({' '.join(mode)}, {run.victim} killed): {run.err}"
        # Before the ends have opened their disks nothing of this run can go on.
        early = (FAILED, UNREACHABLE) if run.sent <= 0 and run.victim != "conductor" else ()
        assert run.process.returncode in (DONE, RESUMABLE, -signal.SIGKILL, *early), told
        if "--delta" in mode or run.compares:
            allowed = differs
        else:
            # What is known and has changed since is sent, and nothing else that is known.
            allowed = min(ground.length, ground.length - run.known + differs)
        assert run.sent <= allowed + SLACK, (told, run.sent, allowed)
        resumed += run.known > 0 or run.compares
        killed += not run.done
        sent += run.sent
        if run.done:
            assert same(ground.source, ground.disk, ground.length, ground.start), told
        if rng.randrange(2):
            ground.change()
    place.copy(ground.source, ground.disk, "--partition", 2, "--overwrite")
    assert same(ground.source, ground.disk, ground.length, ground.start)
    ground.check_around()
    assert resumed > kills / 8, f"seed {seed}: {resumed} of {runs} runs went on"
    return {"runs": runs, "killed": killed, "resumed": resumed, "sent MiB": sent // MIB}


KILLS, SEED = (50 if LONG else 8), int(os.environ.get("CRASH_SEED", "1"))


@plain_only("an amount")
@pytest.mark.timeout(600)
def test_only_what_was_not_flushed_is_sent_again(here):
    rng = random.Random(SEED)
    ground = Ground(here, rng)
    sent = kills = 0
    while kills < (20 if LONG else 3):
        run = Run(ground, "--overwrite", after_s=rng.uniform(0.7, 1.0))
        assert run.sent <= ground.length - run.known + SLACK
        sent += run.sent
        kills += not run.done
        if run.done:
            assert same(ground.source, ground.disk, ground.length, ground.start)
            sent -= ground.length
    left = here.result(ground.source, ground.disk, "--partition", 2, "--overwrite")
    again = sent + left["sent_bytes"] - ground.length
    print(f"{kills} kills; each made {again / kills / MIB:.1f} MiB be sent again")
    assert again < kills * RATE * 0.6, "most of it was flushed"


@pytest.mark.timeout(600)
def test_killed_again_and_again(here):
    """Either end or the conductor, at any moment of a full, a comparing or a warm copy, all over one
    target; the source changes in between, also back to what it was."""
    print(killed_again_and_again(here, KILLS, SEED))


# --- Disks that fail ---

@contextlib.contextmanager
def small_file_system(folder, size):
    """A tmpfs of so many MiB; a function that makes it larger."""
    if os.geteuid() != 0:
        skip("a small tmpfs needs root")
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=755", "small", folder]).returncode:
        skip("mount is not allowed here")
    try:
        yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}m", folder], check=True)
    finally:
        subprocess.run(["umount", "-l", folder], check=False)


def broken_off(place, *words, says):
    """It fails with one sentence that says this, and can go on."""
    err = one_sentence(place.copy(*words, code=RESUMABLE))
    assert says in err and "the same command goes on from" in err
    return err


def test_source_that_cannot_be_read(here):
    """A loop device whose file became shorter has nothing to give behind its end."""
    source, target = random_file(here.dir / "image", 16 * MIB), here.dir / "target"
    content = source.read_bytes()
    with contextlib.ExitStack() as undo:
        device = loop_device(source, undo)
        os.truncate(source, 11 * MIB + 4096)
        with open(device, "rb") as f:
            f.seek(12 * MIB)
            with pytest.raises(OSError):
                f.read(4096)
        # One connection comes to the first bad place first.
        err = broken_off(here, device, target, "--connections", 1, says="Input/output error")
        place = int(re.search(f"cannot read {device} at byte (\\d+): ", err).group(1))
        assert place == 11 * MIB + 4096
        source.write_bytes(content)
        result = here.result(device, target)
    assert target.read_bytes() == content
    assert result["sent_bytes"] < 13 * MIB, "it began from the start"


def test_target_that_cannot_be_written(here):
    """A loop device whose file has no room any more fails with an error of its own."""
    source = random_file(here.dir / "source", 24 * MIB)
    with small_file_system(here.dir / "small", 10) as enlarge, contextlib.ExitStack() as undo:
        image = sparse(here.dir / "small" / "image", 24 * MIB)
        device = loop_device(image, undo)
        # Direct I/O: what goes through the cache fails only when it is flushed.
        err = broken_off(here, source, device, "--flush-interval", FLUSH_S, says=device)
        assert "rror" in err or "space" in err
        enlarge(64)
        here.copy(source, device)
        assert same(source, device)


def test_no_room_for_the_map(here):
    """What was copied cannot be written down: it stops rather than go on without."""
    source, target = random_file(here.dir / "source", 64 * MIB), here.dir / "target"
    with small_file_system(here.dir / "state", 1) as enlarge:
        (here.dir / "state" / "ballast").write_bytes(bytes(MIB - 12288))
        err = one_sentence(here.copy(source, target, code=RESUMABLE))
        assert "No space left" in err and "state" in err
        enlarge(8)
        here.copy(source, target)
    assert same(source, target)


def test_source_that_becomes_shorter(here):
    source, target = random_file(here.dir / "source", 32 * MIB), here.dir / "target"
    with here.running(source, target, "--rate", "8M", "--compress", "never") as process:
        here.wait_status(lambda c: c["covered_bytes"] > 0)
        os.truncate(source, 16 * MIB)
        here.run("disk", "rate", "target", "0")
        code, _, err = ended(process)
    assert code == RESUMABLE and "cannot read" in err and len(err.splitlines()) == 1


# --- Stopped twice ---

def test_stopped_twice(here):
    """The second Ctrl-C does not wait for an end that hangs."""
    source, target = random_file(here.dir / "source", 32 * MIB), here.dir / "target"
    words = [source, target, "--rate", "8M"]
    with here.running(*words) as process:
        here.wait_status(lambda c: c["covered_bytes"] > 8 * MIB)
        stuck = agents(process)["target"]
        os.kill(stuck, signal.SIGSTOP)
        try:
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            wait_for(lambda: not pending(process.pid, signal.SIGINT), 10, "it does not take signals")
            process.send_signal(signal.SIGINT)
            code, _, err = ended(process, 30)
            took = time.monotonic() - began
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(stuck, signal.SIGKILL)
    assert code == RESUMABLE and "goes on" in err and len(err.splitlines()) == 1
    assert took < 6, f"it waited {took:.1f} s"
    here.copy(source, target)
    assert same(source, target)


def pending(pid, number):
    """Whether a signal waits to be taken."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    masks = re.findall(r"^(?:Sig|Shd)Pnd:\s*(\w+)", text, re.M)
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


# --- Other hosts ---

SILENCE_S = int(os.environ.get("CUT_S", "2"))  # 30 is what --timeout is by itself


def sshd_sessions(door):
    """Processes that sshd started for those who are logged in."""
    return children(door.process.pid)


def agents_under(pid):
    """Process ids of `bridgectl agent` below this process."""
    found = []
    for child in children(pid):
        with contextlib.suppress(OSError):
            if b"agent\0" in pathlib.Path(f"/proc/{child}/cmdline").read_bytes():
                found.append(child)
            found += agents_under(child)
    return found


def running_between(hosts, *words):
    """A slow copy to the other host, half done: (process, its agent there)."""
    return hosts.place.running(*words, "--rate", "16M", "--retries", "0", "--flush-interval", FLUSH_S,
                               "--compress", "never")


def half(place):
    return place.wait_status(lambda c: c["phase"] == "pass" and c["covered_bytes"] >= 8 * MIB)


@pytest.fixture
def words(hosts):
    place = hosts.place
    return [random_file(place.dir / "source", 32 * MIB), place.dir / "target", "--to", hosts.door.name]


def test_agent_dies_with_its_session(hosts, words):
    """sshd's process for the login is killed: no agent stays, what it wrote is kept."""
    with running_between(hosts, *words) as process:
        half(hosts.place)
        session = sshd_sessions(hosts.door)
        [agent] = {pid for one in session for pid in agents_under(one)}
        began = time.monotonic()
        for pid in session:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(agent), 20, "the agent outlives its session", interval=0.005)
        took = time.monotonic() - began
        code, _, err = ended(process)
    print(f"the agent ended {took:.2f} s after its session")
    assert took < 3, "a busy disk makes it flush longer; it is a hundredth of a second else"
    assert code == RESUMABLE and "root@xen1" in err and len(err.splitlines()) == 1
    result = hosts.place.result(*words)
    assert same(*words[:2]) and result["sent_bytes"] <= 25 * MIB


def test_ssh_dies_here(hosts, words):
    with running_between(hosts, *words) as process:
        half(hosts.place)
        [ssh] = [pid for pid in children(process.pid) if
                 pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ssh\0")]
        os.kill(ssh, signal.SIGKILL)
        code, _, err = ended(process)
    assert code == RESUMABLE and len(err.splitlines()) == 1
    assert "on root@xen1 was ended by signal 9" in err
    assert hosts.place.result(*words)["sent_bytes"] <= 25 * MIB and same(*words[:2])


def cut(hosts, words, heal_first):
    """A copy whose network is cut in the middle, and the same command once more."""
    place = hosts.place
    with running_between(hosts, *words) as process:
        half(place)
        [agent] = {pid for one in sshd_sessions(hosts.door) for pid in agents_under(one)
                   if is_target(pid)}
        hosts.wan.cut(hosts.xen1)
        began = time.monotonic()
        code, lines, err = ended(process, 120)
        took = time.monotonic() - began
    assert code == RESUMABLE and len(err.splitlines()) == 1
    if heal_first:
        hosts.wan.heal(hosts.xen1)
    wait_for(lambda: not alive(agent), 3 * SILENCE_S + 30, "the far end keeps the target locked")
    away = time.monotonic() - began
    hosts.wan.heal(hosts.xen1)
    print(f"cut: here after {took:.1f} s ({lines[-1]['message']}), there after {away:.1f} s")
    assert took < 2 * SILENCE_S + 10
    assert place.result(*words)["sent_bytes"] <= 25 * MIB and same(*words[:2])


def test_network_is_cut(hosts, words):
    """Nothing is acknowledged any more: both ends notice, each by itself, and the same command goes on
    as soon as the network is back."""
    cut(hosts, [*words, "--timeout", SILENCE_S], heal_first=False)


@long_only("10 s of a cut network")
def test_network_is_cut_inside_ssh(hosts, words):
    """Here ssh notices; over there sshd, in its own time."""
    cut(hosts, [*words, "--timeout", SILENCE_S, "--via-ssh"], heal_first=True)


def is_target(pid):
    return b"\0target\0" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()


@long_only("7 s of a cut network")
def test_network_is_cut_for_a_while(hosts, words):
    """By itself it tries again until it goes."""
    with hosts.place.running(*words, "--timeout", SILENCE_S, "--rate", "8M") as process:
        half(hosts.place)
        hosts.wan.cut(hosts.xen1)
        read_until(process, b"trying again")
        hosts.wan.heal(hosts.xen1)
        hosts.place.wait_status(lambda c: c["phase"] == "pass")
        hosts.place.run("disk", "rate", "target", "0")
        code, lines, err = ended(process, 90)
    assert code == DONE, err
    assert same(*words[:2])


def read_until(process, text):
    """Lines of its output, up to one with this text."""
    for line in process.stdout:
        if text.decode() in line:
            return
    raise AssertionError(f"it never says {text}")


def test_words_of_ssh(here):
    """Its lines end as those of a terminal do, and some come again and again: one sentence all the same."""
    ssh = here.dir / "program"
    ssh.write_text("#!/bin/sh\nprintf '\\r\\nWarning: a\\r\\nTimeout, b.\\r\\nTimeout, b.\\r\\n\\r\\n' >&2\nexit 255\n")
    ssh.chmod(0o755)
    source = random_file(here.dir / "source", MIB)
    err = one_sentence(here.copy(source, "/x", "--to", "xen1", "--ssh", ssh, code=UNREACHABLE))
    assert err == "bridgectl: ssh cannot reach xen1: Warning: a Timeout, b."


VERSIONS = {
    "newer": ('#!/bin/sh\nread line\necho \'{"id":1,"result":{"version":2,"role":"target"}}\'\ncat >/dev/null\n',
              RESUMABLE, "has another version of bridgectl (protocol 2, ours is 1)"),
    "older": ('#!/bin/sh\necho "bridgectl: there is no command \\"agent\\"" >&2\nexit 2\n',
              UNREACHABLE, 'there is no command "agent"'),
}


@pytest.mark.parametrize("which", VERSIONS)
def test_other_version_there(hosts, words, which):
    script, code, says = VERSIONS[which]
    program = hosts.place.dir / "old-bridgectl"
    program.write_text(script)
    program.chmod(0o755)
    hosts.place.options[-1] = str(program)
    code = FAILED if code == RESUMABLE else code
    assert says in one_sentence(hosts.place.copy(*words, code=code))
