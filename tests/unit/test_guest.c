/* The guest record's invariant, and that every key of the table is treated as the table says. */
#include "bridgectl/domain/guest.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bridgectl/domain/guest_json.h"
#include "bridgectl/domain/xl_guest.h"
#include "bridgectl/domain/xl_keys.h"
#include "common/util.h"

static int add(struct guest *g, const char *vdev, const struct guest_source **ret_other)
{
	struct guest_source s = { .text = strdup(vdev) };
	int r;

	assert_int_equal(vdev_parse(vdev, &s.vdev), 0);
	r = guest_add_source(g, &s, ret_other);
	assert_int_equal(s.text == NULL, r == 0); /* taken, or not */
	guest_source_fini(&s);
	return r;
}

static void whole_or_partitions(void **state)
{
	const struct guest_source *other = NULL;
	struct guest *g = guest_new();
	char name[VDEV_NAME_LEN];

	(void)state;
	assert_int_equal(add(g, "xvda5", &other), 0);
	assert_int_equal(add(g, "xvda1", &other), 0);
	assert_int_equal(add(g, "xvdb", &other), 0);
	assert_int_equal(add(g, "xvda2", &other), 0);
	assert_int_equal(add(g, "sda1", &other), 0);
	assert_null(other);
	assert_int_equal(add(g, "xvda2", &other), -EEXIST);
	assert_string_equal(other->text, "xvda2");
	assert_int_equal(add(g, "xvda", &other), -EINVAL);
	assert_int_equal(add(g, "xvdb", &other), -EEXIST);
	assert_int_equal(add(g, "xvdb1", &other), -EINVAL);
	assert_string_equal(other->text, "xvdb");
	assert_int_equal(g->n_disks, 3);
	assert_string_equal(guest_disk_name(&g->disks[0], name), "xvda");
	assert_string_equal(guest_disk_name(&g->disks[2], name), "sda");
	assert_false(g->disks[0].whole);
	assert_true(g->disks[1].whole);
	assert_int_equal(g->disks[0].n, 3);
	assert_int_equal(g->disks[0].sources[0].vdev.partition, 1);
	assert_int_equal(g->disks[0].sources[1].vdev.partition, 2);
	assert_int_equal(g->disks[0].sources[2].vdev.partition, 5);
	guest_free(g);
}

/* Who asks for a key is told when only Python knows its value; for the others it is no matter. */
static bool is_read(const char *key)
{
	struct xl_file file;
	bool found = false;
	char text[200];

	snprintf(text, sizeof(text), "kernel = 'k'\n%s = f()\n", key);
	xl_parse(text, strlen(text), &file);
	guest_free(xl_guest(&file, NULL, 0));
	snprintf(text, sizeof(text), "%s depends on Python code (f())", key);
	for (unsigned i = 0; i < file.report.n; i++)
		found |= !strncmp(file.report.items[i].text, text, strlen(text));
	xl_file_fini(&file);
	return found;
}

static void keys_are_read(void **state)
{
	(void)state;
	for (unsigned i = 0; i < xl_keys_len; i++) {
		if (i && strcmp(xl_keys[i - 1].key, xl_keys[i].key) >= 0)
			fail_msg("%s is not in its order", xl_keys[i].key);
		assert_ptr_equal(xl_key_find(xl_keys[i].key), &xl_keys[i]);
		if (is_read(xl_keys[i].key) != (xl_keys[i].use == XL_KEY_USED))
			fail_msg("%s", xl_keys[i].key);
	}
	assert_null(xl_key_find("nix"));
}

/* With that value nothing is lost, with that one something is; an accepted loss stays listed. */
static unsigned refused(const char *text, const char *accept, unsigned *ret_lost)
{
	struct xl_file file;
	struct guest *g;
	unsigned n;

	xl_parse(text, strlen(text), &file);
	g = xl_guest(&file, &accept, accept ? 1 : 0);
	n = guest_refused(g);
	*ret_lost = g->n_lost;
	guest_free(g);
	xl_file_fini(&file);
	return n;
}

static void losses(void **state)
{
	static const char *const neutral[] = { "None", "''", "0", "'0'", "False", "[]" };
	unsigned lost;

	(void)state;
	for (unsigned i = 0; i < xl_keys_len; i++) {
		char text[128];

		if (xl_keys[i].use == XL_KEY_USED)
			continue;
		snprintf(text, sizeof(text), "%s = 'xyz'\n", xl_keys[i].key);
		assert_int_equal(refused(text, NULL, &lost), xl_keys[i].use == XL_KEY_LOST);
		assert_int_equal(refused(text, xl_keys[i].key, &lost), 0);
		assert_int_equal(lost, xl_keys[i].use == XL_KEY_LOST);
		for (unsigned k = 0; k < ARRAY_SIZE(neutral); k++) {
			snprintf(text, sizeof(text), "%s = %s\n", xl_keys[i].key, neutral[k]);
			assert_int_equal(refused(text, NULL, &lost), 0);
			assert_int_equal(lost, 0);
		}
	}
	assert_int_equal(refused("tsc_mode = 'default'", NULL, &lost), 0);
	assert_int_equal(refused("tsc_mode = 'def'", NULL, &lost), 1);
	assert_int_equal(refused("altp2m = 'disabled'", NULL, &lost), 0);
	assert_int_equal(refused("nix = 1", NULL, &lost), 1);
	assert_int_equal(refused("nix = 1\nextra = 'x%d' % nix", NULL, &lost), 0);
	assert_int_equal(refused("extra = f()", "extra", &lost), 0);
	assert_int_equal(lost, 1);
}

static void passwords(void **state)
{
	static const char *const rows[][2] = {
		{ "vnc=1", "vnc=1" },
		{ "vncpasswd=geheim", "vncpasswd=***" },
		{ "type=vnc,vncpasswd=geheim,keymap=de", "type=vnc,vncpasswd=***,keymap=de" },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_free_ char *got = guest_mask(rows[i][0]);

		assert_string_equal(got, rows[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_or_partitions),
		cmocka_unit_test(keys_are_read),
		cmocka_unit_test(losses),
		cmocka_unit_test(passwords),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("guest", tests, NULL, NULL);
}
