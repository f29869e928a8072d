/*
 * Disk strings. Three grammars in one: positions separated by commas, KEY=VALUE, and the prefixes
 * of xm before the first position (libxlu_disk_l.l in Xen, tools/python/xen/xm/create.py).
 *
 * xl throws prefixes away, and with them whether a path is a volume or a file: here they are kept.
 * What xl reads means the same here; what only xm read is read too.
 */
#include "bridgectl/domain/diskspec.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/vdev.h"
#include "common/util.h"

static const char *const kind_names[] = {
	[DISK_EMPTY] = "empty", [DISK_PATH] = "path",	  [DISK_DEVICE] = "device",
	[DISK_FILE] = "file",	[DISK_DRBD] = "drbd",	  [DISK_ISCSI] = "iscsi",
	[DISK_NBD] = "nbd",	[DISK_SCRIPT] = "script",
};

static const char *const formats[] = { "raw", "qcow", "qcow2", "vhd",  "vmdk",
				       "vdi", "qed",  "empty", "vhdx", "parallels" };

/* Words before a colon. They may stand before each other: tap:tapdisk:aio: */
static const struct {
	const char *word;
	enum disk_kind kind;
	const char *format, *script;
	bool last; /* what follows is the target, colons and all */
} prefixes[] = {
	{ "phy", DISK_DEVICE, NULL, NULL, true },
	{ "file", DISK_FILE, NULL, NULL, true },
	{ "drbd", DISK_DRBD, NULL, "block-drbd", true },
	{ "iscsi", DISK_ISCSI, NULL, "block-iscsi", true },
	{ "nbd", DISK_NBD, NULL, "block-nbd", true },
	{ "enbd", DISK_NBD, NULL, "block-enbd", true },
	{ "tap", DISK_FILE, NULL, NULL, false },
	{ "tap2", DISK_FILE, NULL, NULL, false },
	{ "tapdisk", DISK_FILE, NULL, NULL, false },
	{ "aio", DISK_FILE, NULL, NULL, false },
	{ "sync", DISK_FILE, NULL, NULL, false },
	{ "ram", DISK_FILE, NULL, NULL, false },
	{ "raw", DISK_FILE, "raw", NULL, false },
	{ "qcow", DISK_FILE, "qcow", NULL, false },
	{ "qcow2", DISK_FILE, "qcow2", NULL, false },
	{ "vhd", DISK_FILE, "vhd", NULL, false },
	{ "vmdk", DISK_FILE, "vmdk", NULL, false },
	{ "vdi", DISK_FILE, "vdi", NULL, false },
	{ "ioemu", DISK_PATH, NULL, NULL, false },
};

enum { POS_TARGET, POS_FORMAT, POS_VDEV, POS_ACCESS, POS_BACKEND, POS_UUID, POS_END };

struct parse {
	const char *spec, *p;
	struct diskspec *d;
	unsigned position;
	char *target;
	unsigned target_at, vdev_at;
	bool format_set;
	char *err;
	unsigned *ret_offset;
};

const char *disk_kind_name(enum disk_kind kind)
{
	return kind_names[kind];
}

static int fail(struct parse *s, const char *at, const char *fmt, ...) _printf_(3, 4);

static int fail(struct parse *s, const char *at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->err, DISKSPEC_ERRLEN, fmt, ap);
	va_end(ap);
	*s->ret_offset = (unsigned)(at - s->spec);
	return -EINVAL;
}

/* --- One parameter each --- */

/* Gives `*field` a value; another one only when it was empty, as xl has it. Takes `value`. */
static int set(struct parse *s, const char *at, const char *what, char **field, char *value)
{
	if (*field && **field && strcmp(*field, value) != 0) {
		free(value);
		return fail(s, at, "the %s is there twice", what);
	}
	free(*field);
	*field = value;
	return 0;
}

static int set_format(struct parse *s, const char *at, char *value)
{
	const char *format = value[0] ? value : "raw";
	struct vdev v;
	int r = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		if (strcmp(format, formats[i]) != 0)
			continue;
		if (s->format_set && strcmp(s->d->format, format) != 0)
			r = fail(s, at, "the format is there twice");
		free(s->d->format);
		s->d->format = mem_strdup(format);
		s->format_set = true;
		free(value);
		return r;
	}
	if (vdev_parse(value, &v) == 0)
		r = fail(s, at,
			 "a format is expected here, not '%.40s'; write '%.60s,,%.40s,w', or "
			 "'phy:' or 'file:' before it",
			 value, s->target ? s->target : "TARGET", value);
	else
		r = fail(s, at, "the format '%.40s' is not known", value);
	free(value);
	return r;
}

/* "xvda", "hdc:cdrom", "ioemu:hda" */
static int set_vdev(struct parse *s, const char *at, char *value)
{
	char *colon, *name = value;

	if (!strncmp(name, "ioemu:", 6)) {
		s->d->emulated = true;
		name += 6;
	}
	colon = strrchr(name, ':');
	if (colon && strcmp(colon, ":cdrom") != 0 && strcmp(colon, ":disk") != 0) {
		int r = fail(s, at, "'%.40s' is no kind of drive; there are :disk and :cdrom",
			     colon);

		free(value);
		return r;
	}
	if (colon) {
		s->d->cdrom = !strcmp(colon, ":cdrom");
		*colon = '\0';
	}
	s->vdev_at = (unsigned)(at - s->spec);
	name = mem_strdup(name);
	free(value);
	return set(s, at, "device name", &s->d->vdev, name);
}

static int set_access(struct parse *s, const char *at, char *value)
{
	static const char *const words[] = { "", "r", "ro", "r!", "w", "rw", "w!", "rw!" };

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (strcmp(value, words[i]) != 0)
			continue;
		s->d->readonly = value[0] == 'r' && value[1] != 'w';
		s->d->shared = strchr(value, '!') != NULL;
		free(value);
		return 0;
	}
	fail(s, at, "'%.40s' is no way to open a disk; there are r, w and w!", value);
	free(value);
	return -EINVAL;
}

static int set_cdrom(struct parse *s, const char *at, char *value)
{
	int r = 0;

	if (!strcmp(value, "cdrom") || !strcmp(value, "disk"))
		s->d->cdrom = value[0] == 'c';
	else
		r = fail(s, at, "'%.40s' is no kind of drive; there are disk and cdrom", value);
	free(value);
	return r;
}

static int set_target(struct parse *s, const char *at, char *value)
{
	s->target_at = (unsigned)(at - s->spec);
	return set(s, at, "target", &s->target, value);
}

static int set_script(struct parse *s, const char *at, char *value)
{
	return set(s, at, "script", &s->d->script, value);
}

static int set_backend(struct parse *s, const char *at, char *value)
{
	return set(s, at, "backend", &s->d->backend, value);
}

static int set_backendtype(struct parse *s, const char *at, char *value)
{
	return set(s, at, "backendtype", &s->d->backendtype, value);
}

static int set_specification(struct parse *s, const char *at, char *value)
{
	return set(s, at, "specification", &s->d->specification, value);
}

/* Of the remote half of a pair (COLO): no part of the disk. */
static int set_other(struct parse *s, const char *at, char *value)
{
	(void)at;
	free(s->d->other);
	s->d->other = value;
	return 0;
}

static const struct {
	const char *key;
	int (*set)(struct parse *s, const char *at, char *value);
} keys[] = {
	{ "format", set_format },     { "vdev", set_vdev },
	{ "access", set_access },     { "devtype", set_cdrom },
	{ "backend", set_backend },   { "backendtype", set_backendtype },
	{ "script", set_script },     { "specification", set_specification },
	{ "target", set_target },     { "colo-host", set_other },
	{ "colo-port", set_other },   { "colo-export", set_other },
	{ "active-disk", set_other }, { "hidden-disk", set_other },
};

static const char *const flags[] = { "cdrom",	"direct-io-safe", "discard", "no-discard",
				     "trusted", "untrusted",	  "colo",    "no-colo" };

/* --- The string --- */

static bool same(const char *word, const char *s, size_t n)
{
	return strlen(word) == n && !strncmp(word, s, n);
}

static int flag(struct parse *s, const char *word)
{
	if (!strcmp(word, "cdrom"))
		s->d->cdrom = true;
	if (strstr(word, "discard")) {
		free(s->d->discard);
		s->d->discard = mem_strdup(word);
	}
	if (!strcmp(word, "colo"))
		set_other(s, s->p, mem_strdup(word));
	return 0;
}

/* Takes the prefixes before the target. */
static int take_prefixes(struct parse *s)
{
	const char *start = s->p;
	bool last = false;

	while (!last) {
		size_t n = strcspn(s->p, ":,=/");
		unsigned i = 0;

		if (s->p[n] != ':' || !n)
			break;
		while (i < ARRAY_SIZE(prefixes) && !same(prefixes[i].word, s->p, n))
			i++;
		if (i == ARRAY_SIZE(prefixes))
			return fail(s, s->p,
				    "'%.*s:' is no known kind of source; a path with a colon is "
				    "given by target=",
				    (int)MIN(n, 40U), s->p);
		if (prefixes[i].kind != DISK_PATH)
			s->d->kind = prefixes[i].kind;
		else
			s->d->emulated = true;
		if (prefixes[i].format && set_format(s, s->p, mem_strdup(prefixes[i].format)) < 0)
			return -EINVAL;
		if (prefixes[i].script)
			s->d->script = mem_strdup(prefixes[i].script);
		last = prefixes[i].last;
		s->p += n + 1;
	}
	if (s->p > start)
		s->d->prefix = mem_strndup(start, (size_t)(s->p - start - 1));
	return 0;
}

/* ",hdc:cdrom,r": xm's empty drive has no format between its commas. */
static bool is_empty_drive(const struct parse *s, const char *word, size_t n)
{
	return s->target && !s->target[0] && !s->format_set && memchr(word, ':', n);
}

static int positional(struct parse *s, const char *at, size_t n)
{
	char *value;

	/* What was given by name has no position any more, as xl has it. */
	if (s->position == POS_TARGET && s->target)
		s->position = POS_FORMAT;
	if (s->position == POS_FORMAT && is_empty_drive(s, at, n))
		s->position = POS_VDEV;
	if (s->position == POS_FORMAT && (s->d->prefix || s->format_set))
		s->position = POS_VDEV;
	if (s->position == POS_VDEV && s->d->vdev)
		s->position = POS_ACCESS;
	/* Only xm had a fifth and a sixth. */
	if (s->position >= POS_END || (s->position >= POS_BACKEND && !s->d->prefix))
		return fail(s, at, "nothing is expected behind the access");
	value = mem_strndup(at, n);
	switch (s->position++) {
	case POS_TARGET:
		return set_target(s, at, value);
	case POS_FORMAT:
		return set_format(s, at, value);
	case POS_VDEV:
		return set_vdev(s, at, value);
	case POS_ACCESS:
		return set_access(s, at, value);
	case POS_BACKEND:
		return set_backend(s, at, value);
	default:
		free(value);
		return 0;
	}
}

static size_t trimmed(const char *s, size_t n)
{
	while (n && strchr(" \t\n", s[n - 1]))
		n--;
	return n;
}

/* KEY=VALUE of `n` bytes at s->p. 1: it is none. */
static int named(struct parse *s, size_t n)
{
	const char *at = s->p, *equals = memchr(at, '=', n), *value;

	if (!equals ||
	    strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789-_") != (size_t)(equals - at))
		return 1;
	value = equals + 1;
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t len = n - (size_t)(value - at);

		if (!same(keys[i].key, at, (size_t)(equals - at)))
			continue;
		if (keys[i].set == set_target) { /* with all commas and spaces */
			len = strlen(value);
			s->p = value + len;
		} else {
			len = trimmed(value, len);
		}
		return keys[i].set(s, value, mem_strndup(value, len));
	}
	return fail(s, at, "'%.*s' is no parameter of a disk", (int)MIN((size_t)(equals - at), 40U),
		    at);
}

static int parameter(struct parse *s)
{
	const char *at = s->p;
	size_t n = strcspn(at, ",");
	int r = named(s, n);

	if (r != 1) {
		if (s->p == at)
			s->p += n;
		return r;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++)
		if (same(flags[i], at, trimmed(at, n))) {
			s->p += n;
			return flag(s, flags[i]);
		}
	if (s->position == POS_TARGET && !s->target) {
		if (take_prefixes(s) < 0)
			return -EINVAL;
		at = s->p;
		n = strcspn(at, ",");
	}
	s->p += n;
	return positional(s, at, trimmed(at, n));
}

/* --- What it comes to --- */

/* block-drbd, /etc/xen/scripts/block-drbd */
static enum disk_kind kind_of_script(const char *script)
{
	static const struct {
		const char *name;
		enum disk_kind kind;
	} scripts[] = {
		{ "block-drbd", DISK_DRBD }, { "block-iscsi", DISK_ISCSI },
		{ "block-nbd", DISK_NBD },   { "block-enbd", DISK_NBD },
		{ "block", DISK_DEVICE },
	};
	const char *slash = strrchr(script, '/');

	for (unsigned i = 0; i < ARRAY_SIZE(scripts); i++)
		if (!strcmp(slash ? slash + 1 : script, scripts[i].name))
			return scripts[i].kind;
	return DISK_SCRIPT;
}

static char *below(const char *folder, const char *name)
{
	return mem_printf("%s%s", folder, name);
}

static void settle_target(struct parse *s)
{
	struct diskspec *d = s->d;
	bool absolute = s->target[0] == '/';

	switch (d->kind) {
	case DISK_PATH: /* xl */
	case DISK_DEVICE:
		d->path = absolute ? mem_strdup(s->target) : below("/dev/", s->target);
		break;
	case DISK_FILE:
		d->path = mem_strdup(s->target);
		d->relative = !absolute;
		if (!strncmp(d->path, "/dev/", 5)) /* tap:aio:/dev/vg/x */
			d->kind = DISK_DEVICE;
		break;
	case DISK_DRBD:
		d->resource = mem_strdup(s->target);
		d->path = absolute ? mem_strdup(s->target) : below("/dev/drbd/by-res/", s->target);
		break;
	default:
		d->resource = mem_strdup(s->target);
		break;
	}
}

static int finish(struct parse *s)
{
	struct diskspec *d = s->d;
	const char *at = s->spec + s->target_at;
	bool has_target = s->target && s->target[0];

	if (!d->format)
		d->format = mem_strdup("raw");
	if (d->script && d->kind == DISK_PATH)
		d->kind = kind_of_script(d->script);
	if (!d->vdev || !d->vdev[0])
		return fail(s, s->spec + strlen(s->spec),
			    "no device name; write '%s%s%.100s,%sxvda1,w'",
			    d->prefix ? d->prefix : "", d->prefix ? ":" : "",
			    s->target ? s->target : "TARGET", d->prefix ? "" : ",");
	if (has_target && strcmp(d->format, "empty") != 0) {
		settle_target(s);
	} else if (d->cdrom) {
		d->kind = DISK_EMPTY;
	} else {
		return fail(s, at, "no device and no file; only a drive with :cdrom may be empty");
	}
	d->readonly |= d->cdrom;
	return 0;
}

int diskspec_parse(const char *spec, struct diskspec *ret, char *err, unsigned *ret_offset)
{
	struct diskspec d = { .kind = DISK_PATH };
	struct parse s = { .spec = spec, .p = spec, .d = &d, .err = err, .ret_offset = ret_offset };
	int r = 0;

	while (r == 0) {
		s.p += strspn(s.p, " \t\n");
		if (!*s.p)
			break;
		r = parameter(&s);
		if (r == 0 && *s.p == ',')
			s.p++;
	}
	if (r == 0)
		r = finish(&s);
	free(s.target);
	if (r < 0)
		diskspec_fini(&d);
	else
		*ret = d;
	return r;
}

void diskspec_fini(struct diskspec *d)
{
	free(d->prefix);
	free(d->format);
	free(d->path);
	free(d->resource);
	free(d->vdev);
	free(d->backend);
	free(d->backendtype);
	free(d->script);
	free(d->specification);
	free(d->discard);
	free(d->other);
	*d = (struct diskspec){ 0 };
}
