/*
 * Opening the one disk that an agent serves, and what is known of it.
 *
 * A target is opened as if it might be overwritten, under lock; what is on it is looked at after
 * that (agent_map.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "bridgectl/disk/table.h"
#include "bridgectl/transfer/agent_private.h"
#include "bridgectl/transfer/identity.h"
#include "common/jsonline.h"

#define SECTOR 512u
#define USER_LEN 256

static int disk_failed(int r, const char *err, struct fail *f)
{
	return fail_set(f, r == -EIO ? FAIL_IO : FAIL_REFUSED, "%s", err);
}

/* Where on the disk, from the command line. */
static int find_range(struct agent *a, uint64_t *ret_offset, uint64_t *ret_length, struct fail *f)
{
	_cleanup_free_ struct table *table = NULL;
	const struct table_part *part;
	char err[TABLE_ERRLEN] = "";
	int r;

	*ret_offset = a->o->offset;
	*ret_length = a->o->length;
	if (!a->o->partition)
		return 0;
	table = malloc(sizeof(*table));
	if (!table)
		return fail_set(f, FAIL_INTERNAL, "no memory");
	r = table_read(a->target.fd, table, err);
	if (r < 0)
		return disk_failed(r, err, f);
	part = table_find(table, a->o->partition);
	if (!part || part->container)
		return fail_set(f, FAIL_REFUSED, "%s has no partition %u", a->target.path,
				a->o->partition);
	*ret_offset = part->start * SECTOR;
	*ret_length = part->sectors * SECTOR;
	return 0;
}

static int open_window(struct agent *a, uint64_t offset, uint64_t length, struct fail *f)
{
	int r = window_init(&a->window, a->target.fd, a->target.bytes, offset, length);

	if (r == -ERANGE)
		return fail_set(f, FAIL_REFUSED,
				"bytes %llu to %llu are not inside %s (%llu bytes)",
				(unsigned long long)offset, (unsigned long long)(offset + length),
				a->target.path, (unsigned long long)a->target.bytes);
	if (r < 0)
		return fail_set(f, FAIL_IO, "%s: %s", a->target.path, strerror(-r));
	return 0;
}

static int identify(struct agent *a, size_t *ret_disk, struct fail *f)
{
	int r = identity_make(&a->target, a->window.offset, a->window.length, a->identity,
			      ret_disk);

	return r < 0 ? fail_set(f, FAIL_REFUSED, "the path of %s is too long", a->target.path) : 0;
}

/* Not before all went well: what is half open is closed, and may be tried again. */
static json_t *opened(struct agent *a, json_t *result)
{
	a->opened = result != NULL;
	if (!result)
		agent_close(a);
	return result;
}

static int check_not_open(struct agent *a, struct fail *f)
{
	return a->opened ? fail_set(f, FAIL_PROTOCOL, "it is open already") : 0;
}

/* --- The source --- */

/* Why writes to it cannot be watched, or "". */
static void try_tracking(struct agent *a, char *err)
{
	struct dirty *d = dirty_new(a->window.length);
	struct track *t;

	err[0] = '\0';
	t = d ? track_start(a->target.fd, a->window.offset, a->window.length, d, err) : NULL;
	track_stop(t);
	dirty_free(d);
}

static json_t *source_result(struct agent *a, struct fail *f)
{
	char err[TARGET_ERRLEN] = "", why[TRACK_ERRLEN], user[USER_LEN] = "";
	uint64_t offset, length;
	size_t disk;
	int r = source_open(a->o->path, &a->target, err);

	if (r < 0) {
		a->target.fd = -1;
		disk_failed(r, err, f);
		return NULL;
	}
	if (find_range(a, &offset, &length, f) < 0 || open_window(a, offset, length, f) < 0 ||
	    identify(a, &disk, f) < 0)
		return NULL;
	try_tracking(a, why);
	target_user(a->o->path, user, sizeof(user));
	return json_pack("{s:s, s:I, s:b, s:s, s:o}", "identity", a->identity, "bytes",
			 (json_int_t)a->window.length, "block", a->window.block, "track", why,
			 "user", jsonline_text(user));
}

json_t *agent_open_source(struct agent *a, const struct agent_params *p, struct fail *f)
{
	(void)p;
	return check_not_open(a, f) < 0 ? NULL : opened(a, source_result(a, f));
}

/* --- The target: is it free, is it ours --- */

static int open_target(struct agent *a, const struct agent_params *p, bool *ret_created,
		       struct fail *f)
{
	struct target_want want = { .overwrite = true };
	bool part = a->o->partition || a->o->offset || a->o->length;
	bool create = p->create && !part;
	char err[TARGET_ERRLEN] = "";
	int r;

	if (p->verify) {
		r = source_open(a->o->path, &a->target, err);
	} else if (create && access(a->o->path, F_OK) < 0 && errno == ENOENT) {
		r = target_create(a->o->path, p->length, true, &a->target, err);
		*ret_created = r == 0;
		if (r == -ENOSPC)
			return fail_set(f, FAIL_NO_SPACE, "%s", err);
	} else if (part) {
		r = share_open(NULL, a->o->path, &want, &a->share, &a->target, err);
	} else {
		r = target_open(a->o->path, &want, &a->target, err);
	}
	if (r == 0)
		return 0;
	a->target.fd = -1;
	return disk_failed(r, err, f);
}

/* The transfer's window: as much of the place as the source needs. */
static int open_place(struct agent *a, const struct agent_params *p, uint64_t *ret_room,
		      struct fail *f)
{
	uint64_t offset, length;
	int r = find_range(a, &offset, &length, f);

	if (r < 0)
		return r;
	if (!length && offset < a->target.bytes)
		length = a->target.bytes - offset;
	if (length < p->length)
		return fail_set(
			f, FAIL_REFUSED, "%s has room for %llu bytes there, the source has %llu",
			a->target.path, (unsigned long long)length, (unsigned long long)p->length);
	*ret_room = length;
	r = share_claim(a->share, offset, length);
	if (r < 0)
		return fail_set(f, r == -EBUSY ? FAIL_REFUSED : FAIL_BUSY,
				"%s: another copy writes there%s", a->target.path,
				r == -EBUSY ? "" : ", or has just ended");
	return open_window(a, offset, p->length, f);
}

static int check_not_source(const struct agent *a, const struct agent_params *p, size_t disk,
			    struct fail *f)
{
	if (strncmp(a->identity, p->source, disk) != 0 || p->source[disk] != ' ')
		return 0;
	return fail_set(f, FAIL_REFUSED, "%s is the source itself", a->target.path);
}

/* All holes, so zeros need not be written. A device never says so. */
static bool is_all_hole(const struct window *w)
{
	off_t at;

	if (w->block)
		return false;
	at = lseek(w->fd, (off_t)w->offset, SEEK_DATA);
	return at < 0 ? errno == ENXIO : (uint64_t)at >= w->offset + w->length;
}

/* Without a map the digests need a seed all the same. */
static int no_map(struct map_state *ret, struct fail *f)
{
	*ret = (struct map_state){ 0 };
	if (getrandom(ret->seed, sizeof(ret->seed), 0) == (ssize_t)sizeof(ret->seed))
		return 0;
	return fail_set(f, FAIL_INTERNAL, "the kernel gives no random bytes");
}

static void hex(const uint8_t *b, size_t n, char *ret)
{
	for (size_t i = 0; i < n; i++)
		snprintf(ret + 2 * i, 3, "%02x", b[i]);
}

static json_t *target_result(struct agent *a, const struct agent_params *p, bool *ret_created,
			     struct fail *f)
{
	char seed[2 * DIGEST_SEED_BYTES + 1];
	struct map_state state;
	uint64_t room = 0;
	size_t disk;

	if (open_target(a, p, ret_created, f) < 0 || open_place(a, p, &room, f) < 0 ||
	    identify(a, &disk, f) < 0)
		return NULL;
	if (!p->verify && check_not_source(a, p, disk, f) < 0)
		return NULL;
	if ((p->verify ? no_map(&state, f) : agent_open_map(a, p, *ret_created, &state, f)) < 0)
		return NULL;
	a->distrust = state.doubt || p->keep_content;
	a->flush_ms = (unsigned)p->flush_ms;
	a->window.fresh = !p->verify && !state.resumed && is_all_hole(&a->window);
	digest_init(&a->wire.digest, state.seed);
	a->wire.known_bytes = a->distrust ? MAX(state.known_bytes, 1) : state.known_bytes;
	a->seeded = true;
	hex(state.seed, sizeof(state.seed), seed);
	return json_pack("{s:s, s:I, s:b, s:b, s:s, s:b, s:b, s:I, s:b, s:I}", "identity",
			 a->identity, "bytes", (json_int_t)room, "block", a->window.block,
			 "created", *ret_created, "seed", seed, "resumed", state.resumed, "doubt",
			 state.doubt, "pass", (json_int_t)state.pass, "pass_ended",
			 state.pass_ended, "known_bytes", (json_int_t)state.known_bytes);
}

json_t *agent_open_target(struct agent *a, const struct agent_params *p, struct fail *f)
{
	bool created = false;
	json_t *result;

	if (check_not_open(a, f) < 0)
		return NULL;
	result = target_result(a, p, &created, f);
	if (!result && created)
		unlink(a->target.path);
	return opened(a, result);
}

json_t *agent_complete(struct agent *a, const struct agent_params *p, struct fail *f)
{
	(void)p;
	if (!a->opened) {
		fail_set(f, FAIL_PROTOCOL, "it is not open");
		return NULL;
	}
	agent_disconnect(a);
	if (a->map)
		map_close(steal(a->map), true);
	return json_object();
}

void agent_close(struct agent *a)
{
	if (a->map)
		map_close(steal(a->map), false);
	window_fini(&a->window);
	if (a->target.fd >= 0)
		target_close(&a->target);
	a->target.fd = -1;
	share_close(steal(a->share));
	a->opened = false;
}
