/*
 * Partition tables. Written by libfdisk, with every start, size and number said outright; read
 * by libblkid, which is another's eye on what was written. 512-byte sectors, as the guest will
 * see them, whatever the device below has.
 */
#ifndef BRIDGECTL_DISK_TABLE_H
#define BRIDGECTL_DISK_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "bridgectl/disk/plan.h"

#define TABLE_ERRLEN 512
#define TABLE_PARTS_MAX 160 /* a GPT's 128, or logical ones and their containers */

struct table_part {
	unsigned number;
	uint64_t start, sectors;
	char type[40]; /* "83", or a GUID in small letters */
	char name[64]; /* of GPT, UTF-8 */
	char uuid[40]; /* as Linux names it, PARTUUID: a GUID, or "1a2b3c4d-02" */
	bool boot;
	bool logical;	/* inside an extended partition */
	bool container; /* an extended partition */
};

struct table {
	enum plan_label label; /* PLAN_WHOLE: there is none */
	unsigned n;
	struct table_part parts[TABLE_PARTS_MAX]; /* by number */
};

/*
 * Writes a new table for a disk of a plan into `fd`, open for reading and writing, over whatever
 * table is there. Nothing for PLAN_WHOLE. 0, or negative errno and a sentence in `err`
 * (TABLE_ERRLEN).
 */
int table_write(int fd, const struct plan_disk *d, char *err);

/* Whether what is on `fd` is what the plan says, to the sector. 0; -EUCLEAN; another errno. */
int table_check(int fd, const struct plan_disk *d, char *err);

/* What is there; label PLAN_WHOLE when nothing is. -EMEDIUMTYPE: a table of another kind. */
int table_read(int fd, struct table *ret, char *err);

/* Partition N of a table, or NULL. Of number 0: the one that ends last. */
const struct table_part *table_find(const struct table *t, unsigned number);

/* The partition that starts next behind this one, or NULL. */
const struct table_part *table_next(const struct table *t, const struct table_part *p);

/* First sector behind the last that a partition may use on a disk of so many sectors. */
uint64_t table_limit(enum plan_label l, uint64_t disk_sectors);

/*
 * Gives partition N so many sectors, no fewer than before; its start stays. GPT: the second copy
 * goes to the end of the disk, which may have grown. Reads back. 0 or negative errno and `err`.
 */
int table_enlarge(int fd, unsigned number, uint64_t sectors, char *err);

#endif
