#!/bin/sh
# The disks of guest web1, as bridgectl disk layout has planned them.
# Makes new volumes only, and stops at the first failure. Shut the guest down first:
# what is copied while it runs is of no use.
set -eu
umask 077
PATH=$PATH:/usr/sbin:/sbin

# --- web1-disk: vda, now xvda, 6M ---

disk=/dev/vg0/web1-disk
lvcreate --yes --wipesignatures y --addtag bridgectl --name web1-disk --size 6291456b vg0
[ "$(blockdev --getsize64 "$disk")" -eq 6291456 ] ||
	blkdiscard --zeroout --offset 6291456 "$disk"
dd if=/tmp/l2t-DIRECTRY/disk.img of="$disk" bs=1M count=6291456 seek=0 \
	iflag=fullblock,count_bytes conv=notrunc,fsync status=progress
cmp --bytes=6291456 --ignore-initial=0:0 \
	/tmp/l2t-DIRECTRY/disk.img "$disk"

# --- web1-disk-b: vdb, now xvdb, 1K ---

disk=/dev/vg0/web1-disk-b
lvcreate --yes --wipesignatures y --addtag bridgectl --name web1-disk-b --size 1024b vg0
blkdiscard --zeroout --offset 512 "$disk"
dd if=/tmp/l2t-DIRECTRY/odd.img of="$disk" bs=1M count=1000 seek=0 \
	iflag=fullblock,count_bytes conv=notrunc,fsync status=progress
cmp --bytes=1000 --ignore-initial=0:0 \
	/tmp/l2t-DIRECTRY/odd.img "$disk"
