/*
 * libvirt's domain XML, read. It may come from a user's file or from a libvirt on another host, so
 * the parser is kept small: no network, no document type (and so no entities), a bound on the size;
 * libxml2 bounds the depth by itself.
 *
 * It is not checked against the schema: libvirt does that. Elements that are not known are none of
 * our business.
 */
#include "bridgectl/domain/xml_read.h"

#include <ctype.h>
#include <libxml/parser.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml_tree.h"
#include "common/util.h"

#define OPTIONS (XML_PARSE_NONET | XML_PARSE_NOBLANKS | XML_PARSE_NOERROR | XML_PARSE_NOWARNING)

/* --- The tree (xml_tree.h) --- */

static void parser_said(const xmlError *e, char *err)
{
	size_t n;

	snprintf(err, XML_ERRLEN, "line %d: %.400s", e ? e->line : 0,
		 e && e->message ? e->message : "no XML");
	n = strlen(err);
	while (n && isspace((unsigned char)err[n - 1]))
		err[--n] = '\0';
}

xmlDoc *xml_tree(const char *text, char *err)
{
	size_t len = strlen(text);
	xmlParserCtxt *ctxt = mem_must(xmlNewParserCtxt());
	xmlDoc *doc = NULL;

	if (len > XML_BYTES_MAX)
		snprintf(err, XML_ERRLEN, "larger than a definition can be");
	else
		doc = xmlCtxtReadMemory(ctxt, text, (int)len, NULL, NULL, OPTIONS);
	if (!doc && len <= XML_BYTES_MAX)
		parser_said(xmlCtxtGetLastError(ctxt), err);
	xmlFreeParserCtxt(ctxt);
	if (!doc)
		return NULL;
	if (!doc->intSubset && xml_is(xmlDocGetRootElement(doc), "domain"))
		return doc;
	snprintf(err, XML_ERRLEN, "%s",
		 doc->intSubset ? "it has a document type, which no definition of a domain has" :
				  "it is XML, but not a <domain>");
	xmlFreeDoc(doc);
	return NULL;
}

bool xml_is(const xmlNode *n, const char *name)
{
	return n && n->type == XML_ELEMENT_NODE && !strcmp((const char *)n->name, name);
}

xmlNode *xml_child(const xmlNode *n, const char *name)
{
	for (xmlNode *c = n ? n->children : NULL; c; c = c->next)
		if (xml_is(c, name))
			return c;
	return NULL;
}

char *xml_attr(const xmlNode *n, const char *name)
{
	xmlChar *v = n ? xmlGetNoNsProp(n, (const xmlChar *)name) : NULL;
	char *copy = mem_strdup_or_null((const char *)v);

	xmlFree(v);
	return copy;
}

char *xml_text(const xmlNode *n)
{
	xmlChar *v = n ? xmlNodeGetContent(n) : NULL;
	char *s = (char *)v, *copy;
	size_t len;

	if (!v)
		return NULL;
	while (isspace((unsigned char)*s))
		s++;
	len = strlen(s);
	while (len && isspace((unsigned char)s[len - 1]))
		len--;
	copy = mem_strndup(s, len);
	xmlFree(v);
	return copy;
}

bool xml_attr_is(const xmlNode *n, const char *name, const char *value)
{
	_cleanup_free_ char *v = xml_attr(n, name);

	return v && !strcmp(v, value);
}

/* --- The record --- */

static void lower(char *to, size_t size, const char *from)
{
	size_t i;

	for (i = 0; from && from[i] && i + 1 < size; i++)
		to[i] = (char)tolower((unsigned char)from[i]);
	to[i] = '\0';
}

static void read_vif(struct xml_domain *d, const xmlNode *n)
{
	struct xml_vif *v = mem_push(d->vifs, d->n_vifs);
	_cleanup_free_ char *mac = xml_attr(xml_child(n, "mac"), "address");

	lower(v->mac, sizeof(v->mac), mac);
	v->bridge = xml_attr(xml_child(n, "source"), "bridge");
	v->interface = xml_attr(xml_child(n, "target"), "dev");
	v->ovs = xml_attr_is(xml_child(n, "virtualport"), "type", "openvswitch");
}

/* Takes over `path`. NULL: there is none. */
static struct xml_file *add_file(struct xml_domain *d, char *path, bool is_block, const char *what,
				 const char *which)
{
	struct xml_file *f;

	if (!path || !*path) {
		free(path);
		return NULL;
	}
	f = mem_push(d->files, d->n_files);
	f->path = path;
	f->is_block = is_block;
	snprintf(f->what, sizeof(f->what), "%s%s%.20s", what, which ? " " : "", which ? which : "");
	return f;
}

static void read_disk(struct xml_domain *d, const xmlNode *n)
{
	const xmlNode *source = xml_child(n, "source");
	_cleanup_free_ char *target = xml_attr(xml_child(n, "target"), "dev");
	bool is_block = xml_attr_is(n, "type", "block");
	struct xml_file *f;

	if (xml_attr_is(source, "startupPolicy", "optional"))
		return;
	f = add_file(d, xml_attr(source, is_block ? "dev" : "file"), is_block, "disk", target);
	if (!f)
		return;
	f->is_disk = true;
	/* libvirt says <readonly/> of every CD-ROM; who writes a definition need not. */
	f->may_share = xml_child(n, "shareable") || xml_child(n, "readonly") ||
		       xml_attr_is(n, "device", "cdrom");
}

static void read_os(struct xml_domain *d, const xmlNode *os)
{
	static const char *const files[] = { "loader", "kernel", "initrd", "dtb" };
	const xmlNode *type = xml_child(os, "type");

	d->arch = xml_attr(type, "arch");
	d->machine = xml_attr(type, "machine");
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++)
		add_file(d, xml_text(xml_child(os, files[i])), false, files[i], NULL);
}

static void read_devices(struct xml_domain *d, const xmlNode *devices)
{
	for (const xmlNode *n = devices ? devices->children : NULL; n; n = n->next)
		if (xml_is(n, "interface"))
			read_vif(d, n);
		else if (xml_is(n, "disk"))
			read_disk(d, n);
}

struct xml_domain *xml_read(const char *text, char *err)
{
	xmlDoc *doc = xml_tree(text, err);
	const xmlNode *root = doc ? xmlDocGetRootElement(doc) : NULL;
	struct xml_domain *d;
	_cleanup_free_ char *uuid = xml_text(xml_child(root, "uuid"));

	if (!doc)
		return NULL;
	d = mem_new(sizeof(*d));
	d->name = xml_text(xml_child(root, "name"));
	d->type = xml_attr(root, "type");
	lower(d->uuid, sizeof(d->uuid), uuid);
	read_os(d, xml_child(root, "os"));
	read_devices(d, xml_child(root, "devices"));
	xmlFreeDoc(doc);
	if (d->name && *d->name)
		return d;
	snprintf(err, XML_ERRLEN, "the domain has no <name>");
	xml_domain_free(d);
	return NULL;
}

void xml_domain_free(struct xml_domain *d)
{
	if (!d)
		return;
	for (unsigned i = 0; i < d->n_vifs; i++) {
		free(d->vifs[i].bridge);
		free(d->vifs[i].interface);
	}
	for (unsigned i = 0; i < d->n_files; i++)
		free(d->files[i].path);
	free(d->vifs);
	free(d->files);
	free(d->name);
	free(d->type);
	free(d->arch);
	free(d->machine);
	free(d);
}

/* --- Changed copies --- */

void xml_drop(xmlNode *parent, const char *name)
{
	xmlNode *n;

	while ((n = xml_child(parent, name)) != NULL) {
		xmlUnlinkNode(n);
		xmlFreeNode(n);
	}
}

char *xml_write(xmlDoc *doc)
{
	xmlChar *text = NULL;
	char *copy;
	int len;

	xmlDocDumpMemoryEnc(doc, &text, &len, "UTF-8");
	mem_must(text);
	copy = mem_strndup((const char *)text, (size_t)len);
	xmlFree(text);
	xmlFreeDoc(doc);
	return copy;
}

char *xml_without_interfaces(const char *text)
{
	char err[XML_ERRLEN];
	xmlDoc *doc = xml_tree(text, err);

	if (!doc)
		return mem_strdup(text);
	xml_drop(xml_child(xmlDocGetRootElement(doc), "devices"), "interface");
	return xml_write(doc);
}

char *xml_with_uuid(const char *text, const char *uuid)
{
	char err[XML_ERRLEN];
	xmlDoc *doc = xml_tree(text, err);
	xmlNode *root;

	if (!doc)
		return mem_strdup(text);
	root = xmlDocGetRootElement(doc);
	xml_drop(root, "uuid");
	mem_must(xmlNewChild(root, NULL, (const xmlChar *)"uuid", (const xmlChar *)uuid));
	return xml_write(doc);
}
