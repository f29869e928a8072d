/* One string of vif = [ … ]: xl-network-configuration(5) and what xm took. */
#ifndef BRIDGECTL_DOMAIN_VIFSPEC_H
#define BRIDGECTL_DOMAIN_VIFSPEC_H

#include <stdbool.h>

struct vifspec {
	char mac[18];  /* in lower case; "": a random one at each start */
	bool emulated; /* type=ioemu */
	/* As written; NULL: not said. */
	char *bridge, *ip, *script, *model, *vifname, *rate, *backend, *gateway, *mtu, *type;
	char *other; /* the first parameter that is known and cannot be kept; NULL: none */
};

#define VIFSPEC_ERRLEN 256

/*
 * -EINVAL: `err` says what is wrong and *ret_offset where. Free the result with vifspec_fini().
 */
int vifspec_parse(const char *spec, struct vifspec *ret, char *err, unsigned *ret_offset);
void vifspec_fini(struct vifspec *v);

#endif
