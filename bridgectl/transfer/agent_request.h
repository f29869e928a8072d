/*
 * A request to an agent: one JSON line (doc/transfer.md, "JSON lines") into a method and checked
 * parameters. Pure: whatever the line holds, what comes out is in range.
 */
#ifndef BRIDGECTL_TRANSFER_AGENT_REQUEST_H
#define BRIDGECTL_TRANSFER_AGENT_REQUEST_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bridgectl/transfer/fail.h"
#include "bridgectl/transfer/map.h"
#include "bridgectl/transfer/sender.h"

#define AGENT_VERSION 1
#define AGENT_LINE_MAX 65535
#define AGENT_ADDRESS_LEN 256

enum agent_role { AGENT_SOURCE = 1, AGENT_TARGET = 2, AGENT_BOTH = 3 };

enum agent_method {
	METHOD_HELLO,
	METHOD_OPEN_SOURCE,
	METHOD_OPEN_TARGET,
	METHOD_SEED,
	METHOD_LISTEN,
	METHOD_CONNECT,
	METHOD_TRACK,
	METHOD_BEGIN,
	METHOD_PASS,
	METHOD_SETTLE,
	METHOD_RATE,
	METHOD_DIRTY,
	METHOD_SHA256,
	METHOD_COMPLETE,
	METHOD_STOP,
	METHODS,
};

enum agent_mode { MODE_TLS, MODE_PLAIN };

/* What was left out is 0, false, "" or the first word of the list. */
struct agent_params {
	uint32_t given; /* bits, see agent_given_key() */
	uint64_t version, length, port, connections, pass, bytes_per_s;
	uint64_t flush_ms, timeout_ms; /* 0: the usual ones */
	bool fresh, keep_content, create, verify, local, on;
	int mode, kind, compress; /* enum agent_mode, pass_kind, pass_compress */
	char source[MAP_IDENTITY_LEN];
	char address[AGENT_ADDRESS_LEN];
	uint8_t key[CONN_KEY_BYTES];
	uint8_t seed[DIGEST_SEED_BYTES];
};

struct agent_request {
	json_t *id; /* a new reference: an integer; NULL when there is none */
	enum agent_method method;
	struct agent_params params;
};

/*
 * 0; or negative errno with `f`, and `id` all the same when there is one. To be freed by
 * agent_request_fini() in any case, which wipes the key.
 */
int agent_request_parse(const char *line, size_t len, enum agent_role role,
			struct agent_request *ret, struct fail *f);
void agent_request_fini(struct agent_request *r);

const char *agent_method_name(enum agent_method m);
/* Whether it is answered at once, also while another one is at work. */
bool agent_method_quick(enum agent_method m);
bool agent_given_key(const struct agent_params *p);
const char *agent_kind_name(int kind);

#endif
