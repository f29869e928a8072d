/*
 * Watching writes: lines of trace_pipe from several kernels, and the real thing on a loop device
 * (SKIP where there is no tracefs, no loop device, or no root).
 */
#include <fcntl.h>
#include <linux/loop.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridgectl/transfer/frame.h"
#include "bridgectl/transfer/track.h"
#include "common/util.h"

#define MIB (1u << 20)

static const struct {
	const char *line;
	enum track_line kind;
	struct track_event e;
} lines[] = {
	{ "block_rq_complete: 7,0 WS () 1280 + 128 be,0,4 [0]", TRACK_WRITE, { 7, 0, 1280, 128 } },
	{ "block_rq_complete: 8,16 WS () 12884901888 + 8 [0]",
	  TRACK_WRITE,
	  { 8, 16, 12884901888, 8 } },
	{ "block_bio_complete: 253,4 W 2048 + 8 [0]", TRACK_WRITE, { 253, 4, 2048, 8 } },
	{ "block_bio_queue: 253,4 WS 2048 + 8 [a_complete: 1,2]",
	  TRACK_QUEUED,
	  { 253, 4, 2048, 8 } },
	{ "block_bio_queue: 253,4 R 2048 + 8 [qemu]", TRACK_OTHER, { 0 } },
	{ "block_bio_complete: 253,4 DS 0 + 4294967295 [0]",
	  TRACK_WRITE,
	  { 253, 4, 0, 4294967295 } },
	{ "block_rq_complete: 7,0 NS () 4096 + 128 be,0,4 [0]", TRACK_WRITE, { 7, 0, 4096, 128 } },
	{ "block_rq_complete: 8,0 W (2a 00 + 1 + 2) 64 + 8 [0]", TRACK_WRITE, { 8, 0, 64, 8 } },
	/* Failed ones count: part of it may be on the disk. */
	{ "block_bio_complete: 253,4 WFSM 16 + 8 [-5]", TRACK_WRITE, { 253, 4, 16, 8 } },
	{ "block_bio_complete: 253,4 R 2048 + 8 [0]", TRACK_OTHER, { 0 } },
	{ "block_rq_complete: 8,0 RM () 2048 + 8 [0]", TRACK_OTHER, { 0 } },
	{ "block_rq_complete: 8,0 FF () 18446744073709551615 + 0 [0]", TRACK_OTHER, { 0 } },
	{ "CPU:1 [LOST 42 EVENTS]", TRACK_LOST, { 0 } },
	{ "", TRACK_OTHER, { 0 } },
	{ "block_rq_complete: 8,0", TRACK_OTHER, { 0 } },
	{ "block_rq_complete: 8,0 W (", TRACK_OTHER, { 0 } },
};

static void every_kernels_lines(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		struct track_event e = { 0 };

		assert_int_equal(track_line_parse(lines[i].line, &e), lines[i].kind);
		assert_memory_equal(&e, &lines[i].e, sizeof(e));
	}
}

static struct track_event completed(struct track_flights *f, uint64_t from, uint64_t sectors)
{
	struct track_event e = { 253, 4, from, sectors };

	track_flight_end(f, &e);
	assert_int_equal(e.sector + e.sectors, from + sectors);
	return e;
}

static void begun(struct track_flights *f, uint64_t from, uint64_t sectors)
{
	struct track_event e = { 253, 4, from, sectors };

	assert_true(track_flight_begin(f, &e));
}

/* What the kernel shows of a write that was cut in pieces is its last piece. */
static void split_writes_are_whole(void **state)
{
	static struct track_flights f;

	(void)state;
	begun(&f, 1000, 256);
	begun(&f, 5000, 8);
	assert_int_equal(completed(&f, 1200, 56).sector, 1000);
	assert_int_equal(completed(&f, 1200, 56).sector, 1200); /* that was it */
	assert_int_equal(completed(&f, 5000, 8).sector, 5000);
	assert_int_equal(f.n, 0);
	/* A request of three that were merged, the first of them cut. */
	begun(&f, 90, 18);
	begun(&f, 116, 8);
	begun(&f, 108, 8);
	assert_int_equal(completed(&f, 100, 24).sector, 90);
	assert_int_equal(f.n, 0);
	/* Two with one end: nobody knows which one is done. */
	begun(&f, 2000, 100);
	begun(&f, 1990, 110);
	assert_int_equal(completed(&f, 2050, 50).sector, 1990);
	assert_int_equal(completed(&f, 2050, 50).sector, 1990);
	assert_int_equal(f.n, 0);
}

static void too_many_on_their_way(void **state)
{
	static struct track_flights f;
	struct track_event e = { 253, 4, 0, 8 };

	(void)state;
	for (unsigned i = 0; i < TRACK_FLIGHTS_MAX; i++)
		begun(&f, 8 * (uint64_t)i, 8);
	assert_false(track_flight_begin(&f, &e));
	assert_int_equal(f.n, TRACK_FLIGHTS_MAX);
}

struct loop {
	char image[64], device[32];
	int fd; /* of the device; -1: none */
};

static bool loop_open(struct loop *l, uint64_t bytes)
{
	_cleanup_close_ int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	snprintf(l->image, sizeof(l->image), "/tmp/l2t-track.XXXXXX");
	_cleanup_close_ int image = mkstemp(l->image);
	int n = control < 0 ? -1 : ioctl(control, LOOP_CTL_GET_FREE);

	assert_true(image >= 0);
	assert_int_equal(ftruncate(image, (off_t)bytes), 0);
	snprintf(l->device, sizeof(l->device), "/dev/loop%d", n);
	l->fd = n < 0 ? -1 : open(l->device, O_RDWR | O_CLOEXEC);
	if (l->fd < 0 || ioctl(l->fd, LOOP_SET_FD, image) < 0)
		return false;
	return true;
}

static void loop_close(struct loop *l)
{
	if (l->fd >= 0) {
		ioctl(l->fd, LOOP_CLR_FD);
		close(l->fd);
	}
	unlink(l->image);
}

/* A new loop device of 64 MiB, watched; ends the test with SKIP where that is not possible. */
static struct track *watch_loop(struct loop *l, uint64_t offset, uint64_t length, struct dirty *d)
{
	char err[TRACK_ERRLEN] = "no loop device";
	struct track *t =
		loop_open(l, 64 * MIB) ? track_start(l->fd, offset, length, d, err) : NULL;

	if (!t) {
		print_message("SKIP: %s\n", err);
		loop_close(l);
		dirty_free(d);
		skip();
	}
	return t;
}

static void write_at(const struct loop *l, uint64_t offset, size_t len)
{
	_cleanup_free_ void *buf = NULL;
	_cleanup_close_ int fd = open(l->device, O_WRONLY | O_DIRECT | O_CLOEXEC);

	assert_int_equal(posix_memalign(&buf, 4096, len), 0);
	memset(buf, 0x5a, len);
	assert_int_equal(pwrite(fd, buf, len, (off_t)offset), (ssize_t)len);
}

/* A window of the device, as of a partition: what is beside it does not count. */
static void writes_are_marked(void **state)
{
	struct dirty *d = dirty_new(32 * MIB);
	struct loop l;
	char err[TRACK_ERRLEN] = "no loop device";
	struct track *t =
		loop_open(&l, 64 * MIB) ? track_start(l.fd, 8 * MIB, 32 * MIB, d, err) : NULL;
	(void)state;

	if (!t) {
		print_message("SKIP: %s\n", err);
		loop_close(&l);
		dirty_free(d);
		skip();
	}
	write_at(&l, 0, CHUNK_BYTES);
	write_at(&l, 40 * MIB, CHUNK_BYTES);
	assert_true(track_sync(t));
	assert_int_equal(dirty_chunks(d), 0);
	assert_true(track_events(t) >= 2);

	write_at(&l, 8 * MIB - 4096, 8192); /* over the border */
	write_at(&l, 12 * MIB + CHUNK_BYTES, 2 * CHUNK_BYTES);
	assert_true(track_sync(t));
	assert_int_equal(dirty_chunks(d), 3);
	assert_true(dirty_take_span(d, 0) == 1);
	assert_true(dirty_take_span(d, 1) == 6);

	/* Through the cache: seen when it is written out. */
	assert_int_equal(pwrite(l.fd, "x", 1, 16 * MIB), 1);
	assert_int_equal(fsync(l.fd), 0);
	assert_true(track_sync(t));
	assert_true(dirty_take_span(d, 2) == 1);
	assert_int_equal(dirty_chunks(d), 0);

	track_stop(t);
	loop_close(&l);
	dirty_free(d);
}

/* The kernel's buffer made so small that it overflows between two looks. */
static void shrink_buffer(void)
{
	char path[128];

	for (unsigned n = 0; n < 16; n++) {
		snprintf(path, sizeof(path),
			 "/sys/kernel/tracing/instances/bridgectl-%d-%u/buffer_size_kb",
			 (int)getpid(), n);
		_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0)
			assert_int_equal(write(fd, "1", 1), 1);
	}
}

static void lost_events_are_told(void **state)
{
	struct loop l;
	struct dirty *d = dirty_new(64 * MIB);
	struct track *t = watch_loop(&l, 0, 64 * MIB, d);
	(void)state;

	assert_true(track_sync(t));
	shrink_buffer();
	assert_true(track_sync(t));
	bool all = true;
	for (unsigned i = 0; i < 20000 && all; i++) {
		write_at(&l, (i % 1000) * 4096, 4096);
		all = i % 1000 != 999 || track_sync(t);
	}
	assert_false(all);
	assert_true(track_sync(t)); /* told once; what came after it is all there */
	track_stop(t);
	loop_close(&l);
	dirty_free(d);
}

static void files_are_refused(void **state)
{
	char path[] = "/tmp/l2t-track.XXXXXX", err[TRACK_ERRLEN] = "";
	_cleanup_close_ int fd = mkstemp(path);
	(void)state;
	assert_null(track_start(fd, 0, MIB, NULL, err));
	assert_non_null(strstr(err, "it is a file"));
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kernels_lines),	 cmocka_unit_test(split_writes_are_whole),
		cmocka_unit_test(too_many_on_their_way), cmocka_unit_test(writes_are_marked),
		cmocka_unit_test(lost_events_are_told),	 cmocka_unit_test(files_are_refused),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
