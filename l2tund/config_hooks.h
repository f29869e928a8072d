/* What reading a configuration needs from the world, so that tests and fuzzers can make it up. */
#ifndef L2TUND_CONFIG_HOOKS_H
#define L2TUND_CONFIG_HOOKS_H

#include "l2tund/config.h"

#define CONF_FILE_MAX_BYTES (1024 * 1024)

/* The world as the reader sees it: replaced by tests and by the fuzzer. All answer 0 or -errno. */
struct config_hooks {
	/* A whole regular file, NUL-terminated, at most CONF_FILE_MAX_BYTES (-EFBIG). */
	int (*read_file)(const char *path, char **ret, size_t *ret_len);
	/* The files that match, sorted; none is no error. Each and the array are the caller's. */
	int (*list)(const char *pattern, char ***ret, unsigned *ret_n);
	int (*read_key)(const char *path, struct key *ret, char *err);
	/* What a node is called that does not say it. */
	int (*host_name)(char *buf, size_t size);
	bool (*user_exists)(const char *name);
	bool (*group_exists)(const char *name);
};

extern const struct config_hooks config_hooks_system;

/* config_load() of a text that is already in memory. `name` is what messages call it. */
int config_load_buffer(const struct config_hooks *hooks, const char *name, const char *text,
		       size_t len, struct config **ret, struct config_report *report);

#endif
