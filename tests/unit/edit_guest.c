/* See edit_guest.h. */
#include "tests/unit/edit_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "common/util.h"

static const struct edit_part parts[] = {
	{ 'a', 1, "ext4", "1111-aa", "BOOT", "dec0de00-01" },
	{ 'a', 2, "ext4", ROOT_UUID, "", "dec0de00-02" },
	{ 'a', 3, "swap", SWAP_UUID, "", "dec0de00-03" },
	{ 'b', 0, "xfs", "b0b0-aa", "", "" },
	{ 'c', 1, "", "", "", "" },
	{ 'd', 1, "ext4", "dddd-aa", "", "" },
	{ 'd', 2, "ext4", "dddd-aa", "", "" },
};

void edit_guest_init(struct edit_guest *g)
{
	*g = (struct edit_guest){ .t = mem_tree_new() };
	memcpy(g->parts, parts, sizeof(parts));
	strcpy(g->vifs[0].mac, MAC0);
	strcpy(g->vifs[1].mac, MAC1);
	g->o = (struct edit_options){ .parts = g->parts,
				      .n_parts = ARRAY_SIZE(parts),
				      .vifs = g->vifs,
				      .n_vifs = 2,
				      .root_letter = 'a',
				      .root_number = 2 };
	g->in.n_kernels = 1;
	g->in.kernels[0] = (struct guest_kernel){
		.version = (char *)"6",
		.path = (char *)"/boot/vmlinuz-6",
		.initrd = (char *)"/boot/initrd-6",
		.is_default = true,
		.has_modules = true,
		.drivers = { YES, YES, YES, YES, YES, YES, YES, YES, YES },
	};
}

void edit_guest_fini(struct edit_guest *g)
{
	edits_fini(&g->e);
	tree_free(g->t);
}

void edit_guest_plan(struct edit_guest *g)
{
	struct edits again;
	unsigned failed;

	assert_int_equal(edits_plan(g->t, &g->in, &g->o, &g->e), 0);
	for (unsigned i = 0; i < g->e.n; i++) {
		assert_non_null(g->e.v[i].why);
		assert_true(g->e.v[i].new || g->e.v[i].old);
	}
	assert_int_equal(edits_write(g->t, &g->e, &failed), 0);
	assert_int_equal(edits_plan(g->t, &g->in, &g->o, &again), 0);
	for (unsigned i = 0; i < again.n; i++)
		fail_msg("a second time: %s\n%s", again.v[i].path, again.v[i].new);
	edits_fini(&again);
}

void edit_guest_expect(struct edit_guest *g, const char *path, const char *want)
{
	size_t len;
	const char *got = mem_tree_get(g->t, path, &len);

	if (!want) {
		assert_null(got);
		return;
	}
	assert_non_null(got);
	if (strcmp(got, want) != 0)
		fail_msg("%s is\n%s\nnot\n%s", path, got, want);
}

bool edit_guest_notes(const struct edit_guest *g, const char *part)
{
	for (unsigned i = 0; i < g->e.n_notes; i++) {
		if (strstr(g->e.notes[i], part))
			return true;
	}
	return false;
}

void edit_guest_cases(const struct edit_case *cases, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct edit_case *c = &cases[i];
		struct edit_guest g;

		edit_guest_init(&g);
		mem_tree_file(g.t, c->path, c->before);
		edit_guest_plan(&g);
		edit_guest_expect(&g, c->path, c->after ? c->after : c->before);
		if (!c->after)
			assert_int_equal(g.e.n, 0);
		if (c->note && !edit_guest_notes(&g, c->note))
			fail_msg("%s: no note \"%s\" but \"%s\"", c->before, c->note,
				 g.e.n_notes ? g.e.notes[0] : "");
		if (!c->note && g.e.n_notes)
			fail_msg("%s: \"%s\"", c->before, g.e.notes[0]);
		edit_guest_fini(&g);
	}
}
