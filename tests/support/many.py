"""Laboratories of many nodes: a host each with a bridge br-sv and a guest, joined by tunnels.

    many = Many(lab, 4, [(0, 1), (1, 2), (2, 0), (2, 3), (2, 3, 1)])
    with Flood(many.guests) as flood:
        many.start()

A tunnel is (node, node) or (node, node, way): `way` is the number of the underlay that it uses; all
hosts are on all of them. Both ends call it by the same name, "t2-3" or "t2-3.1". With a fourth item, a
bridge, it joins these; tunnels of br-two are called "two2-3".
"""
import itertools
import signal

from lab import wait_for
from node import PORT, START_S, ControlClient, Node
from relay import Relay

BRIDGE = "br-sv"
IDLE = {("standby", "parallel"), ("standby", "cycle"), ("standby", "priority")}
SPANNED_S = 10


def full_mesh(count):
    """All pairs of so many nodes."""
    return list(itertools.combinations(range(count), 2))


def ring(count):
    return [(number, (number + 1) % count) for number in range(count)]


class Edge:
    """A tunnel between nodes a and b, and the bridges of this name there."""

    def __init__(self, a, b, way=0, bridge=BRIDGE):
        self.a, self.b, self.way, self.bridge = min(a, b), max(a, b), way, bridge
        prefix = "t" if bridge == BRIDGE else bridge.removeprefix("br-")
        self.name = f"{prefix}{self.a}-{self.b}" + (f".{way}" if way else "")
        self.tap = f"l2t-{self.name}"

    @property
    def ends(self):
        return self.a, self.b

    def __repr__(self):
        return self.name


class Many:
    """So many nodes "n0", "n1", ... with guests 10.9.0.1, 10.9.0.2, ... and these tunnels.

    Nothing is started: change `nodes[i].peers`, `.tunnels`, `.bridges` first where a test needs it.
    Options are those of all tunnels. Each host has all `bridges`; `guests` are those of the first of
    them in the order of the nodes, then those of the next.
    """

    def __init__(self, lab, count, pairs, bridges=(BRIDGE,), **options):
        self.lab = lab
        self.edges = [Edge(*pair) for pair in pairs]
        ways = 1 + max((edge.way for edge in self.edges), default=0)
        self.wans = [lab.underlay(f"wan{way}") for way in range(ways)]
        self._relays = {}  # edge -> host
        self.nodes, self.guests = [], []
        for number in range(count):
            host = lab.host(f"n{number}")
            for wan in self.wans:
                wan.attach(host)
            self.nodes.append(Node(host))
        for turn, bridge in enumerate(bridges):
            for number, node in enumerate(self.nodes):
                node.host.bridge(bridge)
                name = f"g{number}" + (f".{turn}" if turn else "")
                self.guests.append(node.host.guest(name, bridge,
                                                   f"{self.address(number, turn)}/24"))
        for edge in self.edges:
            for end, other in (edge.ends, reversed(edge.ends)):
                self.tunnel(end, other, edge, **options)

    @staticmethod
    def address(number, turn=0):
        """Of a node's guest in the first bridge, or in another one."""
        return f"10.9.{turn}.{number + 1}"

    def tunnel(self, end, other, edge, **options):
        """Configures one end of a tunnel."""
        peer = f"n{other}" + (f".{edge.way}" if edge.way else "")
        node, far = self.nodes[end], self.nodes[other]
        node.peer(peer, far, address=self.wans[edge.way].endpoint(far.host))
        node.tunnel(edge.name, peer, edge.bridge, **options)

    def relay(self, edge):
        """Puts a relay into a tunnel, before the start: only node a calls then. cut() and its like
        hold for this tunnel too."""
        host = self._relays[edge] = self.lab.host(f"r{edge.name}")
        wan = self.wans[edge.way]
        wan.attach(host)
        way = f".{edge.way}" if edge.way else ""
        self.nodes[edge.a].peers[f"n{edge.b}{way}"]["address"] = wan.endpoint(host)
        self.nodes[edge.b].peers[f"n{edge.a}{way}"]["address"] = None
        return self.lab.enter(Relay(host, (wan.address(host), PORT),
                                    (wan.address(self.nodes[edge.b].host), PORT)))

    def edge(self, name):
        return next(edge for edge in self.edges if edge.name == name)

    # Life

    def start(self, timeout=SPANNED_S):
        """Starts all at once and waits until they are joined."""
        self.launch()
        self.wait_spanned(timeout)
        return self

    def launch(self):
        """Starts all at once; writing the configurations is not between the starts."""
        for node in self.nodes:
            node.write_config()
        for node in self.nodes:
            node.start(wait=False)

    def stop(self):
        """Ends all at once, gracefully."""
        for node in self.nodes:
            node.signal(signal.SIGTERM)
        for node in self.nodes:
            status = node.process.wait(10)
            assert status == 0, f"{node.name} ended with {status}\n{node.tail()}"

    # Looking at it

    def states(self):
        """Of each node that runs: tunnel -> (state, reason), or None when it does not answer.

        Asked over the control sockets themselves: a bridgectl for each node costs more time than
        what is being waited for takes."""
        return [self._states_of(node) if node.running else None for node in self.nodes]

    @staticmethod
    def _states_of(node):
        try:
            with ControlClient(node, timeout=2) as client:
                answer = client.request("tunnel.list")
        except OSError:
            return None
        return answer and {row["name"]: (row["state"], row["reason"])
                           for row in answer["result"]}

    def forwarding(self, states=None):
        """The tunnels that forward at both ends."""
        states = self.states() if states is None else states
        return [edge for edge in self.edges
                if all(self._at(states, end, edge)[0] == "forwarding" for end in edge.ends)]

    @staticmethod
    def _at(states, end, edge):
        return (states[end] or {}).get(edge.name, ("", ""))

    def why_not_spanned(self, without=(), idle=(), tree=True, foreign=(), bridge=BRIDGE):
        """What is missing until all nodes are joined by a tree and nothing is on its way any
        more; None when nothing is.

        `without` are tunnels that are not to forward, `idle` further (state, reason) that are
        right for what does not forward. With `tree` false there may be more than a tree has: mode
        = mesh. `foreign` are edges by which something else joins the nodes.
        """
        states = self.states()
        allowed = IDLE | set(idle)
        for edge in self.edges:
            if edge in without or edge.bridge != bridge:
                continue
            found = [self._at(states, end, edge) for end in edge.ends]
            open_ends = found.count(("forwarding", ""))
            if open_ends != 2 and (open_ends or not allowed.issuperset(found)):
                return f"{edge}: {found}"
        used = [edge for edge in self.forwarding(states)
                if edge.bridge == bridge and edge not in without]
        used += foreign
        parts = components(len(self.nodes), used)
        if len(parts) > 1:
            return f"parted: {parts}, forwarding {used}"
        if tree and len(used) != len(self.nodes) - 1:
            return f"no tree: {used}"
        return None

    def agreed(self, *paths):
        """Whether all nodes have told the same digest, and it has the gates that are open by now
        and these paths of others, heard at both ends. Nothing is going to close any more then:
        before that the tree may be chosen anew, and a path that is news to somebody closes gates
        once more (doc/tree.md, R7 and R8).

        A path is two segments, each (number of the node, bridge)."""
        wanted = {tuple((f"n{number}", bridge) for number, bridge in way)
                  for a, b in paths for way in ((a, b), (b, a))}
        digests = set()
        for node in self.nodes:
            try:
                with ControlClient(node, timeout=2) as client:
                    told = client.request("topology")["result"]
            except OSError:
                return False
            heard = {tuple((path[end]["name"], path[end]["bridge"]) for end in ("by", "heard"))
                     for path in told["foreign"]}
            digests.add(told["digest"])
            open_ends = [edge[end] for edge in told["edges"] if edge["in_tree"]
                         for end in ("open_a", "open_b")]
            if (told["disagreeing"] or len(digests) > 1 or not wanted <= heard
                    or not all(open_ends)):
                return False
        return True

    def wait_spanned(self, timeout=SPANNED_S, interval=0.02, **how):
        """Until why_not_spanned() is None, looked at every `interval`; gives the tunnels that
        forward."""
        for node in self.nodes:
            wait_for(lambda node=node: node.running and self._states_of(node) is not None,
                     START_S, f"{node.name} does not answer")
        wait_for(lambda: self.why_not_spanned(**how) is None, timeout,
                 lambda: f"not spanned: {self.why_not_spanned(**how)}; {self.states()}",
                 interval)
        return self.forwarding()

    def cut(self, edge):
        """Silently loses what goes over one tunnel, both ways."""
        for end in edge.ends:
            self.cut_way(edge, end)

    def cut_way(self, edge, end, percent=100):
        """Silently loses what comes in at this end of the tunnel, or a share of it."""
        other = edge.b if end == edge.a else edge.a
        self._filter(edge, end, other, percent)

    def heal(self, edge):
        for end, other in (edge.ends, reversed(edge.ends)):
            self._filter(edge, end, other, 0)

    def _filter(self, edge, end, other, percent):
        host = self.nodes[end].host
        table = f"table inet cut_{edge.a}_{edge.b}_{edge.way}"
        sender = self._relays.get(edge) or self.nodes[other].host
        source = self.wans[edge.way].address(sender)
        host.nft(f"{table}\ndelete {table}\n")
        if percent:
            share = "" if percent >= 100 else f"numgen random mod 100 < {percent} "
            host.nft(f"{table} {{ chain input {{ type filter hook input priority 0;\n"
                     f"ip saddr {source} {share}drop\n}}\n}}\n")


def components(count, edges):
    """The nodes in groups that these tunnels join."""
    group = list(range(count))
    for edge in edges:
        a, b = group[edge.a], group[edge.b]
        group = [a if member == b else member for member in group]
    return [[node for node in range(count) if group[node] == one] for one in sorted(set(group))]
