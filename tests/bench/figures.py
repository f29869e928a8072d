"""Figures with their goals, and what several measurements share."""
import contextlib
import json
import os
import platform
import statistics
import time


class Results:
    """Printed as they come and kept as JSON lines."""

    def __init__(self, json_path):
        self._out = open(json_path, "a", encoding="utf-8") if json_path else None
        self.missed = []
        self._headed = False

    def add(self, name, unit, values, below=None, worst=None, above=None):
        """The goal is a median below `below` or of at least `above`, or that no value is above
        `worst`."""
        if not self._headed:
            print(f"{'':58} {'median':>9} {'min':>9} {'max':>9}  runs  goal")
            self._headed = True
        median = statistics.median(values)
        verdict = ""
        if below is not None:
            verdict = self._judge(name, median < below, f"median < {below:g}")
        if above is not None:
            verdict = self._judge(name, median >= above, f"median >= {above:g}")
        if worst is not None:
            verdict = self._judge(name, max(values) <= worst, f"all <= {worst:g}")
        print(f"{name + ', ' + unit:58} {median:9.3f} {min(values):9.3f} {max(values):9.3f}"
              f" {len(values):5}  {verdict}", flush=True)
        self.keep({"name": name, "unit": unit, "median": median, "min": min(values),
                   "max": max(values), "values": values, "goal_below": below,
                   "goal_worst": worst, "goal_above": above, "time": time.time(),
                   "kernel": platform.release(), "cpus": os.cpu_count(),
                   "load": os.getloadavg()[0]})

    def keep(self, record):
        """A line of the JSON file."""
        if self._out:
            self._out.write(json.dumps(record) + "\n")
            self._out.flush()

    def _judge(self, name, good, goal):
        if not good:
            self.missed.append(name)
        return f"{goal}: {'met' if good else 'MISSED'}"

    @contextlib.contextmanager
    def measuring(self, name):
        """What fails inside costs these figures only, and the exit status."""
        try:
            yield
        except AssertionError as error:
            self.missed.append(name)
            print(f"{name:58} FAILED: {str(error).strip()[:2000]}", flush=True)

    def skip(self, name, reason):
        print(f"{name:58} skipped: {reason}", flush=True)


def cpu_shares(nodes, seconds, samples=3):
    """Processor use of the daemons in percent of a core, each of them so many times in the
    `seconds` altogether."""
    shares = []
    for _ in range(samples):
        before = [node.cpu_s() for node in nodes]
        start = time.monotonic()
        time.sleep(seconds / samples)
        took = time.monotonic() - start
        shares += [100 * (node.cpu_s() - used) / took for node, used in zip(nodes, before)]
    return shares
