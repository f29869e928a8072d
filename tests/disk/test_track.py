"""A warm copy of a device that is written to, watched by the kernel's tracing: the last pass reads
only what was written since the one before, and what tracing has lost is made good by comparing."""
import contextlib
import mmap
import os
import pathlib
import random
import re
import subprocess
import threading
import time

import pytest

from copies import (CHUNK, MIB, agents, ended, finish_warm, image_with_table, loop_device,
                    random_file, same)
from lab import plain_only, skip, wait_for

SIZE = 64 * MIB
PART = (16 * MIB, 32 * MIB)  # where the guest writes
RATE = 50 * MIB
MAIN_INSTANCES = pathlib.Path("/sys/kernel/tracing/instances")


class Guest(threading.Thread):
    """Writes 50 MB/s, past the cache, in pieces of 64 KiB at random places of a part of a device; knows
    which chunks it wrote since it was asked last."""

    def __init__(self, device, begin=PART[0], end=PART[1], rate=RATE, seed=7):
        super().__init__(daemon=True)
        self.device, self.begin, self.end, self.rate = device, begin, end, rate
        self.rng = random.Random(seed)
        self.off = threading.Event()
        self.lock = threading.Lock()
        self.chunks, self.total = set(), 0

    def run(self):
        buffer = mmap.mmap(-1, CHUNK)  # aligned, as direct I/O wants it
        fd = os.open(self.device, os.O_WRONLY | os.O_DIRECT)
        began = time.monotonic()
        try:
            while not self.off.is_set():
                buffer[:4096] = self.rng.randbytes(4096)
                place = self.rng.randrange(self.begin // CHUNK, self.end // CHUNK)
                with self.lock:
                    os.pwrite(fd, buffer, place * CHUNK)
                    self.chunks.add(place)
                    self.total += CHUNK
                ahead = self.total / self.rate - (time.monotonic() - began)
                if ahead > 0:
                    self.off.wait(ahead)
        finally:
            os.close(fd)

    def written(self):
        """Chunks since the last call."""
        with self.lock:
            chunks, self.chunks = self.chunks, set()
        return chunks

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.off.set()
        self.join()


class Warm:
    """A warm copy of a loop device, up to the point where it waits."""

    def __init__(self, here, undo, image, *words, device=None):
        self.here, self.image = here, image
        self.source = device or loop_device(image, undo)
        self.target = here.dir / "target"
        self.process = undo.enter_context(here.running(self.source, self.target, "--warm", *words))
        self.state = self.wait()
        if not self.state["tracking"]:
            finish_warm(here, self.process)
            skip("writes cannot be watched here: no tracefs, or not these events")

    def wait(self, condition=lambda c: True):
        return self.here.wait_status(lambda c: c["phase"] == "wait" and condition(c))

    def finish(self):
        """(chunks that the last pass read, that it sent, result, notes)"""
        done, lines = finish_warm(self.here, self.process)
        read, sent = re.search(r"The last pass read (\d+) chunks of 64 KiB and sent (\d+)",
                               done.stdout).groups()
        notes = " ".join(line.get("text", "") for line in lines)
        return int(read), int(sent), lines[-1], notes


@pytest.fixture
def undo():
    with contextlib.ExitStack() as stack:
        yield stack


def instance_of(process):
    """The folder of tracefs that the source's agent has."""
    [folder] = MAIN_INSTANCES.glob(f"bridgectl-{agents(process)['source']}-*")
    return folder


def test_last_pass_reads_only_what_was_written(here, undo):
    warm = Warm(here, undo, random_file(here.dir / "image", SIZE), "--rate", "0")
    with Guest(warm.source) as guest:
        wait_for(lambda: guest.total > 24 * MIB, 30, "the guest does not write")
        seen = warm.wait(lambda c: c["dirty_bytes"] > 0)
        # From the beginning of the pass that runs now, if one does, all counts.
        passes = seen["pass"]
    written = guest.written()
    after = warm.wait()
    read, sent, result, notes = warm.finish()
    print(f"{guest.total // MIB} MiB written to {len(written)} chunks; the last pass read {read}, "
          f"sent {sent}; passes {passes} to {after['pass']}; {result['downtime_s']:.2f} s")
    assert same(warm.image, warm.target)
    assert "lost" not in notes
    assert read <= len(written), "it reads more than was written at all"
    assert read * CHUNK <= SIZE // 4 and result["final_read_bytes"] == read * CHUNK
    assert sent <= read


def test_exactly_what_was_written_since(here, undo):
    """With a guest that rests while passes run, it is the same chunks, to the one."""
    warm = Warm(here, undo, random_file(here.dir / "image", SIZE), "--max-downtime", "100")
    with Guest(warm.source, PART[0], PART[0] + 20 * CHUNK) as guest:
        wait_for(lambda: guest.total > 2 * MIB, 30, "the guest does not write")
    written = guest.written()
    warm.wait(lambda c: c["dirty_bytes"] == len(written) * CHUNK)
    read, sent, result, _ = warm.finish()
    assert read == len(written) and sent <= read
    assert same(warm.image, warm.target)


@plain_only("an amount")
def test_guest_that_writes_during_all_passes(here, undo):
    """50 MB/s from before the copy until just before `disk finish`."""
    image = random_file(here.dir / "image", SIZE)
    device = loop_device(image, undo)
    with Guest(device) as guest:
        warm = Warm(here, undo, image, "--max-downtime", "0.1", device=device)
        total = guest.total
        wait_for(lambda: guest.total > total + 16 * MIB, 30, "the guest does not write")
    read, sent, result, notes = warm.finish()
    print(f"{guest.total // MIB} MiB written; {warm.state['pass']} passes before it waited; the last one "
          f"read {read} of {SIZE // CHUNK} chunks, sent {sent}; {result['downtime_s']:.2f} s")
    assert same(image, warm.target)
    assert read <= (PART[1] - PART[0]) // CHUNK, "only where the guest wrote"
    assert "lost" not in notes


def test_lost_events_are_made_good(here, undo):
    """A buffer of one page while thousands of writes come: all is compared, and it is said."""
    warm = Warm(here, undo, random_file(here.dir / "image", SIZE))
    (instance_of(warm.process) / "buffer_size_kb").write_text("1")
    direct = os.open(warm.source, os.O_WRONLY | os.O_DIRECT)
    page = mmap.mmap(-1, 4096)
    page[:] = random.Random(3).randbytes(4096)
    try:
        def written():
            for i in range(512):
                os.pwrite(direct, page, (i * 37 % (SIZE // 4096)) * 4096)
            [state] = here.status()
            return state["lost"]
        wait_for(written, 60, "no event is lost")
    finally:
        os.close(direct)
    read, sent, result, notes = warm.finish()
    assert same(warm.image, warm.target)
    assert "Events of the write tracking were lost" in notes and "compares all" in notes
    assert read == SIZE // CHUNK, "the last pass reads all"
    assert sent < read


def partitions(device):
    return list(pathlib.Path("/sys/class/block", pathlib.Path(device).name).glob("loop*p*"))


@pytest.mark.parametrize("how", ["window", "device"])
def test_source_is_a_partition(here, undo, how):
    """Events tell sectors of the whole disk: what is written beside the partition does not count."""
    image = image_with_table(here.dir / "disk", [16, 16])
    start, length = 17 * MIB, 16 * MIB
    device = loop_device(image, undo)
    if how == "device":
        subprocess.run(["partx", "-a", device], capture_output=True, check=False)
        source = f"{device}p2"
        if not partitions(device) or not os.path.exists(source):
            skip("no partitions of loop devices here")
        undo.callback(subprocess.run, ["partx", "-d", device], capture_output=True)
        words = []
    else:
        source, words = device, ["--source-partition", "2"]
    warm = Warm(here, undo, image, *words, "--max-downtime", "100", device=source)
    with Guest(device, MIB, 16 * MIB) as beside, Guest(device, start, start + 10 * CHUNK) as guest:
        wait_for(lambda: beside.total > MIB and guest.total > MIB, 30, "the guests do not write")
    written = guest.written()
    warm.wait(lambda c: c["dirty_bytes"] == len(written) * CHUNK)
    read, sent, _, _ = warm.finish()
    assert read == len(written)
    assert warm.target.read_bytes() == image.read_bytes()[start:start + length]


def test_instance_is_gone_after_a_kill(here, undo):
    """What a killed agent leaves in the kernel goes with the next one."""
    warm = Warm(here, undo, random_file(here.dir / "image", 4 * MIB), "--retries", 0)
    folder = instance_of(warm.process)
    os.kill(agents(warm.process)["source"], 9)
    ended(warm.process)
    assert folder.exists()
    here.copy(warm.source, here.dir / "other")
    assert not folder.exists()
