"""Boot records: Xen's partitions become a disk, fixed up, and a machine without any kernel from outside
boots it until its login prompt. What the record leaves alone is in tests/unit/test_bootrecord.c."""
import os
import pathlib

import guest_disk
import guest_image
import machine
import pytest
from conftest import need
from guest_image import Shape
from lab import long_only, plain_only

pytestmark = [plain_only("emulated machines take minutes there"), pytest.mark.timeout(700)]

# name: label of the disk, guest. The first one always; menu.lst is
# what tests/net's guests have.
SHAPES = {
    "grub.cfg, /boot, GPT": ("gpt", Shape(loader="grub.cfg", fs="ext4", boot=3, data=5)),
    "menu.lst": ("msdos", Shape()),
    "menu.lst, /boot": ("msdos", Shape(boot=3, data=4)),
    "menu.lst, root first": ("msdos", Shape(root=1, swap=2)),
    "loader entries": ("msdos", Shape(loader="bls", fs="ext4")),
    "loader entries, /boot, GPT": ("gpt", Shape(loader="bls", fs="ext4", boot=1, swap=2, root=3)),
    "extlinux": ("msdos", Shape(loader="extlinux")),
    "no menu": ("msdos", Shape(loader="none")),
    "grub.cfg, XFS": ("msdos", Shape(loader="grub.cfg", fs="xfs", root_mib=320)),
}
ALWAYS = 1


def _cases():
    for n, (name, case) in enumerate(SHAPES.items()):
        marks = [] if n < ALWAYS else [long_only("half a minute each")]
        yield pytest.param(*case, id=name, marks=marks)


@pytest.fixture
def need_all():
    machine.need()
    need("grub-mkimage", "sfdisk")


def expect_login(disk, shape):
    """The machine comes up, all its file systems are there, and the power button ends it."""
    with machine.Machine(disk) as box:
        said = box.expect("web1 has booted 1 times")
        assert f"root is /dev/vda{shape.root}" in box.text()[said:said + 100]
        at = box.expect("web1 login:")
        box.type("root\n")
        at = box.expect("# ", after=at)
        box.type("cat /proc/swaps /srv/hello; echo end of it\n")
        box.expect("end of it\r\n", after=box.expect("end of it\r\n", after=at))
        shown = box.text()[at:]
        assert not shape.swap or f"/dev/vda{shape.swap}" in shown
        assert not shape.data or "what the data volume holds" in shown
        box.button()
        box.wait_off()


@pytest.mark.parametrize("label, shape", _cases())
def test_it_boots(need_all, tmp_path, label, shape):
    if shape.fs == "xfs":
        need("mkfs.xfs", "losetup")
        if os.geteuid() != 0:
            pytest.skip("needs root (mounts)")
    guest = guest_image.need(folder=tmp_path / "xen", shape=shape)
    disk = guest_disk.make(guest, tmp_path / "kvm", label)
    trust = ["--trust-guest"] if shape.fs == "xfs" else []
    done = guest_disk.fix(disk, *trust)
    assert done["applied"] and not done["boot_record"]["missing"]
    again = guest_disk.fix(disk, *trust)
    assert not again["writes"] and "there already" in again["boot_record"]["told"]
    try:
        expect_login(disk, shape)
    except machine.Starved as e:
        print(f"once more, since the first kernel was starved:\n{e}")
        expect_login(disk, shape)


def test_undone(need_all, tmp_path):
    """Not a byte of it is left."""
    guest = guest_image.need(folder=tmp_path / "xen")
    disk = guest_disk.make(guest, tmp_path / "kvm")
    before = pathlib.Path(disk).read_bytes()
    guest_disk.fix(disk)
    assert disk.read_bytes() != before
    guest_disk.ctl("domain", "fixup", disk, "--undo", "--state-dir", disk.parent / "state")
    assert disk.read_bytes() == before


def test_not_wanted(need_all, tmp_path):
    guest = guest_image.need(folder=tmp_path / "xen")
    disk = guest_disk.make(guest, tmp_path / "kvm")
    done = guest_disk.fix(disk, "--boot-record", "never")
    assert done["boot_record"]["told"] == "none wanted"
    assert disk.read_bytes()[:440] == bytes(440)


def test_without_grub(tmp_path, monkeypatch):
    """The guest is mended all the same, and told what is missing; with `always` it is an error."""
    guest = guest_image.need(folder=tmp_path / "xen")
    disk = guest_disk.make(guest, tmp_path / "kvm")
    monkeypatch.setenv("PATH", "/nowhere")
    done = guest_disk.fix(disk)
    assert done["changes"] and done["boot_record"]["missing"]
    assert "grub-pc-bin" in done["boot_record"]["told"]
    guest_disk.ctl("domain", "fixup", disk, "--boot-record", "always", code=1)
