/*
 * The control server against clients made of memory: requests and replies byte for
 * byte, who may do what, limits, events, slow clients and clients that die inside a call.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/jsonline.h"
#include "common/util.h"
#include "l2tund/control/server.h"

#define OWN_UID 990

/* One connection: what was sent to it. */
struct conn {
	char out[1 << 18];
	size_t n;
	size_t room; /* -ENOBUFS beyond */
	int error;   /* to answer sends with, or 0 */
	bool closed;
	struct ctl_client *client;
};

struct world {
	struct ctl_server *server;
	struct conn c[80];
	unsigned calls; /* of the admin method */
};

static int conn_send(void *conn, const char *data, size_t len)
{
	struct conn *c = conn;

	assert_false(c->closed);
	if (c->error)
		return c->error;
	if (c->n + len > c->room)
		return -ENOBUFS;
	memcpy(c->out + c->n, data, len);
	c->n += len;
	c->out[c->n] = '\0';
	return 0;
}

static void conn_close(void *conn)
{
	struct conn *c = conn;

	assert_false(c->closed);
	c->closed = true;
	c->client = NULL;
}

static const struct ctl_io io = { conn_send, conn_close };

static json_t *do_echo(void *ctx, const json_t *params, struct ctl_error *err)
{
	(void)ctx;
	(void)err;
	return json_deep_copy(params);
}

static json_t *do_set(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct world *w = ctx;

	(void)params;
	(void)err;
	w->calls++;
	return json_object();
}

static json_t *do_fail(void *ctx, const json_t *params, struct ctl_error *err)
{
	const char *how = json_string_value(json_object_get(params, "how"));

	(void)ctx;
	if (!strcmp(how, "details"))
		return ctl_fail_details(err, json_pack("[s,s]", "a:1: x", "b:2: y"), "config",
					"%d errors", 2);
	if (!strcmp(how, "cut"))
		return ctl_fail(err, "failed", "\xc3");
	if (!strcmp(how, "silent"))
		return NULL;
	ctl_fail_details(err, json_array(), "config", "first");
	return ctl_fail(err, "not-found", "tunnel %s: unknown", how);
}

static json_t *do_event(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct world *w = ctx;
	json_t *e =
		json_pack("{s:s, s:O}", "event", "tunnel", "name", json_object_get(params, "name"));

	(void)err;
	ctl_server_event(w->server, e);
	json_decref(e);
	return json_object();
}

static json_t *do_big(void *ctx, const json_t *params, struct ctl_error *err)
{
	json_t *list = json_array();

	(void)ctx;
	(void)params;
	(void)err;
	for (unsigned i = 0; i < 1000; i++)
		json_array_append_new(list, json_integer(100000 + i));
	return list;
}

static const struct ctl_method rows[] = {
	{ "echo", false, "name:s? level:i? on:b? list:a?", do_echo },
	{ "need", false, "name:s level:i?", do_echo },
	{ "set", true, "", do_set },
	{ "fail", false, "how:s", do_fail },
	{ "event", false, "name:s", do_event },
	{ "big", false, "", do_big },
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	for (unsigned i = 0; i < ARRAY_SIZE(w->c); i++)
		w->c[i].room = sizeof(w->c[i].out) - 1;
	w->server = ctl_server_new(rows, ARRAY_SIZE(rows), w, &io, OWN_UID);
	*state = w;
	return w->server ? 0 : -1;
}

static int teardown(void **state)
{
	struct world *w = *state;

	ctl_server_free(w->server);
	for (unsigned i = 0; i < ARRAY_SIZE(w->c); i++)
		assert_true(!w->c[i].client || w->c[i].closed);
	free(w);
	return 0;
}

static struct conn *join(struct world *w, unsigned i, uid_t uid)
{
	struct conn *c = &w->c[i];

	c->client = ctl_client_new(w->server, c, uid, 100);
	return c;
}

/* Everything sent since the last look. */
static const char *taken(struct conn *c)
{
	static char copy[sizeof(c->out)];

	memcpy(copy, c->out, c->n);
	copy[c->n] = '\0';
	c->n = 0;
	return copy;
}

static bool say(struct conn *c, const char *s)
{
	return ctl_client_input(c->client, s, strlen(s));
}

static void assert_reply(struct conn *c, const char *request, const char *reply)
{
	assert_true(say(c, request));
	assert_string_equal(taken(c), reply);
}

static void test_requests(void **state)
{
	struct conn *c = join(*state, 0, 1000);

	assert_reply(c, "{\"id\":7,\"method\":\"echo\",\"params\":{\"name\":\"sv\"}}\n",
		     "{\"id\":7,\"result\":{\"name\":\"sv\"}}\n");
	assert_reply(c, "{\"method\":\"echo\"}\n", "{\"id\":null,\"result\":{}}\n");
	assert_reply(c, "{\"id\":null,\"method\":\"echo\"}\n", "{\"id\":null,\"result\":{}}\n");
	assert_reply(c, "{\"id\":\"a\\u0007\",\"method\":\"version\"}\r\n",
		     "{\"id\":\"a\\u0007\",\"result\":{\"protocol\":1}}\n");
	assert_reply(c, "\n \t\r\n", "");
	/* Two in one read, and one in many. */
	assert_reply(c, "{\"id\":1,\"method\":\"echo\"}\n{\"id\":2,\"method\":\"echo\"}\n{\"id\"",
		     "{\"id\":1,\"result\":{}}\n{\"id\":2,\"result\":{}}\n");
	assert_reply(c, ":3,\"method\":", "");
	assert_reply(c, "\"echo\"}", "");
	assert_reply(c, "\n", "{\"id\":3,\"result\":{}}\n");
}

static json_t *ask(struct conn *c, const char *request)
{
	json_t *v;

	assert_true(say(c, request));
	v = json_loads(taken(c), 0, NULL);
	assert_non_null(v);
	return v;
}

static void assert_error(struct conn *c, const char *request, const char *code, const char *text)
{
	json_t *v = ask(c, request);
	const json_t *e = json_object_get(v, "error");

	assert_null(json_object_get(v, "result"));
	assert_string_equal(json_string_value(json_object_get(e, "code")), code);
	if (!strstr(json_string_value(json_object_get(e, "message")), text))
		fail_msg("\"%s\" not in \"%s\"", text,
			 json_string_value(json_object_get(e, "message")));
	json_decref(v);
}

static void test_bad_requests(void **state)
{
	struct conn *c = join(*state, 0, 1000);

	assert_error(c, "hello\n", "bad-request", "not JSON");
	assert_error(c, "[1]\n", "bad-request", "not a JSON object");
	assert_error(c, "{\"method\":7}\n", "bad-request", "\"method\"");
	assert_error(c, "{\"id\":1}\n", "bad-request", "\"method\"");
	assert_error(c, "{\"id\":{},\"method\":\"echo\"}\n", "bad-request", "\"id\"");
	assert_error(c, "{\"id\":1.5,\"method\":\"echo\"}\n", "bad-request", "\"id\"");
	assert_error(c, "{\"method\":\"echo\",\"params\":[]}\n", "bad-request", "\"params\"");
	assert_error(c, "{\"method\":\"echo\",\"jsonrpc\":\"2.0\"}\n", "bad-request", "jsonrpc");
	assert_error(c, "{\"method\":\"echo\",\"method\":\"set\"}\n", "bad-request", "not JSON");
	assert_error(c, "{\"method\":\"nothing\"}\n", "no-method", "\"nothing\"");
	assert_error(c, "{\"method\":\"ec\\u0000ho\"}\n", "bad-request", "not JSON");
	assert_error(c, "{\"method\":\"\xff\"}\n", "bad-request", "not JSON");
	assert_error(c, "{\"id\":5,\"method\":\"echo\"} {}\n", "bad-request", "not JSON");
	/* The connection has survived all that. */
	assert_reply(c, "{\"id\":1,\"method\":\"echo\"}\n", "{\"id\":1,\"result\":{}}\n");
}

static void test_params(void **state)
{
	struct conn *c = join(*state, 0, 1000);

	assert_error(c, "{\"method\":\"need\"}\n", "bad-params", "\"name\" is missing");
	assert_error(c, "{\"method\":\"need\",\"params\":{\"name\":7}}\n", "bad-params",
		     "a string");
	assert_error(c, "{\"method\":\"need\",\"params\":{\"name\":\"a\",\"level\":\"1\"}}\n",
		     "bad-params", "an integer");
	assert_error(c, "{\"method\":\"need\",\"params\":{\"name\":null}}\n", "bad-params",
		     "a string");
	assert_error(c, "{\"method\":\"echo\",\"params\":{\"on\":1}}\n", "bad-params",
		     "true or false");
	assert_error(c, "{\"method\":\"echo\",\"params\":{\"list\":[\"a\",1]}}\n", "bad-params",
		     "array of strings");
	assert_error(c, "{\"method\":\"need\",\"params\":{\"nmae\":\"a\"}}\n", "bad-params",
		     "it takes: name:s level:i?");
	assert_error(c, "{\"method\":\"big\",\"params\":{\"x\":1}}\n", "bad-params", "none");
	/* A key longer than any name is no key of ours, even when it begins with one. */
	assert_error(
		c,
		"{\"method\":\"need\",\"params\":{\"name\":\"a\",\"nameeeeeeeeeeeeeeeeeeeeeeeeee"
		"eeeeeeeeeeeee\":1}}\n",
		"bad-params", "unknown parameter");
	assert_reply(c,
		     "{\"id\":1,\"method\":\"echo\","
		     "\"params\":{\"on\":true,\"list\":[\"a\"],\"level\":-3}}\n",
		     "{\"id\":1,\"result\":{\"on\":true,\"list\":[\"a\"],\"level\":-3}}\n");
}

static void test_admin(void **state)
{
	struct world *w = *state;
	struct conn *user = join(w, 0, 1000), *root = join(w, 1, 0), *own = join(w, 2, OWN_UID);

	assert_error(user, "{\"method\":\"set\"}\n", "not-permitted", "set");
	assert_int_equal(w->calls, 0);
	assert_reply(root, "{\"id\":1,\"method\":\"set\"}\n", "{\"id\":1,\"result\":{}}\n");
	assert_reply(own, "{\"id\":1,\"method\":\"set\"}\n", "{\"id\":1,\"result\":{}}\n");
	assert_int_equal(w->calls, 2);
	/* Rights come before parameters: a stranger learns nothing from trying. */
	assert_error(user, "{\"method\":\"set\",\"params\":{\"x\":1}}\n", "not-permitted", "set");
}

static void test_errors(void **state)
{
	struct conn *c = join(*state, 0, 1000);

	assert_reply(c, "{\"id\":1,\"method\":\"fail\",\"params\":{\"how\":\"details\"}}\n",
		     "{\"id\":1,\"error\":{\"code\":\"config\",\"message\":\"2 errors\","
		     "\"details\":[\"a:1: x\",\"b:2: y\"]}}\n");
	assert_reply(
		c, "{\"id\":1,\"method\":\"fail\",\"params\":{\"how\":\"silent\"}}\n",
		"{\"id\":1,\"error\":{\"code\":\"failed\",\"message\":\"no reason given\"}}\n");
	/* Half a character must not make the reply unsendable. */
	assert_reply(c, "{\"id\":1,\"method\":\"fail\",\"params\":{\"how\":\"cut\"}}\n",
		     "{\"id\":1,\"error\":{\"code\":\"failed\",\"message\":\"?\"}}\n");
	assert_reply(c, "{\"id\":1,\"method\":\"fail\",\"params\":{\"how\":\"xy\"}}\n",
		     "{\"id\":1,\"error\":{\"code\":\"not-found\","
		     "\"message\":\"tunnel xy: unknown\"}}\n");
}

static void test_methods(void **state)
{
	struct conn *c = join(*state, 0, 1000);
	json_t *v = ask(c, "{\"id\":1,\"method\":\"methods\"}\n");
	const json_t *list = json_object_get(json_object_get(v, "result"), "methods");
	const json_t *m;

	assert_int_equal(json_array_size(list), 3 + ARRAY_SIZE(rows));
	m = json_array_get(list, 3 + 2);
	assert_string_equal(json_string_value(json_object_get(m, "name")), "set");
	assert_true(json_is_true(json_object_get(m, "admin")));
	m = json_array_get(list, 3 + 1);
	assert_string_equal(json_string_value(json_object_get(m, "params")), "name:s level:i?");
	json_decref(v);
}

static void test_line_limit(void **state)
{
	struct world *w = *state;
	struct conn *c = join(w, 0, 1000);
	char *line = malloc(CONTROL_LINE_MAX + 2);

	/* The longest line allowed is answered, one byte more ends the connection. */
	memset(line, ' ', CONTROL_LINE_MAX);
	memcpy(line, "{\"method\":\"echo\"}", 17);
	line[CONTROL_LINE_MAX] = '\n';
	assert_true(ctl_client_input(c->client, line, CONTROL_LINE_MAX + 1));
	assert_string_equal(taken(c), "{\"id\":null,\"result\":{}}\n");
	for (unsigned i = 0; i < CONTROL_LINE_MAX; i++)
		assert_true(ctl_client_input(c->client, "x", 1));
	assert_false(ctl_client_input(c->client, "x", 1));
	assert_true(c->closed);
	assert_non_null(strstr(taken(c), "too-long"));
	free(line);
}

static void deep(char *buf, size_t size, unsigned levels)
{
	size_t n = (size_t)snprintf(buf, size, "{\"method\":\"echo\",\"params\":{\"list\":");

	for (unsigned i = 0; i < levels - 2; i++)
		buf[n++] = '[';
	for (unsigned i = 0; i < levels - 2; i++)
		buf[n++] = ']';
	snprintf(buf + n, size - n, "}}\n");
}

static void test_depth_limit(void **state)
{
	struct conn *c = join(*state, 0, 1000);
	char line[4096];

	deep(line, sizeof(line), CONTROL_DEPTH_MAX);
	assert_error(c, line, "bad-params", "array of strings");
	deep(line, sizeof(line), CONTROL_DEPTH_MAX + 1);
	assert_error(c, line, "bad-request", "levels deep");
	deep(line, sizeof(line), 1500);
	assert_error(c, line, "bad-request", "levels deep");
	/* Brackets in strings are text. */
	assert_reply(
		c,
		"{\"method\":\"echo\",\"params\":{\"name\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[\"}}\n",
		"{\"id\":null,\"result\":{\"name\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[\"}}\n");
}

static void test_client_limits(void **state)
{
	struct world *w = *state;
	unsigned i, n = 0;

	for (i = 0; i < CONTROL_CLIENTS_PER_UID; i++)
		assert_non_null(join(w, n++, 1000)->client);
	assert_null(join(w, n, 1000)->client);
	assert_string_equal(taken(&w->c[n]),
			    "{\"id\":null,\"error\":{\"code\":\"busy\",\"message\":"
			    "\"too many clients of this user are connected\"}}\n");
	while (n < CONTROL_CLIENTS_MAX - CONTROL_CLIENTS_ROOT)
		assert_non_null(join(w, n, 2000 + n)->client), n++;
	assert_null(join(w, n, 5000)->client);
	assert_non_null(strstr(taken(&w->c[n]), "busy"));
	while (n < CONTROL_CLIENTS_MAX)
		assert_non_null(join(w, n++, 0)->client);
	assert_null(join(w, n, 0)->client);
	/* A place that becomes free is given away again. */
	ctl_client_gone(w->c[0].client);
	w->c[0].client = NULL;
	assert_non_null(join(w, n, 0)->client);
}

static void raise(struct world *w, const char *kind, const char *name)
{
	json_t *e = json_pack("{s:s, s:s}", "event", kind, "name", name);

	ctl_server_event(w->server, e);
	json_decref(e);
}

static void test_events(void **state)
{
	struct world *w = *state;
	struct conn *a = join(w, 0, 1000), *b = join(w, 1, 1000), *c = join(w, 2, 1000);

	assert_reply(a, "{\"id\":1,\"method\":\"events.subscribe\"}\n",
		     "{\"id\":1,\"result\":{}}\n");
	assert_reply(
		b,
		"{\"id\":1,\"method\":\"events.subscribe\",\"params\":{\"events\":[\"peer\"]}}\n",
		"{\"id\":1,\"result\":{}}\n");
	raise(w, "tunnel", "sv");
	assert_string_equal(taken(a), "{\"event\":\"tunnel\",\"name\":\"sv\"}\n");
	assert_string_equal(taken(b), "");
	raise(w, "peer", "xen1");
	assert_string_equal(taken(a), "{\"event\":\"peer\",\"name\":\"xen1\"}\n");
	assert_string_equal(taken(b), "{\"event\":\"peer\",\"name\":\"xen1\"}\n");
	assert_string_equal(taken(c), "");
	/* Another subscription replaces the first; names filter. */
	assert_reply(b, "{\"id\":2,\"method\":\"events.subscribe\",\"params\":{\"name\":\"sv\"}}\n",
		     "{\"id\":2,\"result\":{}}\n");
	raise(w, "peer", "xen1");
	raise(w, "tunnel", "sv");
	assert_string_equal(taken(b), "{\"event\":\"tunnel\",\"name\":\"sv\"}\n");
	assert_error(c, "{\"method\":\"events.subscribe\",\"params\":{\"events\":[\"tunel\"]}}\n",
		     "bad-params", "\"tunel\"");
	assert_error(c,
		     "{\"method\":\"events.subscribe\",\"params\":{\"name\":"
		     "\"01234567890123456789012345678901\"}}\n",
		     "bad-params", "so long");
	/* An empty list is none. */
	taken(a);
	assert_reply(a, "{\"id\":1,\"method\":\"events.subscribe\",\"params\":{\"events\":[]}}\n",
		     "{\"id\":1,\"result\":{}}\n");
	raise(w, "tunnel", "sv");
	assert_string_equal(taken(a), "");
}

static void test_event_inside_call(void **state)
{
	struct world *w = *state;
	struct conn *a = join(w, 0, 1000);

	assert_true(say(a, "{\"method\":\"events.subscribe\"}\n"));
	taken(a);
	assert_reply(a, "{\"id\":1,\"method\":\"event\",\"params\":{\"name\":\"sv\"}}\n",
		     "{\"event\":\"tunnel\",\"name\":\"sv\"}\n{\"id\":1,\"result\":{}}\n");
	/* Its connection dies while it is being served: the rest of the input is not looked at. */
	a->error = -EPIPE;
	assert_false(say(
		a, "{\"method\":\"event\",\"params\":{\"name\":\"sv\"}}\n{\"method\":\"echo\"}\n"));
	assert_true(a->closed);
}

static void test_slow_client(void **state)
{
	struct world *w = *state;
	struct conn *a = join(w, 0, 1000), *b = join(w, 1, 1000);

	assert_true(say(a, "{\"method\":\"events.subscribe\"}\n"));
	assert_true(say(b, "{\"method\":\"events.subscribe\"}\n"));
	taken(a);
	taken(b);
	a->room = 80; /* two events */
	for (unsigned i = 0; i < 5; i++)
		raise(w, "tunnel", "sv");
	assert_string_equal(taken(a), "{\"event\":\"tunnel\",\"name\":\"sv\"}\n"
				      "{\"event\":\"tunnel\",\"name\":\"sv\"}\n");
	taken(b);
	raise(w, "peer", "p");
	assert_string_equal(
		taken(a),
		"{\"event\":\"lost\",\"count\":3}\n{\"event\":\"peer\",\"name\":\"p\"}\n");
	assert_string_equal(taken(b), "{\"event\":\"peer\",\"name\":\"p\"}\n");
	/* Told once. */
	raise(w, "peer", "p");
	assert_string_equal(taken(a), "{\"event\":\"peer\",\"name\":\"p\"}\n");
	/* One that never reads is given up. */
	a->room = 0;
	for (unsigned i = 0; i < CONTROL_LOST_MAX; i++)
		raise(w, "tunnel", "sv");
	assert_false(a->closed);
	raise(w, "tunnel", "sv");
	assert_true(a->closed);
	assert_false(b->closed);
}

static void test_large_reply(void **state)
{
	struct conn *a = join(*state, 0, 1000);

	a->room = 300;
	assert_error(a, "{\"id\":9,\"method\":\"big\"}\n", "too-large", "too large");
	a->room = 10;
	assert_false(say(a, "{\"id\":9,\"method\":\"big\"}\n"));
	assert_true(a->closed);
}

static void test_gone(void **state)
{
	struct world *w = *state;
	struct conn *a = join(w, 0, 1000), *b = join(w, 1, 1000);

	assert_true(say(a, "{\"method\":\"events.subscribe\"}\n{\"half"));
	ctl_client_gone(a->client);
	a->client = NULL;
	assert_false(a->closed);
	raise(w, "tunnel", "sv");
	assert_reply(b, "{\"id\":1,\"method\":\"echo\"}\n", "{\"id\":1,\"result\":{}}\n");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_requests),   T(test_bad_requests), T(test_params),
		T(test_admin),	    T(test_errors),	  T(test_methods),
		T(test_line_limit), T(test_depth_limit),  T(test_client_limits),
		T(test_events),	    T(test_slow_client),  T(test_event_inside_call),
		T(test_gone),	    T(test_large_reply),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
