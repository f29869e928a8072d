"""`bridgectl domain prepare`: its script in made-up guests of several distributions, by a fake ssh that runs it in a chroot.

A guest is a folder with the real formats of its files, the shell of its time, busybox for the rest, and programs that
write down how they were called.
"""

import hashlib
import json
import os
import pathlib
import re
import shutil
import stat
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BRIDGECTL = os.environ.get("BRIDGECTL", str(ROOT / "bridgectl" / "bridgectl"))
BUSYBOX = shutil.which("busybox") or "busybox"
MAC = "00:16:3e:0a:0b:0c"
UUIDS = {"/dev/xvda1": "7c1d0f6e-0000-4000-8000-00000000000a", "/dev/xvda2": "7c1d0f6e-0000-4000-8000-00000000000b"}
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_scsi", "ahci")
# Not of the guest's state: what the fakes write down, and what is not on a disk.
OUTSIDE = ("calls", "dev", "proc", "tmp", "fake")

FAKES = {
    "blkid": """
case "$*" in
"") cat /fake/blkid; exit 0 ;;
*-o\\ value*) for d in "$@"; do :; done; sed -n "s|^$d: .*UUID=\\"\\([^\\"]*\\)\\".*|\\1|p" /fake/blkid ;;
esac""",
    "update-initramfs": """
[ ! -e /fake/broken ] || { echo "cannot write the initramfs"; exit 1; }
for k in /boot/vmlinuz-*; do cat /etc/initramfs-tools/modules /etc/initramfs-tools/conf.d/* >/boot/initrd.img-${k#*-} 2>/dev/null || :; done""",
    "dracut": """
[ "$1" != --help ] || { [ ! -e /fake/old ] && echo "  --regenerate-all"; exit 0; }
[ ! -e /fake/broken ] || { echo "dracut: no room"; exit 1; }
for k in /boot/vmlinuz-*; do cat /etc/dracut.conf.d/* >/boot/initramfs-${k#*-}.img 2>/dev/null || :; done""",
    "mkinitrd": "grep INITRD_MODULES /etc/sysconfig/kernel >/boot/initrd-fake",
    "update-grub": "echo made of >/boot/grub/grub.cfg; cat /etc/default/grub >>/boot/grub/grub.cfg",
    "grub2-mkconfig": "echo made of >/boot/grub2/grub.cfg; cat /etc/default/grub >>/boot/grub2/grub.cfg",
    "debconf-set-selections": "cat >/dev/null",
    "dpkg": """
[ "$1" = --purge ] || { echo amd64; exit 0; }
shift
for w in "$@"; do grep -vx "$w" /fake/packages >/fake/p; mv /fake/p /fake/packages
[ "$w" != grub-pc ] || { rm -r /etc/default/grub; mv /boot/grub/menu.lst /boot/grub/menu.lst_backup; }; done""",
    "dpkg-query": """
for last in "$@"; do :; done
case $* in
*Package*) sed 's/^/install ok installed /' /fake/packages ;;
*) grep -qx "$last" /fake/packages || exit 1; echo "install ok installed" ;;
esac""",
    "rpm": """
case $1 in
-qa) sed 's/$/-1-1/' /fake/packages ;;
*) grep -qx "$2" /fake/packages ;;
esac""",
    "apt-get": """
for w in "$@"; do case $w in update) exit 0 ;; -*|install) ;; *)
[ ! -e /usr/sbin/policy-rc.d ] || echo held >>/calls
echo "$w" >>/fake/packages; [ "$w" != grub-pc ] || { mkdir -p /boot/grub /etc/default; echo GRUB_TIMEOUT=5 >/etc/default/grub; echo chainload >>/boot/grub/menu.lst; } ;;
esac; done""",
    "yum": 'for w in "$@"; do case $w in -*|install) ;; *) echo "$w" >>/fake/packages ;; esac; done',
    "zypper": 'for w in "$@"; do case $w in -*|install) ;; *) echo "$w" >>/fake/packages ;; esac; done',
    "grubby": """
case $1 in
--info=ALL) sed -n 's/^options \\(.*\\)/args="\\1"/p; s/^[[:space:]]*kernel [^ ]* \\(.*\\)/args="\\1"/p' /boot/loader/entries/*.conf /boot/grub/grub.conf 2>/dev/null || : ;;
*) for f in /boot/loader/entries/*.conf /boot/grub/grub.conf; do [ ! -f $f ] || sed -i "s/^\\(options .*\\)/\\1 ${2#--args=}/; s/^\\([[:space:]]*kernel .*\\)/\\1 ${2#--args=}/" $f; done ;;
esac""",
}

FSTAB = "# /dev/xvda2 is the root\n/dev/xvda2\t/\text3 errors=remount-ro 0 1\n/dev/xvda1 none swap sw 0 0\nproc /proc proc defaults 0 0\n/dev/hdc /media/cdrom0 udf,iso9660 user,noauto 0 0\n"
INITTAB = "id:2:initdefault:\n1:2345:respawn:/sbin/getty 38400 hvc0\n#T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100\n"

# What each guest has: shell, packages, kernels (with modules or not), files, fakes besides blkid.
GUESTS = {
    "debian6": {
        "shell": "dash",
        "packages": "udev initramfs-tools acpid acpi-support-base grub-pc",
        "kernels": {"2.6.32-5-amd64": "", "2.6.26-2-xen-amd64": "CONFIG_X86_64_XEN=y\n"},
        "files": {
            "/etc/debian_version": "6.0.10\n",
            "/etc/fstab": FSTAB,
            "/etc/inittab": INITTAB,
            "/etc/securetty": "tty1\nhvc0",
            "/etc/kernel-img.conf": "do_symlinks = yes\ndo_initrd = no\n",
            "/etc/default/grub": 'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX="a=\\"b c\\" quiet"\n# GRUB_TERMINAL=console\n',
            "/boot/grub/grub.cfg": "old\n",
            "/etc/initramfs-tools/modules": "# none\nahci\n",
            "/etc/initramfs-tools/conf.d/resume": "RESUME=/dev/xvda1\n",
            "/etc/udev/rules.d/70-persistent-net.rules": f'SUBSYSTEM=="net", DRIVERS=="vif", ATTR{{address}}=="{MAC}", NAME="eth0"\n',
        },
        "fakes": ["dpkg", "dpkg-query", "apt-get", "update-initramfs", "update-grub", "debconf-set-selections"],
    },
    "debian12": {
        "shell": "dash",
        "packages": "udev initramfs-tools grub-pc dbus",
        "kernels": {"6.1.0-18-amd64": ""},
        "files": {
            "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n',
            "/etc/fstab": FSTAB,
            "/etc/default/grub": 'GRUB_CMDLINE_LINUX="console=hvc0"\n',
            "/etc/initramfs-tools/modules": "",
            "/lib/systemd/system/serial-getty@.service": "",
            "/etc/systemd/system/x": "",
            "/boot/grub/grub.cfg": "old\n",
        },
        "init": "/lib/systemd/systemd",
        "fakes": ["dpkg", "dpkg-query", "apt-get", "update-initramfs", "update-grub", "debconf-set-selections"],
    },
    "centos6": {
        "shell": "bash",
        "packages": "acpid grub kernel",
        "kernels": {"2.6.32-754.el6.x86_64": ""},
        "files": {
            "/etc/redhat-release": "CentOS release 6.10 (Final)\n",
            "/etc/fstab": FSTAB,
            "/etc/init/rcS.conf": "",
            "/etc/inittab": "id:3:initdefault:\n",
            "/etc/securetty": "console\n",
            "/etc/dracut.conf.d/.x": "",
            "/boot/grub/grub.conf": "title CentOS\n\tkernel /vmlinuz ro root=/dev/xvda2\n",
        },
        "fakes": ["rpm", "yum", "dracut", "grubby"],
        "old": True,
    },
    "rocky9": {
        "shell": "bash",
        "packages": "kernel grub2-pc grub2-tools",
        "kernels": {"5.14.0-362.el9.x86_64": ""},
        "files": {
            "/etc/os-release": 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.3"\n',
            "/etc/fstab": FSTAB,
            "/etc/default/grub": "GRUB_CMDLINE_LINUX='quiet'\n",
            "/etc/dracut.conf.d/.x": "",
            "/usr/lib/systemd/system/serial-getty@.service": "",
            "/boot/grub2/grub.cfg": "old\n",
            "/boot/loader/entries/a.conf": "title Rocky\noptions root=UUID=x ro\n",
        },
        "init": "/usr/lib/systemd/systemd",
        "fakes": ["rpm", "yum", "dracut", "grubby", "grub2-mkconfig"],
    },
    "sles11": {
        "shell": "busybox",
        "packages": "acpid grub kernel-default",
        "kernels": {"3.0.101-63-default": "", "3.0.101-63-xen": "CONFIG_X86_64_XEN=y\n"},
        "files": {
            "/etc/SuSE-release": "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n",
            "/etc/fstab": FSTAB,
            "/etc/inittab": "id:3:initdefault:\nS0:12345:respawn:/sbin/agetty -L 9600 ttyS0 vt102\n",
            "/etc/sysconfig/kernel": 'INITRD_MODULES="xennet xenblk"\nMORE=1\n',
            "/etc/securetty": "tty1\n",
            "/boot/grub/menu.lst": "default 0\n",
            "/sbin/agetty": "",
        },
        "fakes": ["rpm", "zypper", "mkinitrd"],
    },
}


def put(root, path, text, mode=0o644):
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def put_program(root, name, as_name):
    """A program of this host with its libraries."""
    program = shutil.which(name) or pytest.skip(f"no {name}")
    shutil.copy(program, root / "bin" / as_name)
    listed = subprocess.run(["ldd", program], capture_output=True, check=True).stdout.decode()
    for library in re.findall(r"(/\S+)", listed):
        file = root / library.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, file)


class Guest:
    def __init__(self, folder, name):
        self.root, self.what = folder / name, GUESTS[name]
        (self.root / "bin").mkdir(parents=True)
        shutil.copy(BUSYBOX, self.root / "bin/busybox")
        for applet in subprocess.run([BUSYBOX, "--list"], capture_output=True, check=True).stdout.decode().split():
            if applet not in ("busybox", "sh", "ash", "rpm", "dpkg", "blkid", "fsck", *FAKES):
                (self.root / "bin" / applet).symlink_to("busybox")
        if self.what["shell"] == "busybox":
            (self.root / "bin/sh").symlink_to("busybox")
        else:
            put_program(self.root, self.what["shell"], "sh")
        if not (self.root / "bin/cksum").exists():
            put_program(self.root, "cksum", "cksum")
        for place in ("dev", "proc", "tmp", "sys/class/net/eth0/device", "usr/sbin", "sbin", "fake", "var/lib"):
            (self.root / place).mkdir(parents=True, exist_ok=True)
        try:
            os.mknod(self.root / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("no device can be made here")
        put(self.root, "/sys/class/net/eth0/address", MAC.upper() + "\n")
        for path, text in self.what["files"].items():
            put(self.root, path, text, 0o640 if path == "/etc/securetty" else 0o755 if "bin/" in path else 0o644)
        if "init" in self.what:
            put(self.root, self.what["init"], "")
            (self.root / "sbin/init").symlink_to(self.what["init"])
        for kernel, config in self.what["kernels"].items():
            self.add_kernel(kernel, config)
        self.put_fakes()

    def add_kernel(self, kernel, config):
        put(self.root, f"/boot/vmlinuz-{kernel}", "")
        put(self.root, f"/boot/config-{kernel}", config)
        for module in () if config else MODULES:
            put(self.root, f"/lib/modules/{kernel}/kernel/{module}.ko", "")

    def put_fakes(self):
        for name in ("blkid", *self.what["fakes"]):
            put(self.root, f"/usr/sbin/{name}", f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >>/calls\n{FAKES[name]}\n', 0o755)
        for device in UUIDS:
            put(self.root, device, "")
        put(self.root, "/fake/blkid", "".join(f'{d}: LABEL="x" UUID="{u}" TYPE="ext3"\n' for d, u in UUIDS.items()))
        put(self.root, "/fake/packages", "".join(f"{p}\n" for p in self.what["packages"].split()))
        if self.what.get("old"):
            put(self.root, "/fake/old", "")

    def run(self, *words):
        """The command against this guest: ssh's last argument is what a shell there gets."""
        ssh = self.root.parent / "fake-ssh"
        ssh.write_text(f'#!/bin/sh\nfor last in "$@"; do :; done\nunset TMPDIR\nexec chroot {self.root} /bin/sh -c "$last"\n')
        ssh.chmod(0o755)
        return subprocess.run(
            [BRIDGECTL, "domain", "prepare", *words, "--ssh", str(ssh), "root@guest"], capture_output=True, timeout=120, check=False
        )

    def steps(self, *words, code=0):
        done = self.run("--json", *words)
        assert done.returncode == code, (done.stdout.decode(), done.stderr.decode())
        answer = json.loads(done.stdout)
        assert answer["ok"] == (code == 0)
        return answer["steps"]

    def results(self, *words, code=0):
        return {s["step"]: s["result"] for s in self.steps(*words, code=code)}

    def read(self, path):
        return (self.root / path.lstrip("/")).read_text()

    def calls(self):
        file = self.root / "calls"
        said = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [c for c in said if not c.startswith(("blkid", "dpkg-query", "rpm", "dpkg ", "grubby --info", "dracut --help"))]

    def state(self):
        """Every path with its kind, mode, and content."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if name.split("/")[0] in OUTSIDE:
                continue
            what = os.readlink(path) if path.is_symlink() else path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = (what, oct(path.lstat().st_mode))
        return found


@pytest.fixture(autouse=True)
def needed():
    if os.geteuid() != 0:
        pytest.skip("chroot needs root")
    if not os.access(BUSYBOX, os.X_OK):
        pytest.skip(f"no {BUSYBOX} (package busybox-static)")


# A sanitizer build sees the same of every guest: it is a script that runs there.
SHORT = os.environ.get("NET_SHORT") == "1" and os.environ.get("NET_LONG") != "1"


@pytest.fixture(params=list(GUESTS)[:1] if SHORT else GUESTS)
def guest(request, tmp_path):
    return Guest(tmp_path, request.param)


def settled(guest):
    """As after a run of the distribution's own tools, so that undo can come back to it."""
    for name in ("update-initramfs -u -k all", "dracut -f --regenerate-all", "mkinitrd"):
        if name.split()[0] in guest.what["fakes"]:
            subprocess.run(["chroot", guest.root, "/bin/sh", "-c", f"PATH=/usr/sbin:/bin {name}"], check=True)
    guest.calls()
    return guest.state()


def test_twice_and_back(guest):
    before = settled(guest)
    plan = guest.steps("--dry-run")
    assert guest.state() == before and not guest.calls()
    assert {s["result"] for s in plan} <= {"already", "would"}
    guest.steps()
    calls = guest.calls()
    assert sum(c.startswith(("update-initramfs", "dracut", "mkinitrd")) for c in calls) == 1
    after = guest.state()
    assert after != before

    assert set(guest.results().values()) == {"already"}
    assert guest.state() == after and not guest.calls()

    assert {s["result"] for s in guest.steps("--undo", "--dry-run")} == {"would"}
    assert guest.state() == after
    assert {s["result"] for s in guest.steps("--undo")} == {"done"}
    assert guest.state() == before
    assert set(guest.results("--undo").values()) == {"already"}


def test_what_is_written(guest):
    guest.steps()
    fstab = guest.read("/etc/fstab")
    assert f"UUID={UUIDS['/dev/xvda2']}\t/\text3 errors=remount-ro 0 1\nUUID={UUIDS['/dev/xvda1']} none swap" in fstab
    assert fstab.startswith("# /dev/xvda2 is") and "\n/dev/hdc /media" in fstab
    name = guest.root.name
    if name == "debian6":
        inittab = guest.read("/etc/inittab")
        assert inittab == INITTAB + "S0:2345:respawn:/sbin/getty -L ttyS0 115200 vt100\n"
        assert guest.read("/etc/securetty") == "tty1\nhvc0\nttyS0\n"
        assert (guest.root / "etc/securetty").stat().st_mode & 0o777 == 0o640
        assert guest.read("/etc/kernel-img.conf") == "do_symlinks = yes\ndo_initrd = yes\n"
        assert guest.read("/etc/initramfs-tools/modules") == "# none\nahci\nvirtio_pci\nvirtio_blk\nvirtio_net\nvirtio_scsi\n"
        assert guest.read("/etc/initramfs-tools/conf.d/resume") == f"RESUME=UUID={UUIDS['/dev/xvda1']}\n"
        assert 'DRIVERS=="?*"' in guest.read("/etc/udev/rules.d/70-persistent-net.rules")
        grub = guest.read("/etc/default/grub")
        assert 'GRUB_CMDLINE_LINUX="a=\\"b c\\" quiet console=hvc0 console=ttyS0,115200n8"\n' in grub
        assert 'GRUB_SERIAL_COMMAND="serial --speed=115200 --unit=0"\n' in grub
    elif name == "debian12":
        assert f"MACAddress={MAC}\n" in guest.read("/etc/systemd/network/10-bridgectl-eth0.link")
        wants = guest.root / "etc/systemd/system/getty.target.wants"
        assert sorted(p.name for p in wants.iterdir()) == ["serial-getty@hvc0.service", "serial-getty@ttyS0.service"]
        assert "made of" in guest.read("/boot/grub/grub.cfg")
    elif name == "centos6":
        assert "exec /sbin/agetty -L 115200 ttyS0" in guest.read("/etc/init/ttyS0.conf")
        assert 'add_drivers+=" virtio_pci virtio_blk' in guest.read("/etc/dracut.conf.d/bridgectl.conf")
        assert "root=/dev/xvda2 console=hvc0 console=ttyS0,115200n8" in guest.read("/boot/grub/grub.conf")
        assert any(c.startswith("dracut -f /boot/initramfs-2.6.32-754.el6.x86_64.img 2.6") for c in guest.calls())
    elif name == "rocky9":
        assert 'GRUB_CMDLINE_LINUX="quiet console=hvc0 console=ttyS0,115200n8"\n' in guest.read("/etc/default/grub")
        assert "ro console=hvc0 console=ttyS0,115200n8" in guest.read("/boot/loader/entries/a.conf")
        assert "dracut -f --regenerate-all" in guest.calls()
    else:
        assert guest.read("/etc/sysconfig/kernel") == (
            'INITRD_MODULES="xennet xenblk virtio_pci virtio_blk virtio_net virtio_scsi ahci"\nMORE=1\n'
        )
        assert "h0:2345:respawn:/sbin/agetty -L 115200 hvc0 vt102\n" in guest.read("/etc/inittab")
        assert "mkinitrd " in guest.calls()


def test_a_failing_step(guest):
    """The others go on, the next run tries again, and undo works after either."""
    if "mkinitrd" in guest.what["fakes"]:
        put(guest.root, "/usr/sbin/mkinitrd", "#!/bin/sh\n[ ! -e /fake/broken ] || exit 1\n" + FAKES["mkinitrd"], 0o755)
    before = settled(guest)
    put(guest.root, "/fake/broken", "")
    results = guest.results(code=1)
    assert results["initramfs"] == "failed"
    assert {r for s, r in results.items() if s != "initramfs"} <= {"already", "done"}
    undone = guest.steps("--undo", code=1)
    assert [s["result"] for s in undone].count("failed") == 1
    (guest.root / "fake/broken").unlink()
    guest.steps("--undo")
    assert guest.state() == before

    put(guest.root, "/fake/broken", "")
    guest.steps(code=1)
    (guest.root / "fake/broken").unlink()
    assert guest.results()["initramfs"] == "done"
    guest.steps("--undo")
    assert guest.state() == before


def test_undo_keeps_what_others_changed(tmp_path):
    guest = Guest(tmp_path, "debian12")
    guest.steps()
    put(guest.root, "/etc/fstab", guest.read("/etc/fstab") + "# mine\n")
    told = guest.steps("--undo", code=1)
    assert [s["text"] for s in told if s["result"] == "missing"] == [
        "/etc/fstab was changed since, so it stays; its old content is /var/lib/bridgectl/prepare.d/files/etc/fstab"
    ]
    assert guest.read("/etc/fstab").endswith("# mine\n") and guest.read("/etc/default/grub") == 'GRUB_CMDLINE_LINUX="console=hvc0"\n'
    assert guest.read("/var/lib/bridgectl/prepare.d/files/etc/fstab") == FSTAB


def test_undo_after_a_half_run(tmp_path):
    """Kept, and never come to be written: what others made of it since then stays."""
    guest = Guest(tmp_path, "debian12")
    guest.steps()
    listed = guest.root / "var/lib/bridgectl/prepare.d/list"
    lines = [line for line in listed.read_text().splitlines(True) if not line.startswith("sum\t/etc/fstab")]
    listed.write_text("".join(lines) + "file\t/etc/cut")
    put(guest.root, "/etc/fstab", "of somebody else\n")
    put(guest.root, "/etc/default/grub", guest.read("/var/lib/bridgectl/prepare.d/files/etc/default/grub"))
    assert guest.results()["bootloader"] == "done"
    assert "\nfile\t/etc/cut\nsum\t/etc/" in listed.read_text()
    listed.write_text(listed.read_text().replace("file\t/etc/cut\n", ""))
    told = guest.steps("--undo", code=1)
    assert [s["text"].split()[0] for s in told if s["result"] == "missing"] == ["/etc/fstab"]
    assert guest.read("/etc/fstab") == "of somebody else\n"


def test_nothing_can_be_written(guest):
    put(guest.root, "/var/lib/bridgectl", "a file, not a folder")
    before = guest.state()
    steps = guest.steps(code=1)
    assert [(s["step"], s["result"]) for s in steps] == [("system", "failed")]
    assert "full, or read-only?" in steps[0]["text"] and guest.state() == before


def test_packages(tmp_path):
    guest = Guest(tmp_path, "debian6")
    put(guest.root, "/fake/packages", "initramfs-tools\n")
    (guest.root / "boot/grub/grub.cfg").unlink()
    shutil.rmtree(guest.root / "etc/default")
    put(guest.root, "/boot/grub/menu.lst", "title of pygrub's\n")
    before = settled(guest)
    missing = {s["step"]: s["text"] for s in guest.steps(code=1) if s["result"] == "missing"}
    assert missing == {
        "packages": "naming of devices needs udev; --install installs it; the power button needs acpid acpi-support-base; --install installs it",
        "bootloader": "starting without Xen needs grub-pc; --install installs it",
    }
    assert not [c for c in guest.calls() if c.startswith("apt-get")]
    assert "would" in guest.results("--install", "--dry-run").values()
    guest.steps("--install")
    calls = guest.calls()
    assert "held" in calls and not (guest.root / "usr/sbin/policy-rc.d").exists()
    assert [c for c in calls if c.startswith("debconf-set")]
    assert guest.read("/boot/grub/menu.lst") == "title of pygrub's\n"
    assert set(guest.results("--install").values()) == {"already"}
    kept = [s for s in guest.steps("--undo", "--dry-run") if "packages stay" in s["text"]]
    assert kept and "acpid" in json.dumps(kept)
    guest.steps("--undo", "--install")
    assert guest.read("/fake/packages") == "initramfs-tools\n"
    # What its packages left, not we.
    (guest.root / "boot/grub/menu.lst_backup").unlink()
    (guest.root / "etc/default").rmdir()
    assert guest.state() == before


def test_xen_kernel_only(tmp_path):
    guest = Guest(tmp_path, "debian6")
    shutil.rmtree(guest.root / "lib/modules/2.6.32-5-amd64")
    (guest.root / "boot/vmlinuz-2.6.32-5-amd64").unlink()
    steps = {s["step"]: s for s in guest.steps("--dry-run", code=1)}
    assert steps["kernel"]["result"] == "missing"
    assert steps["kernel"]["text"] == "2.6.26-2-xen-amd64 starts on Xen only; a kernel for KVM needs linux-image-amd64; --install installs it"


def test_unknown_distribution(tmp_path):
    guest = Guest(tmp_path, "debian12")
    put(guest.root, "/etc/os-release", "ID=plan9\n")
    before = guest.state()
    steps = guest.steps(code=1)
    assert [(s["step"], s["result"]) for s in steps] == [("system", "failed")]
    assert "plan9 is no Debian" in steps[0]["text"] and guest.state() == before


def test_a_copied_uuid_stays_a_name(tmp_path):
    guest = Guest(tmp_path, "debian12")
    put(guest.root, "/fake/blkid", guest.read("/fake/blkid") + f'/dev/xvdb1: UUID="{UUIDS["/dev/xvda2"]}" TYPE="ext3"\n')
    steps = {s["step"]: s for s in guest.steps(code=1)}
    assert steps["disks"]["result"] == "missing" and "/dev/xvda2 has no UUID of its own" in steps["disks"]["text"]
    assert "/dev/xvda2\t/\t" in guest.read("/etc/fstab") and f"UUID={UUIDS['/dev/xvda1']}" in guest.read("/etc/fstab")


def test_text(tmp_path):
    guest = Guest(tmp_path, "debian12")
    plan = guest.run("--dry-run", "-v").stdout.decode()
    assert "--- /etc/fstab\n" in plan and f"  +UUID={UUIDS['/dev/xvda1']} none swap" in plan
    assert re.search(r"^initramfs +would +drivers for virtio and SATA in the initramfs; run update-initramfs -u -k all$", plan, re.M)
    done = guest.run()
    assert re.search(r"^system +already +debian 12, init is systemd$", done.stdout.decode(), re.M)
    assert done.returncode == 0 and not done.stderr


def bare(*words, **more):
    return subprocess.run([BRIDGECTL, "domain", "prepare", *words], capture_output=True, timeout=60, check=False, **more)


def test_the_script_itself():
    script = bare("--script").stdout
    assert script.startswith(b"#!/bin/sh\n") and b"\nundo_script() {\n" in script
    subprocess.run(["sh", "-n"], input=script, check=True)
    # It would run what it has not got, were the last line not the first that does anything.
    cut = script[: script.rindex(b"main ")]
    assert subprocess.run(["sh", "-s"], input=cut, capture_output=True, check=True).stdout == b""


def fake_ssh(folder, text):
    path = folder / "ssh"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_ssh_names_the_guest(tmp_path):
    fake_ssh(tmp_path, 'printf "note\\tssh\\t%s\\nend\\t\\t\\n" "$3"; cat >/dev/null')
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for words in (["--ssh", "web1"], ["web1"], ["web1", "--ssh", "ssh -4 -6"]):
        done = bare(*words, env=env)
        assert done.returncode == 0 and done.stdout.decode().split() == ["ssh", "note", "web1"], done


@pytest.mark.parametrize(
    ("words", "ssh", "code", "said"),
    [
        ([], "exit 0", 2, "which guest?"),
        (["-oX=1"], "exit 0", 2, ""),
        (["--ssh", "a b"], "exit 0", 2, "which guest?"),
        (["a b"], "exit 0", 2, "is no host for ssh"),
        (["web1"], "exit 255", 3, "ssh has failed before a word came from there"),
        (["web1"], "printf 'done\\ta\\tb\\n'; exit 255", 3, "ssh has failed; what was done there until then can be undone"),
        (["web1"], "printf 'ssh: no such host\\r\\n' >&2; exit 255", 3, "bridgectl: web1: ssh: no such host\n"),
        (["web1"], "exit 1", 1, "did not come to its end (exit code 1)"),
        (["web1"], "exit 0", 1, "did not come to its end (exit code 0)"),
        (["web1"], "printf 'sudo: no\\033[2J\\nalready\\tx'; exit 1", 1, "web1: sudo: no\\x1b[2J"),
        (["web1"], "printf 'failed\\ta\\tb\\033c\\nend\\t\\t\\n'", 1, "web1 is not ready: 1 of its steps failed, 0 need a hand"),
        (["web1"], "printf 'a\\033]0;b\\007\\n' >&2; exit 255", 3, "web1: a\\x1b]0;b"),
        (["web1"], "yes note\\tstep\\t$(head -c 8000 /dev/zero | tr '\\0' x)", 1, "not listened to any longer"),
        (["web1", "--undo"], "printf 'missing\\ta\\tb\\nend\\t\\t\\n'", 1, "not all could be undone"),
    ],
)
def test_errors(tmp_path, words, ssh, code, said):
    fake_ssh(tmp_path, ssh)
    done = bare(*words, env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert done.returncode == code, done
    assert said in done.stderr.decode(), done
    assert b"\x1b" not in done.stdout + done.stderr


def test_no_ssh():
    done = bare("web1", "--ssh", "/nonexistent/ssh")
    assert done.returncode == 1 and b"cannot run /nonexistent/ssh: No such file" in done.stderr


def test_a_real_debian(tmp_path):
    """debootstrap, then the script with the real apt, dpkg and initramfs-tools, twice, and back. Some minutes, and the network."""
    if not os.environ.get("NET_LONG"):
        pytest.skip("NET_LONG is not set")
    if not shutil.which("debootstrap") or not shutil.which("unshare"):
        pytest.skip("no debootstrap or no unshare")
    root = tmp_path / "root"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=systemd-sysv", "bookworm", root], capture_output=True, timeout=1200, check=False
    )
    if made.returncode:
        pytest.skip(f"debootstrap: {made.stdout.decode()[-300:]}")
    put(root, "/sys/class/net/eth0/address", MAC)
    put(root, "/sys/class/net/eth0/device", "")
    put(root, "/boot/grub/menu.lst", "title of pygrub's\n")
    kept = {p: (root / p).read_bytes() for p in ("etc/fstab", "boot/grub/menu.lst", "etc/inputrc") if (root / p).exists()}
    ssh = fake_ssh(
        tmp_path,
        'for last in "$@"; do :; done\n'
        f"exec unshare -m sh -c 'mount -t proc proc {root}/proc && exec chroot {root} /bin/sh -c \"$1\"' sh \"$last\"",
    )

    def run(*words):
        done = subprocess.run(
            [BRIDGECTL, "--json", "domain", "prepare", *words, "--ssh", ssh, "g"], capture_output=True, timeout=1800, check=False
        )
        assert done.returncode == 0, (done.stdout.decode(), done.stderr.decode())
        return {s["step"]: s["result"] for s in json.loads(done.stdout)["steps"]}

    results = run("--install")
    assert results["kernel"] == results["bootloader"] == results["initramfs"] == "done"
    image = next((root / "boot").glob("initrd.img-*"))
    names = subprocess.run(["chroot", root, "lsinitramfs", f"/boot/{image.name}"], capture_output=True, check=True).stdout
    assert all(f"/{m}.ko".encode() in names for m in MODULES)
    assert set(run("--install").values()) == {"already"}
    assert run("--undo", "--install") == {"undo": "done"}
    assert {p: (root / p).read_bytes() for p in kept} == kept and not list((root / "boot").glob("vmlinuz-*"))
