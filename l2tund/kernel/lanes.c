/*
 * Lanes. A thread waits in epoll_wait() without the lock and takes it for each event. Between the
 * two the descriptor may be gone, so an event carries no pointer but a slot of the table and its
 * generation, which only the main thread changes, holding the lock alone.
 *
 * The lock prefers writers: the main thread, which keeps the sessions alive, waits for no more than
 * the call that each lane is in, however busy they are.
 *
 * The mailbox is two buffers: lanes fill one, while the main thread works off the other.
 */
#include "l2tund/kernel/lanes.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "common/counter.h"
#include "common/util.h"

#define EVENTS 8
#define NO_SLOT UINT64_MAX /* the event that ends the threads */

struct lane_fd {
	struct lanes *lanes;
	unsigned lane;
	int fd;
	uint32_t slot;
	void (*fn)(void *arg, unsigned lane);
	void *arg;
};

/* What an event finds. A free slot keeps its generation. */
struct slot {
	struct lane_fd *fd; /* NULL: free */
	uint32_t generation;
};

struct lane {
	struct lanes *lanes;
	unsigned number;
	int epoll;
	pthread_t thread;
	bool started;
};

/* In a buffer of the mailbox, one behind the other. */
struct post {
	void (*fn)(void *arg, void *data, size_t len); /* NULL: forgotten */
	void *arg;
	size_t len;
	size_t size; /* to the next one */
	uint8_t data[] __attribute__((aligned(16)));
};

struct mailbox {
	pthread_mutex_t lock; /* of `fill`, `filled` and the writing of `lost` */
	uint8_t *fill, *work;
	size_t filled, working; /* bytes */
	struct counter lost;
	int event;
	struct loop_fd *event_fd;
	void (*after)(void *arg);
	void *after_arg;
};

/* Owned by whoever called lanes_new(). */
struct lanes {
	struct loop *loop;
	pthread_rwlock_t world;
	bool has_world; /* made */
	atomic_bool stopping;
	int stop; /* eventfd in all epolls */
	struct slot *slots;
	uint32_t n_slots;
	struct mailbox mailbox;
	unsigned n;
	struct lane lane[]; /* [0] is lane 1 */
};

/* the threads */

static struct lane_fd *find(const struct lanes *l, uint64_t key)
{
	uint32_t at = (uint32_t)key, generation = (uint32_t)(key >> 32);

	if (at >= l->n_slots || l->slots[at].generation != generation)
		return NULL;
	return l->slots[at].fd;
}

static void lane_event(struct lane *me, uint64_t key)
{
	struct lanes *l = me->lanes;

	pthread_rwlock_rdlock(&l->world);
	struct lane_fd *f = find(l, key);
	if (f)
		f->fn(f->arg, me->number);
	pthread_rwlock_unlock(&l->world);
}

static void *lane_run(void *arg)
{
	struct lane *me = arg;
	struct epoll_event events[EVENTS];

	while (!atomic_load(&me->lanes->stopping)) {
		int n = epoll_wait(me->epoll, events, EVENTS, -1);

		for (int i = 0; i < n; i++)
			lane_event(me, events[i].data.u64);
	}
	return NULL;
}

static int lane_watch(struct lane *me, int fd, uint64_t key)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = key };

	return epoll_ctl(me->epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

static int lane_start(struct lane *me)
{
	char name[16];
	int r = pthread_create(&me->thread, NULL, lane_run, me);

	if (r != 0)
		return -r;
	me->started = true;
	snprintf(name, sizeof(name), "l2tund-%u", me->number);
	pthread_setname_np(me->thread, name);
	return 0;
}

int lanes_start(struct lanes *l)
{
	sigset_t all, before;
	int r = 0;

	/* Signals are for the main thread. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < l->n && r == 0; i++)
		r = lane_start(&l->lane[i]);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

/* descriptors */

static int slot_new(struct lanes *l, uint32_t *ret)
{
	for (uint32_t i = 0; i < l->n_slots; i++) {
		if (!l->slots[i].fd) {
			*ret = i;
			return 0;
		}
	}
	uint32_t n = l->n_slots ? 2 * l->n_slots : 16;
	struct slot *more = realloc(l->slots, n * sizeof(*more));
	if (!more)
		return -ENOMEM;
	memset(more + l->n_slots, 0, (n - l->n_slots) * sizeof(*more));
	*ret = l->n_slots;
	l->slots = more;
	l->n_slots = n;
	return 0;
}

int lane_fd_new(struct lanes *l, unsigned lane, int fd, void (*fn)(void *arg, unsigned lane),
		void *arg, struct lane_fd **ret)
{
	struct lane_fd *f = calloc(1, sizeof(*f));
	uint32_t at;
	int r = f ? slot_new(l, &at) : -ENOMEM;

	if (r == 0)
		r = lane_watch(&l->lane[lane - 1], fd,
			       (uint64_t)l->slots[at].generation << 32 | at);
	if (r < 0) {
		free(f);
		return r;
	}
	*f = (struct lane_fd){
		.lanes = l, .lane = lane, .fd = fd, .slot = at, .fn = fn, .arg = arg
	};
	l->slots[at].fd = f;
	*ret = f;
	return 0;
}

void lane_fd_silence(struct lane_fd *f)
{
	epoll_ctl(f->lanes->lane[f->lane - 1].epoll, EPOLL_CTL_DEL, f->fd, NULL);
}

void lane_fd_free(struct lane_fd *f)
{
	if (!f)
		return;
	lane_fd_silence(f);
	f->lanes->slots[f->slot].fd = NULL;
	f->lanes->slots[f->slot].generation++;
	free(f);
}

/* the mailbox */

static void post_fill(struct post *p, const struct iovec *iov, unsigned n)
{
	size_t at = 0;

	for (unsigned i = 0; i < n; i++) {
		if (iov[i].iov_len) /* else there may be no base */
			memcpy(p->data + at, iov[i].iov_base, iov[i].iov_len);
		at += iov[i].iov_len;
	}
}

bool lanes_post(struct lanes *l, void (*fn)(void *arg, void *data, size_t len), void *arg,
		const struct iovec *iov, unsigned n)
{
	struct mailbox *m = &l->mailbox;
	uint64_t one = 1;
	size_t len = 0;
	bool room, first;

	for (unsigned i = 0; i < n; i++)
		len += iov[i].iov_len;
	size_t size = sizeof(struct post) + (len + 15) / 16 * 16;
	size_t reserve = len > LANES_POST_SMALL ? LANES_RESERVE_BYTES : 0;

	pthread_mutex_lock(&m->lock);
	room = m->filled + size + reserve <= LANES_MAILBOX_BYTES;
	first = m->filled == 0;
	if (room) {
		struct post *p = (struct post *)(m->fill + m->filled);

		*p = (struct post){ .fn = fn, .arg = arg, .len = len, .size = size };
		post_fill(p, iov, n);
		m->filled += size;
	} else {
		counter_add(&m->lost, 1);
	}
	pthread_mutex_unlock(&m->lock);
	if (room && first && write(m->event, &one, sizeof(one)) < 0)
		return true; /* it cannot be full: there is an event anyway */
	return room;
}

static void mailbox_swap(struct mailbox *m)
{
	uint8_t *fill = m->fill;

	pthread_mutex_lock(&m->lock);
	m->fill = m->work;
	m->work = fill;
	m->working = m->filled;
	m->filled = 0;
	pthread_mutex_unlock(&m->lock);
}

static void mailbox_ready(void *arg, unsigned what)
{
	struct mailbox *m = arg;
	struct post *p;
	uint64_t n;

	(void)what;
	if (read(m->event, &n, sizeof(n)) < 0)
		return;
	mailbox_swap(m);
	for (size_t at = 0; at < m->working; at += p->size) {
		p = (struct post *)(m->work + at);
		if (p->fn)
			p->fn(p->arg, p->data, p->len);
	}
	m->working = 0;
	if (m->after)
		m->after(m->after_arg);
}

static void forget(uint8_t *buf, size_t len, const void *arg)
{
	struct post *p;

	for (size_t at = 0; at < len; at += p->size) {
		p = (struct post *)(buf + at);
		if (p->arg == arg)
			p->fn = NULL;
	}
}

void lanes_forget(struct lanes *l, const void *arg)
{
	/* Lanes do not run now, so nobody fills. What is being worked off counts, too. */
	forget(l->mailbox.fill, l->mailbox.filled, arg);
	forget(l->mailbox.work, l->mailbox.working, arg);
}

void lanes_on_posts(struct lanes *l, void (*fn)(void *arg), void *arg)
{
	l->mailbox.after = fn;
	l->mailbox.after_arg = arg;
}

uint64_t lanes_lost(const struct lanes *l)
{
	return counter_get(&l->mailbox.lost);
}

static int mailbox_init(struct mailbox *m, struct loop *loop)
{
	pthread_mutex_init(&m->lock, NULL);
	m->fill = malloc(LANES_MAILBOX_BYTES);
	m->work = malloc(LANES_MAILBOX_BYTES);
	m->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!m->fill || !m->work)
		return -ENOMEM;
	return m->event < 0 ? -errno : loop_fd_new(loop, m->event, mailbox_ready, m, &m->event_fd);
}

static void mailbox_fini(struct mailbox *m)
{
	loop_fd_free(m->event_fd);
	if (m->event >= 0)
		close(m->event);
	free(m->fill);
	free(m->work);
	pthread_mutex_destroy(&m->lock);
}

/* the lock */

static void world_take(void *arg)
{
	struct lanes *l = arg;

	pthread_rwlock_wrlock(&l->world);
}

static void world_leave(void *arg)
{
	struct lanes *l = arg;

	pthread_rwlock_unlock(&l->world);
}

static int world_init(struct lanes *l)
{
	pthread_rwlockattr_t a;
	int r = pthread_rwlockattr_init(&a);

	if (r == 0)
		r = pthread_rwlockattr_setkind_np(&a, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	if (r == 0)
		r = pthread_rwlock_init(&l->world, &a);
	if (r != 0)
		return -r;
	world_take(l);
	loop_set_turn(l->loop, world_take, world_leave, l);
	l->has_world = true;
	return 0;
}

/* the object */

static int lane_init(struct lane *me, struct lanes *l, unsigned number)
{
	me->lanes = l;
	me->number = number;
	me->epoll = epoll_create1(EPOLL_CLOEXEC);
	return me->epoll < 0 ? -errno : lane_watch(me, l->stop, NO_SLOT);
}

int lanes_new(struct loop *loop, unsigned n, struct lanes **ret)
{
	struct lanes *l = calloc(1, sizeof(*l) + n * sizeof(l->lane[0]));
	int r;

	if (!l)
		return -ENOMEM;
	l->loop = loop;
	l->n = n;
	for (unsigned i = 0; i < n; i++)
		l->lane[i].epoll = -1;
	l->stop = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	r = l->stop < 0 ? -errno : 0;
	if (mailbox_init(&l->mailbox, loop) < 0)
		r = -ENOMEM;
	for (unsigned i = 0; i < n && r == 0; i++)
		r = lane_init(&l->lane[i], l, i + 1);
	if (r == 0)
		r = world_init(l);
	if (r < 0) {
		lanes_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

static void lanes_stop(struct lanes *l)
{
	uint64_t one = 1;

	atomic_store(&l->stopping, true);
	if (l->stop >= 0 && write(l->stop, &one, sizeof(one)) < 0)
		return; /* cannot be: it was 0 */
	for (unsigned i = 0; i < l->n; i++) {
		if (l->lane[i].started)
			pthread_join(l->lane[i].thread, NULL);
	}
}

void lanes_free(struct lanes *l)
{
	if (!l)
		return;
	if (l->has_world) {
		loop_set_turn(l->loop, NULL, NULL, NULL);
		world_leave(l);
	}
	lanes_stop(l);
	if (l->has_world)
		pthread_rwlock_destroy(&l->world);
	for (unsigned i = 0; i < l->n; i++) {
		if (l->lane[i].epoll >= 0)
			close(l->lane[i].epoll);
	}
	if (l->stop >= 0)
		close(l->stop);
	mailbox_fini(&l->mailbox);
	free(l->slots);
	free(l);
}
