/* What a toolstack prints, from anybody: tables, JSON and network-list become records in bounds. */
#include <stdlib.h>
#include <string.h>

#include "bridgectl/hypervisor/hyper_private.h"
#include "bridgectl/hypervisor/xen_read.h"
#include "tests/fuzz/fuzz.h"

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static void check(const struct hyper_list *l)
{
	CHECK(l->n <= 2 * XEN_DOMAINS_MAX);
	for (unsigned i = 0; i < l->n; i++) {
		const struct hyper_domain *d = &l->v[i];
		size_t uuid = strlen(d->uuid);

		CHECK(d->name && d->id >= HYPER_UNKNOWN && d->n_vifs <= XEN_VIFS_MAX);
		CHECK(!uuid || uuid == HYPER_UUID_LEN - 1);
		CHECK(strcmp(hyper_state_name(d->state), "unknown") != 0);
		for (unsigned k = 0; k < d->n_vifs; k++)
			CHECK(!d->vifs[k].mac[0] || strlen(d->vifs[k].mac) == 17);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hyper_list l = { 0 };
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	if (xen_read_details(text, size, &l) < 0)
		CHECK(!l.n);
	xen_read_table(text, &l);
	for (unsigned i = 0; i < l.n && i < 4; i++)
		xen_read_nics(text, &l.v[i]);
	check(&l);
	hyper_list_sort(&l);
	hyper_list_fini(&l);
	free(text);
	return 0;
}
