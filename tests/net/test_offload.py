"""Each switch of the data path alone, and all of them, off at one end or at both: the pair joins and
carries everything, and `tunnel show` says what is active, and of what is not why."""
import json
import os

import pytest

from lab import long_only, plain_only, skip
from node import Pair
from switches import NEED_CHECKSUM, OFFLOADS
from traffic import Datagrams, assert_pings, tcp_both_ways

OFF = "switched off in l2tund.conf"
NO_CHECKSUM = "needs checksum, which is switched off in l2tund.conf"
TCP_BYTES = 1 << 20
DATAGRAMS = 300
FILTERS = ("iptables", "ip6tables", "arptables")
SETTINGS = {"none-off": (), **{f"{name}-off": (name,) for name in OFFLOADS}, "all-off": OFFLOADS}
SANITIZED = ("none-off", "checksum-off", "all-off")


def why_off(name, off):
    """What is to be said of a switch, or None when it was not switched off."""
    if name in NEED_CHECKSUM and "checksum" in off:
        return NO_CHECKSUM
    return OFF if name in off else None


def check_told(node, off):
    """The answer fits the configuration; what the kernel of this machine lacks has a reason."""
    told = node.ctl_json("tunnel", "show", "sv")["offloads"]
    assert list(told) == list(OFFLOADS)
    text = node.ctl("tunnel", "show", "sv").stdout
    for name, one in told.items():
        why = why_off(name, off)
        if one["active"]:
            assert one == {"active": True} and why is None, f"{name}: {one}"
            continue
        assert one["why"] and one["why"] == (why or one["why"]), f"{name}: {one}"
        assert why or one["why"] not in (OFF, NO_CHECKSUM, "not in use"), f"{name}: {one}"
        assert f"inactive      {name}: {one['why']}\n" in text
    active = ", ".join(name for name in told if told[name]["active"])
    assert f"offloads      {active or '-'}\n" in text
    return told


def check_traffic(pair):
    for address in (Pair.RIGHT_IP, Pair.RIGHT_IP6):
        assert_pings(pair.guest_left, address, count=5)
        tcp_both_ways(*pair.guests, address, size=TCP_BYTES)
    for way, address in ((pair.guests, Pair.RIGHT_IP), (pair.guests[::-1], Pair.LEFT_IP6)):
        with Datagrams(*way, address, 1400) as datagrams:
            datagrams.send(DATAGRAMS)
            datagrams.check(1, 1)


def check_drops(node):
    """Every reason is there, and the parts of `queue` are its sum."""
    tunnel = node.ctl_json("tunnel", "show", "sv")
    own = dict(tunnel["drops_by_reason"]["tunnel"])
    assert own.pop("gate") == tunnel["drops"]["gate"]
    assert own.pop("policer") == tunnel["drops"]["policer"]
    assert sum(own.values()) == tunnel["drops"]["queue"], json.dumps(tunnel, indent=1)
    assert {"malformed", "path-mtu", "socket-full", "tap"} <= own.keys()
    assert {"replay", "decode", "chunk-timeout"} <= tunnel["drops_by_reason"]["session"].keys()


@pytest.mark.parametrize("off", [
    pytest.param(off, id=name, marks=[] if name in SANITIZED else [plain_only()])
    for name, off in SETTINGS.items()])
@pytest.mark.parametrize("ends", ["both", pytest.param("left", marks=[long_only("a minute: one end only")])])
def test_one_switch(lab, off, ends):
    pair = Pair(lab)
    pair.left.offload = dict.fromkeys(off, False)
    if ends == "both":
        pair.right.offload = pair.left.offload
    pair.start()
    check_traffic(pair)
    check_told(pair.left, off)
    check_told(pair.right, off if ends == "both" else ())
    for node in pair.nodes:
        check_drops(node)


def test_reload_names_what_needs_a_restart(lab):
    """What sockets and devices were opened with stays, and `tunnel show` goes on to say so."""
    pair = Pair(lab).start()
    before = check_told(pair.left, ())
    pair.left.offload = {"tso": False, "pack": False}
    pair.left.write_config()
    answer = pair.left.ctl_json("reload")
    assert answer["restart"] == ["offload.tso: needs a restart", "offload.pack: needs a restart"]
    assert pair.left.ctl_json("tunnel", "show", "sv")["offloads"] == before
    pair.left.stop()
    pair.left.start()
    pair.wait_forwarding()
    check_told(pair.left, ("tso", "pack"))
    check_traffic(pair)


def test_super_frames_without_checksum(lab):
    """No error, but a warning for who asked for one by name."""
    pair = Pair(lab)
    pair.left.offload = {"checksum": False, "tso": True}
    pair.start()
    assert "warning: offload: tso: off all the same" in pair.left.log()[1]
    check_told(pair.left, ("checksum",))


def test_bridge_filters_are_told_and_left_alone(lab):
    """One warning at the start, a note in `status` and in `check`, and nothing is changed."""
    pair = Pair(lab)
    keys = [f"net.bridge.bridge-nf-call-{name}" for name in FILTERS]
    if not os.path.exists("/proc/sys/net/bridge"):
        skip("br_netfilter is not loaded")
    for node, values in (pair.left, "101"), (pair.right, "000"):
        for key, value in zip(keys, values):
            node.host.sysctl(key.replace(".", "/"), value)
    pair.start()
    assert pair.left.bridge_status()["filters"] == ["iptables", "arptables"]
    assert pair.right.bridge_status()["filters"] == []
    warning = "go through iptables, arptables (br_netfilter)"
    assert pair.left.log()[1].count(warning) == 1
    assert f"`sysctl {keys[0]}=0 {keys[2]}=0`" in pair.left.log()[1]
    assert "br_netfilter" not in pair.right.log()[1]
    note = "br-sv: frames also pass iptables, arptables"
    for command in ("status", "check"):
        pair.left.wait_healthy()
        told = pair.left.ctl(command, check=False)
        assert note in told.stdout and told.returncode == 0, told.stdout
        assert note not in pair.right.ctl(command, check=False).stdout
    assert pair.left.host.run("sysctl", "-n", *keys).stdout.split() == ["1", "0", "1"]
