"""What the checks of this folder share: the files of the project, and C without its comments."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What autoreconf and configure put beside our own files.
GENERATED = {
    "Makefile", "Makefile.in", "aclocal.m4", "build-config.h", "build-config.h.in", "config.status", "configure"
}


def git_files(untracked=True):
    """Paths that git knows (or would take), relative to the root; None outside of a checkout."""
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        return None
    out = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "-c"]
        + (["-o", "--exclude-standard"] if untracked else []),
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    ).stdout.decode()
    # A file that was just removed is still in the index.
    return sorted(p for p in set(out.split("\0")) if p and (ROOT / p).is_file())


def files(*patterns):
    """Files that match one of the patterns of pathlib, in a checkout or in an unpacked tarball."""
    known = git_files()
    if known is None:
        known = [
            str(p.relative_to(ROOT))
            for top in ("common", "l2tund", "bridgectl", "tests", "conf", "doc", "packages")
            for p in sorted((ROOT / top).rglob("*"))
            if p.is_file()
        ]
        known += [p.name for p in ROOT.iterdir() if p.is_file() and p.name not in GENERATED]
    return [p for p in known if any(pathlib.PurePath(p).match(pat) for pat in patterns)]


def c_files():
    return files("*.c", "*.h")


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


TOKEN = re.compile(
    r"""//[^\n]* | /\*.*?\*/ | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""", re.DOTALL | re.VERBOSE
)


def code_of(text):
    """C text with comments and the insides of strings blanked; lines keep their numbers."""

    def blank(m):
        return re.sub(r"[^\n\"']", " ", m.group())

    return TOKEN.sub(blank, text)


def report(found):
    """Fails the test with one violation per line, `file:line: what`."""
    if found:
        pytest.fail(f"{len(found)} found:\n" + "\n".join(found), pytrace=False)


def need(tool):
    path = shutil.which(tool)
    if not path:
        pytest.skip(f"{tool} is not installed")
    return path
