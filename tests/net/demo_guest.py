"""make demo-guest: the demo's hosts, and a real guest that moves: Debian's kernel with busybox, made
as Xen hosts have it, boots on the new host under QEMU's software emulation and answers the old one's
guest through the tunnel."""
import guest_image
import guest_move
from lab import wait_for
from libvirtd import LIBVIRTD
from show import Failed, heading, result_line, run


def missing():
    """Why it cannot be shown here; or None."""
    return None if LIBVIRTD else "libvirtd is missing: packages/install guest brings it"


def show(lab, door, new, witness):
    """`door` leads to the old host, `new` is the new one's node, `witness` a guest of the old one."""
    heading("A guest of the old host, with a volume for each partition")
    move = guest_move.Move(lab, door, new, shape=guest_image.Shape(data=3), name="web2",
                           guest_address="10.9.0.12/24")
    run(door.host, "cat", move.config)

    heading("Its disk on the new host, and the copies")
    move.make_disk()
    move.copy()

    heading("What has to change inside; shown first, then written, with an undo file")
    move.fixup("--apply")

    heading("Its definition for libvirt")
    move.define()

    heading("Started: it boots from its new disk")
    console = move.start()
    wait_for(lambda: "login:" in console.text(), guest_move.BOOT_S,
             lambda: f"no login prompt, but:\n{console.text()[-3000:]}", 0.1)
    text = console.text()
    for line in text[text.rindex("rc: "):].splitlines():
        print(f"    {line}")
    move.domain("list", "--verbose")

    heading("From a guest of the old host, through the tunnel")
    try:
        move.answers(witness)
    except AssertionError as error:
        raise Failed(str(error)) from error
    result_line("the guest answers at its old address, with its old MAC address")

    heading("Shut down, by its power button")
    move.stop()
