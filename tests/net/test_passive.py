"""One side has no address of the other and waits to be called."""
import time

from node import Pair
from traffic import assert_pings

BACK_S = 3.0


def test_the_waiting_side_says_what_it_waits_for(lab):
    pair = Pair(lab, passive=True)
    pair.right.start()
    row = pair.right.wait_state("down", reason="no-peer")
    assert row["detail"]
    assert pair.right.ctl("check", check=False).returncode == 2
    pair.left.start()
    pair.wait_forwarding()
    assert_pings(pair.guest_left, Pair.RIGHT_IP)
    assert_pings(pair.guest_right, Pair.LEFT_IP)


def test_each_side_restarts(lab):
    pair = Pair(lab, passive=True).start()
    for node in (pair.left, pair.right):
        node.kill()
        node.start(wait=False)
        pair.wait_forwarding()
        took = time.monotonic() - node.started
        assert took <= BACK_S, f"{node.name}: {took:.2f} s"
        assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_caller_comes_from_another_address(lab):
    """The waiting side knows the caller by its key, whatever the address."""
    pair = Pair(lab, passive=True).start()
    pair.left.stop()
    pair.wan.readdress(pair.left.host)
    pair.left.start()
    pair.wait_forwarding()
    address = pair.wan.address(pair.left.host)
    assert pair.right.peer_status("kvm1")["endpoint"].startswith(address + ":")
    assert_pings(pair.guest_right, Pair.LEFT_IP, count=5)
