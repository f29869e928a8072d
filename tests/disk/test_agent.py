"""`bridgectl agent` by itself: what it answers, what it refuses, and what is left after its end."""
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from agents import Agent, BRIDGECTL, Pair, Refused  # noqa: E402  (needs the path above)

MIB = 1 << 20
CHUNK = 65536
KEY = "5a" * 32


@pytest.fixture(autouse=True)
def program():
    if not os.access(BRIDGECTL, os.X_OK):
        pytest.fail(f"{BRIDGECTL} is missing: build first, or set BRIDGECTL")


@pytest.fixture
def disk(tmp_path):
    """A source of 40 MiB and a bit, a third of it zeros, and an empty target."""
    rng = random.Random(5)
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as f:
        for _ in range(40):
            f.write(bytes(MIB) if rng.randrange(3) == 0 else rng.randbytes(MIB))
        f.write(b"the end")
    make_empty(target, source.stat().st_size)
    return source, target, tmp_path / "state"


def make_empty(path, size):
    with path.open("wb") as f:
        f.truncate(size)


def wait_for(what, seconds=30):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "that took too long"
        time.sleep(0.01)


@pytest.fixture
def agents():
    """Makes agents and pairs that are gone at the end of the test."""
    made = []

    def make(kind, *arguments, **params):
        made.append(kind(*arguments, **params))
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.fixture
def source(agents, disk):
    return agents(Agent, "source", disk[0])


# --- Requests ---------------------------------------------------------------------------------------


def test_hello(source):
    answer = source.ask("hello", version=1)
    assert answer["version"] == 1 and answer["role"] == "source"
    assert answer["host"] == socket.gethostname()


@pytest.mark.parametrize("line, code", [
    (b"\n", "protocol"),
    (b"SSH-2.0-OpenSSH\n", "protocol"),
    (b"[1]\n", "protocol"),
    (b'{"method":"hello","params":{"version":1}}\n', "protocol"),
    (b'{"id":"1","method":"hello","params":{"version":1}}\n', "protocol"),
])
def test_not_a_request(source, line, code):
    source.raw(line)
    with pytest.raises(Refused) as e:
        source.answer(None)
    assert e.value.code == code
    assert source.ask("hello", version=1)


@pytest.mark.parametrize("method, params, code", [
    ("format", {}, "usage"),
    ("begin", {"pass": 0, "kind": "full"}, "usage"),
    ("hello", {}, "usage"),
    ("hello", {"version": "1"}, "usage"),
    ("open", {"path": "/etc/shadow"}, "usage"),
    ("seed", {"seed": "ab"}, "usage"),
    ("seed", {"seed": "zz" * 32}, "usage"),
    ("rate", {"bytes_per_s": -1}, "usage"),
    ("rate", {"bytes_per_s": 1.5}, "usage"),
    ("track", {"on": 1}, "usage"),
    ("listen", {"connections": 17, "key": KEY}, "usage"),
    ("listen", {"connections": 0, "key": KEY}, "usage"),
    ("listen", {"connections": 1, "key": KEY, "port": 65536}, "usage"),
    ("pass", {"pass": 0, "kind": "fast"}, "usage"),
    ("pass", {"pass": 0, "kind": "full"}, "protocol"),
    ("listen", {"connections": 1, "key": KEY}, "protocol"),
    ("sha256", {}, "usage"),
    ("track", {"on": True}, "protocol"),
])
def test_bad_request(source, method, params, code):
    with pytest.raises(Refused) as e:
        source.ask(method, **params)
    assert e.value.code == code


def test_key_is_needed(source):
    source.ask("open")
    source.ask("seed", seed="00" * 32)
    for method, more in (("listen", {}), ("connect", {"address": "127.0.0.1:1"})):
        with pytest.raises(Refused) as e:
            source.ask(method, connections=1, **more)
        assert e.value.code == "usage"


def test_line_too_long(source):
    with contextlib.suppress(BrokenPipeError):  # it has ended before the last byte
        source.raw(b"x" * 70000 + b"\n")
    with pytest.raises(Refused) as e:
        source.answer(None)
    assert e.value.code == "protocol"
    assert source.process.wait(30) == 0


def test_open_once(source):
    source.ask("open")
    with pytest.raises(Refused):
        source.ask("open")


@pytest.mark.parametrize("role", ["source", "target"])
@pytest.mark.parametrize("how", ["eof", signal.SIGTERM, signal.SIGHUP])
def test_ends(agents, disk, role, how):
    agent = agents(Agent, role, disk[0])
    agent.ask("hello", version=1)
    if how != "eof":
        agent.process.send_signal(how)
    assert (agent.end() if how == "eof" else agent.process.wait(30)) == 0


def test_ctrl_c_is_not_for_the_agent(source):
    source.ask("hello", version=1)
    source.process.send_signal(signal.SIGINT)
    assert source.ask("hello", version=1)


@pytest.mark.parametrize("arguments", [
    ["source"],
    ["source", "x", "--partition", "x"],
    ["source", "x", "--partition", "1", "--offset", "5"],
    ["source", "x", "--length", "-1"],
    ["target", "x", "--length", "99999999999999999999"],
    ["pipe"],
])
def test_bad_command_line(arguments):
    run = subprocess.run([BRIDGECTL, "agent", *arguments], stdin=subprocess.DEVNULL,
                         capture_output=True, timeout=30, check=False)
    assert run.returncode == 2 and not run.stdout and run.stderr


# --- Targets ----------------------------------------------------------------------------------------


def open_target(agents, disk, *arguments, length=MIB, source="host=elsewhere path=/x", **params):
    agent = agents(Agent, "target", "--state-dir", disk[2], *arguments, disk[1])
    return agent.ask("open", source=source, length=length, **params)


def test_target_too_small(agents, disk):
    with pytest.raises(Refused, match="room for") as e:
        open_target(agents, disk, length=disk[1].stat().st_size + 1)
    assert e.value.code == "refused"


def test_target_is_the_source(agents, disk):
    source = agents(Agent, "source", disk[0]).ask("open")
    agent = agents(Agent, "target", "--overwrite", "--state-dir", disk[2], disk[0])
    with pytest.raises(Refused, match="the source itself"):
        agent.ask("open", source=source["identity"], length=source["bytes"])


def test_target_not_empty(agents, disk):
    disk[1].write_bytes(b"somebody's data" * 100000)
    with pytest.raises(Refused, match="not empty"):
        open_target(agents, disk)
    assert not list(disk[2].glob("*.map"))
    assert open_target(agents, disk, "--overwrite")["resumed"] is False


def test_part_of_a_target_not_empty(agents, disk):
    with disk[1].open("r+b") as f:
        f.seek(2 * MIB)
        f.write(b"x")
    with pytest.raises(Refused, match="not empty"):
        open_target(agents, disk, "--offset", MIB + CHUNK)
    assert open_target(agents, disk, "--offset", 3 * MIB)["bytes"] == disk[1].stat().st_size - 3 * MIB


def test_target_in_use_by_another_agent(agents, disk):
    open_target(agents, disk)
    with pytest.raises(Refused) as e:
        open_target(agents, disk)
    assert e.value.code == "refused"


def test_target_missing(agents, disk):
    disk[1].unlink()
    with pytest.raises(Refused):
        open_target(agents, disk)
    assert not disk[1].exists()
    answer = open_target(agents, disk, create=True)
    assert answer["created"] and disk[1].stat().st_size == MIB


# --- Copies -----------------------------------------------------------------------------------------


def same(disk):
    return disk[0].read_bytes() == disk[1].read_bytes()


@pytest.mark.parametrize("join", ["unix", "tls", "plain"])
def test_copy(agents, disk, join):
    pair = agents(Pair, *disk, join=join)
    sent, settled = pair.run()
    size = disk[0].stat().st_size
    assert sent["covered_bytes"] == size == sent["sent_bytes"] + sent["zero_bytes"]
    assert settled["mismatched_bytes"] == 0 and settled["verified_bytes"] == sent["sent_bytes"]
    assert same(disk)
    sent, _ = pair.run("delta", 1)
    assert sent["same_bytes"] == size and sent["wire_bytes"] < 100000
    sent, _ = pair.run("verify", 2)
    assert sent["mismatches"] == [] and sent["mismatched_bytes"] == 0
    digests = [a.ask("sha256")["sha256"] for a in (pair.source, pair.target)]
    assert digests[0] == digests[1] == subprocess.run(
        ["sha256sum", disk[0]], capture_output=True, check=True).stdout.split()[0].decode()
    pair.target.ask("complete")
    pair.end()
    assert not list(disk[2].glob("*.map"))


def test_listening_source(agents, disk):
    """The other way round, with the source being called."""
    source, target = agents(Agent, "source", disk[0]), agents(Agent, "target", "--state-dir", disk[2], disk[1])
    s = source.ask("open")
    t = target.ask("open", source=s["identity"], length=s["bytes"])
    source.ask("seed", seed=t["seed"])
    params = {"connections": 2, "key": KEY, "mode": "tls"}
    where = source.ask("listen", address="127.0.0.1", **params)
    target.ask("connect", address=f"127.0.0.1:{where['port']}", **params)
    target.ask("begin", **{"pass": 0, "kind": "full"})
    source.ask("pass", **{"pass": 0, "kind": "full"})
    target.ask("settle", **{"pass": 0})
    assert same(disk)


def test_joined_by_pipes(agents, disk):
    """As --via-ssh does: both listen, `agent pipe` twice for each connection."""
    source, target = agents(Agent, "source", disk[0]), agents(Agent, "target", "--state-dir", disk[2], disk[1])
    s = source.ask("open")
    t = target.ask("open", source=s["identity"], length=s["bytes"])
    source.ask("seed", seed=t["seed"])
    paths = [a.ask("listen", connections=3, unix=True)["path"] for a in (source, target)]
    for path in paths:
        folder = os.stat(os.path.dirname(path))
        assert stat.S_IMODE(folder.st_mode) == 0o700 and folder.st_uid == os.getuid()
    pipes = []
    for _ in range(3):
        a, b = socket.socketpair()
        for path, end in zip(paths, (a, b)):
            pipes.append(subprocess.Popen([BRIDGECTL, "agent", "pipe", path], stdin=end, stdout=end))
            end.close()
    target.ask("begin", **{"pass": 0, "kind": "full"})
    source.ask("pass", **{"pass": 0, "kind": "full"})
    target.ask("settle", **{"pass": 0})
    assert same(disk)
    assert source.end() == 0 and target.end() == 0
    for pipe in pipes:
        pipe.wait(30)
    assert not any(os.path.exists(os.path.dirname(path)) for path in paths)


def test_window(agents, disk):
    """Into the middle of a larger target: not one byte around it changes."""
    size = disk[0].stat().st_size
    around = bytes([0xA5]) * (3 * MIB)
    disk[1].write_bytes(around + bytes(size) + around)
    before = disk[1].read_bytes()
    pair = agents(Pair, *disk, target_args=["--offset", len(around), "--length", size])
    pair.run()
    pair.end()
    after = disk[1].read_bytes()
    assert after[:len(around)] == around and after[-len(around):] == around
    assert after[len(around):-len(around)] == disk[0].read_bytes() and len(after) == len(before)


def test_partition(agents, tmp_path):
    """From partition 3 of one disk to partition 5 of another, larger one."""
    if not shutil.which("sfdisk"):
        pytest.skip("sfdisk is not installed")
    disks = {}
    for name, table in (("source", "label: dos\nstart=2048, size=9000\n3: start=20480, size=10001\n"),
                        ("target", "label: gpt\n5: start=40960, size=12288\n")):
        disks[name] = tmp_path / name
        disks[name].write_bytes(random.Random(name).randbytes(40 * MIB))
        subprocess.run(["sfdisk", "-q", "--no-reread", "--wipe", "always", disks[name]],
                       input=table.encode(), check=True)
    before = disks["target"].read_bytes()
    pair = agents(Pair, disks["source"], disks["target"], tmp_path / "state",
                  source_args=["--partition", 3], target_args=["--partition", 5, "--overwrite"])
    assert pair.opened_source["bytes"] == 10001 * 512 and pair.opened["bytes"] == 12288 * 512
    pair.run()
    pair.end()
    after, begin = disks["target"].read_bytes(), 40960 * 512
    end = begin + 10001 * 512
    assert after[begin:end] == disks["source"].read_bytes()[20480 * 512:30481 * 512]
    assert after[:begin] == before[:begin] and after[end:] == before[end:]
    with pytest.raises(Refused, match="no partition 2"):
        agents(Agent, "source", "--partition", 2, disks["target"]).ask("open")


def test_verify_only(agents, disk):
    disk[1].write_bytes(disk[0].read_bytes())
    with disk[1].open("r+b") as f:
        f.seek(5 * MIB + 3)
        f.write(b"!")
    before = disk[1].stat().st_mtime_ns
    pair = agents(Pair, *disk, verify=True)
    sent, _ = pair.run("verify")
    assert sent["mismatches"] == [5 * MIB] and sent["mismatched_bytes"] == CHUNK
    with pytest.raises(Refused):
        pair.target.ask("begin", **{"pass": 1, "kind": "full"})
    pair.end()
    assert disk[1].stat().st_mtime_ns == before and not disk[2].exists()


def test_rate_and_stop(agents, disk):
    pair = agents(Pair, *disk)
    pair.source.ask("rate", bytes_per_s=MIB)
    pair.target.ask("begin", **{"pass": 0, "kind": "full"})
    number = pair.source.send("pass", **{"pass": 0, "kind": "full"})
    event = pair.source.event(lambda e: e["event"] == "progress" and e["sent_bytes"] > 0)
    assert event["covered_bytes"] < event["total_bytes"]
    with pytest.raises(Refused) as e:
        pair.source.ask("sha256")
    assert e.value.code == "busy"
    assert pair.source.ask("dirty") == {"bytes": 0, "lost": 0, "events": 0}
    pair.source.ask("stop")
    with pytest.raises(Refused) as e:
        pair.source.answer(number)
    assert e.value.code == "stopped"
    with pytest.raises(Refused) as e:
        pair.target.ask("settle", **{"pass": 0})
    assert e.value.code == "connection"
    pair.end()
    again = agents(Pair, *disk)
    assert again.opened["resumed"] and again.opened["known_bytes"] > 0
    sent, _ = again.run()
    assert sent["same_bytes"] >= again.opened["known_bytes"] and same(disk)


def test_rate_is_kept(agents, disk):
    pair = agents(Pair, *disk)
    pair.source.ask("rate", bytes_per_s=10 * MIB)
    begun = time.monotonic()
    sent, _ = pair.run(compress="never")
    assert sent["sent_bytes"] / (time.monotonic() - begun) < 12 * MIB
    assert same(disk)


def test_target_ends_in_the_middle(agents, disk):
    """Its standard input ends while data comes: what it wrote is durable, and it ends orderly."""
    pair = agents(Pair, *disk)
    pair.source.ask("rate", bytes_per_s=8 * MIB)
    pair.target.ask("begin", **{"pass": 0, "kind": "full"})
    number = pair.source.send("pass", **{"pass": 0, "kind": "full", "compress": "never"})
    pair.source.event(lambda e: e["event"] == "progress" and e["sent_bytes"] >= 4 * MIB)
    assert pair.target.end() == 0
    with pytest.raises(Refused) as e:
        pair.source.answer(number)
    assert e.value.code == "connection"
    pair.source.end()
    again = agents(Pair, *disk)
    assert again.opened["known_bytes"] > 0 and not again.opened["doubt"]
    again.run()
    assert same(disk)


def test_fresh(agents, disk):
    first = agents(Pair, *disk)
    first.run()
    first.end()
    again = agents(Pair, *disk, fresh=True)
    assert not again.opened["resumed"] and again.opened["known_bytes"] == 0
    again.run()
    assert same(disk)


def test_changed_by_somebody_else(agents, disk):
    """A file that was written to long after our last commit is read, not believed."""
    first = agents(Pair, *disk)
    first.run()
    first.end()
    with disk[1].open("r+b") as f:
        f.seek(7 * MIB)
        f.write(b"not ours")
    later = time.time() + 3600
    os.utime(disk[1], (later, later))
    again = agents(Pair, *disk)
    assert again.opened["resumed"] and again.opened["doubt"] and again.opened["known_bytes"] == 0
    sent, _ = again.run("delta", 1)
    assert sent["sent_bytes"] + sent["zero_bytes"] == CHUNK
    assert same(disk)


@pytest.mark.parametrize("what", ["replaced", "started"])
def test_not_what_the_map_says(agents, disk, what):
    """A device has no time of its last change: another disk in its place, a guest that ran on it."""
    first = agents(Pair, *disk)
    first.run()
    first.end()
    old = disk[1].stat()
    size = old.st_size if what == "replaced" else 4096
    with disk[1].open("r+b") as f:
        f.write(os.urandom(size))
    os.utime(disk[1], ns=(old.st_atime_ns, old.st_mtime_ns))
    again = agents(Pair, *disk)
    assert again.opened["resumed"] and again.opened["doubt"] and again.opened["known_bytes"] == 0
    sent, _ = again.run("delta", 1)
    if what == "started":
        assert sent["sent_bytes"] + sent["zero_bytes"] == CHUNK
    assert same(disk)


def test_refused_copy_keeps_the_map(agents, disk):
    """Somebody mistypes the source: the copy that was broken off goes on all the same."""
    first = agents(Pair, *disk)
    first.run()
    first.end()
    with pytest.raises(Refused, match="not empty"):
        open_target(agents, disk, length=disk[0].stat().st_size)
    again = agents(Pair, *disk)
    assert again.opened["resumed"] and again.opened["known_bytes"] == disk[0].stat().st_size


def test_nobody_comes_back(agents, disk):
    """The source is gone, and ssh has not told anybody: the target's lock is not kept for hours."""
    pair = agents(Pair, *disk, join="tls", wire_params={"timeout_ms": 1000})
    pair.source.ask("rate", bytes_per_s=MIB)
    pair.target.ask("begin", **{"pass": 0, "kind": "full"})
    pair.source.send("pass", **{"pass": 0, "kind": "full", "compress": "never"})
    pair.source.kill()
    assert pair.target.process.wait(30) == 0
    agents(Pair, *disk)


def test_killed_and_resumed(agents, disk):
    """kill -9 of either side, ten times, at any moment: what comes of it is always right."""
    rng = random.Random(6)
    for number in range(10):
        pair = agents(Pair, *disk, join=rng.choice(["unix", "tls"]))
        pair.source.ask("rate", bytes_per_s=rng.randrange(5, 60) * MIB)
        known = pair.opened["known_bytes"]
        pair.target.ask("begin", **{"pass": 0, "kind": "full"})
        pair.source.send("pass", **{"pass": 0, "kind": "full", "compress": "never"})
        time.sleep(rng.random())
        victim = pair.target if number % 2 else pair.source
        other = pair.source if number % 2 else pair.target
        victim.kill()
        assert other.end() == 0
        assert known <= disk[0].stat().st_size
    last = agents(Pair, *disk)
    sent, _ = last.run()
    assert sent["same_bytes"] >= last.opened["known_bytes"] - CHUNK
    assert same(disk)
    sent, _ = last.run("verify", 1)
    assert sent["mismatches"] == []


def test_stranger_reads_and_writes_nothing(agents, disk):
    """Without TLS too: who connects and has no key is not answered, and the copy goes on."""
    source, target = agents(Agent, "source", disk[0]), agents(Agent, "target", "--state-dir", disk[2], disk[1])
    s = source.ask("open")
    t = target.ask("open", source=s["identity"], length=s["bytes"])
    source.ask("seed", seed=t["seed"])
    params = {"connections": 1, "key": KEY, "mode": "plain"}
    where = target.ask("listen", address="127.0.0.1", **params)
    with socket.create_connection(("127.0.0.1", where["port"])) as stranger:
        stranger.sendall(struct.pack("<BBHIQQQ", 1, 0, 0, 48, s["bytes"], 1, 0) + bytes(48))
        stranger.settimeout(30)
        assert stranger.recv(100) == b""
    source.ask("connect", address=f"127.0.0.1:{where['port']}", **params)
    target.ask("begin", **{"pass": 0, "kind": "full"})
    source.ask("pass", **{"pass": 0, "kind": "full"})
    target.ask("settle", **{"pass": 0})
    assert same(disk)


def test_full_disk(agents, tmp_path, disk):
    """A file system with too little room: said so, and with more room it goes on."""
    if os.getuid() != 0:
        pytest.skip("mounting needs root")
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", mount], check=False).returncode:
        pytest.skip("no tmpfs can be mounted")
    try:
        target = mount / "target"
        make_empty(target, disk[0].stat().st_size)
        pair = agents(Pair, disk[0], target, disk[2])
        pair.target.ask("begin", **{"pass": 0, "kind": "full"})
        number = pair.source.send("pass", **{"pass": 0, "kind": "full"})
        assert pair.target.event(lambda e: e["event"] == "failed")["code"] == "no-space"
        with pytest.raises(Refused):
            pair.source.answer(number)
        with pytest.raises(Refused) as e:
            pair.target.ask("settle", **{"pass": 0})
        assert e.value.code == "no-space" and str(target) in e.value.message
        pair.end()
        subprocess.run(["mount", "-o", "remount,size=64m", mount], check=True)
        again = agents(Pair, disk[0], target, disk[2])
        assert again.opened["known_bytes"] > 8 * MIB
        again.run()
        assert target.read_bytes() == disk[0].read_bytes()
        again.end()
    finally:
        subprocess.run(["umount", "-l", mount], check=False)


def test_memory(agents, tmp_path):
    """Sixteen connections over 4 GiB of holes and some data stay under 128 MiB on either side."""
    source, target = tmp_path / "source", tmp_path / "target"
    make_empty(source, 4096 * MIB)
    with source.open("r+b") as f:
        for i in range(0, 4096, 64):
            f.seek(i * MIB)
            f.write(os.urandom(4 * MIB))
    make_empty(target, 4096 * MIB)
    pair = agents(Pair, source, target, tmp_path / "state", join="tls", connections=16)
    pair.run(compress="always")
    assert pair.source.rss() < 128 * MIB and pair.target.rss() < 128 * MIB
    pair.end()


def test_lines_are_valid(source):
    """Every line is one JSON object; strings that no encoding fits do no harm."""
    source.raw(json.dumps({"id": 1, "method": "\x7f\u202e\ud83d\ude00"}).encode() + b"\n")
    with pytest.raises(Refused):
        source.answer(1)
