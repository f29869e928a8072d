/*
 * For tests of l2tund/kernel on the running kernel: a network namespace of one's own, what
 * `ip` and `bridge` say, and a loop that runs until something is true.
 */
#ifndef TESTS_UNIT_KERNEL_SUPPORT_H
#define TESTS_UNIT_KERNEL_SUPPORT_H

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
/* behind the four that it wants */
#include <cmocka.h>

#include "common/util.h"
#include "l2tund/kernel/os_linux.h"

#define WAIT_US (5 * US_PER_S)

/* Leaves the test program with "skipped" and the reason when a new namespace cannot be had. */
void netns_enter(void);
/* The same for TAP devices. */
void need_tap(void);

/* A shell command line; asserts that it succeeds. */
void sh(const char *fmt, ...) _printf_(1, 2);
/* What a command prints, as JSON; the caller drops it. NULL when it fails. */
json_t *sh_json(const char *fmt, ...) _printf_(1, 2);
/* One value of `ip -d -j link show dev NAME`, by "a.b.c"; a borrowed reference from *ret_root. */
json_t *ip_link(const char *name, const char *path, json_t **ret_root);
/* Asserts about one value of it. */
void assert_link_int(const char *name, const char *path, long long want);
void assert_link_text(const char *name, const char *path, const char *want);

unsigned count_fds(void);

/* One os on its own loop. */
struct kernel {
	struct loop *loop;
	struct os *os;
	unsigned notified; /* calls of the links watcher */
};

void kernel_init(struct kernel *k);
void kernel_fini(struct kernel *k);
/* The same as fixtures: *state is the one struct kernel of the program. */
int kernel_setup(void **state);
int kernel_teardown(void **state);
/* A link as the table has it, or NULL; as os->link_by_name(). */
const struct os_link *kernel_link(struct kernel *k, const char *name);
/* Runs the loop until `fn` is true; false after WAIT_US. */
bool kernel_wait(struct kernel *k, bool (*fn)(void *arg), void *arg);
/* Until the link of this name is there (or not). */
bool kernel_wait_link(struct kernel *k, const char *name, bool there);
/* Runs the loop until nothing has happened for some milliseconds. */
void kernel_settle(struct kernel *k);
/* Asserts that the table says what `ip` says, for every link. */
void kernel_compare_links(struct kernel *k);

/* A TAP with counters. */
struct test_tap {
	struct os_tap *tap;
	int index;
	unsigned frames, drained, lost;
	int lost_err;
	bool close_in_frame, close_in_lost;
	struct os *os;
	uint8_t last[2048];
	size_t last_len;
	struct vnet last_vnet;
};

int test_tap_open(struct kernel *k, struct test_tap *t, const char *name, unsigned mtu);
void test_tap_close(struct kernel *k, struct test_tap *t);

#endif
