"""The recipe by hand: what administrators do without bridgectl to bring a Xen guest to KVM, as two scripts.

It is the kindest version that is honest. All that can be done before is done before: the disk with its
partition table, the swap's header, the kernel for outside, libvirt's definition. Nothing is looked up
or typed while the guest is off, nothing is compared afterwards, and what wants to be edited in the guest is
one line of sed. Only the bytes have to wait for the guest's end, because nobody knows what it writes meanwhile.
"""
import shlex
import uuid

PORT = 7001

# Run on the KVM host. $disk, $xen (ssh and the host), volumes $root, $data, $swap; sectors of the partitions.
PREPARE = r"""
set -eu
truncate -s "$size" "$disk"
sfdisk -q "$disk" <<TABLE
label: dos
start=$swap_start, size=$swap_sectors, type=82
start=$root_start, size=$root_sectors, type=83
start=$data_start, size=$data_sectors, type=83
TABLE
$xen head -c 4096 "$swap" | dd of="$disk" bs=512 seek="$swap_start" conv=notrunc status=none
for name in vmlinuz initrd.img; do
	$xen debugfs -R "\"cat /boot/$name-$version\"" "$root" >"$folder/$name" 2>/dev/null
done
"""

# One line each of what people write; how the bytes go. All of them leave zeros out (conv=sparse) where they come
# to. The first is the fastest.
WAYS = {
    "dd | nc": r"""
fetch() {
	nc -l -p "$port" </dev/null | dd of="$disk" bs=1M seek="$2" conv=notrunc,sparse status=none iflag=fullblock &
	$xen "until dd if=$1 bs=1M status=none | nc -N $here $port; do sleep 0.1; done"
	wait
}
""",
    "dd | gzip | ssh": r"""
fetch() { $xen "dd if=$1 bs=1M status=none | gzip -1" | gunzip | dd of="$disk" bs=1M seek="$2" conv=notrunc,sparse status=none iflag=fullblock; }
""",
}

STOP = "$xen xl shutdown -w $name"
FETCH = """
fetch "$root" $((root_start / 2048))
fetch "$data" $((data_start / 2048))
"""
EDIT = r"""
fs="$disk?offset=$((root_start * 512))"
debugfs -R "cat /etc/fstab" "$fs" 2>/dev/null | sed 's,/dev/xvda,/dev/vda,' >"$folder/fstab"
debugfs -w -f - "$fs" >/dev/null 2>&1 <<COMMANDS
rm /etc/fstab
write $folder/fstab /etc/fstab
COMMANDS
"""

XML = """
<domain type="qemu">
  <name>{name}</name>
  <memory unit="MiB">{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch="x86_64" machine="pc">hvm</type>
    <kernel>{folder}/vmlinuz</kernel>
    <initrd>{folder}/initrd.img</initrd>
    <cmdline>root=/dev/vda2 ro console=ttyS0 no_timer_check</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <disk type="file" device="disk">
      <driver name="qemu" type="raw"/><source file="{disk}"/><target dev="vda" bus="virtio"/>
    </disk>
    <interface type="bridge">
      <mac address="{mac}"/><source bridge="br-sv"/><model type="virtio"/>
    </interface>
    <serial type="pty"><target port="0"/></serial>
    <console type="pty"><target type="serial" port="0"/></console>
  </devices>
</domain>
"""
MIB = 2048  # sectors


class Hand:
    """Of `guest`, a DomU of three volumes (xvda1 swap, xvda2 root, xvda3 data)."""

    def __init__(self, site, guest, libvirtd, folder, steps, way="dd | nc"):
        self.site, self.guest, self.libvirtd, self.steps, self.way = site, guest, libvirtd, steps, way
        self.folder = folder
        folder.mkdir()
        self.name = f"{guest.name}-{uuid.uuid4().hex[:4]}"
        self.disk = folder / "disk.img"
        self.words = self._words()

    def _words(self):
        """The variables of the scripts."""
        xen = self.site.xen
        words = {"disk": self.disk, "folder": self.folder, "name": self.guest.name, "port": PORT,
                 "xen": shlex.join([*xen.ssh_words, xen.door]), "here": self.site.wan.address(self.site.kvm),
                 "version": self.guest.image.version}
        start = MIB
        for number, what in ((1, "swap"), (2, "root"), (3, "data")):
            path = self.guest.image.volumes[f"xvda{number}"]
            sectors = -(-path.stat().st_size // (MIB * 512)) * MIB
            words |= {what: self.guest.volumes[f"xvda{number}"], f"{what}_start": start, f"{what}_sectors": sectors}
            start += sectors
        return words | {"size": (start + MIB) * 512}

    def _run(self, script, timeout=900):
        variables = "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in self.words.items())
        # $xen is several words, as an alias would be.
        return self.site.kvm.run("bash", "-ec", variables + WAYS[self.way] + script, timeout=timeout).stdout

    def prepare(self):
        with self.steps.of("by hand: what can be done before"):
            self._run(PREPARE)
            self.libvirtd.define(XML.format(name=self.name, disk=self.disk, folder=self.folder, mac=self.guest.mac,
                                            memory=256))

    def move(self):
        """The guest is off from here on. Gives its serial port."""
        import guest_move
        with self.steps.of("xl shutdown -w"):
            self._run(STOP)
        with self.steps.of(f"the bytes, by {self.way}"):
            self._run(FETCH)
        with self.steps.of("sed on its fstab"):
            self._run(EDIT)
        with self.steps.of("virsh start"):
            self.libvirtd.virsh("start", self.name)
        return guest_move.Console(self.libvirtd.virsh("ttyconsole", self.name).stdout.strip())

    def remove(self):
        self.libvirtd.virsh("destroy", self.name, check=False)
        self.libvirtd.virsh("undefine", self.name, check=False)
        self.disk.unlink(missing_ok=True)
