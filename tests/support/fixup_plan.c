/*
 * What would be changed in a folder that holds a guest's files: notes, reasons and diffs, for the
 * golden tests (tests/golden/test_fixup.py). With --twice the changes are made in the folder, and
 * planned again, which has to give none.
 *
 *	fixup_plan FOLDER [--part a2=ext4:UUID[:LABEL]]… [--vif MAC]… [--root a2] [--twice]
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/fixup/edit.h"
#include "common/util.h"

#define MANY 16

struct words {
	struct edit_part parts[MANY];
	struct edit_vif vifs[MANY];
	struct edit_options o;
	const char *folder;
	bool twice;
};

static void set_part(struct words *w, const char *s)
{
	struct edit_part *p = &w->parts[w->o.n_parts];

	if (w->o.n_parts == MANY || sscanf(s, "%c%u=%15[^:]:%63[^:]:%63s", &p->letter, &p->number,
					   p->type, p->uuid, p->label) < 4)
		errx(2, "%s: not a2=TYPE:UUID", s);
	snprintf(p->partuuid, sizeof(p->partuuid), "dec0de00-%02u", p->number);
	w->o.n_parts++;
}

static void set_vif(struct words *w, const char *s)
{
	if (w->o.n_vifs == MANY)
		errx(2, "too many cards");
	snprintf(w->vifs[w->o.n_vifs++].mac, sizeof(w->vifs[0].mac), "%s", s);
}

static void read_words(struct words *w, char **argv)
{
	w->o.parts = w->parts;
	w->o.vifs = w->vifs;
	w->folder = *argv++;
	for (; *argv; argv++) {
		if (strcmp(*argv, "--twice") == 0) {
			w->twice = true;
			continue;
		}
		if (!argv[1])
			errx(2, "%s: of what?", *argv);
		if (strcmp(*argv, "--part") == 0)
			set_part(w, argv[1]);
		else if (strcmp(*argv, "--vif") == 0)
			set_vif(w, argv[1]);
		else if (strcmp(*argv, "--root") == 0)
			sscanf(argv[1], "%c%u", &w->o.root_letter, &w->o.root_number);
		else
			errx(2, "%s?", *argv);
		argv++;
	}
}

static void show(const struct edits *e)
{
	for (unsigned i = 0; i < e->n_notes; i++)
		printf("note: %s\n", e->notes[i]);
	for (unsigned i = 0; i < e->n; i++) {
		const struct edit *v = &e->v[i];
		_cleanup_free_ char *diff = udiff(v->path, v->old, v->old_len, v->new, v->new_len);

		printf("\n");
		for (const char *s = v->why; *s; s += strcspn(s, "\n"), s += *s == '\n')
			printf("why: %.*s\n", (int)strcspn(s, "\n"), s);
		fputs(diff, stdout);
	}
}

/* How many files would change. */
static unsigned plan(const struct words *w, bool quiet)
{
	struct inspection *in;
	struct edits e;
	struct tree *t;
	unsigned failed, n;

	if (tree_dir_open(w->folder, !w->twice, &t) < 0)
		err(1, "%s", w->folder);
	in = inspect(t);
	if (edits_plan(t, in, &w->o, &e) < 0)
		errx(1, "too many files");
	if (!quiet)
		show(&e);
	if (w->twice && edits_write(t, &e, &failed) < 0)
		errx(1, "%s: cannot be written", e.v[failed].path);
	n = e.n;
	edits_fini(&e);
	inspection_free(in);
	tree_free(t);
	return n;
}

int main(int argc, char **argv)
{
	struct words w = { .folder = NULL };

	if (argc < 2)
		errx(2, "usage: fixup_plan FOLDER [--part …] [--vif …] [--root …] [--twice]");
	read_words(&w, argv + 1);
	plan(&w, false);
	if (w.twice && plan(&w, true) > 0) {
		printf("\nA SECOND TIME:\n");
		plan(&w, false);
		return 1;
	}
	return 0;
}
