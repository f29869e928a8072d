/*
 * The libvirt back-end: start, stop, autostart, console.
 *
 * Stopping asks the guest (ACPI, or its agent) and waits for libvirt's event; the watch stands
 * before the question is asked, so the answer cannot be missed. Force first lets QEMU write out
 * what it holds (GRACEFUL), and only a QEMU that does not end of itself is killed.
 */
#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/hypervisor/libvirt_private.h"

extern char **environ;

int lv_start(struct hyper *h, const char *domain, char *err)
{
	_cleanup_domain_ virDomainPtr d = NULL;
	int r = lv_find(lv_of(h), domain, &d, err);

	if (r)
		return r;
	if (virDomainIsActive(d) == 1)
		return hyper_fail(err, -EALREADY, "%s: it runs already", domain);
	return virDomainCreateWithFlags(d, 0) < 0 ? lv_fail(domain, "start", err) : 0;
}

/* --- Stop --- */

static int destroy(virDomainPtr d, const char *domain, char *err)
{
	if (virDomainDestroyFlags(d, VIR_DOMAIN_DESTROY_GRACEFUL) == 0 || virDomainIsActive(d) == 0)
		return 0;
	if (virDomainDestroyFlags(d, 0) == 0 || virDomainIsActive(d) == 0)
		return 0;
	return lv_fail(domain, "be stopped by force", err);
}

/* The domain is watched already. */
static int ask_and_wait(struct lv *lv, virDomainPtr d, const char *domain,
			const struct hyper_wait *w, char *err)
{
	int state = VIR_DOMAIN_NOSTATE, r;

	virDomainGetState(d, &state, NULL, 0);
	if (state == VIR_DOMAIN_PAUSED)
		return hyper_fail(err, -EBUSY,
				  "%s: it is paused and cannot shut down; `virsh resume` "
				  "it, or stop it with --force",
				  domain);
	if (state != VIR_DOMAIN_SHUTDOWN && virDomainShutdownFlags(d, 0) < 0)
		/* It may have ended before it was watched: no event would come. */
		return virDomainIsActive(d) == 0 ? 0 :
						   lv_fail(domain, "be asked to shut down", err);
	r = lv_watch_wait(lv, w->timeout_s, w);
	switch (r) {
	case -ETIMEDOUT:
		return hyper_fail(err, r,
				  "%s: it did not shut down within %u s; does the guest listen "
				  "to ACPI (acpid)? --force stops it anyway",
				  domain, w->timeout_s);
	case -EINTR:
		return hyper_fail(err, r,
				  "%s: no longer waited for; it was asked to shut down and may "
				  "still do so",
				  domain);
	case -EPIPE:
		return hyper_fail(err, r,
				  "%s: libvirt has hung up while the guest was shutting down",
				  domain);
	}
	return 0;
}

int lv_stop(struct hyper *h, const char *domain, const struct hyper_wait *w, char *err)
{
	struct lv *lv = lv_of(h);
	_cleanup_domain_ virDomainPtr d = NULL;
	int r = lv_find(lv, domain, &d, err), watch;

	if (r)
		return r;
	if (virDomainIsActive(d) == 0)
		return hyper_fail(err, -EALREADY, "%s: it is off already", domain);
	watch = lv_watch_begin(lv, d, err);
	if (watch < 0)
		return watch;
	r = ask_and_wait(lv, d, domain, w, err);
	lv_watch_end(lv, watch);
	/* Ctrl-C while it was asked: nothing is forced any more. */
	if (r && w->force && r != -EINTR && r != -EPIPE && !(w->stop && *w->stop))
		r = destroy(d, domain, err);
	return r;
}

/* --- Autostart --- */

int lv_autostart(struct hyper *h, const char *domain, bool on, char **ret_told, char *err)
{
	_cleanup_domain_ virDomainPtr d = NULL;
	int r = lv_find(lv_of(h), domain, &d, err);

	if (r)
		return r;
	if (virDomainSetAutostart(d, on) < 0)
		return lv_fail(domain,
			       on ? "be set to start with the host" :
				    "be kept from starting with the host",
			       err);
	*ret_told = mem_strdup(on ? "libvirt starts it when the host starts" :
				    "libvirt no longer starts it when the host starts; "
				    "libvirt-guests still does if it ran when the host went down "
				    "(ON_BOOT)");
	return 0;
}

/* --- Console --- */

static int run(const char *const argv[])
{
	pid_t pid;
	int status, r = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);

	if (r)
		return -r;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

/* virsh's own: it knows raw terminals, streams and Ctrl-]. A name of digits is a number to it. */
int lv_console(struct hyper *h, const char *domain, char *err)
{
	struct lv *lv = lv_of(h);
	char uuid[VIR_UUID_STRING_BUFLEN];
	const char *const argv[] = { "virsh", "-c", lv->uri, "console", uuid, NULL };
	_cleanup_domain_ virDomainPtr d = NULL;
	int r = lv_find(lv, domain, &d, err);

	if (r)
		return r;
	if (virDomainGetUUIDString(d, uuid) < 0)
		return lv_fail(domain, "be looked up", err);
	if (virDomainIsActive(d) == 0)
		return hyper_fail(err, -EALREADY,
				  "%s: it is off and has no console; start it first", domain);
	r = run(argv);
	if (r == -ENOENT)
		return hyper_fail(err, r,
				  "%s: its console is shown by virsh, which is not installed "
				  "(package libvirt-clients)",
				  domain);
	return r ? hyper_fail(err, r < 0 ? r : -EIO, "%s: virsh console ended with an error",
			      domain) :
		   0;
}
