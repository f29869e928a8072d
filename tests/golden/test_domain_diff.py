"""`bridgectl domain diff` under Xen: a running guest, as xl 4.17 tells of it, against its configuration.

libvirt's half is in tests/net/test_domain_libvirt.py.
"""

import json
import os
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REAL = HERE / "hypervisor" / "real-4.17"
BRIDGECTL = os.environ.get("BRIDGECTL", str(ROOT / "bridgectl" / "bridgectl"))

# What web1 was made from.
CONFIG = """\
name = "web1"
memory = 256
vcpus = 1
bootloader = "pygrub"
disk = ['phy:/dev/vg0/web1-xvda2,xvda2,w', 'phy:/dev/vg0/web1-xvda1,xvda1,w']
vif = ['bridge=br-sv,mac=00:16:3E:5E:00:11']
on_poweroff = 'destroy'
on_reboot = 'restart'
"""

XL = f"""#!/bin/sh
case "$1 $2" in
"list -l") cat "{REAL}/list-l${{3:+-web1}}.json" ;;
"network-list "*) cat {REAL}/network-list ;;
*) cat {REAL}/list ;;
esac
"""


@pytest.fixture
def host(tmp_path):
    (tmp_path / "etc/xen").mkdir(parents=True)
    (tmp_path / "xl").write_text(XL)
    (tmp_path / "xl").chmod(0o755)
    (tmp_path / "etc/xen/web1.cfg").write_text(CONFIG)
    return tmp_path


def diff(host, *words):
    return subprocess.run(
        [BRIDGECTL, "domain", "diff", *map(str, words), "--xen", host / "xl"],
        env=os.environ | {"BRIDGECTL_ROOT": str(host)}, capture_output=True, text=True, timeout=60, check=False,
    )


def changed(host, old, new):
    assert old in CONFIG
    path = host / "other.cfg"
    path.write_text(CONFIG.replace(old, new))
    done = diff(host, "web1", path, "--json")
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert found["equal"] == (done.returncode == 0)
    return [(d["path"], d["was"], d["is"]) for d in found["differences"]]


def test_equal(host):
    done = diff(host, "web1")
    assert (done.returncode, done.stdout) == (0, "web1: it runs as it is defined\n"), done.stderr


@pytest.mark.parametrize(
    "old, new, differences",
    [
        ("memory = 256", "memory = 512", [("memory", "512 MiB", "256 MiB")]),
        ("vcpus = 1", "vcpus = 2", [("vcpus", "2", "1")]),
        ("xvda2,xvda2", "other,xvda2", None),
        ("web1-xvda2,xvda2", "new,xvda2", [("disk[xvda2]", "/dev/vg0/new", "/dev/vg0/web1-xvda2")]),
        ("xvda1,w'", "xvda1,w', 'phy:/dev/vg0/more,xvda3,w'", [("disk[xvda3]", "there", None)]),
        (", 'phy:/dev/vg0/web1-xvda1,xvda1,w'", "", [("disks", "1", "2")]),
        ("5E:00:11", "5E:00:12", [("vif[0]/mac", "00:16:3e:5e:00:12", "00:16:3e:5e:00:11")]),
        ("br-sv", "xenbr0", [("vif[0]/bridge", "xenbr0", "br-sv")]),
        (",mac=00:16:3E:5E:00:11", "", []),
        ("00:11']", "00:11', 'bridge=br-two']", [("vif[1]", "there", None)]),
        ("'restart'", "'destroy'", [("on_reboot", "destroy", "restart")]),
        ("pygrub\"", "pygrub\"\n# a comment", []),
    ],
)
def test_differences(host, old, new, differences):
    found = changed(host, old, new)
    assert found == differences if differences is not None else len(found) == 1


def test_text(host):
    (host / "etc/xen/web1.cfg").write_text(CONFIG.replace("256", "512"))
    done = diff(host, "web1")
    assert done.returncode == 1 and "512 MiB" in done.stdout and "256 MiB" in done.stdout


def test_nothing_to_compare(host):
    (host / "etc/xen/off.cfg").write_text(CONFIG.replace("web1", "off"))
    for name, words in (("off", ()), ("nobody", ())):
        done = diff(host, name, *words)
        assert done.returncode == 1 and "it is off, so there is nothing to compare" in done.stderr
    assert "no such file" in diff(host, "web1", "/nowhere.cfg").stderr.lower()
    (host / "bad.cfg").write_text("memory = = 3\n")
    assert diff(host, "web1", host / "bad.cfg").returncode == 1
