"""`bridgectl disk create`: what is made is what the plan says; wrong targets are refused; what fails
halfway is gone again."""
import json
import os
import random
import shlex
import signal
import subprocess
import sys

import pytest
from conftest import MIB, SECTOR, blkid, digest, image, need, run, sfdisk

SWAP_UUID = "0aa27dd9-7a84-4c5b-8a4d-5b8e0f1d1a01"


@pytest.fixture
def guest(tmp_path):
    """A configuration with a volume for each partition: root, swap, and odd data."""
    need("mke2fs", "mkswap")
    root = image(tmp_path / "root.img", 24 * MIB)
    run("mke2fs", "-qF", "-t", "ext4", "-L", "root", root)
    swap = image(tmp_path / "swap.img", 8 * MIB)
    run("mkswap", "-U", SWAP_UUID, "-L", "sw", swap)
    data = tmp_path / "data.img"
    data.write_bytes(os.urandom(1000001))
    disks = [f"file:{data},xvda5,w", f"file:{root},xvda2,w", f"file:{swap},xvda1,w"]
    config = tmp_path / "web1.cfg"
    config.write_text(f'name = "web1"\nmemory = 256\nbootloader = "pygrub"\ndisk = {disks}\n')
    return config


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "out"
    path.mkdir()
    return path


def expect_as_planned(path, disk):
    """The table, to the sector, as another program reads it, and the swap headers."""
    label, parts = sfdisk(path)
    assert label == {"gpt": "gpt", "msdos": "dos"}[disk["label"]]
    assert sorted(parts) == sorted(p["number"] for p in disk["partitions"])
    for wanted in disk["partitions"]:
        found = parts[wanted["number"]]
        assert (found["start"], found["size"]) == (wanted["start"], wanted["sectors"])
        assert found["type"].lower() == wanted["type"].lower()
        if wanted["fill"] == "swap":
            swap = blkid(path, wanted["start"] * SECTOR, wanted["sectors"] * SECTOR)
            assert (swap["TYPE"], swap["UUID"]) == ("swap", wanted["source"]["uuid"])
            assert swap.get("LABEL", "") == wanted["source"]["label"]


def test_files(ctl, guest, folder):
    plan = ctl.json("disk", "layout", guest)
    made = ctl.json("disk", "create", guest, "--dir", folder)
    [disk] = made["disks"]
    path = folder / "web1-disk.img"
    assert (disk["path"], disk["kind"], disk["label"]) == (str(path), "file", "gpt")
    assert disk["bytes"] == path.stat().st_size == plan["disks"][0]["sectors"] * SECTOR
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_blocks * 512 < MIB
    expect_as_planned(path, plan["disks"][0])


def test_text_names_path_and_partitions(ctl, guest, folder):
    text = ctl.ok("disk", "create", guest, "--dir", folder)
    assert str(folder / "web1-disk.img") in text
    assert "new swap" in text and "to be copied" in text
    path, root = folder / "web1-disk.img", guest.with_name("root.img")
    assert f"next: bridgectl disk copy {root} {path} --partition 2" in text


@pytest.mark.parametrize("seed", range(20))
def test_random_guests(ctl, folder, tmp_path, seed):
    """Volumes of any size and number: no partition is smaller than its source, none overlaps."""
    rng = random.Random(seed)
    numbers = rng.sample(range(1, rng.choice([5, 16])), rng.randint(1, 4))
    sizes = {n: rng.choice([SECTOR, MIB, 1000001, rng.randint(1, 1 << 32)]) for n in numbers}
    for number, size in sizes.items():
        image(tmp_path / f"{number}.img", size)
    disks = [f"file:{tmp_path}/{n}.img,xvda{n},w" for n in numbers]
    config = tmp_path / "any.cfg"
    config.write_text(f'name = "any"\nmemory = 64\nbootloader = "pygrub"\ndisk = {disks}\n')
    plan = ctl.json("disk", "layout", config)["disks"][0]
    ctl.ok("disk", "create", config, "--dir", folder)
    path = folder / "any-disk.img"
    expect_as_planned(path, plan)
    end = 2048
    for number, part in sorted(sfdisk(path)[1].items(), key=lambda item: item[1]["start"]):
        assert part["start"] >= end and part["start"] % 2048 == 0
        assert part["size"] * SECTOR >= sizes.get(number, 0)
        end = part["start"] + part["size"]
    assert path.stat().st_size >= (end + 2048) * SECTOR
    assert path.stat().st_blocks * 512 < MIB


def test_plan_as_json(ctl, guest, folder, tmp_path):
    plan = ctl.ok("disk", "layout", guest, "--json")
    ctl.ok("disk", "create", "-", "--dir", folder, "--name", "one", stdin=plan)
    (tmp_path / "plan.json").write_text(plan)
    ctl.ok("disk", "create", tmp_path / "plan.json", "--dir", folder, "--name", "two",
           "--disk", "vda")
    for name in "one", "two":
        expect_as_planned(folder / f"{name}.img", json.loads(plan)["disks"][0])


def test_configuration_from_a_pipe(ctl, guest, folder, tmp_path):
    """A pipe has its beginning once; a large file would lose its first part without a word."""
    os.mkfifo(tmp_path / "pipe")
    text = guest.read_text() + "# so long that one buffer is not enough\n" * 1000
    with subprocess.Popen(["sh", "-c", f"cat >{tmp_path}/pipe"], stdin=subprocess.PIPE) as cat:
        cat.stdin.write(text.encode())
        cat.stdin.close()
        ctl.ok("disk", "create", tmp_path / "pipe", "--dir", folder)
    assert (folder / "web1-disk.img").exists()


def test_plan_is_not_changed_by_options(ctl, guest, folder):
    plan = ctl.ok("disk", "layout", guest, "--json")
    for option in ["--grow-last", "10M"], ["--label", "gpt"], ["--copy-swap"]:
        said = ctl.refused("disk", "create", "-", "--dir", folder, *option, stdin=plan)
        assert option[0] in said and "disk layout" in said
    assert not any(folder.iterdir())


def test_plan_that_makes_no_sense(ctl, guest, folder):
    plan = ctl.json("disk", "layout", guest)
    plan["disks"][0]["partitions"][1]["start"] += 1
    assert "makes no sense" in ctl.refused("disk", "create", "-", "--dir", folder,
                                           stdin=json.dumps(plan))
    plan["disks"][0]["name"] = "../x"
    ctl.refused("disk", "create", "-", "--dir", folder, stdin=json.dumps(plan))
    assert "no plan" in ctl.refused("disk", "create", "-", "--dir", folder, stdin="{")
    assert not any(folder.iterdir())


def test_dry_run_makes_nothing(ctl, guest, folder):
    assert "would be" in ctl.ok("disk", "create", guest, "--dir", folder, "--dry-run")
    assert not any(folder.iterdir())
    nowhere = folder / "none" / "x.img"
    assert "No such file" in ctl.refused("disk", "create", guest, "--onto", nowhere, "--dry-run")


def test_where_must_be_said_once(ctl, guest, folder):
    ctl.refused("disk", "create", guest, code=2)
    ctl.refused("disk", "create", guest, "--dir", folder, "--vg", "vg0", code=2)
    assert "no disk vdz" in ctl.refused("disk", "create", guest, "--dir", folder, "--disk", "vdz")


def test_never_over_what_is_there(ctl, guest, folder):
    path = folder / "web1-disk.img"
    path.write_text("mine")
    said = ctl.refused("disk", "create", guest, "--dir", folder)
    assert "exists already" in said and "--name" in said and "--overwrite" in said
    assert path.read_text() == "mine"


def test_room_is_asked_for(ctl, guest, folder):
    if os.geteuid() != 0:
        pytest.skip("needs root (a small file system)")
    tmpfs = ["unshare", "--mount", "sh", "-c",
             f'mount -t tmpfs -o size=8m none {folder} && exec "$@"', "sh"]
    if subprocess.run([*tmpfs, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs a mount namespace")
    assert "free" in ctl.refused("disk", "create", guest, "--dir", folder, wrap=tmpfs)
    ctl.ok("disk", "create", guest, "--dir", folder, "--overcommit", wrap=tmpfs)


# --- Onto what is there ---


def total(ctl, guest):
    return ctl.json("disk", "layout", guest)["disks"][0]["sectors"] * SECTOR


def test_half_done_is_said(ctl, guest, tmp_path):
    """A file that was there, on a file system that has no room for a table."""
    if os.geteuid() != 0:
        pytest.skip("needs root (a small file system)")
    place = tmp_path / "small"
    place.mkdir()
    tmpfs = ["unshare", "--mount", "sh", "-c",
             f"mount -t tmpfs -o size=4k none {place} && truncate -s {total(ctl, guest)} {place}/x && "
             'exec "$@"', "sh"]
    if subprocess.run([*tmpfs, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs a mount namespace")
    said = ctl.refused("disk", "create", guest, "--onto", place / "x", "--overwrite", wrap=tmpfs)
    assert "is half done" in said and "go on with --overwrite" in said


def test_onto_a_used_device_zeros_what_no_source_fills(ctl, guest, tmp_path, loop):
    """Nothing of an old tenant is left but where the copy will be."""
    plan = ctl.json("disk", "layout", guest)["disks"][0]
    size = total(ctl, guest)
    backing = image(tmp_path / "old.img", size + 3 * MIB, fill=0xAA)
    device = loop(backing)
    assert "not empty" in ctl.refused("disk", "create", guest, "--onto", device)
    made = ctl.json("disk", "create", guest, "--onto", device, "--overwrite")
    assert made["disks"][0]["kind"] == "existing"
    expect_as_planned(device, plan)
    content = bytearray(backing.read_bytes())
    for part in plan["partitions"]:
        start = part["start"] * SECTOR
        if part["fill"] == "copy":
            end = start + part["source"]["bytes"]
            assert content[start:end] == b"\xaa" * (end - start)
            content[start:end] = bytes(end - start)
        if part["fill"] == "swap":
            content[start:start + 4096] = bytes(4096)
    # The table, and the second copy of a GPT at the very end.
    content[:34 * SECTOR] = bytes(34 * SECTOR)
    content[-33 * SECTOR:] = bytes(33 * SECTOR)
    assert not content.strip(b"\0")


def test_onto_a_file(ctl, guest, tmp_path):
    plan = ctl.json("disk", "layout", guest)["disks"][0]
    ctl.ok("disk", "create", guest, "--onto", tmp_path / "new.img")
    expect_as_planned(tmp_path / "new.img", plan)
    old = image(tmp_path / "old.img", total(ctl, guest), fill=0x55)
    ctl.refused("disk", "create", guest, "--onto", old)
    assert digest(old) == digest(image(tmp_path / "same.img", total(ctl, guest), fill=0x55))
    ctl.ok("disk", "create", guest, "--onto", old, "--overwrite")
    expect_as_planned(old, plan)


def test_onto_too_small(ctl, guest, tmp_path):
    small = image(tmp_path / "small.img", total(ctl, guest) - SECTOR)
    assert "too small" in ctl.refused("disk", "create", guest, "--onto", small)


def test_onto_a_typing_error(ctl, guest):
    path = "/dev/vg-of-nobody/web1-disk"
    assert "no such device" in ctl.refused("disk", "create", guest, "--onto", path)
    path = "/dev/web1-disk-of-nobody"
    assert "no such device" in ctl.refused("disk", "create", guest, "--onto", path)
    assert not os.path.exists(path)


def test_onto_a_source(ctl, guest, tmp_path):
    before = digest(tmp_path / "root.img")
    os.link(tmp_path / "root.img", tmp_path / "other-name.img")
    for name in "root.img", "other-name.img":
        assert "source" in ctl.refused("disk", "create", guest, "--onto", tmp_path / name,
                                       "--overwrite")
    assert digest(tmp_path / "root.img") == before


def test_onto_the_source_of_a_disk_that_is_left_out(ctl, tmp_path):
    """--disk makes one disk, and what is on the others is to be copied later."""
    small, large = image(tmp_path / "a.img", MIB), image(tmp_path / "b.img", 8 * MIB, 7)
    config = tmp_path / "two.cfg"
    config.write_text(f'name = "two"\nmemory = 64\nbootloader = "pygrub"\n'
                      f'disk = ["file:{small},xvda1,w", "file:{large},xvdb1,w"]\n')
    before = digest(large)
    said = ctl.refused("disk", "create", config, "--disk", "vda", "--onto", large, "--overwrite")
    assert "is a source of the plan" in said
    assert digest(large) == before


def test_onto_what_is_mounted(ctl, guest, tmp_path, loop):
    need("unshare", "mount")
    device = loop(image(tmp_path / "busy.img", total(ctl, guest)))
    run("mke2fs", "-qF", device)
    mounted = ["unshare", "--mount", "sh", "-c", f'mount {device} {tmp_path}/bin && exec "$@"', "sh"]
    ctl.program("unused", "")
    said = ctl.refused("disk", "create", guest, "--onto", device, "--overwrite", wrap=mounted)
    assert "in use: mounted on" in said
    assert blkid(device)["TYPE"] == "ext2"


def test_onto_what_the_kernel_will_not_name(ctl, guest, tmp_path, loop):
    """A mount in another namespace holds a device just so."""
    device = loop(image(tmp_path / "backing.img", total(ctl, guest)))
    fd = os.open(device, os.O_RDONLY | os.O_EXCL)
    said = ctl.refused("disk", "create", guest, "--onto", device, "--overwrite")
    os.close(fd)
    assert "the kernel has claimed it" in said and "lsblk" in said


def test_onto_what_another_program_writes(ctl, guest, tmp_path):
    busy = image(tmp_path / "busy.img", total(ctl, guest))
    with open(busy, "r+b"):
        said = ctl.refused("disk", "create", guest, "--onto", busy)
    assert f"process {os.getpid()}" in said


def test_onto_what_another_transfer_has(ctl, guest, tmp_path):
    busy = image(tmp_path / "busy.img", total(ctl, guest))
    lock = "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True)" \
           "; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", lock, busy], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert "in use" in ctl.refused("disk", "create", guest, "--onto", busy)
        other.stdin.close()
    ctl.ok("disk", "create", guest, "--onto", busy)


# --- Volumes: LVM's programs are scripts that make loop devices ---


@pytest.fixture
def group(ctl, tmp_path, loop):
    """A volume group whose volumes are loop devices with an old tenant's data in them."""
    name = f"l2-test-{os.getpid()}"
    devices = f"/dev/{name}"
    ctl.program("vgs", """echo '{"report":[{"vg":[{"vg_name":"x","vg_free":"1073741824",'"""
                       """'"vg_extent_size":"4194304"}]}]}'""")
    backing = tmp_path / "volumes"
    backing.mkdir()
    make = f"""
for last; do :; done
while [ "$1" != -n ]; do test "$1" != -L || size=${{2%b}}; shift; done
size=$(( (size + 4194303) / 4194304 * 4194304 ))
yes old-tenant | head -c $size >{backing}/$2
mkdir -p {devices}
ln -s $(losetup --find --show {backing}/$2) {devices}/$2
"""
    ctl.program("lvcreate", make)
    ctl.program("lvremove", f"""
name=${{2#*/}}
losetup --detach $(readlink {devices}/$name)
rm {devices}/$name {backing}/$name
""")
    yield name
    for link in (os.scandir(devices) if os.path.isdir(devices) else ()):
        subprocess.run(["losetup", "--detach", os.readlink(link.path)], check=False)
        os.unlink(link.path)
    if os.path.isdir(devices):
        os.rmdir(devices)


def test_volumes(ctl, guest, group):
    plan = ctl.json("disk", "layout", guest)["disks"][0]
    [disk] = ctl.json("disk", "create", guest, "--vg", group)["disks"]
    size = plan["sectors"] * SECTOR
    assert f"lvcreate --yes -Wy -Zy --addtag bridgectl -L {size}b -n web1-disk {group}" in ctl.calls()
    assert disk["kind"] == "volume"
    assert disk["bytes"] >= size
    path = f"/dev/{group}/web1-disk"
    expect_as_planned(os.path.realpath(path), plan)
    with open(path, "rb") as f:
        content = f.read()
    root = next(p for p in plan["partitions"] if p["number"] == 2)
    assert b"old-tenant" not in content[:root["start"] * SECTOR]
    assert b"old-tenant" not in content[plan["sectors"] * SECTOR - MIB:]


def test_stopped_is_undone(ctl, guest, group):
    """A signal comes while the volume is made: it is removed again."""
    path = ctl.bin / "lvcreate"
    path.write_text(path.read_text() + "\nkill -INT $PPID\n")
    said = ctl.refused("disk", "create", guest, "--vg", group)
    assert "stopped on request" in said and "is removed again" in said
    assert f"lvremove --yes {group}/web1-disk" in ctl.calls()
    assert not os.path.lexists(f"/dev/{group}/web1-disk")


def test_nohup_is_minded(ctl, guest, group):
    path = ctl.bin / "lvcreate"
    path.write_text(path.read_text() + "\nkill -HUP $PPID\n")
    ctl.ok("disk", "create", guest, "--vg", group, wrap=["nohup"])
    assert os.path.lexists(f"/dev/{group}/web1-disk")


def test_failure_of_the_second_undoes_the_first(ctl, guest, group, tmp_path):
    more = image(tmp_path / "more.img", MIB)
    text = guest.read_text().replace("]", f', "file:{more},xvdb1,w"]')
    guest.write_text(text)
    path = ctl.bin / "lvcreate"
    body = path.read_text().split("\n", 2)
    path.write_text("\n".join([*body[:2], 'case "$*" in *-n\\ web1-disk-b*) echo no more >&2; exit 5;; '
                               'esac', body[2]]))
    said = ctl.refused("disk", "create", guest, "--vg", group)
    assert "no more" in said and f"/dev/{group}/web1-disk is removed again" in said
    assert f"lvremove --yes {group}/web1-disk" in ctl.calls()
    assert not os.path.lexists(f"/dev/{group}/web1-disk")


def test_volume_that_cannot_be_removed_is_named(ctl, guest, group):
    remove = ctl.bin / "lvremove"
    remove.write_text("#!/bin/sh\necho it is in use >&2\nexit 5\n")
    path = ctl.bin / "lvcreate"
    path.write_text(path.read_text() + "\nkill -TERM $PPID\n")
    said = ctl.refused("disk", "create", guest, "--vg", group)
    assert f"/dev/{group}/web1-disk is left behind: lvremove: it is in use" in said


# --- Another host: ssh is a script that starts a shell here ---


@pytest.fixture
def ssh(ctl):
    return ctl.program("fake-ssh", 'while [ $# -gt 1 ]; do shift; done\nexec sh -c "$1"')


def remote(ctl, ssh):
    return ["--ssh", f"{ssh} -p 22", "--remote-bridgectl", ctl.argv()[0]]


def test_on_another_host(ctl, guest, folder, ssh):
    plan = ctl.json("disk", "layout", guest)["disks"][0]
    odd = folder / "a b'c"
    odd.mkdir()
    [disk] = ctl.json("disk", "create", guest, "--to", "kvm1", "--dir", odd, *remote(ctl, ssh))["disks"]
    assert disk["path"] == str(odd / "web1-disk.img")
    expect_as_planned(disk["path"], plan)
    assert any(shlex.split(call)[1:4] == ["-p", "22", "kvm1"] for call in ctl.calls())
    said = ctl.run("disk", "create", guest, "--to", "kvm1", "--dir", odd, *remote(ctl, ssh))
    assert said.returncode == 1
    assert "exists already" in said.stderr


def test_from_another_host(ctl, guest, folder, ssh):
    plan = ctl.json("disk", "layout", guest)["disks"][0]
    ctl.ok("disk", "create", guest, "--from", "xen1", "--dir", folder, *remote(ctl, ssh))
    expect_as_planned(folder / "web1-disk.img", plan)


def test_a_host_is_no_option(ctl, guest, folder):
    for host in "-oProxyCommand=x", "":
        ctl.refused("disk", "create", guest, f"--to={host}", "--dir", folder, code=2)


def test_killed_half_way_leaves_no_half_name(ctl, guest, folder):
    """Whatever the moment: either no file, or one that the next run refuses to overwrite."""
    with subprocess.Popen(ctl.argv("disk", "create", guest, "--dir", folder), env=ctl.env(),
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        child.send_signal(signal.SIGINT)
    left = list(folder.iterdir())
    if child.returncode == 0:
        assert len(left) == 1
    elif child.returncode > 0:
        assert not left
