"""Tables, goals and a plot of what throughput.py has measured.

    python3 report.py [--plot doc/bench.svg [--plot-only]] results.jsonl

Medians over the rounds, with the least and the greatest; ratios are of medians of the same run,
and their spread is that of the ratios of single rounds.
The exit status is 1 when a goal is missed.
"""
import argparse
import dataclasses
import json
import shutil
import statistics
import subprocess
import sys

REFERENCE = "vxlan"

# (value, heading, format) of each measure, the first one with spread and ratio.
COLUMNS = {
    "tcp": (("gbit", "Gbit/s", ".2f"), ("daemon_cpu", "daemons s/GB", ".2f"),
            ("machine_cpu", "machine s/GB", ".2f"), ("memory", "RSS MiB", ".1f"),
            ("resent", "resent", ".0f"), ("fragments", "fragments", ".0f")),
    "pps": (("received", "k frames/s", ".1f"), ("offered", "offered", ".1f"),
            ("fragments", "fragments", ".0f")),
    "ping": (("median", "median ms", ".3f"), ("p99", "p99 ms", ".3f"), ("lost", "lost", ".0f")),
    "ping-load": (("p99", "p99 ms", ".3f"), ("median", "median ms", ".3f"),
                  ("lost", "lost", ".0f")),
    "df": (("passed", "passed", ".2f"), ("mtu", "largest MTU", ".0f"),
           ("fragments", "fragments", ".0f")),
}
NAMES = {
    "none": "no tunnel", "vxlan": "kernel VXLAN", "l2tund-none": "l2tund, none",
    "l2tund-auth": "l2tund, authenticated", "l2tund-aead": "l2tund, AES-256-GCM",
    "l2tund-none-w2": "l2tund, none, 2 workers",
    "l2tund-auth-w2": "l2tund, authenticated, 2 workers",
    "l2tund-aead-w2": "l2tund, AES-256-GCM, 2 workers",
    "vtun": "vtun, none", "fastd-null": "fastd, null", "fastd-umac": "fastd, AES-128-CTR + UMAC",
    "openvpn-none": "OpenVPN, none", "openvpn-gcm": "OpenVPN, AES-256-GCM",
    "tinc-none": "tinc, none", "tinc": "tinc, AES-256-CBC + SHA-256",
}


@dataclasses.dataclass(frozen=True)
class Goal:
    """The median of a value; against another way, its ratio to that one's. `every`: each single
    measurement. `base` is the measure of the other way where it is another one."""

    case: str
    measure: str
    value: str
    way: str
    sign: str
    bound: float
    against: str = None
    base: str = None
    every: bool = False

    def __str__(self):
        text = f"{self.case}, {self.measure}: {self.value} of {self.way}"
        return text + (f" : {self.base or ''} {self.against}".replace("  ", " ")
                       if self.against else "")

    def holds(self, got):
        return got >= self.bound if self.sign == ">=" else got <= self.bound


def _all(ways, **goal):
    return [Goal(way=way, **goal) for way in ways]


_OURS = ("l2tund-none", "l2tund-auth", "l2tund-aead")

# The case "*" is any one.
GOALS = [
    Goal("base", "tcp", "gbit", "l2tund-none", ">=", 0.85, "vxlan"),
    Goal("base", "tcp", "gbit", "l2tund-none", ">=", 20, "vtun"),
    Goal("base", "tcp", "gbit", "l2tund-none", ">=", 15, "fastd-null"),
    Goal("plain-underlay", "tcp", "gbit", "l2tund-none", ">=", 1.1, "vxlan"),
    Goal("plain-both", "tcp", "gbit", "l2tund-none", ">=", 1.1, "vxlan"),
    Goal("plain-guests", "tcp", "gbit", "l2tund-none", ">=", 1.2, "vxlan"),
    Goal("base", "tcp", "gbit", "l2tund-aead", ">=", 10, "openvpn-gcm"),
    Goal("base", "tcp", "gbit", "l2tund-aead", ">=", 8, "fastd-umac"),
    Goal("base", "pps", "received", "l2tund-none", ">=", 2.0, "vxlan"),
    Goal("base", "pps", "received", "l2tund-aead", ">=", 1.8, "vxlan"),
    Goal("base", "ping", "median", "l2tund-none", "<=", 1.0, "fastd-null"),
    Goal("base", "ping", "median", "l2tund-aead", "<=", 1.0, "fastd-umac"),
    Goal("base", "ping-load", "p99", "l2tund-none", "<=", 0.5, "fastd-null"),
    Goal("base", "ping-load", "p99", "l2tund-aead", "<=", 0.5, "fastd-umac"),
    Goal("base", "tcp", "daemon_cpu", "l2tund-none", "<=", 1.0),
    Goal("base", "tcp", "daemon_cpu", "l2tund-aead", "<=", 1.9),
    Goal("base", "tcp", "daemon_cpu", "l2tund-none", "<=", 1 / 15, "vtun"),
    *[Goal("base", "tcp-v6", "gbit", way, ">=", 0.95, way, "tcp") for way in _OURS],
    Goal("loss-1", "tcp", "gbit", "l2tund-none", ">=", 0.95, "l2tund-single"),
    *_all(_OURS, case="base", measure="df", value="passed", sign=">=", bound=1, every=True),
    *_all(("l2tund-none", "l2tund-aead"), case="jumbo", measure="df", value="passed", sign=">=",
          bound=1, every=True),
    *_all(_OURS, case="*", measure="*", value="fragments", sign="<=", bound=0, every=True),
]


class Table:
    """The samples of one run: values by case, measure and way."""

    def __init__(self, records):
        self.records = records
        self._values = {}
        for record in records:
            if record.get("kind") == "sample":
                for value, number in record["values"].items():
                    if number is not None:
                        key = record["case"], record["measure"], record["way"], value
                        self._values.setdefault(key, []).append((record["round"], number))

    def values(self, *key):
        """Of (case, measure, way, value), a number for each round."""
        return [number for _, number in self._values.get(key, [])]

    def median(self, *key):
        values = self.values(*key)
        return statistics.median(values) if values else None

    def groups(self):
        """{case: {measure: [way]}} in the order in which they were measured."""
        found = {}
        for case, measure, way, _ in self._values:
            ways = found.setdefault(case, {}).setdefault(measure, [])
            if way not in ways:
                ways.append(way)
        return found

    def got(self, goal):
        """What is to be compared with the goal's bound, and the least and the greatest of it: of
        a ratio those of single rounds. None when it was not measured."""
        if goal.every:
            found = [number for case, measure, way, value in self._values
                     if goal.case in ("*", case) and goal.measure in ("*", measure)
                     and way == goal.way and value == goal.value
                     for number in self.values(case, measure, way, value)]
            worst = min if goal.sign == ">=" else max
            return (worst(found), min(found), max(found)) if found else None
        ours = goal.case, goal.measure, goal.way, goal.value
        if goal.against is None:
            return self._spread(self.median(*ours), self.values(*ours))
        theirs = goal.case, goal.base or goal.measure, goal.against, goal.value
        if not self.median(*ours) or not self.median(*theirs):
            return None
        rounds = dict(self._values[theirs])
        return self._spread(self.median(*ours) / self.median(*theirs),
                            [number / rounds[turn] for turn, number in self._values[ours]
                             if rounds.get(turn)])

    @staticmethod
    def _spread(median, numbers):
        return None if median is None else (median, min(numbers, default=median),
                                            max(numbers, default=median))


def _columns(measure):
    return COLUMNS["tcp" if measure.startswith("tcp") else measure]


def _shown(number, form):
    return "-" if number is None else format(number, form)


def _rows(table, case, measure, ways):
    (main, title, form), *rest = _columns(measure)
    yield [measure, title, "min..max", "runs", "ratio"] + [heading for _, heading, _ in rest]
    reference = table.median(case, measure, REFERENCE, main)
    for way in ways:
        values = table.values(case, measure, way, main)
        if not values:
            continue
        median = statistics.median(values)
        ratio = median / reference if reference else None
        yield [way, format(median, form), f"{min(values):{form}}..{max(values):{form}}",
               str(len(values)), _shown(ratio, ".2f"),
               *(_shown(table.median(case, measure, way, value), how) for value, _, how in rest)]


def print_tables(table):
    for case, measures in table.groups().items():
        for measure, ways in measures.items():
            rows = list(_rows(table, case, measure, ways))
            widths = [max(map(len, column)) for column in zip(*rows)]
            print(f"\n{case} (ratio: to {REFERENCE})")
            for first, *others in rows:
                print(f"  {first:{widths[0]}}  " + "  ".join(
                    f"{text:>{width}}" for text, width in zip(others, widths[1:])))


def _printed_once(lines):
    for line in dict.fromkeys(lines):
        print(line)


def print_settings(table):
    """What was set, and what is not in the tables, and why."""
    print("\nsettings")
    of_ways = {record["way"]: record["settings"] for record in table.records
               if record.get("kind") == "sample" and record["settings"]}
    order = list(NAMES)
    for way in sorted(of_ways, key=lambda way: order.index(way) if way in order else len(order)):
        print(f"  {way:15} {of_ways[way]}")
    for kind, title in (("skip", "skipped"), ("broken", "broken")):
        rows = [f"  {record['way']:15} {record['reason'].splitlines()[0]}"
                for record in table.records if record.get("kind") == kind]
        if rows:
            print(title)
            _printed_once(rows)


def judge(table):
    """Prints each goal with what was got; gives those missed, and the ways that are broken."""
    missed = []
    rows = [(goal, table.got(goal)) for goal in GOALS]
    print("\ngoals")
    for goal, got in rows:
        if got is None:
            continue
        median, least, most = got
        good = goal.holds(median)
        missed += [] if good else [str(goal)]
        spread = f"{least:.3f}..{most:.3f}"
        print(f"  {str(goal):60} {median:8.3f}  {spread:17} {goal.sign} {goal.bound:<6.3g}"
              f" {'met' if good else 'MISSED'}")
    if left := [str(goal) for goal, got in rows if got is None]:
        print(f"  not measured: {len(left)} of {len(rows)}")
    return missed + sorted({f"{record['way']} (broken)" for record in table.records
                            if record.get("kind") == "broken"})


_PLOT = """set terminal svg size 860,{height} font "sans-serif,13" background "#ffffff"
set output "{path}"
set label 1 "One TCP flow between two guests, Gbit/s" at screen 0.02, first -2.5 font ",16"
set label 2 "medians; hosts and guests share {cpus} processors of one machine" \\
    at screen 0.02, first -1.3 textcolor rgb "#606060"
unset key
set style fill solid noborder
set xrange [0:{most}]
set yrange [{count}-0.4:-0.6]
set border 0
set tics scale 0
unset xtics
set lmargin 32
set rmargin 4
set tmargin 4.2
set bmargin 0.5
plot $rows using (0.5*$2):0:(0.5*$2):(0.36):3:ytic(1) with boxxyerror linecolor rgb variable, \\
     $rows using 2:0:4 with labels left offset 0.5,0
"""
_COLOURS = {"none": 0xb0b0b0, "vxlan": 0x8a9bb0, "l2tund": 0x2a7d4f}


def _label(gbit):
    return f"{gbit:.1f}" if gbit >= 1 else f"{gbit:.2f}"


def plot(table, path):
    """Bars of the base case as SVG, linear: what is shorter is slower."""
    if not shutil.which("gnuplot"):
        print("plot: gnuplot is not installed")
        return
    bars = [(way, table.median("base", "tcp", way, "gbit")) for way in NAMES]
    bars = [(way, gbit) for way, gbit in bars if gbit is not None]
    if not bars:
        print("plot: nothing to draw: no tcp of the case base")
        return
    rows = [f'"{NAMES[way]}" {gbit:.4f} {_COLOURS.get(way.split("-")[0], 0xc98a4b)} "{_label(gbit)}"'
            for way, gbit in bars]
    cpus = next(record["cpus"] for record in table.records if record.get("kind") == "sample")
    script = "$rows << END\n" + "\n".join(rows) + "\nEND\n" + _PLOT.format(
        path=path, height=90 + 26 * len(bars), count=len(bars), cpus=cpus,
        most=1.12 * max(gbit for _, gbit in bars))
    subprocess.run(["gnuplot", "-"], input=script, text=True, check=True, timeout=60)
    print(f"plot: {path}")


def report(records, plot_path=None):
    """Prints everything; gives what is missed."""
    table = Table(records)
    print_tables(table)
    print_settings(table)
    missed = judge(table)
    if plot_path:
        plot(table, plot_path)
    return missed


def last_run(path):
    """The records of the last run in a file of JSON lines: other runs had other conditions."""
    with open(path, encoding="utf-8") as lines:
        records = [record for record in map(json.loads, lines) if "run" in record]
    return [record for record in records if record["run"] == records[-1]["run"]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("file", help="what --json of run.py has written; its last run counts")
    parser.add_argument("--plot", metavar="FILE", help="draw the base case as SVG")
    parser.add_argument("--plot-only", action="store_true", help="and neither tables nor goals")
    args = parser.parse_args()
    records = last_run(args.file)
    if args.plot_only:
        plot(Table(records), args.plot)
        return 0
    missed = report(records, args.plot)
    if missed:
        print("\nmissed:", *missed, sep="\n  ")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
