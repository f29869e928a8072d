/*
 * Socket addresses as text and back. Strict on purpose: "127.1" and "010.0.0.1",
 * which getaddrinfo() takes for something, are typing errors in a configuration.
 * IPv4-mapped IPv6 never gets into a struct addr, so comparing families is enough.
 */
#include "common/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"

socklen_t addr_len(const struct addr *a)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		return sizeof(a->in);
	case AF_INET6:
		return sizeof(a->in6);
	default:
		return 0;
	}
}

uint16_t addr_port(const struct addr *a)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		return ntohs(a->in.sin_port);
	case AF_INET6:
		return ntohs(a->in6.sin6_port);
	default:
		return 0;
	}
}

void addr_set_port(struct addr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET)
		a->in.sin_port = htons(port);
	else if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
}

bool addr_same_host(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	switch (a->sa.sa_family) {
	case AF_INET:
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	case AF_INET6:
		return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr) &&
		       a->in6.sin6_scope_id == b->in6.sin6_scope_id;
	default:
		return true;
	}
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	return addr_same_host(a, b) && addr_port(a) == addr_port(b);
}

/* RFC 4291 section 2.5.5.2: ::ffff:192.0.2.1 is 192.0.2.1. */
static void set_in6(struct addr *ret, const struct in6_addr *ip, uint16_t port_be, uint32_t scope)
{
	memset(ret, 0, sizeof(*ret));
	if (IN6_IS_ADDR_V4MAPPED(ip)) {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = port_be;
		memcpy(&ret->in.sin_addr, &ip->s6_addr[12], sizeof(ret->in.sin_addr));
		return;
	}
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_port = port_be;
	ret->in6.sin6_addr = *ip;
	ret->in6.sin6_scope_id = scope;
}

int addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *ret)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (len < sizeof(sa_family_t))
		return -EINVAL;
	switch (sa->sa_family) {
	case AF_INET:
		if (len < sizeof(in))
			return -EINVAL;
		memcpy(&in, sa, sizeof(in));
		memset(ret, 0, sizeof(*ret));
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = in.sin_port;
		ret->in.sin_addr = in.sin_addr;
		return 0;
	case AF_INET6:
		if (len < sizeof(in6))
			return -EINVAL;
		memcpy(&in6, sa, sizeof(in6));
		set_in6(ret, &in6.sin6_addr, in6.sin6_port, in6.sin6_scope_id);
		return 0;
	default:
		return -EAFNOSUPPORT;
	}
}

/* "%eth0" or "%2", without the percent sign. */
static int parse_scope(const char *s, uint32_t *ret)
{
	unsigned index = if_nametoindex(s);
	char *end;
	unsigned long n;

	if (index > 0) {
		*ret = index;
		return 0;
	}
	if (*s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	n = strtoul(s, &end, 10);
	if (errno || *end || n == 0 || n > INT32_MAX)
		return -EINVAL;
	*ret = (uint32_t)n;
	return 0;
}

static int parse_in6(const char *host, uint16_t port, struct addr *ret)
{
	char buf[INET6_ADDRSTRLEN];
	struct in6_addr ip;
	uint32_t scope = 0;
	size_t n = strcspn(host, "%");

	if (n >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, host, n);
	buf[n] = '\0';
	if (inet_pton(AF_INET6, buf, &ip) != 1)
		return -EINVAL;
	if (host[n] == '%' && parse_scope(host + n + 1, &scope) < 0)
		return -EINVAL;
	set_in6(ret, &ip, htons(port), scope);
	return 0;
}

/* A literal with any scope text: whether the interface exists is seen later. */
static bool looks_like_in6(const char *host, size_t len)
{
	char buf[INET6_ADDRSTRLEN];
	struct in6_addr ip;
	const char *pct = memchr(host, '%', len);
	size_t n = pct ? (size_t)(pct - host) : len;

	if (n >= sizeof(buf) || (pct && len - n - 1 == 0) || (pct && len - n > IFNAMSIZ))
		return false;
	memcpy(buf, host, n);
	buf[n] = '\0';
	return inet_pton(AF_INET6, buf, &ip) == 1;
}

static int parse_port(const char *s, uint16_t *ret)
{
	unsigned n = 0;
	size_t len = strlen(s);

	if (len == 0 || len > 5 || strspn(s, "0123456789") != len)
		return -EINVAL;
	for (; *s; s++)
		n = n * 10 + (unsigned)(*s - '0');
	if (n > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)n;
	return 0;
}

/* RFC 1123 section 2.1, and `_`, which does occur. */
static bool hostname_ok(const char *s, size_t len)
{
	if (len == 0 || s[0] == '-' || s[0] == '.')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (c == '.' && i > 0 && s[i - 1] == '.')
			return false;
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_' || c == '.'))
			return false;
	}
	return true;
}

int addr_split(const char *s, char *ret_host, uint16_t *ret_port)
{
	const char *host = s, *port_text = NULL, *colon = strchr(s, ':');
	size_t len;
	uint16_t port = L2TUND_PORT;

	if (*s == '[') {
		host = s + 1;
		len = strcspn(host, "]");
		if (host[len] != ']' || !looks_like_in6(host, len))
			return -EINVAL;
		if (host[len + 1] == ':')
			port_text = host + len + 2;
		else if (host[len + 1])
			return -EINVAL;
	} else if (colon && strchr(colon + 1, ':')) {
		len = strlen(host);
		if (!looks_like_in6(host, len))
			return -EINVAL;
	} else {
		len = colon ? (size_t)(colon - s) : strlen(s);
		if (!hostname_ok(host, len))
			return -EINVAL;
		port_text = colon ? colon + 1 : NULL;
	}
	if (len >= ADDR_HOST_STRLEN || (port_text && parse_port(port_text, &port) < 0))
		return -EINVAL;
	memcpy(ret_host, host, len);
	ret_host[len] = '\0';
	*ret_port = port;
	return 0;
}

int addr_parse(const char *s, struct addr *ret)
{
	char host[ADDR_HOST_STRLEN];
	struct in_addr ip;
	uint16_t port;

	if (addr_split(s, host, &port) < 0)
		return -EINVAL;
	if (strchr(host, ':'))
		return parse_in6(host, port, ret);
	if (inet_pton(AF_INET, host, &ip) != 1)
		return -EINVAL;
	memset(ret, 0, sizeof(*ret));
	ret->in.sin_family = AF_INET;
	ret->in.sin_port = htons(port);
	ret->in.sin_addr = ip;
	return 0;
}

static void format_in6(const struct sockaddr_in6 *in6, char *buf)
{
	char ip[INET6_ADDRSTRLEN], scope[IFNAMSIZ + 1] = "", name[IFNAMSIZ];

	inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
	if (in6->sin6_scope_id && if_indextoname(in6->sin6_scope_id, name))
		snprintf(scope, sizeof(scope), "%%%s", name);
	else if (in6->sin6_scope_id)
		snprintf(scope, sizeof(scope), "%%%u", in6->sin6_scope_id);
	snprintf(buf, ADDR_STRLEN, "[%.39s%s]:%u", ip, scope, ntohs(in6->sin6_port));
}

const char *addr_format(const struct addr *a, char *buf)
{
	char ip[INET_ADDRSTRLEN];

	switch (a->sa.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &a->in.sin_addr, ip, sizeof(ip));
		snprintf(buf, ADDR_STRLEN, "%s:%u", ip, ntohs(a->in.sin_port));
		break;
	case AF_INET6:
		format_in6(&a->in6, buf);
		break;
	default:
		snprintf(buf, ADDR_STRLEN, "-");
	}
	return buf;
}
