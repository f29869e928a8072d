/*
 * From the record to XML: made-up guests of all kinds, with names that XML has to escape. What is
 * written is parsed again, and every disk, drive and MAC address is there once, as it was given.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml.h"
#include "common/util.h"
#include "tests/support/prng.h"
#include "tests/unit/plan_guest.h"

#define GUESTS 3000
#define PLACES_MAX 6

/* A guest and where its disks will be. */
struct made {
	struct guest *g;
	struct convert_options o;
	struct convert_place places[PLACES_MAX];
	char paths[PLACES_MAX][64], letters[PLACES_MAX][VDEV_NAME_LEN];
	struct convert_pair all;
};

static const char *const pieces[] = {
	"a", "&", "<", ">", "\"", "'", "]]>", "\xc3\xa9", "&amp;", "<!--", "\xf0\x9f\x90\xa7",
	" ", "z"
};

/* Never empty, and no blanks at its ends. */
static void make_text(struct prng *p, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "x");

	for (unsigned i = 0; i < 6; i++)
		n += (size_t)snprintf(buf + n, size - n, "%s",
				      pieces[prng_below(p, ARRAY_SIZE(pieces))]);
	snprintf(buf + n, size - n, "x");
}

static bool coin(struct prng *p)
{
	return prng_below(p, 2);
}

static int maybe(struct prng *p)
{
	return (int)prng_below(p, 3) - 1;
}

static void make_vifs(struct prng *p, struct guest *g)
{
	unsigned n = (unsigned)prng_below(p, 4);

	for (unsigned i = 0; i < n; i++) {
		struct guest_vif *v = mem_push(g->vifs, g->n_vifs);
		char bridge[64];

		make_text(p, bridge, 12);
		if (!strchr(bridge, (char)0xf0) && !strchr(bridge, (char)0xc3))
			v->spec.bridge = mem_strdup(bridge);
		v->text = mem_strdup("");
		snprintf(v->spec.mac, sizeof(v->spec.mac), "00:16:3e:00:%02x:%02x",
			 (unsigned)prng_below(p, 256), i);
		if (coin(p))
			v->spec.model = mem_strdup("e1000");
		if (coin(p))
			v->spec.rate = mem_strdup("10Mb/s");
	}
}

static void make_disks(struct prng *p, struct made *m)
{
	static const char *const names[PLACES_MAX] = {
		"xvda", "xvdb", "sdc", "hdd", "xvde", "xvdf"
	};
	unsigned n = (unsigned)prng_below(p, PLACES_MAX + 1);

	for (unsigned i = 0; i < n; i++)
		made_disk(m->g, "/dev/x", names[i]);
	for (unsigned i = 0; i < n; i++) {
		make_text(p, m->paths[i], sizeof(m->paths[i]));
		m->places[i] =
			(struct convert_place){ &m->g->disks[i], vdev_letters(i, m->letters[i]),
						m->paths[i], coin(p) };
	}
	m->o.places = m->places;
	m->o.n_places = n;
	for (unsigned i = (unsigned)prng_below(p, 3); i--;) {
		struct guest_source *s = made_disk(m->g, "/dev/cd", i ? "xvdy" : "xvdz");

		s->spec.cdrom = true;
		m->g->disks[m->g->n_disks - 1].cdrom = true;
	}
	/* The array has moved. */
	for (unsigned i = 0; i < n; i++)
		m->places[i].disk = &m->g->disks[i];
}

static void make(struct prng *p, struct made *m)
{
	static const char *const firmwares[] = { NULL, "ovmf", "bios", "seabios" };
	static const char *const actions[] = { NULL, "destroy", "restart", "preserve" };
	char text[64];
	struct guest *g;

	*m = (struct made){ .o = { .type = coin(p) ? "kvm" : "qemu" }, .all = { NULL, "br-x" } };
	make_text(p, text, sizeof(text));
	g = m->g = made_guest(text);
	make_text(p, text, sizeof(text));
	g->description = mem_strdup(text);
	g->kind = (enum guest_kind)prng_below(p, 3);
	g->boot.bootloader = mem_strdup("pygrub");
	g->firmware = mem_strdup_or_null(firmwares[prng_below(p, 4)]);
	g->on_crash = mem_strdup_or_null(actions[prng_below(p, 4)]);
	g->on_reboot = mem_strdup_or_null(actions[prng_below(p, 3)]);
	g->memory = (1 + prng_below(p, 4096)) << 20;
	g->maxmemory = coin(p) ? g->memory * 2 : 0;
	g->vcpus = coin(p) ? 2 : GUEST_UNSET;
	g->maxvcpus = coin(p) ? 4 : GUEST_UNSET;
	g->vnc = maybe(p);
	g->usb = maybe(p);
	g->acpi = maybe(p);
	g->hpet = maybe(p);
	g->viridian = maybe(p);
	g->localtime = maybe(p);
	g->rtc_timeoffset = coin(p) ? -60 : 0;
	g->boot.order = mem_strdup(coin(p) ? "cdn" : "ndc");
	make_vifs(p, g);
	make_disks(p, m);
	m->o.bridges = &m->all;
	m->o.n_bridges = coin(p);
}

/* --- What was written --- */

static unsigned count(xmlDocPtr doc, const char *path)
{
	xmlXPathContextPtr context = xmlXPathNewContext(doc);
	xmlXPathObjectPtr found = xmlXPathEvalExpression((const xmlChar *)path, context);
	unsigned n;

	assert_non_null(found);
	n = found->nodesetval ? (unsigned)found->nodesetval->nodeNr : 0;
	xmlXPathFreeObject(found);
	xmlXPathFreeContext(context);
	return n;
}

/* Of the nth node; newly allocated. */
static xmlChar *text_of(xmlDocPtr doc, const char *path, unsigned n)
{
	xmlXPathContextPtr context = xmlXPathNewContext(doc);
	xmlXPathObjectPtr found = xmlXPathEvalExpression((const xmlChar *)path, context);
	xmlChar *text;

	assert_non_null(found);
	assert_true(found->nodesetval && n < (unsigned)found->nodesetval->nodeNr);
	text = xmlNodeGetContent(found->nodesetval->nodeTab[n]);
	xmlXPathFreeObject(found);
	xmlXPathFreeContext(context);
	return text;
}

static void assert_text(xmlDocPtr doc, const char *path, unsigned n, const char *wanted)
{
	xmlChar *text = text_of(doc, path, n);

	assert_string_equal((const char *)text, wanted);
	xmlFree(text);
}

static void check(const struct made *m, const struct choices *c, xmlDocPtr doc)
{
	unsigned n = m->o.n_places;

	assert_text(doc, "/domain/name", 0, m->g->name);
	assert_text(doc, "/domain/description", 0, m->g->description);
	assert_int_equal(count(doc, "//interface"), m->g->n_vifs);
	for (unsigned i = 0; i < m->g->n_vifs; i++) {
		const char *own = m->g->vifs[i].spec.bridge;

		assert_text(doc, "//interface/mac/@address", i, m->g->vifs[i].spec.mac);
		assert_text(doc, "//interface/source/@bridge", i, m->o.n_bridges ? "br-x" : own);
	}
	assert_int_equal(count(doc, "//disk[@device='disk']"), n);
	assert_int_equal(count(doc, "//disk[@device='cdrom']"), m->g->n_disks - n);
	for (unsigned i = 0; i < n; i++)
		assert_text(doc, "//disk[@device='disk']/source/@dev | //disk/source/@file", i,
			    m->paths[i]);
	/* A letter of a bus is given once. */
	for (unsigned i = 0; i < c->n_disks; i++)
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(c->disks[i].target, c->disks[j].target);
	assert_int_equal(count(doc, "//serial"), 1);
	assert_int_equal(count(doc, "//console"), 2);
	assert_int_equal(count(doc, "//graphics"), c->vnc);
}

static bool try(const struct made *m)
{
	struct report report = { 0 };
	struct choices *c = convert_guest(m->g, NULL, &m->o, &report);
	bool ok = !report.n_errors;
	const char *bad;
	xmlDocPtr doc;
	char *xml;

	if (ok) {
		assert_int_equal(domain_xml(c, &xml, &bad), 0);
		doc = xmlReadMemory(xml, (int)strlen(xml), NULL, NULL,
				    XML_PARSE_NONET | XML_PARSE_NOERROR);
		assert_non_null(doc);
		check(m, c, doc);
		xmlFreeDoc(doc);
		free(xml);
		json_decref(choices_json(c));
	}
	choices_free(c);
	report_fini(&report);
	return ok;
}

static void any_guest(void **state)
{
	struct prng p = { 6 };
	unsigned good = 0;

	(void)state;
	for (unsigned i = 0; i < GUESTS; i++) {
		struct made m;

		make(&p, &m);
		good += try(&m);
		guest_free(m.g);
	}
	/* The others have an interface without a bridge. */
	assert_true(good > GUESTS / 2);
}

/* --- What XML cannot hold --- */

static void no_xml(void **state)
{
	static const char *const texts[] = { "\x01",	     "a\x1b", "\xff", "\xed\xa0\x80",
					     "\xef\xbf\xbe", "\r",    "\xc3" };
	struct prng p = { 1 };
	struct report report = { 0 };
	struct made m;
	const char *bad;
	char *xml;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
		struct choices *c;

		make(&p, &m);
		m.o.bridges = &m.all;
		m.o.n_bridges = 1;
		c = convert_guest(m.g, NULL, &m.o, &report);
		c->name = texts[i];
		assert_int_equal(domain_xml(c, &xml, &bad), -EILSEQ);
		assert_ptr_equal(bad, texts[i]);
		choices_free(c);
		guest_free(m.g);
	}
	report_fini(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_guest),
		cmocka_unit_test(no_xml),
	};
	int r = cmocka_run_group_tests(tests, NULL, NULL);

	xmlCleanupParser();
	return r;
}
