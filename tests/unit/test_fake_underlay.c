/*
 * The fake kernel's underlay: datagrams, what happens to them on the way, a stopped daemon,
 * and the name service.
 */
#include <errno.h>

#include "tests/unit/fake_pair.h"

#define MS US_PER_MS

/* ---- underlay ---- */

struct sink {
	struct os *os;
	struct os_udp *u;
	unsigned n, drained;
	struct path last;
	uint8_t bytes[2048];
	size_t len;
	uint32_t order[1000];
	uint64_t at_us;
	bool close_inside;
};

static void sink_datagram(void *arg, unsigned lane, const struct path *from, uint8_t *buf,
			  size_t len)
{
	struct sink *s = arg;

	(void)lane;
	s->last = *from;
	s->len = len;
	memcpy(s->bytes, buf, MIN(len, sizeof(s->bytes)));
	memset(buf, 0xee, len); /* it may be written to */
	if (len >= 4 && s->n < ARRAY_SIZE(s->order))
		s->order[s->n] = get_le32(s->bytes);
	s->n++;
	s->at_us = s->os->now_us(s->os);
	if (s->close_inside)
		s->os->udp_close(s->os, s->u);
}

static void sink_drained(void *arg, unsigned lane)
{
	(void)lane;
	((struct sink *)arg)->drained++;
}

static const struct os_udp_ops sink_ops = { sink_datagram, sink_drained };

static struct addr at(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(s, &a), 0);
	return a;
}

static int sink_open(struct sink *s, struct os *os, const char *listen, unsigned socket)
{
	struct addr a = at(listen);

	*s = (struct sink){ .os = os };
	return os->udp_open(os, &a, socket, OFFLOAD_ALL, &sink_ops, s, &s->u);
}

static void sink_close(struct sink *s)
{
	s->os->udp_close(s->os, s->u);
}

static int send_to(struct sink *s, const char *to, size_t len)
{
	static uint8_t bytes[70000];
	struct path p = { .remote = at(to) };

	return s->os->udp_send(s->os, s->u, 0, &p, bytes, len, len);
}

static void assert_addr(const struct addr *a, const char *want)
{
	char buf[ADDR_STRLEN];

	assert_string_equal(addr_format(a, buf), want);
}

static void datagrams_travel(void **state)
{
	struct fake_pair *w = *state;
	struct sink a, b;

	assert_int_equal(sink_open(&a, w->os, "0.0.0.0:4655", 0), 0);
	assert_int_equal(sink_open(&b, w->os_b, "192.0.2.2:4655", 3), 0);
	uint64_t sent_us = w->os_b->now_us(w->os_b);
	assert_int_equal(send_to(&a, "192.0.2.2:4655", 100), 0);
	assert_int_equal(send_to(&a, "192.0.2.2:4655", 101), 0);
	assert_int_equal(b.n, 0);
	fake_run_for(w->net, MS);
	assert_int_equal(b.n, 2);
	assert_int_equal(b.drained, 1);
	assert_int_equal(b.len, 101);
	assert_int_equal(b.at_us, sent_us + 500);
	assert_int_equal(b.last.socket, 3);
	assert_addr(&b.last.remote, "192.0.2.1:4655");
	assert_addr(&b.last.local, "192.0.2.2:4655");

	/* Back along the path that was heard. */
	assert_int_equal(w->os_b->udp_send(w->os_b, b.u, 0, &b.last, "hi", 2, 2), 0);
	fake_run_for(w->net, MS);
	assert_int_equal(a.n, 1);
	assert_memory_equal(a.bytes, "hi", 2);
	/* Nobody there, and another port: lost without a word. */
	assert_int_equal(send_to(&a, "192.0.2.77:4655", 9), 0);
	assert_int_equal(send_to(&a, "192.0.2.2:4656", 9), 0);
	fake_run_for(w->net, MS);
	assert_int_equal(b.n, 2);
	sink_close(&a);
	sink_close(&b);
}

static void sockets_refuse(void **state)
{
	struct fake_pair *w = *state;
	struct sink a, x;
	struct path p = { .remote = at("192.0.2.2:1"), .local = at("192.0.2.9:1") };

	assert_int_equal(sink_open(&x, w->os, "192.0.2.2:4655", 0), -EADDRNOTAVAIL);
	assert_int_equal(sink_open(&a, w->os, "0.0.0.0:4655", 0), 0);
	assert_int_equal(sink_open(&x, w->os, "192.0.2.1:4655", 0), -EADDRINUSE);
	assert_int_equal(send_to(&a, "[2001:db8::1]:4655", 9), -EAFNOSUPPORT);
	assert_int_equal(w->os->udp_send(w->os, a.u, 0, &p, "x", 1, 1), -EINVAL);
	assert_int_equal(send_to(&a, "192.0.2.2:4655", 1472), 0);
	assert_int_equal(send_to(&a, "192.0.2.2:4655", 1473), -EMSGSIZE);
	fake_host_set_mtu(w->a, 70000);
	assert_int_equal(send_to(&a, "192.0.2.2:4655", 65507), 0);
	assert_int_equal(send_to(&a, "192.0.2.2:4655", 65508), -EMSGSIZE);
	fake_addr_del(w->a, "192.0.2.1");
	assert_int_equal(send_to(&a, "192.0.2.2:4655", 9), -ENETUNREACH);
	sink_close(&a);
}

static void ipv6_and_source_choice(void **state)
{
	struct fake_pair *w = *state;
	struct sink a, b;

	fake_addr_add(w->a, "2001:db8:1::1");
	fake_addr_add(w->a, "2001:db8:2::1");
	fake_addr_add(w->b, "2001:db8:2::2");
	assert_int_equal(sink_open(&a, w->os, "[::]:4655", 0), 0);
	assert_int_equal(sink_open(&b, w->os_b, "[::]:4655", 1), 0);
	assert_int_equal(send_to(&a, "[2001:db8:2::2]:4655", 1452), 0);
	assert_int_equal(send_to(&a, "[2001:db8:2::2]:4655", 1453), -EMSGSIZE);
	fake_run_for(w->net, MS);
	assert_int_equal(b.n, 1);
	assert_addr(&b.last.remote, "[2001:db8:2::1]:4655");
	sink_close(&a);
	sink_close(&b);
}

static void path_mtu_is_silent(void **state)
{
	struct fake_pair *w = *state;
	struct sink a, b;

	sink_open(&a, w->os, "0.0.0.0:1", 0);
	sink_open(&b, w->os_b, "0.0.0.0:1", 0);
	fake_path(w->a, w->b)->mtu = 1400;
	assert_int_equal(send_to(&a, "192.0.2.2:1", 1372), 0);
	assert_int_equal(send_to(&a, "192.0.2.2:1", 1373), 0);
	fake_run_for(w->net, MS);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.len, 1372);
	sink_close(&a);
	sink_close(&b);
}

static void send_many(struct fake_pair *w, struct sink *s, const char *to, unsigned n)
{
	struct path p = { .remote = at(to) };
	uint8_t bytes[64] = { 0 };

	for (uint32_t i = 0; i < n; i++) {
		put_le32(bytes, i);
		assert_int_equal(
			s->os->udp_send(s->os, s->u, 0, &p, bytes, sizeof(bytes), sizeof(bytes)),
			0);
		fake_run_for(w->net, 100);
	}
	fake_run_for(w->net, US_PER_S);
}

static unsigned count_inversions(const struct sink *s)
{
	unsigned n = 0;

	for (unsigned i = 1; i < s->n; i++)
		n += s->order[i] < s->order[i - 1];
	return n;
}

static void loss_copies_order_cuts(void **state)
{
	struct fake_pair *w = *state;
	struct sink a, b;
	struct fake_path *p = fake_path(w->a, w->b);

	sink_open(&a, w->os, "0.0.0.0:1", 0);
	sink_open(&b, w->os_b, "0.0.0.0:1", 0);
	send_many(w, &a, "192.0.2.2:1", 500);
	assert_int_equal(b.n, 500);
	assert_int_equal(count_inversions(&b), 0);

	b.n = 0;
	p->loss_permille = 300;
	send_many(w, &a, "192.0.2.2:1", 500);
	assert_in_range(b.n, 300, 400);
	assert_int_equal(p->sent - p->arrived, 500 - b.n);

	b.n = 0;
	p->loss_permille = 0;
	p->duplicate_permille = 200;
	p->jitter_us = 1000;
	send_many(w, &a, "192.0.2.2:1", 500);
	assert_in_range(b.n, 550, 650);
	assert_in_range(count_inversions(&b), 100, 500);

	b.n = 0;
	*p = (struct fake_path){ .cut = true };
	send_many(w, &a, "192.0.2.2:1", 10);
	assert_int_equal(b.n, 0);
	send_many(w, &b, "192.0.2.1:1", 10); /* the other direction is another thing */
	assert_int_equal(a.n, 10);
	fake_host_cut(w->b, true);
	send_many(w, &b, "192.0.2.1:1", 10);
	assert_int_equal(a.n, 10);
	sink_close(&a);
	sink_close(&b);
}

static void corruption(void **state)
{
	struct fake_pair *w = *state;
	struct sink a, b;
	unsigned bits = 0;

	sink_open(&a, w->os, "0.0.0.0:1", 0);
	sink_open(&b, w->os_b, "0.0.0.0:1", 0);
	fake_path(w->a, w->b)->corrupt_permille = 1000;
	send_to(&a, "192.0.2.2:1", 1000);
	fake_run_for(w->net, MS);
	for (unsigned i = 0; i < 1000; i++)
		bits += (unsigned)__builtin_popcount(b.bytes[i]);
	assert_int_equal(bits, 1);
	sink_close(&a);
	sink_close(&b);
}

static void nat_and_its_change(void **state)
{
	struct fake_pair *w = *state;
	struct sink a, b;

	sink_open(&a, w->os, "0.0.0.0:4655", 0);
	sink_open(&b, w->os_b, "0.0.0.0:4655", 0);
	fake_nat(w->a, "203.0.113.5:40000");
	assert_int_equal(send_to(&b, "203.0.113.5:40000", 5), 0);
	assert_int_equal(send_to(&b, "192.0.2.1:4655", 5), 0);
	fake_run_for(w->net, MS);
	assert_int_equal(a.n, 0); /* nothing was sent out yet; and not by the inner address */

	send_to(&a, "192.0.2.2:4655", 5);
	fake_run_for(w->net, MS);
	assert_addr(&b.last.remote, "203.0.113.5:40000");
	send_to(&b, "203.0.113.5:40000", 6);
	fake_run_for(w->net, MS);
	assert_int_equal(a.n, 1);
	assert_addr(&a.last.local, "192.0.2.1:4655");

	fake_nat(w->a, "203.0.113.5:50000");
	send_to(&b, "203.0.113.5:40000", 6);
	fake_run_for(w->net, MS);
	assert_int_equal(a.n, 1);
	send_to(&a, "192.0.2.2:4655", 5);
	fake_run_for(w->net, MS);
	assert_addr(&b.last.remote, "203.0.113.5:50000");
	sink_close(&a);
	sink_close(&b);
}

struct spy {
	unsigned n;
	bool pass;
	struct addr from, to;
	uint8_t bytes[64];
	size_t len;
};

static bool spy_on(void *arg, const struct addr *from, const struct addr *to, const uint8_t *buf,
		   size_t len)
{
	struct spy *s = arg;

	s->n++;
	s->from = *from;
	s->to = *to;
	s->len = MIN(len, sizeof(s->bytes));
	memcpy(s->bytes, buf, s->len);
	return s->pass;
}

static void filter_and_forge(void **state)
{
	struct fake_pair *w = *state;
	struct sink a, b;
	struct spy spy = { .pass = false };

	sink_open(&a, w->os, "0.0.0.0:1", 0);
	sink_open(&b, w->os_b, "0.0.0.0:1", 0);
	fake_filter(w->net, spy_on, &spy);
	send_to(&a, "192.0.2.2:1", 7);
	fake_run_for(w->net, MS);
	assert_int_equal(spy.n, 1);
	assert_int_equal(b.n, 0);
	/* Replayed by somebody else. */
	struct addr evil = at("198.51.100.1:666");
	fake_forge(w->net, &evil, &spy.to, spy.bytes, spy.len);
	fake_run_for(w->net, 1);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.len, 7);
	assert_addr(&b.last.remote, "198.51.100.1:666");
	sink_close(&a);
	sink_close(&b);
}

/* What an end keeps until drained(), and looks at only there. */
struct keeper {
	struct os_udp *u;
	unsigned n, damaged;
	uint8_t type[600];
	const uint8_t *at[600];
	size_t len[600];
};

static void keeper_datagram(void *arg, unsigned lane, const struct path *from, uint8_t *buf,
			    size_t len)
{
	struct keeper *p = arg;

	(void)lane;
	(void)from;
	p->at[p->n] = buf;
	p->len[p->n] = len;
	p->type[p->n++] = buf[0];
}

static void keeper_drained(void *arg, unsigned lane)
{
	struct keeper *p = arg;

	(void)lane;
	for (unsigned i = 0; i < p->n; i++)
		p->damaged += p->at[i] && p->at[i][0] != p->type[i];
	memset(p->at, 0, sizeof(p->at));
}

static const struct os_udp_ops keeper_ops = { keeper_datagram, keeper_drained };

/* One call, several datagrams; what is not data comes first, and has room of its own. */
static void runs(void **state)
{
	struct fake_pair *w = *state;
	static uint8_t bytes[4000] = { 4 };
	struct path to = { .remote = at("192.0.2.2:1") };
	struct addr any = at("0.0.0.0:1");
	struct offloads o = { 0 };
	static struct keeper b;
	struct sink a;

	memset(&b, 0, sizeof(b));
	bytes[1000] = bytes[2000] = bytes[3000] = 4;
	sink_open(&a, w->os, "0.0.0.0:1", 0);
	assert_int_equal(w->os_b->udp_open(w->os_b, &any, 0, OFFLOAD_ALL, &keeper_ops, &b, &b.u),
			 0);
	assert_int_equal(w->os->udp_send(w->os, a.u, 0, &to, bytes, 3001, 1000), 0);
	assert_int_equal(fake_calls(w->a, FAKE_UDP_SEGMENT), 1);
	assert_int_equal(w->os->udp_send(w->os, a.u, 0, &to, bytes, 100, 0), -EINVAL);
	fake_host_stall(w->b, 10 * MS);
	for (unsigned i = 0; i < 200; i++)
		w->os->udp_send(w->os, a.u, 0, &to, bytes, 4000, 1000);
	assert_int_equal(w->os->udp_send(w->os, a.u, 0, &to, "\5", 1, 1), 0);
	fake_run_for(w->net, 5 * MS);
	assert_int_equal(b.n, 0);
	b.n = 0;
	fake_run_for(w->net, 5 * MS + 1);
	assert_int_equal(b.type[0], 5);
	assert_int_equal(b.type[1], 4);
	assert_int_equal(b.damaged, 0);

	fake_fail(w->a, FAKE_UDP_SEGMENT, 0, 1, -EIO);
	w->os->udp_offloads(w->os, a.u, &o);
	assert_true(offload_on(o.active, OFFLOAD_UDP_SEGMENT));
	assert_int_equal(w->os->udp_send(w->os, a.u, 0, &to, bytes, 2000, 1000), 0);
	o = (struct offloads){ 0 };
	w->os->udp_offloads(w->os, a.u, &o);
	assert_false(offload_on(o.active, OFFLOAD_UDP_SEGMENT));
	assert_string_not_equal(o.why[OFFLOAD_UDP_SEGMENT], "");
	sink_close(&a);
	w->os_b->udp_close(w->os_b, b.u);
}

static void close_inside_callback(void **state)
{
	struct fake_pair *w = *state;
	struct sink a, b;

	sink_open(&a, w->os, "0.0.0.0:1", 0);
	sink_open(&b, w->os_b, "0.0.0.0:1", 0);
	b.close_inside = true;
	send_to(&a, "192.0.2.2:1", 7);
	send_to(&a, "192.0.2.2:1", 7);
	fake_run_for(w->net, MS);
	assert_int_equal(b.n, 1);
	assert_int_equal(b.drained, 0);
	sink_close(&a);
}

static void count_call(void *arg)
{
	++*(unsigned *)arg;
}

static void stall(void **state)
{
	struct fake_pair *w = *state;
	struct sink a, b;
	unsigned fired = 0;
	struct os_timer *timer;

	sink_open(&a, w->os, "0.0.0.0:1", 0);
	sink_open(&b, w->os_b, "0.0.0.0:1", 0);
	w->os_b->timer_new(w->os_b, count_call, &fired, &timer);
	w->os_b->timer_set(w->os_b, timer, w->os_b->now_us(w->os_b) + MS);
	fake_host_stall(w->b, 10 * US_PER_S);
	for (int i = 0; i < 3; i++)
		send_to(&a, "192.0.2.2:1", 7);
	fake_run_for(w->net, 10 * US_PER_S - 1);
	assert_int_equal(b.n, 0);
	assert_int_equal(fired, 0);
	fake_run_for(w->net, 1);
	assert_int_equal(b.n, 3); /* from the socket's queue, old as they are */
	assert_int_equal(fired, 1);
	w->os_b->timer_free(w->os_b, timer);
	sink_close(&a);
	sink_close(&b);
}

/* ---- names ---- */

struct answer {
	unsigned called, n;
	struct addr addrs[4];
	char error[64];
};

static void answered(void *arg, const struct addr *addrs, unsigned n, const char *error)
{
	struct answer *a = arg;

	a->called++;
	a->n = n;
	memcpy(a->addrs, addrs, n * sizeof(*addrs));
	snprintf(a->error, sizeof(a->error), "%s", error ? error : "");
}

static struct answer look_up(struct fake_pair *w, const char *name)
{
	struct answer a = { 0 };
	struct os_query *q;

	assert_int_equal(w->os->resolve(w->os, name, 99, answered, &a, &q), 0);
	assert_int_equal(a.called, 0);
	fake_run_for(w->net, 10 * MS);
	assert_int_equal(a.called, 1);
	return a;
}

static void names(void **state)
{
	struct fake_pair *w = *state;
	struct answer a = look_up(w, "198.51.100.7"), none = { 0 };
	struct os_query *q;

	assert_int_equal(a.n, 1);
	assert_addr(&a.addrs[0], "198.51.100.7:99");
	a = look_up(w, "2001:db8::7");
	assert_addr(&a.addrs[0], "[2001:db8::7]:99");
	a = look_up(w, "b.example");
	assert_int_equal(a.n, 0);
	assert_string_equal(a.error, "Name or service not known");

	fake_name(w->net, "b.example", (const char *[]){ "192.0.2.2", "2001:db8::2" }, 2, NULL);
	a = look_up(w, "b.example");
	assert_int_equal(a.n, 2);
	assert_addr(&a.addrs[1], "[2001:db8::2]:99");
	fake_name(w->net, "b.example", NULL, 0, "server failure");
	a = look_up(w, "b.example");
	assert_int_equal(a.n, 0);
	assert_string_equal(a.error, "server failure");

	w->os->resolve(w->os, "b.example", 1, answered, &none, &q);
	w->os->resolve_cancel(w->os, q);
	fake_run_for(w->net, 10 * MS);
	assert_int_equal(none.called, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, fake_pair_setup, fake_pair_teardown)
	const struct CMUnitTest tests[] = {
		TEST(datagrams_travel),
		TEST(sockets_refuse),
		TEST(ipv6_and_source_choice),
		TEST(path_mtu_is_silent),
		TEST(loss_copies_order_cuts),
		TEST(corruption),
		TEST(nat_and_its_change),
		TEST(filter_and_forge),
		TEST(close_inside_callback),
		TEST(runs),
		TEST(stall),
		TEST(names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
