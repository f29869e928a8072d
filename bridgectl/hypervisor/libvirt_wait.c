/*
 * Events: libvirt's own loop in a thread, and waiting for the end of a domain.
 *
 * The thread takes no signals, so that Ctrl-C goes to who waits. Who waits sleeps until an event
 * comes; a short tick beside it looks at the stop flag and at the clock, never at the domain.
 * libvirt's loop is one for the process, so the thread is shared by all connections.
 */
#include <errno.h>

#include "bridgectl/hypervisor/libvirt_private.h"
#include "common/clock.h"

static struct {
	pthread_t thread;
	unsigned users; /* connections; they are opened and closed by one thread */
	bool registered;
	int timer; /* by which it is woken for its end */
	bool quit; /* the thread's own */
} loop;

/* --- The loop --- */

static void on_timer(int timer, void *arg)
{
	(void)timer;
	(void)arg;
	loop.quit = true;
}

static void *run_loop(void *arg)
{
	(void)arg;
	while (!loop.quit && virEventRunDefaultImpl() == 0)
		;
	return NULL;
}

static int start_thread(void)
{
	sigset_t all, old;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&loop.thread, NULL, run_loop, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int lv_events_begin(char *err)
{
	int r = 0;

	if (loop.users++)
		return 0;
	loop.quit = false;
	if (!loop.registered && virEventRegisterDefaultImpl() == 0)
		loop.registered = true;
	loop.timer = loop.registered ? virEventAddTimeout(-1, on_timer, NULL, NULL) : -1;
	if (loop.timer >= 0)
		r = start_thread();
	if (loop.timer >= 0 && !r)
		return 0;
	loop.users--;
	return hyper_fail(err, r ? r : -EIO, "libvirt's loop of events cannot be had: %s",
			  r ? strerror(-r) : "it is not registered");
}

void lv_events_end(void)
{
	if (--loop.users)
		return;
	virEventUpdateTimeout(loop.timer, 0);
	pthread_join(loop.thread, NULL);
	virEventRemoveTimeout(loop.timer);
}

/* --- Waiting --- */

void lv_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(c, &a);
	pthread_condattr_destroy(&a);
}

int lv_wait_tick(struct lv *lv, const volatile sig_atomic_t *stop)
{
	uint64_t until = clock_us() + LV_TICK_MS * US_PER_MS;
	struct timespec t = { .tv_sec = (time_t)(until / US_PER_S),
			      .tv_nsec = (long)(until % US_PER_S) * 1000 };

	pthread_cond_timedwait(&lv->changed, &lv->lock, &t);
	return stop && *stop ? -EINTR : lv->gone ? -EPIPE : 0;
}

static int on_lifecycle(virConnectPtr conn, virDomainPtr d, int event, int detail, void *arg)
{
	struct lv *lv = arg;

	(void)conn;
	(void)d;
	(void)detail;
	if (event != VIR_DOMAIN_EVENT_STOPPED && event != VIR_DOMAIN_EVENT_CRASHED)
		return 0;
	pthread_mutex_lock(&lv->lock);
	lv->stopped = true;
	pthread_cond_broadcast(&lv->changed);
	pthread_mutex_unlock(&lv->lock);
	return 0;
}

int lv_watch_begin(struct lv *lv, virDomainPtr d, char *err)
{
	int watch;

	lv->stopped = false;
	watch = virConnectDomainEventRegisterAny(lv->conn, d, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
						 VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), lv, NULL);
	return watch >= 0 ? watch : lv_fail(virDomainGetName(d), "be watched", err);
}

void lv_watch_end(struct lv *lv, int watch)
{
	virConnectDomainEventDeregisterAny(lv->conn, watch);
}

static void tell(const struct hyper_wait *how, unsigned timeout_s, uint64_t left_ms)
{
	if (how->progress)
		how->progress(how->arg, "waiting for the guest to shut down",
			      (int)(1000 - left_ms / MAX(1U, timeout_s)));
}

int lv_watch_wait(struct lv *lv, unsigned timeout_s, const struct hyper_wait *how)
{
	uint64_t until = clock_ms() + timeout_s * UINT64_C(1000), now, told = 0;
	int r = 0;

	pthread_mutex_lock(&lv->lock);
	while (!lv->stopped && !r) {
		now = clock_ms();
		if (now >= until) {
			r = -ETIMEDOUT;
		} else if (now - told >= 1000) {
			told = now;
			pthread_mutex_unlock(&lv->lock);
			tell(how, timeout_s, until - now);
			pthread_mutex_lock(&lv->lock);
		} else {
			r = lv_wait_tick(lv, how->stop);
		}
	}
	if (lv->stopped)
		r = 0;
	pthread_mutex_unlock(&lv->lock);
	return r;
}
