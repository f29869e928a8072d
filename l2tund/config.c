/*
 * Loading: read, scan, parse, build, check, and only then hand out. Also what the rest
 * of the daemon needs of a configuration: finding objects, freeing, reports.
 *
 * Findings are collected unordered, because the passes run one after the other, and
 * sorted by their place in the file before anybody sees them.
 */
#include "l2tund/config.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "common/io.h"
#include "l2tund/config_private.h"

/* --- The world --- */

static int system_read_file(const char *path, char **ret, size_t *ret_len)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	ssize_t n;
	/* O_NONBLOCK: a FIFO must not hang us before fstat() tells. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	text = malloc(CONF_FILE_MAX_BYTES + 1);
	if (!text)
		return -ENOMEM;
	n = io_read_all(fd, text, CONF_FILE_MAX_BYTES + 1);
	if (n < 0)
		return (int)n;
	if (n > CONF_FILE_MAX_BYTES)
		return -EFBIG;
	text[n] = '\0';
	*ret = steal(text);
	*ret_len = (size_t)n;
	return 0;
}

/* A folder that is not there holds no files; one that cannot be read is an error. */
static int glob_failed(const char *path, int err)
{
	(void)path;
	return err != ENOENT && err != ENOTDIR;
}

static int system_list(const char *pattern, char ***ret, unsigned *ret_n)
{
	char **paths;
	glob_t g;
	int r;

	errno = 0;
	r = glob(pattern, 0, glob_failed, &g);
	if (r == GLOB_NOMATCH) {
		globfree(&g);
		*ret = NULL;
		*ret_n = 0;
		return 0;
	}
	if (r != 0) {
		globfree(&g);
		return r == GLOB_NOSPACE ? -ENOMEM : -EACCES;
	}
	paths = calloc(g.gl_pathc, sizeof(*paths));
	for (size_t i = 0; paths && i < g.gl_pathc; i++)
		paths[i] = steal(g.gl_pathv[i]);
	*ret_n = paths ? (unsigned)g.gl_pathc : 0;
	globfree(&g);
	*ret = paths;
	return paths ? 0 : -ENOMEM;
}

static int system_host_name(char *buf, size_t size)
{
	return gethostname(buf, size) < 0 ? -errno : 0;
}

static bool system_user_exists(const char *name)
{
	return getpwnam(name) != NULL;
}

static bool system_group_exists(const char *name)
{
	return getgrnam(name) != NULL;
}

const struct config_hooks config_hooks_system = {
	.read_file = system_read_file,
	.list = system_list,
	.read_key = key_read_file,
	.host_name = system_host_name,
	.user_exists = system_user_exists,
	.group_exists = system_group_exists,
};

/* --- Findings --- */

/* What comes from a file must not forge a line of the report. */
static void sanitise(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
	}
}

static _printf_(4, 0) void add_finding(struct conf *k, unsigned pos, bool error, const char *fmt,
				       va_list ap)
{
	struct conf_finding *f;
	char *text;

	k->n_errors += error;
	if (k->n_findings >= CONF_FINDINGS_MAX)
		return;
	if ((k->n_findings & (k->n_findings - 1)) == 0) { /* full at every power of two */
		f = reallocarray(k->findings, MAX(k->n_findings * 2, 8), sizeof(*f));
		if (!f) {
			k->oom = true;
			return;
		}
		k->findings = f;
	}
	if (vasprintf(&text, fmt, ap) < 0) {
		k->oom = true;
		return;
	}
	sanitise(text);
	k->findings[k->n_findings] = (struct conf_finding){
		.pos = pos, .seq = k->n_findings, .error = error, .text = text
	};
	k->n_findings++;
}

void conf_error(struct conf *k, unsigned pos, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_finding(k, pos, true, fmt, ap);
	va_end(ap);
}

void conf_warn(struct conf *k, unsigned pos, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add_finding(k, pos, false, fmt, ap);
	va_end(ap);
}

const char *conf_file_at(const struct conf *k, unsigned pos, unsigned *ret_line)
{
	const struct conf_part *p = k->parts;
	unsigned lo = 0, hi = k->n_parts;

	while (hi - lo > 1) {
		unsigned mid = lo + (hi - lo) / 2;

		if (k->parts[mid].start <= pos)
			lo = mid;
		else
			hi = mid;
	}
	if (k->n_parts == 0) {
		*ret_line = 1;
		return "?";
	}
	p = &k->parts[lo];
	*ret_line = pos > p->start ? p->line + (pos - p->start) : p->line;
	return k->files[p->file];
}

static int by_place(const void *a, const void *b)
{
	const struct conf_finding *x = a, *y = b;

	if (x->pos != y->pos)
		return x->pos < y->pos ? -1 : 1;
	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void add_line(struct config_report *r, char *line, bool error)
{
	char **lines = line ? reallocarray(r->lines, r->n + 1, sizeof(*lines)) : NULL;

	r->n_errors += error;
	if (!lines) {
		free(line);
		return;
	}
	r->lines = lines;
	r->lines[r->n++] = line;
}

void config_report_add(struct config_report *r, const struct config_src *src, bool error,
		       const char *fmt, ...)
{
	char *text = NULL, *line = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (!text || asprintf(&line, "%s:%u: %s%s", src->file, src->line,
			      error ? "" : "warning: ", text) < 0)
		line = NULL;
	free(text);
	add_line(r, line, error);
}

void config_report_fini(struct config_report *r)
{
	for (unsigned i = 0; i < r->n; i++)
		free(r->lines[i]);
	free(r->lines);
	*r = (struct config_report){ 0 };
}

static void write_report(struct conf *k, struct config_report *r)
{
	unsigned listed = 0;

	if (k->n_findings > 0)
		qsort(k->findings, k->n_findings, sizeof(*k->findings), by_place);
	for (unsigned i = 0; i < k->n_findings; i++) {
		const struct conf_finding *f = &k->findings[i];
		struct config_src src;

		src.file = (char *)conf_file_at(k, f->pos, &src.line);
		config_report_add(r, &src, f->error, "%s", f->text);
		listed += f->error;
	}
	if (k->n_errors > listed) {
		struct config_src src = { .file = k->files[0], .line = 1 };

		config_report_add(r, &src, true,
				  "%u more errors are not listed; correct those above",
				  k->n_errors - listed);
		r->n_errors += k->n_errors - listed - 1;
	}
}

/* --- Loading --- */

static char *absolute_dir_of(const char *path)
{
	char dir[PATH_MAX], real[PATH_MAX];
	const char *slash = strrchr(path, '/');

	if (!slash)
		snprintf(dir, sizeof(dir), ".");
	else
		snprintf(dir, sizeof(dir), "%.*s", (int)MAX(slash - path, 1), path);
	return strdup(realpath(dir, real) ? real : dir);
}

static void conf_fini(struct conf *k)
{
	for (unsigned i = 0; i < k->n_files; i++)
		free(k->files[i]);
	for (unsigned i = 0; i < k->n_findings; i++)
		free(k->findings[i].text);
	if (k->tree)
		cfg_free(k->tree);
	config_free(k->c);
	free(k->files);
	free(k->parts);
	free(k->text);
	free(k->findings);
	free(k->dir);
}

int config_load_buffer(const struct config_hooks *hooks, const char *name, const char *text,
		       size_t len, struct config **ret, struct config_report *report)
{
	struct conf k = { .hooks = hooks, .text_pos = 1 };
	int r;

	k.dir = absolute_dir_of(name);
	k.c = calloc(1, sizeof(*k.c));
	k.oom = !k.dir || !k.c || !(k.c->path = strdup(name));
	if (!k.oom)
		conf_scan(&k, name, text, len);
	if (!k.oom)
		conf_parse(&k);
	if (!k.oom)
		conf_build(&k);
	if (!k.oom)
		conf_check(&k);
	if (k.oom) {
		struct config_src src = { .file = (char *)name, .line = 1 };

		config_report_add(report, &src, true, "out of memory; free some and try again");
		conf_fini(&k);
		return -EINVAL;
	}
	write_report(&k, report);
	r = k.n_errors > 0 ? -EINVAL : 0;
	if (r == 0)
		*ret = steal(k.c);
	conf_fini(&k);
	return r;
}

int config_load(const char *path, struct config **ret, struct config_report *report)
{
	struct config_src src = { .file = (char *)path, .line = 1 };
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = config_hooks_system.read_file(path, &text, &len);

	if (r < 0) {
		config_report_add(report, &src, true, "cannot be read: %s; %s",
				  r == -EINVAL ? "not a regular file" : strerror(-r),
				  r == -ENOENT ?
					  "write it (l2tund.conf(5) has an example), or name "
					  "another one with -c" :
					  "check the path and its permissions");
		return -EINVAL;
	}
	return config_load_buffer(&config_hooks_system, path, text, len, ret, report);
}

/* --- Objects --- */

void config_node_fini(struct config_node *n)
{
	key_wipe(&n->private_key);
	free(n->private_key_path);
	free(n->listen);
	free(n->control);
	free(n->control_group);
	free(n->state_dir);
	free(n->metrics);
	free(n->user);
	free(n->src.file);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	config_node_fini(&c->node);
	for (unsigned i = 0; i < c->n_bridges; i++) {
		free(c->bridges[i].ports);
		free(c->bridges[i].src.file);
	}
	for (unsigned i = 0; i < c->n_peers; i++) {
		key_wipe(&c->peers[i].psk);
		free(c->peers[i].psk_path);
		free(c->peers[i].host);
		free(c->peers[i].src.file);
	}
	for (unsigned i = 0; i < c->n_tunnels; i++)
		free(c->tunnels[i].src.file);
	free(c->bridges);
	free(c->peers);
	free(c->tunnels);
	free(c->path);
	free(c);
}

#define FIND(c, kind, name)                                       \
	do {                                                      \
		for (unsigned i = 0; i < (c)->n_##kind; i++) {    \
			if (strcmp((c)->kind[i].name, name) == 0) \
				return &(c)->kind[i];             \
		}                                                 \
		return NULL;                                      \
	} while (0)

const struct config_peer *config_find_peer(const struct config *c, const char *name)
{
	FIND(c, peers, name);
}

const struct config_bridge *config_find_bridge(const struct config *c, const char *name)
{
	FIND(c, bridges, name);
}

const struct config_tunnel *config_find_tunnel(const struct config *c, const char *name)
{
	FIND(c, tunnels, name);
}
