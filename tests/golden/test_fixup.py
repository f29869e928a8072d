"""What fix-ups change in made-up guests: tests/support/guest_trees.py -> tests/golden/fixup/NAME.diff, notes and unified diffs.

UPDATE_GOLDEN=1 writes them anew; read the difference before committing it: would that guest boot, find its
disks, have its network, and let one log in on the serial port?
"""

import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import guest_trees  # noqa: E402

OUT = HERE / "fixup"
PLAN = pathlib.Path(os.environ.get("TOP_BUILDDIR", ROOT)) / "tests" / "support" / "fixup_plan"

SWAP, ROOT_FS, BOOT = f"swap:{guest_trees.UUID_SWAP}", guest_trees.UUID_ROOT, guest_trees.UUID_BOOT
SMALL = [f"a1={SWAP}", f"a2=ext4:{ROOT_FS}"]
LARGE = [f"a1=xfs:{BOOT}:BOOT", f"a2=xfs:{ROOT_FS}", f"a3={SWAP}"]
DATA = ["b1=xfs:da7a0000-0000-4000-8000-000000000001", "c1=crypto_LUKS:da7a0000-0000-4000-8000-000000000002"]
PARTS = {
    "centos5": [f"a1=ext3:{ROOT_FS}:/", f"a2={SWAP}"],
    "centos6": [f"a1=ext4:{BOOT}", f"a2=ext4:{ROOT_FS}"],
    "centos7": LARGE,
    "debian12": SMALL + DATA,
    "rocky9": LARGE,
    "ubuntu2204": LARGE,
}
VIFS = ["00:16:3e:11:22:33", "00:16:3e:11:22:44"]


def words_of(name):
    words = ["--root", "a1" if name == "centos5" else "a2"]
    for part in PARTS.get(name, SMALL):
        words += ["--part", part]
    for mac in VIFS:
        words += ["--vif", mac]
    return words


def plan(folder, *words):
    done = subprocess.run([PLAN, folder, *words], capture_output=True, timeout=60, check=False)
    assert done.stderr == b"", done.stderr.decode(errors="replace")
    assert done.returncode == 0, done.stdout.decode(errors="replace")
    return done.stdout.decode()


@pytest.fixture(autouse=True)
def program():
    if not PLAN.exists():
        pytest.skip(f"{PLAN} is not built: make check builds it")


@pytest.mark.parametrize("name", sorted(guest_trees.TREES))
def test_golden(name, tmp_path):
    got = plan(guest_trees.build(name, tmp_path / name), *words_of(name))
    path = OUT / f"{name}.diff"
    if os.environ.get("UPDATE_GOLDEN"):
        OUT.mkdir(exist_ok=True)
        path.write_text(got)
    assert got == path.read_text()


@pytest.mark.parametrize("name", sorted(guest_trees.TREES))
def test_a_second_time_changes_nothing(name, tmp_path):
    folder = guest_trees.build(name, tmp_path / name)
    before = plan(folder, *words_of(name))
    assert plan(folder, *words_of(name), "--twice") == before
    assert "\n+++ " not in plan(folder, *words_of(name))


@pytest.mark.parametrize("name", sorted(guest_trees.TREES))
def test_what_is_left_of_xen(name, tmp_path):
    """No line that counts names a disk of Xen, and every command line that counts has the serial port."""
    folder = guest_trees.build(name, tmp_path / name)
    plan(folder, *words_of(name), "--twice")
    for path in ("etc/fstab", "etc/default/grub", "boot/grub/grub.cfg", "boot/grub/menu.lst", "boot/grub2/grub.cfg"):
        file = folder / path
        lines = file.read_text().splitlines() if file.exists() else []
        lines = [line.strip() for line in lines if not line.strip().startswith("#")]
        if name == "debian12" or name not in PARTS:
            left = [line for line in lines if "/dev/xvd" in line and "nofail" not in line]
            assert not [line for line in left if "module" not in line], path
        for line in lines:
            if line.split("\t")[0].split(" ")[0] in ("linux", "linux16") or (line.startswith("kernel") and "xen.gz" not in line):
                assert "console=ttyS0,115200" in line, line


def test_no_partitions_and_no_cards(tmp_path):
    """Nothing known: names stay, and are told."""
    folder = guest_trees.build("debian12", tmp_path / "g")
    out = plan(folder)
    assert "note: /etc/fstab, line 3: /dev/xvda1 is none of this guest's partitions" in out
    assert "note: The network configuration speaks of eth0, and no MAC address is known for it" in out
    assert "b/etc/fstab" not in out
