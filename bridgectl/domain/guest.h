/*
 * The neutral record of a guest: readers of configurations fill it, the disk layout and writers of
 * other formats use it.
 */
#ifndef BRIDGECTL_DOMAIN_GUEST_H
#define BRIDGECTL_DOMAIN_GUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "bridgectl/domain/diskspec.h"
#include "bridgectl/domain/vdev.h"
#include "bridgectl/domain/vifspec.h"

enum guest_kind { GUEST_PV, GUEST_HVM, GUEST_PVH };

enum guest_boot_method {
	BOOT_NONE,	 /* the file does not say how */
	BOOT_KERNEL,	 /* kernel and ramdisk are files of the host */
	BOOT_BOOTLOADER, /* a program of the host reads the guest's disk: pygrub */
	BOOT_PVGRUB,	 /* GRUB inside of the guest */
	BOOT_FIRMWARE,	 /* BIOS or UEFI, in the order of `order` */
};

#define GUEST_UNSET -1 /* of an int: the file says nothing */

/* One string of disk = [ … ]: a volume, an image, … */
struct guest_source {
	char *text; /* as it stands in the file */
	unsigned line, column;
	struct diskspec spec; /* where the data is, and how it is opened */
	struct vdev vdev;
};

/*
 * One disk of the guest. Either it is whole, and has one source with partition number 0; or its
 * sources are its partitions, sorted by vdev.partition, each number once, none 0.
 */
struct guest_disk {
	enum vdev_bus bus;
	unsigned index; /* 0: xvda, sda, hda */
	bool whole, cdrom;
	struct guest_source *sources;
	unsigned n;
};

struct guest_vif {
	char *text;
	unsigned line, column;
	struct vifspec spec;
};

struct guest_strings {
	char **v;
	unsigned n;
};

/* What of the file is not in the record and may matter. */
struct guest_lost {
	char *key, *value, *note; /* the value in short, as in the file */
	unsigned line, column;
	bool accepted;
};

struct guest {
	char *name, *uuid, *description; /* NULL here and below: not said */
	enum guest_kind kind;
	char *firmware;	  /* "bios", "seabios", "rombios", "ovmf", a path */
	const char *arch; /* "x86_64", "i686" if a file's name tells; NULL */
	int vcpus, maxvcpus, cpu_weight, cap;
	uint64_t memory, maxmemory; /* bytes; 0: not said */
	char *cpus;		    /* pinning, as in the file */
	struct {
		enum guest_boot_method method;
		char *kernel, *ramdisk;
		char *cmdline; /* complete: cmdline, or root, ip and extra put together */
		char *bootloader;
		struct guest_strings args; /* of the boot loader */
		char *order;		   /* letters: c disk, d CD-ROM, n network, a floppy */
	} boot;
	struct guest_disk *disks; /* in the order of the file */
	unsigned n_disks;
	struct guest_vif *vifs; /* in the order of the file, which is that of the guest's eth0… */
	unsigned n_vifs;
	struct guest_strings serial, vfb, pci, usbdevices, channels;
	int vnc, sdl, spice, vncdisplay, vncunused, nographic, stdvga, videoram_mib, usb,
		usbversion;
	char *vnclisten, *vncpasswd, *keymap, *vga, *soundhw;
	char *on_poweroff, *on_reboot, *on_crash, *on_watchdog;
	int localtime, rtc_timeoffset;
	int pae, acpi, apic, nx, hpet, hap, nestedhvm, viridian, xen_platform_pci;
	char *hdtype; /* "ide", "ahci" */
	struct guest_lost *lost;
	unsigned n_lost;
};

/* A record in which nothing is set. Free it, and all that it owns, with guest_free(). */
struct guest *guest_new(void);
void guest_free(struct guest *g);

const char *guest_kind_name(enum guest_kind kind);	    /* "pv" */
const char *guest_boot_name(enum guest_boot_method method); /* "bootloader" */
/* "xvda". Into `buf` of VDEV_NAME_LEN, which it returns. */
const char *guest_disk_name(const struct guest_disk *d, char *buf);

/*
 * Puts a source where its vdev says; takes over what it owns and zeroes it. -EEXIST: that disk or
 * partition is there already; -EINVAL: a disk cannot be both whole and in partitions. Then
 * *ret_other is the source in the way (borrowed), and nothing was taken.
 */
int guest_add_source(struct guest *g, struct guest_source *source,
		     const struct guest_source **ret_other);
void guest_source_fini(struct guest_source *source);

/* Whether `backend` (NULL: not said) names another domain than the host itself. */
bool guest_backend_is_other(const char *backend);
/* How many of `lost` were not accepted. */
unsigned guest_refused(const struct guest *g);

#endif
