/*
 * Whether a guest starts with its Xen host. xendomains, an init script, creates every guest whose
 * file or link is in /etc/xen/auto. `off` moves that beside it, into /etc/xen/auto.off, and `on`
 * brings it back: nothing is lost, and a relative link stays right. Whatever else may start the
 * guest is named, and changed by its owner.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/hypervisor/xen_private.h"

struct switching {
	const char *domain;
	struct xen_configs configs;
	bool running, known, xend_starts;
	FILE *told;
	char *err;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int cannot(const struct switching *s, const char *what, const char *path)
{
	int e = errno;

	return hyper_fail(s->err, -e, "%s: cannot %s %s: %s", s->domain, what, path, strerror(e));
}

/* Into the other folder, where nothing of this name may be. */
static int move(const struct switching *s, const struct xen_config *c, const char *dir)
{
	_cleanup_free_ char *from = hyper_path(c->path), *folder = hyper_path(dir), *to = NULL;

	to = mem_printf("%s/%s", folder, base_name(c->path));
	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return cannot(s, "make the folder", dir);
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0) {
		if (errno != EEXIST)
			return cannot(s, "move", c->path);
		return hyper_fail(s->err, -EEXIST,
				  "%s: %s/%s is there already: remove one of it and %s", s->domain,
				  dir, base_name(c->path), c->path);
	}
	fprintf(s->told, "moved %s to %s\n", c->path, dir);
	return 0;
}

/* All of its entries. The number moved, or a negative errno. */
static int move_all(const struct switching *s, bool on)
{
	int n = 0;

	for (unsigned i = 0; i < s->configs.n; i++) {
		const struct xen_config *c = &s->configs.v[i];
		int r = 0;

		if (strcmp(c->name, s->domain) != 0 || !(on ? c->is_disabled : c->is_auto))
			continue;
		r = move(s, c, on ? s->configs.auto_dir : s->configs.off_dir);
		if (r < 0)
			return r;
		n++;
	}
	return n;
}

static bool is_there(const struct switching *s, bool in_auto)
{
	for (unsigned i = 0; i < s->configs.n; i++)
		if (!strcmp(s->configs.v[i].name, s->domain) &&
		    (!in_auto || s->configs.v[i].is_auto))
			return true;
	return false;
}

/* A link like those that people make: auto/web1.cfg -> ../web1.cfg, or the whole path. */
static int make_link(const struct switching *s)
{
	const struct xen_config *c = xen_config_find(&s->configs, s->domain);
	_cleanup_free_ char *folder = hyper_path(s->configs.auto_dir), *to = NULL;
	_cleanup_free_ char *target = NULL;
	size_t top = strlen(XEN_CONFIG_DIR "/");

	if (!c)
		return hyper_fail(s->err, -ENOENT,
				  "%s: no file in " XEN_CONFIG_DIR
				  " has this name, so nothing can start it",
				  s->domain);
	if (!strcmp(s->configs.auto_dir, XEN_CONFIG_DIR "/auto"))
		target = mem_printf("../%s", c->path + top);
	else
		target = mem_strdup(c->path);
	to = mem_printf("%s/%s", folder, base_name(c->path));
	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return cannot(s, "make the folder", s->configs.auto_dir);
	if (symlink(target, to) < 0)
		return cannot(s, "make a link in", s->configs.auto_dir);
	fprintf(s->told, "linked %s in %s\n", c->path, s->configs.auto_dir);
	return 0;
}

/* What xendomains keeps of guests that ran when the host went down: it starts them again. */
static void tell_saved(const struct switching *s)
{
	_cleanup_free_ char *path = NULL, *where = NULL;

	if (!s->configs.save_dir)
		return;
	path = mem_printf("%s/%s", s->configs.save_dir, s->domain);
	where = hyper_path(path);
	if (access(where, F_OK) == 0)
		fprintf(s->told, "xendomains restores it from %s when the host starts\n", path);
	else if (s->running)
		fprintf(s->told,
			"while it runs here, xendomains saves it when the host shuts down and "
			"restores it afterwards (XENDOMAINS_SAVE): stop it first\n");
}

static int switch_on(const struct switching *s)
{
	int n;

	if (is_there(s, true)) {
		fprintf(s->told, "it is in %s already\n", s->configs.auto_dir);
		return 0;
	}
	n = move_all(s, true);
	return n ? MIN(n, 0) : make_link(s);
}

static int switch_off(const struct switching *s)
{
	int n = move_all(s, false);

	if (n < 0)
		return n;
	if (!n)
		fprintf(s->told, "it is not in %s\n", s->configs.auto_dir);
	if (s->xend_starts)
		fprintf(s->told,
			"xend starts it with the host (on_xend_start): `xm list -l` into a file, "
			"change that, `xm new -F` it\n");
	tell_saved(s);
	xen_ha_tell(s->domain, &s->configs, s->told);
	return 0;
}

static void look(struct xen *x, struct switching *s)
{
	char err[HYPER_ERRLEN];
	struct hyper_list l = { 0 };
	const struct hyper_domain *d;

	/* Files can be moved on a host that was booted without Xen, too. */
	if (xen_list(&x->base, &l, err) < 0)
		return;
	d = hyper_find(&l, s->domain);
	s->known = d != NULL;
	s->running = d && d->id != HYPER_UNKNOWN;
	s->xend_starts = x->is_xm && d && d->autostart == 1 && !is_there(s, true);
	hyper_list_fini(&l);
}

int xen_autostart(struct hyper *h, const char *domain, bool on, char **ret_told, char *err)
{
	struct switching s = { .domain = domain, .err = err };
	char *told = NULL;
	size_t len;
	int r;

	xen_configs_read(&s.configs);
	look(container_of(h, struct xen, base), &s);
	if (!s.known && !is_there(&s, false)) {
		xen_configs_fini(&s.configs);
		return hyper_fail(err, -ESRCH,
				  "%s: there is no such domain on this host; `bridgectl "
				  "domain list` shows all",
				  domain);
	}
	s.told = mem_must(open_memstream(&told, &len));
	r = on ? switch_on(&s) : switch_off(&s);
	fclose(s.told);
	xen_configs_fini(&s.configs);
	if (r < 0)
		free(told);
	else
		*ret_told = told;
	return r;
}
