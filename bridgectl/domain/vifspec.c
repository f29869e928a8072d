/*
 * Strings of network interfaces: KEY=VALUE between commas, all of them optional.
 *
 * A MAC that is not written was made up by Xen when the guest started; only the running guest knows
 * it, so "" is never filled in here.
 */
#include "bridgectl/domain/vifspec.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "common/util.h"

#define F(name) offsetof(struct vifspec, name)
#define HARMLESS ((size_t)-1) /* means nothing to a guest elsewhere */

static const struct {
	const char *key;
	size_t field;
} keys[] = {
	{ "bridge", F(bridge) },
	{ "ip", F(ip) },
	{ "script", F(script) },
	{ "model", F(model) },
	{ "vifname", F(vifname) },
	{ "rate", F(rate) },
	{ "backend", F(backend) },
	{ "gatewaydev", F(gateway) },
	{ "netdev", F(gateway) },
	{ "mtu", F(mtu) },
	{ "type", F(type) },
	{ "devid", HARMLESS },
	{ "be_mac", HARMLESS },
	{ "uuid", HARMLESS },
	{ "handle", HARMLESS },
	{ "trusted", HARMLESS },
	{ "untrusted", HARMLESS },
	/* Real adapters behind an interface, labels, OVS and remote replication. */
	{ "accel", F(other) },
	{ "policy", F(other) },
	{ "label", F(other) },
	{ "vlan", F(other) },
	{ "accesscontrol", F(other) },
	{ "forwarddev", F(other) },
};

static int fail(const char *spec, const char *at, char *err, unsigned *ret_offset, const char *fmt,
		...) _printf_(5, 6);

static int fail(const char *spec, const char *at, char *err, unsigned *ret_offset, const char *fmt,
		...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, VIFSPEC_ERRLEN, fmt, ap);
	va_end(ap);
	*ret_offset = (unsigned)(at - spec);
	return -EINVAL;
}

/* Six groups of one or two digits; no multicast address, not all zero. */
static bool parse_mac(const char *s, char *ret)
{
	unsigned b[6];
	int n = -1;

	if (sscanf(s, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &n) !=
		    6 ||
	    n < 0 || s[n] || strspn(s, "0123456789abcdefABCDEF:") != strlen(s))
		return false;
	if ((b[0] & 1) || !(b[0] | b[1] | b[2] | b[3] | b[4] | b[5]))
		return false;
	snprintf(ret, 18, "%02x:%02x:%02x:%02x:%02x:%02x", b[0] & 0xff, b[1] & 0xff, b[2] & 0xff,
		 b[3] & 0xff, b[4] & 0xff, b[5] & 0xff);
	return true;
}

static char **field_at(struct vifspec *v, size_t offset)
{
	return (char **)((char *)v + offset);
}

/* `p`, of `n` bytes, is one parameter; nothing around it. */
static int parameter(const char *spec, const char *p, size_t n, struct vifspec *v, char *err,
		     unsigned *ret_offset)
{
	size_t len = strcspn(p, "=,");
	bool named = len < n;
	_cleanup_free_ char *value = mem_strndup(named ? p + len + 1 : p, named ? n - len - 1 : n);

	if (named && len == 3 && !strncmp(p, "mac", 3)) {
		if (parse_mac(value, v->mac))
			return 0;
		return fail(spec, value[0] ? p + 4 : p, err, ret_offset,
			    "'%.40s' is no MAC address of an interface; it is like "
			    "00:16:3e:12:34:56, with an even first byte",
			    value);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		char **field;

		if (strlen(keys[i].key) != len || strncmp(keys[i].key, p, len) != 0)
			continue;
		if (keys[i].field == HARMLESS)
			return 0;
		if (!named)
			break;
		field = field_at(v, keys[i].field);
		free(*field);
		*field = keys[i].field == F(other) ? mem_strdup(keys[i].key) : steal(value);
		return 0;
	}
	return fail(spec, p, err, ret_offset, "'%.*s' is no parameter of an interface",
		    (int)MIN(len, (size_t)40), p);
}

int vifspec_parse(const char *spec, struct vifspec *ret, char *err, unsigned *ret_offset)
{
	struct vifspec v = { 0 };
	const char *p = spec;
	int r = 0;

	while (*p && r == 0) {
		const char *end = strchrnul(p, ','), *stop = end;

		p += strspn(p, " \t\n");
		while (stop > p && isspace((unsigned char)stop[-1]))
			stop--;
		if (stop > p)
			r = parameter(spec, p, (size_t)(stop - p), &v, err, ret_offset);
		p = *end ? end + 1 : end;
	}
	v.emulated = v.type && !strcmp(v.type, "ioemu");
	if (r < 0)
		vifspec_fini(&v);
	else
		*ret = v;
	return r;
}

void vifspec_fini(struct vifspec *v)
{
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
		char **field;

		if (keys[i].field == HARMLESS)
			continue;
		field = field_at(v, keys[i].field);
		free(*field);
		*field = NULL;
	}
	*v = (struct vifspec){ 0 };
}
