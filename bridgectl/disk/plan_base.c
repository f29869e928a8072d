/*
 * What every part of the plan needs: a plan that holds nothing, its end, and the two ways to say
 * something: an error, of which there is one and the plan is none, and a note that stays in it.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bridgectl/disk/plan_private.h"

struct plan *plan_new(char *err)
{
	struct plan *p = calloc(1, sizeof(*p));

	if (p && (p->notes = json_array()))
		return p;
	free(p);
	plan_fail(err, "out of memory");
	return NULL;
}

void plan_free(struct plan *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->n_disks + p->n_others; i++)
		free(p->disks[i].parts);
	json_decref(p->notes);
	free(p);
}

bool plan_keep(struct plan *p, const char *wanted)
{
	unsigned all = p->n_disks + p->n_others, kept = 0;

	for (unsigned i = 0; i < p->n_disks; i++) {
		struct plan_disk d = p->disks[i];

		if (strcmp(d.target, wanted) && strcmp(d.vdev, wanted) && strcmp(d.name, wanted))
			continue;
		p->disks[i] = p->disks[kept];
		p->disks[kept++] = d;
	}
	p->n_disks = kept;
	p->n_others = all - kept;
	return kept > 0;
}

bool plan_fail(char *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, PLAN_ERRLEN, fmt, ap);
	va_end(ap);
	return false;
}

void plan_note(struct plan *p, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if (json_array_size(p->notes) < PLAN_NOTES_MAX)
		json_array_append_new(p->notes, json_string(text));
	free(text);
}
