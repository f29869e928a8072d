"""The same guest several times: moved by bridgectl with warm copies, taken back, and moved by the recipes by hand
(hand.py), the fastest alone without NET_LONG=1; the same witness watches, and the same bytes have to arrive."""
import hashlib
import json
import os
import subprocess

import pytest

import guest_image
from copies import MIB, mixed
from hand import WAYS, Hand
from lab import LONG
from test_4_move import assert_moved, sum_on_xen
from witness import Pings
from xenmove import Steps

PING_S = 0.1
SHAPE = guest_image.Shape(data=3, root_mib=320)
FILLED_MIB = 160  # beside what it needs: random, text and zeros
ROOT_MIB = 1024


@pytest.fixture
def big(xen, guests):
    """A guest whose root is a GiB. It grows there: bringing a GiB into an emulated host takes minutes."""
    guest = guests(name="web1", shape=SHAPE, before=fill)
    root = guest.volumes["xvda2"]
    xen.sh(f"lvextend -q -L {ROOT_MIB}M {root} >&2; e2fsck -f -p {root} >&2 || [ $? = 1 ]; resize2fs {root} >&2", timeout=200)
    os.truncate(guest.image.volumes["xvda2"], ROOT_MIB * MIB)
    guest.start()
    return guest


def fill(image):
    source = image.folder / "filler"
    source.write_bytes(mixed(FILLED_MIB * MIB))
    subprocess.run(["debugfs", "-w", "-R", f"write {source} /home/filler", image.volumes["xvda2"]], check=True,
                   capture_output=True)
    source.unlink()


def told(what, pings, steps):
    """How long it was away; the table of where the seconds went."""
    gap, began = pings.longest_gap()
    steps.rows.append((began + gap, began + gap, "the witness has an answer again"))
    return gap, f"{what}: no answer for {gap:.1f} s\n{steps.table(began)}"


def data_of(disk, root, data):
    """SHA-256 of what the guest keeps, read from its disk, which is off; first sectors of the partitions. The
    numbers of its boots are not in it."""
    found = hashlib.sha256()
    for start, path in ((data, "/hello"), (root, "/etc/hostname"), (root, "/home/filler")):
        found.update(subprocess.run(["debugfs", "-R", f"cat {path}", f"{disk}?offset={start * 512}"], check=True,
                                    capture_output=True).stdout)
    return found.hexdigest()


def by_bridgectl(site, guest, moves, times):
    """Seconds without an answer, and what its disk holds."""
    before = sum_on_xen(guest)
    move = moves(guest)
    with Pings(site.witness, guest.ip, PING_S) as pings, times.of("a guest of 1 GiB, by bridgectl"):
        count = move.all_of_it()
        pings.wait_answer(120)
    gap, text = told("bridgectl, warm copies", pings, move.steps)
    times.tell(text)
    assert_moved(site.xen, move, count, before)
    move.libvirtd.virsh("destroy", move.name)
    table = json.loads(subprocess.run(["sfdisk", "-J", move.disk], check=True, capture_output=True).stdout)
    return gap, data_of(move.disk, *(part["start"] for part in table["partitiontable"]["partitions"][1:]))


def by_hand(site, guest, libvirtd, folder, times, way):
    guest.start()
    hand = Hand(site, guest, libvirtd, folder, Steps(), way)
    try:
        hand.prepare()
        with Pings(site.witness, guest.ip, PING_S) as pings, times.of(f"the same guest by hand, {way}"):
            pings.wait_answer(60)
            console = hand.move()
            pings.wait_answer(120)
        gap, text = told(f"by hand, {way}", pings, hand.steps)
        times.tell(text)
        console.expect(f"has booted {guest.boots + 1} times")  # there is no login: nobody has made one on ttyS0
        libvirtd.virsh("destroy", hand.name)
        return gap, data_of(hand.disk, hand.words["root_start"], hand.words["data_start"])
    finally:
        hand.remove()


@pytest.mark.timeout(2400)
def test_against_the_recipe_by_hand(site, big, joined, moves, libvirtd, tmp_path, times):
    warm, digest = by_bridgectl(site, big, moves, times)
    for number, way in enumerate(WAYS if LONG else [next(iter(WAYS))]):
        hand, by_hands = by_hand(site, big, libvirtd, tmp_path / f"hand{number}", times, way)
        times.tell(f"{way} : bridgectl = {hand / warm:.1f}")
        assert by_hands == digest, "the same guest has other data"
        assert warm < hand
