/*
 * The configuration of one daemon: l2tund.conf and its includes, parsed with
 * libconfuse, checked as a whole, and only then handed out. A struct config never
 * changes after config_load(); a reload makes a new one and compares.
 */
#ifndef L2TUND_CONFIG_H
#define L2TUND_CONFIG_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "common/addr.h"
#include "common/key.h"
#include "common/names.h"

/* Where a section began: every message about it starts with this. */
struct config_src {
	char *file;
	unsigned line;
};

struct config_node {
	char name[NAME_MAX_LEN + 1];
	char *private_key_path;
	struct key private_key;
	struct key public_key;
	struct addr *listen;
	unsigned n_listen;
	char *control;
	char *control_group; /* NULL: root only */
	char *state_dir;
	char *metrics; /* NULL: none */
	unsigned workers;
	unsigned offload; /* set of enum offload (common/offload.h) that are not switched off */
	char *user;	  /* NULL: keep the user that started us */
	struct config_src src;
};

struct config_bridge {
	char name[IFNAMSIZ];
	bool create;
	bool stp;
	unsigned forward_delay_s;
	char (*ports)[IFNAMSIZ];
	unsigned n_ports;
	bool implied; /* no section of its own, only named by a tunnel: never created */
	struct config_src src;
};

struct config_peer {
	char name[NAME_MAX_LEN + 1];
	struct key public_key;
	char *psk_path; /* NULL: all-zero preshared key */
	struct key psk;
	char *host; /* NULL: the peer calls us */
	uint16_t port;
	unsigned modes; /* bit 1 << enum data_mode for each allowed mode */
	struct config_src src;
};

enum tunnel_profile { PROFILE_DEFAULT, PROFILE_FAST };

struct config_tunnel {
	char name[NAME_MAX_LEN + 1]; /* TAP_PREFIX + name fits IFNAMSIZ - 1 */
	const struct config_peer *peer;
	const struct config_bridge *bridge;
	char remote_bridge[IFNAMSIZ];
	bool mesh;	   /* the same for all tunnels of a bridge */
	bool preempt;	   /* replaces a tunnel of greater priority when it has been up for 60 s */
	uint16_t priority; /* 0..65535, lower is preferred */
	enum tunnel_profile profile;
	unsigned policer; /* flooded frames per second and direction */
	struct config_src src;
};

struct config {
	char *path;
	struct config_node node;
	struct config_bridge *bridges;
	unsigned n_bridges;
	struct config_peer *peers;
	unsigned n_peers;
	struct config_tunnel *tunnels;
	unsigned n_tunnels;
};

/* All findings of one load, in the order of the file. Freed by config_report_fini(). */
struct config_report {
	char **lines; /* "file:line: what; what to do" */
	unsigned n;
	unsigned n_errors; /* the rest are warnings, "file:line: warning: …" */
};

void config_report_add(struct config_report *r, const struct config_src *src, bool error,
		       const char *fmt, ...) _printf_(4, 5);
void config_report_fini(struct config_report *r);

/*
 * Reads and checks `path`. 0 and *ret, or -EINVAL with every error in the
 * report (also for files that cannot be read), *ret untouched. Warnings may stand in
 * the report of a good file too.
 */
int config_load(const char *path, struct config **ret, struct config_report *report);
void config_free(struct config *c);

/* Prints the effective configuration with every default; config_load() of it gives the same. */
void config_print(const struct config *c, FILE *out);

const struct config_peer *config_find_peer(const struct config *c, const char *name);
const struct config_bridge *config_find_bridge(const struct config *c, const char *name);
const struct config_tunnel *config_find_tunnel(const struct config *c, const char *name);

#endif
