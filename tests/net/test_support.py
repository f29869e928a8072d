"""The support proves itself, without the daemon: above all that the oracle can fail."""
import os
import socket
import subprocess
import time

import pytest

import foreign
import frames
import vtun
from blast import Blast
from flood import Flood
from lab import Lab, need, plain_only, skip, veth, wait_for
from relay import DOWN, UP, Relay
from traffic import assert_pings, ping, pinging, tcp_both_ways

pytestmark = plain_only("no daemon takes part")


def two_bridges(lab, wires):
    """Two hosts with br-sv and a guest each, the bridges joined by this many wires."""
    hosts = [lab.host("left"), lab.host("right")]
    for host in hosts:
        host.bridge("br-sv")
    for wire in range(wires):
        veth(hosts[0], f"w{wire}", hosts[1], f"w{wire}")
    for host in hosts:
        for wire in range(wires):
            host.ip(f"link set w{wire} master br-sv")
    return hosts, [host.guest(f"guest-{host.name}", "br-sv", f"10.9.0.{number}/24")
                   for number, host in enumerate(hosts, 1)]


def test_flood_finds_nothing_wrong_with_one_wire(net):
    _, guests = two_bridges(net, 1)
    with Flood(guests, rate=2000) as flood:
        time.sleep(1)  # how long it floods
    assert len(flood.frames) > 1600, "the oracle cannot send 2000 frames/s here"
    assert {frame.kind for frame in flood.frames} == {0, 1, 2}
    assert {frame.sender for frame in flood.frames} == {0, 1}
    assert flood.outages() == {}


def test_flood_finds_the_loop_of_two_wires(net):
    """A real loop, for as long as it takes to be seen."""
    hosts, guests = two_bridges(net, 1)
    veth(hosts[0], "w1", hosts[1], "w1")
    with Flood(guests, rate=300, verify=False) as flood:
        time.sleep(0.2)
        for host in hosts:
            host.ip("link set w1 master br-sv")
        time.sleep(0.1)
        hosts[0].ip("link del w1")
    assert flood.duplicates
    came_back = [frame for frame, receiver in flood.duplicates if receiver == frame.sender]
    assert came_back, "frames that came back to their sender were not seen"
    with pytest.raises(AssertionError, match="duplicate"):
        flood.check()


def test_flood_finds_the_parting_without_wires(net):
    _, guests = two_bridges(net, 0)
    with Flood(guests, verify=False) as flood:
        time.sleep(0.3)
    assert not flood.duplicates
    assert len(flood.losses()) == len(flood.frames)
    with pytest.raises(AssertionError, match="lost"):
        flood.check()


def test_flood_allows_losses_only_where_told(net):
    hosts, guests = two_bridges(net, 1)
    with Flood(guests) as flood:
        time.sleep(0.2)
        with flood.may_lose("wire out"):
            hosts[0].ip("link set w0 nomaster")
            time.sleep(0.3)
            hosts[0].ip("link set w0 master br-sv")
        time.sleep(0.2)
    assert flood.losses(everywhere=True) and not flood.losses()
    for seconds in flood.outages().values():
        assert 0.25 < seconds < 0.6, flood.outages()

    with Flood(guests, verify=False) as flood:
        with flood.may_lose("nothing happens here"):
            time.sleep(0.1)
        time.sleep(0.2)
        hosts[0].ip("link set w0 nomaster")
        time.sleep(0.2)
    with pytest.raises(AssertionError, match="lost"):
        flood.check()


def test_flood_with_three_segments(net):
    host = net.host("middle")
    host.bridge("br-sv")
    guests = [host.guest(f"g{number}", "br-sv") for number in range(3)]
    with Flood(guests, rate=600) as flood:
        time.sleep(0.3)
    assert all(sorted(frame.counts) == [0, 1, 1] for frame in flood.frames)


@pytest.mark.parametrize("kind", ["cable", "to-left", "to-right", "guest", "vtun"])
def test_foreign_paths_join_and_part(net, kind):
    """Each passes frames in the directions that it should, each once, and none without it."""
    hosts, guests = two_bridges(net, 0)
    wan = net.underlay("wan")
    for host in hosts:
        wan.attach(host)
    if kind == "vtun" and (reason := vtun.why_not()):
        skip(reason)
    if kind.startswith("to-"):
        need("netdev-nft")
        path = foreign.Cable(net, wan, *hosts, only=kind)
    else:
        make = {"cable": foreign.Cable, "guest": foreign.GuestBridge, "vtun": foreign.VtunPath}
        path = make[kind](net, wan, *hosts)
    for _ in range(2):
        path.plug()
        for host, port in zip(hosts, path.ports):
            assert host.link(port)["master"] == "br-sv"
        with Flood(guests, rate=300, verify=False) as flood:
            time.sleep(0.3)  # how long it floods
        assert not flood.duplicates
        closed = {frame.sender for frame, _ in flood.losses()}
        assert closed == {"to-left": {0}, "to-right": {1}}.get(kind, set()), flood.summary()
        path.unplug()
        with Flood(guests, rate=300, verify=False) as flood:
            time.sleep(0.1)  # how long it floods
        assert len(flood.losses()) == len(flood.frames)


def test_vtund_is_known_by_its_pid(net):
    hosts, _ = two_bridges(net, 0)
    wan = net.underlay("wan")
    for host in hosts:
        wan.attach(host)
    if reason := vtun.why_not():
        skip(reason)
    path = foreign.VtunPath(net, wan, *hosts)
    path.plug()
    assert len(set(path.owners())) == 2
    for owner in path.owners():
        pid = owner.removeprefix("vtund pid ")
        with open(f"/proc/{pid}/comm", encoding="ascii") as comm:
            assert comm.read() == "vtund\n"


def test_blast_sends_what_it_says(net):
    """Every frame is another one, and the rate is kept when it can be."""
    _, (left, right) = two_bridges(net, 1)
    with frames.Port(right, "eth0", frames.ETH_P_TEST) as port:
        with Blast(left, 2000) as blast:
            time.sleep(0.5)  # how long it sends
        heard = []
        while (frame := port.receive()) is not None:
            heard.append(frame)
    assert len(heard) == len(set(heard)) == blast.sent
    assert 1500 < blast.rate < 3000


def test_ping_and_tcp(net):
    hosts, guests = two_bridges(net, 1)
    assert_pings(guests[0], "10.9.0.2", count=10)
    assert min(tcp_both_ways(guests[0], guests[1], "10.9.0.2", 1 << 20)) > 0
    with pinging(guests[0], "10.9.0.2") as results:
        time.sleep(0.2)
        hosts[0].ip("link set w0 nomaster")
        time.sleep(0.3)
        hosts[0].ip("link set w0 master br-sv")
        time.sleep(0.2)
    assert results[0].lost and 0.2 <= results[0].outage <= 0.5, results[0].text


def test_vlan_tags_are_seen(net):
    _, (left, right) = two_bridges(net, 1)
    with frames.Port(left, "eth0") as sender, frames.Port(right, "eth0") as receiver:
        # A packet socket lets a frame exceed the MTU by the tag only if that is of 802.1Q.
        for size, vlans in ((1500, ()), (1500, ((frames.ETH_P_8021Q, 0x6005),)),
                            (1492, ((frames.ETH_P_8021AD, 7), (frames.ETH_P_8021Q, 9)))):
            sent = frames.ethernet(frames.BROADCAST, sender.mac, frames.ETH_P_TEST,
                                   os.urandom(size), vlans)
            sender.send(sent)
            assert receiver.wait_for(lambda frame: frame == sent), f"tags {vlans} did not come"
        assert receiver.wait_for(lambda frame: frame == b"never sent", timeout=0.1) is None


def test_fragments_are_seen(net):
    need("ipv6")
    wan = net.underlay("wan")
    hosts = [net.host("left"), net.host("right")]
    for host in hosts:
        wan.attach(host)
    with frames.no_fragments(wan, *hosts):
        assert_pings(hosts[0], wan.address(hosts[1]), count=2)
        assert_pings(hosts[0], wan.address(hosts[1], 6), count=2)
    for family in (4, 6):
        with pytest.raises(AssertionError, match="IP fragments"):
            with frames.no_fragments(wan, hosts[0]):
                assert_pings(hosts[0], wan.address(hosts[1], family), count=1, size=3000)
    with pytest.raises(AssertionError, match="without DF"):
        with frames.no_fragments(wan, hosts[0]):
            with hosts[0].socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER, dont
                sock.sendto(b"x", (wan.address(hosts[1]), 9))
                time.sleep(0.05)


def test_underlay_cut_is_silent(net):
    wan = net.underlay("wan")
    hosts = [net.host("left"), net.host("right")]
    for host in hosts:
        wan.attach(host)
    wan.cut(hosts[0])
    assert ping(hosts[0], wan.address(hosts[1]), count=3).lost == 3
    assert hosts[0].link("wan")["operstate"] == "UP"
    wan.heal(hosts[0])
    wan.readdress(hosts[1])
    assert_pings(hosts[0], wan.address(hosts[1]), count=3)


def test_drop_udp_loses_a_share(net):
    need("numgen")
    ns = net.netns("one")
    ns.drop_udp(30)
    with ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 4655))
        sock.setblocking(False)

        def arrived():
            count = 0
            for _ in range(1000):
                sock.sendto(b"x", ("127.0.0.1", 4655))
                try:
                    sock.recv(10)
                    count += 1
                except BlockingIOError:
                    pass
            return count

        assert 600 < arrived() < 800
        ns.drop_udp(0)
        assert arrived() == 1000


class Ends:
    """A caller and a target with a relay between them."""

    def __init__(self, net):
        wan = net.underlay("wan")
        self.spaces = [net.netns(name) for name in ("caller", "relay", "target")]
        for space in self.spaces:
            wan.attach(space)
        address = [wan.address(space) for space in self.spaces]
        self.caller, _, self.target = (space.socket(socket.AF_INET, socket.SOCK_DGRAM)
                                       for space in self.spaces)
        self.target.bind((address[2], 4655))
        for sock in (self.caller, self.target):
            sock.settimeout(0.3)
            net.on_close(sock.close)
        self.relay = net.enter(Relay(self.spaces[1], (address[1], 4655), (address[2], 4655)))
        self.via = (address[1], 4655)

    def call(self, count):
        """Sends numbered datagrams; gives the numbers that arrived, and from where."""
        for number in range(count):
            self.caller.sendto(b"%d" % number, self.via)
        numbers, sources = [], set()
        try:
            while True:
                data, source = self.target.recvfrom(100)
                numbers.append(int(data))
                sources.add(source)
        except socket.timeout:
            return numbers, sources


def test_relay_weather(net):
    ends = Ends(net)
    numbers, sources = ends.call(200)
    assert numbers == list(range(200)) and len(sources) == 1
    ends.relay.loss = 0.3
    lossy, _ = ends.call(200)
    assert 100 < len(lossy) < 180 and lossy == sorted(lossy)
    ends.relay.loss, ends.relay.duplicate = 0, 0.2
    doubled, _ = ends.call(200)
    assert 215 < len(doubled) < 270 and set(doubled) == set(range(200))
    ends.relay.duplicate, ends.relay.reorder = 0, 0.2
    shuffled, _ = ends.call(200)
    assert shuffled != sorted(shuffled) and sorted(shuffled) == list(range(200))


def test_relay_is_a_nat_and_a_recorder(net):
    ends = Ends(net)
    ends.relay.capturing = True
    _, before = ends.call(5)
    ends.target.sendto(b"answer", before.pop())
    assert ends.caller.recv(100) == b"answer"
    ends.relay.capturing = False
    assert [data for way, data in ends.relay.captured if way == DOWN] == [b"answer"]
    assert ends.relay.replay(UP) == 5
    again, before = ends.call(0)
    assert again == list(range(5))
    ends.relay.rebind()
    _, after = ends.call(5)
    assert len(after) == 1 and after != before


def test_nothing_is_left_behind(net):
    with Lab() as lab:
        ns = lab.netns("short")
        path = ns.path
        child = ns.popen(["sleep", "60"])
        assert os.path.exists(lab.dir) and os.path.exists(path)
        child.kill()
        child.wait()
    assert not os.path.exists(lab.dir) and not os.path.exists(path)
    # What we start dies with us, whatever kills us.
    code = ("import sys; sys.path.insert(0, %r); from lab import Netns;"
            "print(Netns('x').popen(['sleep', '60']).pid, flush=True); sys.stdin.read()")
    support = os.path.dirname(os.path.abspath(frames.__file__))
    outer = subprocess.Popen(["/usr/bin/python3", "-c", code % support], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pid = int(outer.stdout.readline())
    assert os.path.exists(f"/proc/{pid}/exe")
    outer.kill()
    outer.communicate()
    wait_for(lambda: not os.path.exists(f"/proc/{pid}/exe"), 2, "the child lives on")
