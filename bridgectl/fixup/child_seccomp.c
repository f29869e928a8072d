/*
 * Two filters of system calls (seccomp(2)), one upon the other: the stricter answer counts. Both
 * kill the process for whatever they do not name. Reading, memory, the time, one way out: that is
 * the list; memory is never made executable.
 */
#include <errno.h>
#include <linux/fs.h>
#include <seccomp.h>
#include <stdlib.h>
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

static scmp_filter_ctx new_filter(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r = f ? seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(allowed); i++) {
		int call = seccomp_syscall_resolve_name(allowed[i]);

		if (call != __NR_SCMP_ERROR)
			r = seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 0);
	}
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

static int add_probing(scmp_filter_ctx f)
{
	int r = add_ioctl(f);

	for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(probing); i++) {
		int call = seccomp_syscall_resolve_name(probing[i].name);

		if (call != __NR_SCMP_ERROR)
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

struct child_filters *child_filters_new(void)
{
	struct child_filters *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->probing = new_filter();
	f->strict = new_filter();
	if (!f->probing || !f->strict || add_probing(f->probing) < 0)
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
