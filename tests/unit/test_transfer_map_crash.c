/*
 * The map when the machine stops: a made-up target, whose writes last only after a flush, and a map
 * file of which, at any moment, any of the sectors written since its last flush may be there or
 * not. Whatever is left: a map opened again never has a digest of data that is not on the
 * target. Then the transfer goes on from there, and stops again, thousands of times.
 *
 * The calls that write are this file's own: they are noted, passed on, and never wait for a disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "bridgectl/transfer/frame.h"
#include "bridgectl/transfer/map.h"
#include "bridgectl/transfer/map_file.h"
#include "common/util.h"
#include "tests/support/prng.h"

#define CHUNKS 200u
#define IMAGE (MAP_HEADER_BYTES + CHUNKS * DIGEST_BYTES)
#define SECTOR 512u
#define OPS 256

static const struct map_subject subject = { "source", "target", CHUNKS *(uint64_t)CHUNK_BYTES };
static char base[] = "map-crash-XXXXXX", dir[64], dir_after[64];
static struct prng prng;

/* --- The map's file ----------------------------------------------------------------------- */

static struct op {
	bool truncate;
	size_t at, len;
	uint8_t *data;
} ops[OPS];
static unsigned n_ops;
static uint8_t disk[IMAGE]; /* what is surely there */
static bool noting;
static bool made;	/* the map, durably: it is there from now on */
static int fail_writes; /* errno, or 0 */

static void look_at_every_crash(void);

static bool is_map(int fd)
{
	struct stat st;

	return noting && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static void apply(uint8_t *image, const struct op *op, bool some)
{
	if (op->truncate) {
		if (!some || prng_below(&prng, 2))
			memset(image + op->at, 0, IMAGE - op->at);
		return;
	}
	for (size_t i = 0, n; i < op->len; i += n) {
		n = MIN(op->len - i, SECTOR - (op->at + i) % SECTOR);
		if (!some || prng_below(&prng, 2))
			memcpy(image + op->at + i, op->data + i, n);
	}
}

static void note_op(bool truncate, size_t at, const void *data, size_t len)
{
	struct op *op = &ops[n_ops++];

	assert_true(n_ops < OPS && at <= IMAGE && len <= IMAGE - at);
	*op = (struct op){ truncate, at, len, malloc(len + 1) };
	if (len)
		memcpy(op->data, data, len);
	look_at_every_crash();
}

static void forget_ops(void)
{
	for (unsigned i = 0; i < n_ops; i++)
		free(ops[i].data);
	n_ops = 0;
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
	if (fail_writes && is_map(fd)) {
		errno = fail_writes;
		return -1;
	}
	/* Short ones are allowed, and must be gone on with. */
	if (len > 16 && is_map(fd) && prng_below(&prng, 3) == 0)
		len = 1 + prng_below(&prng, len - 1);
	if (is_map(fd))
		note_op(false, (size_t)at, buf, len);
	return syscall(SYS_pwrite64, fd, buf, len, at);
}

int ftruncate(int fd, off_t size)
{
	if (is_map(fd))
		note_op(true, (size_t)size, NULL, 0);
	return (int)syscall(SYS_ftruncate, fd, size);
}

static int sync_noted(int fd)
{
	if (is_map(fd)) {
		if (fail_writes) {
			errno = fail_writes;
			return -1;
		}
		look_at_every_crash();
		for (unsigned i = 0; i < n_ops; i++)
			apply(disk, &ops[i], false);
		forget_ops();
		look_at_every_crash();
	}
	return 0;
}

int fsync(int fd)
{
	return sync_noted(fd);
}

int fdatasync(int fd)
{
	return sync_noted(fd);
}

/* --- The target --------------------------------------------------------------------------- */

static struct chunk {
	unsigned durable, current;
	bool dirty;
} target[CHUNKS];
static unsigned last_version;
static uint64_t n_crashes, n_claims, n_doubts, n_resumed_known;

/* A torn one must not look like another's. */
static void digest_of(uint64_t chunk, unsigned version, uint8_t *ret)
{
	struct prng p = { chunk << 32 | version };

	put_le32(ret, version);
	put_le64(ret + 4, prng_next(&p));
	put_le32(ret + 12, version);
}

static void target_write(uint64_t chunk)
{
	target[chunk].current = ++last_version;
	target[chunk].dirty = true;
}

static void target_flush(void)
{
	for (unsigned i = 0; i < CHUNKS; i++) {
		target[i].durable = target[i].current;
		target[i].dirty = false;
	}
}

static void target_crash(void)
{
	for (unsigned i = 0; i < CHUNKS; i++) {
		struct chunk *c = &target[i];
		unsigned after[] = { c->durable, c->current, ++last_version }; /* or a mixture */

		if (c->dirty)
			c->durable = c->current = after[prng_below(&prng, 3)];
		c->dirty = false;
	}
}

/* --- What must be true after a crash ------------------------------------------------------ */

static void write_image(const uint8_t *image)
{
	char *path = map_file_path(dir_after, subject.target);
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, image, IMAGE), IMAGE);
	close(fd);
	free(path);
}

static void check_claims(void)
{
	uint8_t got[CHUNKS * DIGEST_BYTES], want[DIGEST_BYTES];
	char err[MAP_ERRLEN];
	struct map_state st;
	struct map *m;
	int r = 0;

	m = map_open(dir_after, &subject, false, &st, &r, err);
	if (!m)
		fail_msg("%s", err);
	assert_true(st.resumed || !made);
	n_crashes++;
	n_doubts += st.doubt;
	assert_int_equal(map_get(m, 0, CHUNKS, got), 0);
	for (unsigned i = 0; i < CHUNKS; i++) {
		const uint8_t *d = got + i * DIGEST_BYTES;
		unsigned version = get_le32(d);

		digest_of(i, version, want);
		/* Half a digest is that of no data at all. */
		if (!digest_is_known(d) || memcmp(d, want, DIGEST_BYTES) != 0)
			continue;
		n_claims++;
		if (target[i].dirty || version != target[i].durable)
			fail_msg("crash %u: chunk %u, version %u (now %u), is claimed as %u",
				 (unsigned)n_crashes, i, target[i].durable, target[i].current,
				 version);
	}
	map_close(m, false);
}

static void crash_image(uint8_t *image)
{
	memcpy(image, disk, IMAGE);
	for (unsigned i = 0; i < n_ops; i++)
		apply(image, &ops[i], true);
}

/* The machine might stop here. */
static void look_at_every_crash(void)
{
	static uint8_t image[IMAGE];

	noting = false;
	for (unsigned i = 0; i < 2; i++) {
		crash_image(image);
		write_image(image);
		check_claims();
	}
	noting = true;
}

/* --- A transfer --------------------------------------------------------------------------- */

static int note(struct map *m, uint64_t chunk)
{
	uint8_t digest[DIGEST_BYTES];

	digest_of(chunk, target[chunk].current, digest);
	return map_note(m, chunk, 1, digest);
}

static unsigned rewrites; /* of 8: how often a chunk is taken that was written before */

static void send_some(struct map *m, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t chunk = prng_below(&prng, CHUNKS);
		unsigned run = 1 + (unsigned)prng_below(&prng, 4);

		run = MIN(run, (unsigned)(CHUNKS - chunk));
		while (prng_below(&prng, 8) >= rewrites && run && target[chunk + run - 1].current)
			run--;
		for (unsigned k = 0; k + 1 < run && rewrites == 0; k++)
			if (target[chunk + k].current)
				run = 0;
		assert_int_equal(map_touch(m, chunk, run), 0);
		for (unsigned k = 0; k < run; k++)
			target_write(chunk + k);
		if (prng_below(&prng, 4) == 0)
			look_at_every_crash();
		for (unsigned k = 0; k < run; k++)
			assert_int_equal(note(m, chunk + k), 0);
	}
}

static void commit(struct map *m)
{
	struct map_batch *b = map_take(m);

	if (prng_below(&prng, 2)) /* the other connections do not wait meanwhile */
		send_some(m, 2);
	target_flush();
	if (prng_below(&prng, 2))
		send_some(m, 2);
	if (b)
		assert_int_equal(map_commit(m, b), 0);
	map_batch_free(b);
}

/* What is there and has no digest, read from the target. */
static void hash_target(struct map *m)
{
	uint8_t d[DIGEST_BYTES];

	for (unsigned i = 0; i < CHUNKS; i++) {
		assert_int_equal(map_get(m, i, 1, d), 0);
		if (!digest_is_known(d) && target[i].current)
			assert_int_equal(note(m, i), 0);
	}
}

static void run_until(struct map *m, const struct map_state *st, unsigned steps)
{
	uint32_t pass = st->pass;

	assert_int_equal(map_begin(m, pass), 0);
	if (st->doubt)
		hash_target(m);
	while (steps--) {
		send_some(m, 1 + (unsigned)prng_below(&prng, 6));
		if (prng_below(&prng, 3) == 0)
			commit(m);
		if (prng_below(&prng, 8))
			continue;
		/* the pass ends: settled */
		target_flush();
		for (struct map_batch *b; (b = map_take(m));) {
			target_flush();
			assert_int_equal(map_commit(m, b), 0);
			map_batch_free(b);
		}
		assert_int_equal(map_end(m), 0);
		look_at_every_crash();
		assert_int_equal(map_begin(m, ++pass), 0);
	}
}

static void one_life(void)
{
	static uint8_t image[IMAGE];
	char err[MAP_ERRLEN], *path;
	struct map_state st;
	struct map *m;
	int r = 0, fd;

	noting = true;
	rewrites = (unsigned)prng_below(&prng, 3);
	m = map_open(dir, &subject, false, &st, &r, err);
	assert_non_null(m);
	made = true;
	n_resumed_known += st.known_bytes > 0;
	run_until(m, &st, (unsigned)prng_below(&prng, 12));
	noting = false;
	map_close(m, false);
	/* and then it does stop */
	crash_image(image);
	forget_ops();
	memcpy(disk, image, IMAGE);
	target_crash();
	path = map_file_path(dir, subject.target);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, image, IMAGE), IMAGE);
	close(fd);
	free(path);
}

static void lives(void **state)
{
	(void)state;
	prng.state = 1;
	for (unsigned i = 0; i < 100; i++) {
		if (i % 10 == 0) { /* a new transfer */
			memset(target, 0, sizeof(target));
			memset(disk, 0, sizeof(disk));
			made = false;
			char *path = map_file_path(dir, subject.target);

			unlink(path);
			free(path);
		}
		one_life();
	}
	printf("# %u crashes, %u digests claimed, %u in doubt, %u of 100 resumed with something\n",
	       (unsigned)n_crashes, (unsigned)n_claims, (unsigned)n_doubts,
	       (unsigned)n_resumed_known);
	assert_true(n_crashes > 1000 && n_claims > 10000 && n_doubts > 1000);
	assert_true(n_resumed_known > 10 && n_doubts < n_crashes - 1000);
}

/* No room for the map: said each time, and nothing may be written that it would have to know. */
static void no_room(void **state)
{
	char err[MAP_ERRLEN];
	struct map_state st;
	struct map_batch *b;
	struct map *m;
	int r = 0;

	(void)state;
	noting = false;
	m = map_open(dir, &subject, true, &st, &r, err);
	assert_non_null(m);
	target_write(1);
	note(m, 1);
	b = map_take(m);
	memset(disk, 0, sizeof(disk));
	memset(target, 0, sizeof(target));
	noting = true;
	fail_writes = ENOSPC;
	assert_int_equal(map_commit(m, b), -ENOSPC);
	fail_writes = 0;
	assert_int_equal(map_commit(m, b), -ENOSPC);
	map_batch_free(b);
	assert_int_equal(map_touch(m, 1, 1), -ENOSPC);
	assert_int_equal(map_begin(m, 1), -ENOSPC);
	assert_int_equal(map_end(m), -ENOSPC);
	noting = false;
	map_close(m, true);
}

static int setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(base));
	snprintf(dir, sizeof(dir), "%s/a", base);
	snprintf(dir_after, sizeof(dir_after), "%s/b", base);
	return mkdir(dir, 0700) | mkdir(dir_after, 0700);
}

static int cleanup(void **state)
{
	char cmd[64];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", base);
	return system(cmd) != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lives),
		cmocka_unit_test(no_room),
	};

	return cmocka_run_group_tests(tests, setup, cleanup);
}
