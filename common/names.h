/*
 * Words that both programs and their users share: names of objects, states of a
 * tunnel, reasons behind them, data modes. They are part of the contract: only ever added.
 */
#ifndef COMMON_NAMES_H
#define COMMON_NAMES_H

#include <stdbool.h>

#define NAME_MAX_LEN 31 /* of nodes, peers and tunnels; bridges are limited by IFNAMSIZ */
#define TAP_PREFIX "l2t-"

/* Letters, digits, `.`, `_`, `-`; 1 to `max` characters, not starting with `-` or `.`. */
bool name_valid(const char *s, unsigned max);

enum tunnel_state {
	TUNNEL_REFUSED,
	TUNNEL_DOWN,
	TUNNEL_HANDSHAKE,
	TUNNEL_PREPARE,
	TUNNEL_STANDBY,
	TUNNEL_FORWARDING,
	TUNNEL_BLOCKED,
	TUNNEL_LATCHED,
	TUNNEL_STATES,
};

enum tunnel_reason {
	REASON_NONE, /* "" */
	REASON_PARALLEL,
	REASON_CYCLE,
	REASON_PRIORITY,
	REASON_ADMIN,
	REASON_FOREIGN,
	REASON_WATCHDOG,
	REASON_STORM,
	REASON_RECURSION,
	REASON_ONE_WAY,
	REASON_NO_BRIDGE,
	REASON_NO_PEER,
	REASON_UNREACHABLE,
	REASON_REMOTE,	/* the far end does not agree: no such segment, not open, switched off */
	REASON_PORT,	/* the TAP or its place in the bridge cannot be had; detail says why */
	REASON_LEASE,	/* the session's lease ran out: nothing authenticated was heard in time */
	REASON_IDENTITY, /* another node uses our key */
	REASON_OVERFLOW, /* more nodes, tunnels or foreign paths than the topology can hold */
	TUNNEL_REASONS,
};

/* Strongest first, as in `data = {…}`. */
enum data_mode { DATA_AEAD, DATA_AUTH, DATA_NONE, DATA_MODES };

const char *tunnel_state_name(enum tunnel_state s);
const char *tunnel_reason_name(enum tunnel_reason r);
const char *data_mode_name(enum data_mode m);
/* -EINVAL when the word is none of ours. */
int data_mode_parse(const char *word, enum data_mode *ret);

#endif
