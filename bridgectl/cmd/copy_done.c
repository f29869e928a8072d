/*
 * A disk that is copied halfway looks like one: the guest may boot from it, write to it, and be
 * lost, since the copy that goes on afterwards mixes what is old with what is new. A copy that is
 * not complete has a map on the target's host, so there it can be known.
 */
#include "bridgectl/cmd/copy_done.h"

#include <stdlib.h>

#include "bridgectl/cmd.h"
#include "bridgectl/domain/xml_read.h"
#include "bridgectl/transfer/unfinished.h"
#include "common/util.h"

bool copy_done(const char *path)
{
	char map[PATH_MAX];

	if (!unfinished_copy(NULL, path, map))
		return true;
	cmd_error(
		"%s: a copy into it runs, or was broken off; let the same `disk copy` go on to its "
		"end, or remove %s if you have given that copy up",
		path, map);
	return false;
}

bool copies_done(struct hyper *h, const char *domain)
{
	char err[MAX(HYPER_ERRLEN, XML_ERRLEN)];
	_cleanup_free_ char *text = NULL;
	struct xml_domain *d;
	bool done = true;

	if (strcmp(h->ops->name, "libvirt") != 0 || h->ops->dump(h, domain, false, &text, err) < 0)
		return true;
	d = xml_read(text, err);
	for (unsigned i = 0; d && done && i < d->n_files; i++)
		done = copy_done(d->files[i].path);
	if (d)
		xml_domain_free(d);
	return done;
}
