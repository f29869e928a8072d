/* Socket addresses: one type for IPv4 and IPv6, parsed and printed the way `ip` and `wg` do. */
#ifndef COMMON_ADDR_H
#define COMMON_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define ADDR_STRLEN 64	      /* "[v6%scope]:port" with room */
#define ADDR_HOST_STRLEN 256  /* a DNS name with its NUL, RFC 1035 section 2.3.4 */
#define L2TUND_PORT 4655

/* Family AF_UNSPEC: not set. IPv4-mapped IPv6 addresses are kept as IPv4. */
struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
};

socklen_t addr_len(const struct addr *a);
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
static inline bool addr_is_set(const struct addr *a)
{
	return a->sa.sa_family != AF_UNSPEC;
}

/* Same family, address, scope and port / the same but for the port. */
bool addr_equal(const struct addr *a, const struct addr *b);
bool addr_same_host(const struct addr *a, const struct addr *b);

/*
 * Copies a kernel sockaddr, turning v4-mapped into IPv4. -EAFNOSUPPORT for
 * other families, -EINVAL when `len` is too short.
 */
int addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *ret);

/* Numeric "192.0.2.1:4655" or "[2001:db8::1]:4655"; the port defaults. -EINVAL otherwise. */
int addr_parse(const char *s, struct addr *ret);

/*
 * Splits "host:port", "[v6]:port", "host" or a bare IPv6 literal; the port
 * defaults to L2TUND_PORT. `ret_host` has room for ADDR_HOST_STRLEN. -EINVAL otherwise.
 */
int addr_split(const char *s, char *ret_host, uint16_t *ret_port);

/* Writes into `buf` (ADDR_STRLEN) and returns it; "-" when not set. */
const char *addr_format(const struct addr *a, char *buf);

#endif
