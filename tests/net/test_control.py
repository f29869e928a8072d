"""bridgectl and the control socket against running daemons."""
import contextlib
import json
import os
import signal
import socket
import time

import pytest

from flood import Flood
from lab import wait_for
from node import BRIDGECTL, L2TUND, ControlClient, Pair
from traffic import assert_pings, pinging

KEYS = {
    "node": {"name", "id", "version", "incarnation", "uptime_s"},
    "bridges": {"name", "present", "mac", "mtu", "stp", "ports", "foreign"},
    "peers": {"name", "public_key", "endpoint", "state", "rtt_us", "loss_rx", "loss_tx",
              "path_mtu", "data_mode", "cipher", "rx_bytes", "tx_bytes"},
    "tunnels": {"name", "peer", "bridge", "remote_bridge", "tap", "state", "reason", "detail",
                "since_s", "rx_frames", "tx_frames", "rx_bytes", "tx_bytes", "drops"},
}
DROPS = {"gate", "policer", "queue", "decode", "replay"}
NOBODY = 65534
CAP_NET_ADMIN = 1 << 12
CAP_NET_RAW = 1 << 13


def test_status_has_every_key(shared_pair):
    status = shared_pair.left.status()
    assert set(status) >= set(KEYS)
    for kind, keys in KEYS.items():
        rows = [status["node"]] if kind == "node" else status[kind]
        assert rows, kind
        for row in rows:
            assert set(row) >= keys, f"{kind}: {keys - set(row)} missing"
    assert set(status["tunnels"][0]["drops"]) >= DROPS
    for port in status["bridges"][0]["ports"]:
        assert set(port) >= {"name", "kind", "owner"}
    tunnel = status["tunnels"][0]
    assert (tunnel["name"], tunnel["peer"], tunnel["bridge"], tunnel["remote_bridge"],
            tunnel["tap"]) == ("sv", "xen1", "br-sv", "br-sv", "l2t-sv")
    assert status["peers"][0]["rtt_us"] > 0


@pytest.mark.parametrize("words", [
    ["status"], ["tunnel", "list"], ["tunnel", "show", "sv"], ["tunnel", "why", "sv"],
    ["bridge", "list"], ["bridge", "show", "br-sv"], ["bridge", "fdb", "br-sv"],
    ["peer", "list"], ["peer", "show", "xen1"], ["events"], ["check"],
], ids=" ".join)
def test_commands_answer_in_text_and_json(shared_pair, words):
    node = shared_pair.left
    node.wait_healthy()  # or `check` ends with another status
    text = node.ctl(*words)
    assert text.stdout.strip() and not text.stderr, text.stderr
    assert "\x1b" not in text.stdout, "colours on something that is no terminal"
    json.loads(node.ctl("--json", *words).stdout)


def test_text_of_status_names_everything(shared_pair):
    text = shared_pair.left.ctl("status").stdout
    for word in ("kvm1", "xen1", "br-sv", "sv", "forwarding"):
        assert word in text, text


def test_fdb_shows_the_sides(shared_pair):
    assert_pings(shared_pair.guest_left, Pair.RIGHT_IP, count=3)
    left, right = (guest.link("eth0")["address"] for guest in shared_pair.guests)
    wanted = {(left, "v-guest1"), (right, "l2t-sv")}

    def entries():
        return shared_pair.left.ctl_json("bridge", "fdb", "br-sv")["entries"]

    wait_for(lambda: wanted <= {(row["mac"], row["port"]) for row in entries()}, 2, entries)


@pytest.mark.parametrize("words, code, hint", [
    (["tunnel", "show", "none"], 1, "none"),
    (["peer", "show", "none"], 1, "none"),
    (["bridge", "fdb", "none"], 1, "none"),
    (["tunnel", "show"], 2, "tunnel show"),
    (["no-such-command"], 2, "no-such-command"),
    (["--no-such-option", "status"], 2, "no-such-option"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_errors_are_one_sentence(shared_pair, words, code, hint):
    result = shared_pair.left.ctl(*words, check=False)
    assert result.returncode == code and hint in result.stderr, result
    assert not result.stdout


def test_no_daemon(shared_pair):
    result = shared_pair.left.host.run(BRIDGECTL, "-s", "/nonexistent/control.sock", "status",
                                       check=False)
    assert result.returncode == 3 and "/nonexistent/control.sock" in result.stderr


def test_down_and_up(shared_pair):
    pair = shared_pair
    with Flood(pair.guests, rate=200) as flood:
        with flood.may_lose("switched off", after=0.05):
            pair.left.ctl("tunnel", "down", "sv")
            row = pair.left.wait_state("down", reason="admin", timeout=2)
            assert "tunnel up sv" in row["detail"]
            pair.right.wait_state("down", reason="remote", timeout=2)
            wait_for(lambda: pair.left.host.link("l2t-sv") is None, 2, "the TAP stays")
            why = pair.left.ctl("tunnel", "why", "sv").stdout
            assert "switched off" in why, why
            pair.left.ctl("tunnel", "up", "sv")
            pair.wait_forwarding(3)
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_check_exit_codes(shared_pair):
    pair = shared_pair
    pair.left.wait_healthy()
    pair.left.ctl("tunnel", "down", "sv")
    pair.right.wait_state("down")
    result = pair.right.ctl("check", "--tunnel", "sv", check=False)
    assert result.returncode == 2 and len(result.stdout.splitlines()) == 1, result
    assert pair.right.ctl("check", "--tunnel", "none", check=False).returncode == 3
    pair.left.ctl("tunnel", "up", "sv")
    pair.wait_forwarding()


def test_events_follow(shared_pair):
    pair = shared_pair
    child = pair.left.host.popen([BRIDGECTL, "-s", pair.left.control, "--json", "events", "-f"],
                                 stdout=-1, text=True)
    try:
        # The old ones first: from then on it follows.
        assert json.loads(child.stdout.readline())
        pair.left.ctl("tunnel", "down", "sv")
        pair.left.ctl("tunnel", "up", "sv")
        seen = []
        while not seen or seen[-1]["to"] != "forwarding" or len(seen) < 2:
            event = json.loads(child.stdout.readline())
            if event["event"] == "tunnel" and (seen or event["reason"] == "admin"):
                seen.append(event)
        assert (seen[0]["from"], seen[0]["to"], seen[0]["name"]) == ("forwarding", "down", "sv")
        assert seen[0]["detail"] and seen[0]["time"]
    finally:
        child.terminate()
        child.communicate(timeout=5)
    pair.wait_forwarding()


def test_log_level(shared_pair):
    node = shared_pair.left
    node.ctl("log", "debug", "session")
    node.ctl("log", "info")
    assert node.ctl("log", "loud", check=False).returncode != 0


# What others may do

def as_user(node, uid, gid, *words):
    return node.host.run("setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups",
                         BRIDGECTL, "-s", node.control, *words, check=False)


def test_others_may_not_even_look(shared_pair):
    result = as_user(shared_pair.left, NOBODY, NOBODY, "status")
    assert result.returncode == 3 and "does not let this user in" in result.stderr, result
    assert os.stat(shared_pair.left.control).st_mode & 0o777 == 0o660


def test_group_may_look_but_not_touch(lab):
    pair = Pair(lab)
    pair.left.options["control_group"] = "nogroup"
    pair.left.start()
    assert as_user(pair.left, NOBODY, NOBODY, "status").returncode == 0
    for words in (["tunnel", "down", "sv"], ["reload"], ["log", "debug"]):
        result = as_user(pair.left, NOBODY, NOBODY, *words)
        assert result.returncode == 1 and "only root" in result.stderr, result
    assert pair.left.tunnel_status()["reason"] != "admin"


def run_as_nobody(node):
    """The configuration names a service user, and its files are his."""
    node.options["user"] = "nobody"
    for path in (node.dir / "private.key", node.dir / "state", node.dir):
        os.chown(path, NOBODY, -1)


def with_tun_device(node, mode):
    """The words that start a program with a /dev/net/tun of this mode."""
    tun = node.dir / "tun"
    return ("unshare", "-m", "sh", "-c",
            f"mknod -m {mode} {tun} c 10 200 && mount --bind {tun} /dev/net/tun && exec \"$@\"", "sh")


def test_privileges_are_given_up(lab):
    """CAP_NET_ADMIN and CAP_NET_RAW at most remain, as root and as a service user."""
    pair = Pair(lab)
    # Where udev has not opened the device to all, root is what can be tested.
    if os.stat("/dev/net/tun").st_mode & 0o006 == 0o006:
        run_as_nobody(pair.right)
    pair.start()
    for node in pair.nodes:
        assert node.capabilities() & ~(CAP_NET_ADMIN | CAP_NET_RAW) == 0, hex(node.capabilities())
    uid = NOBODY if "user" in pair.right.options else 0
    assert os.stat(f"/proc/{pair.right.pid}").st_uid == uid
    # And what is left suffices to make a port again.
    for node in pair.nodes:
        node.ctl("tunnel", "down", "sv")
        node.ctl("tunnel", "up", "sv")
    pair.wait_forwarding()
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_user_who_cannot_make_ports_is_refused_at_start(lab):
    """Not hours later, when the first port has to be made again."""
    node = Pair(lab).left
    run_as_nobody(node)
    node.write_config()
    result = node.host.run(*with_tun_device(node, "600"), L2TUND, "-f", "-c",
                           str(node.config_path), check=False)
    assert result.returncode == 1, result
    assert "user nobody cannot open /dev/net/tun" in result.stderr, result.stderr
    assert node.host.link("l2t-sv") is None


# Bare clients

def test_nonsense_is_answered(shared_pair):
    node = shared_pair.left
    for line in (b"garbage\n", b"[]\n", b'{"id": 1}\n', b'{"id": 1, "method": 5}\n',
                 b'{"id": 1, "method": "no.such"}\n', b'{"id": 2, "method": "tunnel.show"}\n',
                 b'{"id": 3, "method": "tunnel.show", "params": {"name": 5}}\n',
                 b"[" * 5000 + b"\n", b"\xff\xfe\n", b"\0\n"):
        with ControlClient(node) as client:
            client.send(line)
            answer = client.line()
            assert answer is None or "error" in answer, (line, answer)
    with ControlClient(node) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send(b"x" * 1_000_000)
        answer = client.line()
        assert answer is None or "error" in answer
    assert node.state() == "forwarding"


def test_requests_in_one_piece_and_in_pieces(shared_pair):
    with ControlClient(shared_pair.left) as client:
        client.send(b"".join(b'{"id": %d, "method": "status"}\n' % number for number in range(50)))
        assert [client.line()["id"] for _ in range(50)] == list(range(50))
        for byte in b'{"id": 77, "method": "tunnel.list"}\n':
            client.send(bytes([byte]))
        assert client.line()["id"] == 77


def test_many_clients(shared_pair):
    """At the limit new ones are told so; those that are there go on; all go, and there is room."""
    node = shared_pair.left
    before = node.descriptors()
    with contextlib.ExitStack() as stack, Flood(shared_pair.guests, rate=100):
        clients = [stack.enter_context(ControlClient(node)) for _ in range(80)]
        answers = []
        for client in clients:
            try:
                answers.append(client.request("status"))
            except (BrokenPipeError, ConnectionResetError):
                answers.append(None)
        served = [answer for answer in answers if answer and "result" in answer]
        assert 40 <= len(served) < 80, len(served)
        assert "result" in clients[0].request("status")
    wait_for(lambda: node.descriptors() <= before, 2, "descriptors of gone clients stay")
    assert node.state() == "forwarding"


def test_client_that_does_not_read(shared_pair):
    """Its answers pile up to a limit; nobody else waits for it."""
    node = shared_pair.left
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as deaf, \
            pinging(shared_pair.guest_left, Pair.RIGHT_IP) as results:
        deaf.connect(node.control)
        deaf.settimeout(0.2)
        with contextlib.suppress(OSError):
            for _ in range(200):
                deaf.sendall(b'{"id": 1, "method": "status"}\n' * 50)
        start = time.monotonic()
        assert node.state() == "forwarding"
        assert time.monotonic() - start < 2
        memory = node.memory_kib()
        assert node.sanitized or memory < 24 * 1024, memory
    assert results[0].lost == 0, results[0].text


# Reload

def reload(node, *, ok=True):
    node.write_config()
    result = node.ctl("reload", check=False)
    assert (result.returncode == 0) == ok, result
    return result


def test_reload_adds_and_removes_a_tunnel(lab):
    """The tunnel that stays does not feel it."""
    pair = Pair(lab).start()
    for node in pair.nodes:
        node.host.bridge("br-new")
    guests = [node.host.guest(f"new{number}", "br-new", f"10.8.0.{number}/24")
              for number, node in enumerate(pair.nodes, 1)]
    since = time.time()
    with Flood(pair.guests, rate=200):
        for node, other in ((pair.left, pair.right), (pair.right, pair.left)):
            node.tunnel("new", other.name, "br-new")
            assert "new" in reload(node).stdout
        for node in pair.nodes:
            node.wait_state("forwarding", "new")
        assert_pings(guests[0], "10.8.0.2", count=5)
        del pair.left.tunnels["new"]
        reload(pair.left)
        assert pair.left.tunnel_status("new") is None
        wait_for(lambda: pair.left.host.link("l2t-new") is None, 2, "the TAP stays")
        assert pair.left.host.link("br-new")
        pair.right.wait_state("down", "new", reason="remote", timeout=2)
        assert "sv" not in {event["name"] for node in pair.nodes
                            for event in node.events(since=since)}
    assert_pings(pair.guest_left, Pair.RIGHT_IP, count=5)


def test_reload_by_signal(lab):
    pair = Pair(lab).start()
    pair.left.host.bridge("br-new")
    pair.left.tunnel("new", "xen1", "br-new")
    pair.left.write_config()
    pair.left.signal(signal.SIGHUP)
    wait_for(lambda: pair.left.tunnel_status("new"), 3, "SIGHUP did not add the tunnel")
    assert pair.left.state() == "forwarding"


def test_reload_of_a_bad_file_changes_nothing(lab):
    pair = Pair(lab).start()
    with Flood(pair.guests, rate=200):
        pair.left.tunnel("bad1", "nobody", "br-sv")
        pair.left.tunnel("bad2", "nobody", "br-x")
        result = reload(pair.left, ok=False)
        assert result.stderr.count("nobody") >= 2, result.stderr
        assert str(pair.left.config_path) in result.stderr
        assert [row["name"] for row in pair.left.status()["tunnels"]] == ["sv"]


def test_reload_tells_what_needs_a_restart(lab):
    pair = Pair(lab).start()
    pair.left.options["name"] = "renamed"
    result = reload(pair.left)
    assert "restart" in result.stdout + result.stderr
    assert pair.left.status()["node"]["name"] == "kvm1"
    assert pair.left.state() == "forwarding"
