/*
 * An inspection: its parts run one after another, each adds to the record what it can read. What
 * cannot be read is left as "not known", which is 0 or NULL everywhere.
 */
#include "bridgectl/fixup/inspect.h"

#include <stdarg.h>
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/inspect_private.h"

void inspect_add(char ***list, unsigned *n, const char *s, size_t len)
{
	len = MIN(len, (size_t)INSPECT_TEXT_MAX);
	if (*n >= INSPECT_NAMES_MAX || !len)
		return;
	for (unsigned i = 0; i < *n; i++)
		if (strlen((*list)[i]) == len && memcmp((*list)[i], s, len) == 0)
			return;
	*mem_push(*list, *n) = mem_strndup(s, len);
}

void inspect_note(struct inspection *in, const char *fmt, ...)
{
	char text[512];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	inspect_add(&in->notes, &in->n_notes, text, strlen(text));
}

bool inspect_begins(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool inspect_ends(const char *s, const char *suffix)
{
	size_t len = strlen(s), n = strlen(suffix);

	return len >= n && strcmp(s + len - n, suffix) == 0;
}

char *inspect_value(const char *text, const char *key)
{
	size_t len = strlen(key);
	const char *found = NULL;
	char end;

	for (const char *s = text; s && *s; s += strcspn(s, "\n"), s += *s == '\n') {
		s += strspn(s, " \t");
		if (strncmp(s, key, len) == 0 && s[len] == '=')
			found = s + len + 1;
	}
	if (!found)
		return NULL;
	end = *found;
	if (end == '"' || end == '\'') {
		const char stop[] = { end, '\n', '\0' };

		found++;
		return mem_strndup(found, MIN(strcspn(found, stop), (size_t)INSPECT_TEXT_MAX));
	}
	return mem_strndup(found, MIN(strcspn(found, " \t\r\n"), (size_t)INSPECT_TEXT_MAX));
}

char *inspect_file_value(struct tree *t, const char *path, const char *key)
{
	_cleanup_free_ char *text = tree_text(t, path, NULL);

	return inspect_value(text, key);
}

char *inspect_line(struct tree *t, const char *path)
{
	_cleanup_free_ char *text = tree_text(t, path, NULL);
	const char *s;
	size_t len;

	if (!text)
		return NULL;
	s = text + strspn(text, " \t\r\n");
	len = MIN(strcspn(s, "\r\n"), (size_t)INSPECT_TEXT_MAX);
	while (len && (s[len - 1] == ' ' || s[len - 1] == '\t'))
		len--;
	return len ? mem_strndup(s, len) : NULL;
}

bool inspect_any(struct tree *t, const char *const *paths)
{
	for (; *paths; paths++)
		if (tree_is_file(t, *paths))
			return true;
	return false;
}

struct each {
	struct tree *t;
	struct inspection *in;
	const char *folder, *suffix;
	inspect_text_fn fn;
};

static bool each_name(void *arg, const char *name)
{
	struct each *e = arg;
	char path[TREE_PATH_MAX];
	_cleanup_free_ char *text = NULL;

	if (!inspect_ends(name, e->suffix))
		return true;
	if (snprintf(path, sizeof(path), "%s/%s", e->folder, name) >= (int)sizeof(path))
		return true;
	text = tree_text(e->t, path, NULL);
	if (text)
		e->fn(e->in, name, text);
	return true;
}

void inspect_each(struct tree *t, const char *folder, const char *suffix, inspect_text_fn fn,
		  struct inspection *in)
{
	struct each e = { t, in, folder, suffix, fn };

	(void)tree_list(t, folder, each_name, &e); /* no such folder: no such files */
}

struct inspection *inspect(struct tree *t)
{
	struct inspection *in = mem_new(sizeof(*in));
	struct boot_menu menu;

	inspect_distro(t, in);
	inspect_boot(t, in, &menu);
	inspect_kernels(t, in, &menu);
	inspect_login(t, in);
	inspect_net(t, in);
	boot_menu_fini(&menu);
	return in;
}

static void kernel_fini(struct guest_kernel *k)
{
	free(k->version);
	free(k->path);
	free(k->initrd);
	free(k->arch);
	free(k->cmdline);
	free(k->initrd_why);
}

static void free_names(char **names, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

void inspection_free(struct inspection *in)
{
	if (!in)
		return;
	for (unsigned i = 0; i < in->n_kernels; i++)
		kernel_fini(&in->kernels[i]);
	free(in->id);
	free(in->version);
	free(in->pretty);
	free(in->hostname);
	free(in->boot_path);
	free(in->nic_tool);
	free_names(in->nics, in->n_nics);
	free_names(in->consoles, in->n_consoles);
	free_names(in->notes, in->n_notes);
	free(in);
}

/* --- Which kernel --- */

static enum tristate either(enum tristate a, enum tristate b)
{
	if (a == YES || b == YES)
		return YES;
	return a == NO && b == NO ? NO : NOT_KNOWN;
}

static enum tristate both(enum tristate a, enum tristate b)
{
	if (a == NO || b == NO)
		return NO;
	return a == YES && b == YES ? YES : NOT_KNOWN;
}

/* A virtio disk, or a disk of the machine's own SATA or IDE. */
enum tristate kernel_boots(const struct guest_kernel *k)
{
	const struct drivers *d = &k->drivers;
	enum tristate scsi = both(d->virtio_scsi, d->sd_mod);
	enum tristate virtio = both(d->virtio_pci, either(d->virtio_blk, scsi));
	enum tristate sata = both(d->sd_mod, either(d->ahci, d->ata_piix));

	return k->xen_only ? NO : either(virtio, sata);
}

const struct guest_kernel *inspection_kernel(const struct inspection *in)
{
	static const enum tristate order[] = { YES, NOT_KNOWN };

	for (unsigned o = 0; o < ARRAY_SIZE(order); o++) {
		const struct guest_kernel *best = NULL;

		for (unsigned i = 0; i < in->n_kernels; i++) {
			const struct guest_kernel *k = &in->kernels[i];

			if (kernel_boots(k) != order[o])
				continue;
			if (k->is_default)
				return k;
			if (!best)
				best = k;
		}
		if (best)
			return best;
	}
	return NULL;
}
