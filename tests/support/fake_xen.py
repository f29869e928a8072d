"""A host with Xen, made up: programs xl and xm that know their domains from a file, and folders.

    xen = FakeXen(tmp_path)
    xen.domain("web1", mac="00:16:3e:00:00:01", bridge="xenbr0")
    subprocess.run([BRIDGECTL, "domain", "stop", "web1"], env=xen.env())
    assert xen.calls() == ["xl list -v", "xl shutdown 1", ...]

It prints as the real ones do: `version` is "4.17" (an array of JSON), "4.2" (objects one behind the
other, without addresses that xl made up) or "4.1" (S-expressions); xm prints xend's. The same file
is the program: named xl or xm, beside `state.json`.
"""
import json
import os
import pathlib
import re
import sys
import time

UUID = "b6dc29ed-0ace-49e3-ba30-{:012x}"


class FakeXen:
    """Paths below `root` are the host's: /etc/xen and so on, for BRIDGECTL_ROOT."""

    def __init__(self, folder, version="4.17", tool="xl"):
        self.folder = pathlib.Path(folder) / "xen"
        self.root = self.folder / "root"
        self.bin = self.folder / "bin"
        self.log = self.bin / "calls"
        for path in self.bin, self.root / "etc/xen/auto", self.root / "proc/xen":
            path.mkdir(parents=True)
        (self.root / "proc/xen/capabilities").write_text("control_d\n")
        self.state = {"version": version, "next": 1, "domains": [
            {"name": "Domain-0", "id": 0, "mem": 768, "vcpus": 1, "state": "r-----", "vifs": []}]}
        self.save()
        self.tools(tool)

    def tools(self, *names):
        """These programs there are, and no others."""
        for name in "xl", "xm":
            (self.bin / name).unlink(missing_ok=True)
        for name in names:
            text = f"#!{sys.executable}\n" + pathlib.Path(__file__).read_text()
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    def save(self, **more):
        self.state.update(more)
        (self.bin / "state.json").write_text(json.dumps(self.state))

    def load(self):
        self.state = json.loads((self.bin / "state.json").read_text())
        return self.state

    def domain(self, name, state="-b----", mem=256, vcpus=1, **more):
        """`more`: mac, bridge; shutdown: ok, never, button, deaf, gone, restart, preserve; looks or
        seconds that it takes; mute."""
        vifs = [{"mac": more.pop("mac"), "bridge": more.pop("bridge", "xenbr0")}] if "mac" in more else []
        number = self.state["next"]
        self.state["next"] += 1
        self.state["domains"].append({"name": name, "id": number, "mem": mem, "vcpus": vcpus, "state": state,
                                      "vifs": vifs, **more})
        self.save()
        return number

    def names(self):
        return [d["name"] for d in self.load()["domains"]]

    def file(self, path, text=""):
        path = self.root / path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def config(self, name, text="", path=None):
        return self.file(path or f"/etc/xen/{name}.cfg", f'name = "{name}"\nmemory = 512\nvcpus = 2\n{text}')

    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []

    def env(self, **more):
        return {**os.environ, "PATH": f"{self.bin}:/usr/bin:/bin", "BRIDGECTL_ROOT": str(self.root), **more}


# --- The program --------------------------------------------------------------------------------------


def fail(text, code=1):
    print(text, file=sys.stderr)
    sys.exit(code)


class Tool:
    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.name = self.path.name
        self.file = self.path.parent / "state.json"
        self.state = json.loads(self.file.read_text())

    def save(self):
        self.file.write_text(json.dumps(self.state))

    def find(self, word):
        for d in self.state["domains"]:
            if str(d["id"]) == word or d["name"] == word:
                return d
        fail(f"{word} is an invalid domain identifier (rc=-6)")

    def remove(self, domain):
        self.state["domains"].remove(domain)

    def uuid(self, d):
        return UUID.format(d["id"] or 0)

    def run(self, words):
        with open(self.path.parent / "calls", "a") as log:
            print(self.name, *words, file=log)
        time.sleep(self.state.get("slow", {}).get(words[0], 0))
        said = self.state.get("says", {}).get(words[0])
        if said:
            sys.stderr.write(said["text"])
            sys.exit(said["code"])
        if self.state.get("hang") == words[0]:
            time.sleep(600)
        getattr(self, words[0].replace("-", "_"))(words[1:])
        self.save()

    # Lists

    def list(self, words):
        self.pass_time()
        if "-l" in words:
            chosen = [self.find(w) for w in words if w != "-l"] or self.state["domains"]
            return self.details([d for d in chosen if not d.get("mute")])
        chosen = [self.find(w) for w in words if w != "-v"] or self.state["domains"]
        print("Name                                        ID   Mem VCPUs\tState\tTime(s)"
              + ("   UUID                            Reason-Code\tSecurity Label" if "-v" in words else ""))
        for d in chosen:
            if d["id"] is None:
                print(f"{d['name']:<40} {'':>5} {d['mem']:5} {d['vcpus']:5} {'':>10} {0:8.1f}")
                continue
            line = f"{d['name']:<40} {d['id']:5} {d['mem']:5} {d['vcpus']:5}     {d['state']}  {9.6:8.1f}"
            print(line + (f" {self.uuid(d)} {'-':>8} {'-':>16}" if "-v" in words else ""))

    def pass_time(self):
        """What was asked to shut down does so after some looks, and not before its time."""
        for d in list(self.state["domains"]):
            if "ending" not in d:
                continue
            d["ending"] -= 1
            if d["ending"] > 0 or time.time() < d["until"]:
                continue
            del d["ending"]
            how = d.get("shutdown", "ok")
            if how == "preserve":
                d["state"] = "---s--"
            elif how == "restart":
                d["id"] = self.state["next"]
                self.state["next"] += 1
            else:
                self.remove(d)

    def details(self, chosen):
        if "details" in self.state:
            print(self.state["details"])
        elif self.name == "xm":
            print("\n".join(self.xend(d) for d in chosen))
        elif self.state["version"] == "4.1":
            print("\n".join(self.old(d) for d in chosen if d["id"] != 0))
        elif self.state["version"] == "4.2":
            for d in chosen:
                if d["id"] != 0:
                    print(json.dumps(self.json(d), indent=4))
        else:
            print(json.dumps([self.json(d) for d in chosen], indent=4))

    def json(self, d):
        old = self.state["version"] == "4.2"
        nics = [{"devid": i, "mac": "00:00:00:00:00:00" if old else v["mac"], "bridge": v["bridge"], "nictype": "vif"}
                for i, v in enumerate(d["vifs"])]
        info = {"type": "pv", "name": d["name"]}
        if d["id"]:
            info["uuid"] = UUID.format(0xdead) if old else self.uuid(d)
        return {"domid": d["id"], "config": {
            "c_info": info, "b_info": {"max_memkb": d["mem"] * 1024, "target_memkb": d["mem"] * 1024},
            **({"nics": nics} if nics else {}), "on_reboot": "restart"}}

    def old(self, d):
        vifs = "".join(
            f"\t(device\n\t\t(vif\n\t\t\t(backend_domid 0)\n\t\t\t(frontend_domid {d['id']})\n\t\t\t(devid {i})\n"
            f"\t\t\t(mtu 0)\n\t\t\t(model e1000)\n\t\t\t(mac {v['mac'].replace(':', '')})\n\t\t)\n\t)\n"
            for i, v in enumerate(d["vifs"]))
        return (f"(domain\n\t(domid {d['id']})\n\t(create_info)\n\t(hvm 0)\n\t(name {d['name']})\n"
                f"\t(uuid {self.uuid(d)})\n\t(xsdata (null))\n\t(build_info)\n\t(max_vcpus {d['vcpus']})\n"
                f"\t(target_memkb {d['mem'] * 1024})\n\t(image\n\t\t(linux 0)\n\t\t\t(cmdline root=/dev/xvda2 ro)\n"
                f"\t\t)\n\t)\n{vifs})")

    def xend(self, d):
        vifs = "".join(f"    (device\n        (vif\n            (bridge {v['bridge']})\n            (mac {v['mac']})\n"
                       "            (script /etc/xen/scripts/vif-bridge)\n            (backend 0)\n        )\n    )\n"
                       for v in d["vifs"])
        number = "" if d["id"] is None else f"    (domid {d['id']})\n"
        live = "" if d["id"] is None else f"    (state {d['state']})\n"
        return (f"(domain\n{number}    (on_crash restart)\n    (uuid {self.uuid(d)})\n    (bootloader_args '')\n"
                f"    (vcpus {d['vcpus']})\n    (name {d['name']})\n    (cpus (()))\n    (bootloader /usr/bin/pygrub)\n"
                f"    (memory {d['mem']})\n    (on_xend_start {d.get('on_xend_start', 'ignore')})\n{live}{vifs})")

    def network_list(self, words):
        d = self.find(words[0])
        print("Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       ")
        for i, v in enumerate(d["vifs"]):
            print(f"{i:<3} {0:<2} {v['mac']}{i:6} {4:5} {-1:6} {558:5}/{559:<11} /local/domain/0/backend/vif/{d['id']}/{i}")

    # Deeds

    def shutdown(self, words):
        button = "-F" in words
        d = self.find([w for w in words if w != "-F"][0])
        how = d.get("shutdown", "ok")
        print(f"Shutting down domain {d['id']}", file=sys.stderr)
        if how == "gone":
            self.remove(d)
            self.save()
            fail(f"{d['id']} is an invalid domain identifier (rc=-6)")
        if how == "deaf" or (how == "button" and not button):
            print("PV control interface not available: external graceful shutdown not possible.\n"
                  'Use "-F" to fallback to ACPI power event.', file=sys.stderr)
            fail("shutdown failed (rc=-12)")
        if how != "never":
            d["ending"] = d.get("looks", 1)
            d["until"] = time.time() + d.get("seconds", 0)

    def destroy(self, words):
        self.remove(self.find(words[0]))

    def create(self, words):
        text = pathlib.Path(words[0]).read_text()
        name = re.search(r'^name\s*=\s*"(.*)"', text, re.M).group(1)
        self.state["domains"].append({"name": name, "id": self.state["next"], "mem": 256, "vcpus": 1,
                                      "state": "-b----", "vifs": []})
        self.state["next"] += 1
        print(f"Parsing config from {words[0]}")

    def start(self, words):
        d = self.find(words[0])
        d["id"], d["state"] = self.state["next"], "-b----"
        self.state["next"] += 1

    def console(self, words):
        print(f"console of {self.find(words[0])['name']}")

    def migrate(self, words):
        d = self.find(words[-2])
        how = self.state.get("migrate", "ok")
        print("migration sender: Giving target permission to start.", file=sys.stderr)
        if how == "hangs":
            time.sleep(600)
        if how == "ok":
            return self.remove(d)
        if how == "away":
            d["name"] += "--migratedaway"
            d["state"] = "---ss-"
        self.save()
        fail("Migration failed, resuming at sender.")


if __name__ == "__main__":
    Tool(os.path.abspath(__file__)).run(sys.argv[1:])
