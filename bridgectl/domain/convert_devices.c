/*
 * Disks, CD-ROM drives and network interfaces of a KVM guest. Disks are those of the disk
 * layout, under its letters; drives come behind them. Every interface keeps its MAC address: with
 * another one it would be another machine to DHCP, to switches and to the guest's own udev.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bridgectl/domain/convert_private.h"
#include "bridgectl/domain/mem.h"

#define IDE_DISKS 4
#define IFNAME_LEN 15 /* IFNAMSIZ less the NUL */

/* --- Disks --- */

static bool is_q35(const struct converter *v)
{
	return !strcmp(v->c->machine, "q35");
}

static unsigned count_cdroms(const struct guest *g)
{
	unsigned n = 0;

	for (unsigned i = 0; i < g->n_disks; i++)
		n += g->disks[i].cdrom;
	return n;
}

/* Without a hint: what an HVM guest had, it can drive; a PV one had no controller at all. */
static enum choice_bus choose_bus(const struct converter *v)
{
	const struct guest *g = v->g;

	if (v->o->bus != BUS_DEFAULT)
		return v->o->bus;
	if (v->hinted.bus != BUS_DEFAULT)
		return v->hinted.bus;
	if (g->kind != GUEST_HVM)
		return BUS_VIRTIO;
	if (is_q35(v) || (g->hdtype && !strcmp(g->hdtype, "ahci")) ||
	    v->o->n_places + count_cdroms(g) > IDE_DISKS)
		return BUS_SATA;
	return BUS_IDE;
}

static const char *target_prefix(enum choice_bus bus)
{
	return bus == BUS_VIRTIO ? "vd" : bus == BUS_IDE ? "hd" : "sd";
}

static unsigned count_targets(const struct choices *c, const char *prefix)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n_disks; i++)
		n += !strncmp(c->disks[i].target, prefix, 2);
	return n;
}

/* Of the partitions of a disk, as the layout has it: read-only if all are. */
static void add_disk(struct converter *v, const struct convert_place *p, enum choice_bus bus)
{
	struct choice_disk *d = mem_push(v->c->disks, v->c->n_disks);
	const struct guest_source *first = &p->disk->sources[0];
	struct place at = { first->line, first->column };
	char name[VDEV_NAME_LEN];

	snprintf(d->target, sizeof(d->target), "%s%.8s", target_prefix(bus), p->letters);
	d->bus = bus;
	d->path = p->path;
	d->is_block = p->is_block;
	d->readonly = true;
	for (unsigned i = 0; i < p->disk->n; i++) {
		d->readonly &= p->disk->sources[i].spec.readonly;
		d->shared |= p->disk->sources[i].spec.shared;
	}
	guest_disk_name(p->disk, name);
	if (d->readonly && (bus == BUS_IDE || bus == BUS_SATA))
		conv_error(v, at,
			   "%s is read-only, which no %s disk of KVM can be; take --bus virtio or "
			   "scsi",
			   name, choice_bus_name(bus));
	if (d->shared)
		conv_warn(v, at,
			  "%s is shared with other guests (w!): they have to use the new volume, "
			  "too",
			  name);
}

/* A drive takes the first free letter of its bus. */
static void add_cdrom(struct converter *v, const struct guest_disk *disk)
{
	const struct guest_source *s = &disk->sources[0];
	struct place at = { s->line, s->column };
	bool ide = !is_q35(v) && count_targets(v->c, "hd") < IDE_DISKS;
	char letters[VDEV_NAME_LEN];
	struct choice_disk *d;
	unsigned n;

	n = count_targets(v->c, ide ? "hd" : "sd");
	d = mem_push(v->c->disks, v->c->n_disks);
	d->bus = ide ? BUS_IDE : BUS_SATA;
	vdev_letters(n, letters);
	snprintf(d->target, sizeof(d->target), "%s%.8s", target_prefix(d->bus), letters);
	d->cdrom = d->readonly = true;
	if (s->spec.kind == DISK_EMPTY)
		return;
	if (!s->spec.path || s->spec.path[0] != '/') {
		conv_lose(v, "disk.medium", at,
			  "what is in the CD-ROM drive has no absolute path; the drive is empty");
		return;
	}
	if (strcmp(s->spec.format, "raw") != 0)
		conv_lose(v, "disk.format", at, "what is in the CD-ROM drive is no raw image");
	d->path = s->spec.path;
	d->is_block = s->spec.kind == DISK_DEVICE || !strncmp(d->path, "/dev/", 5);
	conv_warn(v, at, "%s has to be on the new host, too, or the guest does not start", d->path);
}

static void tell_empty(struct converter *v, const struct guest_disk *disk)
{
	const struct guest_source *s = &disk->sources[0];
	char name[VDEV_NAME_LEN];

	if (s->spec.kind == DISK_EMPTY)
		conv_note(v, ((struct place){ s->line, s->column }),
			  "%s is left out: a disk without a medium", guest_disk_name(disk, name));
}

void conv_disks(struct converter *v)
{
	enum choice_bus bus = choose_bus(v);
	struct place at = { 0, 0 };

	if (v->g->n_disks)
		at = (struct place){ v->g->disks[0].sources[0].line,
				     v->g->disks[0].sources[0].column };
	if (bus == BUS_IDE && is_q35(v))
		conv_error(v, at, "q35 has no IDE; take --bus sata, or --machine pc");
	else if (bus == BUS_IDE && v->o->n_places > IDE_DISKS)
		conv_error(v, at, "IDE has %d disks, the guest has %u; take another --bus",
			   IDE_DISKS, v->o->n_places);
	for (unsigned i = 0; i < v->o->n_places; i++)
		add_disk(v, &v->o->places[i], bus);
	for (unsigned i = 0; i < v->g->n_disks; i++) {
		if (v->g->disks[i].cdrom)
			add_cdrom(v, &v->g->disks[i]);
		else
			tell_empty(v, &v->g->disks[i]);
	}
	if (v->o->n_places && v->o->hints)
		conv_tell_hints(v, at, bus);
	else if (v->o->n_places && v->g->kind == GUEST_HVM && v->o->bus == BUS_DEFAULT)
		conv_note(v, at, "disks are on %s, which the guest's own drivers know from Xen",
			  choice_bus_name(bus));
	else if (v->o->n_places)
		conv_note(v, at,
			  "disks are on %s; whether the guest's initramfs has its driver is not "
			  "looked at here",
			  choice_bus_name(bus));
}

/* --- Interfaces --- */

static const char *given_mac(const struct converter *v, unsigned i)
{
	for (unsigned n = 0; n < v->o->n_macs; n++)
		if (v->o->macs[n].vif == i)
			return v->o->macs[n].mac;
	return NULL;
}

static void read_mac(struct converter *v, unsigned i, struct place at, struct choice_vif *c)
{
	const char *own = v->g->vifs[i].spec.mac, *given = given_mac(v, i);

	if (own[0] && given)
		conv_error(v, at, "--mac %u: that interface has a mac already", i);
	else if (!own[0] && !given)
		conv_error(
			v, at,
			"interface %u has no mac, and with a new one it would be another machine "
			"to the network: take that of the running guest (xl or xm "
			"network-list %s) with --mac %u=MAC",
			i, v->g->name, i);
	snprintf(c->mac, sizeof(c->mac), "%s", own[0] ? own : given ? given : "");
	for (unsigned n = 0; c->mac[0] && n < i; n++)
		if (!strcmp(v->c->vifs[n].mac, c->mac))
			conv_error(v, at, "the mac %s is that of interface %u, too", c->mac, n);
}

static void read_bridge(struct converter *v, struct place at, const char *own, struct choice_vif *c)
{
	const char *all = NULL;

	for (unsigned i = 0; i < v->o->n_bridges; i++) {
		if (!v->o->bridges[i].from)
			all = v->o->bridges[i].to;
		else if (own && !strcmp(v->o->bridges[i].from, own))
			c->bridge = v->o->bridges[i].to;
	}
	if (!c->bridge)
		c->bridge = all ? all : own;
	if (!c->bridge)
		conv_error(
			v, at,
			"the interface names no bridge, because Xen had a default; name one with "
			"--bridge NAME");
	else if (c->bridge == own)
		conv_note(v, at, "the bridge %s has to be there on the new host; --bridge %s=NEW",
			  own, own);
	if (c->bridge && strlen(c->bridge) > IFNAME_LEN)
		conv_error(v, at, "%s is too long for the name of a bridge", c->bridge);
	else if (c->bridge && strpbrk(c->bridge, "/: \t\n"))
		conv_error(v, at, "\"%s\" is no name of a bridge", c->bridge);
}

/* xl's default of an emulated interface is rtl8139; Xen's own became virtio's. */
static const char *choose_model(struct converter *v, struct place at, const struct vifspec *s)
{
	static const char *const kept[] = { "rtl8139", "e1000", "e1000e", "ne2k_pci", "pcnet" };
	bool emulated = v->g->kind == GUEST_HVM && !(s->type && !strcmp(s->type, "vif"));

	if (!emulated) {
		if (s->model)
			conv_note(v, at, "the model is virtio: Xen took no notice of %s here",
				  s->model);
		return "virtio";
	}
	if (!s->model)
		return "rtl8139";
	for (unsigned i = 0; i < ARRAY_SIZE(kept); i++)
		if (!strcmp(s->model, kept[i]))
			return kept[i];
	if (!strncmp(s->model, "virtio", 6))
		return "virtio";
	conv_lose(v, "vif.model", at, "KVM has no such network card; it becomes an e1000");
	return "e1000";
}

/*
 * "10Mb/s@50ms" as xlu_vif_parse_rate() of Xen reads it: bits or Bytes, thousands. Into units of
 * 1000 bytes per second, rounded up.
 */
static bool parse_rate(const char *s, uint64_t *ret)
{
	static const char letters[] = "KMG";
	char *end;
	unsigned long long n = strtoull(s, &end, 10);
	const char *letter = *end ? strchr(letters, *end) : NULL;

	if (*s < '0' || *s > '9' || n > 1000000000)
		return false;
	for (long i = letter ? letter - letters : -1; i >= 0; i--)
		n *= 1000;
	end += letter != NULL;
	if (strncmp(end, "b/s", 3) && strncmp(end, "B/s", 3))
		return false;
	if (*end == 'b')
		n = (n + 7) / 8;
	if (end[3] && end[3] != '@')
		return false;
	*ret = (n + 999) / 1000;
	return *ret > 0;
}

static void read_rate(struct converter *v, struct place at, const char *rate, struct choice_vif *c)
{
	if (!rate)
		return;
	if (!parse_rate(rate, &c->rate_kb) || c->rate_kb > UINT32_MAX)
		conv_error(v, at, "'%s' is no rate of an interface, as 10Mb/s is", rate);
	else if (strchr(rate, '@'))
		conv_warn(v, at, "the limit is %llu kB/s; Xen's interval has no equal",
			  (unsigned long long)c->rate_kb);
}

static void read_mtu(struct converter *v, struct place at, const char *mtu, struct choice_vif *c)
{
	char *end;
	unsigned long n = mtu ? strtoul(mtu, &end, 10) : 0;

	if (!mtu)
		return;
	if (*end || n < 68 || n > 65535)
		conv_error(v, at, "'%s' is no MTU", mtu);
	else
		c->mtu = (unsigned)n;
}

/* libvirt takes names that begin as its own do for its own. */
static const char *choose_name(struct converter *v, struct place at, const char *name)
{
	static const char *const own[] = { "vnet", "vif", "macvtap", "macvlan" };

	for (unsigned i = 0; name && i < ARRAY_SIZE(own); i++)
		if (!strncmp(name, own[i], strlen(own[i]))) {
			conv_warn(v, at, "vifname=%s is left out: libvirt gives names like it",
				  name);
			return NULL;
		}
	if (!name || (strlen(name) <= IFNAME_LEN && !strpbrk(name, "/ \t\n")))
		return name;
	conv_error(v, at, "'%s' is no name of an interface", name);
	return NULL;
}

static void read_script(struct converter *v, struct place at, const struct vifspec *s)
{
	const char *slash = s->script ? strrchr(s->script, '/') : NULL;

	if (s->script && strcmp(slash ? slash + 1 : s->script, "vif-bridge") != 0)
		conv_lose(v, "vif.script", at, "a script that joins the interface to the network");
	if (s->gateway)
		conv_warn(v, at, "gatewaydev=%s is left out: the interface is on a bridge",
			  s->gateway);
	if (s->ip)
		conv_warn(v, at,
			  "ip=%s is left out: no rules of the new host keep the guest to that "
			  "address",
			  s->ip);
}

static void add_vif(struct converter *v, unsigned i)
{
	const struct guest_vif *vif = &v->g->vifs[i];
	struct choice_vif *c = mem_push(v->c->vifs, v->c->n_vifs);
	struct place at = { vif->line, vif->column };

	read_mac(v, i, at, c);
	read_bridge(v, at, vif->spec.bridge, c);
	c->model = choose_model(v, at, &vif->spec);
	c->name = choose_name(v, at, vif->spec.vifname);
	read_rate(v, at, vif->spec.rate, c);
	read_mtu(v, at, vif->spec.mtu, c);
	read_script(v, at, &vif->spec);
}

static bool has_bridge(const struct guest *g, const char *name)
{
	for (unsigned i = 0; i < g->n_vifs; i++)
		if (g->vifs[i].spec.bridge && !strcmp(g->vifs[i].spec.bridge, name))
			return true;
	return false;
}

void conv_vifs(struct converter *v)
{
	struct place none = { 0, 0 };

	for (unsigned i = 0; i < v->g->n_vifs; i++)
		add_vif(v, i);
	for (unsigned i = 0; i < v->o->n_bridges; i++)
		if (v->o->bridges[i].from && !has_bridge(v->g, v->o->bridges[i].from))
			conv_error(v, none, "--bridge: no interface is on a bridge %s",
				   v->o->bridges[i].from);
	for (unsigned i = 0; i < v->o->n_macs; i++)
		if (v->o->macs[i].vif >= v->g->n_vifs)
			conv_error(v, none,
				   "--mac: the guest has no interface %u; they count from 0",
				   v->o->macs[i].vif);
}
