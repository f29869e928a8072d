/*
 * The map in memory: one bit a chunk for "the file has a digest, or a batch on its way to it", one
 * for "noted", and the notes themselves. A chunk that is touched loses its bits and notes a zero
 * digest, so that the file forgets it with the next commit, whatever comes after.
 *
 * Why a crash at any point claims nothing wrong: digests come into the file only by map_commit(),
 * after the flush of data written before map_take(). A chunk that is written after that was touched
 * first, which found its bit set, and made the doubt durable before the data changed.
 */
#include "bridgectl/transfer/map.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>

#include "bridgectl/transfer/frame.h"
#include "bridgectl/transfer/map_file.h"
#include "common/util.h"

#define PIECE_CHUNKS 4096u

struct run {
	uint64_t first;
	uint32_t n;
	size_t at; /* of its first digest, in chunks */
};

struct runs {
	struct run *run;
	size_t n, size;
};

struct map_batch {
	struct map *owner; /* whose list it is in; NULL: in none */
	struct map_batch *next;
	struct runs all;
	struct runs good; /* without the zeros */
	uint8_t *digests;
	size_t n, size; /* digests */
	uint64_t bytes; /* of chunks noted with a digest */
};

struct map {
	pthread_mutex_t lock;
	int fd;
	char *path;
	struct map_header h;
	uint64_t n_chunks;
	uint64_t *known, *pending; /* one bit a chunk */
	struct map_batch *noted;
	struct map_batch *taken; /* and neither committed nor freed, newest first */
	int failed;		 /* the file could not be written: final */
};

/* --- Bits and runs ------------------------------------------------------------------------ */

static bool get_bit(const uint64_t *bits, uint64_t i)
{
	return bits[i / 64] >> (i % 64) & 1;
}

static void put_bit(uint64_t *bits, uint64_t i, bool on)
{
	uint64_t bit = UINT64_C(1) << (i % 64);

	bits[i / 64] = on ? bits[i / 64] | bit : bits[i / 64] & ~bit;
}

static bool any_bit(const uint64_t *bits, uint64_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (get_bit(bits, first + i))
			return true;
	return false;
}

static void put_bits(uint64_t *bits, const struct runs *rs, bool on)
{
	for (size_t k = 0; k < rs->n; k++)
		for (uint32_t i = 0; i < rs->run[k].n; i++)
			put_bit(bits, rs->run[k].first + i, on);
}

/* Makes `p`, of elements of `unit` bytes, large enough for `n` of them. */
static int grow(void *p, size_t *size, size_t n, size_t unit)
{
	void **list = p, *more;
	size_t want = *size ? *size : 64;

	if (n <= *size)
		return 0;
	while (want < n)
		want *= 2;
	more = realloc(*list, want * unit);
	if (!more)
		return -ENOMEM;
	*list = more;
	*size = want;
	return 0;
}

/* One more chunk, whose digest is at `at`; longer runs come out of neighbours. */
static int runs_add(struct runs *rs, uint64_t chunk, size_t at)
{
	struct run *last = rs->n ? &rs->run[rs->n - 1] : NULL;

	if (last && last->first + last->n == chunk && last->at + last->n == at) {
		last->n++;
		return 0;
	}
	if (grow(&rs->run, &rs->size, rs->n + 1, sizeof(*rs->run)) < 0)
		return -ENOMEM;
	rs->run[rs->n++] = (struct run){ chunk, 1, at };
	return 0;
}

/* --- Batches ------------------------------------------------------------------------------ */

static uint8_t *digest_at(const struct map_batch *b, size_t at)
{
	return b->digests + at * DIGEST_BYTES;
}

/* Where the batch has the chunk's digest, or NULL. */
static uint8_t *batch_find(const struct map_batch *b, uint64_t chunk)
{
	for (size_t k = 0; b && k < b->all.n; k++) {
		const struct run *r = &b->all.run[k];

		if (chunk >= r->first && chunk - r->first < r->n)
			return digest_at(b, r->at + (size_t)(chunk - r->first));
	}
	return NULL;
}

static uint64_t chunk_bytes(const struct map *m, uint64_t chunk)
{
	return MIN((uint64_t)CHUNK_BYTES, m->h.subject.length - chunk * CHUNK_BYTES);
}

static void batch_set(struct map *m, uint8_t *place, uint64_t chunk, const uint8_t *digest)
{
	if (digest_is_known(place))
		m->noted->bytes -= chunk_bytes(m, chunk);
	memcpy(place, digest, DIGEST_BYTES);
	if (digest_is_known(place))
		m->noted->bytes += chunk_bytes(m, chunk);
}

/* Room for `n` more digests and runs, so that what follows cannot fail halfway. */
static int reserve(struct map *m, uint32_t n)
{
	struct map_batch *b;

	if (!m->noted)
		m->noted = calloc(1, sizeof(*m->noted));
	b = m->noted;
	if (!b || grow(&b->digests, &b->size, b->n + n, DIGEST_BYTES) < 0 ||
	    grow(&b->all.run, &b->all.size, b->all.n + n, sizeof(*b->all.run)) < 0)
		return -ENOMEM;
	return 0;
}

/* After reserve(). */
static void note_one(struct map *m, uint64_t chunk, const uint8_t *digest)
{
	struct map_batch *b = m->noted;
	uint8_t *place;

	if (get_bit(m->pending, chunk)) {
		place = batch_find(b, chunk);
	} else {
		place = digest_at(b, b->n);
		memset(place, 0, DIGEST_BYTES);
		runs_add(&b->all, chunk, b->n++);
		put_bit(m->pending, chunk, true);
	}
	batch_set(m, place, chunk, digest);
}

void map_batch_free(struct map_batch *b)
{
	struct map *m = b ? b->owner : NULL;

	if (!b)
		return;
	if (m) {
		pthread_mutex_lock(&m->lock);
		for (struct map_batch **p = &m->taken; *p; p = &(*p)->next) {
			if (*p != b)
				continue;
			*p = b->next;
			put_bits(m->known, &b->all, false); /* was never committed */
			break;
		}
		pthread_mutex_unlock(&m->lock);
	}
	free(b->all.run);
	free(b->good.run);
	free(b->digests);
	free(b);
}

bool map_batch_run(const struct map_batch *b, unsigned n, uint64_t *ret_first, uint32_t *ret_n,
		   const uint8_t **ret_digests)
{
	if (n >= b->good.n)
		return false;
	*ret_first = b->good.run[n].first;
	*ret_n = b->good.run[n].n;
	*ret_digests = digest_at(b, b->good.run[n].at);
	return true;
}

static int find_good(struct map_batch *b)
{
	for (size_t k = 0; k < b->all.n; k++) {
		const struct run *r = &b->all.run[k];

		for (uint32_t i = 0; i < r->n; i++)
			if (digest_is_known(digest_at(b, r->at + i)) &&
			    runs_add(&b->good, r->first + i, r->at + i) < 0)
				return -ENOMEM;
	}
	return 0;
}

struct map_batch *map_take(struct map *m)
{
	struct map_batch *b;

	pthread_mutex_lock(&m->lock);
	b = m->noted;
	if (b && find_good(b) < 0) {
		b->good.n = 0;
		b = NULL;
	}
	if (b) {
		put_bits(m->pending, &b->all, false);
		put_bits(m->known, &b->good, true);
		b->owner = m;
		b->next = m->taken;
		m->taken = b;
		m->noted = NULL;
	}
	pthread_mutex_unlock(&m->lock);
	return b;
}

/* --- Opening ------------------------------------------------------------------------------ */

static int scan_piece(struct map *m, uint64_t first, uint32_t n, uint8_t *buf, uint64_t *bytes)
{
	int r = map_file_read(m->fd, MAP_HEADER_BYTES + first * DIGEST_BYTES, buf,
			      (size_t)n * DIGEST_BYTES);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++) {
		if (!digest_is_known(buf + (size_t)i * DIGEST_BYTES))
			continue;
		put_bit(m->known, first + i, true);
		*bytes += chunk_bytes(m, first + i);
	}
	return 0;
}

/* What the file knows. Holes, of which a young map is full, are passed by. */
static int scan(struct map *m, uint64_t *ret_bytes)
{
	_cleanup_free_ uint8_t *buf = malloc((size_t)PIECE_CHUNKS * DIGEST_BYTES);
	uint64_t chunk = 0, bytes = 0;

	if (!buf)
		return -ENOMEM;
	while (chunk < m->n_chunks) {
		off_t at = (off_t)(MAP_HEADER_BYTES + chunk * DIGEST_BYTES);
		off_t data = lseek(m->fd, at, SEEK_DATA);
		uint32_t n;
		int r;

		if (data < 0 && errno == ENXIO)
			break;
		if (data > at)
			chunk = ((uint64_t)data - MAP_HEADER_BYTES) / DIGEST_BYTES;
		if (chunk >= m->n_chunks)
			break;
		n = (uint32_t)MIN(m->n_chunks - chunk, (uint64_t)PIECE_CHUNKS);
		r = scan_piece(m, chunk, n, buf, &bytes);
		if (r < 0)
			return r;
		chunk += n;
	}
	*ret_bytes = bytes;
	return 0;
}

static bool same_subject(const struct map_subject *a, const struct map_subject *b)
{
	return a->length == b->length && strcmp(a->source, b->source) == 0 &&
	       strcmp(a->target, b->target) == 0;
}

/* Doubt becomes "no digests, but there may be content": in this order, each step durable. */
static int settle_doubt(struct map *m)
{
	int r = map_file_wipe(m->fd, m->h.subject.length);

	if (r < 0)
		return r;
	m->h.doubt = false;
	m->h.content = true;
	return map_file_put_header(m->fd, &m->h);
}

static int load(struct map *m, const char *dir, const struct map_subject *s, bool fresh,
		struct map_state *ret)
{
	int r = fresh ? -EBADMSG : map_file_get_header(m->fd, &m->h);

	if (r < 0 && r != -EBADMSG)
		return r;
	ret->resumed = r == 0 && same_subject(&m->h.subject, s);
	if (!ret->resumed)
		r = map_file_make(m->fd, dir, s, &m->h);
	else if (m->h.doubt)
		r = settle_doubt(m);
	else if (ftruncate(m->fd, (off_t)map_file_bytes(s->length)) < 0)
		r = -errno;
	if (r == 0)
		r = scan(m, &ret->known_bytes);
	ret->doubt = m->h.content;
	ret->pass = m->h.pass;
	ret->pass_ended = m->h.pass_ended;
	ret->stamp = m->h.stamp;
	memcpy(ret->seed, m->h.seed, sizeof(ret->seed));
	return r;
}

static struct map *map_new(const struct map_subject *s)
{
	struct map *m = calloc(1, sizeof(*m));
	size_t words;

	if (!m)
		return NULL;
	pthread_mutex_init(&m->lock, NULL);
	m->fd = -1;
	m->n_chunks = frame_chunks(s->length);
	m->h.subject.length = s->length;
	words = (size_t)(m->n_chunks / 64 + 1);
	m->known = calloc(words, sizeof(*m->known));
	m->pending = calloc(words, sizeof(*m->pending));
	if (m->known && m->pending)
		return m;
	map_close(m, false);
	return NULL;
}

static int open_and_load(struct map *m, const char *dir, const struct map_subject *s, bool fresh,
			 struct map_state *ret, char *err)
{
	int r;

	m->path = map_file_path(dir, s->target);
	if (!m->path) {
		snprintf(err, MAP_ERRLEN, "no memory");
		return -ENOMEM;
	}
	r = map_file_open(dir, m->path, &m->fd, err);
	if (r < 0)
		return r;
	r = load(m, dir, s, fresh, ret);
	if (r < 0)
		snprintf(err, MAP_ERRLEN, "%.300s: %s", m->path, strerror(-r));
	return r;
}

/* Strings with zeros behind them, so that what is in the file says nothing else. */
static void copy_subject(struct map_subject *to, const struct map_subject *from)
{
	memset(to, 0, sizeof(*to));
	snprintf(to->source, sizeof(to->source), "%s", from->source);
	snprintf(to->target, sizeof(to->target), "%s", from->target);
	to->length = from->length;
}

struct map *map_open(const char *dir, const struct map_subject *s, bool fresh,
		     struct map_state *ret, int *ret_errno, char *err)
{
	struct map_state state = { 0 };
	struct map_subject subject;
	struct map *m;
	int r;

	copy_subject(&subject, s);
	m = map_new(&subject);
	if (!m) {
		snprintf(err, MAP_ERRLEN, "no memory");
		*ret_errno = -ENOMEM;
		return NULL;
	}
	r = open_and_load(m, dir, &subject, fresh, &state, err);
	if (r < 0) {
		map_close(m, false);
		*ret_errno = r;
		return NULL;
	}
	*ret = state;
	return m;
}

bool map_exists(const char *dir, const struct map_subject *s)
{
	_cleanup_free_ char *path = map_file_path(dir, s->target);
	_cleanup_close_ int fd = -1;
	struct map_header h;

	if (path)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	return fd >= 0 && map_file_get_header(fd, &h) == 0 && same_subject(&h.subject, s);
}

void map_close(struct map *m, bool done)
{
	if (!m)
		return;
	for (struct map_batch *b = m->taken; b; b = b->next)
		b->owner = NULL;
	map_batch_free(m->noted);
	/* While it is locked: whoever waits for it sees that it is gone. */
	if (done)
		unlink(m->path);
	if (m->fd >= 0)
		close(m->fd);
	pthread_mutex_destroy(&m->lock);
	free(m->path);
	free(m->known);
	free(m->pending);
	free(m);
}

/* --- The file ----------------------------------------------------------------------------- */

/* What cannot be written stays so: nobody knows what of it is on the disk. */
static int finish(struct map *m, int r)
{
	if (r < 0 && m->failed == 0)
		m->failed = r;
	pthread_mutex_unlock(&m->lock);
	return r;
}

static int put_header(struct map *m)
{
	return m->failed ? m->failed : map_file_put_header(m->fd, &m->h);
}

int map_begin(struct map *m, uint32_t pass)
{
	pthread_mutex_lock(&m->lock);
	m->h.pass = pass;
	m->h.pass_ended = false;
	return finish(m, put_header(m));
}

static bool all_known(const struct map *m)
{
	for (uint64_t i = 0; i < m->n_chunks; i++)
		if (!get_bit(m->known, i))
			return false;
	return true;
}

int map_end(struct map *m)
{
	pthread_mutex_lock(&m->lock);
	if (m->noted || m->taken) {
		pthread_mutex_unlock(&m->lock);
		return -EBUSY;
	}
	m->h.pass_ended = true;
	m->h.doubt = false;
	m->h.content = m->h.content && !all_known(m);
	return finish(m, put_header(m));
}

void map_set_stamp(struct map *m, uint64_t stamp)
{
	pthread_mutex_lock(&m->lock);
	m->h.stamp = stamp;
	pthread_mutex_unlock(&m->lock);
}

static bool inside(const struct map *m, uint64_t first, uint32_t n)
{
	return first <= m->n_chunks && n <= m->n_chunks - first;
}

int map_touch(struct map *m, uint64_t first, uint32_t n)
{
	static const uint8_t unknown[DIGEST_BYTES];
	int r;

	if (!inside(m, first, n))
		return -ERANGE;
	pthread_mutex_lock(&m->lock);
	r = m->failed;
	if (any_bit(m->known, first, n) && r == 0) {
		r = reserve(m, n);
		if (r == 0 && !m->h.doubt) {
			m->h.doubt = true;
			r = put_header(m);
		}
	}
	for (uint32_t i = 0; i < n && r == 0; i++)
		if (get_bit(m->known, first + i) || get_bit(m->pending, first + i)) {
			note_one(m, first + i, unknown);
			put_bit(m->known, first + i, false);
		}
	return finish(m, r);
}

/* --- Digests ------------------------------------------------------------------------------ */

/* The newest that is known of each chunk. */
static int look_up(struct map *m, uint64_t first, uint32_t n, uint8_t *ret)
{
	int r = 0;

	if (any_bit(m->known, first, n))
		r = map_file_read(m->fd, MAP_HEADER_BYTES + first * DIGEST_BYTES, ret,
				  (size_t)n * DIGEST_BYTES);
	for (uint32_t i = 0; i < n && r == 0; i++) {
		uint8_t *place = NULL, *to = ret + (size_t)i * DIGEST_BYTES;

		if (get_bit(m->pending, first + i))
			place = batch_find(m->noted, first + i);
		for (const struct map_batch *b = m->taken; b && !place; b = b->next)
			place = batch_find(b, first + i);
		if (place)
			memcpy(to, place, DIGEST_BYTES);
		else if (!get_bit(m->known, first + i))
			memset(to, 0, DIGEST_BYTES);
	}
	return r;
}

int map_get(struct map *m, uint64_t first, uint32_t n, uint8_t *ret)
{
	int r;

	if (!inside(m, first, n))
		return -ERANGE;
	pthread_mutex_lock(&m->lock);
	r = look_up(m, first, n, ret);
	pthread_mutex_unlock(&m->lock);
	return r;
}

/* 1: it is as known as can be. 0: to be noted. -EPERM: it is known to be another. */
static int compare(struct map *m, uint64_t chunk, const uint8_t *digest)
{
	uint8_t have[DIGEST_BYTES];
	int r;

	if (!get_bit(m->known, chunk))
		return 0;
	r = look_up(m, chunk, 1, have);
	if (r < 0)
		return r;
	return memcmp(have, digest, DIGEST_BYTES) == 0 ? 1 : -EPERM;
}

int map_note(struct map *m, uint64_t first, uint32_t n, const uint8_t *digests)
{
	int r;

	if (!inside(m, first, n))
		return -ERANGE;
	pthread_mutex_lock(&m->lock);
	r = reserve(m, n);
	for (uint32_t i = 0; i < n && r >= 0; i++) {
		const uint8_t *d = digests + (size_t)i * DIGEST_BYTES;

		r = digest_is_known(d) ? compare(m, first + i, d) : 1;
		if (r == 0)
			note_one(m, first + i, d);
	}
	if (m->noted && m->noted->n == 0) {
		map_batch_free(m->noted);
		m->noted = NULL;
	}
	pthread_mutex_unlock(&m->lock);
	return MIN(r, 0);
}

uint64_t map_noted_bytes(struct map *m)
{
	uint64_t bytes;

	pthread_mutex_lock(&m->lock);
	bytes = m->noted ? m->noted->bytes : 0;
	pthread_mutex_unlock(&m->lock);
	return bytes;
}

static int write_batch(const struct map *m, const struct map_batch *b)
{
	int r = m->failed;

	for (size_t k = 0; k < b->all.n && r == 0; k++) {
		const struct run *run = &b->all.run[k];

		r = map_file_write(m->fd, MAP_HEADER_BYTES + run->first * DIGEST_BYTES,
				   digest_at(b, run->at), (size_t)run->n * DIGEST_BYTES);
	}
	return r;
}

int map_commit(struct map *m, const struct map_batch *b)
{
	struct map_batch **p;
	int r;

	pthread_mutex_lock(&m->lock);
	for (p = &m->taken; *p && *p != b; p = &(*p)->next)
		;
	if (!*p) {
		pthread_mutex_unlock(&m->lock);
		return -EINVAL;
	}
	r = write_batch(m, b);
	if (r == 0)
		r = put_header(m); /* with the stamp; it flushes both */
	if (r == 0) {
		(*p)->owner = NULL;
		*p = b->next;
	}
	return finish(m, r);
}
