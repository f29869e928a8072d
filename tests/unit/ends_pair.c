/* See ends_pair.h. The one in the middle is a thread for each direction of each connection. */
#include "tests/unit/ends_pair.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

static const uint8_t key[CONN_KEY_BYTES] = "thirty-two bytes, as many as any";

static void path_of(const struct ends *e, const char *name, char *buf, size_t size)
{
	assert_true((size_t)snprintf(buf, size, "%s/%s", e->dir, name) < size);
}

static int make_file(const struct ends *e, const char *name)
{
	char path[128];
	int fd;

	path_of(e, name, path, sizeof(path));
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static void write_at(int fd, const void *buf, size_t len, uint64_t at)
{
	const uint8_t *p = buf;

	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, p + done, len - done, (off_t)(at + done));

		assert_true(n > 0);
		done += (size_t)n;
	}
}

static void guard(struct ends *e)
{
	uint8_t bytes[ENDS_GUARD];

	memset(bytes, ENDS_GUARD_BYTE, sizeof(bytes));
	write_at(e->target_fd, bytes, sizeof(bytes), 0);
	write_at(e->target_fd, bytes, sizeof(bytes), ENDS_GUARD + e->length);
}

void ends_make(struct ends *e, uint64_t length, bool garbage, uint64_t seed)
{
	*e = (struct ends){ .length = length, .prng.state = seed };
	snprintf(e->dir, sizeof(e->dir), "/var/tmp/test_ends.XXXXXX");
	assert_non_null(mkdtemp(e->dir));
	e->source_fd = make_file(e, "source");
	e->target_fd = make_file(e, "target");
	e->bytes = malloc(length);
	assert_non_null(e->bytes);
	prng_fill(&e->prng, e->bytes, length);
	if (garbage)
		write_at(e->target_fd, e->bytes, length, ENDS_GUARD);
	guard(e);
}

void ends_write_source(struct ends *e)
{
	write_at(e->source_fd, e->bytes, e->length, 0);
}

void ends_fill(struct ends *e)
{
	for (uint64_t at = 0; at < e->length; at += CHUNK_BYTES) {
		size_t len = (size_t)MIN(CHUNK_BYTES, e->length - at);

		switch (prng_below(&e->prng, 4)) {
		case 0:
			memset(e->bytes + at, 0, len);
			break;
		case 1:
			memset(e->bytes + at, 'a' + (int)prng_below(&e->prng, 26), len);
			break;
		default:
			prng_fill(&e->prng, e->bytes + at, len);
		}
	}
	ends_write_source(e);
}

/* --- In the middle --- */

struct relay {
	int from, to;
	uint64_t flip_at, cut_at;
};

static void *relay_main(void *arg)
{
	struct relay *r = arg;
	uint64_t at = 0;
	uint8_t buf[8192];
	ssize_t n;

	while ((n = recv(r->from, buf, sizeof(buf), 0)) > 0) {
		if (r->flip_at >= at && r->flip_at - at < (uint64_t)n)
			buf[r->flip_at - at] ^= 1;
		if (at + (uint64_t)n > r->cut_at)
			break;
		at += (uint64_t)n;
		for (ssize_t done = 0, k; done < n; done += k) {
			k = send(r->to, buf + done, (size_t)(n - done), MSG_NOSIGNAL);
			if (k < 0)
				break;
		}
	}
	shutdown(r->from, SHUT_RDWR);
	shutdown(r->to, SHUT_RDWR);
	free(r);
	return NULL;
}

static void start_relay(int from, int to, uint64_t flip_at, uint64_t cut_at)
{
	struct relay *r = malloc(sizeof(*r));
	pthread_attr_t attr;
	pthread_t thread;

	assert_non_null(r);
	*r = (struct relay){ from, to, flip_at, cut_at };
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	assert_int_equal(pthread_create(&thread, &attr, relay_main, r), 0);
	pthread_attr_destroy(&attr);
}

/* The descriptors in the middle stay open until the test ends: few, and simple. */
static void splice_in(struct ends *e, struct gathered *ret, unsigned n, const char *address)
{
	char err[CONN_ERRLEN];
	struct fail f;

	ret->n = n;
	for (unsigned i = 0; i < n; i++) {
		int pair[2], fd;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		assert_int_equal(conn_connect(address, 5000, &fd, err), 0);
		start_relay(pair[1], fd, e->middle.flip_at, e->middle.cut_at);
		start_relay(fd, pair[1], UINT64_MAX, UINT64_MAX);
		ret->wires[i].conn = conn_new(pair[0], NULL, false, err);
		assert_non_null(ret->wires[i].conn);
		if (wire_greet(&ret->wires[i], ret->wires[i].conn, &e->wire_source, i, &f) < 0)
			fail_msg("%s", f.text);
	}
}

static void connect_ends(struct ends *e, unsigned n)
{
	char path[128], err[CONN_ERRLEN];
	struct gather *g;
	struct fail f;
	int fd;

	path_of(e, "socket", path, sizeof(path));
	unlink(path);
	assert_int_equal(conn_listen(path, 16, &fd, err), 0);
	g = gather_listen(fd, n, &e->wire_target, 20000);
	assert_non_null(g);
	if (e->middle.active)
		splice_in(e, &e->at_source, n, path);
	else if (gather_call(&e->at_source, path, n, &e->wire_source, &f) < 0)
		fail_msg("%s", f.text);
	if (gather_wait(g, &e->at_target, &f) < 0)
		fail_msg("%s", f.text);
	gather_free(g);
}

/* --- Opening and closing --- */

static void failed(void *arg, const struct fail *f)
{
	struct ends *e = arg;

	e->failed = *f;
}

static void open_map(struct ends *e)
{
	struct map_subject subject = { .source = "source",
				       .target = "target",
				       .length = e->length };
	char dir[128], err[MAP_ERRLEN];
	int r;

	path_of(e, "state", dir, sizeof(dir));
	e->map = map_open(dir, &subject, false, &e->state, &r, err);
	if (!e->map)
		fail_msg("%s", err);
}

void ends_open(struct ends *e, unsigned n, bool distrust)
{
	uint64_t target_bytes = e->length + 2 * ENDS_GUARD;
	struct sender_setup ss = { &e->source, &e->wire_source.digest, "SOURCE" };
	struct receiver_setup rs = { .window = &e->target,
				     .digest = &e->wire_target.digest,
				     .path = "TARGET",
				     .failed = failed,
				     .arg = e };
	struct fail f;

	assert_int_equal(window_init(&e->source, e->source_fd, e->length, 0, 0), 0);
	assert_int_equal(window_init(&e->target, e->target_fd, target_bytes, ENDS_GUARD, e->length),
			 0);
	open_map(e);
	e->failed = (struct fail){ 0 };
	e->wire_source = e->wire_target =
		(struct wire_setup){ .role = WIRE_SOURCE, .window = e->length };
	e->wire_target.role = WIRE_TARGET;
	e->wire_target.known_bytes = distrust ? 1 : e->state.known_bytes;
	memcpy(e->wire_source.key, key, sizeof(e->wire_source.key));
	memcpy(e->wire_target.key, key, sizeof(e->wire_target.key));
	digest_init(&e->wire_source.digest, e->state.seed);
	digest_init(&e->wire_target.digest, e->state.seed);
	connect_ends(e, n);
	e->sender = sender_new(&ss, &e->at_source);
	assert_non_null(e->sender);
	rs.map = e->map;
	rs.distrust = distrust || e->state.doubt;
	e->receiver = receiver_new(&rs, &e->at_target, &f);
	assert_non_null(e->receiver);
}

void ends_close(struct ends *e)
{
	receiver_free(e->receiver);
	sender_free(e->sender);
	gathered_free(&e->at_source, false);
	gathered_free(&e->at_target, false);
	map_close(e->map, false);
	window_fini(&e->source);
	window_fini(&e->target);
	e->receiver = NULL;
	e->sender = NULL;
	e->map = NULL;
}

void ends_free(struct ends *e)
{
	char command[128];

	close(e->source_fd);
	close(e->target_fd);
	free(e->bytes);
	snprintf(command, sizeof(command), "rm -rf '%s'", e->dir);
	assert_int_equal(system(command), 0);
}

/* --- Passes and what came of them --- */

int ends_pass(struct ends *e, uint32_t number, const struct sender_pass *p, struct fail *f)
{
	struct fail first;
	int r = receiver_begin(e->receiver, number, p->kind, f), sent;

	if (r < 0)
		return r;
	sent = sender_run(e->sender, p, &first);
	if (sent < 0)
		gathered_abort(&e->at_source);
	r = receiver_settle(e->receiver, number, f);
	if (sent < 0 && (r == 0 || f->code == FAIL_CONNECTION))
		*f = first;
	return r < 0 ? r : sent;
}

static void read_target(struct ends *e, uint8_t *buf, size_t len, uint64_t at)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = pread(e->target_fd, buf + done, len - done, (off_t)(at + done));

		assert_true(n > 0);
		done += (size_t)n;
	}
}

void ends_check_guards(struct ends *e)
{
	uint8_t bytes[ENDS_GUARD], want[ENDS_GUARD];
	struct stat st;

	memset(want, ENDS_GUARD_BYTE, sizeof(want));
	read_target(e, bytes, sizeof(bytes), 0);
	assert_memory_equal(bytes, want, sizeof(want));
	read_target(e, bytes, sizeof(bytes), ENDS_GUARD + e->length);
	assert_memory_equal(bytes, want, sizeof(want));
	assert_int_equal(fstat(e->target_fd, &st), 0);
	assert_int_equal(st.st_size, e->length + 2 * ENDS_GUARD);
}

void ends_check(struct ends *e)
{
	uint8_t *bytes = malloc(e->length);

	assert_non_null(bytes);
	read_target(e, bytes, e->length, ENDS_GUARD);
	for (uint64_t i = 0; i < e->length; i++)
		if (bytes[i] != e->bytes[i])
			fail_msg("byte %llu of %llu differs", (unsigned long long)i,
				 (unsigned long long)e->length);
	free(bytes);
	ends_check_guards(e);
}

void ends_damage_target(struct ends *e, uint64_t offset)
{
	uint8_t byte;

	read_target(e, &byte, 1, ENDS_GUARD + offset);
	byte ^= 0x40;
	write_at(e->target_fd, &byte, 1, ENDS_GUARD + offset);
}
