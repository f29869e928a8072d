/*
 * LVM's programs. Names come from configurations and from other hosts: LVM's own rule for them
 * (lvm(8): letters, digits, "+_.-", no hyphen first) is checked before one becomes an argument.
 */
#include "bridgectl/disk/volume.h"

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/disk/size.h"
#include "common/proc.h"
#include "common/util.h"

#define TIMEOUT_MS 120000 /* LVM waits for udev, and for a lock of the group */
#define ANSWER_BYTES (1U << 20)
#define BYTES_MAX (UINT64_C(1) << 60) /* more is no size: sums stay below 2^64 */

#define fail(err, r, ...) disk_fail(err, VOLUME_ERRLEN, r, __VA_ARGS__)

static bool name_is_valid(const char *s)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789+_.-";
	size_t n = strlen(s);

	return n && n < 128 && s[0] != '-' && strspn(s, allowed) == n && strcmp(s, ".") &&
	       strcmp(s, "..");
}

static int check_names(const char *vg, const char *name, char *err)
{
	if (!name_is_valid(vg))
		return fail(err, -EINVAL, "\"%s\" is no name of a volume group", vg);
	if (!name_is_valid(name))
		return fail(err, -EINVAL, "\"%s\" is no name of a volume", name);
	return 0;
}

/* Of descriptors that we have from a shell; LVM tells of them first. */
static bool is_warning(const char *line)
{
	return strstr(line, "WARNING") || !strncmp(line, "File descriptor ", 16);
}

/* The first line that is not a warning, without the indent that LVM gives it. */
static const char *reason(char *text)
{
	char *save, *line = strtok_r(text, "\n", &save);

	while (line && is_warning(line))
		line = strtok_r(NULL, "\n", &save);
	return line ? line + strspn(line, " ") : "it does not say why";
}

/* `ret_out`: its answer, to be freed; or NULL. */
static int run(const char *const argv[], char **ret_out, char *err)
{
	static const struct proc_limits limits = { .timeout_ms = TIMEOUT_MS,
						   .out_bytes = ANSWER_BYTES };
	struct proc_result p;
	int r = proc_run(argv, &limits, NULL, 0, &p);

	if (r == -ENOENT)
		return fail(err, r, "there is no %s on this host: install lvm2", argv[0]);
	if (r == -ETIMEDOUT)
		return fail(err, r,
			    "%s was stopped after %d s; lvs -a tells what it has done until then",
			    argv[0], TIMEOUT_MS / 1000);
	if (r < 0)
		return fail(err, r, "%s does not run: %s", argv[0], strerror(-r));
	if (p.exit_code)
		r = fail(err, -EREMOTEIO, "%s: %s", argv[0], reason(p.err));
	else if (ret_out)
		*ret_out = steal(p.out);
	proc_result_fini(&p);
	return r;
}

int volume_create(const char *vg, const char *name, uint64_t bytes, char *err)
{
	char size[32];
	const char *const argv[] = { "lvcreate", "--yes", "-Wy", "-Zy", "--addtag", VOLUME_TAG,
				     "-L",	 size,	  "-n",	 name,	vg,	    NULL };
	int r = check_names(vg, name, err);

	snprintf(size, sizeof(size), "%jub", (uintmax_t)bytes);
	return r ? r : run(argv, NULL, err);
}

int volume_remove(const char *vg, const char *name, char *err)
{
	char which[260];
	const char *const argv[] = { "lvremove", "--yes", which, NULL };
	int r = check_names(vg, name, err);

	snprintf(which, sizeof(which), "%s/%s", vg, name);
	return r ? r : run(argv, NULL, err);
}

/* "1073741824B" or without the letter, as the versions of LVM have it. */
static bool get_bytes(const json_t *row, const char *key, uint64_t *ret)
{
	const char *s = json_string_value(json_object_get(row, key));
	char *end;

	if (!s || *s < '0' || *s > '9')
		return false;
	errno = 0;
	*ret = strtoull(s, &end, 10);
	return !errno && *ret <= BYTES_MAX && (!*end || !strcmp(end, "B"));
}

static bool get_name(const json_t *row, const char *key, char buf[128])
{
	const char *s = json_string_value(json_object_get(row, key));

	if (!s || !name_is_valid(s))
		return false;
	snprintf(buf, 128, "%s", s);
	return true;
}

/* {"report":[{KIND:[{"vg_name":…, …}]}]}: the only row, a new reference; NULL: not so. */
static json_t *read_row(const char *text, const char *kind)
{
	json_t *j = json_loads(text ? text : "", 0, NULL);
	const json_t *report = json_array_get(json_object_get(j, "report"), 0);
	const json_t *rows = json_object_get(report, kind);
	json_t *row = json_array_size(rows) == 1 ? json_incref(json_array_get(rows, 0)) : NULL;

	json_decref(j);
	return row;
}

static bool read_group(const char *text, struct volume_group *ret)
{
	json_t *row = read_row(text, "vg");
	struct volume_group g;
	bool ok = get_bytes(row, "vg_free", &g.free) &&
		  get_bytes(row, "vg_extent_size", &g.extent) && g.extent;

	json_decref(row);
	if (ok)
		*ret = g;
	return ok;
}

int volume_group_look(const char *vg, struct volume_group *ret, char *err)
{
	const char *const argv[] = { "vgs",  "--reportformat",
				     "json", "--units",
				     "b",    "--nosuffix",
				     "-o",   "vg_name,vg_free,vg_extent_size",
				     vg,     NULL };
	_cleanup_free_ char *out = NULL;
	char why[VOLUME_ERRLEN];
	int r;

	if (!name_is_valid(vg))
		return fail(err, -EINVAL, "\"%s\" is no name of a volume group", vg);
	r = run(argv, &out, why);
	if (r < 0)
		return fail(err, r, "volume group %s: %.300s", vg, why);
	if (!read_group(out, ret))
		return fail(err, -EBADMSG, "volume group %s: vgs gave no answer that can be read",
			    vg);
	return 0;
}

static bool read_volume(const char *text, struct volume *ret)
{
	json_t *row = read_row(text, "lv");
	struct volume v;
	bool ok = get_name(row, "vg_name", v.vg) && get_name(row, "lv_name", v.name) &&
		  get_bytes(row, "lv_size", &v.bytes) && get_bytes(row, "vg_free", &v.vg_free) &&
		  get_bytes(row, "vg_extent_size", &v.extent) && v.extent;

	json_decref(row);
	if (ok)
		*ret = v;
	return ok;
}

int volume_find(const char *path, struct volume *ret, char *err)
{
	const char *const argv[] = { "lvs",  "--reportformat",
				     "json", "--units",
				     "b",    "--nosuffix",
				     "-o",   "vg_name,lv_name,lv_size,vg_free,vg_extent_size",
				     path,   NULL };
	_cleanup_free_ char *out = NULL;
	int r;

	if (path[0] != '/')
		return fail(err, -ENOENT, "%s is no path of a volume", path);
	r = run(argv, &out, err);
	if (r == -EREMOTEIO)
		return -ENOENT;
	if (!r && !read_volume(out, ret))
		return fail(err, -ENOENT, "lvs does not know %s as one volume", path);
	return r;
}

uint64_t volume_size_after(const struct volume *v, uint64_t bytes)
{
	return (v->bytes + bytes + v->extent - 1) / v->extent * v->extent;
}

int volume_check_room(const struct volume *v, uint64_t bytes, char *err)
{
	char more[SIZE_STRLEN];

	if (bytes <= v->vg_free)
		return 0;
	return fail(err, -ENOSPC, "volume group %s has %ju bytes free, %ju are needed, %s more",
		    v->vg, (uintmax_t)v->vg_free, (uintmax_t)bytes,
		    size_format(bytes - v->vg_free, more));
}

int volume_extend(const struct volume *v, uint64_t bytes, char *err)
{
	uint64_t more = volume_size_after(v, bytes) - v->bytes;
	char size[32], which[260];
	const char *const argv[] = { "lvextend", "-L", size, which, NULL };
	int r = check_names(v->vg, v->name, err);

	if (r < 0)
		return r;
	r = volume_check_room(v, more, err);
	if (r < 0)
		return r;
	snprintf(size, sizeof(size), "+%jub", (uintmax_t)more);
	snprintf(which, sizeof(which), "%s/%s", v->vg, v->name);
	return run(argv, NULL, err);
}
