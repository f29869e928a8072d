"""Guests whose inspection takes much: many names, many kernels, an initramfs that is a bomb. The process that reads them
has no system calls but for memory and its answer, so these show that reading needs no others."""
import json
import subprocess

import guest_trees
import pytest
from conftest import MIB, image, need

OLD = "2.6.32-5-amd64"


def look(ctl, tmp_path, tree):
    """What `domain fixup` says of a disk that is one file system with what is in `tree`."""
    need("mke2fs")
    disk = image(tmp_path / "guest.img", 64 * MIB)
    subprocess.run(["mke2fs", "-qF", "-t", "ext4", "-N", "4096", "-d", tree, disk], check=True, capture_output=True)
    return ctl.json("domain", "fixup", disk, "--state-dir", tmp_path / "state")["guest"]


def kernel(guest, version):
    return next(k for k in guest["kernels"] if k["version"] == version)


def test_many_names(ctl, tmp_path):
    tree = guest_trees.build("centos6", tmp_path / "tree")
    for i in range(400):
        (tree / f"etc/init/job-{i}.conf").write_text("exec /bin/true\n")
    for i in range(100):
        (tree / f"boot/vmlinuz-4.{i}.0").write_text("nothing\n")
    guest = look(ctl, tmp_path, tree)
    assert len(guest["kernels"]) == 32 and guest["kernels"][0]["version"] == "4.99.0"
    assert [k["version"] for k in guest["kernels"] if k["default"]] == ["2.6.32-754.35.1.el6.x86_64"]


def bomb():
    """600 MiB in 20 KB: blocks of one byte that is repeated (RFC 8878, 3.1.1.2)."""
    block = (0x20000 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    last = (0x20000 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\0\x58" + block * 4800 + last


@pytest.mark.parametrize(
    "content, why",
    [
        (bomb(), "it is too large when unpacked"),
        (guest_trees.pack_gzip(b"no archive" * 9), "what is in it is no cpio archive"),
        (guest_trees.pack_xz(guest_trees.cpio(["init"]))[:-40], "its xz data is damaged"),
        (b"\x89LZO\0\r\n\x1a\n", "it is compressed with lzop, which is not read here"),
    ],
)
def test_not_understood(ctl, tmp_path, content, why):
    tree = guest_trees.build("debian6", tmp_path / "tree")
    (tree / f"boot/initrd.img-{OLD}").write_bytes(content)
    guest = look(ctl, tmp_path, tree)
    assert kernel(guest, OLD)["initrd_why"] == why
    assert kernel(guest, OLD)["drivers"]["virtio_blk"] == "unknown"
    assert any(why in note for note in guest["notes"]), json.dumps(guest["notes"])


@pytest.mark.parametrize("pack", [guest_trees.pack_gzip, guest_trees.pack_xz, guest_trees.pack_lzma, guest_trees.pack_zstd, guest_trees.pack_lz4])
def test_every_compression(ctl, tmp_path, pack):
    tree = guest_trees.build("debian6", tmp_path / "tree")
    (tree / f"boot/initrd.img-{OLD}").write_bytes(guest_trees.debian_initrd(OLD, guest_trees.DRIVERS, pack, early=True))
    found = kernel(look(ctl, tmp_path, tree), OLD)
    assert found["initrd_why"] is None and found["drivers"]["virtio_blk"] == "yes"
