/*
 * `bridgectl disk layout CONFIG`: what disks a guest would get, as text, JSON or a script.
 *
 * Nothing is written anywhere. Sources are looked at where they are: here, or with --from on the
 * host that has them, by the same command there; its answer is checked like anything else that
 * comes from another host. The target's room is this host's.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/disk_layout.h"
#include "bridgectl/cmd/far.h"
#include "bridgectl/cmd/plan_view.h"
#include "bridgectl/disk/probe.h"
#include "bridgectl/disk/size.h"
#include "common/proc.h"

#define SSH_TIMEOUT_MS 120000
#define SSH_OUT_BYTES ((size_t)64 << 20)

/* --- Options --- */

static bool read_label(struct layout *l)
{
	const char *v = cmd_option(l->call, "--label");

	if (!v)
		return true;
	if (!strcmp(v, "gpt"))
		l->options.label = PLAN_GPT;
	else if (!strcmp(v, "msdos"))
		l->options.label = PLAN_MSDOS;
	else
		cmd_error("--label takes msdos or gpt, not \"%.40s\"", v);
	return l->options.label != PLAN_WHOLE;
}

/* "[DISK:]SIZE" */
static bool read_grow(struct layout *l)
{
	const char *v = cmd_option(l->call, "--grow-last"), *size = v;
	const char *colon = v ? strchr(v, ':') : NULL;

	if (!v)
		return true;
	if (colon) {
		if (colon == v || (size_t)(colon - v) >= sizeof(l->extra_disk)) {
			cmd_error("--grow-last: no such disk; as in --grow-last xvda:10G");
			return false;
		}
		snprintf(l->extra_disk, sizeof(l->extra_disk), "%.*s", (int)(colon - v), v);
		l->options.extra_disk = l->extra_disk;
		size = colon + 1;
	}
	if (size_parse(size, &l->options.extra_bytes) < 0 || !l->options.extra_bytes) {
		cmd_error("--grow-last takes a size as 10G, 512M or 4096s, not \"%.40s\"", size);
		return false;
	}
	return true;
}

static bool read_from(struct layout *l)
{
	l->where.from = cmd_option(l->call, "--from");
	l->where.ssh = cmd_option(l->call, "--ssh");
	if (!l->where.from || (*l->where.from && *l->where.from != '-'))
		return true;
	cmd_error("--from takes the name of a host, not \"%.40s\"", l->where.from);
	return false;
}

bool layout_read_shape(struct layout *l)
{
	l->options.copy_swap = cmd_option(l->call, "--copy-swap") != NULL;
	return read_label(l) && read_grow(l) && read_from(l);
}

static bool read_where(struct layout *l)
{
	const char *dir = cmd_option(l->call, "--dir");

	l->where.vg = cmd_option(l->call, "--vg");
	if (dir && l->where.vg) {
		cmd_error("--vg and --dir: only one of them");
		return false;
	}
	if (dir && !realpath(dir, l->dir)) {
		cmd_error("%s: %s", dir, strerror(errno));
		return false;
	}
	l->where.dir = dir ? l->dir : NULL;
	return true;
}

static bool read_options(struct layout *l)
{
	l->commands = cmd_option(l->call, "--commands") != NULL;
	if (!layout_read_shape(l) || !read_where(l))
		return false;
	if (l->commands && l->call->json)
		cmd_error("--commands and --json: only one of them");
	else if (l->commands && !l->where.vg && !l->where.dir)
		cmd_error("--commands needs a place for the disks: --vg VG or --dir DIR");
	else
		return true;
	return false;
}

/* --- The host that has the sources --- */

/*
 * What it said on standard error: the last sentence of bridgectl there, without its name in
 * front, because what is to be warned of was said here already; else the last line, ssh's or a
 * shell's.
 */
static const char *remote_words(const struct proc_result *r, int *ret_len)
{
	static const char name[] = "bridgectl: ";
	const char *best = r->exit_code == 127 ? "there is no bridgectl; see --remote-bridgectl" :
						 "it failed without a word";
	bool is_last = false;
	size_t len;

	*ret_len = (int)strlen(best);
	for (const char *s = r->err; *s; s += len + (s[len] == '\n')) {
		bool is_its = !strncmp(s, name, strlen(name));

		len = strcspn(s, "\n");
		if (strspn(s, " \t\r") >= len || (is_last && !is_its))
			continue;
		is_last = is_its;
		best = is_its ? s + strlen(name) : s;
		*ret_len = (int)(s + len - best);
		*ret_len -= *ret_len && best[*ret_len - 1] == '\r';
	}
	return best;
}

static struct plan *plan_of_answer(const struct layout *l, const struct proc_result *r)
{
	char err[PLAN_ERRLEN];
	struct plan *p;
	json_t *j;

	if (r->exit_code) {
		int len;
		const char *words = remote_words(r, &len);

		cmd_error("%s: %.*s", l->where.from, len, words);
		return NULL;
	}
	j = json_loads(r->out ? r->out : "", JSON_REJECT_DUPLICATES, NULL);
	if (!j) {
		cmd_error("%s: its bridgectl gave no plan; is it of another version?",
			  l->where.from);
		return NULL;
	}
	p = plan_from_json(j, err);
	if (!p)
		cmd_error("%s: its plan makes no sense: %s", l->where.from, err);
	json_decref(j);
	return p;
}

static struct plan *ask_host(const struct layout *l, const struct guest_file *f)
{
	static const char *const passed[] = { "--label", "--copy-swap", "--grow-last",
					      "--accept-loss", NULL };
	static const struct proc_limits limits = { .timeout_ms = SSH_TIMEOUT_MS,
						   .out_bytes = SSH_OUT_BYTES,
						   .asks = true };
	_cleanup_free_ char *ssh = strdup(l->where.ssh ? l->where.ssh : FAR_SSH_DEFAULT);
	_cleanup_free_ char *command = far_command(l->call, "disk layout - --json", passed);
	const char *argv[FAR_SSH_WORDS];
	struct proc_result result;
	struct plan *p;
	int r;

	if (!ssh || !command) {
		cmd_error("out of memory");
		return NULL;
	}
	if (!far_ssh_words(ssh, argv, l->where.from, command))
		return NULL;
	r = proc_run(argv, &limits, f->text, f->len, &result);
	if (r < 0) {
		cmd_error("cannot ask %s: %s: %s", l->where.from, argv[0], strerror(-r));
		return NULL;
	}
	p = plan_of_answer(l, &result);
	proc_result_fini(&result);
	return p;
}

/* --- The answer --- */

static json_t *space_json(const struct space *s)
{
	return json_pack("{s:s, s:I, s:I, s:b, s:b, s:O}", "place", s->place, "needed",
			 (json_int_t)s->needed, "free", (json_int_t)s->free, "fits", s->fits,
			 "sparse", s->sparse, "exists", s->exists);
}

static void show_json(struct out *o, const struct plan *p, const struct space *s)
{
	json_t *j = plan_to_json(p);

	if (s)
		json_object_set_new(j, "space", space_json(s));
	out_json(o, j, false);
	json_decref(j);
}

/* The lack of room goes to standard error, because standard output is the script. */
static bool show_commands(const struct layout *l, const struct plan *p, const struct space *s)
{
	_cleanup_free_ char *script = plan_script(p, &l->where);
	struct out o;

	if (!script) {
		cmd_error("the script cannot be written: a path is too long");
		return false;
	}
	fputs(script, l->call->out.f);
	if (s->fits && !json_array_size(s->exists))
		return true;
	fflush(l->call->out.f);
	out_init(&o, stderr, l->call->color);
	plan_view_space(&o, s);
	return true;
}

static bool show(const struct layout *l, const struct plan *p, const struct space *s)
{
	struct out *o = &l->call->out;

	if (l->commands)
		return show_commands(l, p, s);
	if (l->call->json) {
		show_json(o, p, s);
		return true;
	}
	if (o->quiet)
		return true;
	plan_view(o, p);
	if (s)
		plan_view_space(o, s);
	return true;
}

/* Volumes that are there already have their room. */
static bool has_room(const struct space *s)
{
	return s->fits || s->sparse || json_array_size(s->exists);
}

static enum exit_code answer(const struct layout *l, const struct plan *p)
{
	struct space space;
	char err[PLAN_ERRLEN];
	bool ok;

	if (!l->where.vg && !l->where.dir)
		return show(l, p, NULL) ? EXIT_DONE : EXIT_FAILED;
	if (space_look(p, &l->where, &space, err) < 0) {
		cmd_error("%s", err);
		return EXIT_FAILED;
	}
	ok = show(l, p, &space);
	if (ok && !has_room(&space)) {
		cmd_error("volume group %s has not enough room", space.place);
		ok = false;
	}
	space_fini(&space);
	return ok ? EXIT_DONE : EXIT_FAILED;
}

/* The other host's bridgectl, which asks with --json, has no other to point to. */
static bool is_elsewhere(const struct layout *l, const struct guest *g)
{
	for (unsigned i = 0; i < g->n_disks; i++)
		for (unsigned k = 0; k < g->disks[i].n; k++) {
			const char *path = g->disks[i].sources[k].spec.path;

			if (!l->call->json && path && *path == '/' && access(path, F_OK) < 0)
				return true;
		}
	return false;
}

struct plan *layout_plan(const struct layout *l, const struct guest_file *f)
{
	char err[PLAN_ERRLEN];
	struct plan *p;

	if (!f->ok) {
		if (!f->file.report.n_errors)
			guest_file_tell_refused(f);
		return NULL;
	}
	if (l->where.from)
		return ask_host(l, f);
	p = plan_compute(f->guest, &l->options, probe_source, NULL, err);
	if (!p)
		cmd_error("%s%s", err,
			  is_elsewhere(l, f->guest) ? "; --from HOST asks the host that has it" :
						      "");
	return p;
}

enum exit_code cmd_disk_layout(struct cmd_call *call)
{
	struct layout l = { .call = call };
	enum exit_code code = EXIT_FAILED;
	struct guest_file f;
	struct plan *p;

	if (!read_options(&l))
		return EXIT_USAGE;
	if (!guest_file_read(call, call->args[0], &f))
		return EXIT_FAILED;
	p = layout_plan(&l, &f);
	if (p)
		code = answer(&l, p);
	plan_free(p);
	guest_file_fini(&f);
	return code;
}
