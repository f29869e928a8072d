"""Small made-up guests: folders with the files that inspection and fix-ups look at, in their real formats.

    guest_trees.build("debian12", folder)      # or: guest_trees.py NAME FOLDER, guest_trees.py --list
    image = mke2fs -d folder                    # is up to the test

A tree is a table of path -> content: text, bytes, `link(target)`, `folder()`, or `File(content, mode)`. The same
name always gives the same bytes. Kernels have the head of a real one and nothing behind it; an initramfs
has the real names and empty files.
"""

import dataclasses
import gzip
import io
import lzma
import os
import pathlib
import shutil
import struct
import sys

UUID_ROOT = "3e6be9de-8139-11d1-9106-a43f08d823a6"
UUID_BOOT = "0b1f0dd2-6c0e-4a35-8d3c-7d4a3e2f5b11"
UUID_SWAP = "9f3c2d1e-5a4b-4c6d-8e7f-112233445566"
MACHINE_ID = "c0ffee00c0ffee00c0ffee00c0ffee00"
MAC = "00:16:3e:11:22:33"


@dataclasses.dataclass(frozen=True)
class File:
    content: bytes
    mode: int = 0o644


@dataclasses.dataclass(frozen=True)
class Link:
    target: str


class Folder:
    pass


def link(target):
    return Link(target)


def folder():
    return Folder()


# --- initramfs ---


def cpio(names, contents=None):
    """newc (Documentation/driver-api/early-userspace/buffer-format.rst): folders first, then empty files."""
    contents = contents or {}
    out = io.BytesIO()
    folders = sorted({str(p) for n in names for p in pathlib.PurePosixPath(n).parents if str(p) != "."})

    def entry(number, name, mode, data=b""):
        raw = name.encode() + b"\0"
        fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0]
        out.write(b"070701" + b"".join(b"%08X" % f for f in fields) + raw)
        out.write(b"\0" * (-out.tell() % 4) + data)
        out.write(b"\0" * (-out.tell() % 4))

    for i, name in enumerate(folders):
        entry(i + 1, name, 0o040755)
    for i, name in enumerate(names):
        entry(1000 + i, name, 0o100644, contents.get(name, b""))
    entry(0, "TRAILER!!!", 0)
    out.write(b"\0" * (-out.tell() % 512))
    return out.getvalue()


def pack_gzip(data):
    return gzip.compress(data, mtime=0)


def pack_xz(data):
    return lzma.compress(data, check=lzma.CHECK_CRC32)


def pack_lzma(data):
    return lzma.compress(data, format=lzma.FORMAT_ALONE)


def pack_zstd(data):
    """RFC 8878, blocks that are not compressed: nothing but Python is needed to make it."""
    out = [struct.pack("<IBI", 0xFD2FB528, 0xA0, len(data))]
    step = 100_000
    for at in range(0, len(data) or 1, step):
        block = data[at : at + step]
        out.append(((len(block) << 3) | (at + step >= len(data))).to_bytes(3, "little") + block)
    return b"".join(out)


def pack_lz4(data):
    """The legacy frame that `lz4 -l` makes and Linux reads, of literals only."""
    size, rest = b"", len(data) - 15
    while rest >= 0:
        size += bytes([min(rest, 255)])
        rest -= 255
    block = bytes([min(len(data), 15) << 4]) + size + data
    return struct.pack("<II", 0x184C2102, len(block)) + block


def microcode():
    """What comes first, never compressed, on machines with a microcode package."""
    return cpio(["kernel/x86/microcode/AuthenticAMD.bin", "kernel/x86/microcode/GenuineIntel.bin"], {"kernel/x86/microcode/GenuineIntel.bin": b"\x01" * 333})


VIRTIO = ["block/virtio_blk", "scsi/virtio_scsi", "virtio/virtio", "virtio/virtio_pci", "virtio/virtio_ring", "net/virtio_net", "char/virtio_console"]
BIOS_DISKS = ["ata/ahci", "ata/libahci", "ata/libata", "ata/ata_piix", "scsi/sd_mod", "scsi/scsi_mod"]
XEN = ["block/xen-blkfront", "net/xen-netfront"]


def modules(version, drivers, suffix=".ko", top="lib"):
    return [f"{top}/modules/{version}/kernel/drivers/{d}{suffix}" for d in drivers] + [f"{top}/modules/{version}/modules.dep"]


def debian_initrd(version, drivers, pack=pack_gzip, suffix=".ko", top="lib", early=False):
    main = cpio(["init", "bin/busybox", "conf/initramfs.conf", "scripts/local", *modules(version, drivers, suffix, top)])
    return (microcode() if early else b"") + pack(main)


def dracut_initrd(version, drivers, pack=pack_gzip, suffix=".ko", top="usr/lib", early=True):
    main = cpio(["init", "usr/lib/dracut/hooks/cmdline/00-empty.sh", "etc/cmdline.d/none.conf", *modules(version, drivers, suffix, top)])
    return (cpio(["early_cpio", "kernel/x86/microcode/GenuineIntel.bin"]) if early else b"") + pack(main)


# --- kernels ---


def bzimage(version, bits=64, banner="builder@example.org"):
    """The setup header of Documentation/arch/x86/boot.rst: sector 1 from 0x1f1 on, the version's text behind it."""
    image = bytearray(0x200 * 5)
    image[0x1F1] = 4
    struct.pack_into("<H", image, 0x1FE, 0xAA55)
    image[0x200:0x202] = b"\xeb\x66"
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<HIHH", image, 0x206, 0x020C, 0, 0x1000, 0x200)
    image[0x211] = 1
    struct.pack_into("<H", image, 0x236, 1 if bits == 64 else 0)
    text = f"{version} ({banner}) #1 SMP".encode()
    image[0x400 : 0x400 + len(text)] = text
    return bytes(image) + b"\x90" * 600


def xen_vmlinux(bits=64, packed=True):
    """A kernel for Xen's paravirtual loader alone: ELF with a section of Xen's notes, gzipped as it was shipped."""
    ident = b"\x7fELF" + bytes([2 if bits == 64 else 1, 1, 1]) + b"\0" * 9
    image = ident + struct.pack("<HHI", 2, 62 if bits == 64 else 3, 1) + b"\0" * 100
    image += b"GUEST_OS=linux,GUEST_VER=2.6,XEN_VER=xen-3.0,VIRT_BASE=0xffffffff80000000,LOADER=generic\0" + b"\0" * 4000
    return pack_gzip(image) if packed else image


def config(version, bits=64, builtin=(), module=(), off=(), classic=False):
    lines = ["#", f"# Linux/x86 {version} Kernel Configuration", "#"]
    lines += ["CONFIG_64BIT=y", "CONFIG_X86_64=y"] if bits == 64 else ["# CONFIG_64BIT is not set", "CONFIG_X86_32=y"]
    lines += ["CONFIG_PCI=y", "CONFIG_MODULES=y"] if not classic else ["CONFIG_MODULES=y", "CONFIG_X86_64_XEN=y" if bits == 64 else "CONFIG_X86_XEN=y"]
    lines += ["CONFIG_XEN=y"]
    lines += [f"CONFIG_{n}=y" for n in builtin] + [f"CONFIG_{n}=m" for n in module] + [f"# CONFIG_{n} is not set" for n in off]
    return "\n".join(lines) + "\n"


ALL = ["VIRTIO_BLK", "SCSI_VIRTIO", "VIRTIO_PCI", "VIRTIO_NET", "VIRTIO_CONSOLE", "SATA_AHCI", "ATA_PIIX", "BLK_DEV_SD", "XEN_BLKDEV_FRONTEND", "XEN_NETDEV_FRONTEND"]


def configured(version, bits=64, builtin=(), off=()):
    return config(version, bits, builtin, [n for n in ALL if n not in builtin and n not in off], off)


def installed(version, drivers, suffix=".ko", top="lib", builtin=()):
    """/lib/modules of a kernel: empty files and the lists that depmod makes."""
    base = f"{top}/modules/{version}"
    tree = {f"{base}/kernel/drivers/{d}{suffix}": "" for d in drivers}
    tree[f"{base}/modules.dep"] = "".join(f"kernel/drivers/{d}{suffix}:\n" for d in drivers)
    tree[f"{base}/modules.builtin"] = "".join(f"kernel/drivers/{d}.ko\n" for d in builtin)
    return tree


DRIVERS = [*VIRTIO, *BIOS_DISKS, *XEN]

# --- what several have ---

INITTAB = """\
# /etc/inittab: init(8) configuration.
id:2:initdefault:
si::sysinit:/etc/init.d/rcS
~~:S:wait:/sbin/sulogin
l0:0:wait:/etc/init.d/rc 0
l2:2:wait:/etc/init.d/rc 2
l6:6:wait:/etc/init.d/rc 6
ca:12345:ctrlaltdel:/sbin/shutdown -t1 -a -r now
pf::powerwait:/etc/init.d/powerfail start
{gettys}"""

SECURETTY = "# /etc/securetty: list of terminals on which root is allowed to login.\nconsole\n\n# Xen\nhvc0\n\n# Standard consoles\ntty1\ntty2\ntty3\ntty4\n"
INTERFACES = """\
# The loopback network interface
auto lo
iface lo inet loopback

auto {nic}
iface {nic} inet static
\taddress 192.0.2.10
\tnetmask 255.255.255.0
\tgateway 192.0.2.1
"""
NET_RULES = """\
# This file was automatically generated by the /lib/udev/write_net_rules
# program, run by the persistent-net-generator.rules rules file.
#
# You can modify it, as long as you keep each rule on a single
# line, and change only the value of the NAME= key.

# Xen VIF device (vif)
SUBSYSTEM=="net", ACTION=="add", DRIVERS=="{driver}", ATTR{{address}}=="{mac}", ATTR{{dev_id}}=="0x0", ATTR{{type}}=="1", KERNEL=="eth*", NAME="eth0"
"""
SETUP_LINK = """\
SUBSYSTEM!="net", GOTO="net_setup_link_end"
IMPORT{{builtin}}="path_id"
IMPORT{{cmdline}}="net.ifnames"
{end}, GOTO="net_setup_link_end"
IMPORT{{builtin}}="net_setup_link"
NAME=="", ENV{{ID_NET_NAME}}!="", NAME="$env{{ID_NET_NAME}}"
LABEL="net_setup_link_end"
"""
LVM_CONF = """\
devices {
\tdir = "/dev"
\tscan = [ "/dev" ]
\tfilter = [ "a|^/dev/xvd.*|", "r|.*|" ]
}
"""


def debian_status(*packages, systemd):
    """`systemd`: the version of its packages."""
    versions = {"systemd": systemd, "systemd-sysv": systemd, "udev": systemd}
    return "".join(f"Package: {p}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {versions.get(p, '1')}\n\n" for p in packages)


def grub_mkconfig(title, kernels, root, default="0", dialect="linux", prefix="/boot", extra="console=hvc0", family="debian", early=""):
    """A grub.cfg as grub-mkconfig writes it: a simple entry, then a submenu of all. `kernels`: (version, file, initrd)."""

    def entry(depth, name, ident, kernel, initrd, more):
        tab = "\t" * depth
        return (
            f"{tab}menuentry '{name}' --class gnu-linux --class gnu --class os $menuentry_id_option '{ident}' {{\n"
            f"{tab}\tload_video\n{tab}\tinsmod gzio\n"
            f"{tab}\tif [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi\n"
            f"{tab}\tinsmod ext2\n{tab}\tset root='hd0'\n"
            f"{tab}\tif [ x$feature_platform_search_hint = xy ]; then\n"
            f"{tab}\t  search --no-floppy --fs-uuid --set=root  {UUID_ROOT}\n{tab}\telse\n"
            f"{tab}\t  search --no-floppy --fs-uuid --set=root {UUID_ROOT}\n{tab}\tfi\n"
            f"{tab}\techo\t'Loading Linux ...'\n"
            f"{tab}\t{dialect}\t{prefix}/{kernel} root={root} ro {more}\n"
            f"{tab}\techo\t'Loading initial ramdisk ...'\n"
            f"{tab}\t{dialect.replace('linux', 'initrd')}\t{early}{prefix}/{initrd}\n{tab}}}\n"
        )

    once = 'if [ "${next_entry}" ] ; then\n   set default="${next_entry}"\n   set next_entry=\n   save_env next_entry\n   set boot_once=true\nelse\n   set default="%s"\nfi\n'
    head = "#\n# DO NOT EDIT THIS FILE\n#\n# It is automatically generated by grub-mkconfig\n#\n\n### BEGIN /etc/grub.d/00_header ###\nif [ -s $prefix/grubenv ]; then\n  set have_grubenv=true\n  load_env\nfi\n"
    head += once % default + "\nif [ x\"${feature_menuentry_id}\" = xy ]; then\n  menuentry_id_option=\"--id\"\nelse\n  menuentry_id_option=\"\"\nfi\n\nexport menuentry_id_option\n"
    head += "function savedefault {\n  if [ -z \"${boot_once}\" ]; then\n    saved_entry=\"${chosen}\"\n    save_env saved_entry\n  fi\n}\nfunction load_video {\n  insmod all_video\n}\n"
    head += "set timeout=5\n### END /etc/grub.d/00_header ###\n\n### BEGIN /etc/grub.d/10_linux ###\n"
    body = ""
    if family == "redhat":
        for version, kernel, initrd in kernels:
            body += entry(0, f"{title.split(' ')[0]} Linux ({version}) 7 (Core)", f"gnulinux-{version}-advanced-{UUID_ROOT}", kernel, initrd, extra)
    else:
        version, kernel, initrd = kernels[0]
        body += entry(0, title, f"gnulinux-simple-{UUID_ROOT}", kernel, initrd, extra)
        body += f"submenu 'Advanced options for {title}' $menuentry_id_option 'gnulinux-advanced-{UUID_ROOT}' {{\n"
        for version, kernel, initrd in kernels:
            body += entry(1, f"{title}, with Linux {version}", f"gnulinux-{version}-advanced-{UUID_ROOT}", kernel, initrd, extra)
            body += entry(1, f"{title}, with Linux {version} (recovery mode)", f"gnulinux-{version}-recovery-{UUID_ROOT}", kernel, initrd, "single " + extra)
        body += "}\n"
    return head + body + "### END /etc/grub.d/10_linux ###\n\n### BEGIN /etc/grub.d/40_custom ###\n### END /etc/grub.d/40_custom ###\n"


def grubenv(**values):
    text = "# GRUB Environment Block\n" + "".join(f"{k}={v}\n" for k, v in values.items())
    return text + "#" * (1024 - len(text))


# --- Debian and Ubuntu ---


def debian6(grub2=False):
    version, old = "2.6.32-5-xen-amd64", "2.6.32-5-amd64"
    tree = {
        "etc/debian_version": "6.0.10\n",
        "etc/issue": "Debian GNU/Linux 6.0 \\n \\l\n\n",
        "etc/hostname": "squeeze\n",
        "etc/hosts": "127.0.0.1\tlocalhost\n192.0.2.10\tsqueeze.example.org squeeze\n",
        "etc/fstab": "# /etc/fstab: static file system information.\n#\n# <file system> <mount point>   <type>  <options>       <dump>  <pass>\nproc            /proc           proc    defaults        0       0\n/dev/xvda2      /               ext3    noatime,errors=remount-ro 0 1\n/dev/xvda1 none swap sw 0 0\n",
        "etc/inittab": INITTAB.format(gettys="1:2345:respawn:/sbin/getty 38400 hvc0\n#2:23:respawn:/sbin/getty 38400 tty2\n#T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100\n"),
        "etc/securetty": SECURETTY,
        "etc/kernel-img.conf": "do_symlinks = yes\nrelative_links = yes\ndo_bootloader = no\ndo_bootfloppy = no\ndo_initrd = yes\nlink_in_boot = no\npostinst_hook = update-grub\npostrm_hook   = update-grub\n",
        "etc/network/interfaces": INTERFACES.format(nic="eth0"),
        "etc/modules": "# /etc/modules: kernel modules to load at boot time.\n\nloop\nxennet\nxenblk\n",
        "etc/udev/rules.d/70-persistent-net.rules": NET_RULES.format(driver="vif", mac=MAC),
        "etc/initramfs-tools/initramfs.conf": "MODULES=most\nBUSYBOX=y\nKEYMAP=n\n",
        "etc/initramfs-tools/modules": "# List of modules that you want to include in your initramfs.\nxen-blkfront\n",
        "etc/initramfs-tools/conf.d/resume": "RESUME=/dev/xvda1\n",
        "etc/default/grub": 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="console=hvc0"\n',
        "sbin/init": File(b"\x7fELF", 0o755),
        "sbin/udevd": File(b"\x7fELF", 0o755),
        "lib/udev/rules.d/75-persistent-net-generator.rules": "# generator\n",
        "var/lib/dpkg/status": debian_status("sysvinit", "udev", "ifupdown", "initramfs-tools", systemd="164-3"),
        "vmlinuz": link(f"boot/vmlinuz-{version}"),
        "initrd.img": link(f"boot/initrd.img-{version}"),
        f"boot/vmlinuz-{version}": bzimage(version),
        f"boot/config-{version}": configured(version, off=["SCSI_VIRTIO"], builtin=["XEN_BLKDEV_FRONTEND"]),
        f"boot/initrd.img-{version}": debian_initrd(version, [d for d in DRIVERS if "virtio_scsi" not in d and "xen" not in d]),
        f"boot/System.map-{version}": "ffffffff81000000 T _text\n",
        f"boot/vmlinuz-{old}": bzimage(old),
        f"boot/config-{old}": configured(old, off=["SCSI_VIRTIO"]),
        f"boot/initrd.img-{old}": debian_initrd(old, XEN),
        "proc": folder(),
        "sys": folder(),
        "dev": folder(),
    }
    for v in (version, old):
        tree |= installed(v, [d for d in DRIVERS if "virtio_scsi" not in d])
        del tree[f"lib/modules/{v}/modules.builtin"]  # since Linux 2.6.33
    if grub2:
        tree["boot/grub/grub.cfg"] = grub_mkconfig("Debian GNU/Linux", [(v, f"vmlinuz-{v}", f"initrd.img-{v}") for v in (version, old)], "/dev/xvda2", extra="quiet console=hvc0")
        tree["boot/grub/grubenv"] = grubenv()
        return tree
    tree["boot/grub/menu.lst"] = (
        "# menu.lst - See: grub(8), info grub, update-grub(8)\ndefault\t\t0\ntimeout\t\t5\ncolor cyan/blue white/blue\n\n## ## Start Default Options ##\n## ## default kernel options\n# kopt=root=/dev/xvda2 ro console=hvc0\n## default grub root device\n# groot=(hd0,0)\n# defoptions=quiet\n## ## End Default Options ##\n\n"
        + "".join(
            f"title\t\tDebian GNU/Linux, kernel {v}{tag}\nroot\t\t(hd0,0)\nkernel\t\t/boot/vmlinuz-{v} root=/dev/xvda2 ro {opt}\ninitrd\t\t/boot/initrd.img-{v}\n\n"
            for v in (version, old)
            for tag, opt in (("", "console=hvc0 quiet"), (" (single-user mode)", "console=hvc0 single"))
        )
        + "### END DEBIAN AUTOMAGIC KERNELS LIST\n"
    )
    return tree


def debian8():
    version, old = "3.16.0-11-amd64", "3.16.0-4-amd64"
    tree = {
        "etc/debian_version": "8.11\n",
        "etc/os-release": link("../usr/lib/os-release"),
        "usr/lib/os-release": 'PRETTY_NAME="Debian GNU/Linux 8 (jessie)"\nNAME="Debian GNU/Linux"\nVERSION_ID="8"\nVERSION="8 (jessie)"\nID=debian\nHOME_URL="http://www.debian.org/"\n',
        "etc/hostname": "jessie\n",
        "etc/fstab": f"proc\t/proc\tproc\tdefaults\t0 0\n/dev/xvda2\t/\text4\tnoatime,nodiratime,errors=remount-ro\t0 1\n/dev/xvda1\tnone\tswap\tsw\t0 0\n/dev/vg0/data\t/srv\text4\tdefaults\t0 2\nUUID={UUID_BOOT} /mnt ext4 noauto 0 0\n",
        "etc/lvm/lvm.conf": LVM_CONF,
        "sbin/lvm": File(b"\x7fELF", 0o755),
        "etc/network/interfaces": INTERFACES.format(nic="eth0") + "\tpost-up  ethtool -K eth0 tx off\n",
        "etc/securetty": SECURETTY,
        "etc/systemd/system/getty.target.wants/getty@tty1.service": link("/lib/systemd/system/getty@.service"),
        "etc/systemd/system/getty.target.wants/serial-getty@hvc0.service": link("/lib/systemd/system/serial-getty@.service"),
        "lib/systemd/systemd": File(b"\x7fELF", 0o755),
        "lib/systemd/systemd-udevd": File(b"\x7fELF", 0o755),
        "lib/systemd/system/getty@.service": "[Service]\nExecStart=-/sbin/agetty --noclear %I $TERM\n",
        "lib/systemd/system/serial-getty@.service": "[Service]\nExecStart=-/sbin/agetty --keep-baud 115200,38400,9600 %I $TERM\n",
        "sbin/init": link("/lib/systemd/systemd"),
        "lib/udev/rules.d/80-net-setup-link.rules": SETUP_LINK.format(end='ENV{net.ifnames}!="1"'),
        "etc/udev/rules.d/70-persistent-net.rules": NET_RULES.format(driver="vif", mac=MAC),
        "etc/initramfs-tools/initramfs.conf": "MODULES=most\n",
        "etc/default/grub": 'GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT=""\nGRUB_CMDLINE_LINUX="console=hvc0"\n',
        "etc/kernel-img.conf": "do_symlinks = yes\ndo_bootloader = no\n",
        "usr/sbin/acpid": File(b"\x7fELF", 0o755),
        "var/lib/dpkg/status": debian_status("systemd", "systemd-sysv", "udev", "ifupdown", "lvm2", "grub-pc", "acpid", systemd="215-17+deb8u7"),
        "vmlinuz": link(f"boot/vmlinuz-{version}"),
        "initrd.img": link(f"/boot/initrd.img-{version}"),
        f"boot/vmlinuz-{version}": bzimage(version),
        f"boot/config-{version}": configured(version, builtin=[]),
        f"boot/initrd.img-{version}": debian_initrd(version, DRIVERS, pack=pack_xz, early=True),
        f"boot/vmlinuz-{old}": bzimage(old),
        f"boot/config-{old}": configured(old),
        f"boot/initrd.img-{old}": debian_initrd(old, XEN),
        "boot/grub/grub.cfg": grub_mkconfig("Debian GNU/Linux", [(v, f"vmlinuz-{v}", f"initrd.img-{v}") for v in (version, old)], "/dev/xvda2"),
        "boot/grub/grubenv": grubenv(),
    }
    for v in (version, old):
        tree |= installed(v, DRIVERS, builtin=["pci/pci-stub"])
    return tree


MERGED = {"bin": link("usr/bin"), "sbin": link("usr/sbin"), "lib": link("usr/lib"), "lib64": link("usr/lib64"), "usr/bin": folder(), "usr/lib64": folder()}


def systemd_usr(version):
    return {
        "etc/systemd/network": folder(),
        "etc/udev/rules.d": folder(),
        "usr/lib/systemd/systemd": File(b"\x7fELF", 0o755),
        **({f"usr/lib/systemd/libsystemd-shared-{version}.so": File(b"\x7fELF", 0o644)} if int(version) > 230 else {}),
        "usr/lib/udev/rules.d/80-net-setup-link.rules": SETUP_LINK.format(end='ENV{net.ifnames}=="0"'),
        "usr/bin/udevadm": File(b"\x7fELF", 0o755),
        "usr/lib/systemd/systemd-udevd": link("../../bin/udevadm"),
        "usr/lib/systemd/network/99-default.link": "[Match]\nOriginalName=*\n\n[Link]\nNamePolicy=keep kernel database onboard slot path\nAlternativeNamesPolicy=database onboard slot path\nMACAddressPolicy=persistent\n",
        "usr/lib/systemd/system/getty@.service": "[Service]\nExecStart=-/sbin/agetty -o '-p -- \\\\u' --noclear - $TERM\n",
        "usr/lib/systemd/system/serial-getty@.service": "[Service]\nExecStart=-/sbin/agetty -o '-p -- \\\\u' --keep-baud 115200,57600,38400,9600 - $TERM\n",
        "etc/systemd/system/getty.target.wants/getty@tty1.service": link("/usr/lib/systemd/system/getty@.service"),
    }


def debian12(nic="eth0", cmdline="console=hvc0"):
    version, old = "6.1.0-18-amd64", "6.1.0-9-amd64"
    return (
        MERGED
        | systemd_usr("252")
        | {
            "etc/debian_version": "12.5\n",
            "etc/os-release": link("../usr/lib/os-release"),
            "usr/lib/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nVERSION="12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n',
            "etc/hostname": "bookworm\n",
            "etc/machine-id": MACHINE_ID + "\n",
            "etc/fstab": f"# <file system> <mount point>   <type>  <options>       <dump>  <pass>\nUUID={UUID_ROOT} / ext4 errors=remount-ro 0 1\n/dev/xvda1 none swap sw 0 0\n/dev/xvdb1 /srv/data xfs defaults,nofail 0 2\n",
            "etc/crypttab": "# <target name>\t<source device>\t\t<key file>\t<options>\nsecret /dev/xvdc1 none luks\n",
            "etc/network/interfaces": f"source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\nallow-hotplug {nic}\niface {nic} inet dhcp\n",
            "etc/network/interfaces.d": folder(),
            "etc/initramfs-tools/initramfs.conf": "MODULES=most\nCOMPRESS=zstd\n",
            "etc/initramfs-tools/conf.d/resume": f"RESUME=UUID={UUID_SWAP}\n",
            "etc/default/grub": f'GRUB_DEFAULT=0\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_CMDLINE_LINUX="{cmdline}"\n',
            "usr/sbin/init": link("../lib/systemd/systemd"),
            "var/lib/dpkg/status": debian_status("systemd", "systemd-sysv", "udev", "ifupdown", "grub-pc", systemd="252.22-1~deb12u1"),
            "vmlinuz": link(f"boot/vmlinuz-{version}"),
            "initrd.img": link(f"boot/initrd.img-{version}"),
            f"boot/vmlinuz-{version}": bzimage(version, banner="debian-kernel@lists.debian.org"),
            f"boot/config-{version}": configured(version),
            f"boot/initrd.img-{version}": debian_initrd(version, DRIVERS, pack=pack_zstd, top="usr/lib", early=True),
            f"boot/vmlinuz-{old}": bzimage(old, banner="debian-kernel@lists.debian.org"),
            f"boot/config-{old}": configured(old),
            f"boot/initrd.img-{old}": debian_initrd(old, DRIVERS, pack=pack_zstd, top="usr/lib"),
            "boot/grub/grub.cfg": grub_mkconfig("Debian GNU/Linux", [(v, f"vmlinuz-{v}", f"initrd.img-{v}") for v in (version, old)], f"UUID={UUID_ROOT}", extra=cmdline + " quiet"),
            "boot/grub/grubenv": grubenv(),
        }
        | installed(version, DRIVERS, top="usr/lib", builtin=["pci/pci-stub"])
        | installed(old, DRIVERS, top="usr/lib", builtin=["pci/pci-stub"])
    )


def ubuntu2204():
    version = "5.15.0-101-generic"
    return (
        MERGED
        | systemd_usr("249")
        | {
            "etc/debian_version": "bookworm/sid\n",
            "etc/os-release": link("../usr/lib/os-release"),
            "usr/lib/os-release": 'PRETTY_NAME="Ubuntu 22.04.4 LTS"\nNAME="Ubuntu"\nVERSION_ID="22.04"\nVERSION="22.04.4 LTS (Jammy Jellyfish)"\nID=ubuntu\nID_LIKE=debian\n',
            "etc/lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=22.04\n",
            "etc/hostname": "jammy\n",
            "etc/fstab": f"UUID={UUID_ROOT} / ext4 defaults 0 1\nLABEL=BOOT /boot ext4 defaults 0 2\n/swap.img none swap sw 0 0\n",
            "etc/netplan/50-cloud-init.yaml": File(b"network:\n    version: 2\n    ethernets:\n        enX0:\n            dhcp4: true\n        enX1:\n            addresses: [192.0.2.11/24]\n            match:\n                macaddress: 00:16:3e:11:22:44\n", 0o600),
            "usr/sbin/netplan": link("../share/netplan/netplan.script"),
            "etc/default/grub": 'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT=""\nGRUB_CMDLINE_LINUX=""\n',
            "etc/default/grub.d/50-cloudimg-settings.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="console=tty1 console=hvc0"\n',
            "usr/sbin/init": link("../lib/systemd/systemd"),
            "var/lib/dpkg/status": debian_status("systemd", "udev", "netplan.io", "grub-pc", systemd="249.11-0ubuntu3.12"),
            "boot/vmlinuz": link(f"vmlinuz-{version}"),
            "boot/initrd.img": link(f"initrd.img-{version}"),
            f"boot/vmlinuz-{version}": bzimage(version, banner="buildd@lcy02-amd64-032"),
            f"boot/config-{version}": configured(version, builtin=["VIRTIO_BLK", "VIRTIO_PCI", "VIRTIO_CONSOLE", "BLK_DEV_SD", "ATA_PIIX", "XEN_BLKDEV_FRONTEND"]),
            f"boot/initrd.img-{version}": debian_initrd(version, ["scsi/virtio_scsi", "ata/ahci", "net/virtio_net"], pack=pack_lz4, top="usr/lib", early=True),
            "boot/grub/grub.cfg": grub_mkconfig("Ubuntu", [(version, f"vmlinuz-{version}", f"initrd.img-{version}")], f"UUID={UUID_ROOT}", extra="console=tty1 console=hvc0", prefix=""),
            "boot/grub/grubenv": grubenv(),
        }
        | installed(version, ["scsi/virtio_scsi", "ata/ahci", "net/virtio_net", "net/xen-netfront"], top="usr/lib", builtin=["block/virtio_blk", "virtio/virtio_pci", "char/virtio_console", "scsi/sd_mod", "ata/ata_piix", "block/xen-blkfront"])
    )


# --- RHEL and its relatives ---


def ifcfg(nic, mac=MAC, **more):
    values = {"DEVICE": nic, "ONBOOT": "yes", "BOOTPROTO": "static", "IPADDR": "192.0.2.10", "NETMASK": "255.255.255.0", "HWADDR": mac.upper(), **more}
    return "".join(f'{k}="{v}"\n' if " " in v else f"{k}={v}\n" for k, v in values.items())


def selinux(mode="enforcing"):
    return f"# This file controls the state of SELinux on the system.\n# SELINUX= can take one of these three values:\nSELINUX={mode}\nSELINUXTYPE=targeted\n"


def grub_conf(entries, root, prefix="", extra="console=hvc0", default=0, initrd="initramfs-{}.img"):
    text = f"# grub.conf generated by anaconda\n#\n# Note that you do not have to rerun grub after making changes to this file\n#boot=/dev/xvda\ndefault={default}\ntimeout=5\nsplashimage=(hd0,0){prefix}/grub/splash.xpm.gz\nhiddenmenu\n"
    return text + "".join(f"title {title} ({v})\n\troot (hd0,0)\n\tkernel {prefix}/vmlinuz-{v} ro root={root} {extra}\n\tinitrd {prefix}/{initrd.format(v)}\n" for title, v in entries)


def centos5():
    version, plain = "2.6.18-398.el5xen", "2.6.18-398.el5"
    xen = ["block/xenblk", "net/xennet"]
    names = ["lib/xenblk.ko", "lib/ext3.ko", "lib/jbd.ko"]
    return {
        "etc/redhat-release": "CentOS release 5.11 (Final)\n",
        "etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=tikanga\n",
        "etc/sysconfig/network-scripts/ifcfg-eth0": ifcfg("eth0"),
        "etc/sysconfig/network-scripts/ifcfg-lo": "DEVICE=lo\nIPADDR=127.0.0.1\n",
        "etc/fstab": "LABEL=/                 /                       ext3    defaults        1 1\ntmpfs                   /dev/shm                tmpfs   defaults        0 0\n/dev/xvda2         swap                    swap    defaults        0 0\n",
        "etc/inittab": INITTAB.format(gettys="co:2345:respawn:/sbin/agetty xvc0 9600 vt100-nav\n1:2345:respawn:/sbin/mingetty tty1\n").replace("/etc/init.d/rcS", "/etc/rc.d/rc.sysinit"),
        "etc/securetty": "console\ntty1\nxvc0\n",
        "etc/modprobe.conf": "alias eth0 xennet\nalias scsi_hostadapter xenblk\n",
        "etc/selinux/config": selinux("disabled"),
        "sbin/init": File(b"\x7fELF", 0o755),
        "sbin/udevd": File(b"\x7fELF", 0o755),
        f"boot/vmlinuz-{version}": xen_vmlinux(),
        f"boot/config-{version}": config(version, classic=True, module=["XEN_BLKDEV_FRONTEND"]),
        f"boot/initrd-{version}.img": pack_gzip(cpio(["init", "bin/nash", *names])),
        f"boot/vmlinuz-{plain}": bzimage(plain),
        f"boot/config-{plain}": config(plain, builtin=["ATA_PIIX"], module=["VIRTIO_BLK", "VIRTIO_PCI", "VIRTIO_NET", "SATA_AHCI", "BLK_DEV_SD"]).replace("CONFIG_XEN=y\n", ""),
        f"boot/initrd-{plain}.img": pack_gzip(cpio(["init", "bin/nash", "lib/virtio_blk.ko", "lib/virtio_pci.ko", "lib/virtio.ko", "lib/ext3.ko", "lib/sd_mod.ko"])),
        "boot/grub/grub.conf": grub_conf([("CentOS", version), ("CentOS", plain)], "LABEL=/", prefix="/boot", extra="console=xvc0", initrd="initrd-{}.img"),
        "boot/grub/menu.lst": link("./grub.conf"),
        "etc/grub.conf": link("../boot/grub/grub.conf"),
        "etc/sysconfig/grub": 'boot=/dev/xvda\nforcelba=0\n',
    } | {k: v for k, v in (installed(version, xen) | installed(plain, ["block/virtio_blk", "virtio/virtio_pci", "net/virtio_net", "scsi/sd_mod", "ata/ahci"])).items() if "modules.builtin" not in k}


def centos6():
    version, old = "2.6.32-754.35.1.el6.x86_64", "2.6.32-431.el6.x86_64"
    tree = {
        "etc/redhat-release": "CentOS release 6.10 (Final)\n",
        "etc/centos-release": "CentOS release 6.10 (Final)\n",
        "etc/system-release": link("centos-release"),
        "etc/sysconfig/network": "NETWORKING=yes\nHOSTNAME=santiago.example.org\n",
        "etc/sysconfig/network-scripts/ifcfg-eth0": ifcfg("eth0", NM_CONTROLLED="no", TYPE="Ethernet"),
        "etc/sysconfig/network-scripts/ifcfg-lo": "DEVICE=lo\nIPADDR=127.0.0.1\nONBOOT=yes\nNAME=loopback\n",
        "etc/udev/rules.d/70-persistent-net.rules": NET_RULES.format(driver="vif", mac=MAC),
        "etc/fstab": f"UUID={UUID_ROOT} /                       ext4    defaults        1 1\n/dev/xvda1 /boot ext4 defaults 1 2\n/dev/mapper/VolGroup-lv_swap swap                    swap    defaults        0 0\ntmpfs                   /dev/shm                tmpfs   defaults        0 0\n",
        "etc/lvm/lvm.conf": LVM_CONF,
        "sbin/lvm": File(b"\x7fELF", 0o755),
        "etc/inittab": "# inittab is only used by upstart for the default runlevel.\nid:3:initdefault:\n",
        "etc/init/rcS.conf": 'start on startup\nstop on runlevel\ntask\nexec /etc/rc.d/rc.sysinit\n',
        "etc/init/tty.conf": "stop on runlevel [S016]\nrespawn\ninstance $TTY\nexec /sbin/mingetty $TTY\n",
        "etc/init/serial.conf": "# Automatically start a configured serial console\nstart on fedora.serial-console-available DEV=* and stopped rc RUNLEVEL=[2345]\nstop on runlevel [S016]\ninstance $DEV\nrespawn\npre-start exec /sbin/securetty $DEV\nexec /sbin/agetty /dev/$DEV $SPEED vt100-nav\n",
        "etc/sysconfig/init": "BOOTUP=color\nACTIVE_CONSOLES=/dev/tty[1-6]\nSINGLE=/sbin/sushell\n",
        "etc/securetty": "console\nvc/1\ntty1\ntty2\nhvc0\n",
        "etc/modprobe.d/xen.conf": "alias eth0 xen-netfront\nalias scsi_hostadapter xen-blkfront\n",
        "etc/modprobe.d/dist.conf": "alias net-pf-0 off\n",
        "etc/dracut.conf": '# add_drivers+=""\n',
        "etc/selinux/config": selinux(),
        "sbin/init": File(b"\x7fELF upstart", 0o755),
        "sbin/initctl": File(b"\x7fELF", 0o755),
        "sbin/udevd": File(b"\x7fELF", 0o755),
        "usr/sbin/acpid": File(b"\x7fELF", 0o755),
        f"boot/vmlinuz-{version}": bzimage(version, banner="mockbuild@x86-01.bsys.centos.org"),
        f"boot/config-{version}": configured(version, builtin=["ATA_PIIX", "BLK_DEV_SD"], off=[]),
        f"boot/initramfs-{version}.img": dracut_initrd(version, [*VIRTIO[:5], "ata/ahci", *XEN], top="lib", early=False),
        f"boot/vmlinuz-{old}": bzimage(old),
        f"boot/config-{old}": configured(old, builtin=["ATA_PIIX", "BLK_DEV_SD"]),
        f"boot/initramfs-{old}.img": dracut_initrd(old, XEN, top="lib", early=False),
        "boot/grub/grub.conf": grub_conf([("CentOS", version), ("CentOS", old)], f"UUID={UUID_ROOT}", extra="rd_NO_LUKS LANG=en_US.UTF-8 rd_NO_MD console=hvc0 crashkernel=auto rd_LVM_LV=VolGroup/lv_swap rhgb quiet"),
        "boot/grub/menu.lst": link("./grub.conf"),
        "etc/grub.conf": link("../boot/grub/grub.conf"),
        "boot/boot": link("."),
    }
    for v in (version, old):
        tree |= installed(v, [*VIRTIO, "ata/ahci", *XEN])
        del tree[f"lib/modules/{v}/modules.builtin"]
        tree[f"lib/modules/{v}/modules.builtin"] = "kernel/drivers/ata/ata_piix.ko\nkernel/drivers/scsi/sd_mod.ko\n"
    return tree


def centos7():
    version, rescue = "3.10.0-1160.71.1.el7.x86_64", f"0-rescue-{MACHINE_ID}"
    older = "3.10.0-957.el7.x86_64"
    title = "CentOS Linux (3.10.0-1160.71.1.el7.x86_64) 7 (Core)"
    kernels = [(v, f"vmlinuz-{v}", f"initramfs-{v}.img") for v in (version, older, rescue)]
    return (
        MERGED
        | systemd_usr("219")
        | {
            "etc/os-release": link("../usr/lib/os-release"),
            "usr/lib/os-release": 'NAME="CentOS Linux"\nVERSION="7 (Core)"\nID="centos"\nID_LIKE="rhel fedora"\nVERSION_ID="7"\nPRETTY_NAME="CentOS Linux 7 (Core)"\n',
            "etc/centos-release": "CentOS Linux release 7.9.2009 (Core)\n",
            "etc/redhat-release": link("centos-release"),
            "etc/hostname": "maipo\n",
            "etc/fstab": f"UUID={UUID_ROOT} / xfs defaults 0 0\nUUID={UUID_BOOT} /boot xfs defaults 0 0\n/dev/xvda3 swap swap defaults 0 0\n",
            "etc/sysconfig/network-scripts/ifcfg-eth0": ifcfg("eth0", UUID="5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03", TYPE="Ethernet"),
            "etc/sysconfig/network-scripts/ifcfg-lo": "DEVICE=lo\n",
            "etc/selinux/config": selinux(),
            "etc/default/grub": 'GRUB_TIMEOUT=5\nGRUB_DEFAULT=saved\nGRUB_CMDLINE_LINUX="console=hvc0 crashkernel=auto"\n',
            "etc/dracut.conf": "",
            "etc/dracut.conf.d/xen.conf": 'add_drivers+=" xen-blkfront xen-netfront "\n',
            "usr/sbin/init": link("../lib/systemd/systemd"),
            "usr/sbin/lvm": File(b"\x7fELF", 0o755),
            "etc/lvm/lvm.conf": "devices {\n}\n",
            "etc/securetty": "console\ntty1\nhvc0\n",
            f"boot/vmlinuz-{version}": bzimage(version, banner="mockbuild@kbuilder.bsys.centos.org"),
            f"boot/config-{version}": configured(version, builtin=["XEN_BLKDEV_FRONTEND"]),
            f"boot/initramfs-{version}.img": dracut_initrd(version, XEN, suffix=".ko.xz"),
            f"boot/vmlinuz-{older}": bzimage(older),
            f"boot/config-{older}": configured(older, builtin=["XEN_BLKDEV_FRONTEND"]),
            f"boot/initramfs-{older}.img": dracut_initrd(older, XEN, suffix=".ko.xz"),
            f"boot/vmlinuz-{rescue}": bzimage(older),
            f"boot/initramfs-{rescue}.img": dracut_initrd(older, DRIVERS, suffix=".ko.xz"),
            "boot/grub2/grub.cfg": grub_mkconfig("CentOS Linux", kernels, f"UUID={UUID_ROOT}", default="${saved_entry}", dialect="linux16", prefix="", family="redhat", extra="console=hvc0 crashkernel=auto LANG=en_US.UTF-8"),
            "boot/grub2/grubenv": grubenv(saved_entry=title),
            "etc/grub2.cfg": link("../boot/grub2/grub.cfg"),
        }
        | installed(version, DRIVERS, suffix=".ko.xz", top="usr/lib", builtin=["pci/pci-stub"])
        | installed(older, DRIVERS, suffix=".ko.xz", top="usr/lib", builtin=["pci/pci-stub"])
    )


def bls(version, title, options="$kernelopts $tuned_params", initrd=None, prefix=""):
    return f"title {title}\nversion {version}\nlinux {prefix}/vmlinuz-{version}\ninitrd {prefix}/{initrd or f'initramfs-{version}.img'} $tuned_initrd\noptions {options}\ngrub_users $grub_users\ngrub_arg --unrestricted\ngrub_class rocky\n"


def rocky9():
    version, older, rescue = "5.14.0-362.24.1.el9_3.0.1.x86_64", "5.14.0-70.13.1.el9_0.x86_64", f"0-rescue-{MACHINE_ID}"
    options = f"root=UUID={UUID_ROOT} ro console=hvc0 crashkernel=1G-4G:192M,4G-64G:256M,64G-:512M resume=/dev/xvda3 net.ifnames=0"
    cfg = grub_mkconfig("Rocky Linux", [(version, "none", "none")], "none", default="${saved_entry}")
    cfg = cfg[: cfg.index("### BEGIN /etc/grub.d/10_linux")] + (
        "### BEGIN /etc/grub.d/10_linux ###\ninsmod part_gpt\ninsmod xfs\nset boot='hd0,gpt2'\n"
        f'if [ -z "${{kernelopts}}" ]; then\n  set kernelopts="root=UUID={UUID_ROOT} ro console=hvc0 "\nfi\n\ninsmod blscfg\nblscfg\n### END /etc/grub.d/10_linux ###\n'
    )
    entries = f"boot/loader/entries/{MACHINE_ID}"
    return (
        MERGED
        | systemd_usr("252")
        | {
            "etc/os-release": link("../usr/lib/os-release"),
            "usr/lib/os-release": 'NAME="Rocky Linux"\nVERSION="9.3 (Blue Onyx)"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.3"\nPRETTY_NAME="Rocky Linux 9.3 (Blue Onyx)"\n',
            "etc/rocky-release": "Rocky Linux release 9.3 (Blue Onyx)\n",
            "etc/redhat-release": link("rocky-release"),
            "etc/hostname": "onyx\n",
            "etc/machine-id": MACHINE_ID + "\n",
            "etc/fstab": f"UUID={UUID_ROOT} / xfs defaults 0 0\nUUID={UUID_BOOT} /boot xfs defaults 0 0\n/dev/xvda3 none swap defaults 0 0\n",
            "etc/NetworkManager/NetworkManager.conf": "[main]\n",
            "etc/NetworkManager/system-connections/eth0.nmconnection": File(b"[connection]\nid=eth0\nuuid=6a7a5f4e-3c0f-4f54-9c2a-0c3d2e1f0a99\ntype=ethernet\ninterface-name=eth0\n\n[ethernet]\nmac-address=00:16:3E:11:22:33\n\n[ipv4]\nmethod=auto\n", 0o600),
            "etc/sysconfig/network-scripts/readme-ifcfg-rh.txt": "NetworkManager stores new network profiles in keyfile format.\n",
            "usr/sbin/NetworkManager": File(b"\x7fELF", 0o755),
            "etc/selinux/config": selinux(),
            "etc/default/grub": 'GRUB_DEFAULT=saved\nGRUB_CMDLINE_LINUX="console=hvc0 resume=/dev/xvda3 net.ifnames=0"\nGRUB_ENABLE_BLSCFG=true\n',
            "etc/kernel/cmdline": options + "\n",
            "usr/sbin/init": link("../lib/systemd/systemd"),
            f"boot/vmlinuz-{version}": bzimage(version, banner="mockbuild@iad1-prod-build001.bld.equ.rockylinux.org"),
            f"boot/config-{version}": configured(version, off=[]),
            f"boot/initramfs-{version}.img": dracut_initrd(version, DRIVERS, pack=pack_zstd, suffix=".ko.xz"),
            f"boot/vmlinuz-{older}": bzimage(older),
            f"boot/config-{older}": configured(older),
            f"boot/initramfs-{older}.img": dracut_initrd(older, XEN, pack=pack_zstd, suffix=".ko.zst"),
            f"boot/vmlinuz-{rescue}": bzimage(older),
            f"boot/initramfs-{rescue}.img": dracut_initrd(older, DRIVERS, pack=pack_xz, suffix=".ko.xz"),
            f"{entries}-{version}.conf": bls(version, f"Rocky Linux ({version}) 9.3 (Blue Onyx)", options),
            f"{entries}-{older}.conf": bls(older, f"Rocky Linux ({older}) 9.0 (Blue Onyx)"),
            f"{entries}-0-rescue.conf": bls(rescue, f"Rocky Linux ({rescue}) 9.0 (Blue Onyx)"),
            "boot/grub2/grub.cfg": cfg,
            "boot/grub2/grubenv": grubenv(saved_entry=f"{MACHINE_ID}-{version}", kernelopts=options, boot_success="0"),
        }
        | installed(version, DRIVERS, suffix=".ko.xz", top="usr/lib", builtin=["pci/pci-stub"])
        | installed(older, DRIVERS, suffix=".ko.xz", top="usr/lib", builtin=["pci/pci-stub"])
    )


# --- SUSE ---


def sles11():
    version, xen = "3.0.101-108.7-default", "3.0.101-108.7-xen"
    return (
        {
            "etc/SuSE-release": "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n",
            "etc/HOSTNAME": "sles11.example.org\n",
            "etc/fstab": "/dev/xvda1           swap                 swap       defaults              0 0\n/dev/xvda2           /                    ext3       acl,user_xattr        1 1\nproc                 /proc                proc       defaults              0 0\n",
            "etc/inittab": INITTAB.format(gettys="1:2345:respawn:/sbin/mingetty --noclear tty1\n#S0:12345:respawn:/sbin/agetty -L 9600 ttyS0 vt102\nc1:2345:respawn:/sbin/agetty -L 115200 xvc0 linux\n").replace("id:2:", "id:3:").replace("/etc/init.d/rcS", "/etc/init.d/boot"),
            "etc/securetty": "tty1\ntty2\nxvc0\n",
            "etc/sysconfig/kernel": '## Type: string\nINITRD_MODULES="xenblk jbd ext3"\nDOMU_INITRD_MODULES="xennet xenblk"\nMODULES_LOADED_ON_BOOT=""\n',
            "etc/sysconfig/bootloader": '## Type: list\nLOADER_TYPE="grub"\nDEFAULT_APPEND="console=xvc0 splash=silent"\n',
            "etc/sysconfig/network/ifcfg-eth0": "BOOTPROTO='static'\nIPADDR='192.0.2.10/24'\nSTARTMODE='auto'\n",
            "etc/sysconfig/network/ifcfg-lo": "IPADDR=127.0.0.1\n",
            "etc/udev/rules.d/70-persistent-net.rules": NET_RULES.format(driver="?*", mac=MAC),
            "sbin/init": File(b"\x7fELF", 0o755),
            "sbin/udevd": File(b"\x7fELF", 0o755),
            f"boot/vmlinuz-{xen}": xen_vmlinux(),
            f"boot/config-{xen}": config(xen, classic=True, module=["XEN_BLKDEV_FRONTEND"]),
            f"boot/initrd-{xen}": pack_gzip(cpio(["init", "boot/83-mount.sh", *modules(xen, ["xen/blkfront/xenblk", "xen/netfront/xennet"])])),
            f"boot/vmlinuz-{version}": bzimage(version, banner="geeko@buildhost"),
            f"boot/config-{version}": configured(version, off=["XEN_BLKDEV_FRONTEND"]),
            f"boot/initrd-{version}": pack_gzip(cpio(["init", "boot/83-mount.sh", *modules(version, [*VIRTIO[:5], "scsi/sd_mod", "ata/ata_piix"])])),
            "boot/vmlinuz": link(f"vmlinuz-{xen}"),
            "boot/initrd": link(f"initrd-{xen}"),
            "boot/boot": link("."),
            "boot/grub/menu.lst": (
                "# Modified by YaST2. Last modification on Mon Jun  6 10:00:00 UTC 2016\ndefault 0\ntimeout 8\n##YaST - activate\n\n"
                f"###Don't change this comment - YaST2 identifier: Original name: xen###\ntitle Xen -- SUSE Linux Enterprise Server 11 SP4 - {version}\n    root (hd0,1)\n    kernel /boot/vmlinuz-{xen} root=/dev/xvda2 console=xvc0 splash=silent showopts\n    initrd /boot/initrd-{xen}\n\n"
                f"title SUSE Linux Enterprise Server 11 SP4 - {version}\n    root (hd0,1)\n    kernel /boot/vmlinuz-{version} root=/dev/xvda2 resume=/dev/xvda1 splash=silent showopts\n    initrd /boot/initrd-{version}\n\n"
                f"title Xen host\n    root (hd0,1)\n    kernel /boot/xen.gz dom0_mem=512M\n    module /boot/vmlinuz-{xen} root=/dev/xvda2 console=tty0\n    module /boot/initrd-{xen}\n"
            ),
        }
        | installed(version, [*VIRTIO, *BIOS_DISKS])
        | {f"lib/modules/{xen}/kernel/drivers/xen/blkfront/xenblk.ko": "", f"lib/modules/{xen}/modules.dep": ""}
    )


def leap15():
    version = "5.14.21-150500.55.52-default"
    return (
        MERGED
        | systemd_usr("249")
        | {
            "etc/os-release": link("../usr/lib/os-release"),
            "usr/lib/os-release": 'NAME="openSUSE Leap"\nVERSION="15.5"\nID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="15.5"\nPRETTY_NAME="openSUSE Leap 15.5"\n',
            "etc/hostname": "leap\n",
            "etc/fstab": f"UUID={UUID_ROOT}  /  btrfs  defaults  0  0\nUUID={UUID_ROOT}  /var  btrfs  subvol=/@/var  0  0\n/dev/xvda1  swap  swap  defaults  0  0\n",
            "etc/sysconfig/network/ifcfg-eth0": "BOOTPROTO='dhcp'\nSTARTMODE='auto'\nZONE=public\n",
            "etc/sysconfig/network/ifcfg-lo": "IPADDR=127.0.0.1\n",
            "etc/wicked/common.xml": "<config>\n</config>\n",
            "usr/sbin/wicked": File(b"\x7fELF", 0o755),
            "etc/udev/rules.d/70-persistent-net.rules": NET_RULES.format(driver="?*", mac=MAC),
            "etc/default/grub": 'GRUB_DISTRIBUTOR=\nGRUB_DEFAULT=saved\nGRUB_CMDLINE_LINUX_DEFAULT="console=hvc0 resume=/dev/xvda1 splash=silent"\nGRUB_CMDLINE_LINUX=""\n',
            "etc/dracut.conf.d/10-host.conf": 'hostonly="yes"\n',
            "etc/systemd/system/getty.target.wants/serial-getty@hvc0.service": link("/usr/lib/systemd/system/serial-getty@.service"),
            "etc/securetty": "tty1\nhvc0\n",
            "usr/sbin/init": link("../lib/systemd/systemd"),
            "boot/vmlinuz": link(f"vmlinuz-{version}"),
            "boot/initrd": link(f"initrd-{version}"),
            f"boot/vmlinuz-{version}": bzimage(version, banner="geeko@buildhost"),
            f"boot/config-{version}": configured(version),
            f"boot/initrd-{version}": dracut_initrd(version, [*VIRTIO, *XEN, "scsi/sd_mod"], pack=pack_zstd, suffix=".ko.zst", early=False),
            "boot/grub2/grub.cfg": grub_mkconfig("openSUSE Leap 15.5", [(version, f"vmlinuz-{version}", f"initrd-{version}")], f"UUID={UUID_ROOT}", default="${saved_entry}", extra="console=hvc0 resume=/dev/xvda1 splash=silent"),
            "boot/grub2/grubenv": grubenv(saved_entry="openSUSE Leap 15.5"),
        }
        | installed(version, DRIVERS, suffix=".ko.zst", top="usr/lib", builtin=["pci/pci-stub"])
    )


TREES = {
    "centos5": centos5,
    "centos6": centos6,
    "centos7": centos7,
    "debian6": debian6,
    "debian6-grub2": lambda: debian6(grub2=True),
    "debian8": debian8,
    "debian12": debian12,
    "debian12-enx0": lambda: debian12(nic="enX0", cmdline="console=hvc0"),
    "debian12-ifnames": lambda: debian12(cmdline="console=hvc0 net.ifnames=0 biosdevname=0"),
    "leap15": leap15,
    "rocky9": rocky9,
    "sles11": sles11,
    "ubuntu2204": ubuntu2204,
}


def build(name, where):
    """Writes the tree into the folder `where`, which is made, and returns it as a Path."""
    where = pathlib.Path(where)
    tree = TREES[name]()
    for path in sorted(tree):
        what, at = tree[path], where / path
        at.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(what, Folder):
            at.mkdir(exist_ok=True)
        elif isinstance(what, Link):
            at.symlink_to(what.target)
        else:
            if not isinstance(what, File):
                what = File(what.encode() if isinstance(what, str) else what)
            at.write_bytes(what.content)
            at.chmod(what.mode)
    return where


def main(argv):
    if argv == ["--list"]:
        print("\n".join(TREES))
        return 0
    if len(argv) != 2 or argv[0] not in TREES:
        print("usage: guest_trees.py --list | NAME FOLDER", file=sys.stderr)
        return 2
    if os.path.isdir(argv[1]):
        shutil.rmtree(argv[1])
    build(*argv)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
