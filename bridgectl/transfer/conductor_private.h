/*
 * What the files conductor*.c share. Functions that return int: 0, or -1 with c->result saying
 * why.
 */
#ifndef BRIDGECTL_TRANSFER_CONDUCTOR_PRIVATE_H
#define BRIDGECTL_TRANSFER_CONDUCTOR_PRIVATE_H

#include <signal.h>

#include "bridgectl/transfer/conductor.h"
#include "bridgectl/transfer/jobs.h"
#include "bridgectl/transfer/predict.h"
#include "common/util.h"

enum { SOURCE, TARGET, ENDS };

/* Counters at the last progress event, for rates. */
struct sample {
	uint64_t us, covered, sent, dirty;
};

struct conductor {
	const struct conduct_options *o;
	const struct conduct_ui *ui;
	struct conduct_result *result;
	struct end *ends[ENDS];
	struct jobs *jobs;
	int signals; /* signalfd */
	struct conduct_state state;
	struct predict predict;
	struct sample last;
	struct predict_mean rate, sent_rate; /* as displayed */
	uint64_t failed_us;		     /* when the network or an end failed last, 0: never */
	uint64_t began_us, shown_us, told_us, finish_us;
	bool stop, finish;	     /* asked for */
	bool hurried;		     /* asked for twice */
	struct end_call stops[ENDS]; /* "stop" on its way to both */
	bool stopping;
	struct end_call failed; /* what the target said went wrong, in an event of its own */
	uint64_t lost_now;	/* how often tracking lost events */
	uint64_t lost_seen;	/* and how many of these were made good by comparing all */
	uint64_t stop_by_us;

	/* What the target knew when it was opened. */
	bool resumed, doubt, pass_ended;
	unsigned pass; /* the next one */
	uint64_t known;
	char seed[65];
	bool opened; /* at least once: there is something to resume */
	bool moved;  /* since the ends were started: retries begin anew */
};

/* --- conductor_loop.c --- */

/* Keeps the reason, the first one only. -1. */
int conductor_fail(struct conductor *c, const char *code, const char *fmt, ...) _printf_(3, 4);
void conductor_say(struct conductor *c, const char *fmt, ...) _printf_(2, 3);
/* Asks and waits. Takes `params`. `ret` may be NULL, else it gets a new reference. */
int conductor_ask(struct conductor *c, int which, const char *method, json_t *params, json_t **ret);
/* Both ends at a time, with the same parameters. */
int conductor_ask_both(struct conductor *c, const char *method, json_t *params, json_t *ret[ENDS]);
/* Waits so long, or until something is asked for: `finish`, stop (-1). */
int conductor_pause(struct conductor *c, unsigned ms);
void conductor_event(void *arg, struct end *e, const char *event, const json_t *line);
json_t *conductor_serve(void *arg, const char *method, const json_t *params, const char **ret_code,
			char *err);
/* Rates from the counters now and last time; what they predict depends on the kind of pass. */
void conductor_measure(struct conductor *c);
/* A new pass: its counters and rates. */
void conductor_reset(struct conductor *c, const char *kind, unsigned pass, uint64_t total);
void conductor_show(struct conductor *c, bool now);
/* Looks for signals: whether somebody does not want to wait any longer. */
bool conductor_hurried(struct conductor *c);
/* An event for those who are connected to the socket. Takes `j`. */
void conductor_tell(struct conductor *c, const char *event, json_t *j);
/* Numbers, lengths of arrays, 1 for true; 0 when it is not there. */
uint64_t conductor_uint(const json_t *j, const char *key);

/* --- conductor_wire.c, conductor_pass.c: phases --- */

int conductor_connect(struct conductor *c);
int conductor_passes(struct conductor *c);
int conductor_verify(struct conductor *c);

#endif
