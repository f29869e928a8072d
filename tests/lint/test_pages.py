"""The manual pages are well formed, and name every command and option that the programs have."""

import os
import re
import subprocess

import pytest
from lint import ROOT, files, need, read, report


def pages():
    return files("doc/*.[1-9]")


def text_of(page):
    out = subprocess.run(
        ["mandoc", "-T", "ascii", "-O", "width=500"], input=page.encode(), stdout=subprocess.PIPE, check=True
    ).stdout.decode()
    # Bold and underlined are made by overstriking.
    return " ".join(re.sub(".\b", "", out).split())


def help_of(variable, *arguments):
    program = os.environ.get(variable, "")
    if not os.access(program, os.X_OK):
        pytest.skip(f"${variable} is not built")
    run = subprocess.run(
        [program, *arguments, "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    out = run.stdout.decode()
    assert run.returncode == 0, out
    return out


def options_in(text):
    return sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", text)))


def commands_in(text):
    """The rows between COMMANDS and OPTIONS: words, then ARGUMENTS, then the summary."""
    rows = re.search(r"^COMMANDS:?\n(.*?)\n\s*\n", text, re.M | re.S)
    assert rows, "no table of commands in --help"
    return [re.match(r"\s+([a-z]+(?: [a-z]+)*?)(?=\s{2}|\s+[^a-z]|$)", row).group(1) for row in rows.group(1).splitlines()]


def absent(words, page):
    return [w for w in words if not re.search(rf"(?<![\w-]){re.escape(w)}(?![\w-])", page)]


def page_of(name):
    need("mandoc")
    if not (ROOT / "doc" / name).is_file():
        pytest.skip(f"doc/{name} does not exist")
    return text_of(read(f"doc/{name}"))


def lint(path):
    return subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", path],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    ).stdout.decode()


def test_mandoc():
    need("mandoc")
    report([line for p in pages() for line in lint(p).splitlines()])


def test_mandoc_can_fail(tmp_path):
    need("mandoc")
    (tmp_path / "x.8").write_text(".Dd November 21, 2026\n.Dt X 8\n.Os\n.Sh NAME\n.Nm x\n.Bogus\n")
    assert lint(tmp_path / "x.8")


def test_bridgectl_commands():
    commands = commands_in(help_of("BRIDGECTL"))
    assert "status" in commands and "tunnel show" in commands
    report([f"doc/bridgectl.8:1: says nothing of `{c}`" for c in absent(commands, page_of("bridgectl.8"))])


def test_bridgectl_options():
    page = page_of("bridgectl.8")
    for command in [""] + commands_in(help_of("BRIDGECTL")):
        missing = absent(options_in(help_of("BRIDGECTL", *command.split())), page)
        assert not missing, f"doc/bridgectl.8 says nothing of {missing} of `{command}`"


def test_bridgectl_page_names_no_other_commands():
    """Entries of the page, `.It Ic tunnel show`, that the program does not have."""
    page_of("bridgectl.8")
    commands = commands_in(help_of("BRIDGECTL"))
    entries = re.findall(r"^\.It Ic ([a-z]+(?: [a-z]+)?)\b", read("doc/bridgectl.8"), re.M)
    known = commands + [c.split()[0] for c in commands]
    report([f"doc/bridgectl.8:1: no such command: {e}" for e in entries if e not in known])


def test_l2tund_options():
    """Every option in one of its forms: the page says that --help lists the others."""
    page = page_of("l2tund.8")
    rows = re.findall(r"^ +((?:-\w, )?)(--[a-z-]+)", help_of("L2TUND"), re.M)
    assert len(rows) >= 5
    found = [
        f"doc/l2tund.8:1: says nothing of {letter}{name}"
        for letter, name in rows
        if len(absent([letter.rstrip(", ") or name, name], page)) == 2
    ]
    report(found)


def test_configuration_keys():
    keys = set(re.findall(r"^\s*#?([a-z][a-z-]*) *=", read("conf/l2tund.conf"), re.M))
    assert {"private-key", "remote-bridge", "policer"} <= keys
    report([f"doc/l2tund.conf.5:1: says nothing of {k}" for k in absent(sorted(keys), page_of("l2tund.conf.5"))])


def test_absent_can_fail():
    assert absent(["tunnel show", "--json", "-f"], "tunnel showing --json-x a-f") == ["tunnel show", "--json", "-f"]
    table = "x\n\nCOMMANDS\n  status              one screen\n  tunnel show NAME    one\n\nOPTIONS\n"
    assert commands_in(table) == ["status", "tunnel show"]
