/* Guests and volumes out of nothing: the record is filled as xl_guest() fills it. */
#include "tests/unit/plan_guest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "common/util.h"

int made_probe(void *arg, const char *path, struct plan_source *ret, char *err)
{
	const struct made_volumes *m = arg;

	for (unsigned i = 0; i < m->n; i++)
		if (!strcmp(m->v[i].path, path)) {
			*ret = m->v[i];
			return 0;
		}
	snprintf(err, PLAN_ERRLEN, "%s does not exist", path);
	return -ENOENT;
}

struct plan_source *made_volume(struct made_volumes *m, uint64_t bytes, const char *type)
{
	struct plan_source *s = &m->v[m->n];

	*s = (struct plan_source){ .bytes = bytes };
	snprintf(s->path, sizeof(s->path), "/dev/made/%u", m->n++);
	snprintf(s->type, sizeof(s->type), "%s", type);
	if (!strcmp(type, "swap")) {
		s->swap_page = 4096;
		strcpy(s->uuid, "11111111-2222-3333-4444-555555555555");
	}
	return s;
}

struct guest *made_guest(const char *name)
{
	struct guest *g = guest_new();

	g->name = mem_strdup_or_null(name);
	g->boot.method = BOOT_BOOTLOADER;
	return g;
}

struct guest_source *made_disk(struct guest *g, const char *path, const char *vdev)
{
	static unsigned line;
	struct guest_source s = { .text = mem_strdup(path), .line = ++line, .column = 1 };
	const struct guest_source *other;
	struct vdev v;

	if (vdev_parse(vdev, &s.vdev) < 0)
		abort();
	v = s.vdev;
	s.spec.kind = DISK_DEVICE;
	s.spec.format = mem_strdup("raw");
	s.spec.path = mem_strdup(path);
	s.spec.vdev = mem_strdup(vdev);
	if (guest_add_source(g, &s, &other) < 0)
		abort();
	for (unsigned i = 0; i < g->n_disks; i++)
		for (unsigned j = 0; j < g->disks[i].n; j++)
			if (!memcmp(&g->disks[i].sources[j].vdev, &v, sizeof(v)))
				return &g->disks[i].sources[j];
	abort();
}
