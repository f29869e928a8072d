"""Agents driven by hand: JSON lines in, answers and events out."""
import itertools
import json
import os
import queue
import subprocess
import threading

BRIDGECTL = os.environ.get("BRIDGECTL", "")
TIMEOUT = 60


class Refused(Exception):
    """An answer with an error."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.message = error["code"], error["message"]


class Agent:
    """One process of `bridgectl agent`."""

    def __init__(self, *arguments, env=None):
        self.process = subprocess.Popen([BRIDGECTL, "agent", *map(str, arguments)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=env)
        self.ids = itertools.count(1)
        self.answers, self.events = {}, []
        self.arrived = threading.Condition()
        self.ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            value = json.loads(line)
            with self.arrived:
                if "event" in value:
                    self.events.append(value)
                else:
                    self.answers[value["id"]] = value
                self.arrived.notify_all()
        with self.arrived:
            self.ended = True
            self.arrived.notify_all()

    def raw(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def send(self, method, **params):
        number = next(self.ids)
        self.raw(json.dumps({"id": number, "method": method, "params": params}).encode() + b"\n")
        return number

    def answer(self, number, timeout=TIMEOUT):
        with self.arrived:
            done = self.arrived.wait_for(lambda: number in self.answers or self.ended, timeout)
            if number not in self.answers:
                raise EOFError("the agent ended" if done else f"no answer in {timeout} s")
            value = self.answers.pop(number)
        if "error" in value:
            raise Refused(value["error"])
        return value["result"]

    def ask(self, method, **params):
        return self.answer(self.send(method, **params))

    def event(self, wanted, timeout=TIMEOUT):
        with self.arrived:
            def found():
                return [e for e in self.events if wanted(e)]
            assert self.arrived.wait_for(found, timeout), f"no such event in {timeout} s"
            return found()[0]

    def end(self, timeout=TIMEOUT):
        """Closes its standard input; its exit code."""
        if not self.process.stdin.closed:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        return self.process.wait(timeout)

    def kill(self):
        self.process.kill()
        self.process.wait(TIMEOUT)

    def rss(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))


class Pair:
    """A source and a target, joined in one of the ways that there are."""

    def __init__(self, source, target, state, join="unix", connections=4, source_args=(),
                 target_args=(), wire_params=None, **open_params):
        self.source = Agent("source", *source_args, source)
        self.target = Agent("target", "--state-dir", state, *target_args, target)
        self.opened_source = self.source.ask("open")
        self.opened = self.target.ask("open", source=self.opened_source["identity"],
                                      length=self.opened_source["bytes"], **open_params)
        self.source.ask("seed", seed=self.opened["seed"])
        self.join(join, connections, **(wire_params or {}))

    def join(self, how, connections, **more):
        if how == "unix":
            where = self.target.ask("listen", connections=connections, unix=True)
            self.source.ask("connect", connections=connections, address=where["path"])
            return
        params = {"connections": connections, "mode": how, "key": os.urandom(32).hex(),
                  **more}
        where = self.target.ask("listen", address="127.0.0.1", **params)
        self.source.ask("connect", address=f"127.0.0.1:{where['port']}", **params)

    def run(self, kind="full", number=0, **params):
        self.target.ask("begin", **{"pass": number, "kind": kind})
        sent = self.source.ask("pass", **{"pass": number, "kind": kind, **params})
        return sent, self.target.ask("settle", **{"pass": number})

    def end(self):
        assert self.source.end() == 0
        assert self.target.end() == 0

    def kill(self):
        for agent in (self.source, self.target):
            agent.kill()
