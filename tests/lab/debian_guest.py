#!/usr/bin/env python3
"""A guest with a real userland: Debian's own systemd, udev, initramfs and kernel, on volumes as Xen hosts have
them (root, swap, data), with names of Xen in its files. What udev calls its network cards, and what its
configuration speaks of, are real here; guest_image.py is busybox, which renames nothing.

    tests/lab/debian_guest.py [SUITE]      makes what is missing of the images, says where it is

The root file system of a suite is made once (debootstrap, debian/install inside, `mke2fs -d`) and kept as build.py
keeps the Xen host. A guest is a copy of it with some files changed by debugfs: no mount, no loop device.
"""
import dataclasses
import inspect
import ipaddress
import pathlib
import re
import shutil
import subprocess
import sys
import time
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

import build  # noqa: E402  (needs the path above)
import guest_image  # noqa: E402

SUITES = ("bullseye", "bookworm")  # Debian 11 and 12
IMAGE_SIZE = "400M"  # sparse
VLAN, VLAN_NETWORK = 5, "10.9.5.21/24"  # on each guest's first card: it has that card's MAC address
NETWORKD_CONF = """[Unit]
Wants=systemd-networkd.service
[Service]
ExecStartPre=-/lib/systemd/systemd-networkd-wait-online --timeout=10
"""
DRIVERS = ("xen-netfront", "virtio_net", "virtio_console", "button", "evdev")


@dataclasses.dataclass
class Card:
    """One of a guest's network cards, in the order of `vif`."""
    name: str      # that its configuration speaks of
    address: str   # with the length of its prefix
    mac: str

    @property
    def ip(self):
        return self.address.partition("/")[0]


@dataclasses.dataclass
class Kind:
    """What differs between such guests."""
    cards: tuple
    suite: str = "bookworm"      # or another of SUITES
    loader: str = "menu.lst"     # as guest_image.Shape
    network: str = "ifupdown"    # or "networkd"
    files: dict = dataclasses.field(default_factory=dict)  # path: text, more of them


_FIRST, _SECOND = ("10.9.0.21/24", "00:16:3e:5e:00:21"), ("10.9.1.21/24", "00:16:3e:5e:01:21")

KINDS = {
    # As xen-create-image leaves it: nobody has thought of names.
    "eth0": Kind((Card("eth0", *_FIRST),), suite="bullseye"),
    # systemd 253 and later have names for cards of Xen, and so has the 252 of Debian 12.
    "enX0": Kind((Card("enX0", *_FIRST), Card("enX1", *_SECOND)), loader="grub.cfg", network="networkd"),
    # By rules that only a card of Xen fulfils: its driver, its place on Xen's bus.
    "rules": Kind((Card("lan0", *_FIRST), Card("dmz0", *_SECOND)), files={
        "etc/udev/rules.d/70-persistent-net.rules":
            f'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="vif", ATTR{{address}}=="{_FIRST[1]}", NAME="lan0"\n',
        "etc/systemd/network/10-dmz0.link":
            "[Match]\nPath=xen-vif-1\n\n[Link]\nName=dmz0\n"}),
}


def witness_addresses(kind):
    """Of a neighbour of all its cards."""
    return [f"{ipaddress.ip_interface(card.address).network[1]}/24" for card in kind.cards]


def links(told):
    """Network cards by name and their MAC address, from what a guest has told on its console."""
    found = re.findall(r"rc: link ([^@\s]+)\s+\S+\s+([0-9a-f:]{17})", told)
    return {name: mac for name, mac in found if name != "lo"}


def addresses(told):
    """Addresses by the name of the card or VLAN."""
    return dict(re.findall(r"rc: address ([^@\s]+)\S*\s+\S+\s+(10\.\S+)", told))


def addresses_of(kind):
    """What addresses() has to be."""
    return ({card.name: card.address for card in kind.cards}
            | {f"{kind.cards[0].name}.{VLAN}": VLAN_NETWORK})


def assert_network(told, kind):
    """All cards by their names, all addresses on them, and neither udev nor a service has anything to complain of."""
    cards = {card.name: card.mac for card in kind.cards}
    assert cards.items() <= links(told).items(), told[-3000:]
    assert addresses(told) == addresses_of(kind), told[-3000:]
    assert "rc: unit" not in told and "rc: udev" not in told, told[-3000:]


def put_back(kind, disk, start, work):
    """Its own files about names as they were, into the root that begins at this byte of a disk."""
    write_files(f"{disk}?offset={start}", work, kind.files)


# --- The root, once for all ---

def make_root(suite, folder):
    build._need_programs()
    log = build._Log(folder / "log")
    root = folder / "root"
    log.run("debootstrap", "--variant=minbase", suite, root, build.MIRROR)
    shutil.copy(HERE / "debian/install", root / "install")
    inside = 'mount -t proc proc "$1/proc" && exec chroot "$1" /install "$2" "$3"'
    log.run("unshare", "-m", "sh", "-c", inside, "sh", root, build.MIRROR, suite)
    (root / "install").unlink()
    (folder / "version").write_text(_version(root))
    log.run("mke2fs", "-q", "-F", "-t", "ext4", "-m", "1", "-E", "root_owner=0:0", "-d", root, folder / "disk.img",
            IMAGE_SIZE)
    shutil.rmtree(root)


def _version(root):
    [kernel] = root.glob("boot/vmlinuz-*")
    modules = {path.stem.replace("-", "_") for path in root.glob("usr/lib/modules/*/kernel/**/*.ko*")}
    builtin = next(root.glob("usr/lib/modules/*/modules.builtin")).read_text().replace("-", "_")
    for name in DRIVERS:
        name = name.replace("-", "_")
        if name not in {m.partition(".")[0] for m in modules} and f"/{name}.ko" not in builtin:
            raise build.CannotBuild(f"the kernel of the guest has no {name}")
    return kernel.name.partition("-")[2]


def root_of(suite):
    """The folder with disk.img and version."""
    key = build.digest("".join(map(inspect.getsource, (make_root, _version))), HERE / "debian/install", build.MIRROR,
                       suite, IMAGE_SIZE)
    return build.cached(f"guest-{suite}", key, lambda folder: make_root(suite, folder))


# --- One guest ---

def _interfaces(addresses):
    text = "auto lo\niface lo inet loopback\n"
    for name, address in addresses.items():
        own = ipaddress.ip_interface(address)
        text += f"\nauto {name}\niface {name} inet static\n    address {own.ip}\n    netmask {own.netmask}\n"
    return text


def _networkd(addresses, card, vlan):
    texts = {f"etc/systemd/network/20-{name}.network":
             f"[Match]\nName={name}\n\n[Network]\nAddress={address}\nLinkLocalAddressing=no\n"
             for name, address in addresses.items()}
    texts[f"etc/systemd/network/20-{card}.network"] += f"VLAN={vlan}\n"
    texts[f"etc/systemd/network/10-{vlan}.netdev"] = f"[NetDev]\nName={vlan}\nKind=vlan\n\n[VLAN]\nId={VLAN}\n"
    texts["etc/systemd/system/rc-told.service.d/networkd.conf"] = NETWORKD_CONF
    return texts


def _network(kind):
    if kind.network == "ifupdown":
        return {"etc/network/interfaces": _interfaces(addresses_of(kind))}
    card = kind.cards[0].name
    return _networkd(addresses_of(kind), card, f"{card}.{VLAN}")


def _texts(guest, kind, uuids):
    shape = guest.shape
    return {
        "etc/fstab": "proc /proc proc defaults 0 0\n"
                     f"/dev/xvda{shape.root} / ext4 noatime,errors=remount-ro 0 1\n"
                     f"/dev/xvda{shape.data} /srv ext4 defaults 0 2\n"
                     f"/dev/xvda{shape.swap} none swap sw 0 0\n",
        "usr/local/sbin/rc-told": (HERE / "debian/rc-told").read_text(),
        "etc/hostname": f"{guest.name}\n",
        "etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {guest.name}\n",
    } | guest_image._loader_texts(guest, uuids) | _network(kind) | kind.files


def _debugfs(volume, *lines):
    return subprocess.run(["debugfs", "-w", "-f", "/dev/stdin", volume], input="\n".join(lines) + "\n", text=True,
                          capture_output=True, check=True)


def write_files(volume, work, texts):
    """Its mkdir of a folder that is there would damage the file system, and it tells of no error but in words."""
    work.mkdir()
    folders = {str(parent) for path in texts for parent in pathlib.PurePath(path).parents[:-1]}
    lines = [f"mkdir /{folder}" for folder in sorted(folders)
             if "File not found" in _debugfs(volume, f"stat /{folder}").stderr]
    for number, (path, text) in enumerate(texts.items()):
        (work / str(number)).write_text(text)
        lines += [f"rm /{path}", f"write {work / str(number)} /{path}", f"sif /{path} mode 0100{'755' if text.startswith('#!') else '644'}"]
    done = _debugfs(volume, *lines)
    for path, text in texts.items():
        told = subprocess.run(["debugfs", "-R", f"cat /{path}", volume], capture_output=True, check=True).stdout
        assert told.decode() == text, f"{path} was not written: {done.stderr}"
    subprocess.run(["e2fsck", "-fn", volume], check=True, capture_output=True)


def build_guest(folder, kind, name="web1", bridge="br-sv"):
    """Volumes and configuration in `folder`: a guest_image.Guest. build.CannotBuild when it cannot be done here."""
    base = root_of(kind.suite)
    folder = pathlib.Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    shape = guest_image.Shape(fs="ext4", loader=kind.loader, data=3)
    uuids = {n: str(uuid.uuid4()) for n in (shape.root, shape.swap, shape.data)}
    first = kind.cards[0]
    guest = guest_image.Guest(name, folder, first.address, first.mac, (base / "version").read_text(), uuids[shape.root],
                              {f"xvda{n}": folder / f"{name}-{n}.img" for n in sorted(uuids)},
                              folder / f"{name}.cfg", shape)
    root = guest.volumes[f"xvda{shape.root}"]
    guest_image._run("cp", "--sparse=always", base / "disk.img", root)
    guest_image._run("tune2fs", "-U", guest.root_uuid, root)
    write_files(root, folder / "texts", _texts(guest, kind, uuids))
    data = folder / "data"
    data.mkdir()
    (data / "hello").write_text("what the data volume holds\n")
    guest_image._file_system(guest.volumes[f"xvda{shape.data}"], shape.data_mib, "ext4", uuids[shape.data], data)
    swap = guest.volumes[f"xvda{shape.swap}"]
    with open(swap, "wb") as disk:
        disk.truncate(shape.swap_mib << 20)
    guest_image._run("mkswap", "-U", uuids[shape.swap], swap)
    vifs = ", ".join(f"'mac={card.mac}, bridge={bridge}'" for card in kind.cards)
    told = guest_image._config(guest, bridge).replace(f"'mac={guest.mac}, bridge={bridge}'", vifs)
    guest.config.write_text(told)
    return guest


def main():
    for suite in sys.argv[1:] or SUITES:
        start = time.monotonic()
        try:
            print(f"{root_of(suite)} ({time.monotonic() - start:.0f} s)")
        except build.CannotBuild as error:
            sys.exit(f"tests/lab/debian_guest.py: {error}")


if __name__ == "__main__":
    main()
