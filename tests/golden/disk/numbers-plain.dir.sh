#!/bin/sh
# The disks of guest web1, as bridgectl disk layout has planned them.
# Makes new volumes only, and stops at the first failure. Shut the guest down first:
# what is copied while it runs is of no use.
set -eu
umask 077
PATH=$PATH:/usr/sbin:/sbin

# --- web1-disk: vda, now sda, 15M ---

disk=/tmp/l2t-DIRECTRY/new/web1-disk.img
[ ! -e "$disk" ] || { echo "$disk exists already" >&2; exit 1; }
truncate --size=15728640 "$disk"
# The rest of a new file reads as zeros.
sfdisk --quiet "$disk" <<'TABLE'
label: gpt
unit: sectors

2 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
1 : start=4096, size=6144, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
5 : start=10240, size=16384, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
7 : start=26624, size=2048, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
TABLE

# partition 1
dd if=/tmp/l2t-DIRECTRY/boot.img of="$disk" bs=1M count=3145728 seek=2 \
	iflag=fullblock,count_bytes conv=notrunc,sparse,fsync status=progress
cmp --bytes=3145728 --ignore-initial=0:2097152 \
	/tmp/l2t-DIRECTRY/boot.img "$disk"

# partition 5
dd if="/tmp/l2t-DIRECTRY/o'brien \$(x) .img" of="$disk" bs=1M count=8388608 seek=5 \
	iflag=fullblock,count_bytes conv=notrunc,sparse,fsync status=progress
cmp --bytes=8388608 --ignore-initial=0:5242880 \
	"/tmp/l2t-DIRECTRY/o'brien \$(x) .img" "$disk"

# partition 7
dd if=/tmp/l2t-DIRECTRY/tiny.img of="$disk" bs=1M count=1 seek=13 \
	iflag=fullblock,count_bytes conv=notrunc,sparse,fsync status=progress
cmp --bytes=1 --ignore-initial=0:13631488 \
	/tmp/l2t-DIRECTRY/tiny.img "$disk"
sfdisk --verify --quiet "$disk"

# --- web1-disk-b: vdb, now sdb, 1M ---

disk=/tmp/l2t-DIRECTRY/new/web1-disk-b.img
[ ! -e "$disk" ] || { echo "$disk exists already" >&2; exit 1; }
truncate --size=1048576 "$disk"
# The rest of a new file reads as zeros.

# new swap in place of /tmp/l2t-DIRECTRY/swap.img
# (mkswap warns of holes in a file: the volume has none)
swap=$(mktemp)
truncate --size=1048576 "$swap"
mkswap --pagesize 8192 --uuid 66666666-0001-4002-8003-0123456789ab "$swap"
dd if="$swap" of="$disk" bs=8192 count=1 seek=0 conv=notrunc,fsync status=none
rm -f "$swap"
