/* Which distribution it is, and what it runs: init, udev, acpid, SELinux, LVM. */
#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#include "bridgectl/domain/mem.h"
#include "bridgectl/fixup/inspect_private.h"

/* Words of ID and ID_LIKE in os-release(5). */
static const struct {
	const char *id;
	enum distro_family family;
} families[] = {
	{ "debian", FAMILY_DEBIAN },	  { "ubuntu", FAMILY_DEBIAN },
	{ "devuan", FAMILY_DEBIAN },	  { "raspbian", FAMILY_DEBIAN },
	{ "rhel", FAMILY_REDHAT },	  { "centos", FAMILY_REDHAT },
	{ "fedora", FAMILY_REDHAT },	  { "rocky", FAMILY_REDHAT },
	{ "almalinux", FAMILY_REDHAT },	  { "ol", FAMILY_REDHAT },
	{ "scientific", FAMILY_REDHAT },  { "amzn", FAMILY_REDHAT },
	{ "suse", FAMILY_SUSE },	  { "opensuse", FAMILY_SUSE },
	{ "sles", FAMILY_SUSE },	  { "sled", FAMILY_SUSE },
	{ "opensuse-leap", FAMILY_SUSE }, { "opensuse-tumbleweed", FAMILY_SUSE },
};

static enum distro_family family_of(const char *words)
{
	for (const char *s = words; s && *s; s += strspn(s, " ")) {
		size_t len = strcspn(s, " ");

		for (size_t i = 0; i < ARRAY_SIZE(families); i++)
			if (strlen(families[i].id) == len && !strncmp(families[i].id, s, len))
				return families[i].family;
		s += len;
	}
	return FAMILY_UNKNOWN;
}

static bool from_os_release(struct tree *t, struct inspection *in)
{
	static const char *const paths[] = { "/etc/os-release", "/usr/lib/os-release" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		_cleanup_free_ char *text = tree_text(t, paths[i], NULL);
		_cleanup_free_ char *id = inspect_value(text, "ID");
		_cleanup_free_ char *like = inspect_value(text, "ID_LIKE");

		if (!text || !id)
			continue;
		in->family = family_of(id);
		if (in->family == FAMILY_UNKNOWN)
			in->family = family_of(like);
		in->id = steal(id);
		in->version = inspect_value(text, "VERSION_ID");
		in->pretty = inspect_value(text, "PRETTY_NAME");
		return true;
	}
	return false;
}

/* "CentOS release 6.10 (Final)", "SUSE Linux Enterprise Server 11 (x86_64)" */
static const struct {
	const char *begins, *id;
} releases[] = {
	{ "Red Hat", "rhel" },
	{ "CentOS", "centos" },
	{ "Fedora", "fedora" },
	{ "Scientific", "scientific" },
	{ "Oracle", "ol" },
	{ "Rocky", "rocky" },
	{ "SUSE Linux Enterprise", "sles" },
	{ "SUSE", "suse" },
	{ "openSUSE", "opensuse" },
};

static void from_release_line(struct inspection *in, const char *line)
{
	const char *number = line;

	in->pretty = mem_strdup(line);
	for (size_t i = 0; i < ARRAY_SIZE(releases) && !in->id; i++)
		if (strncasecmp(line, releases[i].begins, strlen(releases[i].begins)) == 0)
			in->id = mem_strdup(releases[i].id);
	while (*number && !(isdigit((unsigned char)*number) && number > line && number[-1] == ' '))
		number++;
	if (*number)
		in->version = mem_strndup(number, strspn(number, "0123456789."));
}

/* VERSION = 11, PATCHLEVEL = 4: blanks around the sign, unlike elsewhere. */
static void suse_version(struct inspection *in, const char *text)
{
	const char *v = strstr(text, "\nVERSION = "), *p = strstr(text, "\nPATCHLEVEL = ");
	char both[64];

	if (!v)
		return;
	v += strlen("\nVERSION = ");
	free(in->version);
	in->version = mem_strndup(v, MIN(strspn(v, "0123456789."), (size_t)20));
	if (!p)
		return;
	p += strlen("\nPATCHLEVEL = ");
	snprintf(both, sizeof(both), "%s.%.*s", in->version,
		 (int)MIN(strspn(p, "0123456789"), (size_t)20), p);
	free(in->version);
	in->version = mem_strdup(both);
}

/* What there was before os-release. */
static void from_old_files(struct tree *t, struct inspection *in)
{
	_cleanup_free_ char *redhat = inspect_line(t, "/etc/redhat-release");
	_cleanup_free_ char *suse = inspect_line(t, "/etc/SuSE-release");
	_cleanup_free_ char *debian = inspect_line(t, "/etc/debian_version");

	if (redhat) {
		in->family = FAMILY_REDHAT;
		from_release_line(in, redhat);
	} else if (suse) {
		_cleanup_free_ char *text = tree_text(t, "/etc/SuSE-release", NULL);

		in->family = FAMILY_SUSE;
		from_release_line(in, suse);
		suse_version(in, text ? text : "");
	} else if (debian) {
		_cleanup_free_ char *pretty = NULL;

		in->family = FAMILY_DEBIAN;
		in->id = mem_strdup("debian");
		if (asprintf(&pretty, "Debian GNU/Linux %s", debian) > 0)
			in->pretty = steal(pretty);
		in->version = mem_strdup(debian);
	}
}

static void read_hostname(struct tree *t, struct inspection *in)
{
	in->hostname = inspect_line(t, "/etc/hostname");
	if (!in->hostname)
		in->hostname = inspect_line(t, "/etc/HOSTNAME");
	if (!in->hostname)
		in->hostname = inspect_file_value(t, "/etc/sysconfig/network", "HOSTNAME");
}

/* /sbin/init is a link to systemd, or a program of its own. */
static enum init_system read_init(struct tree *t)
{
	char to[TREE_PATH_MAX];

	if (tree_resolve(t, "/sbin/init", to) == 0 && inspect_ends(to, "/systemd"))
		return INIT_SYSTEMD;
	if (tree_is_file(t, "/sbin/openrc-init") || tree_is_file(t, "/sbin/openrc"))
		return INIT_OPENRC;
	if (tree_is_file(t, "/sbin/initctl") && tree_is_dir(t, "/etc/init"))
		return INIT_UPSTART;
	if (tree_is_file(t, "/etc/inittab"))
		return INIT_SYSV;
	if (tree_is_file(t, "/lib/systemd/systemd") || tree_is_file(t, "/usr/lib/systemd/systemd"))
		return INIT_SYSTEMD;
	return INIT_UNKNOWN;
}

static bool is_logical(const char *device, size_t len)
{
	static const char mapper[] = "/dev/mapper/";
	static const char *const others[] = { "disk/", "mapper/", "md/", "cciss/" };
	const char *name = device + strlen("/dev/");

	if (len > strlen(mapper) && inspect_begins(device, mapper))
		return memchr(device + strlen(mapper), '-', len - strlen(mapper)) != NULL;
	if (len <= strlen("/dev/") || !inspect_begins(device, "/dev/") ||
	    !memchr(name, '/', len - strlen("/dev/")))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (inspect_begins(name, others[i]))
			return false;
	return true;
}

static bool saw_name(void *arg, const char *name)
{
	(void)name;
	*(bool *)arg = true;
	return false;
}

/* A logical volume in the fstab, or what LVM saves whenever it changes a group. */
static bool uses_lvm(struct tree *t)
{
	_cleanup_free_ char *fstab = tree_text(t, "/etc/fstab", NULL);
	bool saved = false;

	for (const char *s = fstab; s && *s; s += strcspn(s, "\n"), s += *s == '\n') {
		s += strspn(s, " \t");
		if (is_logical(s, strcspn(s, " \t\n")))
			return true;
	}
	(void)tree_list(t, "/etc/lvm/backup", saw_name, &saved);
	return saved;
}

static void read_selinux(struct tree *t, struct inspection *in)
{
	_cleanup_free_ char *mode = inspect_file_value(t, "/etc/selinux/config", "SELINUX");

	in->selinux = mode && strcasecmp(mode, "disabled") != 0;
	if (in->selinux)
		inspect_note(in,
			     "SELinux is %.20s: a file that is made anew has no label until "
			     "the guest relabels it (/.autorelabel)",
			     mode);
}

void inspect_distro(struct tree *t, struct inspection *in)
{
	static const char *const udev[] = { "/sbin/udevd",
					    "/lib/udev/udevd",
					    "/lib/systemd/systemd-udevd",
					    "/usr/lib/systemd/systemd-udevd",
					    "/usr/sbin/udevd",
					    "/usr/bin/udevadm",
					    NULL };
	static const char *const acpid[] = { "/usr/sbin/acpid", "/sbin/acpid", NULL };
	char lib[TREE_PATH_MAX];

	if (!from_os_release(t, in))
		from_old_files(t, in);
	if (in->family == FAMILY_UNKNOWN)
		inspect_note(in, "the distribution is not known");
	read_hostname(t, in);
	in->init = read_init(t);
	in->udev = inspect_any(t, udev);
	in->acpid = inspect_any(t, acpid);
	in->lvm = uses_lvm(t);
	in->merged_usr = tree_resolve(t, "/lib", lib) == 0 && strcmp(lib, "/usr/lib") == 0;
	read_selinux(t, in);
}
