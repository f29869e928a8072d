/*
 * Lines out of a byte stream, JSON out of lines.
 *
 * The buffer grows in steps up to the longest line allowed and never beyond it, whatever
 * the other side sends. Depth is measured before the parser sees the line: its own limit
 * is a constant of the library and far too generous for a protocol with flat messages.
 */
#include "common/jsonline.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/control.h"
#include "common/util.h"

#define FIRST_BYTES 512
/* Nine digits say enough of a ratio and survive being parsed and written again. */
#define DUMP_FLAGS (JSON_COMPACT | JSON_REAL_PRECISION(9))

void jsonline_init(struct jsonline *j, size_t max)
{
	*j = (struct jsonline){ .max = max };
}

void jsonline_fini(struct jsonline *j)
{
	free(j->buf);
	jsonline_init(j, j->max);
}

/* Room for `len` bytes and a NUL. */
static int line_reserve(struct jsonline *j, size_t len)
{
	size_t size = j->size ? j->size : FIRST_BYTES;
	char *buf;

	if (len > j->max)
		return -EMSGSIZE;
	if (len < j->size)
		return 0;
	while (size <= len)
		size *= 2;
	size = MIN(size, j->max + 1);
	buf = realloc(j->buf, size);
	if (!buf)
		return -ENOMEM;
	j->buf = buf;
	j->size = size;
	return 0;
}

int jsonline_take(struct jsonline *j, const char **data, size_t *len, char **ret_line,
		  size_t *ret_len)
{
	const char *end;
	size_t n;
	int r;

	if (j->taken) {
		j->len = 0;
		j->taken = 0;
	}
	if (!*len)
		return 0;
	end = memchr(*data, '\n', *len);
	n = end ? (size_t)(end - *data) : *len;
	r = line_reserve(j, j->len + n);
	if (r < 0)
		return r;
	memcpy(j->buf + j->len, *data, n);
	j->len += n;
	*data += n + !!end;
	*len -= n + !!end;
	if (!end)
		return 0;
	j->buf[j->len] = '\0';
	j->taken = j->len + 1;
	*ret_line = j->buf;
	*ret_len = j->len;
	return 1;
}

/* Brackets inside strings do not count. Broken JSON is for the parser to find. */
static bool depth_ok(const char *line, size_t len)
{
	bool string = false;
	unsigned depth = 0;

	for (size_t i = 0; i < len; i++) {
		char c = line[i];

		if (string && c == '\\')
			i++;
		else if (c == '"')
			string = !string;
		else if (!string && (c == '{' || c == '['))
			depth++;
		else if (!string && (c == '}' || c == ']') && depth)
			depth--;
		if (depth > CONTROL_DEPTH_MAX)
			return false;
	}
	return true;
}

json_t *jsonline_parse(const char *line, size_t len, char *err)
{
	json_error_t e;
	json_t *v;

	if (!depth_ok(line, len)) {
		snprintf(err, JSONLINE_ERRLEN, "more than %d levels deep", CONTROL_DEPTH_MAX);
		return NULL;
	}
	v = json_loadb(line, len, JSON_REJECT_DUPLICATES, &e);
	if (!v) {
		snprintf(err, JSONLINE_ERRLEN, "not JSON: %s", e.text);
		return NULL;
	}
	if (!json_is_object(v)) {
		snprintf(err, JSONLINE_ERRLEN, "not a JSON object");
		json_decref(v);
		return NULL;
	}
	return v;
}

char *jsonline_dump(const json_t *value, size_t *ret_len)
{
	size_t len = json_dumpb(value, NULL, 0, DUMP_FLAGS);
	char *s = len ? malloc(len + 2) : NULL;

	if (!s)
		return NULL;
	if (json_dumpb(value, s, len, DUMP_FLAGS) != len) {
		free(s);
		return NULL;
	}
	s[len] = '\n';
	s[len + 1] = '\0';
	*ret_len = len + 1;
	return s;
}

json_t *jsonline_text(const char *text)
{
	json_t *value = json_string(text);

	if (value)
		return value;
	_cleanup_free_ char *copy = strdup(text);
	for (char *p = copy; p && *p; p++) {
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	}
	return copy ? json_string(copy) : NULL;
}

const char *jsonline_append(json_t *list, const char *fmt, ...)
{
	char text[JSONLINE_TEXTLEN];
	json_t *value;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	value = jsonline_text(text);
	return json_array_append_new(list, value) == 0 ? json_string_value(value) : "";
}
