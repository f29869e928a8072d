/* See daemon_world.h. */
#include "tests/unit/daemon_world.h"

#include <sys/stat.h>

#include "tests/support/prng.h"

#ifndef WORLD_WORKERS
#define WORLD_WORKERS 1 /* test_NAME_workers are built with more */
#endif

const char *const world_names[WORLD_HOSTS] = { "xen1", "kvm1", "kvm2", "xen2" };
const char *const world_ips[WORLD_HOSTS][WORLD_UNDERLAYS] = {
	{ "192.0.2.1", "198.51.100.1" },
	{ "192.0.2.2", "198.51.100.2" },
	{ "192.0.2.3", "198.51.100.3" },
	{ "192.0.2.4", "198.51.100.4" },
};

/* configuration */

void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fchmod(fileno(f), 0600), 0);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

void config_path(const struct world *w, unsigned i, char *buf, size_t size)
{
	snprintf(buf, size, "%s/%s.conf", w->dir, world_names[i]);
}

static void write_node(const struct world *w, unsigned i, FILE *f)
{
	char path[128], own[KEY_STRLEN];

	snprintf(path, sizeof(path), "%s/%s.key", w->dir, world_names[i]);
	write_text(path, key_format(&w->key[i], own));
	fprintf(f,
		"node { name = \"%s\" private-key = \"%s\" control = \"%s/%s.sock\" "
		"state-dir = \"%s\" }\n",
		world_names[i], path, w->dir, world_names[i], w->dir);
}

/* `away`: how many hosts further. */
static void write_peers(const struct world *w, unsigned i, unsigned away, FILE *f)
{
	static const char *const names[][WORLD_UNDERLAYS] = { { "there", "other" },
							      { "beyond", "around" },
							      { "across", "along" } };
	unsigned far = (i + away) % w->n;
	struct key public_key;
	char key[KEY_STRLEN];

	assert_int_equal(key_derive_public(&w->key[far], &public_key), 0);
	for (unsigned k = 0; k < WORLD_UNDERLAYS; k++)
		fprintf(f, "peer \"%s\" { public-key = \"%s\" address = \"%s:4655\" }\n",
			names[away - 1][k], key_format(&public_key, key), world_ips[far][k]);
}

void write_config(struct world *w, unsigned i, const char *rest)
{
	char path[128], *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	write_node(w, i, f);
	for (unsigned away = 1; away < w->n; away++)
		write_peers(w, i, away, f);
	fputs(rest, f);
	assert_int_equal(fclose(f), 0);
	config_path(w, i, path, sizeof(path));
	write_text(path, text);
	free(text);
}

static struct config *load_config(struct world *w, unsigned i)
{
	struct config_report report = { 0 };
	struct config *c = NULL;
	char path[128];

	config_path(w, i, path, sizeof(path));
	if (config_load(path, &c, &report) < 0)
		fail_msg("%s", report.n ? report.lines[0] : "config_load");
	config_report_fini(&report);
	return c;
}

/* the world */

struct world *world_new(unsigned n, uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));
	struct prng prng = { seed };

	assert_non_null(w);
	strcpy(w->dir, "/tmp/l2tund-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	w->n = n;
	w->incarnation = 1000;
	w->net = fake_net_new(seed);
	for (unsigned i = 0; i < n; i++) {
		w->host[i] = fake_host_new(w->net, world_names[i]);
		fake_host_workers(w->host[i], WORLD_WORKERS);
		for (unsigned k = 0; k < WORLD_UNDERLAYS; k++)
			fake_addr_add(w->host[i], world_ips[i][k]);
		prng_fill(&prng, &w->key[i], sizeof(w->key[i]));
	}
	return w;
}

void world_free(struct world *w)
{
	char command[128];

	for (unsigned i = 0; i < w->n; i++)
		end(w, i);
	fake_net_free(w->net);
	snprintf(command, sizeof(command), "rm -r %s", w->dir);
	assert_int_equal(system(command), 0);
	free(w);
}

int world_setup(void **state)
{
	*state = world_new(2, 11);
	return 0;
}

int world_teardown(void **state)
{
	world_free(*state);
	return 0;
}

int start_err(struct world *w, unsigned i, char *err)
{
	struct daemon_params p = { .incarnation = ++w->incarnation,
				   .aes_mbps = 100,
				   .chacha_mbps = 50 };

	return daemon_new(load_config(w, i), fake_host_os(w->host[i]), &p, &w->daemon[i], err);
}

void start(struct world *w, unsigned i)
{
	char err[DAEMON_ERRLEN] = "";

	if (start_err(w, i, err) < 0)
		fail_msg("%s", err);
}

void end(struct world *w, unsigned i)
{
	daemon_free(w->daemon[i]);
	w->daemon[i] = NULL;
	assert_int_equal(fake_host_open(w->host[i]), 0);
}

void bridge_with_guest(struct world *w, unsigned i)
{
	fake_link_add(w->host[i], "br-sv", OS_LINK_BRIDGE);
	fake_link_add(w->host[i], "guest", OS_LINK_VETH);
	fake_link_master(w->host[i], "guest", "br-sv");
}

struct tunnel *tunnel(struct world *w, unsigned i, const char *name)
{
	struct tunnel *t = daemon_find_tunnel(w->daemon[i], name);

	assert_non_null(t);
	return t;
}

struct tunnel_counters counts(const struct tunnel *t)
{
	struct tunnel_counters c;

	tunnel_counters(t, &c);
	return c;
}

const char world_plain[] = "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" }\n";

void world_start_both(struct world *w, const char *rest0, const char *rest1)
{
	const char *rest[] = { rest0, rest1 };

	for (unsigned i = 0; i < ARRAY_SIZE(rest); i++) {
		bridge_with_guest(w, i);
		write_config(w, i, rest[i]);
		start(w, i);
	}
}

void world_start_plain(struct world *w)
{
	world_start_both(w, world_plain, world_plain);
}

static bool not_forwarding(void *arg)
{
	struct world *w = arg;

	return tunnel(w, 0, "sv")->state != TUNNEL_FORWARDING ||
	       tunnel(w, 1, "sv")->state != TUNNEL_FORWARDING;
}

void world_wait_forwarding(struct world *w, uint64_t limit_us)
{
	if (!fake_run_while(w->net, not_forwarding, w, limit_us))
		fail_msg("not forwarding: %s %s | %s %s",
			 tunnel_state_name(tunnel(w, 0, "sv")->state), tunnel(w, 0, "sv")->detail,
			 tunnel_state_name(tunnel(w, 1, "sv")->state), tunnel(w, 1, "sv")->detail);
}

/* By ethertype: the daemon's own. */
static bool is_ours(const struct fake_frame *f)
{
	return f->len >= 14 && ((f->bytes[12] == 0x88 && f->bytes[13] == 0xb5) ||
				(f->bytes[12] == 0x80 && f->bytes[13] == 0x35));
}

bool guest_recv(struct world *w, unsigned i, struct fake_frame *ret)
{
	while (fake_recv(w->host[i], "guest", ret)) {
		if (!is_ours(ret))
			return true;
	}
	return false;
}

void guest_drain(struct world *w, unsigned i)
{
	struct fake_frame f;
	int ifindex;

	while (fake_recv(w->host[i], "guest", &f))
		continue;
	while (fake_packet_sent(w->host[i], &ifindex, &f))
		continue;
}

/* control */

const char *ask(struct world *w, unsigned i, uid_t uid, const char *line)
{
	static char reply[65536];
	char path[128];

	snprintf(path, sizeof(path), "%s/%s.sock", w->dir, world_names[i]);
	struct fake_client *c = fake_connect(w->host[i], path, uid);
	assert_non_null(c);
	fake_client_send(c, line);
	fake_client_send(c, "\n");
	fake_run_for(w->net, 10 * US_PER_MS);
	const char *got = fake_client_line(c);
	assert_non_null(got);
	snprintf(reply, sizeof(reply), "%s", got);
	fake_client_free(c);
	fake_run_for(w->net, 10 * US_PER_MS);
	return reply;
}

void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no `%s` in: %s", part, text);
}
