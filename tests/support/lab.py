"""Network laboratories made of namespaces: hosts, guests, bridges and underlays.

A namespace here has no name in /run/netns: this process holds it by a file descriptor, and
everything inside is gone when the descriptor is closed, however the process ends. For the
same reason children are told to die with us (PR_SET_PDEATHSIG). So nothing has to be cleaned
up by hand, two runs never meet, and `unshare -mrn` is as good as root.

    with Lab() as lab:
        wan = lab.underlay("wan")
        left, right = lab.host("left"), lab.host("right")
        wan.attach(left)
        wan.attach(right)
        left.bridge("br-sv")
        guest = left.guest("g1", "br-sv", "10.9.0.1/24")

To look into a running laboratory: `nsenter --net=PATH`, where PATH is Netns.path.
"""
import contextlib
import ctypes
import fcntl
import functools
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
TUNSETIFF = 0x400454CA  # linux/if_tun.h
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000

_libc = ctypes.CDLL(None, use_errno=True)


class CommandFailed(AssertionError):
    """A command of the laboratory ended with a status other than 0."""

    def __init__(self, where, argv, result):
        super().__init__(
            f"{where}: `{' '.join(argv)}` ended with {result.returncode}\n"
            f"{result.stdout}{result.stderr}")
        self.result = result


def _checked(result):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def wait_for(condition, timeout, message, interval=0.02):
    """Calls condition() until it gives something true, and returns that.

    `message` is a text or a function that makes one; it says what did not happen.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            text = message() if callable(message) else message
            raise AssertionError(f"not within {timeout} s: {text} (last seen: {value!r})")
        time.sleep(interval)


class Netns:
    """One network namespace. Sockets made by socket() stay in it wherever they are used."""

    def __init__(self, name):
        self.name = name
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _checked(_libc.unshare(CLONE_NEWNET))
            try:
                self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            finally:
                _checked(_libc.setns(own, CLONE_NEWNET))
        finally:
            os.close(own)
        self.ip("link set lo up")

    @property
    def path(self):
        return f"/proc/{os.getpid()}/fd/{self.fd}"

    def close(self):
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in the namespace inside this block."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _checked(_libc.setns(self.fd, CLONE_NEWNET))
            try:
                yield self
            finally:
                _checked(_libc.setns(own, CLONE_NEWNET))
        finally:
            os.close(own)

    def socket(self, *args):
        with self.entered():
            return socket.socket(*args)

    def popen(self, argv, **options):
        """A child in this namespace; it gets no Ctrl-C from the terminal and dies with us."""
        with self.entered():
            return subprocess.Popen(argv, start_new_session=True,
                                    preexec_fn=_die_with_parent, **options)

    def run(self, *argv, check=True, timeout=20, stdin=""):
        """Runs a command to its end; the result has stdout and stderr as text."""
        with self.entered():
            result = subprocess.run(argv, input=stdin, text=True, capture_output=True,
                                    timeout=timeout, preexec_fn=_die_with_parent)
        if check and result.returncode != 0:
            raise CommandFailed(self.name, argv, result)
        return result

    def ip(self, *commands):
        """`ip` commands, each a line as one would type it, without the word ip."""
        self.run("ip", "-batch", "-", stdin="\n".join(commands) + "\n")

    def links(self):
        """Links by name, as `ip -j -d link` describes them."""
        return {link["ifname"]: link
                for link in json.loads(self.run("ip", "-j", "-d", "link").stdout or "[]")}

    def link(self, name):
        """One link's description, or None when there is no such link."""
        return self.links().get(name)

    def nft(self, rules):
        self.run("nft", "-f", "-", stdin=rules)

    def sysctl(self, key, value):
        with self.entered(), open("/proc/sys/" + key, "w", encoding="ascii") as out:
            out.write(str(value))

    def drop_udp(self, percent, port=4655):
        """Loses this share of the UDP datagrams that come in for `port`; 0 ends it."""
        self.nft("table inet lab\ndelete table inet lab\n")
        if percent:
            self.nft("table inet lab { chain input { type filter hook input priority 0;\n"
                     f"udp dport {port} numgen random mod 100 < {percent} drop\n}}\n}}\n")


class Host(Netns):
    """A namespace that has bridges, with guests on them."""

    def __init__(self, lab, name):
        super().__init__(name)
        self.lab = lab

    def no_bridge_filter(self):
        """Bridges of this host carry also what the IP layer would refuse: with br_netfilter loaded
        they ask it about each frame."""
        for which in ("iptables", "ip6tables", "arptables"):
            with contextlib.suppress(FileNotFoundError):
                self.sysctl(f"net/bridge/bridge-nf-call-{which}", 0)

    def bridge(self, name, mtu=1500, mac=None):
        """A bridge that forwards at once: no STP, no forward delay."""
        address = f"address {mac} " if mac else ""
        self.ip(f"link add name {name} {address}mtu {mtu} type bridge"
                " stp_state 0 forward_delay 0", f"link set {name} up")

    def guest(self, name, bridge, address=None, mtu=1500):
        """A guest: a namespace whose eth0 is a port of the bridge."""
        guest = self.lab.netns(name)
        port = f"v-{name}"[:15]
        self.ip(f"link add name {port} mtu {mtu} type veth"
                f" peer name eth0 mtu {mtu} netns {guest.path}",
                f"link set {port} master {bridge}", f"link set {port} up")
        guest.ip("link set eth0 up")
        if address:
            guest.ip(f"addr add {address} dev eth0")
        return guest


class Underlay:
    """A switch in a namespace of its own that joins hosts; each host's interface bears its name.

    Cutting a host off is silent: its interface keeps its carrier, frames just vanish.
    """

    def __init__(self, lab, name, number, mtu):
        self.name = name
        self.mtu = mtu
        self._number = number
        self._ports = {}  # host -> our interface towards it
        self._addresses = {}  # host -> last part of its addresses
        self.switch = lab.netns(f"{name}-switch")
        self.switch.ip(f"link add name sw mtu {mtu} type bridge stp_state 0 forward_delay 0"
                       " mcast_snooping 0", "link set sw up")

    def _v4(self, number):
        return f"198.18.{self._number}.{number}"

    def _v6(self, number):
        return f"2001:db8:{self._number}::{number:x}"

    def attach(self, host):
        """Plugs the host in and gives it an IPv4 and an IPv6 address."""
        number = len(self._ports) + 1
        port = self._ports[host] = f"p{number}"
        self.switch.ip(
            f"link add name {port} mtu {self.mtu} type veth"
            f" peer name {self.name} mtu {self.mtu} netns {host.path}",
            f"link set {port} master sw", f"link set {port} up")
        host.ip(f"link set {self.name} up")
        self._give_addresses(host, number)

    def plug(self, machine):
        """The same for a machine that is no namespace: the descriptor of a TAP, for QEMU's fd=. Who runs in it
        gives it its address()."""
        number = self._addresses[machine] = len(self._ports) + 1
        port = self._ports[machine] = f"p{number}"
        with self.switch.entered():
            fd = os.open("/dev/net/tun", os.O_RDWR)
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH14x", port.encode(), flags))
        self.switch.ip(f"link set {port} mtu {self.mtu} master sw", f"link set {port} up")
        return fd

    def _give_addresses(self, host, number):
        self._addresses[host] = number
        host.ip(f"addr add {self._v4(number)}/24 dev {self.name}",
                f"addr add {self._v6(number)}/64 dev {self.name} nodad")

    def port(self, host):
        """The switch's interface towards the host: the place for a capture."""
        return self._ports[host]

    def address(self, host, family=4):
        number = self._addresses[host]
        return self._v4(number) if family == 4 else self._v6(number)

    def endpoint(self, host, family=4, port=4655):
        """Address and port in the form the configuration takes."""
        text = self.address(host, family)
        return f"{text}:{port}" if family == 4 else f"[{text}]:{port}"

    def cut(self, host):
        self.switch.ip(f"link set {self.port(host)} nomaster")

    def heal(self, host):
        self.switch.ip(f"link set {self.port(host)} master sw")

    def readdress(self, host):
        """Takes the host's addresses away and gives it others, as a new DHCP lease would."""
        host.ip(f"addr flush dev {self.name} scope global")
        self._give_addresses(host, self._addresses[host] + 100)


class Lab:
    """Everything one test makes, taken down in the reverse order of its making."""

    live = []  # laboratories of this process, for the report of a failed test

    def __init__(self):
        self._undo = contextlib.ExitStack()
        # Short, because a Unix socket's path may have 107 characters only.
        self.dir = tempfile.mkdtemp(prefix="l2t-", dir="/tmp")
        os.chmod(self.dir, 0o711)  # tests of permissions come by as other users
        self._undo.callback(shutil.rmtree, self.dir, ignore_errors=True)
        self.logs = []  # functions that give (title, text)
        self._underlays = 0
        Lab.live.append(self)
        self._undo.callback(Lab.live.remove, self)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self._undo.close()

    def on_close(self, function, *args):
        self._undo.callback(function, *args)

    def enter(self, manager):
        """Enters a context manager until the laboratory ends."""
        return self._undo.enter_context(manager)

    def _own(self, netns):
        self._undo.callback(netns.close)
        return netns

    def netns(self, name):
        return self._own(Netns(name))

    def host(self, name):
        return self._own(Host(self, name))

    def underlay(self, name="wan", mtu=1500):
        self._underlays += 1
        return Underlay(self, name, self._underlays, mtu)


def veth(a, a_name, b, b_name, mtu=1500):
    """A wire between two namespaces, both ends up."""
    a.ip(f"link add name {a_name} mtu {mtu} type veth"
         f" peer name {b_name} mtu {mtu} netns {b.path}", f"link set {a_name} up")
    b.ip(f"link set {b_name} up")


def plain_card(guest, ifname="eth0"):
    """Makes the guest's network card do nothing for it: frames leave in their final size, with their
    checksums, and come in as they are."""
    guest.run("ethtool", "-K", ifname, "tx", "off", "sg", "off", "tso", "off", "gso", "off",
              "gro", "off", "tx-udp-segmentation", "off")


LONG = os.environ.get("NET_LONG") == "1"


# Feature probes. Each tries the thing itself in a scratch namespace.

def _probe_numgen(ns):
    ns.drop_udp(10)


def _probe_netdev_nft(ns):
    ns.nft("table netdev lab { chain in {\n"
           "type filter hook ingress device lo priority 0; drop\n}\n}\n")


def _probe_vxlan(ns):
    ns.ip("link add name vx type vxlan id 1 dstport 4789 local 127.0.0.1 remote 127.0.0.2")


def _probe_netns(ns):
    ns.ip("link add name br type bridge", "link add name v type veth peer name w",
          "link set v master br")


def _probe_tap(ns):
    ns.ip("tuntap add dev t mode tap")


def _probe_ipv6(ns):
    ns.ip("addr add 2001:db8::1/128 dev lo nodad")


def _probe_iperf3(ns):
    ns.run("iperf3", "--version")


def _probe_ethtool(ns):
    ns.ip("link add name v type veth peer name w")
    ns.run("ethtool", "-K", "v", "tso", "off")


_PROBES = {
    "netns": (_probe_netns, "no network namespaces with veth and bridges here"),
    "tap": (_probe_tap, "no TAP devices here"),
    "ipv6": (_probe_ipv6, "no IPv6 here"),
    "numgen": (_probe_numgen, "nft cannot drop a random share of packets here"),
    "netdev-nft": (_probe_netdev_nft, "nft has no netdev tables here"),
    "vxlan": (_probe_vxlan, "the kernel has no VXLAN"),
    "iperf3": (_probe_iperf3, "iperf3 is not installed"),
    "ethtool": (_probe_ethtool, "ethtool is not installed, or cannot switch offloads here"),
}


@functools.lru_cache(maxsize=None)
def missing(feature):
    """Why this machine does not have the feature, or None when it has it."""
    probe, reason = _PROBES[feature]
    try:
        ns = Netns("probe")
    except OSError as error:
        return f"{_PROBES['netns'][1]} ({error})"
    try:
        probe(ns)
    except (OSError, CommandFailed, subprocess.SubprocessError) as error:
        return f"{reason} ({' '.join(str(error).split())})"
    finally:
        ns.close()
    return None


def skip(reason):
    """Skips the running test. With NET_NO_SKIP=1 it fails instead: for machines that are known to
    have everything."""
    import pytest
    (pytest.fail if os.environ.get("NET_NO_SKIP") == "1" else pytest.skip)(reason)


def need(*features):
    """Skips the running test, with the reason, when the machine lacks one of the features."""
    for feature in features:
        reason = missing(feature)
        if reason:
            skip(reason)


def long_only(why):
    """A mark for what runs only with NET_LONG=1; `why` says how long it takes, and what for."""
    import pytest
    return pytest.mark.skipif(not LONG, reason=f"{why} (NET_LONG=1 runs it)")


# make check of a sanitizer build says so: it has seen what it can see when a piece of code has run
# once, and each second of it comes on top of those of the plain build.
SHORT = os.environ.get("NET_SHORT") == "1" and not LONG


def plain_only(why="a variant"):
    """A mark for what a sanitizer build need not repeat: variants of what it runs already, tests of
    times and amounts. `why` says what it is."""
    import pytest
    return pytest.mark.skipif(SHORT, reason=f"{why} (NET_SHORT=0 runs it)")


def variants(*values):
    """Values of a parameter of which a sanitizer build need not see one more, nor test_workers.py."""
    import pytest
    return [pytest.param(value, marks=[plain_only(), pytest.mark.variant]) for value in values]


def alone(why):
    """A mark for what would disturb other tests or be disturbed by them, as it floods or measures amounts:
    under make check nothing else of the network tests runs meanwhile."""
    import pytest
    return pytest.mark.alone(why)
