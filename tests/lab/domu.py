"""A guest of the Xen host: its volumes, its configuration, its console, its life by xl."""
import re
import subprocess
import time

from lab import wait_for

CREATE_S, START_S, STOP_S = 200, 300, 200  # 15, 8 and 3 s on an idle machine
TRIES = 2  # one early start in many hangs, or Xen's scripts time out, when the machine is busy; that is told
BOOTED = re.compile(r"rc: (\S+) has booted (\d+) times, root is (\S+)")
KERNELS = "/boot/guests"


class DomU:
    """Made from tests/support/guest_image.py. `how`: "pygrub"; "kernel": the host's files kernel= and
    ramdisk=; "pvh": the same, as a PVH guest."""

    def __init__(self, xen, image, how="pygrub", more=""):
        self.xen, self.image, self.how, self.name = xen, image, how, image.name
        self.ip = image.address.partition("/")[0]
        self.mac = image.mac
        self.config = f"/etc/xen/{self.name}.cfg"
        self.log_path = f"/var/log/xen/console/guest-{self.name}.log"
        self.boots = 0  # how often it has booted here
        self.retries = 0
        self.volumes = {}
        for vdev, path in image.volumes.items():
            mib = -(-path.stat().st_size >> 20)
            self.volumes[vdev] = xen.volume(f"{self.name}-{vdev}", mib, path)
        xen.write(self.config, self._config_text() + more)
        xen.lab.logs.append(self.log)
        # Its console and xl's log as they grow: asking again and again would be most of the host's work.
        self.copy_path = xen.dir / f"console-{self.name}-{next(xen.numbers)}"
        with open(self.copy_path, "wb") as copy:
            self._tail = xen.popen("tail", "-q", "-n", "0", "-F", "-s", "0.5", self.log_path,
                                   f"/var/log/xen/xl-{self.name}.log", stdin=subprocess.DEVNULL,
                                   stdout=copy, stderr=subprocess.DEVNULL)

    def _config_text(self):
        text = self.image.config.read_text(encoding="utf-8")
        for vdev, path in self.image.volumes.items():
            text = text.replace(f"file:{path},", f"phy:{self.volumes[vdev]},")
        if self.how == "pygrub":
            return text
        kernel, ramdisk = self._bring_kernel()
        text = text.replace('bootloader = "pygrub"',
                            f'kernel = "{kernel}"\nramdisk = "{ramdisk}"\nextra = "console=hvc0"')
        # Without it a PVH guest's clock stands still under emulation.
        return text + ('type = "pvh"\ntsc_mode = "native"\n' if self.how == "pvh" else "")

    def _bring_kernel(self):
        import guest_image
        folder, version = guest_image.kernel()
        found = f"{KERNELS}/vmlinuz-{version}", f"{KERNELS}/initrd.img-{version}"
        if self.xen.run("test", "-e", found[1], check=False).returncode:
            self.xen.run("mkdir", "-p", KERNELS)
            self.xen.put(folder / f"boot/vmlinuz-{version}", found[0], "644")
            self.xen.put(guest_image._cached_initramfs(version), found[1], "644")
        return found

    # --- What it says ---

    def console(self):
        return self.copy_path.read_text(errors="replace")

    def log(self):
        return f"console of {self.name}", "\n".join(
            line for line in self.console().splitlines() if not line.startswith("acpid:"))

    def type(self, text):
        """Keys on its console."""
        script = 'id=$(xl domid "$1"); exec cat >"$(xenstore-read /local/domain/$id/console/tty)"'
        self.xen.run("sh", "-ec", script, "sh", self.name, stdin=text)

    def expect(self, pattern, timeout, after=0):
        def found():
            return re.compile(pattern).search(self.console(), after)
        return wait_for(found, timeout, lambda: f"no {pattern!r} on the console of {self.name}:\n"
                        + self.log()[1][-3000:], 0.5)

    def log_in(self):
        at = len(self.console())
        self.type("root\n")
        self.expect(r"root@|# ", 90, at)

    # --- Life ---

    @property
    def on(self):
        return self.xen.run("xl", "domid", self.name, check=False).returncode == 0

    def start(self):
        """Gives the seconds until it has booted. What had to be tried again is told."""
        began = time.monotonic()
        for attempt in range(TRIES):
            at = len(self.console())
            try:
                self.xen.run("xl", "create", self.config, timeout=CREATE_S)
                self.boots = int(self.expect(BOOTED.pattern, START_S, at)[2])
                return time.monotonic() - began
            except AssertionError as error:  # CommandFailed is one
                self.retries += 1
                print(f"{self.name} did not boot (try {attempt + 1}): {error}")
                self.destroy()
        raise AssertionError(f"{self.name} does not boot\n{self.log()[1][-2000:]}")

    def shutdown(self):
        self.xen.run("xl", "shutdown", self.name)
        self.wait_off()

    def wait_off(self):
        wait_for(lambda: not self.on, STOP_S, lambda: f"{self.name} is still on\n{self.log()[1][-2000:]}", 1)

    def destroy(self):
        self.xen.run("xl", "destroy", self.name, check=False)
        wait_for(lambda: not self.on, 30, f"{self.name} survives xl destroy", 0.2)

    def remove(self):
        """Everything of it on the host, except its console's log."""
        if self.xen.process.poll() is None:
            self.destroy()
            for vdev in self.volumes:
                self.xen.remove_volume(f"{self.name}-{vdev}")
            self.xen.run("rm", "-f", self.config, *(f"/etc/xen/{auto}/{self.name}.cfg" for auto in ("auto", "auto.off")))
        self._tail.kill()
        self._tail.wait()
        self.xen.lab.logs.remove(self.log)
