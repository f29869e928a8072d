/*
 * Menus that are read line by line: GRUB legacy's menu.lst (also for pygrub), extlinux and its
 * like, and the files of the Boot Loader Specification.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/bootcfg.h"
#include "bridgectl/fixup/sort.h"
#include "common/util.h"

/* A line as a key and what follows it, without blanks around. */
struct keyed {
	const char *key, *value;
	size_t key_len, len;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The next line that says something at *s; `ends` are the bytes that end a key. */
static bool next(const char **s, unsigned *line, const char *ends, struct keyed *ret)
{
	while (**s) {
		const char *at = *s + strspn(*s, " \t\r"), *end = at + strcspn(at, "\n");

		*s = end + (*end == '\n');
		++*line;
		if (at == end || *at == '#')
			continue;
		ret->key = at;
		ret->key_len = MIN(strcspn(at, ends), (size_t)(end - at));
		at += ret->key_len;
		while (at < end && (is_blank(*at) || strchr(ends, *at)))
			at++;
		while (end > at && is_blank(end[-1]))
			end--;
		ret->value = at;
		ret->len = (size_t)(end - at);
		return true;
	}
	return false;
}

static bool is(const struct keyed *k, const char *name)
{
	return strlen(name) == k->key_len && strncasecmp(name, k->key, k->key_len) == 0;
}

/* Takes the first word off the value. */
static struct keyed take(struct keyed *k)
{
	struct keyed w = { .value = k->value };

	while (w.len < k->len && !is_blank(w.value[w.len]))
		w.len++;
	k->value += w.len;
	k->len -= w.len;
	while (k->len && is_blank(*k->value)) {
		k->value++;
		k->len--;
	}
	return w;
}

static void set_first(char **to, struct keyed k)
{
	struct keyed w = take(&k);

	boot_set(to, w.value, w.len);
}

static void set_kernel(struct boot_entry *e, struct keyed k)
{
	struct keyed w = take(&k);

	while (w.len > 2 && strncmp(w.value, "--", 2) == 0)
		w = take(&k);
	boot_set(&e->kernel, w.value, w.len);
	boot_set(&e->cmdline, k.value, k.len);
}

/* The kernel of an entry is Xen's own once modules follow: the first of them is the kernel. */
static void set_module(struct boot_entry *e, struct keyed k)
{
	if (e->xen)
		set_first(&e->initrd, k);
	else
		set_kernel(e, k);
	e->xen = true;
}

void boot_menu_legacy(const char *text, const char *saved, struct boot_menu *ret)
{
	struct boot_entry *e = NULL;
	unsigned line = 0;
	struct keyed k;

	memset(ret, 0, sizeof(*ret));
	while (next(&text, &line, " \t\r=", &k)) {
		if (is(&k, "title")) {
			e = boot_menu_add(ret, -1, line);
			if (e)
				boot_set(&e->title, k.value, k.len);
		} else if (is(&k, "default") && !e && !ret->n) {
			boot_set(&ret->want, k.value, k.len);
		} else if (e && is(&k, "kernel")) {
			set_kernel(e, k);
		} else if (e && is(&k, "module")) {
			set_module(e, k);
		} else if (e && is(&k, "initrd")) {
			set_first(&e->initrd, k);
		}
	}
	if (ret->want && strcmp(ret->want, "saved") == 0 && saved) {
		_cleanup_free_ char *number = mem_strndup(saved, strspn(saved, "0123456789"));

		boot_menu_choose(ret, number);
	} else {
		boot_menu_choose(ret, ret->want);
	}
}

/* What extlinux hides in the arguments: initrd=FILE, several with commas, the last one counts. */
static void initrd_of_append(struct boot_entry *e)
{
	const char *at = e->cmdline && !e->initrd ? strstr(e->cmdline, "initrd=") : NULL;
	size_t len;

	if (!at)
		return;
	at += strlen("initrd=");
	len = strcspn(at, " \t");
	for (size_t i = 0; i < len; i++)
		if (at[i] == ',') {
			at += i + 1;
			len -= i + 1;
			i = 0;
		}
	boot_set(&e->initrd, at, len);
}

static void extlinux_label(struct boot_entry *e, struct keyed *k)
{
	if (is(k, "kernel") || is(k, "linux"))
		boot_set(&e->kernel, k->value, k->len);
	else if (is(k, "initrd"))
		boot_set(&e->initrd, k->value, k->len);
	else if (is(k, "append"))
		boot_set(&e->cmdline, k->value, k->len);
}

/* MENU LABEL text, MENU DEFAULT */
static void extlinux_menu(struct boot_menu *m, struct boot_entry *e, struct keyed k)
{
	struct keyed w = take(&k);

	if (w.len == 5 && strncasecmp(w.value, "label", 5) == 0)
		boot_set(&e->title, k.value, k.len);
	else if (w.len == 7 && strncasecmp(w.value, "default", 7) == 0 && e->id)
		boot_set(&m->want, e->id, strlen(e->id));
}

void boot_menu_extlinux(const char *text, struct boot_menu *ret)
{
	struct boot_entry *e = NULL;
	unsigned line = 0;
	struct keyed k;

	memset(ret, 0, sizeof(*ret));
	while (next(&text, &line, " \t\r", &k)) {
		if (is(&k, "label")) {
			e = boot_menu_add(ret, -1, line);
			if (e)
				boot_set(&e->id, k.value, k.len);
		} else if (is(&k, "default") && !ret->want) {
			boot_set(&ret->want, k.value, k.len);
		} else if (e && is(&k, "menu")) {
			extlinux_menu(ret, e, k);
		} else if (e) {
			extlinux_label(e, &k);
		}
	}
	for (unsigned i = 0; i < ret->n; i++)
		initrd_of_append(&ret->v[i]);
	boot_menu_choose(ret, ret->want);
}

/* --- Boot Loader Specification, with what Red Hat's grub2 makes of it --- */

/* A key may stand there several times: options add up. */
static void more_options(struct boot_entry *e, struct keyed *k)
{
	char *old = e->cmdline;
	size_t len = old ? strlen(old) : 0;

	if (len + k->len > BOOTCFG_CMDLINE_MAX)
		return;
	e->cmdline = mem_new(len + k->len + 2);
	if (old)
		memcpy(e->cmdline, old, len);
	if (len)
		e->cmdline[len++] = ' ';
	memcpy(e->cmdline + len, k->value, k->len);
	free(old);
}

void boot_menu_bls_add(struct boot_menu *m, const char *name, const char *text)
{
	struct boot_entry *e = boot_menu_add(m, -1, 1);
	size_t len = strlen(name);
	unsigned line = 0;
	struct keyed k;

	if (!e)
		return;
	if (len > 5 && strcmp(name + len - 5, ".conf") == 0)
		len -= 5;
	boot_set(&e->id, name, len);
	while (next(&text, &line, " \t\r", &k)) {
		if (is(&k, "title"))
			boot_set(&e->title, k.value, k.len);
		else if (is(&k, "linux"))
			boot_set(&e->kernel, k.value, k.len);
		else if (is(&k, "initrd") && k.len && *k.value != '$')
			set_first(&e->initrd, k);
		else if (is(&k, "options"))
			more_options(e, &k);
	}
}

/* $kernelopts with its value, other variables ($tuned_params) without theirs: they are empty. */
static char *expand(const char *s, const char *kernelopts)
{
	size_t room = strlen(s) + 1, len = 0, opts = kernelopts ? strlen(kernelopts) : 0;
	char *out;

	opts = MIN(opts, (size_t)BOOTCFG_CMDLINE_MAX);
	for (const char *d = s; (d = strchr(d, '$')); d++)
		room += opts;
	out = mem_new(room);
	for (struct keyed k = { .value = s, .len = strlen(s) }; k.len;) {
		struct keyed w = take(&k);
		bool known = w.len == 11 && memcmp(w.value, "$kernelopts", 11) == 0;

		if (!w.len || (*w.value == '$' && !(known && opts)))
			continue;
		if (len)
			out[len++] = ' ';
		memcpy(out + len, known ? kernelopts : w.value, known ? opts : w.len);
		len += known ? opts : w.len;
	}
	return out;
}

static int newest_first(const void *a, const void *b)
{
	const struct boot_entry *x = a, *y = b;

	return strverscmp(y->id, x->id);
}

void boot_menu_bls_end(struct boot_menu *m, const char *env)
{
	_cleanup_free_ char *saved = grubenv_get(env, "saved_entry");
	_cleanup_free_ char *opts = grubenv_get(env, "kernelopts");

	if (m->n)
		sort(m->v, m->n, sizeof(*m->v), newest_first);
	for (unsigned i = 0; i < m->n; i++) {
		char *raw = m->v[i].cmdline;

		m->v[i].number = i;
		if (raw)
			m->v[i].cmdline = expand(raw, opts ? opts : m->kernelopts);
		free(raw);
	}
	boot_menu_choose(m, saved);
}
