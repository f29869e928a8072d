/*
 * `bridgectl domain start DOMAIN --rescue` and `bridgectl domain finish DOMAIN`.
 *
 * Kernel and initramfs are copied out of the guest's disk into a folder of the domain's name, and
 * its definition gets them, with a command line that fits KVM. The definition as it was is kept
 * beside them, for people: `finish` takes away just what was put in, since others may have changed
 * the rest meanwhile. Whether a definition is one of ours is told by the path of its kernel.
 */
#include "bridgectl/cmd/domain_rescue.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/cmd/domain_hyper.h"
#include "bridgectl/domain/mem.h"
#include "bridgectl/domain/xml_boot.h"
#include "bridgectl/fixup/fixup.h"
#include "bridgectl/hypervisor/libvirt.h"

#define BOOT_DIR "/var/lib/bridgectl/boot"
#define NEW_KERNEL "kernel.new" /* until it is whole */
#define NEW_INITRD "initrd.new"
#define FORMER "former.xml"
#define CMDLINE_MAX 1024
#define BOOT_CODE_BYTES 440 /* of sector 0 */

/* One domain and its folder. */
struct rescue {
	struct hyper *h;
	const char *domain;
	char dir[PATH_MAX - 32];
	char *text;		    /* its definition, for its next start */
	struct xml_boot boot;	    /* what that says now */
	struct fixup_kernel kernel; /* that was put in */
};

static void rescue_fini(struct rescue *r)
{
	free(r->text);
	xml_boot_fini(&r->boot);
}

static char *path_in(const struct rescue *r, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", r->dir, name);
	return mem_strdup(path);
}

/* --- Before anything is done --- */

static bool is_ours(const struct rescue *r)
{
	size_t len = strlen(r->dir);

	return r->boot.kernel && !strncmp(r->boot.kernel, r->dir, len) &&
	       r->boot.kernel[len] == '/';
}

static bool read_dir(const struct cmd_call *call, struct rescue *r)
{
	const char *given = cmd_option(call, "--state-dir");
	const char *base = given ? given : BOOT_DIR;
	int n;

	if (*base != '/') {
		cmd_error("--state-dir takes a path from / on, since libvirt is told of it");
		return false;
	}
	if (strchr(r->domain, '/') || *r->domain == '.') {
		cmd_error("%s: not the name of a domain of libvirt", r->domain);
		return false;
	}
	n = snprintf(r->dir, sizeof(r->dir), "%s/%s", base, r->domain);
	if (n > 0 && (size_t)n < sizeof(r->dir))
		return true;
	cmd_error("%s: the name is too long", r->domain);
	return false;
}

/* False: told. */
static bool rescue_init(const struct cmd_call *call, struct hyper *h, const char *domain,
			struct rescue *r)
{
	char err[HYPER_ERRLEN];

	*r = (struct rescue){ .h = h, .domain = domain };
	if (strcmp(h->ops->name, "libvirt") != 0) {
		cmd_error("%s: a kernel from outside of the disk is for domains of libvirt; Xen's "
			  "have it in their configuration (kernel, ramdisk)",
			  domain);
		return false;
	}
	if (!libvirt_is_here(h)) {
		cmd_error("%s: its disks are not on this host: run this there, with --host",
			  domain);
		return false;
	}
	if (!read_dir(call, r))
		return false;
	if (libvirt_dump_whole(h, domain, &r->text, err) < 0) {
		cmd_error("%s", err);
		return false;
	}
	xml_boot_read(r->text, &r->boot);
	return true;
}

static enum hyper_state state_of(const struct rescue *r)
{
	enum hyper_state state = HYPER_OFF;
	struct hyper_list l = { 0 };
	char err[HYPER_ERRLEN];

	if (r->h->ops->list(r->h, &l, err) == 0) {
		const struct hyper_domain *d = hyper_find(&l, r->domain);

		state = d ? d->state : HYPER_OFF;
		hyper_list_fini(&l);
	}
	return state;
}

static bool may_rescue(const struct rescue *r)
{
	if (state_of(r) != HYPER_OFF) {
		cmd_error("%s: it runs; stop it first: a kernel counts from its next start on",
			  r->domain);
		return false;
	}
	if (!r->boot.kernel || is_ours(r))
		return true;
	cmd_error("%s: its definition has a kernel of its own, %s; take that out first (virsh "
		  "edit)",
		  r->domain, r->boot.kernel);
	return false;
}

/* --- The files --- */

/* QEMU's user has to come through; the files themselves are given to it by libvirt. */
static void tell_if_closed(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && !(st.st_mode & S_IXOTH))
		cmd_error("warning: %s is closed to other users: where QEMU runs as one of them, "
			  "it cannot read the kernel that is put below it (chmod o+x %s)",
			  path, path);
}

/* Whatever the umask is. */
static bool make_folder(const struct rescue *r)
{
	char path[PATH_MAX];

	for (size_t i = 1; i <= strlen(r->dir); i++) {
		if (r->dir[i] && r->dir[i] != '/')
			continue;
		snprintf(path, sizeof(path), "%.*s", (int)i, r->dir);
		if (mkdir(path, 0711) == 0 ? chmod(path, 0711) == 0 : errno == EEXIST) {
			tell_if_closed(path);
			continue;
		}
		cmd_error("%s: %s", path, strerror(errno));
		return false;
	}
	return true;
}

/* A new file in place of an older one; its path in *ret_path. -1: told. */
static int new_file(const struct rescue *r, const char *name, char **ret_path)
{
	char *path = path_in(r, name);
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		cmd_error("%s: %s", path, strerror(errno));
		free(path);
		return -1;
	}
	*ret_path = path;
	return fd;
}

/* What is whole takes the place of "kernel" or "initrd". Its path, or NULL: told. */
static char *settle(const struct rescue *r, int fd, const char *from, const char *name)
{
	char *path = path_in(r, name);

	if (fsync(fd) == 0 && rename(from, path) == 0)
		return path;
	cmd_error("%s: %s", path, strerror(errno));
	free(path);
	return NULL;
}

static bool has(const struct rescue *r, const char *name)
{
	_cleanup_free_ char *path = path_in(r, name);

	return access(path, F_OK) == 0;
}

/*
 * The definition as it was before the first rescue. It is there before the kernel is, so a kernel
 * alone is somebody else's, as where --state-dir is a folder of other boot files.
 */
static bool keep_former(const struct rescue *r)
{
	_cleanup_free_ char *path = NULL;
	ssize_t len = (ssize_t)strlen(r->text);
	bool ok;
	int fd;

	if (is_ours(r))
		return true;
	if (!has(r, FORMER) && (has(r, "kernel") || has(r, "initrd"))) {
		cmd_error("%s: it has a kernel or initrd that is not of domain start --rescue; "
			  "give another --state-dir",
			  r->dir);
		return false;
	}
	fd = new_file(r, FORMER, &path);
	if (fd < 0)
		return false;
	ok = write(fd, r->text, (size_t)len) == len && fsync(fd) == 0;
	if (!ok)
		cmd_error("%s: %s", path, strerror(errno));
	close(fd);
	return ok;
}

/* A kernel of an earlier time stays until the new one is whole: the definition may have it. */
static bool extract(const struct cmd_call *call, const struct rescue *r, struct xml_boot *b,
		    struct fixup_kernel *ret)
{
	_cleanup_free_ char *kernel_path = NULL, *initrd_path = NULL;
	_cleanup_close_ int kernel = -1, initrd = -1;
	struct fixup_options o = { .trust_guest = cmd_option(call, "--trust-guest") };
	struct xml_raw_disks disks;
	char err[FIXUP_ERRLEN];
	int n = -1;

	xml_raw_disks(r->text, &disks);
	for (o.n_disks = 0; o.n_disks < disks.n; o.n_disks++) {
		o.disks[o.n_disks] = disks.path[o.n_disks];
		o.letters[o.n_disks] = disks.letter[o.n_disks];
	}
	kernel = new_file(r, NEW_KERNEL, &kernel_path);
	initrd = kernel < 0 ? -1 : new_file(r, NEW_INITRD, &initrd_path);
	if (!disks.n)
		cmd_error("%s: it has no raw disk to take a kernel from", r->domain);
	else if (initrd >= 0)
		n = fixup_extract_kernel(&o, NULL, kernel, initrd, ret, err);
	if (disks.n && initrd >= 0 && n < 0)
		cmd_error("%s: %s", r->domain, err);
	xml_raw_disks_fini(&disks);
	if (n == 0)
		b->kernel = settle(r, kernel, kernel_path, "kernel");
	if (b->kernel && ret->has_initrd)
		b->initrd = settle(r, initrd, initrd_path, "initrd");
	return b->kernel && (b->initrd || !ret->has_initrd);
}

/* --- The command line --- */

/* What is said anew, or spoke of Xen's consoles. */
static bool is_kept(const char *word, size_t len)
{
	static const char *const gone[] = {
		"root=",	"console=", "init=",  "BOOT_IMAGE=", "xencons=",
		"earlyprintk=", "quiet",    "splash", "ro",	     "rw"
	};

	for (unsigned i = 0; i < ARRAY_SIZE(gone); i++) {
		size_t n = strlen(gone[i]);

		if (gone[i][n - 1] == '=' ? len >= n && !strncmp(word, gone[i], n) :
					    len == n && !strncmp(word, gone[i], n))
			return false;
	}
	return true;
}

/* The guest's own words, as net.ifnames=0 and rd.lvm.lv=…, and ours. */
static char *cmdline_of(const struct fixup_kernel *k, bool shell)
{
	char line[CMDLINE_MAX];
	size_t len = (size_t)snprintf(line, sizeof(line), "root=%s ro", k->root), n;

	for (const char *s = k->cmdline; *s; s += n + strspn(s + n, " ")) {
		n = strcspn(s, " ");
		if (n && is_kept(s, n) && len + n + 128 < sizeof(line))
			len += (size_t)snprintf(line + len, sizeof(line) - len, " %.*s", (int)n, s);
	}
	snprintf(line + len, sizeof(line) - len, " console=tty0 console=ttyS0,115200%s",
		 shell ? " init=/bin/sh" : "");
	return mem_strdup(line);
}

/* --- start --rescue --- */

static bool define(const struct rescue *r, const char *text)
{
	char err[HYPER_ERRLEN];

	if (r->h->ops->define(r->h, text, true, err) == 0)
		return true;
	cmd_error("%s", err);
	return false;
}

static bool define_boot(const struct rescue *r, const struct xml_boot *b)
{
	_cleanup_free_ char *text = xml_with_boot(r->text, b);

	return define(r, text);
}

static void drop(const struct rescue *r, const char *const names[], unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		_cleanup_free_ char *path = path_in(r, names[i]);

		unlink(path);
	}
}

static void drop_new(const struct rescue *r)
{
	static const char *const names[] = { NEW_KERNEL, NEW_INITRD };

	drop(r, names, ARRAY_SIZE(names));
}

static void drop_files(const struct rescue *r)
{
	static const char *const names[] = { "kernel", "initrd", FORMER };

	drop_new(r);
	if (has(r, FORMER))
		drop(r, names, ARRAY_SIZE(names));
	rmdir(r->dir);
}

static bool make(const struct cmd_call *call, struct rescue *r)
{
	struct xml_boot b = { 0 };
	bool ok = make_folder(r) && keep_former(r) && extract(call, r, &b, &r->kernel);

	if (ok)
		b.cmdline = cmdline_of(&r->kernel, cmd_option(call, "--shell") != NULL);
	drop_new(r);
	ok = ok && define_boot(r, &b);
	if (!ok && !is_ours(r))
		drop_files(r);
	xml_boot_fini(&b);
	return ok;
}

static void rescue_free(struct rescue *r)
{
	if (r)
		rescue_fini(r);
	free(r);
}

bool rescue_make(const struct cmd_call *call, struct hyper *h, const char *domain,
		 struct rescue **ret)
{
	struct rescue *r;

	*ret = NULL;
	if (!cmd_option(call, "--rescue"))
		return true;
	r = mem_new(sizeof(*r));
	if (rescue_init(call, h, domain, r) && may_rescue(r) && make(call, r)) {
		*ret = r;
		return true;
	}
	rescue_free(r);
	return false;
}

void rescue_settle(struct cmd_call *call, struct rescue *r)
{
	if (r && !call->json && !call->quiet)
		out_line(&call->out, STYLE_NONE,
			 "%s: with its kernel %s from outside of the disk, until domain finish",
			 r->domain, r->kernel.version);
	rescue_free(r);
}

/* A kernel of an earlier rescue is in the definition still, so its files stay. */
void rescue_take_back(struct rescue *r)
{
	if (r && !define(r, r->text)) {
		cmd_error("%s: so its definition still has the kernel from outside of the disk, "
			  "until domain finish",
			  r->domain);
	} else if (r) {
		if (!is_ours(r))
			drop_files(r);
		cmd_error("%s: its definition is again as it was before this start", r->domain);
	}
	rescue_free(r);
}

/* --- finish --- */

/* Whether the BIOS would find something on the first disk. True when that cannot be seen. */
static bool has_boot_code(const struct rescue *r)
{
	unsigned char code[BOOT_CODE_BYTES] = { 1 };
	struct xml_raw_disks disks;
	unsigned first = 0;

	xml_raw_disks(r->text, &disks);
	for (unsigned i = 1; i < disks.n; i++)
		if (disks.letter[i] < disks.letter[first])
			first = i;
	if (disks.n) {
		int fd = open(disks.path[first], O_RDONLY | O_CLOEXEC);

		if (fd < 0 || pread(fd, code, sizeof(code), 0) != (ssize_t)sizeof(code))
			code[0] = 1;
		cleanup_close(&fd);
	}
	xml_raw_disks_fini(&disks);
	return code[0] || memcmp(code, code + 1, sizeof(code) - 1) != 0;
}

static void answer(struct cmd_call *call, const struct rescue *r, bool done)
{
	bool running = state_of(r) != HYPER_OFF;

	if (call->json) {
		json_t *doc = json_pack("{s:s, s:b, s:b}", "name", r->domain, "finished", done,
					"running", running);

		out_json(&call->out, doc, false);
		json_decref(doc);
		return;
	}
	if (call->quiet)
		return;
	out_line(&call->out, STYLE_NONE,
		 !done	 ? "%s: nothing to do: it boots from its disk" :
		 running ? "%s: boots from its disk when it is started next; until it is stopped "
			   "it keeps its kernel" :
			   "%s: boots from its disk",
		 r->domain);
}

static enum exit_code finish(struct cmd_call *call, const struct rescue *r)
{
	if (r->boot.kernel && !is_ours(r)) {
		cmd_error("%s: its kernel, %s, is none that domain start --rescue has put into "
			  "%s: give its --state-dir, or change it by virsh edit",
			  r->domain, r->boot.kernel, r->dir);
		return EXIT_FAILED;
	}
	if (r->boot.kernel && !cmd_option(call, "--anyway") && !has_boot_code(r)) {
		cmd_error("%s: its disk has no boot record, so it would not boot; write one with "
			  "domain fixup --apply while it is off, or say --anyway",
			  r->domain);
		return EXIT_FAILED;
	}
	if (r->boot.kernel && !define_boot(r, NULL))
		return EXIT_FAILED;
	drop_files(r);
	answer(call, r, r->boot.kernel != NULL);
	return EXIT_DONE;
}

static enum exit_code finish_domain(struct cmd_call *call, struct hyper *h)
{
	enum exit_code code = EXIT_FAILED;
	struct rescue r;

	if (rescue_init(call, h, call->args[0], &r))
		code = finish(call, &r);
	rescue_fini(&r);
	return code;
}

enum exit_code cmd_domain_finish(struct cmd_call *call)
{
	return domain_do(call, false, finish_domain);
}
