/*
 * The child's document, of which nothing is believed: kinds, lengths, counts and numbers are
 * checked one by one, and what does not fit ends it all.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/fixup_private.h"
#include "common/util.h"

#define NOTES_MAX 1000U

/* A text of an object into `buf`. False: none, or too long. */
static bool take_text(const json_t *j, const char *key, char *buf, size_t size)
{
	const json_t *v = json_object_get(j, key);

	if (!json_is_string(v) || json_string_length(v) >= size)
		return false;
	memcpy(buf, json_string_value(v), json_string_length(v) + 1);
	return strlen(buf) == json_string_length(v);
}

static char *new_text(const json_t *j)
{
	return json_is_string(j) ? mem_strdup(json_string_value(j)) : NULL;
}

static bool take_number(const json_t *j, const char *key, unsigned max, unsigned *ret)
{
	const json_t *v = json_object_get(j, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > max)
		return false;
	*ret = (unsigned)json_integer_value(v);
	return true;
}

static bool take_part(const json_t *j, struct edit_part *p)
{
	char letter[2];

	if (!take_text(j, "letter", letter, sizeof(letter)) || *letter < 'a' || *letter > 'z')
		return false;
	p->letter = *letter;
	return take_number(j, "number", 9999, &p->number) &&
	       take_text(j, "type", p->type, sizeof(p->type)) &&
	       take_text(j, "uuid", p->uuid, sizeof(p->uuid)) &&
	       take_text(j, "label", p->label, sizeof(p->label)) &&
	       take_text(j, "partuuid", p->partuuid, sizeof(p->partuuid));
}

static bool take_parts(struct fixup *f, const json_t *a)
{
	size_t n = json_array_size(a);

	if (!json_is_array(a) || n > ARRAY_SIZE(f->parts))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!take_part(json_array_get(a, i), &f->parts[i]))
			return false;
	f->view.parts = f->parts;
	f->view.n_parts = (unsigned)n;
	return true;
}

static bool take_changes(struct fixup *f, const json_t *a)
{
	size_t n = json_array_size(a);

	if (!json_is_array(a) || n > ARRAY_SIZE(f->changes))
		return false;
	f->view.changes = f->changes;
	for (size_t i = 0; i < n; i++) {
		const json_t *j = json_array_get(a, i);
		struct fixup_change *c = &f->changes[f->view.n_changes++];

		c->path = new_text(json_object_get(j, "path"));
		c->diff = new_text(json_object_get(j, "diff"));
		c->why = new_text(json_object_get(j, "why"));
		if (!c->path || !c->diff || !c->why)
			return false;
	}
	return true;
}

static bool take_notes(struct fixup *f, const json_t *a)
{
	size_t n = json_array_size(a);

	if (!json_is_array(a) || n > NOTES_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		char *text = new_text(json_array_get(a, i));

		if (!text)
			return false;
		*mem_push(f->notes, f->n_notes) = text;
	}
	f->view.notes = f->notes;
	f->view.n_notes = f->n_notes;
	return true;
}

static bool take_root(struct fixup *f, const json_t *j)
{
	unsigned root;

	if (!f->view.n_parts || !take_number(j, "root", f->view.n_parts - 1, &root))
		return false;
	f->view.root_letter = f->parts[root].letter;
	f->view.root_number = f->parts[root].number;
	return true;
}

static bool take_why_not(struct fixup *f, const json_t *j)
{
	if (json_is_null(json_object_get(j, "why_not")))
		return true;
	f->view.why_not = f->why_not;
	return take_text(j, "why_not", f->why_not, sizeof(f->why_not));
}

int fixup_take_document(struct fixup *f, const json_t *j)
{
	f->in = inspection_from_json(json_object_get(j, "inspection"));
	f->view.in = f->in;
	if (!f->in || !take_parts(f, json_object_get(j, "parts")) || !take_root(f, j) ||
	    !take_changes(f, json_object_get(j, "changes")) ||
	    !take_notes(f, json_object_get(j, "notes")) || !take_why_not(f, j))
		return -EPROTO;
	return 0;
}
