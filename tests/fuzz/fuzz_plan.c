/*
 * A plan from anybody: bytes as JSON, JSON as a plan. What is taken keeps every rule, comes out as
 * it went in, has its zeroes apart and inside the disk, and makes a script.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/disk/plan.h"
#include "bridgectl/disk/plan_script.h"
#include "bridgectl/disk/size.h"
#include "bridgectl/disk/swap.h"
#include "common/util.h"
#include "tests/fuzz/fuzz.h"

static void check_zeroes(const struct plan_disk *d)
{
	struct plan_range *r = calloc(d->n_parts + 1, sizeof(*r));
	unsigned n = plan_zeroes(d, r);
	uint64_t at = 0;

	if (n > d->n_parts + 1)
		abort();
	for (unsigned i = 0; i < n; i++) {
		if (r[i].start < at || !r[i].bytes ||
		    r[i].start + r[i].bytes > d->sectors * SECTOR_BYTES)
			abort();
		at = r[i].start + r[i].bytes + 1;
	}
	free(r);
}

static void check_script(const struct plan *p)
{
	static const struct plan_where places[] = {
		{ .vg = "vg0" },
		{ .dir = "/", .from = "xen1", .ssh = "ssh -p 22" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		char *script = plan_script(p, &places[i]);

		if (!script)
			abort();
		for (const char *s = script; *s; s++)
			if ((unsigned char)*s < 0x20 && *s != '\n' && *s != '\t')
				abort();
		free(script);
	}
}

static void check_plan(const struct plan *p)
{
	char err[PLAN_ERRLEN];
	json_t *a = plan_to_json(p), *b;
	struct plan *q = plan_from_json(a, err);

	if (!q || !plan_check(p, err))
		abort();
	b = plan_to_json(q);
	if (!json_equal(a, b))
		abort();
	for (unsigned i = 0; i < p->n_disks; i++)
		check_zeroes(&p->disks[i]);
	check_script(p);
	json_decref(a);
	json_decref(b);
	plan_free(q);
}

static void check_size(const uint8_t *data, size_t size)
{
	char text[64], buf[SIZE_STRLEN];
	uint64_t v, again;

	snprintf(text, sizeof(text), "%.*s", (int)MIN(size, 63u), (const char *)data);
	if (size_parse(text, &v) == 0 && (size_parse(size_format(v, buf), &again) || again != v))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char err[PLAN_ERRLEN] = "";
	json_t *j = json_loadb((const char *)data, size, 0, NULL);
	struct plan *p = plan_from_json(j, err);
	struct swap_header h;

	if (!p && !*err)
		abort();
	if (p)
		check_plan(p);
	plan_free(p);
	json_decref(j);
	check_size(data, size);
	if (swap_read(data, size, &h) == 0 && (h.page > size || strlen(h.label) > SWAP_LABEL_MAX))
		abort();
	return 0;
}
