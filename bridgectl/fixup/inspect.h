/*
 * What a guest's file system tells: which distribution, kernels, what their initramfs can drive,
 * how it boots, where it logs in, how it names its network. Read only; runs where nothing can
 * be harmed (child.c), since all of it comes from the guest.
 */
#ifndef BRIDGECTL_FIXUP_INSPECT_H
#define BRIDGECTL_FIXUP_INSPECT_H

#include <jansson.h>
#include <stdbool.h>

#include "bridgectl/fixup/tree.h"

#define INSPECT_KERNELS_MAX 32
#define INSPECT_NAMES_MAX 64  /* of interfaces, consoles, notes */
#define INSPECT_TEXT_MAX 4096 /* bytes of a string, but for its NUL */

enum distro_family { FAMILY_UNKNOWN, FAMILY_DEBIAN, FAMILY_REDHAT, FAMILY_SUSE };
enum init_system { INIT_UNKNOWN, INIT_SYSV, INIT_UPSTART, INIT_SYSTEMD, INIT_OPENRC };
/* The files that a boot loader reads, best first. */
enum boot_config { BOOT_NO_CONFIG, BOOT_GRUB2, BOOT_GRUB_LEGACY, BOOT_EXTLINUX, BOOT_BLS };

/* Three answers, since an initramfs may be of a kind that is not understood. */
enum tristate { NO, YES, NOT_KNOWN };

/*
 * What a kernel can drive. Disks: when it looks for its root, so by itself or its initramfs.
 * virtio_net and virtio_console: also by its modules, since they are needed later only.
 */
struct drivers {
	enum tristate virtio_blk, virtio_scsi, virtio_pci, virtio_net, virtio_console;
	enum tristate ahci, ata_piix, sd_mod, xen_blkfront;
};

struct guest_kernel {
	char *version;	  /* "6.1.0-18-amd64" */
	char *path;	  /* "/boot/vmlinuz-…" as the root file system has it */
	char *initrd;	  /* or NULL */
	bool xen_only;	  /* a paravirtual kernel that cannot boot on anything but Xen */
	bool is_default;  /* what the boot loader's configuration would start */
	bool has_modules; /* /lib/modules/VERSION/modules.dep is there */
	char *arch;	  /* "x86_64", "i686", or NULL */
	bool rescue;	  /* the one of dracut's rescue entry: its initramfs has all drivers */
	char *cmdline;	  /* of its entry in the boot loader's configuration, or NULL */
	char *initrd_why; /* why its initramfs is not understood, a sentence's end; or NULL */
	struct drivers drivers;
};

struct inspection {
	enum distro_family family;
	char *id, *version, *pretty; /* "debian", "6.0", "Debian GNU/Linux 6.0"; NULL: not told */
	char *hostname;
	enum init_system init;
	struct guest_kernel kernels[INSPECT_KERNELS_MAX]; /* newest first */
	unsigned n_kernels;
	enum boot_config boot;
	char *boot_path; /* "/boot/grub/grub.cfg", of BLS "/boot/loader/entries"; or NULL */
	bool selinux, udev, acpid, lvm, merged_usr;
	bool renames_nics; /* its systemd gives new names: ens3 for eth0 (biosdevname never does in
			    * a virtual machine) */
	bool renames_once; /* its initramfs does, and its udev never again: a .link file of the root
			    * file system comes too late for eth0 */
	char *nic_tool; /* "ifupdown", "netplan", "networkmanager", "ifcfg", "networkd", "wicked" */
	char **nics;	/* names that its network configuration speaks of, but lo */
	unsigned n_nics;
	char **consoles; /* where it starts a getty: "tty1", "hvc0" */
	unsigned n_consoles;
	char **notes; /* sentences for people */
	unsigned n_notes;
};

/* Never fails: what cannot be read is not known, and a note says so. */
struct inspection *inspect(struct tree *t);
void inspection_free(struct inspection *in);

/* The kernel that a KVM guest would boot: the default if it can, else the newest that can; NULL. */
const struct guest_kernel *inspection_kernel(const struct inspection *in);

/* A new reference; and from it, bounded in everything, since it comes out of the child. */
json_t *inspection_json(const struct inspection *in);
struct inspection *inspection_from_json(const json_t *j); /* NULL: it is none */

const char *tristate_name(enum tristate t);    /* "no", "yes", "unknown" */
const char *family_name(enum distro_family f); /* "debian" */
const char *init_name(enum init_system i);     /* "systemd" */
const char *boot_name(enum boot_config b);     /* "grub2" */
/* Whether it finds its root on a disk of a KVM guest. */
enum tristate kernel_boots(const struct guest_kernel *k);

#endif
