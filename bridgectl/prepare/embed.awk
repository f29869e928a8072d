# Makes a C file of undo.sh, tools.sh and prepare.sh, a string per line. The second goes into the
# third, the first into a function of the second, which writes it in the guest.

function emit(line,    i, c, out) {
	for (i = 1; i <= length(line); i++) {
		c = substr(line, i, 1)
		out = out (c == "\\" || c == "\"" ? "\\" : "") c
	}
	printf "\t\"%s\\n\",\n", out
}

function emit_undo(    i) {
	emit("undo_script() {")
	emit("\tcat <<'END_OF_UNDO'")
	for (i = 1; i <= n; i++)
		emit(undo[i])
	emit("END_OF_UNDO")
	emit("}")
	found = 1
}

BEGIN {
	print "/* Made by bridgectl/prepare/embed.awk of the scripts beside it. */"
	print "#include \"bridgectl/cmd/prepare_script.h\"\n"
	print "const char *const prepare_script[] = {"
}

FILENAME == ARGV[1] { undo[++n] = $0; next }
FILENAME == ARGV[2] { tools[++m] = $0; next }
/^# tools\.sh is here/ {
	for (i = 2; i <= m; i++)
		if (tools[i] ~ /^# undo_script\(\) is here/)
			emit_undo()
		else
			emit(tools[i])
	next
}
{ emit($0) }

END {
	print "\t0,\n};"
	exit !found
}
