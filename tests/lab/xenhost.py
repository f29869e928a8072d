"""The Xen host: Xen and its dom0 in QEMU's software emulation, driven by ssh.

It has three network cards: `control` is the way in for the tests, and is never disturbed; `wan` is the wire
between the hosts; `lan` is a cable from its bridge of guests to a `neighbour`, a namespace. What it says on its serial port and its guests on their consoles is kept for the report
of a failed test. Its disks are overlays: every run begins with the image as it was built.
"""
import contextlib
import itertools
import os
import pathlib
import shlex
import shutil
import subprocess
import time

from lab import CommandFailed, wait_for
from node import BRIDGECTL, L2TUND

QEMU = "qemu-system-x86_64"
MEMORY_MIB, DOM0_MIB = 2048, 768
NICE = os.environ.get("LAB_NICE", "0")
BUILT_ON = ("debian", "12")
BOOT_S = 400  # 17 to 20 s on an idle machine
# SMAP crashes dom0. With XSAVE and AVX, QEMU 7.2 mixes up the vector registers of dom0 and a busy guest: nearly
# every digest of the same bytes came out differently, ssh and TLS failed now and then.
CPU = os.environ.get("LAB_CPU", "max,-smap,-xsave,-avx,-avx2,-f16c,-fma")
SPARE_DISKS, SPARE_GIB = 2, 8  # for volumes; sparse
VG = "vg0"
SSH_FAILED = 255
SSH_OPTIONS = ("-F", "none", "-oIdentitiesOnly=yes", "-oBatchMode=yes", "-oStrictHostKeyChecking=yes",
               "-oConnectTimeout=30", "-oServerAliveInterval=15", "-oServerAliveCountMax=20",
               "-oCiphers=aes128-gcm@openssh.com")


def _words_of(path, separator):
    """Lines NAME=VALUE of a file, as a dict."""
    text = pathlib.Path(path).read_text(encoding="utf-8") if os.path.exists(path) else ""
    return {name: value.strip().strip('"') for name, _, value in (line.partition(separator) for line in text.splitlines())}


def missing():
    """Why there can be no Xen host here, or None."""
    for name in (QEMU, "ssh", "strip"):
        if not shutil.which(name):
            return f"{name} is missing; packages/install lab brings it"
    if os.geteuid() != 0:
        return "needs root (network namespaces, TAP devices)"
    system = _words_of("/etc/os-release", "=")
    if (system.get("ID"), system.get("VERSION_ID")) != BUILT_ON:
        return "the Xen host is Debian 12, where programs built on another system have not their libraries"
    free_mib = int(_words_of("/proc/meminfo", ":").get("MemAvailable", "0").split()[0]) >> 10
    if free_mib < MEMORY_MIB:
        return f"the Xen host needs {MEMORY_MIB} MiB of memory, {free_mib} are free"
    return None


class XenHost:
    """Runs until the laboratory ends. `driver` is the namespace from which the tests reach it."""

    def __init__(self, lab, image, wan, name="xen1"):
        self.lab = lab
        self.name = name
        self.image = image
        self.wan = wan
        self.dir = pathlib.Path(lab.dir) / f"{name}-host"
        self.dir.mkdir()
        self.control = lab.underlay(f"{name}-control")
        self.driver = lab.host(f"{name}-driver")
        self.control.attach(self.driver)
        # A machine with a cable to the host's guest bridge: eth0 of a namespace, for the flood oracle.
        self.lan = lab.underlay("eth0")
        self.neighbour = lab.host(f"{name}-lan")
        self.lan.attach(self.neighbour)
        self._known_hosts()
        self.process = None
        self.goods = self.dir / "goods"
        self.goods.mkdir()
        self.numbers = itertools.count()
        lab.on_close(self.stop)
        lab.logs.append(lambda: (f"serial port of {name}", self.console()))
        lab.logs.append(lambda: (f"ssh to {name}", (self.dir / "ssh.log").read_text(errors="replace")))
        self._start()

    def _known_hosts(self):
        public = (self.image / "host_key.pub").read_text(encoding="ascii")
        (self.dir / "known_hosts").write_text(f"{self.name} {public}", encoding="ascii")

    def _start(self):
        taps = [net.plug(self) for net in (self.control, self.wan, self.lan)]
        drives = []
        for number in range(SPARE_DISKS):
            spare = self.dir / f"spare{number}.img"
            with open(spare, "wb") as disk:
                disk.truncate(SPARE_GIB << 30)
            drives += ["-drive", f"file={spare},format=raw,if=virtio,cache=unsafe"]
        nets = []
        for number, fd in enumerate(taps):
            nets += ["-netdev", f"tap,id=n{number},fd={fd}",
                     "-device", f"virtio-net-pci,netdev=n{number},mac=52:54:00:00:01:{number:02x}"]
        addresses = (f"lab.eth0={self.control.address(self)}/24 lab.eth1={self.wan.address(self)}/24")
        # Multiboot modules stand between commas.
        modules = (f"{self.image}/vmlinuz root=/dev/vda rw console=hvc0 net.ifnames=0 init=/sbin/lab-init"
                   f" {addresses},{self.image}/initrd.img")
        argv = [
            "nice", "-n", NICE, QEMU, "-accel", "tcg", "-cpu", CPU, "-m", str(MEMORY_MIB), "-display", "none",
            "-nodefaults", "-no-user-config", "-no-reboot", "-monitor", "none",
            "-serial", f"file:{self.dir}/console",
            "-kernel", f"{self.image}/xen", "-append",
            f"console=com1 com1=115200,8n1 dom0_mem={DOM0_MIB}M,max:{DOM0_MIB}M dom0_max_vcpus=1",
            "-initrd", modules,
            "-drive", f"file={self.image}/disk.img,format=raw,if=virtio,snapshot=on,cache=unsafe",
            *drives, *nets, "-virtfs",
            f"local,path={self.goods},mount_tag=goods,security_model=none,readonly=on"]
        with open(self.dir / "qemu.log", "wb") as log:
            self.process = self.driver.popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             pass_fds=taps, env={**os.environ, "TMPDIR": str(self.dir)})
        for fd in taps:
            os.close(fd)
        # sched(7): between sessions it is the group's niceness that counts, and each child is one of its own.
        with contextlib.suppress(OSError):
            pathlib.Path(f"/proc/{self.process.pid}/autogroup").write_text(NICE, encoding="ascii")
        self.started = time.monotonic()

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def console(self):
        path = self.dir / "console"
        text = path.read_text(errors="replace") if path.exists() else ""
        return text + (self.dir / "qemu.log").read_text(errors="replace")

    def wait_up(self):
        """Until ssh answers and Xen's tools are ready; gives the seconds since power on."""
        def up():
            assert self.process.poll() is None, f"QEMU ended\n{self.console()[-3000:]}"
            try:
                return self.run("test", "-e", "/run/lab-ready", check=False, timeout=30).returncode == 0
            except (subprocess.TimeoutExpired, CommandFailed):
                return False
        wait_for(up, BOOT_S, lambda: f"{self.name} does not come up\n{self.console()[-3000:]}", 0.5)
        return time.monotonic() - self.started

    # --- Ways in ---

    def _ssh(self, address, *options):
        return ["ssh", *SSH_OPTIONS, "-i", str(self.image / "user_key"), f"-oHostName={address}",
                f"-oHostKeyAlias={self.name}", f"-oUserKnownHostsFile={self.dir}/known_hosts", *options]

    @property
    def ssh_words(self):
        """ssh over the wire between the hosts; the host's name is root@xen1."""
        return self._ssh(self.wan.address(self))

    @property
    def door(self):
        return f"root@{self.name}"

    def _control_argv(self, argv):
        # One login serves all: each costs half a second of emulated arithmetic.
        ssh = self._ssh(self.control.address(self), "-oControlMaster=auto",
                        f"-oControlPath={self.dir}/s", "-oControlPersist=600", "-oLogLevel=VERBOSE", "-E", f"{self.dir}/ssh.log")
        # With the exit in the end it is the shell's 128 + N that tells of a signal, and 255 is ssh's own.
        return [*ssh, self.door, shlex.join(map(str, argv)) + "; exit $?"]

    def run(self, *argv, check=True, timeout=120, stdin=""):
        """A command on the host, to its end; as Netns.run()."""
        result = self.driver.run(*self._control_argv(argv), check=False, timeout=timeout, stdin=stdin)
        if result.returncode == SSH_FAILED or check and result.returncode != 0:
            raise CommandFailed(self.name, list(map(str, argv)), result)
        return result

    def sh(self, script, **options):
        return self.run("sh", "-ec", script, **options).stdout

    def popen(self, *argv, **options):
        return self.driver.popen(self._control_argv(argv), **options)

    def write(self, path, text, mode="644"):
        self.run("sh", "-ec", 'mkdir -p "${1%/*}"; cat >"$1"; chmod "$2" "$1"', "sh", path, mode, stdin=text)

    def put(self, source, target, mode="755", timeout=120):
        """Copies a file there, over a folder that both see (ssh would take ten times as long); a target
        that is a device is written to."""
        script = ('dd if="/mnt/$1" of="$2" bs=4M status=none conv=fsync; '
                  'case $2 in /dev/*) ;; *) chmod "$3" "$2";; esac')
        name = f"{next(self.numbers)}"
        shared = self.goods / name
        try:
            os.link(source, shared)
        except OSError:
            shutil.copy(source, shared)
        self.run("sh", "-ec", script, "sh", name, target, mode, timeout=timeout)
        shared.unlink()

    # --- Making it a host as administrators have it ---

    def set_up(self):
        """A volume group, a bridge for guests, our programs."""
        disks = " ".join(f"/dev/vd{chr(ord('b') + n)}" for n in range(SPARE_DISKS))
        self.sh("modprobe 9pnet_virtio\n"
                "mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,ro goods /mnt\n"
                f"pvcreate -q {disks} >/dev/null; vgcreate -q {VG} {disks} >/dev/null\n"
                "ip link add name br-sv type bridge stp_state 0 forward_delay 0; ip link set br-sv up\n"
                "ip link set eth2 master br-sv; ip link set eth2 up\n"
                "mkdir -p /etc/xen/auto /var/lib/bridgectl")
        self.bring_programs()

    def bring_programs(self):
        for path, target in ((L2TUND, "/usr/sbin/l2tund"), (BRIDGECTL, "/usr/bin/bridgectl")):
            stripped = self.dir / os.path.basename(target)
            subprocess.run(["strip", "-o", stripped, path], check=True)
            self.put(stripped, target)
        self.run("bridgectl", "--version")

    def volume(self, name, mib, source=None, options=()):
        """A new logical volume, with the bytes of a local file in it."""
        self.run("lvcreate", "-q", "-y", "-L", f"{mib}M", "-n", name, *options, VG)
        path = f"/dev/{VG}/{name}"
        if source:
            self.put(source, path)
        return path

    def remove_volume(self, name):
        self.run("lvremove", "-q", "-f", f"{VG}/{name}", check=False)

    def sha256(self, path, timeout=120):
        return self.run("sha256sum", path, timeout=timeout).stdout.split()[0]
