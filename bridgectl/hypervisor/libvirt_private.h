/* What the parts of the libvirt back-end share. Only libvirt*.c includes it. */
#ifndef BRIDGECTL_HYPERVISOR_LIBVIRT_PRIVATE_H
#define BRIDGECTL_HYPERVISOR_LIBVIRT_PRIVATE_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <signal.h>

#include "bridgectl/hypervisor/hyper_private.h"
#include "bridgectl/hypervisor/libvirt.h"

#define LV_TICK_MS 200 /* how late a signal or the end of a time limit is seen */

/* Of one connection. What the thread of events changes is behind `lock`. */
struct lv {
	struct hyper h;
	virConnectPtr conn;
	char *uri;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool gone;    /* the daemon has hung up */
	bool stopped; /* the domain that is watched has ended */
};

static inline struct lv *lv_of(struct hyper *h)
{
	return container_of(h, struct lv, h);
}

static inline void lv_domain_free(virDomainPtr *d)
{
	if (*d)
		virDomainFree(*d);
}

#define _cleanup_domain_ _cleanup_(lv_domain_free)

/*
 * libvirt's last error in this thread as "DOMAIN: cannot WHAT: …". Returns an errno that fits, as
 * hyper.h has them; never 0.
 */
int lv_fail(const char *domain, const char *what, char *err);
/* By name. *ret is to be freed. */
int lv_find(struct lv *lv, const char *domain, virDomainPtr *ret, char *err);

/* Opens without events; NULL: `err`. */
virConnectPtr lv_connect(const char *uri, char *err);

/* --- Waiting (libvirt_wait.c) --- */

/* The loop of events, in a thread of its own while there is a connection. */
int lv_events_begin(char *err);
void lv_events_end(void);
void lv_cond_init(pthread_cond_t *c); /* by the clock that only goes forward */

/*
 * Waits, lock held, for LV_TICK_MS or until something changes. 0; -EINTR: asked to stop;
 * -EPIPE: the daemon is gone.
 */
int lv_wait_tick(struct lv *lv, const volatile sig_atomic_t *stop);

/*
 * Watches for the end of a domain, one at a time: begin before asking it to end. Returns the
 * watch's number, or negative errno and `err`.
 */
int lv_watch_begin(struct lv *lv, virDomainPtr d, char *err);
void lv_watch_end(struct lv *lv, int watch);
/* 0: it has ended; -ETIMEDOUT, -EINTR, -EPIPE. */
int lv_watch_wait(struct lv *lv, unsigned timeout_s, const struct hyper_wait *how);

/* --- Deeds, each in its file --- */

int lv_list(struct hyper *h, struct hyper_list *ret, char *err);
int lv_define(struct hyper *h, const char *text, bool replace, char *err);
int lv_start(struct hyper *h, const char *domain, char *err);
int lv_stop(struct hyper *h, const char *domain, const struct hyper_wait *w, char *err);
int lv_console(struct hyper *h, const char *domain, char *err);
int lv_autostart(struct hyper *h, const char *domain, bool on, char **ret_told, char *err);
int lv_migrate(struct hyper *h, const char *domain, const struct hyper_target *to,
	       const struct hyper_wait *w, char *err);
int lv_dump(struct hyper *h, const char *domain, bool live, char **ret, char *err);

#endif
