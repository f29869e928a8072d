/*
 * The effective configuration as a file: every default written out, no includes,
 * absolute key paths. Reading it again gives the same, so it also serves as a record of
 * what a daemon runs with. Bridges that only a tunnel names get no section: one
 * would mean the same but not be the same.
 */
#include "common/offload.h"
#include "l2tund/config_private.h"

/*
 * Double quotes unless something in it is special there: libconfuse expands ${} and
 * escapes in them, and in single quotes only \\ and \'. Control characters never get here.
 */
static void put_quoted(FILE *out, const char *s)
{
	bool plain = !strpbrk(s, "\"\\$");
	char quote = plain ? '"' : '\'';

	fputc(quote, out);
	for (; *s; s++) {
		if (!plain && (*s == '\\' || *s == '\''))
			fputc('\\', out);
		fputc(*s, out);
	}
	fputc(quote, out);
}

static void put_string(FILE *out, const char *option, const char *value)
{
	if (!value)
		return;
	fprintf(out, "    %s = ", option);
	put_quoted(out, value);
	fputc('\n', out);
}

static void put_header(FILE *out, const char *kind, const char *name)
{
	fprintf(out, "\n%s ", kind);
	put_quoted(out, name);
	fputs(" {\n", out);
}

static void put_item(FILE *out, unsigned i, const char *value)
{
	fputs(i > 0 ? ", " : "", out);
	put_quoted(out, value);
}

static void print_node(const struct config_node *n, FILE *out)
{
	char text[ADDR_STRLEN];

	fputs("node {\n", out);
	put_string(out, "name", n->name);
	put_string(out, "private-key", n->private_key_path);
	fputs("    listen = {", out);
	for (unsigned i = 0; i < n->n_listen; i++)
		put_item(out, i, addr_format(&n->listen[i], text));
	fputs("}\n", out);
	put_string(out, "control", n->control);
	put_string(out, "control-group", n->control_group);
	put_string(out, "state-dir", n->state_dir);
	put_string(out, "metrics", n->metrics);
	put_string(out, "user", n->user);
	fprintf(out, "    workers = %u\n}\n", n->workers);
}

static void print_offload(unsigned set, FILE *out)
{
	fputs("\noffload {\n", out);
	for (unsigned o = 0; o < OFFLOADS; o++)
		fprintf(out, "    %s = %s\n", offload_name((enum offload)o),
			offload_on(set, (enum offload)o) ? "on" : "off");
	fputs("}\n", out);
}

static void print_bridge(const struct config_bridge *b, FILE *out)
{
	put_header(out, "bridge", b->name);
	fprintf(out, "    create = %s\n", b->create ? "yes" : "no");
	fprintf(out, "    stp = %s\n", b->stp ? "on" : "off");
	fprintf(out, "    forward-delay = %u\n", b->forward_delay_s);
	if (b->n_ports > 0) {
		fputs("    ports = {", out);
		for (unsigned i = 0; i < b->n_ports; i++)
			put_item(out, i, b->ports[i]);
		fputs("}\n", out);
	}
	fputs("}\n", out);
}

static void print_peer(const struct config_peer *p, FILE *out)
{
	bool v6 = p->host && strchr(p->host, ':');
	char key[KEY_STRLEN];
	unsigned n = 0;

	put_header(out, "peer", p->name);
	put_string(out, "public-key", key_format(&p->public_key, key));
	put_string(out, "preshared-key", p->psk_path);
	/* The scan let only host names and IPv6 literals pass: nothing to quote. */
	if (p->host)
		fprintf(out, "    address = \"%s%s%s:%u\"\n", v6 ? "[" : "", p->host, v6 ? "]" : "",
			p->port);
	fputs("    data = {", out);
	for (unsigned m = 0; m < DATA_MODES; m++) {
		if (p->modes & 1u << m)
			put_item(out, n++, data_mode_name((enum data_mode)m));
	}
	fputs("}\n}\n", out);
}

static void print_tunnel(const struct config_tunnel *t, FILE *out)
{
	put_header(out, "tunnel", t->name);
	put_string(out, "peer", t->peer->name);
	put_string(out, "bridge", t->bridge->name);
	put_string(out, "remote-bridge", t->remote_bridge);
	fprintf(out, "    mode = %s\n", t->mesh ? "mesh" : "tree");
	fprintf(out, "    priority = %u\n", t->priority);
	fprintf(out, "    preempt = %s\n", t->preempt ? "yes" : "no");
	fprintf(out, "    profile = %s\n", t->profile == PROFILE_FAST ? "fast" : "default");
	fprintf(out, "    policer = %u\n}\n", t->policer);
}

void config_print(const struct config *c, FILE *out)
{
	print_node(&c->node, out);
	print_offload(c->node.offload, out);
	for (unsigned i = 0; i < c->n_bridges; i++) {
		if (!c->bridges[i].implied)
			print_bridge(&c->bridges[i], out);
	}
	for (unsigned i = 0; i < c->n_peers; i++)
		print_peer(&c->peers[i], out);
	for (unsigned i = 0; i < c->n_tunnels; i++)
		print_tunnel(&c->tunnels[i], out);
}
