/*
 * Several threads seal and open under the keys of one session at once, as the lanes of a
 * daemon with workers do; and what a lane must leave to the main thread. Under
 * ThreadSanitizer (configure --enable-sanitizers=thread) it also shows that nothing else is shared.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/session/peer.h"
#include "tests/support/session_pair.h"

#define LANES 4
#define EACH 4096 /* datagrams that a lane seals */
#define ALL (LANES * EACH)
#define ROUND 512 /* datagrams between two meetings, well inside the replay window */
#define RECORDS 24

struct dgram {
	int len;
	uint8_t bytes[DGRAM_HDR_BYTES + RECORDS + CRYPTO_TAG_BYTES];
};

/* One thread: seals its part, or opens its part and, as a copy, that of its neighbour. */
struct worker {
	struct session_pair *pair;
	struct dgram *all;
	pthread_barrier_t *meet;
	unsigned lane;
	pthread_t thread;
	uint64_t taken, replayed, other;
};

static struct session_pair *pair_new(enum data_mode mode, unsigned lanes)
{
	struct session_pair *p = session_pair_new_lanes(lanes);

	for (unsigned i = 0; i < 2; i++) {
		struct session_params sp = p->nodes[i].s->p;

		sp.modes = 1u << mode;
		session_update(p->nodes[i].s, &sp, p->now_us);
	}
	session_pair_run(p, 3 * US_PER_S);
	assert_int_equal(p->nodes[0].s->cur->seal.mode, mode);
	return p;
}

static struct path from_left(const struct session_pair *p)
{
	return (struct path){ p->nodes[0].addr, p->nodes[1].addr, 0 };
}

static int take(struct session_pair *p, unsigned lane, struct dgram *d)
{
	struct path from = from_left(p);
	struct session *s = NULL;
	int n = sessions_data_input(p->nodes[1].ss, lane, &from, d->bytes, (size_t)d->len,
				    p->now_us, &s);

	assert_true(n < 0 || s == p->nodes[1].s);
	return n;
}

static void *seal_part(void *arg)
{
	struct worker *w = arg;
	const struct path *path;

	for (unsigned i = 0; i < EACH; i++) {
		struct dgram *d = &w->all[w->lane * EACH + i];

		memset(d->bytes + DGRAM_HDR_BYTES, (int)(w->lane + 1), RECORDS);
		d->len = session_seal(w->pair->nodes[0].s, w->lane, d->bytes, RECORDS,
				      w->pair->now_us, &path);
		w->other += d->len != (int)sizeof(d->bytes);
	}
	return NULL;
}

static void open_one(struct worker *w, const struct dgram *d)
{
	struct dgram copy = *d;
	int n = take(w->pair, w->lane, &copy);

	if (n == RECORDS && copy.bytes[DGRAM_HDR_BYTES] == d->bytes[1] + 1)
		w->taken++;
	else if (n == -EALREADY)
		w->replayed++;
	else
		w->other++;
}

static void *open_part(void *arg)
{
	struct worker *w = arg;

	for (unsigned at = 0; at < ALL; at += ROUND) {
		for (unsigned i = at; i < at + ROUND; i++) {
			if (i % LANES == w->lane || (i + 1) % LANES == w->lane)
				open_one(w, &w->all[i]);
		}
		pthread_barrier_wait(w->meet);
	}
	return NULL;
}

static void run(struct worker w[LANES], void *(*fn)(void *arg))
{
	for (unsigned i = 0; i < LANES; i++)
		assert_int_equal(pthread_create(&w[i].thread, NULL, fn, &w[i]), 0);
	for (unsigned i = 0; i < LANES; i++)
		assert_int_equal(pthread_join(w[i].thread, NULL), 0);
}

static int by_counter(const void *a, const void *b)
{
	uint64_t x = get_le64(((const struct dgram *)a)->bytes + 8);
	uint64_t y = get_le64(((const struct dgram *)b)->bytes + 8);

	return x < y ? -1 : x > y;
}

/* Every counter once; of two copies in two lanes one is taken; nothing is lost. */
static void lanes_at_once(enum data_mode mode)
{
	struct session_pair *p = pair_new(mode, LANES);
	struct dgram *all = calloc(ALL, sizeof(*all));
	uint64_t first = counter_get(&p->nodes[0].s->cur->seal.tx_counter), taken = 0, replayed = 0;
	struct worker w[LANES] = { 0 };
	struct session_info tx, rx;
	pthread_barrier_t meet;

	assert_non_null(all);
	pthread_barrier_init(&meet, NULL, LANES);
	session_get_info(p->nodes[0].s, &tx);
	session_get_info(p->nodes[1].s, &rx);
	uint64_t sent = tx.tx_datagrams, received = rx.rx_datagrams;
	for (unsigned i = 0; i < LANES; i++)
		w[i] = (struct worker){ .pair = p, .all = all, .meet = &meet, .lane = i };
	run(w, seal_part);
	qsort(all, ALL, sizeof(*all), by_counter);
	for (unsigned i = 0; i < ALL; i++)
		assert_int_equal(get_le64(all[i].bytes + 8), first + i);
	run(w, open_part);
	for (unsigned i = 0; i < LANES; i++) {
		taken += w[i].taken;
		replayed += w[i].replayed;
		assert_int_equal(w[i].other, 0);
	}
	assert_int_equal(taken, ALL);
	assert_int_equal(replayed, ALL);
	session_get_info(p->nodes[0].s, &tx);
	session_get_info(p->nodes[1].s, &rx);
	assert_int_equal(tx.tx_datagrams, sent + ALL);
	assert_int_equal(rx.rx_datagrams, received + ALL);
	assert_int_equal(rx.drop_replay, ALL);
	assert_int_equal(rx.drop_auth, 0);
	pthread_barrier_destroy(&meet);
	free(all);
	session_pair_free(p);
}

static void test_at_once(void **state)
{
	(void)state;
	lanes_at_once(DATA_AEAD);
	lanes_at_once(DATA_AUTH);
}

static struct dgram sealed(struct session_pair *p, unsigned lane)
{
	struct dgram d = { 0 };
	const struct path *path;

	d.len = session_seal(p->nodes[0].s, lane, d.bytes, RECORDS, p->now_us, &path);
	assert_true(d.len > 0);
	return d;
}

/* The lane in the header is a hint: authenticated, where anything is, and of no consequence. */
static void test_hint(void **state)
{
	(void)state;
	for (enum data_mode mode = 0; mode < DATA_MODES; mode++) {
		struct session_pair *p = pair_new(mode, LANES);

		for (unsigned i = 0; i < LANES; i++) {
			struct dgram d = sealed(p, i), forged = d;

			assert_int_equal(d.bytes[1], i);
			forged.bytes[1] ^= 1;
			assert_int_equal(take(p, 0, &forged),
					 mode == DATA_NONE ? RECORDS : -EBADMSG);
			assert_int_equal(take(p, LANES - 1 - i, &d), RECORDS);
		}
		session_pair_free(p);
	}
}

/* The datagram is left as it was, and the main thread takes it. */
static void assert_for_main(struct session_pair *p, const struct path *from, struct dgram d)
{
	struct dgram before = d;
	struct session *s;
	unsigned records = p->nodes[1].records;

	assert_int_equal(
		sessions_data_input(p->nodes[1].ss, 1, from, d.bytes, (size_t)d.len, p->now_us, &s),
		-EAGAIN);
	assert_memory_equal(&d, &before, sizeof(d));
	sessions_input(p->nodes[1].ss, from, d.bytes, (size_t)d.len, p->now_us);
	assert_int_equal(p->nodes[1].records, records + 1);
}

static void test_not_routine(void **state)
{
	struct session_pair *p = pair_new(DATA_AEAD, LANES);
	struct path from = from_left(p), moved = from;
	(void)state;

	/* From another address: the peer has moved. */
	addr_set_port(&moved.remote, 40000);
	assert_for_main(p, &moved, sealed(p, 1));
	assert_int_equal(addr_port(&p->nodes[1].s->path.remote), 40000);
	assert_for_main(p, &from, sealed(p, 1));

	/* Something has happened that sessions_tick() has not looked at yet. */
	session_wake(p->nodes[1].s);
	assert_for_main(p, &from, sealed(p, 1));
	sessions_tick(p->nodes[1].ss, p->now_us);
	struct dgram d = sealed(p, 1);
	assert_int_equal(take(p, 1, &d), RECORDS);

	/* Control, which may do anything. */
	struct dgram control = sealed(p, 1);
	control.bytes[0] = DGRAM_CONTROL;
	assert_int_equal(take(p, 1, &control), -EAGAIN);
	session_pair_free(p);
}

/* The first data under keys that wait for it. */
static void test_fresh_keys(void **state)
{
	struct session_pair *p = pair_new(DATA_AEAD, LANES);
	struct path from = from_left(p);
	(void)state;

	p->nodes[0].s->call.forced = true;
	session_wake(p->nodes[0].s);
	struct keypair *old = p->nodes[0].s->cur;
	p->hold_control = true;
	session_pair_run(p, 10 * US_PER_MS);
	assert_true(p->nodes[0].s->cur != old);
	assert_non_null(p->nodes[1].s->fresh);
	assert_for_main(p, &from, sealed(p, 2));
	assert_null(p->nodes[1].s->fresh);
	sessions_tick(p->nodes[1].ss, p->now_us);
	struct dgram d = sealed(p, 3);
	assert_int_equal(take(p, 2, &d), RECORDS);
	session_pair_free(p);
}

/*
 * One lane's socket holds all that its buffer takes while its thread waits for a processor, and the
 * others go on: what comes late that way was not replayed.
 */
static void test_lane_that_waits(void **state)
{
	enum { BACKLOG = 10000 };
	struct session_pair *p = pair_new(DATA_AEAD, LANES);
	struct dgram *late = calloc(BACKLOG, sizeof(*late));
	(void)state;

	assert_non_null(late);
	for (unsigned i = 0; i < BACKLOG; i++) {
		late[i] = sealed(p, 1);
		struct dgram d = sealed(p, 2);
		assert_int_equal(take(p, 2, &d), RECORDS);
	}
	for (unsigned i = 0; i < BACKLOG; i++)
		assert_int_equal(take(p, 1, &late[i]), RECORDS);
	free(late);
	session_pair_free(p);
}

/* Garbage is counted where it comes, nobody else is bothered. */
static void test_garbage(void **state)
{
	struct session_pair *p = pair_new(DATA_AEAD, LANES);
	struct sessions_counters before = *sessions_counters(p->nodes[1].ss);
	struct dgram d = sealed(p, 1), x = d;
	(void)state;

	x.bytes[2] = 1;
	assert_int_equal(take(p, 1, &x), -EPROTO);
	x = d;
	x.len = 15;
	assert_int_equal(take(p, 2, &x), -EPROTO);
	x = d;
	x.bytes[4] ^= 0x80;
	assert_int_equal(take(p, 3, &x), -ENOENT);
	x = d;
	x.bytes[30] ^= 1;
	assert_int_equal(take(p, 3, &x), -EBADMSG);
	assert_int_equal(take(p, 3, &d), RECORDS);

	const struct sessions_counters *now = sessions_counters(p->nodes[1].ss);
	struct session_info info;
	assert_int_equal(now->bad_header, before.bad_header + 2);
	assert_int_equal(now->unknown_index, before.unknown_index + 1);
	session_get_info(p->nodes[1].s, &info);
	assert_int_equal(info.drop_auth, 1);
	session_pair_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_once),	    cmocka_unit_test(test_hint),
		cmocka_unit_test(test_not_routine), cmocka_unit_test(test_fresh_keys),
		cmocka_unit_test(test_garbage),	    cmocka_unit_test(test_lane_that_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
