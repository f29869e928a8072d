/*
 * What disks a guest gets: which source goes where, to the sector. Made from the guest's record
 * and from what its volumes are (probe.h); shown, kept as JSON, turned into commands
 * (plan_script.h), carried out (create.h). Nothing here reads or writes a disk.
 *
 * Rules (doc/disks.md): 512-byte sectors throughout; every partition starts at a multiple of
 * 1 MiB, at least 1 MiB into the disk; is as large as its source rounded up to 1 MiB; 1 MiB
 * stays free at the end. Numbers are the source's (xvda2 is partition 2), holes stay holes.
 */
#ifndef BRIDGECTL_DISK_PLAN_H
#define BRIDGECTL_DISK_PLAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SECTOR_BYTES UINT64_C(512)
#define PLAN_ALIGN_SECTORS UINT64_C(2048)	    /* 1 MiB */
#define PLAN_SECTORS_MAX (UINT64_C(1) << 50)	    /* of a disk and of a source */
#define PLAN_MSDOS_SECTORS_MAX UINT64_C(0xffffffff) /* of a disk: 2 TiB less a sector */
#define PLAN_PARTS_MAX 128u			    /* of a GPT as everybody makes it */
#define PLAN_DISKS_MAX 64u
#define PLAN_NOTES_MAX 1024u
#define PLAN_ERRLEN 512
struct guest; /* bridgectl/domain/guest.h */

enum plan_label {
	PLAN_WHOLE, /* no table of ours: the source is a whole disk with whatever is on it */
	PLAN_MSDOS, /* all numbers up to 4, below 2 TiB */
	PLAN_GPT,   /* else; with a BIOS boot partition, so that a boot loader has room */
};

enum plan_fill {
	PLAN_COPY,	/* by `disk copy`, later */
	PLAN_SWAP,	/* a new swap header with the source's UUID and label; nothing to copy */
	PLAN_BIOS_BOOT, /* zeroed, for a boot loader */
};

/* What was found of a volume on the host that has it. Strings are "" when there is nothing. */
struct plan_source {
	char path[4096];
	uint64_t bytes;
	char type[32];	/* libblkid's TYPE: "ext4", "swap", "LVM2_member" */
	char table[16]; /* PTTYPE of a whole disk: "dos", "gpt" */
	char uuid[64];
	char label[256];    /* UTF-8, a '?' for each byte that is none */
	uint32_t swap_page; /* bytes of a page of its swap header; 0: no swap */
	bool hibernated;    /* swap that holds an image of the memory: stop */
	/* In no document: of a device (inode 0) or file; "qcow2" by its head, or NULL. */
	dev_t dev;
	ino_t inode;
	const char *image;
};

struct plan_part {
	unsigned number;
	uint64_t start, sectors;
	enum plan_fill fill;
	bool boot; /* active flag of an msdos table */
	struct plan_source source;
};

struct plan_disk {
	char name[64];	 /* of the new volume: "web1-disk" , "web1-disk-b" */
	char target[16]; /* "vda" */
	char vdev[16];	 /* what the guest calls it now: "xvda" */
	enum plan_label label;
	uint64_t sectors;
	bool readonly;
	struct plan_part *parts; /* by start; one with number 0 for PLAN_WHOLE. Owned. */
	unsigned n_parts;
};

/* Owned by whoever got it; plan_free(). */
struct plan {
	char guest[64];
	struct plan_disk disks[PLAN_DISKS_MAX];
	unsigned n_disks;
	unsigned n_others; /* behind these: not to be made; their sources are not to be lost */
	json_t *notes;	   /* array of sentences for the reader */
};

struct plan_options {
	enum plan_label label;	/* PLAN_WHOLE: choose */
	bool copy_swap;		/* copy swap volumes as they are */
	uint64_t extra_bytes;	/* more room in the last partition that is copied; 0: none */
	const char *extra_disk; /* of this disk, "xvdb"; NULL: of the only one with partitions */
};

/* Fills what `path` is; 0 or negative errno with a sentence in `err` (PLAN_ERRLEN). */
typedef int (*plan_probe_fn)(void *arg, const char *path, struct plan_source *ret, char *err);
/* A new plan, or NULL and one sentence in `err` (PLAN_ERRLEN). */
struct plan *plan_compute(const struct guest *g, const struct plan_options *o, plan_probe_fn probe,
			  void *arg, char *err);
void plan_free(struct plan *p);
/* Leaves the one disk that is called so: its target, vdev or name. False: there is none. */
bool plan_keep(struct plan *p, const char *wanted);
/* Whether all rules above hold for every number; else a sentence in `err` (PLAN_ERRLEN). */
bool plan_check(const struct plan *p, char *err);
/* Document "plan" of doc/disks.md. A new reference. */
json_t *plan_to_json(const struct plan *p);
/* Every number is checked as if an enemy had written it: plan_check() and more. */
struct plan *plan_from_json(const json_t *j, char *err);

struct plan_range {
	uint64_t start, bytes; /* of a disk */
};

/*
 * What no source fills and must be zeros, before table and swap headers: in order, apart, up to
 * the end of the plan's disk. `ret` has room for n_parts + 1. How many there are.
 */
unsigned plan_zeroes(const struct plan_disk *d, struct plan_range *ret);
/* Its type in the disk's table, as sfdisk and libfdisk read it: "83", or a GUID for GPT. */
const char *plan_part_type(const struct plan_disk *d, const struct plan_part *p);
const char *plan_label_name(enum plan_label l);
const char *plan_fill_name(enum plan_fill f);

#endif
