/*
 * The libvirt back-end: which domains there are, their definitions, and taking over new ones.
 *
 * MAC addresses and bridges come out of the domain XML, of the running domain if it runs. A domain
 * that ends between being listed and being asked is left out.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml_read.h"
#include "bridgectl/hypervisor/libvirt_private.h"

#define KIB UINT64_C(1024)

static enum hyper_state state_of(int state)
{
	switch (state) {
	case VIR_DOMAIN_RUNNING:
	case VIR_DOMAIN_BLOCKED:
		return HYPER_RUNNING;
	case VIR_DOMAIN_PAUSED:
	case VIR_DOMAIN_PMSUSPENDED:
		return HYPER_PAUSED;
	case VIR_DOMAIN_SHUTDOWN:
		return HYPER_ENDING;
	case VIR_DOMAIN_CRASHED:
		return HYPER_CRASHED;
	default:
		return HYPER_OFF;
	}
}

static void fill_vifs(struct hyper_domain *to, const char *xml)
{
	char err[XML_ERRLEN];
	struct xml_domain *d = xml_read(xml, err);

	for (unsigned i = 0; d && i < d->n_vifs; i++) {
		struct hyper_vif *v = mem_push(to->vifs, to->n_vifs);

		memcpy(v->mac, d->vifs[i].mac, sizeof(v->mac));
		v->bridge = steal(d->vifs[i].bridge);
		v->interface = steal(d->vifs[i].interface);
	}
	xml_domain_free(d);
}

static void fill(struct hyper_list *l, virDomainPtr d)
{
	char *xml = virDomainGetXMLDesc(d, 0);
	virDomainInfo info;
	struct hyper_domain *to;
	unsigned id;

	if (!xml || virDomainGetInfo(d, &info) < 0) {
		free(xml);
		return;
	}
	to = hyper_list_add(l, virDomainGetName(d));
	virDomainGetUUIDString(d, to->uuid);
	id = virDomainGetID(d);
	to->id = id == (unsigned)-1 ? HYPER_UNKNOWN : (int)id;
	to->state = state_of(info.state);
	to->memory = info.memory * KIB;
	to->vcpus = info.nrVirtCpu;
	if (virDomainGetAutostart(d, &to->autostart) < 0)
		to->autostart = HYPER_UNKNOWN;
	fill_vifs(to, xml);
	free(xml);
}

int lv_list(struct hyper *h, struct hyper_list *ret, char *err)
{
	struct lv *lv = lv_of(h);
	struct hyper_list l = { 0 };
	virDomainPtr *all;
	int n = virConnectListAllDomains(lv->conn, &all, 0);

	if (n < 0)
		return lv_fail(lv->uri, "list the domains", err);
	for (int i = 0; i < n; i++) {
		fill(&l, all[i]);
		virDomainFree(all[i]);
	}
	free(all);
	hyper_list_sort(&l);
	*ret = l;
	return 0;
}

/* --- Definitions --- */

int lv_dump(struct hyper *h, const char *domain, bool live, char **ret, char *err)
{
	_cleanup_domain_ virDomainPtr d = NULL;
	char *xml;
	int r = lv_find(lv_of(h), domain, &d, err);

	if (r)
		return r;
	if (live && virDomainIsActive(d) == 0)
		return hyper_fail(err, -EALREADY, "%s: it is off", domain);
	xml = virDomainGetXMLDesc(d, live ? 0 : VIR_DOMAIN_XML_INACTIVE);
	if (!xml)
		return lv_fail(domain, "be described", err);
	*ret = xml;
	return 0;
}

int libvirt_dump_whole(struct hyper *h, const char *domain, char **ret, char *err)
{
	_cleanup_domain_ virDomainPtr d = NULL;
	char *xml;
	int r = lv_find(lv_of(h), domain, &d, err);

	if (r)
		return r;
	xml = virDomainGetXMLDesc(d, VIR_DOMAIN_XML_INACTIVE | VIR_DOMAIN_XML_SECURE);
	if (!xml)
		return lv_fail(domain, "be described", err);
	*ret = xml;
	return 0;
}

/*
 * A text with the UUID of the domain that it replaces: libvirt takes one without as a new domain,
 * and refuses the name.
 */
static int for_replacing(const struct xml_domain *new, virDomainPtr old, const char *text,
			 char **ret, char *err)
{
	char uuid[XML_UUID_LEN];

	virDomainGetUUIDString(old, uuid);
	if (!new->uuid[0])
		*ret = xml_with_uuid(text, uuid);
	else if (strcmp(new->uuid, uuid) != 0)
		return hyper_fail(
			err, -EEXIST,
			"%s: there is a domain of that name with another UUID (%s); leave "
			"<uuid> out of the definition, or undefine that domain",
			new->name, uuid);
	else
		*ret = mem_strdup(text);
	return 0;
}

static int text_for(struct lv *lv, const struct xml_domain *new, const char *text, bool replace,
		    char **ret, char *err)
{
	_cleanup_domain_ virDomainPtr old = virDomainLookupByName(lv->conn, new->name);

	if (old && !replace)
		return hyper_fail(err, -EEXIST,
				  "%s: there is a domain of that name; --replace gives "
				  "it this definition",
				  new->name);
	if (old)
		return for_replacing(new, old, text, ret, err);
	if (new->uuid[0])
		old = virDomainLookupByUUIDString(lv->conn, new->uuid);
	if (old)
		return hyper_fail(err, -EEXIST,
				  "%s: the domain %s has that UUID (%s); leave <uuid> out of the "
				  "definition, or undefine that domain",
				  new->name, virDomainGetName(old), new->uuid);
	*ret = mem_strdup(text);
	return 0;
}

int lv_define(struct hyper *h, const char *text, bool replace, char *err)
{
	struct lv *lv = lv_of(h);
	_cleanup_domain_ virDomainPtr made = NULL;
	_cleanup_free_ char *whole = NULL;
	char why[XML_ERRLEN];
	struct xml_domain *new = xml_read(text, why);
	int r;

	if (!new)
		return hyper_fail(err, -EINVAL, "no definition of a domain: %s", why);
	r = text_for(lv, new, text, replace, &whole, err);
	if (!r)
		made = virDomainDefineXMLFlags(lv->conn, whole, VIR_DOMAIN_DEFINE_VALIDATE);
	if (!r && !made)
		r = lv_fail(new->name, "be defined", err);
	xml_domain_free(new);
	return r;
}
