/* What several commands show in the same way: fields of the daemon's objects, states, health. */
#ifndef BRIDGECTL_CMD_VIEW_H
#define BRIDGECTL_CMD_VIEW_H

#include "bridgectl/cmd.h"

/* Fields that may be missing: "", 0 and false stand in. An older or newer daemon is no error. */
const char *view_str(const json_t *o, const char *key);
double view_num(const json_t *o, const char *key);
bool view_bool(const json_t *o, const char *key);
bool view_has(const json_t *o, const char *key); /* present and not null */

/* Of an object of counters, or one counter. */
double view_drops(const json_t *o);

enum style view_tunnel_style(const char *state);
enum style view_peer_style(const char *state);

/* In the order of the exit codes of `check`. */
enum health { HEALTH_OK, HEALTH_WARNING, HEALTH_CRITICAL };

/* `all` is the list of tunnels: standby beside a forwarding one is as it should be. */
enum health view_tunnel_health(const json_t *all, const json_t *tunnel);

/* The worst first: latched, blocked, then the others. */
#define VIEW_RANKS 3
unsigned view_tunnel_rank(const json_t *tunnel);

/* Why no gate is open at all: keys of the topology, true when it is so. */
struct view_alarm {
	const char *key, *sentence;
};
extern const struct view_alarm view_alarms[];
extern const unsigned view_alarms_len;
/* Of `topology` in the answer to `status`; what is wrong with it goes to `buf`. */
enum health view_topology_health(const json_t *topology, char *buf, size_t size);

/* A state word with its reason: "down (no-peer)". */
void view_state(const json_t *tunnel, char *buf, size_t size);
/* The daemon's sentence, or one made of the reason. */
const char *view_sentence(const json_t *tunnel);
/* "br-a", or "br-a = br-b" when the far bridge has another name. */
void view_bridges(const json_t *tunnel, char *buf, size_t size);

/*
 * "br-a, br-b also pass iptables": information about settings that cost time, "" when there are
 * none. Of the list of bridges.
 */
const char *view_filtered(const json_t *bridges, char *buf, size_t size);

/* "name      value" lines of the show commands. Empty values are "-". */
void view_field(struct out *o, const char *name, enum style style, const char *fmt, ...)
	_printf_(4, 5);

/* The tables, also used by status. */
void view_tunnels(struct out *o, const json_t *tunnels);
void view_peers(struct out *o, const json_t *peers);
void view_bridge_list(struct out *o, const json_t *bridges);

/* {"name": args[0]} */
json_t *view_name_param(const struct cmd_call *call);
/*
 * Asks and, with --json, prints the answer as it came. *ret_result (a new reference, or NULL) is
 * what remains to be shown as text.
 */
enum exit_code view_ask(struct cmd_call *call, const char *method, json_t *params,
			json_t **ret_result);
/* The list in the result: itself, or what stands under `key`. Borrowed. */
const json_t *view_list(const json_t *result, const char *key);

#endif
