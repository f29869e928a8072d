/* Every key that xl.cfg(5) and xm knew, and what is done with it. */
#ifndef BRIDGECTL_DOMAIN_XL_KEYS_H
#define BRIDGECTL_DOMAIN_XL_KEYS_H

#include <stdbool.h>

enum xl_key_use {
	XL_KEY_USED,	 /* it is in the guest record */
	XL_KEY_HARMLESS, /* it means nothing outside of Xen */
	XL_KEY_LOST,	 /* a guest may need it, and the record has no place for it */
};

enum xl_key_tool { XL_TOOL_BOTH, XL_TOOL_XL, XL_TOOL_XM };

struct xl_key {
	const char *key;
	enum xl_key_use use;
	enum xl_key_tool tool;
	/* For people: what it does in Xen, or what becomes of it. */
	const char *note;
	/*
	 * XL_KEY_LOST: values, separated by spaces, with which nothing is lost, besides None, "",
	 * 0, False and []; NULL: there are no others.
	 */
	const char *neutral;
};

/* Sorted by key. */
extern const struct xl_key xl_keys[];
extern const unsigned xl_keys_len;

/* NULL: neither xl nor xm knows it. */
const struct xl_key *xl_key_find(const char *key);

#endif
