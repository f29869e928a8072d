/*
 * The daemon's control socket seen from the command: connect, ask, follow events. Every call waits
 * a bounded time, and what went wrong is a sentence with what to do about it.
 */
#ifndef BRIDGECTL_CLIENT_H
#define BRIDGECTL_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#define CLIENT_TIMEOUT_MS 5000

struct client;

struct client_error {
	bool unreachable;  /* no daemon, no answer, or an answer that is none */
	char code[32];	   /* the daemon's word, "" when it said nothing */
	char message[512]; /* may hold the daemon's bytes: to be cleaned when shown */
	json_t *details;   /* lines, or NULL; freed by client_error_fini() */
};

void client_error_fini(struct client_error *e);

/* NULL with `err` set. `timeout_ms` holds for each call; the path is only kept for messages. */
struct client *client_connect(const char *path, int timeout_ms, struct client_error *err);
/* The same on a connected socket, which it owns. */
struct client *client_new(int fd, const char *path, int timeout_ms);
void client_free(struct client *c);

/*
 * Asks and waits. Takes the reference to `params` (NULL: none). A new reference to the
 * result, or NULL with `err` set. Events that come in between are dropped.
 */
json_t *client_call(struct client *c, const char *method, json_t *params, struct client_error *err);

/* Waits for one event, for ever. A new reference, or NULL with `err` set: the daemon is gone. */
json_t *client_event(struct client *c, struct client_error *err);

/*
 * One line from the daemon. 1: an event, 0: the answer to `id` in *ret_result or, NULL there, in
 * `err`; -EBADMSG: neither, `err` says what.
 */
int client_read_line(const char *line, size_t len, json_int_t id, json_t **ret_event,
		     json_t **ret_result, struct client_error *err);

#endif
