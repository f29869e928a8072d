"""Every key of xl and xm is carried, warned of, or refused, and doc/domains.md says which.

The table comes from the program (`bridgectl __keys`); for each of its rows a value is tried here, and what
`domain convert` does with it has to be what the row says. UPDATE_GOLDEN=1 writes the table into the documentation.
"""

import json
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BRIDGECTL = os.environ.get("BRIDGECTL", str(ROOT / "bridgectl" / "bridgectl"))
PAGE = ROOT / "doc" / "domains.md"

PV = {"name": "'g'", "memory": "512", "bootloader": "'pygrub'", "disk": "['phy:/dev/vg/g,xvda,w']"}
HVM = {"name": "'g'", "memory": "512", "type": "'hvm'", "disk": "['phy:/dev/vg/g,hda,w']"}
VIF = "mac=00:16:3e:00:00:01,bridge=br0"

# (key, fate): a value, and what else the file has (PV unless it says HVM). None takes a key of the base away.
SAMPLES = {
    ("acpi", "="): ("1", HVM),
    ("acpi", "≈"): ("0", HVM),
    ("apic", "="): ("0", HVM),
    ("bios", "="): ("'ovmf'", HVM),
    ("boot", "="): ("'n'", HVM | {"vif": f"['{VIF}']"}),
    ("boot", "≈"): ("'a'", HVM),
    ("bootargs", "≈"): ("'-q'", PV),
    ("bootloader", "≈"): ("'pygrub'", PV),
    ("bootloader_args", "≈"): ("['-q']", PV),
    ("builder", "="): ("'hvm'", HVM | {"type": None}),
    ("cap", "="): ("50", PV),
    ("channel", "✗"): ("['connection=pty,name=x']", PV),
    ("cmdline", "≈"): ("'quiet'", PV | {"bootloader": None, "kernel": "'/boot/vmlinuz'"}),
    ("cpu_cap", "="): ("50", PV),
    ("cpu_weight", "≈"): ("512", PV),
    ("cpus", "≈"): ("'2-3'", PV),
    ("description", "="): ("'a text'", PV),
    ("dhcp", "≈"): ("'on'", PV),
    ("disk", "="): ("['phy:/dev/vg/g,xvda,w']", PV),
    ("disk", "≈"): ("['phy:/dev/vg/g,xvda,w!']", PV),
    ("disk", "✗"): ("['phy:/dev/vg/g,xvda,w', 'file:x.iso,hdc:cdrom,r']", HVM),
    ("extra", "≈"): ("'quiet'", PV),
    ("firmware", "="): ("'ovmf'", HVM),
    ("firmware", "≈"): ("'pvgrub64'", PV | {"bootloader": None}),
    ("firmware", "✗"): ("'/usr/lib/my-bios'", HVM),
    ("gateway", "≈"): ("'10.0.0.1'", PV | {"ip": "'10.0.0.2'"}),
    ("hap", "≈"): ("0", HVM),
    ("hdtype", "="): ("'ahci'", HVM),
    ("hostname", "≈"): ("'g'", PV | {"ip": "'10.0.0.2'"}),
    ("hpet", "="): ("1", HVM),
    ("interface", "≈"): ("'eth0'", PV | {"ip": "'10.0.0.2'"}),
    ("ip", "≈"): ("'10.0.0.2'", PV),
    ("kernel", "="): ("'/usr/lib/xen/boot/hvmloader'", HVM | {"type": None}),
    ("kernel", "≈"): ("'/boot/vmlinuz'", PV | {"bootloader": None}),
    ("keymap", "="): ("'de'", HVM | {"vnc": "1"}),
    ("keymap", "≈"): ("'a/b'", HVM | {"vnc": "1"}),
    ("localtime", "="): ("1", HVM),
    ("localtime", "≈"): ("1", PV),
    ("maxmem", "≈"): ("1024", PV),
    ("maxvcpus", "="): ("4", PV),
    ("memory", "="): ("640", PV),
    ("name", "="): ("'h'", PV),
    ("nestedhvm", "≈"): ("1", HVM),
    ("netmask", "≈"): ("'255.0.0.0'", PV | {"ip": "'10.0.0.2'"}),
    ("nics", "≈"): ("1", PV),
    ("nographic", "="): ("1", HVM),
    ("nx", "="): ("0", HVM),
    ("on_crash", "="): ("'restart'", PV),
    ("on_crash", "≈"): ("'rename-restart'", PV),
    ("on_poweroff", "="): ("'restart'", PV),
    ("on_poweroff", "≈"): ("'preserve'", PV),
    ("on_reboot", "="): ("'destroy'", PV),
    ("on_reboot", "≈"): ("'soft-reset'", PV),
    ("on_watchdog", "≈"): ("'destroy'", HVM),
    ("pae", "="): ("0", HVM),
    ("pci", "✗"): ("['01:00.0']", PV),
    ("pvh", "="): ("1", PV | {"bootloader": None, "kernel": "'/boot/vmlinuz'"}),
    ("ramdisk", "≈"): ("'/boot/initrd'", PV | {"bootloader": None, "kernel": "'/boot/vmlinuz'"}),
    ("root", "≈"): ("'/dev/xvda1'", PV | {"bootloader": None, "kernel": "'/boot/vmlinuz'"}),
    ("rtc_timeoffset", "="): ("60", HVM),
    ("rtc_timeoffset", "≈"): ("60", PV),
    ("sdl", "≈"): ("1", HVM),
    ("serial", "="): ("'pty'", HVM),
    ("serial", "✗"): ("'/dev/ttyS0'", HVM),
    ("soundhw", "="): ("'ac97'", HVM),
    ("soundhw", "✗"): ("'gus'", HVM),
    ("spice", "≈"): ("1", HVM),
    ("stdvga", "="): ("1", HVM),
    ("type", "="): ("'pvh'", PV | {"bootloader": None, "kernel": "'/boot/vmlinuz'"}),
    ("usb", "="): ("1", HVM),
    ("usbdevice", "="): ("'tablet'", HVM),
    ("usbdevice", "✗"): ("'host:1234:5678'", HVM),
    ("usbversion", "="): ("3", HVM | {"usb": "1"}),
    ("uuid", "="): ("'11111111-2222-3333-4444-555555555555'", PV),
    ("vcpus", "="): ("2", PV),
    ("vfb", "="): ("['type=vnc']", PV),
    ("vfb", "≈"): ("['type=vnc,vncpasswd=x']", PV),
    ("vga", "="): ("'none'", HVM),
    ("vga", "≈"): ("'qxl'", HVM),
    ("vga", "✗"): ("'voodoo'", HVM),
    ("videoram", "="): ("32", HVM),
    ("vif", "="): (f"['{VIF}']", PV),
    ("vif", "≈"): (f"['{VIF},ip=10.0.0.2']", PV),
    ("vif", "✗"): (f"['{VIF},script=vif-route']", PV),
    ("viridian", "="): ("1", HVM),
    ("viridian", "≈"): ("1", HVM | {"--type": "qemu"}),
    ("vnc", "="): ("1", PV),
    ("vncdisplay", "="): ("7", HVM),
    ("vnclisten", "≈"): ("'0.0.0.0'", HVM),
    ("vncpasswd", "≈"): ("'secret'", HVM),
    ("vncunused", "="): ("1", HVM | {"vncdisplay": "7"}),
    ("xen_platform_pci", "≈"): ("1", HVM),
}
# As it is without them: Xen's default is ours, or the base has the same.
NO_TRACE = {"stdvga", "serial", "name", "memory", "disk", "builder", "kernel", "acpi"}


def table():
    done = subprocess.run([BRIDGECTL, "__keys"], capture_output=True, timeout=60, check=True)
    return done.stdout.decode()


def rows():
    key = None
    for line in table().splitlines()[2:]:
        cells = [c.strip() for c in line.strip("|").split("|")]
        assert len(cells) == 4, line
        key = cells[0].strip("`") or key
        yield key, cells[2]


ROWS = list(rows()) if os.access(BRIDGECTL, os.X_OK) else []
# One value does for all that the record does not have.
SAMPLE_OF_OTHERS = ("'xyz'", PV)


def convert(keys, folder):
    words = ["--vg", "vg0", "--bridge", "br-x", "--mac", "0=00:16:3e:00:00:09"] if "nics" in keys else ["--vg", "vg0"]
    keys = dict(keys)
    if "--type" in keys:
        words += ["--type", keys.pop("--type")]
    file = folder / "g.cfg"
    file.write_text("".join(f"{k} = {v}\n" for k, v in keys.items() if v is not None))
    done = subprocess.run(
        [BRIDGECTL, "--json", "-v", "domain", "convert", file, *words], capture_output=True, timeout=60, check=False
    )
    answer = json.loads(done.stdout)
    line = {k: n for n, k in enumerate((k for k in keys if keys[k] is not None), 1)}
    return answer, line


def test_every_row_has_a_sample():
    used = {(k, f) for k, f in ROWS if (k, f) in SAMPLES or f == "≈" or f == "="}
    assert used == set(SAMPLES) & set(ROWS) == set(SAMPLES)
    assert len({k for k, _ in ROWS}) > 190


@pytest.mark.parametrize(("key", "fate"), ROWS)
def test_row(key, fate, tmp_path):
    value, base = SAMPLES.get((key, fate), SAMPLE_OF_OTHERS)
    base = dict(base)
    base.pop(key, None)
    without, _ = convert(base, tmp_path)
    answer, line = convert(base | {key: value}, tmp_path)
    here = {m["severity"] for m in answer["messages"] if m["line"] == line[key]}
    lost = {x["key"] for x in answer["not_carried"] if not x["accepted"]}
    if fate == "✗":
        assert not answer["ok"] and ("error" in here or lost), answer["messages"]
        named = re.findall(r"--accept-loss ([\w.]+)", json.dumps(answer["messages"])) + list(lost)
        assert any(n == key or n.startswith(f"{key}.") for n in named), answer["messages"]
        return
    assert answer["ok"], answer["messages"]
    if fate == "=":
        assert "warning" not in here
        assert key in NO_TRACE or answer["xml"] != without["xml"]
    elif fate == "≈":
        assert here & {"warning", "note"}
    else:
        assert here == {"note"} and answer["xml"] == without["xml"]


def test_documentation():
    text = PAGE.read_text()
    found = re.search(r"(<!-- keys -->\n)(.*)(<!-- end of keys -->)", text, re.S)
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(text[: found.end(1)] + table() + text[found.start(3) :])
        return
    assert found.group(2) == table(), "doc/domains.md: UPDATE_GOLDEN=1 pytest tests/golden/test_domain_keys.py writes it anew"
