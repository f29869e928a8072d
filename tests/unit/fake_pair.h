/* For tests of the made-up kernel itself: two hosts on one network. */
#ifndef TESTS_UNIT_FAKE_PAIR_H
#define TESTS_UNIT_FAKE_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* behind the four that it wants */
#include <cmocka.h>

#include "tests/support/os_fake.h"

struct fake_pair {
	struct fake_net *net;
	struct fake_host *a, *b; /* 192.0.2.1 and 192.0.2.2 */
	struct os *os, *os_b;	 /* a's and b's */
};

/* Fixtures: *state is a new pair, the same at each call. */
int fake_pair_setup(void **state);
/* Asserts that the test left nothing open on either host. */
int fake_pair_teardown(void **state);

#endif
