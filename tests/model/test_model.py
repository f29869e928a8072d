"""The tree with the digest barrier, as a model for Spin (barrier.pml): all states, and mutants that must fail.

Each case is a start, a number of events, and what is to come of it. MODEL_LONG=1 adds larger ones,
which take minutes and up to 2.4 GB each; figures of both are in doc/tree.md.
"""

import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
CC = os.environ.get("CC", "cc").split()
DEPTH = 2000
AT_ONCE = 2

# Starts. Edges 0 and 1 are the tree, 2 closes the triangle, 3 is parallel to 0.
SETTLED = ["SETTLED=1", "UP=15", "OPEN=3", "STICKY=1"]
TRIANGLE = ["SETTLED=1", "UP=7", "OPEN=3", "STICKY=1"]
COLD = ["SETTLED=0", "UP=15", "OPEN=0", "STICKY=1"]
# Six nodes in a ring; two edges far from each other have come up and nobody has told it yet.
RING = ["RING", "SETTLED=1", "UP=63", "FRESH=48", "OPEN=15", "STICKY=0", "TOLD=8"]
# Five in a ring; one dies and begins again. What 2 and 3 have of it is of its earlier life.
RESTART = ["RING_OF_FIVE", "SETTLED=1", "UP=31", "OPEN=15", "STICKY=0", "DEAD=0", "TOLD=8"]
# Four in a chain, and a foreign path between its ends. In one the middle edge has just come up, and
# nobody has told it; in the other a better edge between the ends has.
CHAIN = ["CHAIN", "SETTLED=1", "UP=14", "FRESH=8", "OPEN=6", "STICKY=0", "WIRES=1"]
CHAIN_BETTER = ["CHAIN", "SETTLED=1", "UP=15", "FRESH=1", "OPEN=14", "STICKY=0", "WIRES=1"]
# Whose gates do not count in the order of edges: fewer link states, fewer states.
CRASH = ["SETTLED=1", "UP=7", "OPEN=3", "STICKY=0", "CRASHES=1", "CRASHERS=4", "STARTS=1"]

PROOFS = {
    "session-ends-and-begins": SETTLED + ["DROPS=1", "STARTS=1"],
    "foreign-path-and-session": SETTLED + ["DROPS=1", "WIRES=1"],
    "foreign-path-comes-and-goes": SETTLED + ["WIRES=2"],
    "cold-start-with-foreign-path": COLD + ["WIRES=1"],
    "crash-of-the-middle": TRIANGLE + ["CRASHES=1", "CRASHERS=2"],
    "crash-of-an-end": SETTLED + ["CRASHES=1", "CRASHERS=5"],
    "crash-and-return": CRASH,
    "ring-of-six": RING,
    "ring-of-five": RESTART,
    "foreign-path-at-a-chain": CHAIN,
    "foreign-path-and-better-edge": CHAIN_BETTER,
    # Not mutants that fail: see doc/tree.md, "What the model found".
    "old-sync-alone": SETTLED + ["CRASHES=1", "CRASHERS=5", "OLD_SYNC"],
    "old-sync-alone-in-a-ring": RESTART + ["OLD_SYNC"],
}
LONG = {
    "two-sessions-end": SETTLED + ["DROPS=2"],
    "cold-start-and-session-ends": COLD + ["DROPS=1"],
    "crash-of-the-middle-parallel": SETTLED + ["CRASHES=1", "CRASHERS=2"],
    "crash-and-return-sticky": CRASH + ["STICKY=1"],
    "old-sync-and-return": CRASH + ["OLD_SYNC"],
    "foreign-path-leaves-a-chain": CHAIN + ["WIRES=2"],
    "foreign-path-leaves-and-better-edge": CHAIN_BETTER + ["WIRES=2"],
}
MUTANTS = {
    "no-barrier": (COLD + ["NO_BARRIER", "ONLY_LOOP"], "loop"),
    "neighbours-only": (RING + ["NEIGHBOURS_ONLY"], "loop"),
    "no-incarnation": (RESTART + ["NO_INCARNATION", "ONLY_LOOP"], "loop"),
    "no-incarnation-repeats": (CRASH + ["NO_INCARNATION"], "repeats"),
    "old-sync": (RESTART + ["OLD_SYNC", "NO_INCARNATION", "ONLY_LOOP"], "loop"),
    "tell-untold": (CHAIN + ["TELL_UNTOLD", "ONLY_LOOP"], "loop"),
    "cut-one": (CHAIN_BETTER + ["CUT_ONE", "ONLY_LOOP"], "loop"),
    "publish-first": (COLD + ["PUBLISH_FIRST", "ONLY_LOOP"], "loop"),
    "keep-dead": (SETTLED + ["DROPS=1", "KEEP_DEAD", "ONLY_LOOP"], "loop"),
}
REACHED = {
    "tree-of-two-edges": COLD + ["REACH=1"],
    "standby-takes-over": SETTLED + ["DROPS=1", "REACH=2"],
    "parallel-takes-over": SETTLED + ["UP=11", "DROPS=1", "REACH=3"],
    "foreign-path-closes-one": SETTLED + ["WIRES=1", "REACH=4"],
    "back-after-a-crash": CRASH + ["REACH=5"],
    "three-views": COLD + ["REACH=6"],
}

# Without a cycle among the states, "at rest and spanned" is what every run comes to.
ENDS = {"every-run-ends": SETTLED + ["DROPS=1"]}

pytestmark = pytest.mark.skipif(
    not shutil.which("spin"), reason="spin is not installed; packages/install brings it where there is a package"
)


class Result:
    def __init__(self, out, trail):
        self.out = out
        self.trail = trail
        self.errors = int(re.search(r"errors: (\d+)", out).group(1))
        self.states = int(re.search(r"(\d+) states, stored", out).group(1))
        self.depth = int(re.search(r"depth reached (\d+)", out).group(1))
        self.mbytes = float(re.search(r"([\d.]+)\s+total actual memory", out).group(1))
        self.complete = not re.search(r"max search depth|too small|not completed|memory|resource", self.problems())
        violated = re.search(r"assertion violated\s+!\(+(\w+)\)+", out)
        self.violated = violated and violated.group(1)

    def problems(self):
        return "\n".join(line for line in self.out.splitlines() if re.match(r"error|pan|Warning", line))

    def __str__(self):
        return (
            f"{self.states} states, depth {self.depth}, {self.mbytes} MB, errors: {self.errors}\n"
            f"{self.problems()}\n{self.trail}"
        )


def run(command, cwd):
    p = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return p.stdout.decode(errors="replace")


def search(folder, defines, limit_mb=450, cflags=("-O1", "-DSAFETY"), flags=()):
    """Builds the model with these -D and looks at all of its states, or until the first error."""
    # The last of several definitions counts.
    names = {d.partition("=")[0]: d for d in defines}
    for f in HERE.glob("*.pml"):
        shutil.copy(f, folder)
    said = run(["spin"] + [f"-D{d}" for d in names.values()] + ["-a", "barrier.pml"], folder)
    assert (folder / "pan.c").exists(), said
    said = run(CC + ["-w", "-DNOREDUCE", f"-DMEMLIM={limit_mb}", *cflags, "-o", "pan", "pan.c"], folder)
    assert (folder / "pan").exists(), said
    # -E: at the end of all events nothing more can happen; that is no error here.
    out = run(["./pan", "-n", "-E", f"-m{DEPTH}", "-w22", *flags], folder)
    trail = ""
    if (folder / "barrier.pml.trail").exists():
        trail = run(["./pan", "-r", "barrier.pml.trail", "-n"], folder).partition("spin: trail ends")[0]
    return Result(out, trail)


def begin(pool, name, folder):
    if name in MUTANTS:
        return pool.submit(search, folder, MUTANTS[name][0])
    if name in REACHED:
        return pool.submit(search, folder, REACHED[name])
    if name in ENDS:
        # No state is marked as progress: any cycle would be reported.
        return pool.submit(search, folder, ENDS[name], cflags=("-O1", "-DNP"), flags=("-l",))
    if name in LONG:
        return pool.submit(search, folder, LONG[name], limit_mb=3000, cflags=("-O2", "-DSAFETY"))
    return pool.submit(search, folder, PROOFS[name], cflags=("-O2", "-DSAFETY"))


@pytest.fixture(scope="session", name="searches")
def fixture_searches(request, tmp_path_factory):
    """Runs the searches of all tests that were asked for, AT_ONCE side by side."""
    names = [i.callspec.params["name"] for i in request.session.items if "searches" in i.fixturenames]
    if not os.environ.get("MODEL_LONG"):
        names = [n for n in names if n not in LONG]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        futures = {n: begin(pool, n, tmp_path_factory.mktemp(n)) for n in names}
        yield futures
        for f in futures.values():
            f.cancel()


@pytest.fixture(name="found")
def fixture_found(searches, name):
    if name not in searches:
        pytest.skip("takes minutes: MODEL_LONG=1")
    r = searches[name].result()
    print(r)
    return r


def check_proof(r):
    assert r.errors == 0
    assert r.complete
    assert r.depth < DEPTH


@pytest.mark.parametrize("name", PROOFS)
def test_all_states(found, name):  # pylint: disable=unused-argument
    check_proof(found)
    assert found.states > 1000


@pytest.mark.parametrize("name", ENDS)
def test_every_run_ends(found, name):  # pylint: disable=unused-argument
    check_proof(found)


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(found, name):
    assert found.errors >= 1
    assert found.violated == MUTANTS[name][1]


@pytest.mark.parametrize("name", REACHED)
def test_reached(found, name):  # pylint: disable=unused-argument
    assert found.errors >= 1
    assert found.violated == "reached"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", LONG)
def test_long(found, name):  # pylint: disable=unused-argument
    check_proof(found)
