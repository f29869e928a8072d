"""Domains of libvirt: a real libvirtd, QEMU without hardware help, guests that never boot anything.

What libvirt's test driver can show is in tests/unit/test_libvirt.c.
"""
import json
import os
import pty
import signal
import stat
import subprocess
import time

import pytest

from fake_xen import FakeXen
from lab import Lab, plain_only, wait_for
from libvirtd import Libvirtd, disk, need_libvirtd, tiny_guest, vif
from node import BRIDGECTL, Pair
from sshd import Sshd

# Its code runs under sanitizers in tests/unit/test_libvirt.c.
pytestmark = plain_only("a real libvirtd and QEMU take a minute")

MAC = "00:16:3e:0a:00:01"
NOBODYS = "00:16:3e:0a:00:99"


class Domains:
    """A host, its libvirtd, and bridgectl there."""

    def __init__(self, host, address=None, number=1, node=None):
        self.host = host
        self.daemon = Libvirtd(host, address, number)
        self.node = node

    def _words(self, words):
        socket = ("-s", self.node.control if self.node else "/nowhere")
        return [BRIDGECTL, *socket, "domain", *map(str, words), "--connect", self.daemon.uri]

    def run(self, *words, code=0, stdin="", timeout=60):
        """`bridgectl domain …`, which ends with this code."""
        done = self.host.run(*self._words(words), check=False, stdin=stdin, timeout=timeout)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def json(self, *words, code=0, stdin=""):
        return json.loads(self.run(*words, "--json", code=code, stdin=stdin).stdout)

    def refused(self, *words, stdin="", code=1):
        """The one sentence that it says."""
        done = self.run(*words, code=code, stdin=stdin)
        lines = done.stderr.splitlines()
        assert len(lines) == 1 and not done.stdout, done.stdout + done.stderr
        return lines[0]

    def names(self):
        return self.daemon.virsh("list", "--all", "--name").stdout.split()

    def popen(self, *words, **options):
        return self.host.popen(self._words(words), **options)


@pytest.fixture(scope="module")
def kvm(daemon):
    need_libvirtd()
    with Lab() as lab:
        host = lab.host("kvm1")
        host.bridge("br-sv")
        yield Domains(host)


@pytest.fixture(autouse=True)
def clean(request):
    """The shared host is without domains after each test."""
    yield
    if "kvm" in request.fixturenames:
        daemon = request.getfixturevalue("kvm").daemon
        for name in daemon.virsh("list", "--all", "--uuid").stdout.split():
            daemon.virsh("destroy", name, check=False)
            daemon.virsh("undefine", name)


def test_unreachable(kvm):
    away = "qemu+unix:///system?socket=/nowhere"
    for words in (["define", "-"], ["diff", "web1"]):
        done = kvm.host.run(BRIDGECTL, "domain", *words, "--connect", away, check=False,
                            stdin=tiny_guest("web1"))
        assert done.returncode == 1
        assert "/nowhere" in done.stderr and "check that libvirtd or virtqemud runs" in done.stderr
        assert len(done.stderr.splitlines()) == 1


# --- define ---

def test_define(kvm):
    xml = tiny_guest("web1", vif(MAC))
    answer = kvm.json("define", "-", "--dry-run", stdin=xml)
    assert answer["dry_run"] and kvm.names() == []
    assert "defined" in kvm.run("define", "-", stdin=xml).stdout
    assert kvm.names() == ["web1"] and kvm.daemon.state("web1") == "shut off"
    # A check must not leave an interface behind: libvirt makes real ones for it.
    assert set(kvm.host.links()) == {"lo", "br-sv"}
    assert "--replace" in kvm.refused("define", "-", stdin=xml)
    kvm.daemon.virsh("start", "web1")
    bigger = tiny_guest("web1", vif(MAC), memory_mib=48)
    answer = kvm.json("define", "-", "--replace", stdin=bigger)
    assert answer["replaced"] and answer["running"] and "next start" in answer["notes"][0]
    assert kvm.daemon.state("web1") == "running"
    assert "49152" in kvm.daemon.virsh("dumpxml", "--inactive", "web1").stdout


UUID = "0f1e2d3c-4b5a-4678-9abc-def012345678"


def with_uuid(name):
    return tiny_guest(name, more=f"<uuid>{UUID}</uuid>")


WRONG = {
    "mac": (tiny_guest("web2", vif("00:16:3E:0A:00:01")),
            f"the address {MAC} is that of the domain web1 (off)"),
    "mac-twice": (tiny_guest("web2", vif(NOBODYS), vif(NOBODYS)), "two of its interfaces"),
    "uuid": (with_uuid("web2"), f"the domain web1 has the UUID {UUID}"),
    "bridge": (tiny_guest("web2", vif(NOBODYS, "xenbr0")), "there is no bridge xenbr0"),
    "no-bridge": (tiny_guest("web2", vif(NOBODYS, "lo")), "there is no bridge lo"),
    "disk": (tiny_guest("web2", disk("/nowhere/web2.img")), "/nowhere/web2.img: No such file"),
    "kernel": (tiny_guest("web2").replace("</os>", "<kernel>/nowhere/vmlinuz</kernel></os>"),
               "kernel: /nowhere/vmlinuz: No such file"),
    "no-block": (tiny_guest("web2", disk("/dev/null")).replace('type="file"', 'type="block"')
                 .replace("source file", "source dev"), "is to be a block device"),
    "machine": (tiny_guest("web2", machine="pc-0.1"), "machine type pc-0.1 is not supported"),
    "machine-only": (tiny_guest("web2", machine="pc-0.1").replace(' arch="x86_64"', "")
                     .replace(' type="qemu"', ""), "machine type pc-0.1 is not supported"),
    "type": (tiny_guest("web2").replace('type="qemu"', 'type="xen"'), "no guests of type xen"),
    "arch": (tiny_guest("web2").replace("x86_64", "riscv64"), "no guests of architecture riscv64"),
    "bus": (tiny_guest("web2", disk("/dev/null")).replace("virtio", "xen"), "xen"),
    "broken": ("<domain><name>web2</name>", "line 1"),
    "xen": ("name = 'web2'\nmemory = 64\n", "bridgectl domain convert makes one"),
    "entity": ("<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + tiny_guest("&x;"),
               "document type"),
    "schema": (tiny_guest("web2", "<disk/>"), "web2"),
}


@pytest.mark.parametrize("case", WRONG)
def test_define_refuses(kvm, case):
    xml, said = WRONG[case]
    kvm.daemon.define(tiny_guest("web1", vif(MAC), more=f"<uuid>{UUID}</uuid>"))
    before = kvm.daemon.virsh("dumpxml", "web1").stdout
    assert said in kvm.refused("define", "-", stdin=xml)
    assert kvm.names() == ["web1"] and kvm.daemon.virsh("dumpxml", "web1").stdout == before


def test_define_with_the_disk_of_another(kvm, tmp_path):
    """By whatever path. What both share is theirs to share."""
    image, link = tmp_path / "web1.img", tmp_path / "link"
    image.write_bytes(bytes(512))
    link.symlink_to(image)
    pair = disk(image), disk(link)
    kvm.run("define", "-", stdin=tiny_guest("web1", pair[0]))
    said = kvm.refused("define", "-", stdin=tiny_guest("web2", pair[1]))
    assert f"web2: disk vda, {link}, is disk vda of the domain web1 (off), too" in said and "virsh undefine" in said
    kvm.run("define", "-", "--replace", stdin=tiny_guest("web1", pair[1]))
    twice = tiny_guest("web2", pair[1], disk(image, "vdb"))
    assert f"disk vda and disk vdb are both {image};" in kvm.refused("define", "-", stdin=twice)
    both = [p.replace("<target", "<shareable/><target") for p in pair]
    kvm.refused("define", "-", stdin=tiny_guest("web2", both[1]))
    kvm.run("define", "-", "--replace", stdin=tiny_guest("web1", both[0]))
    kvm.run("define", "-", stdin=tiny_guest("web2", both[1]))
    # It runs with that disk still, whatever it is to have at its next start.
    kvm.daemon.virsh("start", "web1")
    kvm.daemon.define(tiny_guest("thief", pair[0]))
    assert "its disk is in use: by another domain" in kvm.refused("start", "thief")
    kvm.daemon.virsh("undefine", "thief")
    kvm.run("define", "-", "--replace", stdin=tiny_guest("web1"))
    assert "of the domain web1 (running)" in kvm.refused("define", "-", stdin=tiny_guest("web3", pair[0]))
    nodes = tmp_path / "vg-web6", tmp_path / "dm-6"
    for node in nodes:
        os.mknod(node, stat.S_IFBLK | 0o600, os.makedev(7, 999))
    blocks = [disk(n).replace('type="file"', 'type="block"').replace("source file", "source dev") for n in nodes]
    kvm.run("define", "-", stdin=tiny_guest("web6", blocks[0]))
    assert f"{nodes[1]}, is disk vda of the domain web6" in kvm.refused("define", "-", stdin=tiny_guest("web7", blocks[1]))
    cdrom = pair[0].replace('device="disk"', 'device="cdrom"').replace("virtio", "ide").replace("vda", "hda")
    for name in "web4", "web5":
        kvm.run("define", "-", stdin=tiny_guest(name, cdrom.replace(str(image), os.path.abspath(__file__))))


def test_define_there(lab, tmp_path):
    """The file is here, libvirt, its disks and bridges on the other host."""
    wan = lab.underlay("wan")
    here = lab.host("xen1")
    there = Domains(lab.host("kvm1"))
    wan.attach(here)
    wan.attach(there.host)
    door = Sshd(there.host, wan.address(there.host))
    file = tmp_path / "web1.xml"
    file.write_text(tiny_guest("web1", vif(MAC)))
    words = [BRIDGECTL, "domain", "define", str(file), "--connect", there.daemon.uri, "--host", door.name,
             "--ssh", door.command, "--remote-bridgectl", BRIDGECTL]
    done = here.run(*words, check=False)
    assert done.returncode == 1 and "there is no bridge br-sv" in done.stderr and there.names() == []
    there.host.bridge("br-sv")
    assert json.loads(here.run(*words, "--json").stdout)["name"] == "web1"
    assert there.names() == ["web1"]
    assert "--replace" in here.run(*words, check=False).stderr
    file.unlink()
    assert "web1.xml: No such file" in here.run(*words, check=False).stderr


# --- list, start, stop, autostart ---

def test_list(kvm):
    kvm.daemon.define(tiny_guest("web1", vif(MAC)))
    kvm.daemon.define(tiny_guest("db1"))
    kvm.daemon.virsh("start", "web1")
    domains = {d["name"]: d for d in kvm.json("list")["domains"]}
    assert list(domains) == ["db1", "web1"]
    assert domains["db1"]["state"] == "off" and domains["web1"]["state"] == "running"
    assert domains["web1"]["interfaces"][0]["mac"] == MAC
    assert domains["web1"]["interfaces"][0]["bridge"] == "br-sv"


def test_start_and_stop(kvm):
    kvm.daemon.define(tiny_guest("web1", vif(MAC)))
    kvm.run("start", "web1")
    assert kvm.daemon.state("web1") == "running"
    assert "runs already" in kvm.run("start", "web1", code=1).stderr
    begun = time.monotonic()
    done = kvm.run("stop", "web1", "--timeout", 2, code=1)
    assert "did not shut down within 2 s" in done.stderr and time.monotonic() - begun >= 2
    assert kvm.daemon.state("web1") == "running"
    kvm.run("stop", "web1", "--timeout", 1, "--force")
    assert kvm.daemon.state("web1") == "shut off"
    assert "no such domain" in kvm.run("start", "nobody", code=1).stderr


def test_stop_by_event(kvm):
    """The guest ends while it is waited for: seen at once, whatever the time limit."""
    kvm.daemon.define(tiny_guest("web1"))
    kvm.daemon.virsh("start", "web1")
    waits = kvm.popen("stop", "web1", "--timeout", "50", stderr=subprocess.PIPE, text=True)
    assert "waiting for the guest" in waits.stderr.readline()
    begun = time.monotonic()
    kvm.daemon.virsh("destroy", "web1")
    waits.communicate(timeout=20)
    assert waits.returncode == 0 and time.monotonic() - begun < 15


def test_stop_is_broken_off(kvm):
    kvm.daemon.define(tiny_guest("web1"))
    kvm.daemon.virsh("start", "web1")
    waits = kvm.popen("stop", "web1", "--timeout", "50", stderr=subprocess.PIPE, text=True)
    assert "waiting for the guest" in waits.stderr.readline()
    waits.send_signal(signal.SIGINT)
    _, err = waits.communicate(timeout=20)
    assert waits.returncode != 0 and "may still do so" in err
    assert kvm.daemon.state("web1") == "running"


def test_autostart(kvm):
    kvm.daemon.define(tiny_guest("web1"))
    for word, there in (("on", True), ("off", False)):
        kvm.run("autostart", "web1", word)
        listed = kvm.daemon.virsh("list", "--all", "--autostart", "--name").stdout.split()
        assert (listed == ["web1"]) == there


def test_console_of_none(kvm):
    kvm.daemon.define(tiny_guest("web1"))
    assert "it is off" in kvm.run("console", "web1", code=1).stderr


def test_console(kvm):
    """What the guest's BIOS or our keys make of it does not matter: it is virsh's, until Ctrl-]."""
    kvm.daemon.define(tiny_guest("other"))
    kvm.daemon.virsh("start", "other")
    # virsh would take the name for the number of the other one.
    name = kvm.daemon.virsh("domid", "other").stdout.strip()
    kvm.daemon.define(tiny_guest(name))
    kvm.run("start", name)
    ours, its = pty.openpty()
    console = kvm.popen("console", name, stdin=its, stdout=its, stderr=its)
    os.close(its)
    seen = b""
    while b"Escape character" not in seen:
        seen += os.read(ours, 4096)
    assert f"'{name}'".encode() in seen
    os.write(ours, b"\x1d")
    assert console.wait(20) == 0, seen
    os.close(ours)


# --- diff ---

def test_diff(kvm):
    kvm.daemon.define(tiny_guest("web1", vif(MAC)))
    assert "it is off" in kvm.refused("diff", "web1")
    kvm.daemon.virsh("start", "web1")
    assert kvm.json("diff", "web1") == {"name": "web1", "equal": True, "differences": []}
    kvm.daemon.virsh("setmaxmem", "web1", "49152", "--config")
    kvm.daemon.virsh("attach-interface", "web1", "bridge", "br-sv", "--mac", NOBODYS, "--model",
                     "virtio", "--config")
    differences = kvm.json("diff", "web1", code=1)["differences"]
    assert {"path": "memory", "was": "49152 KiB", "is": "32768 KiB"} in differences
    assert {"path": f"devices/interface[{NOBODYS}]", "was": "there", "is": None} in differences
    assert len(differences) == 2
    assert "49152" in kvm.run("diff", "web1", code=1).stdout


def test_diff_with_file(kvm, tmp_path):
    (tmp_path / "web1.xml").write_text(tiny_guest("web1", vif(MAC)))
    kvm.run("define", tmp_path / "web1.xml")
    kvm.run("start", "web1")
    assert "runs as it is defined" in kvm.run("diff", "web1", tmp_path / "web1.xml").stdout
    other = tiny_guest("web1", vif(MAC, "br-other"))
    paths = [d["path"] for d in kvm.json("diff", "web1", "-", stdin=other, code=1)["differences"]]
    assert paths == [f"devices/interface[{MAC}]/source/@bridge"]


# --- mac ---

def test_mac(kvm, tmp_path, monkeypatch):
    kvm.daemon.define(tiny_guest("web1", vif(MAC)))
    (tmp_path / "etc/xen").mkdir(parents=True)
    (tmp_path / "etc/xen/old.cfg").write_text(f"name = 'old'\nvif = ['mac={NOBODYS}']\nmemory = 64\n")
    monkeypatch.setenv("BRIDGECTL_ROOT", str(tmp_path))
    macs = {kvm.run("mac").stdout.strip() for _ in range(5)}
    assert len(macs) == 5
    assert all(m.startswith("00:16:3e:") and int(m.split(":")[3], 16) < 128 for m in macs)
    assert "domain web1 of libvirt (off)" in kvm.run("mac", "--check", MAC.upper(), code=1).stdout
    answer = kvm.json("mac", "--check", NOBODYS, code=1)
    assert answer["in_use"] and answer["users"] == ["guest old in /etc/xen/old.cfg"]
    assert answer["not_asked"] == [
        "l2tund does not run, so no forwarding table was looked at"]
    assert "nobody has it" in kvm.run("mac", "--check", "00:16:3e:0b:0b:0b").stdout
    kvm.run("mac", "--check", "00:16:3e", code=2)


# --- behind a tunnel ---

def test_still_on_the_other_host(lab):
    """The guest talks on the other host: a note when it is defined here, an error when started."""
    need_libvirtd()
    pair = Pair(lab).start()
    mac = pair.guest_right.link("eth0")["address"]
    kvm = Domains(pair.left.host, node=pair.left)
    pair.guest_right.run("ping", "-c1", "-W5", Pair.LEFT_IP)
    answer = kvm.json("mac", "--check", mac, code=1)
    assert answer["not_asked"] == [] and "behind tunnel sv" in answer["users"][0]
    notes = kvm.json("define", "-", stdin=tiny_guest("web1", vif(mac)))["notes"]
    assert len(notes) == 1 and f"{mac} is behind tunnel sv" in notes[0]
    pair.guest_right.run("ping", "-c1", "-W5", Pair.LEFT_IP)
    said = kvm.run("start", "web1", code=1).stderr
    assert f"{mac} was seen behind tunnel sv" in said and "--anyway" in said
    assert kvm.daemon.state("web1") == "shut off"
    kvm.run("start", "web1", "--anyway")
    assert kvm.daemon.state("web1") == "running"


def test_stopped_on_the_other_host_just_now(lab, tmp_path):
    """Its last frame is a second old, and the forwarding table still has it: the other host knows better."""
    need_libvirtd()
    pair = Pair(lab).start()
    mac = pair.guest_right.link("eth0")["address"]
    kvm = Domains(pair.left.host, node=pair.left)
    kvm.run("define", "-", stdin=tiny_guest("web1", vif(mac)))
    xen = FakeXen(tmp_path)
    xen.domain("old-web1", mac=mac.upper())
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\n[ "$1" = xen1 ] || exit 255\nPATH={xen.bin}:$PATH BRIDGECTL_ROOT={xen.root} exec sh -c "$2"\n')
    ssh.chmod(0o755)
    there = ("--ssh", str(ssh), "--remote-bridgectl", BRIDGECTL)
    pair.guest_right.run("ping", "-c1", "-W5", Pair.LEFT_IP)

    again = ("define", "-", "--replace", "--dry-run")
    xml = tiny_guest("web1", vif(mac))
    assert f"{mac} is behind tunnel sv" in kvm.json(*again, stdin=xml)["notes"][0]
    notes = kvm.json(*again, "--from", "xen1", *there, stdin=xml)["notes"]
    assert notes == ["it is on at xen1, as the domain old-web1 (running): stop that before this one is started"]
    assert "cannot ask it for its domains: ssh failed; `" in kvm.refused(*again, "--from", "xen2", *there, stdin=xml)

    assert "--from" in kvm.run("start", "web1", code=1).stderr
    said = kvm.run("start", "web1", "--from", "xen1", *there, code=1).stderr
    assert "is still on at xen1, as the domain old-web1" in said
    assert "cannot ask it" in kvm.run("start", "web1", "--from", "xen2", *there, code=1).stderr
    assert kvm.daemon.state("web1") == "shut off"
    xen.save(domains=[d for d in xen.load()["domains"] if d["name"] != "old-web1"])
    # Its name is enough: there it may have had another address.
    xen.domain("web1", mac=NOBODYS)
    assert "still on at xen1, as the domain web1" in kvm.run("start", "web1", "--from", "xen1", *there, code=1).stderr
    xen.save(domains=[d for d in xen.load()["domains"] if d["name"] != "web1"])
    assert kvm.json(*again, "--from", "xen1", *there, stdin=xml)["notes"] == []
    kvm.run("start", "web1", "--from", "xen1", *there)
    assert kvm.daemon.state("web1") == "running"


def test_what_the_other_host_says(kvm, tmp_path):
    """The reason is told in one sentence, whatever ssh warned of before; what it quotes is cleaned."""
    ssh = tmp_path / "ssh"
    xml = tiny_guest("web1", vif(MAC))
    words = ("define", "-", "--dry-run", "--from", "xen1", "--ssh", ssh)

    def answer(text, code=0, to=1):
        (tmp_path / "answer").write_text(text)
        ssh.write_text(f"#!/bin/sh\ncat {tmp_path}/answer >&{to}\nexit {code}\n")
        ssh.chmod(0o755)

    def list_of(name):
        return json.dumps({"domains": [{"name": name, "state": "running", "interfaces": [{"mac": MAC}]}]},
                          ensure_ascii=False)

    for text, code, said in (
            ("Warning: added 'xen1'.\r\nroot@xen1: Permission denied\x1b[31m.\r\n", 255, "domains: root@xen1: Permission"),
            ("", 255, f"ssh failed; `{ssh} xen1 true` has to work"),
            ("sh: 1: bridgectl: not found\n", 127, "--remote-bridgectl"),
            ("", 1, "exit code 1")):
        answer(text, code, to=2)
        told = kvm.refused(*words, stdin=xml)
        assert said in told and "\x1b" not in told
    for text in "", "[1]", '{"domains": 3}', "motd\n" + list_of("web1"):
        answer(text)
        assert "lists no domains" in kvm.refused(*words, stdin=xml)
    answer(list_of("x\x1b[31m"))
    assert "domain x\\x1b[31m (running)" in kvm.run(*words, stdin=xml).stdout
    for shift in range(2):  # cut between the bytes of a letter
        answer(list_of("a" * (980 + shift) + "ä" * 100))
        assert "it is on at xen1" in kvm.json(*words, stdin=xml)["notes"][0]


# --- migrate ---

def two_hosts(lab):
    need_libvirtd()
    wan = lab.underlay("wan")
    hosts = [lab.host("kvm1"), lab.host("kvm2")]
    for host in hosts:
        host.bridge("br-sv")
        wan.attach(host)
    return [Domains(host, wan.address(host), n) for n, host in enumerate(hosts, 1)]


def migrate(here, there, *words):
    return "migrate", "web1", "kvm2", "--live", "--to-uri", there.daemon.uri, *words


def test_migrate(lab):
    here, there = two_hosts(lab)
    here.daemon.define(tiny_guest("web1", vif(MAC)))
    assert "it is off" in here.refused(*migrate(here, there))
    here.daemon.virsh("start", "web1")
    here.daemon.virsh("autostart", "web1")
    here.run(*migrate(here, there))
    assert here.daemon.state("web1") is None and there.daemon.state("web1") == "running"
    assert there.daemon.virsh("list", "--persistent", "--autostart", "--name").stdout.split() == ["web1"]


@plain_only("migration once more, with disks")
def test_migrate_disks(lab):
    """Broken off the first time: it goes on here. Then through, with all of its disk."""
    here, there = two_hosts(lab)
    path, real = here.daemon.image("web1.img", 64 << 20)
    _, far = there.daemon.image("web1.img", 64 << 20)
    content = os.urandom(1 << 20) * 32
    with open(real, "r+b") as f:
        f.write(content)
    here.daemon.define(tiny_guest("web1", vif(MAC), disk(path)))
    here.daemon.virsh("start", "web1")
    goes = here.popen(*migrate(here, there, "--copy-storage", "--rate", "1"), stderr=subprocess.PIPE,
                      text=True)
    wait_for(lambda: far.stat().st_blocks > 0, 20, "no disk is copied")
    goes.send_signal(signal.SIGINT)
    _, err = goes.communicate(timeout=30)
    assert goes.returncode != 0 and "broken off" in err, err
    assert here.daemon.state("web1") == "running"
    here.run(*migrate(here, there, "--copy-storage"))
    assert there.daemon.state("web1") == "running"
    assert far.read_bytes()[:len(content)] == content
