/*
 * The elements kernel, initrd and cmdline of <os>: https://libvirt.org/formatdomain.html, "Direct
 * kernel boot". Where they are, libvirt ignores the boot order of the disks; without them that
 * counts again, so it stays as it is.
 */
#include "bridgectl/domain/xml_boot.h"

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml_tree.h"
#include "common/util.h"

static const char *const elements[] = { "kernel", "initrd", "cmdline" };

void xml_boot_read(const char *text, struct xml_boot *ret)
{
	char err[XML_ERRLEN];
	xmlDoc *doc = xml_tree(text, err);
	const xmlNode *os = doc ? xml_child(xmlDocGetRootElement(doc), "os") : NULL;

	*ret = (struct xml_boot){
		.kernel = xml_text(xml_child(os, elements[0])),
		.initrd = xml_text(xml_child(os, elements[1])),
		.cmdline = xml_text(xml_child(os, elements[2])),
	};
	if (doc)
		xmlFreeDoc(doc);
}

void xml_boot_fini(struct xml_boot *b)
{
	free(b->kernel);
	free(b->initrd);
	free(b->cmdline);
	*b = (struct xml_boot){ 0 };
}

/* The letter of "vda", '\0' of what has none or several. */
static char letter_of(const char *target)
{
	size_t len = target ? strlen(target) : 0;

	return len == 3 && target[1] == 'd' && target[2] >= 'a' && target[2] <= 'z' ? target[2] :
										      '\0';
}

static void add_disk(struct xml_raw_disks *d, const xmlNode *n)
{
	const xmlNode *source = xml_child(n, "source");
	_cleanup_free_ char *target = xml_attr(xml_child(n, "target"), "dev");
	char letter = letter_of(target), *path;

	if ((!xml_attr_is(n, "device", "disk") && xmlHasProp(n, (const xmlChar *)"device")) ||
	    !xml_attr_is(xml_child(n, "driver"), "type", "raw") || !letter ||
	    d->n == XML_RAW_DISKS_MAX)
		return;
	path = xml_attr(source, xml_attr_is(n, "type", "block") ? "dev" : "file");
	if (!path)
		return;
	d->path[d->n] = path;
	d->letter[d->n++] = letter;
}

void xml_raw_disks(const char *text, struct xml_raw_disks *ret)
{
	char err[XML_ERRLEN];
	xmlDoc *doc = xml_tree(text, err);
	const xmlNode *all = doc ? xml_child(xmlDocGetRootElement(doc), "devices") : NULL;

	*ret = (struct xml_raw_disks){ 0 };
	for (const xmlNode *n = all ? all->children : NULL; n; n = n->next)
		if (xml_is(n, "disk"))
			add_disk(ret, n);
	if (doc)
		xmlFreeDoc(doc);
}

void xml_raw_disks_fini(struct xml_raw_disks *d)
{
	for (unsigned i = 0; i < d->n; i++)
		free(d->path[i]);
	*d = (struct xml_raw_disks){ 0 };
}

char *xml_with_boot(const char *text, const struct xml_boot *b)
{
	const char *const values[] = { b ? b->kernel : NULL, b ? b->initrd : NULL,
				       b ? b->cmdline : NULL };
	char err[XML_ERRLEN];
	xmlDoc *doc = xml_tree(text, err);
	xmlNode *os = doc ? xml_child(xmlDocGetRootElement(doc), "os") : NULL;

	if (!doc)
		return mem_strdup(text);
	for (unsigned i = 0; os && i < ARRAY_SIZE(elements); i++) {
		xml_drop(os, elements[i]);
		if (values[i])
			mem_must(xmlNewTextChild(os, NULL, (const xmlChar *)elements[i],
						 (const xmlChar *)values[i]));
	}
	return xml_write(doc);
}
