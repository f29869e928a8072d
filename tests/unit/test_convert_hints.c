/* Bus and machine by what the guest's kernel can drive, and what is said about it. */
#include "bridgectl/domain/convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bridgectl/domain/xl_guest.h"
#include "common/util.h"

#define Y HINT_YES
#define N HINT_NO
#define U HINT_UNKNOWN

struct row {
	const char *guest;	  /* what its file says beside name, memory and disk */
	const char *kernel;	  /* NULL: none */
	enum hint h[6];		  /* virtio_pci, virtio_blk, virtio_scsi, ahci, ata_piix, sd_mod */
	const char *user_machine; /* and what the user says */
	enum choice_bus user_bus;
	const char *bus, *machine; /* what it gets */
	const char *said;	   /* a part of one message */
	bool warned;		   /* which is a warning */
};

static const struct row rows[] = {
	/* Kernels with everything, young, old and in between. */
	{ "",
	  "6.1.0-18-amd64",
	  { Y, Y, Y, Y, Y, Y },
	  NULL,
	  0,
	  "virtio",
	  "q35",
	  "has its driver",
	  0 },
	{ "",
	  "2.6.32-5-amd64",
	  { Y, Y, N, Y, Y, Y },
	  NULL,
	  0,
	  "virtio",
	  "pc",
	  "has its driver",
	  0 },
	{ "", "3.10.0-1160.el7", { Y, Y, Y, Y, Y, Y }, NULL, 0, "virtio", "pc", "has its", 0 },
	{ "", "4.0.0", { Y, Y, N, N, N, N }, NULL, 0, "virtio", "q35", "has its driver", 0 },
	{ "type='hvm'\n", "5.14.0", { Y, Y, Y, Y, Y, Y }, NULL, 0, "virtio", "q35", "has its", 0 },
	{ "type='hvm'\n", "2.6.18", { N, N, N, N, Y, Y }, NULL, 0, "ide", "pc", "has its", 0 },
	/* The next best. A half of what a bus needs is nothing. */
	{ "", "5.4.0", { N, Y, Y, Y, Y, Y }, NULL, 0, "sata", "q35", "has its driver", 0 },
	{ "", "5.4.0", { Y, N, Y, Y, Y, Y }, NULL, 0, "scsi", "q35", "has its driver", 0 },
	{ "", "5.4.0", { Y, U, U, Y, Y, Y }, NULL, 0, "sata", "q35", "has its driver", 0 },
	{ "", "2.6.26", { N, N, N, Y, Y, Y }, NULL, 0, "sata", "pc", "has its driver", 0 },
	{ "", "5.4.0", { N, N, N, N, Y, Y }, NULL, 0, "ide", "pc", "has its driver", 0 },
	{ "", "5.4.0", { Y, N, N, N, N, Y }, NULL, 0, "virtio", "pc", "for any disk", 1 },
	{ "", "5.4.0", { Y, N, Y, Y, Y, N }, NULL, 0, "virtio", "pc", "domain prepare", 1 },
	{ "", "5.4.0", { U, U, U, U, U, U }, NULL, 0, "virtio", "pc", "cannot be told", 1 },
	{ "type='hvm'\n", "5.4.0", { U, U, U, U, U, U }, NULL, 0, "ide", "pc", "cannot be", 1 },
	{ "type='pvh'\n", "5.4.0", { U, U, U, U, U, U }, NULL, 0, "virtio", "q35", "cannot be", 1 },
	{ "", NULL, { U, U, U, U, U, U }, NULL, 0, "virtio", "pc", "no kernel that starts", 1 },
	/* The user's word comes first, and what follows from it. */
	{ "", "6.1.0", { Y, Y, Y, Y, Y, Y }, "pc", 0, "virtio", "pc", "has its driver", 0 },
	{ "", "2.6.32", { Y, Y, Y, Y, Y, Y }, "q35", 0, "virtio", "q35", "take --machine pc", 1 },
	{ "", "6.1.0", { Y, Y, Y, Y, Y, Y }, NULL, BUS_IDE, "ide", "pc", "has its driver", 0 },
	{ "",
	  "6.1.0",
	  { Y, Y, Y, N, Y, Y },
	  NULL,
	  BUS_SATA,
	  "sata",
	  "q35",
	  "disks on sata: `domain",
	  1 },
	{ "", "6.1.0", { N, N, N, N, Y, Y }, "q35", 0, "virtio", "q35", "for any disk", 1 },
	{ "type='hvm'\nbios='ovmf'\n",
	  "6.1",
	  { N, N, N, N, Y, Y },
	  0,
	  0,
	  "sata",
	  "q35",
	  "for any",
	  1 },
	{ "type='hvm'\nbios='ovmf'\n",
	  "3.2",
	  { Y, Y, Y, N, Y, Y },
	  0,
	  0,
	  "virtio",
	  "q35",
	  "1.0",
	  1 },
};

static bool has_said(const struct report *r, const struct row *row)
{
	for (unsigned i = 0; i < r->n; i++)
		if (strstr(r->items[i].text, row->said) &&
		    (r->items[i].severity == REPORT_WARNING) == row->warned)
			return true;
	return false;
}

static void try(const struct row *row, const char *arch, const char *said)
{
	const struct convert_hints hints = { .kernel = row->kernel,
					     .arch = arch,
					     .virtio_pci = row->h[0],
					     .virtio_blk = row->h[1],
					     .virtio_scsi = row->h[2],
					     .ahci = row->h[3],
					     .ata_piix = row->h[4],
					     .sd_mod = row->h[5] };
	struct convert_place place = { NULL, "a", "/dev/vg/g-vda", true };
	struct convert_options o = { .type = "kvm",
				     .machine = row->user_machine,
				     .bus = row->user_bus,
				     .hints = &hints,
				     .places = &place,
				     .n_places = 1 };
	struct row other = *row;
	struct report report = { 0 };
	struct xl_file file;
	struct choices *c;
	struct guest *g;
	char text[256];

	snprintf(text, sizeof(text),
		 "name='g'\nmemory=64\nkernel='/k'\ndisk=['phy:/dev/vg/g,xvda,w']\n%s", row->guest);
	if (strstr(text, "hvm"))
		memset(strstr(text, "kernel"), '#', 1);
	xl_parse(text, strlen(text), &file);
	g = xl_guest(&file, NULL, 0);
	place.disk = &g->disks[0];
	c = convert_guest(g, &file, &o, &report);
	if (said)
		other.said = said;
	if (!has_said(&report, &other) || strcmp(c->machine, row->machine) != 0 ||
	    strcmp(choice_bus_name(c->disks[0].bus), row->bus) != 0)
		fail_msg("row %td: %s on %s%s", row - rows, choice_bus_name(c->disks[0].bus),
			 c->machine, has_said(&report, &other) ? "" : ", not said");
	assert_int_equal(report.n_errors, 0);
	choices_free(c);
	report_fini(&report);
	guest_free(g);
	xl_file_fini(&file);
}

static void choices(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		try(&rows[i], "x86_64", NULL);
}

static void narrow(void **state)
{
	(void)state;
	try(&rows[0], "i686", "32-bit kernel");
}

/* What a guest of two disks is told about booting, and from which of them it boots. */
static void expect_boot(const char *how, const struct convert_hints *hints, bool warned,
			unsigned first)
{
	struct convert_place places[2] = { { NULL, "a", "/dev/vg/g-vda", true },
					   { NULL, "b", "/dev/vg/g-vdb", true } };
	struct convert_options o = {
		.type = "kvm", .hints = hints, .places = places, .n_places = 2
	};
	struct report report = { 0 };
	bool has_warned = false, has_noted = false;
	struct xl_file file;
	struct choices *c;
	struct guest *g;
	char text[256];

	snprintf(text, sizeof(text),
		 "name='g'\nmemory=64\n%s\ndisk=['phy:/dev/vg/b,xvdb,w','phy:/dev/vg/a,xvda,w']\n",
		 how);
	xl_parse(text, strlen(text), &file);
	g = xl_guest(&file, NULL, 0);
	places[0].disk = &g->disks[1];
	places[1].disk = &g->disks[0];
	c = convert_guest(g, &file, &o, &report);
	for (unsigned i = 0; i < report.n; i++)
		if (strstr(report.items[i].text, "on its own disk") ||
		    strstr(report.items[i].text, "of its own on its disk"))
			has_warned = true;
		else if (strstr(report.items[i].text, "boots from its disk, by GRUB"))
			has_noted = report.items[i].severity == REPORT_NOTE;
	if (report.n_errors || has_warned != warned || has_noted == warned ||
	    c->disks[first].boot != 1)
		fail_msg("%s: warned %d, noted %d, vd%c boots", how, has_warned, has_noted,
			 c->disks[0].boot ? 'a' : 'b');
	choices_free(c);
	report_fini(&report);
	guest_free(g);
	xl_file_fini(&file);
}

/* pygrub and its like are no loss where a boot loader is on the disk, with a kernel for it. */
static void loader(void **state)
{
	static const struct convert_hints all = { .kernel = "6.1.0", .loader = "GRUB" },
					  none = { .kernel = "6.1.0" },
					  no_kernel = { .loader = "GRUB" };
	static const char *const ways[] = { "bootloader='pygrub'", "kernel='/k'\nextra='quiet'",
					    "type='pv'\nfirmware='pvgrub64'",
					    "type='pvh'\nkernel='/boot/grub-i386-xen_pvh.bin'" };

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		expect_boot(ways[i], &all, false, 0);
		expect_boot(ways[i], &none, true, 1);
		expect_boot(ways[i], &no_kernel, true, 0);
		expect_boot(ways[i], NULL, true, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(choices), cmocka_unit_test(narrow),
					    cmocka_unit_test(loader) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
