"""`bridgectl domain show` on files as people write them: tests/golden/domain/NAME.cfg -> NAME.ok and, for some, NAME.json.

UPDATE_GOLDEN=1 writes both anew; read the difference before committing it.
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FILES = HERE / "domain"
BRIDGECTL = os.environ.get("BRIDGECTL", str(ROOT / "bridgectl" / "bridgectl"))
NAMES = sorted(p.stem for p in FILES.glob("*.cfg"))
AS_JSON = {"err-disks", "hvm", "pv-partitions", "pvh", "refused"}
WORDS = {
    "accepted": [x for key in ("disk.backend", "vif.accel", "vtpm", "cpuid", "memroy", "unused") for x in ("--accept-loss", key)],
}


def show(*words, stdin=None, cwd=FILES, env=None):
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LC_ALL", "LC_CTYPE", "LANG")} | (env or {})
    return subprocess.run(
        [BRIDGECTL, "domain", "show", *map(str, words)], input=stdin, capture_output=True, timeout=60, check=False, cwd=cwd, env=env
    )


def golden(path, text):
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", NAMES)
def test_text(name):
    done = show("-v", f"{name}.cfg", *WORDS.get(name, []))
    text = f"{done.stdout.decode()}--- messages\n{done.stderr.decode()}--- exit code {done.returncode}\n"
    assert b"topsecret" not in done.stdout
    golden(FILES / f"{name}.ok", text)


@pytest.mark.parametrize("name", NAMES)
def test_json(name):
    done = show("--json", f"{name}.cfg", *WORDS.get(name, []))
    got = json.loads(done.stdout)
    assert got["ok"] == (done.returncode == 0)
    errors = [m for m in got["messages"] if m["severity"] == "error"]
    assert (got["guest"] is None) == bool(errors)
    assert got["ok"] == (not errors and all(lost["accepted"] for lost in got["not_carried"]))
    assert b"topsecret" not in done.stdout
    if name in AS_JSON:
        golden(FILES / f"{name}.json", json.dumps(got, indent=1, ensure_ascii=False) + "\n")


def test_every_name_has_its_files():
    assert {p.stem for p in FILES.iterdir()} == set(NAMES)


def test_every_key_is_there():
    keys = re.findall(r'^\t\{ "(\w+)"', (ROOT / "bridgectl/domain/xl_keys.c").read_text(), re.M)
    assert keys == sorted(keys)
    assert keys == re.findall(r"^(\w+) =", (FILES / "all-keys.cfg").read_text(), re.M)


def test_every_documented_json_key():
    def names(value):
        for item in value if isinstance(value, list) else value.values() if isinstance(value, dict) else []:
            yield from names(item)
        if isinstance(value, dict):
            yield from value

    text = (ROOT / "doc/guest.md").read_text()
    for name in ("hvm", "pvh", "refused"):
        for key in sorted(set(names(json.loads((FILES / f"{name}.json").read_text())))):
            assert f"`{key}`" in text, key


# --- Where the file comes from ---


def test_standard_input():
    text = (FILES / "vifs.cfg").read_bytes()
    done = show("-", stdin=text)
    assert done.returncode == 0
    assert done.stdout == show("vifs.cfg").stdout
    assert done.stderr.startswith(b"standard input:6:9: warning: " if b"standard input:6" in done.stderr else b"standard input:")


def test_no_file(tmp_path):
    done = show(tmp_path / "none.cfg")
    assert (done.returncode, done.stdout) == (1, b"")
    assert re.fullmatch(rb"bridgectl: cannot read \S+none.cfg: No such file or directory\n", done.stderr)
    done = show(tmp_path)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.endswith(b" is a folder; give a guest's configuration file\n")
    assert show().returncode == 2


@pytest.mark.parametrize(
    "text, told",
    [
        (b"", "it is empty"),
        (b" \n\n", "it is empty"),
        (b"(domain (name x))", "this is SXP"),
        (b'{ "domid": 3 }', "this is JSON"),
        (b'{ "plan": 1 }', "(a plan goes to `disk create`)"),
        (b"<domain/>", "this is XML"),
        (b"\x7fELF\x00\x00", "a NUL byte"),
        (b"\xeb\x63\x90" + bytes(1 << 20), "give the guest's configuration file, not its disk"),
        (b"name = 'x'\nmemory = '\x00'", "2:11: a NUL byte"),
        (b"#" * (1024 * 1024 + 1), "more than 1 MiB"),
        (b"a = " + b"[" * 40 + b"]" * 40, "more than 16 brackets"),
        (b"x = 1\n" * 6000, "more than 2000 assignments"),
        (b"1 " * 200000, "more than 100000 words"),
        (b"a = 'x'\n" + b"a += a\n" * 60, "too large"),
        (b"a = ['x']\n" + b"a = a + a\n" * 60, "too large"),
        (b"a=" * 5000 + b"1", "more than 16 assignments"),
    ],
    ids=range(16),
)
def test_something_else(text, told):
    done = show("-", stdin=text)
    assert (done.returncode, done.stdout) == (1, b"")
    assert told in done.stderr.decode()
    assert len(done.stderr) < 64 * 1024


def test_nothing_reaches_the_terminal():
    done = show("-", stdin=b"name = 'x\x1b[31m'\nextra = '\x1b]0;x\x07'\nkernel = '\xff\xfe'\n")
    assert b"\x1b" not in done.stdout + done.stderr and b"\x07" not in done.stdout + done.stderr
    done = show("--json", "-", stdin=b"name = 'x'\nkernel = '/b\xfct/\xff'\n")
    assert json.loads(done.stdout)["guest"]["boot"]["kernel"] == "/b\xfct/\xff"


def test_long_lines_are_cut():
    done = show("-", stdin=b"name = 'x'\nkernel = '/k'\ndisk = [ " + b"".join(b"'phy:a,xvda%d,w', " % n for n in range(1, 99)) + b"'phy:x' ]\n")
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    assert max(map(len, lines)) < 200
    at = next(i for i, line in enumerate(lines) if "no device name" in line)
    caret = lines[at + 2].index("^")
    assert lines[at + 1][caret - 5 : caret] == "phy:x"


def test_the_recipe_of_the_manual(tmp_path):
    """What bridgectl(8) says about files that need Python, word for word."""
    page = (ROOT / "doc/bridgectl.8").read_text()
    lines = re.search(r"^python ..c .*?^\.Ed", page, re.M | re.S).group().splitlines()[:-1]
    command = "\n".join(lines).replace("\\en", "\\n").replace("\\(aq", "'").replace("\\-", "-")
    command = command.replace("python -c", f"{sys.executable} -c", 1).replace("bridgectl domain", f"{BRIDGECTL} domain")
    (tmp_path / "web1.cfg").write_text(
        "import os\nname = 'web' + str(1)\nif os.path.exists('/'):\n    disk = ['phy:/dev/vg0/%s,xvda1,w' % name]\n"
        "kernel = '/k'\ndef f(): return 256\nmemory = f()\nextra = 'quo\\'ted \\\\ \\n'\n"
    )
    assert show("web1.cfg", cwd=tmp_path).returncode == 1
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert "/dev/vg0/web1" in text and "256 MiB" in text and "quo'ted \\ " in text
