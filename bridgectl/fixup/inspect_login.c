/*
 * Where a guest starts a getty: inittab(5), Upstart's jobs, systemd's units. systemd also starts
 * one on the console of the kernel's command line by itself (systemd-getty-generator(8)); that is
 * not told.
 */
#include "bridgectl/fixup/inspect_private.h"

static bool is_terminal(const char *s, size_t len)
{
	static const char *const kinds[] = { "tty", "hvc", "xvc", "console" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (len >= strlen(kinds[i]) && inspect_begins(s, kinds[i]))
			return true;
	return false;
}

/* The first word of a line that names a terminal, "/dev/" or not. */
static void add_terminal(struct inspection *in, const char *s, size_t line)
{
	const char *end = s + line;

	while (s < end) {
		size_t len = MIN(strcspn(s, " \t\n"), (size_t)(end - s));

		if (len > 5 && inspect_begins(s, "/dev/")) {
			s += 5;
			len -= 5;
		}
		if (is_terminal(s, len)) {
			inspect_add(&in->consoles, &in->n_consoles, s, len);
			return;
		}
		s += len + 1;
	}
}

/* `word` in a line of `len` bytes: where it begins, or NULL. */
static const char *in_line(const char *s, size_t len, const char *word)
{
	return memmem(s, len, word, strlen(word));
}

/* "1:2345:respawn:/sbin/getty 38400 hvc0", but neither a comment nor "off". */
static void read_inittab(struct inspection *in, const char *text)
{
	for (const char *s = text; *s; s += strcspn(s, "\n"), s += *s == '\n') {
		size_t len = strcspn(s, "\n");
		const char *getty = *s == '#' ? NULL : in_line(s, len, "getty");

		if (getty && in_line(s, len, ":respawn:"))
			add_terminal(in, getty + 5, (size_t)(s + len - getty - 5));
	}
}

/* exec /sbin/getty -8 38400 tty1; a job with "instance $TTY" has no name of its own. */
static void read_job(struct inspection *in, const char *name, const char *text)
{
	(void)name;
	for (const char *s = text; *s; s += strcspn(s, "\n"), s += *s == '\n') {
		size_t len = strcspn(s, "\n");
		const char *getty = *s == '#' ? NULL : in_line(s, len, "getty");

		if (getty && in_line(s, len, "exec"))
			add_terminal(in, getty + 5, (size_t)(s + len - getty - 5));
	}
}

/* "serial-getty@hvc0.service" */
static bool saw_unit(void *arg, const char *name)
{
	struct inspection *in = arg;
	const char *at = strstr(name, "getty@");

	if (at && inspect_ends(name, ".service"))
		inspect_add(&in->consoles, &in->n_consoles, at + 6,
			    strlen(at + 6) - strlen(".service"));
	return true;
}

/* Red Hat's and Ubuntu's Upstart: /dev/tty[1-6]. */
static void read_active_consoles(struct tree *t, struct inspection *in)
{
	_cleanup_free_ char *list = inspect_file_value(t, "/etc/sysconfig/init", "ACTIVE_CONSOLES");

	if (list && strcmp(list, "/dev/tty[1-6]") == 0)
		inspect_add(&in->consoles, &in->n_consoles, "tty1", 4);
	else if (list)
		add_terminal(in, list, strlen(list));
}

void inspect_login(struct tree *t, struct inspection *in)
{
	_cleanup_free_ char *inittab = NULL;

	if (in->init == INIT_SYSTEMD) {
		(void)tree_list(t, "/etc/systemd/system/getty.target.wants", saw_unit, in);
		return;
	}
	inittab = tree_text(t, "/etc/inittab", NULL);
	if (inittab)
		read_inittab(in, inittab);
	if (in->init == INIT_UPSTART) {
		inspect_each(t, "/etc/init", ".conf", read_job, in);
		read_active_consoles(t, in);
	}
}
