/*
 * What objects say about each other: names used twice, two ways to one node, tunnels that
 * would do the same thing, interfaces that cannot be two things. Each finding stands at
 * the later of the two places and names the earlier one.
 *
 * Quadratic on purpose: CONF_OBJECTS_MAX bounds it, and a hash would cost more text than time.
 */
#include <strings.h>

#include "l2tund/config_private.h"
#include "l2tund/session/session.h" /* SESSION_SEGMENTS_MAX */

static cfg_t *section(struct conf *k, const char *kind, unsigned i)
{
	return cfg_getnsec(k->tree, kind, i);
}

#define SRC(object) (object)->src.file, (object)->src.line

static bool same_key(const struct config_peer *a, const struct config_peer *b)
{
	return memcmp(&a->public_key, &b->public_key, sizeof(a->public_key)) == 0;
}

static bool key_set(const struct key *key)
{
	static const struct key zero;

	return memcmp(key, &zero, sizeof(zero)) != 0;
}

/* --- Bridges --- */

static void check_bridge_names(struct conf *k)
{
	const struct config_bridge *b = k->c->bridges;

	for (unsigned i = 0; i < k->c->n_bridges; i++) {
		for (unsigned j = 0; j < i && b[i].name[0] && !b[i].implied; j++) {
			if (strcmp(b[i].name, b[j].name) == 0) {
				conf_opt_error(k, section(k, "bridge", i), NULL, NULL,
					       "defined twice, first at %s:%u; remove one",
					       SRC(&b[j]));
				break;
			}
		}
	}
}

static const struct config_bridge *port_taken(const struct config *c, const struct config_bridge *b,
					      const char *port)
{
	for (const struct config_bridge *o = c->bridges; o < b; o++) {
		for (unsigned i = 0; i < o->n_ports; i++) {
			if (strcmp(o->ports[i], port) == 0)
				return o;
		}
	}
	return NULL;
}

static void check_port(struct conf *k, cfg_t *sec, const struct config_bridge *b,
		       const struct conf_value *v)
{
	const struct config_bridge *other = port_taken(k->c, b, v->text);

	if (strcmp(v->text, b->name) == 0)
		conf_opt_error(k, sec, "ports", v, "a bridge cannot be its own port; remove it");
	else if (config_find_bridge(k->c, v->text))
		conf_opt_error(k, sec, "ports", v,
			       "`%s` is a bridge, and a bridge cannot be a port; "
			       "remove it",
			       v->text);
	else if (other)
		conf_opt_error(k, sec, "ports", v,
			       "`%s` is a port of bridge %s already (%s:%u); "
			       "leave it in one",
			       v->text, other->name, SRC(other));
}

static void check_ports(struct conf *k)
{
	for (unsigned i = 0; i < k->c->n_bridges && !k->c->bridges[i].implied; i++) {
		cfg_t *sec = section(k, "bridge", i);

		/* A list that was refused for its size has no ports here. */
		for (unsigned j = 0; k->c->bridges[i].n_ports && j < conf_count(sec, "ports"); j++)
			check_port(k, sec, &k->c->bridges[i], conf_get_nth(sec, "ports", j));
	}
}

/* --- Peers --- */

static void check_same_key(struct conf *k, cfg_t *sec, const struct config_peer *p,
			   const struct config_peer *first)
{
	if (!p->host || !first->host)
		conf_opt_error(k, sec, "public-key", NULL,
			       "peer %s (%s:%u) has this key too; two "
			       "ways to one node need an address in both sections",
			       first->name, SRC(first));
	else if (strcasecmp(p->host, first->host) == 0)
		conf_opt_error(k, sec, "address", NULL,
			       "peer %s (%s:%u) has this key and host too; "
			       "give the node's other address, or remove one",
			       first->name, SRC(first));
}

static void check_peers(struct conf *k)
{
	const struct config_peer *p = k->c->peers;

	for (unsigned i = 0; i < k->c->n_peers; i++) {
		cfg_t *sec = section(k, "peer", i);

		if (key_set(&p[i].public_key) &&
		    memcmp(&p[i].public_key, &k->c->node.public_key, sizeof(struct key)) == 0)
			conf_opt_error(k, sec, "public-key", NULL,
				       "this is our own key: a node "
				       "cannot be its own peer; paste the other host's key");
		for (unsigned j = 0; j < i; j++) {
			if (p[i].name[0] && strcmp(p[i].name, p[j].name) == 0) {
				conf_opt_error(
					k, sec, NULL, NULL,
					"defined twice, first at %s:%u; rename or remove one",
					SRC(&p[j]));
				break;
			}
		}
		for (unsigned j = 0; j < i; j++) {
			if (key_set(&p[i].public_key) && same_key(&p[i], &p[j])) {
				check_same_key(k, sec, &p[i], &p[j]);
				break;
			}
		}
	}
}

/* --- Tunnels --- */

static bool same_ends(const struct config_tunnel *a, const struct config_tunnel *b)
{
	return a->peer == b->peer && a->bridge == b->bridge &&
	       strcmp(a->remote_bridge, b->remote_bridge) == 0;
}

static void check_tunnel_twice(struct conf *k, cfg_t *sec, unsigned i)
{
	const struct config_tunnel *all = k->c->tunnels, *t = &all[i];

	for (const struct config_tunnel *o = all; o < t; o++) {
		if (t->name[0] && strcmp(t->name, o->name) == 0) {
			conf_opt_error(k, sec, NULL, NULL,
				       "defined twice, first at %s:%u; rename or remove one",
				       SRC(o));
			break;
		}
	}
	for (const struct config_tunnel *o = all; o < t; o++) {
		if (t->peer && t->bridge && same_ends(t, o)) {
			conf_opt_error(k, sec, NULL, NULL,
				       "joins the same two bridges through the same peer as the "
				       "tunnel at %s:%u; remove one",
				       SRC(o));
			break;
		}
	}
}

static const char *mode_name(const struct config_tunnel *t)
{
	return t->mesh ? "mesh" : "tree";
}

/* A port that is isolated is so from those that are, too: half a mesh would be no mesh at all. */
static void check_mode(struct conf *k, cfg_t *sec, unsigned i)
{
	const struct config_tunnel *all = k->c->tunnels, *t = &all[i];

	for (const struct config_tunnel *first = all; t->bridge && first < t; first++) {
		if (first->bridge != t->bridge)
			continue;
		if (first->mesh != t->mesh)
			conf_opt_error(
				k, sec, "mode", NULL,
				"%s, but tunnel %s (%s:%u) in bridge %s is %s; all tunnels of a "
				"bridge need the same mode",
				mode_name(t), first->name, SRC(first), t->bridge->name,
				mode_name(first));
		return;
	}
}

static void check_tunnels_per_peer(struct conf *k, unsigned i)
{
	const struct config_tunnel *t = k->c->tunnels;
	unsigned n = 0;

	for (unsigned j = 0; j < i; j++)
		n += t[j].peer && t[j].peer == t[i].peer;
	if (n == SESSION_SEGMENTS_MAX)
		conf_opt_error(k, section(k, "tunnel", i), "peer", NULL,
			       "peer %s has more than %d "
			       "tunnels; remove some",
			       t[i].peer->name, SESSION_SEGMENTS_MAX);
}

static void check_tunnels(struct conf *k)
{
	for (unsigned i = 0; i < k->c->n_tunnels; i++) {
		check_tunnel_twice(k, section(k, "tunnel", i), i);
		check_mode(k, section(k, "tunnel", i), i);
		check_tunnels_per_peer(k, i);
	}
}

void conf_check(struct conf *k)
{
	check_bridge_names(k);
	check_ports(k);
	check_peers(k);
	check_tunnels(k);
}
