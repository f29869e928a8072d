/*
 * Why a transfer went wrong: a code that programs act on (doc/transfer.md, "Codes of errors") and
 * one sentence for people. When several threads fail, the first one says why: what comes after it
 * follows from it.
 */
#ifndef BRIDGECTL_TRANSFER_FAIL_H
#define BRIDGECTL_TRANSFER_FAIL_H

#include <stdarg.h>
#include <stdbool.h>

#include "common/util.h"

#define FAIL_TEXT_LEN 640

enum fail_code {
	FAIL_NONE,
	FAIL_USAGE,
	FAIL_REFUSED,
	FAIL_NO_SPACE,
	FAIL_IO,
	FAIL_CONNECTION,
	FAIL_STOPPED,
	FAIL_BUSY,
	FAIL_PROTOCOL,
	FAIL_INTERNAL,
	FAIL_CODES,
};

struct fail {
	enum fail_code code;
	char text[FAIL_TEXT_LEN];
};

/* Fills it in, whatever stood there; a negative errno of its kind, to be returned. */
int fail_set(struct fail *f, enum fail_code code, const char *fmt, ...) _printf_(3, 4);
int fail_vset(struct fail *f, enum fail_code code, const char *fmt, va_list ap);
/* The same for what a system call on a disk answered: -ENOSPC and -EDQUOT are FAIL_NO_SPACE. */
enum fail_code fail_code_of_disk(int r);
/* "no-space" */
const char *fail_code_name(enum fail_code code);

#endif
