/*
 * A Xen configuration file from anybody: parsed, made into a guest and printed. What is said about
 * it has a place in it; a guest without errors keeps its invariants; the first line is also taken
 * for a disk, an interface and a device name.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/domain/guest_json.h"
#include "bridgectl/domain/xl_guest.h"
#include "tests/fuzz/fuzz.h"

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static void check_report(const struct report *r, const char *text, size_t len)
{
	unsigned lines = 1, errors = 0, caret;

	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	for (unsigned i = 0; i < r->n; i++) {
		const struct report_item *item = &r->items[i];
		char *quote = report_quote(text, len, item->line, item->column, &caret);

		CHECK(item->line <= lines && item->text[0] &&
		      strlen(item->text) <= REPORT_TEXT_MAX);
		if (quote)
			CHECK(caret <= 100 && strlen(quote) <= 400);
		errors += item->severity == REPORT_ERROR;
		free(quote);
	}
	CHECK(r->n <= REPORT_MAX && errors <= r->n_errors && !!errors == !!r->n_errors);
}

static void check_disk(const struct guest_disk *d)
{
	CHECK(d->n > 0 && (!d->whole || d->n == 1));
	for (unsigned i = 0; i < d->n; i++) {
		const struct guest_source *s = &d->sources[i];
		char name[VDEV_NAME_LEN];
		struct vdev v;

		CHECK(s->vdev.bus == d->bus && s->vdev.disk == d->index);
		CHECK(d->whole == (s->vdev.partition == 0));
		CHECK(!i || s->vdev.partition > d->sources[i - 1].vdev.partition);
		CHECK(s->spec.format && s->spec.vdev && s->text);
		CHECK((s->spec.kind == DISK_EMPTY) == (!s->spec.path && !s->spec.resource));
		CHECK(vdev_parse(vdev_name(&s->vdev, name), &v) == 0);
		CHECK(!memcmp(&v, &s->vdev, sizeof(v)));
	}
}

static void check_guest(const struct guest *g)
{
	json_t *o = guest_json(g), *lost = guest_lost_json(g);
	char *dumped = json_dumps(o, 0);

	CHECK(g->name && dumped);
	CHECK(json_array_size(json_object_get(o, "disks")) == g->n_disks);
	for (unsigned i = 0; i < g->n_disks; i++)
		check_disk(&g->disks[i]);
	free(dumped);
	json_decref(lost);
	json_decref(o);
}

static void one_file(const char *text, size_t len)
{
	static const char *const accept[] = { "extra", "disk", "vif" };
	struct xl_file file;
	struct guest *g;
	json_t *o;

	xl_foreign(text, len);
	xl_parse(text, len, &file);
	for (unsigned i = 0; i < file.n; i++) {
		struct xl_assign *a = xl_file_get(&file, file.assigns[i].key);

		CHECK(a && !a->superseded && a->value);
	}
	g = xl_guest(&file, accept, 3);
	check_report(&file.report, text, len);
	o = report_json(&file.report);
	CHECK(json_array_size(o) == file.report.n);
	json_decref(o);
	if (!file.report.n_errors)
		check_guest(g);
	guest_free(g);
	xl_file_fini(&file);
}

static void one_word(const char *text, size_t len)
{
	char *word = strndup(text, strnlen(text, len)), err[DISKSPEC_ERRLEN] = "";
	unsigned offset = 0;
	struct diskspec d;
	struct vifspec v;
	struct vdev dev;
	uint32_t n;

	word[strcspn(word, "\n")] = '\0';
	if (diskspec_parse(word, &d, err, &offset) == 0) {
		CHECK(d.vdev[0] && d.format[0]);
		diskspec_fini(&d);
	} else {
		CHECK(err[0] && offset <= strlen(word));
	}
	if (vifspec_parse(word, &v, err, &offset) == 0)
		vifspec_fini(&v);
	else
		CHECK(err[0] && offset <= strlen(word));
	if (vdev_parse(word, &dev) == 0)
		CHECK(vdev_number(&dev, &n) == 0);
	free(word);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size > 16 * 1024)
		return 0;
	text = malloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	one_file(text, size);
	one_word(text, size);
	free(text);
	return 0;
}
