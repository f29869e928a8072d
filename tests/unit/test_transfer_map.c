/* The map file: made, found again, locked, thrown away, damaged in every way; notes, batches. */
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
#include <sys/wait.h>

#include "bridgectl/transfer/frame.h"
#include "bridgectl/transfer/map.h"
#include "bridgectl/transfer/map_file.h"
#include "common/util.h"
#include "tests/support/prng.h"

#define CHUNKS 300u
#define LENGTH ((CHUNKS - 1) * (uint64_t)CHUNK_BYTES + 1000)

static struct map_subject subject = { "xen1:/dev/vg/test", "/dev/vg/new 4711", LENGTH };
static char base[] = "map-test-XXXXXX", dir[64];
static char err[MAP_ERRLEN];
static struct map_state st;

static struct map *open_map(bool fresh)
{
	int r = 0;
	struct map *m = map_open(dir, &subject, fresh, &st, &r, err);

	if (!m)
		fail_msg("%d: %s", r, err);
	return m;
}

static char *map_path(void)
{
	return map_file_path(dir, subject.target);
}

/* Digests that tell chunk and version. */
static void digests_of(uint64_t first, uint32_t n, uint8_t version, uint8_t *ret)
{
	memset(ret, version, (size_t)n * DIGEST_BYTES);
	for (uint32_t i = 0; i < n; i++)
		put_le64(ret + (size_t)i * DIGEST_BYTES, first + i);
}

static int note(struct map *m, uint64_t first, uint32_t n, uint8_t version)
{
	uint8_t d[CHUNKS * DIGEST_BYTES];

	digests_of(first, n, version, d);
	return map_note(m, first, n, d);
}

static void commit(struct map *m)
{
	struct map_batch *b = map_take(m);

	assert_non_null(b);
	assert_int_equal(map_commit(m, b), 0);
	map_batch_free(b);
}

/* Version 0: not known. */
static void is(struct map *m, uint64_t first, uint32_t n, uint8_t version)
{
	uint8_t want[CHUNKS * DIGEST_BYTES], got[CHUNKS * DIGEST_BYTES];

	memset(got, 0xee, sizeof(got));
	digests_of(first, n, version, want);
	if (version == 0)
		memset(want, 0, sizeof(want));
	assert_int_equal(map_get(m, first, n, got), 0);
	assert_memory_equal(got, want, (size_t)n * DIGEST_BYTES);
}

static int setup(void **state)
{
	static int n;

	(void)state;
	if (n == 0)
		assert_non_null(mkdtemp(base));
	snprintf(dir, sizeof(dir), "%s/%d/state", base, n++);
	return 0;
}

static int cleanup(void **state)
{
	char cmd[64];

	(void)state;
	snprintf(cmd, sizeof(cmd), "rm -rf %s", base);
	return system(cmd) != 0;
}

static void first_time(void **state)
{
	_cleanup_free_ char *path = map_path();
	struct map *m = open_map(false);
	struct stat s;

	(void)state;
	assert_false(st.resumed || st.doubt || st.pass_ended);
	assert_int_equal(st.known_bytes, 0);
	is(m, 0, CHUNKS, 0);
	assert_int_equal(stat(dir, &s), 0);
	assert_int_equal(s.st_mode & 0777, 0700);
	assert_int_equal(stat(path, &s), 0);
	assert_int_equal(s.st_mode & 0777, 0600);
	assert_int_equal(s.st_size, MAP_HEADER_BYTES + CHUNKS * DIGEST_BYTES);
	map_close(m, true);
	assert_int_equal(stat(path, &s), -1);
}

static void resumes(void **state)
{
	struct map *m = open_map(false);
	uint8_t seed[DIGEST_SEED_BYTES];

	(void)state;
	memcpy(seed, st.seed, sizeof(seed));
	assert_int_equal(map_begin(m, 0), 0);
	assert_int_equal(note(m, 0, 10, 1), 0);
	assert_int_equal(note(m, CHUNKS - 1, 1, 1), 0);
	assert_int_equal(map_noted_bytes(m), 10 * CHUNK_BYTES + 1000);
	map_set_stamp(m, 42);
	commit(m);
	assert_int_equal(map_noted_bytes(m), 0);
	assert_null(map_take(m));
	assert_int_equal(note(m, 20, 10, 1), 0); /* never committed */
	map_close(m, false);

	m = open_map(false);
	assert_true(st.resumed);
	assert_false(st.doubt || st.pass_ended);
	assert_int_equal(st.known_bytes, 10 * CHUNK_BYTES + 1000);
	assert_int_equal(st.stamp, 42);
	assert_memory_equal(st.seed, seed, sizeof(seed));
	is(m, 0, 10, 1);
	is(m, 10, CHUNKS - 11, 0);
	is(m, CHUNKS - 1, 1, 1);
	assert_int_equal(map_begin(m, 3), 0);
	assert_int_equal(map_end(m), 0);
	map_close(m, false);
	m = open_map(false);
	assert_int_equal(st.pass, 3);
	assert_true(st.pass_ended);
	map_close(m, false);
	m = open_map(true);
	assert_false(st.resumed);
	assert_int_equal(st.known_bytes, 0);
	assert_memory_not_equal(st.seed, seed, sizeof(seed));
	map_close(m, false);
}

static void other_subjects(void **state)
{
	struct map_subject was = subject;
	struct map *m;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		m = open_map(true);
		note(m, 0, 1, 1);
		commit(m);
		map_close(m, false);
		if (i == 0)
			strcat(subject.source, "!");
		else if (i == 1)
			subject.length -= CHUNK_BYTES;
		else
			strcat(subject.target, "!");
		m = open_map(false);
		assert_false(st.resumed);
		assert_int_equal(st.known_bytes, 0);
		map_close(m, false);
		subject = was;
	}
	/* another target is another file, and ours is still there */
	m = open_map(false);
	assert_true(st.resumed);
	map_close(m, false);
}

static void folder_of_others(void **state)
{
	int r = 0;

	(void)state;
	map_close(open_map(false), true);
	assert_int_equal(chmod(dir, 01777), 0);
	assert_null(map_open(dir, &subject, false, &st, &r, err));
	assert_int_equal(r, -EPERM);
	assert_non_null(strstr(err, "others may write"));
	assert_int_equal(chmod(dir, 0700), 0);
	map_close(open_map(false), true);
}

static void exists(void **state)
{
	struct map_subject other = subject;
	struct map *m;

	(void)state;
	assert_false(map_exists(dir, &subject));
	m = open_map(false);
	assert_true(map_exists(dir, &subject));
	snprintf(other.source, sizeof(other.source), "somebody else");
	assert_false(map_exists(dir, &other));
	assert_true(map_exists(dir, &subject));
	map_close(m, true);
	assert_false(map_exists(dir, &subject));
}

static void one_at_a_time(void **state)
{
	struct map *m = open_map(false), *second;
	int r = 0, status;
	pid_t pid;

	(void)state;
	second = map_open(dir, &subject, false, &st, &r, err);
	assert_null(second);
	assert_int_equal(r, -EBUSY);
	assert_non_null(strstr(err, "another transfer"));
	pid = fork();
	if (pid == 0) {
		second = map_open(dir, &subject, true, &st, &r, err);
		_exit(!second && r == -EBUSY ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	map_close(m, false);
	map_close(open_map(false), true);
}

static void doubt(void **state)
{
	struct map *m = open_map(false);

	(void)state;
	map_begin(m, 0);
	assert_int_equal(map_touch(m, 0, 20), 0); /* nothing known: nothing happens */
	note(m, 0, 20, 1);
	commit(m);
	map_end(m);
	map_begin(m, 1);
	assert_int_equal(note(m, 5, 1, 1), 0); /* as it is known */
	assert_int_equal(map_noted_bytes(m), 0);
	assert_int_equal(note(m, 5, 1, 2), -EPERM); /* written without a word */
	assert_int_equal(map_touch(m, 100, 10), 0);
	map_close(m, false);
	m = open_map(false);
	assert_false(st.doubt);
	is(m, 0, 20, 1);

	assert_int_equal(map_touch(m, 5, 2), 0);
	is(m, 0, 5, 1);
	is(m, 5, 2, 0);
	is(m, 7, 13, 1);
	map_close(m, false);
	m = open_map(false);
	assert_true(st.resumed && st.doubt);
	assert_int_equal(st.known_bytes, 0);
	is(m, 0, CHUNKS, 0);
	note(m, 0, 3, 2);
	commit(m);
	map_close(m, false);
	/* what was found out since is kept, and there may still be more */
	m = open_map(false);
	assert_true(st.resumed && st.doubt);
	is(m, 0, 3, 2);
	note(m, 3, CHUNKS - 3, 2);
	assert_int_equal(map_end(m), -EBUSY);
	commit(m);
	assert_int_equal(map_end(m), 0);
	map_close(m, false);
	m = open_map(false);
	assert_false(st.doubt);
	assert_int_equal(st.known_bytes, LENGTH);
	map_close(m, true);
}

static void ends_well_after_rewriting(void **state)
{
	struct map *m = open_map(false);
	struct map_batch *b;

	(void)state;
	note(m, 0, 20, 1);
	commit(m);
	map_begin(m, 1);
	map_touch(m, 3, 4);
	note(m, 3, 2, 2);
	map_touch(m, 8, 1); /* touched, and never written */
	commit(m);
	assert_int_equal(map_end(m), 0);
	map_close(m, false);
	m = open_map(false);
	assert_false(st.doubt);
	is(m, 0, 3, 1);
	is(m, 3, 2, 2);
	is(m, 5, 2, 0);
	is(m, 7, 1, 1);
	is(m, 8, 1, 0);
	/* a chunk that is on its way to the file, and written again meanwhile */
	note(m, 50, 1, 1);
	b = map_take(m);
	is(m, 50, 1, 1);
	assert_int_equal(map_touch(m, 50, 1), 0);
	assert_int_equal(map_commit(m, b), 0);
	map_batch_free(b);
	is(m, 50, 1, 0);
	map_close(m, false);
	m = open_map(false);
	assert_true(st.doubt);
	is(m, 50, 1, 0);
	map_close(m, true);
}

static void batches(void **state)
{
	uint8_t zeros[DIGEST_BYTES] = { 0 };
	struct map *m = open_map(false);
	const uint8_t *digests;
	struct map_batch *b;
	uint64_t first;
	uint32_t n;

	(void)state;
	assert_int_equal(map_note(m, 7, 1, zeros), 0);
	assert_null(map_take(m));
	note(m, 10, 5, 1);
	note(m, 15, 5, 1);
	note(m, 12, 1, 2);   /* again, and the last one counts */
	map_touch(m, 17, 1); /* about to be written: not to be read back */
	note(m, 100, 1, 1);
	assert_int_equal(map_noted_bytes(m), 10 * CHUNK_BYTES);
	is(m, 12, 1, 2);
	b = map_take(m);
	assert_true(map_batch_run(b, 0, &first, &n, &digests));
	assert_true(first == 10 && n == 7 && get_le64(digests + 2 * DIGEST_BYTES) == 12 &&
		    digests[2 * DIGEST_BYTES + 8] == 2);
	assert_true(map_batch_run(b, 1, &first, &n, &digests));
	assert_true(first == 18 && n == 2 && get_le64(digests) == 18);
	assert_true(map_batch_run(b, 2, &first, &n, &digests));
	assert_true(first == 100 && n == 1);
	assert_false(map_batch_run(b, 3, &first, &n, &digests));
	map_batch_free(b); /* the flush failed: forgotten */
	is(m, 0, CHUNKS, 0);
	note(m, 1, 1, 1);
	b = map_take(m);
	assert_int_equal(map_commit(m, b), 0);
	assert_int_equal(map_commit(m, b), -EINVAL);
	map_close(m, true);
	map_batch_free(b); /* also after the map */
	map_batch_free(NULL);
	map_close(NULL, true);
}

static void ranges(void **state)
{
	static const uint64_t odd[] = { CHUNKS, CHUNKS + 1, UINT64_MAX };
	struct map *m = open_map(false);
	uint8_t d[2 * DIGEST_BYTES];

	(void)state;
	digests_of(0, 2, 1, d);
	for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
		assert_int_equal(map_note(m, odd[i], 1, d), -ERANGE);
		assert_int_equal(map_note(m, odd[i] - 1, 2, d), -ERANGE);
		assert_int_equal(map_get(m, odd[i], 1, d), -ERANGE);
		assert_int_equal(map_touch(m, odd[i], UINT32_MAX), -ERANGE);
	}
	assert_int_equal(map_get(m, CHUNKS, 0, d), 0);
	map_close(m, true);
}

/* --- Damage ------------------------------------------------------------------------------- */

static int raw(int flags)
{
	_cleanup_free_ char *path = map_path();
	int fd = open(path, flags | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void make_one(void)
{
	struct map *m = open_map(true);

	note(m, 0, CHUNKS, 1);
	commit(m);
	map_close(m, false);
}

static void overwrite(int fd, const uint8_t *bytes, size_t len, off_t at)
{
	assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
}

static void torn_headers(void **state)
{
	uint8_t slots[MAP_HEADER_BYTES], noise[MAP_SLOT_BYTES];
	struct prng p = { 1 };
	struct map_header h;
	unsigned newest;
	int fd;

	(void)state;
	make_one();
	fd = raw(O_RDWR);
	assert_int_equal(pread(fd, slots, sizeof(slots), 0), sizeof(slots));
	assert_int_equal(map_header_newest(slots, &h), 0);
	newest = h.sequence % 2;
	prng_fill(&p, noise, sizeof(noise));
	/* the newest in pieces: the one before counts */
	for (unsigned cut = 0; cut < MAP_SLOT_BYTES; cut += 512) {
		overwrite(fd, noise, MAP_SLOT_BYTES - cut, newest * MAP_SLOT_BYTES + cut);
		map_close(open_map(false), false);
		assert_true(st.resumed);
		assert_int_equal(st.known_bytes, LENGTH);
		overwrite(fd, slots, sizeof(slots), 0);
	}
	/* both: thrown away */
	overwrite(fd, noise, 512, 0);
	overwrite(fd, noise, 512, MAP_SLOT_BYTES);
	map_close(open_map(false), false);
	assert_false(st.resumed);
	assert_int_equal(st.known_bytes, 0);
	close(fd);
}

static void every_bit_of_a_header(void **state)
{
	uint8_t slot[MAP_SLOT_BYTES];
	struct map_header h = { .sequence = 7, .pass = 3, .subject = subject }, got;

	(void)state;
	map_header_put(slot, &h);
	for (unsigned i = 0; i < 8 * MAP_SLOT_BYTES; i += 13) {
		slot[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(map_header_take(slot, &got), -EBADMSG);
		slot[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_int_equal(map_header_take(slot, &got), 0);
	assert_int_equal(got.pass, 3);
	assert_string_equal(got.subject.source, subject.source);
}

static void cut_and_longer(void **state)
{
	static const off_t sizes[] = { 0,    1,	   100,	 4095, 4096,  8191,
				       8192, 8193, 8200, 9000, 12992, 1 << 20 };
	int fd;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct map *m;

		make_one();
		fd = raw(O_RDWR);
		assert_int_equal(ftruncate(fd, sizes[i]), 0);
		m = open_map(false);
		assert_true(st.known_bytes <= LENGTH);
		is(m, CHUNKS - 1, 1, sizes[i] > 12991 ? 1 : 0);
		assert_int_equal(note(m, 299, 1, 1), 0);
		map_close(m, false);
		close(fd);
	}
}

static void noise_of_any_length(void **state)
{
	struct prng p = { 2 };
	uint8_t buf[20000];

	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		size_t n = prng_below(&p, sizeof(buf));
		int fd;

		make_one();
		fd = raw(O_RDWR | O_TRUNC);
		prng_fill(&p, buf, n);
		assert_int_equal(write(fd, buf, n), (ssize_t)n);
		close(fd);
		map_close(open_map(false), false);
		assert_false(st.resumed);
	}
}

static void not_a_file(void **state)
{
	_cleanup_free_ char *path = map_path();
	struct map *m;
	int r = 0;

	(void)state;
	map_close(open_map(false), true);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_null(map_open(dir, &subject, false, &st, &r, err));
	assert_int_equal(r, -EISDIR);
	rmdir(path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_null(map_open(dir, &subject, false, &st, &r, err));
	assert_int_equal(r, -ELOOP);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(map_open(dir, &subject, false, &st, &r, err));
	assert_int_equal(r, -EINVAL);
	unlink(path);
	m = map_open("/proc/nowhere", &subject, false, &st, &r, err);
	assert_null(m);
	assert_non_null(strstr(err, "/proc/nowhere"));
}

/* 1 TiB: what the issue allows. */
static void large(void **state)
{
	struct map_subject was = subject;
	struct map *m;

	(void)state;
	subject.length = UINT64_C(1) << 40;
	assert_true(map_file_bytes(subject.length) < UINT64_C(300) << 20);
	m = open_map(false);
	note(m, (1 << 24) - 1, 1, 1);
	note(m, 12345678, 2, 1);
	commit(m);
	map_close(m, false);
	m = open_map(false);
	assert_int_equal(st.known_bytes, 3 * CHUNK_BYTES);
	is(m, 12345678, 2, 1);
	is(m, (1 << 24) - 1, 1, 1);
	map_close(m, true);
	subject = was;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(first_time, setup),
		cmocka_unit_test_setup(resumes, setup),
		cmocka_unit_test_setup(other_subjects, setup),
		cmocka_unit_test_setup(folder_of_others, setup),
		cmocka_unit_test_setup(exists, setup),
		cmocka_unit_test_setup(one_at_a_time, setup),
		cmocka_unit_test_setup(doubt, setup),
		cmocka_unit_test_setup(ends_well_after_rewriting, setup),
		cmocka_unit_test_setup(batches, setup),
		cmocka_unit_test_setup(ranges, setup),
		cmocka_unit_test_setup(torn_headers, setup),
		cmocka_unit_test_setup(every_bit_of_a_header, setup),
		cmocka_unit_test_setup(cut_and_longer, setup),
		cmocka_unit_test_setup(noise_of_any_length, setup),
		cmocka_unit_test_setup(not_a_file, setup),
		cmocka_unit_test_setup(large, setup),
	};

	return cmocka_run_group_tests(tests, NULL, cleanup);
}
