/*
 * libconfuse's tree -> struct config: each option by itself, with its default. An
 * object with errors still gets its place in the arrays (a name that cannot be used is
 * ""; peer and bridge of a tunnel may be NULL), so that everything else can be checked
 * against it; the whole is thrown away afterwards.
 *
 * Object i of a kind is section i of the tree; implied bridges come behind those.
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/un.h>

#include "l2tund/config_private.h"

#define LISTEN_MAX 16
#define PORTS_MAX 256
#define WORKERS_MAX 64
#define POLICER_MAX 1000000
#define POLICER_DEFAULT 4000
#define PRIORITY_DEFAULT 100
#define DELAY_MAX_S 30
#define DELAY_STP_S 15 /* the kernel's own default with STP on */
#define TUNNEL_NAME_MAX (IFNAMSIZ - sizeof(TAP_PREFIX))

void conf_opt_add(struct conf *k, bool error, cfg_t *sec, const char *option,
		  const struct conf_value *v, const char *fmt, ...)
{
	const struct conf_value *title = conf_get(sec, CONF_TITLE);
	unsigned pos = v ? v->pos : conf_pos(sec, option);
	bool named = title && title->text[0];
	_cleanup_free_ char *text = NULL;
	char head[256];
	va_list ap;

	snprintf(head, sizeof(head), "%s%s%.64s: %s%s", cfg_name(sec), named ? " " : "",
		 named ? title->text : "", option ? option : "", option ? ": " : "");
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (error)
		conf_error(k, pos, "%s%s", head, text ? text : "");
	else
		conf_warn(k, pos, "%s%s", head, text ? text : "");
}

#define opt_error(...) conf_opt_error(k, sec, __VA_ARGS__)
#define opt_warn(...) conf_opt_warn(k, sec, __VA_ARGS__)

/* --- Kinds of values --- */

static char *copy(struct conf *k, const char *s)
{
	char *ret = strdup(s);

	k->oom |= !ret;
	return ret;
}

static void copy_name(char *dst, size_t size, const char *src)
{
	size_t n = strnlen(src, size - 1);

	memcpy(dst, src, n);
	dst[n] = '\0';
}

static void set_src(struct conf *k, cfg_t *sec, struct config_src *ret)
{
	ret->file = copy(k, conf_file_at(k, conf_pos(sec, NULL), &ret->line));
}

/* Whether the scan has reported the option already. */
static bool is_broken(cfg_t *sec, const char *option)
{
	for (unsigned i = 0; i < conf_count(sec, CONF_BROKEN); i++) {
		if (strcmp(conf_get_nth(sec, CONF_BROKEN, i)->text, option) == 0)
			return true;
	}
	return false;
}

static const struct conf_value *required(struct conf *k, cfg_t *sec, const char *option)
{
	const struct conf_value *v = conf_get(sec, option);

	if (!v && !is_broken(sec, option))
		opt_error(NULL, NULL, "%s is missing; add %s = …", option, option);
	return v;
}

static unsigned get_number(struct conf *k, cfg_t *sec, const char *option, unsigned min,
			   unsigned max, unsigned otherwise)
{
	const struct conf_value *v = conf_get(sec, option);
	unsigned long n = 0;
	size_t len = v ? strlen(v->text) : 0;

	if (!v)
		return otherwise;
	if (len == 0 || len > 9 || strspn(v->text, "0123456789") != len)
		n = (unsigned long)max + 1;
	else
		n = strtoul(v->text, NULL, 10);
	if (n < min || n > max) {
		opt_error(option, NULL, "`%s` is not a number from %u to %u; write one", v->text,
			  min, max);
		return otherwise;
	}
	return (unsigned)n;
}

bool conf_get_bool(struct conf *k, cfg_t *sec, const char *option, bool otherwise)
{
	const struct conf_value *v = conf_get(sec, option);
	int r = v ? cfg_parse_boolean(v->text) : otherwise;

	if (r < 0)
		opt_error(option, NULL, "`%s` is neither yes nor no; write one of them", v->text);
	return r > 0;
}

/* Index of the word, 0 when it is not given or none of ours. */
static unsigned get_word(struct conf *k, cfg_t *sec, const char *option, const char *a,
			 const char *b)
{
	const struct conf_value *v = conf_get(sec, option);

	if (!v || strcmp(v->text, a) == 0)
		return 0;
	if (strcmp(v->text, b) == 0)
		return 1;
	opt_error(option, NULL, "`%s` is unknown; write %s or %s", v->text, a, b);
	return 0;
}

/* A key's path, from the folder of the main file. NULL when it is not given or empty. */
static char *get_path(struct conf *k, cfg_t *sec, const char *option)
{
	const struct conf_value *v = conf_get(sec, option);
	char *ret;

	if (!v)
		return NULL;
	if (!v->text[0]) {
		opt_error(option, NULL, "the path is empty; give one");
		return NULL;
	}
	if (v->text[0] == '/')
		return copy(k, v->text);
	if (asprintf(&ret, "%s/%s", strcmp(k->dir, "/") == 0 ? "" : k->dir, v->text) < 0) {
		k->oom = true;
		return NULL;
	}
	return ret;
}

static char *get_absolute(struct conf *k, cfg_t *sec, const char *option, size_t max,
			  const char *otherwise)
{
	const struct conf_value *v = conf_get(sec, option);

	if (v && v->text[0] != '/')
		opt_error(option, NULL, "`%s` is not an absolute path; begin it with /", v->text);
	else if (v && strlen(v->text) > max)
		opt_error(option, NULL, "the path is longer than %zu characters; shorten it", max);
	return copy(k, v ? v->text : otherwise);
}

/* The name of an object from its title, or "" when it is no name. */
static void get_title(struct conf *k, cfg_t *sec, unsigned max, char *ret, size_t size)
{
	const struct conf_value *v = conf_get(sec, CONF_TITLE);

	ret[0] = '\0';
	if (!v || !v->text[0])
		return; /* reported by the scan */
	if (!name_valid(v->text, max))
		conf_error(k, v->pos,
			   "%s `%.64s`: not a name; use up to %u letters, digits and . "
			   "_ -, beginning with none of . -",
			   cfg_name(sec), v->text, max);
	else
		copy_name(ret, size, v->text);
}

/* A network interface that is not one of our TAPs. */
static bool check_ifname(struct conf *k, cfg_t *sec, const char *option, const struct conf_value *v)
{
	if (!name_valid(v->text, IFNAMSIZ - 1))
		opt_error(option, v,
			  "`%.64s` is not an interface name; use up to %d letters, digits "
			  "and . _ -",
			  v->text, IFNAMSIZ - 1);
	else if (strncmp(v->text, TAP_PREFIX, strlen(TAP_PREFIX)) == 0)
		opt_error(option, v,
			  "`%s`: names that begin with " TAP_PREFIX " belong to tunnels; "
			  "choose another",
			  v->text);
	else
		return true;
	return false;
}

static bool has_control(const char *s)
{
	while (*s && (unsigned char)*s >= ' ' && *s != 0x7f)
		s++;
	return *s;
}

/* libconfuse's escapes and ${} can bring in what the scan refuses in plain text. */
static void check_values(struct conf *k, cfg_t *sec)
{
	for (cfg_opt_t *o = sec->opts; o->name; o++) {
		if (!conf_is_for_users(o))
			continue; /* the title is checked as a name */
		for (unsigned i = 0; i < cfg_opt_size(o); i++) {
			const struct conf_value *v = cfg_opt_getnptr(o, i);

			if (has_control(v->text))
				opt_error(o->name, v, "control character in the value; remove it");
			if (strlen(v->text) > CONF_VALUE_MAX)
				opt_error(o->name, v, "longer than %d characters; shorten it",
					  CONF_VALUE_MAX);
		}
	}
}

static unsigned count_objects(struct conf *k, const char *kind)
{
	unsigned n = cfg_size(k->tree, kind);

	for (unsigned i = 0; i < n; i++)
		check_values(k, cfg_getnsec(k->tree, kind, i));
	if (n <= CONF_OBJECTS_MAX)
		return n;
	conf_error(k, conf_pos(cfg_getnsec(k->tree, kind, CONF_OBJECTS_MAX), NULL),
		   "more than %d sections of kind %s; remove some", CONF_OBJECTS_MAX, kind);
	return CONF_OBJECTS_MAX;
}

/* --- node --- */

static void build_key(struct conf *k, cfg_t *sec, struct config_node *n)
{
	char err[KEY_ERRLEN] = "";

	if (!required(k, sec, "private-key"))
		return;
	n->private_key_path = get_path(k, sec, "private-key");
	if (!n->private_key_path)
		return;
	if (k->hooks->read_key(n->private_key_path, &n->private_key, err) < 0)
		opt_error("private-key", NULL, "%s", err);
	else if (key_derive_public(&n->private_key, &n->public_key) < 0)
		opt_error("private-key", NULL,
			  "%s: not an X25519 key; make one with bridgectl "
			  "keygen",
			  n->private_key_path);
}

static bool covers(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family || addr_port(a) != addr_port(b) || !addr_port(a))
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == INADDR_ANY;
	return IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

static void add_listen(struct conf *k, cfg_t *sec, const struct conf_value *v,
		       struct config_node *n)
{
	struct addr a;

	if (addr_parse(v->text, &a) < 0) {
		opt_error("listen", v,
			  "`%.64s` is not a numeric address; write 0.0.0.0:%u or "
			  "[2001:db8::1]:%u",
			  v->text, L2TUND_PORT, L2TUND_PORT);
		return;
	}
	for (unsigned i = 0; i < n->n_listen; i++) {
		const struct addr *b = &n->listen[i];
		char text[ADDR_STRLEN];

		if (addr_equal(&a, b) && addr_port(&a) != 0) {
			opt_error("listen", v, "`%s` stands here twice; remove one", v->text);
			return;
		}
		if (covers(&a, b) || covers(b, &a)) {
			opt_error("listen", v, "`%s` and %s include each other; remove one",
				  v->text, addr_format(b, text));
			return;
		}
	}
	n->listen[n->n_listen++] = a;
}

static void build_listen(struct conf *k, cfg_t *sec, struct config_node *n)
{
	unsigned given = conf_count(sec, "listen");

	n->listen = calloc(MAX(given, 2), sizeof(*n->listen));
	if (!n->listen) {
		k->oom = true;
		return;
	}
	if (given > LISTEN_MAX) {
		opt_error("listen", NULL, "more than %d addresses; remove some", LISTEN_MAX);
		return;
	}
	for (unsigned i = 0; i < given; i++)
		add_listen(k, sec, conf_get_nth(sec, "listen", i), n);
	if (given == 0) {
		addr_parse("0.0.0.0", &n->listen[0]);
		addr_parse("[::]", &n->listen[1]);
		n->n_listen = 2;
	}
}

static void build_rights(struct conf *k, cfg_t *sec, struct config_node *n)
{
	const struct conf_value *user = conf_get(sec, "user");
	const struct conf_value *group = conf_get(sec, "control-group");

	if (user && !k->hooks->user_exists(user->text))
		opt_error("user", NULL, "there is no user `%s`; create it or remove the line",
			  user->text);
	if (group && !k->hooks->group_exists(group->text))
		opt_error("control-group", NULL,
			  "there is no group `%s`; create it or remove the "
			  "line",
			  group->text);
	n->user = user ? copy(k, user->text) : NULL;
	n->control_group = group ? copy(k, group->text) : NULL;
}

static void build_metrics(struct conf *k, cfg_t *sec, struct config_node *n)
{
	const struct conf_value *v = conf_get(sec, "metrics");
	struct addr a;

	if (!v)
		return;
	n->metrics = copy(k, v->text);
	if (addr_parse(v->text, &a) < 0 || addr_port(&a) == 0)
		opt_error("metrics", NULL,
			  "`%.64s` is not a numeric address with a port; write "
			  "127.0.0.1:9465",
			  v->text);
	else
		conf_warn(k, v->pos, "metrics is not supported yet: nothing listens on %s",
			  v->text);
}

/* Without a name it is the host's, up to the first dot. */
static void build_node_name(struct conf *k, cfg_t *sec, struct config_node *n)
{
	const struct conf_value *v = conf_get(sec, "name");
	char host[256] = "";

	if (!v && k->hooks->host_name(host, sizeof(host) - 1) == 0)
		host[strcspn(host, ".")] = '\0';
	if (name_valid(v ? v->text : host, NAME_MAX_LEN))
		copy_name(n->name, sizeof(n->name), v ? v->text : host);
	else if (v)
		opt_error("name", NULL,
			  "`%.64s` is not a name; use up to %d letters, digits and . _ -, "
			  "beginning with none of . -",
			  v->text, NAME_MAX_LEN);
	else if (!is_broken(sec, "name"))
		opt_error(NULL, NULL,
			  "name is missing, and the host name `%.64s` is none; add "
			  "name = …",
			  host);
}

static void build_node(struct conf *k, cfg_t *sec, struct config_node *n)
{
	set_src(k, sec, &n->src);
	build_node_name(k, sec, n);
	build_key(k, sec, n);
	build_listen(k, sec, n);
	n->control =
		get_absolute(k, sec, "control", sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
			     "/run/l2tund/control.sock");
	n->state_dir = get_absolute(k, sec, "state-dir", CONF_VALUE_MAX, "/var/lib/l2tund");
	build_rights(k, sec, n);
	build_metrics(k, sec, n);
	n->workers = get_number(k, sec, "workers", 1, WORKERS_MAX, 1);
}

/* Sections behind the first are refused, but checked like it. */
static void build_nodes(struct conf *k)
{
	unsigned count = count_objects(k, "node");

	if (count == 0)
		conf_error(k, k->parts[0].start,
			   "there is no node section; add node { name = … private-key = … }");
	for (unsigned i = 0; i < count && !k->oom; i++) {
		cfg_t *sec = cfg_getnsec(k->tree, "node", i);
		struct config_node scratch = { 0 };

		if (i > 0)
			conf_error(k, conf_pos(sec, NULL),
				   "second node section, the first is %s:%u; make one of them",
				   k->c->node.src.file, k->c->node.src.line);
		build_node(k, sec, i > 0 ? &scratch : &k->c->node);
		config_node_fini(&scratch);
	}
}

/* --- bridge --- */

static void build_ports(struct conf *k, cfg_t *sec, struct config_bridge *b)
{
	unsigned count = conf_count(sec, "ports");

	if (count > PORTS_MAX) {
		opt_error("ports", NULL, "more than %d ports; remove some", PORTS_MAX);
		return;
	}
	b->ports = count ? calloc(count, sizeof(*b->ports)) : NULL;
	if (count && !b->ports) {
		k->oom = true;
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		const struct conf_value *v = conf_get_nth(sec, "ports", i);
		bool twice = false;

		if (!check_ifname(k, sec, "ports", v))
			continue;
		for (unsigned j = 0; j < b->n_ports; j++)
			twice |= strcmp(b->ports[j], v->text) == 0;
		if (twice)
			opt_error("ports", v, "`%s` stands here twice; remove one", v->text);
		else
			copy_name(b->ports[b->n_ports++], IFNAMSIZ, v->text);
	}
}

/* With STP on, the kernel takes forward delays from 2 s only (802.1D-1998 section 8.10.2). */
static void build_stp(struct conf *k, cfg_t *sec, struct config_bridge *b)
{
	b->stp = conf_get_bool(k, sec, "stp", false);
	b->forward_delay_s =
		get_number(k, sec, "forward-delay", 0, DELAY_MAX_S, b->stp ? DELAY_STP_S : 0);
	if (b->stp && b->forward_delay_s < 2)
		opt_error("forward-delay", NULL,
			  "%u s is too short with stp = on; use 2 to %d, or "
			  "stp = off",
			  b->forward_delay_s, DELAY_MAX_S);
}

static void build_bridge(struct conf *k, cfg_t *sec, struct config_bridge *b)
{
	static const char *const only_new[] = { "stp", "forward-delay", "ports" };

	set_src(k, sec, &b->src);
	get_title(k, sec, IFNAMSIZ - 1, b->name, sizeof(b->name));
	if (b->name[0])
		check_ifname(k, sec, NULL, conf_get(sec, CONF_TITLE));
	b->create = conf_get_bool(k, sec, "create", false);
	build_stp(k, sec, b);
	build_ports(k, sec, b);
	for (unsigned i = 0; i < ARRAY_SIZE(only_new) && !b->create; i++) {
		if (conf_get(sec, only_new[i]))
			opt_warn(only_new[i], NULL,
				 "no effect without create = yes: what others made stays as it is");
	}
}

/* --- peer --- */

static void build_modes(struct conf *k, cfg_t *sec, struct config_peer *p)
{
	unsigned count = conf_count(sec, "data");

	if (count == 0)
		p->modes = 1u << DATA_AEAD;
	for (unsigned i = 0; i < count; i++) {
		const struct conf_value *v = conf_get_nth(sec, "data", i);
		enum data_mode m;

		if (data_mode_parse(v->text, &m) < 0)
			opt_error("data", v, "`%.64s` is unknown; use aead, auth or none", v->text);
		else if (p->modes & 1u << m)
			opt_error("data", v, "`%s` stands here twice; remove one", v->text);
		else
			p->modes |= 1u << m;
	}
}

static void build_address(struct conf *k, cfg_t *sec, struct config_peer *p)
{
	const struct conf_value *v = conf_get(sec, "address");
	char host[ADDR_HOST_STRLEN];

	if (!v)
		return;
	if (addr_split(v->text, host, &p->port) < 0 || p->port == 0)
		opt_error("address", NULL,
			  "`%.64s` is not HOST:PORT; write host.example.net:%u, "
			  "192.0.2.1 or [2001:db8::1]:%u",
			  v->text, L2TUND_PORT, L2TUND_PORT);
	else
		p->host = copy(k, host);
}

static void build_peer(struct conf *k, cfg_t *sec, struct config_peer *p)
{
	const struct conf_value *v = required(k, sec, "public-key");
	char err[KEY_ERRLEN] = "";

	set_src(k, sec, &p->src);
	get_title(k, sec, NAME_MAX_LEN, p->name, sizeof(p->name));
	if (v && key_parse(v->text, &p->public_key) < 0)
		opt_error("public-key", NULL,
			  "not a key; paste the 44 characters that bridgectl "
			  "pubkey prints on that host");
	else if (v && key_check_public(&p->public_key) < 0)
		opt_error("public-key", NULL,
			  "this key gives no secrecy (a low-order point); "
			  "make a new key pair on that host");
	p->psk_path = get_path(k, sec, "preshared-key");
	if (p->psk_path && k->hooks->read_key(p->psk_path, &p->psk, err) < 0)
		opt_error("preshared-key", NULL, "%s", err);
	build_address(k, sec, p);
	build_modes(k, sec, p);
}

/* --- tunnel --- */

/* There is room: one more bridge for each tunnel. */
static struct config_bridge *imply_bridge(struct conf *k, cfg_t *sec, const char *name)
{
	struct config_bridge *b = &k->c->bridges[k->c->n_bridges++];

	copy_name(b->name, sizeof(b->name), name);
	b->implied = true;
	set_src(k, sec, &b->src);
	return b;
}

static void build_tunnel_name(struct conf *k, cfg_t *sec, struct config_tunnel *t)
{
	const struct conf_value *v = conf_get(sec, CONF_TITLE);
	char name[NAME_MAX_LEN + 1];

	get_title(k, sec, NAME_MAX_LEN, name, sizeof(name));
	if (strlen(name) > TUNNEL_NAME_MAX)
		conf_error(k, v->pos,
			   "tunnel %s: the name of its device, " TAP_PREFIX "%s, is too "
			   "long; use at most %zu characters",
			   name, name, TUNNEL_NAME_MAX);
	else
		copy_name(t->name, sizeof(t->name), name);
}

static void build_ends(struct conf *k, cfg_t *sec, struct config_tunnel *t)
{
	const struct conf_value *peer = required(k, sec, "peer");
	const struct conf_value *bridge = required(k, sec, "bridge");
	const struct conf_value *remote = conf_get(sec, "remote-bridge");

	t->peer = peer ? config_find_peer(k->c, peer->text) : NULL;
	if (peer && (!t->peer || !t->peer->name[0])) {
		t->peer = NULL;
		opt_error("peer", NULL,
			  "there is no peer `%.64s`; add a section peer \"%.64s\" or "
			  "correct the name",
			  peer->text, peer->text);
	}
	if (bridge && check_ifname(k, sec, "bridge", bridge)) {
		t->bridge = config_find_bridge(k->c, bridge->text);
		if (!t->bridge)
			t->bridge = imply_bridge(k, sec, bridge->text);
		copy_name(t->remote_bridge, sizeof(t->remote_bridge), bridge->text);
	}
	if (remote && check_ifname(k, sec, "remote-bridge", remote))
		copy_name(t->remote_bridge, sizeof(t->remote_bridge), remote->text);
}

static void build_tunnel(struct conf *k, cfg_t *sec, struct config_tunnel *t)
{
	set_src(k, sec, &t->src);
	build_tunnel_name(k, sec, t);
	build_ends(k, sec, t);
	t->mesh = get_word(k, sec, "mode", "tree", "mesh") == 1;
	t->priority = (uint16_t)get_number(k, sec, "priority", 0, UINT16_MAX, PRIORITY_DEFAULT);
	t->preempt = conf_get_bool(k, sec, "preempt", false);
	t->profile =
		get_word(k, sec, "profile", "default", "fast") ? PROFILE_FAST : PROFILE_DEFAULT;
	t->policer = get_number(k, sec, "policer", 1, POLICER_MAX, POLICER_DEFAULT);
}

/* --- All --- */

void conf_build(struct conf *k)
{
	unsigned n_bridges = count_objects(k, "bridge");
	unsigned n_peers = count_objects(k, "peer");
	unsigned n_tunnels = count_objects(k, "tunnel");
	struct config *c = k->c;

	c->bridges = calloc(n_bridges + n_tunnels + 1, sizeof(*c->bridges));
	c->peers = calloc(n_peers + 1, sizeof(*c->peers));
	c->tunnels = calloc(n_tunnels + 1, sizeof(*c->tunnels));
	if (!c->bridges || !c->peers || !c->tunnels) {
		k->oom = true;
		return;
	}
	build_nodes(k);
	conf_build_offload(k, count_objects(k, "offload"));
	for (; c->n_bridges < n_bridges && !k->oom; c->n_bridges++)
		build_bridge(k, cfg_getnsec(k->tree, "bridge", c->n_bridges),
			     &c->bridges[c->n_bridges]);
	for (; c->n_peers < n_peers && !k->oom; c->n_peers++)
		build_peer(k, cfg_getnsec(k->tree, "peer", c->n_peers), &c->peers[c->n_peers]);
	for (; c->n_tunnels < n_tunnels && !k->oom; c->n_tunnels++)
		build_tunnel(k, cfg_getnsec(k->tree, "tunnel", c->n_tunnels),
			     &c->tunnels[c->n_tunnels]);
}
