/* S-expressions from anybody: what is read keeps its bounds, and as domains it is listed. */
#include <stdlib.h>
#include <string.h>

#include "bridgectl/hypervisor/sxp.h"
#include "bridgectl/hypervisor/xen_read.h"
#include "tests/fuzz/fuzz.h"

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static unsigned check(const struct sxp *s, unsigned depth)
{
	unsigned n = 1;

	CHECK(depth <= SXP_DEPTH_MAX + 1);
	CHECK(!s->text || !s->n);
	for (unsigned i = 0; i < s->n; i++)
		n += check(&s->items[i], depth + 1);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hyper_list l = { 0 };
	char *text = malloc(size + 1);
	struct sxp *s;

	memcpy(text, data, size);
	text[size] = '\0';
	if (sxp_parse(text, size, &s) == 0) {
		CHECK(check(s, 0) <= SXP_NODES_MAX + 1);
		sxp_text(s, "domid");
		sxp_free(s);
	}
	if (xen_read_details(text, size, &l) < 0)
		CHECK(!l.n);
	hyper_list_fini(&l);
	free(text);
	return 0;
}
