/*
 * What makes a disk of ours boot: GRUB's first sector and a core image, in the gap in front of the
 * first partition or in the BIOS boot partition of a GPT. The core reads the menu that the guest
 * has: its own kernel updates go on counting, and nothing of it is copied. Nothing is written
 * here; the writes are for fixup_add_write().
 */
#ifndef BRIDGECTL_FIXUP_BOOTRECORD_H
#define BRIDGECTL_FIXUP_BOOTRECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOTRECORD_ERRLEN 512

enum bootrecord_mode {
	BOOTRECORD_AUTO,   /* where there is room of ours and nothing in it */
	BOOTRECORD_ALWAYS, /* also over what another boot loader has there */
	BOOTRECORD_NEVER,
};

struct bootrecord_want {
	enum bootrecord_mode mode;
	const char *root_uuid; /* of the root file system, as blkid has it; NULL: not known */
	bool legacy_first;     /* of a menu.lst and a grub.cfg, the first is the guest's */
};

struct bootrecord_write {
	uint64_t offset; /* bytes */
	size_t len;
	unsigned char *bytes; /* owned */
};

struct bootrecord {
	struct bootrecord_write writes[2];
	unsigned n_writes;
	/*
	 * A sentence for people, without a full stop: "GRUB 2.06, 288 KiB into sectors 1-577", or
	 * why there is nothing to write.
	 */
	char told[BOOTRECORD_ERRLEN];
	bool missing; /* the disk will not boot by itself, and `told` says what to do */
};

/*
 * For the disk that is open for reading. 0, also when nothing is to be written; or negative errno
 * and a sentence in `err` (BOOTRECORD_ERRLEN). Free it with bootrecord_fini() when it was 0.
 */
int bootrecord_plan(int fd, const struct bootrecord_want *w, struct bootrecord *ret, char *err);
void bootrecord_fini(struct bootrecord *b);

#define BOOTRECORD_OURS "bridgectl's boot record"

/*
 * What a BIOS finds on the disk that is open for reading: BOOTRECORD_OURS, "GRUB", … Whether that
 * still works is not known. NULL: no boot loader that we know, or it cannot be read.
 */
const char *bootrecord_whose(int fd);

struct fixup;
struct fixup_options;

/* The number of the disk that it goes to: a BIOS boots from the guest's first. */
unsigned bootrecord_disk(const struct fixup_options *o);

/*
 * Adds it to a fix-up that was planned with these options; `ret` tells what. 0, or negative errno
 * and a sentence in `err` (BOOTRECORD_ERRLEN); to be freed as above.
 */
int bootrecord_add(struct fixup *f, const struct fixup_options *o, enum bootrecord_mode mode,
		   struct bootrecord *ret, char *err);

/* False: no such mode. */
bool bootrecord_mode_parse(const char *name, enum bootrecord_mode *ret);

/* --- For bootrecord.c and its test --- */

#define BOOTRECORD_SECTOR 512u

/* Sectors that a record may have. */
struct bootrecord_place {
	uint64_t start, sectors;
	bool ours;	      /* of the layout that `disk create` makes */
	const char *why_none; /* else NULL; a sentence's end */
};

/*
 * bootrecord_place.c: in front of the partitions, or the BIOS boot partition of a GPT. 0, also when
 * there is none; or negative errno.
 */
int bootrecord_place(int fd, struct bootrecord_place *ret);

/* What grub-mkimage made. */
struct bootrecord_grub {
	unsigned char boot[BOOTRECORD_SECTOR]; /* boot.img */
	unsigned char *core;		       /* whole sectors; owned */
	size_t core_len;
	char version[64]; /* "2.06-13+deb12u2" */
};

/* bootrecord_grub.c: runs it. -ENOENT: it is not installed; `err` names packages. */
int bootrecord_grub(const struct bootrecord_want *w, struct bootrecord_grub *ret, char *err);

/* bootrecord_script.c: what the core does, in GRUB's language; behind the variables it needs. */
extern const char bootrecord_script[];

#endif
