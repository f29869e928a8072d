"""doc/guide.md, followed to the letter: a guest boots on the new host and answers through the tunnel.

Commands of the guide are run as they stand, in a shell of the host that their prompt names; a prompt
with a number, `kvm1 (2)#`, is another window. Around them is what a laboratory lacks: a made-up xl on
the old host, ways to it by ssh, and other places for what the guide has in /etc/xen, /dev/vg0 and
/var/lib/libvirt/images. (A kernel from outside of the disk: test_domain_rescue.py.)
"""
import json
import pathlib
import re
import shlex
import subprocess

import pytest

import guest_image
import guest_move
from fake_xen import FakeXen
from lab import need, plain_only, skip, wait_for
from libvirtd import need_libvirtd
from node import BRIDGECTL, Pair
from sshd import Sshd

pytestmark = [plain_only("an emulated machine takes half a minute"), pytest.mark.timeout(700)]

GUIDE = pathlib.Path(__file__).resolve().parents[2] / "doc/guide.md"
NOT_HERE = ("domain prepare",)  # nothing runs on the old host that one could log in to
WARM_S = 60

# What a laboratory adds to a command, by its first words; the first that fits counts.
MORE = {
    "disk layout": "{far}", "disk create": "{far}",
    "disk copy": "{far} --state-dir {lab}/maps --run-dir {run}", "disk": "--run-dir {run}",
    "domain start": "--connect {uri} -s {control} {far}", "domain show": "", "domain convert": "--type qemu", "domain fixup": "--state-dir {lab}/fixup",
    "domain": "--connect {uri} -s {control}", "": "-s {control}",
}
AS_BRIDGECTL = """#!/bin/sh
case "$*" in
*--host*) exec {bridgectl} "$@" {far} ;;
{cases}
esac
"""
AS_BRIDGECTL_THERE = """#!/bin/sh
PATH={bin}:$PATH BRIDGECTL_ROOT={root} exec {bridgectl} "$@"
"""


@pytest.fixture
def pair(lab):
    need("tap")
    need_libvirtd()
    return Pair(lab).start()


def commands():
    """(host, window or None, command) of the guide's blocks, without comments."""
    blocks = re.findall(r"^```\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    found = [re.fullmatch(r"(\w+)(?: \((\d)\))?# (.*?)(?: {2,}# .*)?", line) for line in "".join(blocks).splitlines()]
    assert all(found) and len(found) > 15
    return [m.groups() for m in found]


class Reader:
    """An administrator with the guide."""

    def __init__(self, pair, move, xen):
        self.move, self.host = move, pair.left.host
        self.folder = pathlib.Path(pair.lab.dir) / "reader"
        self.windows = []
        self.places = {"/etc/xen/": f"{xen.root}/etc/xen/", "/var/lib/libvirt/images": str(move.disks),
                       "/dev/vg0/web1-root": str(move.guest.volumes["xvda2"]),
                       "/dev/vg0/web1-data": str(move.guest.volumes["xvda3"])}
        self.bin = self.folder / "bin"
        self.bin.mkdir(parents=True)
        there = self._program("bridgectl-there", AS_BRIDGECTL_THERE.format(bin=xen.bin, root=xen.root, bridgectl=BRIDGECTL))
        ssh = move.door.command
        names = {"lab": pair.lab.dir, "run": f"{pair.lab.dir}/run", "uri": shlex.quote(move.libvirtd.uri),
                 "control": pair.left.control, "far": f"--ssh {shlex.quote(ssh)} --remote-bridgectl {there}"}
        cases = "\n".join(f"\"{words}\"*) exec {BRIDGECTL} \"$@\" {more.format(**names)} ;;" for words, more in MORE.items())
        self._program("bridgectl", AS_BRIDGECTL.format(bridgectl=BRIDGECTL, far=names["far"], cases=cases))
        options = ssh.removeprefix("ssh ").replace("-p ", "-P ", 1)
        self._program("scp", f'#!/bin/sh\nPATH=/usr/bin:/bin exec scp -q {options} "$@"\n')

    def _program(self, name, text):
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def shell(self, command):
        for place, ours in self.places.items():
            command = command.replace(place, ours)
        return ["env", f"PATH={self.bin}:/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-c", f"cd {self.folder} && {command}"]

    def open_window(self, command):
        process = self.host.popen(self.shell(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True)
        self.windows.append(process)

    def ready(self):
        """As the guide says: all copies wait."""
        copies = json.loads(self.run("bridgectl disk status --json"))["copies"]
        return len(copies) == len(self.windows) and all(c["phase"] == "wait" for c in copies)

    def run(self, command):
        result = self.host.run(*self.shell(command), check=False, timeout=400)
        assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}{result.stderr}"
        return result.stdout


def follow(reader):
    """All of it. Returns the guest's serial port."""
    console, waited = None, False
    for host, window, command in commands():
        assert host == "kvm1", "all is done there"
        if any(words in command for words in NOT_HERE):
            continue
        if window:
            reader.open_window(command)
            continue
        if reader.windows and not waited and "status" not in command:
            wait_for(reader.ready, WARM_S, lambda: f"copies: {reader.run('bridgectl disk status')}", 0.2)
            waited = True
        reader.run(command)
        if command.startswith("bridgectl domain start"):
            console = guest_move.Console(reader.move.libvirtd.virsh("ttyconsole", reader.move.name).stdout.strip())
            console.expect("Booting `Debian GNU/Linux", "web1 has booted 1 times", "login:")  # our record, its menu
    return console


def side(node, mac):
    """Of the bridge: where this node sees an address."""
    [kind] = {entry["kind"] for entry in node.ctl_json("bridge", "fdb", "br-sv")["entries"] if entry["mac"] == mac}
    return "there" if kind == "tunnel" else "here"


def test_a_guest_moves(pair, tmp_path):
    old, new = pair.right, pair.left
    try:
        move = guest_move.Move(pair.lab, Sshd(old.host, pair.wan.address(old.host)), new,
                               shape=guest_image.Shape(data=3), show=guest_move.quiet)
    except guest_image.Missing as e:
        skip(str(e))
    before = {vdev: path.read_bytes() for vdev, path in move.guest.volumes.items()}
    xen = FakeXen(tmp_path)
    xen.file("/etc/xen/web1.cfg", move.guest.config.read_text())
    (xen.root / "etc/xen/auto/web1").symlink_to("../web1.cfg")
    xen.domain("web1", mac=move.guest.mac, bridge="br-sv")

    reader = Reader(pair, move, xen)
    console = follow(reader)
    for window in reader.windows:
        said = window.communicate(timeout=60)[0]
        assert window.returncode == 0 and "done" in said, said
    assert "failed" not in console.text().split("rc: ", 1)[1], console.text()
    assert xen.names() == ["Domain-0"] and not (xen.root / "etc/xen/auto/web1").is_symlink()

    move.answers(pair.guest_right)
    assert side(new, move.guest.mac) == "here" and side(old, move.guest.mac) == "there"
    [listed] = json.loads(move.domain("list", "--json").stdout)["domains"]
    assert (listed["state"], listed["autostart"], listed["interfaces"][0]["mac"]) == ("running", True, move.guest.mac)
    move.stop()
    assert move.libvirtd.state(move.name) == "shut off"
    assert before == {vdev: path.read_bytes() for vdev, path in move.guest.volumes.items()}, "the source is as it was"
