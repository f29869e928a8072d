/*
 * Domain XML, read: what is taken from it, what is no definition, hostile texts; and what counts as
 * a difference between two of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml_caps.h"
#include "bridgectl/domain/xml_read.h"
#include "common/util.h"

#define UUID "0f1e2d3c-4b5a-4678-9abc-def012345678"

static const char whole[] =
	"<?xml version='1.0'?>\n"
	"<!-- a comment --><domain type='kvm' id='3'><name> web1\n</name>"
	"<uuid>0F1E2D3C-4B5A-4678-9ABC-DEF012345678</uuid><memory unit='KiB'>65536</memory>"
	"<os><type arch='x86_64' machine='pc'>hvm</type><kernel>/boot/vmlinuz</kernel></os>"
	"<cpu mode='host-model' check='partial'/><devices>"
	"<disk type='block' device='disk'><source dev='/dev/vg0/web1' index='1'/>"
	"<target dev='vda' bus='virtio'/><alias name='virtio-disk0'/></disk>"
	"<disk type='file' device='cdrom'><target dev='hda' bus='ide'/></disk>"
	"<disk type='file' device='cdrom'><source file='/x.iso' startupPolicy='optional'/>"
	"<target dev='hdb' bus='ide'/></disk>"
	"<interface type='bridge'><mac address='00:16:3E:00:00:01'/><source bridge='br-sv'/>"
	"<target dev='vnet4'/><model type='virtio'/></interface>"
	"<interface type='network'><source network='default'/></interface>"
	"<serial type='pty'><source path='/dev/pts/3'/><target port='0'/></serial>"
	"<console type='pty' tty='/dev/pts/3'><source path='/dev/pts/3'/></console>"
	"</devices><seclabel type='none'/></domain>\n";

static const char kept[] =
	"<domain type='kvm'><uuid>" UUID "</uuid><name>web1</name>"
	"<memory unit='KiB'>65536</memory>"
	"<os><kernel>/boot/vmlinuz</kernel><type machine='pc' arch='x86_64'>hvm</type></os>"
	"<cpu mode='custom' match='exact'><model fallback='forbid'>Skylake</model></cpu><devices>"
	"<disk device='disk' type='block'><target dev='vda' bus='virtio'/>"
	"<source dev='/dev/vg0/web1'/></disk>"
	"<disk type='file' device='cdrom'><target dev='hda' bus='ide'/></disk>"
	"<disk type='file' device='cdrom'><source file='/x.iso' startupPolicy='optional'/>"
	"<target dev='hdb' bus='ide'/></disk>"
	"<interface type='bridge'><mac address='00:16:3E:00:00:01'/><source bridge='br-sv'/>"
	"<model type='virtio'/></interface>"
	"<interface type='network'><source network='default'/></interface>"
	"<serial type='pty'><target port='0'/></serial><console type='pty'/>"
	"</devices></domain>";

/* --- Reading --- */

static void test_record(void **state)
{
	char err[XML_ERRLEN];
	struct xml_domain *d = xml_read(whole, err);

	(void)state;
	assert_non_null(d);
	assert_string_equal(d->name, "web1");
	assert_string_equal(d->uuid, UUID);
	assert_string_equal(d->type, "kvm");
	assert_string_equal(d->arch, "x86_64");
	assert_string_equal(d->machine, "pc");
	assert_int_equal(d->n_files, 2);
	assert_string_equal(d->files[0].path, "/boot/vmlinuz");
	assert_string_equal(d->files[0].what, "kernel");
	assert_string_equal(d->files[1].path, "/dev/vg0/web1");
	assert_string_equal(d->files[1].what, "disk vda");
	assert_true(d->files[1].is_block && d->files[1].is_disk && !d->files[1].may_share);
	assert_false(d->files[0].is_disk);
	assert_int_equal(d->n_vifs, 2);
	assert_string_equal(d->vifs[0].mac, "00:16:3e:00:00:01");
	assert_string_equal(d->vifs[0].bridge, "br-sv");
	assert_string_equal(d->vifs[0].interface, "vnet4");
	assert_string_equal(d->vifs[1].mac, "");
	assert_null(d->vifs[1].bridge);
	xml_domain_free(d);
}

static void test_shared(void **state)
{
	static const struct {
		const char *attribute, *element;
		bool may_share;
	} disks[] = {
		{ "", "", false },
		{ "device='disk'", "<shareable/>", true },
		{ "", "<readonly/>", true },
		{ "device='cdrom'", "", true },
		{ "device='lun'", "", false },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(disks); i++) {
		char text[256], err[XML_ERRLEN];
		struct xml_domain *d;

		snprintf(text, sizeof(text),
			 "<domain><name>a</name><devices><disk type='block' %s>"
			 "<source dev='/dev/b'/>%s</disk></devices></domain>",
			 disks[i].attribute, disks[i].element);
		d = xml_read(text, err);
		assert_non_null(d);
		assert_int_equal(d->n_files, 1);
		assert_int_equal(d->files[0].may_share, disks[i].may_share);
		xml_domain_free(d);
	}
}

/* Lines behind the first: the sentence names the line. */
static void test_refused(void **state)
{
	static const struct {
		const char *text, *said;
	} bad[] = {
		{ "", "line " },
		{ "name = 'web1'", "line 1" },
		{ "<domain>\n<name>web1</name>\n", "line 3" },
		{ "<network><name>default</name></network>", "not a <domain>" },
		{ "<domain type='kvm'/>", "no <name>" },
		{ "<domain><name>  </name></domain>", "no <name>" },
		{ "<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"
		  "<domain><name>&x;</name></domain>",
		  "document type" },
		{ "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>"
		  "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'><!ENTITY e '&c;&c;&c;&c;&c;&c;&c;&c;'>]>"
		  "<domain><name>&e;</name></domain>",
		  "line 1" },
		{ "<domain><name>&x;</name></domain>", "line 1" },
		{ "<domain><name>\x01</name></domain>", "line 1" },
		{ "<domain><name>\xff\xfe</name></domain>", "line 1" },
	};
	char err[XML_ERRLEN];

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		strcpy(err, "untouched");
		if (xml_read(bad[i].text, err) || !strstr(err, bad[i].said))
			fail_msg("%s: %s", bad[i].text, err);
	}
}

static void test_too_large(void **state)
{
	char *text = mem_new(XML_BYTES_MAX + 100), err[XML_ERRLEN];

	(void)state;
	memset(text, ' ', XML_BYTES_MAX + 10);
	memcpy(text, "<domain>", 8);
	assert_null(xml_read(text, err));
	assert_non_null(strstr(err, "larger"));
	/* Deeper than libxml2 goes. */
	for (size_t i = 0; i + 3 < XML_BYTES_MAX / 4; i += 3)
		memcpy(text + i, "<a>", 3);
	text[XML_BYTES_MAX / 4] = '\0';
	assert_null(xml_read(text, err));
	free(text);
}

/* Every text that is a bit of a good one, and every one with a byte changed, ends well. */
static void test_broken(void **state)
{
	char err[XML_ERRLEN];

	(void)state;
	for (size_t i = 0; i < sizeof(whole); i++) {
		char *text = mem_strndup(whole, i);
		struct xml_changes c = { 0 };

		xml_domain_free(xml_read(text, err));
		free(text);
		text = mem_strdup(whole);
		text[i % strlen(text)] ^= (char)(1 << (i % 7));
		xml_domain_free(xml_read(text, err));
		if (xml_diff(whole, text, i & 1, &c, err) == 0)
			xml_changes_fini(&c);
		free(text);
	}
}

static void test_copies(void **state)
{
	char err[XML_ERRLEN];
	char *bare = xml_without_interfaces(whole), *other;
	struct xml_domain *d = xml_read(bare, err);

	(void)state;
	assert_int_equal(d->n_vifs, 0);
	assert_int_equal(d->n_files, 2);
	xml_domain_free(d);
	other = xml_with_uuid(bare, "11111111-2222-4333-8444-555555555555");
	d = xml_read(other, err);
	assert_string_equal(d->uuid, "11111111-2222-4333-8444-555555555555");
	assert_string_equal(d->name, "web1");
	xml_domain_free(d);
	free(bare);
	free(other);
}

/* --- Differences --- */

static struct xml_changes diff(const char *was, const char *is, bool said_only)
{
	struct xml_changes c = { 0 };
	char err[XML_ERRLEN];

	assert_int_equal(xml_diff(was, is, said_only, &c, err), 0);
	return c;
}

static void test_what_libvirt_adds(void **state)
{
	struct xml_changes c = diff(kept, whole, false);

	(void)state;
	for (unsigned i = 0; i < c.n; i++)
		print_message("%s: %s, %s\n", c.v[i].path, c.v[i].was, c.v[i].is);
	assert_int_equal(c.n, 0);
	c = diff(whole, kept, false);
	assert_int_equal(c.n, 0);
}

#define WRAP(s) "<domain type='kvm'><name>a</name>" s "</domain>"

static void test_one_difference(void **state)
{
	static const struct {
		const char *was, *is, *path, *value, *now;
		bool said_only;
	} cases[] = {
		{ WRAP("<vcpu>1</vcpu>"), WRAP("<vcpu>2</vcpu>"), "vcpu", "1", "2", false },
		{ WRAP("<vcpu a='1'>1</vcpu>"), WRAP("<vcpu>1</vcpu>"), "vcpu/@a", "1", NULL,
		  true },
		{ WRAP(""), WRAP("<vcpu>2</vcpu>"), "vcpu", NULL, "2", false },
		{ WRAP("<memory unit='MiB'>2</memory>"), WRAP("<memory>2049</memory>"), "memory",
		  "2048 KiB", "2049 KiB", false },
		{ WRAP("<features/>"), WRAP("<features><acpi/></features>"), "features/acpi", NULL,
		  "there", false },
		{ WRAP("<devices><disk type='file'><target dev='vda'/></disk></devices>"),
		  WRAP("<devices><disk type='file'><target dev='vda'/></disk>"
		       "<disk type='file'><source file='/b'/><target dev='vdb'/></disk></devices>"),
		  "devices/disk[vdb]", NULL, "there", true },
		{ WRAP("<devices><interface><mac address='m'/><source bridge='a'/></interface>"
		       "</devices>"),
		  WRAP("<devices><interface><mac address='m'/><source bridge='b'/></interface>"
		       "</devices>"),
		  "devices/interface[m]/source/@bridge", "a", "b", true },
		{ WRAP("<devices><interface><mac address='m'/><target dev='web1'/></interface>"
		       "</devices>"),
		  WRAP("<devices><interface><mac address='m'/><target dev='vnet1'/></interface>"
		       "</devices>"),
		  "devices/interface[m]/target/@dev", "web1", NULL, false },
		{ WRAP("<cpu mode='custom'><model>a</model></cpu>"),
		  WRAP("<cpu mode='custom'><model>b</model></cpu>"), "cpu/model", "a", "b", false },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct xml_changes c = diff(cases[i].was, cases[i].is, cases[i].said_only);
		bool now = cases[i].now, was = cases[i].value;

		/* An element that got a child is told by the child alone, if it said nothing. */
		if (c.n != 1 && !(c.n == 2 && !strcmp(c.v[0].path, "features")))
			fail_msg("%u: %u differences", i, c.n);
		assert_string_equal(c.v[c.n - 1].path, cases[i].path);
		assert_int_equal(was, c.v[c.n - 1].was != NULL);
		assert_int_equal(now, c.v[c.n - 1].is != NULL);
		if (was)
			assert_string_equal(c.v[c.n - 1].was, cases[i].value);
		if (now)
			assert_string_equal(c.v[c.n - 1].is, cases[i].now);
		xml_changes_fini(&c);
	}
}

static void test_said_only(void **state)
{
	struct xml_changes c = diff(WRAP(""), WRAP("<vcpu>2</vcpu><on_crash>x</on_crash>"), true);

	(void)state;
	assert_int_equal(c.n, 0);
	c = diff(WRAP("<memory unit='GiB'>1</memory><os><type machine='pc'>hvm</type></os>"),
		 WRAP("<memory unit='KiB'>1048576</memory><os>"
		      "<type machine='pc-i440fx-7.2'>hvm</type></os>"),
		 false);
	assert_int_equal(c.n, 0);
}

/* --- Capabilities --- */

static void test_capabilities(void **state)
{
	static const char text[] =
		"<capabilities><host><cpu><arch>x86_64</arch></cpu></host>"
		"<guest><os_type>hvm</os_type><arch name='i686'>"
		"<machine>isapc</machine><domain type='qemu'/></arch></guest>"
		"<guest><os_type>hvm</os_type><arch name='x86_64'><wordsize>64</wordsize>"
		"<machine canonical='pc-i440fx-7.2'>pc</machine><machine>pc-i440fx-7.2</machine>"
		"<machine>q35</machine><domain type='qemu'/><domain type='kvm'/></arch></guest>"
		"</capabilities>";
	struct xml_caps c;

	(void)state;
	assert_true(xml_caps_read(text, "x86_64", "pc-i440fx-7.2", &c));
	assert_string_equal(c.types, "qemu, kvm");
	assert_string_equal(c.machines, "pc, q35");
	assert_true(c.has);
	xml_caps_fini(&c);
	assert_true(xml_caps_read(text, "i686", "pc", &c));
	assert_false(c.has);
	xml_caps_fini(&c);
	assert_true(xml_caps_read(text, NULL, "q35", &c)); /* the host's */
	assert_true(c.has);
	xml_caps_fini(&c);
	assert_false(xml_caps_read(text, "riscv64", "virt", &c));
	assert_false(xml_caps_read("no XML", "x86_64", "pc", &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_what_libvirt_adds),
		cmocka_unit_test(test_one_difference),
		cmocka_unit_test(test_said_only),
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
