/*
 * Keys with plain values, and what becomes of those that the record has no place for.
 *
 * Every assignment that counts ends in exactly one way: used, known to mean nothing elsewhere, a
 * variable of the file's own, or lost and said so.
 */
#include "bridgectl/domain/xl_guest.h"

#include <ctype.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <strings.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xl_guest_private.h"
#include "bridgectl/domain/xl_keys.h"
#include "bridgectl/domain/xl_scan.h"

#define MIB_MAX (INT64_C(16) * 1024 * 1024) /* 16 TiB */
#define VCPUS_MAX 4096
#define SHOWN_MAX 200

/* --- Values --- */

static bool is_accepted(const struct xl_reader *r, const char *key)
{
	for (unsigned i = 0; i < r->n_accept; i++)
		if (!strcmp(r->accept[i], key))
			return true;
	return false;
}

const char *xl_text(const struct xl_value *v)
{
	return v->kind == XL_STRING || v->kind == XL_INT ? v->text : NULL;
}

char *xl_value_show(const struct xl_value *v)
{
	char *s = NULL;
	size_t size;
	FILE *f = mem_must(open_memstream(&s, &size));

	if (v->kind == XL_STRING)
		fprintf(f, "'%s'", v->text);
	else if (v->kind == XL_UNKNOWN)
		fprintf(f, "(%s)", v->text);
	else if (v->kind != XL_LIST)
		fputs(v->text ? v->text : "None", f);
	for (unsigned i = 0; i < v->n && v->kind == XL_LIST; i++) {
		_cleanup_free_ char *item = xl_value_show(v->items[i]);

		fprintf(f, "%s%s", i ? ", " : "[", item);
		if (ftell(f) > SHOWN_MAX)
			break;
	}
	if (v->kind == XL_LIST)
		fputs(v->n ? "]" : "[]", f);
	fclose(f);
	mem_must(s);
	mem_cut(s, SHOWN_MAX);
	return s;
}

void xl_lose(struct xl_reader *r, const char *key, char *value, const char *note, unsigned line,
	     unsigned column)
{
	struct guest_lost *lost;

	for (unsigned i = 0; i < r->g->n_lost; i++)
		if (r->g->lost[i].line == line && r->g->lost[i].column == column &&
		    !strcmp(r->g->lost[i].key, key)) {
			free(value);
			return;
		}
	lost = mem_push(r->g->lost, r->g->n_lost);
	lost->key = mem_strdup(key);
	lost->value = value;
	lost->note = mem_strdup(note);
	lost->line = line;
	lost->column = column;
	lost->accepted = is_accepted(r, key);
}

void xl_refuse_code(struct xl_reader *r, const char *key, const struct xl_value *v)
{
	bool word = !strncmp(v->text, "the variable", 12);

	report_error(r->report, v->line, v->column,
		     "%s depends on Python code (%s), which is never run here; %slet Python print "
		     "the values, as bridgectl(8) shows under `domain show`",
		     key, v->text, word ? "if that is a text, put it in quotes, or " : "");
}

const struct xl_value *xl_get(struct xl_reader *r, const char *key)
{
	const struct xl_assign *a = xl_file_get(r->file, key);

	if (!a || a->value->kind == XL_NONE)
		return NULL;
	if (a->value->kind != XL_UNKNOWN)
		return a->value;
	if (is_accepted(r, key))
		xl_lose(r, key, xl_value_show(a->value), "made by Python code", a->line, a->column);
	else
		xl_refuse_code(r, key, a->value);
	return NULL;
}

static void wrong(struct xl_reader *r, const struct xl_value *v, const char *key, const char *what)
{
	report_error(r->report, v->line, v->column, "%s is %s, not %s", key, what,
		     xl_kind_name(v->kind));
}

void xl_read_text(struct xl_reader *r, const char *key, char **ret)
{
	const struct xl_value *v = xl_get(r, key);

	if (!v)
		return;
	if (!xl_text(v)) {
		wrong(r, v, key, "a string");
		return;
	}
	free(*ret);
	*ret = v->text[0] ? mem_strdup(v->text) : NULL;
}

void xl_read_int(struct xl_reader *r, const char *key, int64_t min, int64_t max, int *ret)
{
	const struct xl_value *v = xl_get(r, key);
	int64_t n;

	/* An empty string is how some files leave a key out. */
	if (!v || (v->kind == XL_STRING && !v->text[0]))
		return;
	if (!xl_value_number(v, &n)) {
		_cleanup_free_ char *shown = xl_value_show(v);

		report_error(r->report, v->line, v->column, "%s is a whole number, not %s", key,
			     shown);
	} else if (n < min || n > max) {
		report_error(r->report, v->line, v->column, "%s is from %lld to %lld, not %lld",
			     key, (long long)min, (long long)max, (long long)n);
	} else {
		*ret = (int)n;
	}
}

static int bool_word(const char *s)
{
	static const char *const words[] = { "no", "yes", "off", "on", "false", "true", "n", "y" };

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcasecmp(s, words[i]))
			return i % 2;
	return -1;
}

void xl_read_bool(struct xl_reader *r, const char *key, int *ret)
{
	const struct xl_value *v = xl_get(r, key);
	int64_t n;

	if (!v || (v->kind == XL_STRING && !v->text[0]))
		return;
	if (v->kind == XL_STRING && bool_word(v->text) >= 0)
		*ret = bool_word(v->text);
	else if (xl_value_number(v, &n))
		*ret = n != 0;
	else
		wrong(r, v, key, "0 or 1");
}

void xl_read_strings(struct xl_reader *r, const char *key, struct guest_strings *ret)
{
	const struct xl_value *v = xl_get(r, key);

	if (!v)
		return;
	if (xl_text(v)) {
		if (v->text[0])
			*mem_push(ret->v, ret->n) = mem_strdup(v->text);
		return;
	}
	if (v->kind != XL_LIST) {
		wrong(r, v, key, "a list of strings");
		return;
	}
	for (unsigned i = 0; i < v->n; i++) {
		if (xl_text(v->items[i]))
			*mem_push(ret->v, ret->n) = mem_strdup(v->items[i]->text);
		else
			report_error(r->report, v->items[i]->line, v->items[i]->column,
				     "%s is a list of strings; this is %s", key,
				     xl_kind_name(v->items[i]->kind));
	}
}

/* --- Keys that go into one field each --- */

#define F(field) offsetof(struct guest, field)

static const struct {
	const char *key;
	size_t field;
} texts[] = {
	{ "name", F(name) },
	{ "uuid", F(uuid) },
	{ "description", F(description) },
	{ "vnclisten", F(vnclisten) },
	{ "vncpasswd", F(vncpasswd) },
	{ "keymap", F(keymap) },
	{ "vga", F(vga) },
	{ "soundhw", F(soundhw) },
	{ "hdtype", F(hdtype) },
}, booleans[] = {
	{ "vnc", F(vnc) },
	{ "sdl", F(sdl) },
	{ "spice", F(spice) },
	{ "vncunused", F(vncunused) },
	{ "nographic", F(nographic) },
	{ "stdvga", F(stdvga) },
	{ "usb", F(usb) },
	{ "localtime", F(localtime) },
	{ "pae", F(pae) },
	{ "acpi", F(acpi) },
	{ "apic", F(apic) },
	{ "nx", F(nx) },
	{ "hpet", F(hpet) },
	{ "hap", F(hap) },
	{ "nestedhvm", F(nestedhvm) },
	{ "xen_platform_pci", F(xen_platform_pci) },
}, lists[] = {
	{ "serial", F(serial) },
	{ "vfb", F(vfb) },
	{ "pci", F(pci) },
	{ "usbdevice", F(usbdevices) },
	{ "channel", F(channels) },
}, actions[] = {
	{ "on_poweroff", F(on_poweroff) },
	{ "on_reboot", F(on_reboot) },
	{ "on_crash", F(on_crash) },
	{ "on_watchdog", F(on_watchdog) },
};

static const struct {
	const char *key;
	size_t field;
	int min, max;
} numbers[] = {
	{ "vcpus", F(vcpus), 1, VCPUS_MAX },
	{ "maxvcpus", F(maxvcpus), 1, VCPUS_MAX },
	{ "cap", F(cap), 0, 100 * VCPUS_MAX },
	{ "cpu_cap", F(cap), 0, 100 * VCPUS_MAX },
	{ "vncdisplay", F(vncdisplay), 0, 59635 },
	{ "videoram", F(videoram_mib), 0, 65536 },
	{ "usbversion", F(usbversion), 0, 3 },
	{ "rtc_timeoffset", F(rtc_timeoffset), INT_MIN, INT_MAX },
};

static void *field(struct xl_reader *r, size_t offset)
{
	return (char *)r->g + offset;
}

static void read_action(struct xl_reader *r, const char *key, char **ret)
{
	static const char *const words[] = { "destroy",	  "restart",	      "rename-restart",
					     "preserve",  "coredump-destroy", "coredump-restart",
					     "soft-reset" };
	const struct xl_value *v = xl_get(r, key);

	xl_read_text(r, key, ret);
	if (!*ret)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		if (!strcmp(*ret, words[i]))
			return;
	report_error(r->report, v->line, v->column, "%s='%s' is no action that Xen has", key, *ret);
}

static void read_fields(struct xl_reader *r)
{
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++)
		xl_read_text(r, texts[i].key, field(r, texts[i].field));
	for (unsigned i = 0; i < ARRAY_SIZE(booleans); i++)
		xl_read_bool(r, booleans[i].key, field(r, booleans[i].field));
	for (unsigned i = 0; i < ARRAY_SIZE(numbers); i++)
		xl_read_int(r, numbers[i].key, numbers[i].min, numbers[i].max,
			    field(r, numbers[i].field));
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
		xl_read_strings(r, lists[i].key, field(r, lists[i].field));
	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++)
		read_action(r, actions[i].key, field(r, actions[i].field));
}

/* --- Keys that need a thought each --- */

static void read_mib(struct xl_reader *r, const char *key, uint64_t *ret)
{
	int mib = 0;

	xl_read_int(r, key, 1, MIB_MAX, &mib);
	*ret = (uint64_t)mib << 20;
}

static void read_memory(struct xl_reader *r)
{
	const struct xl_value *max = xl_get(r, "maxmem");

	read_mib(r, "memory", &r->g->memory);
	if (max)
		read_mib(r, "maxmem", &r->g->maxmemory);
	if (r->g->maxmemory && r->g->maxmemory < r->g->memory)
		report_error(r->report, max->line, max->column, "maxmem is less than memory");
}

/* cpus = "0-3", 2 or, a CPU of the host for each virtual one, ["2", "3"] */
static void read_cpus(struct xl_reader *r)
{
	const struct xl_value *v = xl_get(r, "cpus");

	if (v && v->kind == XL_LIST)
		r->g->cpus = xl_value_show(v);
	else
		xl_read_text(r, "cpus", &r->g->cpus);
}

/* xm took fractions. */
static void read_weight(struct xl_reader *r)
{
	const struct xl_value *v = xl_get(r, "cpu_weight");
	char *end;
	double w;

	if (!v)
		return;
	w = xl_text(v) ? strtod(v->text, &end) : -1;
	if (xl_text(v) && *end == '\0' && w >= 0 && w <= 65535)
		r->g->cpu_weight = (int)w;
	else
		wrong(r, v, "cpu_weight", "a number up to 65535");
}

/* Windows knows it as one switch in xm, as groups in xl: all but none is on. */
static void read_viridian(struct xl_reader *r)
{
	const struct xl_value *v = xl_get(r, "viridian");

	if (v && v->kind == XL_LIST)
		r->g->viridian = v->n > 0;
	else
		xl_read_bool(r, "viridian", &r->g->viridian);
}

/* A domain's name ends up in paths, in commands and in XML. */
static void check_name(struct xl_reader *r)
{
	const struct xl_assign *a = xl_file_get(r->file, "name");
	const char *name = r->g->name;

	if (!name) {
		if (!a || a->value->kind != XL_UNKNOWN)
			report_error(r->report, a ? a->line : 0, a ? a->column : 0,
				     "the guest has no name; write name = 'NAME'");
		return;
	}
	for (const char *p = name; *p; p++)
		if (!isalnum((unsigned char)*p) && !strchr("-_.+", *p)) {
			report_error(r->report, a->value->line, a->value->column,
				     "'%s' is no name of a guest: letters, digits and -_.+ are",
				     name);
			return;
		}
	if (name[0] == '-' || name[0] == '.')
		report_error(r->report, a->value->line, a->value->column,
			     "the name of a guest does not begin with %c", name[0]);
}

static void check_uuid(struct xl_reader *r)
{
	const struct xl_value *v = xl_get(r, "uuid");
	const char *s = r->g->uuid;
	unsigned digits = 0;

	if (!s)
		return;
	for (; *s; s++) {
		if (*s != '-' && !isxdigit((unsigned char)*s))
			break;
		digits += *s != '-';
	}
	if (*s || digits != 32)
		report_error(r->report, v->line, v->column, "'%s' is no UUID", r->g->uuid);
}

/* --- What has no place --- */

/* Nothing, zero, or what Xen does anyway. */
static bool is_neutral(const struct xl_value *v, const struct xl_key *row)
{
	const char *s = v->text, *words = row && row->neutral ? row->neutral : "";
	int64_t n;

	if (v->kind == XL_NONE || (v->kind == XL_LIST && !v->n))
		return true;
	if (v->kind == XL_LIST || v->kind == XL_UNKNOWN)
		return false;
	if (!s[0] || (xl_value_number(v, &n) && n == 0))
		return true;
	for (size_t len = strlen(s); *words; words += strspn(words, " ")) {
		if (strcspn(words, " ") == len && !strncmp(words, s, len))
			return true;
		words += strcspn(words, " ");
	}
	return false;
}

static void settle(struct xl_reader *r, const struct xl_assign *a)
{
	const struct xl_key *row = xl_key_find(a->key);

	if (a->superseded || (row && row->use == XL_KEY_USED))
		return;
	/* A variable, or what only Python code sets: xl and xm took no notice of either. */
	if (!row && (a->used || a->value->kind == XL_UNKNOWN))
		return;
	if (row && row->use == XL_KEY_HARMLESS)
		report_note(r->report, a->line, a->column, "%s is left out: %s", a->key, row->note);
	else if (row && is_neutral(a->value, row))
		report_note(r->report, a->line, a->column, "%s is left out: so it changes nothing",
			    a->key);
	else
		xl_lose(r, a->key, xl_value_show(a->value),
			row ? row->note : "neither xl nor xm has such a key", a->line, a->column);
}

struct guest *xl_guest(struct xl_file *file, const char *const *accept, unsigned n_accept)
{
	struct xl_reader r = { guest_new(), file, &file->report, accept, n_accept };

	read_fields(&r);
	check_name(&r);
	check_uuid(&r);
	read_memory(&r);
	read_cpus(&r);
	read_weight(&r);
	read_viridian(&r);
	xl_read_kind(&r);
	xl_read_boot(&r);
	xl_read_disks(&r);
	xl_read_vifs(&r);
	for (unsigned i = 0; i < file->n; i++)
		settle(&r, &file->assigns[i]);
	return r.g;
}

const char *xl_foreign(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && isspace((unsigned char)text[n]))
		n++;
	if (n == len)
		return "it is empty";
	if (len > XL_FILE_MAX && memchr(text, '\0', len))
		return "this is no text; give the guest's configuration file, not its disk";
	if (text[n] == '(')
		return "this is SXP, as xm printed it; give the file that `xm create` was given";
	if (text[n] == '{')
		return "this is JSON, as `xl list -l` or `disk layout` prints it; give the file "
		       "that `xl create` was given (a plan goes to `disk create`)";
	if (text[n] == '<')
		return "this is XML; give the file that `xl create` or `xm create` was given";
	return NULL;
}
