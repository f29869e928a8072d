"""`bridgectl domain fixup --trust-guest`: guests on XFS and btrfs, read and written by this host's kernel. What
is written leaves clean file systems and can be taken back; nothing stays mounted, however it ends."""
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import uuid

import guest_trees
import pytest
from conftest import MIB, SECTOR, digest, image, need
from lab import plain_only, wait_for
from test_fixup import check, put

SIZE = {"xfs": 320 * MIB, "btrfs": 128 * MIB}  # mkfs.xfs makes none that is smaller than 300 MiB
SNAPSHOT = "@/.snapshots/1/snapshot"

# Runs in a mount namespace of its own: the part as a loop device in $L, where $1 is mounted on /mnt.
SHELL = """
mount --make-rprivate /
L=$(losetup --find --show {ro} --offset {start} --sizelimit {size} {disk})
trap 'cd /; umount -q /mnt || :; losetup --detach $L' EXIT
{script}
"""

# What a tree is, but times: one line for each file.
LIST = """
import hashlib, os, sys
for folder, dirs, files in os.walk("/mnt"):
    dirs.sort()
    for name in sorted(dirs + files) + [""]:
        path = os.path.join(folder, name)
        st = os.lstat(path)
        data = os.readlink(path).encode() if os.path.islink(path) else b""
        if os.path.isfile(path) and not os.path.islink(path):
            data = open(path, "rb").read()
        xattrs = [(x, os.getxattr(path, x, follow_symlinks=False).hex())
                  for x in sorted(os.listxattr(path, follow_symlinks=False))]
        print(path[4:], oct(st.st_mode), st.st_uid, st.st_gid, st.st_nlink, hashlib.sha256(data).hexdigest(), xattrs)
"""

LABELS = """
import os
for path in ("/mnt/etc", "/mnt/etc/fstab", "/mnt/boot/grub2/device.map"):
    if os.path.exists(path):
        os.setxattr(path, "security.selinux", b"system_u:object_r:etc_t:s0\\0")
        os.setxattr(path, "user.note", b"kept")
if os.path.exists("/mnt/etc/fstab"):
    os.chmod("/mnt/etc/fstab", 0o640)
    os.chown("/mnt/etc/fstab", 7, 1234)
if os.path.exists("/mnt/boot/grub2/device.map"):
    os.chmod("/mnt/boot/grub2/device.map", 0o604)
    os.chown("/mnt/boot/grub2/device.map", 1000, 1001)
"""


@pytest.fixture(autouse=True)
def possible():
    if os.geteuid() != 0:
        pytest.skip("needs root (mounts)")
    need("losetup", "unshare", "mkfs.xfs", "mkfs.btrfs", "sfdisk")
    known = pathlib.Path("/proc/filesystems").read_text()
    for kind in SIZE:
        if f"\t{kind}\n" not in known and subprocess.run(["modprobe", "-q", kind], check=False).returncode:
            pytest.skip(f"this kernel has no {kind}")


class Guest:
    """A disk whose first partition is the root."""

    def __init__(self, ctl, folder, kind="xfs", tree="rocky9", layout="", change=None):
        self.ctl, self.state, self.kind, self.layout = ctl, folder / "state", kind, layout
        self.tree, self.uuid = folder / "tree", str(uuid.uuid4())
        guest_trees.build(tree, self.tree)
        for path in (self.tree / "etc/fstab", self.tree / "boot/grub2/grub.cfg"):
            if path.exists():
                path.write_text(path.read_text().replace(guest_trees.UUID_ROOT, self.uuid))
        (self.tree / "boot/grub2").mkdir(exist_ok=True)
        (self.tree / "boot/grub2/device.map").write_text("(hd0)\t/dev/xvda\n")
        if change:
            change(self.tree)
        self.disk = image(folder / "guest.img", MIB + SIZE[kind])
        self.start, self.size = MIB, SIZE[kind]
        subprocess.run(["sfdisk", "-q", "--no-reread", self.disk], check=True, text=True, capture_output=True,
                       input=f"label: dos\nstart={MIB // SECTOR}, type=83\n")
        self.fill()

    def inside(self, script, readonly=False):
        """A shell script with the partition as $L; what it says."""
        text = SHELL.format(ro="--read-only" if readonly else "", start=self.start, size=self.size, disk=self.disk,
                            script=textwrap.dedent(script))
        done = subprocess.run(["unshare", "-m", "sh", "-ec", text], capture_output=True, text=True, timeout=60)
        if "failed to set up loop device" in done.stderr or "cannot find an unused loop" in done.stderr:
            pytest.skip(f"no loop devices here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def mounted(self, script, options="", readonly=True):
        words = [o for o in (options or self.options, "ro" if readonly else "") if o]
        return self.inside(f"mount {'-o ' + ','.join(words) if words else ''} $L /mnt\n{script}\n", readonly)

    @property
    def options(self):
        """As the guest's boot loader mounts its root."""
        return f"subvol={self.layout}" if self.layout.startswith("@") and self.layout != SNAPSHOT else ""

    def fill(self):
        copy = f"cp -a --no-preserve=ownership {self.tree}/. /mnt/; {sys.executable} -c '{LABELS}'; umount /mnt\n"
        if self.kind == "xfs":
            self.inside(f"mkfs.xfs -q -m uuid={self.uuid} $L; mount $L /mnt\n{copy}")
            return
        make = f"mkfs.btrfs -q -U {self.uuid} $L >/dev/null; mount $L /mnt\n"
        if not self.layout:
            self.inside(make + copy)
            return
        for path in ("/mnt/@", "/mnt/@/var"):
            make += f"btrfs subvolume create {path}\n"
        if self.layout == SNAPSHOT:
            make += f"mkdir -p {os.path.dirname('/mnt/' + SNAPSHOT)}; btrfs subvolume create /mnt/{SNAPSHOT}\n"
            make += f"btrfs subvolume set-default /mnt/{SNAPSHOT}\n"
        self.inside(f"{make}umount /mnt; mount -o subvol={self.layout} $L /mnt\n{copy}")

    def words(self, *more):
        return ["domain", "fixup", self.disk, "--state-dir", self.state, *more]

    def plan(self, *more):
        return self.ctl.json(*self.words("--trust-guest", "--mac", guest_trees.MAC, *more))

    def apply(self, *more):
        return self.plan("--apply", *more)

    def files(self):
        return self.mounted(f"{sys.executable} -c '{LIST}'")

    def text(self, path):
        return self.mounted(f"cat /mnt{path}")

    def check(self):
        """The tools of the file system have nothing to say, and nothing of ours is left."""
        tool = "xfs_repair -n" if self.kind == "xfs" else "btrfs check"
        self.inside(f"{tool} $L >/dev/null 2>&1 || {tool} $L", readonly=True)
        self.left()

    def left(self):
        def gone():
            used = subprocess.run(["losetup", "--associated", self.disk], capture_output=True, text=True, check=True)
            return not used.stdout
        wait_for(gone, 20, "a loop device of the image is left")
        for mounts in pathlib.Path("/proc").glob("[0-9]*/mountinfo"):
            try:
                assert "- tmpfs bridgectl " not in mounts.read_text(), mounts  # of trust_mount.c
            except OSError:
                continue


CASES = [("xfs", "rocky9", ""), ("xfs", "centos7", ""), ("btrfs", "rocky9", ""), ("btrfs", "debian12", "@"),
         ("btrfs", "leap15", SNAPSHOT)]


def subvol_fstab(tree):
    fstab = tree / "etc/fstab"
    lines = [w for w in fstab.read_text().splitlines() if " / " not in " ".join(w.split()[:2]) + " "]
    fstab.write_text("\n".join(lines) + "\n/dev/xvda1 / btrfs defaults,subvol=@ 0 1\n")


@pytest.mark.parametrize("kind, tree, layout", [
    pytest.param(*case, marks=[plain_only()] if i in (1, 2) else []) for i, case in enumerate(CASES)])
def test_applied_and_undone(ctl, tmp_path, kind, tree, layout):
    guest = Guest(ctl, tmp_path, kind, tree, layout, subvol_fstab if layout == "@" else None)
    before, files = digest(guest.disk), guest.files()
    plan = guest.plan()
    assert plan["changes"] and plan["writes"] and plan["why_not"] is None and not plan["applied"]
    assert "/boot/grub2/device.map" in [c["path"] for c in plan["changes"]]
    assert digest(guest.disk) == before and not guest.state.exists()

    done = guest.apply()
    assert done["applied"] and done["changes"] == plan["changes"]
    guest.check()
    after = guest.files()
    assert after != files and len(done["changes"]) <= len(set(after.splitlines()) ^ set(files.splitlines()))
    assert "/boot/grub2/device.map" not in after
    kept = {line.split()[0]: line.split()[1:5] for line in files.splitlines()}
    for line in after.splitlines():
        path, *what = line.split()
        assert what[:4] == kept.get(path, what[:4]), line
    again = guest.apply()
    assert again["changes"] == [] and not again["applied"]

    assert ctl.json(*guest.words("--undo"))["undo"] == done["undo"]
    guest.check()
    assert guest.files() == files
    assert guest.disk.read_bytes()[:MIB] == bytes(440) + guest.disk.read_bytes()[440:512] + bytes(MIB - 512)
    assert not ctl.json(*guest.words("--undo"))["undone"]
    guest.left()


def test_a_new_file_has_the_label_of_its_folder(ctl, tmp_path):
    def change(tree):
        for path in (tree / "etc/systemd/network").glob("*"):
            path.unlink()

    guest = Guest(ctl, tmp_path, change=change)
    done = guest.apply()
    new = [c["path"] for c in done["changes"] if c["diff"].startswith("--- /dev/null")]
    assert new
    for line in guest.files().splitlines():
        if line.split()[0] in new and os.path.dirname(line.split()[0]) == "/etc":
            assert "security.selinux" in line


@pytest.mark.parametrize("kind, name", [("xfs", "XFS"), ("btrfs", "btrfs")])
def test_only_when_asked(ctl, tmp_path, kind, name):
    guest = Guest(ctl, tmp_path, kind)
    said = ctl.refused(*guest.words())
    assert f"is {name}: --trust-guest reads it with this host's kernel" in said and "hostile" in said
    assert "--trust-guest" in ctl.refused(*guest.words("--root", "vda1"))


@plain_only()
def test_not_for_others(ctl, tmp_path):
    need("setpriv")
    guest = Guest(ctl, tmp_path)
    for path in (*tmp_path.parents, tmp_path):
        if "/pytest-of-" in str(path):  # wherever TMPDIR is
            path.chmod(0o755)
    guest.disk.chmod(0o644)
    said = ctl.refused(*guest.words("--trust-guest"), wrap=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    assert "for root only" in said


def test_with_boot_on_ext4(ctl, tmp_path):
    """Blocks and files in one go, and back."""
    def change(tree):
        (tree / "etc/fstab").write_text("/dev/xvda1 / xfs defaults 0 0\n/dev/xvda2 /boot ext4 defaults 0 0\n")
        (tree / "boot").rename(tmp_path / "boot")
        (tree / "boot").mkdir()

    guest = Guest(ctl, tmp_path, tree="centos7", change=change)
    place = put(guest.disk, 2, tmp_path / "boot", 32 * MIB)
    files, before = guest.files(), guest.disk.read_bytes()[place[0]:]
    paths = [c["path"] for c in guest.apply()["changes"]]
    assert "/etc/fstab" in paths and "/boot/grub2/grub.cfg" in paths
    assert guest.disk.read_bytes()[place[0]:] != before
    check(guest.disk, *place)
    guest.check()
    ctl.ok(*guest.words("--undo"))
    assert guest.disk.read_bytes()[place[0]:] == before and guest.files() == files


def test_links_stay_inside(ctl, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("GRUB_CMDLINE_LINUX=\"console=hvc0 root=/dev/xvda1\"\n")

    def change(tree):
        (tree / "etc/default/grub").unlink()
        (tree / "etc/default/grub").symlink_to("../" * 12 + str(outside)[1:])
        (tree / "etc/securetty").unlink(missing_ok=True)
        (tree / "etc/securetty").symlink_to(outside)

    guest = Guest(ctl, tmp_path, change=change)
    said = outside.read_text()
    done = guest.apply()
    assert outside.read_text() == said
    assert not [c for c in done["changes"] if "outside" in c["path"] and "console=hvc0" in c["diff"]]
    guest.check()


def test_changed_while_it_was_planned(ctl, tmp_path):
    """What makes the boot record runs between planning and writing."""
    guest = Guest(ctl, tmp_path)
    script = SHELL.format(ro="", start=guest.start, size=guest.size, disk=guest.disk,
                          script="mount $L /mnt; echo '# new' >>/mnt/etc/default/grub")
    # The plan's own loop devices may go a moment later.
    (tmp_path / "change.sh").write_text(f"[ -e {tmp_path}/done ] || unshare -m sh -ec '{script.replace(chr(39), chr(34))}' >&2\n"
                                        f"touch {tmp_path}/done\n")
    guest.ctl.program("grub-mkimage", f"sh {tmp_path}/change.sh; exit 1")
    said = ctl.refused(*guest.words("--trust-guest", "--apply"))
    assert (tmp_path / "done").exists()
    assert "has changed while the changes were planned" in said
    assert not list(guest.state.glob("*"))
    assert guest.text("/etc/default/grub") == (guest.tree / "etc/default/grub").read_text() + "# new\n"
    assert guest.text("/boot/grub2/grub.cfg") == (guest.tree / "boot/grub2/grub.cfg").read_text()
    guest.check()


@plain_only()
def test_undo_after_a_file_changed(ctl, tmp_path):
    guest = Guest(ctl, tmp_path)
    guest.apply()
    guest.mounted("echo '# mine' >>/mnt/etc/default/grub", readonly=False)
    files = guest.files()
    assert "written to since then" in ctl.refused(*guest.words("--undo"))
    assert guest.files() == files
    guest.left()


# A sanitizer cannot look for leaks in what is traced.
TRACED = ["env", f"ASAN_OPTIONS={os.environ.get('ASAN_OPTIONS', '')}:detect_leaks=0", "strace"]


def strace_works(words):
    need("strace")
    try:
        subprocess.run([*words, "true"], check=True, capture_output=True)
    except subprocess.CalledProcessError as e:
        pytest.skip(f"strace cannot work here: {e.stderr.decode().strip()}")


def stopped(ctl, tmp_path, guest, call, nth, *more):
    """The command, whose process stops at the nth `call` of it: strace and bridgectl's own process id."""
    trace = tmp_path / "trace"
    wrap = [*TRACED, "-fqq", "-o", str(trace), "-e", f"trace={call}", "-e", f"inject={call}:signal=STOP:when={nth}"]
    strace_works(wrap)
    tracer = subprocess.Popen([*wrap, *ctl.argv(*guest.words("--trust-guest", *more))], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    wait_for(lambda: trace.exists() and "stopped by SIGSTOP" in trace.read_text(), 60, "the process does not stop")
    return tracer, children(tracer.pid)[0]


def children(pid):
    return [int(n) for n in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@plain_only()
def test_what_the_process_may(ctl, tmp_path):
    """While it reads the guest: nobody, one capability, a filter, and the guest's files alone."""
    guest = Guest(ctl, tmp_path)
    tracer, parent = stopped(ctl, tmp_path, guest, "openat2", 5)
    try:
        [child] = children(parent)
        status = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{child}/status").read_text().splitlines())
        assert set(status["Uid"].split()) == {status["Uid"].split()[0]} != {"0"}
        assert {int(status[c], 16) for c in ("CapEff", "CapPrm")} == {1 << 2} and int(status["CapInh"], 16) == 0
        assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
        assert sorted(os.listdir(f"/proc/{child}/root")) == ["0"]
        mounts = [line.split() for line in pathlib.Path(f"/proc/{child}/mountinfo").read_text().splitlines()]
        assert {w[4] for w in mounts} == {"/", "/0"}
        assert all({"ro", "nosuid", "nodev", "noexec"} <= set(w[5].split(",")) for w in mounts)
        assert "/0" not in [line.split()[4] for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
    finally:
        os.kill(parent, signal.SIGKILL)
        tracer.wait(timeout=60)
    guest.left()


@pytest.mark.parametrize("kind, nth", [("xfs", 1), ("xfs", 3), ("btrfs", 2)])
def test_killed_in_the_middle(ctl, tmp_path, kind, nth):
    """Some files are new, one is being written; both processes get kill -9."""
    guest = Guest(ctl, tmp_path, kind)
    files = guest.files()
    tracer, parent = stopped(ctl, tmp_path, guest, "ftruncate", nth, "--apply", "--boot-record", "never")
    os.kill(parent, signal.SIGKILL)
    tracer.wait(timeout=60)
    guest.left()
    guest.check()
    assert guest.files() != files
    assert ctl.json(*guest.words("--undo"))["undone"]
    guest.check()
    assert guest.files() == files


def test_put_back_when_writing_fails(ctl, tmp_path):
    guest = Guest(ctl, tmp_path, change=lambda tree: (tree / "boot/grub2/device.map").unlink())
    files = guest.files()
    wrap = [*TRACED, "-fqq", "-o", "/dev/null", "-e", "inject=fchmod:error=EIO"]  # of the file that is new
    strace_works(wrap)
    said = ctl.refused(*guest.words("--trust-guest", "--apply"), wrap=wrap)
    assert "everything was put back" in said
    assert guest.files() == files and not list(guest.state.iterdir())
    guest.check()


def test_not_even_put_back(ctl, tmp_path):
    """The same place fails both times: the undo file stays, and has it all."""
    guest = Guest(ctl, tmp_path)
    files = guest.files()
    wrap = [*TRACED, "-fqq", "-o", "/dev/null", "-e", "inject=ftruncate:error=EIO:when=4"]
    strace_works(wrap)
    assert "could not be put back" in ctl.refused(*guest.words("--trust-guest", "--apply"), wrap=wrap)
    ctl.ok(*guest.words("--undo"))
    assert guest.files() == files
    guest.check()


def test_unclean(ctl, tmp_path):
    need("xfs_io")
    guest = Guest(ctl, tmp_path)
    guest.mounted("echo x >/mnt/etc/new; xfs_io -x -c 'shutdown -f' /mnt; umount /mnt", readonly=False)
    before = digest(guest.disk)
    said = ctl.refused(*guest.words("--trust-guest"))
    assert "unclean" in said and "start the guest once" in said
    assert digest(guest.disk) == before
    guest.left()


@plain_only()
def test_damaged(ctl, tmp_path):
    """Whatever the kernel makes of it, it is told, and nothing is left behind."""
    for kind in SIZE:
        folder = tmp_path / kind
        folder.mkdir()
        guest = Guest(ctl, folder, kind)
        with open(guest.disk, "r+b") as f:
            f.seek(guest.start + (4096 if kind == "xfs" else 65536 + 4096))
            f.write(bytes(range(256)) * 16)
            f.seek(guest.start + (200 if kind == "xfs" else 65536 + 200))
            f.write(b"\xff" * 40)
        said = ctl.refused(*guest.words("--trust-guest"))
        assert "damaged" in said or "no root file system" in said or "cannot be mounted" in said
        guest.left()


@plain_only()
def test_lvm_inside(ctl, tmp_path):
    need("pvcreate")
    guest = Guest(ctl, tmp_path)
    guest.inside("wipefs -qa $L; pvcreate -qq $L")
    said = ctl.refused(*guest.words("--trust-guest"))
    assert "LVM inside the guest's disk is not supported" in said and "domain prepare" in said
