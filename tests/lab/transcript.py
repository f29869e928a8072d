#!/usr/bin/env python3
"""Records one move in the laboratory and puts it into doc/guide.md, between its two marks.

    make lab-transcript

Commands and what they print are those of the run; host names and paths are put as an administrator
has them, ssh's options are left out, and of long answers the middle.
"""
import pathlib
import re
import sys
import tempfile

import conftest
import build
import guest_image
import xenhost
from domu import DomU
from lab import Lab, missing
from libvirtd import Libvirtd
from node import BRIDGECTL
from witness import Pings
from xenmove import XenMove

GUIDE = pathlib.Path(__file__).resolve().parents[2] / "doc/guide.md"
BEGIN, END = "<!-- recorded by tests/lab/transcript.py: begin -->\n", "<!-- end -->\n"
HEAD, TAIL = 14, 6  # lines of a long answer that are kept
INTRO = """
`tests/lab/transcript.py` has recorded this in the laboratory ([testing](testing.md)): a real Xen 4.17 with a guest that pygrub boots
from logical volumes, and a host with libvirt. Both are emulated by software, so the times are those of machines
twenty times slower than yours.
"""


class Record:
    """What XenMove shows its commands to."""

    def __init__(self):
        self.parts = []
        self.names = []  # (what stands there, what is to stand there)

    def name(self, found, wanted):
        self.names.append((str(found), wanted))

    def _plain(self, text):
        for found, wanted in sorted(self.names, key=lambda pair: -len(pair[0])):
            text = text.replace(found, wanted)
        return re.sub(r"[ \t]+$", "", text, flags=re.M)

    def command(self, argv, prompt="kvm1#"):
        words = " ".join(map(str, argv)).replace(" --type qemu", "")
        self.parts.append(f"{prompt} {self._plain(words)}")

    def output(self, text):
        lines = self._plain(text).rstrip().splitlines()
        if len(lines) > HEAD + TAIL + 1:
            lines[HEAD:-TAIL] = [f"[{len(lines) - HEAD - TAIL} more lines]"]
        self.parts += lines + ([""] if lines else [])

    def run(self, netns, *argv, check=True, more=(), timeout=120):
        self.command(argv)
        result = netns.run(*argv, *more, check=check, timeout=timeout)
        self.output(result.stderr + result.stdout)  # progress comes before results
        return result

    def heading(self, text):
        self.parts += [f"# {text}", ""]

    def text(self):
        return "\n".join(self.parts).rstrip() + "\n"


def record(site, guest, libvirtd, folder):
    """The text between the marks."""
    told = Record()
    move = XenMove(site, guest, libvirtd, folder, show=told.run)
    for found, wanted in ((BRIDGECTL, "bridgectl"), (site.xen.door, "xen1"), (move.config, "web1.cfg"),
                          (move.disks, "/var/lib/libvirt/images"), (move.state / "web1.xml", "web1.xml"),
                          (move.state / "fixup", "/var/lib/bridgectl/fixup"), (libvirtd.uri, "qemu:///system")):
        told.name(found, wanted)
    with Pings(site.witness, guest.ip, 0.1) as pings:
        pings.wait_answer(30)
        told.heading("It runs on xen1")
        move.make_disk()
        move.begin_copies()
        for window, (number, process) in enumerate(sorted(move.copies.items()), 2):
            told.command(process.args[:-len(site.far_options) - 4], f"kvm1 ({window})#")
        move.wait_warm()
        for number in sorted(move.copies):
            told.output((folder / f"copy-{number}").read_text(encoding="utf-8").splitlines()[-1] + "\n")
        move.autostart_off()
        told.heading("It is off from here on")
        move.stop_there()
        move.finish_copies()
        move.fixup("--apply")
        move.define("--bridge", "br-sv")
        move.start()
        told.heading("It runs on kvm1")
        move.booted()
        pings.wait_answer(120)
        move.domain("list", "--verbose")
        told.run(site.kvm, BRIDGECTL, "bridge", "fdb", "br-sv", more=["-s", site.near.control])
    gap, began = pings.longest_gap()
    move.steps.rows.append((began + gap, began + gap, "the witness has an answer again"))
    move.remove()
    return (f"{INTRO}\n~~~\n{told.text()}~~~\n\nA guest beside it pinged it ten times a second, and had no answer for "
            f"{gap:.0f} s, most of which its shutdown and its boot took:\n\n~~~\n{move.steps.table(began)}\n~~~\n\n")


def say(text):
    print(f"transcript.py: {text}", file=sys.stderr, flush=True)


def recorded():
    """One laboratory from its beginning to its end."""
    image = build.dom0()
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="l2-transcript-") as folder:
        folder = pathlib.Path(folder)
        site = conftest.Site(lab, image)
        say("the Xen host boots")
        site.xen.wait_up()
        site.xen.set_up()
        guest = DomU(site.xen, guest_image.build(folder / "image", name="web1", shape=guest_image.Shape(data=3)))
        say("its guest boots")
        guest.start()
        site.xen.sh("ln -sf ../web1.cfg /etc/xen/auto/web1.cfg")
        site.join()
        say("the guest moves")
        return record(site, guest, Libvirtd(site.kvm), folder / "move")


def main():
    before, _, rest = GUIDE.read_text(encoding="utf-8").partition(BEGIN)
    assert rest, f"{GUIDE} has no mark {BEGIN}"
    reason = xenhost.missing() or missing("netns") or missing("tap")
    if reason:
        sys.exit(f"transcript.py: {reason}")
    try:
        text = recorded()
    except (build.CannotBuild, guest_image.Missing) as error:
        sys.exit(f"transcript.py: {error}")
    GUIDE.write_text(before + BEGIN + text + END + rest.partition(END)[2], encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
