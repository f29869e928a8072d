"""A guest's way from the Xen host to the KVM host, by bridgectl's commands and nothing else.

It is guest_move.Move (tests/support) with a real Xen at the beginning: volumes are copied while the guest
runs, and the guest is shut down there. All commands run on the KVM host and reach the other one by ssh.
"""
import contextlib
import dataclasses
import json
import subprocess
import time

import guest_move
from lab import wait_for
from node import BRIDGECTL

WARM_S, LAST_PASS_S, STOP_S = 600, 300, 240


class Steps:
    """When each step began and ended (time.time()), and what happened in between."""

    def __init__(self):
        self.rows = []

    @contextlib.contextmanager
    def of(self, what):
        begin = time.time()
        yield
        self.rows.append((begin, time.time(), what))

    def happened(self, what):
        self.rows.append((time.time(), time.time(), what))

    def table(self, zero, until=None):
        """Lines: seconds since `zero`, how long, what; what ended before it or began after `until` is left out."""
        lines = ["   at s   takes  what"]
        for begin, end, what in sorted(self.rows):
            if end >= zero - 0.05 and (until is None or begin <= until):
                took = f"{end - begin:6.1f}" if end - begin > 0.05 else "      "
                lines.append(f"{begin - zero:7.1f}  {took}  {what}")
        return "\n".join(lines)


@dataclasses.dataclass
class Door:
    """The way to the Xen host, as an Sshd (tests/support/sshd.py)."""
    name: str
    command: str


class XenMove(guest_move.Move):
    """Of `domu`, a DomU that runs, to `libvirtd` on the KVM host of `site`. `folder` gets its disks."""

    def __init__(self, site, domu, libvirtd, folder, show=guest_move.quiet):  # pylint: disable=super-init-not-called
        self.site, self.domu, self.libvirtd, self.show = site, domu, libvirtd, show
        self.new, self.name = site.kvm, domu.name
        self.control = ["--socket", site.near.control]
        self.folder = folder
        self.disks, self.state = folder / "disks", folder / "state"
        for made in (self.disks, self.state):
            made.mkdir(parents=True)
        self.door = Door(site.xen.door, site.far_options[1])
        self.far = site.far_options
        config = folder / f"{self.name}.cfg"
        config.write_text(site.xen.run("cat", domu.config).stdout)
        self.guest = dataclasses.replace(domu.image, volumes=domu.volumes, config=config)
        self.steps = Steps()
        self.run_dir = f"{site.lab.dir}/run"  # of sockets: a short name
        self.copies = {}  # partition: its process
        self.console = None

    # --- While it runs there ---

    def make_disk(self):
        with self.steps.of("disk layout, disk create"):
            super().make_disk()

    def begin_copies(self):
        """One for each partition but swap, at once, each in a window of its own."""
        swap = f"xvda{self.guest.shape.swap}"
        for vdev, path in sorted(self.guest.volumes.items()):
            if vdev != swap:
                number = vdev[len("xvda"):]
                out = open(self.folder / f"copy-{number}", "w+", encoding="utf-8")
                argv = [BRIDGECTL, "disk", "copy", "--warm", "--from", self.door.name, path, str(self.disk),
                        "--partition", number]
                self.copies[number] = self.new.popen(
                    [*argv, *self.far, "--state-dir", str(self.state / "maps"), "--run-dir", self.run_dir],
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out)
                out.close()

    def said(self):
        return "\n".join((self.folder / f"copy-{number}").read_text(encoding="utf-8", errors="replace")[-2000:]
                         for number in self.copies)

    def status(self):
        told = self.new.run(BRIDGECTL, "--json", "disk", "status", "--run-dir", self.run_dir).stdout
        return [copy for copy in json.loads(told)["copies"] if str(self.disk) in json.dumps(copy)]

    def wait_warm(self):
        """Until all wait for the guest's end."""
        def ready():
            assert all(p.poll() is None for p in self.copies.values()), self.said()
            found = self.status()
            return len(found) == len(self.copies) and all(copy["phase"] == "wait" for copy in found)
        wait_for(ready, WARM_S, lambda: f"{self.status()}\n{self.said()}", 0.5)

    def copy_warm(self):
        with self.steps.of("warm copies of its volumes, at once"):
            self.begin_copies()
            self.wait_warm()

    def autostart_off(self):
        with self.steps.of("domain autostart off --host"):
            self.domain_there("autostart", self.name, "off")

    def domain_there(self, *words, **options):
        return self.ctl("domain", *words, "--host", self.door.name, more=self.far, timeout=STOP_S + 60, **options)

    # --- The guest is off ---

    def stop_there(self, *options):
        with self.steps.of("domain stop --host"):
            self.domain_there("stop", self.name, *options)

    def finish_copies(self):
        with self.steps.of("disk finish, all at once"):
            ids = [copy["id"] for copy in self.status()]
            for name in ids:
                self.ctl("disk", "finish", name, more=["--run-dir", self.run_dir], timeout=LAST_PASS_S)
            for number, process in self.copies.items():
                assert process.wait(LAST_PASS_S) == 0, f"partition {number}: {self.said()}"

    def fixup(self, *options):
        with self.steps.of(f"domain fixup {' '.join(options)}"):
            return super().fixup(*options)

    def define(self, *options):
        with self.steps.of("domain convert, domain define"):
            super().define(*options)

    def start(self, *options):
        """Not before the Xen host has said that the guest is off there."""
        with self.steps.of("domain start --from"):
            self.console = super().start("--from", self.door.name, *options, more=self.far)
        return self.console

    def booted(self):
        """Its own count of its boots, when it has booted; the times of what it goes through."""
        from domu import BOOTED
        for word, what in (("GRUB", "boot record"), ("Linux version", "its kernel"), ("has booted", "its init")):
            self.console.expect(word)
            self.steps.happened(f"the guest is at: {what}")
        return int(BOOTED.search(self.console.text())[2])

    def all_of_it(self):
        """The way of doc/guide.md. Gives the guest's count of its boots."""
        self.make_disk()
        self.copy_warm()
        self.autostart_off()
        self.stop_there()
        self.finish_copies()
        self.fixup("--apply")
        self.define("--bridge", "br-sv")
        self.start()
        return self.booted()

    def remove(self):
        """Its definition, processes and folder's disks; the guest is destroyed."""
        for process in self.copies.values():
            if process.poll() is None:
                process.kill()
            process.wait()
        self.libvirtd.virsh("destroy", self.name, check=False)
        self.libvirtd.virsh("undefine", self.name, check=False)
        for path in self.disks.iterdir():
            path.unlink()
