"""Nodes: a host with a real configuration file, real keys and a running l2tund.

The binaries are $L2TUND and $BRIDGECTL, or those of build/ in the source tree. $WORKERS sets the
threads of all nodes that do not say themselves.
"""
import contextlib
import datetime
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

from lab import Host, wait_for
from relay import Relay

ROOT = pathlib.Path(__file__).resolve().parents[2]
L2TUND = os.path.abspath(os.environ.get("L2TUND") or ROOT / "build/l2tund/l2tund")
BRIDGECTL = os.path.abspath(os.environ.get("BRIDGECTL") or ROOT / "build/bridgectl/bridgectl")
WORKERS = int(os.environ["WORKERS"]) if os.environ.get("WORKERS") else None
PORT = 4655
START_S = 10  # generous: a sanitizer build on a busy machine
SANITIZER = re.compile(r"(ERROR|WARNING): (Address|Leak|Thread)Sanitizer|runtime error:")


def bridgectl(*words, stdin=""):
    """A command that needs no daemon; gives what it printed."""
    result = subprocess.run([BRIDGECTL, *words], input=stdin, text=True, capture_output=True,
                            timeout=20)
    assert result.returncode == 0, f"bridgectl {' '.join(words)}: {result.stderr}"
    return result.stdout.strip()


def write_secret(path, text):
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="ascii") as out:
        out.write(text + "\n")


def _value(value):
    if isinstance(value, (list, tuple)):
        return "{" + ", ".join(_value(item) for item in value) + "}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int) else f'"{value}"'


def _section(kind, title, options):
    head = f'{kind} "{title}" {{' if title else f"{kind} {{"
    body = [f"    {key.replace('_', '-')} = {_value(value)}"
            for key, value in options.items() if value is not None]
    return "\n".join([head, *body, "}", ""])


class Node:
    """One daemon on one host. Options are those of l2tund.conf with `_` for `-`."""

    def __init__(self, host: Host, name=None, **options):
        self.host = host
        self.name = name or host.name
        self.dir = pathlib.Path(host.lab.dir) / self.name
        self.dir.mkdir()
        self.control = str(self.dir / "control.sock")
        self.log_path = self.dir / "log"
        self.config_path = self.dir / "l2tund.conf"
        self.process = None
        self.started = 0.0  # time.monotonic() of the last start()
        self._private = bridgectl("keygen")
        self.public_key = bridgectl("pubkey", stdin=self._private + "\n")
        write_secret(self.dir / "private.key", self._private)
        self.options = {
            "name": self.name,
            "private_key": self.dir / "private.key",
            "listen": [f"0.0.0.0:{PORT}", f"[::]:{PORT}"],
            "control": self.control,
            "state_dir": self.dir / "state",
            "workers": WORKERS,
            **options,
        }
        self.offload = {}
        self.bridges = {}
        self.peers = {}
        self.tunnels = {}
        (self.dir / "state").mkdir()
        host.lab.logs.append(self.log)
        host.lab.on_close(self._finish)

    # Configuration

    def bridge(self, name, **options):
        self.bridges[name] = options

    def peer(self, name, other, address=None, psk=None, **options):
        """`other` is a Node or a public key in base64; `psk` the preshared key itself."""
        key = other.public_key if isinstance(other, Node) else other
        if psk is not None:
            path = self.dir / f"{name}.psk"
            write_secret(path, psk)
            options["preshared_key"] = path
        self.peers[name] = {"public_key": key, "address": address, **options}

    def tunnel(self, name, peer, bridge, **options):
        self.tunnels[name] = {"peer": peer, "bridge": bridge, **options}

    def config_text(self):
        parts = [_section("node", None, self.options)]
        if self.offload:
            parts.append(_section("offload", None, self.offload))
        for kind, sections in (("bridge", self.bridges), ("peer", self.peers),
                               ("tunnel", self.tunnels)):
            parts += [_section(kind, title, options) for title, options in sections.items()]
        return "\n".join(parts)

    def write_config(self):
        self.config_path.write_text(self.config_text(), encoding="utf-8")

    # Life

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def start(self, wait=True):
        """Writes the configuration and starts the daemon; waits until it answers."""
        assert not self.running, f"{self.name} runs already"
        self.write_config()
        with open(self.log_path, "a", encoding="utf-8") as log:
            log.write(f"--- start {time.strftime('%H:%M:%S')} ---\n")
            log.flush()
            self.started = time.monotonic()
            self.process = self.host.popen([L2TUND, "-f", "-v", "-c", str(self.config_path)],
                                           stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            wait_for(self.answers, START_S, lambda: f"{self.name} does not answer\n{self.tail()}")

    def answers(self):
        assert self.running, f"{self.name} ended with {self.process.returncode}\n{self.tail()}"
        return os.path.exists(self.control) and self.ctl("status", check=False).returncode != 3

    def signal(self, number):
        assert self.running, f"{self.name} does not run\n{self.tail()}"
        self.process.send_signal(number)

    def stop(self, timeout=10):
        """Ends the daemon gracefully; its status must be 0."""
        self.signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        assert status == 0, f"{self.name} ended with {status}\n{self.tail()}"

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait(10)

    @contextlib.contextmanager
    def stopped(self):
        """The daemon is frozen (SIGSTOP) inside this block."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def _finish(self):
        """At the end of the laboratory; a daemon that was to run must still run and end well."""
        try:
            if self.process is not None and self.process.returncode is None:
                died = self.process.poll()
                assert died is None, f"{self.name} died with {died}\n{self.tail()}"
                # The kernel takes 30 ms to remove a TAP, more when it is busy: 100 of them, seconds.
                self.stop(30)
        finally:
            if self.running:
                self.process.kill()
                self.process.wait()
            text = self.log()[1]
        assert not SANITIZER.search(text), f"{self.name}: sanitizer report\n{self.tail(200)}"

    # Looking at it

    def log(self):
        """(title, text) for the report of a failed test."""
        text = ""
        if self.log_path.exists():
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
        return f"log of {self.name}", text

    def tail(self, lines=60):
        return "\n".join(self.log()[1].splitlines()[-lines:])

    def wait_healthy(self, timeout=5):
        """What waits in a busy host's queue counts as lost for a moment."""
        wait_for(lambda: self.ctl("check", check=False).returncode == 0, timeout,
                 lambda: self.ctl("check", check=False).stdout)

    def ctl(self, *words, check=True, timeout=20):
        """Runs bridgectl against this daemon."""
        return self.host.run(BRIDGECTL, "-s", self.control, *words, check=check, timeout=timeout)

    def ctl_json(self, *words):
        """The same with --json. Exit codes tell of states (1 warning, 2 critical), so only
        those that say that there is no answer count as failure."""
        result = self.ctl("--json", *words, check=False)
        assert result.stdout.strip(), f"bridgectl {' '.join(words)}: nothing\n{result.stderr}"
        return json.loads(result.stdout)

    def status(self):
        return self.ctl_json("status")

    def _named(self, kind, name):
        for row in self.status()[kind]:
            if row["name"] == name:
                return row
        return None

    def tunnel_status(self, name="sv"):
        return self._named("tunnels", name)

    def peer_status(self, name):
        return self._named("peers", name)

    def bridge_status(self, name="br-sv"):
        return self._named("bridges", name)

    def state(self, tunnel="sv"):
        row = self.tunnel_status(tunnel)
        return row["state"] if row else None

    def wait_state(self, state, tunnel="sv", timeout=START_S, reason=None):
        """Waits until the tunnel is in this state; gives its row of the status."""
        seen = {}

        def reached():
            seen.update(self.tunnel_status(tunnel) or {"state": None})
            return seen["state"] == state and (reason is None or seen["reason"] == reason)

        wait_for(reached, timeout, lambda: (
            f"{self.name}: tunnel {tunnel} is {seen.get('state')} ({seen.get('reason')}:"
            f" {seen.get('detail')}), not {state} {reason or ''}"))
        return seen

    def counter(self, name):
        """One of the node's counters of unwanted datagrams."""
        return self.status()["node"]["counters"][name]

    def events(self, kind="tunnel", name=None, since=0.0):
        """State changes that the daemon remembers, each with `at`: time.time() of it."""
        found = []
        for event in self.ctl_json("events")["events"]:
            event["at"] = datetime.datetime.fromisoformat(event["time"]).timestamp()
            if (event["event"] == kind and name in (None, event["name"])
                    and event["at"] >= since):
                found.append(event)
        return found

    @property
    def sanitized(self):
        """Whether the daemon was built with sanitizers: memory figures say little then."""
        return b"__asan_init" in pathlib.Path(L2TUND).read_bytes()

    def _process_status(self, key):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(f"{key}:"):
                    return line.split()[1]
        raise AssertionError(f"no {key} in the status of {self.name}")

    def memory_kib(self):
        """Resident memory of the daemon."""
        return int(self._process_status("VmRSS"))

    def capabilities(self):
        """The daemon's effective capabilities, a bit for each."""
        return int(self._process_status("CapEff"), 16)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu_s(self):
        """Processor time of all threads of the daemon and its helper so far, user and system."""
        total = 0
        for pid in self._pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
                    total += int(stat.read().split()[0])
        return total / 1e9

    def _pids(self):
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as children:
            return [self.pid, *map(int, children.read().split())]


class ControlClient:
    """A bare client of the control socket, for what bridgectl does not do."""

    def __init__(self, node, timeout=5):
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.connect(node.control)
        self._sock.settimeout(timeout)
        self._buffer = b""
        self._next_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self._sock.close()

    def send(self, data):
        self._sock.sendall(data)

    def line(self):
        """The next line as an object; None when the daemon has closed the connection."""
        while b"\n" not in self._buffer:
            try:
                data = self._sock.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._buffer += data
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def request(self, method, **params):
        """The whole answer, with its `result` or `error`; events in between are dropped."""
        self._next_id += 1
        text = json.dumps({"id": self._next_id, "method": method, "params": params})
        self.send(text.encode() + b"\n")
        while (answer := self.line()) is not None:
            if answer.get("id") == self._next_id:
                return answer
        return None


class Pair:
    """The usual laboratory: two hosts, a bridge br-sv and a guest on each, one tunnel "sv".

    `passive` leaves out the right node's address of the left one, so that only the left one
    calls. Options for only one side's daemon are set on .left and .right before start().
    """

    LEFT_IP, RIGHT_IP = "10.9.0.1", "10.9.0.2"
    LEFT_IP6, RIGHT_IP6 = "fd09::1", "fd09::2"

    def __init__(self, lab, *, mtu=1500, underlay_mtu=1500, family=4, passive=False, psk=False,
                 data=None, **tunnel):
        self.lab = lab
        self.wan = lab.underlay("wan", underlay_mtu)
        hosts = [lab.host("kvm1"), lab.host("xen1")]
        for host in hosts:
            self.wan.attach(host)
            host.bridge("br-sv", mtu)
        self.left, self.right = (Node(host) for host in hosts)
        self.guest_left = self._guest(hosts[0], "guest1", self.LEFT_IP, self.LEFT_IP6, mtu)
        self.guest_right = self._guest(hosts[1], "guest2", self.RIGHT_IP, self.RIGHT_IP6, mtu)
        self.psk = bridgectl("genpsk") if psk else None
        for node, other in ((self.left, self.right), (self.right, self.left)):
            address = self.wan.endpoint(other.host, family)
            if passive and node is self.right:
                address = None
            node.peer(other.name, other, address=address, psk=self.psk, data=data)
            node.tunnel("sv", other.name, "br-sv", **tunnel)

    @staticmethod
    def _guest(host, name, v4, v6, mtu):
        guest = host.guest(name, "br-sv", f"{v4}/24", mtu)
        guest.ip(f"addr add {v6}/64 dev eth0 nodad")
        return guest

    @property
    def nodes(self):
        return self.left, self.right

    @property
    def guests(self):
        return self.guest_left, self.guest_right

    @classmethod
    def relayed(cls, lab, name="between", **options):
        """A pair, not started, whose left node reaches the right one through a relay only, on a
        host of this name; and the relay."""
        pair = cls(lab, passive=True, **options)
        host = lab.host(name)
        relay = pair.relay(host)
        pair.left.peers["xen1"]["address"] = pair.wan.endpoint(host)
        return pair, relay

    def relay(self, host):
        """Puts the host on the underlay, with a relay to the right node."""
        self.wan.attach(host)
        return self.lab.enter(Relay(host, (self.wan.address(host), PORT),
                                    (self.wan.address(self.right.host), PORT)))

    def start(self):
        for node in self.nodes:
            node.start(wait=False)
        self.wait_forwarding()
        return self

    def wait_forwarding(self, timeout=START_S):
        for node in self.nodes:
            wait_for(node.answers, timeout, f"{node.name} does not answer")
        for node in self.nodes:
            node.wait_state("forwarding", timeout=timeout)
