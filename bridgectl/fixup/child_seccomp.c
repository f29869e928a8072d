/*
 * Two filters of system calls (seccomp(2)), one upon the other: the stricter answer counts. Both
 * kill the process for whatever they do not name. Reading, memory, the time, one way out: that is
 * the list; memory is never made executable.
 */
#include <errno.h>
#include <linux/fs.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bridgectl/fixup/child.h"
#include "common/util.h"

struct child_filters {
	scmp_filter_ctx probing, strict;
};

static const char *const allowed[] = {
	"read",
	"readv",
	"pread64",
	"preadv",
	"write",
	"writev",
	"lseek",
	"_llseek",
	"close",
	"fstat",
	"fstat64",
	"newfstatat",
	"statx",
	"munmap",
	"mremap",
	"brk",
	"madvise",
	"futex",
	"exit",
	"exit_group",
	"clock_gettime",
	"clock_gettime64",
	"gettimeofday",
	"time",
	"getrandom",
	"rt_sigreturn",
	"sigreturn",
	"sched_yield",
	"restart_syscall",
#if defined(__SANITIZE_ADDRESS__)
	"sigaltstack",
	"rt_sigaction",
	"rt_sigprocmask",
	"getpid",
	"gettid",
#endif
};

/* Of CHILD_READS, whose root directory has nothing but the guest's files. */
static const char *const of_files[] = { "openat2", "getdents64", "readlinkat", "fcntl", "fcntl64" };

/* What libblkid tries and can do without. */
static const struct {
	const char *name;
	int error;
} probing[] = {
	{ "open", EACCES },	{ "openat", EACCES },	  { "openat2", EACCES },
	{ "access", EACCES },	{ "faccessat", EACCES },  { "faccessat2", EACCES },
	{ "readlink", EACCES }, { "readlinkat", EACCES }, { "stat", EACCES },
	{ "lstat", EACCES },	{ "getcwd", EACCES },	  { "fcntl", EINVAL },
	{ "fcntl64", EINVAL },	{ "fadvise64", EINVAL },  { "getpid", EPERM },
	{ "sysinfo", EPERM },
};

/* Memory, but none that can be run. */
static int add_memory(scmp_filter_ctx f)
{
	static const char *const names[] = { "mmap", "mmap2", "mprotect" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		int call = seccomp_syscall_resolve_name(names[i]);
		int r = seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1,
					 SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

		if (r < 0)
			return r;
	}
	return 0;
}

static int allow(scmp_filter_ctx f, const char *const *names, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		int call = seccomp_syscall_resolve_name(names[i]);

		if (call != __NR_SCMP_ERROR)
			r = seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 0);
	}
	return r;
}

static scmp_filter_ctx new_filter(bool files)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = f ? seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) : -ENOMEM;

	if (r == 0)
		r = allow(f, allowed, ARRAY_SIZE(allowed));
	if (r == 0 && files)
		r = allow(f, of_files, ARRAY_SIZE(of_files));
	if (r == 0)
		r = add_memory(f);
	if (r == 0)
		return f;
	if (f)
		seccomp_release(f);
	return NULL;
}

/* The size of a block device may be asked for; no other ioctl does anything. */
static int add_ioctl(scmp_filter_ctx f)
{
	int call = seccomp_syscall_resolve_name("ioctl");
	int r = seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1, SCMP_A1(SCMP_CMP_EQ, BLKGETSIZE64));

	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOTTY), call, 1,
				     SCMP_A1(SCMP_CMP_NE, BLKGETSIZE64));
	return r;
}

static bool is_of_files(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(of_files); i++)
		if (strcmp(of_files[i], name) == 0)
			return true;
	return false;
}

static int add_probing(scmp_filter_ctx f, bool files)
{
	int r = add_ioctl(f);

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(probing); i++) {
		int call = seccomp_syscall_resolve_name(probing[i].name);

		if (call != __NR_SCMP_ERROR && !(files && is_of_files(probing[i].name)))
			r = seccomp_rule_add(f, SCMP_ACT_ERRNO((uint32_t)probing[i].error), call,
					     0);
	}
	/* For the second filter. */
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name("seccomp"), 0);
	if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ALLOW, seccomp_syscall_resolve_name("prctl"), 0);
	return r;
}

struct child_filters *child_filters_new(enum child_rights rights)
{
	struct child_filters *f = calloc(1, sizeof(*f));
	bool files = rights == CHILD_READS;

	if (!f)
		return NULL;
	f->probing = new_filter(files);
	f->strict = new_filter(files);
	if (!f->probing || !f->strict || add_probing(f->probing, files) < 0)
		return NULL;
	return f;
}

int child_filters_probing(struct child_filters *f)
{
	return seccomp_load(f->probing);
}

int child_filters_strict(struct child_filters *f)
{
	return seccomp_load(f->strict);
}
