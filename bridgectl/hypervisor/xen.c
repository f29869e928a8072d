/*
 * Xen's toolstack, xl or xm, as a hypervisor: which program it is, how it is run, and the deeds
 * that are one call of it. Domains are named to it by their number, which we get from its list: xl
 * takes a name of digits for a number, and one that begins with '-' for an option.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/hypervisor/xen_private.h"
#include "common/proc.h"

#define OUT_BYTES ((size_t)64 << 20)
#define SAID_MAX 400

/* --- Running it --- */

const char *xen_id(int id, char *buf)
{
	snprintf(buf, 16, "%d", id);
	return buf;
}

/* The first line that speaks of an error, else the last that says something. */
static const char *said(const char *text, int *ret_len)
{
	const char *best = "it failed without a word";
	size_t len;

	*ret_len = (int)strlen(best);
	for (const char *s = text; *s; s += len + (s[len] == '\n')) {
		len = strcspn(s, "\n");
		if (strspn(s, " \t\r") >= len)
			continue;
		best = s;
		*ret_len = (int)MIN(len, (size_t)SAID_MAX);
		if (memmem(s, len, "rror", 4))
			break;
	}
	return best;
}

static int no_answer(const struct xen *x, const char *about, const char *word, int r, char *err)
{
	if (r == -ETIMEDOUT)
		return hyper_fail(err, r, "%s: %s %s has not answered and was ended", about,
				  x->tool, word);
	return hyper_fail(err, r, "%s: cannot run %s: %s", about, x->tool, strerror(-r));
}

int xen_run(struct xen *x, const char *about, int timeout_s, const char *const words[],
	    char **ret_out, char *err)
{
	const struct proc_limits limits = { .timeout_ms = timeout_s * 1000,
					    .out_bytes = OUT_BYTES };
	const char *argv[XEN_WORDS_MAX + 2] = { x->tool };
	struct proc_result result;
	int r, len;

	for (unsigned i = 0; words[i] && i < XEN_WORDS_MAX; i++)
		argv[i + 1] = words[i];
	r = proc_run(argv, &limits, NULL, 0, &result);
	x->failed = r == 0 && result.exit_code;
	if (r < 0)
		return no_answer(x, about, words[0], r, err);
	if (result.exit_code) {
		/* xm complains on standard output, too. */
		const char *text = result.err[0] || !result.out ? result.err : result.out;
		const char *line = said(text, &len);

		r = hyper_fail(err, -EIO, "%s: %s %s: %.*s", about, x->tool, words[0], len, line);
	} else if (ret_out) {
		*ret_out = result.out ? steal(result.out) : mem_strdup("");
	}
	proc_result_fini(&result);
	return r;
}

int xen_running(struct xen *x, const char *domain, int *ret_id, enum hyper_state *ret_state,
		char *err)
{
	struct hyper_list l = { 0 };
	const struct hyper_domain *d;
	int r = xen_table(x, &l, err);

	if (r < 0)
		return r;
	d = hyper_find(&l, domain);
	if (!d || d->id == HYPER_UNKNOWN)
		r = hyper_fail(
			err, -ESRCH,
			"%s: no such domain runs on this host; `bridgectl domain list` shows all",
			domain);
	else if (d->id == 0)
		r = hyper_fail(err, -EPERM, "%s: this is the host itself, and is left alone",
			       domain);
	if (r == 0) {
		*ret_id = d->id;
		*ret_state = d->state;
	}
	hyper_list_fini(&l);
	return r;
}

/* --- Deeds that are one call --- */

static int xen_define(struct hyper *h, const char *text, bool replace, char *err)
{
	(void)text;
	(void)replace;
	return hyper_fail(err, -EOPNOTSUPP,
			  "%s keeps no definitions: put the file into " XEN_CONFIG_DIR
			  " and start it by its name",
			  h->ops->name);
}

/* The file to start, a new string, and the guest's name. */
static int file_of(const char *domain, char **ret_file, char **ret_name, char *err)
{
	struct xen_config one;
	struct xen_configs all;
	const struct xen_config *c, *rival;
	int r = 0;

	if (strchr(domain, '/')) {
		if (!xen_config_read(domain, &one))
			return hyper_fail(
				err, -ESRCH,
				"%s: no file of a guest: it cannot be read, or names none", domain);
		*ret_name = steal(one.name);
		*ret_file = hyper_path(domain);
		xen_config_fini(&one);
		return 0;
	}
	xen_configs_read(&all);
	c = xen_config_find(&all, domain);
	rival = c ? xen_config_rival(&all, c) : NULL;
	if (rival) {
		r = hyper_fail(err, -EINVAL,
			       "%s: both %s and %s have this name in them; give the path of the "
			       "one to start",
			       domain, c->path, rival->path);
	} else {
		*ret_name = mem_strdup(domain);
		*ret_file = c ? hyper_path(c->path) : NULL;
	}
	xen_configs_fini(&all);
	return r;
}

/*
 * As xl names a guest in the last second of its migration, at the one end and the other
 * (xl_migrate.c of Xen): it runs there, or is about to run here. NULL: there is none.
 */
static const struct hyper_domain *half_moved(const struct hyper_list *l, const char *name)
{
	static const char *const ends[] = { "--migratedaway", "--incoming" };
	size_t len = strlen(name);

	for (unsigned i = 0; i < l->n; i++)
		for (unsigned j = 0; j < ARRAY_SIZE(ends); j++)
			if (!strncmp(l->v[i].name, name, len) &&
			    !strcmp(l->v[i].name + len, ends[j]))
				return &l->v[i];
	return NULL;
}

static int start(struct xen *x, const char *name, const char *file, char *err)
{
	struct hyper_list l = { 0 };
	const struct hyper_domain *d, *half;
	const char *create[] = { "create", file, NULL }, *managed[] = { "start", name, NULL };
	int r = xen_table(x, &l, err);

	if (r < 0)
		return r;
	d = hyper_find(&l, name);
	half = half_moved(&l, name);
	if (d && d->id != HYPER_UNKNOWN)
		r = hyper_fail(err, -EALREADY, "%s: it runs already, as domain %d", name, d->id);
	else if (half)
		r = hyper_fail(err, -EBUSY,
			       "%s: it is between two hosts, here as \"%s\": look at the other "
			       "one before this is destroyed (%s destroy %d): two at once would "
			       "ruin its disks",
			       name, half->name, x->tool, half->id);
	else if (file)
		r = xen_run(x, name, XEN_CREATE_S, create, NULL, err);
	else if (d && *name != '-')
		r = xen_run(x, name, XEN_CREATE_S, managed, NULL, err);
	else
		r = hyper_fail(err, -ESRCH,
			       "%s: no file in " XEN_CONFIG_DIR
			       " has this name; give the path of the guest's file",
			       name);
	hyper_list_fini(&l);
	return r;
}

static int xen_start(struct hyper *h, const char *domain, char *err)
{
	struct xen *x = container_of(h, struct xen, base);
	_cleanup_free_ char *file = NULL, *name = NULL;
	int r = file_of(domain, &file, &name, err);

	return r < 0 ? r : start(x, name, file, err);
}

/* Becomes the tool, which knows best what to do with the terminal. Returns only when it cannot. */
static int xen_console(struct hyper *h, const char *domain, char *err)
{
	struct xen *x = container_of(h, struct xen, base);
	char id[16];
	const char *argv[] = { x->tool, "console", id, NULL };
	enum hyper_state state;
	int number, r = xen_running(x, domain, &number, &state, err);

	if (r < 0)
		return r;
	xen_id(number, id);
	fflush(NULL);
	execvp(argv[0], (char *const *)argv);
	return hyper_fail(err, -errno, "%s: cannot run %s: %s", domain, x->tool, strerror(errno));
}

static int dump_file(const char *domain, char **ret, char *err)
{
	struct xen_configs all;
	const struct xen_config *c;
	_cleanup_free_ char *where = NULL, *text = NULL;
	_cleanup_fclose_ FILE *f = NULL;
	size_t size = 0;

	xen_configs_read(&all);
	c = xen_config_find(&all, domain);
	where = c ? hyper_path(c->path) : NULL;
	xen_configs_fini(&all);
	if (!where)
		return hyper_fail(err, -ESRCH, "%s: no file in " XEN_CONFIG_DIR " has this name",
				  domain);
	f = fopen(where, "re");
	if (!f || getdelim(&text, &size, '\0', f) < 0)
		return hyper_fail(err, errno ? -errno : -EIO, "%s: %s: %s", domain, where,
				  strerror(errno));
	*ret = steal(text);
	return 0;
}

static int xen_dump(struct hyper *h, const char *domain, bool live, char **ret, char *err)
{
	struct xen *x = container_of(h, struct xen, base);
	char id[16];
	const char *words[] = { "list", "-l", id, NULL };
	enum hyper_state state;
	int number, r;

	if (!live)
		return dump_file(domain, ret, err);
	r = xen_running(x, domain, &number, &state, err);
	if (r < 0)
		return r;
	xen_id(number, id);
	return xen_run(x, domain, XEN_ASK_S, words, ret, err);
}

static void xen_close(struct hyper *h)
{
	struct xen *x = container_of(h, struct xen, base);

	free(x->tool);
	free(x);
}

#define XEN_OPS(tool)                                                                       \
	{                                                                                   \
		.name = (tool), .list = xen_list, .define = xen_define, .start = xen_start, \
		.stop = xen_stop, .console = xen_console, .autostart = xen_autostart,       \
		.migrate = xen_migrate, .dump = xen_dump, .close = xen_close,               \
	}
static const struct hyper_ops xl_ops = XEN_OPS("xl");
static const struct hyper_ops xm_ops = XEN_OPS("xm");

/* --- Which one --- */

/* xend and xl must not steer the same domains; its lock says that it runs (as xl itself looks). */
static bool xend_runs(void)
{
	_cleanup_free_ char *a = hyper_path("/var/lock/subsys/xend"),
			    *b = hyper_path("/var/lock/xend");

	return access(a, F_OK) == 0 || access(b, F_OK) == 0;
}

static bool in_path(const char *program)
{
	const char *path = getenv("PATH");
	char whole[512];

	for (const char *p = path ? path : ""; *p; p += strspn(p, ":")) {
		size_t n = strcspn(p, ":");
		int len = snprintf(whole, sizeof(whole), "%.*s/%s", (int)n, p, program);

		if (len < (int)sizeof(whole) && access(whole, X_OK) == 0)
			return true;
		p += n;
	}
	return false;
}

int hyper_xen_open(const char *tool, struct hyper **ret, char *err)
{
	const char *slash = strrchr(tool, '/'), *name = slash ? slash + 1 : tool;
	struct xen *x;

	if (!*tool) {
		tool = name = (xend_runs() || !in_path("xl")) && in_path("xm") ? "xm" : "xl";
		if (!in_path(tool))
			return hyper_fail(err, -ENOENT,
					  "Xen: there is neither xl nor xm; --xen PATH says where");
	}
	x = mem_new(sizeof(*x));
	x->tool = mem_strdup(tool);
	x->is_xm = !strncmp(name, "xm", 2);
	x->base.ops = x->is_xm ? &xm_ops : &xl_ops;
	*ret = &x->base;
	return 0;
}
