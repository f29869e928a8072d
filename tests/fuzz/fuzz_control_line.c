/*
 * A client of the control server that sends anything, in pieces of any size. The first byte
 * says who it is and how much it takes, the second how large the pieces are. Whatever is sent
 * back must be whole lines of valid JSON.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/jsonline.h"
#include "common/util.h"
#include "l2tund/control/server.h"
#include "tests/fuzz/fuzz.h"

#define OUT_BYTES (256 * 1024)

struct conn {
	size_t room;
	bool closed;
};

static int conn_send(void *conn, const char *data, size_t len)
{
	struct conn *c = conn;
	char err[JSONLINE_ERRLEN];
	json_t *v;

	if (c->closed || !len || data[len - 1] != '\n' || memchr(data, '\n', len - 1))
		abort();
	v = jsonline_parse(data, len - 1, err);
	if (!v)
		abort();
	json_decref(v);
	if (len > c->room)
		return -ENOBUFS;
	c->room -= len;
	return 0;
}

static void conn_close(void *conn)
{
	((struct conn *)conn)->closed = true;
}

static json_t *do_echo(void *ctx, const json_t *params, struct ctl_error *err)
{
	(void)ctx;
	(void)err;
	return json_deep_copy(params);
}

static json_t *do_fail(void *ctx, const json_t *params, struct ctl_error *err)
{
	(void)ctx;
	return ctl_fail_details(err, json_pack("[O]", json_object_get(params, "name")), "failed",
				"%.9s: no", json_string_value(json_object_get(params, "name")));
}

static json_t *do_event(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct ctl_server **s = ctx;
	json_t *e =
		json_pack("{s:s, s:O}", "event", "tunnel", "name", json_object_get(params, "name"));

	(void)err;
	ctl_server_event(*s, e);
	json_decref(e);
	return json_object();
}

static const struct ctl_method rows[] = {
	{ "echo", false, "name:s? level:i? on:b? list:a?", do_echo },
	{ "fail", false, "name:s", do_fail },
	{ "event", true, "name:s", do_event },
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ctl_io io = { conn_send, conn_close };
	struct conn c = { .room = OUT_BYTES };
	struct ctl_server *s;
	struct ctl_client *client;

	if (size < 2)
		return 0;
	if (data[0] & 2)
		c.room = (size_t)data[0] * 4;
	s = ctl_server_new(rows, ARRAY_SIZE(rows), &s, &io, 990);
	client = ctl_client_new(s, &c, data[0] & 1 ? 0 : 1000, 1);
	size_t step = data[1] + 1U;
	for (size_t at = 2; at < size && !c.closed; at += step) {
		bool open = ctl_client_input(client, (const char *)data + at, MIN(step, size - at));

		if (open == c.closed)
			abort();
	}
	if (!c.closed && size % 2) {
		ctl_client_gone(client);
		c.closed = true;
	}
	ctl_server_free(s);
	if (!c.closed)
		abort();
	return 0;
}
