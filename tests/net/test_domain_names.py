"""Guests with a real udev keep the names of their network cards, and so their network: on Xen a card is eth0 or
enX0, or what a rule makes of its place there; under KVM systemd would call it ens3. (On a real Xen host before:
tests/lab/test_7_names.py.)"""
import json
import pathlib
import subprocess
import sys

import guest_disk
import machine
import pytest
from lab import Lab, long_only, need, skip, wait_for
from libvirtd import Libvirtd, need_libvirtd
from node import BRIDGECTL

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "lab"))

import build  # noqa: E402  (needs the path above)
import debian_guest  # noqa: E402

pytestmark = [long_only("images of guests are made in two minutes; each boots twice, a minute each"),
              pytest.mark.timeout(900)]

NAME = "deb1"


class Place:
    """A KVM host with the guest's disk, and a witness on its bridge."""

    def __init__(self, lab, folder, kind):
        self.kind = kind
        self.host = lab.host("kvm1")
        self.host.bridge("br-sv")
        self.witness = self.host.guest("witness", "br-sv")
        for address in debian_guest.witness_addresses(kind):
            self.witness.ip(f"addr add {address} dev eth0")
        try:
            self.guest = debian_guest.build_guest(folder / "xen", kind, NAME)
        except build.CannotBuild as error:
            skip(f"no image of a guest: {error}")
        self.disk = guest_disk.make(self.guest, folder / "kvm")
        self.log = folder / "serial"
        self.log.touch()
        self.libvirtd = Libvirtd(self.host)

    def domain(self, *words):
        return self.host.run(BRIDGECTL, "-s", "/nowhere", "domain", *map(str, words), "--connect", self.libvirtd.uri,
                             timeout=400)

    def define(self):
        """As `domain convert` writes it, with the serial port in a file."""
        text = subprocess.run(
            [BRIDGECTL, "domain", "convert", self.guest.config, "--dir", self.disk.parent,
             "--type", "qemu", "--bridge", "br-sv"], check=True, capture_output=True, text=True).stdout
        text = text.replace('<serial type="pty">', f'<serial type="pty"><log file="{self.log}" append="on"/>')
        self.libvirtd.define(text)

    def fix_all_but_names(self):
        """Everything, but no network card is known, and the guest's own rules stay."""
        path = self.guest.config.with_suffix(".no-cards")
        path.write_text("".join(line for line in self.guest.config.read_text().splitlines(True)
                                if not line.startswith("vif")))
        guest_disk.fix(self.disk, "--config", path)
        if self.kind.files:
            plan = json.loads(guest_disk.ctl("disk", "layout", self.guest.config, "--json"))
            [root] = [part for part in plan["disks"][0]["partitions"] if part["source"]["path"].endswith(
                self.guest.volumes[f"xvda{self.guest.shape.root}"].name)]
            debian_guest.put_back(self.kind, self.disk, root["start"] * guest_disk.SECTOR, self.disk.parent / "texts")

    def boot(self):
        """What it tells about itself when it has booted."""
        at = len(self.log.read_text(errors="replace"))
        self.domain("start", NAME)

        def booted():
            text = self.log.read_text(errors="replace")[at:]
            return text if "has booted" in text and "login:" in text else None
        return wait_for(booted, machine.SLOW, lambda: self.log.read_text(errors="replace")[at:][-3000:], 0.2)

    def answers(self, card):
        return self.witness.run("ping", "-c", "1", "-W", "1", card.ip, check=False).returncode == 0


@pytest.fixture
def place(request, tmp_path):
    need("netns")
    need_libvirtd()
    with Lab() as lab:
        made = Place(lab, tmp_path, request.param)
        made.define()
        yield made


@pytest.mark.parametrize("place", debian_guest.KINDS.values(), ids=debian_guest.KINDS, indirect=True)
def test_names(place):
    kind = place.kind
    place.fix_all_but_names()
    told = place.boot()
    assert debian_guest.links(told).keys().isdisjoint(card.name for card in kind.cards), told
    assert not any(place.answers(card) for card in kind.cards), "without the names there is no network"
    place.domain("stop", NAME)

    guest_disk.fix(place.disk, "--config", place.guest.config)
    told = place.boot()
    debian_guest.assert_network(told, kind)
    for card in kind.cards:
        assert place.answers(card), f"{card.name} does not answer at {card.ip}"
    place.domain("stop", NAME)
