"""A guest of the old host boots on the new one: from its Xen configuration to its answer through the
tunnel, by bridgectl's own commands. (A kernel from outside of its disk: test_domain_rescue.py.)"""
import json

import pytest

import guest_image
import guest_move
from lab import alone, need, plain_only, skip
from libvirtd import need_libvirtd
from node import Pair
from sshd import Sshd

pytestmark = [plain_only("an emulated machine takes half a minute"), pytest.mark.timeout(400)]


@pytest.fixture
def pair(lab):
    need("tap")
    need_libvirtd()
    return Pair(lab).start()


def side(node, mac):
    """Of the bridge: where this node sees an address."""
    [kind] = {entry["kind"] for entry in node.ctl_json("bridge", "fdb", "br-sv")["entries"] if entry["mac"] == mac}
    return "there" if kind == "tunnel" else "here"


@alone("an emulated processor needs a whole one")
def test_a_guest_moves(pair):
    old, new = pair.right, pair.left
    try:
        move = guest_move.Move(pair.lab, Sshd(old.host, pair.wan.address(old.host)), new,
                               shape=guest_image.Shape(data=3), show=guest_move.quiet)
    except guest_image.Missing as e:
        skip(str(e))
    before = {vdev: path.read_bytes() for vdev, path in move.guest.volumes.items()}
    move.make_disk()
    move.copy()
    move.fixup("--apply")
    move.define()

    console = move.start()
    console.expect("Booting `Debian GNU/Linux", "web1 has booted 1 times", "login:")  # our record, its menu
    assert "failed" not in console.text().split("rc: ", 1)[1], console.text()
    move.answers(pair.guest_right)
    assert side(new, move.guest.mac) == "here" and side(old, move.guest.mac) == "there"
    [listed] = json.loads(move.domain("list", "--json").stdout)["domains"]
    assert (listed["state"], listed["interfaces"][0]["mac"]) == ("running", move.guest.mac)

    move.stop()
    assert move.libvirtd.state(move.name) == "shut off"
    assert before == {vdev: path.read_bytes() for vdev, path in move.guest.volumes.items()}, "the source is as it was"
