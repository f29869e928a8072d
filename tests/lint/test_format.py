"""clang-format agrees with every C file, but for how far a comment at the end of a line is moved.

`make format` brings files into this form. Versions of clang-format disagree in details: it is
checked with the one of Debian 12 only.
"""

import difflib
import re
import subprocess

import pytest
from lint import ROOT, c_files, need, report

VERSION = "14"
# Tables laid out by hand, where it helps reading.
BY_HAND = re.compile(r"tests/unit/\w*vectors\w*\.h")


def squeeze(text):
    return [re.sub(r"[ \t]+(/\*|\\$)", r" \1", line) for line in text.split("\n")]


def violations(tool, path, text):
    out = subprocess.run(
        [tool, f"--assume-filename={ROOT / path}", "--style=file"],
        input=text.encode(),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout.decode()
    found = []
    matcher = difflib.SequenceMatcher(a=squeeze(text), b=squeeze(out), autojunk=False)
    for tag, begin, end, new, new_end in matcher.get_opcodes():
        if tag != "equal":
            wanted = "\n    ".join(out.split("\n")[new:new_end])
            found.append(f"{path}:{begin + 1}-{max(begin + 1, end)}: wanted\n    {wanted}")
    return found


@pytest.fixture(name="tool")
def clang_format():
    tool = need("clang-format")
    version = subprocess.run([tool, "--version"], stdout=subprocess.PIPE, check=True).stdout.decode()
    if not re.search(rf"version {VERSION}\.", version):
        pytest.skip(f"clang-format {VERSION} is wanted, this is {version.strip()}")
    return tool


def suspects(tool, paths):
    """Those of which clang-format says anything at all: one run for all files, in place of hundreds."""
    said = subprocess.run([tool, "--dry-run", *paths], cwd=ROOT, stderr=subprocess.PIPE, check=True).stderr
    return sorted(set(re.findall(r"^(\S+?):\d+:\d+: warning", said.decode(), re.MULTILINE)))


def test_format(tool):
    found = []
    for path in suspects(tool, [path for path in c_files() if not BY_HAND.fullmatch(path)]):
        found += violations(tool, path, (ROOT / path).read_text(encoding="utf-8"))
    report(found)


def test_format_can_fail(tool, tmp_path):
    bad, good = tmp_path / "bad.c", tmp_path / "good.c"
    bad.write_text("int f(void) {\n  return 1;\n}\n", encoding="utf-8")
    good.write_text("int f(void)\n{\n\treturn 1;\n}\n", encoding="utf-8")
    (tmp_path / ".clang-format").write_text((ROOT / ".clang-format").read_text(encoding="utf-8"), encoding="utf-8")
    assert suspects(tool, [str(bad), str(good)]) == [str(bad)]
    assert violations(tool, "common/x.c", "int f(void) {\n  return 1;\n}\n")
    assert not violations(tool, "common/x.c", "int f(void)\n{\n\treturn 1; /* yes */\n}\n")
