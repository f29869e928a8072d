/*
 * What administrators read when something is wrong: each test makes one of their usual mistakes
 * and looks whether state, detail and `tunnel why` name it, and name it once.
 */
#include <stdio.h>
#include <string.h>

#include "l2tund/bridge.h"
#include "tests/unit/daemon_world.h"

/* Five seconds until a peer counts as silent, and as much until the next look at everything. */
#define PATIENCE_US (12 * US_PER_S)

static const char *why(struct world *w, unsigned i)
{
	return ask(w, i, 0, "{\"id\":1,\"method\":\"tunnel.why\",\"params\":{\"name\":\"sv\"}}");
}

static void assert_has_not(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("`%s` in: %s", part, text);
}

/* A text that stands there twice is one that nobody reads. */
static void assert_once(const char *text, const char *part)
{
	assert_has(text, part);
	assert_has_not(strstr(text, part) + strlen(part), part);
}

/* Host i's section of its peer, as somebody has edited it. */
static void edit_peer(struct world *w, unsigned i, const struct key *public_key,
		      const char *address, const char *rest)
{
	char key[KEY_STRLEN], path[128], node[512], text[1024];
	FILE *f;

	/* The node section stands in the first line of what the world writes. */
	write_config(w, i, "");
	config_path(w, i, path, sizeof(path));
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(node, sizeof(node), f));
	fclose(f);
	snprintf(text, sizeof(text), "%speer \"mine\" { public-key = \"%s\" %s }\n%s", node,
		 key_format(public_key, key), address, rest);
	write_text(path, text);
}

static void nobody_has_an_address(void **state)
{
	struct world *w = *state;
	struct key public_key;

	for (unsigned i = 0; i < 2; i++) {
		bridge_with_guest(w, i);
		assert_int_equal(key_derive_public(&w->key[1 - i], &public_key), 0);
		edit_peer(w, i, &public_key, "",
			  "tunnel \"sv\" { peer = \"mine\" bridge = \"br-sv\" }\n");
		start(w, i);
	}
	fake_run_for(w->net, PATIENCE_US);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_NO_PEER);
	assert_has(why(w, 0), "We cannot call: its section (");
	assert_once(why(w, 0), "waiting for the peer to call");
}

/* The other host was installed anew: its old key still stands here. */
static void stale_key_is_told_at_both_ends(void **state)
{
	struct world *w = *state;
	struct key stale, public_key;

	bridge_with_guest(w, 0);
	bridge_with_guest(w, 1);
	assert_int_equal(key_generate_private(&stale), 0);
	assert_int_equal(key_derive_public(&stale, &public_key), 0);
	edit_peer(w, 0, &public_key, "address = \"192.0.2.2:4655\"",
		  "tunnel \"sv\" { peer = \"mine\" bridge = \"br-sv\" }\n");
	write_config(w, 1, world_plain);
	start(w, 0);
	start(w, 1);
	fake_run_for(w->net, PATIENCE_US);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_UNREACHABLE);
	assert_has(why(w, 0),
		   "with a key that no peer section has: compare the public-key of peer mine");
	assert_has(why(w, 1),
		   "made for another key: the public-key of this node on the other host must be");
	assert_once(why(w, 1), "no answer from");
}

/* Host i's end with an option that the other one has differently; `calls`: it has the address. */
static void start_differing(struct world *w, unsigned i, const char *option, bool calls)
{
	struct key public_key;
	char rest[192];

	bridge_with_guest(w, i);
	assert_int_equal(key_derive_public(&w->key[1 - i], &public_key), 0);
	snprintf(rest, sizeof(rest), "%s%s%s %s", calls ? "address = \"" : "",
		 calls ? world_ips[1 - i][0] : "", calls ? ":4655\"" : "", option);
	edit_peer(w, i, &public_key, rest,
		  "tunnel \"sv\" { peer = \"mine\" bridge = \"br-sv\" }\n");
	start(w, i);
}

/* Nothing is wrong with the network, and nobody waits for a peer. */
static void assert_differ(struct world *w, unsigned i, const char *part)
{
	assert_int_equal(tunnel(w, i, "sv")->state, TUNNEL_DOWN);
	assert_has(tunnel(w, i, "sv")->detail, part);
	assert_once(why(w, i), part);
	assert_has(why(w, i), "Peer mine is there, but does not agree with this end.");
	assert_has(why(w, i), "when both ends agree: compare the section of peer mine (");
	assert_has_not(why(w, i), "never");
	assert_has_not(why(w, i), "firewalls");
}

static void data_modes_without_a_common_one(void **state)
{
	struct world *w = *state;

	start_differing(w, 0, "data = auth", true);
	start_differing(w, 1, "data = aead", false);
	fake_run_for(w->net, PATIENCE_US);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_UNREACHABLE);
	assert_int_equal(tunnel(w, 1, "sv")->reason, REASON_NO_PEER);
	assert_differ(w, 0, "no common data mode: kvm1 allows aead, xen1 allows auth");
	assert_differ(w, 1, "no common data mode: kvm1 allows aead, xen1 allows auth");
	/* When the other one has gone it is no longer that. */
	end(w, 1);
	fake_run_for(w->net, PATIENCE_US);
	assert_has(tunnel(w, 0, "sv")->detail, "no answer from");
	assert_has(why(w, 0), "firewalls");
	assert_has_not(why(w, 0), "agree");
}

static void preshared_keys_that_differ(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct key psk = { { (uint8_t)(i + 1) } };
		char path[96], text[KEY_STRLEN], option[128];

		snprintf(path, sizeof(path), "%s/psk%u", w->dir, i);
		write_text(path, key_format(&psk, text));
		snprintf(option, sizeof(option), "preshared-key = \"%s\"", path);
		start_differing(w, i, option, true);
	}
	fake_run_for(w->net, PATIENCE_US);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(tunnel(w, i, "sv")->reason, REASON_UNREACHABLE);
		assert_differ(w, i, "the preshared keys differ?");
	}
}

static void other_bridges_are_named(void **state)
{
	struct world *w = *state;

	world_start_both(w, world_plain,
			 "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" "
			 "remote-bridge = \"br-lan\" }\n");
	fake_run_for(w->net, US_PER_S);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_DOWN);
	assert_string_equal(
		tunnel(w, 0, "sv")->detail,
		"peer there has no tunnel from its br-sv to our br-sv, but one from its "
		"br-sv to our br-lan; make bridge and remote-bridge fit at both ends");
}

/* What another tunnel uses is no hint. */
static void fitting_tunnels_are_not_named(void **state)
{
	struct world *w = *state;

	world_start_both(w,
			 "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" }\n"
			 "tunnel \"b\" { peer = \"there\" bridge = \"br-b\" }\n",
			 world_plain);
	fake_link_add(w->host[0], "br-b", OS_LINK_BRIDGE);
	fake_run_for(w->net, US_PER_S);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_FORWARDING);
	assert_string_equal(
		tunnel(w, 0, "b")->detail,
		"peer there has no tunnel from its br-b to our br-b; configure it there");
}

static void no_tunnel_there_is_down_after_a_while(void **state)
{
	struct world *w = *state;

	world_start_both(w, world_plain, "");
	fake_run_for(w->net, US_PER_S);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_HANDSHAKE);
	fake_run_for(w->net, PATIENCE_US);
	assert_int_equal(tunnel(w, 0, "sv")->state, TUNNEL_DOWN);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_REMOTE);
	assert_has(tunnel(w, 0, "sv")->detail, "configure it there");
}

static void what_is_no_bridge_is_named(void **state)
{
	struct world *w = *state;

	fake_link_add(w->host[0], "br-sv", OS_LINK_VETH);
	write_config(w, 0,
		     "bridge \"br-sv\" { create = yes }\n"
		     "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" }\n");
	start(w, 0);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_NO_BRIDGE);
	assert_has(tunnel(w, 0, "sv")->detail, "exists but is not a bridge");
	assert_has_not(why(w, 0), "does not exist");
}

static void bridge_that_is_off_is_trouble_until_it_is_on(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	fake_link_up(w->host[0], "br-sv", false);
	fake_run_for(w->net, US_PER_S);
	assert_has(daemon_find_bridge(w->daemon[0], "br-sv")->detail, "`ip link set br-sv up`");
	assert_has(why(w, 0), "Bridge br-sv: is switched off");
	fake_link_up(w->host[0], "br-sv", true);
	fake_run_for(w->net, US_PER_S);
	assert_string_equal(daemon_find_bridge(w->daemon[0], "br-sv")->detail, "");
}

static void missing_uplink_is_trouble_until_it_is_there(void **state)
{
	struct world *w = *state;

	write_config(w, 0,
		     "bridge \"br-sv\" { create = yes ports = {\"eth1\"} }\n"
		     "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" }\n");
	start(w, 0);
	assert_has(daemon_find_bridge(w->daemon[0], "br-sv")->detail, "port eth1 does not exist");
	fake_link_add(w->host[0], "eth1", OS_LINK_OTHER);
	fake_run_for(w->net, US_PER_S);
	assert_string_equal(daemon_find_bridge(w->daemon[0], "br-sv")->detail, "");
}

static void taken_device_is_told_once(void **state)
{
	struct world *w = *state;

	fake_link_add(w->host[0], "l2t-sv", OS_LINK_TUN);
	world_start_plain(w);
	assert_int_equal(tunnel(w, 0, "sv")->reason, REASON_PORT);
	assert_once(why(w, 0), "the device exists already");
	assert_has_not(why(w, 0), "File exists");
	assert_has(why(w, 0), "It is tried again by itself.");
}

static void switched_off_names_the_command(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	ask(w, 0, 0, "{\"id\":1,\"method\":\"tunnel.down\",\"params\":{\"name\":\"sv\"}}");
	assert_once(why(w, 0), "`bridgectl tunnel up sv`");
	assert_once(why(w, 0), "switched off");
}

static void name_that_does_not_resolve_is_named(void **state)
{
	struct world *w = *state;
	struct key public_key;

	fake_name(w->net, "xen9.example.net", NULL, 0, "Name or service not known");
	bridge_with_guest(w, 0);
	assert_int_equal(key_derive_public(&w->key[1], &public_key), 0);
	edit_peer(w, 0, &public_key, "address = \"xen9.example.net:4655\"",
		  "tunnel \"sv\" { peer = \"mine\" bridge = \"br-sv\" }\n");
	start(w, 0);
	fake_run_for(w->net, PATIENCE_US);
	assert_string_equal(
		tunnel(w, 0, "sv")->detail,
		"peer mine: cannot resolve xen9.example.net: Name or service not known");
}

static void unlike_mtus_are_told(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	fake_link_mtu(w->host[0], "guest", 9000);
	fake_link_mtu(w->host[0], "br-sv", 9000);
	fake_run_for(w->net, PATIENCE_US);
	assert_int_equal(tunnel(w, 1, "sv")->state, TUNNEL_FORWARDING);
	assert_has(tunnel(w, 1, "sv")->detail,
		   "bridge br-sv has MTU 1500 here, br-sv has 9000 there");
	fake_link_mtu(w->host[1], "guest", 9000);
	fake_link_mtu(w->host[1], "br-sv", 9000);
	fake_run_for(w->net, PATIENCE_US);
	assert_string_equal(tunnel(w, 1, "sv")->detail, "");
	assert_string_equal(tunnel(w, 0, "sv")->detail, "");
}

/* The end of a daemon is one thing to tell, not a closed gate, a missing bridge and a farewell. */
static void farewell_is_one_change(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	fake_run_for(w->net, 2 * US_PER_S);
	assert_int_equal(tunnel(w, 1, "sv")->state, TUNNEL_FORWARDING);
	daemon_stop(w->daemon[0]);
	assert_string_equal(tunnel(w, 0, "sv")->detail, "l2tund ends");
	fake_run_for(w->net, 20 * US_PER_MS);
	const char *events = ask(w, 1, 0, "{\"id\":1,\"method\":\"events\"}");
	assert_has(events, "closed by the peer");
	assert_has_not(events, "\"from\":\"forwarding\",\"to\":\"standby\"");
	assert_has_not(events, "is not ready");
}

static void reload_names_a_changed_bridge(void **state)
{
	struct world *w = *state;

	world_start_plain(w);
	write_config(w, 0,
		     "bridge \"br-sv\" { create = yes }\n"
		     "tunnel \"sv\" { peer = \"there\" bridge = \"br-sv\" }\n");
	assert_has(ask(w, 0, 0, "{\"id\":1,\"method\":\"reload\"}"),
		   "\"changed\":[\"bridge br-sv changed\"]");
	assert_has(ask(w, 0, 0, "{\"id\":1,\"method\":\"reload\"}"), "\"changed\":[]");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobody_has_an_address),
		TEST(stale_key_is_told_at_both_ends),
		TEST(data_modes_without_a_common_one),
		TEST(preshared_keys_that_differ),
		TEST(other_bridges_are_named),
		TEST(fitting_tunnels_are_not_named),
		TEST(no_tunnel_there_is_down_after_a_while),
		TEST(what_is_no_bridge_is_named),
		TEST(bridge_that_is_off_is_trouble_until_it_is_on),
		TEST(missing_uplink_is_trouble_until_it_is_there),
		TEST(taken_device_is_told_once),
		TEST(switched_off_names_the_command),
		TEST(name_that_does_not_resolve_is_named),
		TEST(unlike_mtus_are_told),
		TEST(farewell_is_one_change),
		TEST(reload_names_a_changed_bridge),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
