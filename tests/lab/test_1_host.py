"""The ground of the laboratory: a real Xen host with real guests of each kind, and what bridgectl reads of
its configurations."""
import json

import pytest

import guest_image
from node import BRIDGECTL

KERNEL = guest_image.Shape(swap=0, root=1, fs="ext4", loader="none")


def test_xen_host(xen):
    assert "Domain-0" in xen.run("xl", "list").stdout
    assert xen.run("cat", "/proc/xen/capabilities").stdout.strip() == "control_d"
    assert "vg0" in xen.run("vgs").stdout


DIGESTS = """
import collections, hashlib, os
data = os.urandom(1 << 20)
for name in "sha256", "sha512", "sha1":
    assert len({hashlib.new(name, data).digest() for _ in range(20)}) == 1, name
"""


def test_registers_are_its_own(xen, guests):
    """What is emulated keeps dom0's registers apart from a busy guest's: else nothing here means anything."""
    guest = guests(name="busy")
    guest.start()
    guest.log_in()
    guest.type("while :; do head -c 300000 /dev/urandom | sha256sum; done\n")
    guest.expect("[0-9a-f]{64}", 60)
    xen.run("python3", "-c", DIGESTS, timeout=240)


def listed(site, name):
    """What `domain list` on the KVM host says of a guest of the Xen host."""
    said = site.kvm.run(BRIDGECTL, "--json", "domain", "list", "--host", site.xen.door, *site.far_options, timeout=60)
    told = json.loads(said.stdout)
    assert told["hypervisor"] == "xl"
    [domain] = [d for d in told["domains"] if d["name"] == name]
    return domain


def records(xen, config):
    """What bridgectl makes of the file, and what Xen made of it."""
    # What a PVH guest needs under emulation only is not carried, and bridgectl insists that this is known.
    shown = json.loads(xen.run("bridgectl", "--json", "domain", "show", "--accept-loss", "tsc_mode",
                               config).stdout)["guest"]
    [running] = [d for d in json.loads(xen.run("xl", "list", "-l").stdout)
                 if d["config"]["c_info"]["name"] == shown["name"]]
    return shown, running["config"]


@pytest.mark.parametrize("how, shape", [("pygrub", guest_image.Shape(data=3)), ("kernel", KERNEL),
                                        ("pvh", KERNEL)])
def test_guest_boots(site, xen, guests, times, how, shape):
    """Of each kind; bridgectl reads its configuration as Xen does, and finds it in Xen's list. It ends when it is
    asked to."""
    guest = guests(how, name=how, shape=shape)
    with times.of(f"{how} guest, from xl create to booted"):
        guest.start()
    assert guest.boots == 1 or guest.retries
    shown, running = records(xen, guest.config)
    assert running["c_info"]["type"] == ("pvh" if how == "pvh" else "pv")
    assert shown["kind"] == running["c_info"]["type"]
    assert shown["memory_bytes"] == running["b_info"]["max_memkb"] << 10
    assert [v["mac"] for v in shown["vifs"]] == [n["mac"] for n in running["nics"]] == [guest.mac]
    sources = {s["vdev"]: s["path"] for d in shown["disks"] for s in d["sources"]}
    assert sources == {d["vdev"]: d["pdev_path"] for d in running["disks"]} == guest.volumes
    row = listed(site, how)
    assert (row["state"], row["config"], row["autostart"]) == ("running", guest.config, False)
    assert (row["id"], row["uuid"]) == (int(xen.run("xl", "domid", how).stdout), running["c_info"]["uuid"])
    assert [(v["mac"], v["bridge"]) for v in row["interfaces"]] == [(guest.mac, "br-sv")]
    with times.of(f"{how} guest, xl shutdown until it is off"):
        guest.shutdown()
    assert (listed(site, how)["state"], listed(site, how)["id"]) == ("off", None)
