"""`bridgectl domain fixup`: what is written leaves clean file systems and can be taken back to the byte; guests that
are unclean, in use or made to do harm are refused in a sentence."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

import guest_trees
import pytest
from conftest import MIB, SECTOR, digest, image, need, run
from lab import plain_only

UUID = guest_trees.UUID_ROOT
MAC = guest_trees.MAC


def put(disk, number, folder, size, kind="ext4", options=()):
    """A file system with what is in `folder`, in a partition of `size` bytes behind all others."""
    need("mke2fs", "sfdisk")
    start = MIB if number == 1 else disk.stat().st_size
    part = disk.with_suffix(f".{number}")
    image(part, size)
    subprocess.run(["mke2fs", "-qF", "-t", kind, "-d", folder, *options, part], check=True, capture_output=True)
    with open(disk, "r+b") as f:
        f.truncate(start + size)
        f.seek(start)
        f.write(part.read_bytes())
    part.unlink()
    line = f"start={start // SECTOR}, size={size // SECTOR}, type=83\n"
    words = ["sfdisk", "-q", "--no-reread"] + ([] if number == 1 else ["--append"])
    subprocess.run([*words, disk], input=("label: dos\n" if number == 1 else "") + line, text=True, check=True,
                   capture_output=True)
    return start, size


def check(disk, start, size):
    part = disk.with_suffix(".check")
    with open(disk, "rb") as f:
        f.seek(start)
        part.write_bytes(f.read(size))
    result = subprocess.run(["e2fsck", "-fn", part], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    part.unlink()


class Guest:
    """A disk with one root file system, and a state folder of its own."""

    def __init__(self, ctl, folder, tree="debian12", kind="ext4", options=(), change=None):
        self.ctl, self.state = ctl, folder / "state"
        self.tree = folder / "tree"
        guest_trees.build(tree, self.tree)
        if change:
            change(self.tree)
        self.disk = image(folder / "guest.img", MIB)
        self.place = put(self.disk, 1, self.tree, 48 * MIB, kind, ["-U", UUID, *options])

    def words(self, *more):
        return ["domain", "fixup", self.disk, "--state-dir", self.state, *more]

    def apply(self, *more):
        return self.ctl.json(*self.words("--apply", "--mac", MAC, *more))

    def text(self, path):
        """A file of the guest, as debugfs has it."""
        return run("debugfs", "-R", f"cat {path}", f"{self.disk}?offset={self.place[0]}")


@pytest.fixture
def guest(ctl, tmp_path):
    return Guest(ctl, tmp_path)


TREES = sorted(guest_trees.TREES)
KINDS = [("ext2", ["-b", "1024", "-I", "128"]), ("ext3", ["-b", "4096"]), ("ext4", ["-b", "1024", "-O", "inline_data"]),
         ("ext4", [])]


@pytest.mark.parametrize("tree, kind, options", [
    pytest.param(tree, *KINDS[i % len(KINDS)], marks=[plain_only()] if i >= len(KINDS) else []) for i, tree in enumerate(TREES)])
def test_applied_and_undone(ctl, tmp_path, tree, kind, options):
    guest = Guest(ctl, tmp_path, tree, kind, options)
    before = digest(guest.disk)
    plan = ctl.json(*guest.words("--mac", MAC))
    assert plan["changes"] and not plan["applied"] and plan["writes"] and plan["why_not"] is None
    assert digest(guest.disk) == before and not guest.state.exists()

    done = guest.apply()
    assert done["applied"] and done["changes"] == plan["changes"]
    check(guest.disk, *guest.place)
    assert digest(guest.disk) != before
    again = guest.apply()
    assert again["changes"] == [] and not again["applied"] and again["undo"] is None

    assert ctl.json(*guest.words("--undo"))["undo"] == done["undo"]
    assert digest(guest.disk) == before
    assert not ctl.json(*guest.words("--undo"))["undone"]
    assert not ctl.json(*guest.words("--undo-file", done["undo"]))["undone"]
    assert digest(guest.disk) == before


def test_shown(guest):
    text = guest.ctl.ok(*guest.words())
    assert "Debian GNU/Linux 12" in text and "--- a/etc/fstab" in text and "+++ b/etc/fstab" in text
    assert f"UUID={UUID}" in text and text.endswith("Nothing was written; --apply does it.\n")


def test_shown_short(ctl, tmp_path):
    """GRUB's environment block is a kilobyte, which '#' fill up."""
    guest = Guest(ctl, tmp_path, "rocky9")
    text = ctl.ok(*guest.words())
    assert "+++ b/boot/grub2/grubenv" in text and "##### (" in text and " of '#')" in text
    assert "#" * 100 not in text


def test_files_keep_what_they_are(ctl, tmp_path):
    def change(tree):
        (tree / "etc/fstab").chmod(0o600)

    guest = Guest(ctl, tmp_path, change=change)
    guest.apply()
    stat = run("debugfs", "-R", "stat /etc/fstab", f"{guest.disk}?offset={guest.place[0]}")
    assert "Mode:  0600" in stat
    assert f"UUID={UUID}" in guest.text("/etc/fstab")


def test_undo_after_the_guest_ran(guest):
    undo = guest.apply()["undo"]

    def mounts(value):
        with open(guest.disk, "r+b") as f:
            f.seek(guest.place[0] + 1024 + 0x34)
            old = f.read(2)
            f.seek(-2, os.SEEK_CUR)
            f.write(value)
        return old

    old = mounts(b"\x07\x00")
    changed = digest(guest.disk)
    assert "written to since then" in guest.ctl.refused(*guest.words("--undo"))
    assert "written to since then" in guest.ctl.refused(*guest.words("--undo-file", undo))
    assert digest(guest.disk) == changed
    mounts(old)
    guest.ctl.ok(*guest.words("--undo"))


def test_undo_of_what_a_crash_broke_off(guest):
    """Any number of sectors is new, in any order."""
    before = guest.disk.read_bytes()
    guest.apply()
    after = guest.disk.read_bytes()
    places = [n for n in range(0, len(before), SECTOR) if before[n:n + SECTOR] != after[n:n + SECTOR]]
    assert len(places) > 8
    for some in (places[::2], places[:3], places[-1:], []):
        mixed = bytearray(before)
        for n in some:
            mixed[n:n + SECTOR] = after[n:n + SECTOR]
        guest.disk.write_bytes(mixed)
        guest.ctl.ok(*guest.words("--undo"))
        assert guest.disk.read_bytes() == before


def test_undo_file_damaged(guest):
    undo = guest.apply()["undo"]
    with open(undo, "r+b") as f:
        f.seek(-100, os.SEEK_END)
        f.write(b"x")
    before = digest(guest.disk)
    assert "damaged" in guest.ctl.refused(*guest.words("--undo"))
    assert "damaged" in guest.ctl.refused(*guest.words("--undo-file", guest.disk))
    assert "no undo file" in guest.ctl.refused("domain", "fixup", guest.disk, "--undo", "--state-dir", guest.tree)
    assert digest(guest.disk) == before


def test_killed_before_the_undo_file_is_whole(guest):
    """Nothing has been written to the disk then; what is left behind is in nobody's way."""
    need("strace")
    before, wrap = digest(guest.disk), ["strace", "-fqq", "-o", "/dev/null", "-e", "inject=rename:signal=KILL"]
    try:
        subprocess.run([*wrap, "true"], check=True, capture_output=True)
    except subprocess.CalledProcessError as e:
        pytest.skip(f"strace cannot work here: {e.stderr.decode().strip()}")
    undo = guest.apply()["undo"]
    guest.ctl.ok(*guest.words("--undo"))
    guest.ctl.run(*guest.words("--apply"), wrap=wrap)
    assert len(list(guest.state.iterdir())) == 3, "not killed"
    assert digest(guest.disk) == before
    assert not guest.ctl.json(*guest.words("--undo"))["undone"]
    assert guest.apply()["undo"] != undo
    guest.ctl.ok(*guest.words("--undo"))
    assert digest(guest.disk) == before


def test_undo_file_of_another_disk(ctl, tmp_path):
    """The disk that is named is the one that is written to, or none is."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    guest, other = Guest(ctl, tmp_path / "a"), Guest(ctl, tmp_path / "b")
    undo = guest.apply()["undo"]
    before = digest(guest.disk), digest(other.disk)
    assert "another disk" in ctl.refused("domain", "fixup", other.disk, "--undo-file", undo)
    assert (digest(guest.disk), digest(other.disk)) == before


def test_undo_of_an_image_that_was_moved(guest):
    before = digest(guest.disk)
    undo = guest.apply()["undo"]
    moved = guest.disk.rename(guest.disk.with_name("moved.img"))
    words = ["domain", "fixup", moved]
    assert "--undo-file" in guest.ctl.refused(*words, "--undo", "--state-dir", guest.state)
    assert guest.ctl.json(*words, "--undo-file", undo)["undone"]
    assert digest(moved) == before


def test_no_room_for_the_undo_file(guest):
    before = digest(guest.disk)
    guest.state.write_text("a file, not a folder")
    assert "nothing was written" in guest.ctl.refused(*guest.words("--apply"))
    assert digest(guest.disk) == before


def test_boot_of_its_own(ctl, tmp_path):
    """/boot in a partition, /var on another disk; found by name, UUID and label."""
    guest = Guest(ctl, tmp_path, "debian12")
    boot, var = tmp_path / "boot", tmp_path / "var"
    shutil.move(guest.tree / "boot", boot)
    (guest.tree / "boot").mkdir()
    var.mkdir()
    (guest.tree / "var").mkdir(exist_ok=True)
    fstab = "/dev/xvda1 / ext4 defaults 0 1\n/dev/xvda2 /boot ext4 defaults 0 2\nLABEL=var /var ext4 defaults 0 2\n"
    (guest.tree / "etc/fstab").write_text(fstab)
    root = put(guest.disk, 1, guest.tree, 32 * MIB, options=["-U", UUID])
    second = put(guest.disk, 2, boot, 32 * MIB, "ext2", ["-U", guest_trees.UUID_BOOT])
    data = image(tmp_path / "data.img", MIB)
    third = put(data, 1, var, 8 * MIB, options=["-L", "var"])
    before = digest(guest.disk), digest(data)
    done = guest.apply("--disk", f"vdb={data}")
    paths = [c["path"] for c in done["changes"]]
    assert "/etc/fstab" in paths and any(p.startswith("/boot/grub") for p in paths)
    check(guest.disk, *root)
    check(guest.disk, *second)
    check(data, *third)
    fstab = run("debugfs", "-R", "cat /etc/fstab", f"{guest.disk}?offset={root[0]}")
    assert f"UUID={guest_trees.UUID_BOOT} /boot" in fstab and f"UUID={UUID} / " in fstab
    ctl.ok(*guest.words("--undo"))
    assert (digest(guest.disk), digest(data)) == before


def test_two_roots(guest):
    put(guest.disk, 2, guest.tree, 48 * MIB)
    said = guest.ctl.refused(*guest.words())
    assert "vda1" in said and "vda2" in said and "--root" in said
    assert guest.ctl.json(*guest.words("--root", "vda2"))["root"] == "vda2"
    assert "no such partition" in guest.ctl.refused(*guest.words("--root", "vda7"))


def test_whole_disk(ctl, tmp_path):
    """A file system without a table."""
    guest_trees.build("debian8", tmp_path / "tree")
    disk = image(tmp_path / "whole.img", 48 * MIB)
    run("mke2fs", "-qF", "-t", "ext4", "-d", tmp_path / "tree", disk)
    plan = ctl.json("domain", "fixup", disk)
    assert plan["root"] == "vda" and plan["guest"]


# --- What is refused ---


def test_unclean(guest):
    need("debugfs")
    run("debugfs", "-w", "-R", "feature needs_recovery", f"{guest.disk}?offset={guest.place[0]}")
    said = guest.ctl.refused(*guest.words())
    assert "vda1 (ext4) was not unmounted" in said and "e2fsck -f" in said


def test_formats(ctl, tmp_path):
    qcow = tmp_path / "guest.qcow2"
    qcow.write_bytes(b"QFI\xfb\0\0\0\3" + bytes(MIB))
    assert "qemu-img convert" in ctl.refused("domain", "fixup", qcow)
    assert "no root file system" in ctl.refused("domain", "fixup", image(tmp_path / "empty", MIB))
    assert "none" in ctl.refused("domain", "fixup", tmp_path / "none")
    ctl.refused("domain", "fixup", tmp_path)


def test_lvm_inside(ctl, tmp_path):
    disk = image(tmp_path / "lvm.img", 8 * MIB)
    label = bytearray(512)
    label[:8], label[8:16], label[20:24], label[24:32] = b"LABELONE", b"\1" + bytes(7), b"\x20\0\0\0", b"LVM2 001"
    label[32:64] = b"0123456789abcdefghijklmnopqrstuv"
    crc = 0xf597a6cf
    for byte in label[20:]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xedb88320 if crc & 1 else 0)
    label[16:20] = crc.to_bytes(4, "little")
    with open(disk, "r+b") as f:
        f.seek(512)
        f.write(label)
    said = ctl.refused("domain", "fixup", disk)
    assert "LVM" in said and "domain prepare" in said


def test_in_use(guest):
    """Open for writing elsewhere: looking is no harm, writing is."""
    before = digest(guest.disk)
    with subprocess.Popen(["sleep", "60"], stdin=open(guest.disk, "r+b")) as other:  # noqa: SIM115
        guest.ctl.ok(*guest.words())
        said = guest.ctl.refused(*guest.words("--apply"))
        other.kill()
    assert "in use" in said and digest(guest.disk) == before


@pytest.mark.parametrize("sector", [512, 4096])
def test_block_device(guest, loop, tmp_path, sector):
    """By a link, as LVM's names are; what that leads to may have another name the next time."""
    device, link = loop(guest.disk, "--sector-size", str(sector)), tmp_path / "web1"
    link.symlink_to(device)
    before = digest(guest.disk)
    words = ["domain", "fixup", link, "--state-dir", guest.state]
    assert guest.ctl.json(*words, "--apply")["applied"]
    check(guest.disk, *guest.place)
    link.unlink()
    assert "no undo file" in guest.ctl.refused("domain", "fixup", device, "--undo", "--state-dir", guest.state)
    link.symlink_to(device)
    guest.ctl.ok("domain", "fixup", device, "--undo", "--state-dir", guest.state)
    assert not guest.ctl.json(*words, "--undo")["undone"]
    run("sync", guest.disk)
    assert digest(guest.disk) == before


def test_without_root(guest):
    """pytest's folders are closed to other users."""
    wrap = []
    with tempfile.TemporaryDirectory(prefix="l2t-fixup-") as folder:
        folder = pathlib.Path(folder)
        guest.disk, guest.state = pathlib.Path(shutil.move(guest.disk, folder)), folder / "state"
        if os.geteuid() == 0:
            need("setpriv")
            os.chown(folder, 65534, 65534)
            os.chown(guest.disk, 65534, 65534)
            wrap = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        before = digest(guest.disk)
        guest.ctl.ok(*guest.words("--apply"), wrap=wrap)
        check(guest.disk, *guest.place)
        guest.ctl.ok(*guest.words("--undo"), wrap=wrap)
        assert digest(guest.disk) == before


def test_options(guest):
    for words in (["--mac", "00:16:3e"], ["--disk", "vdb"], ["--disk", "vda=x"], ["--disk", "vdb=x", "--disk", "xvdb=y"],
                  ["--apply", "--undo"], ["--config", "x", "--mac", MAC]):
        guest.ctl.refused(*guest.words(*words), code=2)
    assert "as vda and as vdb" in guest.ctl.refused(*guest.words("--disk", f"vdb={guest.disk}"), code=2)


def test_macs_of_a_configuration(ctl, tmp_path):
    guest = Guest(ctl, tmp_path, "debian12-enx0")
    config = tmp_path / "web1.cfg"
    config.write_text(f'name = "web1"\nvif = ["mac={MAC}"]\ndisk = ["file:{guest.disk},xvda,w"]\n')
    by_config = ctl.json(*guest.words("--config", config))
    assert by_config["changes"] == ctl.json(*guest.words("--mac", MAC))["changes"]


def test_virt_v2v(guest):
    guest.ctl.program("virt-v2v-in-place", "exit 3")
    assert guest.ctl.run(*guest.words("--virt-v2v")).returncode == 3
    assert guest.ctl.calls() == [f"virt-v2v-in-place -i disk {guest.disk}"]


# --- Guests made to do harm ---


def fifo(tree):
    (tree / "etc/fstab").unlink()
    os.mkfifo(tree / "etc/fstab")


def sparse(tree):
    os.truncate(tree / "etc/fstab", 1 << 30)


def out(tree):
    (tree / "etc/fstab").unlink()
    (tree / "etc/fstab").symlink_to("../../../../../../../../etc/hostname")


def circle(tree):
    (tree / "etc/fstab").unlink()
    (tree / "etc/fstab").symlink_to("fstab")


def device(tree):
    if os.geteuid() != 0:
        pytest.skip("needs root (mknod)")
    (tree / "etc/fstab").unlink()
    try:
        os.mknod(tree / "etc/fstab", 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("mknod is not allowed here")


@pytest.mark.parametrize("change", [fifo, out, circle, device])
def test_fstab_is_none(ctl, tmp_path, change):
    """It would be a file if one followed it out of the image; so there is no root."""
    guest = Guest(ctl, tmp_path, change=change)
    if change is out:
        assert os.path.exists("/etc/hostname")
        (guest.tree / "etc/hostname").unlink()
        guest.place = put(guest.disk, 1, guest.tree, 48 * MIB)
    assert "no root file system" in ctl.refused(*guest.words())


@pytest.mark.parametrize("change", [sparse])
def test_fstab_is_huge(ctl, tmp_path, change):
    guest = Guest(ctl, tmp_path, change=change)
    begun = time.monotonic()
    plan = ctl.json(*guest.words())
    assert time.monotonic() - begun < 20
    assert "/etc/fstab" not in [c["path"] for c in plan["changes"]]


def test_links_out_of_the_image(ctl, tmp_path):
    """Files that fix-ups read and write are links to files of this host."""
    secret = tmp_path / "secret"
    secret.write_text("console=hvc0 /dev/xvda1 of the host\n")

    def change(tree):
        for name in ("etc/securetty", "etc/inittab", "etc/default/grub", "etc/modules"):
            (tree / name).unlink(missing_ok=True)
            (tree / name).parent.mkdir(exist_ok=True)
            (tree / name).symlink_to(secret)

    guest = Guest(ctl, tmp_path, change=change)
    done = guest.apply()
    assert "of the host" not in json.dumps(done)
    assert secret.read_text() == "console=hvc0 /dev/xvda1 of the host\n"
    check(guest.disk, *guest.place)


def test_control_characters(ctl, tmp_path):
    """What a guest says does not reach the terminal as it is."""
    def change(tree):
        (tree / "etc/hostname").write_text("\x1b]0;owned\x07web1\n")
        with open(tree / "etc/fstab", "a") as f:
            f.write("# \x1b[2J\xe4\n")

    guest = Guest(ctl, tmp_path, change=change)
    assert "\x1b" not in ctl.ok(*guest.words())


def test_damaged_folder(ctl, tmp_path):
    """/etc is full of 0xff: one sentence, nothing written."""
    need("debugfs")
    guest = Guest(ctl, tmp_path, kind="ext3", options=["-O", "^dir_index"])
    blocks = run("debugfs", "-R", "blocks /etc", f"{guest.disk}?offset={guest.place[0]}").split()
    size = int(next(line.split()[-1] for line in run("dumpe2fs", "-h", f"{guest.disk}?offset={guest.place[0]}").splitlines()
                    if line.startswith("Block size")))
    with open(guest.disk, "r+b") as f:
        for block in blocks:
            f.seek(guest.place[0] + int(block) * size)
            f.write(b"\xff" * size)
    before = digest(guest.disk)
    guest.ctl.refused(*guest.words("--apply"))
    assert digest(guest.disk) == before
