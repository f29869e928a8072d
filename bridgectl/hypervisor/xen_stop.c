/*
 * Stopping a guest of Xen: it is asked, and its end awaited. xl and xm have no other word for an
 * end than that the domain is gone from their list, so that is asked twice in a second, and less
 * often where the answer takes long.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "bridgectl/hypervisor/xen_private.h"
#include "common/clock.h"

#define LOOK_MS 500
#define LOOK_SHARE 3   /* of a busy host's time: a third for looking at most, it has work to do */
#define DESTROY_S 20   /* for a destroyed domain to be gone: its last pages may take a while */
#define FAILURES_MAX 3 /* of the list in a row */

struct stopping {
	struct xen *x;
	const char *domain;
	const struct hyper_wait *w;
	int id;
	enum hyper_state state;
	char *err;
	bool is_down; /* it has ended, and the toolstack keeps what is left */
};

static void tell(const struct stopping *s, const char *what, int permille)
{
	if (s->w->progress)
		s->w->progress(s->w->arg, what, permille);
}

static bool stopped_waiting(const struct stopping *s)
{
	return s->w->stop && *s->w->stop;
}

/* 1: gone, 0: still there. */
static int look(struct stopping *s)
{
	struct hyper_list l = { 0 };
	const struct hyper_domain *again;
	int gone = 1, r = xen_table(s->x, &l, s->err);

	for (unsigned i = 0; r == 0 && i < l.n; i++)
		if (l.v[i].id == s->id) {
			gone = 0;
			s->is_down = l.v[i].state == HYPER_ENDING || l.v[i].state == HYPER_CRASHED;
		}
	again = r == 0 && gone ? hyper_find(&l, s->domain) : NULL;
	if (again && again->id != HYPER_UNKNOWN)
		r = hyper_fail(s->err, -EAGAIN,
			       "%s: it shut down and was started again as domain %d: see "
			       "on_poweroff and on_reboot in its file",
			       s->domain, again->id);
	hyper_list_fini(&l);
	return r < 0 ? r : gone;
}

/* 0: it is gone; -ETIMEDOUT, -EINTR without a sentence; else told. */
static int await(struct stopping *s, unsigned seconds)
{
	uint64_t begin = clock_ms(), end = begin + seconds * UINT64_C(1000);
	unsigned failures = 0;

	for (;;) {
		uint64_t asked = clock_ms(), now, pause;
		int r = look(s);

		failures = r == -EIO || r == -ETIMEDOUT ? failures + 1 : 0;
		if (r > 0)
			return 0;
		if (r < 0 && (!failures || failures == FAILURES_MAX))
			return r == -ETIMEDOUT ? -EIO : r;
		now = clock_ms();
		if (stopped_waiting(s))
			return -EINTR;
		if (now >= end)
			return -ETIMEDOUT;
		tell(s,
		     s->is_down ? "waiting for Xen to clear it away" :
				  "waiting for it to shut down",
		     (int)((now - begin) * 1000 / (seconds * UINT64_C(1000))));
		pause = MAX((now - asked) * (LOOK_SHARE - 1), (uint64_t)LOOK_MS);
		poll(NULL, 0, (int)MIN(end - now, pause));
	}
}

/*
 * A fully virtual guest without Xen's drivers does not see the request; xl then fails and speaks
 * of -F, which presses its power button (xl(1)). xl 4.1 has no -F, xm presses by itself.
 */
static int ask(struct stopping *s)
{
	char id[16];
	const char *words[] = { "shutdown", xen_id(s->id, id), NULL };
	const char *button[] = { "shutdown", "-F", id, NULL };
	int r;

	if (s->state == HYPER_PAUSED)
		return hyper_fail(
			s->err, -EBUSY,
			"%s: it is paused, and cannot shut down: %s unpause %d, or end it "
			"with --force",
			s->domain, s->x->tool, s->id);
	r = xen_run(s->x, s->domain, XEN_ASK_S, words, NULL, s->err);
	if (r == 0 || s->x->is_xm || !s->x->failed)
		return r;
	if (xen_run(s->x, s->domain, XEN_ASK_S, button, NULL, s->err) == 0) {
		tell(s, "it has no drivers of Xen: its power button was pressed", HYPER_UNKNOWN);
		return 0;
	}
	return hyper_fail(s->err, r,
			  "%s: it can be asked neither by Xen's drivers nor by its power button "
			  "(xl shutdown -F): shut it down from inside, or end it with --force",
			  s->domain);
}

/* It may have ended by itself just before it was asked. */
static bool is_gone(const struct stopping *s)
{
	char err[HYPER_ERRLEN];
	struct stopping again = *s;

	again.err = err;
	return look(&again) == 1;
}

/* Who has pressed Ctrl-C wants no more of it, and surely not this. */
static bool may_destroy(const struct stopping *s)
{
	return s->w->force && !stopped_waiting(s);
}

static int destroy(struct stopping *s)
{
	char id[16];
	const char *words[] = { "destroy", xen_id(s->id, id), NULL };
	int r;

	tell(s, "ending it by force", HYPER_UNKNOWN);
	r = xen_run(s->x, s->domain, XEN_CREATE_S, words, NULL, s->err);
	if (r == 0)
		r = await(s, DESTROY_S);
	if (r == -ETIMEDOUT)
		hyper_fail(s->err, r, "%s: destroyed, but domain %d is still in the list: %s dmesg",
			   s->domain, s->id, s->x->tool);
	if (r == -EINTR)
		hyper_fail(s->err, r,
			   "%s: destroyed, but not waited for: domain %d may be there a while yet",
			   s->domain, s->id);
	return r;
}

static int timed_out(const struct stopping *s)
{
	if (s->is_down)
		return hyper_fail(s->err, -ETIMEDOUT,
				  "%s: it has shut down, but Xen keeps the domain, as with "
				  "on_poweroff = \"preserve\"; --force clears it away",
				  s->domain);
	return hyper_fail(s->err, -ETIMEDOUT,
			  "%s: it has not shut down within %u s: see `bridgectl domain console "
			  "%s`, wait longer with --timeout, or end it with --force",
			  s->domain, s->w->timeout_s, s->domain);
}

/* Not running is what was asked for, if there is such a guest. */
static int not_running(const char *domain, int r, char *err)
{
	struct xen_configs configs;

	xen_configs_read(&configs);
	if (r == -ESRCH && xen_config_find(&configs, domain))
		r = hyper_fail(err, -EALREADY, "%s: it is off already", domain);
	xen_configs_fini(&configs);
	return r;
}

int xen_stop(struct hyper *h, const char *domain, const struct hyper_wait *w, char *err)
{
	struct xen *x = container_of(h, struct xen, base);
	struct stopping s = { .x = x, .domain = domain, .w = w, .err = err };
	int r = xen_running(x, domain, &s.id, &s.state, err);

	if (r < 0)
		return not_running(domain, r, err);
	r = ask(&s);
	if (r < 0 && is_gone(&s))
		return 0;
	if (r < 0)
		return may_destroy(&s) ? destroy(&s) : r;
	r = await(&s, w->timeout_s);
	if (r == -EINTR)
		return hyper_fail(err, r, "%s: not waited for any more; it may still shut down",
				  domain);
	if (r == -ETIMEDOUT)
		return may_destroy(&s) ? destroy(&s) : timed_out(&s);
	return r;
}
