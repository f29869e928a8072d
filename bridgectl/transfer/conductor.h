/*
 * A copy from its first to its last step: starts both ends, joins them, runs passes until the
 * target is what the source is, verified. It moves no data itself (doc/transfer.md).
 */
#ifndef BRIDGECTL_TRANSFER_CONDUCTOR_H
#define BRIDGECTL_TRANSFER_CONDUCTOR_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bridgectl/transfer/end.h"

enum conduct_kind {
	CONDUCT_COPY,
	CONDUCT_DELTA,	/* the target has content: compare, send what differs */
	CONDUCT_WARM,	/* the source is written to meanwhile; waits for `finish` */
	CONDUCT_FINAL,	/* the source is at rest: what a warm copy has left */
	CONDUCT_VERIFY, /* compare, change nothing */
};

/* How data travels when an end is remote; between local ends it is a Unix socket. */
enum conduct_wire { CONDUCT_TLS, CONDUCT_SSH, CONDUCT_PLAIN };

struct conduct_options {
	enum conduct_kind kind;
	struct end_spec source, target;
	enum conduct_wire wire;
	unsigned connections;
	uint64_t rate;	      /* bytes per second, 0: no limit */
	const char *compress; /* "auto", "never", "always" */
	bool sha256, fresh;
	double max_downtime_s;
	double flush_s, timeout_s; /* 0: the usual ones; see doc/transfer.md */
	unsigned retries;	   /* after a failure of the network or an end, without progress */
	const char *data_address;  /* where the listening end is reached; NULL: as ssh reaches it */
	uint16_t data_port;	   /* 0: any */
	const char *run_dir;	   /* of the socket; NULL: none */
};

enum conduct_phase {
	PHASE_START, /* no agent has answered yet */
	PHASE_OPEN,
	PHASE_CONNECT,
	PHASE_PASS,
	PHASE_SETTLE,
	PHASE_WAIT, /* warm: for `finish` */
	PHASE_SHA256,
	PHASE_DONE,
};

/* What is seen of it while it runs. Bytes of the pass, except where it says so. */
struct conduct_state {
	enum conduct_phase phase;
	const char *id; /* "" without a socket */
	const char *source, *target;
	const char *from, *to; /* hosts, NULL: this one */
	unsigned source_partition, partition;
	const char *kind; /* of the pass: "full", "delta", "dirty", "verify" */
	unsigned pass;
	bool warm, final, tracking;
	uint64_t bytes; /* of the window */
	uint64_t covered, total, read, sent, wire, zero, same, dirty, verified;
	uint64_t sent_in_all; /* of all passes */
	bool lost;
	double rate, sent_rate, dirty_rate; /* bytes/s, smooth; dirty_rate < 0: not known */
	double eta_s, downtime_s;	    /* PREDICT_UNKNOWN: not known */
	uint64_t limit;			    /* bytes/s, 0: none */
	double seconds;			    /* since the copy began */
};

struct conduct_ui {
	void *arg;
	void (*progress)(void *arg, const struct conduct_state *st); /* a few times a second */
	void (*say)(void *arg, const char *sentence);
};

enum conduct_outcome {
	CONDUCTED, /* done; or equal */
	CONDUCT_DIFFERS,
	CONDUCT_FAILED,
	CONDUCT_UNREACHABLE, /* an end did not even start */
	CONDUCT_STOPPED,     /* on request */
};

#define CONDUCT_PLACES_MAX 16

struct conduct_result {
	enum conduct_outcome outcome;
	bool resumable;
	double done; /* of a first pass that was broken off, 0 to 1; < 0: in a later one */
	char code[END_CODELEN];
	char message[END_ERRLEN];
	uint64_t bytes, sent, wire, zero, same, verified;
	unsigned passes;
	double seconds, downtime_s; /* downtime: from `finish` on; < 0: none */
	uint64_t final_read, final_sent;
	char sha256[65];
	uint64_t mismatched_bytes;
	uint64_t places[CONDUCT_PLACES_MAX]; /* offsets of the first chunks that differ */
	unsigned n_places;
};

/*
 * Runs it to an end. SIGINT, SIGTERM and SIGHUP stop it in order, also while it is called with
 * these blocked; their mask is put back.
 */
void conduct(const struct conduct_options *o, const struct conduct_ui *ui,
	     struct conduct_result *ret);

const char *conduct_phase_name(enum conduct_phase p);
/* The document "progress" of doc/disks.md. A new reference. */
json_t *conduct_state_json(const struct conduct_state *st);
json_t *conduct_result_json(const struct conduct_result *r);

#endif
