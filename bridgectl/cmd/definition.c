/*
 * Reading a definition: bounded, and text. Whether it is one of a domain, its reader says
 * (domain/xml_read.h).
 */
#include "bridgectl/cmd/definition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/cmd/guest_file.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml_read.h"

char *definition_read(const char *path)
{
	FILE *f = guest_file_open(path);
	char *text;
	size_t n;

	if (!f)
		return NULL;
	text = mem_new(XML_BYTES_MAX + 2);
	n = fread(text, 1, XML_BYTES_MAX + 1, f);
	if (ferror(f) || n > XML_BYTES_MAX || strlen(text) != n) {
		cmd_error("%s: it is no definition of a domain: %s", path,
			  ferror(f)	    ? "it cannot be read" :
			  n > XML_BYTES_MAX ? "it is too large" :
					      "it is no text");
		free(text);
		text = NULL;
	}
	if (f != stdin)
		fclose(f);
	return text;
}
