"""What all network tests share: the path to tests/support, laboratories, logs of failed tests."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from lab import Lab, need  # noqa: E402  (needs the path above)
from node import BRIDGECTL, L2TUND, Pair  # noqa: E402

LOG_LINES = 120


def pytest_configure(config):
    """Marks that tests carry; run_py.py minds the first two."""
    for line in ("alone(why): no other network test runs beside it",
                 "timeout(seconds): how long the test may take",
                 "variant: of another case of the same test"):
        config.addinivalue_line("markers", line)


def pytest_collection_modifyitems(items):
    """The support's own tests go first: what they prove, all others rely on."""
    items.sort(key=lambda item: item.path.name != "test_support.py")


@pytest.fixture(scope="session")
def daemon():
    """The programs under test exist; their absence is a failure, not a reason to skip."""
    for path in (L2TUND, BRIDGECTL):
        if not os.access(path, os.X_OK):
            pytest.fail(f"{path} is missing: build first, or set L2TUND and BRIDGECTL")
    need("netns", "tap")


@pytest.fixture
def net():
    """An empty laboratory that needs no daemon."""
    need("netns")
    with Lab() as made:
        yield made


@pytest.fixture
def lab(daemon, net):  # the name of the argument in tests
    """An empty laboratory for one test."""
    return net


@pytest.fixture(scope="module")
def shared_pair(daemon):
    """Two joined nodes for all tests of a file that leave them as they found them."""
    with Lab() as made:
        yield Pair(made).start()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the logs of all daemons that were there."""
    outcome = yield
    report = outcome.get_result()
    item.failed = report.failed or getattr(item, "failed", False)
    if not report.failed:
        return
    for live in Lab.live:
        for log in live.logs:
            title, text = log()
            report.sections.append((title, "\n".join(text.splitlines()[-LOG_LINES:])))
