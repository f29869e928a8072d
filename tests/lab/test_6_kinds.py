"""Guests of other kinds, two of them after each other, and what may go wrong on the way."""
import contextlib

import pytest

import guest_image
import vtun
from flood import Flood
from lab import skip, wait_for
from libvirtd import tiny_guest, vif
from node import BRIDGECTL
from test_4_move import assert_moved, sum_on_xen
from witness import Pings

KERNEL = guest_image.Shape(swap=0, root=1, fs="ext4", loader="none")
STAY_S = 5


def watched(site, guest, move):
    """All of the way; the witness loses it and finds it again. Gives the guest's count of its boots."""
    with Pings(site.witness, guest.ip) as pings:
        pings.wait_answer(20)
        count = move.all_of_it()
        pings.wait_answer(60)
    return count


@pytest.mark.timeout(1500)
def test_one_after_the_other(site, xen, guests, joined, moves, times):
    """A PV guest whose kernel is a file of dom0, then a PVH guest; they talk all the time, wherever they are."""
    first = guests("kernel", name="web1", shape=KERNEL)
    second = guests("pvh", name="web2", shape=KERNEL, address="10.9.0.12/24", mac="00:16:3e:5e:00:12")
    sums = {}
    for guest in (first, second):
        guest.start()
        sums[guest.name] = sum_on_xen(guest)
    for guest, other in ((first, second), (second, first)):
        move = moves(guest)
        move.accept = ("--accept-loss", "tsc_mode") if guest.how == "pvh" else ()  # for Xen's emulation alone
        with times.of(f"a guest of the kind {guest.how} moves"):
            count = watched(site, guest, move)
        assert_moved(xen, move, count, sums[guest.name])
        move.console.type(f"ping -c 3 -w 30 {other.ip}\n")
        move.console.expect("3 packets transmitted, 3 packets received")


def far(site, *words, code):
    """`bridgectl domain …` on the KVM host about the Xen host's guests; its one sentence."""
    done = site.kvm.run(BRIDGECTL, "domain", *words, "--host", site.xen.door, *site.far_options, check=False,
                        timeout=200)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done.stderr


def test_no_second_start_and_no_end(site, xen, guests, joined, libvirtd):
    """While it runs on Xen libvirt's does not start. One that does not shut down stays as it is until --force says
    otherwise."""
    guest = guests(name="web1")
    guest.start()
    libvirtd.define(tiny_guest("web1", vif(guest.mac)))
    start = [BRIDGECTL, "-s", site.near.control, "domain", "start", "web1", "--connect", libvirtd.uri]
    try:
        with Pings(site.witness, guest.ip) as pings:
            pings.wait_answer(20)
            said = site.kvm.run(*start, check=False, timeout=60)
            assert said.returncode == 1 and f"{guest.mac} was seen behind tunnel sv" in said.stderr, said
            said = site.kvm.run(*start, "--from", xen.door, *site.far_options, check=False, timeout=60)
            assert said.returncode == 1 and "is still on at" in said.stderr, said
            assert libvirtd.state("web1") == "shut off"

            guest.log_in()
            guest.type("printf '#!/bin/sh\\n' >/sbin/poweroff; echo de''af\n")
            guest.expect("deaf", 30)
            said = far(site, "stop", "web1", "--timeout", str(STAY_S), code=1)
            assert "has not shut down" in said and "--force" in said, said
            pings.wait_answer(10)
            far(site, "stop", "web1", "--timeout", str(STAY_S), "--force", code=0)
            assert not guest.on
        site.kvm.run(*start, "--from", xen.door, *site.far_options, timeout=60)
        assert libvirtd.state("web1") == "running"
    finally:
        libvirtd.virsh("destroy", "web1", check=False)
        libvirtd.virsh("undefine", "web1", check=False)


@pytest.fixture
def stale(site):
    """An old vtun that somebody has left between the same two bridges."""
    reason = vtun.why_not()
    if reason:
        skip(reason)
    box = site.lab.host("stale")
    site.xen.lan.attach(box)
    site.wan.attach(box)
    box.bridge("br-sv")
    box.no_bridge_filter()
    box.ip("link set eth0 master br-sv")
    tunnel = vtun.Vtun(site.lab, site.wan, site.kvm, box)
    tunnel.start()
    yield tunnel
    tunnel.stop()
    with contextlib.suppress(AssertionError):
        box.ip("link set eth0 nomaster")


@pytest.mark.timeout(1200)
def test_beside_a_stale_vtun(site, xen, guests, stale, moves, times):
    """Our tunnel finds it, stays closed, and a guest moves all the same: no frame comes twice. When it is taken
    away, ours takes its place."""
    guest = guests(name="web1", shape=guest_image.Shape(data=3))
    guest.start()
    before = sum_on_xen(guest)
    try:
        with Flood([site.witness, xen.neighbour], rate=50) as flood:
            site.far.start()
            site.near.start()
            row = site.near.wait_state("blocked", timeout=60)
            assert row["reason"] == "foreign", row
            move = moves(guest)
            with flood.may_lose("a guest moves on a machine that is busy with it"):
                with times.of("a guest moves beside a stale vtun"):
                    count = watched(site, guest, move)
            assert site.near.state() == "blocked"
            assert_moved(xen, move, count, before)
            with flood.may_lose("from one path to the other", after=1):
                stale.stop()
                site.near.wait_state("forwarding", timeout=60)
                wait_for(lambda: site.witness.run("ping", "-c", "1", "-W", "1", guest.ip, check=False).returncode == 0,
                         30, "the guest is lost when the vtun ends")
    finally:
        site.part()
