/* Steps in a tree of libxml2, for xml_*.c alone. */
#ifndef BRIDGECTL_DOMAIN_XML_TREE_H
#define BRIDGECTL_DOMAIN_XML_TREE_H

#include <libxml/tree.h>
#include <stdbool.h>

/* The document, whose root is a <domain>; freed by xmlFreeDoc(). NULL: `err` of XML_ERRLEN. */
xmlDoc *xml_tree(const char *text, char *err);

/* Nodes may be NULL: then there is nothing. Strings are new ones. */
bool xml_is(const xmlNode *n, const char *name);
xmlNode *xml_child(const xmlNode *n, const char *name); /* the first of that name */
char *xml_attr(const xmlNode *n, const char *name);	/* NULL: not there */
bool xml_attr_is(const xmlNode *n, const char *name, const char *value);
char *xml_text(const xmlNode *n); /* without blanks at its ends */

/* Takes away all children of that name. `parent` may be NULL. */
void xml_drop(xmlNode *parent, const char *name);
/* The document as a new string; it is freed. */
char *xml_write(xmlDoc *doc);

#endif
