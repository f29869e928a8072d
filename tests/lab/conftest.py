"""What the cases of the laboratory share: one Xen host for all of them, one KVM host, the wire between
them. `make lab` runs them; alone: pytest tests/lab -k NAME."""
import contextlib
import os
import pathlib
import shlex
import shutil
import signal
import sys
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import build  # noqa: E402  (needs the path above)
import guest_image  # noqa: E402
import xenhost  # noqa: E402
from copies import Place  # noqa: E402
from domu import DomU  # noqa: E402
from farnode import FarNode  # noqa: E402
from lab import Lab, need, skip  # noqa: E402
from libvirtd import Libvirtd, need_libvirtd  # noqa: E402
from node import BRIDGECTL, L2TUND, Node  # noqa: E402
from xenmove import XenMove  # noqa: E402

TIMEOUT_S = int(os.environ.get("TEST_TIMEOUT_S", "600"))
LOG_LINES = 150
LOGS = pathlib.Path(os.environ.get("LAB_LOGS", "lab-logs"))
WITNESS_IP = "10.9.0.1"


def pytest_configure(config):
    config.addinivalue_line("markers", "timeout(seconds): how long the test may take")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Nothing waits for ever, whatever hangs."""
    marker = item.get_closest_marker("timeout")
    limit_s = marker.args[0] if marker else TIMEOUT_S

    def expired(signum, frame):
        raise TimeoutError(f"{item.name} took longer than {limit_s} s")

    signal.signal(signal.SIGALRM, expired)
    signal.alarm(limit_s)
    yield
    signal.alarm(0)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test keeps the logs of all daemons and all consoles, whole ones in LAB_LOGS."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    folder = LOGS / item.name
    folder.mkdir(parents=True, exist_ok=True)
    for live in Lab.live:
        for log in live.logs:
            try:
                title, text = log()
            except Exception as error:  # the host may be what failed
                title, text = "a log", f"cannot be read: {error}"
            (folder / title.replace(" ", "-")).write_text(text, encoding="utf-8")
            report.sections.append((title, "\n".join(text.splitlines()[-LOG_LINES:])))


class Times:
    """How long the steps took, for the end of the run."""

    def __init__(self):
        self.rows = []
        self.texts = []  # tables and such, as they are

    @contextlib.contextmanager
    def of(self, what):
        start = time.monotonic()
        yield
        self.rows.append((what, time.monotonic() - start))

    def add(self, what, seconds):
        self.rows.append((what, seconds))

    def tell(self, text):
        self.texts.append(text)


TIMES = Times()


def pytest_terminal_summary(terminalreporter):
    if TIMES.rows:
        terminalreporter.section("steps of the laboratory")
        for what, seconds in TIMES.rows:
            terminalreporter.line(f"{seconds:7.1f} s  {what}")
    for text in TIMES.texts:
        terminalreporter.line(f"\n{text}")


@pytest.fixture(scope="session")
def times():
    return TIMES


class Site:
    """Two hosts and the wire between them; a witness on the bridge of the KVM host. The bridges are
    joined by nothing but what a test starts."""

    def __init__(self, lab, image):
        self.lab = lab
        self.wan = lab.underlay("wan")
        self.kvm = lab.host("kvm1")
        self.wan.attach(self.kvm)
        self.kvm.bridge("br-sv")
        self.kvm.no_bridge_filter()
        self.witness = self.kvm.guest("witness", "br-sv", f"{WITNESS_IP}/24")
        self.xen = xenhost.XenHost(lab, image, self.wan)
        self.near, self.far = Node(self.kvm), FarNode(self.xen)
        self.near.peer("xen1", self.far, address=self.wan.endpoint(self.xen))
        self.far.peer("kvm1", self.near, address=self.wan.endpoint(self.kvm))
        self.near.tunnel("sv", "xen1", "br-sv")
        self.far.tunnel("sv", "kvm1", "br-sv")

    def join(self):
        self.far.start()
        self.near.start()
        for node in (self.near, self.far):
            node.wait_state("forwarding", timeout=90)

    def part(self):
        for node in (self.near, self.far):
            if node.running:
                node.stop()

    @property
    def far_options(self):
        """What leads bridgectl on the KVM host to the Xen host."""
        return ["--ssh", shlex.join(self.xen.ssh_words)]


@pytest.fixture(scope="session")
def site():
    for path in (L2TUND, BRIDGECTL):
        if not os.access(path, os.X_OK):
            pytest.fail(f"{path} is missing: build first, or set L2TUND and BRIDGECTL")
        if b"__asan_init" in pathlib.Path(path).read_bytes():
            pytest.skip("programs with sanitizers do not run in the Xen host, which has not their libraries")
    reason = xenhost.missing()
    if reason:
        skip(reason)
    need_libvirtd()
    need("netns", "tap")
    try:
        with TIMES.of("image of the Xen host (0: from the cache)"):
            image = build.dom0()
    except build.CannotBuild as error:
        skip(f"no image of a Xen host: {error}")
    with Lab() as lab:
        made = Site(lab, image)
        TIMES.add("the Xen host boots", made.xen.wait_up())
        with TIMES.of("volume group, bridge, programs"):
            made.xen.set_up()
        yield made


@pytest.fixture(scope="session")
def xen(site):
    return site.xen


@contextlib.contextmanager
def guest_maker(site, folder):
    """A function that makes guests of the Xen host; they are gone at the end of the block."""
    made = []

    def make(how="pygrub", more="", before=lambda image: None, **image):
        try:
            built = guest_image.build(folder / f"image{len(made)}", **image)
            before(built)
        except guest_image.Missing as error:
            skip(str(error))
        with TIMES.of(f"volumes of {built.name} are filled"):
            made.append(DomU(site.xen, built, how, more))
        return made[-1]

    try:
        yield make
    finally:
        for guest in reversed(made):
            guest.remove()


@pytest.fixture
def guests(site, tmp_path):
    """guests(name=…, how=…) makes guests of the Xen host; they are gone after the test."""
    with guest_maker(site, tmp_path) as make:
        yield make


@pytest.fixture
def joined(site):
    """l2tund on both hosts, their bridges joined."""
    try:
        with TIMES.of("l2tund on both hosts, until it forwards"):
            site.join()
        yield site.near, site.far
    finally:
        site.part()


@pytest.fixture(scope="session")
def libvirtd(site):
    """Of the KVM host."""
    return Libvirtd(site.kvm)


@pytest.fixture
def moves(site, libvirtd, tmp_path):
    """moves(guest) begins the way of a guest that runs on Xen; where it has come to, it is gone after the test."""
    made = []

    def move(guest, **options):
        made.append(XenMove(site, guest, libvirtd, tmp_path / f"move{len(made)}", **options))
        return made[-1]

    yield move
    for one in made:
        one.remove()


@pytest.fixture
def place(site, tmp_path):
    """Where bridgectl runs on the KVM host."""
    made = Place(tmp_path, site.kvm)
    made.options = site.far_options
    return made
