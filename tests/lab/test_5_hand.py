"""The same guest twice: moved by bridgectl with warm copies, taken back, and moved by the recipe by hand (hand.py);
the same witness watches both."""
import os
import subprocess

import pytest

import guest_image
from copies import MIB, mixed
from hand import Hand
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
    gap, began = pings.longest_gap()
    steps.rows.append((began + gap, began + gap, "the witness has an answer again"))
    return gap, f"{what}: no answer for {gap:.1f} s\n{steps.table(began)}"


@pytest.mark.timeout(2400)
def test_against_the_recipe_by_hand(site, xen, big, joined, moves, libvirtd, tmp_path, times):
    guest = big
    before = sum_on_xen(guest)
    move = moves(guest)
    with Pings(site.witness, guest.ip, PING_S) as pings, times.of("a guest of 1 GiB, by bridgectl"):
        count = move.all_of_it()
        pings.wait_answer(120)
    warm, text = told("bridgectl, warm copies", pings, move.steps)
    times.tell(text)
    assert_moved(xen, move, count, before)
    move.libvirtd.virsh("destroy", move.name)

    guest.start()
    by_hand = Hand(site, guest, libvirtd, tmp_path / "hand", Steps())
    try:
        by_hand.prepare()
        with Pings(site.witness, guest.ip, PING_S) as pings, times.of("the same guest, by hand"):
            pings.wait_answer(60)
            console = by_hand.move()
            pings.wait_answer(120)
        hand, text = told(f"by hand, {by_hand.way}", pings, by_hand.steps)
        times.tell(f"{text}\nratio: {hand / warm:.1f}")
        console.expect(f"has booted {guest.boots + 1} times")  # there is no login: nobody has made one on ttyS0
    finally:
        by_hand.remove()
    assert warm < hand
