/*
 * Lanes: threads beside the loop. Who runs when, events of what is gone already, the mailbox,
 * and a main thread that is not kept waiting. Under ThreadSanitizer, too.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "common/counter.h"
#include "common/util.h"
#include "l2tund/kernel/lanes.h"

#define LANES 3

/* One descriptor that is always ready, and what its calls saw. */
struct source {
	struct world *world;
	int fd;
	struct lane_fd *f;
	unsigned lane;
	struct counter calls;
	_Atomic bool gone; /* freed: no call may come */
	_Atomic bool wrong;
	char name[16];
};

struct world {
	struct loop *loop;
	struct lanes *lanes;
	struct loop_timer *timer;
	struct source s[LANES];
	unsigned balance; /* changed by the main thread in two steps, even in between */
	unsigned rounds;
	uint64_t worst_us, set_us;
	uint64_t got[LANES + 1], wrong;
	unsigned drained;
};

static void source_open(struct world *w, struct source *s, unsigned lane,
			void (*fn)(void *arg, unsigned lane))
{
	s->world = w;
	s->lane = lane;
	s->fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_true(s->fd >= 0);
	s->gone = false;
	assert_int_equal(lane_fd_new(w->lanes, lane, s->fd, fn, s, &s->f), 0);
}

static void source_close(struct source *s)
{
	s->gone = true;
	lane_fd_free(s->f);
	close(s->fd);
}

static void world_open(struct world *w, void (*tick)(void *arg))
{
	memset(w, 0, sizeof(*w));
	assert_int_equal(loop_new(NULL, &w->loop), 0);
	assert_int_equal(lanes_new(w->loop, LANES, &w->lanes), 0);
	assert_int_equal(lanes_start(w->lanes), 0);
	assert_int_equal(loop_timer_new(w->loop, tick, w, &w->timer), 0);
}

static void world_close(struct world *w)
{
	loop_timer_free(w->timer);
	lanes_free(w->lanes);
	loop_free(w->loop);
}

static void again(struct world *w, uint64_t us)
{
	w->set_us = loop_now_us() + us;
	loop_timer_set(w->timer, w->set_us);
}

/* A lane sees nothing half done, and is where it says. */
static void look(void *arg, unsigned lane)
{
	struct source *s = arg;

	if (s->gone || lane != s->lane || s->world->balance % 2)
		s->wrong = true;
	pthread_getname_np(pthread_self(), s->name, sizeof(s->name));
	counter_add(&s->calls, 1);
}

static void change(void *arg)
{
	struct world *w = arg;
	uint64_t late_us = loop_now_us() - w->set_us;

	w->worst_us = MAX(w->worst_us, late_us);
	w->balance++;
	for (unsigned i = 0; i < LANES; i++)
		sched_yield();
	w->balance++;
	if (++w->rounds == 200)
		loop_stop(w->loop);
	again(w, 100);
}

/* Lanes run only while the main thread waits, and it is not kept waiting by busy ones. */
static void test_turns(void **state)
{
	struct world w;
	(void)state;

	world_open(&w, change);
	for (unsigned i = 0; i < LANES; i++)
		source_open(&w, &w.s[i], i + 1, look);
	usleep(20000);
	for (unsigned i = 0; i < LANES; i++)
		assert_int_equal(counter_get(&w.s[i].calls), 0);
	again(&w, 0);
	assert_int_equal(loop_run(w.loop), 0);
	uint64_t calls = 0;
	for (unsigned i = 0; i < LANES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "l2tund-%u", i + 1);
		assert_false(w.s[i].wrong);
		calls += counter_get(&w.s[i].calls);
		if (counter_get(&w.s[i].calls))
			assert_string_equal(w.s[i].name, name);
	}
	assert_true(calls > 0);
	assert_true(w.worst_us < US_PER_S); /* thousands of calls: it is not starved */
	uint64_t still = counter_get(&w.s[0].calls);
	usleep(20000);
	assert_int_equal(counter_get(&w.s[0].calls), still);
	for (unsigned i = 0; i < LANES; i++)
		source_close(&w.s[i]);
	world_close(&w);
}

/* Frees a ready descriptor and takes another one into its place, again and again. */
static void replace(void *arg)
{
	struct world *w = arg;
	struct source *s = &w->s[w->rounds % LANES];

	source_close(s);
	source_open(w, s, s->lane % LANES + 1, look);
	if (++w->rounds == 500)
		loop_stop(w->loop);
	again(w, 100);
}

static void test_stale_events(void **state)
{
	struct world w;
	(void)state;

	world_open(&w, replace);
	for (unsigned i = 0; i < LANES; i++)
		source_open(&w, &w.s[i], i + 1, look);
	again(&w, 0);
	assert_int_equal(loop_run(w.loop), 0);
	for (unsigned i = 0; i < LANES; i++) {
		assert_false(w.s[i].wrong);
		source_close(&w.s[i]);
	}
	world_close(&w);
}

/* More descriptors than the table has room for at first. */
static void test_many(void **state)
{
	struct world w;
	struct source s[100] = { 0 };
	(void)state;

	world_open(&w, change);
	for (unsigned i = 0; i < ARRAY_SIZE(s); i++)
		source_open(&w, &s[i], i % LANES + 1, look);
	again(&w, 0);
	assert_int_equal(loop_run(w.loop), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(s); i++) {
		assert_false(s[i].wrong);
		source_close(&s[i]);
	}
	world_close(&w);
}

static void look_once(void *arg, unsigned lane)
{
	struct source *s = arg;

	look(arg, lane);
	lane_fd_silence(s->f);
}

static void test_silence(void **state)
{
	struct world w;
	(void)state;

	world_open(&w, change);
	source_open(&w, &w.s[0], 1, look_once);
	again(&w, 20000);
	assert_int_equal(loop_run(w.loop), 0);
	assert_int_equal(counter_get(&w.s[0].calls), 1);
	source_close(&w.s[0]);
	world_close(&w);
}

/* mailbox */

static bool post(struct lanes *l, void (*fn)(void *arg, void *data, size_t len), void *arg,
		 void *data, size_t len)
{
	const struct iovec parts[] = { { data, len / 2 },
				       { (uint8_t *)data + len / 2, len - len / 2 } };

	return lanes_post(l, fn, arg, parts, 2);
}

struct letter {
	unsigned lane;
	uint64_t number;
};

static void letter_read(void *arg, void *data, size_t len)
{
	struct world *w = arg;
	struct letter l;

	memcpy(&l, data, sizeof(l));
	if (len != sizeof(l) || l.number != w->got[l.lane])
		w->wrong++;
	w->got[l.lane] = l.number + 1;
}

static void letters_read(void *arg)
{
	struct world *w = arg;

	w->drained++;
}

static void letter_write(void *arg, unsigned lane)
{
	struct source *s = arg;
	struct letter l = { lane, counter_get(&s->calls) };

	if (post(s->world->lanes, letter_read, s->world, &l, sizeof(l)))
		counter_add(&s->calls, 1);
}

/* Each lane's posts come in order, none twice, and those that do not fit are counted. */
static void test_mailbox(void **state)
{
	struct world w;
	uint64_t got = 0, posted = 0;
	(void)state;

	world_open(&w, change);
	lanes_on_posts(w.lanes, letters_read, &w);
	for (unsigned i = 0; i < LANES; i++)
		source_open(&w, &w.s[i], i + 1, letter_write);
	again(&w, 0);
	assert_int_equal(loop_run(w.loop), 0);
	for (unsigned i = 0; i < LANES; i++)
		source_close(&w.s[i]);
	/* What is left. */
	w.rounds = 199;
	again(&w, 20000);
	assert_int_equal(loop_run(w.loop), 0);
	for (unsigned i = 0; i < LANES; i++) {
		got += w.got[i + 1];
		posted += counter_get(&w.s[i].calls);
	}
	assert_int_equal(w.wrong, 0);
	assert_true(got > 0 && got == posted);
	assert_true(w.drained > 0);
	world_close(&w);
}

static void test_mailbox_full(void **state)
{
	static uint8_t large[10000];
	struct world w;
	unsigned taken = 0;
	struct letter l = { 0, 0 };
	int other;
	(void)state;

	world_open(&w, change);
	assert_true(post(w.lanes, letter_read, &w, &l, sizeof(l)));
	while (post(w.lanes, letter_read, &other, large, sizeof(large)))
		taken++;
	assert_in_range(taken, 15, LANES_MAILBOX_BYTES / sizeof(large));
	assert_int_equal(lanes_lost(w.lanes), 1);
	l.number = 1;
	assert_true(post(w.lanes, letter_read, &w, &l, sizeof(l))); /* small ones fit */
	lanes_forget(w.lanes, &other);
	w.rounds = 199;
	again(&w, 20000);
	assert_int_equal(loop_run(w.loop), 0);
	assert_int_equal(w.got[0], 2);
	assert_int_equal(w.wrong, 0);
	assert_true(post(w.lanes, letter_read, &w, large, sizeof(large)));
	world_close(&w);
}

/* The first of two makes the other's object go. */
static void letter_forget(void *arg, void *data, size_t len)
{
	struct world *w = arg;

	(void)data;
	(void)len;
	lanes_forget(w->lanes, &w->got);
}

static void test_forget_from_post(void **state)
{
	struct world w;
	struct letter l = { 0, 0 };
	(void)state;

	world_open(&w, change);
	assert_true(post(w.lanes, letter_forget, &w, NULL, 0));
	assert_true(post(w.lanes, letter_read, &w.got, &l, sizeof(l)));
	assert_true(post(w.lanes, letter_read, &w, &l, sizeof(l)));
	w.rounds = 199;
	again(&w, 20000);
	assert_int_equal(loop_run(w.loop), 0);
	assert_int_equal(w.got[0], 1);
	assert_int_equal(w.wrong, 0);
	world_close(&w);
}

static void on_signal(void *arg, int signo)
{
	(void)signo;
	loop_stop(((struct world *)arg)->loop);
}

/* Signals are the loop's, also when only lanes are awake. */
static void test_signals(void **state)
{
	struct world w;
	struct loop_signal *s;
	(void)state;

	world_open(&w, change);
	for (unsigned i = 0; i < LANES; i++)
		source_open(&w, &w.s[i], i + 1, look);
	assert_int_equal(loop_signal_new(w.loop, SIGUSR1, on_signal, &w, &s), 0);
	kill(getpid(), SIGUSR1);
	assert_int_equal(loop_run(w.loop), 0);
	for (unsigned i = 0; i < LANES; i++)
		source_close(&w.s[i]);
	loop_signal_free(s);
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_stale_events),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_mailbox),
		cmocka_unit_test(test_mailbox_full),
		cmocka_unit_test(test_forget_from_post),
		cmocka_unit_test(test_signals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
