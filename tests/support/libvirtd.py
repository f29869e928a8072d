"""A host that has KVM's libvirt: a libvirtd of our own in the host's namespace.

    with Lab() as lab:
        kvm = lab.host("kvm1")
        kvm.bridge("br-sv")
        libvirtd = Libvirtd(kvm)
        libvirtd.virsh("define", path)
        kvm.run("bridgectl", "domain", "start", "web1", "--connect", libvirtd.uri)

Guests need `type='qemu'`: no processor is asked to help. The daemon has folders of its own where
others have /etc/libvirt, /run/libvirt and so on (a mount namespace), its own /sys, so that it sees
the interfaces of its host, and its own process numbers: when it ends, its guests do. It knows
nothing of systemd, cgroups, polkit and security drivers, and runs guests as root. Disks may lie
anywhere; those of image() have the same path on all such hosts, and are gone with the laboratory.
"""
import os
import pathlib
import shutil
import subprocess

from lab import skip, wait_for
from node import BRIDGECTL

LIBVIRTD = shutil.which("libvirtd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

# What a daemon that is run by root has, and where ours has it.
FOLDERS = {"/etc/libvirt": "etc", "/run/libvirt": "run", "/var/lib/libvirt": "lib",
           "/var/cache/libvirt": "cache", "/var/log/libvirt": "log"}
FILES = {"/etc/passwd": "passwd", "/etc/group": "group"}

DAEMON_CONF = """\
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "{uuid}"
"""
QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
security_driver = "none"
stdio_handler = "file"
namespaces = []
cgroup_controllers = []
remember_owner = 0
"""
MIGRATION_CONF = """\
migration_address = "{address}"
migration_host = "{address}"
"""

# The shell is process 1 of the namespace, so it is what takes care of orphans.
START = """\
set -e
mount --make-rslave /
{mounts}
mount -t sysfs sysfs /sys 2>/dev/null || :
libvirtd_path=$1
shift
"$libvirtd_path" "$@" &
wait $!
"""


def need_libvirtd():
    """Skips the running test where a libvirtd of our own with a QEMU driver cannot be had."""
    for program in (LIBVIRTD, shutil.which("virsh"), shutil.which("qemu-system-x86_64")):
        if program is None:
            skip("no libvirtd, virsh and qemu-system-x86_64 here; packages/install brings them")
    if os.geteuid() != 0:
        skip("a libvirtd of our own needs root")
    if b"this bridgectl was built without libvirt" in pathlib.Path(BRIDGECTL).read_bytes():
        skip("bridgectl was built without libvirt")


class Libvirtd:
    """Runs until the laboratory of its host ends."""

    def __init__(self, host, address=None, number=1):
        """`address` of this host: guests can be migrated to it; such hosts need different numbers."""
        need_libvirtd()
        self.host = host
        self.dir = pathlib.Path(host.lab.dir) / f"lv-{host.name}"
        self.uuid = f"3e3e3e3e-0000-4000-8000-{number:012x}"
        self.address = address
        self.process = None
        for name in ("etc", "run", "lib/images", "cache", "log"):
            (self.dir / name).mkdir(parents=True)
        (self.dir / "etc/libvirtd.conf").write_text(DAEMON_CONF.format(uuid=self.uuid))
        (self.dir / "etc/qemu.conf").write_text(
            QEMU_CONF + (MIGRATION_CONF.format(address=address) if address else ""))
        self._make_users()
        host.lab.on_close(self.stop)
        host.lab.logs.append(self.log)
        self.start()

    def _make_users(self):
        """Debian's QEMU driver does not begin without them, even when it is told of others."""
        for name, line in (("passwd", "libvirt-qemu:x:64055:64055::/nonexistent:/bin/false\n"),
                           ("group", "libvirt-qemu:x:64055:\n")):
            text = pathlib.Path("/etc", name).read_text()
            missing = "" if "\nlibvirt-qemu:" in text else line
            (self.dir / name).write_text(text + missing)

    @property
    def socket(self):
        return self.dir / "run/libvirt-sock"

    @property
    def uri(self):
        """What --connect takes, in any namespace: the socket is a file."""
        return f"qemu+unix:///system?socket={self.socket}"

    def start(self):
        for path in FOLDERS:  # there where libvirt was installed as a system has it
            os.makedirs(path, exist_ok=True)
        mounts = "\n".join(f"mount --bind '{self.dir}/{name}' {path}"
                           for path, name in (FOLDERS | FILES).items())
        # XDG and HOME: QEMU's and libvirt's ideas of where a user keeps things.
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.dir),
               "LIBVIRT_LOG_OUTPUTS": f"3:file:{self.dir}/log/libvirtd.log"}
        with open(self.dir / "log/stderr", "ab") as log:
            self.process = self.host.popen(
                ["nice", "-n", "5", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
                 "sh", "-c", START.format(mounts=mounts), "libvirtd", LIBVIRTD,
                 "--pid-file", "/run/libvirt/libvirtd.pid", "--timeout", "0"],
                env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for(self._answers, 20, lambda: f"libvirtd does not answer\n{self.log()[1]}")

    def _answers(self):
        assert self.process.poll() is None, f"libvirtd ended\n{self.log()[1]}"
        return self.socket.exists() and self.virsh("version", check=False).returncode == 0

    def virsh(self, *words, check=True, timeout=60, stdin=""):
        return self.host.run("virsh", "-q", "-c", self.uri, *map(str, words), check=check,
                             timeout=timeout, stdin=stdin)

    def define(self, xml):
        """Defines a guest from its XML."""
        self.virsh("define", "/dev/stdin", stdin=xml)

    def image(self, name, size):
        """An empty disk of so many bytes: its path as this daemon sees it, and as we do."""
        real = self.dir / "lib/images" / name
        with open(real, "wb") as out:
            out.truncate(size)
        return f"/var/lib/libvirt/images/{name}", real

    def state(self, name):
        """"running", "shut off", …; None: there is no such guest."""
        done = self.virsh("domstate", name, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def stop(self):
        """With all of its guests, at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self.process = None

    def log(self):
        """Of the daemon and of the guests' QEMU."""
        paths = sorted((self.dir / "log").rglob("*"))
        return (f"libvirtd on {self.host.name}",
                "".join(p.read_text(errors="replace") for p in paths if p.is_file()))


def tiny_guest(name, *devices, machine="pc", memory_mib=32, more=""):
    """XML of a guest that has no disk and boots nothing: it stays in its BIOS, deaf to ACPI."""
    return f"""\
<domain type="qemu">
  <name>{name}</name>
  <memory unit="MiB">{memory_mib}</memory>
  <vcpu>1</vcpu>
  <os><type arch="x86_64" machine="{machine}">hvm</type></os>
  <features><acpi/></features>
  {more}
  <devices>{"".join(devices)}
    <serial type="pty"><target port="0"/></serial>
    <console type="pty"><target type="serial" port="0"/></console>
    <memballoon model="none"/>
  </devices>
</domain>
"""


def vif(mac, bridge="br-sv"):
    """XML of a network interface, for tiny_guest()."""
    return f"""
    <interface type="bridge">
      <mac address="{mac}"/><source bridge="{bridge}"/><model type="virtio"/>
    </interface>"""


def disk(path, target="vda"):
    """XML of a disk in a file, for tiny_guest()."""
    return f"""
    <disk type="file" device="disk">
      <driver name="qemu" type="raw"/><source file="{path}"/><target dev="{target}" bus="virtio"/>
    </disk>"""
