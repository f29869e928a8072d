/*
 * Finds the statements of l2tund.conf and its includes. Whatever is not a statement, or
 * is one that the option tables do not know, is reported with its line and left out;
 * everything else is copied, token by token and on its own line, into the joined text
 * that libconfuse then parses. So one mistake never hides another.
 *
 * After a mistake the scan goes on behind the statement; a statement ends with its line
 * unless braces are open. A section header at the start of a line closes what was left open.
 */
#include <errno.h>
#include <stdarg.h>

#include "l2tund/config_lex.h"
#include "l2tund/config_private.h"

#define OPTIONS_MAX 16 /* in a section */

struct scan {
	struct conf *k;
	struct lex lex;
	struct tok next;
	unsigned last_line; /* of the token that was taken last */
	unsigned bad_line;  /* with a broken token: one report for each line is enough */
	unsigned file;
	struct conf_part part;
	unsigned depth; /* of includes */

	cfg_opt_t *opts; /* of the section that is open, NULL outside */
	const char *section;
	unsigned section_line;
	unsigned seen[OPTIONS_MAX]; /* line of each option in this section, 0: not yet */
	bool good[OPTIONS_MAX];	    /* and whether it has been copied */
};

static void scan_file(struct conf *k, const char *name, const char *text, size_t len,
		      unsigned depth);

/* --- The joined text --- */

static void put(struct conf *k, const char *s, size_t len)
{
	if (k->oom)
		return;
	if (k->text_len + len + 1 > k->text_size) {
		size_t size = MAX(k->text_size * 2, k->text_len + len + 4096);
		char *text = realloc(k->text, size);

		if (!text) {
			k->oom = true;
			return;
		}
		k->text = text;
		k->text_size = size;
	}
	memcpy(k->text + k->text_len, s, len);
	k->text_len += len;
	k->text[k->text_len] = '\0';
}

static void put_at(struct conf *k, unsigned pos, const char *s, size_t len)
{
	for (; k->text_pos < pos; k->text_pos++)
		put(k, "\n", 1);
	put(k, s, len);
	put(k, " ", 1);
}

/* From the next joined line on, lines come from `line` of the file on. */
static void start_part(struct scan *s, unsigned line)
{
	struct conf *k = s->k;
	struct conf_part *parts = reallocarray(k->parts, k->n_parts + 1, sizeof(*parts));

	if (!parts) {
		k->oom = true;
		return;
	}
	put_at(k, k->text_pos + 1, "", 0);
	k->parts = parts;
	s->part = (struct conf_part){ .start = k->text_pos, .file = s->file, .line = line };
	k->parts[k->n_parts++] = s->part;
}

static unsigned pos_of(const struct scan *s, unsigned line)
{
	return s->part.start + (line - s->part.line);
}

static void put_tok(struct scan *s, const struct tok *t)
{
	put_at(s->k, pos_of(s, t->line), t->start, t->len);
}

/* --- Tokens --- */

#define bad(s, line, ...) conf_error((s)->k, pos_of(s, line), __VA_ARGS__)

static _printf_(3, 4) void lex_bad(void *arg, unsigned line, const char *fmt, ...)
{
	struct scan *s = arg;
	char text[160];
	va_list ap;

	if (s->bad_line == line)
		return;
	s->bad_line = line;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	bad(s, line, "%s", text);
}

static struct tok take(struct scan *s)
{
	struct tok t = s->next;

	s->last_line = t.line;
	s->next = lex_next(&s->lex);
	return t;
}

/* What comes after s->next, unreported. */
static struct tok peek_second(const struct scan *s)
{
	struct lex ahead = s->lex;

	ahead.bad = NULL;
	return lex_next(&ahead);
}

/* "%.*s" arguments, cut to what a message can bear. */
#define SHOW(t) (int)MIN((t)->len, (size_t)64), (t)->start

static bool is_section_name(const struct tok *t)
{
	const cfg_opt_t *o;

	if (t->type != TOK_WORD)
		return false;
	o = conf_find_option(conf_options(), t->start, t->len);
	return o && o->type == CFGT_SEC;
}

/* Whether a known section begins at s->next: there something must have been left open. */
static bool at_section(const struct scan *s)
{
	struct lex ahead = s->lex;
	struct tok t;

	if (!is_section_name(&s->next))
		return false;
	ahead.bad = NULL;
	t = lex_next(&ahead);
	if (tok_is_text(&t))
		t = lex_next(&ahead);
	return tok_is(&t, '{');
}

/*
 * Goes behind the broken statement: to the end of its line, or further while braces
 * that it opened are open. The brace that closes the section is left alone.
 */
static void recover(struct scan *s, unsigned depth)
{
	unsigned line = s->last_line;

	while (s->next.type != TOK_END && (depth > 0 || s->next.line == line)) {
		if (s->next.line != s->last_line && at_section(s))
			return;
		if (tok_is(&s->next, '}') && depth-- == 0)
			return;
		if (tok_is(&s->next, '{'))
			depth++;
		line = s->next.line;
		take(s);
	}
}

/* --- Options --- */

static void list_names(cfg_opt_t *opts, char *buf, size_t size)
{
	size_t n = 0;

	buf[0] = '\0';
	for (; opts->name; opts++) {
		if (conf_is_for_users(opts) && n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s", n ? ", " : "", opts->name);
	}
}

/* The option that `name` is here, or NULL with the reason reported. */
static cfg_opt_t *known_option(struct scan *s, const struct tok *name)
{
	char names[256];
	cfg_opt_t *o;
	unsigned i;

	if (!s->opts) {
		bad(s, name->line,
		    "option `%.*s` stands outside of every section; move it into one", SHOW(name));
		return NULL;
	}
	o = conf_find_option(s->opts, name->start, name->len);
	if (!o) {
		list_names(s->opts, names, sizeof(names));
		bad(s, name->line, "unknown option `%.*s` in section %s; it has %s", SHOW(name),
		    s->section, names);
		return NULL;
	}
	i = (unsigned)(o - s->opts);
	if (s->seen[i]) {
		bad(s, name->line, "%s is set twice, first in line %u; remove one", o->name,
		    s->seen[i]);
		return NULL;
	}
	s->seen[i] = name->line;
	return o;
}

/* A known option that stands here, in whatever shape. */
static void note_option(struct scan *s, const struct tok *name)
{
	const cfg_opt_t *o = s->opts ? conf_find_option(s->opts, name->start, name->len) : NULL;

	if (o && !s->seen[o - s->opts])
		s->seen[o - s->opts] = name->line;
}

static void put_option(struct scan *s, const struct tok *name, const cfg_opt_t *o)
{
	s->good[o - s->opts] = true;
	put_tok(s, name);
	put(s->k, o->flags & CFGF_LIST ? "= { " : "= ", o->flags & CFGF_LIST ? 4 : 2);
}

/* s->next is behind "{". Copies as far as it goes, and always up to a closing brace. */
static void scan_list(struct scan *s, const struct tok *name, bool copy)
{
	unsigned line = s->last_line;
	struct tok second;

	for (;;) {
		second = peek_second(s);

		if (tok_is(&s->next, '}'))
			break;
		if (s->next.type == TOK_END || (s->next.type == TOK_WORD && tok_is(&second, '=')) ||
		    at_section(s)) {
			bad(s, line, "list %.*s is not closed; add }", SHOW(name));
			goto close;
		}
		if (!tok_is_text(&s->next)) {
			if (s->next.type != TOK_BAD)
				bad(s, s->next.line,
				    "unexpected `%.*s` in list %.*s; write %.*s = "
				    "{\"a\", \"b\"}",
				    SHOW(&s->next), SHOW(name), SHOW(name));
			goto skip;
		}
		if (copy)
			put_tok(s, &s->next);
		take(s);
		if (tok_is(&s->next, '}'))
			continue;
		second = peek_second(s);
		if (!tok_is(&s->next, ',')) {
			if (s->next.type == TOK_END ||
			    (s->next.type == TOK_WORD && tok_is(&second, '=')) || at_section(s))
				continue; /* found again above as not closed */
			if (s->next.type != TOK_BAD)
				bad(s, s->next.line,
				    "missing comma before `%.*s` in list %.*s; "
				    "add it",
				    SHOW(&s->next), SHOW(name));
			goto skip;
		}
		if (copy)
			put_tok(s, &s->next);
		take(s);
	}
	if (copy)
		put_tok(s, &s->next);
	take(s);
	return;
skip:
	recover(s, 1);
close:
	if (copy)
		put(s->k, "} ", 2);
}

/* The habit of other languages; here it is a word like any other. */
static bool is_semicolon(const struct tok *t)
{
	return tok_is_text(t) && t->len == 1 && t->start[0] == ';';
}

static void scan_value(struct scan *s, const struct tok *name, const cfg_opt_t *o)
{
	bool list = o && o->flags & CFGF_LIST;
	struct tok second;

	if (s->next.type == TOK_BAD || s->next.line != s->last_line || !tok_is_text(&s->next)) {
		if (s->next.type != TOK_BAD)
			bad(s, name->line, "%.*s has no value; write it behind the =", SHOW(name));
		recover(s, 0);
		return;
	}
	if (o) {
		put_option(s, name, o);
		put_tok(s, &s->next);
		if (list)
			put(s->k, "} ", 2);
	}
	take(s);
	second = peek_second(s);
	if (s->next.line == s->last_line && tok_is_text(&s->next) && !tok_is(&second, '=')) {
		bad(s, s->next.line, "unexpected `%.*s` behind the value of %.*s; %s",
		    SHOW(&s->next), SHOW(name),
		    is_semicolon(&s->next) ? "remove it" : "put a value with spaces in quotes");
		recover(s, 0);
	}
}

static void scan_assignment(struct scan *s, const struct tok *name)
{
	struct tok equals = take(s);
	const cfg_opt_t *o = known_option(s, name);

	if (equals.len == 2) {
		if (o)
			bad(s, equals.line,
			    "%s: += is not supported; write the whole list with =", o->name);
		o = NULL;
	}
	if (!tok_is(&s->next, '{')) {
		scan_value(s, name, o);
		return;
	}
	take(s);
	if (o && !(o->flags & CFGF_LIST)) {
		bad(s, name->line, "%s takes one value, not a list; remove the braces", o->name);
		o = NULL;
	}
	/* Empty would mean either nothing or the default, depending on whom one asks. */
	if (o && tok_is(&s->next, '}'))
		bad(s, name->line, "list %s is empty; put something in or remove the line",
		    o->name);
	if (o)
		put_option(s, name, o);
	scan_list(s, name, o != NULL);
}

/* --- Sections --- */

static void close_section(struct scan *s)
{
	put(s->k, CONF_BROKEN " = { ", strlen(CONF_BROKEN " = { "));
	for (unsigned i = 0; s->opts[i].name; i++) {
		if (s->seen[i] && !s->good[i]) {
			put(s->k, s->opts[i].name, strlen(s->opts[i].name));
			put(s->k, ", ", 2);
		}
	}
	put(s->k, "} ", 2);
	put(s->k, "} ", 2);
	s->opts = NULL;
}

/* There is one of those that have none. */
static bool wants_title(const char *section)
{
	return strcmp(section, "node") != 0 && strcmp(section, "offload") != 0;
}

static void check_title(struct scan *s, const struct tok *name, const struct tok *title)
{
	bool wanted = wants_title(s->section);

	if (title && !wanted)
		bad(s, title->line, "section %s takes no name here; write %s { %s = … }",
		    s->section, s->section, strcmp(s->section, "node") == 0 ? "name" : "tso");
	else if (!title && wanted)
		bad(s, name->line, "section %s has no name; write %s \"NAME\" { … }", s->section,
		    s->section);
}

/* s->next is the opening brace; title may be NULL. */
static void open_section(struct scan *s, const struct tok *name, const struct tok *title)
{
	cfg_opt_t *o = conf_find_option(conf_options(), name->start, name->len);
	char names[128];

	if (s->opts && o) {
		bad(s, s->section_line, "section %s is not closed; add } before line %u",
		    s->section, name->line);
		close_section(s);
	}
	take(s);
	if (s->opts || !o) {
		list_names(conf_options(), names, sizeof(names));
		if (s->opts)
			bad(s, name->line,
			    "unexpected section `%.*s` in section %s; write NAME = "
			    "VALUE, or move it",
			    SHOW(name), s->section);
		else
			bad(s, name->line, "unknown section `%.*s`; there are %s", SHOW(name),
			    names);
		recover(s, 1);
		return;
	}
	s->opts = o->subopts;
	s->section = o->name;
	s->section_line = name->line;
	memset(s->seen, 0, sizeof(s->seen));
	memset(s->good, 0, sizeof(s->good));
	check_title(s, name, title);
	put_tok(s, name);
	put(s->k, "{ " CONF_TITLE " = ", strlen("{ " CONF_TITLE " = "));
	if (title && wants_title(s->section))
		put_tok(s, title);
	else
		put(s->k, "\"\" ", 3);
}

/* --- Includes --- */

/* A path beside the file that names it. NULL when out of memory. */
static char *beside(const char *file, const char *path)
{
	const char *slash = strrchr(file, '/');
	char *ret;

	if (*path == '/' || !slash)
		return strdup(path);
	if (asprintf(&ret, "%.*s%s", (int)(slash + 1 - file), file, path) < 0)
		return NULL;
	return ret;
}

static void include_file(struct scan *s, unsigned line, const char *path)
{
	struct conf *k = s->k;
	char *text = NULL;
	size_t len = 0;
	int r;

	for (unsigned i = 0; i < k->n_files; i++) {
		if (strcmp(k->files[i], path) == 0) {
			bad(s, line, "include: %s has been read already; remove this line", path);
			return;
		}
	}
	if (s->depth >= CONF_DEPTH_MAX || k->n_files >= CONF_FILES_MAX) {
		bad(s, line,
		    "include: %s: more than %u levels or %u files; check that no file includes "
		    "itself",
		    path, CONF_DEPTH_MAX, CONF_FILES_MAX);
		return;
	}
	r = k->hooks->read_file(path, &text, &len);
	if (r == 0 && k->total_bytes + len > CONF_TOTAL_MAX_BYTES)
		r = -EFBIG;
	if (r < 0)
		bad(s, line, "include: %s: %s; check the path and its permissions", path,
		    strerror(-r));
	else
		scan_file(k, path, text, len, s->depth + 1);
	free(text);
}

static void include(struct scan *s, unsigned line, const char *arg)
{
	char *pattern = beside(s->k->files[s->file], arg);
	char **paths = NULL;
	unsigned n = 0;
	int r;

	/* So that the included lines come behind this one in the joined text. */
	put_at(s->k, pos_of(s, s->last_line), "", 0);
	if (!pattern) {
		s->k->oom = true;
		return;
	}
	if (!strpbrk(arg, "*?[")) {
		include_file(s, line, pattern);
	} else {
		r = s->k->hooks->list(pattern, &paths, &n);
		if (r < 0)
			bad(s, line, "include: %s: %s; check the folder's permissions", pattern,
			    strerror(-r));
		for (unsigned i = 0; i < n; i++)
			include_file(s, line, paths[i]);
	}
	for (unsigned i = 0; i < n; i++)
		free(paths[i]);
	free(paths);
	free(pattern);
	start_part(s, s->last_line);
}

/* name ( … ): s->next is the parenthesis. */
static void scan_call(struct scan *s, const struct tok *name)
{
	struct tok arg, paren;
	_cleanup_free_ char *path = NULL;

	take(s);
	arg = s->next;
	paren = peek_second(s);
	if (name->len != 7 || memcmp(name->start, "include", 7) != 0) {
		bad(s, name->line, "unknown function `%.*s`; there is only include(\"FILE\")",
		    SHOW(name));
	} else if (s->opts) {
		bad(s, name->line, "include stands in section %s; move it outside of the sections",
		    s->section);
	} else if (!tok_is_text(&arg) || !tok_is(&paren, ')')) {
		bad(s, name->line, "include is malformed; write include(\"FILE\")");
	} else {
		path = conf_decode(arg.start, arg.len);
		if (!path) {
			s->k->oom = true;
			return;
		}
		take(s);
		/* The closing one is overwritten first, so that nothing behind it is read yet. */
		s->last_line = s->next.line;
		include(s, name->line, path);
		take(s);
		return;
	}
	recover(s, 0);
}

/* --- Statements --- */

static void scan_named(struct scan *s, const struct tok *name)
{
	struct tok second = peek_second(s), title;
	bool same_line = s->next.line == name->line;

	if (tok_is(&s->next, '=') || tok_is(&s->next, '+')) {
		scan_assignment(s, name);
	} else if (tok_is(&s->next, '(')) {
		scan_call(s, name);
	} else if (tok_is(&s->next, '{') && s->opts &&
		   conf_find_option(s->opts, name->start, name->len) && !is_section_name(name)) {
		note_option(s, name);
		bad(s, name->line, "= is missing behind %.*s; add it", SHOW(name));
		take(s);
		recover(s, 1);
	} else if (tok_is(&s->next, '{')) {
		open_section(s, name, NULL);
	} else if (tok_is_text(&s->next) && same_line && tok_is(&second, '{')) {
		title = take(s);
		open_section(s, name, &title);
	} else if (s->next.type == TOK_BAD && same_line) {
		note_option(s, name);
		recover(s, 0);
	} else if (name->len == 7 && memcmp(name->start, "include", 7) == 0) {
		bad(s, name->line, "include is malformed; write include(\"FILE\")");
		recover(s, 0);
	} else if (is_semicolon(name)) {
		bad(s, name->line, "unexpected `;`; nothing here ends with one: remove it");
	} else {
		note_option(s, name);
		bad(s, name->line, "expected = or { behind `%.*s`; write NAME = VALUE", SHOW(name));
		recover(s, 0);
	}
}

static void scan_statement(struct scan *s)
{
	struct tok t = take(s);

	if (t.type == TOK_WORD) {
		scan_named(s, &t);
	} else if (tok_is(&t, '}') && s->opts) {
		put_at(s->k, pos_of(s, t.line), "", 0);
		close_section(s);
	} else if (tok_is(&t, '}')) {
		bad(s, t.line, "unexpected }: no section is open; remove it");
	} else if (t.type == TOK_BAD) {
		recover(s, 0);
	} else {
		bad(s, t.line,
		    "unexpected `%.*s`; an option or a section begins with its bare name",
		    SHOW(&t));
		recover(s, tok_is(&t, '{') ? 1 : 0);
	}
}

static int add_file(struct conf *k, const char *name)
{
	char **files = reallocarray(k->files, k->n_files + 1, sizeof(*files));
	char *copy = strdup(name);

	if (files)
		k->files = files;
	if (!files || !copy) {
		free(copy);
		k->oom = true;
		return -ENOMEM;
	}
	k->files[k->n_files++] = copy;
	return 0;
}

static void scan_file(struct conf *k, const char *name, const char *text, size_t len,
		      unsigned depth)
{
	struct scan s = { .k = k, .file = k->n_files, .depth = depth };

	if (add_file(k, name) < 0)
		return;
	k->total_bytes += len;
	start_part(&s, 1);
	lex_init(&s.lex, text, len);
	s.lex.bad = lex_bad;
	s.lex.arg = &s;
	s.next = lex_next(&s.lex);
	while (s.next.type != TOK_END && !k->oom)
		scan_statement(&s);
	if (s.opts) {
		bad(&s, s.section_line, "section %s is not closed; add }", s.section);
		close_section(&s);
	}
	put_at(k, pos_of(&s, s.lex.line), "", 0);
}

void conf_scan(struct conf *k, const char *name, const char *text, size_t len)
{
	scan_file(k, name, text, len, 0);
}
