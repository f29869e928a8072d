"""bridgectl against a daemon of canned answers: text as in tests/golden/bridgectl/*.ok, JSON as it came.

UPDATE_GOLDEN=1 writes the .ok files anew; read the difference before committing it.
"""

import copy
import fcntl
import json
import os
import pathlib
import pty
import re
import select
import shutil
import socket
import stat
import struct
import subprocess
import sys
import termios
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from fake_daemon import Error, FakeDaemon  # noqa: E402  (needs the path above)

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BRIDGECTL = os.environ.get("BRIDGECTL", str(ROOT / "bridgectl" / "bridgectl"))


def tunnel(name, state="forwarding", reason="", detail="", **more):
    return {
        "name": name,
        "peer": "xen1",
        "bridge": "br-sv",
        "remote_bridge": "br-sv",
        "tap": f"l2t-{name}",
        "state": state,
        "reason": reason,
        "detail": detail,
        "mode": "tree",
        "priority": 100,
        "admin_up": reason != "admin",
        "local_open": state == "forwarding",
        "remote_open": state == "forwarding",
        "since_s": 3725,
        "rx_frames": 81234,
        "tx_frames": 4321,
        "rx_bytes": 123456789,
        "tx_bytes": 1536,
        "drops": {"gate": 0, "policer": 0, "queue": 0, "decode": 0, "replay": 0},
    } | more


def peer(name, state="up", **more):
    return {
        "name": name,
        "public_key": "5Lrf1UKa5nG6GwcfpU4Lh8ZcM2mjX3e4n0WJmUCIeXk=",
        "address": f"{name}.example.net:4655",
        "endpoint": "192.0.2.7:4655",
        "state": state,
        "detail": "",
        "name_far": name,
        "data_mode": "aead",
        "cipher": "aes-256-gcm",
        "rtt_us": 421,
        "loss_rx": 0.0,
        "loss_tx": 0.0,
        "path_mtu": 1500,
        "rx_bytes": 223456789,
        "tx_bytes": 2536,
        "since_s": 90061,
        "drops": {"replay": 0, "auth": 0, "decode": 0, "queue": 0, "reassembly": 0},
    } | more


def bridge(name, **more):
    return {
        "name": name,
        "present": True,
        "mac": "02:11:22:33:44:55",
        "mtu": 1500,
        "stp": False,
        "detail": "",
        "ports": [
            {"name": "eth1", "kind": "uplink", "owner": "", "up": True, "carrier": True},
            {"name": "l2t-sv", "kind": "tunnel", "owner": "", "up": True, "carrier": True},
            {"name": "vnet0", "kind": "guest", "owner": "qemu-system-x86 pid 77", "up": True, "carrier": True},
        ],
        "foreign": [],
    } | more


def status(tunnels=(), peers=(), bridges=()):
    return {
        "node": {
            "name": "kvm1",
            "id": "1f2e3d4c5b6a7988",
            "public_key": "wDFhp4dUFwqCkJFhW8h1yE2mRkH4yKxjXy1Fz0k2iGc=",
            "version": "0.1.0",
            "incarnation": 1732172761,
            "uptime_s": 200000,
            "listen": ["0.0.0.0:4655", "[::]:4655"],
            "counters": {"bad_header": 3, "bad_mac": 0, "unknown_key": 12},
        },
        "bridges": list(bridges),
        "peers": list(peers),
        "tunnels": list(tunnels),
    }


GOOD = status([tunnel("sv"), tunnel("sv2", "standby", "parallel", peer="xen2")], [peer("xen1"), peer("xen2")], [bridge("br-sv")])

BAD = status(
    [
        tunnel("sv"),
        tunnel(
            "dmz",
            "down",
            "unreachable",
            "no answer from xen2 at 198.51.100.9:4655 since 2 min; check that l2tund runs there and that UDP port "
            "4655 passes every firewall between the two hosts",
            peer="xen2",
            bridge="br-dmz",
            remote_bridge="br-outside",
            since_s=125,
            drops={"gate": 12345, "policer": 0, "queue": 7, "decode": 0, "replay": 0},
        ),
        tunnel("alone", "standby", "priority", bridge="br-a", remote_bridge="br-a"),
        tunnel("jumbo", bridge="br-j", detail="bridge br-j has MTU 9000 here, br-sv has 1500 there"),
        tunnel("lab", "down", "no-bridge", peer="xen1", bridge="br-lab"),
        tunnel("old", "latched", "watchdog", bridge="br-old", since_s=12),
    ],
    [
        peer("xen1", loss_rx=0.034),
        peer("xen3", "down", endpoint="", detail="no address is configured and it has not called"),
        peer("xen2", "handshake", endpoint="", data_mode="", cipher="", detail="no answer to 120 calls", name_far=""),
    ],
    [
        bridge("br-sv"),
        bridge("br-lab", present=False, mac="", mtu=0, ports=[]),  # its tunnel says so
        bridge("br-new", present=False, mac="", mtu=0, ports=[], detail="cannot be created: Operation not permitted"),
        bridge("br-off", ports=[], detail="is switched off, so no frame passes it; `ip link set br-off up`"),
        bridge(
            "br-dmz",
            stp=True,
            ports=[{"name": "tap3", "kind": "foreign-tap", "owner": "vtund pid 812", "up": True, "carrier": False}],
            foreign=[{"node": "xen2", "bridge": "br-outside", "via": "tap3", "owner": "vtund pid 812", "age_ms": 20}],
        ),
    ],
)

SWITCHES = ("checksum", "tso", "uso", "udp-segment", "udp-gro", "join", "coalesce", "pack")


def offloads(**off):
    """What `tunnel show` says of the switches; `off` are reasons, with _ for -."""
    off = {name.replace("_", "-"): why for name, why in off.items()}
    return {name: {"active": False, "why": off[name]} if name in off else {"active": True} for name in SWITCHES}


FAST = status([tunnel("sv", offloads=offloads(), drops_by_reason={"tunnel": {"gate": 0}, "session": {"replay": 0}})])

SLOW = status(
    [
        tunnel(
            "sv",
            offloads=offloads(
                tso="switched off in l2tund.conf",
                uso="the kernel refused: Invalid argument",
                udp_segment="",
                pack="an \x1bodd one",
            ),
            drops={"gate": 5, "policer": 0, "queue": 15, "decode": 1, "replay": 2},
            drops_by_reason={
                "tunnel": {"gate": 5, "policer": 0, "no-key": 12, "tap": 3, "socket": 0, "of-the-future": 1},
                "session": {"auth": 0, "replay": 2, "decode": 1, "chunk-timeout": 9, "no-key": 12, "socket-full": 4},
            },
        )
    ]
)
NO_OFFLOADS = status([tunnel("sv", offloads=offloads(**{n.replace("-", "_"): "not in use" for n in SWITCHES}))])

FILTERED = status(
    [tunnel("sv")],
    [peer("xen1")],
    [bridge("br-sv", filters=["iptables", "ip6tables"]), bridge("br-x", filters=[]), bridge("br-y", filters=["iptables"])],
)

FDB = {
    "name": "br-sv",
    "entries": [
        {"mac": "02:11:22:33:44:55", "vlan": 0, "port": "br-sv", "kind": "bridge", "tunnel": "", "local": True, "age_ms": 0},
        {"mac": "52:54:00:aa:bb:cc", "vlan": 12, "port": "vnet0", "kind": "guest", "tunnel": "", "local": False, "age_ms": 4200},
        {"mac": "00:16:3e:01:02:03", "vlan": 0, "port": "l2t-sv", "kind": "tunnel", "tunnel": "sv", "local": False, "age_ms": 150000},
    ],
}

WHY = {
    "name": "dmz",
    "state": "down",
    "reason": "unreachable",
    "sentences": ["Tunnel dmz is down.", "Peer xen2 has never been heard. " + "It is called every 5 s. " * 6],
}


def event(kind, name, old, new, reason="", detail="", second=1):
    return {
        "event": kind,
        "time": f"2024-11-21T07:06:{second:02}.123Z",
        "name": name,
        "from": old,
        "to": new,
        "reason": reason,
        "detail": detail,
    }


EVENTS = {
    "events": [
        event("bridge", "br-sv", "missing", "present"),
        event("peer", "xen1", "handshake", "up", second=2),
        event("tunnel", "sv", "prepare", "forwarding", second=3),
        event("topology", "kvm1", "agreed", "disagreeing", detail="not yet in agreement: xen2", second=3),
        event("topology", "kvm1", "", "alarm", detail="another node uses our key", second=3),
        event("tunnel", "dmz", "handshake", "down", "unreachable", "no answer", second=4),
    ]
}


# --- the topology ---

IDS = {"kvm1": "1f2e3d4c5b6a7988", "xen1": "aa00000000000001", "xen2": "aa00000000000002", "xen3": "aa00000000000003"}


def node(name, **more):
    return {
        "id": IDS.get(name, name),
        "name": name,
        "self": name == "kvm1",
        "member": True,
        "agrees": True,
        "incarnation": 1732172761,
        "seq": 12,
    } | more


def segment(text):
    name, bridge = text.split(":")
    return {"node": IDS.get(name, name), "name": name, "bridge": bridge}


def edge(a, b, state="forwarding", reason="", **more):
    chosen = state in ("forwarding", "opening", "prepare")
    return {
        "a": segment(a),
        "b": segment(b),
        "priority": 100,
        "mode": "tree",
        "live": state not in ("half", "down", "blocked", "latched"),
        "in_tree": chosen,
        "open_a": state == "forwarding",
        "open_b": state == "forwarding",
        "tunnel": None,
        "state": state,
        "reason": reason,
    } | more


def foreign(by, heard, via=None, owner=None):
    return {"by": segment(by), "heard": segment(heard), "via": via, "owner": owner}


def topology(nodes, edges, foreign_paths=(), **more):
    return {
        "digest": "5e" * 32,
        "members": sum(n["member"] for n in nodes),
        "disagreeing": sum(n["member"] and not n["agrees"] for n in nodes),
        "overflow": False,
        "twin": False,
        "nodes": list(nodes),
        "edges": list(edges),
        "foreign": list(foreign_paths),
        "truncated": False,
    } | more


FOUR = [node("kvm1"), node("xen1"), node("xen2"), node("xen3")]

RING = topology(
    FOUR,
    [
        edge("kvm1:br-sv", "xen1:br-sv", tunnel="sv"),
        edge("kvm1:br-sv", "xen1:br-sv", "standby", "parallel", tunnel="sv-wan", priority=200),
        edge("kvm1:br-sv", "xen3:br-sv", "standby", "cycle", tunnel="sv3"),
        edge("xen1:br-sv", "xen2:br-sv", priority=50),
        edge("xen2:br-sv", "xen3:br-sv", mode="mesh"),
        edge("kvm1:br-dmz", "xen2:br-outside", "blocked", "foreign", tunnel="dmz"),
    ],
    [foreign("kvm1:br-dmz", "xen2:br-outside", "tap3", "vtund pid 812"), foreign("xen2:br-outside", "kvm1:br-dmz")],
)

UNSETTLED = topology(
    [node("kvm1"), node("xen1", agrees=False), node("xen2"), node("xen3", agrees=False), node("gone", member=False, agrees=False)],
    [
        edge("kvm1:br-sv", "xen1:br-sv", "prepare", "remote", tunnel="sv", open_b=True),
        edge("xen1:br-sv", "xen2:br-sv", "opening"),
        edge("xen2:br-sv", "xen3:br-sv", "half"),
        edge("xen3:br-far", "xen2:br-far"),
        edge("xen2:br-far", "gone:br-far", "half"),
        edge("kvm1:br-sv", "kvm2:br-sv", "down", "no-peer", tunnel="old"),
    ],
)
# Who was never heard has no id.
UNSETTLED["edges"][-1]["b"]["node"] = ""

# Two bridges of one host, by a cable or a guest: both ports are known here.
JOINED = topology(
    FOUR[:1],
    [],
    [foreign("kvm1:br-sv", "kvm1:br-x", "x0"), foreign("kvm1:br-x", "kvm1:br-sv", "tap3", "vtund pid 812")],
)

MESH = topology(
    FOUR,
    [
        edge(f"{a}:br-sv", f"{b}:br-sv", mode="mesh", tunnel="to-" + b if a == "kvm1" else None)
        for i, a in enumerate(IDS)
        for b in list(IDS)[i + 1 :]
    ],
)

ALONE = topology([node("kvm1")], [])

CLOSED = topology(FOUR[:2], [edge("kvm1:br-sv", "xen1:br-sv", "standby", "identity", tunnel="sv")], twin=True, overflow=True)

# Two hosts with one name; and what would end a string, a line or a program in the wrong place.
ODD_NAMES = topology(
    [node("kvm1"), node("xen1"), node("xen1", id="bb00000000000001"), node('e"\\N}\n;x', id="cc")],
    [
        edge("kvm1:br-sv", "xen1:br-sv", tunnel='t"]; a -- b ["'),
        edge("kvm1:br-sv", "xen1:br-sv", "standby", "cycle") | {"b": {"node": "bb00000000000001", "name": "xen1", "bridge": "br-sv"}},
        edge("kvm1:br-sv", "xen1:br-sv") | {"b": {"node": "cc", "name": 'e"\\N}\n;x', "bridge": "<b>é\u202e</b>"}},
    ],
)


def status_topology(**more):
    return {
        "digest": "5e" * 32,
        "members": 4,
        "disagreeing": 0,
        "disagreeing_s": 0,
        "waiting_for": [],
        "overflow": False,
        "twin": False,
    } | more


DISAGREEING = status_topology(disagreeing=2, disagreeing_s=75, waiting_for=["xen2", "xen3"])


def find(answers, kind):
    def answer(params):
        for x in answers[kind]:
            if x["name"] == params["name"]:
                return x
        return Error("not-found", f"{kind[:-1]} {params['name']} is not configured")

    return answer


def answers_of(all_of_it):
    return {
        "status": all_of_it,
        "tunnel.list": all_of_it["tunnels"],
        "tunnel.show": find(all_of_it, "tunnels"),
        "tunnel.up": find(all_of_it, "tunnels"),
        "tunnel.down": find(all_of_it, "tunnels"),
        "tunnel.why": WHY,
        "bridge.list": all_of_it["bridges"],
        "bridge.show": find(all_of_it, "bridges"),
        "bridge.fdb": FDB,
        "peer.list": all_of_it["peers"],
        "peer.show": find(all_of_it, "peers"),
        "topology": all_of_it.get("whole", RING),
        "events": EVENTS,
        "events.subscribe": {},
        "reload": {"changed": ["tunnel sv added"], "restart": ["node.listen: needs a restart"], "warnings": []},
        "log": {},
    }


def run(*words, stdin=b"", env=None):
    return subprocess.run(
        [BRIDGECTL, *words],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=30,
        check=False,
        env=os.environ | {"LC_ALL": "C.UTF-8"} | (env or {}),
    )


@pytest.fixture(name="ask")
def fixture_ask(tmp_path):
    """ask(answers, words…): the finished process; ask.requests is what the daemon was asked."""
    path = tmp_path / "s"

    def ask(answers, *words, **more):
        with FakeDaemon(path, answers) as daemon:
            done = run("-s", str(path), *words, **more)
            ask.requests = daemon.requests
        return done

    return ask


def golden(name, text):
    path = HERE / "bridgectl" / f"{name}.ok"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def whole(t):
    return status() | {"whole": t}


LOOPS = status(
    [
        tunnel("sv", "standby", "identity"),
        tunnel("cycle", "standby", "cycle", bridge="br-x"),
        tunnel("down", "down", "no-peer"),
        tunnel("wan", "blocked", "foreign", "br-sv and xen1's br-sv are joined already"),
        tunnel("fine", bridge="br-x"),
        tunnel("old", "latched", "watchdog", since_s=12),
    ]
) | {"topology": status_topology(twin=True)}

CASES = {
    "status-good": (GOOD, ["status"]),
    "status-bad": (BAD, ["status"]),
    "status-verbose": (GOOD, ["status", "-v"]),
    "status-empty": (status(), ["status"]),
    "status-filtered": (FILTERED, ["status"]),
    "tunnel-list": (BAD, ["tunnel", "list"]),
    "tunnel-show": (GOOD, ["tunnel", "show", "sv2"]),
    "tunnel-show-bad": (BAD, ["tunnel", "show", "dmz"]),
    "tunnel-show-fast": (FAST, ["tunnel", "show", "sv"]),
    "tunnel-show-slow": (SLOW, ["tunnel", "show", "sv"]),
    "tunnel-show-no-offloads": (NO_OFFLOADS, ["tunnel", "show", "sv"]),
    "tunnel-up": (GOOD, ["tunnel", "up", "sv"]),
    "tunnel-down": (BAD, ["tunnel", "down", "dmz"]),
    "tunnel-why": (BAD, ["tunnel", "why", "dmz"]),
    "bridge-list": (BAD, ["bridge", "list"]),
    "bridge-show": (GOOD, ["bridge", "show", "br-sv"]),
    "bridge-show-foreign": (BAD, ["bridge", "show", "br-dmz"]),
    "bridge-fdb": (GOOD, ["bridge", "fdb", "br-sv"]),
    "peer-list": (BAD, ["peer", "list"]),
    "peer-show": (GOOD, ["peer", "show", "xen1"]),
    "peer-show-bad": (BAD, ["peer", "show", "xen2"]),
    "status-loops": (LOOPS, ["status"]),
    "status-disagreeing": (GOOD | {"topology": DISAGREEING}, ["status"]),
    "topology": (whole(RING), ["topology"]),
    "topology-verbose": (whole(RING), ["topology", "-v"]),
    "topology-unsettled": (whole(UNSETTLED), ["topology"]),
    "topology-mesh": (whole(MESH), ["topology"]),
    "topology-joined": (whole(JOINED), ["topology"]),
    "topology-alone": (whole(ALONE), ["topology"]),
    "topology-closed": (whole(CLOSED), ["topology"]),
    "topology-odd": (whole(ODD_NAMES), ["topology"]),
    "topology-color": (whole(RING), ["topology", "--color=always"]),
    "events": (GOOD, ["events"]),
    "reload": (GOOD, ["reload"]),
    "log": (GOOD, ["log", "debug", "session"]),
    "color": (BAD, ["tunnel", "list", "--color=always"]),
}


@pytest.mark.parametrize("name", CASES)
def test_text(ask, name):
    answers, words = CASES[name]
    done = ask(answers_of(answers), *words)
    assert (done.returncode, done.stderr) == (0, b"")
    golden(name, done.stdout.decode())


@pytest.mark.parametrize("name", [n for n in CASES if not n.endswith("color")])
def test_json_is_what_the_daemon_said(ask, name):
    answers, words = CASES[name]
    done = ask(answers_of(answers), "--json", *words)
    assert (done.returncode, done.stderr) == (0, b"")
    method, params = ask.requests[-1]
    wanted = answers_of(answers)[method]
    assert json.loads(done.stdout) == (wanted(params) if callable(wanted) else wanted)
    assert re.fullmatch(rb"[\n\x20-\x7e]*", done.stdout)


def test_requests(ask):
    ask(answers_of(GOOD), "log", "info")
    assert ask.requests == [("log", {"level": "info"})]
    ask(answers_of(GOOD), "log", "info", "kernel")
    assert ask.requests == [("log", {"level": "info", "area": "kernel"})]
    ask(answers_of(GOOD), "tunnel", "down", "sv")
    assert ask.requests == [("tunnel.down", {"name": "sv"})]


def test_quiet(ask):
    for words in (["tunnel", "up", "sv"], ["reload"], ["log", "info"]):
        assert ask(answers_of(GOOD), "-q", *words).stdout == b""


def test_reload_unchanged(ask):
    done = ask({"reload": {"changed": [], "restart": []}}, "reload")
    assert done.stdout == b"Nothing has changed.\n"


def test_reload_errors(ask):
    lines = ["l2tund.conf:14: no peer \"x\"; add a section", "l2tund.conf:20: \033[31m"]
    done = ask({"reload": Error("config", "l2tund.conf has 2 errors", details=lines)}, "reload")
    assert done.returncode == 1 and done.stdout == b""
    assert done.stderr.decode().splitlines() == [
        "bridgectl: l2tund.conf has 2 errors",
        f"  {lines[0]}",
        "  l2tund.conf:20: \\x1b[31m",
    ]


# --- check ---

CHECKS = [
    ([tunnel("sv")], [peer("xen1")], [], 0, "OK - 1 of 1 tunnels forwarding, 0 standby"),
    ([tunnel("sv"), tunnel("b", "standby", "parallel")], [], [], 0, "OK - 1 of 2 tunnels forwarding, 1 standby"),
    ([tunnel("sv", "standby", "priority")], [], [], 1, "WARNING - tunnel sv standby (priority)"),
    ([tunnel("sv"), tunnel("b", "standby", "parallel", bridge="br-b")], [], [], 1, "WARNING - tunnel b standby"),
    ([tunnel("sv", "prepare")], [], [], 1, "WARNING - tunnel sv prepare"),
    ([tunnel("sv", "handshake", since_s=3)], [], [], 1, "WARNING - tunnel sv handshake"),
    ([tunnel("sv", "handshake", since_s=60)], [], [], 2, "CRITICAL - tunnel sv handshake"),
    ([tunnel("sv", "down", "no-peer")], [], [], 2, "CRITICAL - tunnel sv down (no-peer)"),
    ([tunnel("sv", "down", "admin")], [], [], 2, "CRITICAL - tunnel sv down (admin)"),
    ([tunnel("sv", "blocked", "foreign")], [], [], 2, "CRITICAL - tunnel sv blocked (foreign)"),
    ([tunnel("sv", "latched", "storm")], [], [], 2, "CRITICAL - tunnel sv latched (storm)"),
    ([tunnel("sv", "refused", "parallel")], [], [], 2, "CRITICAL - tunnel sv refused"),
    ([tunnel("sv", "sideways")], [], [], 2, "CRITICAL - tunnel sv sideways"),
    ([tunnel("sv")], [peer("xen1", loss_tx=0.05)], [], 1, "WARNING - peer xen1 loses 5.0 %"),
    ([tunnel("sv")], [peer("xen1", loss_tx=0.05)], ["--loss", "6"], 0, "OK"),
    ([tunnel("sv")], [peer("xen1", loss_tx=0.05)], ["--loss=5"], 1, "WARNING"),
    ([tunnel("sv"), tunnel("x", "down")], [], ["--tunnel", "sv"], 0, "OK - tunnel sv forwarding"),
    ([tunnel("sv"), tunnel("x", "down", detail="a|b")], [], ["--tunnel=x"], 2, "CRITICAL - tunnel x down: a/b"),
    ([tunnel("sv"), tunnel("x", "standby")], [], ["--tunnel=x"], 1, "WARNING - tunnel x standby"),
    ([tunnel("sv")], [], ["--tunnel=nix"], 3, "UNKNOWN - there is no tunnel nix"),
    ([], [], [], 3, "UNKNOWN - no tunnel is configured"),
    ([tunnel(f"t{i}", "down") for i in range(5)], [], [], 2, "tunnel t0 down, tunnel t1 down, tunnel t2 down and 2 more"),
    # The worst first, with its reason.
    (
        [tunnel("a", "prepare"), tunnel("b", "down", "no-peer", detail="not called"), tunnel("c", "down", detail="x")],
        [],
        [],
        2,
        "CRITICAL - tunnel b down (no-peer): not called, tunnel c down, tunnel a prepare",
    ),
]


CHECKS += [
    # Beside it means between the same two bridges, for what is parallel.
    ([tunnel("sv", remote_bridge="br-x"), tunnel("b", "standby", "parallel")], [], [], 1, "WARNING - tunnel b standby"),
    ([tunnel("sv", remote_bridge="br-x"), tunnel("b", "standby", "cycle")], [], [], 0, "OK"),
    # Frames are lost while it forwards.
    ([tunnel("sv", detail="MTUs differ")], [], [], 1, "WARNING - tunnel sv forwarding: MTUs differ"),
    # A gate that is closed at the other end is no spare one.
    ([tunnel("sv"), tunnel("b", "standby", "remote")], [], [], 1, "WARNING - tunnel b standby (remote)"),
    ([tunnel("sv"), tunnel("b", "standby", "foreign")], [], [], 1, "WARNING - tunnel b standby (foreign)"),
    (
        [tunnel("a", "down"), tunnel("b", "blocked", "storm", detail="why"), tunnel("c", "latched", detail="so")],
        [],
        [],
        2,
        "CRITICAL - tunnel c latched: so, tunnel b blocked (storm), tunnel a down",
    ),
]


def test_check_tells_what_costs_time(ask):
    done = ask(answers_of(FILTERED), "check")
    assert done.returncode == 0
    told = b"OK - 1 of 1 tunnels forwarding, 0 standby; br-sv, br-y: frames also pass iptables, ip6tables|"
    assert told in done.stdout


@pytest.mark.parametrize("tunnels,peers,words,code,text", CHECKS)
def test_check(ask, tunnels, peers, words, code, text):
    done = ask({"status": status(tunnels, peers)}, "check", *words)
    line = done.stdout.decode()
    assert done.stderr == b""
    assert line.startswith("L2TUND ") and line.count("\n") == 1 and line.endswith("\n")
    assert text in line.split("|")[0]
    assert done.returncode == code
    word = ["OK", "WARNING", "CRITICAL", "UNKNOWN"][code]
    assert line.startswith(f"L2TUND {word} - ")


@pytest.mark.parametrize("whole_of_it,words,code,text", [
    (status_topology(), [], 0, "OK - 1 of 1 tunnels forwarding"),
    (status_topology(disagreeing=1, disagreeing_s=10), [], 0, "OK"),
    (DISAGREEING, [], 1, "WARNING - 2 of 4 nodes have not agreed with this one about the topology for 1 min"),
    (DISAGREEING, [], 1, "waiting for xen2, xen3"),
    (DISAGREEING, ["--tunnel=sv"], 0, "OK"),
    (status_topology(twin=True), [], 2, "CRITICAL - another node uses the private key of this one"),
    (status_topology(twin=True), ["--tunnel=sv"], 2, "CRITICAL - another node uses the private key of this one"),
    (status_topology(overflow=True), [], 2, "CRITICAL - more nodes, tunnels or foreign paths"),
    ({"disagreeing": 30, "disagreeing_s": 4000, "waiting_for": ["node-name"] * 30}, [], 1, "and 22 more"),
    ({"disagreeing": "x", "waiting_for": {}, "twin": 1}, [], 0, "OK"),
    (None, [], 0, "OK"),
])
def test_check_topology(ask, whole_of_it, words, code, text):
    done = ask({"status": status([tunnel("sv")]) | {"topology": whole_of_it}}, "check", *words)
    assert text in done.stdout.decode() and done.returncode == code


def test_check_perfdata(ask):
    done = ask({"status": GOOD}, "check")
    text, _, perf = done.stdout.decode().strip().partition("|")
    values = dict(re.fullmatch(r"'([^'=]+)'=(.+)", p).groups() for p in perf.split(" "))
    assert "|" not in perf
    assert values["tunnels"] == "2" and values["forwarding"] == "1" and values["standby"] == "1"
    assert values["sv_rx_bytes"] == "123456789c" and values["sv_drops"] == "0c"
    assert values["xen1_rtt"] == "0.421ms" and values["xen1_loss_rx"] == "0.0%"
    done = ask({"status": GOOD}, "check", "--tunnel", "sv")
    assert "|'rx_bytes'=123456789c 'tx_bytes'=1536c 'drops'=0c 'rtt'=0.421ms" in done.stdout.decode()


@pytest.mark.parametrize("words,code,text", [
    ([], 1, "WARNING - bridge br-sv: is switched off"),
    (["--tunnel=sv"], 1, "WARNING - bridge br-sv: is switched off"),
    (["--tunnel=x"], 0, "OK - tunnel x forwarding"),
])
def test_check_bridge(ask, words, code, text):
    tunnels = [tunnel("sv", bridge="br-sv"), tunnel("x", bridge="br-x")]
    done = ask({"status": status(tunnels, [], [bridge("br-sv", detail="is switched off"), bridge("br-x")])}, "check", *words)
    assert done.stdout.decode().startswith(f"L2TUND {text}|") and done.returncode == code


# What status points at is no OK.
@pytest.mark.parametrize("via,text", [("x0", "through x0"), ("", "through a port not known yet")])
def test_check_foreign(ask, via, text):
    path = {"node": "xen2", "bridge": "br-x", "via": via, "owner": "", "age_ms": 20}
    answer = {"status": status([tunnel("sv")], [], [bridge("br-sv", foreign=[path])])}
    done = ask(answer, "check")
    assert done.returncode == 1
    assert done.stdout.decode().startswith(f"L2TUND WARNING - bridge br-sv: foreign path to br-x of xen2 {text}|")
    assert f"reaches br-x of xen2 {text}, which" in ask(answer, "status").stdout.decode()


def test_check_json(ask):
    done = ask({"status": BAD}, "check", "--json")
    got = json.loads(done.stdout)
    assert got["code"] == done.returncode == 2
    assert got["status"] == "CRITICAL" and got["perfdata"]["tunnels"] == "6"


def test_check_unreachable(tmp_path):
    done = run("-s", str(tmp_path / "none"), "check")
    assert done.returncode == 3 and done.stderr == b""
    assert done.stdout.decode().startswith("L2TUND UNKNOWN - no l2tund at ")


def test_check_bad_loss():
    for value in ("x", "-1", "101", "", "nan"):
        assert run("check", f"--loss={value}").returncode == 3
    assert run("check", "--los", "5").returncode == 3
    assert run("chekc").returncode == 2


# --- topology ---


@pytest.mark.parametrize("env", [{"LC_ALL": "C"}, {"LC_ALL": "", "LC_CTYPE": "POSIX"}, {"LC_ALL": "", "LC_CTYPE": "", "LANG": ""}])
def test_topology_ascii(ask, env):
    done = ask(answers_of(whole(RING)), "topology", env=env)
    golden("topology-ascii", done.stdout.decode())
    assert re.fullmatch(rb"[\n\x20-\x7e]*", done.stdout)


@pytest.mark.parametrize("env", [{"LC_ALL": "de_DE.utf8"}, {"LC_ALL": "", "LC_CTYPE": "en_US.UTF-8", "LANG": "C"}])
def test_topology_utf8(ask, env):
    done = ask(answers_of(whole(RING)), "topology", env=env)
    golden("topology", done.stdout.decode())


@pytest.mark.parametrize("name", ["ring", "unsettled", "odd"])
def test_topology_dot(ask, name):
    done = ask(answers_of(whole({"ring": RING, "unsettled": UNSETTLED, "odd": ODD_NAMES}[name])), "topology", "--dot")
    assert (done.returncode, done.stderr) == (0, b"")
    golden(f"topology-dot-{name}", done.stdout.decode())


def need_dot():
    if not shutil.which("dot"):
        pytest.skip("no dot; its package is graphviz")


@pytest.mark.parametrize("name", ["ring", "odd"])
def test_topology_svg(ask, name):
    """What dot has drawn holds every name as text, and every line."""
    need_dot()
    drawn = {"ring": RING, "odd": ODD_NAMES}[name]
    done = ask(answers_of(whole(drawn)), "topology", "--svg")
    assert (done.returncode, done.stderr) == (0, b"")
    svg = ElementTree.fromstring(done.stdout)
    space = "{http://www.w3.org/2000/svg}"
    texts = {t.text for t in svg.iter(f"{space}text")}
    groups = [g.get("class") for g in svg.iter(f"{space}g")]
    assert groups.count("edge") == len(drawn["edges"]) + (name == "ring")
    if name == "ring":
        assert {"kvm1", "xen3", "br-sv", "br-outside", "foreign path at tap3", "sv-wan: standby (parallel)"} <= texts
    else:
        assert {'e"\\N}\\x0a;x', "<b>é\\u202e</b>", "xen1(bb00000000000001)", 't"]; a -- b ["'} <= texts


def fake_dot(folder, script):
    path = folder / "dot"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_topology_svg_without_graphviz(ask, tmp_path):
    done = ask(answers_of(whole(RING)), "topology", "--svg", env={"PATH": str(tmp_path)})
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"install the package graphviz" in done.stderr and done.stderr.count(b"\n") == 1


def test_topology_svg_fails(ask, tmp_path):
    env = fake_dot(tmp_path, "echo half; echo 'cannot \033[1mdraw' >&2; exit 3")
    done = ask(answers_of(whole(RING)), "topology", "--svg", env=env)
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"dot failed with exit code 3: cannot " in done.stderr and b"\033" not in done.stderr


def test_topology_svg_gets_the_text(ask, tmp_path):
    """No shell in between: the arguments and the text arrive as they are."""
    env = fake_dot(tmp_path, 'echo "$@"; cat')
    done = ask(answers_of(whole(RING)), "topology", "--svg", env=env)
    assert done.stdout.decode() == "-Tsvg\n" + (HERE / "bridgectl/topology-dot-ring.ok").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [["--json", "--dot"], ["--dot", "--svg"], ["--json", "--svg"], ["x"]])
def test_topology_usage(words):
    done = run("topology", *words)
    assert done.returncode == 2 and done.stdout == b""


@pytest.mark.parametrize("option", [None, "--dot"])
def test_topology_no_control_characters(ask, option):
    evil = "\033[2J\033]0;x\007\u009b31m\u202eb\u200bc\rd\ne\x7f"

    def poison(v):
        if isinstance(v, dict):
            return {k: (x or "") + evil if k in ("name", "bridge", "tunnel", "via", "owner") else poison(x) for k, x in v.items()}
        return [poison(x) for x in v] if isinstance(v, list) else v

    done = ask(answers_of(whole(poison(RING))), "topology", *([option] if option else []))
    text = done.stdout.decode()
    assert text.count("x1b[2J") > 10 and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e]", text)


# A node for each character, in a row, around one, all with all, and as many foreign paths.
HOSTILE = {
    "row": [(i, i + 1) for i in range(9000)],
    "star": [(0, i + 1) for i in range(9000)],
    "all": [(i, k) for i in range(95) for k in range(i)],
    "one-pair": [(0, 1)] * 9000,
    "self": [(i, i) for i in range(9000)],
}


@pytest.mark.parametrize("words", [["topology"], ["topology", "--dot"]])
@pytest.mark.parametrize("shape", HOSTILE)
@pytest.mark.parametrize("kind", ["edges", "foreign"])
def test_topology_hostile(ask, shape, words, kind):
    """As much as fits a reply: it is drawn within the limit of run(), in bounded text."""
    ends = [({"node": f"{a:x}", "bridge": "b"}, {"node": f"{b:x}", "bridge": "b"}) for a, b in HOSTILE[shape]]
    if kind == "edges":
        lists = {"edges": [{"a": a, "b": b, "live": True, "in_tree": True, "open_a": True, "open_b": True} for a, b in ends]}
    else:
        lists = {"foreign": [{"by": a, "heard": b} for a, b in ends]}
    done = ask({"topology": {"nodes": [{"id": "0", "self": True, "member": True}], "members": 9000} | lists}, *words)
    assert done.returncode == 0 and len(done.stdout) < 8 << 20
    if words == ["topology"]:
        assert (b"There is more than is drawn." in done.stdout) == (len(ends) > 8192)
    if shape == "row" and words == ["topology"]:
        assert b"more bridges behind it, too deep to draw" in done.stdout


# --- errors ---


def test_no_socket(tmp_path):
    done = run("-s", str(tmp_path / "none"), "status")
    assert done.returncode == 3 and done.stdout == b""
    assert b"there is no such socket; start the daemon" in done.stderr


def test_nobody_listens(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
    done = run("-s", str(path), "status")
    assert done.returncode == 3
    assert b"nobody listens there any more" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody else")
def test_not_let_in(tmp_path):
    path = tmp_path / "s"
    copied = tmp_path / "bridgectl"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()
        os.chmod(path, 0o600)
        for folder in [tmp_path, *tmp_path.parents][:-2]:
            folder.chmod(folder.stat().st_mode | 0o11)
        copied.write_bytes(pathlib.Path(BRIDGECTL).read_bytes())
        copied.chmod(0o755)
        done = subprocess.run(
            [str(copied), "-s", str(path), "status"],
            user=65534,
            group=65534,
            extra_groups=[],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert done.returncode == 3
    assert b"does not let this user in; run this as root, or as a member" in done.stderr


def test_hanging_daemon(tmp_path):
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        s.listen()
        done = run("-s", str(path), "status")
    assert done.returncode == 3
    assert b"did not answer within 5 s" in done.stderr


GARBAGE = {
    "http": b"HTTP/1.1 400 Bad Request\n",
    "binary": bytes(range(256)).replace(b"\n", b"") + b"\n",
    "latin1": b'{"id":1,"result":{"name":"caf\xe9"}}\n',
    "deep": b'{"id":1,"result":' + b"[" * 500 + b"]" * 500 + b"}\n",
    "other-id": b'{"id":2,"result":{}}\n',
    "half": b'{"id":1,"result":{',
    "nothing": b"",
    "too-long": b'{"id":1,"result":"' + b"x" * (4 << 20) + b'"}\n',
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage(ask, name):
    done = ask({"status": GARBAGE[name]}, "status")
    assert done.returncode == 3 and done.stdout == b""
    assert done.stderr.startswith(b"bridgectl: ") and done.stderr.count(b"\n") == 1
    assert re.fullmatch(rb"[\x20-\x7e]*\n", done.stderr)


ODD = [
    {"nodes": 7, "edges": {}, "foreign": "x"},
    {"nodes": [7, None, {"id": 7}, {"id": ""}], "edges": [7, None, {}, {"a": 7, "b": []}, {"a": {"node": "x"}, "b": {"bridge": "y"}}]},
    {"nodes": [{"id": "a", "self": True}] * 3, "edges": [{"a": {"node": "a", "bridge": "b"}, "b": {"name": "c", "bridge": "b"}, "state": 7}] * 3},
    {},
    [],
    None,
    7,
    "x",
    {"tunnels": 7, "peers": {}, "bridges": "x", "node": []},
    {"tunnels": [7, None, [], {"name": 7, "drops": "x"}]},
]


@pytest.mark.parametrize("result", ODD)
def test_odd_results(ask, result):
    """Whatever the shape: an answer or an error, never a crash."""
    answers = {method: result for method in answers_of(GOOD)}
    for words in [c[1] for c in CASES.values()] + [["check"], ["topology", "--dot"]]:
        done = ask(answers, *words)
        assert 0 <= done.returncode <= 3, done


def test_daemon_errors(ask):
    done = ask(answers_of(GOOD), "tunnel", "show", "nix")
    assert (done.returncode, done.stderr) == (1, b"bridgectl: tunnel nix is not configured\n")
    done = ask({"reload": Error("not-permitted", "reload: only root may do this")}, "reload")
    assert (done.returncode, done.stderr) == (1, b"bridgectl: reload: only root may do this; run this as root\n")
    done = ask({}, "status")
    assert done.returncode == 1 and b"the daemon is older than this bridgectl" in done.stderr
    done = ask({"status": b'{"id":null,"error":{"code":"busy","message":"too many clients"}}\n'}, "status")
    assert (done.returncode, done.stderr) == (1, b"bridgectl: too many clients\n")


@pytest.mark.parametrize("words", [["status"], ["tunnel", "list"], ["peer", "list"], ["bridge", "list"], ["check"]])
def test_no_control_characters(ask, words):
    evil = "a\033[2J\033]0;x\007\u009b31m\u202eb\u200bc\rd\ne\x7f"

    def poison(v):
        if isinstance(v, dict):
            return {k: poison(x) for k, x in v.items()}
        if isinstance(v, list):
            return [poison(x) for x in v]
        return evil if isinstance(v, str) and v not in ("down", "up") else v

    for color in ("never", "always"):
        done = ask(answers_of(poison(copy.deepcopy(BAD))), f"--color={color}", *words)
        text = re.sub(r"\033\[[0-9;]*m", "", done.stdout.decode()) if color == "always" else done.stdout.decode()
        assert "\\x1b[2J" in text and not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202e]", text)
        # Only codes of our own remain.
        assert set(re.findall(r"\033\[[0-9;]*m", done.stdout.decode())) <= {f"\033[{c}m" for c in ("0", "1", "2", "32", "33", "1;31")}


def test_full_disk(tmp_path):
    with FakeDaemon(tmp_path / "s", answers_of(GOOD)) as daemon, open("/dev/full", "wb") as full:
        done = subprocess.run([BRIDGECTL, "-s", daemon.path, "status"], stdout=full, stderr=subprocess.PIPE, timeout=30, check=False)
    assert done.returncode == 1 and b"cannot write the output" in done.stderr


# --- events ---


def test_events_lines(ask):
    done = ask(answers_of(GOOD), "events", "-n", "1")
    assert done.stdout.decode() == "2024-11-21T07:06:04.123Z tunnel dmz: handshake -> down (unreachable): no answer\n"
    done = ask(answers_of(GOOD), "events", "-n", "2", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()] == EVENTS["events"][-2:]
    assert ask(answers_of(GOOD), "events", "-n", "0").stdout == b""
    for value in ("x", "-1", "1x", "99999999999999999999"):
        assert run("events", "-n", value).returncode == 2


def test_events_follow(ask):
    early = event("tunnel", "a", "down", "prepare", second=4)
    late = [event("peer", "xen1", "up", "down", detail="timeout", second=5), {"event": "lost", "count": 12}]
    answers = answers_of(GOOD)
    # The early one is in the list too: it must not be shown twice.
    listed = {"events": [event("tunnel", "old", "down", "up")] * 12 + [early]}
    stream = [{"id": 1, "result": {}}, early, {"id": 2, "result": listed}, *late]
    lines = [json.dumps(x).encode() + b"\n" for x in stream]
    answers["events.subscribe"] = lines[0] + lines[1]
    answers["events"] = b"".join(lines[2:]).rstrip(b"\n") + b"\n{"
    done = ask(answers, "events", "-f")
    shown = done.stdout.decode().splitlines()
    assert done.returncode == 3 and b"closed the connection" in done.stderr
    assert len(shown) == 10 + 2
    assert shown[9] == "2024-11-21T07:06:04.123Z tunnel a: down -> prepare"
    assert shown[10] == "2024-11-21T07:06:05.123Z peer xen1: up -> down: timeout"
    assert "12 events are lost" in shown[11]
    done = ask(answers, "events", "-f", "--json")
    assert [json.loads(line) for line in done.stdout.splitlines()][-3:] == [early, *late]


# --- terminals ---


def on_terminal(columns, *words):
    """What a terminal of that width gets to see."""
    lead, follow = pty.openpty()
    fcntl.ioctl(follow, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "NO_COLOR")} | {"TERM": "xterm"}
    with subprocess.Popen([BRIDGECTL, *words], stdout=follow, stderr=follow, env=env) as child:
        os.close(follow)
        seen = b""
        while select.select([lead], [], [], 20)[0]:
            try:
                seen += os.read(lead, 65536)
            except OSError:
                break
    os.close(lead)
    assert child.returncode == 0
    return seen.decode().replace("\r\n", "\n")


def test_terminal(tmp_path):
    with FakeDaemon(tmp_path / "s", answers_of(BAD)) as daemon:
        wide = on_terminal(140, "-s", daemon.path, "status")
        narrow = on_terminal(80, "-s", daemon.path, "status")
    assert "\033[32mforwarding\033[0m" in wide
    plain = {name: re.sub(r"\033\[[0-9;]*m", "", text) for name, text in (("wide", wide), ("narrow", narrow))}
    assert "DROPS" in plain["wide"] and "DROPS" not in plain["narrow"]
    assert max(map(len, plain["narrow"].splitlines())) <= 80
    assert "no answer from xen2 at 198.51.100.9:4655" in plain["narrow"]


# --- keys ---


def key_like(text):
    return re.fullmatch(r"[A-Za-z0-9+/]{43}=\n", text)


def test_keys():
    private = run("keygen").stdout.decode()
    assert key_like(private) and private != run("keygen").stdout.decode()
    assert key_like(run("genpsk").stdout.decode())
    # Alice of RFC 7748, section 6.1.
    done = run("pubkey", stdin=b"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n")
    assert done.stdout == b"hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n"
    assert run("pubkey", stdin=private.encode()).stdout.decode() != private
    assert set(json.loads(run("keygen", "--json").stdout)) == {"private_key"}


@pytest.mark.parametrize("text", [b"", b"x\n", b"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo\n", b"A" * 1000, b"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\0x"])
def test_pubkey_refuses(text):
    done = run("pubkey", stdin=text)
    assert done.returncode == 1 and done.stdout == b"" and b"no private key" in done.stderr


def test_keygen_warns_of_readable_file(tmp_path):
    for mode, warned in ((0o644, True), (0o600, False)):
        with open(tmp_path / f"k{mode:o}", "wb", opener=lambda p, f: os.open(p, f, 0o600)) as out:
            os.fchmod(out.fileno(), mode)
            done = subprocess.run([BRIDGECTL, "keygen"], stdout=out, stderr=subprocess.PIPE, timeout=30, check=False)
        assert done.returncode == 0 and (b"warning" in done.stderr) == warned


def test_keygen_init(tmp_path):
    path = tmp_path / "l2tund" / "private.key"
    done = run("keygen", "--init", "--file", str(path))
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    public = run("pubkey", stdin=path.read_bytes()).stdout.decode().strip()
    text = done.stdout.decode()
    name = socket.gethostname().split(".")[0]
    assert f'peer "{name}" {{' in text and f'public-key = "{public}"' in text and f'"{name}:4655"' in text
    # What is printed can be pasted as it is: the rest are comments.
    assert all(re.match(r"#|$|peer |    |\}", line) for line in text.splitlines())
    assert path.read_text() not in text
    before = path.read_bytes()
    done = run("keygen", "--init", "--file", str(path))
    assert done.returncode == 1 and b"exists already and is not overwritten" in done.stderr
    assert path.read_bytes() == before
    done = run("keygen", "--init", "--file", str(tmp_path / "a" / "b" / "k"))
    assert done.returncode == 1 and b"cannot write the key" in done.stderr
    assert run("keygen", "--file", "x").returncode == 2


# --- help and completion ---


def table():
    return json.loads(run("help", "--json").stdout)


def test_help():
    text = run("--help").stdout.decode()
    for row in table()["commands"]:
        assert f"  {row['command']}" in text
        one = run(*row["command"].split(), "--help")
        assert one.returncode == 0 and one.stdout.decode().startswith("usage: bridgectl [OPTIONS] " + row["command"])
        assert one.stdout == run("help", *row["command"].split()).stdout
        for option in row["options"]:
            assert option["name"] in one.stdout.decode()
    assert run("tunnel", "--help").stdout == run("help", "tunnel").stdout
    assert re.fullmatch(rb"bridgectl \d+\.\d+\.\d+\S*\n", run("--version").stdout)


@pytest.mark.parametrize("words", [[], ["tunnel"], ["nix"], ["tunnel", "show"], ["status", "x"], ["--nix"], ["help", "nix"], ["watch"], ["completion", "tcsh"]])
def test_usage(words):
    done = run(*words)
    assert done.returncode == 2 and done.stdout == b"" and done.stderr.startswith(b"bridgectl: ")


def test_complete():
    def complete(*words):
        done = run("__complete", *words)
        return done.returncode, done.stdout.decode().split()

    assert complete("tu") == (0, ["tunnel"])
    assert complete("tunnel", "") == (0, ["list", "show", "up", "down", "clear", "why"])
    assert complete("tunnel", "s") == (0, ["show"])
    assert complete("log", "d") == (0, ["debug"])
    assert complete("log", "debug", "se") == (0, ["session"])
    assert complete("--color", "=", "a") == (0, ["auto", "always"])
    assert complete("--color", "") == (0, ["auto", "always", "never"])
    assert complete("events", "--fo") == (0, ["--follow"])
    assert complete("status", "--fo") == (0, [])
    assert complete("topo") == (0, ["topology"])
    assert complete("topology", "--s") == (0, ["--svg", "--socket"])
    assert complete("help", "tunnel", "w") == (0, ["why"])
    assert complete("-s", "/x", "stat") == (0, ["status"])
    assert complete("-s", "") == (9, [])
    assert complete("keygen", "--init", "--file", "/e") == (9, [])
    assert complete("domain", "convert", "--bus", "s") == (0, ["sata", "scsi"])
    assert complete("domain", "convert", "--inspect", "") == (0, ["auto", "yes", "no"])
    assert complete("domain", "fixup", "--boot-record", "") == (0, ["auto", "always", "never"])
    for words in ("domain", "convert"), ("domain", "fixup"), ("disk", "copy", "x"), ("disk", "create", "--dir"):
        assert complete(*words, "") == (9, [])
    assert complete("status", "") == (0, [])
    assert complete("nix", "") == (0, [])
    assert complete() == (0, [])
    # Without a daemon: nothing, in silence.
    done = run("__complete", "-s", "/nonexistent", "tunnel", "show", "")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_complete_names(tmp_path):
    with FakeDaemon(tmp_path / "s", answers_of(BAD)) as daemon:

        def names(*words):
            return run("__complete", "-s", daemon.path, *words).stdout.decode().split()

        assert names("tunnel", "show", "") == ["sv", "dmz", "alone", "jumbo", "lab", "old"]
        assert names("tunnel", "why", "d") == ["dmz"]
        assert names("check", "--tunnel", "=", "l") == ["lab"]
        assert names("bridge", "fdb", "br-d") == ["br-dmz"]
        assert names("peer", "show", "") == ["xen1", "xen3", "xen2"]


def test_completion_script(tmp_path):
    script = run("completion", "bash").stdout
    assert script == (ROOT / "conf/completion/bridgectl.bash").read_bytes()
    (tmp_path / "script").write_bytes(script)
    test = f"""
        set -e
        . {tmp_path}/script
        COMP_WORDS=({BRIDGECTL} tunnel s) COMP_CWORD=2
        _bridgectl
        echo "${{COMPREPLY[@]}}"
        COMP_WORDS=({BRIDGECTL} st) COMP_CWORD=1
        _bridgectl
        echo "${{COMPREPLY[@]}}"
        COMP_WORDS=({BRIDGECTL} st tunnel) COMP_CWORD=1
        _bridgectl
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "--norc", "-c", test], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, check=False)
    assert done.stdout.decode().splitlines() == ["show", "status", "status"], done.stderr
