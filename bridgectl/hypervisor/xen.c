/*
 * Xen's toolstack: which program it is.
 */
#include <errno.h>
#include <stdio.h>

#include "bridgectl/hypervisor/hyper.h"

int hyper_xen_open(const char *tool, struct hyper **ret, char *err)
{
	(void)ret;
	snprintf(err, HYPER_ERRLEN, "%s: Xen is not supported yet by this version",
		 *tool ? tool : "xl");
	return -EOPNOTSUPP;
}
