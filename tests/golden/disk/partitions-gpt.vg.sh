#!/bin/sh
# The disks of guest web1, as bridgectl disk layout has planned them.
# Makes new volumes only, and stops at the first failure. Shut the guest down first:
# what is copied while it runs is of no use.
set -eu
umask 077
PATH=$PATH:/usr/sbin:/sbin

# --- web1-disk: vda, now xvda, 48M ---

disk=/dev/vg0/web1-disk
lvcreate --yes --wipesignatures y --addtag bridgectl --name web1-disk --size 50331648b vg0
blkdiscard --zeroout --offset 0 --length 2097152 "$disk"
blkdiscard --zeroout --offset 28315136 --length 1044992 "$disk"
blkdiscard --zeroout --offset 38797312 "$disk"
[ "$(blockdev --getss "$disk")" -eq 512 ] || {
	echo "$disk: not sectors of 512 bytes; use bridgectl disk create" >&2
	exit 1
}
sfdisk --quiet "$disk" <<'TABLE'
label: gpt
unit: sectors

4 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
1 : start=4096, size=10240, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F
2 : start=14336, size=43008, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
3 : start=57344, size=38912, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
TABLE

# partition 1
dd if=/tmp/l2t-DIRECTRY/swap.img of="$disk" bs=1M count=5242880 seek=2 \
	iflag=fullblock,count_bytes conv=notrunc,fsync status=progress
cmp --bytes=5242880 --ignore-initial=0:2097152 \
	/tmp/l2t-DIRECTRY/swap.img "$disk"

# partition 2
dd if=/tmp/l2t-DIRECTRY/root.img of="$disk" bs=1M count=20975104 seek=7 \
	iflag=fullblock,count_bytes conv=notrunc,fsync status=progress
cmp --bytes=20975104 --ignore-initial=0:7340032 \
	/tmp/l2t-DIRECTRY/root.img "$disk"

# partition 3
dd if=/tmp/l2t-DIRECTRY/data.img of="$disk" bs=1M count=9437184 seek=28 \
	iflag=fullblock,count_bytes conv=notrunc,fsync status=progress
cmp --bytes=9437184 --ignore-initial=0:29360128 \
	/tmp/l2t-DIRECTRY/data.img "$disk"
sfdisk --verify --quiet "$disk"
