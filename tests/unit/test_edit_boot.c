/* Boot menus and what they are made from: command lines, devices of GRUB, the default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "common/util.h"
#include "tests/unit/edit_guest.h"

#define DEFAULT "/etc/default/grub"
#define TERMINAL                             \
	"GRUB_TERMINAL=\"console serial\"\n" \
	"GRUB_SERIAL_COMMAND=\"serial --speed=115200 --unit=0 --word=8 --parity=no --stop=1\"\n"
#define CMDLINE "/etc/kernel/cmdline"
#define MENU "/boot/grub/menu.lst"
#define MENU_SERIAL                                                      \
	"serial --unit=0 --speed=115200 --word=8 --parity=no --stop=1\n" \
	"terminal --timeout=5 serial console\n"
#define CFG "/boot/grub/grub.cfg"

/* Command lines, in the plainest of the files that have one. */
static const struct edit_case cmdlines[] = {
	{ CMDLINE, "root=/dev/xvda2 ro\n", "root=UUID=2222-aa ro " SERIAL "\n", NULL },
	{ CMDLINE, "root=LABEL=x ro console=hvc0", "root=LABEL=x ro console=hvc0 " SERIAL, NULL },
	{ CMDLINE, "ro console=tty0\n", "ro console=tty0 console=ttyS0,115200\n", NULL },
	{ CMDLINE, "ro console=ttyS0\n", NULL, NULL },
	{ CMDLINE, "ro console=ttyS0,9600n8 console=hvc0\n", NULL, NULL },
	{ CMDLINE, "ro  quiet \n", "ro  quiet " SERIAL " \n", NULL },
	{ CMDLINE, "console=hvc0 a console=hvc0 console=ttyS0\n", "a console=hvc0 console=ttyS0\n",
	  NULL },
	{ CMDLINE, "a console=xvc0 xencons=tty clocksource=xen b\n", "a b " SERIAL "\n", NULL },
	{ CMDLINE, "console=xvc0\n", SERIAL "\n", NULL },
	{ CMDLINE, "root=/dev/xvda2 -- single\n", "root=UUID=2222-aa " SERIAL " -- single\n",
	  NULL },
	{ CMDLINE, "resume=/dev/xvda3 console=ttyS0\n", "resume=UUID=3333-aa console=ttyS0\n",
	  NULL },
	{ CMDLINE, "root=/dev/xvda9 console=ttyS0\n", NULL, "line 1: /dev/xvda9 is none" },
	{ CMDLINE, "noroot=/dev/xvda2 console=ttyS0\n", NULL, NULL },
	{ CMDLINE, "", NULL, NULL },
};

static const struct edit_case defaults[] = {
	{ DEFAULT, "GRUB_CMDLINE_LINUX=\"\"\n" TERMINAL,
	  "GRUB_CMDLINE_LINUX=\"" SERIAL "\"\n" TERMINAL, NULL },
	{ DEFAULT, "GRUB_CMDLINE_LINUX=\n" TERMINAL, "GRUB_CMDLINE_LINUX=\"" SERIAL "\"\n" TERMINAL,
	  NULL },
	{ DEFAULT, "GRUB_CMDLINE_LINUX=console=hvc0 # x\n" TERMINAL,
	  "GRUB_CMDLINE_LINUX=\"console=hvc0 " SERIAL "\" # x\n" TERMINAL, NULL },
	{ DEFAULT, "GRUB_CMDLINE_LINUX='a'\n" TERMINAL,
	  "GRUB_CMDLINE_LINUX='a " SERIAL "'\n" TERMINAL, NULL },
	/* More of a shell than is understood. */
	{ DEFAULT, "GRUB_CMDLINE_LINUX=\"a \\\"b\\\"\"\n" TERMINAL, NULL,
	  "line 1: this is not understood" },
	{ DEFAULT, "GRUB_CMDLINE_LINUX=a\"b\"\n" TERMINAL, NULL, "line 1: this is not understood" },
	/* The consoles of _DEFAULT come behind those of the other. */
	{ DEFAULT,
	  "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet console=hvc0\"\nGRUB_CMDLINE_LINUX=\"\"\n" TERMINAL,
	  "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet console=hvc0 " SERIAL
	  "\"\nGRUB_CMDLINE_LINUX=\"\"\n" TERMINAL,
	  NULL },
	{ DEFAULT, "#GRUB_CMDLINE_LINUX=\"\"\n",
	  "#GRUB_CMDLINE_LINUX=\"\"\nGRUB_CMDLINE_LINUX=\"" SERIAL "\"\n" TERMINAL, NULL },
	{ DEFAULT,
	  "GRUB_CMDLINE_LINUX=\"console=ttyS0\"\nGRUB_TERMINAL=console\nGRUB_SERIAL_COMMAND=x\n",
	  "GRUB_CMDLINE_LINUX=\"console=ttyS0\"\n"
	  "GRUB_TERMINAL=\"console serial\"\nGRUB_SERIAL_COMMAND=x\n",
	  NULL },
	{ "/etc/default/grub.d/50.cfg",
	  "GRUB_CMDLINE_LINUX_DEFAULT=\"console=tty1 console=hvc0\"\n",
	  "GRUB_CMDLINE_LINUX_DEFAULT=\"console=tty1 console=hvc0 console=ttyS0,115200\"\n", NULL },
	{ "/etc/default/grub.d/50.cfg", "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\n", NULL, NULL },
	/* What is added up stays. */
	{ DEFAULT, "GRUB_CMDLINE_LINUX+=\" a\"\n" TERMINAL,
	  "GRUB_CMDLINE_LINUX+=\" a " SERIAL "\"\n" TERMINAL, NULL },
	{ DEFAULT, "export GRUB_CMDLINE_LINUX=a\n" TERMINAL,
	  "export GRUB_CMDLINE_LINUX=\"a " SERIAL "\"\n" TERMINAL, NULL },
	{ DEFAULT, "GRUB_CMDLINE_LINUX=console=ttyS0\nGRUB_DISABLE_LINUX_UUID=true\n" TERMINAL,
	  "GRUB_CMDLINE_LINUX=console=ttyS0\nGRUB_DISABLE_LINUX_UUID=false\n" TERMINAL, NULL },
	{ DEFAULT, "GRUB_CMDLINE_LINUX=console=ttyS0\n#GRUB_DISABLE_LINUX_UUID=true\n" TERMINAL,
	  NULL, NULL },
};

static const struct edit_case menus[] = {
	/* pygrub's (hd0) is a partition now. */
	{ MENU,
	  MENU_SERIAL "title a\nroot (hd0)\nkernel /boot/vmlinuz-6 root=/dev/xvda2 ro\ninitrd /i\n",
	  MENU_SERIAL "title a\nroot (hd0,1)\nkernel /boot/vmlinuz-6 root=UUID=2222-aa ro " SERIAL
		      "\ninitrd /i\n",
	  NULL },
	{ MENU, "title a\nkernel (hd0)/boot/vmlinuz-6 console=ttyS0\ninitrd (hd0,0)/i\n",
	  MENU_SERIAL "title a\nkernel (hd0,1)/boot/vmlinuz-6 console=ttyS0\ninitrd (hd0,1)/i\n",
	  NULL },
	{ MENU,
	  "default=0\nserial --unit=0\ntitle a\n\troot\t(hd0,1)\n"
	  "\tkernel --no-mem-option /vmlinuz-6 console=ttyS0\n",
	  NULL, NULL },
	/* Debian's update-grub reads these. */
	{ MENU, "terminal serial\n# kopt=root=/dev/xvda2 ro\n# groot=(hd0,0)\n# defoptions=quiet\n",
	  "terminal serial\n# kopt=root=UUID=2222-aa ro " SERIAL
	  "\n# groot=(hd0,1)\n# defoptions=quiet\n",
	  NULL },
	/* Without an initramfs the kernel finds its root by the partition. */
	{ MENU,
	  "serial\ntitle a\nroot (hd0,1)\nkernel /boot/vmlinuz-6 root=/dev/xvda2 console=ttyS0\n",
	  "serial\ntitle a\nroot (hd0,1)\n"
	  "kernel /boot/vmlinuz-6 root=PARTUUID=dec0de00-02 console=ttyS0\n",
	  NULL },
	/* Before 3.8, of a GPT only; dec0de00-02 is of an msdos table. */
	{ MENU,
	  "serial\ntitle a\nroot (hd0,1)\nkernel /vmlinuz-3.2.0-4 root=/dev/xvda2 console=ttyS0\n",
	  NULL, "line 4: its kernel has no initramfs and no name for its root that lasts" },
	{ MENU,
	  "serial\ntitle a\nroot (hd0,1)\nkernel /vmlinuz-3.10 root=/dev/xvda2 console=ttyS0\n",
	  "serial\ntitle a\nroot (hd0,1)\n"
	  "kernel /vmlinuz-3.10 root=PARTUUID=dec0de00-02 console=ttyS0\n",
	  "no entry starts /boot/vmlinuz-6" },
	/* The default cannot be started. */
	{ MENU,
	  "serial\ndefault 0\ntitle x\nkernel /boot/xen.gz\n"
	  "module /boot/vmlinuz-6 root=/dev/xvda2\ntitle b\n"
	  "kernel /boot/vmlinuz-6 console=ttyS0\n",
	  "serial\ndefault 1\ntitle x\nkernel /boot/xen.gz\n"
	  "module /boot/vmlinuz-6 root=/dev/xvda2\ntitle b\n"
	  "kernel /boot/vmlinuz-6 console=ttyS0\n",
	  "the default becomes /boot/vmlinuz-6" },
	{ MENU, "serial\ntitle x\nkernel /boot/vmlinuz-5 console=ttyS0\n", NULL,
	  "no entry starts /boot/vmlinuz-6" },
};

static const struct edit_case grub2[] = {
	{ CFG,
	  "menuentry 'a' {\n\tsearch --fs-uuid --set=root x\n"
	  "\tset root='hd0'\n"
	  "\tlinux /boot/vmlinuz-6 root=/dev/xvda2 ro\n\tinitrd /i\n}\n",
	  "menuentry 'a' {\n\tsearch --fs-uuid --set=root x\n"
	  "\tset root='hd0'\n"
	  "\tlinux /boot/vmlinuz-6 root=UUID=2222-aa ro " SERIAL "\n\tinitrd /i\n}\n",
	  NULL },
	/* Nothing that searches: by number. */
	{ CFG, "menuentry 'a' {\n\tset root='(hd0,1)'\n\tlinux /boot/vmlinuz-6 console=ttyS0\n}\n",
	  "menuentry 'a' {\n\tset root='(hd0,2)'\n\tlinux /boot/vmlinuz-6 console=ttyS0\n}\n",
	  NULL },
	{ CFG, "menuentry 'a' {\n\tset root=hd0\n\tlinux /boot/vmlinuz-6 console=ttyS0\n}\n",
	  "menuentry 'a' {\n\tset root=hd0,2\n\tlinux /boot/vmlinuz-6 console=ttyS0\n}\n", NULL },
	{ CFG, "if x; then\n  terminal_input console\n  terminal_output gfxterm\nfi\n",
	  "if x; then\n  serial --speed=115200 --unit=0 --word=8 --parity=no --stop=1\n"
	  "  terminal_input console serial\n"
	  "  serial --speed=115200 --unit=0 --word=8 --parity=no --stop=1\n"
	  "  terminal_output gfxterm serial\nfi\n",
	  NULL },
	{ CFG, "serial --unit=0\nterminal_output console\n", NULL, NULL },
	{ CFG,
	  "menuentry 'Xen' {\n\tmultiboot /boot/xen.gz\n"
	  "\tmodule /boot/vmlinuz-6 root=/dev/xvda2\n}\n",
	  NULL, NULL },
	{ CFG, "# linux /x root=/dev/xvda2\nmenuentry 'a' {\n", NULL, NULL },
};

static const struct edit_case rest[] = {
	{ "/boot/loader/entries/a.conf",
	  "linux /vmlinuz-6\ninitrd /i\noptions root=/dev/xvda2 ro\n",
	  "linux /vmlinuz-6\ninitrd /i\noptions root=UUID=2222-aa ro " SERIAL "\n", NULL },
	{ "/boot/loader/entries/a.conf", "linux /vmlinuz-6\ninitrd /i\noptions $kernelopts x\n",
	  NULL, NULL },
	{ "/boot/extlinux/extlinux.conf",
	  "default l\nlabel l\n  append initrd=/i root=/dev/xvda2\n",
	  "serial 0 115200\ndefault l\nlabel l\n  append initrd=/i root=UUID=2222-aa " SERIAL "\n",
	  NULL },
	{ "/etc/default/extlinux", "EXTLINUX_ROOT=\"root=/dev/xvda2\"\n",
	  "EXTLINUX_ROOT=\"root=UUID=2222-aa\"\n", NULL },
	{ "/etc/update-extlinux.conf", "root=/dev/xvda2\nmodules=ext4\n",
	  "root=\"UUID=2222-aa\"\nmodules=ext4\n", NULL },
	{ "/etc/sysconfig/bootloader", "DEFAULT_APPEND=\"console=xvc0 a\"\n",
	  "DEFAULT_APPEND=\"a " SERIAL "\"\n", NULL },
	{ "/boot/grub/device.map", "(hd0) /dev/sda\n", NULL, NULL },
};

static void test_cases(void **state)
{
	(void)state;
	edit_guest_cases(cmdlines, ARRAY_SIZE(cmdlines));
	edit_guest_cases(defaults, ARRAY_SIZE(defaults));
	edit_guest_cases(menus, ARRAY_SIZE(menus));
	edit_guest_cases(grub2, ARRAY_SIZE(grub2));
	edit_guest_cases(rest, ARRAY_SIZE(rest));
}

/* /boot of its own: GRUB's device is its partition. */
static void test_boot_partition(void **state)
{
	struct edit_guest g;

	(void)state;
	edit_guest_init(&g);
	mem_tree_file(g.t, "/etc/fstab", "/dev/xvda1 /boot ext4\n/dev/xvda2 / ext4\n");
	mem_tree_file(g.t, MENU,
		      "serial\nsplashimage=(hd0)/s\ntitle a\nroot (hd0)\n"
		      "kernel /vmlinuz-6 console=ttyS0\n");
	edit_guest_plan(&g);
	edit_guest_expect(&g, MENU,
			  "serial\nsplashimage=(hd0,0)/s\ntitle a\nroot (hd0,0)\n"
			  "kernel /vmlinuz-6 console=ttyS0\n");
	edit_guest_fini(&g);
}

static const char submenu[] =
	"set default=\"0\"\n"
	"menuentry 'd' $menuentry_id_option 'gnulinux-simple' {\n"
	"\tlinux /boot/vmlinuz-7 console=ttyS0\n}\n"
	"submenu 'more' $menuentry_id_option 'gnulinux-advanced' {\n"
	"\tmenuentry '7' $menuentry_id_option 'gnulinux-7' {\n"
	"\t\tlinux /boot/vmlinuz-7 console=ttyS0\n\t}\n"
	"\tmenuentry '6 (recovery mode)' $menuentry_id_option 'gnulinux-6-r' {\n"
	"\t\tlinux /boot/vmlinuz-6 console=ttyS0\n\t}\n"
	"\tmenuentry '6' $menuentry_id_option 'gnulinux-6' {\n"
	"\t\tlinux /boot/vmlinuz-6 console=ttyS0\n\t}\n"
	"}\n";

/* A kernel in a submenu becomes the default, in the menu and for the next update-grub. */
static void test_default(void **state)
{
	struct edit_guest g;
	size_t len;

	(void)state;
	edit_guest_init(&g);
	g.in.kernels[0].is_default = false;
	mem_tree_file(g.t, CFG, submenu);
	mem_tree_file(g.t, DEFAULT,
		      "GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX=\"console=ttyS0\"\n" TERMINAL);
	edit_guest_plan(&g);
	assert_non_null(strstr(mem_tree_get(g.t, CFG, &len),
			       "set default=\"gnulinux-advanced>gnulinux-6\"\n"));
	edit_guest_expect(&g, DEFAULT,
			  "GRUB_DEFAULT=\"gnulinux-advanced>gnulinux-6\"\n"
			  "GRUB_CMDLINE_LINUX=\"console=ttyS0\"\n" TERMINAL);
	edit_guest_fini(&g);
}

static void make_env(char env[1025], const char *values)
{
	memset(env, '#', 1024);
	env[1024] = '\0';
	memcpy(env, "# GRUB Environment Block\n", 25);
	memcpy(env + 25, values, strlen(values));
}

static void check_env(const char *before, const char *after, bool is_default)
{
	char env[1025];
	struct edit_guest g;

	edit_guest_init(&g);
	g.in.kernels[0].is_default = is_default;
	make_env(env, before);
	mem_tree_file(g.t, "/boot/grub2/grubenv", env);
	mem_tree_file(g.t, "/boot/loader/entries/m-6.conf",
		      "linux /vmlinuz-6\noptions $kernelopts\n");
	edit_guest_plan(&g);
	make_env(env, after);
	edit_guest_expect(&g, "/boot/grub2/grubenv", env);
	edit_guest_fini(&g);
}

/* Always 1024 bytes. */
static void test_grubenv(void **state)
{
	char large[990];
	struct edit_guest g;

	(void)state;
	check_env("kernelopts=root=/dev/xvda2 ro \nx=y\n",
		  "kernelopts=root=UUID=2222-aa ro " SERIAL " \nx=y\n", true);
	check_env("saved_entry=m-5\nx=y\n", "saved_entry=m-5\nx=y\n", true);
	check_env("saved_entry=m-5\nx=y\n", "x=y\nsaved_entry=m-6\n", false);
	check_env("kernelopts\n=\n", "kernelopts\n=\n", true);

	memset(large, 'x', sizeof(large));
	memcpy(large, "kernelopts=", 11);
	strcpy(large + sizeof(large) - 2, "\n");
	check_env(large, large, true);
	edit_guest_init(&g);
	mem_tree_file(g.t, "/boot/grub2/grubenv", "# GRUB Environment Block\nkernelopts=a\n");
	edit_guest_plan(&g);
	assert_int_equal(g.e.n, 0);
	edit_guest_fini(&g);
}

/* A map that names disks of Xen goes. */
static void test_device_map(void **state)
{
	struct edit_guest g;

	(void)state;
	edit_guest_init(&g);
	mem_tree_file(g.t, "/boot/grub/device.map", "(hd0) /dev/xvda\n");
	edit_guest_plan(&g);
	edit_guest_expect(&g, "/boot/grub/device.map", NULL);
	edit_guest_fini(&g);
}

static void check_kernel(void (*change)(struct edit_guest *g), const char *note)
{
	struct edit_guest g;

	edit_guest_init(&g);
	change(&g);
	edit_guest_plan(&g);
	if (!edit_guest_notes(&g, note))
		fail_msg("no note \"%s\"", note);
	edit_guest_fini(&g);
}

static void no_kernels(struct edit_guest *g)
{
	g->in.n_kernels = 0;
}

static void only_xen(struct edit_guest *g)
{
	g->in.kernels[0].xen_only = true;
}

static void only_ahci(struct edit_guest *g)
{
	g->in.kernels[0].drivers.virtio_blk = g->in.kernels[0].drivers.virtio_scsi = NO;
}

static void only_ide(struct edit_guest *g)
{
	only_ahci(g);
	g->in.kernels[0].drivers.ahci = NO;
}

static void no_net(struct edit_guest *g)
{
	g->in.kernels[0].drivers.virtio_net = NO;
}

static void test_kernels(void **state)
{
	(void)state;
	check_kernel(no_kernels, "domain prepare GUEST");
	check_kernel(only_xen, "domain prepare GUEST");
	check_kernel(only_ahci, "--bus sata");
	check_kernel(only_ide, "--bus ide");
	check_kernel(no_net, "another model");
}

/* An initramfs that would give cards their new names is told not to. */
static void test_renames_once(void **state)
{
	struct edit_guest g;

	(void)state;
	edit_guest_init(&g);
	g.in.renames_once = true;
	mem_tree_file(g.t, CMDLINE, "ro console=ttyS0 -- x\n");
	mem_tree_file(g.t, DEFAULT, "GRUB_CMDLINE_LINUX=\"\"\n" TERMINAL);
	edit_guest_plan(&g);
	edit_guest_expect(&g, CMDLINE, "ro console=ttyS0 net.ifnames=0 -- x\n");
	edit_guest_expect(&g, DEFAULT,
			  "GRUB_CMDLINE_LINUX=\"net.ifnames=0 " SERIAL "\"\n" TERMINAL);
	edit_guest_fini(&g);

	edit_guest_init(&g);
	g.in.renames_once = true;
	mem_tree_file(g.t, CMDLINE, "ro console=ttyS0 net.ifnames=1\n");
	edit_guest_plan(&g);
	assert_int_equal(g.e.n, 0);
	edit_guest_fini(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),	     cmocka_unit_test(test_boot_partition),
		cmocka_unit_test(test_default),	     cmocka_unit_test(test_grubenv),
		cmocka_unit_test(test_device_map),   cmocka_unit_test(test_kernels),
		cmocka_unit_test(test_renames_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
