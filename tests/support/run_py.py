"""run_py.py TEST.py: one pytest file as TAP on standard output, everything else on standard error.

What it adds to pytest, so that no test file has to:
- tests under tests/net need root, and three of them at most run at a time, whatever the number of make
  jobs and build directories: they share the clock and the processors. What floods these, or measures
  amounts, is marked `@pytest.mark.alone(WHY)` (`lab.alone`) and has them to itself;
- tests under tests/lab give way to all others: an emulated machine computes all the time;
- each test ends after TEST_TIMEOUT_S (environment, default 180) with a failure, or after
  what `@pytest.mark.timeout(SECONDS)` over it says;
- a report of a sanitizer, written by any process that a test started, fails that test.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import pytest

LOCK_PATH = "/tmp/l2tund-net-tests.lock"
LOCK_INTERVAL_S = 0.05
TURNS = min(3, 1 + (os.cpu_count() or 1))  # most of their time they wait for something
LAB_NICE = "5"
TIMEOUT_S = int(os.environ.get("TEST_TIMEOUT_S", "180"))


class Tap:
    """A pytest plugin: one TAP line per test."""

    def __init__(self, out, reports, turns):
        self.out = out
        self.reports = reports
        self.turns = turns  # None: they need none
        self.count = 0
        self.skips_all = None

    def line(self, ok, name, directive=""):
        self.count += 1
        # '#' would start a directive.
        name = name.replace("#", "_")
        directive = f" # {' '.join(directive.split())}" if directive else ""
        print(f"{'ok' if ok else 'not ok'} {self.count} - {name}{directive}", file=self.out, flush=True)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        marker = item.get_closest_marker("timeout")
        limit_s = marker.args[0] if marker else TIMEOUT_S

        def expired(signum, frame):
            raise TimeoutError(f"{item.name} took longer than {limit_s} s")

        with self._turn_of(item):
            signal.signal(signal.SIGALRM, expired)
            signal.alarm(limit_s)
            yield
            signal.alarm(0)

    def _turn_of(self, item):
        if self.turns is None or skips(item):
            return contextlib.nullcontext()
        return self.turns.taken(item.get_closest_marker("alone") is not None)

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.partition("::")[2]
        if report.skipped and hasattr(report, "wasxfail"):
            self.line(False, name, f"TODO {report.wasxfail}")
        elif report.skipped:
            self.line(True, name, f"SKIP {reason_of(report)}")
        elif report.failed:
            self.line(False, name if report.when == "call" else f"{name} ({report.when})")
        elif report.when == "call":
            self.line(True, name)
        if report.when == "teardown":
            self.sanitizer(name)

    def pytest_collectreport(self, report):
        if report.failed:
            self.line(False, f"{report.nodeid} (collection)")
        elif report.skipped:
            self.skips_all = reason_of(report)

    def sanitizer(self, name):
        for path in sorted(self.reports.iterdir()):
            print(f"--- {path.name}:\n{path.read_text(errors='replace')}", file=sys.stderr)
            path.unlink()
            self.line(False, f"{name} (sanitizer report, see the log)")


def skips(item):
    """Whether a mark says that the test is skipped: it need not wait for that."""
    return any(mark.args and mark.args[0] is True for mark in item.iter_markers("skipif"))


def reason_of(report):
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


class Turns:
    """Who of all processes that run network tests may go on: as many as there are turns, or one that
    has taken them all. They queue at a gate, so that nobody who wants all of them waits for ever."""

    def __init__(self):
        self._gate = open(f"{LOCK_PATH}.gate", "w")
        # The first one has the name that earlier versions wait for.
        self._turns = [open(f"{LOCK_PATH}.{number}" if number else LOCK_PATH, "w")
                       for number in range(TURNS)]

    def _take_one(self):
        while True:
            for turn in self._turns:
                try:
                    return fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    pass
            time.sleep(LOCK_INTERVAL_S)

    @contextlib.contextmanager
    def taken(self, everything):
        """A turn inside this block, or all of them."""
        fcntl.flock(self._gate, fcntl.LOCK_EX)
        if everything:
            for turn in self._turns:
                fcntl.flock(turn, fcntl.LOCK_EX)
        else:
            self._take_one()
        fcntl.flock(self._gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            for turn in self._turns:
                fcntl.flock(turn, fcntl.LOCK_UN)


def main():
    test = pathlib.Path(sys.argv[1]).resolve()
    # A shell's job in the background ignores the one, nohup the other, and so would all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Own the real standard output; what pytest and its children print goes to the log.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if test.parent.name in ("lint", "model") and os.environ.get("NET_SHORT") == "1":
        print("1..0 # SKIP it does not look at what was built (NET_SHORT=0 runs it)", file=out, flush=True)
        return 0
    turns = None
    if test.parent.name == "net":
        if os.geteuid() != 0:
            print("1..0 # SKIP needs root (network namespaces, TAP devices)", file=out, flush=True)
            return 0
        turns = Turns()
    if test.parent.name == "lab":
        os.environ.setdefault("LAB_NICE", LAB_NICE)

    reports = pathlib.Path(tempfile.mkdtemp(prefix="l2-san-"))
    # Daemons that drop to another user write there too.
    reports.chmod(0o1777)
    for san in "ASAN", "UBSAN", "LSAN":
        options = os.environ.get(f"{san}_OPTIONS", "")
        os.environ[f"{san}_OPTIONS"] = f"{options}:log_path={reports}/{san.lower()}".lstrip(":")

    tap = Tap(out, reports, turns)
    root = test.parent.parent.parent
    status = pytest.main(
        ["-p", "no:cacheprovider", f"--rootdir={root}", "-v", "-ra", "--tb=short", "--color=no",
         "--durations=12", str(test)],
        plugins=[tap],
    )
    shutil.rmtree(reports, ignore_errors=True)
    if tap.count == 0 and tap.skips_all is not None:
        print(f"1..0 # SKIP {tap.skips_all}", file=out, flush=True)
        return 0
    if tap.count == 0:
        tap.line(False, "no tests were found")
    print(f"1..{tap.count}", file=out, flush=True)
    # 1: tests failed, 5: none were collected; both were said above.
    return 0 if status in (0, 1, 5) else int(status)


sys.exit(main())
