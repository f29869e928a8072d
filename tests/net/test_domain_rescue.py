"""A first boot with the guest's own kernel from outside of its disk, the end of that, and a boot from
the disk: a guest as Xen has it, a real libvirtd, an emulated machine."""
import hashlib
import os
import pathlib
import subprocess

import guest_disk
import guest_image
import machine
import pytest
from lab import Lab, plain_only, wait_for
from libvirtd import Libvirtd, need_libvirtd
from node import BRIDGECTL

pytestmark = [plain_only("emulated machines take minutes there"), pytest.mark.timeout(900)]

NAME = "web1"


class Place:
    """A host with libvirt and the guest's disk, which nothing can boot yet."""

    def __init__(self, lab, folder):
        self.host = lab.host("kvm1")
        self.host.bridge("br-sv")
        self.guest = guest_image.need(folder=folder / "xen", name=NAME)
        self.disk = guest_disk.make(self.guest, folder / "kvm")
        self.state, self.log = folder / "boot", folder / "serial"
        self.log.touch()
        self.libvirtd = Libvirtd(self.host)

    def run(self, *words, code=0):
        done = self.host.run(BRIDGECTL, "-s", "/nowhere", "domain", *map(str, words), "--connect",
                             self.libvirtd.uri, check=False, timeout=400)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def start(self, *words, **more):
        return self.run("start", NAME, "--state-dir", self.state, *words, **more)

    def finish(self, *words, **more):
        return self.run("finish", NAME, "--state-dir", self.state, *words, **more)

    def define(self):
        """As `domain convert` writes it, with the serial port in a file."""
        text = subprocess.run(
            [BRIDGECTL, "domain", "convert", self.guest.config, "--dir", self.disk.parent,
             "--type", "qemu", "--bridge", "br-sv"], check=True, capture_output=True, text=True).stdout
        text = text.replace('<serial type="pty">',
                            f'<serial type="pty"><log file="{self.log}" append="on"/>')
        assert str(self.log) in text, text
        self.libvirtd.define(text)

    def xml(self):
        return self.libvirtd.virsh("dumpxml", "--inactive", NAME).stdout

    def lines(self):
        """Of its definition. libvirt sorts controllers anew each time."""
        return sorted(self.xml().splitlines())

    def text(self):
        return self.log.read_bytes().decode(errors="replace")

    def expect(self, what, after=0):
        """Waits for it on the serial port; where it ends."""
        def found():
            at = self.text().find(what, after)
            return at + len(what) if at >= 0 else None

        return wait_for(found, machine.SLOW, lambda: f"no {what!r} in\n{self.text()[-3000:]}", 0.1)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def place(tmp_path):
    need_libvirtd()
    with Lab() as lab:
        made = Place(lab, tmp_path)
        made.define()
        yield made


def test_rescue_and_finish(place):
    """Before anything is written to its disk it comes up; in the end it boots from that."""
    before = place.lines()
    # Its fstab and inittab are still Xen's: a shell on the serial port, then all of it.
    place.start("--rescue", "--shell")
    at = place.expect("# ", place.expect("Run /init as init process"))
    assert "it runs; stop it first" in place.start("--rescue", code=1)
    place.run("stop", NAME, "--timeout", "1", "--force")

    told = guest_disk.fix(place.disk)
    assert told["applied"]
    assert place.guest.version in place.start("--rescue")
    at = place.expect("rc: web1 has booted", at)
    at = place.expect("web1 login:", at)
    xml = place.xml()
    assert f"<kernel>{place.state}/{NAME}/kernel</kernel>" in xml
    assert f"root=UUID={place.guest.root_uuid} ro" in xml and "init=/bin/sh" not in xml

    said = place.finish()
    assert "when it is started next" in said
    assert place.lines() == before
    assert not (place.state / NAME).exists()
    assert "nothing to do" in place.finish()

    place.run("stop", NAME)
    place.start()
    at = place.expect("Booting `Debian GNU/Linux", at)
    place.expect("web1 login:", place.expect("rc: web1 has booted 2 times", at))
    place.run("stop", NAME)


def test_refusals(place, tmp_path):
    # libvirt cannot start it: nothing of the kernel stays.
    now = place.lines()
    place.host.run("ip", "link", "del", "br-sv")
    said = place.start("--rescue", code=1).splitlines()
    assert "'br-sv'" in said[-2] and "that bridge is not on this host: create it" in said[-2], said
    assert "again as it was before this start" in said[-1], said
    assert place.lines() == now and not (place.state / NAME).exists()
    place.host.bridge("br-sv")
    assert "nobody" in place.run("finish", "nobody", code=1)
    # A disk without anything that boots: not while there is still a kernel.
    mask = os.umask(0o077)
    said = place.start("--rescue")
    os.umask(mask)
    assert f"{tmp_path} is closed to other users" in said
    assert [p.stat().st_mode & 0o777 for p in (place.state, place.state / NAME)] == [0o711, 0o711]
    place.run("stop", NAME, "--timeout", "1", "--force")
    # Once more, and that fails: what is there goes on being what the definition has.
    kernel = digest(place.state / NAME / "kernel")
    with open(place.disk, "r+b") as disk:
        table = disk.read(512)
        disk.seek(0)
        disk.write(bytes(512))
        disk.flush()
        place.start("--rescue", code=1)
        disk.seek(0)
        disk.write(table)
    assert digest(place.state / NAME / "kernel") == kernel
    assert {p.name for p in (place.state / NAME).iterdir()} == {"kernel", "initrd", "former.xml"}
    now = place.lines()
    place.host.run("ip", "link", "del", "br-sv")
    assert "again as it was before this start" in place.start("--rescue", "--shell", code=1)
    assert place.lines() == now and "<kernel>" in place.xml() and (place.state / NAME / "kernel").exists()
    former = pathlib.Path(place.state, NAME, "former.xml").read_text()
    assert "<kernel>" not in former
    assert "no boot record" in place.finish(code=1)
    assert "<kernel>" in place.xml()
    assert "boots from its disk" in place.finish("--anyway")
    assert "<kernel>" not in place.xml()
    # Somebody else's kernel.
    place.libvirtd.define(place.xml().replace("</os>", f"<kernel>{tmp_path}/own</kernel></os>"))
    assert "a kernel of its own" in place.start("--rescue", code=1)
    assert "none that domain start --rescue has put into" in place.finish(code=1)
    # Somebody else's files, in a folder that former.xml does not tell to be ours.
    other = place.state / NAME / "kernel"
    other.parent.mkdir(parents=True)
    other.write_text("of a TFTP server")
    place.libvirtd.define(place.xml().replace(f"<kernel>{tmp_path}/own</kernel>", ""))
    assert "give another --state-dir" in place.start("--rescue", code=1)
    assert "nothing to do" in place.finish()
    assert [p.name for p in other.parent.iterdir()] == ["kernel"]
    assert other.read_text() == "of a TFTP server" and "<kernel>" not in place.xml()
    other.unlink()
    # No kernel can be had: nothing is changed.
    now = place.xml()
    place.disk.write_bytes(bytes(1 << 20))
    place.start("--rescue", code=1)
    assert place.xml() == now and not (place.state / NAME).exists()
