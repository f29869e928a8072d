/*
 * Methods and parameters are rows of two tables; a method's row names the parameters it takes.
 * Anything that is not expected is an error: a parameter that is misspelt must not be
 * taken for one that was left out.
 */
#include "bridgectl/transfer/agent_request.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "common/jsonline.h"

enum type { UINT, BOOL, TEXT, HEX, WORD };

#define WORDS_MAX 5
#define NAME_LEN 24

struct param {
	const char *name;
	enum type type;
	size_t at;	   /* in struct agent_params */
	uint64_t min, max; /* of numbers; max: bytes of texts with their NUL, and of HEX */
	const char *words[WORDS_MAX];
};

#define AT(member) offsetof(struct agent_params, member)

static const struct param params[] = {
	{ "version", UINT, AT(version), 1, UINT32_MAX, { NULL } },
	{ "length", UINT, AT(length), 1, INT64_MAX, { NULL } },
	{ "port", UINT, AT(port), 0, UINT16_MAX, { NULL } },
	{ "connections", UINT, AT(connections), 1, WIRE_CONNECTIONS_MAX, { NULL } },
	{ "pass", UINT, AT(pass), 0, UINT32_MAX - 1, { NULL } },
	{ "bytes_per_s", UINT, AT(bytes_per_s), 0, INT64_MAX, { NULL } },
	{ "flush_ms", UINT, AT(flush_ms), 1, 3600000, { NULL } },
	{ "timeout_ms", UINT, AT(timeout_ms), 1000, 3600000, { NULL } },
	{ "fresh", BOOL, AT(fresh), 0, 0, { NULL } },
	{ "keep_content", BOOL, AT(keep_content), 0, 0, { NULL } },
	{ "create", BOOL, AT(create), 0, 0, { NULL } },
	{ "verify", BOOL, AT(verify), 0, 0, { NULL } },
	{ "unix", BOOL, AT(local), 0, 0, { NULL } },
	{ "on", BOOL, AT(on), 0, 0, { NULL } },
	{ "mode", WORD, AT(mode), 0, 0, { "tls", "plain" } },
	{ "kind", WORD, AT(kind), 0, 0, { "full", "delta", "dirty", "verify" } },
	{ "compress", WORD, AT(compress), 0, 0, { "auto", "never", "always" } },
	{ "source", TEXT, AT(source), 1, MAP_IDENTITY_LEN, { NULL } },
	{ "address", TEXT, AT(address), 0, AGENT_ADDRESS_LEN, { NULL } },
	{ "key", HEX, AT(key), 0, CONN_KEY_BYTES, { NULL } },
	{ "seed", HEX, AT(seed), 0, DIGEST_SEED_BYTES, { NULL } },
};

_Static_assert(ARRAY_SIZE(params) <= 32, "one bit each in struct agent_params");

static const struct method {
	const char *name;
	enum agent_role roles;
	bool quick;
	const char *params; /* those with '?' may be left out */
} methods[METHODS] = {
	[METHOD_HELLO] = { "hello", AGENT_BOTH, true, "version" },
	[METHOD_OPEN_SOURCE] = { "open", AGENT_SOURCE, false, "" },
	[METHOD_OPEN_TARGET] = { "open", AGENT_TARGET, false,
				 "source length fresh? keep_content? create? verify? "
				 "flush_ms?" },
	[METHOD_SEED] = { "seed", AGENT_SOURCE, false, "seed" },
	[METHOD_LISTEN] = { "listen", AGENT_BOTH, false,
			    "connections key? mode? address? port? unix? timeout_ms?" },
	[METHOD_CONNECT] = { "connect", AGENT_BOTH, false,
			     "address connections key? mode? "
			     "timeout_ms?" },
	[METHOD_TRACK] = { "track", AGENT_SOURCE, false, "on" },
	[METHOD_BEGIN] = { "begin", AGENT_TARGET, false, "pass kind" },
	[METHOD_PASS] = { "pass", AGENT_SOURCE, false, "kind pass compress?" },
	[METHOD_SETTLE] = { "settle", AGENT_TARGET, false, "pass" },
	[METHOD_RATE] = { "rate", AGENT_SOURCE, true, "bytes_per_s" },
	[METHOD_DIRTY] = { "dirty", AGENT_SOURCE, true, "" },
	[METHOD_SHA256] = { "sha256", AGENT_BOTH, false, "length?" },
	[METHOD_COMPLETE] = { "complete", AGENT_TARGET, false, "" },
	[METHOD_STOP] = { "stop", AGENT_BOTH, true, "" },
};

const char *agent_method_name(enum agent_method m)
{
	return methods[m].name;
}

bool agent_method_quick(enum agent_method m)
{
	return methods[m].quick;
}

static const struct param *param_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(params); i++)
		if (strlen(params[i].name) == len && !memcmp(params[i].name, name, len))
			return &params[i];
	return NULL;
}

bool agent_given_key(const struct agent_params *p)
{
	return p->given & UINT32_C(1) << (param_find("key", 3) - params);
}

const char *agent_kind_name(int kind)
{
	return param_find("kind", 4)->words[kind];
}

/* --- One parameter --- */

static int wrong(const struct param *p, const char *what, struct fail *f)
{
	return fail_set(f, FAIL_USAGE, "parameter \"%s\": %s", p->name, what);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static int take_uint(const struct param *p, const json_t *v, void *at, struct fail *f)
{
	json_int_t n = json_integer_value(v);

	if (!json_is_integer(v) || n < 0 || (uint64_t)n < p->min || (uint64_t)n > p->max)
		return wrong(p, "not a whole number in its range", f);
	*(uint64_t *)at = (uint64_t)n;
	return 0;
}

static int take_bool(const struct param *p, const json_t *v, void *at, struct fail *f)
{
	if (!json_is_boolean(v))
		return wrong(p, "neither true nor false", f);
	*(bool *)at = json_is_true(v);
	return 0;
}

static int take_text(const struct param *p, const json_t *v, void *at, struct fail *f)
{
	size_t len = json_string_length(v);

	if (!json_is_string(v) || len < p->min || len >= p->max)
		return wrong(p, "not a text, or too long, or empty", f);
	memcpy(at, json_string_value(v), len + 1);
	return 0;
}

static int take_hex(const struct param *p, const json_t *v, void *at, struct fail *f)
{
	const char *s = json_string_value(v);
	uint8_t *b = at;

	if (!json_is_string(v) || json_string_length(v) != 2 * p->max)
		return wrong(p, "not the right number of hexadecimal digits", f);
	for (size_t i = 0; i < p->max; i++) {
		int high = hex_digit(s[2 * i]), low = hex_digit(s[2 * i + 1]);

		if (high < 0 || low < 0)
			return wrong(p, "not hexadecimal digits", f);
		b[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

static int take_word(const struct param *p, const json_t *v, void *at, struct fail *f)
{
	const char *s = json_string_value(v);

	for (int i = 0; s && i < WORDS_MAX && p->words[i]; i++)
		if (!strcmp(s, p->words[i])) {
			*(int *)at = i;
			return 0;
		}
	return wrong(p, "none of its words", f);
}

static int take_param(const struct param *p, const json_t *v, struct agent_params *ret,
		      struct fail *f)
{
	static int (*const take[])(const struct param *p, const json_t *v, void *at,
				   struct fail *f) = {
		[UINT] = take_uint, [BOOL] = take_bool, [TEXT] = take_text,
		[HEX] = take_hex,   [WORD] = take_word,
	};

	ret->given |= UINT32_C(1) << (p - params);
	return take[p->type](p, v, (char *)ret + p->at, f);
}

/* --- All of them --- */

static int take_params(const struct method *m, const json_t *object, struct agent_params *ret,
		       struct fail *f)
{
	size_t taken = 0;

	for (const char *s = m->params; *s; s += strspn(s, " ?")) {
		size_t len = strcspn(s, " ?");
		const struct param *p = param_find(s, len);
		const json_t *v = json_object_get(object, p->name);
		int r;

		s += len;
		if (!v && *s == '?')
			continue;
		if (!v)
			return wrong(p, "is missing", f);
		r = take_param(p, v, ret, f);
		if (r < 0)
			return r;
		taken++;
	}
	if (taken != json_object_size(object))
		return fail_set(f, FAIL_USAGE, "\"%s\" has a parameter that it does not know",
				m->name);
	return 0;
}

static int take_request(const json_t *v, enum agent_role role, struct agent_request *ret,
			struct fail *f)
{
	const char *name = json_string_value(json_object_get(v, "method"));
	const json_t *object = json_object_get(v, "params");

	if (!json_is_integer(json_object_get(v, "id")))
		return fail_set(f, FAIL_PROTOCOL, "a request without a number as its id");
	ret->id = json_incref(json_object_get(v, "id"));
	if (!name)
		return fail_set(f, FAIL_PROTOCOL, "a request without a method");
	if (object && !json_is_object(object))
		return fail_set(f, FAIL_USAGE, "the parameters are no object");
	for (int m = 0; m < METHODS; m++)
		if (methods[m].roles & role && !strcmp(methods[m].name, name)) {
			ret->method = m;
			return take_params(&methods[m], object, &ret->params, f);
		}
	return fail_set(f, FAIL_USAGE, "there is no method \"%.32s\" here", name);
}

int agent_request_parse(const char *line, size_t len, enum agent_role role,
			struct agent_request *ret, struct fail *f)
{
	char err[JSONLINE_ERRLEN];
	json_t *v;
	int r;

	*ret = (struct agent_request){ 0 };
	v = jsonline_parse(line, len, err);
	if (!v)
		return fail_set(f, FAIL_PROTOCOL, "not a request: %s", err);
	r = take_request(v, role, ret, f);
	json_decref(v);
	return r;
}

void agent_request_fini(struct agent_request *r)
{
	json_decref(r->id);
	explicit_bzero(r, sizeof(*r));
}
