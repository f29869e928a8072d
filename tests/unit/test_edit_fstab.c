/* Names of disks in fstab, crypttab and the initramfs's resume file, line by line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/util.h"
#include "tests/unit/edit_guest.h"

#define FSTAB "/etc/fstab"

static const struct edit_case fstab[] = {
	{ FSTAB, "/dev/xvda2 / ext4 defaults 0 1\n", "UUID=2222-aa / ext4 defaults 0 1\n", NULL },
	{ FSTAB, "/dev/sda2 / ext4 defaults 0 1\n", "UUID=2222-aa / ext4 defaults 0 1\n", NULL },
	{ FSTAB, "/dev/hda3 none swap sw 0 0\n", "UUID=3333-aa none swap sw 0 0\n", NULL },
	{ FSTAB, "/dev/vda3\tnone\tswap\tsw\n", "UUID=3333-aa\tnone\tswap\tsw\n", NULL },
	{ FSTAB, "/dev/xvdb /srv xfs defaults\n", "UUID=b0b0-aa /srv xfs defaults\n", NULL },
	/* Columns: spaces give way, tabs stay, a gap never closes. */
	{ FSTAB, "/dev/xvda2     /  ext4\n", "UUID=2222-aa   /  ext4\n", NULL },
	{ FSTAB, "/dev/xvda2  /  ext4\n", "UUID=2222-aa  /  ext4\n", NULL },
	{ FSTAB, "  /dev/xvda2 / ext4 # it\n", "  UUID=2222-aa / ext4 # it\n", NULL },
	/* Ends of lines. */
	{ FSTAB, "/dev/xvda2 / ext4", "UUID=2222-aa / ext4", NULL },
	{ FSTAB, "#\r\n/dev/xvda2 / ext4\r\n", "#\r\nUUID=2222-aa / ext4\r\n", NULL },
	{ FSTAB, "\n\n/dev/xvda2 / ext4\n\n", "\n\nUUID=2222-aa / ext4\n\n", NULL },
	/* Left alone. */
	{ FSTAB, "# /dev/xvda2 / ext4\n", NULL, NULL },
	{ FSTAB, "LABEL=BOOT /boot ext4\nUUID=1111-aa / ext4\n", NULL, NULL },
	{ FSTAB, "/dev/mapper/vg-root / ext4\n/dev/vg0/x /x ext4\n", NULL, NULL },
	{ FSTAB, "/dev/md0 / ext4\nproc /proc proc\n/swapfile none swap\n", NULL, NULL },
	{ FSTAB, "host:/dev/xvda2 /n nfs\n/dev/xvda2x / ext4\n", NULL, NULL },
	{ FSTAB, "/dev/hdc /cdrom iso9660 ro,noauto 0 0\n", NULL, NULL },
	{ FSTAB, "", NULL, NULL },
	/* Notes. */
	{ FSTAB, "#\n/dev/xvda7 /x ext4\n", NULL, "/etc/fstab, line 2: /dev/xvda7 is none of" },
	{ FSTAB, "/dev/xvde1 /x ext4\n", NULL,
	  "line 1: /dev/xvde1 is on a disk that was not given (--disk vde=PATH)" },
	{ FSTAB, "/dev/xvdaa1 /x ext4\n", NULL, "none of this guest's partitions" },
	{ FSTAB, "/dev/xvdc1 /x ext4\n", NULL, "has no UUID" },
	{ FSTAB, "/dev/xvdd1 /x ext4\n", NULL, "the UUID of another partition" },
	{ FSTAB, "/dev/disk/by-path/xen-vbd-51714 / ext4\n", NULL, "its place on the Xen host" },
	{ FSTAB, "/dev/disk/by-id/xen-51714 / ext4\n", NULL, "its place on the Xen host" },
	/* A file system of Xen would stop systemd in emergency mode. */
	{ FSTAB, "/dev/xvda2 / ext4\nxenfs /proc/xen xenfs defaults 0 0\n", "UUID=2222-aa / ext4\n",
	  NULL },
};

static void test_fstab(void **state)
{
	(void)state;
	edit_guest_cases(fstab, ARRAY_SIZE(fstab));
}

#define RESUME "/etc/initramfs-tools/conf.d/resume"

static const struct edit_case others[] = {
	{ "/etc/crypttab", "a /dev/xvda3 none luks\n#b /dev/xvda3\nc UUID=x none\n",
	  "a UUID=3333-aa none luks\n#b /dev/xvda3\nc UUID=x none\n", NULL },
	{ "/etc/crypttab", "s /dev/xvdc1 /dev/urandom swap\n", NULL, "no name that lasts" },
	/* Swap of which the first start leaves nothing to be found by. */
	{ "/etc/crypttab", "s /dev/xvda3 /dev/urandom swap,plain\n",
	  "s /dev/disk/by-partuuid/dec0de00-03 /dev/urandom swap,plain\n", NULL },
	{ RESUME, "RESUME=/dev/xvda3\n", "RESUME=UUID=3333-aa\n", "run update-initramfs" },
	{ RESUME, "RESUME=\"/dev/xvda3\"\n", "RESUME=\"UUID=3333-aa\"\n", "run update-initramfs" },
	{ RESUME, "RESUME=none\n", NULL, NULL },
	{ RESUME, "RESUME=UUID=3333-aa\n", NULL, NULL },
	{ "/etc/systemd/system/srv.mount", "[Mount]\nWhat=/dev/xvdb\nWhere=/srv\n", NULL,
	  "line 2: this unit names a disk of Xen" },
	{ "/etc/systemd/system/srv.mount", "[Mount]\nWhat=LABEL=x\n", NULL, NULL },
};

static void test_others(void **state)
{
	(void)state;
	edit_guest_cases(others, ARRAY_SIZE(others));
}

/* What is not a text is not one to be changed. */
static void test_no_text(void **state)
{
	struct edit_guest g;

	(void)state;
	edit_guest_init(&g);
	mem_tree_put(g.t, FSTAB, "/dev/xvda2 / ext4\n\0", 19);
	mem_tree_link(g.t, "/etc/crypttab", "/etc/crypttab");
	mem_tree_folder(g.t, "/etc/securetty");
	edit_guest_plan(&g);
	assert_int_equal(g.e.n, 0);
	edit_guest_fini(&g);
}

/* One file by two names is changed once. */
static void test_links(void **state)
{
	struct edit_guest g;

	(void)state;
	edit_guest_init(&g);
	mem_tree_link(g.t, FSTAB, "../usr/fstab");
	mem_tree_file(g.t, "/usr/fstab", "/dev/xvda2 / ext4\n");
	mem_tree_link(g.t, "/etc/crypttab", "fstab");
	edit_guest_plan(&g);
	assert_int_equal(g.e.n, 1);
	assert_string_equal(g.e.v[0].path, "/usr/fstab");
	edit_guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fstab),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_no_text),
		cmocka_unit_test(test_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
