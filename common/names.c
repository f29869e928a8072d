/*
 * The words of the contract, each in one table. A table that lacks a word would show
 * up as NULL at a user's terminal; the unit test walks every value for that reason.
 */
#include "common/names.h"

#include <errno.h>
#include <string.h>

#include "common/util.h"

static const char *const state_names[TUNNEL_STATES] = {
	[TUNNEL_REFUSED] = "refused",	  [TUNNEL_DOWN] = "down",
	[TUNNEL_HANDSHAKE] = "handshake", [TUNNEL_PREPARE] = "prepare",
	[TUNNEL_STANDBY] = "standby",	  [TUNNEL_FORWARDING] = "forwarding",
	[TUNNEL_BLOCKED] = "blocked",	  [TUNNEL_LATCHED] = "latched",
};

static const char *const reason_names[TUNNEL_REASONS] = {
	[REASON_NONE] = "",
	[REASON_PARALLEL] = "parallel",
	[REASON_CYCLE] = "cycle",
	[REASON_PRIORITY] = "priority",
	[REASON_ADMIN] = "admin",
	[REASON_FOREIGN] = "foreign",
	[REASON_WATCHDOG] = "watchdog",
	[REASON_STORM] = "storm",
	[REASON_RECURSION] = "recursion",
	[REASON_ONE_WAY] = "one-way",
	[REASON_NO_BRIDGE] = "no-bridge",
	[REASON_NO_PEER] = "no-peer",
	[REASON_UNREACHABLE] = "unreachable",
	[REASON_REMOTE] = "remote",
	[REASON_PORT] = "port",
	[REASON_LEASE] = "lease",
	[REASON_IDENTITY] = "identity",
	[REASON_OVERFLOW] = "overflow",
};

static const char *const mode_names[DATA_MODES] = {
	[DATA_AEAD] = "aead",
	[DATA_AUTH] = "auth",
	[DATA_NONE] = "none",
};

/* Not isalnum(): what a name may hold must not depend on the locale. */
static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool name_valid(const char *s, unsigned max)
{
	size_t n = 0;

	if (s[0] == '-' || s[0] == '.')
		return false;
	for (; s[n]; n++) {
		if (n == max)
			return false;
		if (!is_alnum(s[n]) && s[n] != '.' && s[n] != '_' && s[n] != '-')
			return false;
	}
	return n > 0;
}

const char *tunnel_state_name(enum tunnel_state s)
{
	return (unsigned)s < TUNNEL_STATES ? state_names[s] : "?";
}

const char *tunnel_reason_name(enum tunnel_reason r)
{
	return (unsigned)r < TUNNEL_REASONS ? reason_names[r] : "?";
}

const char *data_mode_name(enum data_mode m)
{
	return (unsigned)m < DATA_MODES ? mode_names[m] : "?";
}

int data_mode_parse(const char *word, enum data_mode *ret)
{
	for (unsigned i = 0; i < DATA_MODES; i++) {
		if (strcmp(word, mode_names[i]) == 0) {
			*ret = (enum data_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}
