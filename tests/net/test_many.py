"""A hundred tunnels between two hosts, each with bridges of its own."""
import time

from node import START_S, Pair
from lab import alone, plain_only, wait_for
from traffic import assert_pings

TUNNELS = 100
MEMORY_KIB = 40 * 1024
PROBED = (0, 57, 99)


def name_of(number):
    return f"t{number}"


def all_forward(node):
    states = [row["state"] for row in node.status()["tunnels"]]
    return len(states) == TUNNELS + 1 and set(states) == {"forwarding"}


@alone("making and removing so many devices holds the kernel's lock that all others wait for")
@plain_only("an amount")
def test_a_hundred_tunnels(lab):
    pair = Pair(lab)
    for node, other in ((pair.left, pair.right), (pair.right, pair.left)):
        for number in range(TUNNELS):
            node.bridge(f"br{number}", create=True)
            node.tunnel(name_of(number), other.name, f"br{number}")
        node.start(wait=False)
    for node in pair.nodes:
        wait_for(node.answers, 2 * START_S, f"{node.name} does not answer")
        wait_for(lambda node=node: all_forward(node), 6 * START_S,
                 f"{node.name}: not all tunnels forward", interval=0.2)
    print(f"all forward after {time.monotonic() - pair.left.started:.2f} s")

    guests = {}
    for number in PROBED:
        guests[number] = [node.host.guest(f"g{number}{end}", f"br{number}", f"10.8.0.{end}/24")
                          for end, node in enumerate(pair.nodes, 1)]
    for left, _ in guests.values():
        assert_pings(left, "10.8.0.2", count=5)

    # Frames of one do not come out of another.
    guests[PROBED[0]][1].ip("addr flush dev eth0")
    result = guests[PROBED[0]][0].run("ping", "-c", "2", "-i", "0.1", "-W", "0.3", "10.8.0.2",
                                      check=False)
    assert " 0 received" in result.stdout, result.stdout

    for node in pair.nodes:
        assert node.sanitized or node.memory_kib() < MEMORY_KIB, node.memory_kib()
        assert len(node.ctl("tunnel", "list").stdout.splitlines()) >= TUNNELS

    # One session carries them all: one cut ends all, one heal brings all back.
    pair.wan.cut(pair.right.host)
    for node in pair.nodes:
        wait_for(lambda node=node: {row["state"] for row in node.status()["tunnels"]}
                 .isdisjoint({"forwarding"}), 6, "some still forward")
    pair.wan.heal(pair.right.host)
    for node in pair.nodes:
        wait_for(lambda node=node: all_forward(node), 20, "not all returned", interval=0.2)
    assert_pings(guests[PROBED[1]][0], "10.8.0.2", count=5)
