/*
 * The topology as operators see it: three daemons in a ring with parallel tunnels on the
 * made-up kernel, asked over the control socket.
 */
#include <stdio.h>
#include <string.h>

#include "common/jsonline.h"
#include "l2tund/bridge.h"
#include "l2tund/topology/view.h"
#include "tests/unit/daemon_world.h"

#define RING_US (10 * US_PER_S)

/* Each host has tunnels to the next and to the one behind, the first two a second one. */
static void start_ring(struct world *w)
{
	static const char both[] = "tunnel \"next\" { peer = \"there\" bridge = \"br-sv\" }\n"
				   "tunnel \"back\" { peer = \"beyond\" bridge = \"br-sv\" }\n";
	static const char *const spare_peers[] = { "other", "around" };
	char rest[512];

	for (unsigned i = 0; i < w->n; i++) {
		size_t len = (size_t)snprintf(rest, sizeof(rest), "%s", both);

		if (i < ARRAY_SIZE(spare_peers))
			snprintf(rest + len, sizeof(rest) - len,
				 "tunnel \"spare\" { peer = \"%s\" bridge = \"br-sv\" priority = "
				 "200 }\n",
				 spare_peers[i]);
		bridge_with_guest(w, i);
		write_config(w, i, rest);
		start(w, i);
	}
	fake_run_for(w->net, RING_US);
}

static int setup_three(void **state)
{
	*state = world_new(3, 12);
	return 0;
}

/* The result of a method without parameters. */
static json_t *result(struct world *w, unsigned i, const char *method)
{
	char line[128], err[JSONLINE_ERRLEN];

	snprintf(line, sizeof(line), "{\"id\":1,\"method\":\"%s\"}", method);
	const char *reply = ask(w, i, 1000, line);
	json_t *o = jsonline_parse(reply, strlen(reply), err);
	json_t *r = json_incref(json_object_get(o, "result"));

	json_decref(o);
	assert_non_null(r);
	return r;
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static bool truth(const json_t *o, const char *key)
{
	assert_true(json_is_boolean(json_object_get(o, key)));
	return json_is_true(json_object_get(o, key));
}

/* How many edges have this state and reason. */
static unsigned count(const json_t *t, const char *state, const char *reason)
{
	const json_t *e;
	unsigned n = 0;
	size_t i;

	json_array_foreach(json_object_get(t, "edges"), i, e)
		n += !strcmp(text(e, "state"), state) && !strcmp(text(e, "reason"), reason);
	return n;
}

static const json_t *edge_of(const json_t *t, const char *tunnel)
{
	const json_t *e;
	size_t i;

	json_array_foreach(json_object_get(t, "edges"), i, e)
		if (!strcmp(text(e, "tunnel"), tunnel))
			return e;
	fail_msg("no tunnel %s", tunnel);
	return NULL;
}

static void ring_is_seen_alike_everywhere(void **state)
{
	struct world *w = *state;
	char digest[65] = "";
	unsigned selves = 0;

	start_ring(w);
	for (unsigned i = 0; i < w->n; i++) {
		json_t *t = result(w, i, "topology");
		const json_t *n;
		size_t k;

		if (!i)
			snprintf(digest, sizeof(digest), "%s", text(t, "digest"));
		assert_string_equal(text(t, "digest"), digest);
		assert_int_equal(strlen(digest), 64);
		assert_int_equal(json_integer_value(json_object_get(t, "members")), 3);
		assert_int_equal(json_integer_value(json_object_get(t, "disagreeing")), 0);
		assert_false(truth(t, "twin") || truth(t, "overflow") || truth(t, "truncated"));
		assert_int_equal(json_array_size(json_object_get(t, "nodes")), 3);
		assert_int_equal(json_array_size(json_object_get(t, "edges")), 4);
		assert_int_equal(json_array_size(json_object_get(t, "foreign")), 0);
		assert_int_equal(count(t, "forwarding", ""), 2);
		json_array_foreach(json_object_get(t, "nodes"), k, n) {
			assert_true(truth(n, "member") && truth(n, "agrees"));
			if (!truth(n, "self"))
				continue;
			assert_string_equal(text(n, "name"), world_names[i]);
			selves++;
		}
		json_decref(t);
	}
	assert_int_equal(selves, 3);
}

/* Ours by name with its own words; those of others as far as the tree tells. */
static void edges_have_names_and_states(void **state)
{
	struct world *w = *state;
	json_t *t;
	unsigned named = 0;
	const json_t *e;
	size_t i;

	start_ring(w);
	t = result(w, 0, "topology");
	json_array_foreach(json_object_get(t, "edges"), i, e) {
		const json_t *a = json_object_get(e, "a"), *b = json_object_get(e, "b");

		assert_string_equal(text(a, "bridge"), "br-sv");
		assert_int_equal(strlen(text(a, "node")), 16);
		assert_true(strcmp(text(a, "node"), text(b, "node")) < 0 ||
			    !strcmp(text(a, "name"), world_names[0]));
		assert_true(*text(a, "name") && *text(b, "name"));
		assert_true(truth(e, "live"));
		assert_int_equal(truth(e, "in_tree"), truth(e, "open_a"));
		assert_int_equal(truth(e, "in_tree"), truth(e, "open_b"));
		named += *text(e, "tunnel") != '\0';
		if (!*text(e, "tunnel"))
			assert_true(json_is_null(json_object_get(e, "tunnel")));
	}
	assert_int_equal(named, 3);
	e = edge_of(t, "spare");
	assert_int_equal(json_integer_value(json_object_get(e, "priority")), 200);
	assert_string_equal(text(e, "mode"), "tree");
	assert_string_equal(text(e, "state"), tunnel_state_name(tunnel(w, 0, "spare")->state));
	json_decref(t);
}

static void switched_off_is_listed_too(void **state)
{
	struct world *w = *state;
	json_t *t;

	start_ring(w);
	tunnel_set_admin(tunnel(w, 0, "spare"), false);
	fake_run_for(w->net, US_PER_S);
	t = result(w, 0, "topology");
	assert_int_equal(json_array_size(json_object_get(t, "edges")), 4);
	const json_t *e = edge_of(t, "spare");
	assert_string_equal(text(e, "state"), "down");
	assert_string_equal(text(e, "reason"), "admin");
	assert_false(truth(e, "live"));
	assert_string_equal(text(json_object_get(e, "b"), "name"), world_names[1]);
	json_decref(t);
}

/* A peer that was never there has a name, and no id. */
static void unheard_peer_has_a_name(void **state)
{
	struct world *w = *state;
	json_t *t;

	bridge_with_guest(w, 0);
	write_config(w, 0, world_plain);
	start(w, 0);
	fake_run_for(w->net, 2 * RING_US);
	t = result(w, 0, "topology");
	const json_t *e = edge_of(t, "sv");
	assert_string_equal(text(json_object_get(e, "b"), "node"), "");
	assert_string_equal(text(json_object_get(e, "b"), "name"), "there");
	assert_string_equal(text(e, "reason"), "unreachable");
	assert_int_equal(json_integer_value(json_object_get(t, "members")), 1);
	json_decref(t);
}

static const char *why(struct world *w, unsigned i, const char *name)
{
	char line[128];

	snprintf(line, sizeof(line),
		 "{\"id\":1,\"method\":\"tunnel.why\",\"params\":{\"name\":\"%s\"}}", name);
	return ask(w, i, 1000, line);
}

/* Whoever stands by for the ring says by which way the bridges are joined, and both ends do. */
static void way_round_the_ring_is_told(void **state)
{
	struct world *w = *state;
	unsigned told = 0;

	start_ring(w);
	for (unsigned i = 0; i < w->n; i++) {
		static const char *const names[] = { "next", "back" };

		for (unsigned k = 0; k < ARRAY_SIZE(names); k++) {
			const struct tunnel *t = tunnel(w, i, names[k]);
			unsigned far = (i + k + 1) % w->n, middle = 3 - i - far;
			char way[128];

			if (t->state != TUNNEL_STANDBY)
				continue;
			assert_int_equal(t->reason, REASON_CYCLE);
			snprintf(way, sizeof(way),
				 "without it: our br-sv, br-sv of %s, br-sv of %s.",
				 world_names[middle], world_names[far]);
			assert_has(why(w, i, names[k]), way);
			assert_has(why(w, i, names[k]), "It takes over by itself");
			told++;
		}
	}
	assert_int_equal(told, 2);
}

static void parallel_needs_no_way(void **state)
{
	struct world *w = *state;
	const struct tunnel *t;

	start_ring(w);
	t = tunnel(w, 0, "spare");
	assert_int_equal(t->state, TUNNEL_STANDBY);
	if (t->reason != REASON_PARALLEL)
		return;
	assert_null(strstr(why(w, 0, "spare"), "without it"));
	assert_has(why(w, 0, "spare"), "takes over by itself within the dead time");
}

/* Foreign paths */

/* What host `from` sends on its br-sv comes in at tap3 of host `at`. */
static void hear(struct world *w, unsigned from, unsigned at)
{
	struct probe_body body = { .kind = PROBE_L, .incarnation = 1, .seq = 1 };
	const uint8_t *id = sessions_node_id(w->daemon[from]->sessions);
	uint8_t frame[PROBE_FRAME_BYTES], mac[6];

	if (!fake_link(w->host[at], "tap3")) {
		fake_link_add(w->host[at], "tap3", OS_LINK_TUN);
		fake_link_owner(w->host[at], "tap3", "vtund pid 812");
		fake_link_master(w->host[at], "tap3", "br-sv");
	}
	probe_source(id, "br-sv", mac);
	fake_fdb_learn(w->host[at], "tap3", mac);
	memcpy(body.node, id, sizeof(body.node));
	snprintf(body.bridge, sizeof(body.bridge), "br-sv");
	assert_int_equal(probe_build(&body, w->daemon[from]->keys.now, frame), 0);
	fake_packet_heard(w->host[at], "br-sv", frame, sizeof(frame));
	fake_run_for(w->net, 500 * US_PER_MS);
}

static void foreign_path_names_port_and_program(void **state)
{
	struct world *w = *state;
	const char *told;
	json_t *t;

	start_ring(w);
	hear(w, 1, 0);
	t = result(w, 0, "topology");
	const json_t *f = json_array_get(json_object_get(t, "foreign"), 0);
	assert_string_equal(text(json_object_get(f, "by"), "name"), world_names[0]);
	assert_string_equal(text(json_object_get(f, "heard"), "name"), world_names[1]);
	assert_string_equal(text(json_object_get(f, "heard"), "bridge"), "br-sv");
	assert_string_equal(text(f, "via"), "tap3");
	assert_string_equal(text(f, "owner"), "vtund pid 812");
	json_decref(t);
	told = why(w, 0, "next");
	assert_has(told, "is blocked (foreign)");
	assert_has(told, "Probes that kvm1 sends on its bridge br-sv arrive on our br-sv, for ");
	assert_has(told, "through port tap3, which belongs to vtund pid 812.");
	assert_has(told, "It opens not before ");
	assert_has(told, "take the other one away");
}

/* The others know of it, but not by which port it comes. */
static void foreign_path_of_others(void **state)
{
	struct world *w = *state;
	json_t *t;

	start_ring(w);
	hear(w, 1, 0);
	t = result(w, 2, "topology");
	assert_int_equal(json_array_size(json_object_get(t, "foreign")), 1);
	const json_t *f = json_array_get(json_object_get(t, "foreign"), 0);
	assert_string_equal(text(json_object_get(f, "by"), "name"), world_names[0]);
	assert_true(json_is_null(json_object_get(f, "via")));
	assert_true(json_is_null(json_object_get(f, "owner")));
	json_decref(t);
	if (tunnel(w, 2, "next")->reason == REASON_FOREIGN) {
		assert_has(why(w, 2, "next"), "br-sv of kvm1, by a foreign path br-sv of xen1.");
		assert_has(why(w, 2, "next"), "`bridgectl topology` there");
	}
}

/* The watch */

static unsigned events_of(struct world *w, const char *to)
{
	json_t *r = result(w, 0, "events");
	const json_t *e;
	unsigned n = 0;
	size_t i;

	json_array_foreach(json_object_get(r, "events"), i, e)
		n += !strcmp(text(e, "event"), "topology") && !strcmp(text(e, "to"), to) &&
		     !strcmp(text(e, "name"), world_names[0]);
	json_decref(r);
	return n;
}

/* At once, though it has just looked. */
static uint64_t look(struct world *w)
{
	w->daemon[0]->topology.look_us = 0;
	return topology_watch(w->daemon[0]);
}

static void agreement_is_no_event(void **state)
{
	struct world *w = *state;

	start_ring(w);
	assert_int_equal(look(w), NEVER);
	assert_int_equal(events_of(w, "agreed") + events_of(w, "disagreeing"), 0);
	json_t *s = result(w, 0, "status");
	const json_t *t = json_object_get(s, "topology");
	assert_int_equal(json_integer_value(json_object_get(t, "members")), 3);
	assert_int_equal(json_integer_value(json_object_get(t, "disagreeing_s")), 0);
	assert_int_equal(json_array_size(json_object_get(t, "waiting_for")), 0);
	assert_string_equal(text(t, "digest"), text(json_object_get(s, "topology"), "digest"));
	json_decref(s);
}

/*
 * What has lasted for ten seconds is told with the names, and so is its end. Between two
 * turns of the world nobody can have heard of a tunnel that is down: that is not agreed on.
 */
static void lasting_disagreement_is_an_event(void **state)
{
	struct world *w = *state;
	struct topology_watch *watch;
	uint64_t now_us;

	start_ring(w);
	watch = &w->daemon[0]->topology;
	now_us = daemon_now_us(w->daemon[0]);
	topo_edge_down(tunnel(w, 0, "spare")->edge, now_us);
	topo_tick(w->daemon[0]->topo, now_us + US_PER_S);
	assert_int_equal(look(w), now_us + TOPOLOGY_PATIENCE_US);
	assert_int_equal(watch->disagree_us, now_us);
	assert_int_equal(topology_watch(w->daemon[0]), now_us + TOPOLOGY_PATIENCE_US);
	watch->disagree_us -= TOPOLOGY_PATIENCE_US;
	json_t *s = topology_summary_json(w->daemon[0]);
	assert_int_equal(json_integer_value(json_object_get(s, "disagreeing")), 2);
	assert_int_equal(json_integer_value(json_object_get(s, "disagreeing_s")), 10);
	assert_int_equal(json_array_size(json_object_get(s, "waiting_for")), 2);
	json_decref(s);
	assert_int_equal(look(w), NEVER);
	assert_int_equal(events_of(w, "disagreeing"), 1);
	fake_run_for(w->net, 2 * US_PER_S);
	assert_int_equal(look(w), NEVER);
	assert_int_equal(watch->disagree_us, 0);
	assert_int_equal(events_of(w, "agreed"), 1);
	assert_int_equal(look(w), NEVER);
	assert_int_equal(events_of(w, "agreed") + events_of(w, "disagreeing"), 2);
	assert_has(ask(w, 0, 0, "{\"id\":1,\"method\":\"events\"}"), "not yet in agreement: ");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_three, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ring_is_seen_alike_everywhere),
		TEST(edges_have_names_and_states),
		TEST(switched_off_is_listed_too),
		TEST(unheard_peer_has_a_name),
		TEST(way_round_the_ring_is_told),
		TEST(parallel_needs_no_way),
		TEST(foreign_path_names_port_and_program),
		TEST(foreign_path_of_others),
		TEST(agreement_is_no_event),
		TEST(lasting_disagreement_is_an_event),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
