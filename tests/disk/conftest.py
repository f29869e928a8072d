"""What the tests of disks share. None needs a daemon; every file, loop device, mount and network is the
test's own."""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import lab  # noqa: E402  (needs the path above)
from copies import Hosts, Place  # noqa: E402
from node import BRIDGECTL  # noqa: E402

SECTOR = 512
MIB = 1 << 20


def pytest_configure(config):
    """Marks that tests carry; run_py.py minds the first two."""
    for line in ("alone(why): no other network test runs beside it",
                 "timeout(seconds): how long the test may take",
                 "variant: of another case of the same test"):
        config.addinivalue_line("markers", line)


def need(*programs):
    for name in programs:
        if not shutil.which(name):
            pytest.skip(f"needs {name}")


@pytest.fixture
def net():
    """An empty laboratory of networks."""
    lab.need("netns")
    with lab.Lab() as made:
        yield made


class Ctl:
    """bridgectl with a PATH of the test's own in front."""

    def __init__(self, folder):
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log = folder / "log"
        self.log.write_text("")

    def program(self, name, script):
        """A shell script in place of a program; its arguments are written down."""
        path = self.bin / name
        path.write_text(f'#!/bin/sh\necho {name} "$@" >>{self.log}\n{script}\n')
        path.chmod(0o755)
        return path

    def calls(self):
        return self.log.read_text().splitlines()

    def argv(self, *words):
        return [BRIDGECTL, *map(str, words)]

    def env(self):
        return {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"}

    def run(self, *words, stdin=None, wrap=()):
        return subprocess.run([*wrap, *self.argv(*words)], input=stdin, text=True,
                              capture_output=True, env=self.env(), timeout=120)

    def ok(self, *words, **more):
        result = self.run(*words, **more)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def json(self, *words, **more):
        return json.loads(self.ok(*words, "--json", **more))

    def refused(self, *words, code=1, **more):
        """It fails, and says why."""
        result = self.run(*words, **more)
        assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
        assert result.stderr.startswith("bridgectl: ")
        return result.stderr


@pytest.fixture
def ctl(tmp_path):
    if not os.access(BRIDGECTL, os.X_OK):
        pytest.fail(f"{BRIDGECTL} is missing: build first, or set BRIDGECTL")
    return Ctl(tmp_path)


@pytest.fixture
def loop():
    """Makes loop devices over files; gone after the test."""
    if os.geteuid() != 0:
        pytest.skip("needs root (loop devices)")
    need("losetup")
    made = []

    def make(path, *options):
        result = subprocess.run(["losetup", "--find", "--show", *options, str(path)], text=True,
                                capture_output=True)
        if result.returncode != 0:
            pytest.skip(f"no loop devices here: {result.stderr.strip()}")
        made.append(result.stdout.strip())
        return made[-1]

    yield make
    for device in made:
        subprocess.run(["losetup", "--detach", device], check=False)


@pytest.fixture
def here(tmp_path):
    if not os.access(BRIDGECTL, os.X_OK):
        pytest.fail(f"{BRIDGECTL} is missing: build first, or set BRIDGECTL")
    place = Place(tmp_path)
    yield place
    shutil.rmtree(place.run_dir, ignore_errors=True)


@pytest.fixture
def hosts(here, net):
    return Hosts(net, here.dir)


def run(*words, **more):
    return subprocess.run([str(w) for w in words], check=True, capture_output=True, text=True,
                          **more).stdout


def image(path, size, fill=None):
    with open(path, "wb") as f:
        f.truncate(size)
        if fill is not None:
            for _ in range(0, size, MIB):
                f.write(bytes([fill]) * min(MIB, size - f.tell()))
    return path


def digest(path, start=0, size=None):
    with open(path, "rb") as f:
        f.seek(start)
        return hashlib.sha256(f.read() if size is None else f.read(size)).hexdigest()


def sfdisk(path):
    """Label, and {number: entry} of the table as sfdisk sees it, without a complaint."""
    need("sfdisk")
    table = json.loads(run("sfdisk", "-J", path))["partitiontable"]
    verified = subprocess.run(["sfdisk", "-V", str(path)], capture_output=True, text=True)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    parts = {}
    for entry in table["partitions"]:
        parts[int(entry["node"][len(str(path)):].lstrip("p"))] = entry
    return table["label"], parts


def blkid(path, start=0, size=None):
    """What libblkid says of the content there."""
    need("blkid")
    words = ["blkid", "-p", "-o", "export", "-O", start, *(["-S", size] if size else []), path]
    lines = run(*words).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def swap_pages(path, start):
    """The last page that a swap header speaks of, and one for the first."""
    with open(path, "rb") as f:
        f.seek(start + 1028)
        return int.from_bytes(f.read(4), "little") + 1
