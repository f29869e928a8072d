/*
 * Whoever speaks to an agent: lines through its parser, as either end. The first byte says which.
 * What is taken must be in range, whatever the line holds; nothing is read or written.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/transfer/agent_request.h"
#include "common/jsonline.h"
#include "tests/fuzz/fuzz.h"

static void check_params(const struct agent_params *p)
{
	if (!memchr(p->source, 0, sizeof(p->source)) || !memchr(p->address, 0, sizeof(p->address)))
		abort();
	if (p->connections > WIRE_CONNECTIONS_MAX || p->port > UINT16_MAX ||
	    p->length > INT64_MAX || p->pass >= UINT32_MAX)
		abort();
	if (p->mode > MODE_PLAIN || p->kind >= PASS_KINDS || p->compress > COMPRESS_ALWAYS)
		abort();
}

static void one_line(const char *line, size_t len, enum agent_role role)
{
	struct agent_request q;
	struct fail f = { 0 };
	int r = agent_request_parse(line, len, role, &q, &f);

	if ((r < 0) != (f.code != FAIL_NONE) || (r == 0 && !q.id))
		abort();
	if (r < 0 && (!f.text[0] || !*fail_code_name(f.code)))
		abort();
	if (q.id && !json_is_integer(q.id))
		abort();
	if (r == 0) {
		check_params(&q.params);
		agent_method_quick(q.method);
		if (!*agent_method_name(q.method) || !*agent_kind_name(q.params.kind))
			abort();
	}
	agent_request_fini(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data + 1;
	struct jsonline in;
	char *line;
	size_t len;

	if (size-- < 1)
		return 0;
	jsonline_init(&in, AGENT_LINE_MAX);
	while (jsonline_take(&in, &p, &size, &line, &len) > 0)
		one_line(line, len, data[0] & 1 ? AGENT_SOURCE : AGENT_TARGET);
	jsonline_fini(&in);
	return 0;
}
