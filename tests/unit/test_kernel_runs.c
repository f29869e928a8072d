/*
 * Runs of datagrams on the running kernel: what is sent in one call arrives as the same
 * datagrams, with and without its offloads, and stays where it is until the batch has
 * ended; a flood of data does not hold up anything else.
 */
#include <errno.h>
#include <stdio.h>

#include "tests/unit/kernel_support.h"

#define HEARD_MAX 4096
#define CONTROL 5 /* DGRAM_CONTROL */
#define DATA 4	  /* DGRAM_DATA */

static const unsigned segment = 1U << OFFLOAD_UDP_SEGMENT, gro = 1U << OFFLOAD_UDP_GRO;

/* What an end has heard, in order. Each datagram: type, 3 bytes of number, then its pattern. */
struct end {
	struct os *os;
	struct os_udp *udp;
	struct addr addr;
	unsigned n, batch;
	bool adjacent; /* two datagrams of one run were seen */
	uint8_t type[HEARD_MAX];
	uint32_t number[HEARD_MAX];
	size_t len[HEARD_MAX];
	const uint8_t *at[HEARD_MAX]; /* of this batch, from `batch` on */
};

static uint8_t pattern(uint32_t number, size_t i)
{
	return (uint8_t)(number * 31 + i * 7 + i / 256);
}

static void dgram_fill(uint8_t *buf, size_t len, uint8_t type, uint32_t number)
{
	put_le32(buf, number << 8 | type);
	for (size_t i = 4; i < len; i++)
		buf[i] = pattern(number, i);
}

static void end_datagram(void *arg, unsigned lane, const struct path *from, uint8_t *buf,
			 size_t len)
{
	struct end *e = arg;

	(void)lane;
	(void)from;
	assert_in_range(len, 4, SESSION_DGRAM_MAX);
	assert_in_range(e->n, 0, HEARD_MAX - 1);
	e->type[e->n] = buf[0];
	e->number[e->n] = get_le32(buf) >> 8;
	e->len[e->n] = len;
	e->at[e->n] = buf;
	if (e->n > e->batch && e->at[e->n - 1] + e->len[e->n - 1] == buf)
		e->adjacent = true;
	e->n++;
	/* Written to in place, which is not to be seen in the others. */
	buf[0] ^= 0xff;
	buf[len - 1] ^= 0xff;
}

static void end_drained(void *arg, unsigned lane)
{
	struct end *e = arg;

	(void)lane;
	for (; e->batch < e->n; e->batch++) {
		const uint8_t *p = e->at[e->batch];
		size_t last = e->len[e->batch] - 1;

		assert_int_equal(p[0] ^ 0xff, e->type[e->batch]);
		for (size_t i = 4; i < last; i++)
			if (p[i] != pattern(e->number[e->batch], i))
				fail_msg("datagram %u is damaged at %zu", e->batch, i);
		if (last >= 4)
			assert_int_equal(p[last] ^ 0xff, pattern(e->number[e->batch], last));
	}
}

static const struct os_udp_ops end_ops = { .datagram = end_datagram, .drained = end_drained };

static struct end *end_open(struct kernel *k, const char *listen, unsigned offload)
{
	struct end *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->os = k->os;
	assert_int_equal(addr_parse(listen, &e->addr), 0);
	assert_int_equal(k->os->udp_open(k->os, &e->addr, 0, offload, &end_ops, e, &e->udp), 0);
	addr_set_port(&e->addr, udp_port(e->udp));
	return e;
}

static void end_close(struct end *e)
{
	e->os->udp_close(e->os, e->udp);
	free(e);
}

static unsigned end_active(const struct end *e)
{
	struct offloads o = { 0 };

	e->os->udp_offloads(e->os, e->udp, &o);
	return o.active;
}

/* `n` datagrams of `size` bytes, the last one of `last`, one behind the other. */
static uint8_t *run_new(unsigned n, size_t size, size_t last, uint8_t type, size_t *ret_len)
{
	uint8_t *buf = malloc(n * size);

	assert_non_null(buf);
	for (unsigned i = 0; i < n; i++)
		dgram_fill(buf + i * size, i + 1 < n ? size : last, type, i);
	*ret_len = (n - 1) * size + last;
	return buf;
}

static int run_send(struct end *from, const struct path *path, unsigned n, size_t size, size_t last,
		    uint8_t type)
{
	size_t len;
	uint8_t *buf = run_new(n, size, last, type, &len);
	int r = from->os->udp_send(from->os, from->udp, 0, path, buf, len, size);

	free(buf);
	return r;
}

struct wanted {
	const struct end *e;
	unsigned n;
};

static bool heard_all(void *arg)
{
	const struct wanted *w = arg;

	return w->e->n >= w->n && w->e->batch == w->e->n;
}

static void expect_run(struct kernel *k, struct end *e, unsigned n, size_t size, size_t last)
{
	struct wanted w = { e, n };

	assert_true(kernel_wait(k, heard_all, &w));
	assert_int_equal(e->n, n);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(e->number[i], i);
		assert_int_equal(e->len[i], i + 1 < n ? size : last);
	}
	e->n = e->batch = 0;
}

static void check_runs(struct kernel *k, const char *host, unsigned sender, unsigned receiver)
{
	static const struct {
		unsigned n;
		size_t size, last;
	} runs[] = {
		{ 40, 1200, 7 },   { 40, 1200, 1200 }, { 2, 1440, 4 },
		{ 64, 1000, 999 }, { 200, 1000, 4 },   { 1, 500, 500 },
		{ 20, 9000, 50 },  { 300, 60, 60 },    { 7, 9216, 9215 },
	};
	struct end *a = end_open(k, host, sender), *b = end_open(k, host, receiver);
	struct path to = { .remote = b->addr };

	assert_int_equal(end_active(a) | end_active(b), sender | receiver);
	for (unsigned i = 0; i < ARRAY_SIZE(runs); i++) {
		assert_int_equal(run_send(a, &to, runs[i].n, runs[i].size, runs[i].last, DATA), 0);
		expect_run(k, b, runs[i].n, runs[i].size, runs[i].last);
	}
	/* With both the kernel has nothing to take apart on the way. */
	assert_int_equal(b->adjacent, sender && receiver);
	assert_int_equal(end_active(a), sender);
	end_close(a);
	end_close(b);
}

static void test_runs(void **state)
{
	struct kernel *k = *state;
	unsigned v6 = access("/proc/sys/net/ipv6", F_OK) == 0;

	for (unsigned i = 0; i < 4; i++) {
		check_runs(k, "127.0.0.1:0", i & 1 ? segment : 0, i & 2 ? gro : 0);
		if (v6)
			check_runs(k, "[::1]:0", i & 1 ? segment : 0, i & 2 ? gro : 0);
	}
}

/* Too large for the interface: said so, nothing sent, and the offload is not to blame. */
static void test_refused_size(void **state)
{
	struct kernel *k = *state;
	struct end *e = end_open(k, "0.0.0.0:0", OFFLOAD_ALL);
	struct path to = { 0 };

	sh("ip link add v0 mtu 1400 type veth peer name v1 && ip link set v0 up &&"
	   " ip link set v1 up && ip addr add 198.51.100.1/24 dev v0 &&"
	   " ip neigh add 198.51.100.2 lladdr 02:00:00:00:00:02 dev v0 nud permanent");
	assert_int_equal(addr_parse("198.51.100.2:9", &to.remote), 0);
	assert_int_equal(run_send(e, &to, 10, 1400 - 28, 100, DATA), 0);
	assert_int_equal(run_send(e, &to, 10, 1400 - 27, 100, DATA), -EMSGSIZE);
	assert_int_equal(end_active(e), segment | gro);
	assert_int_equal(k->os->udp_send(k->os, e->udp, 0, &to, "", 1, 0), -EINVAL);
	end_close(e);
	sh("ip link del v0");
}

/* A local address that went is left out, for a run as for a single datagram. */
static void test_vanished_local(void **state)
{
	struct kernel *k = *state;
	struct end *a = end_open(k, "0.0.0.0:0", OFFLOAD_ALL);
	struct end *b = end_open(k, "127.0.0.1:0", OFFLOAD_ALL);
	struct path to = { .remote = b->addr };

	assert_int_equal(addr_parse("203.0.113.9:1", &to.local), 0);
	assert_int_equal(run_send(a, &to, 100, 1000, 500, DATA), 0);
	expect_run(k, b, 100, 1000, 500);
	assert_int_equal(end_active(a), segment | gro);
	assert_int_equal(addr_parse("127.0.0.7:1", &to.local), 0);
	assert_int_equal(run_send(a, &to, 100, 1000, 500, DATA), 0);
	expect_run(k, b, 100, 1000, 500);
	end_close(a);
	end_close(b);
}

/* An ICMP error of an earlier datagram does not cost a run. */
static void test_refused_peer(void **state)
{
	struct kernel *k = *state;
	struct end *a = end_open(k, "127.0.0.1:0", OFFLOAD_ALL);
	struct end *b = end_open(k, "127.0.0.1:0", OFFLOAD_ALL);
	struct end *gone = end_open(k, "127.0.0.1:0", OFFLOAD_ALL);
	struct path to_b = { .remote = b->addr }, to_gone = { .remote = gone->addr };

	end_close(gone);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(run_send(a, &to_gone, 5, 1000, 500, DATA), 0);
		assert_int_equal(run_send(a, &to_b, 5, 1000, 500, DATA), 0);
		expect_run(k, b, 5, 1000, 500);
	}
	assert_int_equal(end_active(a), segment | gro);
	end_close(a);
	end_close(b);
}

/* Nobody reads while data floods in: what is not data loses nothing, and is served first. */
static void check_flood(struct kernel *k, const char *host, unsigned offload)
{
	struct end *a = end_open(k, host, offload), *b = end_open(k, host, offload);
	struct path to = { .remote = b->addr };
	unsigned heard[256] = { 0 }, data_before = 0;
	uint8_t control[100];
	struct wanted w = { b, 100 };

	for (unsigned i = 0; i < 400; i++)
		run_send(a, &to, 45, 1400, 1400, i % 2 ? DATA : 6);
	for (unsigned i = 0; i < 100; i++) {
		dgram_fill(control, sizeof(control), i % 2 ? CONTROL : 1, i);
		assert_int_equal(a->os->udp_send(a->os, a->udp, 0, &to, control, sizeof(control),
						 sizeof(control)),
				 0);
	}
	assert_true(kernel_wait(k, heard_all, &w));
	for (unsigned i = 0; i < b->n; i++) {
		heard[b->type[i]]++;
		data_before +=
			heard[CONTROL] + heard[1] < 100 && (b->type[i] == DATA || b->type[i] == 6);
	}
	assert_int_equal(heard[CONTROL], 50);
	assert_int_equal(heard[1], 50);
	assert_int_equal(data_before, 0);
	end_close(a);
	end_close(b);
}

static void test_flood(void **state)
{
	struct kernel *k = *state;

	check_flood(k, "127.0.0.1:0", 0);
	check_flood(k, "127.0.0.1:0", OFFLOAD_ALL);
	if (access("/proc/sys/net/ipv6", F_OK) == 0)
		check_flood(k, "[::1]:0", OFFLOAD_ALL);
}

/* A port with two sockets is as taken as one with one. */
static void test_taken(void **state)
{
	struct kernel *k = *state;
	struct end *e = end_open(k, "127.0.0.1:0", OFFLOAD_ALL);
	struct os_udp *other;
	struct addr any;

	assert_int_equal(k->os->udp_open(k->os, &e->addr, 0, OFFLOAD_ALL, &end_ops, NULL, &other),
			 -EADDRINUSE);
	assert_int_equal(addr_parse("0.0.0.0:0", &any), 0);
	addr_set_port(&any, udp_port(e->udp));
	assert_int_equal(k->os->udp_open(k->os, &any, 0, OFFLOAD_ALL, &end_ops, NULL, &other),
			 -EADDRINUSE);
	end_close(e);
	e = end_open(k, "127.0.0.1:0", OFFLOAD_ALL);
	end_close(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),	       cmocka_unit_test(test_refused_size),
		cmocka_unit_test(test_vanished_local), cmocka_unit_test(test_refused_peer),
		cmocka_unit_test(test_flood),	       cmocka_unit_test(test_taken),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	netns_enter();
	return cmocka_run_group_tests(tests, kernel_setup, kernel_teardown);
}
