#!/bin/sh
# Prepares a Linux guest, while it runs on Xen, for its life under KVM: drivers in the initramfs,
# a kernel and boot loader of its own, consoles, names that do not depend on Xen. `bridgectl domain
# prepare` sends it to `sh -s` in the guest; `bridgectl domain prepare --script` prints it.
#
#   prepare.sh [--dry-run] [--install] [--diff] [--undo]
#
# Every step looks first and changes only what is not so already; run twice, the second time does
# nothing. What is changed is noted before it is (undo-prepare.sh, below $STATE). Nothing is
# started, stopped or rebooted. Old systems are the point: POSIX only, no help but from sed, grep,
# awk and cksum.
#
# Standard output is one line per result, fields separated by tabs: RESULT STEP TEXT, where RESULT
# is already, done, would (--dry-run), missing (it needs a hand, or --install), failed, or note;
# diff (a line of a file's change, for the result that follows); and at last `end`.
# shellcheck disable=SC2034 # tools.sh uses more of the variables
set -eu
umask 022
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
DEBIAN_FRONTEND=noninteractive
export LC_ALL PATH DEBIAN_FRONTEND

BASE=/var/lib/bridgectl
STATE=$BASE/prepare.d
UNDO=$BASE/undo-prepare.sh
LOG=$STATE/log
DRIVERS="virtio_pci virtio_blk virtio_net virtio_scsi ahci"
WHAT="drivers for virtio and SATA in the initramfs"
CONSOLES="console=hvc0 console=ttyS0,115200n8"
MENU_LST=/boot/grub/menu.lst
TAB=$(printf '\t')

dry='' install='' diff='' mode=prepare

# tools.sh is here in what is sent.

# --- What this is ---

os_release() { # KEY
	sed -n "s/^$1=//p" /etc/os-release 2>/dev/null | sed "s/^[\"']//; s/[\"']\$//" | sed -n 1p
}

# family: debian, redhat, suse, or empty. major: the number before the point.
detect() {
	family='' id=$(os_release ID) version=$(os_release VERSION_ID)
	case " $id $(os_release ID_LIKE) " in
	*" debian "* | *" ubuntu "*) family=debian ;;
	*" rhel "* | *" fedora "* | *" centos "*) family=redhat ;;
	*" suse "* | *" sles "* | *" opensuse "*) family=suse ;;
	esac
	if [ -z "$family" ] && [ -z "$id" ]; then
		detect_old
	fi
	major=$(printf '%s' "$version" | sed 's/[^0-9].*//')
	major=${major:-0}
	detect_init
	machine=$(uname -m)
	# A PV guest of Xen has no BIOS that could tell its name.
	pv=''
	[ -e /sys/class/dmi/id/product_name ] || pv=1
}

detect_old() {
	if [ -f /etc/lsb-release ] && grep -q '^DISTRIB_ID=Ubuntu' /etc/lsb-release; then
		family=debian id=ubuntu
		version=$(sed -n 's/^DISTRIB_RELEASE=//p' /etc/lsb-release)
	elif [ -f /etc/debian_version ]; then
		family=debian id=debian version=$(cat /etc/debian_version)
	elif [ -f /etc/SuSE-release ]; then
		family=suse id=suse version=$(sed -n 's/^VERSION *= *//p' /etc/SuSE-release)
	elif [ -f /etc/redhat-release ]; then
		family=redhat
		id=$(sed 's/ .*//' /etc/redhat-release | tr '[:upper:]' '[:lower:]')
		version=$(sed -n 's/.* release \([0-9.]*\).*/\1/p' /etc/redhat-release)
	fi
}

detect_init() {
	init=unknown
	case $(readlink -f /sbin/init 2>/dev/null) in
	*/systemd) init=systemd ;;
	*)
		if [ -e /etc/init/rc-sysinit.conf ] || [ -e /etc/init/rcS.conf ]; then
			init=upstart
		elif [ -f /etc/inittab ]; then
			init=sysv
		fi
		;;
	esac
}

# --- Steps ---

# What undo needs goes there first; without it nothing can be changed.
can_note() {
	[ -z "$dry" ] || return 0
	made=''
	[ -d "$BASE" ] || made=1
	noted=''
	if mkdir -p "$BASE" 2>/dev/null && undo_script 2>/dev/null >"$BASE/room"; then
		noted=1
	fi
	rm -f "$BASE/room" 2>/dev/null || :
	[ -z "$made" ] || rmdir "$BASE" 2>/dev/null || :
	[ -n "$noted" ]
}

step_system() {
	begin system
	if [ -z "$family" ]; then
		add failed "${id:-this} is no Debian, Ubuntu, Red Hat or SUSE; nothing was touched"
		end ''
		return 1
	fi
	if ! can_note; then
		add failed "cannot write to $BASE (full, or read-only?); nothing was touched"
		end ''
		return 1
	fi
	end "$id ${version:-of unknown version}, init is $init"
}

uses_lvm() {
	grep -qs '^[^#]*/dev/mapper/[^ ]*-' /etc/fstab /proc/mounts &&
		{ [ -d /etc/lvm/backup ] || has lvm; }
}

# Debian's acpid needs to be told what the power button means.
step_packages() {
	begin packages
	if [ "$family" = debian ]; then
		need_package "naming of devices" udev || :
	fi
	! uses_lvm || need_package "its volumes" lvm2 || :
	case $family-$init in
	debian-systemd)
		# Who hears of the button is logind, which does not start without a bus.
		has dbus-broker || need_package "the power button" dbus || :
		;;
	*-systemd) ;;
	debian-sysv)
		if [ "$id" = debian ] && [ "$major" -ge 5 ]; then
			need_package "the power button" acpid acpi-support-base || :
		else
			need_package "the power button" acpid || :
		fi
		;;
	*) need_package "the power button" acpid || :
	esac
	end "udev, the power button and what its disks need are there"
}

step_kernel_img() {
	[ "$family" = debian ] || return 0
	begin kernel-img.conf
	conf=/etc/kernel-img.conf
	if [ ! -f $conf ] && { [ "$id" != debian ] || [ "$major" -gt 5 ]; }; then
		:
	elif ! grep -qs '^[[:space:]]*do_initrd[[:space:]]*=[[:space:]]*[Yy]es' $conf; then
		draft $conf
		sed '/^[[:space:]]*do_initrd[[:space:]]*=/d' "$tmp" >"$tmp.2"
		echo "do_initrd = yes" >>"$tmp.2"
		change $conf "kernels get an initramfs" <"$tmp.2" || :
	fi
	end "kernels get an initramfs"
}

kernels() {
	for image in /boot/vmlinuz-* /boot/vmlinux-*; do
		case $image in
		*\** | *rescue* | *.old | *.gz) ;;
		*) echo "${image#/boot/vmlinu?-}" ;;
		esac
	done | sort -u
}

# Kernels that Xen's own patches were put on do not start on anything else.
is_xen_only() { # VERSION
	if [ -r "/boot/config-$1" ]; then
		grep -q -e '^CONFIG_X86_XEN=y' -e '^CONFIG_X86_64_XEN=y' "/boot/config-$1"
	else
		case $1 in
		*xen | *-xen[0U] | *-xen-*) true ;;
		*) false ;;
		esac
	fi
}

has_module() { # VERSION MODULE
	find "/lib/modules/$1" -name "$2.ko*" 2>/dev/null | grep -q . ||
		grep -qs "/$2\.ko" "/lib/modules/$1/modules.builtin" ||
		grep -qsi "^CONFIG_$2=y" "/boot/config-$1"
}

kernel_package() {
	case $family-$machine in
	debian-x86_64) kernel_arch=$(dpkg --print-architecture 2>/dev/null || echo amd64) ;;
	*) kernel_arch=i386 ;;
	esac
	case $family-$id in
	debian-ubuntu) echo linux-image-generic ;;
	debian-*)
		# Of 32 bits, those that Xen can start, too.
		if [ "$kernel_arch" = amd64 ]; then
			echo linux-image-amd64
		elif [ "$major" -ge 7 ]; then
			echo linux-image-686-pae
		elif [ "$major" -eq 6 ]; then
			echo linux-image-686-bigmem
		else
			echo linux-image-686
		fi
		;;
	redhat-*) echo kernel ;;
	suse-*) echo kernel-default ;;
	esac
}

step_kernel() {
	begin kernel
	good='' bad=''
	for kernel in $(kernels); do
		if is_xen_only "$kernel"; then
			bad="$bad${bad:+ }$kernel"
		elif has_module "$kernel" virtio_blk && has_module "$kernel" virtio_pci; then
			good="$good${good:+ }$kernel"
		fi
	done
	if [ -n "$good" ]; then
		end "$good: starts without Xen, with drivers for virtio"
		return 0
	fi
	[ -z "$bad" ] || add note "$bad starts on Xen only"
	[ -z "$install" ] || coming=1
	if need_package "a kernel for KVM" "$(kernel_package)" && [ "$result" != 'done' ]; then
		add missing "no kernel in /boot has drivers for virtio"
	elif [ "$result" = 'done' ] && [ -n "$bad" ]; then
		add note "look at the boot menu before a restart on Xen: its default may be new"
	fi
	end ''
}

# KEY="VALUE" of a file of shell variables, at its place or at the end.
set_variable() { # KEY VALUE <OLD
	key=$1 value=$(printf '%s' "$2" | sed 's/[\\"$`]/\\&/g') awk '
		BEGIN { line = ENVIRON["key"] "=\"" ENVIRON["value"] "\"" }
		index($0, ENVIRON["key"] "=") == 1 { if (!found) print line; found = 1; next }
		{ print }
		END { if (!found) print line }'
}

with_consoles() { # WORDS
	words=$1
	consoles=$CONSOLES
	[ -n "$pv" ] || consoles="console=tty0 $CONSOLES"
	for word in $consoles; do
		case " $words " in
		*" $word "* | *" ${word%%,*} "* | *" ${word%%,*},"*) ;;
		*) words="$words${words:+ }$word" ;;
		esac
	done
	printf '%s' "$words"
}

grub_defaults() {
	# As grub-mkconfig reads it.
	old=$(sh -c '. /etc/default/grub >/dev/null 2>&1; printf %s "${GRUB_CMDLINE_LINUX:-}"' || :)
	set_variable GRUB_CMDLINE_LINUX "$(with_consoles "$old")" </etc/default/grub |
		set_variable GRUB_TERMINAL "serial console" |
		set_variable GRUB_SERIAL_COMMAND "serial --speed=115200 --unit=0" >"$tmp" || {
		add failed "cannot write $tmp"
		return 1
	}
	change /etc/default/grub "kernel and boot menu use ttyS0" <"$tmp"
}

menu_file() {
	for f in $MENU_LST /boot/grub/grub.conf /boot/grub2/grub.cfg /boot/grub/grub.cfg; do
		if [ -f "$f" ]; then
			echo "$f"
			return 0
		fi
	done
}

# The disk in the making gets its boot record elsewhere: no device is written to here. And the menu
# that pygrub reads until then stays: on old Debian the package would have it start a file of GRUB
# 2, which Xen cannot.
preseed_grub() {
	[ "$family" = debian ] && [ -n "$install" ] && [ -z "$dry" ] || return 0
	! is_installed grub-pc || return 0
	start_changes || return 0
	[ ! -f $MENU_LST ] || keep $MENU_LST || return 0
	printf '%s\n' "grub-pc grub-pc/install_devices multiselect " \
		"grub-pc grub-pc/install_devices_empty boolean true" \
		"grub-pc grub-pc/chainload_from_menu.lst boolean false" \
		"grub-pc grub2/linux_cmdline string " |
		debconf-set-selections >>"$LOG" 2>&1 || :
}

same_menu() {
	kept=$STATE/files$MENU_LST
	if [ -n "$dry" ] || [ ! -f "$kept" ] || cmp -s "$kept" $MENU_LST; then
		return 0
	fi
	cp -p "$kept" $MENU_LST
	add note "$MENU_LST was changed by the package and has its old content again"
}

# On Xen there may be no disk that GRUB knows, only partitions: then its menu has to wait.
make_menu() { # COMMAND FILE
	if [ -z "$dry" ] && ! keep "$2"; then
		add failed "cannot keep what $2 is now, so it was not touched"
		return 0
	fi
	before=$result
	result=already
	rebuild menu "$1"
	if [ "$result" = failed ] && [ -n "$(menu_file)" ]; then
		result=note
		add note "the menu that is there serves until then"
	fi
	[ "$(rank "$before")" -le "$(rank "$result")" ] || result=$before
	[ -n "$dry" ] || [ ! -f "$2" ] || note_sum "$2"
}

grubby_args() {
	grubby --info=ALL 2>/dev/null </dev/null | sed -n 's/^args="\(.*\)"$/\1/p'
}

# The files that grubby may write to.
grubby_files() {
	for entry in /boot/loader/entries/*.conf /boot/grub/grub.conf /boot/grub2/grub.cfg \
		/boot/grub2/grubenv; do
		[ ! -f "$entry" ] || readlink -f "$entry"
	done | sort -u
}

grubby_consoles() {
	has grubby || return 0
	if ! grubby_args | grep -qv 'console=ttyS0'; then
		return 0
	fi
	args=$(with_consoles "$(grubby_args | sed -n 1p)" | tr ' ' '\n' |
		grep -e '^console=tty0$' -e '^console=hvc0' -e '^console=ttyS0' | tr '\n' ' ')
	if [ -n "$dry" ]; then
		add would "run grubby --update-kernel=ALL --args='${args% }'"
		return 0
	fi
	for entry in $(grubby_files); do
		keep "$entry" || {
			add failed "cannot keep what $entry is now, so it was not touched"
			return 0
		}
	done
	if quietly grubby --update-kernel=ALL "--args=${args% }"; then
		add 'done' "kernels use ttyS0"
	else
		add failed "grubby failed: $(last_words)"
	fi
	for entry in $(grubby_files); do
		note_sum "$entry"
	done
}

step_bootloader() {
	begin bootloader
	case $family-$major in
	debian-*)
		preseed_grub
		if need_package "starting without Xen" grub-pc && [ "$result" = 'done' ]; then
			same_menu
		fi
		command=update-grub menu=/boot/grub/grub.cfg
		;;
	redhat-[456])
		need_package "starting without Xen" grub || :
		command='' menu=''
		;;
	redhat-*)
		need_package "starting without Xen" grub2-pc grub2-tools || :
		command='grub2-mkconfig -o /boot/grub2/grub.cfg' menu=/boot/grub2/grub.cfg
		;;
	suse-*)
		command='grub2-mkconfig -o /boot/grub2/grub.cfg' menu=/boot/grub2/grub.cfg
		if [ "$major" -lt 12 ] && ! has grub2-mkconfig; then
			command=''
			need_package "starting without Xen" grub || :
		else
			need_package "starting without Xen" grub2 grub2-i386-pc || :
		fi
		;;
	esac
	if [ -n "$command" ] && has "${command%% *}" && [ -f /etc/default/grub ]; then
		if grub_defaults || is_pending menu || [ ! -f "$menu" ]; then
			make_menu "$command" "$menu"
		fi
	fi
	[ "$family" != redhat ] || grubby_consoles
	[ -n "$command" ] || add note "its menu is of old GRUB; domain fixup gives it a console"
	end "GRUB is there and uses ttyS0"
}

# --- Disks by UUID ---

uuid_of() { # DEVICE
	uuid=$(blkid -s UUID -o value "$1" 2>/dev/null | sed -n 1p) || uuid=''
	case $uuid in
	'' | *[!0-9A-Za-z-]*) return 1 ;;
	esac
	# A copy of a volume has the UUID of the original.
	[ "$(blkid 2>/dev/null | grep -c "[[:space:]]UUID=\"$uuid\"")" -le 1 ]
}

# /dev/xvda1 and its like, wherever a line that is no comment has them, but for drives.
names_in() { # FILE
	sed -e '/^[[:space:]]*#/d' -e '/[[:space:]]\(iso9660\|udf\)/d' "$1" |
		awk '{
			for (i = 1; i <= NF; i++) {
				sub(/^RESUME=/, "", $i)
				if ($i ~ /^\/dev\/(xvd[a-z]+|sd[a-z]+|hd[a-z])[0-9]*$/)
					print $i
			}
		}' | sort -u
}

by_uuid() { # FILE
	[ -f "$1" ] || return 0
	cat "$1" >"$tmp"
	for name in $(names_in "$1"); do
		if uuid_of "$name"; then
			sed -e '/^[[:space:]]*#/b' -e "s|$name\$|UUID=$uuid|" \
				-e "s|$name\\([[:space:]]\\)|UUID=$uuid\\1|" "$tmp" >"$tmp.2"
			mv -f "$tmp.2" "$tmp"
		elif [ -e "$name" ]; then
			add missing "$1: $name has no UUID of its own and will have another name"
		else
			add note "$1: there is no $name"
		fi
	done
	if change "$1" "$1 names its disks by UUID" <"$tmp" && [ -z "$dry" ]; then
		case $1 in
		*/resume | */crypttab) : >"$STATE/pending-initramfs" ;; # it has a copy
		esac
	fi
}

step_disks() {
	begin disks
	by_uuid /etc/fstab
	by_uuid /etc/crypttab
	by_uuid /etc/initramfs-tools/conf.d/resume
	end "no file names disks as Xen does"
}

# --- Consoles ---

getty_line() { # ID CONSOLE
	if [ -x /sbin/agetty ] && [ "$family" != debian ]; then
		echo "$1:2345:respawn:/sbin/agetty -L 115200 $2 vt102"
	else
		echo "$1:2345:respawn:/sbin/getty -L $2 115200 vt100"
	fi
}

inittab() {
	draft /etc/inittab
	for pair in S0:ttyS0 h0:hvc0; do
		console=${pair#*:}
		grep -q "^[^#]*getty.*[[:space:]/]$console\\([[:space:]]\\|\$\\)" "$tmp" && continue
		key=${pair%:*}
		! grep -q "^$key:" "$tmp" || key=b${key#?}
		getty_line "$key" "$console" >>"$tmp"
	done
	change /etc/inittab "login on ttyS0 and hvc0 (inittab)" <"$tmp" || :
}

upstart_job() { # CONSOLE
	! grep -qs "getty.*[[:space:]]$1\\([[:space:]]\\|\$\\)" /etc/init/*.conf || return 0
	getty=/sbin/getty
	[ "$family" = debian ] || getty=/sbin/agetty
	cat >"$tmp" <<EOF
# $1 - getty, by bridgectl domain prepare
start on stopped rc RUNLEVEL=[2345]
stop on runlevel [!2345]
respawn
exec $getty -L 115200 $1 vt102
EOF
	change "/etc/init/$1.conf" "login on $1" <"$tmp" || :
}

serial_getty() { # CONSOLE
	wants=/etc/systemd/system/getty.target.wants
	for unit in /lib/systemd/system /usr/lib/systemd/system; do
		[ -e "$unit/serial-getty@.service" ] || continue
		make_link "$unit/serial-getty@.service" "$wants/serial-getty@$1.service" \
			"login on $1"
		return 0
	done
	add missing "systemd has no serial-getty@.service"
}

step_consoles() {
	begin consoles
	case $init in
	systemd)
		serial_getty ttyS0
		serial_getty hvc0
		;;
	upstart)
		upstart_job ttyS0
		upstart_job hvc0
		;;
	sysv) inittab ;;
	*) add missing "its init is not known: a getty on ttyS0 and hvc0 is up to you" ;;
	esac
	if [ -f /etc/securetty ]; then
		draft /etc/securetty
		for console in hvc0 ttyS0; do
			grep -qx "$console" "$tmp" || echo "$console" >>"$tmp"
		done
		change /etc/securetty "root may log in there (securetty)" <"$tmp" || :
	fi
	end "login on ttyS0 and hvc0"
}

# --- Network names ---

nics() {
	for d in /sys/class/net/*; do
		# Bridges and the like have no device, and the MAC of another.
		if [ -e "$d/device" ] && [ -r "$d/address" ]; then
			printf '%s %s\n' "${d##*/}" "$(tr '[:upper:]' '[:lower:]' <"$d/address")"
		fi
	done
}

link_file() { # NAME MAC
	! grep -qsi "^MACAddress=$2" /etc/systemd/network/*.link || return 0
	cat >"$tmp" <<EOF
# By bridgectl domain prepare: the name that it had on Xen.
[Match]
MACAddress=$2
Path=*pci-*

[Link]
Name=$1
EOF
	change "/etc/systemd/network/10-bridgectl-$1.link" "$1 keeps its name" <"$tmp" || :
}

RULES=/etc/udev/rules.d/70-persistent-net.rules

persistent_rules() {
	draft $RULES
	sed -e 's/DRIVERS\{0,1\}=="vif"/DRIVERS=="?*"/' \
		-e 's/DRIVERS\{0,1\}=="xen[-_a-z]*"/DRIVERS=="?*"/' "$tmp" >"$tmp.2"
	mv -f "$tmp.2" "$tmp"
	nics | while read -r name mac; do
		! grep -qi "^[^#]*=\"$mac\"" "$tmp" || continue
		printf 'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", '
		printf 'ATTR{address}=="%s", ' "$mac"
		printf 'ATTR{type}=="1", KERNEL=="eth*", NAME="%s"\n' "$name"
	done >"$tmp.2"
	cat "$tmp.2" >>"$tmp"
	if [ -f $RULES ] || [ -s "$tmp" ]; then
		change $RULES "interfaces keep their names (70-persistent-net.rules)" <"$tmp" || :
	fi
}

step_network() {
	begin network
	names=$(nics | sed 's/ .*//' | tr '\n' ' ')
	[ -n "$names" ] || add note "it has no network interfaces"
	if [ "$init" != systemd ] || [ -f $RULES ]; then
		persistent_rules
	else
		nics >"$tmp.nics"
		while read -r name mac; do
			link_file "$name" "$mac"
		done <"$tmp.nics"
		rm -f "$tmp.nics"
	fi
	end "${names% }: a MAC address each, and no driver, says which name"
}

# --- The initramfs, last: what it takes up is there now ---

# Those of DRIVERS that are modules of some kernel that is not Xen's alone.
modules() {
	for module in $DRIVERS; do
		for kernel in $(kernels); do
			is_xen_only "$kernel" && continue
			found=$(find "/lib/modules/$kernel" -name "$module.ko*" 2>/dev/null) || :
			[ -n "$found" ] || continue
			echo "$module"
			break
		done
	done
}

debian_initramfs() {
	conf=/etc/initramfs-tools/modules
	need_package "an initramfs" initramfs-tools || return 0
	draft $conf
	changed=''
	for module in $(modules); do
		grep -q "^$module\\([[:space:]]\\|\$\\)" "$tmp" || {
			echo "$module" >>"$tmp"
			changed=1
		}
	done
	if [ -n "$changed" ] && change $conf "$WHAT" <"$tmp"; then
		rebuild initramfs "update-initramfs -u -k all"
	elif is_pending initramfs; then
		rebuild initramfs "update-initramfs -u -k all"
	fi
}

# Old ones know no --regenerate-all.
dracut_commands() {
	if dracut --help </dev/null 2>/dev/null | grep -q regenerate-all; then
		echo "dracut -f --regenerate-all"
		return 0
	fi
	for kernel in $(kernels); do
		is_xen_only "$kernel" || echo "dracut -f /boot/initramfs-$kernel.img $kernel"
	done
}

dracut_initramfs() {
	conf=/etc/dracut.conf.d/bridgectl.conf
	drivers=$(modules | tr '\n' ' ')
	[ -n "$drivers" ] || return 0
	cat >"$tmp" <<EOF
# By bridgectl domain prepare: what disks are behind under KVM.
add_drivers+=" $drivers"
EOF
	if change $conf "$WHAT" <"$tmp" || is_pending initramfs; then
		rebuild initramfs "$(dracut_commands)"
	fi
}

suse_mkinitrd() {
	conf=/etc/sysconfig/kernel
	old=$(sed -n 's/^INITRD_MODULES="\(.*\)"$/\1/p' $conf | sed -n 1p)
	new=$old
	for module in $(modules); do
		case " $new " in
		*" $module "*) ;;
		*) new="$new${new:+ }$module" ;;
		esac
	done
	set_variable INITRD_MODULES "$new" <$conf >"$tmp"
	if change $conf "$WHAT" <"$tmp" || is_pending initramfs; then
		rebuild initramfs mkinitrd
	fi
}

step_initramfs() {
	begin initramfs
	if [ -z "$(kernels)" ] && [ -n "$dry" ] && [ -n "$coming" ]; then
		add would "make that of the new kernel"
	elif [ -z "$(kernels)" ]; then
		add missing "no kernel in /boot, so no initramfs"
	elif has dracut; then
		dracut_initramfs
	elif [ "$family" = debian ]; then
		debian_initramfs
	elif [ "$family" = suse ] && [ -f /etc/sysconfig/kernel ]; then
		suse_mkinitrd
	else
		add missing "put virtio_pci and virtio_blk into it: its tool is not known here"
	fi
	end "it has drivers for virtio and SATA"
}

# --- All of it ---

prepare() {
	detect
	step_system || return 0
	step_packages
	step_kernel_img
	step_kernel
	step_bootloader
	step_disks
	step_consoles
	step_network
	step_initramfs
}

undo() {
	begin undo
	if [ ! -f $UNDO ]; then
		end "nothing was changed by an earlier run"
	else
		set -- ${dry:+--dry-run} ${install:+--packages}
		rm -rf "$tmpdir"
		exec sh $UNDO "$@" </dev/null
	fi
}

main() {
	for word in "$@"; do
		case $word in
		--dry-run) dry=1 ;;
		--install) install=1 ;;
		--diff) diff=1 ;;
		--undo) mode=undo ;;
		*)
			echo "prepare.sh: what is $word?" >&2
			exit 2
			;;
		esac
	done
	if [ "$(id -u)" != 0 ]; then
		echo "prepare.sh: only root may do this" >&2
		exit 1
	fi
	refreshed='' held='' coming=''
	tmpdir=$(mktemp -d)
	tmp=$tmpdir/new
	trap 'release_services; rm -rf "$tmpdir"' EXIT
	trap 'exit 1' HUP INT TERM PIPE
	$mode
	printf 'end\t\t\n'
}

main "$@" </dev/null
