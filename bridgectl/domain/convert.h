/*
 * From the guest record to the choices that a KVM guest is made of. Pure: no file is looked at;
 * who has looked into the guest's disks gives hints, and without them what Xen gave it and the
 * user's options decide. The table of keys is in doc/domains.md.
 */
#ifndef BRIDGECTL_DOMAIN_CONVERT_H
#define BRIDGECTL_DOMAIN_CONVERT_H

#include <jansson.h>

#include "bridgectl/domain/guest.h"
#include "bridgectl/domain/report.h"
#include "bridgectl/domain/xl_parse.h"

#define CHOICE_TARGET_LEN 16
#define CHOICE_UUID_LEN 37

enum choice_bus { BUS_DEFAULT, BUS_VIRTIO, BUS_SATA, BUS_SCSI, BUS_IDE };

/* Where a disk of the guest will be, as the disk layout says. */
struct convert_place {
	const struct guest_disk *disk;
	const char *letters; /* "a" of vda */
	const char *path;
	bool is_block; /* else a raw file */
};

struct convert_pair {
	const char *from, *to; /* from NULL: all that no other pair names */
};

struct convert_mac {
	unsigned vif;
	char mac[18];
};

/* What the kernel that KVM would start can drive before it has its root file system. */
enum hint { HINT_UNKNOWN, HINT_NO, HINT_YES };

struct convert_hints {
	const char *kernel; /* its version, "6.1.0-18-amd64"; NULL: there is none */
	const char *arch;   /* "x86_64", "i686", or NULL */
	enum hint virtio_pci, virtio_blk, virtio_scsi, ahci, ata_piix, sd_mod;
	const char *loader;    /* on a disk of the guest: "GRUB"; NULL: none that is known */
	unsigned loader_place; /* which of the places has it */
};

/* What the user says. Everything is borrowed. */
struct convert_options {
	const char *type;    /* "kvm", "qemu" */
	const char *machine; /* "pc", "q35"; NULL: by the guest */
	enum choice_bus bus;
	const struct convert_hints *hints;  /* NULL: nobody looked */
	const struct convert_place *places; /* in the order of their letters */
	unsigned n_places;
	const struct convert_pair *bridges;
	unsigned n_bridges;
	const struct convert_mac *macs;
	unsigned n_macs;
	const char *const *accept; /* keys whose loss is accepted */
	unsigned n_accept;
};

struct choice_disk {
	char target[CHOICE_TARGET_LEN]; /* "vda" */
	enum choice_bus bus;
	bool cdrom, is_block, readonly, shared;
	const char *path; /* NULL: no medium */
	unsigned boot;	  /* from 1; 0: not booted from. Here and below. */
};

struct choice_vif {
	char mac[18];
	const char *bridge, *model, *name; /* name of the host's end; NULL: libvirt's choice */
	unsigned mtu;			   /* 0: not said */
	uint64_t rate_kb;		   /* 1000 bytes per second that it may send; 0: no limit */
	unsigned boot;
};

/* Strings that are not arrays are constants, or the guest's and the options'. */
struct choices {
	const char *type, *name, *description, *machine, *cpu;
	char uuid[CHOICE_UUID_LEN];	/* "": a new one */
	uint64_t memory, memory_now;	/* KiB */
	unsigned vcpus, vcpus_now, cap; /* cap: percent of one CPU; 0: none */
	bool efi, acpi, apic, pae, no_nx, hyperv, panic;
	int hpet;	   /* 0, 1, GUEST_UNSET */
	const char *clock; /* "utc", "localtime" */
	int clock_offset_s;
	const char *on_poweroff, *on_reboot, *on_crash;
	struct choice_disk *disks;
	unsigned n_disks;
	struct choice_vif *vifs;
	unsigned n_vifs;
	bool vnc, tablet, mouse, keyboard;
	unsigned vnc_port;		 /* 0: any */
	char keymap[32];		 /* "": the usual one */
	const char *video, *sound, *usb; /* NULL: none */
	unsigned vram_kib;		 /* 0: not said */
};

/*
 * Adds to `report` what means something else than in Xen, with its line, and as errors what cannot
 * be done; with an error there the choices are not to be used. `file` is where the record
 * comes from, for places of keys; it may be NULL. Free the result with choices_free().
 */
struct choices *convert_guest(const struct guest *g, const struct xl_file *file,
			      const struct convert_options *o, struct report *report);
void choices_free(struct choices *c);

/* "virtio", "sata", … Not of BUS_DEFAULT. */
const char *choice_bus_name(enum choice_bus bus);
/* A new reference. */
json_t *choices_json(const struct choices *c);

#endif
