"""`bridgectl domain list|start|stop|console|autostart|migrate` on Xen: made-up xl and xm, whose calls are written down.

What the lists of several versions become is in tests/golden/hypervisor/VERSION.json; UPDATE_GOLDEN=1 writes it anew.
"""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))

from fake_xen import FakeXen  # noqa: E402

from fake_daemon import Error, FakeDaemon  # noqa: E402

BRIDGECTL = os.environ.get("BRIDGECTL", str(ROOT / "bridgectl" / "bridgectl"))
PRINTED = HERE / "hypervisor"
MAC = "00:16:3e:00:00:01"


class Host(FakeXen):
    """With bridgectl on it."""

    def run(self, *words, **env):
        command = [BRIDGECTL, "domain", *map(str, words)]
        return subprocess.run(command, env=self.env(**env), text=True, capture_output=True, timeout=60, check=False)

    def ok(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *words):
        return json.loads(self.ok(*words, "--json"))

    def refused(self, *words, code=1):
        done = self.run(*words)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert done.stderr.startswith("bridgectl: ") and done.stdout == "", done.stderr
        return done.stderr

    def deeds(self):
        """Calls that are no questions."""
        return [c for c in self.calls() if c.split()[1] not in ("list", "network-list")]

    def ssh(self):
        """ssh HOST COMMAND that runs it here; what it was called with is kept."""
        path = self.bin / "ssh"
        path.write_text(
            f'#!/bin/sh\necho "$@" >>{self.folder}/ssh.log\nfor last; do :; done\n'
            f'exec sh -c "$(printf %s "$last" | sed "s|/proc/xen|{self.root}&|g")"\n'
        )
        path.chmod(0o755)
        return path

    def ssh_log(self):
        return (self.folder / "ssh.log").read_text()


@pytest.fixture(params=["4.17 xl", "4.2 xl", "4.1 xl", "4.1 xm"], ids=lambda p: p.replace(" ", "-"))
def any_host(request, tmp_path):
    version, tool = request.param.split()
    return Host(tmp_path, version=version, tool=tool)


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.fixture
def xm(tmp_path):
    return Host(tmp_path, version="4.1", tool="xm")


# --- list ---


def test_list(any_host):
    any_host.domain("web1", mac=MAC, bridge="br-sv")
    any_host.domain("db", state="--p---", mem=1024, vcpus=2)
    any_host.config("mail", 'vif = ["mac=00:16:3E:00:00:09,bridge=xenbr0", ""]\n')
    any_host.config("web1")
    (any_host.root / "etc/xen/auto/web1").symlink_to("../web1.cfg")
    # The bridge that it is in now, as the kernel has it: xl 4.1 does not tell.
    link = any_host.root / "sys/class/net/vif1.0/master"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../br-sv")
    got = any_host.json("list")
    assert got["hypervisor"] == any_host.calls()[0].split()[0]
    domains = {d["name"]: d for d in got["domains"]}
    assert sorted(domains) == [d["name"] for d in got["domains"]] == ["Domain-0", "db", "mail", "web1"]
    assert domains["web1"] == {
        "name": "web1",
        "uuid": "b6dc29ed-0ace-49e3-ba30-000000000001",
        "state": "running",
        "id": 1,
        "memory": 256 << 20,
        "vcpus": 1,
        "autostart": True,
        "config": "/etc/xen/web1.cfg",
        "interfaces": [{"mac": MAC, "bridge": "br-sv", "interface": "vif1.0"}],
    }
    assert (domains["db"]["state"], domains["db"]["vcpus"]) == ("paused", 2)
    mail = domains["mail"]
    assert (mail["state"], mail["id"], mail["memory"], mail["vcpus"], mail["autostart"]) == ("off", None, 512 << 20, 2, False)
    assert mail["interfaces"][0] == {"mac": "00:16:3e:00:00:09", "bridge": "xenbr0", "interface": None}
    assert mail["interfaces"][1]["mac"] is None
    assert domains["Domain-0"]["autostart"] is None


def test_list_text(host):
    host.domain("web1", mac=MAC)
    host.config("mail")
    assert host.ok("list").split("\n")[0].split() == ["NAME", "STATE", "ID", "MEMORY", "VCPUS", "AUTOSTART"]
    rows = [line.split() for line in host.ok("list").splitlines()]
    assert ["web1", "running", "1", "256", "MiB", "1", "no"] in rows
    assert ["mail", "off", "-", "512", "MiB", "2", "no"] in rows
    assert f"{MAC} xenbr0 vif1.0" in host.ok("list", "-v")


def replay(tmp_path, printed):
    """xl or xm that prints what a version printed."""
    host = Host(tmp_path, tool="xm" if printed.name.startswith("xm") else "xl")
    tool = host.bin / printed.name[:2].replace("re", "xl")
    tool.write_text(
        f"#!/bin/sh\ncd {printed} || exit 9\n"
        'case "$1 $2" in\n'
        '"list -v") cat list-v 2>/dev/null || cat list ;;\n'
        '"list -l") cat list-l 2>/dev/null || cat list-l.json ;;\n'
        '"list ") cat list ;;\n'
        '"network-list "*) cat "network-list-$2" 2>/dev/null || cat network-list 2>/dev/null || echo Idx ;;\n'
        "*) exit 1 ;;\nesac\n"
    )
    return host


@pytest.mark.parametrize("name", sorted(p.name for p in PRINTED.iterdir() if p.is_dir()))
def test_printed(tmp_path, name):
    got = replay(tmp_path, PRINTED / name).json("list")
    text = json.dumps(got, indent=1) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        (PRINTED / f"{name}.json").write_text(text)
    assert text == (PRINTED / f"{name}.json").read_text()


@pytest.mark.parametrize("text", ['[{"domid": 1, "config": {"c_inf', "(domain (domid 1)", "xl: not today"])
def test_details_that_cannot_be_read(host, text):
    """The table is enough for a list, and network-list for addresses."""
    host.domain("web1", mac=MAC)
    host.save(details=text)
    assert host.json("list")["domains"][1]["interfaces"] == [{"mac": MAC, "bridge": None, "interface": "vif1.0"}]


def test_domain_without_details(host):
    """xl leaves out of list -l what it cannot tell of a domain."""
    host.domain("web1", mac=MAC)
    host.domain("web2", mac="00:16:3e:00:00:02", mute=True)
    assert [i["mac"] for d in host.json("list")["domains"] for i in d["interfaces"]] == [MAC, "00:16:3e:00:00:02"]
    assert host.calls() == ["xl list -v", "xl list -l", "xl network-list 2"]


def test_no_domain_at_all(host):
    host.save(domains=[])
    assert "is this host's Xen up?" in host.refused("list")
    host.save(says={"list": {"text": "libxl: error: libxl.c:1: cannot open privcmd\nfailed\n", "code": 1}})
    assert host.refused("list") == "bridgectl: Xen: xl list: libxl: error: libxl.c:1: cannot open privcmd\n"


def test_files_that_are_no_guests(host):
    host.config("web1")
    for name in "web1.cfg~", "web1.cfg.bak", "xl.conf", "xlexample.pvlinux", ".web2.cfg.swp", "xend-config.sxp":
        host.config("no", path=f"/etc/xen/{name}")
    host.file("/etc/xen/README", "Files of guests.\n")
    host.file("/etc/xen/scripts/vif-bridge", "#!/bin/sh\n")
    host.config("suse", path="/etc/xen/vm/suse")
    host.config("redhat", path="/etc/xen/redhat")
    host.file("/etc/xen/python.cfg", 'import os\nname = os.environ["X"]\n')
    os.mkfifo(host.root / "etc/xen/fifo.cfg")
    (host.root / "etc/xen/auto/gone.cfg").symlink_to("../gone.cfg")
    names = {d["name"]: d for d in host.json("list")["domains"]}
    assert sorted(names) == ["Domain-0", "gone", "redhat", "suse", "web1"]
    assert names["gone"]["autostart"] is True


def test_hostile_names(host):
    host.domain("a\x1b[31mb\x07")
    assert "\x1b" not in host.ok("list") and r"\x1b[31mb" in host.ok("list")


def test_names_in_other_encodings(host):
    """A guest's name of bytes that are no UTF-8 is still a guest."""
    path = host.config("x", path="/etc/xen/caf.cfg")
    path.write_bytes(b'name = "caf\xe9"\nvif = ["mac=%s,bridge=br\xe9"]\n' % MAC.encode())
    assert host.json("list")["domains"][1]["name"] == "caf?"
    assert host.json("list")["domains"][1]["interfaces"] == [{"mac": MAC, "bridge": "br?", "interface": None}]
    done = host.run("mac", "--check", MAC)
    assert done.returncode == 1 and f"{MAC}: guest caf? in /etc/xen/caf.cfg" in done.stdout


# --- mac ---


def test_mac_of_a_bridge(host):
    """That bridge alone is what was asked for, so without it there is no answer."""
    path = host.folder / "sock"
    words = ["mac", "--bridge", "br", "-s", path]
    assert host.refused(*words, code=3).count("\n") == 1
    tables = bridges(br=[seen(2)], vlan9=[seen(1, mac="00:16:3e:00:00:02")])
    with FakeDaemon(path, tables):
        assert host.run(*words, "--check", MAC).returncode == 1
        assert "nobody has it" in host.ok(*words, "--check", "00:16:3e:00:00:02")
    with FakeDaemon(path, {"bridge.fdb": Error("not-found", "bridge br has no tunnel; see bridge list")}):
        for more in [], ["--check", MAC], ["--json"]:
            said = host.refused(*words, *more)
            assert "bridge br has no tunnel" in said and said.count("\n") == 1, said


def test_mac_of_a_full_table(host):
    """What the daemon does not tell of was not asked."""
    path = host.folder / "sock"
    with FakeDaemon(path, bridges(truncated=True, br=[])):
        done = host.run("mac", "--check", MAC, "-s", path)
        assert done.returncode == 0 and "nobody has it" in done.stdout
        assert "not asked: some addresses of a bridge, which has more than l2tund tells of" in done.stderr


# --- Which tool ---


def test_choice(host):
    host.tools("xl", "xm")
    assert host.json("list")["hypervisor"] == "xl"
    assert host.json("list", "--xen", "xm")["hypervisor"] == "xm"
    assert host.json("list", "--xen", "auto")["hypervisor"] == "xl"
    assert host.json("list", "--xen", host.bin / "xm")["hypervisor"] == "xm"
    host.file("/var/lock/xend")
    assert host.json("list")["hypervisor"] == "xm"
    assert "only one of them" in host.refused("list", "--xen", "xl", "--connect", "test:///default")
    host.tools()
    assert "neither xl nor xm" in host.refused("list")
    assert "cannot run xl" in host.refused("list", "--xen", "xl")


def test_not_xen(host):
    (host.root / "proc/xen/capabilities").write_text("")
    done = host.run("list", "--connect", "nonsense:///x")
    assert done.returncode == 1 and not host.calls()


def test_xenfs_is_not_mounted(host):
    """Then nothing tells Xen's host from its guests."""
    (host.root / "proc/xen/capabilities").unlink()
    done = host.run("list", LIBVIRT_DEFAULT_URI="qemu+unix:///system?socket=/nowhere")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "mount -t xenfs xenfs /proc/xen, or give --xen auto" in done.stderr
    assert host.json("list", "--xen", "auto")["hypervisor"] == "xl"


# --- start ---


def test_start(any_host):
    file = any_host.config("web1")
    tool = any_host.tool_name = any_host.json("list")["hypervisor"]
    assert any_host.ok("start", "web1") == "web1: started\n"
    assert any_host.deeds() == [f"{tool} create {file}"]
    assert "runs already, as domain 1" in any_host.refused("start", "web1")
    assert "runs already, as domain 1" in any_host.refused("start", "/etc/xen/web1.cfg")
    assert "no file in /etc/xen has this name" in any_host.refused("start", "web2")
    assert "cannot be read, or names none" in any_host.refused("start", "/etc/xen/web2.cfg")
    assert len(any_host.deeds()) == 1


def test_start_one_of_several(host):
    """A copy with other disks is not what is meant; a link to the file is the file."""
    host.config("web1", path="/etc/xen/web1-old.cfg")
    (host.root / "etc/xen/auto/web1").symlink_to("../web1-old.cfg")
    host.config("web1", path="/etc/xen/vm/web1-new")
    said = host.refused("start", "web1")
    assert "both /etc/xen/web1-old.cfg and /etc/xen/vm/web1-new have this name" in said
    file = host.config("web1")
    host.ok("start", "web1")
    assert host.deeds() == [f"xl create {file}"]
    assert host.json("list")["domains"][1]["config"] == "/etc/xen/web1.cfg"


def test_start_file_and_console(host):
    file = host.config("web1", path="/srv/guests/web1")
    assert host.ok("start", "/srv/guests/web1", "--console") == "console of web1\n"
    assert host.deeds() == [f"xl create {file}", "xl console 1"]


@pytest.mark.parametrize("end", ["--migratedaway", "--incoming"])
def test_start_half_moved(host, end):
    host.config("web1")
    host.domain("web1" + end, state="--p---")
    assert f'between two hosts, here as "web1{end}"' in host.refused("start", "web1")
    assert "web1--" in host.refused("start", "/etc/xen/web1.cfg") and not host.deeds()


def test_start_shell_alone(host):
    """Told here, whatever host it is for."""
    for words in [], ["--host", "nosuch.invalid"]:
        assert "--shell is for --rescue" in host.refused("start", "web1", "--shell", *words, code=2)
    assert not host.calls()


def test_start_fails(host):
    host.config("web1")
    text = "Parsing config from /etc/xen/web1.cfg\nlibxl: error: libxl_dm.c:9: no such volume\nmore\n"
    host.save(says={"create": {"text": text, "code": 3}})
    assert host.refused("start", "web1") == "bridgectl: web1: xl create: libxl: error: libxl_dm.c:9: no such volume\n"


@pytest.mark.parametrize(
    "call,words,code,said",
    [
        ("create-exists", ["start", "web1"], 3, 'xl create: libxl: error: .*:Domain with name "web1" already exists.'),
        ("create-none", ["start", "web1"], 3, "xl create: Failed to read config file: /etc/xen/nosuch.cfg: No such file or directory"),
        ("list-none", ["list"], 1, "Xen: xl list: nosuch is an invalid domain identifier \\(rc=-6\\)"),
    ],
)
def test_what_a_real_xl_says(host, call, words, code, said):
    """Of all its lines the one that says what is wrong."""
    host.config("web1")
    host.domain("db")
    host.save(says={call.split("-")[0]: {"text": (PRINTED / f"real-4.17/{call}.err").read_text(), "code": code}})
    got = host.refused(*words)
    assert re.search(said, got) and got.count("\n") == 1, got


def test_start_managed(xm):
    """xend keeps definitions of its own."""
    xm.domain("spare")
    xm.state["domains"][-1]["id"] = None
    xm.save()
    assert xm.json("list")["domains"][1]["state"] == "off"
    xm.ok("start", "spare")
    assert xm.deeds() == ["xm start spare"]


def seen(age_s, port="l2t-sv", mac=MAC, local=False):
    tunnel = "sv" if port == "l2t-sv" else ""
    return {"mac": mac, "vlan": 0, "port": port, "kind": "tunnel" if tunnel else "other", "tunnel": tunnel, "local": local,
            "age_ms": age_s * 1000}


def bridges(truncated=False, **tables):
    """What the daemon answers about its bridges."""
    return {
        "bridge.list": {"bridges": [{"name": name} for name in tables]},
        "bridge.fdb": lambda p: {"name": p["name"], "entries": tables[p["name"]], "truncated": truncated},
    }


@pytest.mark.parametrize("guest", ["web1", "/srv/web1", "/etc/xen/web1.cfg"])
@pytest.mark.parametrize(
    "tables,said",
    [
        ({"br": [seen(2)]}, "behind tunnel sv (bridge br) 2 s ago"),
        ({"br": [seen(2)], "vlan9": [seen(250)]}, "behind tunnel sv (bridge br) 2 s ago"),
        ({"br": [seen(3, "eth1")], "vlan9": [seen(250)]}, "behind port eth1 (bridge br) 3 s ago"),
    ],
)
def test_start_runs_elsewhere(host, guest, tables, said):
    """By name or by file, wherever it was heard last."""
    for file in "/etc/xen/web1.cfg", "/srv/web1":
        host.config("web1", f'vif = ["mac={MAC.upper()}"]\n', path=file)
    path = host.folder / "sock"
    with FakeDaemon(path, bridges(**tables)):
        assert f"{MAC} was seen {said}" in host.refused("start", guest, "-s", path)
        assert not host.deeds()
        host.ok("start", guest, "--anyway", "-s", path)
    assert len(host.deeds()) == 1


def test_start_may_run_elsewhere(host):
    """What is not known is said, and keeps nobody from starting."""
    host.config("web1", f'vif = ["mac={MAC}"]\n')
    host.config("mail", 'vif = [""]\n')
    path = host.folder / "sock"

    def start(name="web1", *more):
        done = host.run("start", name, "-s", path, *more)
        assert done.returncode == 0, done.stderr
        host.save(domains=host.state["domains"])
        return done.stderr

    assert "not known whether it still runs on another host: l2tund does not answer" in start()
    assert start("web1", "--quiet") == start("web1", "--anyway") == start("mail") == ""
    with FakeDaemon(path, bridges(br=[seen(200), seen(0, "eth1", local=True), seen(0, mac="00:16:3e:00:00:02")])):
        assert "was behind tunnel sv until 200 s ago" in start()
    with FakeDaemon(path, bridges(br=[])):
        assert start() == ""
    with FakeDaemon(path, bridges(truncated=True, br=[])):
        assert "too many addresses on bridge br" in start()


def test_start_beside_its_copy(host):
    host.config("web1", f'vif = ["mac={MAC}"]\n')
    host.domain("web1-test", mac=MAC)
    assert f"its address {MAC} is that of the domain web1-test, which is running" in host.refused("start", "web1")
    assert not host.deeds()
    host.ok("start", "web1", "--anyway")


# --- stop ---


def test_stop(any_host):
    any_host.domain("other")
    number = any_host.domain("web1", looks=3)
    assert any_host.ok("stop", "web1") == "web1: stopped\n"
    tool = any_host.calls()[0].split()[0]
    assert any_host.deeds() == [f"{tool} shutdown {number}"]
    assert any_host.names() == ["Domain-0", "other"]


@pytest.mark.parametrize("cost,seconds", [(0.5, 3), (0, 2)], ids=["slow", "quick"])
def test_stop_leaves_the_host_time(host, cost, seconds):
    """Where `xl list` is slow the host is busy, above all with clearing guests away: a third of its time at most."""
    host.domain("web1", seconds=seconds)
    host.save(slow={"list": cost})
    begin = time.monotonic()
    host.ok("stop", "web1")
    elapsed = time.monotonic() - begin
    looks = [c for c in host.calls() if c.startswith("xl list")][1:]
    assert len(looks) <= 1 + elapsed / 0.5
    assert elapsed >= cost + (3 * len(looks) - 2) * cost, looks
    assert elapsed >= seconds and len(looks) >= 2, looks


def test_stop_off(host):
    host.config("mail")
    assert host.ok("stop", "mail") == "mail: it is off already\n"
    assert "no such domain runs" in host.refused("stop", "nosuch")
    assert not host.deeds()


def test_never_the_host(host):
    for words in ("stop", "Domain-0", "--force"), ("console", "Domain-0"), ("stop", "0"):
        host.refused(*words)
    host.ssh()
    host.refused("migrate", "Domain-0", "xen2", "--live")
    assert not host.deeds()


def test_numbers_are_names(host):
    """xl would take a name of digits for a number."""
    host.domain("2")
    host.domain("web1")
    host.ok("stop", "2")
    assert host.deeds() == ["xl shutdown 1"] and host.names() == ["Domain-0", "web1"]


def test_stop_timeout(host):
    host.domain("web1", shutdown="never")
    begin = time.monotonic()
    done = host.run("stop", "web1", "--timeout", 2)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "waiting for it to shut down"
    assert done.stderr.splitlines()[1].startswith("bridgectl: web1: it has not shut down within 2 s: ")
    assert 2 <= time.monotonic() - begin < 30
    assert host.deeds() == ["xl shutdown 1"] and "web1" in host.names()


def test_stop_by_force(host):
    host.domain("web1", shutdown="never")
    done = host.run("stop", "web1", "--timeout", 1, "--force")
    assert done.returncode == 0 and "ending it by force" in done.stderr
    assert host.deeds() == ["xl shutdown 1", "xl destroy 1"]


def test_force_is_not_needed(host):
    host.domain("web1")
    host.ok("stop", "web1", "--force")
    assert host.deeds() == ["xl shutdown 1"]


def test_stop_by_button(host):
    host.domain("win", shutdown="button")
    done = host.run("stop", "win")
    assert done.returncode == 0 and "power button" in done.stderr
    assert host.deeds() == ["xl shutdown 1", "xl shutdown -F 1"]


def test_stop_deaf(host):
    host.domain("win", shutdown="deaf")
    assert "end it with --force" in host.refused("stop", "win")
    host.ok("stop", "win", "--force")
    assert host.deeds()[-1] == "xl destroy 1"


@pytest.mark.parametrize("more", [[], ["--force"]])
def test_stop_ended_just_before(host, more):
    """Between the list and the question. What is off is off."""
    host.domain("web1", shutdown="gone")
    assert host.ok("stop", "web1", *more) == "web1: stopped\n"
    assert "xl destroy 1" not in host.deeds()


def test_stop_paused(host):
    host.domain("web1", state="-bp---")
    assert "xl unpause 1" in host.refused("stop", "web1")
    assert not host.deeds()


def test_stop_preserved(host):
    host.domain("web1", shutdown="preserve")
    done = host.run("stop", "web1", "--timeout", 2)
    assert done.returncode == 1 and 'on_poweroff = "preserve"' in done.stderr
    assert "xl destroy 1" not in host.deeds()


def test_stop_starts_again(host):
    host.domain("web1", shutdown="restart")
    done = host.run("stop", "web1", "--force")
    assert done.returncode == 1 and "was started again as domain 2" in done.stderr
    assert host.deeds() == ["xl shutdown 1"]


def interrupted(host, call, *words):
    """What it says when Ctrl-C comes after that call."""
    child = subprocess.Popen([BRIDGECTL, "domain", *words], env=host.env(), text=True, stderr=subprocess.PIPE)
    try:
        while call not in host.calls():
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        said = child.communicate(timeout=20)[1]
    finally:
        child.kill()
    assert child.returncode == 1
    return said


def test_stop_waiting(host):
    """Ctrl-C ends the waiting, and no guest."""
    host.domain("web1", shutdown="never")
    assert "it may still shut down" in interrupted(host, "xl shutdown 1", "stop", "web1", "--force")
    assert host.deeds() == ["xl shutdown 1"]


def test_stop_asking(host):
    """Ctrl-C while it is asked, and it cannot be: no force any more."""
    host.domain("web1", shutdown="deaf")
    host.save(slow={"shutdown": 1})
    assert "end it with --force" in interrupted(host, "xl shutdown 1", "stop", "web1", "--force")
    assert host.deeds() == ["xl shutdown 1", "xl shutdown -F 1"]


def test_stop_destroying(host):
    """Ctrl-C while Xen clears it away: said in a sentence."""
    host.domain("web1", shutdown="never")
    host.save(says={"destroy": {"text": "", "code": 0}})
    said = interrupted(host, "xl destroy 1", "stop", "web1", "--force", "--timeout", "1")
    assert said.splitlines()[-1] == "bridgectl: web1: destroyed, but not waited for: domain 1 may be there a while yet"


@pytest.mark.parametrize("kind", [os.pipe, lambda: [s.detach() for s in socket.socketpair()]], ids=["pipe", "socket"])
def test_stop_nobody_waits(host, kind):
    """ssh, cut off, takes its ends away and tells nothing else."""
    host.domain("web1", shutdown="never")
    ours, its = kind()
    command = [BRIDGECTL, "--quiet", "domain", "stop", "web1", "--force", "--timeout", "3"]
    child = subprocess.Popen(command, env=host.env(), text=True, stdout=its, stderr=subprocess.PIPE)
    os.close(its)
    while "xl shutdown 1" not in host.calls():
        time.sleep(0.05)
    os.close(ours)
    assert "it may still shut down" in child.communicate(timeout=20)[1]
    assert child.returncode == 1 and host.deeds() == ["xl shutdown 1"]


@pytest.mark.parametrize("seconds", ["0", "-1", "1x", "", "99999999"])
def test_timeout_values(host, seconds):
    assert host.run("stop", "web1", "--timeout", seconds).returncode == 2


# --- console ---


def test_console(any_host):
    any_host.domain("web1")
    assert any_host.ok("console", "web1") == "console of web1\n"
    assert "no such domain runs" in any_host.refused("console", "web2")


# --- autostart ---


def auto(host, folder="auto"):
    path = host.root / "etc/xen" / folder
    return sorted(p.name for p in path.iterdir()) if path.is_dir() else []


@pytest.mark.parametrize("entry", ["web1", "web1.cfg", "10-web1"])
def test_autostart(host, entry):
    host.config("web1")
    host.config("other")
    (host.root / "etc/xen/auto" / entry).symlink_to("../web1.cfg")
    (host.root / "etc/xen/auto/other.cfg").symlink_to("../other.cfg")
    assert host.ok("autostart", "web1", "off") == f"web1: moved /etc/xen/auto/{entry} to /etc/xen/auto.off\n"
    assert auto(host) == ["other.cfg"] and auto(host, "auto.off") == [entry]
    assert host.json("list")["domains"][2]["autostart"] is False
    assert host.ok("autostart", "web1", "off") == "web1: it is not in /etc/xen/auto\n"
    assert host.json("autostart", "web1", "on")["told"] == [f"moved /etc/xen/auto.off/{entry} to /etc/xen/auto"]
    assert auto(host) == sorted([entry, "other.cfg"]) and auto(host, "auto.off") == []
    assert (host.root / "etc/xen/auto" / entry).read_text().startswith('name = "web1"')
    assert host.ok("autostart", "web1", "on") == "web1: it is in /etc/xen/auto already\n"


def test_autostart_file_and_new_link(host):
    host.config("web1", path="/etc/xen/auto/web1.cfg")
    host.ok("autostart", "web1", "off")
    assert not (host.root / "etc/xen/auto.off/web1.cfg").is_symlink()
    host.config("mail")
    host.ok("autostart", "mail", "on")
    assert os.readlink(host.root / "etc/xen/auto/mail.cfg") == "../mail.cfg"
    assert "no such domain" in host.refused("autostart", "nosuch", "off")
    host.domain("made-by-hand")
    assert "no file in /etc/xen has this name" in host.refused("autostart", "made-by-hand", "on")
    assert host.run("autostart", "mail", "maybe").returncode == 2


def test_autostart_in_the_way(host):
    host.config("web1", path="/etc/xen/auto/web1.cfg")
    host.config("web1", path="/etc/xen/auto.off/web1.cfg")
    assert "/etc/xen/auto.off/web1.cfg is there already" in host.refused("autostart", "web1", "off")
    assert auto(host) == ["web1.cfg"]


def test_autostart_elsewhere(host):
    host.file("/etc/default/xendomains", '# set by us\nXENDOMAINS_AUTO="/srv/auto/"\nXENDOMAINS_SAVE=/var/save\n')
    host.config("web1", path="/srv/auto/web1")
    host.file("/var/save/web1", "memory")
    told = host.json("autostart", "web1", "off")["told"]
    assert told == [
        "moved /srv/auto/web1 to /srv/auto.off",
        "xendomains restores it from /var/save/web1 when the host starts",
    ]
    (host.root / "var/save/web1").unlink()
    host.domain("web1")
    assert "xendomains saves it when the host shuts down" in host.ok("autostart", "web1", "off")


HARESOURCES = """\
# xen1 web1
xen1 IPaddr::10.0.0.5/24 xendom::web1
xen2 xendom::web10 \\
  drbddisk::r0
xen1 Xen::/etc/xen/web1.cfg::now
"""
CIB = """\
<cib crm_feature_set="3.0.14"><configuration><resources>
<primitive class="ocf" id="p_web10" provider="heartbeat" type="Xen"><instance_attributes id="a">
<nvpair id="b" name="xmfile" value="/etc/xen/web10.cfg"/></instance_attributes></primitive>
<group id="g"><primitive id='p_web1' class="ocf" type="Xen">
<instance_attributes id="c"><nvpair id="d" name="xmfile" value="/etc/xen/web1.cfg"/></instance_attributes></primitive>
<primitive id="ip" type="IPaddr2"><nvpair name="ip" value="10.0.0.5"/></primitive></group>
<primitive id="open" type="Xen"><nvpair name="name" value="web1"/>
"""


def test_clusters(host):
    host.config("web1")
    haresources = host.file("/etc/ha.d/haresources", HARESOURCES)
    cib = host.file("/var/lib/pacemaker/cib/cib.xml", CIB)
    told = host.json("autostart", "web1", "off")["told"]
    assert [t for t in told if "heartbeat" in t] == [
        f"heartbeat may start it: /etc/ha.d/haresources:{n} names it; change it there" for n in (2, 5)
    ]
    assert [t.split("resource ")[1].split()[0] for t in told if "pacemaker" in t] == ["p_web1", "open"]
    assert len(told) == 5 and haresources.read_text() == HARESOURCES and cib.read_text() == CIB
    cib.unlink()
    host.file("/var/lib/heartbeat/crm/cib.xml", CIB)
    assert "(/var/lib/heartbeat/crm/cib.xml)" in host.ok("autostart", "web1", "off")


def test_xend_starts_it(xm):
    xm.domain("spare", on_xend_start="start")
    assert "on_xend_start" in xm.ok("autostart", "spare", "off")


# --- migrate ---


def test_migrate(host):
    host.domain("web1")
    ssh = host.ssh()
    done = host.run("migrate", "web1", "xen2", "--live")
    assert done.returncode == 0 and "web1: runs on xen2 now" in done.stdout, done.stderr
    assert "Ctrl-C ends xl" in done.stderr and "migration sender" in done.stderr
    assert host.deeds() == ["xl migrate 1 xen2"]
    host.domain("web2")
    host.ok("migrate", "web2", "xen2", "--live", "--ssh", f"{ssh} -p 22")
    assert host.deeds()[1] == f"xl migrate -s {ssh} -p 22 2 xen2"


def test_migrate_leaves_autostart(host):
    """At its next boot the old host would start it again."""
    host.domain("web1")
    host.config("web1", path="/etc/xen/auto/web1")
    host.ssh()
    assert "bridgectl domain autostart web1 off" in host.run("migrate", "web1", "xen2", "--live").stderr


def test_migrate_xm(xm):
    xm.domain("web1")
    xm.ssh()
    assert "xend" in xm.run("migrate", "web1", "xen2", "--live").stderr
    assert xm.deeds() == ["xm migrate --live 1 xen2"]


def test_not_to_kvm(host):
    host.domain("web1")
    path = host.ssh()
    (host.root / "proc/xen/capabilities").unlink()
    said = host.refused("migrate", "web1", "kvm1", "--live", "--xen", "xl")
    for words in "from Xen to KVM", "bridgectl disk copy --warm", "bridgectl domain convert", "bridgectl migrate":
        assert words in said
    assert said.count("\n") == 1
    path.write_text("#!/bin/sh\necho 'ssh: no route to host' >&2\nexit 255\n")
    assert "ssh: no route to host" in host.refused("migrate", "web1", "kvm1", "--live", "--xen", "xl")
    assert not host.deeds()


def test_migrate_refusals(host):
    host.domain("web1")
    host.ssh()
    for words in ["--copy-storage"], ["--rate", "10"], ["--max-downtime", "100"], ["--to-uri", "qemu+ssh://x/system"]:
        host.refused("migrate", "web1", "xen2", "--live", *words)
    host.refused("migrate", "web1", "xen2;true", "--live")
    host.refused("migrate", "web2", "xen2", "--live")
    assert "--live" in host.refused("migrate", "web1", "xen2", code=2)
    assert host.run("migrate", "web1", "--live", "--", "-oProxyCommand=true").returncode == 2
    assert not host.deeds()


@pytest.mark.parametrize("how,said", [("fails", "it still runs here"), ("away", 'here it is "web1--migratedaway", ending')])
def test_migrate_fails(host, how, said):
    host.domain("web1")
    host.ssh()
    host.save(migrate=how)
    done = host.run("migrate", "web1", "xen2", "--live")
    assert done.returncode == 1 and said in done.stderr


def test_migrate_interrupted(host):
    host.domain("web1")
    host.ssh()
    host.save(migrate="hangs")
    said = interrupted(host, "xl migrate 1 xen2", "migrate", "web1", "xen2", "--live")
    assert "the migration was stopped; it still runs here" in said
    host.tools("xm")
    said = interrupted(host, "xm migrate --live 1 xen2", "migrate", "web1", "xen2", "--live")
    assert "xend goes on with it" in said


# --- Another host ---


def test_host(host):
    host.domain("web1")
    words = ["--host", "root@xen1", "--ssh", host.ssh(), "--remote-bridgectl", BRIDGECTL]
    assert host.json("list", *words) == host.json("list")
    assert host.ssh_log() == f"root@xen1 {BRIDGECTL} --json domain list\n"
    assert host.ok("stop", "web1", "--timeout=9", "--force", *words) == "web1: stopped\n"
    assert host.ssh_log().splitlines()[1] == f"root@xen1 {BRIDGECTL} domain stop --timeout=9 --force -- web1"
    done = host.run("stop", "$(touch x)", "--xen", "xl; true", *words)
    assert done.returncode == 1 and "cannot run xl; true" in done.stderr
    assert not pathlib.Path("x").exists()


@pytest.mark.parametrize("code,said", [(127, "--remote-bridgectl"), (255, "cut off; `ssh -oBatchMode=yes xen1 true` has to work"), (3, ""), (77, "exit code 77")])
def test_host_fails(host, code, said):
    path = host.ssh()
    path.write_text(f"#!/bin/sh\nexit {code}\n")
    done = host.run("list", "--host", "xen1")
    assert done.returncode == (3 if code == 3 else 1) and said in done.stderr
    assert host.run("list", "--host", "-oProxyCommand=true").returncode == 2


def test_host_stopped(host):
    """What ends bridgectl ends its ssh."""
    path = host.ssh()
    path.write_text(f"#!/bin/sh\necho $$ >{host.folder}/pid\nexec sleep 600\n")
    child = subprocess.Popen([BRIDGECTL, "domain", "list", "--host", "xen1"], env=host.env(), stderr=subprocess.PIPE)
    pid = host.folder / "pid"
    while not pid.exists() or not pid.read_text():
        time.sleep(0.05)
    child.terminate()
    assert b"cut off" in child.communicate(timeout=20)[1] and child.returncode == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize("said,meant", [("shutdown", "domain stop"), ("destroy", "domain stop --force"), ("create", "domain start")])
def test_words_of_other_tools(host, said, meant):
    assert f'no command "domain {said}"; did you mean {meant}?' in host.refused(said, "web1", code=2)


def test_completion(host):
    host.domain("web1")
    host.config("mail")
    done = subprocess.run([BRIDGECTL, "__complete", "domain", "stop", ""], env=host.env(), text=True, capture_output=True, check=False)
    assert {"web1", "mail"} <= set(done.stdout.split())
