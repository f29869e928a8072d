/* Names of network cards: udev's rules, .link files, and addresses that do not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/util.h"
#include "tests/unit/edit_guest.h"

#define RULES "/etc/udev/rules.d/70-persistent-net.rules"
#define MINE "ATTR{address}==\"" MAC0 "\""
#define DRIVEN "DRIVERS==\"?*\""
#define LINK0 "/etc/systemd/network/10-bridgectl-eth0.link"

static const struct edit_case rules[] = {
	{ RULES, "SUBSYSTEM==\"net\", DRIVERS==\"vif\", " MINE ", NAME=\"eth0\"\n",
	  "SUBSYSTEM==\"net\", " DRIVEN ", " MINE ", NAME=\"eth0\"\n", NULL },
	{ RULES, "SUBSYSTEM==\"net\",DRIVERS==\"xen_netfront\"," MINE ",NAME=\"eth0\"\n",
	  "SUBSYSTEM==\"net\"," DRIVEN "," MINE ",NAME=\"eth0\"\n", NULL },
	/* An old udev knows no such key. */
	{ RULES, "SUBSYSTEM==\"net\", DRIVER==\"vif\", " MINE ", NAME=\"eth0\"\n",
	  "SUBSYSTEM==\"net\", " MINE ", NAME=\"eth0\"\n", NULL },
	{ RULES, "KERNELS==\"vif-0\", DRIVERS==\"?*\", " MINE ", NAME=\"eth0\"\n",
	  "DRIVERS==\"?*\", " MINE ", NAME=\"eth0\"\n", NULL },
	{ RULES, "# x\nSUBSYSTEM==\"net\", DRIVERS==\"?*\", " MINE ", NAME=\"eth0\"\n", NULL,
	  NULL },
	{ RULES, "#SUBSYSTEM==\"net\", DRIVERS==\"vif\", " MINE ", NAME=\"eth0\"\n", NULL, NULL },
	/* By its place on the Xen bus alone: by its address now. */
	{ RULES, "SUBSYSTEM==\"net\", KERNELS==\"vif-1\", NAME=\"eth1\"\n",
	  "SUBSYSTEM==\"net\", ATTR{address}==\"" MAC1 "\", " DRIVEN ", NAME=\"eth1\"\n", NULL },
	{ RULES, "KERNELS==\"vif-0\", DRIVERS==\"vif\", NAME=\"eth0\"",
	  MINE ", " DRIVEN ", NAME=\"eth0\"", NULL },
	{ RULES, "KERNELS==\"vif-7\", NAME=\"lan\"\n", NULL, NULL },
	/* A copied guest: the rule of its template would take the name. */
	{ RULES, "ATTR{address}==\"00:16:3e:99:99:99\", NAME=\"eth0\"\n", MINE ", NAME=\"eth0\"\n",
	  NULL },
	{ RULES, "ATTR{address}==\"00:16:3e:99:99:99\", NAME=\"eth0\"\n" MINE ", NAME=\"eth0\"\n",
	  MINE ", NAME=\"eth0\"\n", NULL },
	{ RULES, "ATTR{address}==\"00:16:3e:99:99:99\", NAME=\"wan\"\n", NULL,
	  "no card with the address 00:16:3e:99:99:99" },
	{ RULES, "ATTR{address}==\"00:16:3E:00:00:02\", NAME=\"wan\"\n", NULL, NULL },
	{ RULES, "NAME=\"\nNAME=\"\"\nATTR{address}==\"\n\"\"\"\"\n", NULL, NULL },
};

static const struct edit_case others[] = {
	{ "/etc/sysconfig/network-scripts/ifcfg-eth0", "DEVICE=eth0\nHWADDR=00:16:3E:00:00:01\n",
	  NULL, NULL },
	{ "/etc/sysconfig/network-scripts/ifcfg-eth0", "HWADDR=\"00:16:3E:00:00:09\"\n", NULL,
	  "line 1: the domain has no card" },
	{ "/etc/NetworkManager/system-connections/a.nmconnection",
	  "[ethernet]\nmac-address=00:16:3e:00:00:09\n", NULL, "line 2: the domain has no card" },
};

#define LINK "/etc/systemd/network/10-dmz.link"
#define NAME "\n[Link]\nName=dmz0\n"

static const struct edit_case matches[] = {
	{ LINK, "[Match]\nPath=xen-vif-1\n" NAME,
	  "[Match]\nMACAddress=" MAC1 "\nPath=*pci-*\n" NAME, NULL },
	{ LINK, "[Match]\nDriver=vif\nPath=xen-vif-1\n" NAME,
	  "[Match]\nPath=*pci-*\nMACAddress=" MAC1 "\n" NAME, NULL },
	{ LINK, "[Match]\r\nMACAddress=" MAC0 "\r\nDriver = xen_netfront\r\n" NAME,
	  "[Match]\r\nMACAddress=" MAC0 "\r\nPath=*pci-*\r\n" NAME, NULL },
	{ LINK, "[Match]\nPath=xen-vif-*\nVirtualization=xen\n" NAME,
	  "[Match]\nPath=*pci-*\nVirtualization=vm\n" NAME, NULL },
	{ "/etc/systemd/network/all.network", "[Match]\nDriver=vif\n[Network]\nDHCP=yes\n",
	  "[Match]\nPath=*pci-*\n[Network]\nDHCP=yes\n", NULL },
	/* Others, too; not at all; elsewhere. */
	{ LINK, "[Match]\nDriver=vif virtio_net\n" NAME, NULL, NULL },
	{ LINK, "[Match]\nDriver=!vif\n" NAME, NULL, NULL },
	{ LINK, "[Match]\n#Driver=vif\n[Link]\nDriver=vif\n", NULL, NULL },
	{ LINK, "[Match]\nDriver=\nPath\n=\n[\n", NULL, NULL },
	{ LINK, "[Match]\nPath=xen-vif-7\n" NAME, NULL,
	  "no MAC address is known for network card 7" },
};

static void test_cases(void **state)
{
	(void)state;
	edit_guest_cases(rules, ARRAY_SIZE(rules));
	edit_guest_cases(others, ARRAY_SIZE(others));
	edit_guest_cases(matches, ARRAY_SIZE(matches));
}

static void make(struct edit_guest *g, char **nics, unsigned n)
{
	edit_guest_init(g);
	g->in.renames_nics = true;
	g->in.nics = nics;
	g->in.n_nics = n;
}

static char *eth[] = { (char *)"eth0", (char *)"eth1" };
static char *enx[] = { (char *)"enX1", (char *)"br0" };
static char *many[] = { (char *)"eth2" };

static void test_links(void **state)
{
	struct edit_guest g;

	(void)state;
	make(&g, eth, 2);
	mem_tree_folder(g.t, "/etc/systemd/network");
	edit_guest_plan(&g);
	edit_guest_expect(&g, LINK0,
			  "# The card keeps the name that it had on Xen.\n"
			  "[Match]\nMACAddress=" MAC0 "\nPath=*pci-*\n\n[Link]\nName=eth0\n");
	assert_int_equal(g.e.n, 2);
	edit_guest_fini(&g);

	make(&g, enx, 2);
	mem_tree_folder(g.t, "/etc/systemd/network");
	edit_guest_plan(&g);
	assert_int_equal(g.e.n, 1);
	assert_non_null(strstr(g.e.v[0].new, "MACAddress=" MAC1 "\n"));
	edit_guest_fini(&g);
}

/* Somebody cares for it already. */
static void test_known(void **state)
{
	struct edit_guest g;

	(void)state;
	make(&g, eth, 1);
	mem_tree_file(g.t, "/etc/systemd/network/70-x.link",
		      "[Match]\nMACAddress=" MAC0 "\n[Link]\nName=eth0\n");
	edit_guest_plan(&g);
	assert_int_equal(g.e.n, 0);
	edit_guest_fini(&g);

	make(&g, eth, 1);
	mem_tree_file(g.t, RULES, MINE ", NAME=\"eth0\"\n");
	edit_guest_plan(&g);
	assert_int_equal(g.e.n, 0);
	edit_guest_fini(&g);

	make(&g, eth, 1);
	mem_tree_file(g.t, "/lib/udev/rename_device", "");
	mem_tree_file(g.t, "/etc/sysconfig/network-scripts/ifcfg-eth0",
		      "DEVICE=eth0\nHWADDR=" MAC0 "\n");
	edit_guest_plan(&g);
	assert_int_equal(g.e.n + g.e.n_notes, 0);
	edit_guest_fini(&g);
}

static void test_no_folder(void **state)
{
	struct edit_guest g;

	(void)state;
	make(&g, eth, 2);
	mem_tree_folder(g.t, "/etc/udev/rules.d");
	edit_guest_plan(&g);
	edit_guest_expect(&g, RULES,
			  "SUBSYSTEM==\"net\", ACTION==\"add\", " DRIVEN ", " MINE
			  ", NAME=\"eth0\"\n"
			  "SUBSYSTEM==\"net\", ACTION==\"add\", " DRIVEN ", ATTR{address}==\"" MAC1
			  "\", NAME=\"eth1\"\n");
	edit_guest_fini(&g);

	make(&g, eth, 1);
	edit_guest_plan(&g);
	assert_true(edit_guest_notes(&g, "eth0 will have another name"));
	edit_guest_fini(&g);
}

static void test_unknown(void **state)
{
	struct edit_guest g;

	(void)state;
	make(&g, many, 1);
	mem_tree_folder(g.t, "/etc/systemd/network");
	edit_guest_plan(&g);
	assert_int_equal(g.e.n, 0);
	assert_true(edit_guest_notes(&g, "speaks of eth2, and no MAC address is known"));
	edit_guest_fini(&g);

	/* No cards told: nothing is changed, and no address is wrong. */
	make(&g, eth, 1);
	g.o.n_vifs = 0;
	mem_tree_folder(g.t, "/etc/systemd/network");
	mem_tree_file(g.t, RULES, "ATTR{address}==\"00:16:3e:99:99:99\", NAME=\"eth1\"\n");
	edit_guest_plan(&g);
	assert_int_equal(g.e.n, 0);
	assert_int_equal(g.e.n_notes, 1);
	edit_guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),	cmocka_unit_test(test_links),
		cmocka_unit_test(test_known),	cmocka_unit_test(test_no_folder),
		cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
