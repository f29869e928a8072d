"""The second part of make demo: a guest's disks go from the old host to the new one.

The guest is made up, in the way of old Xen hosts: one image per partition, a root and a data file
system with a swap partition between them. The guest "runs" while it is copied: a writer keeps
changing a file inside its data file system.
"""
import contextlib
import hashlib
import json
import os
import pathlib
import threading
import uuid

from lab import wait_for
from node import BRIDGECTL
from show import Failed, heading, result_line, run, shown

MIB = 1 << 20
GUEST = "web1"
PAGE = 4096
MARK = b"l2tund demo: this page is written again and again\n"
PARTS = {  # partition -> (name of its image, MiB, what is in it)
    1: ("boot", 48, "ext4"),
    2: ("swap", 32, "swap"),
    3: ("data", 96, "ext4"),
}
UUIDS = {number: str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
         for number, (name, _, _) in PARTS.items()}
COPY_S = 120


def _image(folder, number):
    return folder / f"{GUEST}-{PARTS[number][0]}.img"


def _make_parts(host, folder):
    """Three images as xen-tools leaves them, with real file systems."""
    tree = folder / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/hostname").write_text(GUEST + "\n", encoding="ascii")
    (tree / "etc/fstab").write_text("".join(
        f"/dev/xvda{number} {'none' if kind == 'swap' else '/' + name} {kind} defaults 0 0\n"
        for number, (name, _, kind) in PARTS.items()), encoding="ascii")
    (tree / "busy").write_bytes((MARK + bytes(PAGE - len(MARK))) * (8 * MIB // PAGE))
    (tree / "random").write_bytes(os.urandom(8 * MIB))
    for number, (name, size, kind) in PARTS.items():
        path = _image(folder, number)
        with open(path, "wb") as out:
            out.truncate(size * MIB)
        if kind == "swap":
            host.run("mkswap", "-q", "-U", UUIDS[number], "-L", name, str(path))
        else:
            host.run("mke2fs", "-q", "-F", "-t", kind, "-U", UUIDS[number], "-L", name,
                     "-d", str(tree), str(path))


def _make_config(folder):
    disks = ", ".join(f"'file:{_image(folder, number)},xvda{number},w'" for number in PARTS)
    path = folder / f"{GUEST}.cfg"
    path.write_text(f"""name    = "{GUEST}"
memory  = "512"
vcpus   = 1
bootloader = "pygrub"
disk    = [ {disks} ]
vif     = [ 'mac=00:16:3e:12:34:56, bridge=br-sv' ]
""", encoding="ascii")
    return path


class Writer:
    """What the guest does meanwhile: rewrites pages of a file in its data file system."""

    def __init__(self, path):
        data = path.read_bytes()
        self._pages = [at for at in range(0, len(data), PAGE) if data.startswith(MARK, at)]
        if not self._pages:
            raise Failed(f"no file to write to in {path}")
        self._file = open(path, "r+b", buffering=0)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.writes = 0
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.005):
            place = self._pages[self.writes * 7 % len(self._pages)]
            os.pwrite(self._file.fileno(), b"%-64d" % self.writes, place + len(MARK))
            self.writes += 1

    def stop(self):
        self._stop.set()
        self._thread.join()
        os.fsync(self._file.fileno())
        self._file.close()


def _ssh(door):
    return ["--ssh", door.command, "--remote-bridgectl", BRIDGECTL]


class Copies:
    """`bridgectl disk copy` as an administrator runs it, on the new host, from the old one."""

    def __init__(self, new, door, state):
        self.new = new
        self.state = state
        self.run_dir = f"{new.lab.dir}/run"
        self._laboratory = ["--state-dir", str(state / "maps"), "--run-dir", self.run_dir,
                            *_ssh(door)]
        self._from = ["--from", door.name]

    def start(self, source, target, number, *options):
        """Shows the command without what only this laboratory needs; gives it whole."""
        words = [BRIDGECTL, "disk", "copy", *self._from, "--partition", str(number), *options,
                 str(source), str(target)]
        print(f"{self.new.name}# {shown(words)}", flush=True)
        return [*words, "--json", *self._laboratory]

    def whole(self, source, target, number):
        argv = self.start(source, target, number)
        return _last(self.new.run(*argv, timeout=COPY_S).stdout)

    @contextlib.contextmanager
    def warm(self, source, target, number):
        """Runs until the block has said `disk finish`."""
        argv = self.start(source, target, number, "--warm", "--max-downtime", "5")
        log = open(self.state / "warm.jsonl", "w+", encoding="utf-8")
        with log, self.new.popen(argv, stdout=log) as process:
            try:
                yield process, lambda: _lines(log.name)
            finally:
                process.terminate()
                process.wait(COPY_S)


def _lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.endswith("\n")]


def _last(text):
    return json.loads(text.splitlines()[-1])


def _waits(process, lines):
    if process.poll() is not None:
        raise Failed(f"the warm copy ended with {process.returncode}: {lines()[-1:]}")
    return any(line.get("phase") == "wait" for line in lines())


def _digest(path, offset=0, length=None):
    with open(path, "rb") as file:
        file.seek(offset)
        return hashlib.sha256(file.read() if length is None else file.read(length)).hexdigest()


def _check(new, folder, disk):
    """With the distribution's own programs, which know nothing of us."""
    run(new, "sfdisk", "-V", str(disk))
    table = json.loads(new.run("sfdisk", "-J", str(disk)).stdout)["partitiontable"]
    rows = {int(row["node"][len(str(disk)):]): row for row in table["partitions"]}
    if sorted(rows) != sorted(PARTS):
        raise Failed(f"the partitions are {sorted(rows)}, not {sorted(PARTS)}")
    for number, (name, size, kind) in PARTS.items():
        offset = rows[number]["start"] * 512
        found = run(new, "blkid", "-p", "-s", "UUID", "-s", "TYPE", "-s", "LABEL", "-O",
                    str(offset), str(disk)).stdout
        for word in (f'UUID="{UUIDS[number]}"', f'TYPE="{kind}"', f'LABEL="{name}"'):
            if word not in found:
                raise Failed(f"partition {number} has no {word}")
        if kind == "swap":
            continue
        run(new, "e2fsck", "-f", "-n", f"{disk}?offset={offset}")
        if _digest(disk, offset, size * MIB) != _digest(_image(folder, number)):
            raise Failed(f"partition {number} is not what its source is")
    result_line("numbers, UUIDs and labels as before, file systems clean, SHA-256 equal")


def show(lab, door, new):
    """`door` is where ssh leads to the old host; `new` is the other host."""
    old = door.host
    folder, state = pathlib.Path(lab.dir) / "xen", pathlib.Path(lab.dir) / "kvm"
    folder.mkdir()
    state.mkdir()
    heading(f"A guest of the old host: {GUEST}, with an image for each partition")
    _make_parts(old, folder)
    config = _make_config(folder)
    run(old, "cat", str(config))

    heading("What disk it gets on the new host, and that disk made (the swap partition with it)")
    far = ("--from", door.name)
    run(new, BRIDGECTL, "disk", "layout", str(config), *far, more=_ssh(door))
    run(new, BRIDGECTL, "disk", "create", str(config), "--dir", str(state), *far,
        more=_ssh(door))
    disk = next(path for path in state.iterdir() if path.is_file())

    heading("Copied by ssh and TLS while the guest writes")
    copies = Copies(new, door, state)
    report = copies.whole(_image(folder, 1), disk, 1)
    result_line(f"{report['bytes'] // MIB} MiB, of which {report['zero_bytes'] // MIB} are zeros;"
                f" read back: {report['verified_bytes'] // MIB} MiB")
    writer = Writer(_image(folder, 3))
    with copies.warm(_image(folder, 3), disk, 3) as (process, lines):
        wait_for(lambda: _waits(process, lines), COPY_S, lambda: f"no warm copy: {lines()[-3:]}")
        wrote = writer.writes
        writer.stop()
        result_line(f"warm, after {wrote} writes of the guest; now the guest is shut down")
        run(new, BRIDGECTL, "disk", "finish", more=["--run-dir", copies.run_dir])
        process.wait(COPY_S)
    last = lines()[-1]
    if process.returncode != 0:
        raise Failed(f"the warm copy ended with {process.returncode}: {last}")
    result_line(f"last pass: {last['final_sent_bytes'] >> 10} KiB in {last['downtime_s']:.2f} s")

    heading("What is there now")
    _check(new, folder, disk)
