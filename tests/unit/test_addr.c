/* Addresses as text and back, and what is no address. */
#include "common/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/util.h"

static void parse_and_format(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "192.0.2.1:4655", "192.0.2.1:4655" },
		{ "192.0.2.1", "192.0.2.1:4655" },
		{ "0.0.0.0:1", "0.0.0.0:1" },
		{ "0.0.0.0:0", "0.0.0.0:0" },
		{ "255.255.255.255:65535", "255.255.255.255:65535" },
		{ "[2001:db8::1]:7", "[2001:db8::1]:7" },
		{ "[2001:db8::1]", "[2001:db8::1]:4655" },
		{ "2001:db8::1", "[2001:db8::1]:4655" },
		{ "::", "[::]:4655" },
		{ "[::]:4655", "[::]:4655" },
		{ "[::ffff:192.0.2.1]:5", "192.0.2.1:5" },
		{ "[fe80::1%lo]:5", "[fe80::1%lo]:5" },
		{ "[fe80::1%1]:5", "[fe80::1%lo]:5" },
		{ "fe80::1%999999", "[fe80::1%999999]:4655" },
	};
	char buf[ADDR_STRLEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct addr a, b;

		assert_int_equal(addr_parse(t[i].in, &a), 0);
		assert_string_equal(addr_format(&a, buf), t[i].out);
		assert_int_equal(addr_parse(buf, &b), 0);
		assert_true(addr_equal(&a, &b));
	}
}

static void refused(void **state)
{
	static const char *const t[] = {
		"",	      "host",	      "host:1",		  "127.1",
		"010.0.0.1",  "1.2.3.4:",     "1.2.3.4:x",	  "1.2.3.4:65536",
		"1.2.3.4:-1", "1.2.3.4: 1",   "1.2.3.4:1:2",	  "[::1",
		"[::1]x",     "[::1]:",	      "[1.2.3.4]:1",	  "[]:1",
		"::1::",      "[fe80::1%]:1", "1.2.3.4.5",	  "1.2.3.4 ",
		" 1.2.3.4",   "[::g]:1",      "[fe80::1%nope]:1", "1.2.3.4:123456",
		"[::1]]:1",
	};
	struct addr a = { .sa.sa_family = AF_UNSPEC };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		if (addr_parse(t[i], &a) != -EINVAL)
			fail_msg("`%s` was accepted", t[i]);
	}
	assert_false(addr_is_set(&a));
}

static void split(void **state)
{
	static const struct {
		const char *in, *host;
		int port; /* -1: refused */
	} t[] = {
		{ "xen1.example.net:4655", "xen1.example.net", 4655 },
		{ "xen1", "xen1", 4655 },
		{ "xen1:9", "xen1", 9 },
		{ "a_b.example.", "a_b.example.", 4655 },
		{ "192.0.2.1:80", "192.0.2.1", 80 },
		{ "2001:db8::1", "2001:db8::1", 4655 },
		{ "[2001:db8::1]:80", "2001:db8::1", 80 },
		{ "[fe80::1%nosuchdev]:80", "fe80::1%nosuchdev", 80 },
		{ "a..b", NULL, -1 },
		{ "-a", NULL, -1 },
		{ ".a", NULL, -1 },
		{ "a b", NULL, -1 },
		{ "a:b:c", NULL, -1 },
		{ ":1", NULL, -1 },
		{ "", NULL, -1 },
		{ "host:", NULL, -1 },
		{ "[host]:1", NULL, -1 },
		{ "h\xc3\xb6st", NULL, -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		char host[ADDR_HOST_STRLEN] = "";
		uint16_t port = 0;
		int r = addr_split(t[i].in, host, &port);

		assert_int_equal(r, t[i].port < 0 ? -EINVAL : 0);
		if (r == 0) {
			assert_string_equal(host, t[i].host);
			assert_int_equal(port, t[i].port);
		}
	}
}

static void split_length(void **state)
{
	char host[ADDR_HOST_STRLEN], name[300];
	uint16_t port;

	(void)state;
	memset(name, 'a', sizeof(name));
	name[ADDR_HOST_STRLEN] = '\0';
	assert_int_equal(addr_split(name, host, &port), -EINVAL);
	name[ADDR_HOST_STRLEN - 1] = '\0';
	assert_int_equal(addr_split(name, host, &port), 0);
	assert_int_equal(strlen(host), ADDR_HOST_STRLEN - 1);
}

static void compare(void **state)
{
	struct addr a, b, none = { .sa.sa_family = AF_UNSPEC }, none2 = none;
	char buf[ADDR_STRLEN];

	(void)state;
	addr_parse("192.0.2.1:1", &a);
	addr_parse("192.0.2.1:2", &b);
	assert_true(addr_same_host(&a, &b));
	assert_false(addr_equal(&a, &b));
	addr_set_port(&b, 1);
	assert_true(addr_equal(&a, &b));
	assert_int_equal(addr_port(&b), 1);
	assert_int_equal(addr_len(&a), sizeof(struct sockaddr_in));
	addr_parse("[fe80::1%1]:1", &a);
	addr_parse("[fe80::1%7]:1", &b);
	assert_false(addr_same_host(&a, &b));
	assert_int_equal(addr_len(&a), sizeof(struct sockaddr_in6));
	assert_false(addr_equal(&a, &none));
	assert_true(addr_equal(&none, &none2));
	assert_int_equal(addr_len(&none), 0);
	assert_int_equal(addr_port(&none), 0);
	assert_string_equal(addr_format(&none, buf), "-");
}

static void from_kernel(void **state)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(77) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(78) };
	struct sockaddr unix_sa = { .sa_family = AF_UNIX };
	struct addr a = { .sa.sa_family = AF_UNSPEC };
	char buf[ADDR_STRLEN];

	(void)state;
	inet_pton(AF_INET6, "::ffff:198.51.100.9", &in6.sin6_addr);
	assert_int_equal(addr_from_sockaddr((struct sockaddr *)&in6, sizeof(in6) - 1, &a), -EINVAL);
	assert_int_equal(addr_from_sockaddr(&unix_sa, sizeof(unix_sa), &a), -EAFNOSUPPORT);
	assert_int_equal(addr_from_sockaddr(&unix_sa, 0, &a), -EINVAL);
	assert_false(addr_is_set(&a));
	assert_int_equal(addr_from_sockaddr((struct sockaddr *)&in6, sizeof(in6), &a), 0);
	assert_string_equal(addr_format(&a, buf), "198.51.100.9:77");
	inet_pton(AF_INET, "203.0.113.5", &in.sin_addr);
	assert_int_equal(addr_from_sockaddr((struct sockaddr *)&in, sizeof(in), &a), 0);
	assert_string_equal(addr_format(&a, buf), "203.0.113.5:78");
}

/* The longest text there can be still fits. */
static void longest(void **state)
{
	char buf[ADDR_STRLEN];
	struct addr a = { .in6 = { .sin6_family = AF_INET6, .sin6_port = 0xffff } };

	(void)state;
	memset(&a.in6.sin6_addr, 0xee, sizeof(a.in6.sin6_addr));
	a.in6.sin6_scope_id = UINT32_MAX;
	assert_string_equal(addr_format(&a, buf),
			    "[eeee:eeee:eeee:eeee:eeee:eeee:eeee:eeee%4294967295]:65535");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_and_format),
		cmocka_unit_test(refused),
		cmocka_unit_test(split),
		cmocka_unit_test(split_length),
		cmocka_unit_test(compare),
		cmocka_unit_test(from_kernel),
		cmocka_unit_test(longest),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
