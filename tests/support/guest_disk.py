"""The disk of a guest on its new host, made as an administrator would: `disk create`, copy, `domain fixup`."""
import json
import pathlib
import subprocess

from node import BRIDGECTL

SECTOR = 512


def ctl(*words, code=0):
    """What bridgectl prints."""
    done = subprocess.run([BRIDGECTL, *map(str, words)], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def make(guest, folder, label="msdos"):
    """Disk of a guest of guest_image.py, with its volumes in it, and nothing that boots."""
    folder = pathlib.Path(folder)
    folder.mkdir(exist_ok=True)
    plan = json.loads(ctl("disk", "layout", guest.config, "--label", label, "--json"))
    [made] = json.loads(ctl("disk", "create", guest.config, "--label", label, "--dir", folder,
                            "--json"))["disks"]
    with open(made["path"], "r+b") as disk:
        for part in plan["disks"][0]["partitions"]:
            if part["fill"] == "copy":
                disk.seek(part["start"] * SECTOR)
                disk.write(pathlib.Path(part["source"]["path"]).read_bytes())
    return pathlib.Path(made["path"])


def fix(disk, *more):
    """`domain fixup --apply`; its document."""
    state = disk.parent / "state"
    return json.loads(ctl("domain", "fixup", disk, "--apply", "--state-dir", state, "--json", *more))
