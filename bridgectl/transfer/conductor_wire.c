/*
 * Joins the two ends: who listens, who calls, how.
 *
 * Between local ends it is a Unix socket. With one remote end that one listens, because the host
 * where the administrator sits is often behind something; with two the target does. Inside ssh
 * both listen on Unix sockets, and one more ssh for each connection carries bytes between them.
 * The key is made here for each start, travels over ssh only and is never on a command line.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "bridgectl/transfer/conductor_private.h"

#define KEY_BYTES 32

static int make_key(struct conductor *c, char hex[2 * KEY_BYTES + 1])
{
	uint8_t key[KEY_BYTES];

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return conductor_fail(c, "internal", "the kernel gives no random bytes: %s",
				      strerror(errno));
	for (unsigned i = 0; i < sizeof(key); i++)
		sprintf(hex + 2 * i, "%02x", key[i]);
	explicit_bzero(key, sizeof(key));
	return 0;
}

static bool is_remote(const struct conductor *c, int which)
{
	return (which == SOURCE ? c->o->source.host : c->o->target.host) != NULL;
}

static int listen_unix(struct conductor *c, int which, json_t **ret)
{
	int r = conductor_ask(c, which, "listen",
			      json_pack("{sbsssI}", "unix", 1, "mode", "plain", "connections",
					(json_int_t)c->o->connections),
			      ret);

	if (!r && !json_string_value(json_object_get(*ret, "path"))) {
		json_decref(*ret);
		return conductor_fail(c, "protocol", "%s does not tell where it listens",
				      end_name(c->ends[which]));
	}
	return r;
}

static int connect_local(struct conductor *c)
{
	json_t *where;
	int r;

	if (listen_unix(c, TARGET, &where) < 0)
		return -1;
	r = conductor_ask(c, SOURCE, "connect",
			  json_pack("{sOsssI}", "address", json_object_get(where, "path"), "mode",
				    "plain", "connections", (json_int_t)c->o->connections),
			  NULL);
	json_decref(where);
	return r;
}

/* --- Over the network --- */

/* "192.0.2.1:4656"; false: it is not known where the end is reached. */
static bool data_address(const struct conductor *c, const json_t *where, char *buf, size_t size)
{
	const char *address = c->o->data_address;

	if (!address)
		address = json_string_value(json_object_get(where, "address"));
	if (!address || !*address)
		return false;
	snprintf(buf, size, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address,
		 (unsigned)conductor_uint(where, "port"));
	return true;
}

static int call_failed(struct conductor *c, int listener, const char *address)
{
	char why[END_ERRLEN];

	if (strcmp(c->result->code, "connection") != 0 || end_ended(c->ends[SOURCE]) ||
	    end_ended(c->ends[TARGET]))
		return -1;
	snprintf(why, sizeof(why), "%s", c->result->message);
	snprintf(c->result->message, sizeof(c->result->message),
		 "no data connection to %s at %.80s (%.400s): open that port in the firewall there"
		 "%s, or send the data inside ssh with --via-ssh",
		 end_spec(c->ends[listener])->host, address, why,
		 c->o->data_port ? "" : ", choose a fixed one with --data-port");
	return -1;
}

static int connect_direct(struct conductor *c)
{
	int listener = is_remote(c, TARGET) ? TARGET : SOURCE, caller = listener ^ 1, r;
	const char *mode = c->o->wire == CONDUCT_PLAIN ? "plain" : "tls";
	char key[2 * KEY_BYTES + 1], address[128];
	json_t *where, *params;

	if (make_key(c, key) < 0)
		return -1;
	params = json_pack("{sssssIsIss}", "mode", mode, "key", key, "connections",
			   (json_int_t)c->o->connections, "port", (json_int_t)c->o->data_port,
			   "address", c->o->data_address ? c->o->data_address : "");
	if (c->o->timeout_s > 0)
		json_object_set_new(params, "timeout_ms",
				    json_integer((json_int_t)(c->o->timeout_s * 1000)));
	if (conductor_ask(c, listener, "listen", json_incref(params), &where) < 0) {
		json_decref(params);
		return -1;
	}
	json_object_del(params, "port");
	if (data_address(c, where, address, sizeof(address))) {
		json_object_set_new(params, "address", json_string(address));
		r = conductor_ask(c, caller, "connect", json_incref(params), NULL);
		if (r < 0)
			call_failed(c, listener, address);
	} else {
		r = conductor_fail(c, "usage",
				   "it is not known at which address %s is reached: tell it with "
				   "--data-address, or use --via-ssh",
				   end_spec(c->ends[listener])->host);
	}
	explicit_bzero(key, sizeof(key));
	json_decref(where);
	json_decref(params);
	return r;
}

/* --- Inside ssh --- */

/* A stream to this end: its Unix socket here, or the standard input and output of one more ssh. */
static int stream_to(struct conductor *c, int which, const char *path, int *ret)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int pair[2], r;

	if (is_remote(c, which)) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return -errno;
		r = end_pipe(c->ends[which], path, pair[1]);
		if (r < 0)
			close(pair[0]);
		*ret = pair[0];
		return r;
	}
	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	*ret = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*ret < 0)
		return -errno;
	if (connect(*ret, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		r = -errno;
		close(*ret);
		return r;
	}
	return 0;
}

static int join(struct conductor *c, const char *const paths[ENDS])
{
	int remote = is_remote(c, TARGET) ? TARGET : SOURCE, fd = -1, r;

	r = stream_to(c, remote ^ 1, paths[remote ^ 1], &fd);
	if (!r)
		r = end_pipe(c->ends[remote], paths[remote], fd);
	return r < 0 ? conductor_fail(c, "internal", "cannot join the two ends: %s", strerror(-r)) :
		       0;
}

static int connect_via_ssh(struct conductor *c)
{
	json_t *where[ENDS] = { NULL, NULL };
	const char *paths[ENDS];
	int r = 0;

	for (int i = 0; i < ENDS && !r; i++) {
		r = listen_unix(c, i, &where[i]);
		if (!r)
			paths[i] = json_string_value(json_object_get(where[i], "path"));
	}
	for (unsigned i = 0; i < c->o->connections && !r; i++)
		r = join(c, paths);
	for (int i = 0; i < ENDS; i++)
		json_decref(where[i]);
	return r;
}

int conductor_connect(struct conductor *c)
{
	if (!is_remote(c, SOURCE) && !is_remote(c, TARGET))
		return connect_local(c);
	return c->o->wire == CONDUCT_SSH ? connect_via_ssh(c) : connect_direct(c);
}
