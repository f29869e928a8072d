/*
 * What libconfuse is told and asked: the tables of sections and options, and the tree of
 * values that it makes of the joined text. Every value is kept as text with its place
 * (CFGT_PTR with own callbacks): what it means is checked later, with a better message
 * than "invalid integer value".
 */
#include <errno.h>
#include <stdarg.h>

#include "l2tund/config_private.h"

static int value_parse(cfg_t *cfg, cfg_opt_t *opt, const char *text, void *result)
{
	struct conf_value *v = calloc(1, sizeof(*v));

	(void)opt;
	if (!v)
		return -1;
	v->text = strdup(text ? text : "");
	v->pos = (unsigned)cfg->line;
	if (!v->text) {
		free(v);
		return -1;
	}
	*(struct conf_value **)result = v;
	return 0;
}

static void value_free(void *p)
{
	struct conf_value *v = p;

	free(v->text);
	free(v);
}

#define ONE(name) CFG_PTR_CB(name, NULL, CFGF_NODEFAULT, value_parse, value_free)
#define MANY(name) CFG_PTR_LIST_CB(name, NULL, CFGF_NODEFAULT, value_parse, value_free)
#define OWN_OPTIONS ONE(CONF_TITLE), MANY(CONF_BROKEN)
#define SECTION(name, options) CFG_SEC(name, options, CFGF_MULTI)

/* libconfuse copies these and never writes to them, though its types do not say so. */
static cfg_opt_t node_options[] = {
	OWN_OPTIONS,	ONE("name"),	      ONE("private-key"), MANY("listen"),
	ONE("control"), ONE("control-group"), ONE("state-dir"),	  ONE("metrics"),
	ONE("workers"), ONE("user"),	      CFG_END(),
};

/* The names of common/offload.c. */
static cfg_opt_t offload_options[] = {
	OWN_OPTIONS,	ONE("checksum"), ONE("tso"),	  ONE("uso"),  ONE("udp-segment"),
	ONE("udp-gro"), ONE("join"),	 ONE("coalesce"), ONE("pack"), CFG_END(),
};

static cfg_opt_t bridge_options[] = {
	OWN_OPTIONS, ONE("create"), ONE("stp"), ONE("forward-delay"), MANY("ports"), CFG_END(),
};

static cfg_opt_t peer_options[] = {
	OWN_OPTIONS,	ONE("public-key"), ONE("preshared-key"),
	ONE("address"), MANY("data"),	   CFG_END(),
};

static cfg_opt_t tunnel_options[] = {
	OWN_OPTIONS,	 ONE("peer"),	 ONE("bridge"),	 ONE("remote-bridge"), ONE("mode"),
	ONE("priority"), ONE("preempt"), ONE("profile"), ONE("policer"),       CFG_END(),
};

static cfg_opt_t root_options[] = {
	SECTION("node", node_options),	   SECTION("offload", offload_options),
	SECTION("bridge", bridge_options), SECTION("peer", peer_options),
	SECTION("tunnel", tunnel_options), CFG_END(),
};

static cfg_opt_t decode_options[] = { ONE("v"), CFG_END() };

cfg_opt_t *conf_options(void)
{
	return root_options;
}

bool conf_is_for_users(const cfg_opt_t *o)
{
	return strcmp(o->name, CONF_TITLE) != 0 && strcmp(o->name, CONF_BROKEN) != 0;
}

cfg_opt_t *conf_find_option(cfg_opt_t *opts, const char *name, size_t len)
{
	for (; opts->name; opts++) {
		if (strlen(opts->name) == len && memcmp(opts->name, name, len) == 0 &&
		    conf_is_for_users(opts))
			return opts;
	}
	return NULL;
}

/*
 * The scan lets nothing through that libconfuse refuses, so this is the report of a bug of
 * ours, or of memory that ran out; conf_parse() says where. The text would go to stderr.
 */
static void swallow(cfg_t *cfg, const char *fmt, va_list ap)
{
	(void)cfg;
	(void)fmt;
	(void)ap;
}

void conf_parse(struct conf *k)
{
	k->tree = cfg_init(root_options, CFGF_NONE);
	if (!k->tree) {
		k->oom = true;
		return;
	}
	cfg_set_error_function(k->tree, swallow);
	if (cfg_parse_buf(k->tree, k->text) != CFG_SUCCESS)
		conf_error(k, (unsigned)k->tree->line,
			   "libconfuse cannot parse this section; simplify what is written here");
}

char *conf_decode(const char *token, size_t len)
{
	_cleanup_free_ char *text = NULL;
	const struct conf_value *v;
	char *ret = NULL;
	cfg_t *tree;

	if (asprintf(&text, "v = %.*s\n", (int)len, token) < 0)
		return NULL;
	tree = cfg_init(decode_options, CFGF_NONE);
	if (!tree)
		return NULL;
	cfg_set_error_function(tree, swallow);
	if (cfg_parse_buf(tree, text) == CFG_SUCCESS) {
		v = conf_get(tree, "v");
		ret = v ? strdup(v->text) : NULL;
	}
	cfg_free(tree);
	return ret;
}

unsigned conf_count(cfg_t *sec, const char *option)
{
	return cfg_size(sec, option);
}

const struct conf_value *conf_get_nth(cfg_t *sec, const char *option, unsigned i)
{
	return cfg_getnptr(sec, option, i);
}

const struct conf_value *conf_get(cfg_t *sec, const char *option)
{
	return conf_count(sec, option) > 0 ? conf_get_nth(sec, option, 0) : NULL;
}

unsigned conf_pos(cfg_t *sec, const char *option)
{
	const struct conf_value *v = option ? conf_get(sec, option) : NULL;

	if (!v)
		v = conf_get(sec, CONF_TITLE);
	return v ? v->pos : 0;
}
