/*
 * `bridgectl disk create CONFIG|PLAN`: makes the disks of a plan.
 *
 * The plan comes from a guest's configuration, as in `disk layout`, or is one that `disk layout
 * --json` has printed (it begins with '{'). With --to the plan is made here and carried out by
 * the same command on the other host, which reads it from standard input and checks it again.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/disk_layout.h"
#include "bridgectl/cmd/far.h"
#include "bridgectl/disk/create.h"
#include "bridgectl/disk/quote.h"

#define PLAN_BYTES_MAX ((size_t)16 << 20)
#define PROGRESS_S 5 /* between lines when standard error is no terminal */

/* What the options say, and the progress of zeroing. */
struct job {
	struct cmd_call *call;
	struct create_options o;
	char dir[PATH_MAX];
	const char *to;
	time_t shown; /* of the last line */
	bool on_terminal;
	bool open_line; /* on a terminal: the cursor is behind one */
};

/* --- The plan --- */

static struct plan *plan_of_text(const char *name, const char *text, size_t len)
{
	char err[PLAN_ERRLEN];
	json_error_t where;
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);
	struct plan *p;

	if (!j) {
		cmd_error("%s: no plan: line %d: %s", name, where.line, where.text);
		return NULL;
	}
	p = plan_from_json(j, err);
	if (!p)
		cmd_error("%s: the plan makes no sense: %s", name, err);
	json_decref(j);
	return p;
}

static struct plan *read_plan(const char *name, FILE *f)
{
	_cleanup_free_ char *text = malloc(PLAN_BYTES_MAX);
	size_t n = text ? fread(text, 1, PLAN_BYTES_MAX, f) : 0;

	if (!text || n == PLAN_BYTES_MAX || ferror(f)) {
		cmd_error("%s: it is too large, or cannot be read", name);
		return NULL;
	}
	return plan_of_text(name, text, n);
}

static struct plan *plan_of_config(struct cmd_call *call, FILE *from)
{
	struct layout l = { .call = call };
	struct guest_file f;
	struct plan *p;

	if (!layout_read_shape(&l) || !guest_file_read_from(call, call->args[0], from, &f))
		return NULL;
	p = layout_plan(&l, &f);
	guest_file_fini(&f);
	return p;
}

/* What these ask for was decided when the plan was made. */
static bool fits_a_plan(const struct cmd_call *call)
{
	static const char *const shapes[] = { "--label", "--copy-swap", "--grow-last",
					      "--accept-loss" };

	for (unsigned i = 0; i < ARRAY_SIZE(shapes); i++)
		if (cmd_option(call, shapes[i])) {
			cmd_error("%s changes nothing in a plan that is made; give it to disk "
				  "layout, or give the configuration here",
				  shapes[i]);
			return false;
		}
	return true;
}

/* A configuration cannot begin with '{'. */
static struct plan *get_plan(struct cmd_call *call)
{
	const char *name = call->args[0];
	FILE *f = guest_file_open(name);
	int first = f ? getc(f) : EOF;
	struct plan *p = NULL;

	if (!f)
		return NULL;
	if (first != EOF)
		ungetc(first, f);
	if (first != '{')
		p = plan_of_config(call, f);
	else if (fits_a_plan(call))
		p = read_plan(f == stdin ? "standard input" : name, f);
	if (f != stdin)
		fclose(f);
	return p;
}

static bool rename_disk(struct plan *p, const char *name)
{
	char err[PLAN_ERRLEN];

	if (p->n_disks != 1) {
		cmd_error("--name is for one disk, and the plan has %u: choose with --disk",
			  p->n_disks);
		return false;
	}
	if (strlen(name) >= sizeof(p->disks[0].name)) {
		cmd_error("--name: too long");
		return false;
	}
	strcpy(p->disks[0].name, name);
	if (plan_check(p, err))
		return true;
	cmd_error("--name: %s", err);
	return false;
}

static bool narrow(struct cmd_call *call, struct plan *p)
{
	const char *disk = cmd_option(call, "--disk"), *name = cmd_option(call, "--name");

	if (disk && !plan_keep(p, disk)) {
		cmd_error("the plan has no disk %s", disk);
		return false;
	}
	return !name || rename_disk(p, name);
}

/* --- Here --- */

/* A line that is drawn again on a terminal, else one now and then. */
static void show_progress(void *arg, const char *path, uint64_t done, uint64_t total)
{
	struct job *j = arg;
	char so_far[UNIT_LEN], all[UNIT_LEN];
	_cleanup_free_ char *clean = NULL;
	time_t now = time(NULL);

	if (!total || now - j->shown < (j->on_terminal ? 1 : PROGRESS_S))
		return;
	j->shown = now;
	j->open_line = j->on_terminal;
	clean = out_clean(path);
	fprintf(stderr, "%szeroing %s: %s of %s (%u %%)%s", j->on_terminal ? "\r" : "", clean,
		unit_bytes((double)done, so_far), unit_bytes((double)total, all),
		(unsigned)(100.0 * (double)done / (double)total), j->on_terminal ? "\033[K" : "\n");
}

static void end_progress(struct job *j)
{
	if (j->open_line)
		fputs("\r\033[K", stderr);
	j->open_line = false;
}

static const char *what_of(const struct plan_part *p)
{
	return p->fill == PLAN_COPY ? "to be copied" :
	       p->fill == PLAN_SWAP ? "new swap" :
				      "for a boot loader";
}

static void show_parts(struct out *o, const struct plan_disk *d)
{
	static const struct column columns[] = {
		{ "PART", true, 0 }, { "START", true, 2 }, { "SECTORS", true, 0 },
		{ "SIZE", true, 1 }, { "WHAT", false, 0 }, { "SOURCE", false, 0 },
	};
	struct table *t = table_new(o, columns, ARRAY_SIZE(columns));
	char size[UNIT_LEN];

	for (unsigned i = 0; i < d->n_parts; i++) {
		const struct plan_part *p = &d->parts[i];

		table_cell(t, STYLE_NONE, "%u", p->number);
		table_cell(t, STYLE_NONE, "%ju", (uintmax_t)p->start);
		table_cell(t, STYLE_NONE, "%ju", (uintmax_t)p->sectors);
		table_cell(t, STYLE_NONE, "%s",
			   unit_bytes((double)p->sectors * (double)SECTOR_BYTES, size));
		table_cell(t, STYLE_NONE, "%s", what_of(p));
		table_cell(t, STYLE_NONE, "%s", p->source.path);
	}
	table_end(t);
}

static void show_disk(const struct job *j, const struct create_made *m, bool dry_run)
{
	struct out *o = &j->call->out;
	const struct plan_disk *d = m->disk;
	uint64_t bytes = m->bytes ? m->bytes : d->sectors * SECTOR_BYTES;
	char size[UNIT_LEN];

	out_text(o, STYLE_BOLD, "%s", m->path);
	out_line(o, STYLE_NONE, ": %s%s, %s, %s", dry_run ? "would be " : "", d->target,
		 d->label == PLAN_WHOLE ? "no table of ours" : plan_label_name(d->label),
		 unit_bytes((double)bytes, size));
	if (d->label == PLAN_WHOLE)
		out_line(o, STYLE_NONE, "  to be copied as a whole: %s", d->parts[0].source.path);
	else
		show_parts(o, d);
}

/* The commands that fill it. What goes to another host does not know the name of this one. */
static void show_next(const struct job *j, const struct create_made *m)
{
	const char *from = cmd_option(j->call, "--from");
	const struct plan_disk *d = m->disk;

	for (unsigned i = 0; (from || !j->o.elsewhere) && i < d->n_parts; i++) {
		const struct plan_part *p = &d->parts[i];
		_cleanup_free_ char *words = NULL;
		size_t len;
		FILE *f = p->fill == PLAN_COPY ? open_memstream(&words, &len) : NULL;

		if (!f)
			continue;
		if (from) {
			fputs("--from ", f);
			quote_word(f, from);
			fputc(' ', f);
		}
		quote_word(f, p->source.path);
		fputc(' ', f);
		quote_word(f, m->path);
		if (d->label != PLAN_WHOLE)
			fprintf(f, " --partition %u", p->number);
		if (fclose(f) == 0)
			out_line(&j->call->out, STYLE_DIM, "  next: bridgectl disk copy %s", words);
	}
}

static void show(const struct job *j, const struct create_made *made, unsigned n, bool dry_run)
{
	struct out *o = &j->call->out;
	json_t *doc;

	if (j->call->json) {
		doc = create_to_json(made, n);
		json_object_set_new(doc, "dry_run", json_boolean(dry_run));
		out_json(o, doc, false);
		json_decref(doc);
		return;
	}
	for (unsigned i = 0; !o->quiet && i < n; i++) {
		show_disk(j, &made[i], dry_run);
		if (!dry_run)
			show_next(j, &made[i]);
	}
}

static enum exit_code create_here(struct job *j, const struct plan *p)
{
	bool dry_run = cmd_option(j->call, "--dry-run") != NULL;
	_cleanup_free_ struct create_made *made = calloc(PLAN_DISKS_MAX, sizeof(*made));
	char err[CREATE_ERRLEN];
	int r;

	if (!made) {
		cmd_error("out of memory");
		return EXIT_FAILED;
	}
	j->on_terminal = isatty(STDERR_FILENO);
	j->shown = time(NULL);
	j->o.stop = cmd_catch_stop(); /* what is made is taken back first */
	j->o.arg = j;
	if (!j->call->json && !j->call->quiet)
		j->o.progress = show_progress;
	r = dry_run ? create_check(p, &j->o, made, err) : create_run(p, &j->o, made, err);
	end_progress(j);
	if (r < 0) {
		cmd_error("%s", err);
		return EXIT_FAILED;
	}
	show(j, made, p->n_disks, dry_run);
	return EXIT_DONE;
}

/* --- There --- */

static char *remote_command(const struct cmd_call *call)
{
	static const char *const passed[] = { "--vg",	      "--dir",	   "--onto", "--overwrite",
					      "--overcommit", "--dry-run", NULL };

	return far_command(call,
			   call->json  ? "disk create - --elsewhere --json" :
			   call->quiet ? "disk create - --elsewhere --quiet" :
					 "disk create - --elsewhere",
			   passed);
}

/* The plan as a file without a name, to be read from its beginning. */
static int file_of_plan(const struct plan *p)
{
	int fd = memfd_create("plan", MFD_CLOEXEC);
	json_t *doc = plan_to_json(p);

	if (fd >= 0 && (json_dumpfd(doc, fd, JSON_COMPACT) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
		close(fd);
		fd = -1;
	}
	json_decref(doc);
	return fd;
}

static enum exit_code create_there(const struct job *j, const struct plan *p)
{
	const char *given = cmd_option(j->call, "--ssh");
	_cleanup_free_ char *ssh = strdup(given ? given : FAR_SSH_DEFAULT);
	_cleanup_free_ char *command = remote_command(j->call);
	_cleanup_close_ int in = file_of_plan(p);
	const char *argv[FAR_SSH_WORDS];
	int code;

	if (!ssh || !command || in < 0) {
		cmd_error("out of memory");
		return EXIT_FAILED;
	}
	if (!far_ssh_words(ssh, argv, j->to, command))
		return EXIT_USAGE;
	/* Ctrl-C ends ssh; what it leaves there is told below. */
	cmd_catch_stop();
	code = far_run(argv, in);
	if (code == EXIT_DONE || code == EXIT_FAILED || code == EXIT_USAGE)
		return (enum exit_code)code;
	if (code < 0 && code != -EINTR)
		return EXIT_FAILED; /* told */
	if (code == 127)
		cmd_error("%s: there is no bridgectl; see --remote-bridgectl", j->to);
	else
		cmd_error("%s: ssh failed or was cut off; if it had begun, look there for what was "
			  "made",
			  j->to);
	return EXIT_FAILED;
}

/* --- Options --- */

static bool read_dir(struct job *j)
{
	const char *dir = cmd_option(j->call, "--dir");

	if (!dir || j->to) {
		j->o.where.dir = dir;
		return true;
	}
	if (!realpath(dir, j->dir)) {
		cmd_error("%s: %s", dir, strerror(errno));
		return false;
	}
	j->o.where.dir = j->dir;
	return true;
}

static bool read_options(struct job *j)
{
	const struct cmd_call *c = j->call;

	j->to = cmd_option(c, "--to");
	j->o.where.vg = cmd_option(c, "--vg");
	j->o.onto = cmd_option(c, "--onto");
	j->o.overwrite = cmd_option(c, "--overwrite") != NULL;
	j->o.overcommit = cmd_option(c, "--overcommit") != NULL;
	j->o.elsewhere = cmd_option(c, "--elsewhere") || cmd_option(c, "--from");
	if (j->to && (!*j->to || *j->to == '-')) {
		cmd_error("--to takes the name of a host, not \"%.40s\"", j->to);
		return false;
	}
	if (!read_dir(j))
		return false;
	if (!!j->o.where.vg + !!j->o.where.dir + !!j->o.onto == 1)
		return true;
	cmd_error("say where the disks are to be: one of --vg VG, --dir DIR and --onto PATH");
	return false;
}

enum exit_code cmd_disk_create(struct cmd_call *call)
{
	struct job j = { .call = call };
	enum exit_code code = EXIT_FAILED;
	struct plan *p;

	if (!read_options(&j))
		return EXIT_USAGE;
	p = get_plan(call);
	if (p && narrow(call, p))
		code = j.to ? create_there(&j, p) : create_here(&j, p);
	plan_free(p);
	return code;
}
