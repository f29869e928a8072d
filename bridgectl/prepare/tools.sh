#!/bin/sh
# What the steps of prepare.sh share: their results, files that are changed and can be changed back,
# other programs, packages. It is a part of that script, in whose middle it stands when it is sent.
# shellcheck disable=SC2034,SC2154 # variables of the one that the other uses

# undo_script() is here in what is sent: it prints undo.sh.

# --- Results ---

# One per step: the worst that was said of it, and all texts.
step='' result='' text=''

say() { # RESULT TEXT
	printf '%s\t%s\t%s\n' "$1" "$step" "$(printf '%s' "$2" | tr '\t\n' '  ')"
}

begin() {
	step=$1 result=already text=''
}

rank() {
	case $1 in
	failed) echo 4 ;;
	missing) echo 3 ;;
	done | would) echo 2 ;;
	note) echo 1 ;;
	*) echo 0 ;;
	esac
}

# That is how it stands with the step, among others.
add() { # RESULT TEXT
	if [ "$(rank "$1")" -gt "$(rank "$result")" ]; then
		result=$1
	fi
	text="$text${text:+; }$2"
}

end() { # TEXT, when there was nothing to say
	[ "$result" != note ] || result=already
	say "$result" "${text:-$1}"
}

has() {
	command -v "$1" >/dev/null 2>&1
}

# --- What can be undone ---

# A full disk may have taken the end of the line before.
note() { # LINE
	[ -z "$(tail -c 1 "$STATE/list" 2>/dev/null)" ] || echo >>"$STATE/list"
	printf '%s\n' "$1" >>"$STATE/list"
}

note_undo() { # LINE, once
	grep -qxF -e "$1" "$STATE/list" 2>/dev/null || note "$1"
}

# The folders above a path, each noted before it is made.
make_dirs() { # FOLDER
	[ ! -d "$1" ] || return 0
	make_dirs "$(dirname "$1")" && note_undo "dir$TAB$1" && mkdir "$1"
}

start_changes() {
	[ ! -f "$STATE/list" ] || return 0
	mkdir -p "$STATE/files" && chmod 700 "$STATE" && undo_script >"$UNDO" &&
		chmod 700 "$UNDO" && : >"$STATE/list"
}

# On the disk, as far as this system can tell. Old ones know no files here, and write all.
to_disk() { # FILE...
	sync "$@" 2>/dev/null || sync
}

# Keeps what is there now, once: the first time is what undo goes back to. A restart in between must
# not leave an empty file to go back to.
# Callers ask whether it went well, so `set -e` does not count in here.
keep() { # FILE
	start_changes || return 1
	if grep -qxF -e "file$TAB$1" -e "new$TAB$1" "$STATE/list"; then
		return 0
	elif [ -e "$1" ] || [ -L "$1" ]; then
		mkdir -p "$STATE/files$(dirname "$1")" && cp -pP "$1" "$STATE/files$1" &&
			to_disk "$STATE/files$1" && note_undo "file$TAB$1" && to_disk "$STATE/list"
	else
		make_dirs "$(dirname "$1")" && note_undo "new$TAB$1"
	fi
}

# What undo finds there if nobody has changed it after us.
note_sum() { # FILE [WHERE IT IS NOW]
	note "sum$TAB$1$TAB$(cksum <"${2:-$1}")"
}

# Lines are going to be added to it.
draft() { # FILE
	: >"$tmp"
	[ ! -f "$1" ] || cat "$1" >"$tmp"
	[ -z "$(tail -c 1 "$tmp")" ] || echo >>"$tmp"
}

# Standard input becomes the content of a file, with its owner and mode, never half of it. False:
# it is that already, or it cannot be changed.
change() { # FILE WHAT
	file=$(readlink -f "$1" 2>/dev/null || echo "$1")
	new=$(cat && echo .)
	new=${new%.}
	if [ -f "$file" ] && [ "$(cat "$file" && echo .)" = "$new." ]; then
		return 1
	elif [ -n "$dry" ]; then
		show_diff "$file" "$new"
		add would "$2"
		return 0
	fi
	if ! keep "$file"; then
		add failed "cannot keep what $file is now, so it was not touched"
		return 1
	fi
	rm -f "$file.bridgectl"
	[ ! -f "$file" ] || cp -p "$file" "$file.bridgectl" || :
	if printf '%s' "$new" >"$file.bridgectl" && note_sum "$file" "$file.bridgectl" &&
		mv -f "$file.bridgectl" "$file"; then
		! has restorecon || restorecon "$file" >/dev/null 2>&1 || :
		add 'done' "$2"
	else
		rm -f "$file.bridgectl"
		add failed "cannot write $file"
		return 1
	fi
}

show_diff() { # FILE NEW
	if [ -n "$diff" ] && has diff; then
		old=$1
		[ -e "$old" ] || old=/dev/null
		printf '%s' "$2" | diff -u "$old" - | sed "1s|^.*|--- $1|; 2s|^.*|+++ $1|" |
			while IFS= read -r line; do
				printf 'diff\t%s\t%s\n' "$step" "$line"
			done
	fi
}

# A file or link of ours that is not there yet.
make_link() { # TARGET LINK WHAT
	if [ -e "$2" ] || [ -L "$2" ]; then
		return 0
	elif [ -n "$dry" ]; then
		add would "$3"
		return 0
	fi
	if keep "$2" && ln -s "$1" "$2"; then
		add 'done' "$3"
	else
		add failed "cannot make $2"
	fi
}

# --- Other programs ---

quietly() {
	start_changes
	printf '\n# %s\n' "$*" >>"$LOG"
	"$@" </dev/null >>"$LOG" 2>&1
}

last_words() {
	tail -n 20 "$LOG" | grep -v '^ *$' | tail -n 1 | cut -c1-200
}

# What files are made from has changed: they are made anew, also if that failed the last time.
rebuild() { # TAG COMMANDS, one a line
	if [ -n "$dry" ]; then
		add would "run $(printf '%s' "$2" | tr '\n' ';' | sed 's/;/; /g')"
		return 0
	fi
	if ! start_changes || ! true >"$STATE/pending-$1"; then
		add failed "cannot write to $STATE"
		return 0
	fi
	while IFS= read -r line; do
		# Undo makes it anew, too. A menu has its old content kept.
		[ "$1" = menu ] || note_undo "run$TAB$line"
		if ! quietly sh -c "$line"; then
			add failed "$line failed: $(last_words); all that it said is in $LOG"
			return 0
		fi
	done <<EOF
$2
EOF
	rm -f "$STATE/pending-$1"
	add 'done' "$(printf '%s\n' "$2" | sed -n 1p) was run"
}

is_pending() {
	[ -e "$STATE/pending-$1" ]
}

# --- Packages ---

is_installed() {
	case $family in
	debian) dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null | grep -q ' installed$' ;;
	*) rpm -q "$1" >/dev/null 2>&1 ;;
	esac
}

installed_list() {
	case $family in
	debian) dpkg-query -W -f '${Status} ${Package}\n' | sed -n 's/^.* installed //p' | sort ;;
	*) rpm -qa --qf '%{NAME}-%{VERSION}-%{RELEASE}\n' | sort ;;
	esac
}

install_command() {
	case $family in
	debian)
		echo "apt-get -qy --no-install-recommends -oDpkg::Options::=--force-confold install"
		;;
	redhat) if has dnf; then echo "dnf -q -y install"; else echo "yum -q -y install"; fi ;;
	suse) echo "zypper --non-interactive install" ;;
	esac
}

# Programs that packages bring are not started: nothing of this is for now. 101: forbidden.
hold_services() {
	policy=/usr/sbin/policy-rc.d
	if [ "$family" = debian ] && [ ! -e $policy ] && keep $policy; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
		held=1
	fi
}

release_services() {
	[ -z "$held" ] || rm -f /usr/sbin/policy-rc.d
	held=''
}

refresh_lists() {
	[ -z "$refreshed" ] || return 0
	refreshed=1
	[ "$family" != debian ] || quietly apt-get -q update || :
}

# A package, when it is not there: installed, or said. False: it is not there now.
need_package() { # WHAT-FOR PACKAGE...
	what=$1
	shift
	wanted=''
	for package in "$@"; do
		is_installed "$package" || wanted="$wanted${wanted:+ }$package"
	done
	if [ -z "$wanted" ]; then
		return 0
	elif [ -z "$install" ]; then
		add missing "$what needs $wanted; --install installs it"
		return 1
	elif [ -n "$dry" ]; then
		add would "install $wanted"
		return 1
	fi
	install_packages
}

install_packages() {
	start_changes
	installed_list >"$STATE/before"
	refresh_lists
	hold_services
	ok=1
	# shellcheck disable=SC2046,SC2086 # words
	quietly $(install_command) $wanted || ok=''
	release_services
	installed_list >"$STATE/after"
	added=$(grep -vxF -f "$STATE/before" "$STATE/after" | tr '\n' ' ')
	gone=$(grep -vxF -f "$STATE/after" "$STATE/before" | tr '\n' ' ')
	rm -f "$STATE/before" "$STATE/after"
	[ -z "$added" ] || note_undo "pkg$TAB$family$TAB${added% }"
	if [ -z "$ok" ]; then
		add failed "cannot install $wanted: $(last_words); all that it said is in $LOG"
		return 1
	fi
	add 'done' "installed $wanted"
	[ -z "$gone" ] || add note "that removed ${gone% }"
}
