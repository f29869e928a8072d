"""The measurements measure: ways carry frames, records are kept, goals are judged right."""
import json
import pathlib
import subprocess
import sys

import pytest

from lab import LONG, missing, need, plain_only

OURS = ("vxlan", "none", "l2tund-none", "l2tund-auth", "l2tund-aead")
BENCH = pathlib.Path(__file__).resolve().parents[1] / "bench"
sys.path.insert(0, str(BENCH))

import report  # noqa: E402  (needs the path above)
import throughput  # noqa: E402
import ways  # noqa: E402


def sample(way, turn, measure="tcp", case="base", **values):
    return {"kind": "sample", "run": 1, "case": case, "way": way, "measure": measure,
            "round": turn, "values": values, "settings": "", "cpus": 2}


def test_ratios_are_of_medians():
    table = report.Table([sample("l2tund-none", 1, gbit=8), sample("l2tund-none", 2, gbit=9),
                          sample("l2tund-none", 3, gbit=30), sample("vxlan", 1, gbit=10),
                          sample("vxlan", 2, gbit=10), sample("vxlan", 3, gbit=12)])
    goal = report.Goal("base", "tcp", "gbit", "l2tund-none", ">=", 0.9, "vxlan")
    median, least, most = table.got(goal)
    assert (median, least, most) == (0.9, 0.8, 2.5)
    assert goal.holds(median)


def test_a_single_fragment_misses_its_goal(capsys):
    table = report.Table([sample("l2tund-none", 1, fragments=0),
                          sample("l2tund-none", 2, case="jumbo", measure="df", fragments=1)])
    assert report.judge(table) == ["*, *: fragments of l2tund-none"]
    assert "MISSED" in capsys.readouterr().out


def test_what_is_broken_is_missed(capsys):
    broken = {"kind": "broken", "run": 1, "case": "base", "way": "vtun", "reason": "no ping"}
    assert report.judge(report.Table([broken])) == ["vtun (broken)"]
    assert f"not measured: {len(report.GOALS)}" in capsys.readouterr().out


def test_goals_are_planned():
    plan = throughput.planned(throughput.Wishes())
    for goal in report.GOALS:
        assert goal.way in ways.WAYS and goal.against in (None, *ways.WAYS)
        if goal.case != "*":
            assert goal.way in plan[goal.case][goal.measure], goal
        if goal.against:
            assert goal.against in plan[goal.case][goal.base or goal.measure], goal


@plain_only("times")
@pytest.mark.skipif(missing("iperf3") is not None, reason="iperf3 is not installed")
def test_a_short_run(tmp_path):
    """Ours and the kernel's; with NET_LONG=1 rivals, too, as their command lines are what rots."""
    need("netns", "tap", "vxlan")
    path = tmp_path / "bench.jsonl"
    result = subprocess.run(
        [sys.executable, "-B", BENCH / "run.py", "--quick", "--cases", "base", "--json", path,
         *([] if LONG else ["--ways", ",".join(OURS)]), "df"], capture_output=True, text=True, timeout=150, check=False)
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert not [record for record in records if record["kind"] == "broken"], result.stdout
    samples = {record["way"]: record["values"] for record in records
               if record["kind"] == "sample"}
    for way in OURS[1:]:
        assert samples[way]["passed"] == 1, result.stdout
    assert samples["vxlan"]["mtu"] == 1450
    assert not any(values["fragments"] for values in samples.values()), result.stdout
    assert result.returncode == 0, result.stdout
