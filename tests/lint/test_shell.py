"""shellcheck finds nothing in any shell script, the templates included."""

import re
import subprocess

import pytest
from lint import ROOT, files, need, read, report


def scripts():
    for path in files("*"):
        with open(ROOT / path, "rb") as f:
            first = f.readline(80)
        if re.match(rb"#! ?/bin/(sh|bash)|#! ?/usr/bin/env (sh|bash)", first):
            yield path


def check(text):
    # What configure fills in is a path.
    text = re.sub(r"@\w+@", "/usr", text)
    return subprocess.run(
        ["shellcheck", "--external-sources", "--exclude=SC1091", "--format=gcc", "-"],
        input=text.encode(),
        stdout=subprocess.PIPE,
        check=False,
    ).stdout.decode()


@pytest.fixture(autouse=True)
def shellcheck():
    need("shellcheck")


def test_scripts():
    paths = list(scripts())
    assert "autogen.sh" in paths and "packages/install" in paths
    report([line.replace("-:", f"{p}:", 1) for p in paths for line in check(read(p)).splitlines()])


def test_shellcheck_can_fail():
    assert "SC2086" in check("#!/bin/sh\nrm $1\n")
