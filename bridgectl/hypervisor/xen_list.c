/*
 * All domains of a Xen host: those that run, from the tool's table; what only `list -l` knows of
 * them, which is their interfaces; and guests that are only files in /etc/xen. The table is what
 * counts; when the rest cannot be had, the list is poorer, not missing.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/hypervisor/xen_private.h"
#include "bridgectl/hypervisor/xen_read.h"

/* --- The table --- */

int xen_table(struct xen *x, struct hyper_list *l, char *err)
{
	/* xm's has no -v; that of xl adds the UUID. */
	const char *xl[] = { "list", "-v", NULL }, *xm[] = { "list", NULL };
	_cleanup_free_ char *out = NULL;
	int r = xen_run(x, "Xen", XEN_ASK_S, x->is_xm ? xm : xl, &out, err);

	if (r < 0)
		return r;
	xen_read_table(out, l);
	if (l->n)
		return 0;
	/* Domain-0 is always there. */
	return hyper_fail(err, -EIO, "Xen: %s list shows no domain at all; is this host's Xen up?",
			  x->tool);
}

/* --- What list -l adds --- */

static struct hyper_domain *same(struct hyper_list *l, const struct hyper_domain *d)
{
	for (unsigned i = 0; i < l->n; i++)
		if (d->id != HYPER_UNKNOWN ? l->v[i].id == d->id : !strcmp(l->v[i].name, d->name))
			return &l->v[i];
	return NULL;
}

static void take_details(struct hyper_list *l, struct hyper_list *details)
{
	for (unsigned i = 0; i < details->n; i++) {
		struct hyper_domain *from = &details->v[i], *d = same(l, from);

		if (!d)
			continue;
		/* Old xl makes up UUIDs that it prints: the table's is the right one. */
		if (!d->uuid[0])
			strcpy(d->uuid, from->uuid);
		if (from->autostart == 1)
			d->autostart = 1;
		if (!d->n_vifs) {
			d->vifs = steal(from->vifs);
			d->n_vifs = from->n_vifs;
			from->n_vifs = 0;
		}
	}
}

static bool lacks_mac(const struct hyper_domain *d)
{
	for (unsigned i = 0; i < d->n_vifs; i++)
		if (!d->vifs[i].mac[0])
			return true;
	return false;
}

/* Old xl prints the file that it was given, without the addresses that it made up. */
static void ask_nics(struct xen *x, struct hyper_domain *d)
{
	char id[16], err[HYPER_ERRLEN];
	const char *words[] = { "network-list", xen_id(d->id, id), NULL };
	_cleanup_free_ char *out = NULL;

	if (xen_run(x, d->name, XEN_ASK_S, words, &out, err) == 0)
		xen_read_nics(out, d);
}

/* The bridge that the host's end stands in now, from the kernel; old ones have only brport. */
static char *live_bridge(const char *interface)
{
	static const char *const links[] = { "master", "brport/bridge" };
	char path[128], target[PATH_MAX];

	for (unsigned i = 0; i < ARRAY_SIZE(links); i++) {
		_cleanup_free_ char *where = NULL;
		const char *slash;
		ssize_t n;

		snprintf(path, sizeof(path), "/sys/class/net/%.32s/%s", interface, links[i]);
		where = hyper_path(path);
		n = readlink(where, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		slash = strrchr(target, '/');
		return mem_strdup(slash ? slash + 1 : target);
	}
	return NULL;
}

static void find_bridges(struct hyper_domain *d)
{
	for (unsigned i = 0; i < d->n_vifs; i++) {
		struct hyper_vif *v = &d->vifs[i];

		if (!v->bridge && v->interface && !strchr(v->interface, '/'))
			v->bridge = live_bridge(v->interface);
	}
}

/* xl leaves out of list -l what it cannot tell of a domain, and the whole domain then. */
static void add_details(struct xen *x, struct hyper_list *l)
{
	static const char *const words[] = { "list", "-l", NULL };
	struct hyper_list details = { 0 };
	_cleanup_free_ char *out = NULL;
	char err[HYPER_ERRLEN];

	if (xen_run(x, "Xen", XEN_ASK_S, words, &out, err) == 0)
		xen_read_details(out, strlen(out), &details);
	take_details(l, &details);
	for (unsigned i = 0; i < l->n; i++) {
		struct hyper_domain *d = &l->v[i];

		if (d->id <= 0)
			continue;
		if (lacks_mac(d) || !same(&details, d))
			ask_nics(x, d);
		find_bridges(d);
	}
	hyper_list_fini(&details);
}

/* --- Guests that are only files --- */

static struct hyper_domain *by_name(struct hyper_list *l, const char *name)
{
	return (struct hyper_domain *)hyper_find(l, name);
}

static void copy_vifs(struct hyper_domain *d, const struct xen_config *c)
{
	for (unsigned i = 0; i < c->n_vifs; i++) {
		struct hyper_vif *v = mem_push(d->vifs, d->n_vifs);

		strcpy(v->mac, c->vifs[i].mac);
		v->bridge = mem_strdup_or_null(c->vifs[i].bridge);
	}
}

/* Of several files with one name it is as the one that it would be started from. */
static void add_config(struct hyper_list *l, const struct xen_configs *all,
		       const struct xen_config *c)
{
	struct hyper_domain *d = by_name(l, c->name);
	const struct xen_config *file = d && d->config ? c : xen_config_find(all, c->name);

	if (!d) {
		d = hyper_list_add(l, c->name);
		d->memory = file->memory;
		d->vcpus = file->vcpus;
		copy_vifs(d, file);
	}
	if (!d->config)
		d->config = mem_strdup(file->path);
	if (c->is_auto)
		d->autostart = 1;
}

int xen_list(struct hyper *h, struct hyper_list *ret, char *err)
{
	struct xen *x = container_of(h, struct xen, base);
	struct hyper_list l = { 0 };
	struct xen_configs configs;
	int r = xen_table(x, &l, err);

	if (r < 0) {
		hyper_list_fini(&l);
		return r;
	}
	add_details(x, &l);
	xen_configs_read(&configs);
	for (unsigned i = 0; i < configs.n; i++)
		add_config(&l, &configs, &configs.v[i]);
	xen_configs_fini(&configs);
	for (unsigned i = 0; i < l.n; i++)
		if (l.v[i].id != 0 && l.v[i].autostart == HYPER_UNKNOWN)
			l.v[i].autostart = 0;
	hyper_list_sort(&l);
	*ret = l;
	return 0;
}
