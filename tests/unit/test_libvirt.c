/*
 * The libvirt back-end, against libvirt's own test driver, test:///default: a made-up host in this
 * process that lists, defines, starts and stops domains and tells events of it. What it cannot show
 * (QEMU, time limits, bridges, migration) is in tests/net/test_domain_libvirt.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml_read.h"
#include "bridgectl/hypervisor/libvirt.h"
#include "build-config.h"

#define URI "test:///default"
#define UUID "0f1e2d3c-4b5a-4678-9abc-def012345678"
#define WEB1(more)                                                                         \
	"<domain type='test'><name>web1</name>" more "<memory unit='MiB'>64</memory>"      \
	"<os><type>hvm</type></os><devices><interface type='bridge'>"                      \
	"<mac address='00:16:3E:0A:0B:0C'/><source bridge='br-sv'/></interface></devices>" \
	"</domain>"

#ifdef HAVE_LIBVIRT
/* The driver's host lives as long as somebody is connected: it begins anew with each test. */
static int open_test(void **state)
{
	struct hyper_choice choice = { .uri = URI };
	char err[HYPER_ERRLEN];
	struct hyper *h;

	if (hyper_open(&choice, &h, err) < 0)
		fail_msg("%s", err);
	*state = h;
	return 0;
}

static int close_test(void **state)
{
	hyper_close(*state);
	return 0;
}

static void define_web1(struct hyper *h)
{
	char err[HYPER_ERRLEN];

	if (h->ops->define(h, WEB1("<uuid>" UUID "</uuid>"), false, err) < 0)
		fail_msg("%s", err);
}

static enum hyper_state state_of(struct hyper *h, const char *name)
{
	char err[HYPER_ERRLEN];
	struct hyper_list l;
	enum hyper_state state;

	assert_int_equal(h->ops->list(h, &l, err), 0);
	assert_non_null(hyper_find(&l, name));
	state = hyper_find(&l, name)->state;
	hyper_list_fini(&l);
	return state;
}

static void test_list(void **state)
{
	struct hyper *h = *state;
	char err[HYPER_ERRLEN];
	const struct hyper_domain *d;
	struct hyper_list l;

	define_web1(h);
	assert_int_equal(h->ops->list(h, &l, err), 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.v[0].name, "test");
	assert_int_equal(l.v[0].state, HYPER_RUNNING);
	assert_int_equal(l.v[0].id, 1);
	assert_int_equal(l.v[0].memory, UINT64_C(2) << 30);
	d = hyper_find(&l, "web1");
	assert_string_equal(d->uuid, UUID);
	assert_int_equal(d->state, HYPER_OFF);
	assert_int_equal(d->id, HYPER_UNKNOWN);
	assert_int_equal(d->memory, 64 << 20);
	assert_int_equal(d->autostart, 0);
	assert_int_equal(d->n_vifs, 1);
	assert_string_equal(d->vifs[0].mac, "00:16:3e:0a:0b:0c");
	assert_string_equal(d->vifs[0].bridge, "br-sv");
	hyper_list_fini(&l);
}

static void test_define(void **state)
{
	static const struct {
		const char *text;
		bool replace;
		int r;
		const char *said;
	} cases[] = {
		{ WEB1("<uuid>" UUID "</uuid>"), false, -EEXIST, "--replace" },
		{ WEB1(""), false, -EEXIST, "--replace" },
		{ WEB1(""), true, 0, NULL },
		{ WEB1("<uuid>" UUID "</uuid>"), true, 0, NULL },
		{ WEB1("<uuid>11111111-2222-4333-8444-555555555555</uuid>"), true, -EEXIST,
		  "another UUID" },
		{ "<domain type='test'><name>other</name><uuid>" UUID "</uuid>"
		  "<memory>1</memory><os><type>hvm</type></os></domain>",
		  true, -EEXIST, "the domain web1 has that UUID" },
		{ "<domain type='test'><name>other</name></domain>", false, -EINVAL,
		  "other: cannot be defined" },
		{ "nothing", false, -EINVAL, "no definition" },
	};
	struct hyper *h = *state;
	char err[HYPER_ERRLEN];

	define_web1(h);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = h->ops->define(h, cases[i].text, cases[i].replace, err);

		if (r != cases[i].r || (r && !strstr(err, cases[i].said)))
			fail_msg("%u: %d: %s", i, r, r ? err : "");
		if (r && strchr(err, '\n'))
			fail_msg("%u: more than a line: %s", i, err);
	}
}

static void test_start_and_stop(void **state)
{
	struct hyper *h = *state;
	struct hyper_wait w = { .timeout_s = 20 };
	char err[HYPER_ERRLEN];

	define_web1(h);
	assert_int_equal(h->ops->start(h, "nobody", err), -ESRCH);
	assert_non_null(strstr(err, "nobody: libvirt has no such domain"));
	assert_int_equal(h->ops->stop(h, "web1", &w, err), -EALREADY);
	assert_int_equal(h->ops->start(h, "web1", err), 0);
	assert_int_equal(h->ops->start(h, "web1", err), -EALREADY);
	assert_int_equal(state_of(h, "web1"), HYPER_RUNNING);
	assert_int_equal(h->ops->stop(h, "web1", &w, err), 0);
	assert_int_equal(state_of(h, "web1"), HYPER_OFF);
}

static void test_autostart(void **state)
{
	struct hyper *h = *state;
	char err[HYPER_ERRLEN], *told = NULL;

	define_web1(h);
	assert_int_equal(h->ops->autostart(h, "web1", true, &told, err), 0);
	free(told);
	assert_int_equal(h->ops->autostart(h, "web1", true, &told, err), 0);
	free(told);
	assert_int_equal(h->ops->autostart(h, "web1", false, &told, err), 0);
	free(told);
}

static void test_dump(void **state)
{
	struct hyper *h = *state;
	char err[HYPER_ERRLEN], *live, *kept;
	struct xml_changes c;

	define_web1(h);
	assert_int_equal(h->ops->dump(h, "web1", true, &live, err), -EALREADY);
	assert_int_equal(h->ops->start(h, "web1", err), 0);
	assert_int_equal(h->ops->dump(h, "web1", true, &live, err), 0);
	assert_int_equal(h->ops->dump(h, "web1", false, &kept, err), 0);
	assert_int_equal(xml_diff(kept, live, false, &c, err), 0);
	assert_int_equal(c.n, 0);
	free(live);
	free(kept);
}

static void test_migrate_refused(void **state)
{
	struct hyper *h = *state;
	struct hyper_target here = { .host = "x", .uri = URI };
	struct hyper_target away = { .host = "x", .uri = "qemu+unix:///system?socket=/nowhere" };
	struct hyper_wait w = { .timeout_s = 20 };
	char err[HYPER_ERRLEN];

	define_web1(h);
	assert_int_equal(h->ops->migrate(h, "web1", &here, &w, err), -EINVAL);
	assert_non_null(strstr(err, "it is off"));
	assert_int_equal(h->ops->start(h, "web1", err), 0);
	assert_int_equal(h->ops->migrate(h, "web1", &here, &w, err), -EEXIST);
	assert_int_equal(h->ops->migrate(h, "web1", &away, &w, err), -ENOTCONN);
	assert_non_null(strstr(err, "/nowhere"));
	assert_int_equal(state_of(h, "web1"), HYPER_RUNNING);
}

static void test_two_connections(void **state)
{
	struct hyper *h = *state, *other = NULL;
	struct hyper_wait w = { .timeout_s = 20 };
	char err[HYPER_ERRLEN];

	assert_int_equal(open_test((void **)&other), 0);
	define_web1(other);
	assert_int_equal(h->ops->start(h, "web1", err), 0);
	hyper_close(other);
	assert_int_equal(h->ops->stop(h, "web1", &w, err), 0);
}
#endif

static void test_unreachable(void **state)
{
	struct hyper_choice choice = { .uri = "qemu+unix:///system?socket=/nowhere" };
	char err[HYPER_ERRLEN];
	struct hyper *h;

	(void)state;
	assert_true(hyper_open(&choice, &h, err) < 0);
#ifdef HAVE_LIBVIRT
	assert_non_null(strstr(err, "check that libvirtd or virtqemud runs"));
#else
	assert_non_null(strstr(err, "built without libvirt"));
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef HAVE_LIBVIRT
		cmocka_unit_test_setup_teardown(test_list, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_define, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_start_and_stop, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_autostart, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_dump, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_migrate_refused, open_test, close_test),
		cmocka_unit_test_setup_teardown(test_two_connections, open_test, close_test),
#endif
		cmocka_unit_test(test_unreachable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
