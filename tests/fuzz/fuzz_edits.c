/*
 * The rules on a guest of anything. The input is a list of files, each "path index, length (two
 * bytes), bytes"; what the guest is like (inits, cards, kernels) comes from its first bytes.
 * Nothing is ever read or written outside of the tree, so what can go wrong is: a crash, output
 * that grows without bound, a diff that cannot be made, and changes that go on changing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/edit.h"
#include "common/util.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/mem_tree.h"

#define FILE_MAX 4096
#define GROWTH_MAX 50 /* of one file, times its size */
#define NEW_MAX 2000  /* of one that was not there */

static const char *const paths[] = {
	"/etc/fstab",
	"/etc/crypttab",
	"/etc/initramfs-tools/conf.d/resume",
	"/etc/initramfs-tools/modules",
	"/etc/default/grub",
	"/etc/default/grub.d/50.cfg",
	"/etc/kernel/cmdline",
	"/boot/grub/grub.cfg",
	"/boot/grub2/grubenv",
	"/boot/grub/grubenv",
	"/boot/grub/menu.lst",
	"/boot/grub/grub.conf",
	"/boot/grub/device.map",
	"/boot/loader/entries/a.conf",
	"/boot/loader/entries/m-6.conf",
	"/boot/extlinux/extlinux.conf",
	"/etc/default/extlinux",
	"/etc/update-extlinux.conf",
	"/etc/sysconfig/bootloader",
	"/etc/sysconfig/kernel",
	"/etc/inittab",
	"/etc/init/tty1.conf",
	"/etc/event.d/tty1",
	"/etc/securetty",
	"/etc/udev/rules.d/70-persistent-net.rules",
	"/etc/systemd/network/a.link",
	"/etc/sysconfig/network-scripts/ifcfg-eth0",
	"/etc/NetworkManager/system-connections/a",
	"/etc/modules",
	"/etc/modules-load.d/a.conf",
	"/etc/modprobe.d/a.conf",
	"/etc/modprobe.conf",
	"/etc/dracut.conf.d/a.conf",
	"/etc/mkinitcpio.conf",
	"/etc/sysctl.conf",
	"/etc/lvm/lvm.conf",
	"/etc/kernel-img.conf",
	"/etc/systemd/system/a.mount",
};

static const struct edit_part parts[] = {
	{ 'a', 1, "ext4", "1111-aa", "BOOT", "dec0de00-01" },
	{ 'a', 2, "ext4", "2222-aa", "", "dec0de00-02" },
	{ 'a', 3, "swap", "3333-aa", "", "" },
	{ 'b', 0, "xfs", "b0b0-aa", "", "" },
	{ 'c', 1, "", "a b\n", "", "" }, /* libblkid would not, but nobody has to believe it */
	{ 'd', 1, "ext4", "dddd-aa", "", "" },
	{ 'd', 2, "ext4", "dddd-aa", "", "" },
};

static const struct edit_vif vifs[] = { { "00:16:3e:00:00:01" }, { "00:16:3e:00:00:02" } };
static char *nics[] = { (char *)"eth0", (char *)"enX1", (char *)"eth9", (char *)"wan" };

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void make_guest(uint8_t bits, uint8_t more, struct inspection *in, struct edit_options *o)
{
	static const struct drivers all = { YES, YES, YES, YES, YES, YES, YES, YES, YES };

	*in = (struct inspection){ .n_kernels = 1 + (bits & 1),
				   .nics = nics,
				   .n_nics = ARRAY_SIZE(nics),
				   .renames_nics = bits & 2,
				   .selinux = bits & 4,
				   .init = (enum init_system)(more % 5),
				   .family = (enum distro_family)(more / 5 % 4) };
	in->kernels[0] = (struct guest_kernel){ .version = (char *)"6",
						.path = (char *)"/boot/vmlinuz-6",
						.is_default = bits & 8,
						.xen_only = bits & 16,
						.drivers = all };
	in->kernels[1] = in->kernels[0];
	in->kernels[1].path = (char *)"/boot/vmlinuz-5";
	in->kernels[1].xen_only = bits & 32;
	*o = (struct edit_options){ .parts = parts,
				    .n_parts = bits & 64 ? ARRAY_SIZE(parts) : 0,
				    .vifs = vifs,
				    .n_vifs = bits & 128 ? ARRAY_SIZE(vifs) : 0,
				    .root_letter = bits & 64 ? 'a' : '\0',
				    .root_number = 2 };
}

static void make_files(struct tree *t, const uint8_t *data, size_t size)
{
	mem_tree_folder(t, "/etc/systemd/network");
	mem_tree_link(t, "/etc/grub.conf", "../boot/grub/grub.conf");
	while (size > 3) {
		size_t len = MIN((size_t)(data[1] << 8 | data[2]) % FILE_MAX, size - 3);

		mem_tree_put(t, paths[data[0] % ARRAY_SIZE(paths)], (const char *)data + 3, len);
		data += 3 + len;
		size -= 3 + len;
	}
}

static void check(const struct edits *e)
{
	must(e->n <= EDITS_MAX && e->n_notes <= 200);
	for (unsigned i = 0; i < e->n; i++) {
		const struct edit *v = &e->v[i];
		_cleanup_free_ char *diff = udiff(v->path, v->old, v->old_len, v->new, v->new_len);

		if (getenv("FUZZ_EDITS_SHOW"))
			fprintf(stderr, "%s\n%s\n", v->why, diff);
		must(v->path[0] == '/' && v->why && *v->why);
		must(v->new_len <= v->old_len * GROWTH_MAX + NEW_MAX);
		must(!v->new || strlen(v->new) == v->new_len);
		must(strstr(diff, "\n@@ ") || v->new_len + v->old_len == 0);
		must(v->new_len != v->old_len || !v->old || memcmp(v->old, v->new, v->new_len));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct inspection in;
	struct edit_options o;
	struct edits e;
	struct tree *t;
	unsigned failed;

	if (size < 2)
		return 0;
	t = mem_tree_new();
	make_guest(data[0], data[1], &in, &o);
	make_files(t, data + 2, size - 2);
	must(edits_plan(t, &in, &o, &e) == 0);
	check(&e);
	must(edits_write(t, &e, &failed) == 0);
	edits_fini(&e);
	must(edits_plan(t, &in, &o, &e) == 0);
	for (unsigned i = 0; i < e.n; i++) {
		const struct edit *v = &e.v[i];
		_cleanup_free_ char *diff = udiff(v->path, v->old, v->old_len, v->new, v->new_len);

		fprintf(stderr, "a second time: %s\n", diff);
	}
	must(e.n == 0);
	edits_fini(&e);
	tree_free(t);
	return 0;
}
