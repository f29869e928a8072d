/*
 * Clients of the control socket: who may connect, lines in, replies and events out.
 *
 * One request is answered before the next line is looked at, so a client never has more than
 * one in flight. A method may raise events and an event may find its client dead: a client
 * that is being served ("busy") is only marked then, and freed when its call returns.
 */
#include "l2tund/control/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/jsonline.h"
#include "common/log.h"
#include "l2tund/control/dispatch.h"

#define FILTER_NAME_MAX 31 /* of the object an event is about */

static const char *const event_names[] = { CONTROL_EVENT_NAMES };

/* Owned by its server, freed by client_free(). */
struct ctl_client {
	LIST_ENTRY(ctl_client) entry;
	struct ctl_server *server;
	void *conn;
	uid_t uid;
	pid_t pid;
	struct jsonline in;
	unsigned events;		/* bit per event_names[] */
	char only[FILTER_NAME_MAX + 1]; /* "": events about all objects */
	uint64_t lost;			/* events since the last one that went out */
	bool busy;
	bool dead;
};

/* Owned by the daemon, freed by ctl_server_free(). */
struct ctl_server {
	LIST_HEAD(, ctl_client) clients;
	unsigned n_clients;
	struct dispatch dispatch;
	const struct ctl_io *io;
	uid_t own_uid;
};

static json_t *method_methods(void *ctx, const json_t *params, struct ctl_error *err);
static json_t *method_version(void *ctx, const json_t *params, struct ctl_error *err);
static json_t *method_subscribe(void *ctx, const json_t *params, struct ctl_error *err);

static const struct ctl_method builtin[] = {
	{ "methods", false, "", method_methods },
	{ "version", false, "", method_version },
	{ "events.subscribe", false, "events:a? name:s?", method_subscribe },
};

static void log_admin_call(void *client, const char *method, const char *name)
{
	const struct ctl_client *c = client;

	log_notice(LOG_CONTROL, "control: %s%s%.40s by uid %u, pid %d", method, name ? " " : "",
		   name ? name : "", (unsigned)c->uid, (int)c->pid);
}

struct ctl_server *ctl_server_new(const struct ctl_method *rows, size_t n, void *ctx,
				  const struct ctl_io *io, uid_t own_uid)
{
	struct ctl_server *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	LIST_INIT(&s->clients);
	s->dispatch = (struct dispatch){
		.builtin = builtin,
		.n_builtin = ARRAY_SIZE(builtin),
		.rows = rows,
		.n_rows = n,
		.ctx = ctx,
		.admin_call = log_admin_call,
	};
	s->io = io;
	s->own_uid = own_uid;
	return s;
}

static void client_free(struct ctl_client *c)
{
	LIST_REMOVE(c, entry);
	c->server->n_clients--;
	jsonline_fini(&c->in);
	free(c);
}

static void client_close(struct ctl_client *c)
{
	const struct ctl_io *io = c->server->io;
	void *conn = c->conn;

	client_free(c);
	io->close(conn);
}

/* Closes it now, or when the call it is in returns. */
static void client_drop(struct ctl_client *c)
{
	if (c->busy)
		c->dead = true;
	else
		client_close(c);
}

void ctl_server_free(struct ctl_server *s)
{
	struct ctl_client *c;

	if (!s)
		return;
	while ((c = LIST_FIRST(&s->clients))) {
		assert(!c->busy); /* a method must not free the server it runs in */
		client_close(c);
	}
	free(s);
}

/* 0, or what the connection says. -ENOMEM when there is nothing to send. */
static int conn_send_json(struct ctl_server *s, void *conn, json_t *value)
{
	_cleanup_free_ char *line = NULL;
	size_t len;

	line = value ? jsonline_dump(value, &len) : NULL;
	json_decref(value);
	if (!line)
		return -ENOMEM;
	return s->io->send(conn, line, len);
}

static int conn_send_error(struct ctl_server *s, void *conn, const json_t *id, const char *code,
			   const char *message)
{
	struct ctl_error err = { .code = code };

	snprintf(err.message, sizeof(err.message), "%s", message);
	return conn_send_json(s, conn, dispatch_error(id, &err));
}

/* What turns a client away, or NULL. Root always finds a place. */
static const char *limit_reached(const struct ctl_server *s, uid_t uid)
{
	const struct ctl_client *c;
	unsigned same = 0;

	if (s->n_clients >= CONTROL_CLIENTS_MAX)
		return "too many clients are connected to the daemon";
	if (!uid)
		return NULL;
	if (s->n_clients >= CONTROL_CLIENTS_MAX - CONTROL_CLIENTS_ROOT)
		return "too many clients are connected to the daemon";
	LIST_FOREACH(c, &s->clients, entry)
		same += c->uid == uid;
	return same >= CONTROL_CLIENTS_PER_UID ? "too many clients of this user are connected" :
						 NULL;
}

struct ctl_client *ctl_client_new(struct ctl_server *s, void *conn, uid_t uid, pid_t pid)
{
	const char *limit = limit_reached(s, uid);
	struct ctl_client *c;

	if (limit) {
		conn_send_error(s, conn, NULL, "busy", limit);
		return NULL;
	}
	c = calloc(1, sizeof(*c));
	if (!c) {
		conn_send_error(s, conn, NULL, "failed", "the daemon is out of memory");
		return NULL;
	}
	c->server = s;
	c->conn = conn;
	c->uid = uid;
	c->pid = pid;
	jsonline_init(&c->in, CONTROL_LINE_MAX);
	LIST_INSERT_HEAD(&s->clients, c, entry);
	s->n_clients++;
	return c;
}

/* A reply that does not fit into the queue becomes an error that does. */
static void client_reply(struct ctl_client *c, json_t *reply)
{
	json_t *id = json_incref(json_object_get(reply, "id"));
	int r = conn_send_json(c->server, c->conn, reply);

	if (r == -ENOBUFS)
		r = conn_send_error(c->server, c->conn, id, "too-large",
				    "the answer is too large, or earlier ones were not read");
	json_decref(id);
	if (r < 0)
		c->dead = true;
}

static void client_line(struct ctl_client *c, const char *line, size_t len)
{
	struct ctl_server *s = c->server;
	bool admin = c->uid == 0 || c->uid == s->own_uid;
	json_t *reply = dispatch_line(&s->dispatch, c, admin, line, len);

	if (reply)
		client_reply(c, reply);
}

bool ctl_client_input(struct ctl_client *c, const char *data, size_t len)
{
	char *line;
	size_t n;
	int r = 1;

	assert(!c->busy);
	c->busy = true;
	while (!c->dead && (r = jsonline_take(&c->in, &data, &len, &line, &n)) > 0)
		client_line(c, line, n);
	c->busy = false;
	if (c->dead || r < 0) {
		if (r == -EMSGSIZE)
			conn_send_error(c->server, c->conn, NULL, "too-long",
					"the request is longer than a line may be");
		client_close(c);
		return false;
	}
	return true;
}

void ctl_client_gone(struct ctl_client *c)
{
	assert(!c->busy);
	client_free(c);
}

static bool client_wants(const struct ctl_client *c, unsigned bit, const char *about)
{
	if (c->dead || !(c->events & bit))
		return false;
	return !c->only[0] || (about && !strcmp(c->only, about));
}

static int client_tell_lost(struct ctl_client *c)
{
	json_t *v;
	int r;

	if (!c->lost)
		return 0;
	v = json_pack("{s:s, s:I}", "event", "lost", "count", (json_int_t)c->lost);
	r = conn_send_json(c->server, c->conn, v);
	if (r == 0)
		c->lost = 0;
	return r;
}

static void client_event(struct ctl_client *c, const char *line, size_t len)
{
	int r = client_tell_lost(c);

	if (r == 0)
		r = c->server->io->send(c->conn, line, len);
	if (r == 0)
		return;
	c->lost++;
	if (r != -ENOBUFS || c->lost > CONTROL_LOST_MAX)
		client_drop(c);
}

/* The bit of an event's name, 0 when it has none. */
static unsigned event_bit(const char *name)
{
	for (unsigned i = 0; name && i < ARRAY_SIZE(event_names); i++)
		if (!strcmp(event_names[i], name))
			return 1U << i;
	return 0;
}

void ctl_server_event(struct ctl_server *s, const json_t *event)
{
	unsigned bit = event_bit(json_string_value(json_object_get(event, "event")));
	const char *about = json_string_value(json_object_get(event, "name"));
	_cleanup_free_ char *line = NULL;
	struct ctl_client *c, *next;
	size_t len;

	assert(bit); /* events are ours: CONTROL_EVENT_NAMES names them all */
	for (c = LIST_FIRST(&s->clients); c; c = next) {
		next = LIST_NEXT(c, entry);
		if (!client_wants(c, bit, about))
			continue;
		if (!line)
			line = jsonline_dump(event, &len);
		if (!line)
			return;
		client_event(c, line, len);
	}
}

static json_t *method_methods(void *ctx, const json_t *params, struct ctl_error *err)
{
	const struct ctl_client *c = ctx;
	json_t *list = dispatch_list(&c->server->dispatch);

	(void)params;
	return list ? list : ctl_fail(err, "failed", "the daemon is out of memory");
}

static json_t *method_version(void *ctx, const json_t *params, struct ctl_error *err)
{
	(void)ctx;
	(void)params;
	(void)err;
	return json_pack("{s:i}", "protocol", CONTROL_VERSION);
}

/* Takes effect with its reply; a second one replaces the first. */
static json_t *method_subscribe(void *ctx, const json_t *params, struct ctl_error *err)
{
	struct ctl_client *c = ctx;
	const json_t *names = json_object_get(params, "events");
	const char *only = json_string_value(json_object_get(params, "name"));
	const json_t *item;
	unsigned events = 0;
	size_t i;

	json_array_foreach(names, i, item) {
		unsigned bit = event_bit(json_string_value(item));

		if (!bit)
			return ctl_fail(err, "bad-params",
					"events.subscribe: there is no event \"%.40s\"",
					json_string_value(item));
		events |= bit;
	}
	if (only && strlen(only) > FILTER_NAME_MAX)
		return ctl_fail(err, "bad-params",
				"events.subscribe: no object has a name so long");
	c->events = names ? events : ~0U;
	snprintf(c->only, sizeof(c->only), "%s", only ? only : "");
	return json_object();
}
