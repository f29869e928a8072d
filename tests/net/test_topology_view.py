"""What `bridgectl topology` and `tunnel why` say of real nodes: rings, a cable of others, a node that
has gone, a key that was copied."""
import re
import shutil

import pytest

import foreign
from lab import wait_for
from many import Edge, Many, full_mesh, ring
from node import BRIDGECTL

CLOSED = {("blocked", "foreign"), ("standby", "foreign"), ("down", "remote")}
LINE = re.compile(r"^(?P<lines>[|`.= -]*)(?P<at>[\w.]+:[\w-]+)"
                  r"(?: \(does not agree yet\))?  (?P<text>.*)$")


def lines_of(node):
    """(depth, segment, text) of each line of a tree, in ASCII."""
    text = node.host.run("env", "LC_ALL=C", BRIDGECTL, "-s", node.control, "topology",
                         timeout=20).stdout
    found = [LINE.match(line) for line in text.splitlines()]
    return text, [(len(m["lines"]) // 3, m["at"], m["text"]) for m in found if m]


def ports_of_foreign(node):
    """Behind which ports of its own this node heard them; others' paths have none."""
    return [path["via"] for path in node.ctl_json("topology")["foreign"]]


@pytest.fixture(name="many")
def fixture_many(lab):
    made = Many(lab, 4, ring(4) + [(0, 1, 1)]).start()
    wait_for(made.agreed, 10, "no agreement, or gates are not told")
    return made


def test_tree_of_a_ring(many):
    """Each node draws the same tree from itself: three tunnels forward, two stand by."""
    digests = set()
    for number, node in enumerate(many.nodes):
        whole = node.ctl_json("topology")
        digests.add(whole["digest"])
        assert (whole["members"], whole["disagreeing"], len(whole["edges"])) == (4, 0, 5)
        assert sum(edge["in_tree"] for edge in whole["edges"]) == 3
        text, lines = lines_of(node)
        assert text.startswith("4 nodes, all agree.\n"), text
        assert lines[0] == (0, f"n{number}:br-sv", "(this node)")
        reached = [at for _, at, said in lines if said.startswith("forwarding")]
        assert sorted(reached) == [f"n{k}:br-sv" for k in range(4) if k != number], text
        assert sum(said.startswith("standby") for _, _, said in lines) == 2, text
    assert len(digests) == 1


def test_why_names_the_way(many):
    """At both ends of the tunnel that the ring does not need."""
    used = many.forwarding()
    pairs = {edge.ends for edge in used}
    idle = next(edge for edge in many.edges if edge.ends not in pairs)
    for end in idle.ends:
        said = many.nodes[end].ctl("tunnel", "why", idle.name).stdout
        way = " ".join(said.split())
        far = next(k for k in idle.ends if k != end)
        assert re.search(r"The way that joins the two bridges without it: our br-sv,"
                         rf"( br-sv of n\d,){{2}} br-sv of n{far}\.", way), said
        assert "It takes over by itself" in way


def test_node_that_has_gone(many):
    """It is no member any more, and the others agree without it."""
    many.nodes[3].kill()
    # They agree more than once: on what takes its place, then on the gates that opened for that.
    wait_for(lambda: lines_of(many.nodes[0])[0].startswith("3 nodes, all agree.\n"), 10,
             lambda: lines_of(many.nodes[0])[0])


def test_picture(many):
    if not shutil.which("dot"):
        pytest.skip("no dot; its package is graphviz")
    svg = many.nodes[0].ctl("topology", "--svg").stdout
    assert svg.count('class="edge"') == 5 and svg.count('class="cluster"') == 4


def test_foreign_path_is_loud(lab):
    """A cable between the far two of a chain: everybody sees it, its ends name the port."""
    many = Many(lab, 3, full_mesh(3)).start()
    cable = foreign.make("cable", lab, many.wans[0], many.nodes[1].host, many.nodes[2].host)
    cable.plug()
    wait_for(lambda: all(node.ctl_json("topology")["foreign"] for node in many.nodes), 10,
             "not heard")
    many.wait_spanned(10, foreign=[Edge(1, 2)], idle=CLOSED)
    # The first to hear it tells all; the other end hears it by itself a few probes later.
    for node in many.nodes[1:]:
        wait_for(lambda node=node: "cable" in ports_of_foreign(node), 5,
                 lambda node=node: f"{node.name}: {node.ctl_json('topology')['foreign']}")
    text, lines = lines_of(many.nodes[0])
    loud = [at for _, at, said in lines if said.startswith("FOREIGN PATH, not ours")]
    assert loud in (["n1:br-sv"], ["n2:br-sv"]), text
