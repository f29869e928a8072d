/* Lists of modules, what is only told, and the list of changes itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "tests/unit/edit_guest.h"

static const struct edit_case lists[] = {
	{ "/etc/modules", "# x\nloop\nxenblk\nxen-netfront\n", "# x\nloop\n", NULL },
	{ "/etc/modules", "loop\n  xen_evtchn  # for xend\n", "loop\n", NULL },
	{ "/etc/modules", "xenomai\nloop", NULL, NULL },
	{ "/etc/modules-load.d/xen.conf", "xen-evtchn\nxen-gntdev\n", "", NULL },
	{ "/etc/modules-load.d/xen.txt", "xen-evtchn\n", NULL, NULL },
	{ "/etc/initramfs-tools/modules", "ext4\nxen_blkfront", "ext4", NULL },
	{ "/etc/modprobe.conf",
	  "alias eth0 xennet\nalias eth1 e1000\nalias scsi_hostadapter xenblk\n",
	  "alias eth0 virtio_net\nalias eth1 e1000\nalias scsi_hostadapter virtio_blk\n", NULL },
	{ "/etc/modprobe.d/a", "alias char-major-1 xenfs\nblacklist xenfs\n", "blacklist xenfs\n",
	  NULL },
	{ "/etc/dracut.conf.d/x.conf", "add_drivers+=\" xen-blkfront xen-netfront \"\n",
	  "add_drivers+=\" virtio_blk virtio_pci virtio_net \"\n", NULL },
	{ "/etc/dracut.conf", "#add_drivers+=\"xenblk\"\nadd_drivers+=\"a\"\n", NULL, NULL },
	{ "/etc/dracut.conf", "force_drivers+='virtio_blk xenblk'\n",
	  "force_drivers+='virtio_blk virtio_pci'\n", NULL },
	{ "/etc/sysconfig/kernel",
	  "INITRD_MODULES=\"xenblk jbd xennet\"\nDOMU_INITRD_MODULES=\"xennet\"\n",
	  "INITRD_MODULES=\"virtio_blk virtio_pci jbd virtio_net\"\n"
	  "DOMU_INITRD_MODULES=\"xennet\"\n",
	  NULL },
	{ "/etc/mkinitcpio.conf", "MODULES=(ext4 xen-blkfront)\n",
	  "MODULES=(ext4 virtio_blk virtio_pci)\n", NULL },
	{ "/etc/sysctl.conf", "a=1\nxen.independent_wallclock = 1\n", "a=1\n", NULL },
	{ "/etc/sysctl.d/x.conf", "xen/independent_wallclock=1\n", "", NULL },
	{ "/etc/lvm/lvm.conf", "\tfilter = [ \"a|/dev/xvd.*|\", \"r|.*|\" ]\n",
	  "\tfilter = [ \"a|/dev/x*[hsv]d.*|\", \"r|.*|\" ]\n",
	  "the initramfs has the old filter" },
	{ "/etc/lvm/lvm.conf", "# filter = [ \"a|/dev/xvd|\" ]\nscan = 1\n", NULL, NULL },
	{ "/etc/kernel-img.conf", "do_initrd = no\n", NULL, "set do_initrd = yes" },
	{ "/etc/kernel-img.conf", "do_initrd = yes\n", NULL, NULL },
	{ "/etc/init.d/xe-linux-distribution", "x", NULL, "XenServer guest tools" },
};

static void test_cases(void **state)
{
	(void)state;
	edit_guest_cases(lists, ARRAY_SIZE(lists));
}

/* The bus that the kernel can drive. */
static void test_adapter(void **state)
{
	struct edit_guest g;

	(void)state;
	edit_guest_init(&g);
	g.in.kernels[0].drivers.virtio_blk = NO;
	mem_tree_file(g.t, "/etc/modprobe.conf", "alias scsi_hostadapter xenblk\n");
	edit_guest_plan(&g);
	edit_guest_expect(&g, "/etc/modprobe.conf", "alias scsi_hostadapter ahci\n");
	edit_guest_fini(&g);
}

/* Several rules, one file, one change, and both reasons. */
static void test_merged(void **state)
{
	struct edit_guest g;

	(void)state;
	edit_guest_init(&g);
	mem_tree_file(g.t, "/etc/modules", "xenblk\n");
	mem_tree_link(g.t, "/etc/sysctl.conf", "modules");
	mem_tree_link(g.t, "/etc/securetty", "modules");
	edit_guest_plan(&g);
	assert_int_equal(g.e.n, 1);
	assert_string_equal(g.e.v[0].path, "/etc/modules");
	assert_string_equal(g.e.v[0].old, "xenblk\n");
	assert_non_null(strchr(g.e.v[0].why, '\n'));
	edit_guest_fini(&g);
}

static void test_too_many(void **state)
{
	struct edit_guest g;
	char path[64];

	(void)state;
	edit_guest_init(&g);
	for (unsigned i = 0; i <= EDITS_MAX; i++) {
		snprintf(path, sizeof(path), "/etc/modprobe.d/%u", i);
		mem_tree_file(g.t, path, "alias eth0 xennet\n");
	}
	assert_int_equal(edits_plan(g.t, &g.in, &g.o, &g.e), -ENOSPC);
	edit_guest_fini(&g);
}

/* Thousands of bad lines are not thousands of notes. */
static void test_notes(void **state)
{
	struct edit_guest g;
	char *text = calloc(1, 400000), *s = text;

	(void)state;
	assert_non_null(text);
	for (unsigned i = 0; i < 9999; i++)
		s += sprintf(s, "/dev/xvdz%u /x ext4\n", i % 999);
	edit_guest_init(&g);
	mem_tree_file(g.t, "/etc/fstab", text);
	edit_guest_plan(&g);
	assert_true(g.e.n_notes <= 200);
	assert_true(edit_guest_notes(&g, "more to say"));
	edit_guest_fini(&g);
	free(text);
}

static void test_selinux(void **state)
{
	static char *nics[] = { (char *)"eth0" };
	struct edit_guest g;

	(void)state;
	edit_guest_init(&g);
	g.in.selinux = g.in.renames_nics = true;
	g.in.nics = nics;
	g.in.n_nics = 1;
	mem_tree_folder(g.t, "/etc/systemd/network");
	edit_guest_plan(&g);
	assert_true(edit_guest_notes(&g, "SELinux label of its folder"));
	edit_guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),  cmocka_unit_test(test_adapter),
		cmocka_unit_test(test_merged), cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_notes),  cmocka_unit_test(test_selinux),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
