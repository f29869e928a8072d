/*
 * A login on the serial port. hvc0 keeps its own, since our domains have a virtio console as well;
 * xvc0, of old Xen kernels, is no more. systemd's getty generator looks at the consoles of the
 * kernel's command line, so ttyS0 needs nothing; but hvc0 is a module's under KVM, which is loaded
 * when the generator has run.
 */
#include <stdio.h>

#include "bridgectl/fixup/edit_line.h"

#define WHY "a login on the serial port"
#define WHY_ROOT "root may log in on the serial port and on the virtio console"

#define WHY_HVC "a login on the virtio console, whose driver comes after systemd has looked for it"
#define RULES "/etc/udev/rules.d"

static const char *const gettys[] = { "/sbin/agetty", "/usr/sbin/agetty", "/sbin/getty",
				      "/usr/sbin/getty" };

#define JOB_BODY    \
	"respawn\n" \
	"exec /sbin/getty -L 115200 ttyS0 vt102\n"

/* Files of init systems that start what stands in a folder; `like` is there if one is used. */
static const struct job {
	const char *folder, *like, *path, *text;
} jobs[] = {
	{ "/etc/init", "/etc/init/tty1.conf", "/etc/init/ttyS0.conf",
	  "# A login on the serial port.\n"
	  "start on stopped rc RUNLEVEL=[2345]\n"
	  "stop on runlevel [!2345]\n" JOB_BODY },
	{ "/etc/event.d", "/etc/event.d/tty1", "/etc/event.d/ttyS0",
	  "# A login on the serial port.\n"
	  "start on stopped rc2\n"
	  "start on stopped rc3\n"
	  "start on stopped rc4\n"
	  "start on stopped rc5\n"
	  "stop on runlevel 0\n"
	  "stop on runlevel 1\n"
	  "stop on runlevel 6\n" JOB_BODY },
};

struct inittab {
	bool serial, hvc, id_taken[4];
	bool no_hvc;	 /* the kernel has no driver for it */
	unsigned last;	 /* the line to add it behind */
	char levels[16]; /* of that line */
	bool busybox;	 /* the first field is the terminal */
	const char *getty;
};

static const char *const ids[] = { "S0", "T0", "s0", "t0" };

struct fields {
	struct word id, levels, action, process;
};

/* id:levels:action:process */
static bool parse(const char *s, struct fields *ret)
{
	struct word *all[] = { &ret->id, &ret->levels, &ret->action };

	if (*s == '#')
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		const char *colon = strchr(s, ':');

		if (!colon)
			return false;
		*all[i] = (struct word){ s, (size_t)(colon - s) };
		s = colon + 1;
	}
	ret->process = (struct word){ s, strlen(s) };
	return word_is(&ret->action, "respawn") || word_is(&ret->action, "askfirst");
}

/* A terminal as a word of its own, with or without its folder; NULL: there is none. */
static const char *find_tty(const char *s, const char *tty)
{
	size_t len = strlen(tty);

	for (const char *at = s; (at = strstr(at, tty)); at++) {
		if ((at == s || strchr(" \t:/", at[-1])) && strchr(" \t:", at[len]))
			return at;
	}
	return NULL;
}

static bool is_on(const struct fields *f, const char *tty)
{
	return find_tty(f->process.s, tty) || word_is(&f->id, tty);
}

/* xvc0 as hvc0, wherever it stands in the line. */
static void rename_tty(struct line *l)
{
	struct text out = { 0 };
	const char *s = l->s, *at;

	while ((at = find_tty(s, "xvc0"))) {
		text_add(&out, s, (size_t)(at - s));
		text_str(&out, "hvc0");
		s = at + 4;
	}
	text_str(&out, s);
	line_set(l, out.s, out.len);
	text_fini(&out);
}

static void look_inittab(struct line *l)
{
	struct inittab *tab = l->arg;
	struct fields f;
	bool hvc;

	for (unsigned i = 0; i < ARRAY_SIZE(ids); i++)
		tab->id_taken[i] |= strncmp(l->s, ids[i], 2) == 0 && l->s[2] == ':';
	if (!parse(l->s, &f))
		return;
	hvc = is_on(&f, "hvc0") || is_on(&f, "xvc0");
	tab->serial |= is_on(&f, "ttyS0");
	if (!strstr(f.process.s, "getty") && !hvc)
		return;
	if (!tab->hvc || hvc) {
		tab->last = l->number;
		snprintf(tab->levels, sizeof(tab->levels), "%.*s", (int)f.levels.len, f.levels.s);
	}
	tab->hvc |= is_on(&f, "hvc0");
	tab->busybox |= f.levels.len == 0;
}

static void inittab_line(struct line *l)
{
	const struct inittab *tab = l->arg;
	const char *id = tab->busybox ? "ttyS0" : NULL;
	struct fields f;

	for (unsigned i = 0; i < ARRAY_SIZE(ids) && !id; i++)
		id = tab->id_taken[i] ? NULL : ids[i];
	if (!tab->serial && tab->last == l->number && id)
		text_printf(&l->after, "%s:%s:respawn:%s -L ttyS0 115200 vt102\n", id, tab->levels,
			    tab->getty);
	if (parse(l->s, &f) && is_on(&f, "xvc0")) {
		l->drop = tab->hvc || tab->no_hvc;
		rename_tty(l);
	}
}

static void inittab(struct plan *p)
{
	static const char path[] = "/etc/inittab";
	const struct guest_kernel *k = inspection_kernel(p->in);
	struct inittab tab = { .getty = p->in->family == FAMILY_DEBIAN ? gettys[2] : gettys[0],
			       .no_hvc = k && k->drivers.virtio_console == NO };

	if (p->in->init == INIT_SYSTEMD || p->in->init == INIT_UPSTART)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(gettys); i++) {
		if (tree_is_file(p->t, gettys[i])) {
			tab.getty = gettys[i];
			break;
		}
	}
	plan_lines(p, path, WHY, look_inittab, &tab);
	if (tab.last)
		plan_lines(p, path, WHY, inittab_line, &tab);
}

static void look_serial(struct line *l)
{
	bool *found = l->arg;

	*found |= *l->s != '#' && strstr(l->s, "ttyS0");
}

static void look_job(struct plan *p, const char *path, void *arg)
{
	plan_lines(p, path, WHY, look_serial, arg);
}

static void upstart(struct plan *p)
{
	/* Of CentOS 6: starts a getty on the kernel's console, whichever that is. */
	if (p->in->init == INIT_SYSTEMD || tree_is_file(p->t, "/etc/init/serial.conf"))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(jobs); i++) {
		const struct job *job = &jobs[i];
		bool found = false;
		size_t len = strlen(job->text);
		struct text text = { 0 };
		char *new;

		if (!tree_is_file(p->t, job->like) || plan_has(p, job->path))
			continue;
		plan_each(p, job->folder, "", look_job, &found);
		if (found)
			continue;
		text_add(&text, job->text, len);
		new = text_steal(&text, &len);
		plan_set(p, job->path, new, len, WHY);
	}
}

/* Terminals that root may log in on. */
static void look_tty(struct line *l)
{
	bool *found = l->arg;
	struct word w = word_at(l->s, 0);

	found[0] |= word_is(&w, "ttyS0");
	found[1] |= word_is(&w, "hvc0");
}

static void securetty(struct plan *p)
{
	static const char path[] = "/etc/securetty";
	bool found[2] = { false, false };

	if (!plan_lines(p, path, WHY_ROOT, look_tty, found))
		return;
	if (!found[0])
		plan_append(p, path, "ttyS0", WHY_ROOT);
	if (!found[1])
		plan_append(p, path, "hvc0", WHY_ROOT);
}

/* Whether Xen's console was one of a kernel that is there. */
static bool had_hvc(const struct inspection *in)
{
	for (unsigned i = 0; i < in->n_kernels; i++) {
		const char *s = in->kernels[i].cmdline;

		if (s && (strstr(s, "console=hvc0") || strstr(s, "console=xvc0")))
			return true;
	}
	return false;
}

static bool starts_getty(const struct inspection *in, const char *tty)
{
	for (unsigned i = 0; i < in->n_consoles; i++) {
		if (strcmp(in->consoles[i], tty) == 0)
			return true;
	}
	return false;
}

/* A link in getty.target.wants would do as well; of links a tree makes none. */
static void systemd_hvc(struct plan *p)
{
	static const char rule[] =
		"# The login that was on Xen's console. virtio_console is loaded too late for\n"
		"# systemd-getty-generator to see it.\n"
		"SUBSYSTEM==\"tty\", KERNEL==\"hvc0\", TAG+=\"systemd\", "
		"ENV{SYSTEMD_WANTS}+=\"serial-getty@hvc0.service\"\n";
	const struct guest_kernel *k = inspection_kernel(p->in);
	struct text text = { 0 };
	size_t len;
	char *new;

	if (p->in->init != INIT_SYSTEMD || !k || k->drivers.virtio_console == NO ||
	    !had_hvc(p->in) || starts_getty(p->in, "hvc0") || !tree_is_dir(p->t, RULES))
		return;
	text_str(&text, rule);
	new = text_steal(&text, &len);
	plan_set(p, RULES "/80-bridgectl-hvc0.rules", new, len, WHY_HVC);
}

static void systemd(struct plan *p)
{
	static const char folder[] = "/etc/systemd/system", unit[] = "serial-getty@ttyS0.service";
	char path[TREE_PATH_MAX], to[TREE_PATH_MAX];
	size_t len;

	if (tree_resolve(p->t, folder, path) < 0)
		return;
	len = strlen(path);
	snprintf(path + len, sizeof(path) - len, "/%s", unit);
	if (p->t->ops->link(p->t, path, to) == 0 && strcmp(to, "/dev/null") == 0)
		edit_note(p,
			  "%s is masked: no login on the serial port; `systemctl unmask %s` in the "
			  "guest gives one",
			  unit, unit);
}

void edit_console(struct plan *p)
{
	inittab(p);
	upstart(p);
	securetty(p);
	systemd(p);
	systemd_hvc(p);
}
