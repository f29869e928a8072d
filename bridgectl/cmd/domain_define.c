/*
 * `bridgectl domain define FILE`: hands a definition to libvirt, after all that would keep the
 * guest from starting was looked for. The first thing wrong is told in one sentence, and nothing is
 * made.
 *
 * What is on the host (disks, bridges) is looked at only when libvirt runs on this one. That the
 * guest's address is seen behind a tunnel is no error here: its old self still runs, as it should
 * until the move.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/definition.h"
#include "bridgectl/cmd/far.h"
#include "bridgectl/cmd/mac_seen.h"
#include "bridgectl/cmd/mac_there.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml_read.h"
#include "bridgectl/hypervisor/libvirt.h"
#include "common/io.h"
#include "common/jsonline.h"

struct definition {
	struct cmd_call *call;
	const char *file; /* for messages */
	char *text;
	struct xml_domain *d;
	struct hyper *h;
	struct hyper_list others;
	const struct hyper_domain *old; /* of that name; NULL: none */
	json_t *notes;			/* sentences */
};

static void add_note(struct definition *v, const char *fmt, ...) _printf_(2, 3);
static void add_note(struct definition *v, const char *fmt, ...)
{
	char text[HYPER_ERRLEN];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(v->notes, jsonline_text(text));
}

/* --- Reading --- */

static bool read_definition(struct definition *v)
{
	char err[XML_ERRLEN];

	v->text = definition_read(v->call->args[0]);
	v->d = v->text ? xml_read(v->text, err) : NULL;
	if (v->text && !v->d)
		cmd_error("%s: it is no definition of a domain: %s%s", v->file, err,
			  strchr(v->text, '<') ? "" : "; bridgectl domain convert makes one");
	return v->d;
}

/* --- Checks against other domains --- */

static bool is_free(struct definition *v)
{
	const char *name = v->d->name;

	v->old = hyper_find(&v->others, name);
	if (v->old && !cmd_option(v->call, "--replace")) {
		cmd_error("%s: there is a domain of that name; --replace gives it this definition",
			  name);
		return false;
	}
	for (unsigned i = 0; v->d->uuid[0] && i < v->others.n; i++) {
		const struct hyper_domain *o = &v->others.v[i];

		if (o != v->old && !strcmp(o->uuid, v->d->uuid)) {
			cmd_error("%s: the domain %s has the UUID %s already; leave <uuid> out",
				  name, o->name, o->uuid);
			return false;
		}
	}
	if (v->old && v->old->state != HYPER_OFF)
		add_note(v, "it runs; the new definition counts from its next start on");
	return true;
}

static const struct hyper_domain *user_of(const struct definition *v, const char *mac)
{
	for (unsigned i = 0; i < v->others.n; i++) {
		const struct hyper_domain *o = &v->others.v[i];

		for (unsigned j = 0; o != v->old && j < o->n_vifs; j++)
			if (!strcmp(o->vifs[j].mac, mac))
				return o;
	}
	return NULL;
}

static bool macs_are_free(const struct definition *v)
{
	for (unsigned i = 0; i < v->d->n_vifs; i++) {
		const char *mac = v->d->vifs[i].mac;
		const struct hyper_domain *user = *mac ? user_of(v, mac) : NULL;

		if (user) {
			cmd_error(
				"%s: the address %s is that of the domain %s (%s); give it another "
				"(`bridgectl domain mac` makes one)",
				v->d->name, mac, user->name, hyper_state_name(user->state));
			return false;
		}
		for (unsigned j = 0; *mac && j < i; j++)
			if (!strcmp(v->d->vifs[j].mac, mac)) {
				cmd_error("%s: two of its interfaces have the address %s",
					  v->d->name, mac);
				return false;
			}
	}
	return true;
}

/* Links and second nodes of a device count as what they lead to, when that is on this host. */
static bool is_same(const struct definition *v, const char *a, const char *b)
{
	struct stat x, y;

	if (!strcmp(a, b))
		return true;
	if (!libvirt_is_here(v->h) || stat(a, &x) < 0 || stat(b, &y) < 0)
		return false;
	return io_is_same(&x, &y);
}

static bool disk_is_free(const struct definition *v, const struct xml_file *f,
			 const struct hyper_domain *o, const struct xml_domain *other)
{
	for (unsigned i = 0; i < other->n_files; i++) {
		const struct xml_file *its = &other->files[i];

		if (!its->is_disk || (f->may_share && its->may_share) ||
		    !is_same(v, f->path, its->path))
			continue;
		cmd_error("%s: %s, %s, is %s of the domain %s (%s), too: remove that domain (virsh "
			  "undefine), or give one of them another disk; what both are made for is "
			  "<shareable/> in both",
			  v->d->name, f->what, f->path, its->what, o->name,
			  hyper_state_name(o->state));
		return false;
	}
	return true;
}

/* It may be gone meanwhile, or off. */
static void tell_unread(struct definition *v, const struct hyper_domain *o, int r, const char *why)
{
	if (r != -ESRCH && r != -EALREADY)
		add_note(v, "whether it has a disk of the domain %s is not known: %s", o->name,
			 why);
}

static bool disks_are_apart(struct definition *v, const struct hyper_domain *o, bool live)
{
	_cleanup_free_ char *text = NULL;
	char err[MAX(HYPER_ERRLEN, XML_ERRLEN)];
	int r = v->h->ops->dump(v->h, o->name, live, &text, err);
	struct xml_domain *other = r < 0 ? NULL : xml_read(text, err);
	bool ok = true;

	if (!other)
		tell_unread(v, o, r, err);
	for (unsigned i = 0; other && ok && i < v->d->n_files; i++)
		ok = !v->d->files[i].is_disk || disk_is_free(v, &v->d->files[i], o, other);
	xml_domain_free(other);
	return ok;
}

static bool disks_are_two(const struct definition *v)
{
	for (unsigned i = 0; i < v->d->n_files; i++)
		for (unsigned j = 0; j < i; j++) {
			const struct xml_file *a = &v->d->files[j], *b = &v->d->files[i];

			if (!a->is_disk || !b->is_disk || (a->may_share && b->may_share) ||
			    !is_same(v, a->path, b->path))
				continue;
			cmd_error("%s: %s and %s are both %s; give one of them another disk",
				  v->d->name, a->what, b->what, b->path);
			return false;
		}
	return true;
}

/* A running domain may have other disks at its next start: both count. */
static bool disks_are_free(struct definition *v)
{
	for (unsigned i = 0; i < v->others.n; i++) {
		const struct hyper_domain *o = &v->others.v[i];

		if (o != v->old && (!disks_are_apart(v, o, false) ||
				    (o->state != HYPER_OFF && !disks_are_apart(v, o, true))))
			return false;
	}
	return true;
}

static void note_far(struct definition *v)
{
	json_t *tables = v->d->n_vifs ? mac_tables(v->call) : NULL;
	struct mac_sight s;

	for (unsigned i = 0; i < v->d->n_vifs; i++)
		if (mac_find(tables, v->d->vifs[i].mac, &s) && s.tunnel[0])
			add_note(v,
				 "its address %s is behind tunnel %s, heard %.0f s ago: the guest "
				 "runs there, or did until then (--from HOST asks that host); it "
				 "has to be off before this one is started",
				 v->d->vifs[i].mac, s.tunnel, s.age_s);
	json_decref(tables);
}

/* --from: the old host is asked; that it is on there is right until the move. False: told. */
static bool ask_old_host(struct definition *v, const char *host)
{
	_cleanup_free_ const char **macs = mem_new((v->d->n_vifs + 1) * sizeof(*macs));
	struct mac_there there = { 0 };
	bool ok;

	for (unsigned i = 0; i < v->d->n_vifs; i++)
		macs[i] = v->d->vifs[i].mac;
	ok = mac_on_there(v->call, host, v->d->name, macs, v->d->n_vifs, &there);
	if (there.name)
		add_note(v,
			 "it is on at %s, as the domain %s (%s): stop that before this one is "
			 "started",
			 host, there.name, there.state);
	mac_there_fini(&there);
	return ok;
}

/* --- Checks against this host --- */

static bool files_are_there(const struct definition *v)
{
	for (unsigned i = 0; i < v->d->n_files; i++) {
		const struct xml_file *f = &v->d->files[i];
		struct stat st;
		int r = stat(f->path, &st) < 0 ? errno : 0;

		if (!r && f->is_block && !S_ISBLK(st.st_mode)) {
			cmd_error("%s: %s is to be a block device, and %s is none", v->d->name,
				  f->what, f->path);
			return false;
		}
		if (!r)
			continue;
		cmd_error("%s: %s: %s: %s%s", v->d->name, f->what, f->path, strerror(r),
			  r == ENOENT && f->is_disk ? "; `bridgectl disk create` makes it" : "");
		return false;
	}
	return true;
}

/* By the driver's name, which the kernel tells everybody: ethtool(8) -i. */
static bool is_bridge(const char *name)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq r = { .ifr_data = (void *)&info };
	_cleanup_close_ int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (strlen(name) >= sizeof(r.ifr_name))
		return false;
	memcpy(r.ifr_name, name, strlen(name) + 1);
	return ioctl(s, SIOCETHTOOL, &r) == 0 &&
	       (!strcmp(info.driver, "bridge") || !strcmp(info.driver, "openvswitch"));
}

static bool bridges_are_there(const struct definition *v)
{
	for (unsigned i = 0; i < v->d->n_vifs; i++) {
		const char *bridge = v->d->vifs[i].bridge;

		if (!bridge || is_bridge(bridge))
			continue;
		cmd_error("%s: there is no bridge %s on this host; create it, or convert with "
			  "--bridge OLD=NEW",
			  v->d->name, bridge);
		return false;
	}
	return true;
}

/* --- Checks by libvirt --- */

/* libvirt makes real interfaces for those in the text, so they are left out of this copy. */
static bool libvirt_takes_it(struct definition *v)
{
	_cleanup_free_ char *bare = xml_without_interfaces(v->text);
	char err[HYPER_ERRLEN];
	int r = libvirt_check_machine(v->h, v->d->type, v->d->arch, v->d->machine, err);

	if (!r || r == -ENOSYS) {
		r = libvirt_check_native(v->h, bare, err);
		if (r == -ENOSYS)
			add_note(v, "this driver of libvirt does not tell whether the guest could "
				    "be started");
	}
	if (!r || r == -ENOSYS)
		return true;
	cmd_error("%s: %s", v->d->name, err);
	return false;
}

static bool check(struct definition *v)
{
	const char *from = cmd_option(v->call, "--from");
	char err[HYPER_ERRLEN];

	if (v->h->ops->list(v->h, &v->others, err) < 0) {
		cmd_error("%s", err);
		return false;
	}
	if (!is_free(v) || !macs_are_free(v) || !disks_are_two(v) || !disks_are_free(v))
		return false;
	if (libvirt_is_here(v->h)) {
		if (!files_are_there(v) || !bridges_are_there(v))
			return false;
		if (!from)
			note_far(v);
	}
	return (!from || ask_old_host(v, from)) && libvirt_takes_it(v);
}

/* --- The answer --- */

static void show(const struct definition *v, bool dry_run)
{
	struct out *o = &v->call->out;
	const json_t *n;
	size_t i;

	if (v->call->json) {
		json_t *j = json_pack("{s:s, s:s, s:b, s:b, s:b, s:O}", "name", v->d->name, "uri",
				      libvirt_uri(v->h), "dry_run", dry_run, "replaced",
				      v->old != NULL, "running",
				      v->old && v->old->state != HYPER_OFF, "notes", v->notes);

		out_json(o, j, false);
		json_decref(j);
		return;
	}
	if (v->call->quiet)
		return;
	out_line(o, STYLE_NONE, "%s: %s%s at %s", v->d->name, dry_run ? "would be " : "",
		 v->old ? "defined anew" : "defined", libvirt_uri(v->h));
	json_array_foreach(v->notes, i, n)
		out_line(o, STYLE_WARN, "  %s", json_string_value(n));
}

/* The text as a file without a name, to be read from its beginning. */
static int file_of(const char *text)
{
	int fd = memfd_create("definition", MFD_CLOEXEC);
	size_t len = strlen(text);

	if (fd >= 0 && (write(fd, text, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* The file is here, the libvirt there. */
static enum exit_code define_there(const struct definition *v)
{
	static const char *const passed[] = { "--from", "--connect", "--replace", "--dry-run",
					      NULL };
	_cleanup_close_ int in = file_of(v->text);

	if (in < 0) {
		cmd_error("%s: cannot be handed on: %s", v->file, strerror(errno));
		return EXIT_FAILED;
	}
	return far_words(v->call,
			 v->call->json	? "--json domain define -" :
			 v->call->quiet ? "--quiet domain define -" :
					  "domain define -",
			 passed, in);
}

static enum exit_code define_here(struct definition *v)
{
	const char *uri = cmd_option(v->call, "--connect");
	struct hyper_choice choice = { .uri = uri ? uri : libvirt_default_uri() };
	bool dry_run = cmd_option(v->call, "--dry-run") != NULL;
	char err[HYPER_ERRLEN];

	if (hyper_open(&choice, &v->h, err) < 0) {
		cmd_error("%s", err);
		return EXIT_FAILED;
	}
	if (!check(v))
		return EXIT_FAILED;
	if (!dry_run && v->h->ops->define(v->h, v->text, v->old != NULL, err) < 0) {
		cmd_error("%s", err);
		return EXIT_FAILED;
	}
	show(v, dry_run);
	return EXIT_DONE;
}

enum exit_code cmd_domain_define(struct cmd_call *call)
{
	struct definition v = { .call = call, .notes = json_array() };
	enum exit_code code = EXIT_FAILED;

	v.file = strcmp(call->args[0], "-") ? call->args[0] : "standard input";
	if (read_definition(&v))
		code = far_asked(call) ? define_there(&v) : define_here(&v);
	hyper_list_fini(&v.others);
	hyper_close(v.h);
	xml_domain_free(v.d);
	json_decref(v.notes);
	free(v.text);
	return code;
}
