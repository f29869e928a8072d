"""l2tund in a real dom0: its bridge of vifs and the bridge of another host are one Ethernet."""
import pytest

from conftest import WITNESS_IP, guest_maker
from flood import Flood
from witness import Pings


@pytest.fixture(scope="module")
def web1(site, tmp_path_factory):
    """One for all cases of this file."""
    with guest_maker(site, tmp_path_factory.mktemp("web1")) as guests:
        guest = guests(name="web1")
        guest.start()
        yield guest


def test_guest_is_not_reached_without_tunnel(site, web1):
    done = site.witness.run("ping", "-n", "-c", "1", "-w", "2", web1.ip, check=False)
    assert done.returncode == 1, done.stdout


def test_witness_and_guest(site, web1, joined, times):
    """Across the tunnel, both ways."""
    site.witness.run("ping", "-n", "-c", "3", "-i", "0.3", "-w", "20", web1.ip)
    neighbour = site.witness.run("ip", "neigh", "show", web1.ip).stdout
    assert web1.mac in neighbour, neighbour
    web1.log_in()
    web1.type(f"ping -c 3 -w 20 {WITNESS_IP}\n")
    web1.expect("3 packets transmitted, 3 packets received", 30)


def test_each_frame_once(site, web1, joined):
    """With a guest's vif, a cable and the tunnel on the Xen host's bridge. While the tunnel's far end is away
    frames are lost; none ever comes twice."""
    near, far = joined
    with Flood([site.witness, site.xen.neighbour], rate=100) as flood:
        with Pings(site.witness, web1.ip) as pings:
            pings.wait_answer(10)
            with flood.may_lose("the daemon in dom0 is away", after=2):
                far.stop()
                far.start()
                near.wait_state("forwarding", timeout=40)
            pings.wait_answer(20)
    print(f"silence of {pings.longest_gap()[0]:.1f} s")
