/*
 * Other programs: started from a list of arguments, never through a shell, fed a text, and
 * their answer collected. Bounded in time and size.
 */
#ifndef COMMON_PROC_H
#define COMMON_PROC_H

#include <stdbool.h>
#include <stddef.h>

#define PROC_ERRLEN 4096

struct proc_limits {
	int timeout_ms;
	size_t out_bytes; /* of its answer */
	/*
	 * It may ask at the terminal, as ssh does for a password, and Ctrl-C reaches it. So it is
	 * in our process group, and what it has started outlives a limit.
	 */
	bool asks;
};

/* Freed by proc_result_fini(). */
struct proc_result {
	char *out; /* what it wrote to standard output, with a NUL behind it */
	size_t out_len;
	char err[PROC_ERRLEN]; /* the beginning of what it wrote to standard error */
	int exit_code;	       /* 128 + number of the signal when one has ended it */
};

/*
 * Runs argv[0], looked up in PATH, with `in` at its standard input (NULL: nothing), and waits
 * for its end. 0: it has ended, see exit_code, also when it did not read all of `in`. -ENOENT,
 * -EACCES: no such program, or not allowed; -ETIMEDOUT, -EMSGSIZE: a limit was passed and
 * the program and its children were killed; else another negative errno.
 */
int proc_run(const char *const argv[], const struct proc_limits *l, const char *in, size_t in_len,
	     struct proc_result *ret);
void proc_result_fini(struct proc_result *r);

#endif
