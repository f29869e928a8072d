/*
 * Guests of Xen are files that somebody keeps: by custom /etc/xen/NAME.cfg, /etc/xen/NAME on Red
 * Hat, /etc/xen/vm/NAME on SUSE, and links in /etc/xen/auto to those that the init script
 * xendomains starts. Only a few keys are read, by the parser of `domain show`; nothing is
 * executed.
 */
#include "bridgectl/hypervisor/xen_config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/vifspec.h"
#include "bridgectl/domain/xl_parse.h"
#include "bridgectl/hypervisor/hyper_private.h"

#define CONFIG_BYTES_MAX ((size_t)256 << 10)
#define CONFIGS_MAX 10000

/* --- One file --- */

/* A new string. NULL: no regular file, too large, or not allowed. */
static char *read_file(const char *path, size_t *ret_len)
{
	_cleanup_free_ char *where = hyper_path(path);
	_cleanup_close_ int fd = open(where, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (size_t)st.st_size > CONFIG_BYTES_MAX)
		return NULL;
	text = mem_new((size_t)st.st_size + 1);
	n = read(fd, text, (size_t)st.st_size);
	if (n < 0)
		return NULL;
	text[n] = '\0';
	*ret_len = (size_t)n;
	return steal(text);
}

static int64_t number_of(const struct xl_file *f, const char *key)
{
	const struct xl_assign *a = xl_file_get(f, key);
	int64_t v;

	return a && xl_value_number(a->value, &v) && v > 0 && v < INT32_MAX ? v : 0;
}

static void read_vif(const struct xl_value *item, struct xen_config *ret)
{
	char err[VIFSPEC_ERRLEN];
	struct hyper_vif *v;
	struct vifspec spec;
	unsigned offset;

	if (item->kind != XL_STRING || vifspec_parse(item->text, &spec, err, &offset) < 0)
		return;
	v = mem_push(ret->vifs, ret->n_vifs);
	strcpy(v->mac, spec.mac);
	v->bridge = mem_strdup_or_null(spec.bridge);
	vifspec_fini(&spec);
}

static void read_keys(const struct xl_file *f, struct xen_config *ret)
{
	const struct xl_assign *name = xl_file_get(f, "name"), *vif = xl_file_get(f, "vif");

	if (name && name->value->kind == XL_STRING && name->value->text[0])
		ret->name = mem_strdup(name->value->text);
	ret->memory = (uint64_t)number_of(f, "memory") << 20;
	ret->vcpus = (unsigned)number_of(f, "vcpus");
	if (ret->name && !ret->vcpus)
		ret->vcpus = 1;
	for (unsigned i = 0; vif && vif->value->kind == XL_LIST && i < vif->value->n; i++)
		read_vif(vif->value->items[i], ret);
}

bool xen_config_read(const char *path, struct xen_config *ret)
{
	struct xen_config c = { 0 };
	size_t len;
	_cleanup_free_ char *text = read_file(path, &len);
	struct xl_file f;

	if (!text)
		return false;
	xl_parse(text, len, &f);
	read_keys(&f, &c);
	xl_file_fini(&f);
	if (!c.name) {
		xen_config_fini(&c);
		return false;
	}
	c.path = mem_strdup(path);
	*ret = c;
	return true;
}

void xen_config_fini(struct xen_config *c)
{
	for (unsigned i = 0; i < c->n_vifs; i++)
		free(c->vifs[i].bridge);
	free(c->vifs);
	free(c->path);
	free(c->name);
	*c = (struct xen_config){ 0 };
}

/* --- Folders --- */

/* Backups that editors and package managers leave, the toolstack's own files, examples. */
static bool looks_like_one(const char *name, bool any_suffix)
{
	static const char *const not_with[] = { "~",	 ".bak",      ".orig",	   ".old",
						".save", ".rpmsave",  ".rpmnew",   ".rpmorig",
						".swp",	 ".dpkg-old", ".dpkg-new", ".dpkg-dist" };
	const char *dot = strrchr(name, '.');
	size_t len = strlen(name);

	if (*name == '.' || !strncmp(name, "xmexample", 9) || !strncmp(name, "xlexample", 9))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(not_with); i++) {
		size_t n = strlen(not_with[i]);

		if (len >= n && !strcmp(name + len - n, not_with[i]))
			return false;
	}
	return any_suffix || !dot || !strcmp(dot, ".cfg") || !strcmp(dot, ".xl") ||
	       !strcmp(dot, ".hvm") || !strcmp(dot, ".pv");
}

/* web1.cfg: web1. */
static char *name_of_file(const char *file)
{
	size_t len = strlen(file);

	if (len > 4 && !strcmp(file + len - 4, ".cfg"))
		len -= 4;
	return mem_strndup(file, len);
}

static char *join(const char *dir, const char *name)
{
	return mem_printf("%s/%s", dir, name);
}

static void add_file(struct xen_configs *c, const char *dir, const char *file)
{
	bool is_auto = !strcmp(dir, c->auto_dir), is_disabled = !strcmp(dir, c->off_dir);
	_cleanup_free_ char *path = join(dir, file);
	struct xen_config one = { 0 };

	if (!looks_like_one(file, is_auto || is_disabled) || c->n == CONFIGS_MAX)
		return;
	if (!xen_config_read(path, &one)) {
		if (!is_auto && !is_disabled)
			return;
		one.path = steal(path);
		one.name = name_of_file(file);
	}
	one.is_auto = is_auto;
	one.is_disabled = is_disabled;
	*mem_push(c->v, c->n) = one;
}

static void read_dir(struct xen_configs *c, const char *dir)
{
	_cleanup_free_ char *where = hyper_path(dir);
	struct dirent **names;
	int n = scandir(where, &names, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		add_file(c, dir, names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

/* --- xendomains --- */

/* The value of NAME=VALUE or NAME="VALUE" in a shell's file; the last one counts. */
static char *shell_value(const char *text, const char *name)
{
	size_t len = strlen(name);
	char *value = NULL;

	for (const char *s = text; s; s = strchr(s, '\n')) {
		const char *v;

		s += strspn(s, " \t\n");
		if (strncmp(s, name, len) != 0 || s[len] != '=')
			continue;
		v = s + len + 1;
		v += *v == '"' || *v == '\'';
		free(value);
		value = mem_strndup(v, strcspn(v, "\"' \t\r\n;#"));
	}
	return value;
}

/* Its defaults are those of the script itself (tools/hotplug/Linux/init.d/sysconfig.xendomains). */
static void read_xendomains(struct xen_configs *c)
{
	static const char *const files[] = { "/etc/default/xendomains",
					     "/etc/sysconfig/xendomains" };
	char *auto_dir = NULL, *save_dir = NULL;
	size_t len;

	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *text = read_file(files[i], &len);

		if (!text)
			continue;
		free(auto_dir);
		free(save_dir);
		auto_dir = shell_value(text, "XENDOMAINS_AUTO");
		save_dir = shell_value(text, "XENDOMAINS_SAVE");
	}
	if (!auto_dir || *auto_dir != '/') {
		free(auto_dir);
		auto_dir = mem_strdup(XEN_CONFIG_DIR "/auto");
	}
	for (len = strlen(auto_dir); len > 1 && auto_dir[len - 1] == '/'; len--)
		auto_dir[len - 1] = '\0';
	if (save_dir && *save_dir != '/') {
		free(save_dir);
		save_dir = NULL;
	}
	c->auto_dir = auto_dir;
	c->save_dir = save_dir;
	c->off_dir = mem_printf("%s.off", auto_dir);
}

void xen_configs_read(struct xen_configs *ret)
{
	*ret = (struct xen_configs){ 0 };
	read_xendomains(ret);
	read_dir(ret, XEN_CONFIG_DIR);
	read_dir(ret, XEN_CONFIG_DIR "/vm");
	read_dir(ret, ret->auto_dir);
	read_dir(ret, ret->off_dir);
}

void xen_configs_fini(struct xen_configs *c)
{
	for (unsigned i = 0; i < c->n; i++)
		xen_config_fini(&c->v[i]);
	free(c->v);
	free(c->auto_dir);
	free(c->off_dir);
	free(c->save_dir);
	*c = (struct xen_configs){ 0 };
}

/* /etc/xen/web1.cfg, not a copy that was kept as web1-old.cfg and names the guest, too. */
static bool is_named_so(const struct xen_config *c)
{
	_cleanup_free_ char *name = name_of_file(strrchr(c->path, '/') + 1);

	return !c->is_auto && !c->is_disabled && !strcmp(name, c->name);
}

const struct xen_config *xen_config_find(const struct xen_configs *c, const char *name)
{
	const struct xen_config *first = NULL;

	for (unsigned i = 0; i < c->n; i++) {
		if (strcmp(c->v[i].name, name) != 0)
			continue;
		if (is_named_so(&c->v[i]))
			return &c->v[i];
		if (!first)
			first = &c->v[i];
	}
	return first;
}

/* Through links. What cannot be looked at is nothing else. */
static bool is_other_file(const char *a, const char *b)
{
	_cleanup_free_ char *one = hyper_path(a), *two = hyper_path(b);
	struct stat x, y;

	return stat(one, &x) == 0 && stat(two, &y) == 0 &&
	       (x.st_dev != y.st_dev || x.st_ino != y.st_ino);
}

const struct xen_config *xen_config_rival(const struct xen_configs *c, const struct xen_config *to)
{
	for (unsigned i = 0; i < c->n && !is_named_so(to); i++)
		if (!strcmp(c->v[i].name, to->name) && is_other_file(c->v[i].path, to->path))
			return &c->v[i];
	return NULL;
}
