/*
 * Two definitions of one domain as lists of paths and values, and what differs between the lists.
 *
 * An element that may be there many times is named by what it is to the guest: a disk by its
 * target, an interface by its MAC address, others by type and number. So an added disk is one
 * difference and does not move the others. What libvirt fills in by itself is in tables below.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml_read.h"
#include "bridgectl/domain/xml_tree.h"
#include "common/util.h"

#define PATH_LEN 512
#define DEPTH_MAX 64

struct fact {
	char *path, *value;
};

struct facts {
	struct fact *v;
	unsigned n;
	bool host_model; /* its CPU is to be that of the host, which libvirt spells out */
};

/* --- What libvirt adds --- */

/* Elements, wherever they are; with `parent` only right below that. */
static const struct {
	const char *parent, *name;
} own_elements[] = {
	{ NULL, "alias" },	  { NULL, "address" },	       { NULL, "seclabel" },
	{ NULL, "backingStore" }, { NULL, "privateData" },     { "domain", "resource" },
	{ "domain", "metadata" }, { "os", "nvram" },	       { "cpu", "feature" },
	{ "graphics", "listen" }, { "devices", "controller" }, { "devices", "emulator" },
};

static const struct {
	const char *element, *attribute;
} own_attributes[] = {
	{ "domain", "id" },	  { "source", "index" },   { "source", "portid" },
	{ "console", "tty" },	  { "graphics", "port" },  { "graphics", "websocket" },
	{ "graphics", "listen" }, { "target", "state" },   { "cpu", "check" },
	{ "cpu", "migratable" },  { "model", "fallback" },
};

static bool is_own_element(const xmlNode *n)
{
	for (unsigned i = 0; i < ARRAY_SIZE(own_elements); i++)
		if (xml_is(n, own_elements[i].name) &&
		    (!own_elements[i].parent || xml_is(n->parent, own_elements[i].parent)))
			return true;
	/* A terminal or a socket that is there now. */
	if (xml_is(n, "source") && (xml_is(n->parent, "serial") || xml_is(n->parent, "console")))
		return xml_attr_is(n->parent, "type", "pty");
	return xml_is(n, "source") && xml_is(n->parent, "channel");
}

static bool is_own_attribute(const xmlNode *n, const char *name, const char *value)
{
	for (unsigned i = 0; i < ARRAY_SIZE(own_attributes); i++)
		if (xml_is(n, own_attributes[i].element) &&
		    !strcmp(name, own_attributes[i].attribute))
			return true;
	if (xml_is(n, "target") && xml_is(n->parent, "interface") && !strcmp(name, "dev"))
		return !strncmp(value, "vnet", 4);
	return false;
}

/* Sizes, which libvirt keeps in KiB whatever they were given in. */
static bool is_size(const xmlNode *n)
{
	static const char *const names[] = { "memory", "currentMemory", "maxMemory" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (xml_is(n, names[i]) && xml_is(n->parent, "domain"))
			return true;
	return false;
}

/* --- A definition as a list --- */

/* In place. */
static char *lower(char *s)
{
	for (char *p = s; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return s;
}

static unsigned number_of(const xmlNode *n)
{
	unsigned before = 0;

	for (const xmlNode *p = n->prev; p; p = p->prev)
		before += xml_is(p, (const char *)n->name);
	return before;
}

/* "disk[vda]" */
static void name_of(const xmlNode *n, char *buf, size_t size)
{
	const char *name = (const char *)n->name;
	_cleanup_free_ char *key = NULL;
	bool device = xml_is(n->parent, "devices");

	if (device && xml_is(n, "disk"))
		key = xml_attr(xml_child(n, "target"), "dev");
	else if (device && xml_is(n, "interface"))
		key = xml_attr(xml_child(n, "mac"), "address");
	if (key)
		lower(key);
	if (key)
		snprintf(buf, size, "%s[%.60s]", name, key);
	else if (number_of(n))
		snprintf(buf, size, "%s[%u]", name, number_of(n));
	else
		snprintf(buf, size, "%s", name);
}

static void add(struct facts *f, const char *path, char *value)
{
	struct fact *fact = mem_push(f->v, f->n);

	fact->path = mem_strdup(path);
	fact->value = value;
}

/* "4 GiB" in KiB, as a new string. Units: https://libvirt.org/formatdomain.html. */
static char *size_text(const xmlNode *n)
{
	static const struct {
		const char *name;
		uint64_t bytes;
	} units[] = {
		{ "b", 1 },
		{ "bytes", 1 },
		{ "KB", 1000 },
		{ "k", 1 << 10 },
		{ "KiB", 1 << 10 },
		{ "MB", 1000000 },
		{ "M", 1 << 20 },
		{ "MiB", 1 << 20 },
		{ "GB", 1000000000 },
		{ "G", 1 << 30 },
		{ "GiB", 1 << 30 },
		{ "T", UINT64_C(1) << 40 },
		{ "TiB", UINT64_C(1) << 40 },
	};
	_cleanup_free_ char *unit = xml_attr(n, "unit"), *text = xml_text(n);
	uint64_t value = strtoull(text ? text : "", NULL, 10);
	char kib[32];

	for (unsigned i = 0; unit && i < ARRAY_SIZE(units); i++)
		if (!strcmp(unit, units[i].name))
			value = value * units[i].bytes >> 10;
	snprintf(kib, sizeof(kib), "%" PRIu64 " KiB", value);
	return mem_strdup(kib);
}

static void flatten_attributes(struct facts *f, const xmlNode *n, const char *path)
{
	char here[PATH_LEN];

	for (const xmlAttr *a = n->properties; a; a = a->next) {
		char *value = xml_attr(n, (const char *)a->name);

		if (!value || is_own_attribute(n, (const char *)a->name, value) ||
		    (is_size(n) && !strcmp((const char *)a->name, "unit"))) {
			free(value);
			continue;
		}
		snprintf(here, sizeof(here), "%s/@%.60s", path, (const char *)a->name);
		add(f, here, xml_is(n, "mac") ? lower(value) : value);
	}
}

static bool has_elements(const xmlNode *n)
{
	for (const xmlNode *c = n->children; c; c = c->next)
		if (c->type == XML_ELEMENT_NODE)
			return true;
	return false;
}

static void flatten(struct facts *f, const xmlNode *n, const char *path, unsigned depth);

static void flatten_children(struct facts *f, const xmlNode *n, const char *path, unsigned depth)
{
	char here[PATH_LEN], name[128];

	for (const xmlNode *c = n->children; c && depth < DEPTH_MAX; c = c->next) {
		if (c->type != XML_ELEMENT_NODE || is_own_element(c))
			continue;
		name_of(c, name, sizeof(name));
		snprintf(here, sizeof(here), "%.380s%s%s", path, *path ? "/" : "", name);
		flatten(f, c, here, depth + 1);
	}
}

static void flatten(struct facts *f, const xmlNode *n, const char *path, unsigned depth)
{
	char *text;

	flatten_attributes(f, n, path);
	if (has_elements(n)) {
		flatten_children(f, n, path, depth);
		return;
	}
	text = is_size(n) ? size_text(n) : xml_text(n);
	/* <acpi/> says something by being there, <target dev='vda'/> by its attribute. */
	if (text && (*text || !n->properties))
		add(f, path, xml_is(n, "uuid") ? lower(text) : text);
	else
		free(text);
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct fact *)a)->path, ((const struct fact *)b)->path);
}

static int facts_of(const char *text, struct facts *f, char *err)
{
	xmlDoc *doc = xml_tree(text, err);
	const xmlNode *root;

	if (!doc)
		return -EINVAL;
	root = xmlDocGetRootElement(doc);
	f->host_model = xml_attr_is(xml_child(root, "cpu"), "mode", "host-model");
	flatten_attributes(f, root, "domain");
	flatten_children(f, root, "", 0);
	if (f->n)
		qsort(f->v, f->n, sizeof(*f->v), by_path);
	xmlFreeDoc(doc);
	return 0;
}

static void facts_fini(struct facts *f)
{
	for (unsigned i = 0; i < f->n; i++) {
		free(f->v[i].path);
		free(f->v[i].value);
	}
	free(f->v);
}

/* --- The differences --- */

void xml_change_add(struct xml_changes *c, const char *path, const char *was, const char *is)
{
	struct xml_change *change = mem_push(c->v, c->n);

	change->path = mem_strdup(path);
	change->was = mem_strdup_or_null(was);
	change->is = mem_strdup_or_null(is);
}

void xml_changes_fini(struct xml_changes *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		free(c->v[i].path);
		free(c->v[i].was);
		free(c->v[i].is);
	}
	free(c->v);
	*c = (struct xml_changes){ 0 };
}

/* An empty element that has attributes, or that is only there, is worth a line of its own. */
static bool is_plain(const struct fact *f)
{
	return f->value && *f->value;
}

/* Of a disk or an interface: "devices/disk[vda]" of longer paths. 0: of none. */
static size_t device_len(const char *path)
{
	static const char *const kinds[] = { "devices/disk[", "devices/interface[" };

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strncmp(path, kinds[i], strlen(kinds[i]))) {
			const char *end = strchr(path, ']');

			return end ? (size_t)(end + 1 - path) : 0;
		}
	return 0;
}

static bool has_prefix(const struct facts *f, const char *path, size_t len)
{
	for (unsigned i = 0; i < f->n; i++)
		if (!strncmp(f->v[i].path, path, len))
			return true;
	return false;
}

/* Of the CPU, which one of the two left to libvirt. */
static bool is_chosen(const struct facts *a, const struct facts *b, const char *path)
{
	return (a->host_model || b->host_model) &&
	       (!strcmp(path, "cpu") || !strncmp(path, "cpu/", 4));
}

/* A fact that the other list has not: a whole device is told once. */
static void one_sided(struct xml_changes *c, const struct fact *f, const struct facts *other,
		      bool gone, bool said_only)
{
	size_t len = device_len(f->path);
	_cleanup_free_ char *device = len ? mem_strndup(f->path, len) : NULL;
	const char *what = "there";

	if (len && !has_prefix(other, f->path, len)) {
		if (!c->n || strcmp(c->v[c->n - 1].path, device))
			xml_change_add(c, device, gone ? what : NULL, gone ? NULL : what);
	} else if (gone || !said_only) {
		const char *value = is_plain(f) ? f->value : what;

		xml_change_add(c, f->path, gone ? value : NULL, gone ? NULL : value);
	}
}

/* A machine's name without version is the newest of its kind. */
static bool is_same(const struct fact *was, const struct fact *is)
{
	static const char *const newest[][2] = { { "pc", "pc-i440fx-" }, { "q35", "pc-q35-" } };

	for (unsigned i = 0; i < ARRAY_SIZE(newest); i++)
		if (!strcmp(was->path, "os/type/@machine") && !strcmp(was->value, newest[i][0]) &&
		    !strncmp(is->value, newest[i][1], strlen(newest[i][1])))
			return true;
	return !strcmp(was->value, is->value);
}

static void compare(const struct facts *was, const struct facts *is, bool said_only,
		    struct xml_changes *c)
{
	unsigned i = 0, j = 0;

	while (i < was->n || j < is->n) {
		int order = i == was->n ? 1 :
			    j == is->n	? -1 :
					  strcmp(was->v[i].path, is->v[j].path);

		const char *path = order <= 0 ? was->v[i].path : is->v[j].path;

		if (is_chosen(was, is, path)) {
			i += order <= 0;
			j += order >= 0;
		} else if (order < 0)
			one_sided(c, &was->v[i++], is, true, said_only);
		else if (order > 0)
			one_sided(c, &is->v[j++], was, false, said_only);
		else {
			if (!is_same(&was->v[i], &is->v[j]))
				xml_change_add(c, was->v[i].path, was->v[i].value, is->v[j].value);
			i++;
			j++;
		}
	}
}

int xml_diff(const char *was, const char *is, bool said_only, struct xml_changes *ret, char *err)
{
	struct facts a = { 0 }, b = { 0 };
	int r = facts_of(was, &a, err);

	if (!r)
		r = facts_of(is, &b, err);
	if (!r) {
		*ret = (struct xml_changes){ 0 };
		compare(&a, &b, said_only, ret);
	}
	facts_fini(&a);
	facts_fini(&b);
	return r;
}
