/* What becomes of each key of a Xen configuration under KVM, for people: doc/domains.md. */
#ifndef BRIDGECTL_DOMAIN_CONVERT_KEYS_H
#define BRIDGECTL_DOMAIN_CONVERT_KEYS_H

#include <stdio.h>

enum key_fate {
	FATE_SAME,    /* it is carried */
	FATE_OTHER,   /* it means something else, and a warning or a note says what */
	FATE_REFUSED, /* an error, unless --accept-loss names it */
	FATE_LEFT,    /* Xen's own business: left out, and a note says so */
};

/* A key with more than one fate has a row for each, one behind the other. */
struct convert_key {
	const char *key;
	enum key_fate fate;
	const char *text; /* "" when there is no more to say */
};

/* Keys that are in the guest record (XL_KEY_USED), in their order. */
extern const struct convert_key convert_keys[];
extern const unsigned convert_keys_len;

/* All keys as a table in Markdown. */
void convert_keys_print(FILE *f);

#endif
