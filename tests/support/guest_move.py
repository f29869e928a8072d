"""One guest's way from the old host to the new one, by bridgectl's disk and domain commands.

What an administrator does by hand, in that order: the end-to-end test, the demo and the guide's
transcript all take it. The old host has no Xen here: the guest is off there, which is what counts.
"""
import os
import pathlib
import threading

import guest_image
from lab import wait_for
from libvirtd import Libvirtd
from node import BRIDGECTL
from show import Failed, run

MIB = 1 << 20
BOOT_S = int(os.environ.get("GUEST_BOOT_S", "300"))  # emulated, on a machine that has other things to do


def quiet(netns, *argv, check=True, more=(), timeout=120):
    """As show.run(), for who only wants the result."""
    return netns.run(*argv, *more, check=check, timeout=timeout)


class Console(threading.Thread):
    """What a guest writes to its serial port, from when this is made."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self._seen = bytearray()
        self.start()

    def run(self):
        try:
            while data := os.read(self._fd, 4096):
                self._seen += data
        except OSError:
            pass  # the other end is gone: the guest is off

    def text(self):
        return bytes(self._seen).decode(errors="replace")

    def type(self, text):
        os.write(self._fd, text.encode())

    def expect(self, *words, timeout=BOOT_S):
        """Waits for all of them."""
        wait_for(lambda: all(word in self.text() for word in words), timeout,
                 lambda: f"no {words} on the serial port, but:\n{self.text()[-3000:]}", 0.1)


class Move:
    """From where `door`, an Sshd, leads to the node `new` of a laboratory."""

    accept = ()  # "--accept-loss", "tsc_mode": what its configuration has and KVM has not

    def __init__(self, lab, door, new, shape=None, name="web1", guest_address="10.9.0.11/24", show=run):
        self.new, self.show, self.name = new.host, show, name
        self.control = ["--socket", new.control]
        self.folder = pathlib.Path(lab.dir)
        self.disks, self.state = self.folder / "disks", self.folder / "state"
        for folder in (self.disks, self.state):
            folder.mkdir()
        self.guest = guest_image.build(self.folder / "xen", name=name, address=guest_address, shape=shape)
        self.libvirtd = Libvirtd(new.host)
        self.door = door
        self.far = ["--ssh", self.door.command, "--remote-bridgectl", BRIDGECTL]

    @property
    def config(self):
        return str(self.guest.config)

    @property
    def disk(self):
        """The new one."""
        [path] = self.disks.iterdir()
        return path

    def ctl(self, *words, more=(), **options):
        return self.show(self.new, BRIDGECTL, *map(str, words), more=list(map(str, more)), **options)

    def domain(self, *words, more=(), **options):
        return self.ctl("domain", *words, more=["--connect", self.libvirtd.uri, *self.control, *more], **options)

    # --- The way ---

    def make_disk(self):
        self.ctl("disk", "layout", self.config, "--from", self.door.name, *self.accept, more=self.far)
        self.ctl("disk", "create", self.config, "--dir", self.disks, "--from", self.door.name, *self.accept,
                 more=self.far)

    def copy(self):
        """Every partition but swap, which `disk create` has made."""
        swap = f"xvda{self.guest.shape.swap}"
        for vdev, path in sorted(self.guest.volumes.items()):
            if vdev != swap:
                self.ctl("disk", "copy", "--from", self.door.name, "--partition", vdev[len("xvda"):], path, self.disk,
                         more=[*self.far, "--state-dir", self.state / "maps", "--run-dir", self.state / "run"])

    def fixup(self, *options):
        return self.ctl("domain", "fixup", self.disk, "--config", self.config, *options,
                        more=["--state-dir", self.state / "fixup"])

    def define(self, *options):
        """`--type qemu`: no processor is asked to help."""
        xml = self.state / f"{self.name}.xml"
        self.ctl("domain", "convert", self.config, "--dir", self.disks, "--type", "qemu", "--output", xml, *self.accept,
                 *options)
        self.domain("define", xml)

    def start(self, *options, more=()):
        """Its serial port, from the first letter on that is to be had."""
        kernel = ["--state-dir", self.state / "boot"] if "--rescue" in options else []
        self.domain("start", self.name, *options, more=[*kernel, *more])
        return Console(self.libvirtd.virsh("ttyconsole", self.name).stdout.strip())

    def stop(self):
        self.domain("stop", self.name, "--timeout", BOOT_S, timeout=BOOT_S + 30)

    def answers(self, witness):
        """Whether the guest answers a guest of the other host, through the tunnel."""
        address = self.guest.address.partition("/")[0]
        wait_for(lambda: witness.run("ping", "-c", "1", "-W", "1", address, check=False).returncode == 0, BOOT_S,
                 f"{address} does not answer")
        result = self.show(witness, "ping", "-c", "5", "-i", "0.2", address)
        if " 0% packet loss" not in result.stdout:
            raise Failed("pings were lost")
