/*
 * What kind of guest it is and how it boots: several keys of xl and xm say it together, and the
 * names of files say the rest.
 */
#include <stdio.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xl_guest_private.h"

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_hvmloader(const char *path)
{
	return path && !strcmp(base_name(path), "hvmloader");
}

void xl_read_kind(struct xl_reader *r)
{
	static const struct {
		const char *key, *word;
		enum guest_kind kind;
	} words[] = {
		{ "type", "pv", GUEST_PV },	  { "type", "hvm", GUEST_HVM },
		{ "type", "pvh", GUEST_PVH },	  { "builder", "generic", GUEST_PV },
		{ "builder", "linux", GUEST_PV }, { "builder", "netbsd", GUEST_PV },
		{ "builder", "hvm", GUEST_HVM },
	};
	const char *key = xl_get(r, "type") ? "type" : "builder";
	const struct xl_value *v = xl_get(r, key);
	const char *word = v ? xl_text(v) : NULL;
	int pvh = 0;

	r->g->kind = GUEST_PV; /* of both xl and xm */
	xl_read_bool(r, "pvh", &pvh);
	if (pvh)
		r->g->kind = GUEST_PVH;
	if (!v || (word && !word[0]))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		if (word && !strcmp(key, words[i].key) && !strcmp(word, words[i].word)) {
			r->g->kind = pvh ? GUEST_PVH : words[i].kind;
			return;
		}
	report_error(r->report, v->line, v->column,
		     !strcmp(key, "type") ? "type is 'pv', 'hvm' or 'pvh'" :
					    "builder is 'hvm', 'generic' or 'linux'");
}

/* "ip=ADDRESS:SERVER:GATEWAY:NETMASK:HOST:INTERFACE:DHCP", as xm put it together. */
static void add_ip(struct xl_reader *r, FILE *f)
{
	static const char *const keys[] = { "ip",	"gateway",   "netmask",
					    "hostname", "interface", "dhcp" };
	char *v[ARRAY_SIZE(keys)] = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		xl_read_text(r, keys[i], &v[i]);
	if (v[0] || (v[5] && strcmp(v[5], "off") != 0))
		fprintf(f, "ip=%s:127.0.255.255:%s:%s:%s:%s:%s ", v[0] ? v[0] : "",
			v[1] ? v[1] : "", v[2] ? v[2] : "", v[3] ? v[3] : "", v[4] ? v[4] : "eth0",
			v[5] ? v[5] : "off");
	for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
		free(v[i]);
}

/* cmdline is the whole of it; or there are parts. */
static void read_cmdline(struct xl_reader *r)
{
	_cleanup_free_ char *root = NULL;
	_cleanup_free_ char *extra = NULL;
	char *text = NULL;
	size_t size;
	FILE *f;

	xl_read_text(r, "cmdline", &r->g->boot.cmdline);
	xl_read_text(r, "root", &root);
	xl_read_text(r, "extra", &extra);
	if (r->g->boot.cmdline) {
		if (root || extra)
			report_warning(r->report, xl_get(r, "cmdline")->line,
				       xl_get(r, "cmdline")->column,
				       "root and extra do not count beside cmdline");
		return;
	}
	f = mem_must(open_memstream(&text, &size));
	add_ip(r, f);
	if (root)
		fprintf(f, "root=%s ", strncmp(root, "root=", 5) ? root : root + 5);
	if (extra)
		fprintf(f, "%s ", extra);
	fclose(f);
	mem_must(text);
	while (size && text[size - 1] == ' ')
		text[--size] = '\0';
	if (size)
		r->g->boot.cmdline = steal(text);
	free(text);
}

/* The firmware of pv-grub has had many names. */
static bool is_pvgrub(const char *kernel)
{
	static const char *const names[] = {
		"pv-grub",  "pvgrub",	     "pvhgrub",		/* Xen's own; Arch */
		"grub.xen", "grub-i386-xen", "grub-x86_64-xen", /* SUSE; Debian, also _pvh */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strncmp(base_name(kernel), names[i], strlen(names[i])))
			return true;
	return false;
}

static const char *arch_of(const char *path)
{
	static const char *const wide[] = { "x86_64", "amd64", "x64", "pvgrub64" };
	static const char *const narrow[] = { "i386", "i486",	"i586",	   "i686",
					      "686",  "x86_32", "pvgrub32" };

	for (unsigned i = 0; path && i < ARRAY_SIZE(wide); i++)
		if (strstr(path, wide[i]))
			return "x86_64";
	for (unsigned i = 0; path && i < ARRAY_SIZE(narrow); i++)
		if (strstr(path, narrow[i]))
			return "i686";
	return NULL;
}

static void read_firmware(struct xl_reader *r)
{
	const struct xl_value *v =
		xl_get(r, "firmware") ? xl_get(r, "firmware") : xl_get(r, "bios");
	struct guest *g = r->g;

	xl_read_text(r, "bios", &g->firmware);
	xl_read_text(r, "firmware", &g->firmware);
	if (!g->firmware)
		return;
	if (g->kind != GUEST_HVM &&
	    (!strcmp(g->firmware, "pvgrub32") || !strcmp(g->firmware, "pvgrub64"))) {
		g->boot.method = BOOT_PVGRUB;
		g->arch = arch_of(g->firmware);
	} else if (g->kind != GUEST_HVM) {
		report_error(r->report, v->line, v->column,
			     "a %s guest has no firmware '%s'; there are pvgrub32 and pvgrub64",
			     g->kind == GUEST_PVH ? "PVH" : "PV", g->firmware);
	}
	if (!strcmp(g->firmware, "uefi")) {
		free(g->firmware);
		g->firmware = mem_strdup("ovmf");
	}
}

static void read_order(struct xl_reader *r)
{
	const struct xl_value *v = xl_get(r, "boot");
	char *order = NULL;

	xl_read_text(r, "boot", &order);
	r->g->boot.order = order;
	if (order && order[strspn(order, "acdn")])
		report_error(r->report, v->line, v->column,
			     "boot has letters: c disk, d CD-ROM, n network, a floppy; not '%s'",
			     order);
}

void xl_read_boot(struct xl_reader *r)
{
	struct guest *g = r->g;

	xl_read_text(r, "kernel", &g->boot.kernel);
	xl_read_text(r, "ramdisk", &g->boot.ramdisk);
	xl_read_text(r, "bootloader", &g->boot.bootloader);
	xl_read_strings(r, "bootargs", &g->boot.args);
	xl_read_strings(r, "bootloader_args", &g->boot.args);
	read_cmdline(r);
	read_order(r);
	read_firmware(r);
	if (is_hvmloader(g->boot.kernel)) {
		free(g->boot.kernel);
		g->boot.kernel = NULL;
		if (!xl_get(r, "type") && !xl_get(r, "builder"))
			g->kind = GUEST_HVM;
	}
	if (!g->arch)
		g->arch = arch_of(g->boot.kernel);
	if (g->boot.method == BOOT_PVGRUB)
		return;
	if (g->boot.kernel && is_pvgrub(g->boot.kernel))
		g->boot.method = BOOT_PVGRUB;
	else if (g->boot.bootloader)
		g->boot.method = BOOT_BOOTLOADER;
	else if (g->boot.kernel)
		g->boot.method = BOOT_KERNEL;
	else if (g->kind == GUEST_HVM)
		g->boot.method = BOOT_FIRMWARE;
	else if (!xl_file_get(r->file, "kernel") && !xl_file_get(r->file, "bootloader"))
		report_warning(r->report, 0, 0,
			       "no kernel and no bootloader: Xen could not boot this guest");
}
