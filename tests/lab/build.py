#!/usr/bin/env python3
"""Images of the laboratory: made once, kept under a name that is the digest of what they are made of.

    tests/lab/build.py            makes what is missing, says where it is

The Xen host (dom0) is Debian 12 with its own Xen: debootstrap, then dom0/install inside, then `mke2fs -d`;
no loop device, no mount but /proc. Folders of the cache (LAB_CACHE, else /var/cache/l2tund-lab or
~/.cache/l2tund-lab): nothing in them is ever written to again, machines run on overlays.
"""
import contextlib
import fcntl
import gzip
import hashlib
import inspect
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
SUITE = "bookworm"
MIRROR = os.environ.get("LAB_MIRROR", "http://deb.debian.org/debian")
IMAGE_SIZE = "2G"  # sparse
NICE = os.environ.get("LAB_NICE", "0")
KEEP_S = 3 * 86400
PROGRAMS = ("debootstrap", "mke2fs", "ssh-keygen", "unshare", "chroot")
SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


class CannotBuild(Exception):
    """This machine cannot make the image; the sentence says why."""


def cache_folder():
    if os.environ.get("LAB_CACHE"):
        return pathlib.Path(os.environ["LAB_CACHE"])
    if os.geteuid() == 0:
        return pathlib.Path("/var/cache/l2tund-lab")
    return pathlib.Path.home() / ".cache/l2tund-lab"


def digest(*parts):
    found = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, pathlib.Path) else str(part).encode()
        found.update(len(data).to_bytes(8, "big") + data)
    return found.hexdigest()[:16]


@contextlib.contextmanager
def _alone(cache):
    """Two runs never make the same image at the same time."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cached(name, key, make):
    """The folder NAME-KEY of the cache; make(folder) fills it when it is not there. Others of the same
    name go when nobody has asked for them for some days: a run may still be at work with one."""
    cache = cache_folder()
    with _alone(cache):
        folder = cache / f"{name}-{key}"
        if folder.is_dir():
            os.utime(folder)
            return folder
        work = cache / f"{name}.new"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        try:
            make(work)
            work.rename(folder)
            os.utime(folder)
            for old in cache.glob(f"{name}-*"):
                if time.time() - old.stat().st_mtime > KEEP_S:
                    shutil.rmtree(old)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        return folder


def _need_programs():
    if os.geteuid() != 0:
        raise CannotBuild("images are made by root only (debootstrap, chroot)")
    for name in PROGRAMS:
        if not shutil.which(name, path=SBIN):
            raise CannotBuild(f"{name} is missing; packages/install lab brings it")


class _Log:
    """Runs programs; all they say goes to one file, and into the error when one fails."""

    def __init__(self, path):
        self.path = path

    def run(self, *argv, timeout=300):
        with open(self.path, "ab") as log:
            log.write(f"\n# {' '.join(map(str, argv))}\n".encode())
            log.flush()
            # A folder of ours is none of theirs in a chroot.
            environ = {name: value for name, value in os.environ.items() if name != "TMPDIR"}
            # Beside the tests of `make check` it has time.
            process = subprocess.Popen(["nice", "-n", NICE, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                       env={**environ, "PATH": SBIN, "LC_ALL": "C"}, start_new_session=True)
            try:
                code = process.wait(timeout)
            except subprocess.TimeoutExpired:
                code = f"nothing after {timeout} s"
            finally:
                if process.poll() is None:  # with all that it has started
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if code != 0:
            tail = "\n".join(self.path.read_text(errors="replace").splitlines()[-15:])
            raise CannotBuild(f"{argv[0]} ended with {code}:\n{tail}")


def _keys(folder, root):
    """One key for the way in, one that the host shows: they open nothing but this machine."""
    for name in ("user_key", "host_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "l2tund-lab",
                        "-f", folder / name], check=True, stdin=subprocess.DEVNULL)
    for suffix in ("", ".pub"):
        shutil.copy2(folder / f"host_key{suffix}", root / f"etc/ssh/ssh_host_ed25519_key{suffix}")
    shutil.copy(folder / "user_key.pub", root / "root/.ssh/authorized_keys")


def _boot_files(folder, root):
    (xen,) = root.glob("boot/xen-*.gz")
    (folder / "xen").write_bytes(gzip.decompress(xen.read_bytes()))
    for name in ("vmlinuz", "initrd.img"):
        (found,) = root.glob(f"boot/{name}-*")
        shutil.copy(found, folder / name)


def make_dom0(folder):
    _need_programs()
    log = _Log(folder / "log")
    root = folder / "root"
    # What it mounts is gone with it, however it ends.
    log.run("unshare", "-m", "debootstrap", "--variant=minbase", SUITE, root, MIRROR)
    shutil.copy(HERE / "dom0/install", root / "install")
    inside = 'mount -t proc proc "$1/proc" && exec chroot "$1" /install "$2"'
    log.run("unshare", "-m", "sh", "-c", inside, "sh", root, MIRROR)
    (root / "install").unlink()
    shutil.copy(HERE / "dom0/init", root / "sbin/lab-init")
    _keys(folder, root)
    _boot_files(folder, root)
    log.run("mke2fs", "-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-d", root,
            folder / "disk.img", IMAGE_SIZE)
    shutil.rmtree(root)


def dom0():
    """The folder with xen, vmlinuz, initrd.img, disk.img, user_key and host_key.pub."""
    made_by = "".join(map(inspect.getsource, (make_dom0, _keys, _boot_files)))
    key = digest(made_by, HERE / "dom0/install", HERE / "dom0/init", MIRROR, SUITE, IMAGE_SIZE)
    return cached("dom0", key, make_dom0)


def main():
    start = time.monotonic()
    try:
        folder = dom0()
    except CannotBuild as error:
        sys.exit(f"tests/lab/build.py: {error}")
    print(f"{folder} ({time.monotonic() - start:.0f} s)")


if __name__ == "__main__":
    main()
