#!/bin/sh
# Takes back what `bridgectl domain prepare` has changed here: files get their old content, what was
# added goes, what is made from them is made anew. Files that somebody has changed since are left
# as they are, and said. Packages stay, but with --packages.
#
#   undo-prepare.sh [--dry-run] [--packages]
#
# It reads prepare.d/list beside it, lines of fields separated by tabs: file PATH (its old content
# is in prepare.d/files), new PATH, dir PATH, sum PATH CKSUM (of what we wrote last), pkg FAMILY
# NAMES, run COMMAND. Results are written as prepare.sh writes them.
set -eu
LC_ALL=C
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
DEBIAN_FRONTEND=noninteractive
export LC_ALL PATH DEBIAN_FRONTEND

BASE=/var/lib/bridgectl
STATE=$BASE/prepare.d
MENU_LST=/boot/grub/menu.lst
TAB=$(printf '\t')

dry='' packages='' left=''

say() { # RESULT TEXT
	printf '%s\tundo\t%s\n' "$1" "$(printf '%s' "$2" | tr '\t\n' '  ')"
}

fields() { # KIND: what follows it, the last line first
	sed -n "s/^$1$TAB//p" "$STATE/list" |
		awk '{ line[NR] = $0 } END { for (i = NR; i > 0; i--) print line[i] }'
}

sum_of() { # FILE: what it had when we wrote it last
	awk -F "$TAB" -v path="$1" \
		'$1 == "sum" && $2 == path { s = $3 } END { print s }' "$STATE/list"
}

# Whether it is still what we wrote, or there is nothing.
is_ours() { # FILE
	[ -f "$1" ] || return 0
	sum=$(sum_of "$1")
	[ -n "$sum" ] && [ "$(cksum <"$1")" = "$sum" ]
}

restore() { # FILE
	if [ ! -L "$1" ] && cmp -s "$1" "$STATE/files$1"; then
		return 0
	elif ! is_ours "$1"; then
		left="$left $1"
		say missing "$1 was changed since, so it stays; its old content is $STATE/files$1"
	elif [ -n "$dry" ]; then
		say would "$1 gets its old content"
	elif cp -pP "$STATE/files$1" "$1.bridgectl" && mv -f "$1.bridgectl" "$1"; then
		! command -v restorecon >/dev/null 2>&1 || restorecon "$1" >/dev/null 2>&1 || :
		say 'done' "$1 has its old content"
	else
		left="$left $1"
		say failed "cannot restore $1 from $STATE/files$1"
	fi
}

remove() { # FILE
	if [ ! -e "$1" ] && [ ! -L "$1" ]; then
		return 0
	elif [ ! -L "$1" ] && ! is_ours "$1"; then
		left="$left $1"
		say missing "$1 was changed since, so it stays"
	elif [ -n "$dry" ]; then
		say would "$1 is removed"
	elif rm -f "$1"; then
		say 'done' "$1 is removed"
	else
		left="$left $1"
		say failed "cannot remove $1"
	fi
}

# The kernel that runs stays, whatever brought it. dpkg and rpm themselves remove nothing else: when
# another package needs one of these, they refuse.
remove_packages() { # FAMILY NAMES
	names=''
	for name in $2; do
		case $name in
		*"$(uname -r)"*) say note "$name stays: it is running" ;;
		*) names="$names${names:+ }$name" ;;
		esac
	done
	[ -n "$names" ] || return 0
	case $1 in
	debian) set -- dpkg --purge ;;
	*) set -- rpm -e ;;
	esac
	if [ -z "$packages" ]; then
		say note "these packages stay; \"$*\" removes them: $names"
	elif [ -n "$dry" ]; then
		say would "run $* $names"
	else
		run "$* $names"
	fi
}

run() { # COMMAND
	if ! command -v "${1%% *}" >/dev/null 2>&1; then
		say note "${1%% *} is gone, so it is not run"
	elif [ -n "$dry" ]; then
		say would "run $1"
	elif sh -c "$1" </dev/null >>"$STATE/log" 2>&1; then
		say 'done' "$1 was run"
	else
		left="$left command"
		say failed "$1 failed: $(tail -n 1 "$STATE/log" | cut -c1-200)"
	fi
}

each() { # FUNCTION KIND
	lines=$(fields "$2")
	[ -n "$lines" ] || return 0
	while IFS= read -r line <&3; do
		"$1" "$line"
	done 3<<EOF
$lines
EOF
}

forget_dir() { # FOLDER
	[ -n "$dry" ] || rmdir "$1" 2>/dev/null || :
}

split_packages() { # FAMILY-TAB-NAMES
	remove_packages "${1%%"$TAB"*}" "${1#*"$TAB"}"
}

main() {
	for word in "$@"; do
		case $word in
		--dry-run) dry=1 ;;
		--packages) packages=1 ;;
		*)
			echo "undo-prepare.sh: what is $word?" >&2
			exit 2
			;;
		esac
	done
	each restore file
	each remove new
	each split_packages pkg
	# GRUB 2 renames it when it goes.
	if [ ! -f $MENU_LST ] && grep -qxF "file$TAB$MENU_LST" "$STATE/list"; then
		restore $MENU_LST
	fi
	each run run
	each forget_dir dir
	if [ -z "$dry" ] && [ -z "$left" ]; then
		rm -rf "$STATE"
		rm -f "$BASE/undo-prepare.sh"
		rmdir "$BASE" 2>/dev/null || :
		say 'done' "all is as it was"
	elif [ -z "$dry" ]; then
		say note "the rest can be undone by hand, or by running this again: $STATE is kept"
	fi
	printf 'end\t\t\n'
}

main "$@" </dev/null
