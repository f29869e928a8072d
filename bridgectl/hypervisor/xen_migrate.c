/*
 * A running guest to another Xen host. The tool does it, with the terminal for its own words: xl
 * starts `ssh HOST xl migrate-receive` and sends the memory through it, xm asks xend, which speaks
 * to the other xend. Disks must be there already, on storage that both have. We look before and
 * after.
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "bridgectl/hypervisor/xen_private.h"

extern char **environ;

/* xl puts the host into a line for the shell. */
static bool host_is_plain(const char *host)
{
	if (!*host || *host == '-')
		return false;
	for (; *host; host++)
		if (!isalnum((unsigned char)*host) && !strchr("._:@%-", *host))
			return false;
	return true;
}

static int check(const struct xen *x, const char *domain, const struct hyper_target *to, char *err)
{
	if (to->uri)
		return hyper_fail(err, -EINVAL, "%s: %s cannot go to a libvirt (--to-uri)", domain,
				  x->tool);
	if (!host_is_plain(to->host))
		return hyper_fail(err, -EINVAL, "%s: \"%.60s\" is no name of a host", domain,
				  to->host);
	if (to->copy_disks)
		return hyper_fail(err, -EOPNOTSUPP,
				  "%s: %s copies no disks: both hosts must have them; without "
				  "that, copy them with `bridgectl disk copy --warm` and start it "
				  "there",
				  domain, x->tool);
	if (to->rate_mib || to->downtime_ms)
		return hyper_fail(err, -EOPNOTSUPP, "%s: %s has neither --rate nor --max-downtime",
				  domain, x->tool);
	if (to->ssh && x->is_xm)
		return hyper_fail(err, -EOPNOTSUPP,
				  "%s: xm does not use ssh, but asks xend on the other host",
				  domain);
	return 0;
}

/* Its end, or ours: then it is told, once, as Ctrl-C would. The exit code; -EINTR: by a signal. */
static int await(pid_t pid, const struct hyper_wait *w)
{
	bool told = false;
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
		if (!told && w->stop && *w->stop) {
			kill(pid, SIGINT);
			told = true;
		}
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

static int run(const struct xen *x, const char *id, const struct hyper_target *to,
	       const struct hyper_wait *w)
{
	const char *xl[] = { x->tool, "migrate", id, to->host, NULL };
	const char *xl_ssh[] = { x->tool, "migrate", "-s", to->ssh, id, to->host, NULL };
	const char *xm[] = { x->tool, "migrate", "--live", id, to->host, NULL };
	const char **argv = x->is_xm ? xm : to->ssh ? xl_ssh : xl;
	pid_t pid;
	int r;

	fflush(NULL);
	r = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);
	return r ? -r : await(pid, w);
}

static const char *name_of(const struct hyper_list *l, int id, enum hyper_state *ret_state)
{
	for (unsigned i = 0; i < l->n; i++)
		if (l->v[i].id == id) {
			*ret_state = l->v[i].state;
			return l->v[i].name;
		}
	return NULL;
}

/*
 * How a migration that failed has left it here. In its last second xl suspends the guest, renames
 * it to NAME--migratedaway and lets the other side start it (xl_migrate.c of Xen).
 */
static int tell_failed(struct xen *x, const char *domain, int id, const char *host, int code,
		       char *err)
{
	struct hyper_list l = { 0 };
	enum hyper_state state = HYPER_OFF;
	bool known = xen_table(x, &l, err) == 0;
	const char *name = name_of(&l, id, &state);
	int r = code == -EINTR ? -EINTR : -EIO;

	if (x->is_xm && code == -EINTR)
		hyper_fail(err, r, "%s: not waited for any more; xend goes on with it", domain);
	else if (!known)
		hyper_fail(err, r, "%s: the migration failed, and %s does not answer", domain,
			   x->tool);
	else if (name && !strcmp(name, domain) && state == HYPER_RUNNING)
		hyper_fail(err, r, "%s: the migration %s; it still runs here", domain,
			   code == -EINTR ? "was stopped" : "failed");
	else if (name)
		hyper_fail(err, r,
			   "%s: the migration failed in its last step: here it is \"%s\", %s; "
			   "look at `%s list` on %s, too, before one of them is resumed or "
			   "destroyed: two at once would ruin its disks",
			   domain, name, hyper_state_name(state), x->tool, host);
	else
		hyper_fail(err, r,
			   "%s: %s reported a failure, and it is gone from here: look on %s",
			   domain, x->tool, host);
	hyper_list_fini(&l);
	return r;
}

static void tell_begin(const struct xen *x, const struct hyper_wait *w)
{
	if (!w->progress)
		return;
	w->progress(w->arg,
		    x->is_xm ? "xend migrates it; Ctrl-C ends only our waiting" :
			       "xl migrates it; Ctrl-C ends xl: while memory is copied the guest "
			       "stays here, in the last second it may be left suspended",
		    HYPER_UNKNOWN);
}

int xen_migrate(struct hyper *h, const char *domain, const struct hyper_target *to,
		const struct hyper_wait *w, char *err)
{
	struct xen *x = container_of(h, struct xen, base);
	int id, r = check(x, domain, to, err);
	enum hyper_state state;
	char text[16];

	if (r == 0)
		r = xen_running(x, domain, &id, &state, err);
	if (r < 0)
		return r;
	if (w->stop && *w->stop)
		return hyper_fail(err, -EINTR, "%s: not migrated: stopped before it began", domain);
	tell_begin(x, w);
	r = run(x, xen_id(id, text), to, w);
	if (r < 0 && r != -EINTR)
		return hyper_fail(err, r, "%s: cannot run %s: %s", domain, x->tool, strerror(-r));
	return r ? tell_failed(x, domain, id, to->host, r, err) : 0;
}
