"""Ways between two guests: l2tund in its variants, other programs, the kernel's own, no tunnel.

All ways of a case stand side by side between the same two hosts, each with a bridge and a guest of its
own on either host, so that they can be measured in turns. A way says what of it is missing here,
starts, and names its processes; that frames really cross it is for the caller to try.

Bridge and guests of a way have the largest MTU that it carries without IP fragments, as an
administrator would set it who wants it fast; l2tund and vtun carry frames of any size.
`settings` tells what was set that is not a default.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

import vtun
from lab import missing, veth, wait_for
from node import L2TUND, Node

GUESTS = ("10.9.0.1", "10.9.0.2")
GUESTS6 = ("fd09::1", "fd09::2")
OUTER = 20 + 8 + 14  # IPv4, UDP, the frame's own header
SOCKET_BUFFER = 1 << 20
JOIN_S = 20


class Wire:
    """The underlay: one cable between the two hosts, with an address for either end."""

    name = "wan"

    def __init__(self, hosts, mtu):
        self.mtu = mtu
        self._hosts = hosts
        veth(*(item for host in hosts for item in (host, self.name)), mtu)
        for host in hosts:
            host.ip(f"addr add {self.address(host)}/24 dev {self.name}")

    def address(self, host):
        return f"198.18.0.{1 + self._hosts.index(host)}"


def find(program):
    """Its path, also where root's PATH lacks sbin."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class Way:
    """Common to all. `number` makes names and ports of it unlike those of others."""

    overhead = 0  # bytes around a frame's payload that have to fit the underlay, too
    largest = 65535  # MTU
    settings = ""
    offloads = ()  # interfaces that switches of the underlay's offloads concern as well

    def __init__(self, lab, hosts, wire, name, number, mtu):
        self.lab, self.hosts, self.wire, self.name, self.number = lab, hosts, wire, name, number
        self.bridge = f"br{number}"
        self.port = 20000 + number
        fits = wire.mtu - self.overhead if self.overhead else mtu
        self.mtu = min(mtu, fits, self.largest)
        self.dir = pathlib.Path(lab.dir) / f"way-{name}"
        self.dir.mkdir()
        for host in hosts:
            host.bridge(self.bridge, self.mtu)
        self.guests = [self._guest(side) for side in (0, 1)]

    def _guest(self, side):
        guest = self.hosts[side].guest(f"g{self.number}-{side}", self.bridge,
                                       f"{GUESTS[side]}/24", self.mtu)
        guest.ip(f"addr add {GUESTS6[side]}/64 dev eth0 nodad")
        return guest

    def guest_port(self, side):
        """The bridge's end of a guest's cable."""
        return f"v-g{self.number}-{side}"

    @classmethod
    def why_not(cls):
        """Why this machine cannot do it, or None. The program's own words where it has any."""

    def start(self):
        """Returns when both ends have their interface in the bridge."""
        raise NotImplementedError

    def leaders(self):
        """For either host the processes that lead its groups."""
        return [[], []]

    def pids(self):
        return [[pid for leader in side for pid in vtun.group(leader)] for side in self.leaders()]

    def log(self):
        return ""


class Direct(Way):
    """The bridges joined by a cable of their own."""

    settings = "a veth pair between the bridges"
    offloads = ("direct",)

    def start(self):
        left, right = self.hosts
        veth(left, "direct", right, "direct", self.mtu)
        for host in self.hosts:
            host.ip(f"link set direct master {self.bridge}")


class Vxlan(Way):
    overhead = OUTER + 8
    settings = "inner MTU 50 below the underlay's"

    @classmethod
    def why_not(cls):
        return missing("vxlan")

    def start(self):
        for host, other in zip(self.hosts, reversed(self.hosts)):
            host.ip(f"link add name vx type vxlan id 7 dstport 4789 dev {self.wire.name}"
                    f" local {self.wire.address(host)} remote {self.wire.address(other)}",
                    f"link set vx mtu {self.mtu} master {self.bridge}", "link set vx up")


class Unsupported(Exception):
    """This l2tund does not know an option yet; its own words."""


def check(node):
    """Unsupported when `l2tund -t` does not take the node's configuration whole."""
    node.write_config()
    result = node.host.run(L2TUND, "-t", "-c", str(node.config_path), check=False)
    place = f"{node.config_path}:"
    said = [line.partition(place)[2] for line in (result.stderr + result.stdout).splitlines()
            if place in line and (result.returncode or "not supported" in line)]
    if said or result.returncode:
        raise Unsupported("; ".join(said) or result.stderr.strip())


class L2tund(Way):
    """Options of subclasses: how frames are protected, workers, offload switches."""

    data = "none"
    workers = None
    offload = {}

    def __init__(self, *args):
        super().__init__(*args)
        self.nodes = [Node(host, f"{self.name}-{host.name}",
                           listen=[f"0.0.0.0:{self.port}"], workers=self.workers)
                      for host in self.hosts]
        for side, node in enumerate(self.nodes):
            other = self.nodes[1 - side]
            node.offload = self.offload
            node.peer(other.name, other, data=[self.data],
                      address=f"{self.wire.address(other.host)}:{self.port}")
            node.tunnel(f"w{self.number}", other.name, self.bridge)

    def start(self):
        for node in self.nodes:
            check(node)
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            wait_for(node.answers, JOIN_S, f"{node.name} does not answer")
        for node in self.nodes:
            node.wait_state("forwarding", tunnel=f"w{self.number}", timeout=JOIN_S)
        # What it sends before it has found the path MTU is cut smaller than it need be.
        wait_for(self._knows_path, JOIN_S, lambda: f"{self.name}: path MTU {self._path_mtus()}")
        if self.data == "aead":
            ciphers = {peer["cipher"] for node in self.nodes for peer in node.status()["peers"]}
            self.settings += f", {' and '.join(sorted(ciphers))}"

    def _path_mtus(self):
        return [peer["path_mtu"] for node in self.nodes for peer in node.status()["peers"]]

    def _knows_path(self):
        return min(self._path_mtus()) >= self.wire.mtu

    def leaders(self):
        return [[node.pid] if node.running else [] for node in self.nodes]

    def log(self):
        return "\n".join(node.tail(20) for node in self.nodes)


class Program(Way):
    """A daemon of others in the foreground, that makes a TAP which we put in the bridge."""

    program = ""
    files = ()  # of the folder of either host

    def __init__(self, *args):
        super().__init__(*args)
        self.tap = f"t{self.number}"
        self._children = []
        self.lab.on_close(self._kill)

    @classmethod
    def why_not(cls):
        return None if find(cls.program) else f"{cls.program} is not installed"

    def folder(self, side):
        return self.dir / self.hosts[side].name

    def remote(self, side):
        return self.wire.address(self.hosts[1 - side])

    def local(self, side):
        return self.wire.address(self.hosts[side])

    def prepare(self):
        """Writes keys and configurations."""
        raise NotImplementedError

    def arguments(self, side):
        raise NotImplementedError

    def start(self):
        """The right end waits for calls before the left one calls."""
        for side in (0, 1):
            self.folder(side).mkdir()
        self.prepare()
        for side in (1, 0):
            host = self.hosts[side]
            with open(self.folder(side) / "log", "w", encoding="utf-8") as log:
                self._children.insert(0, host.popen(
                    [find(self.program), *self.arguments(side)], cwd=self.folder(side),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log))
            wait_for(lambda host=host: self._serves(host) or self._ended(), JOIN_S,
                     f"{self.name} makes no TAP or does not listen")
            assert not self._ended(), f"{self.name} has ended"
            host.ip(f"link set {self.tap} mtu {self.mtu} master {self.bridge} up")

    def _serves(self, host):
        return host.link(self.tap) and f":{self.port} " in host.run("ss", "-Hlun").stdout

    def _ended(self):
        return any(child.poll() is not None for child in self._children)

    def _kill(self):
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def leaders(self):
        return [[child.pid] for child in self._children] or [[], []]

    def log(self):
        texts = [path.read_text(errors="replace") for path in sorted(self.dir.glob("*/log"))]
        return "\n".join("\n".join(text.splitlines()[-20:]) for text in texts)


def _fails(argv, **how):
    result = subprocess.run(argv, text=True, capture_output=True, timeout=30, check=False, **how)
    assert result.returncode == 0, f"{' '.join(argv)}: {result.stderr.strip()}"
    return result.stdout


class Fastd(Program):
    program = "fastd"
    method = "null"

    def prepare(self):
        keys = []
        for side in (0, 1):
            words = _fails([find("fastd"), "--generate-key", "--machine-readable"]).split()
            secret = words[0]
            path = self.folder(side) / "secret.conf"
            path.write_text(f'secret "{secret}";\n', encoding="ascii")
            keys.append(_fails([find("fastd"), "--config", str(path), "--show-key",
                                "--machine-readable"]).strip())
        for side in (0, 1):
            # Of two handshakes at once, each end may keep another one.
            remote = "" if side else f"\tremote {self.remote(side)}:{self.port};\n"
            (self.folder(side) / "fastd.conf").write_text(
                f'mode tap;\ninterface "{self.tap}";\nmethod "{self.method}";\nmtu {self.mtu};\n'
                f'bind {self.local(side)}:{self.port};\ninclude "secret.conf";\nlog level info;\n'
                f'peer "other" {{\n\tkey "{keys[1 - side]}";\n{remote}}}\n', encoding="ascii")

    def arguments(self, side):
        return ["--config", str(self.folder(side) / "fastd.conf")]


class OpenVpn(Program):
    """Point to point. Options after https://community.openvpn.net/openvpn/wiki/Gigabit_Networks_Linux
    as far as guests on bridges allow it."""

    program = "openvpn"
    options = ()

    def prepare(self):
        pass

    def arguments(self, side):
        return ["--dev", self.tap, "--dev-type", "tap", "--proto", "udp",
                "--local", self.local(side), "--lport", str(self.port),
                "--remote", self.remote(side), str(self.port), "--tun-mtu", str(self.mtu),
                "--mssfix", "0", "--fast-io", "--txqueuelen", "1000",
                "--sndbuf", str(SOCKET_BUFFER), "--rcvbuf", str(SOCKET_BUFFER),
                "--script-security", "0", "--verb", "3", *self.options]


class OpenVpnTls(OpenVpn):
    """With a certificate of its own for either end, known by its fingerprint to the other."""

    options = ("--data-ciphers", "AES-256-GCM", "--cert", "cert.pem", "--key", "key.pem")

    @classmethod
    def why_not(cls):
        return super().why_not() or (None if find("openssl") else "openssl is not installed")

    def prepare(self):
        for side in (0, 1):
            _fails(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    f"/CN={self.hosts[side].name}", "-keyout", "key.pem", "-out", "cert.pem"],
                   cwd=self.folder(side))

    def arguments(self, side):
        said = _fails(["openssl", "x509", "-in", "cert.pem", "-noout", "-fingerprint", "-sha256"],
                      cwd=self.folder(1 - side))
        role = ["--tls-server", "--dh", "none"] if side else ["--tls-client"]
        return [*super().arguments(side), *role,
                "--peer-fingerprint", said.strip().partition("=")[2]]


class Tinc(Program):
    """Version 1.0. Its daemon finds the path MTU itself."""

    program = "tincd"
    largest = 1500  # unless built for jumbo frames
    host_options = ()

    def prepare(self):
        names = ["left", "right"]
        for side, name in enumerate(names):
            folder = self.folder(side)
            hosts = folder / "hosts"
            hosts.mkdir()
            lines = [f"Name = {name}", "Mode = switch", f"Interface = {self.tap}",
                     f"BindToAddress = {self.local(side)}", f"UDPRcvBuf = {SOCKET_BUFFER}",
                     f"UDPSndBuf = {SOCKET_BUFFER}", *([] if side else ["ConnectTo = right"])]
            (folder / "tinc.conf").write_text("\n".join(lines) + "\n", encoding="ascii")
            (hosts / name).write_text("\n".join(
                [f"Address = {self.local(side)}", f"Port = {self.port}", *self.host_options])
                + "\n", encoding="ascii")
            _fails([find("tincd"), "-c", str(folder), "-K", "2048"], stdin=subprocess.DEVNULL)
        for side, name in enumerate(names):
            shutil.copy(self.folder(side) / "hosts" / name,
                        self.folder(1 - side) / "hosts" / name)

    def arguments(self, side):
        return ["-c", str(self.folder(side)), "-D", "-d1", "--pidfile",
                str(self.folder(side) / "pid")]


class Vtun(Way):
    """The distribution's."""

    largest = 1500  # its buffers hold little more
    settings = "type ether, proto tcp, no encryption, no compression"

    @classmethod
    def why_not(cls):
        return vtun.why_not()

    def start(self):
        self._vtun = vtun.Vtun(self.lab, self.wire, *self.hosts, self.bridge)
        self._vtun.start()

    def leaders(self):
        return self._vtun.leaders()

    def log(self):
        return self._vtun.log()[1]


def _kind(base, **attributes):
    return type(base.__name__, (base,), attributes)


_SINGLE = {"tso": False, "coalesce": False, "pack": False}

# In the order of tables and plots.
WAYS = {
    "none": Direct,
    "vxlan": Vxlan,
    "l2tund-none": _kind(L2tund, settings="data = none"),
    "l2tund-auth": _kind(L2tund, data="auth", settings="data = auth"),
    "l2tund-aead": _kind(L2tund, data="aead", settings="data = aead"),
    "l2tund-none-w2": _kind(L2tund, workers=2, settings="data = none, workers = 2"),
    "l2tund-auth-w2": _kind(L2tund, data="auth", workers=2, settings="data = auth, workers = 2"),
    "l2tund-aead-w2": _kind(L2tund, data="aead", workers=2, settings="data = aead, workers = 2"),
    "l2tund-single": _kind(L2tund, offload=_SINGLE,
                           settings="data = none, tso, coalesce and pack off: a frame, a datagram"),
    "vtun": Vtun,
    "fastd-null": _kind(Fastd, overhead=OUTER + 1, settings="method null, MTU that fits"),
    "fastd-umac": _kind(Fastd, overhead=OUTER + 24, method="aes128-ctr+umac",
                        settings="method aes128-ctr+umac, MTU that fits"),
    "openvpn-none": _kind(OpenVpn, overhead=OUTER + 8,
                          options=("--cipher", "none", "--auth", "none"),
                          settings="no key, cipher none, auth none, fast-io, mssfix 0, sndbuf and"
                                   " rcvbuf 1 MiB, txqueuelen 1000, MTU that fits"),
    "openvpn-gcm": _kind(OpenVpnTls, overhead=OUTER + 24,
                         settings="TLS, AES-256-GCM, fast-io, mssfix 0, sndbuf and rcvbuf 1 MiB,"
                                  " txqueuelen 1000, MTU that fits"),
    "tinc-none": _kind(Tinc, overhead=OUTER + 14,
                       host_options=("Cipher = none", "Digest = none", "Compression = 0"),
                       settings="switch mode, cipher none, digest none, UDP buffers 1 MiB,"
                                " MTU that fits"),
    "tinc": _kind(Tinc, overhead=OUTER + 46,
                  settings="switch mode, its default AES-256-CBC and SHA-256, UDP buffers 1 MiB,"
                           " MTU that fits"),
}
