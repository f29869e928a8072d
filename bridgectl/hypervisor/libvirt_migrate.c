/*
 * The libvirt back-end: live migration to another libvirt.
 *
 * The source's daemon talks to the target's (peer to peer), so the migration goes on by itself
 * while we look: one thread sits in virDomainMigrateToURI3(), this one asks for progress and is
 * there for Ctrl-C. The definition moves along: made persistent there and undefined here when it
 * was persistent here. libvirt moves no autostart, so that is carried over afterwards.
 */
#include <errno.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/hypervisor/libvirt_private.h"

/* One migration. What the thread changes is behind lv->lock. */
struct move {
	struct lv *lv;
	virDomainPtr domain;
	virConnectPtr to; /* our own connection, for questions */
	char *uri;
	const struct hyper_target *target;
	const struct hyper_wait *how;
	const char *name;
	virTypedParameterPtr params;
	int n_params;
	unsigned flags;
	int autostart;
	bool done, downtime_set, aborted;
	int r;
	char err[HYPER_ERRLEN];
};

static int set_params(struct move *m)
{
	int max = 0;

	m->flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_ABORT_ON_ERROR;
	if (m->target->copy_disks)
		m->flags |= VIR_MIGRATE_NON_SHARED_DISK;
	if (virDomainIsPersistent(m->domain) == 1)
		m->flags |= VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE;
	if (m->target->rate_mib)
		return virTypedParamsAddULLong(&m->params, &m->n_params, &max,
					       VIR_MIGRATE_PARAM_BANDWIDTH, m->target->rate_mib);
	return 0;
}

/* --- Before --- */

static int check_domain(struct move *m, char *err)
{
	if (virDomainIsActive(m->domain) != 1)
		return hyper_fail(err, -EINVAL,
				  "%s: it is off, and only a running domain is migrated; "
				  "carry its definition over with `bridgectl domain "
				  "define`",
				  m->name);
	if (virDomainGetAutostart(m->domain, &m->autostart) < 0)
		m->autostart = 0;
	return 0;
}

static int check_target(struct move *m, char *err)
{
	const char *type = virConnectGetType(m->lv->conn), *there = virConnectGetType(m->to);
	_cleanup_domain_ virDomainPtr same = NULL;

	if (type && there && strcmp(type, there) != 0)
		return hyper_fail(err, -EOPNOTSUPP,
				  "%s: %s is a host of %s and this one of %s; a "
				  "guest goes there by `bridgectl migrate`, not live",
				  m->name, m->uri, there, type);
	same = virDomainLookupByName(m->to, m->name);
	if (same && virDomainIsActive(same) == 1)
		return hyper_fail(err, -EEXIST, "%s: a domain of that name runs at %s already",
				  m->name, m->uri);
	return 0;
}

/* --- While it goes on --- */

static void carry_autostart(const struct move *m)
{
	_cleanup_domain_ virDomainPtr there = NULL;

	if (!m->autostart || !(m->flags & VIR_MIGRATE_PERSIST_DEST))
		return;
	there = virDomainLookupByName(m->to, m->name);
	if (there)
		virDomainSetAutostart(there, 1);
}

static void *run(void *arg)
{
	struct move *m = arg;
	int r = virDomainMigrateToURI3(m->domain, m->uri, m->params, (unsigned)m->n_params,
				       m->flags);

	if (r < 0)
		r = lv_fail(m->name, "be migrated", m->err);
	else
		carry_autostart(m);
	pthread_mutex_lock(&m->lv->lock);
	m->done = true;
	m->r = r;
	pthread_cond_broadcast(&m->lv->changed);
	pthread_mutex_unlock(&m->lv->lock);
	return NULL;
}

static unsigned long long param(virTypedParameterPtr p, int n, const char *name)
{
	unsigned long long v = 0;

	virTypedParamsGetULLong(p, n, name, &v);
	return v;
}

/* A sentence changes seldom: where there is no terminal each is a line. */
static void tell(const struct move *m, virTypedParameterPtr p, int n)
{
	unsigned long long total = param(p, n, VIR_DOMAIN_JOB_DATA_TOTAL);
	unsigned long long left = param(p, n, VIR_DOMAIN_JOB_DATA_REMAINING);
	unsigned long long passes = param(p, n, VIR_DOMAIN_JOB_MEMORY_ITERATION);
	unsigned long long disk = param(p, n, VIR_DOMAIN_JOB_DISK_REMAINING);
	char what[80];

	if (!total || !m->how->progress)
		return;
	if (m->aborted)
		snprintf(what, sizeof(what), "breaking off");
	else if (disk)
		snprintf(what, sizeof(what), "copying disks");
	else
		snprintf(what, sizeof(what), "copying memory, pass %llu", passes);
	m->how->progress(m->how->arg, what, left <= total ? (int)(1000 - left * 1000 / total) : 0);
}

/* QEMU takes a limit of the standstill only for a migration that goes on. */
static void look(struct move *m)
{
	virTypedParameterPtr p = NULL;
	int type = VIR_DOMAIN_JOB_NONE, n = 0;

	if (virDomainGetJobStats(m->domain, &type, &p, &n, 0) < 0 || type == VIR_DOMAIN_JOB_NONE)
		return;
	if (m->target->downtime_ms && !m->downtime_set)
		m->downtime_set =
			virDomainMigrateSetMaxDowntime(m->domain, m->target->downtime_ms, 0) == 0;
	tell(m, p, n);
	virTypedParamsFree(p, n);
}

/* libvirt brings both sides back to what they were; the thread returns then. */
static void abort_once(struct move *m)
{
	if (!m->aborted)
		m->aborted = virDomainAbortJob(m->domain) == 0;
}

static void follow(struct move *m)
{
	struct lv *lv = m->lv;

	pthread_mutex_lock(&lv->lock);
	while (!m->done) {
		int r = lv_wait_tick(lv, m->aborted ? NULL : m->how->stop);

		if (m->done)
			break;
		pthread_mutex_unlock(&lv->lock);
		if (r == -EINTR)
			abort_once(m);
		look(m);
		pthread_mutex_lock(&lv->lock);
	}
	pthread_mutex_unlock(&lv->lock);
}

/*
 * libvirt's own words, or that it was broken off. When the failure came late, this side may be the
 * one that is to be left alone.
 */
static int tell_failed(const struct move *m, char *err)
{
	int state = VIR_DOMAIN_NOSTATE;

	virDomainGetState(m->domain, &state, NULL, 0);
	if (state != VIR_DOMAIN_RUNNING && state != VIR_DOMAIN_BLOCKED)
		return hyper_fail(err, m->r,
				  "%.700s; it does not run here: look at %.100s, too, before one "
				  "of them is resumed or started: two at once would ruin its disks",
				  m->err, m->uri);
	if (m->aborted)
		return hyper_fail(err, -EINTR,
				  "%s: the migration was broken off; it goes on running here",
				  m->name);
	memcpy(err, m->err, HYPER_ERRLEN);
	return m->r;
}

static int migrate(struct move *m, char *err)
{
	pthread_t thread;
	int r;

	if (set_params(m) < 0)
		return lv_fail(m->name, "be migrated", err);
	r = pthread_create(&thread, NULL, run, m);
	if (r)
		return hyper_fail(err, -r, "%s: cannot be migrated: %s", m->name, strerror(r));
	follow(m);
	pthread_join(thread, NULL);
	return m->r ? tell_failed(m, err) : 0;
}

int lv_migrate(struct hyper *h, const char *domain, const struct hyper_target *to,
	       const struct hyper_wait *w, char *err)
{
	struct lv *lv = lv_of(h);
	struct move m = { .lv = lv, .target = to, .how = w, .name = domain };
	int r = lv_find(lv, domain, &m.domain, err);

	if (r)
		return r;
	m.uri = to->uri ? mem_strdup(to->uri) : mem_printf("qemu+ssh://%s/system", to->host);
	r = check_domain(&m, err);
	if (!r) {
		m.to = lv_connect(m.uri, err);
		r = m.to ? check_target(&m, err) : -ENOTCONN;
	}
	if (!r)
		r = migrate(&m, err);
	virTypedParamsFree(m.params, m.n_params);
	if (m.to)
		virConnectClose(m.to);
	virDomainFree(m.domain);
	free(m.uri);
	return r;
}
