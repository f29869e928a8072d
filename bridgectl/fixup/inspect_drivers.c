/*
 * Which drivers a kernel has when it needs them: built in (its configuration, modules.builtin),
 * in its initramfs, or as modules of the root file system. Where a question cannot be answered,
 * because the initramfs is of an unknown kind or there is no configuration, the answer is "not
 * known".
 */
#include <stddef.h>
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/initrd.h"
#include "bridgectl/fixup/inspect_private.h"

struct driver {
	size_t at;		    /* in struct drivers */
	const char *option;	    /* without CONFIG_ */
	const char *module, *older; /* as files are named, with '_' for '-' */
	bool late;		    /* not needed for the root file system */
};

#define AT(field) offsetof(struct drivers, field)
static const struct driver drivers[] = {
	{ AT(virtio_blk), "VIRTIO_BLK", "virtio_blk", NULL, false },
	{ AT(virtio_scsi), "SCSI_VIRTIO", "virtio_scsi", NULL, false },
	{ AT(virtio_pci), "VIRTIO_PCI", "virtio_pci", NULL, false },
	{ AT(virtio_net), "VIRTIO_NET", "virtio_net", NULL, true },
	{ AT(virtio_console), "VIRTIO_CONSOLE", "virtio_console", NULL, true },
	{ AT(ahci), "SATA_AHCI", "ahci", NULL, false },
	{ AT(ata_piix), "ATA_PIIX", "ata_piix", NULL, false },
	{ AT(sd_mod), "BLK_DEV_SD", "sd_mod", NULL, false },
	/* "xenblk" is that of Red Hat's and SUSE's own Xen kernels. */
	{ AT(xen_blkfront), "XEN_BLKDEV_FRONTEND", "xen_blkfront", "xenblk", false },
};
#define N_DRIVERS ARRAY_SIZE(drivers)

/* A set of drivers, one bit for each row. */
typedef unsigned driver_set;

static bool named(const char *s, size_t len, const char *module)
{
	if (!module || strlen(module) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((s[i] == '-' ? '_' : s[i]) != module[i])
			return false;
	return true;
}

/* The driver whose file s[0..len) is: ".../virtio_blk.ko", also with ".gz" and the like. */
static driver_set driver_of(const char *s, size_t len)
{
	const char *name = s, *end = NULL;

	for (size_t i = 0; i < len; i++)
		if (s[i] == '/')
			name = s + i + 1;
	for (const char *p = name; p + 3 <= s + len; p++)
		if (memcmp(p, ".ko", 3) == 0)
			end = p;
	if (!end || (end + 3 < s + len && end[3] != '.'))
		return 0;
	for (size_t i = 0; i < N_DRIVERS; i++)
		if (named(name, (size_t)(end - name), drivers[i].module) ||
		    named(name, (size_t)(end - name), drivers[i].older))
			return 1U << i;
	return 0;
}

struct carried {
	const char *version;
	driver_set set;
};

/*
 * A file of an initramfs. Under lib/modules those of this kernel only; old ones have them in lib
 * itself.
 */
static void saw_file(void *arg, const char *name)
{
	struct carried *c = arg;
	const char *modules = strstr(name, "lib/modules/");
	driver_set d = driver_of(name, strlen(name));

	if (d && modules) {
		size_t len = strlen(c->version);

		modules += strlen("lib/modules/");
		if (strncmp(modules, c->version, len) != 0 || modules[len] != '/')
			return;
	}
	c->set |= d;
}

static driver_set in_initrd(struct tree *t, struct guest_kernel *k)
{
	struct carried c = { k->version, 0 };
	char why[INITRD_WHYLEN];
	_cleanup_free_ char *data = NULL;
	size_t len;
	int r;

	if (!k->initrd)
		return 0;
	r = tree_read(t, k->initrd, TREE_INITRD_MAX, &data, &len);
	if (r < 0)
		snprintf(why, sizeof(why), "it cannot be read: %s", strerror(-r));
	else
		r = initrd_names(data, len, saw_file, &c, why);
	if (r < 0)
		k->initrd_why = mem_strdup(why);
	return c.set;
}

/* The lists of depmod: a line per module, up to ':' in modules.dep. */
static bool listed(struct tree *t, const char *version, const char *list, driver_set *ret)
{
	char path[TREE_PATH_MAX];
	_cleanup_free_ char *text = NULL;

	*ret = 0;
	if (snprintf(path, sizeof(path), "/lib/modules/%s/%s", version, list) >= (int)sizeof(path))
		return false;
	text = tree_text(t, path, NULL);
	for (const char *s = text; s && *s; s += strcspn(s, "\n"), s += *s == '\n')
		*ret |= driver_of(s, strcspn(s, ":\n"));
	return text != NULL;
}

char *kernel_config(struct tree *t, const char *version)
{
	static const char *const places[] = { "/boot/config-%s", "/lib/modules/%s/config",
					      "/usr/lib/modules/%s/config" };
	char path[TREE_PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		char *text, *place = strchr(places[i], '%');

		if (snprintf(path, sizeof(path), "%.*s%s%s", (int)(place - places[i]), places[i],
			     version, place + 2) >= (int)sizeof(path))
			return NULL;
		text = tree_text(t, path, NULL);
		if (text)
			return text;
	}
	return NULL;
}

char kernel_option(const char *config, const char *name)
{
	size_t len = strlen(name);

	if (!config)
		return '?';
	for (const char *s = config; *s; s += strcspn(s, "\n"), s += *s == '\n')
		if (inspect_begins(s, "CONFIG_") && strncmp(s + 7, name, len) == 0 &&
		    s[7 + len] == '=')
			return s[8 + len] == 'm' ? 'm' : s[8 + len] == 'y' ? 'y' : 'n';
	return 'n';
}

struct evidence {
	char option;		       /* kernel_option() */
	bool builtin, module, carried; /* in the lists; in the initramfs */
	bool has_builtin;	       /* there is a list of what is built in */
	bool readable;		       /* the initramfs, or there is none */
};

static enum tristate judge(const struct driver *d, const struct evidence *e)
{
	if (e->builtin || e->option == 'y' || e->carried || (d->late && e->module))
		return YES;
	if (e->option == 'n')
		return NO;
	if (!e->readable && !d->late)
		return NOT_KNOWN;
	/* A module that is nowhere where it would be found; or nothing is known of this kernel. */
	return e->option == 'm' || e->module || e->has_builtin ? NO : NOT_KNOWN;
}

void kernel_drivers(struct tree *t, struct guest_kernel *k, const char *config)
{
	driver_set carried = in_initrd(t, k), builtin, modules;
	bool has_builtin = listed(t, k->version, "modules.builtin", &builtin);

	k->has_modules = listed(t, k->version, "modules.dep", &modules);
	for (size_t i = 0; i < N_DRIVERS; i++) {
		const struct evidence e = {
			.option = kernel_option(config, drivers[i].option),
			.builtin = builtin >> i & 1,
			.module = modules >> i & 1,
			.carried = carried >> i & 1,
			.has_builtin = has_builtin,
			.readable = !k->initrd_why,
		};

		*(enum tristate *)((char *)&k->drivers + drivers[i].at) = judge(&drivers[i], &e);
	}
}
