/*
 * Capabilities (capabilities(7)) by libcap-ng. The order matters: the bounding set can be
 * cleared and the user changed only while CAP_SETPCAP, CAP_SETUID and CAP_SETGID are there, and
 * after a change of user the capabilities are to be kept by hand. capng_change_id() knows it.
 *
 * The two stay in the inheritable set, which by itself gives a child nothing, because after the
 * bounding set is gone they could not be put there again, and without them
 * there is no executing oneself anew.
 */
#include "l2tund/kernel/privileges.h"

#include <cap-ng.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define KEPT CAP_NET_ADMIN, CAP_NET_RAW

static int missing(char *err, size_t size)
{
	snprintf(err, size,
		 "CAP_NET_ADMIN and CAP_NET_RAW are needed; start as root, or give both "
		 "to the service");
	return -EPERM;
}

static void wish(void)
{
	capng_clear(CAPNG_SELECT_BOTH);
	capng_updatev(CAPNG_ADD,
		      (capng_type_t)(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE), KEPT,
		      -1);
}

/* While the bounding set still allows it. */
static int make_inheritable(void)
{
	capng_updatev(CAPNG_ADD, CAPNG_INHERITABLE, KEPT, -1);
	return capng_apply(CAPNG_SELECT_CAPS);
}

static int keep_only(char *err, size_t size)
{
	/* Without CAP_SETPCAP the bounding set stays; with no_new_privs it is not of much use. */
	capng_select_t what = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ?
				      CAPNG_SELECT_BOTH :
				      CAPNG_SELECT_CAPS;

	if (make_inheritable() == 0) {
		wish();
		if (capng_apply(what) == 0)
			return 0;
	}
	snprintf(err, size, "cannot give up capabilities: %s", strerror(errno));
	return -EPERM;
}

static int become(const struct passwd *pw, char *err, size_t size)
{
	capng_flags_t flags = (capng_flags_t)(CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING);
	int r;

	wish();
	r = capng_change_id((int)pw->pw_uid, (int)pw->pw_gid, flags);
	if (r == 0)
		return 0;
	snprintf(err, size, "cannot become user %s (step %d): %s", pw->pw_name, -r,
		 strerror(errno));
	return -EPERM;
}

static int change_user(const char *user, char *err, size_t size)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (!pw) {
		snprintf(err, size, "there is no user %s; create it or leave `user` out", user);
		return -ENOENT;
	}
	if (pw->pw_uid == geteuid() && pw->pw_uid == getuid())
		return keep_only(err, size);
	return become(pw, err, size);
}

int privileges_drop(const char *user, char *err, size_t size)
{
	int r;

	if (capng_get_caps_process() < 0 ||
	    !capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_ADMIN) ||
	    !capng_have_capability(CAPNG_EFFECTIVE, CAP_NET_RAW))
		return missing(err, size);
	r = user ? change_user(user, err, size) : keep_only(err, size);
	if (r < 0)
		return r;
	/* What a service manager handed on for us is not for our children. */
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		r = -errno;
		snprintf(err, size, "no_new_privs: %s", strerror(-r));
	}
	return r;
}

uid_t privileges_uid(const char *user)
{
	const struct passwd *pw = user ? getpwnam(user) : NULL;

	return pw ? pw->pw_uid : geteuid();
}

int privileges_keep_over_exec(void)
{
	static const int caps[] = { KEPT };

	for (unsigned i = 0; i < sizeof(caps) / sizeof(caps[0]); i++) {
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, caps[i], 0, 0) < 0)
			return -errno;
	}
	return 0;
}
