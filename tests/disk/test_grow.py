"""`bridgectl disk grow`: disk, last partition and file system become larger and nothing else changes;
what is refused stays as it was, and a failure can be gone on from."""
import os
import struct
import subprocess

import pytest
from conftest import MIB, SECTOR, blkid, digest, image, need, run, sfdisk, swap_pages

SWAP_UUID = "0aa27dd9-7a84-4c5b-8a4d-5b8e0f1d1a02"
FIRST, LAST = 2048, 2048 + 16384  # sectors; the first has 8 MiB, the last 16


def is_root():
    if os.geteuid() != 0:
        pytest.skip("needs root (loop devices)")
    need("losetup")


def offset_of(start):
    return f"offset={start * SECTOR}"


def table(path, label, numbers=(1, 2)):
    need("sfdisk")
    run("sfdisk", "-q", path, input=f"label: {label}\n"
        f"{numbers[0]} : start={FIRST}, size=16384\n{numbers[1]} : start={LAST}, size=32768\n")


def ext4(path, start=0, size=16 * MIB):
    """A file system with a file of random bytes in it, which is given back."""
    need("mke2fs", "e2fsck", "resize2fs", "debugfs")
    content = os.urandom(300000)
    source = f"{path}.content"
    with open(source, "wb") as f:
        f.write(content)
    run("mke2fs", "-qF", "-t", "ext4", "-L", "root", "-E", offset_of(start), path, f"{size // 1024}k")
    run("debugfs", "-w", "-R", f"write {source} file", f"{path}?{offset_of(start)}")
    return content


def dump(path, start):
    out = f"{path}.out"
    run("debugfs", "-R", f"dump file {out}", f"{path}?{offset_of(start)}")
    with open(out, "rb") as f:
        return f.read()


def fs_bytes(path, start=0):
    lines = run("dumpe2fs", "-h", f"{path}?{offset_of(start)}").splitlines()
    values = dict(line.split(":", 1) for line in lines if ":" in line)
    return int(values["Block count"]) * int(values["Block size"])


def is_clean(path, start=0):
    return subprocess.run(["e2fsck", "-fn", f"{path}?{offset_of(start)}"],
                          capture_output=True).returncode == 0


@pytest.fixture
def gpt(tmp_path):
    is_root()
    path = image(tmp_path / "disk.img", 26 * MIB)
    table(path, "gpt")
    return path


class Unchanged:
    """A block after which a file must be what it was."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.before = self.path.stat().st_size, digest(self.path)

    def __exit__(self, kind, value, trace):
        if kind is None:
            assert (self.path.stat().st_size, digest(self.path)) == self.before


@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_partition_and_file_system(ctl, tmp_path, label):
    is_root()
    path = image(tmp_path / "disk.img", 26 * MIB)
    table(path, label)
    content = ext4(path, LAST)
    with open(path, "r+b") as f:
        f.seek(FIRST * SECTOR)
        f.write(os.urandom(8 * MIB))
    first, before = digest(path, FIRST * SECTOR, 8 * MIB), sfdisk(path)
    result = ctl.json("disk", "grow", path, "+30M")
    assert result["done"] and result["content"] == "ext4" and "left" not in result
    assert path.stat().st_size == result["bytes"] == 56 * MIB
    after = sfdisk(path)
    assert after[1][1] == before[1][1]
    assert after[1][2] == {**before[1][2], "size": 55 * 2048 - LAST}
    assert digest(path, FIRST * SECTOR, 8 * MIB) == first
    assert fs_bytes(path, LAST) == after[1][2]["size"] * SECTOR
    assert is_clean(path, LAST)
    assert dump(path, LAST) == content
    assert blkid(path, LAST * SECTOR)["LABEL"] == "root"


def test_every_size_is_kept(ctl, tmp_path):
    """Many small steps: the table is right after each, and the data whole."""
    is_root()
    path = image(tmp_path / "disk.img", 26 * MIB)
    table(path, "gpt")
    content = ext4(path, LAST)
    for more in "1M", "2049s", "7M", "64M":
        ctl.ok("disk", "grow", path, f"+{more}")
        size = sfdisk(path)[1][2]["size"]
        assert size % 2048 == 0 and LAST + size <= path.stat().st_size // SECTOR - 2048
        assert fs_bytes(path, LAST) == size * SECTOR
        assert is_clean(path, LAST)
        assert dump(path, LAST) == content


def test_file_system_without_a_table(ctl, tmp_path):
    path = image(tmp_path / "disk.img", 16 * MIB)
    content = ext4(path)
    ctl.ok("disk", "grow", path, "+20M")
    assert path.stat().st_size == fs_bytes(path) == 36 * MIB
    assert is_clean(path)
    assert dump(path, 0) == content


def test_swap_keeps_its_uuid(ctl, gpt):
    need("mkswap")
    swap = image(gpt.with_suffix(".swap"), 16 * MIB)
    run("mkswap", "-U", SWAP_UUID, "-L", "sw", swap)
    with open(gpt, "r+b") as f:
        f.seek(LAST * SECTOR)
        f.write(swap.read_bytes())
    ctl.ok("disk", "grow", gpt, "+10M")
    found = blkid(gpt, LAST * SECTOR)
    assert (found["TYPE"], found["UUID"], found["LABEL"]) == ("swap", SWAP_UUID, "sw")
    assert swap_pages(gpt, LAST * SECTOR) == sfdisk(gpt)[1][2]["size"] * SECTOR // 4096


def test_what_is_left_to_the_guest_is_said(ctl, tmp_path):
    """LVM in the partition: it grows, its content is not touched."""
    path = image(tmp_path / "disk.img", 26 * MIB)
    table(path, "dos")
    with open(path, "r+b") as f:
        f.seek(LAST * SECTOR)
        f.write(bytes(512) + lvm_label())
    before = digest(path, LAST * SECTOR, 16 * MIB)
    assert "pvresize" in ctl.ok("disk", "grow", path, "+5M")
    assert digest(path, LAST * SECTOR, 16 * MIB) == before
    assert sfdisk(path)[1][2]["size"] == 32768 + 10240


def lvm_label():
    """lib/format_text/layout.h: LABELONE, sector, CRC, offset, type, then the UUID of a volume."""
    body = (32).to_bytes(4, "little") + b"LVM2 001" + b"a" * 32 + bytes(512 - 64)
    crc = 0xf597a6cf
    for byte in body:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xedb88320 if crc & 1 else 0)
    return b"LABELONE" + (1).to_bytes(8, "little") + crc.to_bytes(4, "little") + body


def test_dry_run_changes_nothing(ctl, gpt):
    ext4(gpt, LAST)
    with Unchanged(gpt):
        text = ctl.ok("disk", "grow", gpt, "+10M", "--dry-run")
        assert "e2fsck" in text and "resize2fs" in text and "partition 2" in text
        assert not ctl.json("disk", "grow", gpt, "+10M", "--dry-run")["done"]


# --- Devices and volumes ---


def test_device_that_is_larger_already(ctl, gpt, loop):
    content = ext4(gpt, LAST)
    device = loop(gpt)
    assert "+0" in ctl.refused("disk", "grow", device, "+10M")
    with open(gpt, "ab") as f:
        f.write(b"old tenant" * MIB)
    run("losetup", "--set-capacity", device)
    ctl.ok("disk", "grow", device, "+0")
    size = sfdisk(device)[1][2]["size"]
    assert (LAST + size) * SECTOR == 35 * MIB
    assert fs_bytes(device, LAST) == size * SECTOR and is_clean(device, LAST)
    assert dump(gpt, LAST) == content
    run("blockdev", "--flushbufs", device)
    assert b"old tenant" not in gpt.read_bytes()


def test_volume(ctl, gpt, loop):
    content = ext4(gpt, LAST)
    device = loop(gpt)
    ctl.program("lvs", """echo '{"report":[{"lv":[{"vg_name":"vg0","lv_name":"web1",'"""
                       f"""'"lv_size":"{26 * MIB}","vg_free":"{64 * MIB}",'"""
                       """'"vg_extent_size":"4194304"}]}]}'""")
    ctl.program("lvextend", f"yes old-tenant | head -c {14 * MIB} >>{gpt}; losetup -c {device}")
    assert "64" in ctl.refused("disk", "grow", device, "+70M")
    ctl.ok("disk", "grow", device, "+12M")
    # 38 MiB is no whole number of extents.
    assert f"lvextend -L +{14 * MIB}b vg0/web1" in ctl.calls()
    size = sfdisk(device)[1][2]["size"]
    assert (LAST + size) * SECTOR == 39 * MIB
    assert fs_bytes(device, LAST) == size * SECTOR and is_clean(device, LAST)
    assert dump(gpt, LAST) == content
    run("blockdev", "--flushbufs", device)
    assert b"old-tenant" not in gpt.read_bytes()


# --- Refused, and all is as it was ---


def test_sizes(ctl, gpt):
    with Unchanged(gpt):
        for size in "10M", "-10M", "+", "+x", "+10GB":
            ctl.refused("disk", "grow", gpt, "--", size, code=2)
        ctl.refused("disk", "grow", gpt, "+1M", "--partition", "0", code=2)
        assert "no disk can be so large" in ctl.refused("disk", "grow", gpt, f"+{2**63 - 1}")
        assert "no room" in ctl.refused("disk", "grow", gpt, "+0")


def test_only_the_last_partition(ctl, gpt):
    with Unchanged(gpt):
        assert "not the last: 2" in ctl.refused("disk", "grow", gpt, "+1M", "--partition", "1")
        assert "no partition 3" in ctl.refused("disk", "grow", gpt, "+1M", "--partition", "3")
    ctl.ok("disk", "grow", gpt, "+1M", "--partition", "2")


def test_last_on_the_disk_is_not_the_highest_number(ctl, tmp_path):
    path = image(tmp_path / "disk.img", 26 * MIB)
    table(path, "gpt", numbers=(7, 3))
    ctl.ok("disk", "grow", path, "+2M")
    label, parts = sfdisk(path)
    assert parts[3]["size"] == 32768 + 4096 and parts[7]["size"] == 16384


def test_logical_partition(ctl, tmp_path):
    path = image(tmp_path / "disk.img", 26 * MIB)
    run("sfdisk", "-q", path, input="label: dos\n1 : start=2048, size=2048\n"
        "2 : start=4096, size=40960, type=5\n5 : start=6144, size=4096\n")
    with Unchanged(path):
        assert "sfdisk" in ctl.refused("disk", "grow", path, "+1M", "--partition", "5")


def test_formats_that_are_not_raw(ctl, tmp_path):
    path = image(tmp_path / "disk.qcow2", MIB)
    with open(path, "r+b") as f:
        f.write(b"QFI\xfb\0\0\0\3")
    with Unchanged(path):
        assert "qcow2" in ctl.refused("disk", "grow", path, "+1M")


def test_what_is_no_disk(ctl, tmp_path):
    """A slip of the hand: the configuration and not the image."""
    config = tmp_path / "web1.cfg"
    config.write_text("name = 'web1'\n")
    with Unchanged(config):
        assert "is no disk" in ctl.refused("disk", "grow", config, "+10M")
    blank = image(tmp_path / "blank.img", MIB)
    ctl.ok("disk", "grow", blank, "+1M")
    assert blank.stat().st_size == 2 * MIB


def test_msdos_ends(ctl, tmp_path):
    path = image(tmp_path / "disk.img", 26 * MIB)
    table(path, "dos")
    with Unchanged(path):
        assert "ends at 2 TiB" in ctl.refused("disk", "grow", path, "+2T")


def test_cut_off(ctl, tmp_path):
    """The last partition goes on where no disk is any more."""
    path = image(tmp_path / "disk.img", 26 * MIB)
    table(path, "dos")
    os.truncate(path, 20 * MIB)
    for more in "+0", "+10M":
        with Unchanged(path):
            said = ctl.refused("disk", "grow", path, more)
            assert f"is cut off: partition 2 goes on to byte {(LAST + 32768) * SECTOR}" in said


def test_raid_around_the_partitions(ctl, tmp_path):
    """md of version 1.0 has its superblock at the end, where zeros would be written."""
    path = image(tmp_path / "disk.img", 26 * MIB)
    table(path, "dos")
    at = (26 * MIB // SECTOR - 16) & ~7
    head = struct.pack("<IIII16s32s", 0xA92B4EFC, 1, 0, 0, b"u" * 16, b"host:0")
    head = head.ljust(144, b"\0") + struct.pack("<Q", at)
    with open(path, "r+b") as f:
        f.seek(at * SECTOR)
        f.write(head.ljust(4096, b"\0"))
    with Unchanged(path):
        assert "of type linux_raid_member" in ctl.refused("disk", "grow", path, "+10M")


def test_in_use(ctl, gpt, loop):
    with Unchanged(gpt):
        with open(gpt, "r+b"):
            assert f"process {os.getpid()}" in ctl.refused("disk", "grow", gpt, "+1M")
        device = loop(gpt)
        assert device.removeprefix("/dev/") in ctl.refused("disk", "grow", gpt, "+1M")


def test_wrong_paths(ctl, tmp_path):
    assert "no such device" in ctl.refused("disk", "grow", "/dev/vg-of-nobody/x", "+1M")
    assert "folder" in ctl.refused("disk", "grow", tmp_path, "+1M")
    ctl.refused("disk", "grow", tmp_path / "none.img", "+1M")
    assert not (tmp_path / "none.img").exists()


def test_missing_program_is_noticed_first(ctl, gpt):
    ext4(gpt, LAST)
    for name in "e2fsck", "sh":
        (ctl.bin / name).symlink_to(f"/{'sbin' if name == 'e2fsck' else 'bin'}/{name}")
    with Unchanged(gpt):
        said = subprocess.run(ctl.argv("disk", "grow", gpt, "+1M"), env={"PATH": str(ctl.bin)},
                              text=True, capture_output=True)
        assert said.returncode == 1 and "no resize2fs" in said.stderr


def test_hurt_file_system_stops_it_first(ctl, gpt):
    ext4(gpt, LAST)
    run("debugfs", "-w", "-R", "clri <2>", f"{gpt}?{offset_of(LAST)}")
    size, table_before = gpt.stat().st_size, sfdisk(gpt)
    said = ctl.refused("disk", "grow", gpt, "+10M")
    assert "RUN fsck MANUALLY" in said and "nothing has become larger" in said
    assert (gpt.stat().st_size, sfdisk(gpt)) == (size, table_before)


# --- Failures half way ---


@pytest.mark.parametrize("script,said", [
    ('echo "e2fsck 1.47.0 (5-Feb-2023)" >&2; echo "Pass 1"; echo "d.img: still has errors"',
     "e2fsck: d.img: still has errors; all is larger now"),
    ('echo "e2fsck 1.47.0 (5-Feb-2023)" >&2', "e2fsck: it does not say why; all"),
    ('echo "e2fsck: no memory" >&2; echo "\t(is it so?)" >&2', "e2fsck: no memory; all"),
])
def test_reasons_of_the_programs(ctl, tmp_path, script, said):
    """Neither their version nor the end of a sentence is why."""
    path = image(tmp_path / "d.img", 16 * MIB)
    ext4(path)
    ctl.program("e2fsck", f'case "$*" in -V|*-p*) exit 0;; esac\n{script}\nexit 4')
    assert said in ctl.refused("disk", "grow", path, "+10M")


def test_goes_on_after_a_failure(ctl, gpt):
    """resize2fs fails: all before is done, and +0 does the rest."""
    content = ext4(gpt, LAST)
    broken = ctl.program("resize2fs", 'test "$1" = -V && exit 1\necho sorry >&2\nexit 1')
    said = ctl.refused("disk", "grow", gpt, "+10M")
    assert "resize2fs: sorry" in said and "data is whole" in said and "+0" in said
    assert gpt.stat().st_size == 36 * MIB
    assert fs_bytes(gpt, LAST) == 16 * MIB and is_clean(gpt, LAST)
    broken.unlink()
    ctl.ok("disk", "grow", gpt, "+0")
    assert gpt.stat().st_size == 36 * MIB
    assert fs_bytes(gpt, LAST) == sfdisk(gpt)[1][2]["size"] * SECTOR == 35 * MIB - LAST * SECTOR
    assert is_clean(gpt, LAST) and dump(gpt, LAST) == content


def test_stopped_between_steps(ctl, gpt):
    content = ext4(gpt, LAST)
    real = run("sh", "-c", "command -v e2fsck").strip()
    ctl.program("e2fsck", f'test "$2" != -p || kill -INT $PPID\nexec {real} "$@"')
    said = ctl.refused("disk", "grow", gpt, "+10M")
    assert "stopped on request" in said
    assert gpt.stat().st_size == 26 * MIB
    assert is_clean(gpt, LAST) and dump(gpt, LAST) == content


@pytest.mark.parametrize("victim", ["e2fsck -f -p", "resize2fs /dev", "e2fsck -f -n"])
def test_killed_at_a_step(ctl, gpt, victim):
    """kill -9 while a step's program runs: the data is whole, and a second run ends what is left."""
    content = ext4(gpt, LAST)
    name = victim.split()[0]
    real = run("sh", "-c", f"command -v {name}").strip()
    script = ctl.program(name, f'case "{name} $*" in "{victim}"*) kill -9 $PPID; exit 1;; esac\n'
                         f'exec {real} "$@"')
    assert ctl.run("disk", "grow", gpt, "+10M").returncode == -9
    script.unlink()
    assert is_clean(gpt, LAST) and dump(gpt, LAST) == content
    grown = gpt.stat().st_size == 36 * MIB
    assert grown == (victim != "e2fsck -f -p")
    again = ctl.run("disk", "grow", gpt, "+0" if grown else "+10M")
    assert again.returncode == 0 or "no room that is not used" in again.stderr
    assert fs_bytes(gpt, LAST) == sfdisk(gpt)[1][2]["size"] * SECTOR == 35 * MIB - LAST * SECTOR
    assert is_clean(gpt, LAST) and dump(gpt, LAST) == content
