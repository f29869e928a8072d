"""Sizes: a hundred columns, 800 lines in a file, 100 in a function; every .c says what it is for."""

import re
import statistics

from lint import c_files, code_of, files, read, report

COLUMNS = 100
FILE_LINES = 800
HEADER_LINES = 120
FUNCTION_LINES = 100
MEDIAN_LINES = 12
COMMENT_LINES = 24
# Contracts between large parts, each in one piece.
LONG_HEADERS = {"l2tund/session/session.h", "l2tund/kernel/os.h"}
# Test vectors as they were published.
DATA = re.compile(r"tests/unit/\w*vectors\w*\.h")

FUNCTION = re.compile(r"^(?![#/ \t}{])[^\n;={}]*(?:\n[ \t][^\n;={}]*|\n\w[^\n;={}]*)*\)\s*\n\{\n(.*?)^\}", re.M | re.S)


def functions(text):
    """(line, name, lines of the body) of every function that begins in the first column."""
    code = code_of(text)
    for m in FUNCTION.finditer(code):
        head = m.group()[: m.group().index("\n{\n")]
        names = re.findall(r"(\w+)\s*\(", head)
        yield code[: m.start()].count("\n") + 1, names[0] if names else "?", m.group(1).count("\n")


def column_violations(path, text):
    return [
        f"{path}:{number}: {len(line.expandtabs(8))} columns"
        for number, line in enumerate(text.splitlines(), 1)
        if len(line.expandtabs(8)) > COLUMNS
    ]


def length_violations(path, text):
    limit = FILE_LINES
    if path.endswith(".h") and path not in LONG_HEADERS and not path.startswith("tests/"):
        limit = HEADER_LINES
    n = text.count("\n")
    return [f"{path}:{n}: {n} lines, of {limit} allowed"] if n > limit else []


def function_violations(path, text):
    return [
        f"{path}:{line}: {name}() has {n} lines, of {FUNCTION_LINES} allowed"
        for line, name, n in functions(text)
        if n > FUNCTION_LINES
    ]


def opening_violations(path, text):
    m = re.match(r"/\*(.*?)\*/", text, re.S)
    if not m or not m.group(1).strip():
        return [f"{path}:1: no comment on what the file is for"]
    if m.group().count("\n") + 1 > COMMENT_LINES:
        return [f"{path}:1: the opening comment is longer than {COMMENT_LINES} lines"]
    return []


def test_columns():
    paths = [p for p in c_files() if not DATA.fullmatch(p)] + files("*.py", "*.sh", "*.am", "*.ac")
    # Tables of long literals are allowed in python tests.
    report([v for p in paths if not p.endswith(".py") for v in column_violations(p, read(p))])


def test_file_lengths():
    report([v for p in c_files() if not DATA.fullmatch(p) for v in length_violations(p, read(p))])


def test_function_lengths():
    report([v for p in c_files() for v in function_violations(p, read(p))])


def test_median_function():
    sizes = [
        n
        for p in c_files()
        if p.endswith(".c") and not p.startswith("tests/")
        for _, _, n in functions(read(p))
    ]
    print(f"{len(sizes)} functions, median {statistics.median(sizes)}, longest {max(sizes)}")
    assert statistics.median(sizes) <= MEDIAN_LINES


def test_opening_comments():
    report([v for p in c_files() if p.endswith(".c") for v in opening_violations(p, read(p))])


def test_no_trailing_space():
    paths = c_files() + files("*.py", "*.sh", "*.md", "Makefile.am", "configure.ac", "GNUmakefile")
    report(
        [
            f"{p}:{number}: space at the end of the line"
            for p in paths
            for number, line in enumerate(read(p).split("\n"), 1)
            if line != line.rstrip()
        ]
    )


def test_limits_can_fail():
    body = "\tx();\n" * 101
    text = f"static int\nlong_one(int a,\n\t int b)\n{{\n{body}}}\n\nint ok(void)\n{{\n\tx();\n}}\n"
    assert function_violations("a.c", text) == ["a.c:1: long_one() has 101 lines, of 100 allowed"]
    assert [f[1:] for f in functions(text)] == [("long_one", 101), ("ok", 1)]
    assert column_violations("a.c", "\t" * 12 + "12345\n") == ["a.c:1: 101 columns"]
    assert not column_violations("a.c", "\t" * 12 + "1234\n")
    assert length_violations("a.c", "\n" * 801)
    assert length_violations("common/a.h", "\n" * 121)
    assert opening_violations("a.c", "#include <x.h>\n/* late */\n")
    assert not opening_violations("a.c", "/* What it is. */\n")
