/* Logins: inittab, upstart, securetty, and what systemd needs nothing of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/util.h"
#include "tests/unit/edit_guest.h"

#define TAB "/etc/inittab"
#define S0 "S0:2345:respawn:/sbin/agetty -L ttyS0 115200 vt102\n"

static const struct edit_case inittab[] = {
	{ TAB, "1:2345:respawn:/sbin/getty 38400 hvc0\nz:6:wait:/x\n",
	  "1:2345:respawn:/sbin/getty 38400 hvc0\n" S0 "z:6:wait:/x\n", NULL },
	/* Behind hvc0, not behind the others; the id is a free one. */
	{ TAB,
	  "S0:6:wait:/x\nh:2345:respawn:/sbin/getty 38400 hvc0\n2:23:respawn:/sbin/getty tty2\n",
	  "S0:6:wait:/x\nh:2345:respawn:/sbin/getty 38400 hvc0\n"
	  "T0:2345:respawn:/sbin/agetty -L ttyS0 115200 vt102\n"
	  "2:23:respawn:/sbin/getty tty2\n",
	  NULL },
	/* xvc0 is hvc0 now; not twice. */
	{ TAB, "co:2345:respawn:/sbin/agetty xvc0 9600 vt100\n",
	  "co:2345:respawn:/sbin/agetty hvc0 9600 vt100\n" S0, NULL },
	{ TAB, "h:2345:respawn:/sbin/getty hvc0\nx:2345:respawn:/sbin/getty xvc0\n",
	  "h:2345:respawn:/sbin/getty hvc0\n" S0, NULL },
	{ TAB, "1:2345:respawn:/sbin/getty tty1",
	  "1:2345:respawn:/sbin/getty tty1\nS0:2345:respawn:/sbin/agetty -L ttyS0 115200 vt102",
	  NULL },
	{ TAB, "1:2345:respawn:/sbin/getty tty1\r\n",
	  "1:2345:respawn:/sbin/getty tty1\r\n"
	  "S0:2345:respawn:/sbin/agetty -L ttyS0 115200 vt102\r\n",
	  NULL },
	/* busybox: the first field is the terminal. */
	{ TAB, "::sysinit:/x\nhvc0::respawn:/sbin/getty -L hvc0 115200 vt100\n",
	  "::sysinit:/x\n"
	  "hvc0::respawn:/sbin/getty -L hvc0 115200 vt100\n"
	  "ttyS0::respawn:/sbin/agetty -L ttyS0 115200 vt102\n",
	  NULL },
	/* There is one, or none is to be. */
	{ TAB, "T0:23:respawn:/sbin/getty -L ttyS0 9600 vt100\nh:2:respawn:/sbin/getty hvc0\n",
	  NULL, NULL },
	{ TAB, "ttyS0::respawn:/sbin/getty 9600\nhvc0::respawn:/sbin/getty 9600\n", NULL, NULL },
	{ TAB, "id:3:initdefault:\n#1:2345:respawn:/sbin/getty tty1\n", NULL, NULL },
	{ TAB, "x:2345:respawn:/usr/bin/daemon\n", NULL, NULL },
	{ TAB, "a\nb:c\n:::\n::::\n", NULL, NULL },
};

static const struct edit_case securetty[] = {
	{ "/etc/securetty", "tty1\n", "tty1\nttyS0\nhvc0\n", NULL },
	{ "/etc/securetty", "tty1", "tty1\nttyS0\nhvc0", NULL },
	{ "/etc/securetty", "tty1\r\nhvc0\r\n", "tty1\r\nhvc0\r\nttyS0\r\n", NULL },
	{ "/etc/securetty", "#ttyS0\nttyS01\nhvc0 \n", "#ttyS0\nttyS01\nhvc0 \nttyS0\n", NULL },
	{ "/etc/securetty", "ttyS0\nhvc0\n", NULL, NULL },
};

static void test_cases(void **state)
{
	(void)state;
	edit_guest_cases(inittab, ARRAY_SIZE(inittab));
	edit_guest_cases(securetty, ARRAY_SIZE(securetty));
}

static void test_inits(void **state)
{
	static const enum init_system others[] = { INIT_SYSTEMD, INIT_UPSTART };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		struct edit_guest g;

		edit_guest_init(&g);
		g.in.init = others[i];
		mem_tree_file(g.t, TAB, "1:2345:respawn:/sbin/getty 38400 hvc0\n");
		edit_guest_plan(&g);
		assert_int_equal(g.e.n, 0);
		edit_guest_fini(&g);
	}
}

/* The program that the guest has. */
static void test_getty(void **state)
{
	struct edit_guest g;

	(void)state;
	edit_guest_init(&g);
	g.in.family = FAMILY_DEBIAN;
	mem_tree_file(g.t, TAB, "1:2345:respawn:/sbin/getty 38400 hvc0\n");
	edit_guest_plan(&g);
	edit_guest_expect(&g, TAB,
			  "1:2345:respawn:/sbin/getty 38400 hvc0\n"
			  "S0:2345:respawn:/sbin/getty -L ttyS0 115200 vt102\n");
	edit_guest_fini(&g);

	/* A kernel without hvc0 makes no login on it. */
	edit_guest_init(&g);
	g.in.kernels[0].drivers.virtio_console = NO;
	mem_tree_file(g.t, TAB, "1:2345:respawn:/sbin/agetty xvc0\n");
	edit_guest_plan(&g);
	edit_guest_expect(&g, TAB, S0);
	edit_guest_fini(&g);
}

static void check_job(const char *folder, const char *tty1, const char *other, bool made)
{
	char path[128];
	struct edit_guest g;
	size_t len;

	edit_guest_init(&g);
	g.in.init = INIT_UPSTART;
	snprintf(path, sizeof(path), "%s/%s", folder, tty1);
	mem_tree_file(g.t, path, "respawn\nexec /sbin/getty -8 38400 tty1\n");
	if (other) {
		snprintf(path, sizeof(path), "%s/%s", folder, other);
		mem_tree_file(g.t, path, "exec /sbin/getty ttyS0\n");
	}
	edit_guest_plan(&g);
	snprintf(path, sizeof(path), "%s/%s", folder,
		 strstr(tty1, ".conf") ? "ttyS0.conf" : "ttyS0");
	assert_int_equal(mem_tree_get(g.t, path, &len) != NULL, made);
	edit_guest_fini(&g);
}

static void test_upstart(void **state)
{
	(void)state;
	check_job("/etc/init", "tty1.conf", NULL, true);
	check_job("/etc/event.d", "tty1", NULL, true);
	check_job("/etc/init", "tty1.conf", "mine.conf", false);
	/* CentOS 6 starts it by itself. */
	check_job("/etc/init", "tty1.conf", "serial.conf", false);
}

static void test_masked(void **state)
{
	struct edit_guest g;

	(void)state;
	edit_guest_init(&g);
	g.in.init = INIT_SYSTEMD;
	mem_tree_link(g.t, "/etc/systemd/system/serial-getty@ttyS0.service", "/dev/null");
	edit_guest_plan(&g);
	assert_true(edit_guest_notes(&g, "is masked"));
	edit_guest_fini(&g);
}

#define HVC_RULE "/etc/udev/rules.d/80-bridgectl-hvc0.rules"

/* Whether a guest of systemd whose kernel was told this gets a rule for hvc0. */
static bool makes_hvc(const char *cmdline, const char *getty)
{
	char *consoles[] = { (char *)getty };
	struct edit_guest g;
	size_t len;
	bool made;

	edit_guest_init(&g);
	g.in.init = INIT_SYSTEMD;
	g.in.kernels[0].cmdline = (char *)cmdline;
	g.in.consoles = consoles;
	g.in.n_consoles = 1;
	mem_tree_folder(g.t, "/etc/udev/rules.d");
	edit_guest_plan(&g);
	made = mem_tree_get(g.t, HVC_RULE, &len) != NULL;
	edit_guest_fini(&g);
	return made;
}

static void test_hvc(void **state)
{
	(void)state;
	assert_true(makes_hvc("ro console=hvc0", "tty1"));
	assert_true(makes_hvc("console=xvc0", "tty1"));
	assert_false(makes_hvc("ro console=ttyS0", "tty1"));
	assert_false(makes_hvc(NULL, "tty1"));
	/* A unit says so already. */
	assert_false(makes_hvc("ro console=hvc0", "hvc0"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),  cmocka_unit_test(test_inits),
		cmocka_unit_test(test_getty),  cmocka_unit_test(test_upstart),
		cmocka_unit_test(test_masked), cmocka_unit_test(test_hvc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
