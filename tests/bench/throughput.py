"""How fast frames cross: every way of ways.py side by side, measured in turns.

For each case a laboratory is built: two hosts and the cable between them, a guest on each host for
every way. A round measures each of them once, one after the other, so that what else this machine
does concerns all alike; only ratios of medians of one run are worth comparing. A way that does not
carry frames is told with its log, one that cannot run here with the reason.

Every single measurement is a record, with its conditions; report.py makes tables of them.
"""
import contextlib
import dataclasses
import functools
import json
import math
import os
import pathlib
import platform
import shutil
import signal
import socket
import subprocess
import time

from blast import UdpBlast
from lab import Lab, missing, wait_for
from traffic import ping, pinging
from ways import GUESTS, GUESTS6, WAYS, Unsupported, Wire

FIRST_PING_S = 15
DISCARD_PORT = 9
PING_INTERVAL_S = 0.01
LOST_MS = 1000  # a ping without an answer counts as one that took so long
FLOWS = 4
FAILURES = (AssertionError, OSError, ValueError, subprocess.SubprocessError)

# Offloads as `ethtool -K` calls them. What a device does not have is left out.
SENDING = ("tx", "tso", "gso", "tx-udp-segmentation", "tx-udp_tnl-segmentation",
           "tx-udp_tnl-csum-segmentation", "tx-gso-list")
SEGMENTS = ("tso", "gso", "gro", "tx-udp-segmentation", "tx-gso-list")


@dataclasses.dataclass(frozen=True)
class Case:
    """Conditions. `inner` is the MTU that guests want; `loss` in percent, each direction."""

    name: str
    underlay: int = 1500
    inner: int = 1500
    plain_underlay: bool = False  # without transmit offloads
    gro: bool = False  # received datagrams are joined, as drivers of real cards do
    plain_guests: bool = False  # guests and their ports without GSO and GRO
    loss: float = 0

    def __str__(self):
        words = [f"underlay {self.underlay}", f"guests {self.inner}"]
        words += ["underlay without transmit offloads"] if self.plain_underlay else []
        words += ["with GRO"] if self.gro else []
        words += ["guests without GSO and GRO"] if self.plain_guests else []
        words += [f"{self.loss:g} % of loss each way"] if self.loss else []
        return ", ".join(words)

    def why_not(self):
        if (self.plain_underlay or self.plain_guests or self.gro) and not shutil.which("ethtool"):
            return "ethtool is not installed"
        if self.loss:
            return missing("numgen") or missing("netdev-nft")
        return None


# Loss needs an underlay without offloads: a lost super-frame would be 40 datagrams at once.
CASES = {case.name: case for case in (
    Case("base"),
    Case("underlay-9000", underlay=9000),
    Case("plain-underlay", plain_underlay=True),
    Case("plain-underlay-gro", plain_underlay=True, gro=True),
    Case("plain-guests", plain_guests=True),
    Case("plain-both", plain_underlay=True, plain_guests=True),
    Case("loss-0.1", plain_underlay=True, loss=0.1),
    Case("loss-1", plain_underlay=True, loss=1),
    Case("jumbo", inner=9000),
    Case("jumbo-9000", underlay=9000, inner=9000),
)}


class Site:
    """The laboratory of a case, with those of the ways that work here in `ways`."""

    def __init__(self, lab, case, names, tell):
        self.lab, self.case = lab, case
        self.hosts = [lab.host("left"), lab.host("right")]
        for host in self.hosts:
            self._bare(host)
        self.wire = Wire(self.hosts, case.underlay)
        if case.plain_underlay:
            self._switch_off(self.hosts, self.wire.name, SENDING)
        if case.gro:
            for host in self.hosts:
                host.run("ethtool", "-K", self.wire.name, "gro", "on")
        self.ways = {}
        for number, name in enumerate(names):
            if reason := WAYS[name].why_not():
                tell("skip", name, reason)
            else:
                self._add(number, name, tell)
        if case.loss:
            self._lose()

    def _add(self, number, name, tell):
        way = None
        try:
            way = WAYS[name](self.lab, self.hosts, self.wire, name, number, self.case.inner)
            way.start()
            wait_for(lambda: not ping(way.guests[0], GUESTS[1], count=1).lost, FIRST_PING_S,
                     "no ping comes through", interval=0.1)
        except Unsupported as words:
            tell("skip", name, f"l2tund says: {words}")
            return
        except FAILURES as error:
            tell("broken", name, f"{error}\n{way.log() if way else ''}".strip())
            return
        if self.case.plain_underlay:
            for device in way.offloads:
                self._switch_off(self.hosts, device, SENDING)
        if self.case.plain_guests:
            for side, guest in enumerate(way.guests):
                self._switch_off([guest], "eth0", SEGMENTS)
                self._switch_off([self.hosts[side]], way.guest_port(side), SEGMENTS)
        self._serve(way.guests[1])
        self.ways[name] = way

    @staticmethod
    def _switch_off(spaces, device, features):
        for space in spaces:
            for feature in features:
                space.run("ethtool", "-K", device, feature, "off", check=False)
            said = space.run("ethtool", "-k", device).stdout
            for name in ("tcp-segmentation-offload", "generic-segmentation-offload"):
                assert f"{name}: off" in said, f"{device}: {name} cannot be switched off"

    @staticmethod
    def _bare(host):
        """Frames on bridges go through no iptables: as on hosts without br_netfilter."""
        for filters in ("iptables", "ip6tables", "arptables"):
            with contextlib.suppress(FileNotFoundError):
                host.sysctl(f"net/bridge/bridge-nf-call-{filters}", 0)

    def _serve(self, guest):
        """What listens in the guest on the right: iperf3, and a socket that drops what comes."""
        server = guest.popen(["iperf3", "-s"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        self.lab.on_close(server.wait)
        self.lab.on_close(server.kill)
        sock = guest.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.lab.on_close(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        sock.bind(("", DISCARD_PORT))
        wait_for(lambda: ":5201" in guest.run("ss", "-Hltn").stdout, 5, "iperf3 does not listen")

    def _lose(self):
        devices = [self.wire.name] + [device for way in self.ways.values()
                                      for device in way.offloads]
        chains = "".join(
            f"chain {device} {{ type filter hook ingress device {device} priority 0;\n"
            f"meta protocol != arp numgen random mod 10000 < {round(100 * self.case.loss)} drop\n"
            "}\n" for device in devices)
        for host in self.hosts:
            host.nft(f"table netdev loss {{\n{chains}}}\n")


def _snmp(space, *wanted):
    """Counters of a namespace by their names, as (group, name)."""
    with space.entered(), open("/proc/thread-self/net/snmp", encoding="ascii") as lines:
        rows = [line.split() for line in lines]
    found = {(names[0].rstrip(":"), name): int(value)
             for names, values in zip(rows[::2], rows[1::2])
             for name, value in zip(names[1:], values[1:])}
    return [found[name] for name in wanted]


def _fragments(site):
    return sum(sum(_snmp(host, ("Ip", "FragCreates"), ("Ip", "ReasmReqds")))
               for host in site.hosts)


def _datagrams(guest):
    """UDP datagrams that have reached a socket. The interface counts super-frames as one."""
    return sum(_snmp(guest, ("Udp", "InDatagrams"), ("Udp", "InErrors")))


def _process_cpu_s(pid):
    """User and system time of all its threads."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _machine_cpu_s():
    """What all processors were busy with: not idle, not waiting."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system, _, _, irq, softirq = map(int, stat.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _resident_mib(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            total += int(statm.read().split()[1])
    return total * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


class Cost:
    """Processor time of a block: of the way's daemons, and of the machine."""

    def __init__(self, way):
        self._pids = [pid for side in way.pids() for pid in side]

    def _now(self):
        return sum(map(_process_cpu_s, self._pids)), _machine_cpu_s()

    def __enter__(self):
        self._before = self._now()
        return self

    def __exit__(self, *_):
        self.daemons, self.machine = (after - before
                                      for after, before in zip(self._now(), self._before))


@functools.cache
def _congestion_control():
    """Linux's default; a machine that paces (BBR) would measure its own timers."""
    known = pathlib.Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text()
    return ["-C", "cubic"] if "cubic" in known.split() else []


def _iperf_argv(seconds, flows=1, reverse=False, family=4):
    return ["iperf3", "-c", (GUESTS if family == 4 else GUESTS6)[1], "-t", str(seconds), "-J",
            "-P", str(flows), *(["-R"] if reverse else []), *_congestion_control()]


def tcp(_, way, seconds, **how):
    """Gbit/s at the receiver, processor seconds and resident memory for it."""
    argv = _iperf_argv(seconds, **how)
    with Cost(way) as cost:
        result = way.guests[0].run(*argv, timeout=seconds + 20)
    end = json.loads(result.stdout)["end"]
    gigabytes = end["sum_received"]["bytes"] / 1e9
    assert gigabytes, f"nothing arrived: {result.stdout[-500:]}"
    memory = [_resident_mib(pids) for pids in way.pids()]
    values = {"gbit": end["sum_received"]["bits_per_second"] / 1e9,
              "machine_cpu": cost.machine / gigabytes,
              "resent": end["sum_sent"].get("retransmits")}
    if any(memory):
        values |= {"daemon_cpu": cost.daemons / gigabytes, "memory": max(memory)}
    return values


def pps(_, way, seconds):
    """64-byte frames a second that one sender offers and that arrive, in thousands."""
    guest = way.guests[1]
    ping(way.guests[0], GUESTS[1], count=1)  # addresses are known
    with UdpBlast(way.guests[0], math.inf, GUESTS[1], DISCARD_PORT) as blast:
        time.sleep(0.2)  # queues are full
        start, before = time.monotonic(), _datagrams(guest)
        time.sleep(seconds / 2)
        took, came = time.monotonic() - start, _datagrams(guest) - before
    return {"received": came / took / 1000, "offered": blast.rate / 1000}


def _rtts(result):
    times = sorted([*result.replies.values(), *[LOST_MS] * result.lost])
    assert times, f"no ping was sent: {result.text}"
    return {"median": times[len(times) // 2], "p99": times[math.ceil(0.99 * len(times)) - 1],
            "lost": result.lost}


def idle_ping(_, way, seconds):
    return _rtts(ping(way.guests[0], GUESTS[1], count=round(seconds / PING_INTERVAL_S),
                      interval=PING_INTERVAL_S))


def busy_ping(_, way, seconds):
    """Round trips while one TCP flow fills the way."""
    client = way.guests[0].popen(_iperf_argv(seconds + 1), stdout=subprocess.DEVNULL,
                                 stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.3)  # the flow has found its speed
        with pinging(way.guests[0], GUESTS[1], interval=PING_INTERVAL_S) as runs:
            time.sleep(seconds)
        assert client.poll() is None, f"iperf3 ended early with {client.returncode}"
        client.wait(20)
    finally:
        client.kill()
        client.wait()
    return _rtts(runs[0])


def full_size(site, way, seconds):
    """Share of frames as large as guests want, with Don't Fragment, that come back."""
    del seconds
    result = ping(way.guests[0], GUESTS[1], count=20, interval=PING_INTERVAL_S,
                  size=site.case.inner - 28, options=["-M", "do"])
    return {"passed": len(result.replies) / 20, "mtu": way.mtu}


def _tcp_variants():
    """tcp, tcp-reverse, tcp-v6, tcp-4, tcp-4-v6-reverse, ..."""
    for flows in (1, FLOWS):
        for family in (4, 6):
            for reverse in (False, True):
                name = "-".join(["tcp"] + [str(flows)] * (flows > 1) + ["v6"] * (family == 6)
                                + ["reverse"] * reverse)
                yield name, functools.partial(tcp, flows=flows, family=family, reverse=reverse)


MEASURES = dict(_tcp_variants()) | {"pps": pps, "ping": idle_ping, "ping-load": busy_ping,
                                    "df": full_size}
WHOLE = "ways"  # the part that is the plan as it stands
PARTS = {WHOLE: [], "cpu": ["tcp"], "rss": ["tcp"], **{name: [name] for name in MEASURES}}

_OURS = ("l2tund-none", "l2tund-auth", "l2tund-aead")
_OURS_2 = ("l2tund-none-w2", "l2tund-auth-w2", "l2tund-aead-w2")
_CHIEF = ("none", "vxlan", *_OURS)
_PLAIN = ("vxlan", "l2tund-none", "l2tund-aead", "fastd-null")
_LOSSY = ("vxlan", "l2tund-none", "l2tund-single")

# What a run without further wishes does: cases, measures, ways; ten minutes and more.
PLAN = (
    (("base",), ("tcp", "pps"), tuple(name for name in WAYS if name != "l2tund-single")),
    (("base",), ("tcp-reverse", "tcp-v6"), _CHIEF),
    (("base",), ("tcp-4",), (*_CHIEF, *_OURS_2)),
    (("base",), ("ping", "ping-load"), (*_CHIEF, "fastd-null", "fastd-umac")),
    (("base",), ("df",), tuple(WAYS)),
    (("underlay-9000",), ("tcp",), _CHIEF),
    (("plain-underlay", "plain-guests", "plain-both"), ("tcp",), _PLAIN),
    (("loss-0.1", "loss-1"), ("tcp",), _LOSSY),
    (("jumbo", "jumbo-9000"), ("tcp", "df"), ("none", "vxlan", "l2tund-none", "l2tund-aead")),
)


@dataclasses.dataclass
class Wishes:
    """Of the command line; None is what PLAN says."""

    measures: list = None
    cases: list = None
    ways: list = None
    rounds: int = 5
    seconds: int = 1


def planned(wishes):
    """{case: {measure: [way]}}. Measures, cases or ways that were wished for and that the plan
    does not have in this combination are done, too."""
    plan = {}
    for cases, measures, ways in PLAN:
        for case in cases:
            for measure in measures:
                plan.setdefault(case, {}).setdefault(measure, []).extend(ways)
    result = {}
    for case in wishes.cases or [case for case in CASES if case in plan]:
        of_case = plan.get(case, {})
        result[case] = {}
        for measure in wishes.measures or of_case or ["tcp"]:
            known = of_case.get(measure) or (list(WAYS) if wishes.cases else [])
            ways = [way for way in WAYS if way in (wishes.ways or known)]
            if ways and (measure in of_case or wishes.cases):
                result[case][measure] = ways
    return {case: measures for case, measures in result.items() if measures}


class Run:
    """One run over a plan; `keep` takes each record."""

    def __init__(self, wishes, keep):
        self._wishes = wishes
        self._keep = keep
        self._told = set()
        self._run = round(time.time())

    def _record(self, kind, case, way, **more):
        known = WAYS[way].settings if way in WAYS else ""
        self._keep({"kind": kind, "run": self._run, "case": case.name, "way": way, "settings": known, **more,
                    "time": time.time(), "conditions": dataclasses.asdict(case),
                    "seconds": self._wishes.seconds, "kernel": platform.release(),
                    "cpus": os.cpu_count(), "load": os.getloadavg()[0]})

    def _tell(self, case, kind, way, reason):
        self._record(kind, case, way, reason=reason)
        if (kind, way, reason) not in self._told:
            self._told.add((kind, way, reason))
            print(f"  {way}: {'skipped' if kind == 'skip' else 'BROKEN'}: {reason}", flush=True)

    def do(self):
        for name, measures in planned(self._wishes).items():
            case = CASES[name]
            print(f"\n{name}: {case}", flush=True)
            if reason := case.why_not():
                self._tell(case, "skip", name, reason)
                continue
            try:
                self._do_case(case, measures)
            except FAILURES as error:  # a daemon that does not end well, say
                self._tell(case, "broken", name, str(error))

    def _do_case(self, case, measures):
        wanted = {way for ways in measures.values() for way in ways}
        with Lab() as lab:
            site = Site(lab, case, [way for way in WAYS if way in wanted],
                        functools.partial(self._tell, case))
            for number in range(1, self._wishes.rounds + 1):
                for measure, ways in measures.items():
                    self._turn(site, number, measure, ways)

    def _turn(self, site, number, measure, ways):
        print(f"  {number} {measure}:", end="", flush=True)
        for name in ways:
            if not (way := site.ways.get(name)):
                continue
            try:
                values = self._measure(site, measure, way)
            except FAILURES as error:
                self._tell(site.case, "broken", name,
                           f"{measure}: {error}\n{way.log()}".strip())
                del site.ways[name]
                continue
            self._record("sample", site.case, name, measure=measure, round=number,
                         mtu=way.mtu, settings=way.settings, values=values)
            print(f" {name} {next(iter(values.values())):.3g}", end="", flush=True)
        print(flush=True)

    def _measure(self, site, measure, way):
        before = _fragments(site)
        values = MEASURES[measure](site, way, self._wishes.seconds)
        return {**values, "fragments": _fragments(site) - before}


def why_not():
    return missing("netns") or missing("tap") or missing("iperf3")


@contextlib.contextmanager
def ending_well():
    """SIGTERM ends us as Ctrl-C does, with everything taken down."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
