"""The tree with the digest barrier, as a model for Spin (barrier.pml): all states, and mutants that must fail.

Each case is a start, a number of events, and what is to come of it. MODEL_LONG=1 adds larger ones,
which take minutes and 1.5 GB; figures of both are in doc/tree.md.
"""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

HERE = pathlib.Path(__file__).resolve().parent
CC = os.environ.get("CC", "cc").split()
DEPTH = 2000

# Starts. Edges 0 and 1 are the tree, 2 closes the triangle, 3 is parallel to 0.
SETTLED = ["SETTLED=1", "UP=15", "OPEN=3", "STICKY=1"]
TRIANGLE = ["SETTLED=1", "UP=7", "OPEN=3", "STICKY=1"]
COLD = ["SETTLED=0", "UP=15", "OPEN=0", "STICKY=1"]
# Six nodes in a ring; two edges far from each other have come up and nobody has told it yet.
RING = ["RING", "SETTLED=1", "UP=63", "FRESH=48", "OPEN=15", "STICKY=0", "TOLD=8"]
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
    # Not a mutant that fails: see doc/tree.md, "What the model found".
    "old-sync-alone": SETTLED + ["CRASHES=1", "CRASHERS=5", "OLD_SYNC"],
}
LONG = {
    "two-sessions-end": SETTLED + ["DROPS=2"],
    "cold-start-and-session-ends": COLD + ["DROPS=1"],
    "crash-of-the-middle-parallel": SETTLED + ["CRASHES=1", "CRASHERS=2"],
    "crash-and-return-sticky": CRASH + ["STICKY=1"],
    "old-sync-and-return": CRASH + ["OLD_SYNC"],
}
MUTANTS = {
    "no-barrier": (COLD + ["NO_BARRIER", "ONLY_LOOP"], "loop"),
    "neighbours-only": (RING + ["NEIGHBOURS_ONLY"], "loop"),
    "no-incarnation": (CRASH + ["NO_INCARNATION"], "repeats"),
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


def run(command, cwd):
    p = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return p.stdout.decode(errors="replace")


def search(folder, defines, limit_mb=900, cflags=("-O1", "-DSAFETY"), flags=()):
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
    r = Result(out, trail)
    print(f"{r.states} states, depth {r.depth}, {r.mbytes} MB, errors: {r.errors}\n{r.problems()}\n{r.trail}")
    return r


def prove(folder, defines, cflags=("-O2", "-DSAFETY"), **more):
    r = search(folder, defines, cflags=cflags, **more)
    assert r.errors == 0
    assert r.complete
    assert r.depth < DEPTH
    return r


@pytest.mark.parametrize("name", PROOFS)
def test_all_states(name, tmp_path):
    assert prove(tmp_path, PROOFS[name]).states > 1000


def test_every_run_ends(tmp_path):
    """Without a cycle among the states, "at rest and spanned" is what every run comes to."""
    defines = SETTLED + ["DROPS=1"]
    # No state is marked as progress: any cycle would be reported.
    prove(tmp_path, defines, cflags=("-O1", "-DNP"), flags=("-l",))


@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, tmp_path):
    defines, expected = MUTANTS[name]
    r = search(tmp_path, defines)
    assert r.errors >= 1
    assert r.violated == expected


@pytest.mark.parametrize("name", REACHED)
def test_reached(name, tmp_path):
    r = search(tmp_path, REACHED[name])
    assert r.errors >= 1
    assert r.violated == "reached"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", LONG)
def test_long(name, tmp_path):
    if not os.environ.get("MODEL_LONG"):
        pytest.skip("takes minutes: MODEL_LONG=1")
    prove(tmp_path, LONG[name], limit_mb=3000)
