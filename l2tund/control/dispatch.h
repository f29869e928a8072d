/* One request line in, one reply object out. Used by control/server.c only. */
#ifndef L2TUND_CONTROL_DISPATCH_H
#define L2TUND_CONTROL_DISPATCH_H

#include "l2tund/control/server.h"

struct dispatch {
	const struct ctl_method *builtin; /* called with the client */
	size_t n_builtin;
	const struct ctl_method *rows; /* called with `ctx` */
	size_t n_rows;
	void *ctx;
	/* Before an admin method runs: who does what to whom is worth a line in the log. */
	void (*admin_call)(void *client, const char *method, const char *name);
};

/*
 * Runs the request of one line. The reply, a new reference, always carries the request's id
 * (null when there was none that could be read). NULL: the line is blank, or memory is short.
 */
json_t *dispatch_line(const struct dispatch *d, void *client, bool admin, const char *line,
		      size_t len);

/* {"id": …, "error": {…}}; takes the reference to details, not to `id` (may be NULL). */
json_t *dispatch_error(const json_t *id, struct ctl_error *err);

/* 0, or -EINVAL with `err` set: `params` does not fit the row's pattern. */
int dispatch_check_params(const struct ctl_method *m, const json_t *params, struct ctl_error *err);

/* {"methods": [{"name", "admin", "params"}]} */
json_t *dispatch_list(const struct dispatch *d);

#endif
