/* What libvirt says its host can run. The text is libvirt's own, so a broken one is just empty. */
#include "bridgectl/domain/xml_caps.h"

#include <ctype.h>
#include <libxml/parser.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml_tree.h"
#include "common/util.h"

/* "pc-i440fx-7.2", "pc-q35-rhel9.2.0": ends with a number behind a dot. */
static bool has_version(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && isdigit((unsigned char)dot[1]);
}

static void append(FILE *f, bool *first, const char *word)
{
	fprintf(f, "%s%s", *first ? "" : ", ", word);
	*first = false;
}

static char *types_of(const xmlNode *arch)
{
	char *text = NULL;
	size_t len;
	FILE *f = mem_must(open_memstream(&text, &len));
	bool first = true;

	for (const xmlNode *n = arch->children; n; n = n->next) {
		_cleanup_free_ char *type = xml_is(n, "domain") ? xml_attr(n, "type") : NULL;

		if (type)
			append(f, &first, type);
	}
	fclose(f);
	return text;
}

/* Of libvirt's older versions each <domain> has machines of its own, behind those of all. */
static char *machines_of(const xmlNode *arch, const char *asked, bool *ret_has)
{
	char *text = NULL;
	size_t len;
	FILE *f = mem_must(open_memstream(&text, &len));
	bool first = true;

	for (const xmlNode *n = arch->children; n; n = n->next) {
		_cleanup_free_ char *name = xml_is(n, "machine") ? xml_text(n) : NULL;

		if (!name)
			continue;
		*ret_has = *ret_has || (asked && !strcmp(name, asked));
		if (!has_version(name))
			append(f, &first, name);
	}
	fclose(f);
	return text;
}

static const xmlNode *find_arch(const xmlNode *root, const char *arch)
{
	_cleanup_free_ char *host =
		xml_text(xml_child(xml_child(xml_child(root, "host"), "cpu"), "arch"));

	if (!arch)
		arch = host ? host : "";
	for (const xmlNode *n = root ? root->children : NULL; n; n = n->next) {
		const xmlNode *a = xml_is(n, "guest") ? xml_child(n, "arch") : NULL;

		if (xml_attr_is(a, "name", arch))
			return a;
	}
	return NULL;
}

bool xml_caps_read(const char *text, const char *arch, const char *machine, struct xml_caps *ret)
{
	xmlDoc *doc = xmlReadMemory(text, (int)strlen(text), NULL, NULL,
				    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	const xmlNode *a = doc ? find_arch(xmlDocGetRootElement(doc), arch) : NULL;

	if (a) {
		*ret = (struct xml_caps){ .types = types_of(a) };
		ret->machines = machines_of(a, machine, &ret->has);
	}
	xmlFreeDoc(doc);
	return a;
}

void xml_caps_fini(struct xml_caps *c)
{
	free(c->types);
	free(c->machines);
}
