/*
 * A guest in memory for the tests of the rules: some partitions, some cards, and tables of cases
 * "this file becomes that".
 */
#ifndef TESTS_UNIT_EDIT_GUEST_H
#define TESTS_UNIT_EDIT_GUEST_H

#include "bridgectl/fixup/edit.h"
#include "tests/support/mem_tree.h"

#define ROOT_UUID "2222-aa"
#define SWAP_UUID "3333-aa"
#define MAC0 "00:16:3e:00:00:01"
#define MAC1 "00:16:3e:00:00:02"
#define SERIAL "console=tty0 console=ttyS0,115200"

struct edit_guest {
	struct tree *t;
	struct inspection in;
	struct edit_part parts[8];
	struct edit_vif vifs[2];
	struct edit_options o;
	struct edits e;
};

/*
 * a1 is UUID=1111-aa, LABEL=BOOT; a2 the root; a3 swap; b whole, UUID=b0b0-aa; c1 without UUID; d1
 * and d2 with the same. The kernel is /boot/vmlinuz-6 and can do everything.
 */
void edit_guest_init(struct edit_guest *g);
void edit_guest_fini(struct edit_guest *g);
/* Plans, compares nothing yet; then writes it and fails if a second plan has anything to change. */
void edit_guest_plan(struct edit_guest *g);
/* What the file is afterwards; NULL: it is not there. */
void edit_guest_expect(struct edit_guest *g, const char *path, const char *want);
bool edit_guest_notes(const struct edit_guest *g, const char *part);

/* One file, alone in a guest. `after` NULL: not changed. `note` NULL: there is none. */
struct edit_case {
	const char *path, *before, *after, *note;
};

void edit_guest_cases(const struct edit_case *cases, unsigned n);

#endif
