"""`bridgectl disk layout` on made-up volumes: golden text, JSON and scripts; the scripts are run, and what they made is compared.

UPDATE_GOLDEN=1 writes tests/golden/disk/* anew; read the difference before committing it.
"""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FILES = HERE / "disk"
BRIDGECTL = os.environ.get("BRIDGECTL", str(ROOT / "bridgectl" / "bridgectl"))
ENV = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LC_ALL", "LC_CTYPE", "LANG")}
ENV["PATH"] = ENV["PATH"] + ":/usr/sbin:/sbin"
MIB = 1 << 20
DIR = "/tmp/l2t-DIRECTRY"  # in golden files, as long as the real one
IDS = [f"{n}{n}{n}{n}{n}{n}{n}{n}-0001-4002-8003-0123456789ab" for n in range(10)]


def need(*programs):
    for p in programs:
        if not shutil.which(p, path=ENV["PATH"]):
            pytest.skip(f"{p} is not installed")


def run(*words, **more):
    more = {"capture_output": True, "timeout": 120, "check": False, "env": ENV} | more
    return subprocess.run([str(w) for w in words], **more)


def ok(*words, **more):
    done = run(*words, **more)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


def layout(*words, **more):
    return run(BRIDGECTL, "disk", "layout", *words, **more)


class Volumes:
    """Images in a folder whose name has always the same length."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="l2t-", dir="/tmp"))
        assert len(str(self.dir)) == len(DIR)
        (self.dir / "new").mkdir()

    def path(self, name):
        return self.dir / name

    def blank(self, name, size):
        with open(self.path(name), "wb") as f:
            f.truncate(size)
        return self.path(name)

    def filled(self, name, size):
        need("mke2fs")
        self.path(name).write_bytes((b"%-15d\n" * (size // 16 + 1) % tuple(range(size // 16 + 1)))[:size])
        return self.path(name)

    def ext(self, name, size, uuid, label="", kind="ext4"):
        need("mke2fs")
        self.blank(name, size)
        ok("mke2fs", "-q", "-F", "-t", kind, "-U", uuid, "-L", label, self.path(name))
        return self.path(name)

    def swap(self, name, size, uuid, label="", page=4096):
        need("mkswap")
        self.blank(name, size)
        ok("mkswap", "-p", page, "-U", uuid, *(["-L", label] if label else []), self.path(name))
        return self.path(name)

    def config(self, *disks, name="web1", more=""):
        text = f'name = "{name}"\nmemory = 512\nbootloader = "/usr/bin/pygrub"\n{more}\ndisk = [ '
        text += ", ".join('"' + d + '"' for d in disks) + " ]\n"
        self.path("guest.cfg").write_text(text)
        return self.path("guest.cfg")


@pytest.fixture
def volumes():
    v = Volumes()
    yield v
    shutil.rmtree(v.dir)


def partitions(v):
    """Root, swap and data in odd sizes, as xen-tools would name them."""
    v.ext("root.img", 20 * MIB + 512 * 7, IDS[1], "root")
    v.swap("swap.img", 5 * MIB, IDS[2], "swap0")
    v.ext("data.img", 9 * MIB, IDS[3], kind="ext3")
    return [f"file:{v.path('root.img')},xvda2,w", f"file:{v.path('swap.img')},xvda1,w", f"file:{v.path('data.img')},xvda3,r"]


def one_per_number(v):
    """Numbers with holes and above 4, a second disk, a CD-ROM, a name that a shell would read."""
    v.ext("boot.img", 3 * MIB, IDS[4], "/boot", kind="ext2")
    v.ext("o'brien $(x) .img", 8 * MIB, IDS[5])
    v.filled("tiny.img", 1)
    v.swap("swap.img", 1 * MIB, IDS[6], page=8192)
    v.blank("cd.iso", MIB)
    return [
        f"file:{v.path('boot.img')},sda1,w",
        f"tap:aio:{v.path(chr(111) + chr(39) + 'brien $(x) .img')},sda5,w",
        f"file:{v.path('tiny.img')},sda7,w",
        f"file:{v.path('cd.iso')},hdc:cdrom,r",
        f"file:{v.path('swap.img')},sdb,w",
    ]


def whole(v):
    """A disk with a table of its own, and one without."""
    need("sfdisk")
    v.filled("disk.img", 6 * MIB)
    ok("sfdisk", "-q", v.path("disk.img"), input=b"label: dos\nlabel-id: 0x12345678\n\nstart=2048, size=8192, type=83\n")
    v.filled("odd.img", 1000)
    return [f"file:{v.path('disk.img')},xvda,w", f"file:{v.path('odd.img')},xvdb,w"]


GUESTS = {"partitions": partitions, "numbers": one_per_number, "whole": whole}
OPTIONS = {
    "plain": [],
    "gpt": ["--label", "gpt", "--copy-swap", "--grow-last", "xvda:10M"],
}


def make(v, guest):
    return v.config(*GUESTS[guest](v))


def golden(name, v, text):
    text = text.replace(str(v.dir), DIR)
    text = re.sub(r"[\d.]+ [KMGTP]iB free", "SOME free", text)
    path = FILES / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


CASES = [(g, o) for g in GUESTS for o in OPTIONS if o == "plain" or g == "partitions"]


@pytest.mark.parametrize("guest,options", CASES)
def test_text(volumes, guest, options):
    done = layout(make(volumes, guest), "--dir", volumes.path("new"), *OPTIONS[options])
    assert done.returncode == 0, done.stderr
    golden(f"{guest}-{options}.txt", volumes, done.stdout.decode() + done.stderr.decode())


@pytest.mark.parametrize("guest,options", CASES)
def test_json(volumes, guest, options):
    done = layout(make(volumes, guest), "--json", *OPTIONS[options])
    assert done.returncode == 0 and not done.stderr
    golden(f"{guest}-{options}.json", volumes, done.stdout.decode())


@pytest.mark.parametrize("place", ["dir", "vg"])
@pytest.mark.parametrize("guest,options", CASES)
def test_commands(volumes, guest, options, place):
    fake_vgs(volumes, 1 << 40)
    where = ["--dir", volumes.path("new")] if place == "dir" else ["--vg", "vg0"]
    done = layout(make(volumes, guest), "--commands", *where, *OPTIONS[options], env=path_with(volumes))
    assert done.returncode == 0 and not done.stderr
    golden(f"{guest}-{options}.{place}.sh", volumes, done.stdout.decode())
    if shutil.which("shellcheck"):
        ok("shellcheck", "-s", "sh", "-", input=done.stdout)


def test_every_golden_file_is_used():
    names = {f"{g}-{o}.{x}" for g, o in CASES for x in ("txt", "json", "dir.sh", "vg.sh")}
    assert {p.name for p in FILES.iterdir()} == names


# --- The scripts are run ---


def read_table(disk):
    table = json.loads(ok("sfdisk", "-J", disk))["partitiontable"]
    parts = {int(re.search(r"(\d+)$", p["node"].replace(str(disk), "")).group()): p for p in table["partitions"]}
    return table["label"], parts


def blkid(disk, offset):
    out = ok("blkid", "-p", "-o", "export", "-O", offset, disk).decode()
    return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)


def compare_swap(image, part):
    source, at = part["source"], part["start"] * 512
    found = blkid(image, at)
    assert found["TYPE"] == "swap" and found["UUID"] == source["uuid"] and found.get("LABEL", "") == source["label"]
    data = image.read_bytes()[at : at + part["sectors"] * 512]
    page = source["swap_page"]
    assert data[page - 10 : page] == b"SWAPSPACE2"
    assert int.from_bytes(data[1028:1032], "little") == part["sectors"] * 512 // page - 1
    assert not data[page:].strip(b"\0")


def compare_table(image, disk):
    label, found = read_table(image)
    assert label == {"msdos": "dos", "gpt": "gpt"}[disk["label"]]
    assert set(found) == {p["number"] for p in disk["partitions"]}
    for p in disk["partitions"]:
        got = found[p["number"]]
        assert (got["start"], got["size"], got.get("bootable", False)) == (p["start"], p["sectors"], p["boot"])
        assert got["type"].lower() == p["type"].lower()


def compare(image, disk):
    """The image is what the plan says, to the byte."""
    if disk["label"] != "whole":
        compare_table(image, disk)
    data = bytearray(image.read_bytes())
    for p in disk["partitions"]:
        if p["fill"] == "copy":
            source = pathlib.Path(p["source"]["path"]).read_bytes()
            assert data[p["start"] * 512 : p["start"] * 512 + len(source)] == source
        elif p["fill"] == "swap":
            compare_swap(image, p)
            page = p["start"] * 512
            data[page : page + p["source"]["swap_page"]] = bytes(p["source"]["swap_page"])
    if disk["label"] != "whole":
        data[:17408] = bytes(17408)  # the table, and of GPT
        data[-16896:] = bytes(16896)  # its second copy
    for z in disk["zeroes"]:
        assert not bytes(data[z["start"] : z["start"] + z["bytes"]]).strip(b"\0"), z


@pytest.mark.parametrize("guest,options", CASES)
def test_script_for_files(volumes, guest, options):
    need("sfdisk", "mkswap", "blkid", "truncate")
    config = make(volumes, guest)
    before = {p: p.read_bytes() for p in volumes.dir.glob("*.img")}
    plan = json.loads(layout(config, "--json", *OPTIONS[options]).stdout)
    script = layout(config, "--commands", "--dir", volumes.path("new"), *OPTIONS[options]).stdout
    ok("sh", input=script, cwd=volumes.dir)
    for disk in plan["disks"]:
        image = volumes.path("new") / f"{disk['name']}.img"
        assert image.stat().st_size == disk["sectors"] * 512 and image.stat().st_mode & 0o777 == 0o600
        compare(image, disk)
    assert before == {p: p.read_bytes() for p in volumes.dir.glob("*.img")}
    # And it makes nothing twice.
    again = run("sh", input=script)
    assert again.returncode == 1 and b"exists already" in again.stderr


def loop_device(path):
    done = run("losetup", "--find", "--show", path)
    if done.returncode:
        pytest.skip("no loop devices: " + done.stderr.decode().strip())
    return done.stdout.decode().strip()


@pytest.mark.parametrize("guest,options", CASES)
def test_script_for_volumes(volumes, guest, options):
    """What was in the extents before is nowhere to be seen; lvcreate is made up, and rounds up."""
    need("sfdisk", "mkswap", "blkid", "blkdiscard", "losetup")
    fake_vgs(volumes, 1 << 40)
    config = make(volumes, guest)
    plan = json.loads(layout(config, "--json", *OPTIONS[options]).stdout)
    script = layout(config, "--commands", "--vg", "vg0", *OPTIONS[options], env=path_with(volumes)).stdout.decode()
    loops = []
    (volumes.path("bin") / "lvcreate").write_text(f"#!/bin/sh\necho \"$@\" >>{volumes.path('lvcreate.log')}\n")
    (volumes.path("bin") / "lvcreate").chmod(0o755)
    try:
        for disk in plan["disks"]:
            image = volumes.path("new") / disk["name"]
            image.write_bytes(b"\xaa" * (-(-disk["sectors"] * 512 // (4 * MIB)) * 4 * MIB))
            loops.append(loop_device(image))
            assert script.count(f"disk=/dev/vg0/{disk['name']}\n") == 1
            script = script.replace(f"disk=/dev/vg0/{disk['name']}\n", f"disk={loops[-1]}\n")
        ok("sh", input=script.encode(), env=path_with(volumes))
    finally:
        for loop in loops:
            run("losetup", "--detach", loop)
    for disk in plan["disks"]:
        image = volumes.path("new") / disk["name"]
        tail = image.read_bytes()[disk["sectors"] * 512 :]
        assert b"\xaa" * 16 not in tail
        disk["zeroes"] = [z for z in disk["zeroes"] if z["start"] + z["bytes"] < disk["sectors"] * 512]
        compare(image, disk)
        assert f"--name {disk['name']} --size {disk['sectors'] * 512}b vg0" in volumes.path("lvcreate.log").read_text()


def test_script_over_ssh(volumes):
    config = make(volumes, "numbers")
    plan = json.loads(layout(config, "--json").stdout)
    ssh = fake_ssh(volumes)
    script = layout(config, "--commands", "--dir", volumes.path("new"), "--from", "xen 1", "--ssh", ssh, "--remote-bridgectl", BRIDGECTL)
    assert script.returncode == 0, script.stderr
    if shutil.which("shellcheck"):
        ok("shellcheck", "-s", "sh", "-", input=script.stdout)
    ok("sh", input=script.stdout)
    for disk in plan["disks"]:
        compare(volumes.path("new") / f"{disk['name']}.img", disk)
    # A source that is shorter over there than it was.
    shutil.rmtree(volumes.path("new"))
    volumes.path("new").mkdir()
    os.truncate(volumes.path("boot.img"), 2 * MIB)
    done = run("sh", input=script.stdout)
    assert done.returncode == 1 and b"differs from its source" not in done.stdout


# --- Another host ---


def fake_ssh(volumes):
    """ssh HOST COMMAND, without a network; what it was called with is kept."""
    path = volumes.path("ssh")
    path.write_text(f'#!/bin/sh\necho "$1 $2" >>{volumes.path("ssh.log")}\nexec sh -c "$2"\n')
    path.chmod(0o755)
    return path


def test_another_host(volumes):
    config = make(volumes, "partitions")
    words = ["--copy-swap", "--label", "gpt", "--grow-last=xvda:1M"]
    here = layout(config, "--json", *words)
    there = layout(config, "--json", "--from", "xen1", "--ssh", fake_ssh(volumes), "--remote-bridgectl", BRIDGECTL, *words)
    assert there.returncode == 0, there.stderr
    assert json.loads(here.stdout) == json.loads(there.stdout)
    log = volumes.path("ssh.log").read_text()
    assert log == f"xen1 {BRIDGECTL} disk layout - --json --label=gpt --copy-swap --grow-last=xvda:1M\n"
    # The configuration on standard input, the keys that may go, and words for a shell there.
    with open(config, "ab") as f:
        f.write(b"tsc_mode = 2\n")
    more = ["--from", "xen1", "--ssh", f"{fake_ssh(volumes)}", "--remote-bridgectl", BRIDGECTL, "--accept-loss", "tsc_mode"]
    done = layout("-", *more, "--accept-loss", "$(touch x)", stdin=open(config, "rb"))
    assert '--accept-loss=tsc_mode --accept-loss="\\$(touch x)"' in volumes.path("ssh.log").read_text(), done.stderr


@pytest.mark.parametrize(
    "answer,words",
    [
        ("exit 255", "xen1: it failed without a word"),
        ("echo 'Permission denied (publickey).' >&2; exit 255", "xen1: Permission denied (publickey)."),
        ("echo 'bridgectl: xvda1: no such thing' >&2; exit 1", "bridgectl: xen1: xvda1: no such thing"),
        ("printf 'ssh: no such host\\r\\n' >&2; exit 255", "bridgectl: xen1: ssh: no such host\n"),
        (
            "for i in 1 2 3 4 5 6; do echo 'standard input:4:8: warning: no mac: Xen made a new one up' >&2; done;"
            "echo '    vif = []' >&2; echo 'bridgectl: xvdb1: no such thing' >&2; echo cut >&2; exit 1",
            "bridgectl: xen1: xvdb1: no such thing\n",
        ),
        ("exec /nowhere/bridgectl 2>/dev/null", "there is no bridgectl; see --remote-bridgectl"),
        ("echo hello", "gave no plan; is it of another version?"),
        ("true", "gave no plan"),
        ("echo '{}'", 'its plan makes no sense: "plan" is missing'),
        ('echo \'{"plan":1,"plan":1}\'', "gave no plan"),
    ],
)
def test_another_host_fails(volumes, answer, words):
    config = make(volumes, "partitions")
    volumes.path("ssh").write_text(f"#!/bin/sh\n{answer}\n")
    volumes.path("ssh").chmod(0o755)
    done = layout(config, "--from", "xen1", "--ssh", volumes.path("ssh"))
    assert done.returncode == 1 and not done.stdout
    assert words in done.stderr.decode(), done.stderr


def test_another_host_asks_for_a_password(volumes):
    """At the terminal: a process group in the background would be stopped there."""
    config = make(volumes, "partitions")
    script = "read word </dev/tty\n[ \"$word\" = open ] || exit 255\n" + f'exec {BRIDGECTL} disk layout -'
    volumes.path("ssh").write_text(f"#!/bin/sh\n{script} --json\n")
    volumes.path("ssh").chmod(0o755)
    pid, terminal = pty.fork()
    if not pid:
        os.execve(BRIDGECTL, [BRIDGECTL, "disk", "layout", str(config), "--from", "x", "--ssh", str(volumes.path("ssh"))], ENV)
    os.write(terminal, b"open\n")
    text, until = b"", time.monotonic() + 20
    while select.select([terminal], [], [], max(0, until - time.monotonic()))[0]:
        try:
            text += os.read(terminal, 65536)
        except OSError:  # its end
            break
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, text
    assert b"web1-disk" in text


# --- Room ---


def path_with(volumes):
    return ENV | {"PATH": f"{volumes.path('bin')}:{ENV['PATH']}"}


def fake_vgs(volumes, free, extent=4 * MIB, text=None, code=0):
    row = {"vg_name": "vg0", "vg_free": str(free), "vg_extent_size": str(extent)}
    text = json.dumps({"report": [{"vg": [row]}]}) if text is None else text
    volumes.path("bin").mkdir(exist_ok=True)
    path = volumes.path("bin") / "vgs"
    path.write_text(f"#!/bin/sh\ncat <<'X'\n{text}\nX\nexit {code}\n")
    path.chmod(0o755)


def test_volume_group(volumes):
    config = make(volumes, "partitions")
    for extent, needed in ((4 * MIB, 40 * MIB), (32 * MIB, 64 * MIB)):
        fake_vgs(volumes, needed, extent)
        done = layout(config, "--vg", "vg0", "--json", env=path_with(volumes))
        assert done.returncode == 0, done.stderr
        space = json.loads(done.stdout)["space"]
        assert space == {"place": "vg0", "needed": needed, "free": needed, "fits": True, "sparse": False, "exists": []}
        fake_vgs(volumes, needed - extent, extent)
        done = layout(config, "--vg", "vg0", env=path_with(volumes))
        assert done.returncode == 1
        assert b"are missing\n" in done.stdout and done.stderr == b"bridgectl: volume group vg0 has not enough room\n"


def test_over_commit(volumes):
    try:
        volumes.blank("huge.img", 1 << 43)
    except OSError as e:
        pytest.skip(f"no sparse file of 8 TiB: {e}")
    config = volumes.config(f"file:{volumes.path('huge.img')},xvda1,w")
    done = layout(config, "--dir", volumes.path("new"))
    assert done.returncode == 0
    assert re.search(r": up to 8.00 TiB needed as the files fill, .* free: over-committed by .*\n", done.stdout.decode())
    assert not json.loads(layout(config, "--dir", volumes.path("new"), "--json").stdout)["space"]["fits"]
    # The script is whole; the warning is elsewhere.
    done = layout(config, "--dir", volumes.path("new"), "--commands")
    assert done.returncode == 0 and b"over-committed" in done.stderr and b"over-committed" not in done.stdout


def test_what_is_there_already(volumes):
    config = make(volumes, "partitions")
    (volumes.path("new") / "web1-disk.img").write_bytes(b"")
    done = layout(config, "--dir", volumes.path("new"))
    assert done.returncode == 0 and b"/new/web1-disk.img exists already" in done.stdout


def test_a_relative_folder(volumes):
    config = make(volumes, "partitions")
    done = layout(config, "--dir", ".", "--json", cwd=volumes.path("new"))
    assert json.loads(done.stdout)["space"]["place"] == str(volumes.path("new"))


# --- What is refused, and nothing is written ---


@pytest.mark.parametrize(
    "words,code,message",
    [
        (["--label", "bsd"], 2, '--label takes msdos or gpt, not "bsd"'),
        (["--grow-last", "10GB"], 2, '--grow-last takes a size as 10G, 512M or 4096s, not "10GB"'),
        (["--grow-last", "0"], 2, "--grow-last takes a size"),
        (["--grow-last", ":1G"], 2, "--grow-last: no such disk"),
        (["--grow-last", "xvdz:1G"], 1, "--grow-last: the guest has no disk xvdz"),
        (["--vg", "a", "--dir", "/tmp"], 2, "--vg and --dir: only one of them"),
        (["--dir", "/nowhere"], 2, "/nowhere: No such file or directory"),
        (["--dir", "/dev/null"], 1, "/dev/null is not a folder on this host"),
        (["--vg", "../x"], 1, '"../x" is no name of a volume group'),
        (["--from", "-oProxyCommand=x"], 2, "--from takes the name of a host"),
        (["--from", "x", "--ssh", " "], 1, "--ssh: no command"),
        (["--from", "x", "--ssh", "/nowhere/ssh"], 1, "cannot ask x: /nowhere/ssh: No such file"),
        (["--commands"], 2, "--commands needs a place for the disks"),
        (["--commands", "--json", "--dir", "/tmp"], 2, "--commands and --json: only one of them"),
    ],
)
def test_wrong_options(volumes, words, code, message):
    done = layout(make(volumes, "partitions"), *words)
    assert done.returncode == code and not done.stdout
    assert message in done.stderr.decode(), done.stderr


@pytest.mark.parametrize(
    "text,code,message",
    [
        ("", 5, "volume group vg0"),
        ("{}", 0, "vgs gave no answer that can be read"),
        ('{"report":[{"vg":[{"vg_free":"x","vg_extent_size":"1"}]}]}', 0, "vgs gave no answer"),
        ('{"report":[{"vg":[{"vg_free":"1","vg_extent_size":"0"}]}]}', 0, "vgs gave no answer"),
    ],
)
def test_bad_answers_of_vgs(volumes, text, code, message):
    fake_vgs(volumes, 0, text=text, code=code)
    done = layout(make(volumes, "partitions"), "--vg", "vg0", env=path_with(volumes))
    assert done.returncode == 1 and message in done.stderr.decode()


def test_no_vgs(volumes):
    config = make(volumes, "partitions")
    done = layout(config, "--vg", "vg0", env=ENV | {"PATH": str(volumes.dir)})
    assert done.returncode == 1 and b"there is no vgs on this host: install lvm2" in done.stderr


@pytest.mark.parametrize(
    "disks,message",
    [
        ([], "the guest has no disks to copy"),
        (["file:@/none.img,xvda1,w"], "xvda1: @/none.img does not exist on this host; --from HOST asks"),
        (["file:@/new,xvda1,w"], "xvda1: @/new is neither a block device nor a regular file"),
        (["file:@/empty.img,xvda1,w"], "xvda1: @/empty.img is empty"),
        (["tap:qcow2:@/tiny.img,xvda1,w"], "xvda1: @/tiny.img is a qcow2 image; make it raw first"),
        (["drbd:nothing,xvda1,w"], "xvda1: DRBD resource nothing is not up on this host (/dev/drbd/by-res/nothing)"),
        (["file:@/tiny.img,xvda1,w", "file:@/tiny.img,xvda2,w"], "is the source of another one, too"),
        (["file:@/tiny.img,xvda129,w"], "xvda129: a partition table has numbers from 1 to 128"),
        (["file:@/asleep.img,xvda1,w"], "xvda1: swap @/asleep.img holds the memory of a guest that hibernates"),
        (["file:@/tiny.img,xvda,w", "file:@/tiny.img,xvda1,w"], "xvda"),
        (["file:tiny.img,xvda1,w"], "xvda1"),
    ],
)
def test_refused_guests(volumes, disks, message):
    volumes.blank("empty.img", 0)
    volumes.blank("tiny.img", 512)
    volumes.swap("asleep.img", MIB, IDS[7])
    with open(volumes.path("asleep.img"), "r+b") as f:
        f.seek(4086)
        f.write(b"S1SUSPEND\0")
    config = volumes.config(*(d.replace("@", str(volumes.dir)) for d in disks))
    done = layout(config)
    assert done.returncode == 1 and not done.stdout
    assert message.replace("@", str(volumes.dir)) in done.stderr.decode(), done.stderr


def test_two_names_of_one_volume(volumes):
    volumes.blank("one.img", MIB)
    volumes.path("two.img").symlink_to(volumes.path("one.img"))
    os.link(volumes.path("one.img"), volumes.path("three.img"))
    for name in "two.img", "three.img":
        config = volumes.config(f"file:{volumes.path('one.img')},xvda1,w", f"file:{volumes.path(name)},xvda2,w")
        done = layout(config)
        assert done.returncode == 1 and not done.stdout
        assert f"xvda2: {volumes.path(name)} is the source of another one, too" in done.stderr.decode()
        assert f"by the name of {volumes.path('one.img')}\n" in done.stderr.decode()


@pytest.mark.parametrize("magic,kind", [(b"QFI\xfb", "qcow2"), (b"KDMV", "vmdk"), (b"QFI", None)])
def test_an_image_that_is_called_raw(volumes, magic, kind):
    volumes.blank("some.img", MIB)
    with open(volumes.path("some.img"), "r+b") as f:
        f.write(magic)
    notes = json.loads(layout(volumes.config(f"file:{volumes.path('some.img')},xvda,w"), "--json").stdout)["notes"]
    said = [n for n in notes if "image does" in n]
    assert len(said) == (kind is not None)
    assert not said or f"begins as a {kind} image does" in said[0]


def test_broken_files(volumes):
    done = layout(volumes.path("none.cfg"))
    assert done.returncode == 1 and b"No such file" in done.stderr
    done = layout(volumes.dir)
    assert done.returncode == 1 and b"is a folder" in done.stderr
    config = volumes.config(more="disk = [ 'x'")
    done = layout(config)
    assert done.returncode == 1 and not done.stdout and b"guest.cfg:" in done.stderr
    config = make(volumes, "partitions")
    config.write_text(config.read_text() + "tsc_mode = 2\n")
    done = layout(config)
    assert done.returncode == 1 and b"--accept-loss tsc_mode" in done.stderr
    assert layout(config, "--accept-loss", "tsc_mode").returncode == 0


def test_a_source_in_use(volumes):
    """Somebody has the device for himself, as a mount has it, and is writing to it."""
    need("losetup")
    loop = loop_device(volumes.ext("root.img", 8 * MIB, IDS[1]))
    try:
        fd = os.open(loop, os.O_RDWR | os.O_EXCL)
        os.pwrite(fd, b"x" * 4096, 5 * MIB)
        config = volumes.config(f"phy:{loop},xvda1,w")
        plan = json.loads(layout(config, "--json").stdout)
        os.close(fd)
    finally:
        run("losetup", "--detach", loop)
    source = plan["disks"][0]["partitions"][0]["source"]
    assert (source["path"], source["bytes"], source["type"], source["uuid"]) == (loop, 8 * MIB, "ext4", IDS[1])


def test_nothing_is_written(volumes):
    need("strace")
    if b"__asan_init" in pathlib.Path(BRIDGECTL).read_bytes():
        pytest.skip("a sanitizer writes files of its own, and cannot look for leaks when traced")
    config = make(volumes, "numbers")
    log = volumes.path("trace")
    trace = ["strace", "-f", "-o", log, "-e", "trace=open,openat,creat,unlink,rename,mkdir,pwrite64,ioctl"]
    done = run(*trace, BRIDGECTL, "disk", "layout", config, "--dir", volumes.path("new"))
    if b"ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    text = log.read_text()
    assert done.returncode == 0 and ".img" in text
    assert not re.search(r"O_WRONLY|O_RDWR|O_CREAT|O_EXCL|pwrite|unlink|rename|mkdir|creat\(", text)
