"""An agent trusts nobody: it serves what its command line names and nothing else, a source cannot be
written, and whoever comes to the data port without the key is refused and delays nobody."""
import contextlib
import os
import pathlib
import re
import signal
import socket
import ssl
import time

import pytest

from agents import Agent, Refused
from copies import (FAILED, MIB, agents, ended, image_with_table, loop_device, one_sentence, random_file,
                    same, sparse)
from lab import plain_only, variants

KEY = "5a" * 32


def open_files(pid):
    """{path: flags} of what a process has open, and is a file or device."""
    found = {}
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            path = os.readlink(fd)
            info = pathlib.Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text()
            flags = int(re.search(r"^flags:\s*(\d+)", info, re.M).group(1), 8)
            if path.startswith("/") and not path.startswith(("/dev/pts", "/dev/null")):
                found.setdefault(path, set()).add(flags & os.O_ACCMODE)
    return found


@pytest.mark.parametrize("device", [False, *variants(True)], ids=["file", "device"])
def test_what_agents_have_open(here, device):
    """The source: itself, read-only. The target: itself and its map."""
    source, target = random_file(here.dir / "source", 24 * MIB), here.dir / "target"
    with contextlib.ExitStack() as undo:
        if device:
            source = pathlib.Path(loop_device(source, undo))
        process = undo.enter_context(here.running(source, target, "--rate", "8M"))
        here.wait_status(lambda c: c["phase"] == "pass" and c["covered_bytes"] > 0)
        ends = agents(process)
        mine = {path: modes for path, modes in open_files(ends["source"]).items()
                if "/tracing/" not in path}
        assert mine == {str(source): {os.O_RDONLY}}
        theirs = open_files(ends["target"])
        assert theirs.pop(str(target)) <= {os.O_RDWR}
        assert all(path.startswith(str(here.dir / "state")) for path in theirs), theirs
        process.send_signal(signal.SIGINT)
        ended(process)


# --- Strangers at the data port ---

@pytest.fixture
def ends(here):
    """A source and a target, joined by `join`: (source, target) agents and their files."""
    files = random_file(here.dir / "source", 4 * MIB), sparse(here.dir / "target", 4 * MIB)
    source = Agent("source", files[0])
    target = Agent("target", "--state-dir", here.dir / "state", files[1])
    opened = source.ask("open")
    seed = target.ask("open", source=opened["identity"], length=opened["bytes"])["seed"]
    source.ask("seed", seed=seed)
    yield source, target, files
    source.kill()
    target.kill()


def copies(source, target, files, address, **params):
    """The right caller is served, whoever else is there; how long it took until then."""
    began = time.monotonic()
    source.ask("connect", address=address, **params)
    target.ask("begin", **{"pass": 0, "kind": "full"})
    took = time.monotonic() - began
    source.ask("pass", **{"pass": 0, "kind": "full"})
    target.ask("settle", **{"pass": 0})
    assert same(*files)
    return took


def silent(address):
    return socket.create_connection(address)


def slow(address):
    """Says the first byte of a TLS record, and no more."""
    sock = socket.create_connection(address)
    sock.sendall(b"\x16")
    return sock


def noisy(address):
    sock = socket.create_connection(address)
    with contextlib.suppress(OSError):
        for _ in range(100):
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n" * 100)
    return sock


def gone(address):
    sock = socket.create_connection(address)
    sock.close()
    return sock


@pytest.mark.parametrize("stranger, mode", [(silent, "plain"), (slow, "tls"), (noisy, "tls"),
                                            (noisy, "plain"), (gone, "tls")])
def test_strangers_delay_nobody(ends, stranger, mode):
    """More of them than there are places, before the one who has the key."""
    source, target, files = ends
    params = {"connections": 4, "key": KEY, "mode": mode}
    where = target.ask("listen", address="127.0.0.1", **params)
    address = "127.0.0.1", where["port"]
    with contextlib.ExitStack() as undo:
        for _ in range(40):
            undo.enter_context(stranger(address))
        took = copies(source, target, files, f"127.0.0.1:{where['port']}", **params)
    print(f"{mode}, 40 strangers that are {stranger.__name__}: {took:.2f} s")
    assert took < 5


def test_stranger_with_tls_and_no_key(ends):
    """Neither a handshake with certificates nor one with another key gets through."""
    source, target, files = ends
    params = {"connections": 2, "key": KEY, "mode": "tls"}
    where = target.ask("listen", address="127.0.0.1", **params)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", where["port"])) as sock:
            with pytest.raises((ssl.SSLError, OSError)):
                with context.wrap_socket(sock) as tls:
                    tls.recv(1)
                    raise ConnectionError("nothing was said")
    other = Agent("source", files[0])
    try:
        other.ask("open")
        other.ask("seed", seed="00" * 32)
        with pytest.raises(Refused) as e:
            other.ask("connect", address=f"127.0.0.1:{where['port']}", **{**params, "key": "a5" * 32})
        assert e.value.code == "connection"
    finally:
        other.kill()
    copies(source, target, files, f"127.0.0.1:{where['port']}", **params)


@plain_only()
def test_stranger_is_the_only_one(ends):
    """When nobody comes who has the key, the target says so and is free again."""
    _, target, files = ends
    params = {"connections": 1, "key": KEY, "mode": "plain"}
    where = target.ask("listen", address="127.0.0.1", **params)
    with silent(("127.0.0.1", where["port"])):
        number = target.send("begin", **{"pass": 0, "kind": "full"})
        target.ask("stop")
        with pytest.raises(Refused) as e:
            target.answer(number, 5)
        assert e.value.code == "stopped"
    assert target.end() == 0


def test_port_is_closed_when_all_are_there(ends):
    source, target, files = ends
    params = {"connections": 1, "key": KEY, "mode": "tls"}
    where = target.ask("listen", address="127.0.0.1", **params)
    copies(source, target, files, f"127.0.0.1:{where['port']}", **params)
    with pytest.raises(ConnectionRefusedError):
        silent(("127.0.0.1", where["port"]))


# --- Wrong targets that are right at a glance ---

def test_source_by_another_name(here):
    """A hard link, a loop device over the source, the disk whose partition is the source."""
    source = random_file(here.dir / "source", 4 * MIB)
    content = source.read_bytes()
    os.link(source, here.dir / "link")
    one_sentence(here.copy(source, here.dir / "link", "--overwrite", code=FAILED))
    with contextlib.ExitStack() as undo:
        device = loop_device(source, undo)
        for words in (source, device), (device, source):
            err = one_sentence(here.copy(*words, "--overwrite", code=FAILED))
            assert "source" in err or "in use" in err or "used" in err, err
    assert source.read_bytes() == content


def test_partition_into_its_own_disk(here):
    """From one partition of an image into another of it is right; into itself it is not."""
    disk = image_with_table(here.dir / "disk", [2, 2])
    one_sentence(here.copy(disk, disk, "--source-partition", 1, "--partition", 1, "--overwrite",
                           code=FAILED))
