/*
 * `bridgectl domain fixup IMAGE`: what has to change in a guest's disk so that KVM boots it.
 *
 * Without --apply it only tells. With it, what was told is written, after what was there is in an
 * undo file. Whatever comes from the guest is cleaned before it is shown; how the guest is read
 * without trusting it is told in fixup/child.h.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/copy_done.h"
#include "bridgectl/cmd/guest_file.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/vifspec.h"
#include "bridgectl/fixup/bootrecord.h"
#include "bridgectl/fixup/fixup.h"
#include "common/io.h"

#define TAB 8
#define FILLING 100

/* One run. */
struct fixing {
	struct cmd_call *call;
	struct fixup_options o;
	struct edit_vif vifs[CMD_GIVEN_MAX];
	char *paths[FIXUP_DISKS_MAX]; /* of --disk */
	const char *state_dir;
	struct fixup *f;
	const struct fixup_view *v;
	enum bootrecord_mode record_mode;
	struct bootrecord record;
	bool applied;
	char undo[PATH_MAX]; /* the file; "": none */
};

/* --- Options --- */

/* "vdb=PATH", also with the guest's name for it. */
static bool read_disk(struct fixing *x, const char *given)
{
	static const char *const kinds[] = { "xvd", "vd", "sd", "hd" };
	struct fixup_options *o = &x->o;
	const char *eq = strchr(given, '=');

	for (unsigned i = 0; eq && eq[1] && i < ARRAY_SIZE(kinds); i++) {
		size_t len = strlen(kinds[i]);

		if (strncmp(given, kinds[i], len) != 0 || given + len + 1 != eq ||
		    given[len] < 'b' || given[len] > 'z')
			continue;
		if (o->n_disks == FIXUP_DISKS_MAX) {
			cmd_error("--disk: at most %u disks", FIXUP_DISKS_MAX);
			return false;
		}
		for (unsigned k = 0; k < o->n_disks; k++)
			if (o->letters[k] == given[len]) {
				cmd_error("--disk: two for vd%c", given[len]);
				return false;
			}
		o->letters[o->n_disks] = given[len];
		o->disks[o->n_disks++] = eq + 1;
		return true;
	}
	cmd_error("--disk takes NAME=PATH, as vdb=/dev/vg0/data, not \"%.60s\"", given);
	return false;
}

/* The same one twice has everything twice: no name in it would be clear. */
static bool are_different(const struct fixup_options *o)
{
	struct stat a, b;

	for (unsigned i = 0; i < o->n_disks; i++)
		for (unsigned k = 0; k < i; k++) {
			if (stat(o->disks[i], &a) < 0 || stat(o->disks[k], &b) < 0)
				continue; /* told when it is opened */
			if (io_is_same(&a, &b)) {
				cmd_error("%s is given as vd%c and as vd%c", o->disks[i],
					  o->letters[k], o->letters[i]);
				return false;
			}
		}
	return true;
}

static bool read_mac(struct fixing *x, const char *given)
{
	char spec[64], err[VIFSPEC_ERRLEN];
	struct vifspec vif;
	unsigned offset;

	snprintf(spec, sizeof(spec), "mac=%.40s", strchr(given, ',') ? "" : given);
	if (vifspec_parse(spec, &vif, err, &offset) < 0) {
		cmd_error("--mac: %s", err);
		return false;
	}
	memcpy(x->vifs[x->o.n_vifs++].mac, vif.mac, sizeof(vif.mac));
	vifspec_fini(&vif);
	return true;
}

/* MACs of a guest's configuration; one without keeps names out of it altogether. */
static bool read_config(struct fixing *x, const char *path)
{
	struct guest_file g;
	bool ok;

	if (!guest_file_read(x->call, path, &g))
		return false;
	ok = !g.file.report.n_errors;
	for (unsigned i = 0; ok && i < g.guest->n_vifs && i < ARRAY_SIZE(x->vifs); i++) {
		const char *mac = g.guest->vifs[i].spec.mac;

		if (!*mac) {
			cmd_error("%s: interface %u has no MAC address, so names of interfaces "
				  "are left alone: give them with --mac",
				  path, i);
			x->o.n_vifs = 0;
			break;
		}
		memcpy(x->vifs[x->o.n_vifs++].mac, mac, sizeof(x->vifs[0].mac));
	}
	guest_file_fini(&g);
	return ok;
}

static bool read_options(struct fixing *x)
{
	struct cmd_call *call = x->call;
	const char *config = cmd_option(call, "--config"), *given;

	x->o.disks[0] = call->args[0];
	x->o.letters[0] = 'a';
	x->o.n_disks = 1;
	x->o.vifs = x->vifs;
	x->o.root = cmd_option(call, "--root");
	x->o.trust_guest = cmd_option(call, "--trust-guest");
	x->state_dir = cmd_option(call, "--state-dir");
	if (!x->state_dir)
		x->state_dir = FIXUP_STATE_DIR;
	given = cmd_option(call, "--boot-record");
	if (given && !bootrecord_mode_parse(given, &x->record_mode)) {
		cmd_error("--boot-record takes auto, always or never, not \"%.40s\"", given);
		return false;
	}
	if (config && cmd_option(call, "--mac")) {
		cmd_error("--config and --mac: only one of them");
		return false;
	}
	for (unsigned i = 0; (given = cmd_option_nth(call, "--disk", i)); i++)
		if (!read_disk(x, given))
			return false;
	if (!are_different(&x->o))
		return false;
	for (unsigned i = 0; (given = cmd_option_nth(call, "--mac", i)); i++)
		if (!read_mac(x, given))
			return false;
	return !config || read_config(x, config);
}

/* --- What is told --- */

/* GRUB's environment block is filled up with '#', some nine hundred in one line. */
static bool is_filling(const char *line, size_t len)
{
	return len > FILLING && strspn(line + 1, "#") == len - 1;
}

/* A line of a guest's text: tabs as the columns that they are. */
static void show_line(struct out *o, enum style style, const char *line, size_t len)
{
	_cleanup_free_ char *text = mem_new(len * TAB + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (line[i] != '\t') {
			text[n++] = line[i];
			continue;
		}
		do
			text[n++] = ' ';
		while ((n - 1) % TAB);
	}
	if (is_filling(line, len))
		snprintf(text, len, "%c##### (%zu of '#')", *line, len - 1);
	out_line(o, style, "%s", text);
}

static enum style style_of(const char *line)
{
	if (!strncmp(line, "+++", 3) || !strncmp(line, "---", 3))
		return STYLE_BOLD;
	if (*line == '@')
		return STYLE_DIM;
	return *line == '+' ? STYLE_GOOD : *line == '-' ? STYLE_BAD : STYLE_NONE;
}

static void show_change(struct out *o, const struct fixup_change *c)
{
	out_line(o, STYLE_NONE, "%s", "");
	for (const char *p = c->why; *p;) {
		size_t len = strcspn(p, "\n");

		out_line(o, STYLE_NONE, "# %s: %.*s", c->path, (int)len, p);
		p += len + (p[len] == '\n');
	}
	for (const char *p = c->diff; *p;) {
		size_t len = strcspn(p, "\n");

		show_line(o, style_of(p), p, len);
		p += len + (p[len] == '\n');
	}
}

static const char *boot_words(const struct inspection *in)
{
	static const char *const words[] = {
		[BOOT_NO_CONFIG] = "no boot loader's configuration",
		[BOOT_GRUB2] = "GRUB 2",
		[BOOT_GRUB_LEGACY] = "a menu of GRUB 0.9 (pygrub's)",
		[BOOT_EXTLINUX] = "extlinux",
		[BOOT_BLS] = "boot loader entries (BLS)",
	};

	return in->boot < ARRAY_SIZE(words) ? words[in->boot] : "";
}

static void describe_kernel(FILE *s, const struct inspection *in)
{
	const struct guest_kernel *k = inspection_kernel(in);

	if (!k) {
		fprintf(s, " None of its %u kernels can boot under KVM.", in->n_kernels);
		return;
	}
	fprintf(s, " KVM will boot kernel %s, one of %u; virtio disks: %s, SATA: %s, IDE: %s.",
		k->version, in->n_kernels, tristate_name(k->drivers.virtio_blk),
		tristate_name(k->drivers.ahci), tristate_name(k->drivers.ata_piix));
}

/* The guest in one paragraph. */
static void show_guest(const struct fixing *x)
{
	const struct inspection *in = x->v->in;
	_cleanup_free_ char *text = NULL;
	size_t len;
	FILE *s = open_memstream(&text, &len);

	if (!s)
		return;
	fprintf(s, "%s", in->pretty ? in->pretty : in->id ? in->id : "An unknown system");
	if (in->hostname)
		fprintf(s, ", host name %s", in->hostname);
	fprintf(s, ", root file system on vd%c", x->v->root_letter);
	if (x->v->root_number)
		fprintf(s, "%u", x->v->root_number);
	fprintf(s, ".");
	describe_kernel(s, in);
	fprintf(s, " It has %s%s%s.", boot_words(in), in->boot_path ? ": " : "",
		in->boot_path ? in->boot_path : "");
	if (in->nic_tool) {
		fprintf(s, " Network by %s", in->nic_tool);
		for (unsigned i = 0; i < in->n_nics; i++)
			fprintf(s, "%s%s", i ? ", " : ": ", in->nics[i]);
		fprintf(s, ".");
	}
	fclose(s);
	out_wrapped(&x->call->out, 0, text);
}

static void show_notes(struct out *o, char *const *notes, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		out_text(o, STYLE_WARN, "note: ");
		out_line(o, STYLE_NONE, "%s", notes[i]);
	}
}

static void show_end(const struct fixing *x, bool failed)
{
	struct out *o = &x->call->out;

	out_line(o, STYLE_NONE, "%s", "");
	if (x->v->why_not)
		out_line(o, STYLE_BAD, "These changes cannot be made: %s.", x->v->why_not);
	else if (!fixup_count_writes(x->f))
		out_line(o, STYLE_GOOD, "Nothing has to be changed.");
	else if (failed)
		out_line(o, STYLE_BAD, "These changes were not made.");
	else if (!x->applied)
		out_line(o, STYLE_BOLD, "Nothing was written; --apply does it.");
	else
		out_line(o, STYLE_GOOD, "Written. --undo takes it back, with %s.", x->undo);
}

static void show_text(const struct fixing *x, bool failed)
{
	struct out *o = &x->call->out;

	show_guest(x);
	for (unsigned i = 0; i < x->v->n_changes; i++)
		show_change(o, &x->v->changes[i]);
	out_line(o, STYLE_NONE, "%s", "");
	out_line(o, x->record.missing ? STYLE_WARN : STYLE_NONE, "boot record: %s", x->record.told);
	show_notes(o, x->v->in->notes, x->v->in->n_notes);
	show_notes(o, x->v->notes, x->v->n_notes);
	show_end(x, failed);
}

static json_t *parts_json(const struct fixup_view *v)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < v->n_parts; i++) {
		const struct edit_part *p = &v->parts[i];
		char name[24];

		snprintf(name, sizeof(name), p->number ? "vd%c%u" : "vd%c", p->letter, p->number);
		json_array_append_new(a, json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", name,
						   "type", p->type, "uuid", p->uuid, "label",
						   p->label, "partuuid", p->partuuid));
	}
	return a;
}

static json_t *changes_json(const struct fixup_view *v)
{
	json_t *a = json_array();

	for (unsigned i = 0; i < v->n_changes; i++)
		json_array_append_new(a, json_pack("{s:s, s:s, s:s}", "path", v->changes[i].path,
						   "diff", v->changes[i].diff, "why",
						   v->changes[i].why));
	return a;
}

static void show_json(const struct fixing *x)
{
	const struct fixup_view *v = x->v;
	json_t *all, *notes = json_array();
	char root[24];

	snprintf(root, sizeof(root), v->root_number ? "vd%c%u" : "vd%c", v->root_letter,
		 v->root_number);
	for (unsigned i = 0; i < v->n_notes; i++)
		json_array_append_new(notes, json_string(v->notes[i]));
	all = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:s?, s:i, s:b, s:s?, s:{s:s, s:b}}",
			"image", x->call->args[0], "root", root, "guest", inspection_json(v->in),
			"partitions", parts_json(v), "changes", changes_json(v), "notes", notes,
			"why_not", v->why_not, "writes", (int)fixup_count_writes(x->f), "applied",
			x->applied, "undo", *x->undo ? x->undo : NULL, "boot_record", "told",
			x->record.told, "missing", x->record.missing);
	out_json(&x->call->out, all, false);
	json_decref(all);
}

/* --- The work --- */

static enum exit_code fix(struct fixing *x)
{
	bool apply = cmd_option(x->call, "--apply"), ok = true;
	char err[FIXUP_ERRLEN] = "";

	for (unsigned i = 0; apply && i < x->o.n_disks; i++)
		if (!copy_done(x->o.disks[i]))
			return EXIT_FAILED;
	if (fixup_plan(&x->o, &x->f, err) < 0) {
		cmd_error("%s", err);
		return EXIT_FAILED;
	}
	x->v = fixup_view(x->f);
	if (bootrecord_add(x->f, &x->o, x->record_mode, &x->record, err) < 0) {
		cmd_error("%s", err);
		return EXIT_FAILED;
	}
	if (apply && fixup_count_writes(x->f)) {
		cmd_catch_stop(); /* a moment: Ctrl-C leaves nothing half written */
		ok = fixup_apply(x->f, x->state_dir, x->undo, err) == 0;
		x->applied = ok;
	}
	if (x->call->json)
		show_json(x);
	else
		show_text(x, !ok);
	if (!ok)
		cmd_error("%s", err);
	return ok && !(apply && x->v->why_not) ? EXIT_DONE : EXIT_FAILED;
}

static enum exit_code undo(struct fixing *x)
{
	char err[FIXUP_ERRLEN] = "", used[PATH_MAX];
	const char *file = cmd_option(x->call, "--undo-file");

	cmd_catch_stop();
	if (fixup_undo(file, x->state_dir, x->call->args[0], used, err) < 0) {
		cmd_error("%s", err);
		return EXIT_FAILED;
	}
	if (x->call->json) {
		json_t *j = json_pack("{s:s, s:b, s:s?}", "image", x->call->args[0], "undone",
				      *used != '\0', "undo", *used ? used : NULL);

		out_json(&x->call->out, j, false);
		json_decref(j);
	} else if (*used) {
		out_line(&x->call->out, STYLE_GOOD, "%s is as it was before (%s).",
			 x->call->args[0], used);
	} else {
		out_line(&x->call->out, STYLE_NONE, "Nothing to undo: %s is as it was before.",
			 x->call->args[0]);
	}
	return EXIT_DONE;
}

/* libguestfs' own tool, which boots a small virtual machine to do it; in our place. */
static enum exit_code run_virt_v2v(struct cmd_call *call)
{
	const char *const argv[] = { "virt-v2v-in-place", "-i", "disk", call->args[0], NULL };

	execvp(argv[0], (char *const *)argv);
	if (errno == ENOENT)
		cmd_error("virt-v2v-in-place is not installed: it comes with the package virt-v2v, "
			  "version 2.0 or later");
	else
		cmd_error("virt-v2v-in-place cannot be run: %s", strerror(errno));
	return EXIT_FAILED;
}

enum exit_code cmd_domain_fixup(struct cmd_call *call)
{
	struct fixing x = { .call = call };
	enum exit_code code = EXIT_USAGE;
	bool undoing = cmd_option(call, "--undo") || cmd_option(call, "--undo-file");

	if (undoing + !!cmd_option(call, "--apply") + !!cmd_option(call, "--virt-v2v") > 1) {
		cmd_error("--apply, --undo and --virt-v2v: only one of them");
		return EXIT_USAGE;
	}
	if (cmd_option(call, "--virt-v2v"))
		return run_virt_v2v(call);
	if (read_options(&x))
		code = undoing ? undo(&x) : fix(&x);
	bootrecord_fini(&x.record);
	fixup_free(x.f);
	return code;
}
