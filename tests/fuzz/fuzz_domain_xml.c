/*
 * Domain XML from anybody, a user's file or another host's libvirt: what is read keeps its
 * bounds, a changed copy is a definition again, and none differs from itself. Up to a NUL, since
 * callers take no text that has one.
 */
#include <stdlib.h>
#include <string.h>

#include "bridgectl/domain/xml_boot.h"
#include "bridgectl/domain/xml_caps.h"
#include "bridgectl/domain/xml_read.h"
#include "common/util.h"
#include "tests/fuzz/fuzz.h"

#define UUID "0f1e2d3c-4b5a-4678-9abc-def012345678"

#define CHECK(x)                 \
	do {                     \
		if (!(x))        \
			abort(); \
	} while (0)

static void check_record(const struct xml_domain *d)
{
	CHECK(d->name && *d->name && strlen(d->uuid) < XML_UUID_LEN);
	for (unsigned i = 0; i < d->n_vifs; i++)
		CHECK(strlen(d->vifs[i].mac) < XML_MAC_LEN);
	for (unsigned i = 0; i < d->n_files; i++)
		CHECK(*d->files[i].path && strlen(d->files[i].what) < sizeof(d->files[i].what));
}

static void check_uuid(const char *text)
{
	_cleanup_free_ char *copy = xml_with_uuid(text, UUID);
	char err[XML_ERRLEN];
	struct xml_domain *d = xml_read(copy, err);

	CHECK(d && !strcmp(d->uuid, UUID));
	xml_domain_free(d);
}

static void check_bare(const char *text)
{
	_cleanup_free_ char *copy = xml_without_interfaces(text);
	char err[XML_ERRLEN];
	struct xml_domain *d = xml_read(copy, err);

	CHECK(d);
	xml_domain_free(d);
}

/* What is put in is read again, where there is an <os> for it; taken out, it is gone. */
static void check_boot(const char *text)
{
	const struct xml_boot in = { .kernel = (char *)"/k&<", .initrd = (char *)"/i" };
	_cleanup_free_ char *with = xml_with_boot(text, &in), *without = xml_with_boot(with, NULL);
	struct xml_boot b;

	xml_boot_read(with, &b);
	CHECK(!b.kernel == !b.initrd && !b.cmdline);
	CHECK(!b.kernel || (!strcmp(b.kernel, in.kernel) && !strcmp(b.initrd, in.initrd)));
	xml_boot_fini(&b);
	xml_boot_read(without, &b);
	CHECK(!b.kernel && !b.initrd && !b.cmdline);
	xml_boot_fini(&b);
}

static void check_diff(const char *text)
{
	_cleanup_free_ char *copy = xml_with_uuid(text, UUID);
	struct xml_changes c;
	char err[XML_ERRLEN];

	CHECK(xml_diff(text, text, false, &c, err) == 0 && !c.n);
	xml_changes_fini(&c);
	CHECK(xml_diff(text, copy, true, &c, err) == 0);
	for (unsigned i = 0; i < c.n; i++)
		CHECK(c.v[i].path && (c.v[i].was || c.v[i].is));
	xml_changes_fini(&c);
}

static void one_definition(const char *text)
{
	char err[XML_ERRLEN] = "";
	struct xml_domain *d = xml_read(text, err);
	struct xml_raw_disks disks;

	xml_raw_disks(text, &disks);
	CHECK(disks.n <= XML_RAW_DISKS_MAX);
	xml_raw_disks_fini(&disks);
	if (!d) {
		CHECK(*err && strlen(err) < XML_ERRLEN);
		return;
	}
	check_record(d);
	xml_domain_free(d);
	check_uuid(text);
	check_bare(text);
	check_boot(text);
	check_diff(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xml_caps caps;
	char *text;

	if (size > 64 * 1024)
		return 0;
	text = malloc(size + 1);
	memcpy(text, data, size);
	text[size] = '\0';
	one_definition(text);
	if (xml_caps_read(text, "x86_64", "pc", &caps))
		xml_caps_fini(&caps);
	free(text);
	return 0;
}
