"""Disks that are large and mostly empty: time and memory go with what is in them, the map of what is on
the target with their size."""
import os
import pathlib
import re

from copies import CHUNK, MIB, agents, finish_warm, sparse
from lab import plain_only, skip

TIB = 1 << 40
PLACES = [0, 5 * CHUNK, TIB // 2 - CHUNK, TIB - 4 * CHUNK]


def peak(pid):
    """The most memory that a process had, in bytes."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s*(\d+) kB", text).group(1)) * 1024


def data_of(path):
    """{offset: bytes} of the places that hold data, by 64 KiB."""
    found = {}
    with open(path, "rb") as f:
        at = 0
        while True:
            try:
                at = os.lseek(f.fileno(), at, os.SEEK_DATA) // CHUNK * CHUNK
            except OSError:
                return found
            piece = os.pread(f.fileno(), CHUNK, at)
            if piece.strip(b"\0"):
                found[at] = piece
            at += CHUNK


@plain_only("an amount")
def test_terabyte(here):
    source, target = here.dir / "source", here.dir / "target"
    try:
        sparse(source, TIB)
    except OSError as error:
        skip(f"no file of 1 TiB here: {error}")
    with open(source, "r+b") as f:
        for place in PLACES:
            f.seek(place)
            f.write(os.urandom(CHUNK))
    with here.running(source, target, "--warm", "--connections", 16) as process:
        here.wait_status(lambda c: c["phase"] == "wait", 60)
        memory = {role: peak(pid) for role, pid in agents(process).items()}
        [size] = [m.stat().st_blocks * 512 for m in (here.dir / "state").glob("*.map")]
        _, lines = finish_warm(here, process)
    print(f"{lines[-1]['seconds']:.1f} s, map {size / MIB:.0f} MiB, "
          + ", ".join(f"{role} {bytes_ / MIB:.0f} MiB" for role, bytes_ in memory.items()))
    assert data_of(target) == data_of(source) and len(data_of(source)) == len(PLACES)
    assert target.stat().st_size == TIB and target.stat().st_blocks * 512 < 64 * MIB
    assert max(memory.values()) < 128 * MIB
    assert 200 * MIB < size < 300 * MIB
    assert lines[-1]["sent_bytes"] == len(PLACES) * CHUNK
