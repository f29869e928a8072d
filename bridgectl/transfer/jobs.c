/*
 * The sockets of running copies.
 *
 * A socket whose process is gone refuses connections; whoever finds one removes it, with the
 * directory locked, so that none that is just being made is taken for one. A client that sends
 * nonsense, or more than a line before it reads, is dropped.
 */
#include "bridgectl/transfer/jobs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bridgectl/transfer/rundir.h"
#include "common/control.h"
#include "common/jsonline.h"
#include "common/util.h"

#define SUFFIX ".sock"
#define NAMESAKES_MAX 100
#define READ_BYTES 4096

struct jobs_client {
	int fd; /* -1: free */
	struct jsonline in;
};

struct jobs {
	int fd;
	jobs_answer_fn answer;
	void *arg;
	char id[JOBS_ID_LEN];
	struct sockaddr_un address;
	struct jobs_client clients[JOBS_CLIENTS_MAX];
};

const char *jobs_own_id(const struct jobs *j)
{
	return j->id;
}

static bool id_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '_' || c == '-';
}

void jobs_id(const char *path, unsigned partition, char buf[JOBS_ID_LEN])
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t n = 0;

	for (; *name && n < JOBS_ID_LEN - 16; name++)
		if (id_char(*name) && (n || (*name != '.' && *name != '-')))
			buf[n++] = *name;
	if (!n)
		n = (size_t)sprintf(buf, "disk");
	buf[n] = '\0';
	if (partition)
		snprintf(buf + n, JOBS_ID_LEN - n, "-p%u", partition);
}

static bool id_valid(const char *id)
{
	if (!*id || *id == '.' || strlen(id) >= JOBS_ID_LEN)
		return false;
	while (id_char(*id))
		id++;
	return !*id;
}

static int address_of(const char *dir, const char *id, struct sockaddr_un *ret)
{
	int n;

	if (!id_valid(id))
		return -ENOENT;
	ret->sun_family = AF_UNIX;
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "%s/%s%s", dir, id, SUFFIX);
	return n < 0 || (size_t)n >= sizeof(ret->sun_path) ? -ENAMETOOLONG : 0;
}

int jobs_connect(const char *dir, const char *id)
{
	_cleanup_close_ int lock = rundir_lock(dir);
	struct sockaddr_un a;
	int r = address_of(dir, id, &a);

	if (lock < 0)
		return lock;
	return r < 0 ? r : rundir_connect(&a, SOCK_STREAM);
}

json_t *jobs_list(const char *dir)
{
	json_t *list = json_array();
	struct dirent **found = NULL;
	int n = scandir(dir, &found, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		char *name = found[i]->d_name, *end = strstr(name, SUFFIX);

		if (end && !end[strlen(SUFFIX)]) {
			*end = '\0';
			if (id_valid(name))
				json_array_append_new(list, json_string(name));
		}
		free(found[i]);
	}
	free(found);
	return list;
}

/* --- Listening --- */

/* The first free one of ID, ID-2, … */
static int bind_one(struct jobs *j, const char *dir, const char *id)
{
	for (unsigned i = 1; i <= NAMESAKES_MAX; i++) {
		int r, other;

		if (i == 1)
			snprintf(j->id, sizeof(j->id), "%s", id);
		else
			snprintf(j->id, sizeof(j->id), "%.*s-%u", JOBS_ID_LEN - 5, id, i);
		r = address_of(dir, j->id, &j->address);
		if (r < 0)
			return r;
		other = rundir_connect(&j->address, SOCK_STREAM);
		if (other >= 0) {
			close(other);
			continue;
		}
		if (bind(j->fd, (struct sockaddr *)&j->address, sizeof(j->address)) < 0)
			return -errno;
		return listen(j->fd, JOBS_CLIENTS_MAX) < 0 ? -errno : 0;
	}
	return -EADDRINUSE;
}

struct jobs *jobs_listen(const char *dir, const char *id, jobs_answer_fn answer, void *arg,
			 char *err)
{
	_cleanup_close_ int lock = rundir_make(dir, err);
	struct jobs *j;
	int r = -ENOMEM;

	if (lock < 0)
		return NULL;
	lock = rundir_lock(dir);
	j = calloc(1, sizeof(*j));
	if (lock >= 0 && j) {
		*j = (struct jobs){ .answer = answer, .arg = arg };
		for (unsigned i = 0; i < JOBS_CLIENTS_MAX; i++)
			j->clients[i].fd = -1;
		j->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		r = j->fd < 0 ? -errno : bind_one(j, dir, id);
		if (!r)
			return j;
		cleanup_close(&j->fd);
	}
	snprintf(err, JOBS_ERRLEN, "cannot listen in %s: %s", dir, strerror(lock < 0 ? -lock : -r));
	free(j);
	return NULL;
}

static void drop(struct jobs_client *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	jsonline_fini(&c->in);
}

void jobs_free(struct jobs *j)
{
	if (!j)
		return;
	for (unsigned i = 0; i < JOBS_CLIENTS_MAX; i++)
		drop(&j->clients[i]);
	unlink(j->address.sun_path);
	close(j->fd);
	free(j);
}

unsigned jobs_poll(struct jobs *j, struct pollfd *ret)
{
	unsigned n = 0;

	ret[n++] = (struct pollfd){ .fd = j->fd, .events = POLLIN };
	for (unsigned i = 0; i < JOBS_CLIENTS_MAX; i++)
		if (j->clients[i].fd >= 0)
			ret[n++] = (struct pollfd){ .fd = j->clients[i].fd, .events = POLLIN };
	return n;
}

static void take_client(struct jobs *j)
{
	int fd = accept4(j->fd, NULL, NULL, SOCK_CLOEXEC);

	for (unsigned i = 0; fd >= 0 && i < JOBS_CLIENTS_MAX; i++)
		if (j->clients[i].fd < 0) {
			j->clients[i].fd = fd;
			jsonline_init(&j->clients[i].in, CONTROL_LINE_MAX);
			return;
		}
	cleanup_close(&fd);
}

static json_t *answer_to(struct jobs *j, const char *line, size_t len)
{
	char err[JOBS_ERRLEN] = "";
	const char *code = "usage";
	json_t *q = jsonline_parse(line, len, err), *result = NULL, *reply;
	const char *method = json_string_value(json_object_get(q, "method"));

	if (method)
		result = j->answer(j->arg, method, json_object_get(q, "params"), &code, err);
	if (result)
		reply = json_pack("{sO?so}", "id", json_object_get(q, "id"), "result", result);
	else
		reply = json_pack("{sO?s{ssss}}", "id", json_object_get(q, "id"), "error", "code",
				  code, "message", err[0] ? err : "no method");
	json_decref(q);
	return reply;
}

/* False: the client goes. */
static bool serve(struct jobs *j, struct jobs_client *c)
{
	char buf[READ_BYTES], *line;
	const char *p = buf;
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
	size_t len = n > 0 ? (size_t)n : 0, line_len, size;
	int r = 0;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	while ((r = n ? jsonline_take(&c->in, &p, &len, &line, &line_len) : -EPIPE) > 0) {
		json_t *reply = answer_to(j, line, line_len);
		_cleanup_free_ char *text = reply ? jsonline_dump(reply, &size) : NULL;

		json_decref(reply);
		if (!text || send(c->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
			return false;
	}
	return r == 0;
}

void jobs_tell(struct jobs *j, const json_t *line)
{
	size_t size;
	_cleanup_free_ char *text = jsonline_dump(line, &size);

	for (unsigned i = 0; text && i < JOBS_CLIENTS_MAX; i++) {
		struct jobs_client *c = &j->clients[i];

		if (c->fd >= 0 &&
		    send(c->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)size)
			drop(c);
	}
}

void jobs_work(struct jobs *j, const struct pollfd *p, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned k = 0; p[i].revents && k < JOBS_CLIENTS_MAX; k++)
			if (j->clients[k].fd == p[i].fd && !serve(j, &j->clients[k]))
				drop(&j->clients[k]);
	if (p[0].revents)
		take_client(j);
}
