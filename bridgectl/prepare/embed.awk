# Makes a C file of prepare.sh and undo.sh, a string per line. The second becomes a function of the
# first, which writes it in the guest.

function emit(line,    i, c, out) {
	for (i = 1; i <= length(line); i++) {
		c = substr(line, i, 1)
		out = out (c == "\\" || c == "\"" ? "\\" : "") c
	}
	printf "\t\"%s\\n\",\n", out
}

BEGIN {
	print "/* Made by bridgectl/prepare/embed.awk of the scripts beside it. */"
	print "#include \"bridgectl/cmd/prepare_script.h\"\n"
	print "const char *const prepare_script[] = {"
}

FILENAME == ARGV[1] { undo[++n] = $0; next }
/^# undo_script\(\) is here/ {
	emit("undo_script() {")
	emit("\tcat <<'END_OF_UNDO'")
	for (i = 1; i <= n; i++)
		emit(undo[i])
	emit("END_OF_UNDO")
	emit("}")
	found = 1
	next
}
{ emit($0) }

END {
	print "\t0,\n};"
	exit !found
}
