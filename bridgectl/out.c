/*
 * The writer: filter, styles, wrapping, JSON.
 *
 * Nothing in bridgectl writes to standard output but through here. Escape sequences are added after
 * the filter, so those of a peer can never reach the terminal.
 */
#include "bridgectl/out.h"

#include <err.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WIDTH_MIN 40
#define EXIT_NO_MEMORY 1

static const char *const style_codes[] = {
	[STYLE_BOLD] = "\033[1m",  [STYLE_DIM] = "\033[2m",    [STYLE_GOOD] = "\033[32m",
	[STYLE_WARN] = "\033[33m", [STYLE_BAD] = "\033[1;31m",
};

static void *must(void *p)
{
	if (!p)
		errx(EXIT_NO_MEMORY, "out of memory");
	return p;
}

static unsigned terminal_width(FILE *f)
{
	const char *columns = getenv("COLUMNS");
	struct winsize ws;
	unsigned long n;

	if (columns && (n = strtoul(columns, NULL, 10)) > 0 && n < 10000)
		return MAX(n, WIDTH_MIN);
	if (ioctl(fileno(f), TIOCGWINSZ, &ws) < 0 || !ws.ws_col)
		return 80;
	return MAX(ws.ws_col, WIDTH_MIN);
}

/* As setlocale(3) would decide, without its reach into everything else. */
static bool locale_is_utf8(void)
{
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	const char *v = NULL;

	for (unsigned i = 0; i < ARRAY_SIZE(names) && !(v && v[0]); i++)
		v = getenv(names[i]);
	return v && (strcasestr(v, "utf-8") || strcasestr(v, "utf8"));
}

void out_init(struct out *o, FILE *f, enum color_when when)
{
	bool tty = isatty(fileno(f));
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	*o = (struct out){ .f = f };
	o->color = when == COLOR_ALWAYS;
	if (when == COLOR_AUTO)
		o->color = tty && !(no_color && no_color[0]) && !(term && !strcmp(term, "dumb"));
	o->width = tty ? terminal_width(f) : 0;
	o->utf8 = locale_is_utf8();
}

/*
 * Decodes one character. Its length, or 0 when the bytes are no UTF-8 (RFC 3629: no surrogates,
 * nothing overlong).
 */
static unsigned utf8_next(const unsigned char *s, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 0;
	uint32_t c = n == 1 ? s[0] : n ? s[0] & (0xffU >> (n + 1)) : 0;

	for (unsigned i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (!n || (n > 1 && c < least[n]) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	*ret = c;
	return n;
}

/* Control characters, and those that hide or reorder the text around them. */
static bool is_harmful(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c || c == 0x180e ||
	       (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb) ||
	       (c >= 0xe0000 && c <= 0xe0fff);
}

char *out_clean(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;
	char *buf, *w = buf = must(malloc(strlen(s) * 4 + 1));
	uint32_t c;

	while (*p) {
		unsigned n = utf8_next(p, &c);

		if (n == 0) {
			w += sprintf(w, "\\x%02x", *p++);
			continue;
		}
		if (!is_harmful(c)) {
			memcpy(w, p, n);
			w += n;
		} else if (c < 0x80) {
			w += sprintf(w, "\\x%02x", c);
		} else {
			/* At least two bytes stand for it, so that eight fit. */
			w += sprintf(w, c < 0x10000 ? "\\u%04x" : "\\U%06x", c);
		}
		p += n;
	}
	*w = '\0';
	return buf;
}

unsigned out_columns(const char *s)
{
	unsigned n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

static void write_styled(struct out *o, enum style style, const char *clean)
{
	bool color = o->color && style != STYLE_NONE && clean[0];

	if (color)
		fputs(style_codes[style], o->f);
	fputs(clean, o->f);
	if (color)
		fputs("\033[0m", o->f);
}

static void write_va(struct out *o, enum style style, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));

static void write_va(struct out *o, enum style style, const char *fmt, va_list ap)
{
	_cleanup_free_ char *raw = NULL;
	_cleanup_free_ char *clean = NULL;

	if (vasprintf(&raw, fmt, ap) < 0)
		errx(EXIT_NO_MEMORY, "out of memory");
	clean = out_clean(raw);
	write_styled(o, style, clean);
}

void out_text(struct out *o, enum style style, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_va(o, style, fmt, ap);
	va_end(ap);
}

void out_line(struct out *o, enum style style, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_va(o, style, fmt, ap);
	va_end(ap);
	fputc('\n', o->f);
}

void out_heading(struct out *o, const char *text)
{
	out_line(o, STYLE_BOLD, "%s", text);
}

void out_wrapped(struct out *o, unsigned indent, const char *text)
{
	_cleanup_free_ char *clean = out_clean(text);
	unsigned width = o->width ? o->width : 100, column = 0;
	char *save = NULL;

	for (char *word = strtok_r(clean, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		unsigned n = out_columns(word);

		if (column && column + 1 + n > width) {
			fputc('\n', o->f);
			column = 0;
		}
		fprintf(o->f, "%*s%s", column ? 1 : (int)indent, "", word);
		column += n + (column ? 1 : indent);
	}
	fputc('\n', o->f);
}

void out_json(struct out *o, const json_t *value, bool line)
{
	/* Fifteen digits give back exactly the nine that the daemon sends. */
	size_t flags = JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15) | JSON_ENCODE_ANY;

	json_dumpf(value, o->f, flags | (line ? 0 : JSON_INDENT(2)));
	fputc('\n', o->f);
}
