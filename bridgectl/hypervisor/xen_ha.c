/*
 * Clusters that would start a guest again: heartbeat's haresources, a line per group of resources,
 * and pacemaker's CIB. Nothing is changed there: which node may run what is not for us to decide.
 *
 * The CIB is only searched, tag by tag, for resources with a parameter that names the guest or its
 * file (ocf:heartbeat:Xen xmfile=, VirtualDomain config=); a CIB that is not well-formed is
 * pacemaker's trouble.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/hypervisor/xen_private.h"

#define FILE_BYTES_MAX ((size_t)16 << 20)
#define RESOURCE_MAX 128

static const char *const haresources[] = { "/etc/ha.d/haresources" };
static const char *const cibs[] = {
	"/var/lib/pacemaker/cib/cib.xml",
	"/var/lib/heartbeat/crm/cib.xml", /* until pacemaker 1.1.8 */
};

static char *read_text(const char *path)
{
	_cleanup_free_ char *where = hyper_path(path), *text = NULL;
	_cleanup_fclose_ FILE *f = fopen(where, "re");
	size_t n;

	if (!f)
		return NULL;
	text = mem_new(FILE_BYTES_MAX + 1);
	n = fread(text, 1, FILE_BYTES_MAX, f);
	text[n] = '\0';
	return mem_must(realloc(steal(text), n + 1));
}

/* Whether a word is the guest: its name, or the path of its file. */
static bool names_it(const char *word, size_t len, const char *domain, const struct xen_configs *c)
{
	const char *base = memrchr(word, '/', len), *end = word + len;
	size_t n = strlen(domain);

	for (unsigned i = 0; i < c->n; i++)
		if (!strcmp(c->v[i].name, domain) && strlen(c->v[i].path) == len &&
		    !memcmp(c->v[i].path, word, len))
			return true;
	base = base ? base + 1 : word;
	if ((size_t)(end - base) > 4 && !memcmp(end - 4, ".cfg", 4))
		end -= 4;
	return (size_t)(end - base) == n && !memcmp(base, domain, n);
}

/* "node1 IPaddr::10.0.0.5 xendom::web1": words, and arguments behind "::". */
static bool line_names_it(const char *s, size_t len, const char *domain,
			  const struct xen_configs *c)
{
	const char *end = s + len;

	while (s < end) {
		const char *from = s;

		while (s < end && !strchr(" \t\r\\", *s) &&
		       !(*s == ':' && s + 1 < end && s[1] == ':'))
			s++;
		if (s > from && names_it(from, (size_t)(s - from), domain, c))
			return true;
		while (s < end && strchr(" \t\r\\:", *s))
			s++;
	}
	return false;
}

static void search_haresources(const char *path, const char *domain, const struct xen_configs *c,
			       FILE *f)
{
	_cleanup_free_ char *text = read_text(path);
	unsigned number = 1;
	size_t len;

	for (const char *s = text; s && *s; s += len + (s[len] == '\n'), number++) {
		size_t blanks = strspn(s, " \t");

		len = strcspn(s, "\n");
		if (s[blanks] != '#' && line_names_it(s, len, domain, c))
			fprintf(f, "heartbeat may start it: %s:%u names it; change it there\n",
				path, number);
	}
}

/* The value of an attribute of the tag at `tag`. */
static const char *attribute(const char *tag, const char *name, size_t *ret_len)
{
	size_t tag_len = strcspn(tag, ">"), n = strlen(name);

	for (const char *s = tag; s + n + 2 < tag + tag_len; s++)
		if (strchr(" \t\n", *s) && !strncmp(s + 1, name, n) && s[n + 1] == '=' &&
		    (s[n + 2] == '"' || s[n + 2] == '\'')) {
			const char *v = s + n + 3;
			const char *end = memchr(v, s[n + 2], (size_t)(tag + tag_len - v));

			if (!end)
				return NULL;
			*ret_len = (size_t)(end - v);
			return v;
		}
	return NULL;
}

/* Between a resource's tag and its end: does a parameter name the guest? */
static bool resource_names_it(const char *s, const char *end, const char *domain,
			      const struct xen_configs *c)
{
	while ((s = memmem(s, (size_t)(end - s), "<nvpair", 7))) {
		size_t len;
		const char *value = attribute(s, "value", &len);

		if (value && value < end && names_it(value, len, domain, c))
			return true;
		s += 7;
	}
	return false;
}

static void search_cib(const char *path, const char *domain, const struct xen_configs *c, FILE *f)
{
	_cleanup_free_ char *text = read_text(path);
	const char *s = text;

	while (s && (s = strstr(s, "<primitive"))) {
		const char *end = strstr(s, "</primitive>"), *next = strstr(s + 10, "<primitive");
		size_t len;
		const char *id = attribute(s, "id", &len);

		if (!end || (next && next < end))
			end = next ? next : s + strlen(s);
		if (id && resource_names_it(s, end, domain, c))
			fprintf(f,
				"pacemaker may start it: resource %.*s (%s); `crm resource stop "
				"%.*s` or `pcs resource disable %.*s`\n",
				(int)MIN(len, (size_t)RESOURCE_MAX), id, path,
				(int)MIN(len, (size_t)RESOURCE_MAX), id,
				(int)MIN(len, (size_t)RESOURCE_MAX), id);
		s = end;
	}
}

void xen_ha_tell(const char *domain, const struct xen_configs *c, FILE *f)
{
	for (unsigned i = 0; i < ARRAY_SIZE(haresources); i++)
		search_haresources(haresources[i], domain, c, f);
	for (unsigned i = 0; i < ARRAY_SIZE(cibs); i++)
		search_cib(cibs[i], domain, c, f);
}
