/*
 * Running copies: each one listens on a Unix socket of its own, RUN_DIR/ID.sock, for `bridgectl
 * disk status`, `finish`, `rate` and `stop`. Requests and answers are JSON lines as everywhere. The
 * directory is its owner's alone (0700), so whoever connects is that user or root.
 */
#ifndef BRIDGECTL_TRANSFER_JOBS_H
#define BRIDGECTL_TRANSFER_JOBS_H

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>

#include "bridgectl/transfer/rundir.h"

#define JOBS_ID_LEN 64
#define JOBS_ERRLEN RUNDIR_ERRLEN
#define JOBS_CLIENTS_MAX 8
#define JOBS_POLL_MAX (JOBS_CLIENTS_MAX + 1)

struct jobs;

/* A new reference to the result; or NULL with a code and a sentence (JOBS_ERRLEN). */
typedef json_t *(*jobs_answer_fn)(void *arg, const char *method, const json_t *params,
				  const char **ret_code, char *err);

/*
 * Letters, digits, dots, dashes and underscores of the path's last part, and the partition:
 * "/dev/vg0/web1-disk", 2 is "web1-disk-p2".
 */
void jobs_id(const char *path, unsigned partition, char buf[JOBS_ID_LEN]);

/*
 * Makes the directory when missing, and listens under this ID, or ID-2, … when it is taken.
 * NULL and why (JOBS_ERRLEN).
 */
struct jobs *jobs_listen(const char *dir, const char *id, jobs_answer_fn answer, void *arg,
			 char *err);
void jobs_free(struct jobs *j);
const char *jobs_own_id(const struct jobs *j);

/* Fills what to poll, at most JOBS_POLL_MAX; and what is to be done afterwards. */
unsigned jobs_poll(struct jobs *j, struct pollfd *ret);
void jobs_work(struct jobs *j, const struct pollfd *p, unsigned n);

/* One line to all who are connected, in between answers; who does not read it is dropped. */
void jobs_tell(struct jobs *j, const json_t *line);

/* --- The other side --- */

/* A connected socket; -ENOENT: no such copy runs (what an earlier one left is removed). */
int jobs_connect(const char *dir, const char *id);
/* IDs of all sockets, sorted, as an array of strings; empty when there is no directory. */
json_t *jobs_list(const char *dir);

#endif
