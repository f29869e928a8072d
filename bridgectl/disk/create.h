/*
 * Carrying out a plan: volumes or files, tables, zeros where no source will be, swap headers; read
 * back. Either all disks are there afterwards or none that was made here.
 */
#ifndef BRIDGECTL_DISK_CREATE_H
#define BRIDGECTL_DISK_CREATE_H

#include <signal.h>
#include <stdbool.h>

#include "bridgectl/disk/plan.h"
#include "bridgectl/disk/plan_script.h"

#define CREATE_ERRLEN 1024

struct create_options {
	struct plan_where where; /* vg or dir; neither: `onto` */
	const char *onto;	 /* a device or file for the plan's only disk; a file may be new */
	bool overwrite;		 /* what is on `onto` may go */
	bool overcommit;	 /* files may be larger than what is free */
	bool elsewhere;		 /* the sources' paths are another host's */
	/* Zeros so far and in all, in bytes. NULL: nobody looks. */
	void (*progress)(void *arg, const char *path, uint64_t done, uint64_t total);
	void *arg;
	const volatile sig_atomic_t *stop; /* not 0: undo, return -ECANCELED. NULL: goes on */
};

enum create_kind { CREATE_FILE, CREATE_VOLUME, CREATE_ONTO };

/* A disk that was made, or will be. */
struct create_made {
	const struct plan_disk *disk; /* of the plan */
	enum create_kind kind;
	char path[4096];
	uint64_t bytes; /* 0: not made yet */
	bool opened;	/* CREATE_ONTO: something may have been written */
};

/*
 * Everything that can be asked before the first disk is made: where they will be (`ret`, room for
 * p->n_disks), room, names, users, what is there. 0, or negative errno and a sentence in `err`
 * (CREATE_ERRLEN). Writes nothing.
 */
int create_check(const struct plan *p, const struct create_options *o, struct create_made *ret,
		 char *err);

/* The same, then does it. What fails is undone; `err` says what could not be. */
int create_run(const struct plan *p, const struct create_options *o, struct create_made *ret,
	       char *err);

/* Document "created" of doc/disks.md. A new reference. */
json_t *create_to_json(const struct create_made *m, unsigned n);
const char *create_kind_name(enum create_kind k);

#endif
