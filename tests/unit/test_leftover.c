/* Folders of processes that are gone are removed; those of others, and what links lead to, stay. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridgectl/transfer/leftover.h"
#include "common/util.h"

/* Of a process that has just ended. */
static int dead_pid(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return (int)pid;
}

static void make(const char *dir, const char *file)
{
	char path[256];

	assert_int_equal(mkdir(dir, 0700), 0);
	if (!file)
		return;
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
}

static void only_what_is_left(void **state)
{
	char top[] = "/tmp/l2t-left.XXXXXX", prefix[32], own[128], dead[128], full[128], away[64],
	     link[128], other[128], path[128], command[128];
	int pid = dead_pid();
	struct stat st;
	(void)state;

	assert_non_null(mkdtemp(top));
	leftover_prefix(prefix, sizeof(prefix));
	snprintf(own, sizeof(own), "%s/%sa", top, prefix);
	snprintf(dead, sizeof(dead), "%s/bridgectl-%d-a", top, pid);
	snprintf(full, sizeof(full), "%s/bridgectl-%d-b", top, pid);
	snprintf(link, sizeof(link), "%s/bridgectl-%d-c", top, pid);
	snprintf(other, sizeof(other), "%s/bridgectl-%dx", top, pid);
	snprintf(away, sizeof(away), "%s/away", top);
	make(own, "data");
	make(dead, "data");
	make(full, "letters");
	make(other, "data");
	make(away, "data");
	assert_int_equal(symlink(away, link), 0);

	leftover_sweep(top, "data");
	assert_int_equal(stat(dead, &st), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(stat(own, &st), 0);
	assert_int_equal(stat(full, &st), 0);
	assert_int_equal(stat(other, &st), 0);
	snprintf(path, sizeof(path), "%s/data", away);
	assert_int_equal(stat(path, &st), 0);
	leftover_sweep("/nonexistent", NULL);

	snprintf(command, sizeof(command), "rm -r '%s'", top);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_is_left),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
