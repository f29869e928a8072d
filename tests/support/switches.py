"""Which settings of the data path's switches to test: a covering array over pairs.

Trying every combination of many switches takes too long for every run, and nearly every fault needs
only two of them in a certain position. `pairwise` makes rows in which each two values of
each two factors meet at least once; the same factors and seed give the same rows.
"""
import itertools
import random

OFFLOADS = ("checksum", "tso", "uso", "udp-segment", "udp-gro", "join", "coalesce", "pack")
NEED_CHECKSUM = ("tso", "uso")
MODES = ("aead", "auth", "none")
TRIES = 40  # random rows of which the one with most new pairs is taken


def possible(switches):
    """The same switches, without those that need one that is off."""
    return {name: on and (name not in NEED_CHECKSUM or switches["checksum"])
            for name, on in switches.items()}


def section(switches):
    """As the configuration takes them: only what is off is said."""
    return {name: False for name, on in switches.items() if not on}


def every_combination():
    """All settings of one side that differ in effect."""
    rows = [dict(zip(OFFLOADS, bits))
            for bits in itertools.product((True, False), repeat=len(OFFLOADS))]
    return [row for row in rows if possible(row) == row]


def random_switches(rng):
    return possible({name: rng.random() < 0.5 for name in OFFLOADS})


def _sides(row):
    """A row as flat (factor, value) pairs."""
    flat = []
    for name, value in row.items():
        if isinstance(value, dict):
            flat += [((name, key), on) for key, on in value.items()]
        else:
            flat.append((name, value))
    return flat


def pairs(row):
    """All pairs of values that meet in this row."""
    return set(itertools.combinations(_sides(row), 2))


def draw(rng, others):
    """A row: switches of both ends, and a value of each other factor."""
    row = {"left": random_switches(rng), "right": random_switches(rng)}
    row.update((name, rng.choice(values)) for name, values in others.items())
    return row


def pairwise(others, seed=1):
    """Rows that show every possible pair. The first has everything on, the second everything off."""
    rng = random.Random(seed)
    wanted = set()
    for _ in range(4000):  # far more than it takes for each possible pair to come up
        wanted |= pairs(draw(rng, others))
    rows = []
    for on in (True, False):
        row = draw(rng, others)
        row["left"] = row["right"] = dict.fromkeys(OFFLOADS, on)
        rows.append(row)
    for row in rows:
        wanted -= pairs(row)
    while wanted:
        best = max((draw(rng, others) for _ in range(TRIES)),
                   key=lambda row: len(pairs(row) & wanted))
        wanted -= pairs(best)
        rows.append(best)
    return rows


def mask(switches):
    """The switches that are on, as the bits of enum offload."""
    return sum(1 << bit for bit, name in enumerate(OFFLOADS) if switches[name])


def name_of(row):
    """A short name for a row: its other factors, and the masks of both ends."""
    rest = [str(value) for name, value in row.items() if name not in ("left", "right")]
    return "-".join([*rest, f"{mask(row['left']):02x}", f"{mask(row['right']):02x}"])
