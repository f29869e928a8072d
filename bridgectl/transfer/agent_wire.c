/*
 * The data connections of an agent. A Unix socket stands in a folder of its own with mode 0700;
 * its connections prove nothing, as nobody else can reach it. All others prove that they have
 * the key, in TLS and without.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/transfer/agent_private.h"
#include "bridgectl/transfer/leftover.h"

#define GATHER_MS 60000
#define BACKLOG 128 /* strangers may queue in front of our own */
#define SOCKET_NAME "/data"

static int check_ready(const struct agent *a, struct fail *f)
{
	if (!a->opened)
		return fail_set(f, FAIL_PROTOCOL, "nothing is open");
	if (!a->seeded)
		return fail_set(f, FAIL_PROTOCOL, "the seed is missing");
	if (a->connected)
		return fail_set(f, FAIL_PROTOCOL, "there are data connections already");
	return 0;
}

json_t *agent_seed(struct agent *a, const struct agent_params *p, struct fail *f)
{
	if (a->connected) {
		fail_set(f, FAIL_PROTOCOL, "there are data connections already");
		return NULL;
	}
	digest_init(&a->wire.digest, p->seed);
	a->seeded = true;
	return json_object();
}

static int take_setup(struct agent *a, const struct agent_params *p, bool local, struct fail *f)
{
	int r = check_ready(a, f);

	if (r < 0)
		return r;
	if (!local && !agent_given_key(p))
		return fail_set(f, FAIL_USAGE, "parameter \"key\": is missing");
	a->wire.role = a->o->role == AGENT_SOURCE ? WIRE_SOURCE : WIRE_TARGET;
	memcpy(a->wire.key, p->key, sizeof(a->wire.key));
	a->wire.tls = !local && p->mode == MODE_TLS;
	a->wire.local = local;
	a->wire.window = a->window.length;
	a->wire.timeout_ms = (unsigned)p->timeout_ms;
	return 0;
}

/* --- Listening --- */

/* The address of this host in "client port server port", or "". */
static void ssh_address(char *buf, size_t size)
{
	const char *s = getenv("SSH_CONNECTION");
	size_t len;

	for (int i = 0; s && i < 2; i++) {
		s = strchr(s, ' ');
		if (s)
			s++;
	}
	len = s ? strcspn(s, " ") : 0;
	if (len >= size)
		len = 0;
	if (len)
		memcpy(buf, s, len);
	buf[len] = '\0';
}

static bool make_folder(struct agent *a, const char *parent)
{
	char prefix[32];

	leftover_sweep(parent, SOCKET_NAME + 1);
	leftover_prefix(prefix, sizeof(prefix));
	snprintf(a->socket_dir, sizeof(a->socket_dir), "%s/%sXXXXXX", parent, prefix);
	if (mkdtemp(a->socket_dir))
		return true;
	a->socket_dir[0] = '\0';
	return false;
}

static int listen_unix(struct agent *a, char *address, size_t size, struct fail *f)
{
	if ((geteuid() != 0 || !make_folder(a, "/run")) && !make_folder(a, "/tmp"))
		return fail_set(f, FAIL_IO, "cannot make a folder in /tmp: %s", strerror(errno));
	snprintf(address, size, "%s" SOCKET_NAME, a->socket_dir);
	return 0;
}

static void remove_socket(struct agent *a)
{
	char path[SOCKET_DIR_LEN + sizeof(SOCKET_NAME)];

	if (!a->socket_dir[0])
		return;
	snprintf(path, sizeof(path), "%s" SOCKET_NAME, a->socket_dir);
	unlink(path);
	rmdir(a->socket_dir);
	a->socket_dir[0] = '\0';
}

static int listen_at(struct agent *a, const struct agent_params *p, const char *address,
		     uint16_t *ret_port, struct fail *f)
{
	char err[CONN_ERRLEN] = "";
	struct gather *g;
	int fd = -1;

	if (conn_listen(address, BACKLOG, &fd, err) < 0)
		return fail_set(f, FAIL_CONNECTION, "%s", err);
	/* Soon it is closed, by the one who waits there. */
	conn_local_port(fd, ret_port);
	g = gather_listen(fd, (unsigned)p->connections, &a->wire, GATHER_MS);
	if (!g)
		return fail_set(f, FAIL_INTERNAL, "no memory, or no more threads can be started");
	pthread_mutex_lock(&a->lock);
	a->gather = g;
	pthread_mutex_unlock(&a->lock);
	a->connected = true;
	return 0;
}

json_t *agent_listen(struct agent *a, const struct agent_params *p, struct fail *f)
{
	char ssh[AGENT_ADDRESS_LEN], address[AGENT_ADDRESS_LEN + 16];
	const char *host;
	uint16_t port = 0;

	if (take_setup(a, p, p->local, f) < 0)
		return NULL;
	ssh_address(ssh, sizeof(ssh));
	host = p->address[0] ? p->address : ssh[0] ? ssh : "127.0.0.1";
	if (!p->local)
		snprintf(address, sizeof(address), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
			 (unsigned)p->port);
	else if (listen_unix(a, address, sizeof(address), f) < 0)
		return NULL;
	if (listen_at(a, p, address, &port, f) < 0) {
		remove_socket(a);
		return NULL;
	}
	if (p->local)
		return json_pack("{s:s}", "path", address);
	return json_pack("{s:i, s:s}", "port", (int)port, "address", ssh);
}

json_t *agent_connect(struct agent *a, const struct agent_params *p, struct fail *f)
{
	if (take_setup(a, p, p->address[0] == '/', f) < 0 ||
	    gather_call(&a->connections, p->address, (unsigned)p->connections, &a->wire, f) < 0)
		return NULL;
	a->connected = true;
	return json_object();
}

/* --- What works on them --- */

static int make_sender(struct agent *a, struct fail *f)
{
	struct sender_setup setup = { &a->window, &a->wire.digest, a->target.path };
	struct sender *s = sender_new(&setup, &a->connections);

	if (!s)
		return fail_set(f, FAIL_INTERNAL, "no memory");
	pthread_mutex_lock(&a->lock);
	sender_rate(s, a->rate);
	a->sender = s;
	pthread_mutex_unlock(&a->lock);
	return 0;
}

static int make_receiver(struct agent *a, struct fail *f)
{
	struct receiver_setup setup = { .window = &a->window,
					.digest = &a->wire.digest,
					.map = a->map,
					.distrust = a->distrust,
					.flush_ms = a->flush_ms,
					.path = a->target.path,
					.failed = agent_failed,
					.arg = a };
	struct receiver *r = receiver_new(&setup, &a->connections, f);

	if (!r)
		return -ENOMEM;
	pthread_mutex_lock(&a->lock);
	a->receiver = r;
	pthread_mutex_unlock(&a->lock);
	return 0;
}

int agent_need_connections(struct agent *a, struct fail *f)
{
	struct gather *g = a->gather;
	int r = 0;

	if (!a->connected)
		return fail_set(f, FAIL_PROTOCOL, "there are no data connections");
	if (g) {
		r = gather_wait(g, &a->connections, f);
		pthread_mutex_lock(&a->lock);
		a->gather = NULL;
		pthread_mutex_unlock(&a->lock);
		gather_free(g);
		remove_socket(a);
	}
	if (r < 0) {
		a->connected = false;
		return r;
	}
	if (a->o->role == AGENT_SOURCE && !a->sender)
		r = make_sender(a, f);
	if (a->o->role == AGENT_TARGET && !a->receiver)
		r = make_receiver(a, f);
	/* Who was stopped meanwhile has found nothing to stop. */
	if (r == 0 && atomic_load(&a->stop))
		r = fail_set(f, FAIL_STOPPED, "stopped");
	return r;
}

void agent_disconnect(struct agent *a)
{
	struct gather *g;
	struct sender *s;
	struct receiver *r;
	struct track *t;

	pthread_mutex_lock(&a->lock);
	g = steal(a->gather);
	s = steal(a->sender);
	r = steal(a->receiver);
	t = steal(a->track);
	pthread_mutex_unlock(&a->lock);
	gather_free(g);
	receiver_free(r);
	sender_free(s);
	track_stop(t);
	dirty_free(steal(a->dirty));
	gathered_free(&a->connections, !atomic_load(&a->stop));
	remove_socket(a);
}
