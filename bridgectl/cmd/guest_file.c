/*
 * Configuration files for `domain` and `disk`: one way to read them, one way to quote the line
 * that is wrong. Messages go to standard error, so that standard output is the answer and
 * nothing else.
 */
#include "bridgectl/cmd/guest_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "bridgectl/domain/xl_scan.h"

FILE *guest_file_open(const char *path)
{
	struct stat st;
	FILE *f = strcmp(path, "-") ? fopen(path, "re") : stdin;

	if (!f) {
		cmd_error("cannot read %s: %s", path, strerror(errno));
		return NULL;
	}
	if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
		cmd_error("%s is a folder; give a guest's configuration file", path);
		fclose(f);
		return NULL;
	}
	return f;
}

/* Up to one byte more than a file may have. NULL: told. */
static char *read_all(const char *path, FILE *f, size_t *ret_len)
{
	_cleanup_free_ char *text = malloc(XL_FILE_MAX + 2);
	bool failed;

	*ret_len = text ? fread(text, 1, XL_FILE_MAX + 1, f) : 0;
	failed = !text || ferror(f);
	if (failed)
		cmd_error("cannot read %s: %s", path, strerror(errno ? errno : EIO));
	if (failed)
		return NULL;
	text[*ret_len] = '\0';
	return steal(text);
}

/* --- Messages --- */

static const enum style severity_styles[] = {
	[REPORT_NOTE] = STYLE_DIM,
	[REPORT_WARNING] = STYLE_WARN,
	[REPORT_ERROR] = STYLE_BAD,
};

static void print_item(struct out *o, const struct guest_file *f, const struct report_item *item)
{
	_cleanup_free_ char *quote = NULL;
	unsigned caret = 0;

	if (item->line)
		out_text(o, STYLE_BOLD, "%s:%u:%u: ", f->name, item->line, item->column);
	else
		out_text(o, STYLE_BOLD, "%s: ", f->name);
	if (item->severity != REPORT_ERROR)
		out_text(o, severity_styles[item->severity],
			 "%s: ", report_severity_name(item->severity));
	out_line(o, STYLE_NONE, "%s", item->text);
	if (item->severity == REPORT_NOTE || !item->column)
		return;
	quote = report_quote(f->text, f->len, item->line, item->column, &caret);
	if (!quote)
		return;
	out_line(o, STYLE_NONE, "    %s", quote);
	out_line(o, severity_styles[item->severity], "    %*s^", (int)caret, "");
}

/* By line, as one reads the file. */
static int compare(const void *a, const void *b)
{
	const struct report_item *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->column < y->column ? -1 : x->column > y->column;
}

void guest_file_tell(const struct cmd_call *call, const struct guest_file *f, struct report *report)
{
	struct out o;

	if (report->n)
		qsort(report->items, report->n, sizeof(report->items[0]), compare);
	out_init(&o, stderr, call->color);
	fflush(stdout);
	for (unsigned i = 0; i < report->n; i++)
		if (report->items[i].severity > REPORT_NOTE || call->verbose)
			print_item(&o, f, &report->items[i]);
	if (report->n_dropped)
		out_line(&o, STYLE_NONE, "%s: %u more of these", f->name, report->n_dropped);
}

void guest_file_tell_refused(const struct guest_file *f)
{
	const struct guest *g = f->guest;
	unsigned n = guest_refused(g), i = 0;

	if (!n)
		return;
	while (g->lost[i].accepted)
		i++;
	cmd_error("%u %s of %s would be lost, %s on line %u first; `--accept-loss %s` accepts that",
		  n, n == 1 ? "setting" : "settings", f->name, g->lost[i].key, g->lost[i].line,
		  g->lost[i].key);
}

bool guest_file_read(const struct cmd_call *call, const char *path, struct guest_file *ret)
{
	FILE *from = guest_file_open(path);
	bool ok = from && guest_file_read_from(call, path, from, ret);

	if (from && from != stdin)
		fclose(from);
	return ok;
}

bool guest_file_read_from(const struct cmd_call *call, const char *path, FILE *from,
			  struct guest_file *ret)
{
	struct guest_file f = { .name = strcmp(path, "-") ? path : "standard input" };
	const char *accept[CMD_GIVEN_MAX], *foreign, *key;
	unsigned n = 0;

	f.text = read_all(path, from, &f.len);
	if (!f.text)
		return false;
	foreign = xl_foreign(f.text, f.len);
	if (foreign) {
		cmd_error("%s: %s", f.name, foreign);
		free(f.text);
		return false;
	}
	while ((key = cmd_option_nth(call, "--accept-loss", n)) != NULL)
		accept[n++] = key;
	xl_parse(f.text, f.len, &f.file);
	f.guest = xl_guest(&f.file, accept, n);
	f.ok = !f.file.report.n_errors && !guest_refused(f.guest);
	guest_file_tell(call, &f, &f.file.report);
	*ret = f;
	return true;
}

void guest_file_fini(struct guest_file *f)
{
	guest_free(f->guest);
	xl_file_fini(&f->file);
	free(f->text);
	*f = (struct guest_file){ 0 };
}
