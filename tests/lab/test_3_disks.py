"""Disks of real guests: logical volumes that dom0's kernel hands to a running domU are laid out, made and
copied warm from the KVM host; what is there in the end is what was there in the end."""
import contextlib
import hashlib
import json
import subprocess

import pytest

import guest_image
from copies import CHUNK, DONE, MIB, RESUMABLE
from lab import wait_for
from node import BRIDGECTL

SHAPE = guest_image.Shape(data=3, data_mib=48)
BUSY = ("while :; do dd if=/dev/urandom of=/srv/busy bs=64k count=4 conv=fsync 2>/dev/null;"
        " date >>/srv/log; echo tick; sleep 1; done &\n")
COPY_S = 300

# Writes pages at random places of a range of chunks, past the cache; prints which chunks.
WRITER = """
import json, mmap, os, random, sys
path, first, count, writes = sys.argv[1], *map(int, sys.argv[2:])
rng, page, seen = random.Random(7), mmap.mmap(-1, 4096), set()
fd = os.open(path, os.O_WRONLY | os.O_DIRECT)
for _ in range(writes):
    page[:] = rng.randbytes(4096)
    place = first * 16 + rng.randrange(count * 16)
    os.pwrite(fd, page, place * 4096)
    seen.add(place // 16)
os.fsync(fd)
print(json.dumps(sorted(seen)))
"""


def sha256_of(path, start, length):
    found = hashlib.sha256()
    with open(path, "rb") as disk:
        disk.seek(start)
        while length:
            data = disk.read(min(length, MIB))
            assert data, f"{path} is too short"
            found.update(data)
            length -= len(data)
    return found.hexdigest()


class Copy:
    """A copy from the Xen host in the background; its end is the end of the `with`. What it says goes to a
    file: a pipe would be full before it is done."""

    def __init__(self, site, place, *words, partition=0):
        self.place, self.partition = place, partition
        self.out = open(place.dir / f"copy-{partition}", "w+", encoding="utf-8")
        number = ("--partition", partition) if partition else ()
        self.process = place.popen("disk", "copy", "--json", "--from", site.xen.door, *number, *words,
                                   stdout=self.out, stderr=self.out)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.out.close()

    def said(self):
        with open(self.out.name, encoding="utf-8") as text:
            return text.read()

    def state(self, condition=lambda copy: True):
        """What disk status says of it, when the condition holds; None before it is there."""
        assert self.process.poll() is None, self.said()[-3000:]
        for copy in self.place.status():
            if copy["partition"] == self.partition:
                return copy if condition(copy) else None
        return None

    def wait(self, condition, timeout=COPY_S):
        return wait_for(lambda: self.state(condition), timeout, lambda: f"{self.place.status()}", 0.5)

    def wait_warm(self):
        """Until it waits for `disk finish`."""
        return self.wait(lambda copy: copy["phase"] == "wait")

    def end(self, code=DONE, timeout=COPY_S):
        """The line of its result."""
        assert self.process.wait(timeout) == code, self.said()[-3000:]
        return json.loads([line for line in self.said().splitlines() if line.startswith("{")][-1])

    def finish(self):
        self.place.run("disk", "finish", self.state()["id"], timeout=COPY_S)
        return self.end()


@pytest.fixture
def web1(guests):
    guest = guests(name="web1", shape=SHAPE)
    guest.start()
    return guest


@pytest.mark.timeout(900)
def test_disks_of_a_running_guest(site, place, web1, times):
    """disk layout, create, copy --warm of a guest that writes; its swap is made anew; the last pass when it
    is off. Every volume's digest is that of its partition."""
    xen, folder = site.xen, place.dir
    config = folder / "web1.cfg"
    config.write_text(xen.run("cat", web1.config).stdout)
    with times.of("disk layout --from the Xen host"):
        plan = site.kvm.run(BRIDGECTL, "--json", "disk", "layout", config, "--from", xen.door, "--dir", folder,
                            *site.far_options, timeout=60).stdout
    parts = {p["number"]: p for p in json.loads(plan)["disks"][0]["partitions"]}
    assert {n: p["fill"] for n, p in parts.items()} == {1: "swap", 2: "copy", 3: "copy"}
    assert [n for n, p in parts.items() if p["boot"]] == [2], "where pygrub found its menu"
    (folder / "plan").write_text(plan)
    site.kvm.run(BRIDGECTL, "disk", "create", folder / "plan", "--dir", folder, "--elsewhere", timeout=60)
    target = folder / "web1-disk.img"
    web1.log_in()
    web1.type(BUSY)
    web1.expect("tick\r?\n(.*\n)*?.*tick", 60)
    with contextlib.ExitStack() as stack, times.of("two warm copies, finished"):
        copies = {number: stack.enter_context(Copy(
            site, place, "--warm", web1.volumes[f"xvda{number}"], target, partition=number)) for number in (2, 3)}
        with times.of("two warm copies, until they wait"):
            assert all(copy.wait_warm()["tracking"] for copy in copies.values())
        written = copies[3].state()["dirty_bytes"]
        copies[3].wait(lambda copy: copy["dirty_bytes"] != written)
        with times.of("the guest shuts down"):
            web1.shutdown()
        with times.of("two disk finish, from off to done"):
            results = {number: copy.finish() for number, copy in copies.items()}
    for number, result in results.items():
        part, volume = parts[number], web1.volumes[f"xvda{number}"]
        assert result["final_read_bytes"] < part["sectors"] * 512 // 2, "the last pass read what was written"
        assert part["source"]["bytes"] == part["sectors"] * 512
        assert sha256_of(target, part["start"] * 512, part["sectors"] * 512) == xen.sha256(volume)
        print(f"partition {number}: {result['downtime_s']:.1f} s, {result['final_read_bytes'] >> 10} KiB read")
    told = subprocess.run(["blkid", "-p", "-O", str(parts[1]["start"] * 512), "-o", "export", target],
                          text=True, capture_output=True, check=True).stdout
    assert f"UUID={parts[1]['source']['uuid']}" in told and "TYPE=swap" in told
    for number in (2, 3):
        subprocess.run(["e2fsck", "-f", "-n", f"{target}?offset={parts[number]['start'] * 512}"], check=True,
                       capture_output=True)


@pytest.fixture
def volumes(xen):
    """Makes volumes of kinds that administrators have, 32 MiB of random bytes each."""
    made = []

    def make(kind):
        first, second = "/dev/vdb", "/dev/vdc"
        script = {
            "linear": f"lvcreate -q -y -L 32M -n t vg0 {first}",
            "segments": f"lvcreate -q -y -L 16M -n t vg0 {first}; lvextend -q -L 32M vg0/t {second}",
            "striped": "lvcreate -q -y -i 2 -I 64k -L 32M -n t vg0",
            "raid1": "lvcreate -q -y --type raid1 -m 1 --nosync -L 32M -n t vg0",
            "thin": "lvcreate -q -y -L 64M -V 32M -T -n t vg0/pool",
            "origin": "lvcreate -q -y -L 32M -n t vg0; lvcreate -q -y -s -L 32M -n snap vg0/t",
            "snapshot": "lvcreate -q -y -L 32M -n base vg0; dd if=/dev/urandom of=/dev/vg0/base bs=1M"
                        " status=none count=32; lvcreate -q -y -s -L 32M -n t vg0/base",
        }[kind]
        made.append(kind)
        xen.sh(script + " >&2\n", timeout=120)
        if kind != "snapshot":
            xen.sh("dd if=/dev/urandom of=/dev/vg0/t bs=1M status=none count=32 oflag=direct")
        return "/dev/vg0/t"

    yield make
    xen.sh("for v in snap t base pool; do lvremove -q -f vg0/$v >&2 || :; done", timeout=120)


@pytest.mark.parametrize("kind", ["linear", "segments", "striped", "origin", "snapshot", "thin", "raid1"])
def test_tracked_is_what_was_written(site, place, volumes, kind):
    """Write tracking in dom0's kernel, to the chunk: on device mapper's targets."""
    source, target = volumes(kind), place.dir / "target"
    with Copy(site, place, "--warm", "--max-downtime", "1000", source, target) as copy:
        assert copy.wait_warm()["tracking"], "dom0's kernel does not tell who writes"
        written = json.loads(site.xen.run("python3", "-c", WRITER, source, "100", "40", "60").stdout)
        copy.wait(lambda state: state["dirty_bytes"] == len(written) * CHUNK, 60)
        result = copy.finish()
    assert result["final_read_bytes"] == len(written) * CHUNK
    assert sha256_of(target, 0, 32 * MIB) == site.xen.sha256(source)


def test_network_cut_and_resumed(site, place, volumes, times):
    """The wire between the hosts is dead in the middle of a copy; the same command goes on."""
    source, target = volumes("linear"), place.dir / "target"
    with Copy(site, place, "--rate", "2M", "--flush-interval", "1", "--timeout", "6", "--retries", "0", source,
              target) as copy:
        copy.wait(lambda state: state["covered_bytes"] > 10 * MIB)
        site.wan.cut(site.xen)
        try:
            with times.of("a copy notices that the network is dead"):
                result = copy.end(RESUMABLE)
        finally:
            site.wan.heal(site.xen)
    assert result["outcome"] == "failed" and result["resumable"] and 0.1 < result["part_done"] < 1
    rest = place.result("--from", site.xen.door, source, target, timeout=COPY_S)
    assert rest["outcome"] == "done" and rest["sent_bytes"] <= (1.1 - result["part_done"]) * 32 * MIB
    assert sha256_of(target, 0, 32 * MIB) == site.xen.sha256(source)


def test_full_file_system(site, place, volumes):
    """One sentence, no half of a disk that looks like one."""
    folder = place.dir / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "small", folder], check=True)
    try:
        done = place.copy("--from", site.xen.door, volumes("linear"), folder / "target",
                          code=RESUMABLE, timeout=COPY_S)
        assert "No space left on device; make room" in done.stderr.splitlines()[-1], done.stderr
    finally:
        subprocess.run(["umount", folder], check=True)


def test_full_volume_group(site, xen, guests):
    """The disks of a guest that do not fit are refused before anything is made."""
    guest = guests(name="web2", shape=SHAPE)
    free = int(float(xen.run("vgs", "--noheadings", "--units", "m", "--nosuffix", "-o", "vg_free", "vg0").stdout))
    xen.volume("ballast", free - 64)
    try:
        before = xen.run("lvs", "--noheadings", "-o", "lv_name").stdout
        done = xen.run("bridgectl", "disk", "create", guest.config, "--vg", "vg0", check=False)
        assert done.returncode == 1 and "vg0" in done.stderr, (done.returncode, done.stderr)
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert xen.run("lvs", "--noheadings", "-o", "lv_name").stdout == before
    finally:
        xen.remove_volume("ballast")
