"""A guest moves from a real Xen host to libvirt's, while a witness watches: at its old address, with its data,
booted once more and never twice at a time. The only file of the laboratory that `make check` runs."""
import re

import pytest

import guest_image
from witness import Pings

PING_S = 0.1
SUM = re.compile(r"sum:([0-9a-f]{64})")
SHAPE = guest_image.Shape(data=3)


def ask_sum(terminal, expect):
    """What the data of a guest comes to, by itself: on its console, where somebody is logged in."""
    # In two parts, so that the echo of the line is no answer.
    terminal.type("echo su''m:$(cat /srv/* /etc/hostname | sha256sum)\n")
    return SUM.search(expect())[1]


def sum_on_xen(guest):
    guest.log_in()
    return ask_sum(guest, lambda: guest.expect(SUM.pattern, 120)[0])


def sum_on_kvm(console):
    def answer():
        console.expect("sum:")
        return console.text()
    console.expect("login:")
    console.type("root\n")
    console.expect("/root #")
    return ask_sum(console, answer)


def assert_moved(xen, move, count, before):
    """Once, with all that it had, and gone from where it was."""
    assert count == move.domu.boots + 1, "it has run somewhere else meanwhile"
    assert sum_on_kvm(move.console) == before
    assert not move.domu.on and move.name not in xen.run("xl", "list").stdout
    assert move.libvirtd.state(move.name) == "running"
    assert "failed" not in move.console.text().split("rc: ", 1)[1], move.console.text()[-2000:]


@pytest.mark.timeout(1200)  # with the making of the image
def test_move(site, xen, guests, joined, moves, times):
    """All of doc/guide.md by its commands, from `disk layout` to a guest that answers."""
    guest = guests(name="web1", shape=SHAPE)
    with times.of("web1 boots on Xen"):
        guest.start()
    xen.sh("ln -sf ../web1.cfg /etc/xen/auto/web1.cfg")
    before = sum_on_xen(guest)
    move = moves(guest)
    with times.of("web1 moves, all of it"), Pings(site.witness, guest.ip, PING_S) as pings:
        pings.wait_answer(60)
        count = move.all_of_it()
        pings.wait_answer(60)
    gap, began = pings.longest_gap()
    move.steps.rows.append((began + gap, began + gap, "the witness has an answer again"))
    times.tell(f"web1 did not answer for {gap:.1f} s:\n{move.steps.table(began)}")
    assert_moved(xen, move, count, before)
    assert site.witness.run("ip", "neigh", "show", guest.ip).stdout.split()[4] == guest.mac
    assert xen.run("ls", "/etc/xen/auto").stdout == "", "nothing starts it there with the host"
