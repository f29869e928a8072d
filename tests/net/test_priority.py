"""Nice value and policy of the daemon, as l2tund(8), PERFORMANCE, promises."""
import os

import pytest
from node import Node


def _started(lab, before, monkeypatch):
    """The nice values of a daemon that `before` starts: its own and that of its group, if any."""
    node = Node(lab.host("left"))
    popen = node.host.popen
    monkeypatch.setattr(node.host, "popen", lambda argv, **how: popen([*before, *argv], **how))
    node.start()
    with open(f"/proc/{node.pid}/stat", encoding="ascii") as stat:
        nice = int(stat.read().rpartition(")")[2].split()[16])
    try:
        with open(f"/proc/{node.pid}/autogroup", encoding="ascii") as group:
            return nice, int(group.read().split()[-1])
    except FileNotFoundError:
        return nice, nice


@pytest.mark.skipif(os.getpriority(os.PRIO_PROCESS, 0) != 0,
                    reason="the tests themselves run nicely")
@pytest.mark.parametrize("before, nice", [
    ([], (-10, -10)),
    (["nice", "-n", "3"], (3, 3)),
    (["chrt", "-b", "0"], (0, 0)),
], ids=["alone", "nice", "policy"])
def test_priority(lab, monkeypatch, before, nice):
    """Ours where nobody chose another."""
    assert _started(lab, before, monkeypatch) == nice
