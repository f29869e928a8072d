"""Guests with a real udev, which would call their network cards by other names under KVM: they move, and keep
name, MAC address and network. (Without a Xen host, and with a look at what happens else:
tests/net/test_domain_names.py.)"""
import pytest

import build
import debian_guest
from domu import DomU
from lab import long_only, skip
from test_4_move import assert_moved, sum_on_xen
from witness import Pings

VARIANT = long_only("two and a half minutes each, a variant")


@pytest.fixture
def debian(request, site, tmp_path, times):
    """A guest of the kind that the test's parameter names, and all that it is to have."""
    kind = debian_guest.KINDS[request.param]
    try:
        with times.of(f"image of a guest, {kind.suite} (0: from the cache)"):
            debian_guest.root_of(kind.suite)
    except build.CannotBuild as error:
        skip(f"no image of a guest: {error}")
    with times.of(f"volumes of {request.param} are made and filled"):
        guest = DomU(site.xen, debian_guest.build_guest(tmp_path / "image", kind, "deb1"))
    added = debian_guest.witness_addresses(kind)[1:]
    for address in added:
        site.witness.ip(f"addr add {address} dev eth0")
    yield guest, kind
    guest.remove()
    for address in added:
        site.witness.ip(f"addr del {address} dev eth0")


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("debian", [pytest.param(name, marks=[] if name == "eth0" else [VARIANT])
                                    for name in debian_guest.KINDS], indirect=True)
def test_names(site, xen, debian, joined, moves, times):
    guest, kind = debian
    with times.of("a Debian guest boots on Xen"):
        guest.start()
    guest.expect(f"{guest.name} login:", 120)  # what is typed before that is thrown away
    debian_guest.assert_network(guest.console(), kind)
    before = sum_on_xen(guest)
    move = moves(guest)
    with times.of("it moves, all of it"), Pings(site.witness, guest.ip) as pings:
        pings.wait_answer(20)
        count = move.all_of_it()
        pings.wait_answer(60)
    gap, began = pings.longest_gap()
    times.tell(f"{guest.name}, {'/'.join(card.name for card in kind.cards)}, did not answer for {gap:.1f} s:\n"
               + move.steps.table(began))
    debian_guest.assert_network(move.console.text(), kind)
    assert_moved(xen, move, count, before)
    for card in kind.cards:
        site.witness.run("ping", "-c", "1", "-W", "10", card.ip)
        assert site.witness.run("ip", "neigh", "show", card.ip).stdout.split()[4] == card.mac
