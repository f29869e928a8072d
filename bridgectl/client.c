/*
 * Client of the control protocol (doc/protocol.md, "Control socket").
 *
 * The daemon is trusted to be the daemon, not to be healthy: lines are bounded, depth is bounded,
 * waiting is bounded. Anything that is not the protocol ends the connection.
 */
#include "bridgectl/client.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/clock.h"
#include "common/control.h"
#include "common/jsonline.h"
#include "common/util.h"

#define READ_BYTES 16384

/* Owned by the command, freed by client_free(). */
struct client {
	int fd;
	char *path;
	int timeout_ms;
	json_int_t next_id;
	struct jsonline in;
	char buf[READ_BYTES];
	const char *pending; /* read, not yet taken as lines */
	size_t n_pending;
};

void client_error_fini(struct client_error *e)
{
	json_decref(e->details);
	e->details = NULL;
}

static void unreachable(struct client_error *err, const char *fmt, ...) _printf_(2, 3);

static void unreachable(struct client_error *err, const char *fmt, ...)
{
	va_list ap;

	client_error_fini(err);
	err->unreachable = true;
	err->code[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
}

static void connect_failed(const char *path, int e, struct client_error *err)
{
	switch (e) {
	case ENOENT:
	case ENOTDIR:
		unreachable(err,
			    "no l2tund at %s: there is no such socket; start the daemon "
			    "(systemctl start l2tund) or name its socket with -s",
			    path);
		break;
	case ECONNREFUSED:
		unreachable(err,
			    "no l2tund at %s: nobody listens there any more; start the daemon "
			    "(systemctl start l2tund) and look at its log if it ended by itself",
			    path);
		break;
	case EACCES:
	case EPERM:
		unreachable(err,
			    "l2tund at %s does not let this user in; run this as root, or as a "
			    "member of the group that owns the socket",
			    path);
		break;
	case EAGAIN:
		unreachable(err,
			    "l2tund at %s does not take the connection; it hangs or has too many "
			    "clients: look at its log",
			    path);
		break;
	default:
		unreachable(err, "cannot connect to l2tund at %s: %s", path, strerror(e));
	}
}

struct client *client_new(int fd, const char *path, int timeout_ms)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c || !(c->path = strdup(path))) {
		free(c);
		close(fd);
		return NULL;
	}
	c->fd = fd;
	c->timeout_ms = timeout_ms;
	jsonline_init(&c->in, CONTROL_REPLY_MAX);
	return c;
}

struct client *client_connect(const char *path, int timeout_ms, struct client_error *err)
{
	struct timeval tv = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct client *c;
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path)) {
		unreachable(err, "%s: the path of a socket has at most %zu characters", path,
			    sizeof(sun.sun_path) - 1);
		return NULL;
	}
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		unreachable(err, "cannot make a socket: %s", strerror(errno));
		return NULL;
	}
	/* Bounds connect() too, when the daemon's backlog is full: unix(7). */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		connect_failed(path, errno, err);
		close(fd);
		return NULL;
	}
	c = client_new(fd, path, timeout_ms);
	if (!c)
		unreachable(err, "out of memory");
	return c;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	close(c->fd);
	jsonline_fini(&c->in);
	free(c->path);
	free(c);
}

static int send_all(struct client *c, const char *s, size_t len)
{
	while (len) {
		ssize_t n = send(c->fd, s, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		s += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Waits for more bytes. `deadline` < 0: for ever. */
static int read_more(struct client *c, int64_t deadline)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	int64_t left = -1;
	ssize_t n;
	int r;

	do {
		if (deadline >= 0)
			left = MAX(deadline - (int64_t)clock_ms(), 0);
		r = poll(&p, 1, (int)left);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (!r)
		return -ETIMEDOUT;
	do
		n = recv(c->fd, c->buf, sizeof(c->buf), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (!n)
		return -ECONNRESET;
	c->pending = c->buf;
	c->n_pending = (size_t)n;
	return 0;
}

static int next_line(struct client *c, int64_t deadline, char **ret_line, size_t *ret_len)
{
	int r;

	for (;;) {
		r = jsonline_take(&c->in, &c->pending, &c->n_pending, ret_line, ret_len);
		if (r)
			return r < 0 ? r : 0;
		r = read_more(c, deadline);
		if (r < 0)
			return r;
	}
}

static void read_failed(struct client *c, int r, struct client_error *err)
{
	if (r == -ETIMEDOUT)
		unreachable(err,
			    "l2tund at %s did not answer within %g s; it may hang: look at its log",
			    c->path, c->timeout_ms / 1000.0);
	else if (r == -ECONNRESET || r == -EPIPE)
		unreachable(err,
			    "l2tund at %s closed the connection; it may have been stopped: look "
			    "at its log",
			    c->path);
	else if (r == -EMSGSIZE)
		unreachable(err, "%s answers with more than %d bytes: is this l2tund's socket?",
			    c->path, CONTROL_REPLY_MAX);
	else
		unreachable(err, "cannot talk to l2tund at %s: %s", c->path, strerror(-r));
}

static void error_from_json(const json_t *e, struct client_error *err)
{
	const char *code = json_string_value(json_object_get(e, "code"));
	const char *message = json_string_value(json_object_get(e, "message"));
	json_t *details = json_object_get(e, "details");

	client_error_fini(err);
	err->unreachable = false;
	snprintf(err->code, sizeof(err->code), "%s", code && code[0] ? code : "failed");
	snprintf(err->message, sizeof(err->message), "%s",
		 message && message[0] ? message : "the daemon gives no reason");
	if (json_is_array(details))
		err->details = json_incref(details);
}

int client_read_line(const char *line, size_t len, json_int_t id, json_t **ret_event,
		     json_t **ret_result, struct client_error *err)
{
	char why[JSONLINE_ERRLEN];
	json_t *msg = jsonline_parse(line, len, why);
	const json_t *msg_id = json_object_get(msg, "id");
	json_t *result = json_object_get(msg, "result");
	const json_t *e = json_object_get(msg, "error");
	int r = 0;

	/* An error without an id is about the connection: turned away, or not understood. */
	if (json_is_string(json_object_get(msg, "event"))) {
		*ret_event = json_incref(msg);
		r = 1;
	} else if (json_is_object(e) &&
		   (json_is_null(msg_id) || json_integer_value(msg_id) == id)) {
		error_from_json(e, err);
		*ret_result = NULL;
	} else if (result && json_is_integer(msg_id) && json_integer_value(msg_id) == id) {
		*ret_result = json_incref(result);
	} else {
		unreachable(err, "the answer is not l2tund's: %s",
			    msg ? "neither result nor error of this request" : why);
		r = -EBADMSG;
	}
	json_decref(msg);
	return r;
}

static int send_request(struct client *c, json_int_t id, const char *method, json_t *params)
{
	_cleanup_free_ char *line = NULL;
	json_t *req;
	size_t len;

	req = json_pack("{s:I, s:s, s:o*}", "id", id, "method", method, "params", params);
	line = req ? jsonline_dump(req, &len) : NULL;
	json_decref(req);
	if (!line)
		return -EINVAL;
	return send_all(c, line, len);
}

json_t *client_call(struct client *c, const char *method, json_t *params, struct client_error *err)
{
	int64_t deadline = (int64_t)clock_ms() + c->timeout_ms;
	json_int_t id = ++c->next_id;
	json_t *event, *result = NULL;
	char *line;
	size_t len;
	int sent = send_request(c, id, method, params), r;

	if (sent == -EINVAL) {
		unreachable(err, "%s: the arguments are not valid UTF-8", method);
		err->unreachable = false;
		return NULL;
	}
	/* A daemon that turns us away says why before it closes: read even if sending failed. */
	while (!(r = next_line(c, deadline, &line, &len))) {
		r = client_read_line(line, len, id, &event, &result, err);
		if (r <= 0)
			return result;
		json_decref(event);
	}
	read_failed(c, sent < 0 && r == -ECONNRESET ? sent : r, err);
	return NULL;
}

json_t *client_event(struct client *c, struct client_error *err)
{
	json_t *event = NULL, *result = NULL;
	char *line;
	size_t len;
	int r = next_line(c, -1, &line, &len);

	if (r < 0) {
		read_failed(c, r, err);
		return NULL;
	}
	r = client_read_line(line, len, 0, &event, &result, err);
	if (!r)
		json_decref(result);
	return r == 1 ? event : NULL;
}
