/*
 * `bridgectl domain convert CONFIG`: a guest's Xen configuration as a definition for libvirt.
 *
 * It works on any host: neither Xen nor libvirt is asked. The disks are those of `disk layout`,
 * from the same functions; when they are here, what the guest's kernel can drive is looked for in
 * them.
 * Messages go to standard error, with their lines; standard output is the definition, and only
 * when nothing was wrong.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/convert_inspect.h"
#include "bridgectl/cmd/guest_file.h"
#include "bridgectl/disk/plan_names.h"
#include "bridgectl/disk/plan_script.h"
#include "bridgectl/domain/convert.h"
#include "bridgectl/domain/guest_json.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml.h"

/* One run: options, and what they refer to. */
struct conversion {
	struct cmd_call *call;
	struct convert_options o;
	struct plan_where where;
	char dir[PATH_MAX];
	struct convert_pair bridges[CMD_GIVEN_MAX];
	char *bridge_texts[CMD_GIVEN_MAX];
	struct convert_mac macs[CMD_GIVEN_MAX];
	const char *accept[CMD_GIVEN_MAX];
	const char *inspect; /* "auto", "yes", "no" */
	struct convert_look look;
	struct plan *plan;
	struct convert_place places[PLAN_DISKS_MAX];
	char *paths[PLAN_DISKS_MAX];
};

/* --- Options --- */

/* One of the words of a NULL-ended list, or its first without the option. NULL: told. */
static const char *one_of(const struct cmd_call *call, const char *option,
			  const char *const words[], const char *allowed)
{
	const char *v = cmd_option(call, option);

	if (!v)
		return words[0];
	for (unsigned i = 0; words[i]; i++)
		if (!strcmp(v, words[i]))
			return words[i];
	cmd_error("%s takes %s, not \"%.40s\"", option, allowed, v);
	return NULL;
}

static bool read_words(struct conversion *v)
{
	static const char *const types[] = { "kvm", "qemu", NULL };
	static const char *const machines[] = { "", "pc", "q35", NULL };
	static const char *const buses[] = { "", "virtio", "sata", "scsi", "ide", NULL };
	static const char *const whens[] = { "auto", "yes", "no", NULL };
	const char *type = one_of(v->call, "--type", types, "kvm or qemu");
	const char *machine = one_of(v->call, "--machine", machines, "pc or q35");
	const char *bus = one_of(v->call, "--bus", buses, "virtio, sata, scsi or ide");

	v->inspect = one_of(v->call, "--inspect", whens, "auto, yes or no");
	if (!type || !machine || !bus || !v->inspect)
		return false;
	v->o.type = type;
	v->o.machine = *machine ? machine : NULL;
	for (enum choice_bus b = BUS_VIRTIO; b <= BUS_IDE; b++)
		if (!strcmp(bus, choice_bus_name(b)))
			v->o.bus = b;
	return true;
}

/* "OLD=NEW", or "NEW" for all others. */
static bool read_bridges(struct conversion *v)
{
	const char *given;

	for (; (given = cmd_option_nth(v->call, "--bridge", v->o.n_bridges)); v->o.n_bridges++) {
		struct convert_pair *pair = &v->bridges[v->o.n_bridges];
		char *text = v->bridge_texts[v->o.n_bridges] = mem_strdup(given);
		char *to = strchr(text, '=');

		if (to)
			*to++ = '\0';
		*pair = (struct convert_pair){ to ? text : NULL, to ? to : text };
		if (!*text || !*pair->to) {
			cmd_error("--bridge takes OLD=NEW, not \"%.60s\"", given);
			return false;
		}
		for (unsigned i = 0; i < v->o.n_bridges; i++) {
			const char *a = v->bridges[i].from, *b = pair->from;

			if (a == b || (a && b && !strcmp(a, b))) {
				cmd_error("--bridge: two names for %s", b ? b : "all others");
				return false;
			}
		}
	}
	v->o.bridges = v->bridges;
	return true;
}

/* "N=MAC" */
static bool read_macs(struct conversion *v)
{
	const char *given;

	for (; (given = cmd_option_nth(v->call, "--mac", v->o.n_macs)); v->o.n_macs++) {
		struct convert_mac *mac = &v->macs[v->o.n_macs];
		char spec[64], err[VIFSPEC_ERRLEN], *end;
		unsigned long n = strtoul(given, &end, 10);
		struct vifspec vif;
		unsigned offset;

		if (*given < '0' || *given > '9' || *end != '=' || n > UINT_MAX) {
			cmd_error("--mac takes N=MAC, as 0=00:16:3e:12:34:56, not \"%.60s\"",
				  given);
			return false;
		}
		snprintf(spec, sizeof(spec), "mac=%.40s", strchr(end + 1, ',') ? "" : end + 1);
		if (vifspec_parse(spec, &vif, err, &offset) < 0) {
			cmd_error("--mac: %s", err);
			return false;
		}
		mac->vif = (unsigned)n;
		memcpy(mac->mac, vif.mac, sizeof(mac->mac));
		vifspec_fini(&vif);
		for (unsigned i = 0; i < v->o.n_macs; i++)
			if (v->macs[i].vif == mac->vif) {
				cmd_error("--mac: two for interface %u", mac->vif);
				return false;
			}
	}
	v->o.macs = v->macs;
	return true;
}

/* It need not be here: the definition may be for another host. */
static bool read_dir(struct conversion *v, const char *dir)
{
	v->where.dir = v->dir;
	if (realpath(dir, v->dir))
		return true;
	if (dir[0] == '/' && strlen(dir) < sizeof(v->dir)) {
		memcpy(v->dir, dir, strlen(dir) + 1);
		return true;
	}
	cmd_error("--dir %s: %s; a folder of another host needs an absolute path", dir,
		  strerror(errno));
	return false;
}

static bool read_where(struct conversion *v)
{
	const char *dir = cmd_option(v->call, "--dir");

	v->where.vg = cmd_option(v->call, "--vg");
	if (dir && v->where.vg)
		cmd_error("--vg and --dir: only one of them");
	else if (v->where.vg && !plan_name_is_valid(v->where.vg))
		cmd_error("\"%.60s\" is no name of a volume group", v->where.vg);
	else
		return !dir || read_dir(v, dir);
	return false;
}

static bool read_options(struct conversion *v)
{
	const char *key;

	while ((key = cmd_option_nth(v->call, "--accept-loss", v->o.n_accept)) != NULL)
		v->accept[v->o.n_accept++] = key;
	v->o.accept = v->accept;
	if (cmd_option(v->call, "--force") && !cmd_option(v->call, "--output")) {
		cmd_error("--force: nothing is written over without --output FILE");
		return false;
	}
	return read_words(v) && read_bridges(v) && read_macs(v) && read_where(v);
}

/* --- Disks, as the layout has them --- */

static const struct guest_disk *find_disk(const struct guest *g, const char *vdev)
{
	char name[VDEV_NAME_LEN];

	for (unsigned i = 0; i < g->n_disks; i++)
		if (!strcmp(guest_disk_name(&g->disks[i], name), vdev))
			return &g->disks[i];
	return NULL;
}

static bool has_disks(const struct guest *g)
{
	for (unsigned i = 0; i < g->n_disks; i++)
		if (!g->disks[i].cdrom && g->disks[i].sources[0].spec.kind != DISK_EMPTY)
			return true;
	return false;
}

/* False: told. */
static bool place_disks(struct conversion *v, const struct guest *g)
{
	char err[PLAN_ERRLEN];

	if (!has_disks(g))
		return true;
	if (!v->where.vg && !v->where.dir) {
		cmd_error("the guest has disks: say where the new ones are, --vg VG or --dir DIR");
		return false;
	}
	v->plan = plan_outline(g, err);
	if (!v->plan) {
		cmd_error("%s", err);
		return false;
	}
	for (unsigned i = 0; i < v->plan->n_disks; i++) {
		const struct plan_disk *d = &v->plan->disks[i];

		v->paths[i] = mem_new(PATH_MAX);
		if (!plan_volume_path(&v->where, d, v->paths[i], PATH_MAX)) {
			cmd_error("the path of %s is too long", d->target);
			return false;
		}
		v->places[i] = (struct convert_place){ .disk = find_disk(g, d->vdev),
						       .letters = d->target + strlen("vd"),
						       .path = v->paths[i],
						       .is_block = v->where.vg };
	}
	v->o.places = v->places;
	v->o.n_places = v->plan->n_disks;
	return true;
}

/*
 * What is in them, when they are here. By itself a failure is no error: they may be empty yet.
 * False: told.
 */
static bool look_into(struct conversion *v, struct report *report)
{
	char why[1024] = "";
	int r;

	if (!strcmp(v->inspect, "no") || !v->o.n_places)
		return true;
	r = convert_look(v->o.places, v->o.n_places, cmd_option(v->call, "--trust-guest"), &v->look,
			 why, sizeof(why));
	if (r == 0) {
		v->o.hints = &v->look.hints;
		return true;
	}
	if (r == -ENOENT)
		snprintf(why, sizeof(why), "the new disks are not all here, or not readable");
	if (strcmp(v->inspect, "yes") != 0) {
		if (r != -ENOENT)
			report_warning(report, 0, 0,
				       "what the guest's kernel can drive is not known: %s", why);
		return true;
	}
	cmd_error("--inspect yes: %s", why);
	return false;
}

/* --- The answer --- */

/* Beside `path` first, so that a failure leaves what was there. */
static bool write_over(const char *path, const char *xml)
{
	_cleanup_free_ char *temp = NULL;
	bool ok = false;
	mode_t mask = umask(0);
	FILE *f;
	int fd;

	umask(mask);
	if (asprintf(&temp, "%s.XXXXXX", path) < 0) {
		temp = NULL;
		return false;
	}
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0)
		return false;
	f = fdopen(fd, "w");
	if (f)
		ok = fputs(xml, f) >= 0 && fchmod(fd, 0666 & ~mask) == 0;
	if (f)
		ok = fclose(f) == 0 && ok;
	else
		close(fd);
	ok = ok && rename(temp, path) == 0;
	if (!ok)
		unlink(temp);
	return ok;
}

static bool write_new(const char *path, const char *xml)
{
	FILE *f = fopen(path, "wxe");
	bool ok;

	if (!f)
		return false;
	ok = fputs(xml, f) >= 0;
	ok = fclose(f) == 0 && ok;
	if (!ok)
		unlink(path);
	return ok;
}

static bool write_file(const struct conversion *v, const char *xml)
{
	const char *path = cmd_option(v->call, "--output");

	if (cmd_option(v->call, "--force") ? write_over(path, xml) : write_new(path, xml))
		return true;
	cmd_error("cannot write %s: %s%s", path, strerror(errno),
		  errno == EEXIST ? "; --force writes over it" : "");
	return false;
}

static void show_json(const struct conversion *v, const struct guest_file *f,
		      const struct report *report, const struct choices *c, const char *xml)
{
	json_t *all = json_object(), *messages = report_json(&f->file.report);
	json_t *more = report_json(report);

	json_array_extend(messages, more);
	json_decref(more);
	json_object_set_new(all, "file", json_string(f->name));
	json_object_set_new(all, "ok", json_boolean(xml));
	json_object_set_new(all, "xml", xml ? json_string(xml) : json_null());
	json_object_set_new(all, "choices", xml ? choices_json(c) : json_null());
	json_object_set_new(all, "not_carried", guest_lost_json(f->guest));
	json_object_set_new(all, "messages", messages);
	out_json(&v->call->out, all, false);
	json_decref(all);
}

/* The definition, or NULL: told. */
static char *make_xml(const struct choices *c)
{
	const char *bad;
	char *xml;

	if (domain_xml(c, &xml, &bad) == 0)
		return xml;
	cmd_error("\"%s\" has a character that XML cannot hold", bad);
	return NULL;
}

static bool answer(struct conversion *v, const struct guest_file *f)
{
	_cleanup_free_ char *xml = NULL;
	struct report report = { 0 };
	struct choices *c = NULL;
	bool ok = f->ok && place_disks(v, f->guest) && look_into(v, &report);

	if (ok) {
		c = convert_guest(f->guest, &f->file, &v->o, &report);
		guest_file_tell(v->call, f, &report);
		ok = !report.n_errors;
	}
	if (ok)
		xml = make_xml(c);
	ok = xml && (!cmd_option(v->call, "--output") || write_file(v, xml));
	if (v->call->json)
		show_json(v, f, &report, c, xml);
	else if (ok && !cmd_option(v->call, "--output"))
		fputs(xml, v->call->out.f);
	choices_free(c);
	report_fini(&report);
	return ok;
}

static void conversion_fini(struct conversion *v)
{
	plan_free(v->plan);
	convert_look_fini(&v->look);
	for (unsigned i = 0; i < ARRAY_SIZE(v->paths); i++)
		free(v->paths[i]);
	for (unsigned i = 0; i < ARRAY_SIZE(v->bridge_texts); i++)
		free(v->bridge_texts[i]);
}

enum exit_code cmd_domain_convert(struct cmd_call *call)
{
	struct conversion v = { .call = call };
	enum exit_code code = EXIT_USAGE;
	struct guest_file f;

	if (read_options(&v)) {
		code = EXIT_FAILED;
		if (guest_file_read(call, call->args[0], &f)) {
			code = answer(&v, &f) ? EXIT_DONE : EXIT_FAILED;
			if (!f.file.report.n_errors)
				guest_file_tell_refused(&f);
			guest_file_fini(&f);
		}
	}
	conversion_fini(&v);
	return code;
}
