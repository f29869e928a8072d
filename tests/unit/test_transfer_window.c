/*
 * Windows: on a file with and without direct I/O, in memory (tmpfs) and on a loop device. Whatever
 * is read, written and zeroed at random around the borders of a partition: inside it is as a model
 * says, and the neighbours keep their pattern.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "bridgectl/transfer/window.h"
#include "common/util.h"
#include "tests/support/prng.h"

#define SIZE (3u << 20)
#define BUF (1u << 20)

enum place { FILE_HERE, FILE_CACHED, MEMORY, LOOP, PLACES };

/* A file, what should be in it, and a window of it. */
struct bed {
	int file, fd; /* the same, but for a loop device */
	uint8_t *model;
	uint8_t *buf;
	size_t size;
	struct window w;
};

static int temp_file(const char *dir)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/window-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static int loop_of(int file)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), n, fd = -1;
	struct loop_info64 info = { .lo_flags = LO_FLAGS_AUTOCLEAR };
	char path[32];

	if (control < 0)
		return -1;
	for (unsigned tries = 0; tries < 20 && fd < 0; tries++) {
		n = ioctl(control, LOOP_CTL_GET_FREE);
		snprintf(path, sizeof(path), "/dev/loop%d", n);
		fd = n < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_SET_FD, file) < 0) {
			close(fd);
			fd = -1;
		}
	}
	close(control);
	if (fd >= 0)
		ioctl(fd, LOOP_SET_STATUS64, &info);
	return fd;
}

static void bed_close(struct bed *b)
{
	window_fini(&b->w);
	if (b->fd != b->file)
		close(b->fd);
	close(b->file);
	free(b->model);
	free(b->buf);
}

/* False: there is no such place here. */
static bool bed_open(struct bed *b, enum place place, size_t size, uint64_t seed)
{
	const char *dir = place == MEMORY ? "/dev/shm" : ".";
	struct prng p = { seed };

	memset(b, 0, sizeof(*b));
	b->w.direct_fd = -1;
	b->size = size;
	b->file = temp_file(dir);
	if (b->file < 0)
		return false;
	b->model = malloc(size);
	b->buf = window_buffer(BUF);
	prng_fill(&p, b->model, size);
	assert_int_equal(pwrite(b->file, b->model, size, 0), (ssize_t)size);
	fsync(b->file);
	b->fd = place == LOOP ? loop_of(b->file) : b->file;
	if (b->fd < 0) {
		b->fd = b->file;
		bed_close(b);
		return false;
	}
	return true;
}

static void bed_window(struct bed *b, enum place place, uint64_t offset, uint64_t length)
{
	window_fini(&b->w);
	assert_int_equal(window_init(&b->w, b->fd, b->size, offset, length), 0);
	if (place == FILE_CACHED)
		window_fini(&b->w); /* leaves it without the direct way */
}

/* The whole file or device, as another program sees it. */
static void check_all(struct bed *b)
{
	uint8_t *seen = malloc(b->size);

	assert_int_equal(pread(b->fd, seen, b->size, 0), (ssize_t)b->size);
	if (memcmp(seen, b->model, b->size) != 0)
		for (size_t i = 0; i < b->size; i++)
			if (seen[i] != b->model[i])
				fail_msg("byte %zu of the file, window from %zu with %zu", i,
					 (size_t)b->w.offset, (size_t)b->w.length);
	free(seen);
}

/* Near a border of the window, often on sectors and pages; also far outside of it. */
static uint64_t some_place(struct prng *p, const struct window *w)
{
	static const uint64_t units[] = { 1, 512, 4096, 65536 };
	uint64_t at = prng_below(p, 2) ? prng_below(p, 40) * 4096 :
					 w->length + 40 * 512 - prng_below(p, 80) * 512;

	switch (prng_below(p, 12)) {
	case 0:
		return UINT64_MAX - prng_below(p, 70000);
	case 1:
		return w->length - MIN(w->length, prng_below(p, 3));
	case 2:
		return UINT64_MAX - w->offset + prng_below(p, 5);
	default:
		return at - at % units[prng_below(p, 4)];
	}
}

static uint64_t some_length(struct prng *p, const struct window *w, uint64_t at)
{
	uint64_t rest = w->length - MIN(w->length, at);

	switch (prng_below(p, 6)) {
	case 0:
		return MIN(rest, (uint64_t)BUF); /* exactly to the end */
	case 1:
		return MIN(rest + prng_below(p, 3), (uint64_t)BUF);
	case 2:
		return prng_below(p, 100);
	default:
		return prng_below(p, 40) * 4096;
	}
}

static void one_access(struct bed *b, struct prng *p)
{
	uint64_t at = some_place(p, &b->w), len = some_length(p, &b->w, at);
	bool inside = at <= b->w.length && len <= b->w.length - at;
	uint8_t *model = inside ? b->model + b->w.offset + at : NULL;
	/* mostly aligned, as the rest of us does it */
	uint8_t *buf = b->buf + (prng_below(p, 8) == 0 && len < BUF - 64 ? prng_below(p, 64) : 0);
	int r;

	switch (prng_below(p, 4)) {
	case 0:
		r = window_read(&b->w, at, buf, len);
		break;
	case 1:
		r = window_reread(&b->w, at, buf, len);
		break;
	case 2:
		prng_fill(p, buf, len);
		if (inside)
			memcpy(model, buf, len);
		r = window_write(&b->w, at, buf, len);
		break;
	default:
		r = window_zero(&b->w, at, len);
		if (inside) {
			memset(model, 0, len);
			assert_int_equal(window_read(&b->w, at, buf, len), 0);
		}
	}
	assert_int_equal(r, inside ? 0 : -ERANGE);
	if (inside)
		assert_memory_equal(buf, model, len);
	if (prng_below(p, 20) == 0)
		assert_int_equal(window_flush(&b->w), 0);
}

static void at_random(enum place place)
{
	/* partitions at pages, at the 63rd sector as of old, and of odd sizes */
	static const struct {
		uint64_t offset, length;
	} windows[] = { { 0, 0 },
			{ 1 << 20, 1 << 20 },
			{ 63 * 512, 1 << 20 },
			{ 1 << 20, 1025 * 512 },
			{ 63 * 512, 2047 * 512 },
			{ 4096, 100001 },
			{ 512, 70001 },
			{ 777, 1 << 20 },
			{ 2 << 20, 0 },
			{ SIZE - 4096, 0 },
			{ 8192, 4096 },
			{ 4096, 512 } };
	struct prng p = { 100 + place };
	struct bed b;

	if (!bed_open(&b, place, SIZE, place))
		skip();
	for (unsigned i = 0; i < ARRAY_SIZE(windows); i++) {
		bed_window(&b, place, windows[i].offset, windows[i].length);
		for (unsigned n = 0; n < 120; n++)
			one_access(&b, &p);
		assert_int_equal(window_flush(&b.w), 0);
		check_all(&b);
	}
	bed_close(&b);
}

static void file(void **state)
{
	(void)state;
	at_random(FILE_HERE);
}

static void file_cached(void **state)
{
	(void)state;
	at_random(FILE_CACHED);
}

static void memory(void **state)
{
	(void)state;
	at_random(MEMORY);
}

static void loop_device(void **state)
{
	(void)state;
	at_random(LOOP);
}

/* An image that ends with half a block; another process's writes are seen. */
static void odd_image(void **state)
{
	struct bed b;

	(void)state;
	if (!bed_open(&b, FILE_HERE, SIZE - 4096 + 1234, 5))
		skip();
	bed_window(&b, FILE_HERE, 0, 0);
	for (unsigned i = 0; i < 50; i++) {
		size_t at = 10 * 65536, n = b.size - 2 * 65536 - (b.size - at) % 65536;

		b.model[b.size - 1]++;
		b.model[b.size - 2000]--;
		if (i % 2)
			assert_int_equal(
				pwrite(b.fd, b.model + b.size - 2000, 2000, (off_t)b.size - 2000),
				2000);
		at = n - n % 65536;
		memcpy(b.buf, b.model + at, b.size - at);
		if (i % 2 == 0)
			assert_int_equal(window_write(&b.w, at, b.buf, b.size - at), 0);
		memset(b.buf, 0, b.size - at);
		assert_int_equal(
			(i % 3 ? window_read : window_reread)(&b.w, at, b.buf, b.size - at), 0);
		assert_memory_equal(b.buf, b.model + at, b.size - at);
		check_all(&b);
	}
	bed_close(&b);
}

static void bounds_of_windows(void **state)
{
	struct window w = { .direct_fd = 77 };
	int fd = temp_file(".");

	(void)state;
	assert_int_equal(ftruncate(fd, 100000), 0);
	assert_int_equal(window_init(&w, fd, 100000, 100001, 0), -ERANGE);
	assert_int_equal(window_init(&w, fd, 100000, 100000, 0), -ERANGE);
	assert_int_equal(window_init(&w, fd, 100000, 100000, 1), -ERANGE);
	assert_int_equal(window_init(&w, fd, 100000, 1, 100000), -ERANGE);
	assert_int_equal(window_init(&w, fd, 100000, 4096, UINT64_MAX), -ERANGE);
	assert_int_equal(window_init(&w, fd, 100000, UINT64_MAX, 2), -ERANGE);
	assert_int_equal(window_init(&w, fd, UINT64_MAX, 0, 0), -ERANGE);
	assert_int_equal(window_init(&w, fd, 0, 0, 0), -ERANGE);
	assert_int_equal(w.direct_fd, 77); /* untouched */
	assert_int_equal(window_init(&w, fd, 100000, 99999, 0), 0);
	assert_int_equal(w.length, 1);
	window_fini(&w);
	close(fd);
}

/* The cache lies after a write behind its back; rereading is not deceived. */
static void reread_from_disk(void **state)
{
	struct bed b;

	(void)state;
	if (!bed_open(&b, LOOP, SIZE, 6))
		skip();
	bed_window(&b, LOOP, 0, 0);
	assert_int_equal(window_read(&b.w, 0, b.buf, 65536), 0);
	/* below the loop device, so that its own cache does not notice */
	assert_int_equal(pread(b.fd, b.buf, 65536, 0), 65536);
	memset(b.buf, 0x5a, 65536);
	assert_int_equal(pwrite(b.file, b.buf, 65536, 0), 65536);
	memset(b.buf, 0, 65536);
	assert_int_equal(window_reread(&b.w, 0, b.buf, 65536), 0);
	for (unsigned i = 0; i < 65536; i++)
		assert_int_equal(b.buf[i], 0x5a);
	memset(b.buf, 0, 65536);
	assert_int_equal(window_read(&b.w, 0, b.buf, 65536), 0);
	assert_int_equal(b.buf[0], 0x5a);
	bed_close(&b);
}

static size_t pages_in_cache(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	unsigned char *there = calloc(1, size / 4096 + 1);
	size_t n = 0;

	assert_int_equal(mincore(p, size, there), 0);
	for (size_t i = 0; i < size / 4096; i++)
		n += there[i] & 1;
	munmap(p, size);
	free(there);
	return n;
}

/* Neither way leaves the guest's disk in our memory. */
static void cache_stays_small(void **state)
{
	static const enum place places[] = { FILE_HERE, FILE_CACHED };
	struct bed b;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		assert_true(bed_open(&b, places[i], SIZE, 7));
		posix_fadvise(b.fd, 0, 0, POSIX_FADV_DONTNEED);
		if (pages_in_cache(b.fd, SIZE) > 0) { /* the file system keeps it all */
			bed_close(&b);
			skip();
		}
		bed_window(&b, places[i], 0, 0);
		for (uint64_t at = 0; at < SIZE; at += BUF)
			assert_int_equal(window_read(&b.w, at, b.buf, BUF), 0);
		assert_true(pages_in_cache(b.fd, SIZE) < SIZE / 4096 / 8);
		for (uint64_t at = 0; at < SIZE; at += BUF)
			assert_int_equal(window_write(&b.w, at, b.buf, BUF), 0);
		assert_int_equal(window_flush(&b.w), 0);
		assert_true(pages_in_cache(b.fd, SIZE) < SIZE / 4096 / 8);
		bed_close(&b);
	}
}

static void zeros_make_holes(void **state)
{
	struct stat before, after;
	struct bed b;

	(void)state;
	assert_true(bed_open(&b, FILE_HERE, SIZE, 8));
	assert_int_equal(fstat(b.fd, &before), 0);
	bed_window(&b, FILE_HERE, 4096, SIZE - 8192);
	assert_int_equal(window_zero(&b.w, 0, SIZE - 8192), 0);
	memset(b.model + 4096, 0, SIZE - 8192);
	check_all(&b);
	assert_int_equal(fstat(b.fd, &after), 0);
	assert_int_equal(after.st_size, before.st_size);
	if (after.st_blocks >= before.st_blocks)
		skip(); /* a file system without holes */
	bed_close(&b);
}

static void shorter_than_it_was(void **state)
{
	struct bed b;

	(void)state;
	assert_true(bed_open(&b, FILE_HERE, SIZE, 9));
	bed_window(&b, FILE_HERE, 0, 0);
	assert_int_equal(ftruncate(b.fd, SIZE - 100000), 0);
	assert_int_equal(window_read(&b.w, SIZE - BUF, b.buf, BUF), -EIO);
	bed_close(&b);
}

/* /dev/full has no room; a flush that failed once never succeeds again. */
static void errors(void **state)
{
	struct window w;
	int fd = open("/dev/full", O_RDWR | O_CLOEXEC), pipes[2];
	uint8_t *buf = window_buffer(4096);

	(void)state;
	memset(buf, 1, 4096);
	if (fd >= 0) {
		assert_int_equal(window_init(&w, fd, 1 << 20, 0, 0), 0);
		assert_int_equal(window_write(&w, 0, buf, 4096), -ENOSPC);
		window_fini(&w);
		close(fd);
	}
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	fd = temp_file(".");
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(window_init(&w, fd, 4096, 0, 0), 0);
	w.fd = pipes[0]; /* a pipe cannot be flushed */
	assert_int_equal(window_flush(&w), -EINVAL);
	w.fd = fd;
	assert_int_equal(window_flush(&w), -EINVAL);
	window_fini(&w);
	close(fd);
	close(pipes[0]);
	close(pipes[1]);
	free(buf);
}

static void read_only_stays_so(void **state)
{
	char path[64];
	struct window w;
	uint8_t *buf = window_buffer(4096);
	int fd = temp_file("."), ro;

	(void)state;
	assert_int_equal(ftruncate(fd, 8192), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ro = open(path, O_RDONLY | O_CLOEXEC);
	memset(buf, 1, 4096);
	assert_int_equal(window_init(&w, ro, 8192, 0, 0), 0);
	assert_int_equal(window_write(&w, 0, buf, 4096), -EBADF);
	assert_int_equal(window_zero(&w, 0, 4096), -EBADF);
	assert_int_equal(window_read(&w, 0, buf, 4096), 0);
	assert_int_equal(buf[0], 0);
	window_fini(&w);
	close(ro);
	close(fd);
	free(buf);
}

/* Threads on neighbouring chunks, whose pages touch in a window at an odd place. */
#define LANES 4
static struct bed *lanes_bed;

static void *lane(void *arg)
{
	size_t me = (size_t)arg;
	uint8_t *buf = window_buffer(65536);
	struct prng p = { me };

	for (unsigned round = 0; round < 4; round++)
		for (uint64_t at = me * 65536; at < lanes_bed->w.length; at += LANES * 65536) {
			size_t n = (size_t)MIN(lanes_bed->w.length - at, (uint64_t)65536);

			prng_fill(&p, buf, n);
			memcpy(lanes_bed->model + lanes_bed->w.offset + at, buf, n);
			if (window_write(&lanes_bed->w, at, buf, n) < 0)
				abort();
		}
	free(buf);
	return NULL;
}

static void threads(void **state)
{
	static const struct {
		uint64_t offset, length;
	} windows[] = { { 4096, SIZE - 8192 },
			{ 63 * 512, SIZE - 64 * 512 },
			{ 4096, SIZE - 8192 - 123 },
			{ 777, SIZE - 4096 } };
	pthread_t t[LANES];
	struct bed b;

	(void)state;
	assert_true(bed_open(&b, FILE_HERE, SIZE, 10));
	lanes_bed = &b;
	for (unsigned i = 0; i < ARRAY_SIZE(windows); i++) {
		bed_window(&b, FILE_HERE, windows[i].offset, windows[i].length);
		for (size_t k = 0; k < LANES; k++)
			assert_int_equal(pthread_create(&t[k], NULL, lane, (void *)k), 0);
		for (size_t k = 0; k < LANES; k++)
			pthread_join(t[k], NULL);
		check_all(&b);
	}
	bed_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(file),
		cmocka_unit_test(file_cached),
		cmocka_unit_test(memory),
		cmocka_unit_test(loop_device),
		cmocka_unit_test(odd_image),
		cmocka_unit_test(bounds_of_windows),
		cmocka_unit_test(reread_from_disk),
		cmocka_unit_test(cache_stays_small),
		cmocka_unit_test(zeros_make_holes),
		cmocka_unit_test(shorter_than_it_was),
		cmocka_unit_test(errors),
		cmocka_unit_test(read_only_stays_so),
		cmocka_unit_test(threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
