/*
 * Which hypervisor it is, and the list that back-ends give. On a host where Xen runs its toolstack
 * is taken, because libvirt there mostly does not know what xl has started; else libvirt.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/hypervisor/hyper_private.h"
#include "build-config.h"

#define XENFS "/proc/xen"
#define CAPABILITIES XENFS "/capabilities"
#define CAPABILITIES_MAX 256

int hyper_fail(char *err, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, HYPER_ERRLEN, fmt, ap);
	va_end(ap);
	return r;
}

char *hyper_path(const char *path)
{
	const char *root = getenv("BRIDGECTL_ROOT");

	return mem_printf("%s%s", root ? root : "", path);
}

/* Only the control domain of Xen has this word there. The file is a pseudo file of xenfs. */
bool hyper_xen_is_here(void)
{
	_cleanup_free_ char *path = hyper_path(CAPABILITIES);
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char text[CAPABILITIES_MAX];

	return f && fgets(text, sizeof(text), f) && strstr(text, "control_d");
}

/* The kernel runs on Xen, and nobody has mounted what would tell whether this is its host. */
static bool is_xenfs_missing(void)
{
	_cleanup_free_ char *folder = hyper_path(XENFS), *file = hyper_path(CAPABILITIES);

	return access(folder, F_OK) == 0 && access(file, F_OK) < 0;
}

static int open_libvirt(const char *uri, struct hyper **ret, char *err)
{
	int r = hyper_libvirt_open(uri, ret, err);
	size_t len = r < 0 ? strlen(err) : 0;

	if (r < 0 && !uri && is_xenfs_missing())
		snprintf(err + len, HYPER_ERRLEN - len,
			 "; if this is a host of Xen: mount -t xenfs xenfs " XENFS
			 ", or give --xen auto");
	return r;
}

int hyper_open(const struct hyper_choice *c, struct hyper **ret, char *err)
{
	if (c->uri && c->xen)
		return hyper_fail(err, -EINVAL, "--connect and --xen: only one of them");
	if (c->xen || (!c->uri && hyper_xen_is_here()))
		return hyper_xen_open(c->xen ? c->xen : "", ret, err);
	return open_libvirt(c->uri, ret, err);
}

#ifndef HAVE_LIBVIRT
int hyper_libvirt_open(const char *uri, struct hyper **ret, char *err)
{
	(void)ret;
	return hyper_fail(err, -EOPNOTSUPP,
			  "%s: this bridgectl was built without libvirt; on a host with Xen give "
			  "--xen auto",
			  uri ? uri : "libvirt");
}
#endif

void hyper_close(struct hyper *h)
{
	if (h)
		h->ops->close(h);
}

const char *hyper_state_name(enum hyper_state state)
{
	static const char *const names[] = {
		[HYPER_OFF] = "off",	   [HYPER_RUNNING] = "running", [HYPER_PAUSED] = "paused",
		[HYPER_ENDING] = "ending", [HYPER_CRASHED] = "crashed",
	};

	return (unsigned)state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

struct hyper_domain *hyper_list_add(struct hyper_list *l, const char *name)
{
	struct hyper_domain *d = mem_push(l->v, l->n);

	d->name = mem_strdup(name);
	d->id = HYPER_UNKNOWN;
	d->autostart = HYPER_UNKNOWN;
	return d;
}

static int by_name(const void *a, const void *b)
{
	const struct hyper_domain *x = a, *y = b;

	return strcmp(x->name, y->name);
}

void hyper_list_sort(struct hyper_list *l)
{
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_name);
}

const struct hyper_domain *hyper_find(const struct hyper_list *l, const char *name)
{
	for (unsigned i = 0; i < l->n; i++)
		if (!strcmp(l->v[i].name, name))
			return &l->v[i];
	return NULL;
}

static void domain_fini(struct hyper_domain *d)
{
	for (unsigned i = 0; i < d->n_vifs; i++) {
		free(d->vifs[i].bridge);
		free(d->vifs[i].interface);
	}
	free(d->vifs);
	free(d->config);
	free(d->name);
}

void hyper_list_fini(struct hyper_list *l)
{
	for (unsigned i = 0; i < l->n; i++)
		domain_fini(&l->v[i]);
	free(l->v);
	*l = (struct hyper_list){ 0 };
}
