/* See fake_pair.h. */
#include "tests/unit/fake_pair.h"

#include <stdlib.h>

int fake_pair_setup(void **state)
{
	struct fake_pair *w = calloc(1, sizeof(*w));

	w->net = fake_net_new(1);
	w->a = fake_host_new(w->net, "a");
	w->b = fake_host_new(w->net, "b");
	w->os = fake_host_os(w->a);
	w->os_b = fake_host_os(w->b);
	fake_addr_add(w->a, "192.0.2.1");
	fake_addr_add(w->b, "192.0.2.2");
	*state = w;
	return 0;
}

int fake_pair_teardown(void **state)
{
	struct fake_pair *w = *state;

	assert_int_equal(fake_host_open(w->a), 0);
	assert_int_equal(fake_host_open(w->b), 0);
	fake_net_free(w->net);
	free(w);
	return 0;
}
