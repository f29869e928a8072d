"""A machine under QEMU's software emulation, its serial port in a file and on a socket."""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading

import lab

QEMU = "qemu-system-x86_64"
POLITELY = ["nice", "-n", "5"]  # tests that look at the clock run beside it
SLOW = int(os.environ.get("GUEST_BOOT_S", "300"))  # emulated, on a machine that has other things to do


def need():
    """Skips where there is no emulator."""
    import pytest
    if not shutil.which(QEMU):
        pytest.skip(f"needs {QEMU}")


class Starved(AssertionError):
    """The kernel gave up, since its emulator got too little of a processor: to be tried again."""


class Machine:
    """Runs from the beginning of the `with` to its end; what it writes to its disks is kept."""

    def __init__(self, *disks, kernel=None, initrd=None, append="", memory=256, bus="virtio", more=()):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="machine-"))
        self.log = self.folder / "serial"
        self.argv = [*POLITELY, QEMU, "-accel", "tcg", "-cpu", "max", "-m", str(memory), "-display", "none", "-nodefaults",
                     "-no-user-config", "-vga", "std", "-no-reboot", "-monitor", "none", "-qmp",
                     f"unix:{self.folder}/qmp,server=on,wait=off", "-chardev",
                     f"socket,id=s0,path={self.folder}/tty,server=on,wait=off,logfile={self.log}",
                     "-serial", "chardev:s0"]
        for disk in disks:
            self.argv += ["-drive", f"file={disk},format=raw,if={bus},cache=unsafe"]
        if kernel:
            self.argv += ["-kernel", str(kernel), "-initrd", str(initrd), "-append", append]
        self.argv += more
        self.process = self.socket = self.reader = None

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, preexec_fn=lab._die_with_parent)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        if self.reader:
            self.reader.join()
            self.socket.close()
        shutil.rmtree(self.folder)

    def text(self):
        try:
            return self.log.read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def expect(self, what, timeout=SLOW, after=0):
        """Waits for it on the serial port, and returns where it ends."""
        def found():
            text = self.text()
            if "IO-APIC + timer doesn't work" in text:
                raise Starved(text[-3000:])
            at = text.find(what, after)
            return at + len(what) if at >= 0 else self.process.poll() is not None and -1

        end = lab.wait_for(found, timeout, lambda: f"no {what!r} on the serial port, but:\n{self.text()[-3000:]}", 0.1)
        assert end > 0, f"the machine has ended before {what!r}:\n{self.text()[-3000:]}"
        return end

    def _drain(self):
        with contextlib.suppress(OSError):
            while self.socket.recv(4096):
                pass

    def type(self, text):
        if not self.socket:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(str(self.folder / "tty"))
            self.reader = threading.Thread(target=self._drain)  # else the port would stand still
            self.reader.start()
        self.socket.sendall(text.encode())

    def button(self):
        """The power button."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.folder / "qmp"))
            f = s.makefile("rw")
            f.readline()
            for command in ("qmp_capabilities", "system_powerdown"):
                f.write('{"execute": "%s"}\n' % command)
                f.flush()
                f.readline()

    def wait_off(self, timeout=SLOW):
        lab.wait_for(lambda: self.process.poll() is not None, timeout,
                     lambda: f"still on, and says:\n{self.text()[-3000:]}", 0.1)
