"""`bridgectl domain convert`: the files of tests/golden/domain and its own -> tests/golden/domain_convert/NAME.out, XML and messages.

UPDATE_GOLDEN=1 writes them anew; read the difference before committing it.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import guest_trees  # noqa: E402

OUT = HERE / "domain_convert"
BRIDGECTL = os.environ.get("BRIDGECTL", str(ROOT / "bridgectl" / "bridgectl"))
CFGS = {p.stem: p for folder in ("domain", "domain_convert") for p in sorted((HERE / folder).glob("*.cfg"))}
SCHEMA = pathlib.Path("/usr/share/libvirt/schemas/domain.rng")


def accept(*keys):
    return [word for key in keys for word in ("--accept-loss", key)]


WORDS = {
    "accepted": accept("disk.backend", "vif.accel", "vtpm", "cpuid", "memroy", "unused", "pci") + ["--bridge", "br0"],
    "hvm": ["--dir", "/srv/vm", "--bridge", "xenbr0=br-sv"],
    "hvm-all": accept("pci", "channel", "serial", "usbdevice", "vif.script", "vif.model"),
    "hvm-pc": ["--bus", "virtio", "--machine", "pc", "--type", "qemu"],
    "pv-file": ["--mac", "0=00:16:3E:01:02:03", "--bridge", "br0"],
    "pvh-kernel": accept("tsc_mode") + ["--bridge", "xenbr0=br-sv"],
    "pv-xentools": ["--bridge", "br0", "--bus", "scsi", "--machine", "q35"],
    "vifs": ["--mac=2=00:16:3e:00:00:12", "--mac=3=00:16:3e:00:00:13", "--mac=5=00:16:3e:00:00:15", "--bridge", "br2=br-two", "--bridge", "br-x", *accept("vif.script")],
}
PLACE = ["--vg", "vg1"]


def convert(*words, stdin=None, cwd=None):
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LC_ALL", "LC_CTYPE", "LANG")}
    return subprocess.run(
        [BRIDGECTL, "domain", "convert", *map(str, words)], input=stdin, capture_output=True, timeout=60, check=False, cwd=cwd, env=env
    )


def words_of(name):
    words = WORDS.get(name, [])
    return words if "--dir" in words else [*PLACE, *words]


def convert_named(name, *more):
    return convert(CFGS[name].name, *words_of(name), *more, cwd=CFGS[name].parent)


def is_good(path):
    return path.exists() and path.read_text().endswith("--- exit code 0\n")


GOOD = [name for name in CFGS if is_good(OUT / f"{name}.out")]


@pytest.mark.parametrize("name", CFGS)
def test_text(name):
    done = convert_named(name, "-v")
    text = f"{done.stdout.decode()}--- messages\n{done.stderr.decode()}--- exit code {done.returncode}\n"
    assert (done.returncode == 0) == bool(done.stdout)
    assert b"topsecret" not in done.stdout
    if os.environ.get("UPDATE_GOLDEN"):
        (OUT / f"{name}.out").write_text(text)
    assert text == (OUT / f"{name}.out").read_text()


def test_every_name_has_its_files():
    assert {p.stem for p in OUT.iterdir()} == set(CFGS)
    assert len(GOOD) > 15


@pytest.mark.parametrize("name", GOOD)
def test_libvirts_schema(name, tmp_path):
    if not SCHEMA.exists() or not shutil.which("xmllint"):
        pytest.skip(f"no xmllint or no {SCHEMA}")
    (tmp_path / "x.xml").write_bytes(convert_named(name).stdout)
    done = subprocess.run(
        ["xmllint", "--noout", "--relaxng", SCHEMA, tmp_path / "x.xml"], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def without_surroundings(xml):
    """Taps, UEFI's files and cgroups are the host's; what is left does not depend on it."""
    root = ET.fromstring(xml)
    root.set("type", "qemu")
    root.find("cpu").set("mode", "maximum")
    root.find("os").attrib.pop("firmware", None)
    for quota in root.findall("cputune"):
        root.remove(quota)
    for vif in root.findall("devices/interface"):
        root.find("devices").remove(vif)
    return ET.tostring(root)


def test_libvirts_qemu_driver():
    """It takes the definitions, and finds a command line for QEMU for each. As nobody, in a folder of its own."""
    if not shutil.which("virsh") or not shutil.which("qemu-system-x86_64") or not shutil.which("setpriv"):
        pytest.skip("no virsh, no qemu-system-x86_64 or no setpriv")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        virsh = ["virsh", "-q", "-c", f"qemu:///embed?root={folder}/home/root"]
        os.mkdir(f"{folder}/home")
        if os.geteuid() == 0:
            os.chown(f"{folder}/home", 65534, 65534)
            virsh = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *virsh]
        env = os.environ | {"HOME": f"{folder}/home", "XDG_RUNTIME_DIR": f"{folder}/home", "XDG_CONFIG_HOME": f"{folder}/home"}
        commands = []
        for name in GOOD:
            xml = convert_named(name).stdout
            taken = re.search(rb"<name>(.*)</name>", xml).group(1).decode()
            pathlib.Path(f"{folder}/{name}.xml").write_bytes(xml.replace(b'type="kvm"', b'type="qemu"').replace(b"host-model", b"maximum"))
            pathlib.Path(f"{folder}/{name}.bare.xml").write_bytes(without_surroundings(xml))
            commands += [f"define {folder}/{name}.xml", f"undefine {taken} --nvram", f"domxml-to-native qemu-argv {folder}/{name}.bare.xml"]
        done = subprocess.run([*virsh, "; ".join(commands)], env=env, capture_output=True, timeout=120, check=False)
    errors = re.findall(r"^error: .*", done.stderr.decode(), re.M)
    if any("failed to connect" in e for e in errors):
        pytest.skip(f"no QEMU driver: {errors[-1]}")
    assert (errors, done.stdout.decode().count("isa-serial")) == ([], len(GOOD))


def words_of_show(name):
    words = WORDS.get(name, [])
    return [w for i, w in enumerate(words) if w == "--accept-loss" or (i and words[i - 1] == "--accept-loss")]


def check_rules(root):
    """What libvirt refuses at define and the schema does not."""
    devices = root.find("devices")
    targets = [t.get("dev") for t in devices.iterfind("disk/target")]
    assert len(targets) == len(set(targets))
    orders = sorted(int(b.get("order")) for b in root.iter("boot"))
    assert orders == list(range(1, len(orders) + 1))
    machine = root.find("os/type").get("machine")
    for disk in devices.iterfind("disk"):
        bus = disk.find("target").get("bus")
        assert bus != "ide" or machine == "pc"
        assert disk.get("device") == "cdrom" or bus not in ("ide", "sata") or disk.find("readonly") is None
        assert disk.get("device") == "cdrom" or disk.find("source") is not None
    assert sum(d.find("target").get("bus") == "ide" for d in devices.iterfind("disk")) <= 4
    assert int(root.find("vcpu").get("current", root.find("vcpu").text)) <= int(root.find("vcpu").text)
    assert root.find("on_poweroff").text in ("destroy", "restart")
    assert root.find("on_reboot").text in ("destroy", "restart")
    for video in devices.iterfind("video/model"):
        vram = int(video.get("vram", "1024"))
        assert vram >= 1024 and vram & (vram - 1) == 0


@pytest.mark.parametrize("name", GOOD)
def test_json_and_rules(name):
    plain = convert_named(name).stdout.decode()
    got = json.loads(convert_named(name, "--json").stdout)
    assert got["ok"] and got["xml"] == plain
    root = ET.fromstring(plain)
    check_rules(root)
    choices = got["choices"]
    assert root.findtext("name") == choices["name"]
    assert [v["mac"] for v in choices["vifs"]] == [m.get("address") for m in root.iterfind("devices/interface/mac")]
    assert [d["target"] for d in choices["disks"]] == [t.get("dev") for t in root.iterfind("devices/disk/target")]
    assert int(root.findtext("currentMemory")) << 20 == choices["memory_bytes"]
    shown = json.loads(subprocess.run([BRIDGECTL, "--json", "domain", "show", CFGS[name], *words_of_show(name)], capture_output=True, check=False).stdout)
    for mine, theirs in zip(choices["vifs"], shown["guest"]["vifs"], strict=True):
        assert theirs["mac"] in (None, mine["mac"])


def test_errors_as_json():
    got = json.loads(convert_named("refused", "--json").stdout)
    assert not got["ok"] and got["xml"] is None and got["choices"] is None
    assert any(not lost["accepted"] for lost in got["not_carried"])
    got = json.loads(convert(CFGS["vifs"], *PLACE, "--bridge", "x", "--json").stdout)
    assert {m["line"] for m in got["messages"] if m["severity"] == "error"} == {8, 9, 10, 11}


CFG = "name='g'\nmemory=64\nkernel='/k'\nvif=['mac=00:16:3e:00:00:01,bridge=br0']\ndisk=['phy:vg0/g,xvda,w']\n"


@pytest.mark.parametrize(
    "words, code, told",
    [
        ([], 1, "the guest has disks: say where the new ones are, --vg VG or --dir DIR"),
        ([*PLACE, "--dir", "/srv"], 2, "only one of them"),
        (["--vg", "a b"], 2, "no name of a volume group"),
        (["--dir", "not/here"], 2, "a folder of another host needs an absolute path"),
        ([*PLACE, "--bus", "usb"], 2, "--bus takes virtio, sata, scsi or ide"),
        ([*PLACE, "--machine", "pc-1.0"], 2, "--machine takes pc or q35"),
        ([*PLACE, "--type", "xen"], 2, "--type takes kvm or qemu"),
        ([*PLACE, "--bridge", "=x"], 2, "--bridge takes OLD=NEW"),
        ([*PLACE, "--bridge", "x="], 2, "--bridge takes OLD=NEW"),
        ([*PLACE, "--bridge", "a", "--bridge", "b"], 2, "two names for all others"),
        ([*PLACE, "--bridge", "a=b", "--bridge", "a=c"], 2, "two names for a"),
        ([*PLACE, "--bridge", "br9=x"], 1, "no interface is on a bridge br9"),
        ([*PLACE, "--bridge", "br0=0123456789abcdef"], 1, "too long"),
        ([*PLACE, "--bridge", "br0=a/b"], 1, '"a/b" is no name of a bridge'),
        ([*PLACE, "--bridge", "br0=a:b"], 1, '"a:b" is no name of a bridge'),
        ([*PLACE, "--mac", "00:16:3e:00:00:02"], 2, "--mac takes N=MAC"),
        ([*PLACE, "--mac", "0=01:16:3e:00:00:02"], 2, "even first byte"),
        ([*PLACE, "--mac", "0=00:16:3e:00:00:02,bridge=x"], 2, "no MAC address"),
        ([*PLACE, "--mac", "0=00:16:3e:00:00:02"], 1, "has a mac already"),
        ([*PLACE, "--mac", "7=00:16:3e:00:00:02"], 1, "no interface 7"),
        ([*PLACE, "--mac", "7=00:16:3e:00:00:02", "--mac", "7=00:16:3e:00:00:03"], 2, "two for interface 7"),
        ([*PLACE, "--bus", "ide", "--machine", "q35"], 1, "q35 has no IDE"),
        ([*PLACE, "--force"], 2, "without --output"),
    ],
)
def test_options(words, code, told):
    done = convert("-", *words, stdin=CFG.encode())
    assert (done.returncode, done.stdout) == (code, b"")
    assert told in done.stderr.decode()


@pytest.mark.parametrize(
    "line, told",
    [
        ("memory=None", "6:1: how much memory the guest has is not said" ),
        ("vcpus=4\nmaxvcpus=2", "maxvcpus is less than vcpus"),
        ("on_poweroff='restart'\non_reboot='destroy'", "nothing that libvirt can do"),
        ("pci=['01:00.0']", "pci would be lost"),
        ("type='hvm'\nkernel=None\nusbdevice='host:1234:5678'", "usbdevice would be lost"),
        ("channel=['name=x,connection=pty']", "channel would be lost"),
        ("serial=['pty','pty']", "more than one serial port"),
        ("type='hvm'\nkernel=None\nserial='file:/tmp/x'", "where the serial port leads"),
        ("vif=['mac=00:16:3e:00:00:01,bridge=b,rate=fast']", "'fast' is no rate"),
        ("vif=['mac=00:16:3e:00:00:01,bridge=b,mtu=1']", "'1' is no MTU"),
        ("vif=['mac=00:16:3e:00:00:01,bridge=b,vifname=a/b']", "no name of an interface"),
        ("vif=['bridge=b']", "take that of the running guest (xl or xm network-list g) with --mac 0=MAC"),
        ("vif=['mac=00:16:3e:00:00:01']", "--bridge NAME"),
        ("type='hvm'\nkernel=None\ndisk=['phy:vg0/g,hda,r']", "hda is read-only"),
        ("type='hvm'\nkernel=None\nvif=['mac=00:16:3e:00:00:01,bridge=b,model=i82551']", "no such network card"),
        ("type='hvm'\nkernel=None\nbios='/my/bios'", "firmware would be lost"),
        ("type='hvm'\nkernel=None\nsoundhw='x'", "soundhw would be lost"),
        ("type='hvm'\nkernel=None\nvga='x'", "vga would be lost"),
    ],
)
def test_errors(line, told):
    done = convert("-", *PLACE, stdin=(CFG + line).encode())
    assert (done.returncode, done.stdout) == (1, b"")
    assert told in done.stderr.decode()


@pytest.mark.parametrize(
    "rate, average", [("10Mb/s", 1250), ("1MB/s@20ms", 1000), ("1GB/s", 1000000), ("1b/s", 1), ("800Kb/s", 100), ("1500B/s", 2)]
)
def test_rates(rate, average):
    done = convert("-", *PLACE, stdin=CFG.replace("bridge=br0", f"bridge=br0,rate={rate}").encode())
    bandwidth = ET.fromstring(done.stdout).find("devices/interface/bandwidth")
    assert [(b.tag, b.get("average")) for b in bandwidth] == [("outbound", str(average))]


def test_output_file(tmp_path):
    path = tmp_path / "g.xml"
    xml = convert("-", *PLACE, stdin=CFG.encode()).stdout
    assert convert("-", *PLACE, "-o", path, stdin=CFG.encode()).stdout == b""
    assert path.read_bytes() == xml
    path.write_text("mine")
    done = convert("-", *PLACE, "-o", path, stdin=CFG.encode())
    assert done.returncode == 1 and b"--force writes over it" in done.stderr and path.read_text() == "mine"
    assert convert("-", *PLACE, "-o", path, "--force", stdin=(CFG + "pci=['1']").encode()).returncode == 1
    assert path.read_text() == "mine"
    assert convert("-", *PLACE, "-o", path, "--force", stdin=CFG.encode()).returncode == 0
    assert path.read_bytes() == xml
    assert convert("-", *PLACE, "-o", tmp_path / "no" / "g.xml", stdin=CFG.encode()).returncode == 1
    assert [p.name for p in tmp_path.iterdir()] == ["g.xml"]


def test_characters():
    text = CFG.replace("phy:vg0/g", "file:/srv/g").encode() + 'description="<a> & \'b\' \u00e4"\n'.encode()
    done = convert("-", "--dir", '/srv/<"&>\u00e9', stdin=text)
    root = ET.fromstring(done.stdout)
    assert root.findtext("description") == "<a> & 'b' \u00e4"
    assert root.find("devices/disk/source").get("file") == '/srv/<"&>\u00e9/g-disk.img'
    # What is no UTF-8 does not get past the command line; in the file it does.
    for bad in (b"/srv/\x01", b"/srv/\xef\xbf\xbf"):
        done = convert("-", "--dir", os.fsdecode(bad), stdin=CFG.encode())
        assert (done.returncode, done.stdout) == (1, b"") and b"XML cannot hold" in done.stderr
    for bad in (b"\xff", b"\xed\xa0\x80"):
        done = convert("-", *PLACE, stdin=CFG.encode() + b"disk=['file:/i" + bad + b",xvdz:cdrom,r']\n")
        assert (done.returncode, done.stdout) == (1, b"") and b"XML cannot hold" in done.stderr


def test_disks_are_those_of_the_layout(tmp_path):
    """The same names and order as disk layout, which looks at the sources, too."""
    names = ["xvdc", "xvda1", "xvda2", "sdb"]
    for name in names:
        (tmp_path / name).write_bytes(b"\0" * 1048576)
    disks = ", ".join(f"'file:{tmp_path}/{name},{name},w'" for name in names)
    text = f"name='g'\nmemory=64\nkernel='/k'\ndisk=[{disks}, ',hdd:cdrom,r']\n".encode()
    plan = subprocess.run([BRIDGECTL, "disk", "layout", "-", "--json"], input=text, capture_output=True, check=True)
    plan = json.loads(plan.stdout)["disks"]
    got = json.loads(convert("-", "--dir", tmp_path, "--json", stdin=text).stdout)["choices"]["disks"]
    assert [(d["target"], d["path"]) for d in got if not d["cdrom"]] == [(d["target"], f"{tmp_path}/{d['name']}.img") for d in plan]
    # Xen started from the first string.
    assert [d["target"] for d in got if d["boot"] == 1] == ["vdc"]


def test_every_key_is_in_the_chapter():
    """doc/domains.md says what becomes of each key that is read."""
    text = (ROOT / "doc/domains.md").read_text()
    for key in re.findall(r'^\t\{ "(\w+)", USED,', (ROOT / "bridgectl/domain/xl_keys.c").read_text(), re.M):
        assert f"`{key}`" in text, key


def disk_of(tmp_path, tree, drop=None):
    """A disk as `disk create` and `disk copy` leave it, with a made-up guest in its one partition."""
    for tool in ("mke2fs", "sfdisk"):
        if not shutil.which(tool):
            pytest.skip(f"no {tool}")
    folder = guest_trees.build(tree, tmp_path / tree)
    for path in folder.glob(drop) if drop else ():
        path.unlink()
    disk, partition = tmp_path / "g-disk.img", tmp_path / "partition"
    partition.write_bytes(b"")
    os.truncate(partition, 64 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext3", "-d", folder, partition], check=True, capture_output=True)
    disk.write_bytes(bytes(1 << 20) + partition.read_bytes() + bytes(1 << 20))
    subprocess.run(["sfdisk", "-q", "--label=dos", disk], input=b"2048,131072,83,*\n", check=True, capture_output=True)


def convert_disk(tmp_path, *words):
    text = b"name='g'\nmemory=256\nbootloader='pygrub'\ndisk=['phy:/dev/vg/x,xvda1,w']\n"
    done = convert("-", "--dir", tmp_path, "--json", "-v", *words, stdin=text)
    choices = json.loads(done.stdout)["choices"]
    return done, choices and (choices["machine"], choices["disks"][0]["bus"])


@pytest.mark.parametrize(
    ("tree", "words", "chosen", "said"),
    [
        ("debian12", [], ("q35", "virtio"), b"the initramfs of 6.1.0-18-amd64 has its driver"),
        ("debian12", ["--inspect=yes", "--machine=pc"], ("pc", "virtio"), b"the initramfs of 6.1.0-18-amd64 has its"),
        ("debian12", ["--inspect=no"], ("pc", "virtio"), b"is not looked at"),
        ("centos6", [], ("pc", "virtio"), b"the initramfs of 2.6.32-754.35.1.el6.x86_64 has its driver"),
    ],
)
def test_looks_into_the_disk(tmp_path, tree, words, chosen, said):
    disk_of(tmp_path, tree)
    done, got = convert_disk(tmp_path, *words)
    assert got == chosen and said in done.stderr, done.stderr.decode()


def test_boots_from_its_record(tmp_path):
    """pygrub is missed by nobody when `domain fixup` has written the boot record."""
    disk_of(tmp_path, "debian12")
    assert b"warning: pygrub read the guest's disk from outside" in convert_disk(tmp_path)[0].stderr
    with open(tmp_path / "g-disk.img", "r+b") as disk:
        disk.seek(0x5C)
        disk.write((2).to_bytes(8, "little"))
        disk.seek(512)
        disk.write(b"bridgectl boot record 1\n")
    done, _ = convert_disk(tmp_path)
    assert b"pygrub" not in done.stderr and b"boots from its disk, by bridgectl's boot record" in done.stderr
    assert b"warning" not in done.stderr


def test_boots_from_no_other_record(tmp_path):
    """What older installations have left: on a disk of data, or of a loader that has no menu there."""
    disk_of(tmp_path, "debian12")
    image, data = tmp_path / "g-disk.img", tmp_path / "g-disk-b.img"
    data.write_bytes(bytes(1 << 20))
    text = b"name='g'\nmemory=256\nbootloader='pygrub'\ndisk=['phy:/dev/vg/x,xvda,w','phy:/dev/vg/y,xvdb,w']\n"

    def look(path, code):
        with open(path, "r+b") as disk:
            disk.seek(384)
            disk.write(code.ljust(8, b"\0"))
        done = convert("-", "--dir", tmp_path, "--json", "-v", stdin=text)
        disks = json.loads(done.stdout)["choices"]["disks"]
        assert [d["boot"] for d in disks] == [1, 0], disks
        return b"boots from its disk, by GRUB" in done.stderr, b"warning: pygrub" in done.stderr

    assert look(data, b"GRUB") == (False, True)
    assert look(image, b"LILO") == (False, True)
    assert look(image, b"GRUB") == (True, False)


def test_no_kernel_on_the_disk(tmp_path):
    disk_of(tmp_path, "debian12", drop="boot/vmlinuz-*")
    done, got = convert_disk(tmp_path)
    assert got == ("pc", "virtio") and b"is no kernel that starts without Xen: `domain prepare --install`" in done.stderr


def test_disks_that_cannot_be_looked_into(tmp_path):
    """Not here: nothing is said, they are made later or elsewhere. Empty: said. Either fails when it is asked for."""
    done, got = convert_disk(tmp_path)
    assert got == ("pc", "virtio") and b"is not looked at here" in done.stderr
    done, got = convert_disk(tmp_path, "--inspect=yes")
    assert done.returncode == 1 and got is None and b"--inspect yes: the new disks are not all here" in done.stderr
    (tmp_path / "g-disk.img").write_bytes(bytes(4 << 20))
    done, got = convert_disk(tmp_path)
    assert got == ("pc", "virtio") and b"what the guest's kernel can drive is not known: " in done.stderr
    assert b"is this the guest's new disk, and filled?" in done.stderr
    assert convert_disk(tmp_path, "--inspect=yes")[0].returncode == 1
    assert b"what the guest" not in convert_disk(tmp_path, "--inspect=no")[0].stderr
