/*
 * `bridgectl domain mac`: a MAC address that nobody has, or who has one.
 *
 * Asked are the hypervisors of this host, the files in /etc/xen, and the forwarding tables of the
 * daemon's bridges, which reach as far as the tunnels do. Who could not be asked is said: an
 * address is only as free as far as one has looked. New ones are from Xen's range, 00:16:3e.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/far.h"
#include "bridgectl/cmd/mac_seen.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/vifspec.h"
#include "bridgectl/hypervisor/libvirt.h"
#include "bridgectl/hypervisor/xen_config.h"
#include "common/jsonline.h"

#define MAC_LEN 18
#define TRIES 1000

struct search {
	struct cmd_call *call;
	struct hyper_list domains[2]; /* of Xen and of libvirt */
	const char *kinds[2];
	struct xen_configs configs;
	json_t *tables;	   /* of the daemon's bridges; NULL: no daemon */
	json_t *not_asked; /* sentences */
};

/* --- Whom there is to ask --- */

static void missed(struct search *s, const char *why)
{
	json_array_append_new(s->not_asked, jsonline_text(why));
}

/* `must`: it is told when it cannot be asked. */
static void ask_hypervisor(struct search *s, unsigned n, const struct hyper_choice *choice,
			   bool must)
{
	char err[HYPER_ERRLEN];
	struct hyper *h = NULL;
	int r = hyper_open(choice, &h, err);

	s->kinds[n] = r ? "" : h->ops->name;
	if (!r)
		r = h->ops->list(h, &s->domains[n], err);
	if (r && must)
		missed(s, err);
	hyper_close(h);
}

/* Many Xen hosts have no libvirt. */
static void gather(struct search *s)
{
	const char *uri = cmd_option(s->call, "--connect");
	struct hyper_choice xen = { .xen = "" };
	struct hyper_choice libvirt = { .uri = uri ? uri : libvirt_default_uri() };
	bool is_xen = hyper_xen_is_here();

	if (is_xen)
		ask_hypervisor(s, 0, &xen, true);
	ask_hypervisor(s, 1, &libvirt, uri || !is_xen);
	xen_configs_read(&s->configs);
	if (!s->tables)
		missed(s, "l2tund does not run, so no forwarding table was looked at");
	else if (mac_cut_short(s->tables))
		missed(s, "some addresses of a bridge, which has more than l2tund tells of");
}

/* --- Who has it --- */

static void users_in(const struct search *s, unsigned n, const char *mac, json_t *users)
{
	const struct hyper_list *l = &s->domains[n];

	for (unsigned i = 0; i < l->n; i++)
		for (unsigned j = 0; j < l->v[i].n_vifs; j++)
			if (!strcmp(l->v[i].vifs[j].mac, mac))
				jsonline_append(users, "domain %s of %s (%s)", l->v[i].name,
						s->kinds[n], hyper_state_name(l->v[i].state));
}

static void users_in_files(const struct search *s, const char *mac, json_t *users)
{
	for (unsigned i = 0; i < s->configs.n; i++) {
		const struct xen_config *c = &s->configs.v[i];

		for (unsigned j = 0; j < c->n_vifs; j++)
			if (!strcmp(c->vifs[j].mac, mac))
				jsonline_append(users, "guest %s in %s", c->name, c->path);
	}
}

/* Sentences; a new reference. */
static json_t *users_of(const struct search *s, const char *mac)
{
	json_t *users = json_array();
	struct mac_sight at;

	for (unsigned n = 0; n < ARRAY_SIZE(s->domains); n++)
		users_in(s, n, mac, users);
	users_in_files(s, mac, users);
	if (mac_find(s->tables, mac, &at))
		json_array_append_new(users, at.tunnel[0] ?
						     json_sprintf("seen on bridge %s behind tunnel "
								  "%s, %.0f s ago",
								  at.bridge, at.tunnel, at.age_s) :
						     json_sprintf("seen on bridge %s at port %s",
								  at.bridge, at.port));
	return users;
}

/* --- The two questions --- */

static void show(const struct search *s, const char *mac, json_t *users)
{
	struct out *o = &s->call->out;
	const json_t *line;
	size_t i;

	if (s->call->json) {
		json_t *j = json_pack("{s:s, s:b, s:O, s:O}", "mac", mac, "in_use",
				      json_array_size(users) != 0, "users", users, "not_asked",
				      s->not_asked);

		out_json(o, j, false);
		json_decref(j);
		return;
	}
	json_array_foreach(s->not_asked, i, line)
		cmd_error("not asked: %s", json_string_value(line));
	if (!cmd_option(s->call, "--check"))
		out_line(o, STYLE_NONE, "%s", mac);
	else if (!json_array_size(users) && !s->call->quiet)
		out_line(o, STYLE_GOOD, "%s: nobody has it", mac);
	json_array_foreach(users, i, line)
		out_line(o, STYLE_WARN, "%s: %s", mac, json_string_value(line));
}

/* `ret` of MAC_LEN, in small letters. False: told. */
static bool read_mac(const char *given, char *ret)
{
	char spec[64], err[VIFSPEC_ERRLEN];
	struct vifspec vif;
	unsigned offset;

	snprintf(spec, sizeof(spec), "mac=%.40s", strchr(given, ',') ? "" : given);
	if (vifspec_parse(spec, &vif, err, &offset) < 0) {
		cmd_error("--check: %s", err);
		return false;
	}
	memcpy(ret, vif.mac, MAC_LEN);
	vifspec_fini(&vif);
	return true;
}

static enum exit_code check(const struct search *s, const char *mac)
{
	json_t *users = users_of(s, mac);
	bool in_use = json_array_size(users) != 0;

	show(s, mac, users);
	json_decref(users);
	return in_use ? EXIT_FAILED : EXIT_DONE;
}

static enum exit_code make(const struct search *s)
{
	char mac[MAC_LEN];
	unsigned char r[3];

	for (unsigned i = 0; i < TRIES; i++) {
		json_t *users;
		bool is_free;

		if (getrandom(r, sizeof(r), 0) != sizeof(r))
			break;
		/* Xen's tools leave the upper half to others. */
		snprintf(mac, sizeof(mac), "00:16:3e:%02x:%02x:%02x", r[0] & 0x7f, r[1], r[2]);
		users = users_of(s, mac);
		is_free = !json_array_size(users);
		if (is_free)
			show(s, mac, users);
		json_decref(users);
		if (is_free)
			return EXIT_DONE;
	}
	cmd_error("no address that nobody has was found");
	return EXIT_FAILED;
}

enum exit_code cmd_domain_mac(struct cmd_call *call)
{
	struct search s = { .call = call };
	const char *given = cmd_option(call, "--check"), *bridge = cmd_option(call, "--bridge");
	enum exit_code code;
	char mac[MAC_LEN];

	if (given && !read_mac(given, mac))
		return EXIT_USAGE;
	if (far_asked(call))
		return far_same(call, false);
	s.tables = bridge ? mac_table_of(call, bridge) : mac_tables(call);
	if (bridge && !s.tables)
		return call->failed;
	s.not_asked = json_array();
	gather(&s);
	code = given ? check(&s, mac) : make(&s);
	for (unsigned n = 0; n < ARRAY_SIZE(s.domains); n++)
		hyper_list_fini(&s.domains[n]);
	xen_configs_fini(&s.configs);
	json_decref(s.tables);
	json_decref(s.not_asked);
	return code;
}
