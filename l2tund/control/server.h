/*
 * The control protocol's server side: JSON lines in, JSON lines out (doc/protocol.md,
 * "Control socket"). It knows clients, methods and subscriptions, and nothing about sockets or
 * tunnels: bytes come from and go to whoever holds the connection, and the methods are the
 * daemon's rows.
 *
 *   -> {"id": 7, "method": "tunnel.up", "params": {"name": "sv"}}
 *   <- {"id": 7, "result": {...}} or {"id": 7, "error": {"code": "not-found", "message": "..."}}
 *   <- {"event": "tunnel", ...}     after {"method": "events.subscribe"}
 */
#ifndef L2TUND_CONTROL_SERVER_H
#define L2TUND_CONTROL_SERVER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/control.h"
#include "common/util.h"

#define CONTROL_CLIENTS_MAX 64
#define CONTROL_CLIENTS_PER_UID 16 /* others than root */
#define CONTROL_CLIENTS_ROOT 8	   /* places that only root gets */
#define CONTROL_LOST_MAX 10000	   /* events lost in a row before a client is given up */

/* What an event may be called; a subscription to other names is an error. */
#define CONTROL_EVENT_NAMES "tunnel", "peer", "bridge", "topology"

struct ctl_error {
	/* One stable word: bad-params, not-found, not-permitted, failed, config, … */
	const char *code;
	char message[256];
	json_t *details; /* or NULL: the error's "details"; the server drops the reference */
};

/* Sets the error and answers NULL, for `return ctl_fail(err, …)` in a method. */
json_t *ctl_fail(struct ctl_error *err, const char *code, const char *fmt, ...) _printf_(3, 4);
/* The same with `details`, whose reference it takes (NULL is allowed). */
json_t *ctl_fail_details(struct ctl_error *err, json_t *details, const char *code, const char *fmt,
			 ...) _printf_(4, 5);

struct ctl_method {
	const char *name;
	bool admin; /* for root and the daemon's own user; all that connect may call the rest */
	/*
	 * The keys it takes, "name:s level:s area:s?", "" for none: s string, i integer, b
	 * boolean, a array of strings; ? may be left out. Checked before `fn` runs; other keys
	 * are refused.
	 */
	const char *params;
	/* A new reference to the result, or NULL with `err` set. `params` is never NULL. */
	json_t *(*fn)(void *ctx, const json_t *params, struct ctl_error *err);
};

struct ctl_server;
struct ctl_client;

struct ctl_io {
	/*
	 * All or nothing. -ENOBUFS: too much is waiting already (events are then lost and
	 * counted, a reply becomes an error or the end). Other errors: the client is closed.
	 */
	int (*send)(void *conn, const char *data, size_t len);
	/* The server wants this client gone. It is freed already; no ctl_client_gone() for it. */
	void (*close)(void *conn);
};

/*
 * Rows, `ctx` and `io` must outlive it. `methods`, `version` and `events.subscribe` are built
 * in. NULL: no memory.
 */
struct ctl_server *ctl_server_new(const struct ctl_method *rows, size_t n, void *ctx,
				  const struct ctl_io *io, uid_t own_uid);
/* Closes every client. */
void ctl_server_free(struct ctl_server *s);

/* NULL when a limit turns it away; then a line that says so was sent over `conn`. */
struct ctl_client *ctl_client_new(struct ctl_server *s, void *conn, uid_t uid, pid_t pid);
/* Bytes from the client. False: it was closed (io->close has run) and freed for what it sent. */
bool ctl_client_input(struct ctl_client *c, const char *data, size_t len);
/* The connection ended by itself. */
void ctl_client_gone(struct ctl_client *c);

/*
 * Sends an event to all who subscribed; a client too slow to take it is told how many it
 * lost ({"event":"lost","count":n}). Keys it looks at: "event", and "name" for the
 * filter. May be called from inside a method. Takes no reference.
 */
void ctl_server_event(struct ctl_server *s, const json_t *event);

#endif
