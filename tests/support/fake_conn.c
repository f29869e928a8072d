/*
 * The fake kernel's Unix stream sockets. Both ends of a connection are one object: what the client
 * sends waits for the loop, what the daemon sends can be read at once, and the object goes when
 * both ends are closed.
 */
#include <errno.h>

#include "tests/support/fake_private.h"

struct os_listener {
	TAILQ_ENTRY(os_listener) link;
	struct fake_host *host;
	char *path;
	const struct os_conn_ops *ops;
	void *arg;
};

enum server_end { SERVER_PENDING, SERVER_OPEN, SERVER_CLOSED };

/* The daemon's handle is the same object by another name. */
struct os_conn {
	TAILQ_ENTRY(os_conn) link;
	struct fake_host *host;
	struct os_listener *listener;
	struct os_cred cred;
	const struct os_conn_ops *ops;
	void *obj;
	enum server_end server;
	bool client_gone;
	bool busy; /* inside a callback */
	struct fake_event ev;
	struct fake_queue in; /* from the client */
	char *out;	      /* to the client */
	size_t out_len, out_read;
	char *line;
};

static struct os_conn *conn_of(const struct fake_client *c)
{
	return (struct os_conn *)(uintptr_t)c;
}

/* ---- both ends ---- */

static void conn_put(struct os_conn *c)
{
	if (c->server != SERVER_CLOSED || !c->client_gone || c->busy)
		return;
	TAILQ_REMOVE(&c->host->conns, c, link);
	event_cancel(c->host->net, &c->ev);
	queue_fini(&c->in);
	free(c->out);
	free(c->line);
	free(c);
}

static void server_close(struct os_conn *c)
{
	if (c->server == SERVER_OPEN)
		c->host->open--;
	c->server = SERVER_CLOSED;
}

static void conn_accept(struct os_conn *c)
{
	struct os_listener *l = c->listener;

	if (!l) { /* closed before it took us */
		server_close(c);
		return;
	}
	c->server = SERVER_OPEN;
	c->host->open++;
	c->ops = l->ops;
	void *obj = l->ops->accepted(l->arg, c, &c->cred);
	if (c->server == SERVER_OPEN && !obj)
		server_close(c);
	c->obj = obj;
}

static void conn_event(struct fake_event *ev)
{
	struct os_conn *c = container_of(ev, struct os_conn, ev);
	struct fake_buf *b;

	c->busy = true;
	if (c->server == SERVER_PENDING)
		conn_accept(c);
	while (c->server == SERVER_OPEN && (b = queue_take(&c->in))) {
		c->ops->input(c->obj, (const char *)b->bytes, b->len);
		free(b);
	}
	if (c->server == SERVER_OPEN && c->client_gone) {
		server_close(c);
		c->ops->closed(c->obj);
	}
	c->busy = false;
	conn_put(c);
}

/* ---- the daemon's side ---- */

static struct os_listener *listener_find(struct fake_host *h, const char *path)
{
	struct os_listener *l;

	TAILQ_FOREACH(l, &h->listeners, link)
		if (strcmp(l->path, path) == 0)
			return l;
	return NULL;
}

static int listen_at(struct os *os, const char *path, const char *group,
		     const struct os_conn_ops *ops, void *arg, struct os_listener **ret)
{
	struct fake_host *h = host_of(os);
	int r = fault_check(h, FAKE_LISTEN);

	(void)group;
	if (r < 0)
		return r;
	if (listener_find(h, path))
		return -EADDRINUSE;
	struct os_listener *l = calloc(1, sizeof(*l));
	fake_must(l, "no memory");
	*l = (struct os_listener){ .host = h, .path = strdup(path), .ops = ops, .arg = arg };
	TAILQ_INSERT_TAIL(&h->listeners, l, link);
	h->open++;
	*ret = l;
	return 0;
}

static void listener_close(struct os *os, struct os_listener *l)
{
	struct fake_host *h = host_of(os);
	struct os_conn *c;

	TAILQ_FOREACH(c, &h->conns, link)
		if (c->listener == l)
			c->listener = NULL;
	TAILQ_REMOVE(&h->listeners, l, link);
	h->open--;
	free(l->path);
	free(l);
}

static int conn_send(struct os *os, struct os_conn *c, const char *data, size_t len)
{
	int r = fault_check(host_of(os), FAKE_CONN_SEND);

	if (r < 0)
		return r;
	if (c->out_len - c->out_read + len > OS_CONN_QUEUE_BYTES)
		return -ENOBUFS;
	c->out = realloc(c->out, c->out_len + len + 1);
	fake_must(c->out, "no memory");
	memcpy(c->out + c->out_len, data, len);
	c->out_len += len;
	c->out[c->out_len] = '\0';
	return 0;
}

static void conn_close(struct os *os, struct os_conn *c)
{
	(void)os;
	server_close(c);
	conn_put(c);
}

/* ---- the client's side ---- */

struct fake_client *fake_connect(struct fake_host *h, const char *path, uid_t uid)
{
	struct os_listener *l = listener_find(h, path);

	if (!l)
		return NULL;
	struct os_conn *c = calloc(1, sizeof(*c));
	fake_must(c, "no memory");
	*c = (struct os_conn){ .host = h, .listener = l, .cred = { 4711, uid, uid } };
	c->ev = (struct fake_event){ .host = h, .fn = conn_event };
	queue_init(&c->in);
	TAILQ_INSERT_TAIL(&h->conns, c, link);
	event_soon(h->net, &c->ev);
	return (struct fake_client *)c;
}

void fake_client_free(struct fake_client *client)
{
	struct os_conn *c = conn_of(client);

	if (!c)
		return;
	c->client_gone = true;
	if (c->server == SERVER_CLOSED)
		conn_put(c);
	else
		event_soon(c->host->net, &c->ev);
}

void fake_client_send(struct fake_client *client, const char *text)
{
	struct os_conn *c = conn_of(client);

	queue_put(&c->in, buf_new(text, strlen(text)));
	event_soon(c->host->net, &c->ev);
}

const char *fake_client_line(struct fake_client *client)
{
	struct os_conn *c = conn_of(client);
	const char *start = c->out + c->out_read;
	const char *end = c->out ? memchr(start, '\n', c->out_len - c->out_read) : NULL;

	free(c->line);
	c->line = end ? strndup(start, (size_t)(end - start)) : NULL;
	if (end)
		c->out_read += (size_t)(end - start) + 1;
	return c->line;
}

bool fake_client_closed(const struct fake_client *client)
{
	const struct os_conn *c = conn_of(client);

	return c->server == SERVER_CLOSED && c->out_read == c->out_len;
}

/* ---- */

void conn_init(struct fake_host *h)
{
	TAILQ_INIT(&h->listeners);
	TAILQ_INIT(&h->conns);
	h->os.listen = listen_at;
	h->os.listener_close = listener_close;
	h->os.conn_send = conn_send;
	h->os.conn_close = conn_close;
}

void conn_fini(struct fake_host *h)
{
	struct os_listener *l;

	while ((l = TAILQ_FIRST(&h->listeners)))
		listener_close(&h->os, l);
}
