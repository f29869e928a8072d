"""`bridgectl disk copy` and its kin, as an administrator runs them: files, partitions, other hosts by
ssh, copies that are broken off in every way, a source that is written to meanwhile."""
import contextlib
import hashlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import fcntl
import threading
import time

import pytest

from copies import (CHUNK, DONE, FAILED, MIB, RESUMABLE, UNREACHABLE, USAGE, Writer, agents, alive, children,
                    ended, finish_warm, image_with_table, loop_device, mixed, one_sentence, random_file,
                    same, sparse)
from lab import long_only, plain_only, skip, variants, wait_for
from node import BRIDGECTL
from sshd import Sshd

DATA_PORT = 4656


# --- Here ---

@pytest.mark.parametrize("size", [8 * MIB, 8 * MIB + 5 * 512, *variants(512, 100, CHUNK + 1)])
def test_file_to_new_file(here, size):
    source, target = here.dir / "source", here.dir / "target"
    source.write_bytes(mixed(size))
    out = here.copy(source, target).stdout
    assert same(source, target) and target.stat().st_size == size
    assert "verified" in out and "done" in out
    assert "\x1b" not in out and "\r" not in out
    assert not list((here.dir / "state").glob("*.map")), "a complete copy leaves no state"


def test_nothing_beyond_the_partition(here):
    disk = image_with_table(here.dir / "disk", [4, 8, 4])
    before = disk.read_bytes()
    source = here.dir / "source"
    source.write_bytes(mixed(7 * MIB + 512 * 3))
    here.copy(source, disk, "--partition", 2, "--overwrite")
    after = disk.read_bytes()
    size = source.stat().st_size
    assert after[5 * MIB:5 * MIB + size] == source.read_bytes()
    assert after[:5 * MIB] == before[:5 * MIB]
    assert after[5 * MIB + size:] == before[5 * MIB + size:]


def test_from_a_partition(here):
    disk, target = image_with_table(here.dir / "disk", [2, 3]), here.dir / "target"
    with open(disk, "r+b") as f:
        f.seek(3 * MIB)
        f.write(mixed(3 * MIB))
    here.copy(disk, target, "--source-partition", 2)
    assert target.read_bytes() == disk.read_bytes()[3 * MIB:6 * MIB]


def test_no_such_partition(here):
    disk, source = image_with_table(here.dir / "disk", [2]), random_file(here.dir / "source", MIB)
    err = here.copy(source, disk, "--partition", 3, code=FAILED).stderr
    assert "no partition 3" in err and len(err.splitlines()) == 1


def test_sha256_is_sha256sums(here):
    source, target = random_file(here.dir / "source", 3 * MIB + 512), here.dir / "target"
    out = here.copy(source, target, "--sha256").stdout
    assert hashlib.sha256(source.read_bytes()).hexdigest() in out


def test_zeros_are_not_sent(here):
    source, target = sparse(here.dir / "source", 64 * MIB), here.dir / "target"
    result = here.result(source, target)
    assert result["sent_bytes"] == 0 and result["bytes"] == 64 * MIB
    assert same(source, target)


def test_zeros_are_written(here):
    source, target = sparse(here.dir / "source", 4 * MIB), random_file(here.dir / "target", 4 * MIB)
    here.copy(source, target, "--overwrite")
    assert same(source, target)


@pytest.mark.parametrize("when", ["never", *variants("always")])
def test_compression(here, when):
    source, target = here.dir / "source", here.dir / "target"
    source.write_bytes(b"the same line again and again\n" * (4 * MIB // 30))
    result = here.result(source, target, "--compress", when)
    assert same(source, target)
    assert (result["wire_bytes"] < result["sent_bytes"] / 4) == (when == "always")


def test_delta_sends_what_differs(here):
    source, target = random_file(here.dir / "source", 32 * MIB), here.dir / "target"
    here.copy(source, target)
    with open(source, "r+b") as f:
        for place in (0, 5 * MIB, 31 * MIB):
            f.seek(place)
            f.write(os.urandom(CHUNK))
    result = here.result(source, target, "--delta")
    assert same(source, target)
    assert result["sent_bytes"] == 3 * CHUNK
    assert result["same_bytes"] == 32 * MIB - 3 * CHUNK


def test_verify(here):
    a, b = random_file(here.dir / "a", 8 * MIB), here.dir / "b"
    here.copy(a, b)
    assert "equal" in here.run("disk", "verify", a, b).stdout
    with open(b, "r+b") as f:
        f.seek(3 * CHUNK + 100)
        f.write(b"different")
    before = b.read_bytes()
    out = here.run("disk", "verify", a, b, code=FAILED).stdout
    assert f"at byte {3 * CHUNK}" in out and "64.0 KiB of 8.00 MiB" in out
    assert b.read_bytes() == before


# --- Wrong targets ---

def test_source_in_use_is_told(here):
    """A guest that somebody forgot to shut down."""
    source = random_file(here.dir / "source", MIB)
    assert "in use" not in here.copy(source, here.dir / "one").stderr
    with open(source, "r+b"):
        result = here.copy(source, here.dir / "two")
        said = result.stdout + result.stderr
        assert f"{source} is in use (" in said and "--warm" in said
        said = here.run("disk", "verify", source, here.dir / "two")
        assert "may look like a difference" in said.stdout + said.stderr


def test_no_such_source(here):
    assert "No such file" in one_sentence(here.copy(here.dir / "none", here.dir / "t", code=FAILED))


def test_same_file(here):
    source = random_file(here.dir / "source", MIB)
    link = here.dir / "link"
    link.symlink_to(source)
    content = source.read_bytes()
    for target in source, link:
        assert "source" in one_sentence(here.copy(source, target, "--overwrite", code=FAILED))
    assert source.read_bytes() == content


def test_too_small(here):
    source = random_file(here.dir / "source", 2 * MIB)
    target = sparse(here.dir / "target", MIB)
    assert "small" in one_sentence(here.copy(source, target, code=FAILED))
    assert target.stat().st_size == MIB


def test_typo_under_dev(here):
    source = random_file(here.dir / "source", MIB)
    one_sentence(here.copy(source, "/dev/l2-no-such-disk", code=FAILED))
    assert not os.path.exists("/dev/l2-no-such-disk")


def test_not_empty(here):
    source, target = random_file(here.dir / "source", 4 * MIB), sparse(here.dir / "target", 4 * MIB)
    subprocess.run(["mkswap", "-q", target], check=True, capture_output=True)
    content = target.read_bytes()
    assert "swap" in one_sentence(here.copy(source, target, code=FAILED))
    assert target.read_bytes() == content
    here.copy(source, target, "--overwrite")
    assert same(source, target)


def test_busy_with_another_copy(here):
    source, target = random_file(here.dir / "source", 32 * MIB), here.dir / "target"
    with here.running(source, target, "--rate", "4M") as process:
        here.wait_status(lambda c: c["covered_bytes"] > 0)
        one_sentence(here.copy(source, target, "--overwrite", code=FAILED))
        here.run("disk", "stop", "target")
        assert ended(process)[0] == RESUMABLE


def test_two_partitions_at_once(here):
    """They share the lock on the disk; the same bytes twice, or all of the disk, are refused."""
    target = image_with_table(here.dir / "target", [8, 8])
    one, two = random_file(here.dir / "one", 8 * MIB), random_file(here.dir / "two", 8 * MIB, seed=2)
    with here.running(one, target, "--partition", "1", "--overwrite", "--rate", "1M") as first:
        here.wait_status(lambda c: c["covered_bytes"] > 0)
        here.copy(two, target, "--partition", "2", "--overwrite")
        said = one_sentence(here.copy(two, target, "--partition", "1", "--overwrite", code=FAILED))
        assert "another copy writes there" in said
        said = one_sentence(here.copy(random_file(here.dir / "all", 16 * MIB), target, "--overwrite", code=FAILED))
        assert "in use" in said
        here.run("disk", "rate", "target-p1", "0")
        assert ended(first)[0] == DONE
    assert same(one, target, 8 * MIB, MIB) and same(two, target, 8 * MIB, 9 * MIB)


@pytest.mark.parametrize("device", [False, *variants(True)])
def test_the_one_with_the_lock_ends_first(here, device):
    """Its end, however sudden, leaves the disk locked by the others, and room for its next try."""
    image = image_with_table(here.dir / "image", [4, 4, 4])
    with contextlib.ExitStack() as undo:
        target = loop_device(image, undo) if device else image
        sources = [random_file(here.dir / f"source{n}", 4 * MIB, seed=n) for n in range(3)]
        first, second = (undo.enter_context(here.running(
            sources[n], target, "--partition", str(n + 1), "--overwrite", "--warm", "--rate", "512K")) for n in range(2))
        wait_for(lambda: len([c for c in here.status() if c["covered_bytes"]]) == 2, 30,
                 lambda: f"two copies: {here.status()}")
        agent = agents(first)["target"]
        first.kill()
        os.kill(agent, signal.SIGKILL)
        here.copy(sources[2], target, "--partition", "3", "--overwrite")
        assert "in use" in one_sentence(here.copy(sources[0], target, "--overwrite", code=FAILED))
        here.copy(sources[0], target, "--partition", "1", "--overwrite")
        assert second.poll() is None
        name = f"{os.path.basename(target)}-p2"
        here.run("disk", "rate", name, "0")
        here.run("disk", "finish", name)
        assert ended(second)[0] == DONE
    for n in range(3):
        assert same(sources[n], image, 4 * MIB, (1 + 4 * n) * MIB)


def test_mounted(here):
    source, image = random_file(here.dir / "source", MIB), sparse(here.dir / "image", 16 * MIB)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    with contextlib.ExitStack() as undo:
        device = loop_device(image, undo)
        point = here.dir / "point"
        point.mkdir()
        if subprocess.run(["mount", device, point]).returncode != 0:
            skip("mount is not allowed here")
        undo.callback(subprocess.run, ["umount", point])
        err = one_sentence(here.copy(source, device, "--overwrite", code=FAILED))
        assert "mounted" in err


def test_full_file_system(here):
    if os.geteuid() != 0:
        skip("a small tmpfs needs root")
    source, small = random_file(here.dir / "source", 24 * MIB), here.dir / "small"
    small.mkdir()
    words = " ".join(map(str, here.words("disk", "copy", source, small / "target")))
    run = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c",
         f"mount -t tmpfs -o size=8m small {small} && truncate -s 24M {small}/target && {words};"
         f" code=$?; mount -o remount,size=64m {small} && {words} --json && cmp {source}"
         f" {small}/target && exit $code"],
        text=True, capture_output=True, timeout=60)
    assert run.returncode == RESUMABLE, run.stdout + run.stderr
    assert "No space left" in run.stderr, run.stderr


@pytest.mark.parametrize("words, hint", [
    (["--delta", "--warm"], "only one"), (["--rate", "fast"], "50M"), (["--connections", "0"], "1 to"),
    (["--max-downtime", "3"], "--warm"), (["--delete"], "--files"), (["--compress", "max"], "--help"),
    (["--via-ssh"], "--from"), (["--from", "-oProxyCommand=x"], "name of a host"),
    (["--from", "a", "--via-ssh", "--insecure-plaintext"], "exclude"),
], ids=" ".join)
def test_usage(here, words, hint):
    assert hint in one_sentence(here.copy("a", "b", *words, code=USAGE))


# --- Broken off, and on again ---

SIZE = 48 * MIB


@pytest.fixture
def slow(here):
    """A copy that takes three seconds: (place, source, target, words)."""
    source, target = random_file(here.dir / "source", SIZE), here.dir / "target"
    return here, source, target, [source, target, "--rate", "16M", "--retries", "0"]


def half_done(place):
    return place.wait_status(lambda c: c["phase"] == "pass" and c["covered_bytes"] > SIZE / 4)


def goes_on(place, source, target):
    result = place.result(source, target)
    assert result["outcome"] == "done" and same(source, target)
    return result


@pytest.mark.parametrize("number", [signal.SIGINT, *variants(signal.SIGTERM, signal.SIGHUP)])
def test_stopped_by_signal(slow, number):
    place, source, target, words = slow
    with place.running(*words) as process:
        half_done(place)
        # As a terminal does it: to all of the group.
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        code, _, err = ended(process)
    assert code == RESUMABLE
    part = int(re.search(r"stopped; the same command goes on from (\d+) %", err).group(1))
    assert 20 <= part <= 95
    result = goes_on(place, source, target)
    assert result["sent_bytes"] <= SIZE * (1 - part / 100) + 8 * MIB, "what was there was sent again"


def test_nohup_is_minded(slow):
    place, source, target, words = slow
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        running = place.running(*words)
        process = running.__enter__()
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        half_done(place)
        os.killpg(process.pid, signal.SIGHUP)
        place.run("disk", "rate", "0")
        assert ended(process)[0] == DONE
    finally:
        running.__exit__(None, None, None)
    assert same(source, target)


def test_stopped_while_ssh_hangs(here):
    hang = here.dir / "hang"
    hang.write_text("#!/bin/sh\nexec sleep 60\n")
    hang.chmod(0o755)
    source = random_file(here.dir / "source", MIB)
    with here.running(source, "/x", "--to", "nobody", "--ssh", str(hang)) as process:
        wait_for(lambda: b"sleep" in b"".join(
            pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children(process.pid)),
            10, "no ssh is started")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        code, lines, _ = ended(process)
    assert code == FAILED and lines[-1]["outcome"] == "stopped"
    assert time.monotonic() - began < 8


def test_resumed_copy_says_what_is_there(slow):
    place, source, target, words = slow
    with place.running(*words) as process:
        half_done(place)
        place.run("disk", "stop")
        assert ended(process)[0] == RESUMABLE
    assert re.search(r"Going on from \d+ %", place.copy(source, target).stdout)
    assert same(source, target)


def test_fresh_forgets(slow):
    place, source, target, words = slow
    with place.running(*words) as process:
        half_done(place)
        process.send_signal(signal.SIGINT)
        assert ended(process)[0] == RESUMABLE
    result = place.result(source, target, "--fresh", "--overwrite")
    assert result["sent_bytes"] == SIZE and same(source, target)


def test_target_is_removed(slow):
    """A new file often has the number of the one before."""
    place, source, target, words = slow
    with place.running(*words) as process:
        half_done(place)
        process.send_signal(signal.SIGINT)
        assert ended(process)[0] == RESUMABLE
    target.unlink()
    result = goes_on(place, source, target)
    assert result["sent_bytes"] == SIZE


@pytest.mark.parametrize("role", ["source", "target"])
def test_killed_end(slow, role):
    place, source, target, words = slow
    with place.running(*words) as process:
        half_done(place)
        os.kill(agents(process)[role], signal.SIGKILL)
        code, lines, err = ended(process)
    assert code == RESUMABLE
    assert lines[-1]["outcome"] == "failed" and lines[-1]["resumable"]
    assert f"the {role} was ended by signal 9" in err
    goes_on(place, source, target)


def test_killed_end_is_started_again(slow):
    place, source, target, words = slow
    with place.running(source, target, "--rate", "16M") as process:
        half_done(place)
        os.kill(agents(process)["source"], signal.SIGKILL)
        code, lines, _ = ended(process)
    assert code == DONE and same(source, target)
    assert any("trying again" in line.get("text", "") for line in lines)


def test_killed_conductor(slow):
    place, source, target, words = slow
    with place.running(*words) as process:
        half_done(place)
        ends = agents(process)
        process.kill()
        process.wait()
    for role, pid in ends.items():
        wait_for(lambda pid=pid: not alive(pid), 20, f"the {role} outlives its conductor")
    assert place.status() == []
    assert not os.listdir(place.run_dir), "a stale socket stays"
    result = goes_on(place, source, target)
    assert result["sent_bytes"] < SIZE, "ends that are left alone keep what is written"


# --- While it runs ---

def test_rate_changes(here):
    source, target = random_file(here.dir / "source", 32 * MIB), here.dir / "target"
    with here.running(source, target, "--rate", "1M") as process:
        state = here.wait_status(lambda c: c["sent_bytes"] > 0)
        assert state["limit_bytes_per_s"] == MIB and state["id"] == "target"
        here.run("disk", "rate", "target", "0")
        code, lines, err = ended(process, 20)
    assert code == DONE, err
    assert lines[-1]["seconds"] < 20 and same(source, target)


def test_status_in_text(slow):
    place, source, target, words = slow
    assert "no copy is running" in place.run("disk", "status").stdout
    with place.running(*words) as process:
        half_done(place)
        text = place.run("disk", "status").stdout
        assert str(source) in text and str(target) in text and "%" in text and "16.0 MiB/s" in text
        assert "no copy \"other\"" in place.run("disk", "status", "other", code=FAILED).stderr
        assert "--warm" in place.run("disk", "finish", code=FAILED).stderr
        process.send_signal(signal.SIGINT)
        ended(process)


def test_json_lines(slow):
    place, source, target, words = slow
    with place.running(*words) as process:
        code, lines, err = ended(process)
    assert code == DONE and err == ""
    progress = [line for line in lines if line["event"] == "progress"]
    assert 2 <= len(progress) <= 20
    assert {"phase", "covered_bytes", "total_bytes", "bytes_per_s", "eta_s"} <= set().union(*progress)
    assert lines[-1]["event"] == "result" and lines[-1]["verified_bytes"] == SIZE


def test_progress_on_a_terminal(slow):
    place, source, target, words = slow
    leader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    process = subprocess.Popen(place.words("disk", "copy", *words), stdin=terminal, stdout=terminal,
                               stderr=terminal, start_new_session=True,
                               env={**os.environ, "TERM": "xterm", "LC_ALL": "C"})
    os.close(terminal)
    text = b""
    with contextlib.suppress(OSError):  # EIO: nobody has the terminal any more
        while select.select([leader], [], [], 30)[0] and (data := os.read(leader, 65536)):
            text += data
    os.close(leader)
    assert process.wait(10) == DONE
    drawn = [line for line in re.split(rb"[\r\n]+|\x1b\[K", text) if line]
    bars = [line for line in drawn if b"##" in line and b"%" in line]
    assert len(bars) > 3, text
    assert max(map(len, bars)) < 60, bars


# --- Warm ---

def test_warm_without_tracking(here):
    """A file cannot be watched: passes compare."""
    source, target = random_file(here.dir / "source", 16 * MIB), here.dir / "target"
    with Writer(source, 16 * MIB), here.running(source, target, "--warm") as process:
        here.wait_status(lambda c: c["phase"] == "wait")
        writer_off = here.status()[0]
        assert writer_off["warm"] and not writer_off["tracking"]
        # The guest is turned off.
        for thread in threading.enumerate():
            if isinstance(thread, Writer):
                thread.__exit__()
        done, lines = finish_warm(here, process)
    assert same(source, target)
    notes = " ".join(line.get("text", "") for line in lines)
    assert "cannot be watched" in notes and "disk finish target" in notes
    assert "done" in done.stdout and "The last pass read" in done.stdout
    assert lines[-1]["downtime_s"] < 30


def test_warm_with_tracking(here):
    size = 64 * MIB
    with contextlib.ExitStack() as undo:
        source = loop_device(random_file(here.dir / "image", size), undo)
        target = here.dir / "target"
        writer = undo.enter_context(Writer(source, size))
        process = undo.enter_context(here.running(source, target, "--warm"))
        state = here.wait_status(lambda c: c["phase"] == "wait")
        if not state["tracking"]:
            writer.__exit__()
            done, lines = finish_warm(here, process)
            skip(f"writes cannot be watched here: {[li.get('text') for li in lines]}")
        seen = writer.writes
        wait_for(lambda: writer.writes > seen + 20, 20, "the guest does not write")
        writer.__exit__()
        done, lines = finish_warm(here, process)
        assert same(here.dir / "image", target)
    result = lines[-1]
    assert 0 < result["final_read_bytes"] < size / 2, "the last pass reads only what is dirty"
    assert re.search(r"The last pass read \d+ chunks", done.stdout)


def test_finish_while_the_guest_still_writes(here):
    size = 16 * MIB
    with contextlib.ExitStack() as undo:
        source = loop_device(random_file(here.dir / "image", size), undo)
        target = here.dir / "target"
        writer = undo.enter_context(Writer(source, size, 0.001))
        # A last pass of a second: a busy host may let the writer rest for longer than a short one.
        process = undo.enter_context(here.running(source, target, "--warm", "--rate", "16M"))
        state = here.wait_status(lambda c: c["phase"] == "wait")
        if not state["tracking"]:
            skip("writes cannot be watched here")
        assert state["downtime_s"] < 30
        here.run("disk", "finish", "--no-wait")
        here.wait_status(lambda c: c["pass"] >= state["pass"] + 3 and c["phase"] == "wait"
                         and not c["final"])
        writer.__exit__()
        _, lines = finish_warm(here, process)
        assert same(here.dir / "image", target)
    assert any("not off" in line.get("text", "") for line in lines)


def test_final_by_the_copy_that_runs(here):
    source, target = random_file(here.dir / "source", 8 * MIB), here.dir / "target"
    with here.running(source, target, "--warm") as process:
        here.wait_status(lambda c: c["phase"] == "wait")
        with open(source, "r+b") as f:
            f.write(b"last words")
        assert "done" in here.copy(source, target, "--final").stdout
        assert ended(process)[0] == DONE
    assert same(source, target)


def test_final_is_not_for_another_copy(here):
    """Two guests' disks may have the same name."""
    files = []
    for guest in ("web1", "web2"):
        (here.dir / guest).mkdir()
        files.append((random_file(here.dir / guest / "source", MIB), here.dir / guest / "disk.img"))
    with here.running(*files[0], "--warm") as other:
        here.wait_status(lambda c: c["phase"] == "wait")
        here.copy(*files[1], "--final", code=FAILED)
        assert here.status()[0]["phase"] == "wait" and other.poll() is None
        with here.running(*files[1], "--warm") as process:
            wait_for(lambda: [c["phase"] for c in here.status()] == ["wait", "wait"], 30,
                     "the second copy does not wait")
            assert "done" in here.copy(*files[1], "--final").stdout
            assert ended(process)[0] == DONE
        assert other.poll() is None and same(*files[1])


def test_final_when_the_warm_copy_was_killed(here):
    source, target = random_file(here.dir / "source", 16 * MIB), here.dir / "target"
    with here.running(source, target, "--warm") as process:
        here.wait_status(lambda c: c["phase"] == "wait")
        process.kill()
        process.wait()
    with open(source, "r+b") as f:
        f.seek(3 * MIB)
        f.write(b"last words")
    lines = [json.loads(line) for line in
             here.copy("--json", source, target, "--final").stdout.splitlines()]
    assert same(source, target)
    assert any("comparing all" in line.get("text", "") for line in lines)
    assert lines[-1]["sent_bytes"] == CHUNK


# --- Other hosts ---

WIRES = [[], *variants(["--via-ssh"], ["--insecure-plaintext"])]


@pytest.mark.parametrize("wire", WIRES, ids=lambda w: w[0][2:] if w else "tls")
@pytest.mark.parametrize("way", ["--from", "--to"])
def test_another_host(hosts, way, wire):
    place = hosts.place
    source, target = place.dir / "source", place.dir / "target"
    source.write_bytes(mixed(24 * MIB + 512))
    result = place.result(source, target, way, hosts.door.name, "--sha256", *wire)
    assert same(source, target)
    assert result["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()


@plain_only()
def test_between_two_other_hosts(hosts):
    place = hosts.place
    other = Sshd(hosts.xen2, hosts.wan.address(hosts.xen2))
    # One command for both: what differs is in a file.
    config = place.dir / "config"
    config.write_text("".join(
        f"Host {door.host.name}\nHostName {door.address}\nHostKeyAlias {door.host.name}\n"
        f"IdentityFile {door.dir}/user_key\nUserKnownHostsFile {door.dir}/known_hosts\n"
        for door in (hosts.door, other)))
    place.options = ["--ssh", f"ssh -F {config} -oBatchMode=yes", "--remote-bridgectl", BRIDGECTL]
    source = random_file(place.dir / "source", 8 * MIB)
    for wire in [], ["--via-ssh"]:
        target = place.dir / f"target{len(wire)}"
        place.copy(source, target, "--from", hosts.door.name, "--to", other.name, *wire)
        assert same(source, target)


def test_strange_paths(hosts):
    place = hosts.place
    folder = place.dir / "it's $(a); \"b\"\n`c` \\ *"
    folder.mkdir()
    source, target = random_file(folder / "-source", MIB), folder / "the target"
    for way in "--from", "--to":
        place.copy(source, target, way, hosts.door.name, "--overwrite")
        assert same(source, target)
        target.unlink()


def test_verify_on_another_host(hosts):
    place = hosts.place
    a, b = random_file(place.dir / "a", 4 * MIB), place.dir / "b"
    shutil.copy(a, b)
    place.run("disk", "verify", a, b, "--to", hosts.door.name)
    with open(b, "r+b") as f:
        f.write(b"x")
    assert "at byte 0" in place.run("disk", "verify", a, b, "--to", hosts.door.name,
                                    code=FAILED).stdout


def test_ssh_cannot_reach(hosts):
    hosts.door.stop()
    source = random_file(hosts.place.dir / "source", MIB)
    err = one_sentence(hosts.place.copy(source, "/x", "--to", hosts.door.name, code=UNREACHABLE))
    assert "ssh cannot reach root@xen1" in err and "refused" in err


def test_no_bridgectl_there(hosts):
    hosts.place.options[-1] = "/nowhere/bridgectl"
    source = random_file(hosts.place.dir / "source", MIB)
    err = one_sentence(hosts.place.copy(source, "/x", "--to", hosts.door.name, code=UNREACHABLE))
    assert "/nowhere/bridgectl was not found on root@xen1" in err and "--remote-bridgectl" in err


def test_something_else_there(hosts):
    hosts.place.options[-1] = "/bin/echo"
    source = random_file(hosts.place.dir / "source", MIB)
    err = one_sentence(hosts.place.copy(source, "/x", "--to", hosts.door.name, code=UNREACHABLE))
    assert "does not talk as expected" in err


def test_firewall(hosts):
    hosts.xen1.nft("table inet lab { chain input { type filter hook input priority 0;\n"
                   "tcp dport != 22 tcp flags syn reject with tcp reset\n}\n}\n")
    place = hosts.place
    source, target = random_file(place.dir / "source", MIB), place.dir / "target"
    err = one_sentence(place.copy(source, target, "--to", hosts.door.name, "--retries", 0,
                                  code=RESUMABLE))
    assert "--data-port" in err and "--via-ssh" in err
    place.copy(source, target, "--to", hosts.door.name, "--via-ssh")
    assert same(source, target)


def test_chosen_data_port(hosts):
    hosts.xen1.nft("table inet lab { chain input { type filter hook input priority 0;\n"
                   f"tcp dport {{ 22, {DATA_PORT} }} accept\ntcp flags syn drop\n}}\n}}\n")
    place = hosts.place
    source, target = random_file(place.dir / "source", MIB), place.dir / "target"
    place.copy(source, target, "--to", hosts.door.name, "--data-port", DATA_PORT)
    assert same(source, target)


@pytest.mark.parametrize("wire", [[], ["--via-ssh"]], ids=["tls", "via-ssh"])
def test_stopped_between_hosts(hosts, wire):
    place = hosts.place
    source, target = random_file(place.dir / "source", SIZE), place.dir / "target"
    words = [source, target, "--to", hosts.door.name, *wire]
    with place.running(*words, "--rate", "16M") as process:
        half_done(place)
        os.killpg(process.pid, signal.SIGINT)
        code, _, err = ended(process)
    assert code == RESUMABLE and "goes on from" in err
    result = place.result(*words)
    assert same(source, target) and result["sent_bytes"] < SIZE


@long_only("40 s of a cut network")
def test_cut_network(hosts):
    place = hosts.place
    source, target = random_file(place.dir / "source", SIZE), place.dir / "target"
    words = [source, target, "--to", hosts.door.name]
    with place.running(*words, "--rate", "8M", "--retries", "0") as process:
        half_done(place)
        hosts.wan.cut(hosts.xen1)
        began = time.monotonic()
        code, lines, err = ended(process, 120)
    assert code == RESUMABLE, err
    assert time.monotonic() - began < 100
    hosts.wan.heal(hosts.xen1)
    # The end over there notices later that nobody is there any more; it holds the target until then.
    wait_for(lambda: place.popen("disk", "copy", "--json", *words).wait() == DONE, 120,
             "the target stays locked", interval=2)
    assert same(source, target)


@long_only("a network that is cut for 40 s")
def test_network_comes_back(hosts):
    place = hosts.place
    source, target = random_file(place.dir / "source", SIZE), place.dir / "target"
    with place.running(source, target, "--to", hosts.door.name, "--rate", "8M") as process:
        half_done(place)
        hosts.wan.cut(hosts.xen1)
        threading.Event().wait(40)
        hosts.wan.heal(hosts.xen1)
        code, lines, err = ended(process, 150)
    assert code == DONE, err
    assert any("trying again" in line.get("text", "") for line in lines)
    assert same(source, target)


# --- Files ---

def test_files(here):
    if not shutil.which("rsync"):
        skip("no rsync here; packages/install brings it")
    source, target = here.dir / "source", here.dir / "target"
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "file").write_text("text")
    os.link(source / "folder" / "file", source / "link")
    run = subprocess.run([BRIDGECTL, "disk", "copy", "--files", f"{source}/", f"{target}/"],
                         text=True, capture_output=True)
    assert run.returncode == 0, run.stderr
    assert (target / "link").stat().st_ino == (target / "folder" / "file").stat().st_ino
    (source / "link").unlink()
    subprocess.run([BRIDGECTL, "-q", "disk", "copy", "--files", "--delete", f"{source}/", f"{target}/"],
                   check=True)
    assert not (target / "link").exists()


def test_files_by_another_program(here, monkeypatch):
    """What rsync is told, by one that only repeats it."""
    folder = here.dir / "bin"
    folder.mkdir()
    (folder / "rsync").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (folder / "rsync").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    out = subprocess.run([BRIDGECTL, "disk", "copy", "--files", "a b/", "/c:d", "--to", "xen1", "--rate",
                          "2M", "--ssh", "ssh -p 2222"], text=True, capture_output=True, check=True).stdout
    assert out.splitlines() == ["-aHAXS", "--numeric-ids", "-s", "--info=progress2", "--bwlimit=2048",
                                "-e", "ssh -p 2222", "--", "a b/", "xen1:/c:d"]
    run = subprocess.run([BRIDGECTL, "disk", "copy", "--files", "--warm", "a", "b"], text=True,
                         capture_output=True)
    assert run.returncode == USAGE and "--warm" in run.stderr


def test_a_half_copied_disk_is_left_alone(here):
    """`domain fixup --apply` and `domain start` ask for its map, in the usual folder: here one of our own."""
    source, target = random_file(here.dir / "source", 8 * MIB), here.dir / "target"
    script = """
        set -e
        mkdir -p /var/lib/bridgectl
        mount -t tmpfs none /var/lib/bridgectl
        "$1" disk copy "$2" "$3" --run-dir "$4" --rate 1M & copy=$!
        until "$1" disk status --json --run-dir "$4" | grep -q '"covered_bytes": [1-9]'; do kill -0 $copy; done
        kill -TERM $copy
        wait $copy || [ $? = 4 ]
        ! "$1" domain fixup --apply "$3" 2>"$5/half" || exit 9
        "$1" disk copy "$2" "$3" --run-dir "$4"
        ! "$1" domain fixup --apply "$3" 2>"$5/whole" || exit 9
    """
    words = ["unshare", "--mount", "sh", "-c", script, "sh", BRIDGECTL, str(source), str(target), here.run_dir, str(here.dir)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    half, whole = ((here.dir / name).read_text() for name in ("half", "whole"))
    assert "let the same `disk copy` go on" in half and "/var/lib/bridgectl/transfer/" in half
    assert "disk copy" not in whole and whole.startswith("bridgectl:")
