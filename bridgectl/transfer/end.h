/*
 * An end of a transfer as the conductor sees it: a process of `bridgectl agent`, here or behind
 * ssh, that is asked in JSON lines and tells of its progress (doc/transfer.md). Nothing here waits
 * but end_free(): the conductor polls end_fd() and end_stderr_fd().
 */
#ifndef BRIDGECTL_TRANSFER_END_H
#define BRIDGECTL_TRANSFER_END_H

#include <jansson.h>
#include <stdbool.h>

#include "bridgectl/transfer/end_argv.h"

#define END_VERSION 1
#define END_ERRLEN 1024
#define END_CODELEN 24
#define END_LINE_MAX 65536

struct end;

/* One question. Belongs to whoever asks and must live until `done`. */
struct end_call {
	bool done;
	json_t *result;		  /* a new reference when it went well, else NULL */
	char code[END_CODELEN];	  /* "" when it went well; "ended" when the end is gone */
	char message[END_ERRLEN]; /* a sentence */
	json_int_t id;		  /* end.c's */
	struct end_call *next;
};

typedef void (*end_event_fn)(void *arg, struct end *e, const char *event, const json_t *line);

/*
 * Starts it; `s` must outlive it. NULL and a sentence (END_ERRLEN): no process, no memory. That
 * ssh or the program fails is told by the first question's answer.
 */
struct end *end_start(const struct end_spec *s, end_event_fn event, void *arg, char *err);
/* Closes its standard input. Whether its process has ended within `wait_ms`. */
bool end_close(struct end *e, int wait_ms);
/* Closes its standard input, waits up to `wait_ms` for its end, then kills it. NULL is fine. */
void end_free(struct end *e, int wait_ms);

/*
 * Takes the reference to `params` (NULL: none). The answer comes by end_read(), also when the end
 * is gone already: then `call` is done before it returns.
 */
void end_ask(struct end *e, const char *method, json_t *params, struct end_call *call);
/* Nobody waits for the answer any more. */
void end_forget(struct end *e, struct end_call *call);
void end_call_fini(struct end_call *call);

/* What came is taken; answers and events are delivered. */
void end_read(struct end *e);
void end_read_stderr(struct end *e);
int end_fd(const struct end *e); /* -1: ended */
int end_stderr_fd(const struct end *e);
bool end_ended(const struct end *e);
/* Why it ended, as end_call.message of all that were asked; "" as long as it runs. */
const char *end_why(const struct end *e);
/* Whether it ever answered: else ssh or the program is what failed. */
bool end_answered(const struct end *e);

const char *end_name(const struct end *e); /* "the source", "the target on kvm1" */
const struct end_spec *end_spec(const struct end *e);

/*
 * For --via-ssh: one more ssh to the same host, `agent pipe SOCKET` there with `fd` as its standard
 * input and output. Takes `fd` over. 0 or negative errno. It ends with the stream.
 */
int end_pipe(struct end *e, const char *socket, int fd);

#endif
