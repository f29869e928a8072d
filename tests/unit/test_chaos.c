/*
 * Everything at once: three daemons in a ring, each joined to the next by two parallel
 * tunnels over two underlays, while a seed lets paths fail, daemons stop and die, devices and
 * bridges go, kernel calls fail, configurations change and people switch things.
 *
 * At every single event: what is open at both ends makes no ring. For every
 * frame: at most once at each other guest, never back at its own. When it is quiet again:
 * everything forwards, exactly once.
 */
#include <errno.h>
#include <stdlib.h>

#include "common/log.h"
#include "l2tund/reload.h"
#include "tests/support/prng.h"
#include "tests/unit/daemon_world.h"

#define HOSTS 3
#define ROUNDS 16
#define STEPS 250
#define FRAMES_PER_STEP 10
#define FRAME_BYTES 64
#define FRAMES_MAX (ROUNDS * (STEPS * FRAMES_PER_STEP + HOSTS))

struct chaos {
	struct world *w;
	struct prng prng;
	struct fake_client *client[HOSTS];
	unsigned calmness; /* one step in so many does something */
	unsigned actions;
	unsigned sent;			 /* frames; the next number */
	uint8_t seen[HOSTS][FRAMES_MAX]; /* copies by number */
	uint8_t origin[FRAMES_MAX];
};

/* Tunnels 2i and 2i + 1 lead from host i to the next one. */
static const char *const names[2 * HOSTS] = { "a", "b", "c", "d", "e", "f" };
static const char *const tunnels[HOSTS][4] = { { "a", "b", "e", "f" },
					       { "c", "d", "a", "b" },
					       { "e", "f", "c", "d" } };

static uint64_t below(struct chaos *c, uint64_t n)
{
	return prng_below(&c->prng, n);
}

/* configuration */

/* Towards a neighbour; the second tunnel over the other underlay is sometimes left out. */
static void put_pair(struct chaos *c, FILE *f, const char *const of[2], const char *const peers[2],
		     bool change)
{
	for (unsigned k = 0; k < 2; k++) {
		if (change && k == 1 && below(c, 4) == 0)
			continue;
		fprintf(f, "tunnel \"%s\" { peer = \"%s\" bridge = \"br-sv\" priority = %u %s }\n",
			of[k], peers[k], change ? (unsigned)below(c, 200) + 1 : 100,
			change && below(c, 3) == 0 ? "profile = fast" : "");
	}
}

static void configure(struct chaos *c, unsigned i, bool change)
{
	static const char *const next[] = { "there", "other" }, *const last[] = { "beyond",
										  "around" };
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	put_pair(c, f, tunnels[i], next, change);
	put_pair(c, f, tunnels[i] + 2, last, change);
	assert_int_equal(fclose(f), 0);
	write_config(c->w, i, text);
	free(text);
}

static void reload(struct chaos *c, unsigned i)
{
	struct config_report report = { 0 };
	json_t *changed, *restart;

	if (!c->w->daemon[i])
		return;
	assert_int_equal(reload_run(c->w->daemon[i], &report, &changed, &restart), 0);
	json_decref(changed);
	json_decref(restart);
	config_report_fini(&report);
}

/* what is checked at every event */

static bool gate_open(const struct chaos *c, unsigned i, const char *name)
{
	struct daemon *d = c->w->daemon[i];
	const struct tunnel *t = d ? daemon_find_tunnel(d, name) : NULL;

	if (!t || !t->gate.open)
		return false;
	assert_non_null(t->port.tap);
	return true;
}

/* `join` numbers the components that what is open at both ends makes. */
static bool check(void *arg)
{
	const struct chaos *c = arg;
	unsigned join[HOSTS] = { 0, 1, 2 };

	for (unsigned k = 0; k < ARRAY_SIZE(names); k++) {
		unsigned i = k / 2, to = (i + 1) % HOSTS, old = join[i];

		if (!gate_open(c, i, names[k]) || !gate_open(c, to, names[k]))
			continue;
		if (join[i] == join[to])
			fail_msg("tunnel %s closes a ring", names[k]);
		for (unsigned x = 0; x < HOSTS; x++)
			join[x] = join[x] == old ? join[to] : join[x];
	}
	return true;
}

static void run_for(struct chaos *c, uint64_t us)
{
	fake_run_while(c->w->net, check, c, us);
}

/* frames */

static void send_frame(struct chaos *c, unsigned i)
{
	uint8_t frame[FRAME_BYTES] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54 };

	put_le32(frame + 20, c->sent);
	if (fake_send(c->w->host[i], "guest", &(struct vnet){ 0 }, frame, sizeof(frame)) < 0)
		return;
	c->origin[c->sent++] = (uint8_t)i;
}

static void receive(struct chaos *c)
{
	struct fake_frame f;

	for (unsigned i = 0; i < HOSTS; i++) {
		while (guest_recv(c->w, i, &f)) {
			uint32_t n = get_le32(f.bytes + 20);

			assert_true(n < c->sent);
			if (c->origin[n] == i)
				fail_msg("frame %u came back to host %u", n, i);
			if (++c->seen[i][n] > 1)
				fail_msg("frame %u of host %u twice at host %u", n, c->origin[n],
					 i);
		}
	}
}

/* what goes wrong */

static void do_path(struct chaos *c, unsigned i)
{
	struct fake_path *p = fake_path(c->w->host[i], c->w->host[(i + 1 + below(c, 2)) % HOSTS]);

	p->cut = below(c, 3) == 0;
	p->loss_permille = (unsigned)below(c, 2) * (unsigned)below(c, 500);
	p->duplicate_permille = (unsigned)below(c, 2) * 200;
	p->corrupt_permille = (unsigned)below(c, 2) * 20;
	p->jitter_us = below(c, 3) * 20 * US_PER_MS;
	p->mtu = below(c, 5) == 0 ? 1300 : 0;
}

/* Of the second underlay, 198.51.100.0/24. */
static bool is_second(const struct addr *a)
{
	return ntohl(a->in.sin_addr.s_addr) >> 8 == 0xc63364;
}

static bool cut_first(void *arg, const struct addr *from, const struct addr *to, const uint8_t *buf,
		      size_t len)
{
	(void)arg;
	(void)buf;
	(void)len;
	return is_second(from) || is_second(to);
}

static bool cut_second(void *arg, const struct addr *from, const struct addr *to,
		       const uint8_t *buf, size_t len)
{
	return !cut_first(arg, from, to, buf, len);
}

static void do_underlay(struct chaos *c, unsigned i)
{
	static const fake_filter_fn filters[] = { NULL, NULL, cut_first, cut_second };

	(void)i;
	fake_filter(c->w->net, filters[below(c, ARRAY_SIZE(filters))], c);
}

static void do_stall(struct chaos *c, unsigned i)
{
	fake_host_stall(c->w->host[i],
			below(c, 2) ? below(c, 200 * US_PER_MS) : below(c, 5 * US_PER_S));
}

static const char *some_tap(struct chaos *c, unsigned i)
{
	static char tap[IFNAMSIZ];
	const char *name = tunnels[i][below(c, i == 1 ? 4 : 2)];

	snprintf(tap, sizeof(tap), "l2t-%s", name);
	return tap;
}

static void do_tap(struct chaos *c, unsigned i)
{
	const char *tap = some_tap(c, i);

	switch (below(c, 5)) {
	case 0:
		fake_link_del(c->w->host[i], tap);
		break;
	case 1:
		fake_link_master(c->w->host[i], tap, NULL);
		break;
	case 2:
		fake_link_leave(c->w->host[i], tap);
		break;
	case 3:
		fake_link_up(c->w->host[i], tap, false);
		break;
	case 4:
		fake_link_mtu(c->w->host[i], tap, 1400 + 100 * (unsigned)below(c, 3));
		break;
	}
}

static void make_bridge(struct chaos *c, unsigned i)
{
	if (!fake_link(c->w->host[i], "br-sv"))
		fake_link_add(c->w->host[i], "br-sv", OS_LINK_BRIDGE);
	fake_link_master(c->w->host[i], "guest", "br-sv");
}

static void do_bridge(struct chaos *c, unsigned i)
{
	switch (below(c, 4)) {
	case 0:
		fake_link_del(c->w->host[i], "br-sv");
		break;
	case 1:
		fake_link_mtu(c->w->host[i], "guest", 1300 + 100 * (unsigned)below(c, 4));
		break;
	default:
		make_bridge(c, i);
	}
}

static void do_fault(struct chaos *c, unsigned i)
{
	static const enum fake_op ops[] = {
		FAKE_RESOLVE,	  FAKE_UDP_SEND,	FAKE_TAP_OPEN,	   FAKE_TAP_CARRIER,
		FAKE_TAP_CARRIER, FAKE_TAP_WRITE,	FAKE_LINK_SET_MTU, FAKE_LINK_SET_MAC,
		FAKE_LINK_SET_UP, FAKE_LINK_SET_MASTER, FAKE_CONN_SEND,	   FAKE_PACKET_OPEN,
		FAKE_PACKET_SEND,
	};
	static const int errors[] = { -ENOBUFS, -EIO, -ENODEV, -EPERM, -EMSGSIZE };

	fake_fail(c->w->host[i], ops[below(c, ARRAY_SIZE(ops))], (unsigned)below(c, 3),
		  1 + (unsigned)below(c, 3), errors[below(c, ARRAY_SIZE(errors))]);
}

static void hang_up(struct chaos *c, unsigned i)
{
	fake_client_free(c->client[i]);
	c->client[i] = NULL;
}

static void do_control(struct chaos *c, unsigned i)
{
	static const char *const methods[] = { "tunnel.down", "tunnel.up", "tunnel.up",
					       "tunnel.why", "tunnel.clear" };
	char path[128], line[256];

	snprintf(path, sizeof(path), "%s/%s.sock", c->w->dir, world_names[i]);
	if (below(c, 3) == 0 || (c->client[i] && fake_client_closed(c->client[i])))
		hang_up(c, i);
	if (!c->client[i])
		c->client[i] = fake_connect(c->w->host[i], path, 0);
	if (!c->client[i])
		return;
	if (below(c, 2))
		fake_client_send(c->client[i], "{\"id\":1,\"method\":\"events.subscribe\"}\n");
	snprintf(line, sizeof(line), "{\"id\":2,\"method\":\"%s\",\"params\":{\"name\":\"%s\"}}\n",
		 methods[below(c, ARRAY_SIZE(methods))], tunnels[i][below(c, i == 1 ? 4 : 2)]);
	fake_client_send(c->client[i], line);
	fake_client_send(c->client[i], "{\"id\":3,\"method\":\"status\"}\n");
}

/* A probe of host `from`, or of ours, is heard on our bridge. */
static void hear(struct chaos *c, unsigned i, unsigned from, enum probe_kind kind, uint32_t seq)
{
	struct probe_body body = { .kind = kind, .incarnation = 1, .seq = seq, .bridge = "br-sv" };
	const struct daemon *d = c->w->daemon[from];
	uint8_t frame[PROBE_FRAME_BYTES];

	if (!d || !fake_link(c->w->host[i], "br-sv"))
		return;
	memcpy(body.node, sessions_node_id(d->sessions), sizeof(body.node));
	assert_int_equal(probe_build(&body, d->keys.now, frame), 0);
	fake_packet_heard(c->w->host[i], "br-sv", frame, sizeof(frame));
}

static void do_evidence(struct chaos *c, unsigned i)
{
	struct daemon *d = c->w->daemon[i];
	struct tunnel *t = d ? daemon_find_tunnel(d, tunnels[i][below(c, 4)]) : NULL;

	if (!t)
		return;
	switch (below(c, 4)) {
	case 0:
		tunnel_block(t, REASON_STORM, "made up");
		break;
	case 1:
		hear(c, i, i, PROBE_W, (uint32_t)t->serial << 16);
		break;
	default:
		hear(c, i, (i + 1 + (unsigned)below(c, 2)) % HOSTS, PROBE_L, 1);
	}
	if (below(c, 4) == 0)
		tunnel_clear(t);
}

static void do_reload(struct chaos *c, unsigned i)
{
	configure(c, i, true);
	reload(c, i);
}

static void do_daemon(struct chaos *c, unsigned i)
{
	char err[DAEMON_ERRLEN];

	if (below(c, 2))
		return; /* not as often as the rest */
	if (c->w->daemon[i] && below(c, 2))
		daemon_stop(c->w->daemon[i]);
	if (c->w->daemon[i])
		end(c->w, i);
	else
		(void)start_err(c->w, i, err);
}

/* What others do to repair it, so that not everything lies idle all the time. */
static void mend(struct chaos *c, unsigned i)
{
	static const struct fake_path clean = { .delay_us = 500 };

	fake_filter(c->w->net, NULL, NULL);
	for (unsigned k = 0; k < HOSTS; k++) {
		*fake_path(c->w->host[i], c->w->host[k]) = clean;
		*fake_path(c->w->host[k], c->w->host[i]) = clean;
	}
	for (unsigned op = 0; op < FAKE_OPS; op++)
		fake_fail(c->w->host[i], (enum fake_op)op, 0, 0, -EIO);
	fake_link_mtu(c->w->host[i], "guest", 1500);
	make_bridge(c, i);
	configure(c, i, false);
	if (!c->w->daemon[i])
		start(c->w, i);
	reload(c, i);
	/* What was latched or switched off is a matter for people; the rest must heal by itself. */
	struct tunnel *t;
	TAILQ_FOREACH(t, &c->w->daemon[i]->tunnels, link) {
		if (t->admin_down || t->port.latched)
			tunnel_set_admin(t, true);
	}
	daemon_reconcile(c->w->daemon[i]);
}

static void (*const actions[])(struct chaos *c, unsigned i) = {
	do_path,   do_underlay, do_stall,    do_tap, do_bridge, do_fault, do_control,
	do_reload, do_daemon,	do_underlay, do_tap, mend,	mend,	  do_evidence,
};

static void step(struct chaos *c)
{
	bool fast = below(c, 4) != 0;

	if (below(c, c->calmness) == 0) {
		actions[below(c, ARRAY_SIZE(actions))](c, (unsigned)below(c, HOSTS));
		c->actions++;
	}
	for (unsigned n = 0; n < FRAMES_PER_STEP; n++) {
		send_frame(c, (unsigned)below(c, HOSTS));
		run_for(c, below(c, fast ? 3 * US_PER_MS : 50 * US_PER_MS));
	}
	receive(c);
}

/* Hold-downs and latches are for people as well. */
static void clear_all(struct chaos *c)
{
	struct tunnel *t;

	for (unsigned i = 0; i < HOSTS; i++) {
		TAILQ_FOREACH(t, &c->w->daemon[i]->tunnels, link)
			tunnel_clear(t);
	}
}

static void calm(struct chaos *c)
{
	run_for(c, 6 * US_PER_S); /* the longest stall */
	for (unsigned i = 0; i < HOSTS; i++)
		mend(c, i);
	clear_all(c);
	run_for(c, 10 * US_PER_S);
	receive(c);
}

/* Two of the six, and the others know why they do not. */
static void assert_spanned(struct chaos *c)
{
	unsigned n = 0;

	for (unsigned k = 0; k < ARRAY_SIZE(names); k++) {
		const struct tunnel *t = tunnel(c->w, k / 2, names[k]);
		const struct tunnel *u = tunnel(c->w, (k / 2 + 1) % HOSTS, names[k]);

		n += t->state == TUNNEL_FORWARDING && u->state == TUNNEL_FORWARDING;
		if (t->state != u->state || t->state < TUNNEL_STANDBY ||
		    t->state > TUNNEL_FORWARDING)
			fail_msg("%s: %s %s | %s %s", names[k], tunnel_state_name(t->state),
				 t->detail, tunnel_state_name(u->state), u->detail);
		if (t->state == TUNNEL_STANDBY)
			assert_true(t->reason == REASON_PARALLEL || t->reason == REASON_CYCLE ||
				    t->reason == REASON_PRIORITY);
	}
	assert_int_equal(n, HOSTS - 1);
}

static void all_forward_once(struct chaos *c)
{
	assert_spanned(c);
	for (unsigned i = 0; i < HOSTS; i++) {
		unsigned n = c->sent;

		send_frame(c, i);
		assert_int_equal(c->sent, n + 1);
		run_for(c, 50 * US_PER_MS);
		receive(c);
		for (unsigned k = 0; k < HOSTS; k++)
			assert_int_equal(c->seen[k][n], k != i);
	}
}

static void no_order_of_events_makes_a_loop(void **state)
{
	const char *seed = getenv("CHAOS_SEED");
	struct chaos *c = calloc(1, sizeof(*c));
	unsigned passed = 0;

	(void)state;
	assert_non_null(c);
	c->prng.state = seed ? strtoull(seed, NULL, 0) : 1;
	c->w = world_new(HOSTS, c->prng.state);
	log_set_level(LOGL_ERR);
	for (unsigned i = 0; i < HOSTS; i++) {
		bridge_with_guest(c->w, i);
		configure(c, i, false);
		start(c->w, i);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		c->calmness = 2 + (unsigned)below(c, 12);
		for (unsigned n = 0; n < STEPS; n++)
			step(c);
		calm(c);
		all_forward_once(c);
	}
	for (unsigned n = 0; n < c->sent; n++) {
		for (unsigned i = 0; i < HOSTS; i++)
			passed += c->seen[i][n];
	}
	print_message("# %u frames, %u copies arrived, %u actions\n", c->sent, passed, c->actions);
	/* Or nothing was tried. */
	assert_true(c->actions > ROUNDS * STEPS / 14);
	assert_true(passed > c->sent / 4);
	for (unsigned i = 0; i < HOSTS; i++)
		hang_up(c, i);
	world_free(c->w);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_order_of_events_makes_a_loop),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
