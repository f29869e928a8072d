"""run_py.py TEST.py: one pytest file as TAP on standard output, everything else on standard error.

What it adds to pytest, so that no test file has to:
- tests under tests/net need root and run one file at a time: several make jobs or
  build directories share the clock and the processors, and these tests measure time. With
  NET_SHORT=1, which leaves such tests out, two files at a time;
- each test ends after TEST_TIMEOUT_S (environment, default 180) with a failure, or after
  what `@pytest.mark.timeout(SECONDS)` over it says;
- a report of a sanitizer, written by any process that a test started, fails that test.
"""

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
LOCK_INTERVAL_S = 0.2
TIMEOUT_S = int(os.environ.get("TEST_TIMEOUT_S", "180"))


class Tap:
    """A pytest plugin: one TAP line per test."""

    def __init__(self, out, reports):
        self.out = out
        self.reports = reports
        self.count = 0
        self.skips_all = None

    def line(self, ok, name, directive=""):
        self.count += 1
        # '#' would start a directive.
        name = name.replace("#", "_")
        directive = f" # {' '.join(directive.split())}" if directive else ""
        print(f"{'ok' if ok else 'not ok'} {self.count} - {name}{directive}", file=self.out, flush=True)

    def pytest_configure(self, config):
        config.addinivalue_line("markers", "timeout(seconds): how long the test may take")

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item):
        marker = item.get_closest_marker("timeout")
        limit_s = marker.args[0] if marker else TIMEOUT_S

        def expired(signum, frame):
            raise TimeoutError(f"{item.name} took longer than {limit_s} s")

        signal.signal(signal.SIGALRM, expired)
        signal.alarm(limit_s)
        yield
        signal.alarm(0)

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


def reason_of(report):
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return str(report.longrepr)


def net_turn():
    """Waits until this file may run; the turn is over when what it returns is closed."""
    turns = 2 if os.environ.get("NET_SHORT") == "1" else 1
    while True:
        for number in range(turns):
            # The first one has the name that a run with a single turn waits for.
            lock = open(f"{LOCK_PATH}.{number}" if number else LOCK_PATH, "w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if turns > 1 else 0))
                return lock
            except BlockingIOError:
                lock.close()
        time.sleep(LOCK_INTERVAL_S)


def main():
    test = pathlib.Path(sys.argv[1]).resolve()
    # Own the real standard output; what pytest and its children print goes to the log.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if test.parent.name == "net":
        if os.geteuid() != 0:
            print("1..0 # SKIP needs root (network namespaces, TAP devices)", file=out, flush=True)
            return 0
        turn = net_turn()  # until this process ends

    reports = pathlib.Path(tempfile.mkdtemp(prefix="l2-san-"))
    # Daemons that drop to another user write there too.
    reports.chmod(0o1777)
    for san in "ASAN", "UBSAN", "LSAN":
        options = os.environ.get(f"{san}_OPTIONS", "")
        os.environ[f"{san}_OPTIONS"] = f"{options}:log_path={reports}/{san.lower()}".lstrip(":")

    tap = Tap(out, reports)
    root = test.parent.parent.parent
    status = pytest.main(
        ["-p", "no:cacheprovider", f"--rootdir={root}", "-v", "-ra", "--tb=short", "--color=no", str(test)],
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
