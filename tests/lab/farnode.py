"""l2tund inside the Xen host: a Node (tests/support/node.py) whose daemon runs over there."""
import os

from lab import wait_for
from node import Node

START_S = 90  # 1 s on an idle machine


class FarNode(Node):
    """Configuration and status are those of any node; files, daemon and bridgectl are on the far host."""

    def __init__(self, far, name=None, **options):
        self.far_dir = f"/run/lab-{name or far.name}"
        super().__init__(far, name, private_key=f"{self.far_dir}/private.key",
                         control=f"{self.far_dir}/control.sock", state_dir=f"{self.far_dir}/state",
                         **options)
        self.control = self.options["control"]
        self.alive = False

    def peer(self, name, other, address=None, psk=None, **options):
        assert psk is None, "not over here"
        super().peer(name, other, address, **options)

    def start(self, wait=True):
        far = self.host
        far.run("mkdir", "-p", f"{self.far_dir}/state")
        far.write(f"{self.far_dir}/private.key", self._private + "\n", "600")
        far.write(f"{self.far_dir}/l2tund.conf", self.config_text())
        far.sh(f"cd {self.far_dir}; setsid l2tund -f -v -c l2tund.conf >>log 2>&1 </dev/null & echo $! >{self.far_dir}/pid")
        self.alive = True
        if wait:
            wait_for(self.answers, START_S, lambda: f"{self.name} does not answer\n{self.tail()}", 0.2)

    @property
    def running(self):
        return self.alive

    def answers(self):
        return self.ctl("status", check=False).returncode in (0, 1, 2)

    def ctl(self, *words, check=True, timeout=30):
        return self.host.run("bridgectl", "-s", self.control, *words, check=check, timeout=timeout)

    def stop(self, timeout=20):
        """Ends the daemon gracefully; it must have run until now."""
        self.alive = False
        self.host.sh(f"kill $(cat {self.far_dir}/pid)")
        wait_for(lambda: self.host.run("pgrep", "-x", "l2tund", check=False).returncode != 0, timeout,
                 lambda: f"{self.name} does not end\n{self.tail()}", 0.2)

    def _finish(self):
        if self.alive and self.host.process.poll() is None:
            self.stop()

    def log(self):
        title = f"log of {self.name}"
        if self.host.process.poll() is not None:
            return title, "(its host is gone)"
        return title, self.host.run("cat", f"{self.far_dir}/log", check=False).stdout
