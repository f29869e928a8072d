"""A real vtund between two hosts: a TAP of another program in the same bridges, the accident that
the guards are for. The left host serves, the right one calls.

vtund keeps its locks and pid files at fixed paths, so each runs with a /run of its own.

It does not wait for its `up` commands: a session ends at once (EIO) when a frame comes before the
new TAP is up. So start() tries again, and where frames flow already make_taps() comes first.
"""
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

from lab import Netns, wait_for

VTUND = shutil.which("vtund") or "/usr/sbin/vtund"
TAP = "tap3"
STOP_S = 3
ATTEMPTS = 5

_CONFIG = """options {{
  port 5000;
  timeout 5;
}}
default {{
  compress no;
  encrypt no;
  speed 0;
}}
join {{
  passwd secret;
  type ether;
  proto tcp;
  device {tap};
  up {{
  program {ip} "link set %% master {bridge} up";
  }};
}}
"""
_OWN_RUN = "mount -t tmpfs none /run && mkdir -p /run/lock/vtund && exec \"$@\""


def why_not():
    """Why no vtund can run here, or None."""
    if not os.access(VTUND, os.X_OK):
        return "vtund is not installed"
    ns = Netns("probe")
    try:
        result = ns.run("unshare", "-m", "sh", "-c", _OWN_RUN, "sh", "true", check=False)
    finally:
        ns.close()
    if result.returncode != 0:
        return f"vtund cannot have a /run of its own here ({result.stderr.strip()})"
    return None


class Vtun:
    """Joins a bridge of each of two hosts; start() and stop() as often as wanted."""

    def __init__(self, lab, wan, left, right, bridge="br-sv"):
        self._hosts = (left, right)
        self._bridge = bridge
        self._server = wan.address(left)
        self._dir = pathlib.Path(lab.dir)
        self._children = []
        (self._dir / "vtund.conf").write_text(_CONFIG.format(
            tap=TAP, bridge=bridge, ip=shutil.which("ip") or "/sbin/ip"), encoding="ascii")
        lab.logs.append(self.log)
        lab.on_close(self._kill)

    def log(self):
        """(title, text) for the report of a failed test."""
        path = self._dir / "vtund.log"
        return "log of vtund", path.read_text(errors="replace") if path.exists() else ""

    def _spawn(self, host, *words):
        with open(self._dir / "vtund.log", "a", encoding="utf-8") as log:
            argv = ["unshare", "-m", "sh", "-c", _OWN_RUN, "sh", VTUND, "-n",
                    "-f", str(self._dir / "vtund.conf"), *words]
            self._children.append(host.popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log))

    def _listens(self):
        return ":5000" in self._hosts[0].run("ss", "-Hltn").stdout

    def make_taps(self):
        """TAPs that are in the bridges before vtund takes them, and after; without it, they have
        no carrier."""
        for host in self._hosts:
            host.ip(f"tuntap add dev {TAP} mode tap", f"link set {TAP} master {self._bridge} up")

    def start(self):
        """Starts both and waits until both TAPs are in their bridges, in use."""
        for _ in range(ATTEMPTS):
            self.begin()
            wait_for(lambda: self.joined() or self._ended(), 5,
                     lambda: f"vtund does not join\n{self.log()[1]}", interval=0.005)
            if not self._ended():
                return
            self._kill()
        raise AssertionError(f"vtund does not stay\n{self.log()[1]}")

    def begin(self):
        """Starts both, without a look at what becomes of it."""
        self._spawn(self._hosts[0], "-s")
        # It would try again only after five seconds.
        wait_for(self._listens, 5, lambda: f"vtund does not listen\n{self.log()[1]}")
        self._spawn(self._hosts[1], "join", self._server)

    def _ended(self):
        return any(child.poll() is not None for child in self._children)

    def _in_use(self):
        links = [host.link(TAP) for host in self._hosts]
        return [link is not None and "master" in link and "LOWER_UP" in link["flags"]
                for link in links]

    def joined(self):
        return all(self._in_use())

    def stop(self):
        """Ends both, as a service manager would: TERM, and KILL to what does not obey."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not any(self._in_use()), STOP_S, "the TAPs are still in use")
        self._kill()

    def _signal(self, number):
        for child in self._children:
            # Its sessions have processes of their own in the group that we made for it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, number)

    def _kill(self):
        self._signal(signal.SIGKILL)
        for child in self._children:
            child.wait()
        self._children.clear()

    def leaders(self):
        """For either host the first processes of what runs on it."""
        return [[child.pid] for child in self._children] or [[], []]

    def pids(self):
        """The processes that hold a TAP, of the left host first."""
        found = []
        for child in self._children:
            found += [pid for pid in group(child.pid) if _holds_tap(pid)]
        return found


def group(leader):
    """All processes of a process group."""
    members = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(int(entry)) == leader:
                    members.append(int(entry))
    return members


def _holds_tap(pid):
    folder = f"/proc/{pid}/fdinfo"
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for fd in os.listdir(folder):
            with open(f"{folder}/{fd}", encoding="ascii") as info:
                if f"iff:\t{TAP}\n" in info.read():
                    return True
    return False
