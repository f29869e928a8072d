#!/bin/sh
# Makes configure and Makefile.in from configure.ac and Makefile.am. Works offline: it needs
# autoconf, automake and the pkg-config macros, and downloads nothing.
set -eu
cd "$(dirname "$0")"
if command -v flock >/dev/null 2>&1; then
	# Two runs in one tree would write the same files.
	exec flock ./autogen.sh autoreconf --install --warnings=all
fi
exec autoreconf --install --warnings=all
