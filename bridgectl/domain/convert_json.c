/* The choices as JSON, for programs that go on from them; doc/domains.md names the keys. */
#include <stdio.h>

#include "bridgectl/domain/convert.h"
#include "bridgectl/domain/mem.h"

static json_t *disk_json(const struct choice_disk *d)
{
	return json_pack("{s:s, s:s, s:b, s:s, s:s?, s:b, s:b, s:i}", "target", d->target, "bus",
			 choice_bus_name(d->bus), "cdrom", d->cdrom, "kind",
			 d->path ? d->is_block ? "block" : "file" : "empty", "path", d->path,
			 "readonly", d->readonly, "shared", d->shared, "boot", (int)d->boot);
}

static json_t *vif_json(const struct choice_vif *v)
{
	return json_pack("{s:s, s:s, s:s, s:s?, s:i, s:I, s:i}", "mac", v->mac, "bridge", v->bridge,
			 "model", v->model, "name", v->name, "mtu", (int)v->mtu, "rate_kb",
			 (json_int_t)v->rate_kb, "boot", (int)v->boot);
}

json_t *choices_json(const struct choices *c)
{
	json_t *disks = json_array(), *vifs = json_array(), *all;

	for (unsigned i = 0; i < c->n_disks; i++)
		json_array_append_new(disks, disk_json(&c->disks[i]));
	for (unsigned i = 0; i < c->n_vifs; i++)
		json_array_append_new(vifs, vif_json(&c->vifs[i]));
	all = json_pack("{s:s, s:s, s:s?, s:s, s:s, s:s, s:I, s:I, s:i, s:i}", "name", c->name,
			"type", c->type, "uuid", c->uuid[0] ? c->uuid : NULL, "machine", c->machine,
			"firmware", c->efi ? "efi" : "bios", "cpu", c->cpu, "memory_bytes",
			(json_int_t)c->memory_now * 1024, "max_memory_bytes",
			(json_int_t)c->memory * 1024, "vcpus", (int)c->vcpus_now, "max_vcpus",
			(int)c->vcpus);
	mem_must(all);
	json_object_set_new(all, "display", json_boolean(c->vnc));
	json_object_set_new(all, "disks", disks);
	json_object_set_new(all, "vifs", vifs);
	return all;
}
