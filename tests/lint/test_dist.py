"""The tarball is complete, and every test file is run: each is named in Makefile.am."""

import os
import pathlib
import re
import subprocess

import pytest
from lint import files, git_files, report

# Of use in a checkout only.
NOT_IN_TARBALL = re.compile(r"\.gitignore|\.ci/.*|\.github/.*")


def make_list(variable):
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    out = subprocess.run(
        ["make", "-s", "--no-print-directory", "-C", os.environ["TOP_BUILDDIR"], f"print-{variable}"],
        env=env,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout.decode()
    return set(out.split())


def missing(paths, listed):
    # A folder stands for all that is in it.
    return [
        p for p in paths if p not in listed and not any(str(d) in listed for d in pathlib.PurePath(p).parents)
    ]


@pytest.fixture(autouse=True)
def builddir():
    if "TOP_BUILDDIR" not in os.environ:
        pytest.skip("TOP_BUILDDIR is not set: run it by make check")


def test_tarball_is_complete():
    # Files that are not committed yet come later.
    paths = git_files(untracked=False)
    if paths is None:
        pytest.skip("not a git checkout")
    paths = [p for p in paths if not NOT_IN_TARBALL.fullmatch(p)]
    report([f"{p}:1: not in the tarball: add it to Makefile.am" for p in missing(paths, make_list("dist"))])


def test_every_test_is_run():
    tests = make_list("tests")
    wanted = [p.removesuffix(".c") for p in files("tests/unit/test_*.c", "tests/fuzz/fuzz_*.c")]
    # Those of the laboratory share one Xen host, which `make lab` boots.
    wanted += [p for p in files("tests/*/test_*.py") if not p.startswith("tests/lab/")]
    if not make_list("have-cmocka"):
        wanted = [p for p in wanted if not p.startswith("tests/unit/")]
    report([f"{p}:1: not among the tests of Makefile.am" for p in wanted if p not in tests])


def test_every_corpus_has_its_target():
    tests = make_list("tests")
    corpora = {p.split("/")[3] for p in files("tests/fuzz/corpus/*/*")}
    report([f"tests/fuzz/corpus/{c}:1: no fuzz_{c}" for c in corpora if f"tests/fuzz/fuzz_{c}" not in tests])


def test_missing_can_fail():
    assert missing(["a/b.c", "c/d/e", "f"], {"c", "f"}) == ["a/b.c"]
