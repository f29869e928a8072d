/*
 * Wrong targets are refused, each with its reason: what is mounted, swapped to, held, a running
 * guest's, another transfer's, the source itself, too small, not empty, a typing error. Loop
 * devices and mounts are made in a mount namespace of our own; without them these tests skip.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "bridgectl/disk/target.h"
#include "bridgectl/disk/target_private.h"
#include "common/proc.h"
#include "common/util.h"

#define MIB (UINT64_C(1) << 20)
#define DISK_BYTES (8 * MIB)

static char folder[64], disk[96], second[96];
static char err[TARGET_ERRLEN];
static struct target t;

/* Sees none of the loop devices and mounts of others. */
static int set_up_all(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/l2-target-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(disk, sizeof(disk), "%s/disk.img", folder);
	snprintf(second, sizeof(second), "%s/second.img", folder);
	if (unshare(CLONE_NEWNS) == 0)
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	return 0;
}

static int tear_down_all(void **state)
{
	(void)state;
	return rmdir(folder);
}

static void make_file(const char *path, uint64_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

static int set_up(void **state)
{
	(void)state;
	t.fd = -1;
	err[0] = '\0';
	make_file(disk, DISK_BYTES);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	target_close(&t);
	target_sys = "/sys";
	unlink(second);
	return unlink(disk);
}

static void write_at(const char *path, uint64_t at, const char *text)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_int_equal(pwrite(fd, text, strlen(text), (off_t)at), strlen(text));
	close(fd);
}

static void run(const char *const argv[])
{
	static const struct proc_limits limits = { .timeout_ms = 20000, .out_bytes = 1 << 20 };
	struct proc_result r;
	int e = proc_run(argv, &limits, NULL, 0, &r);

	if (e == -ENOENT) {
		print_message("SKIP: no %s\n", argv[0]);
		skip();
	}
	assert_int_equal(e, 0);
	if (r.exit_code)
		fail_msg("%s: %s", argv[0], r.err);
	proc_result_fini(&r);
}

#define RUN(...) run((const char *const[]){ __VA_ARGS__, NULL })

static int open_with(const char *path, const struct target_want *w)
{
	return target_open(path, w, &t, err);
}

static int open_plain(const char *path)
{
	return open_with(path, &(struct target_want){ 0 });
}

#define assert_says(words)                                           \
	do {                                                         \
		if (!strstr(err, (words)))                           \
			fail_msg("\"%s\" lacks \"%s\"", err, words); \
	} while (0)

/* --- Loop devices --- */

struct loop {
	int fd; /* closing it frees the device */
	char path[32];
};

/* No such thing here: the test is skipped. */
static struct loop loop_new(const char *file)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int backing = open(file, O_RDWR | O_CLOEXEC);
	struct loop_info64 info = { .lo_flags = LO_FLAGS_AUTOCLEAR };
	struct loop l = { .fd = -1 };

	/* Between the question and the answer another test may take the same. */
	for (unsigned tries = 0; control >= 0 && tries < 20 && l.fd < 0; tries++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);

		snprintf(l.path, sizeof(l.path), "/dev/loop%d", n);
		l.fd = n < 0 ? -1 : open(l.path, O_RDWR | O_CLOEXEC);
		if (l.fd >= 0 && ioctl(l.fd, LOOP_SET_FD, backing) < 0) {
			close(l.fd);
			l.fd = -1;
		}
	}
	if (control >= 0)
		close(control);
	close(backing);
	if (l.fd < 0) {
		print_message("SKIP: no loop devices for us here\n");
		skip();
	}
	assert_int_equal(ioctl(l.fd, LOOP_SET_STATUS64, &info), 0);
	return l;
}

/* --- What is taken --- */

static void free_file_is_taken_and_locked(void **state)
{
	int other;

	(void)state;
	assert_int_equal(open_plain(disk), 0);
	assert_int_equal(t.bytes, DISK_BYTES);
	assert_int_equal(t.kind, TARGET_FILE);
	assert_true(t.inode != 0);
	other = open(disk, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	close(other);
}

static void free_device_is_taken_exclusively(void **state)
{
	struct loop l = loop_new(disk);
	char exclusive[32];

	(void)state;
	/* Ours counts as a program's that writes, were it another process's. */
	assert_int_equal(open_plain(l.path), 0);
	assert_int_equal(t.kind, TARGET_BLOCK);
	assert_int_equal(t.bytes, DISK_BYTES);
	assert_int_equal(t.inode, 0);
	snprintf(exclusive, sizeof(exclusive), "%s", l.path);
	assert_int_equal(open(exclusive, O_RDWR | O_EXCL | O_CLOEXEC), -1);
	close(l.fd);
}

static void new_file_is_sparse_and_private(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(target_create(second, 1024 * MIB, true, &t, err), 0);
	assert_int_equal(fstat(t.fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 1024 * MIB);
	assert_true(st.st_blocks < 64);
	target_close(&t);
	assert_int_equal(target_create(second, MIB, true, &t, err), -EEXIST);
	assert_says("exists already");
	assert_int_equal(stat(second, &st), 0);
	assert_int_equal(st.st_size, 1024 * MIB);
}

static void new_file_needs_room(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(target_create(second, UINT64_C(1) << 60, false, &t, err), -ENOSPC);
	assert_says("are needed");
	assert_int_equal(stat(second, &st), -1);
}

/* --- What is refused --- */

static void typing_errors(void **state)
{
	char link[96];

	(void)state;
	assert_int_equal(open_plain("/dev/l2-no-such-vg/web1-disk"), -EINVAL);
	assert_says("no such device");
	assert_int_equal(target_create("/dev/l2-no-such-disk", MIB, true, &t, err), -EINVAL);
	assert_int_equal(access("/dev/l2-no-such-disk", F_OK), -1);
	assert_int_equal(open_plain("/dev/null"), -EINVAL);
	assert_says("neither a file nor a block device");
	assert_int_equal(open_plain(folder), -EINVAL);
	assert_says("folder");
	snprintf(link, sizeof(link), "%s/no-such-file", folder);
	assert_int_equal(open_plain(link), -ENOENT);
	snprintf(link, sizeof(link), "%s/link", folder);
	assert_int_equal(symlink("/dev", link), 0);
	snprintf(link, sizeof(link), "%s/link/l2-no-such-disk", folder);
	assert_int_equal(target_create(link, MIB, true, &t, err), -EINVAL);
	snprintf(link, sizeof(link), "%s/link", folder);
	unlink(link);
}

/* What an earlier typing error has left: `dd of=/dev/vg/lv` made a file. */
static void file_under_dev(void **state)
{
	const char *path = "/dev/l2-test-target-file";
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	(void)state;
	if (fd < 0)
		skip();
	close(fd);
	assert_int_equal(open_plain(path), -EINVAL);
	assert_says("mistyped");
	unlink(path);
}

static void too_small(void **state)
{
	struct target_want w = { .bytes = DISK_BYTES + 1 };
	struct loop l;

	(void)state;
	assert_int_equal(open_with(disk, &w), -ENOSPC);
	assert_says("too small");
	l = loop_new(disk);
	assert_int_equal(open_with(l.path, &w), -ENOSPC);
	w.bytes--;
	assert_int_equal(open_with(l.path, &w), 0);
	close(l.fd);
}

static void not_empty(void **state)
{
	struct target_want w = { .overwrite = true };

	(void)state;
	write_at(disk, MIB - 1, "x");
	assert_int_equal(open_plain(disk), -EEXIST);
	assert_says("data in its first MiB");
	assert_int_equal(open_with(disk, &w), 0);
	target_close(&t);
	RUN("mkswap", "-L", "old", disk);
	assert_int_equal(open_plain(disk), -EEXIST);
	assert_says("swap with label \"old\"");
	RUN("mke2fs", "-qF", disk);
	assert_int_equal(open_plain(disk), -EEXIST);
	assert_says("ext2");
}

static void the_source_itself(void **state)
{
	struct target_want w = { .not_this = disk, .overwrite = true };
	struct loop l, other;

	(void)state;
	assert_int_equal(open_with(disk, &w), -EXDEV);
	assert_int_equal(link(disk, second), 0);
	assert_int_equal(open_with(second, &w), -EXDEV);
	assert_says("source itself");
	unlink(second);
	l = loop_new(disk);
	assert_int_equal(open_with(l.path, &w), -EXDEV);
	w.not_this = l.path;
	assert_int_equal(open_with(l.path, &w), -EXDEV);
	assert_int_equal(open_with(disk, &w), -EXDEV);
	make_file(second, DISK_BYTES);
	other = loop_new(second);
	assert_int_equal(open_with(other.path, &w), 0);
	close(other.fd);
	close(l.fd);
}

static void mounted(void **state)
{
	char where[96], who[256];
	struct loop l;

	(void)state;
	RUN("mke2fs", "-qF", disk);
	l = loop_new(disk);
	snprintf(where, sizeof(where), "%s/a b", folder);
	assert_int_equal(mkdir(where, 0700), 0);
	if (mount(l.path, where, "ext2", 0, NULL) < 0) {
		rmdir(where);
		close(l.fd);
		skip();
	}
	assert_int_equal(open_with(l.path, &(struct target_want){ .overwrite = true }), -EBUSY);
	assert_says("mounted on");
	assert_says("a b");
	assert_int_equal(open_with(disk, &(struct target_want){ .overwrite = true }), -EBUSY);
	assert_says("used by loop");
	assert_int_equal(target_user(l.path, who, sizeof(who)), 1);
	/* To read it is allowed: that is how guests are copied while they run. */
	assert_int_equal(source_open(l.path, &t, err), 0);
	target_close(&t);
	assert_int_equal(umount(where), 0);
	rmdir(where);
	close(l.fd);
}

static void held_by_a_loop_device(void **state)
{
	struct loop l = loop_new(disk), above = loop_new(l.path);

	(void)state;
	assert_int_equal(open_plain(l.path), -EBUSY);
	assert_says("used by loop");
	close(above.fd);
	close(l.fd);
}

/* Another process that has it open; it ends when the pipe is closed. */
static pid_t other_opens(const char *path, int flags, int lock_type, int *ret_pipe)
{
	int go[2], ready[2];
	char c = 0;
	pid_t pid;

	assert_int_equal(pipe2(go, O_CLOEXEC) + pipe2(ready, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		struct flock l = { .l_type = (short)lock_type, .l_start = 101, .l_len = 1 };
		int fd = open(path, flags | O_CLOEXEC);

		close(go[1]);
		if (fd < 0 || (lock_type != F_UNLCK && fcntl(fd, F_OFD_SETLK, &l) < 0) ||
		    write(ready[1], &c, 1) != 1)
			_exit(1);
		_exit(read(go[0], &c, 1) < 0);
	}
	close(go[0]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	*ret_pipe = go[1];
	return pid;
}

static void other_ends(pid_t pid, int pipe)
{
	close(pipe);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void open_for_writing_elsewhere(void **state)
{
	char number[32];
	int pipe;
	pid_t pid = other_opens(disk, O_RDWR, F_UNLCK, &pipe);

	(void)state;
	snprintf(number, sizeof(number), "process %d", (int)pid);
	assert_int_equal(open_plain(disk), -EBUSY);
	assert_says("open for writing in test_target");
	assert_says(number);
	other_ends(pid, pipe);
	assert_int_equal(open_plain(disk), 0);
	target_close(&t);
	pid = other_opens(disk, O_RDONLY, F_UNLCK, &pipe);
	assert_int_equal(open_plain(disk), 0);
	other_ends(pid, pipe);
}

/* As QEMU does: a device without O_EXCL. */
static void device_open_for_writing_elsewhere(void **state)
{
	struct loop l = loop_new(disk);
	int pipe;
	pid_t pid = other_opens(l.path, O_RDWR, F_UNLCK, &pipe);

	(void)state;
	assert_int_equal(open_plain(l.path), -EBUSY);
	assert_says("open for writing in");
	other_ends(pid, pipe);
	assert_int_equal(open_plain(l.path), 0);
	close(l.fd);
}

/* QEMU locks what it only reads as well, with shared locks on some of the bytes 100 to 299. */
static void locked_as_qemu_does(void **state)
{
	int pipe;
	pid_t pid = other_opens(disk, O_RDONLY, F_RDLCK, &pipe);

	(void)state;
	assert_int_equal(open_plain(disk), -EBUSY);
	assert_says("locked");
	other_ends(pid, pipe);
	assert_int_equal(open_plain(disk), 0);
}

static void busy_by_another_transfer(void **state)
{
	struct target first = { .fd = -1 };

	(void)state;
	assert_int_equal(target_open(disk, &(struct target_want){ 0 }, &first, err), 0);
	assert_int_equal(open_plain(disk), -EBUSY);
	target_close(&first);
	assert_int_equal(open_plain(disk), 0);
}

static void read_only(void **state)
{
	struct loop l = loop_new(disk);
	int ro = 1;

	(void)state;
	assert_int_equal(ioctl(l.fd, BLKROSET, &ro), 0);
	assert_int_equal(open_plain(l.path), -EROFS);
	assert_says("read-only");
	ro = 0; /* it would stay so for the next user */
	assert_int_equal(ioctl(l.fd, BLKROSET, &ro), 0);
	close(l.fd);
}

static void swapped_to(void **state)
{
	struct loop l;
	int r;

	(void)state;
	RUN("mkswap", disk);
	l = loop_new(disk);
	if (swapon(l.path, 0) < 0) {
		close(l.fd);
		skip();
	}
	r = open_with(l.path, &(struct target_want){ .overwrite = true });
	assert_int_equal(swapoff(l.path), 0);
	assert_int_equal(r, -EBUSY);
	assert_says("swapped to");
	close(l.fd);
}

/* --- A sysfs of our own --- */

static char fake_sys[96];

static void sys_file(const char *text, const char *fmt, ...) _printf_(2, 3);

static void sys_file(const char *text, const char *fmt, ...)
{
	char path[256], parent[256];
	va_list ap;
	int n = snprintf(path, sizeof(path), "%s/", fake_sys);

	va_start(ap, fmt);
	vsnprintf(path + n, sizeof(path) - (size_t)n, fmt, ap);
	va_end(ap);
	snprintf(parent, sizeof(parent), "%.*s", (int)(strrchr(path, '/') - path), path);
	RUN("mkdir", "-p", parent);
	make_file(path, 0);
	write_at(path, 0, text);
}

/* "major:minor" of a device, in sysfs's own form or in blkback's. */
static const char *number_of(const struct loop *l, const char *fmt, char buf[32])
{
	struct stat st;

	assert_int_equal(fstat(l->fd, &st), 0);
	if (!strcmp(fmt, "hex"))
		snprintf(buf, 32, "%x:%x", major(st.st_rdev), minor(st.st_rdev));
	else
		snprintf(buf, 32, "%u:%u", major(st.st_rdev), minor(st.st_rdev));
	return buf;
}

static void use_fake_sys(void)
{
	snprintf(fake_sys, sizeof(fake_sys), "%s/sys", folder);
	target_sys = fake_sys;
}

static void a_running_xen_guests(void **state)
{
	struct loop l = loop_new(disk);
	char number[32];

	(void)state;
	use_fake_sys();
	sys_file(number_of(&l, "hex", number), "bus/xen-backend/devices/vbd-7-51712/%s",
		 "physical_device");
	assert_int_equal(open_plain(l.path), -EBUSY);
	assert_says("running Xen domain 7");
	RUN("rm", "-r", fake_sys);
	close(l.fd);
}

/* A holder has a better name than its node when it is of device-mapper. */
static void held_by_lvm(void **state)
{
	struct loop l = loop_new(disk);
	char number[32];

	(void)state;
	use_fake_sys();
	sys_file("", "dev/block/%s/holders/dm-3", number_of(&l, "dec", number));
	assert_int_equal(open_plain(l.path), -EBUSY);
	assert_says("used by dm-3");
	sys_file("vg0-web1", "block/dm-3/dm/name");
	assert_int_equal(open_plain(l.path), -EBUSY);
	assert_says("used by vg0-web1");
	RUN("rm", "-r", fake_sys);
	close(l.fd);
}

/* Disk and partition share their bytes: who uses one is in the way of the other. */
static void partitions_and_disks_are_kin(void **state)
{
	struct loop whole = loop_new(disk), part;
	char a[32], b[32];
	int pipe;
	pid_t pid;

	(void)state;
	make_file(second, DISK_BYTES);
	part = loop_new(second);
	use_fake_sys();
	number_of(&whole, "dec", a);
	number_of(&part, "dec", b);
	sys_file("1", "dev/block/%s/part1/partition", a);
	sys_file(b, "dev/block/%s/part1/dev", a);
	pid = other_opens(part.path, O_RDWR, F_UNLCK, &pipe);
	assert_int_equal(open_plain(whole.path), -EBUSY);
	assert_says("open for writing in");
	other_ends(pid, pipe);
	assert_int_equal(open_with(whole.path, &(struct target_want){ .not_this = part.path }),
			 -EXDEV);
	assert_int_equal(open_plain(whole.path), 0);
	RUN("rm", "-r", fake_sys);
	close(part.fd);
	close(whole.fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(free_file_is_taken_and_locked),
		TEST(free_device_is_taken_exclusively),
		TEST(new_file_is_sparse_and_private),
		TEST(new_file_needs_room),
		TEST(typing_errors),
		TEST(file_under_dev),
		TEST(too_small),
		TEST(not_empty),
		TEST(the_source_itself),
		TEST(mounted),
		TEST(held_by_a_loop_device),
		TEST(open_for_writing_elsewhere),
		TEST(device_open_for_writing_elsewhere),
		TEST(locked_as_qemu_does),
		TEST(busy_by_another_transfer),
		TEST(read_only),
		TEST(swapped_to),
		TEST(a_running_xen_guests),
		TEST(held_by_lvm),
		TEST(partitions_and_disks_are_kin),
	};

	return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
