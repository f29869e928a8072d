/*
 * A daemon that answers anything: lines of a reply stream through the client's parser, every
 * string that comes out through the filter. What the filter lets through must be printable,
 * and stay as it is when filtered again. Every result is also taken for a topology and drawn.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/client.h"
#include "bridgectl/cmd/graph_dot.h"
#include "bridgectl/out.h"
#include "common/jsonline.h"
#include "common/util.h"
#include "tests/fuzz/fuzz.h"

#define LINE_MAX_BYTES 4096

static void check_text(const char *s)
{
	char *clean = out_clean(s), *again = out_clean(clean);

	for (const unsigned char *p = (const unsigned char *)clean; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			abort();
	if (strcmp(clean, again) != 0 || out_columns(clean) > strlen(clean))
		abort();
	free(clean);
	free(again);
}

static void check_strings(const json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_string(v))
		check_text(json_string_value(v));
	json_array_foreach(v, i, item)
		check_strings(item);
	json_object_foreach((json_t *)v, key, item) {
		check_text(key);
		check_strings(item);
	}
}

/* Each segment hangs from one that is there, and is counted once. */
static void check_graph(const json_t *result)
{
	struct graph g;
	unsigned n = 0;
	size_t len;
	char *dot;

	graph_init(&g, result);
	for (unsigned i = 0; i < g.n_roots; i++)
		n += g.segments[g.roots[i]].below;
	if (n != g.n_segments)
		abort();
	for (unsigned i = 0; i < g.n_links; i++)
		if (g.links[i].a >= g.links[i].b || g.links[i].b >= g.n_segments)
			abort();
	dot = graph_dot(&g, &len);
	check_text(dot);
	free(dot);
	graph_fini(&g);
}

static void one_line(const char *line, size_t len)
{
	struct client_error err = { 0 };
	json_t *event = NULL, *result = NULL;
	int r = client_read_line(line, len, 7, &event, &result, &err);

	if (r != 0 && r != 1 && r != -EBADMSG)
		abort();
	if ((r == 1) != !!event || (r == 0 && !result && !err.code[0]) ||
	    (r < 0 && (!err.unreachable || result)))
		abort();
	check_strings(event);
	check_strings(result);
	check_graph(result);
	check_strings(err.details);
	check_text(err.message);
	json_decref(event);
	json_decref(result);
	client_error_fini(&err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;
	struct jsonline in;
	char *line, *raw;
	size_t len;

	/* The filter also on bytes that no JSON parser has seen. */
	raw = malloc(size + 1);
	memcpy(raw, p, size);
	raw[size] = '\0';
	check_text(raw);
	free(raw);
	jsonline_init(&in, LINE_MAX_BYTES);
	while (jsonline_take(&in, &p, &size, &line, &len) > 0)
		one_line(line, len);
	jsonline_fini(&in);
	return 0;
}
