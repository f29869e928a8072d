/*
 * Who else may be on a data connection: strangers that keep the other calls waiting, the wrong
 * key, the same number twice, and a source that has the key and sends anything. Whatever comes,
 * nothing outside the target's window changes, and nothing inside without its digest.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "tests/unit/ends_pair.h"

#define MIB (UINT64_C(1) << 20)
#define LENGTH (9 * MIB + 1000)

/* --- A hostile source --- */

/* Sends bytes as they are; the target must then fail, and say something of this kind. */
static void refused(const struct frame *frames, unsigned n, const void *payload, bool begin)
{
	uint8_t header[FRAME_HEADER_BYTES];
	struct ends e;
	struct fail f;
	int r;

	ends_make(&e, LENGTH, true, 21);
	ends_open(&e, 1, false);
	if (begin)
		assert_int_equal(receiver_begin(e.receiver, 0, PASS_FULL, &f), 0);
	for (unsigned i = 0; i < n; i++) {
		struct iovec iov[2] = { { header, sizeof(header) },
					{ (void *)payload, frames[i].payload } };

		frame_put(header, &frames[i], &e.wire_source.digest);
		r = conn_write(e.at_source.wires[0].conn, iov, payload ? 2 : 1);
		if (r == 0)
			r = conn_flush(e.at_source.wires[0].conn);
	}
	/* Until it has had enough. */
	while (conn_read(e.at_source.wires[0].conn, header, 1) == 0)
		continue;
	r = receiver_settle(e.receiver, 0, &f);
	assert_true(r < 0);
	assert_int_equal(f.code, FAIL_PROTOCOL);
	ends_close(&e);
	/* The garbage that was there is what `bytes` holds. */
	ends_check(&e);
	ends_free(&e);
}

static void impossible_frames(void **state)
{
	static const uint8_t zeros[SPAN_BYTES];
	static const struct frame t[] = {
		{ FRAME_ZERO, 0, 0, 0, LENGTH + 1 },
		{ FRAME_ZERO, 0, 0, 10 * MIB, CHUNK_BYTES },
		{ FRAME_ZERO, 0, 0, UINT64_MAX - 65535, CHUNK_BYTES },
		{ FRAME_ZERO, 0, 0, 9 * MIB, CHUNK_BYTES },
		{ FRAME_ZERO, 0, 0, 1, CHUNK_BYTES },
		{ FRAME_ZERO, 0, 0, 0, 100 },
		{ FRAME_ZERO, 0, 0, 0, 0 },
		{ FRAME_ZERO, 0, 16, 0, CHUNK_BYTES },
		{ FRAME_DATA, 0, 16 + CHUNK_BYTES, 16 * MIB, CHUNK_BYTES },
		{ FRAME_DATA, 0, 16 + CHUNK_BYTES, 9 * MIB, CHUNK_BYTES },
		{ FRAME_DATA, 0, 15 + CHUNK_BYTES, 0, CHUNK_BYTES },
		{ FRAME_DATA, 0, UINT32_MAX, 0, CHUNK_BYTES },
		{ FRAME_DATA, 0, 16, 0, CHUNK_BYTES },
		{ FRAME_DATA, 0, 0, 0, SPAN_BYTES + CHUNK_BYTES },
		{ FRAME_DATA, 0x80, 16 + CHUNK_BYTES, 0, CHUNK_BYTES },
		{ FRAME_DATA, FRAME_F_ZSTD, 16 + 100, 0, CHUNK_BYTES }, /* no zstd in there */
		{ FRAME_ASK, 0, 0, 0, SPAN_BYTES + CHUNK_BYTES },
		{ FRAME_HASHES, 0, 16, 0, CHUNK_BYTES },
		{ FRAME_DONE, 0, 0, 0, 0 },
		{ FRAME_HELLO, 0, FRAME_HELLO_BYTES, LENGTH, 1 },
		{ FRAME_TYPES, 0, 0, 0, 0 },
		{ 0, 0, 0, 0, 0 },
		{ 255, 0, 0, 0, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		bool body = t[i].payload && t[i].payload <= sizeof(zeros);

		refused(&t[i], 1, body ? zeros : NULL, true);
	}
}

/* The digest of other bytes, and what comes before the pass has begun or after it ended. */
static void frames_at_the_wrong_time(void **state)
{
	static const uint8_t zeros[CHUNK_BYTES + DIGEST_BYTES];
	static const struct frame data = { FRAME_DATA, 0, 16 + CHUNK_BYTES, 0, CHUNK_BYTES };
	static const struct frame zero = { FRAME_ZERO, 0, 0, 0, CHUNK_BYTES };
	static const struct frame ask = { FRAME_ASK, 0, 0, 0, CHUNK_BYTES };
	static const struct frame end = { FRAME_END, 0, 0, 0, 0 };
	static const struct frame ends[] = { { FRAME_END, 0, 0, 0, 0 },
					     { FRAME_ZERO, 0, 0, 0, 65536 } };

	(void)state;
	refused(&data, 1, zeros, true);
	refused(&data, 1, zeros, false);
	refused(&zero, 1, NULL, false);
	refused(&ask, 1, NULL, false);
	refused(&end, 1, NULL, false);
	refused(ends, 2, NULL, true);
}

static void random_bytes(void **state)
{
	struct prng p = { .state = 22 };

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		uint8_t junk[4096];
		struct ends e;
		struct fail f;
		struct iovec iov = { junk, sizeof(junk) };

		ends_make(&e, LENGTH, true, i);
		ends_open(&e, 1, false);
		assert_int_equal(receiver_begin(e.receiver, 0, PASS_FULL, &f), 0);
		prng_fill(&p, junk, sizeof(junk));
		conn_write(e.at_source.wires[0].conn, &iov, 1);
		conn_flush(e.at_source.wires[0].conn);
		assert_true(receiver_settle(e.receiver, 0, &f) < 0);
		assert_int_equal(f.code, FAIL_PROTOCOL);
		ends_close(&e);
		ends_check(&e);
		ends_free(&e);
	}
}

/* --- Strangers --- */

static const uint8_t key[CONN_KEY_BYTES] = "a key";
static const uint8_t other_key[CONN_KEY_BYTES] = "no key";
static const uint8_t seed[DIGEST_SEED_BYTES] = "a seed";

static struct wire_setup setup(enum wire_role role, const uint8_t *k, bool tls)
{
	struct wire_setup s = { .role = role, .tls = tls, .window = LENGTH };

	memcpy(s.key, k, sizeof(s.key));
	digest_init(&s.digest, seed);
	return s;
}

static int listen_here(char *address, size_t size)
{
	char err[CONN_ERRLEN];
	uint16_t port;
	int fd;

	assert_int_equal(conn_listen("127.0.0.1:0", 16, &fd, err), 0);
	assert_int_equal(conn_local_port(fd, &port), 0);
	snprintf(address, size, "127.0.0.1:%u", port);
	return fd;
}

/* Silent ones, one who talks nonsense, one with another key: all before the right ones. */
static void strangers(void **state)
{
	(void)state;
	for (unsigned tls = 0; tls < 2; tls++) {
		struct wire_setup source = setup(WIRE_SOURCE, key, tls);
		struct wire_setup target = setup(WIRE_TARGET, key, tls);
		struct wire_setup wrong = setup(WIRE_SOURCE, other_key, tls);
		struct gathered at_source = { 0 }, at_target = { 0 }, none = { 0 };
		char address[64], err[CONN_ERRLEN];
		int silent[6], fd = listen_here(address, sizeof(address));
		struct gather *g = gather_listen(fd, 3, &target, 20000);
		struct fail f;

		assert_non_null(g);
		for (unsigned i = 0; i < ARRAY_SIZE(silent); i++)
			assert_int_equal(conn_connect(address, 5000, &silent[i], err), 0);
		assert_int_equal(send(silent[0], "GET / HTTP/1.0\r\n\r\n", 18, MSG_NOSIGNAL), 18);
		assert_true(gather_call(&none, address, 1, &wrong, &f) < 0);
		if (gather_call(&at_source, address, 3, &source, &f) < 0)
			fail_msg("%s", f.text);
		if (gather_wait(g, &at_target, &f) < 0)
			fail_msg("%s", f.text);
		assert_int_equal(at_target.n, 3);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(at_target.wires[i].number, i);
		for (unsigned i = 0; i < ARRAY_SIZE(silent); i++)
			close(silent[i]);
		gather_free(g);
		gathered_free(&at_source, false);
		gathered_free(&at_target, false);
	}
}

/* Who overheard a greeting and sends it again comes too late, and hears nothing. */
static void same_number_twice(void **state)
{
	struct wire_setup source = setup(WIRE_SOURCE, key, false);
	struct wire_setup target = setup(WIRE_TARGET, key, false);
	struct gathered first = { 0 }, again = { 0 };
	char address[64];
	struct gather *g = gather_listen(listen_here(address, sizeof(address)), 2, &target, 20000);
	struct fail f;

	(void)state;
	assert_int_equal(gather_call(&first, address, 1, &source, &f), 0);
	assert_true(gather_call(&again, address, 1, &source, &f) < 0);
	gather_stop(g);
	assert_true(gather_wait(g, &again, &f) < 0);
	assert_int_equal(f.code, FAIL_STOPPED);
	gather_free(g);
	gathered_free(&first, false);
}

/* Two ends that do not mean the same disk, and one that answers in the other's role. */
static void not_our_transfer(void **state)
{
	struct wire_setup source = setup(WIRE_SOURCE, key, false);
	struct wire_setup target = setup(WIRE_TARGET, key, false);
	struct wire_setup mirror = setup(WIRE_SOURCE, key, false);
	const struct wire_setup *callers[] = { &source, &mirror };
	struct gathered none = { 0 };

	(void)state;
	source.window++;
	mirror.role = WIRE_TARGET;
	for (unsigned i = 0; i < ARRAY_SIZE(callers); i++) {
		char address[64];
		struct gather *g =
			gather_listen(listen_here(address, sizeof(address)), 1, &target, 20000);
		struct fail f;

		assert_true(gather_call(&none, address, 1, callers[i], &f) < 0);
		gather_free(g);
	}
}

static void nobody_comes(void **state)
{
	struct wire_setup target = setup(WIRE_TARGET, key, true);
	struct gathered none = { 0 };
	char address[64];
	struct gather *g = gather_listen(listen_here(address, sizeof(address)), 4, &target, 300);
	struct fail f;

	(void)state;
	assert_true(gather_wait(g, &none, &f) < 0);
	assert_int_equal(f.code, FAIL_CONNECTION);
	assert_string_equal(f.text, "0 of 4 data connections came");
	gather_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(impossible_frames), cmocka_unit_test(frames_at_the_wrong_time),
		cmocka_unit_test(random_bytes),	     cmocka_unit_test(strangers),
		cmocka_unit_test(same_number_twice), cmocka_unit_test(not_our_transfer),
		cmocka_unit_test(nobody_comes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
