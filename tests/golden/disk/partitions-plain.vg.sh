#!/bin/sh
# The disks of guest web1, as bridgectl disk layout has planned them.
# Makes new volumes only, and stops at the first failure. Shut the guest down first:
# what is copied while it runs is of no use.
set -eu
umask 077
PATH=$PATH:/usr/sbin:/sbin

# --- web1-disk: vda, now xvda, 37M ---

disk=/dev/vg0/web1-disk
lvcreate --yes --wipesignatures y --addtag bridgectl --name web1-disk --size 38797312b vg0
blkdiscard --zeroout --offset 0 --length 6291456 "$disk"
blkdiscard --zeroout --offset 27266560 --length 1044992 "$disk"
blkdiscard --zeroout --offset 37748736 "$disk"
[ "$(blockdev --getss "$disk")" -eq 512 ] || {
	echo "$disk: not sectors of 512 bytes; use bridgectl disk create" >&2
	exit 1
}
sfdisk --quiet "$disk" <<'TABLE'
label: dos
unit: sectors

1 : start=2048, size=10240, type=82
2 : start=12288, size=43008, type=83, bootable
3 : start=55296, size=18432, type=83
TABLE

# partition 1: new swap in place of /tmp/l2t-DIRECTRY/swap.img
# (mkswap warns of holes in a file: the volume has none)
swap=$(mktemp)
truncate --size=5242880 "$swap"
mkswap --pagesize 4096 --uuid 22222222-0001-4002-8003-0123456789ab --label swap0 "$swap"
dd if="$swap" of="$disk" bs=4096 count=1 seek=256 conv=notrunc,fsync status=none
rm -f "$swap"

# partition 2
dd if=/tmp/l2t-DIRECTRY/root.img of="$disk" bs=1M count=20975104 seek=6 \
	iflag=fullblock,count_bytes conv=notrunc,fsync status=progress
cmp --bytes=20975104 --ignore-initial=0:6291456 \
	/tmp/l2t-DIRECTRY/root.img "$disk"

# partition 3
dd if=/tmp/l2t-DIRECTRY/data.img of="$disk" bs=1M count=9437184 seek=27 \
	iflag=fullblock,count_bytes conv=notrunc,fsync status=progress
cmp --bytes=9437184 --ignore-initial=0:28311552 \
	/tmp/l2t-DIRECTRY/data.img "$disk"
sfdisk --verify --quiet "$disk"
