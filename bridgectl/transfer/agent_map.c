/*
 * What is on a target already: ours, by its map; nothing; or somebody else's, which is refused
 * without --overwrite before anything is changed, another copy's map included.
 *
 * A map is about a disk that only we write to. Whoever replaced the disk, made the file anew or
 * started the guest on it has not told us, and a copy that goes on from there would be wrong and
 * call itself verified. So a map is put to the test before it is believed: by the time of the last
 * change of a file, and by reading some of what it knows. If it fails, all is read and compared.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "bridgectl/transfer/agent_private.h"
#include "bridgectl/transfer/unfinished.h"

#define STATE_DIR_LEN 4096
#define LOOK_BYTES (1u << 20) /* as target_content() */
/* A killed transfer has written after its last commit, for about as long as lies between two. */
#define OWN_WRITES_US (15 * US_PER_S)
/* The beginning has the superblocks, which change first; the rest is anywhere: 16 MiB in all. */
#define TEST_FIRST 64u
#define TEST_ANYWHERE 192u

static int check_empty(struct agent *a, struct fail *f)
{
	_cleanup_free_ uint8_t *buf = window_buffer(LOOK_BYTES);
	size_t len = (size_t)MIN(a->window.length, (uint64_t)LOOK_BYTES);
	char what[256] = "something is in its first MiB";
	int r;

	if (!buf)
		return fail_set(f, FAIL_INTERNAL, "no memory");
	r = window_read(&a->window, 0, buf, len);
	if (r < 0)
		return fail_set(f, FAIL_IO, "cannot read %s: %s", a->target.path, strerror(-r));
	if (a->window.offset == 0 && a->window.length == a->target.bytes)
		r = target_content(a->target.fd, a->target.bytes, what, sizeof(what));
	else
		r = !bytes_are_zero(buf, len);
	if (r < 0)
		return fail_set(f, FAIL_IO, "cannot read %s: %s", a->target.path, strerror(-r));
	if (r == 0)
		return 0;
	return fail_set(f, FAIL_REFUSED, "%s is not empty: %s; give --overwrite if that may go",
			a->target.path, what);
}

/* Whether somebody else wrote to the file after our last commit. */
static bool changed_since(const struct agent *a, uint64_t stamp)
{
	struct stat st;
	uint64_t then;

	if (a->window.block || !stamp || fstat(a->target.fd, &st) < 0)
		return false;
	then = (uint64_t)st.st_mtim.tv_sec * US_PER_S + (uint64_t)st.st_mtim.tv_nsec / 1000;
	return then < stamp || then - stamp > OWN_WRITES_US;
}

/* 1: the chunk is what the map says, or it says nothing. */
static int test_chunk(struct agent *a, const struct digest *d, uint64_t chunk, uint8_t *buf,
		      struct fail *f)
{
	uint8_t want[DIGEST_BYTES], got[DIGEST_BYTES];
	uint64_t offset = chunk * CHUNK_BYTES;
	size_t len = (size_t)MIN((uint64_t)CHUNK_BYTES, a->window.length - offset);
	int r = map_get(a->map, chunk, 1, want);

	if (r < 0)
		return fail_set(f, FAIL_IO, "cannot read the map: %s", strerror(-r));
	if (!digest_is_known(want))
		return 1;
	r = window_reread(&a->window, offset, buf, len);
	if (r < 0)
		return fail_set(f, FAIL_IO, "cannot read %s at byte %llu: %s", a->target.path,
				(unsigned long long)(a->window.offset + offset), strerror(-r));
	digest_bytes(d, buf, len, got);
	return memcmp(got, want, DIGEST_BYTES) == 0;
}

/* 1: as far as a test of some hundred chunks tells, all that the map knows is there. */
static int test_map(struct agent *a, const struct map_state *state, struct fail *f)
{
	_cleanup_free_ uint8_t *buf = window_buffer(CHUNK_BYTES);
	uint64_t n = frame_chunks(a->window.length), anywhere[TEST_ANYWHERE];
	struct digest d;
	int r = 1;

	if (!buf || getrandom(anywhere, sizeof(anywhere), 0) != (ssize_t)sizeof(anywhere))
		return fail_set(f, FAIL_INTERNAL, "no memory, or no random bytes");
	digest_init(&d, state->seed);
	for (uint64_t i = 0; r == 1 && i < MIN(n, (uint64_t)TEST_FIRST); i++)
		r = test_chunk(a, &d, i, buf, f);
	for (unsigned i = 0; r == 1 && n > TEST_FIRST && i < TEST_ANYWHERE; i++)
		r = test_chunk(a, &d, anywhere[i] % n, buf, f);
	return r;
}

/* 1: it is to be believed. */
static int trust(struct agent *a, const struct map_state *state, struct fail *f)
{
	return changed_since(a, state->stamp) ? 0 : test_map(a, state, f);
}

static int open_once(struct agent *a, const char *dir, const struct map_subject *s, bool fresh,
		     struct map_state *ret, struct fail *f)
{
	char err[MAP_ERRLEN] = "";
	int e = 0;

	a->map = map_open(dir, s, fresh, ret, &e, err);
	if (a->map)
		return 0;
	return fail_set(f, e == -EBUSY || e == -EPERM ? FAIL_REFUSED : FAIL_IO, "%s", err);
}

/* The map's file goes, and a new one comes. What is there may be right all the same. */
static int distrust(struct agent *a, const char *dir, const struct map_subject *s,
		    struct map_state *state, struct fail *f)
{
	struct map_state again;
	int r;

	map_close(steal(a->map), true);
	r = open_once(a, dir, s, true, &again, f);
	if (r < 0)
		return r;
	again.resumed = again.doubt = true;
	again.pass = state->pass;
	again.pass_ended = state->pass_ended;
	*state = again;
	return 0;
}

static int open_map(struct agent *a, const struct agent_params *p, bool fresh,
		    const struct map_subject *s, struct map_state *ret, struct fail *f)
{
	char dir[STATE_DIR_LEN];
	int r = 0;

	if (!unfinished_dir(a->o->state_dir, dir, sizeof(dir)))
		return fail_set(f, FAIL_USAGE, "the path of the state's folder is too long");
	if (!map_exists(dir, s) && !a->o->overwrite && !p->keep_content)
		r = check_empty(a, f);
	if (r == 0)
		r = open_once(a, dir, s, fresh, ret, f);
	if (r < 0 || !ret->resumed)
		return r;
	r = trust(a, ret, f);
	return r == 0 ? distrust(a, dir, s, ret, f) : MIN(r, 0);
}

int agent_open_map(struct agent *a, const struct agent_params *p, bool created,
		   struct map_state *ret, struct fail *f)
{
	struct map_subject *s = calloc(1, sizeof(*s));
	struct map_state state;
	int r;

	if (!s)
		return fail_set(f, FAIL_INTERNAL, "no memory");
	memcpy(s->source, p->source, sizeof(s->source));
	memcpy(s->target, a->identity, sizeof(s->target));
	s->length = p->length;
	/* A new file may have the inode of one that was removed. */
	r = open_map(a, p, p->fresh || created, s, &state, f);
	free(s);
	if (r == 0)
		*ret = state;
	else if (a->map)
		map_close(steal(a->map), false);
	return r;
}
