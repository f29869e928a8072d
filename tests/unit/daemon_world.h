/*
 * For tests of whole daemons: two or three of them in one process, with real configuration
 * files, real sessions and a real data path, on the made-up kernel with virtual time.
 */
#ifndef TESTS_UNIT_DAEMON_WORLD_H
#define TESTS_UNIT_DAEMON_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* behind the five that it wants */
#include <cmocka.h>

#include "common/util.h"
#include "l2tund/daemon.h"
#include "l2tund/tunnel_frames.h"
#include "tests/support/os_fake.h"

#define WORLD_HOSTS 4
#define WORLD_UNDERLAYS 2

struct world {
	struct fake_net *net;
	unsigned n;
	struct fake_host *host[WORLD_HOSTS];
	struct daemon *daemon[WORLD_HOSTS]; /* NULL: not running */
	struct key key[WORLD_HOSTS];
	char dir[64];
	uint64_t incarnation;
};

extern const char *const world_names[WORLD_HOSTS];
extern const char *const world_ips[WORLD_HOSTS][WORLD_UNDERLAYS];

/* `n` hosts without bridges, daemons or configuration. The same seed gives the same keys. */
struct world *world_new(unsigned n, uint64_t seed);
/* Ends the daemons; asserts that each leaves nothing open. */
void world_free(struct world *w);
/* The same as fixtures, with two hosts. */
int world_setup(void **state);
int world_teardown(void **state);

void write_text(const char *path, const char *text);
void config_path(const struct world *w, unsigned i, char *buf, size_t size);
/*
 * Host i's file: node, peers, and `rest`. Peers are the next host over either underlay, "there"
 * and "other"; in a larger world the one after it, "beyond" and "around", and the one after that,
 * "across" and "along".
 */
void write_config(struct world *w, unsigned i, const char *rest);

int start_err(struct world *w, unsigned i, char *err);
void start(struct world *w, unsigned i);
/* Without a farewell, as kill -9. */
void end(struct world *w, unsigned i);

/* br-sv with the port "guest" in it. */
void bridge_with_guest(struct world *w, unsigned i);
struct tunnel *tunnel(struct world *w, unsigned i, const char *name);
/* Of all its lanes. */
struct tunnel_counters counts(const struct tunnel *t);

/* The usual `rest`: tunnel "sv" to "there" in br-sv. */
extern const char world_plain[];
/* Hosts 0 and 1: bridge_with_guest(), write_config() with the rest of each, start(). */
void world_start_both(struct world *w, const char *rest0, const char *rest1);
/* With world_plain at both ends. */
void world_start_plain(struct world *w);
/* Runs until "sv" forwards at both ends; asserts that it does within the limit. */
void world_wait_forwarding(struct world *w, uint64_t limit_us);

/* The next frame that came to the guest, but for probes and announcements. As fake_recv(). */
bool guest_recv(struct world *w, unsigned i, struct fake_frame *ret);
/* Forgets what host i's guest got, and what its packet sockets sent. */
void guest_drain(struct world *w, unsigned i);

/* One request over the control socket as user `uid`; its reply, valid until the next. */
const char *ask(struct world *w, unsigned i, uid_t uid, const char *line);
void assert_has(const char *text, const char *part);

#endif
