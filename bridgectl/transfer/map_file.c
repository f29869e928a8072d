/*
 * The file below a map. Everything in it may come from a crash or from somebody's editor: a header
 * counts when its check sum, made with the seed in it, is right, and its strings end. Digests have
 * no check sum of their own: one that is damaged fits no data, and the chunk is sent again.
 */
#include "bridgectl/transfer/map_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "common/io.h"
#include "common/util.h"

#define MAGIC "l2tunmap"
#define VERSION 1u
#define TRIES 16

enum {
	AT_MAGIC = 0,
	AT_VERSION = 8,
	AT_PASS = 12,
	AT_SEQUENCE = 16,
	AT_LENGTH = 24,
	AT_STAMP = 32,
	AT_FLAGS = 40,
	AT_SEED = 48,
	AT_SOURCE = AT_SEED + DIGEST_SEED_BYTES,
	AT_TARGET = AT_SOURCE + MAP_IDENTITY_LEN,
	AT_END = AT_TARGET + MAP_IDENTITY_LEN,
	AT_CHECK = MAP_SLOT_BYTES - 8,
};

enum { F_PASS_ENDED = 1, F_DOUBT = 2, F_CONTENT = 4 };

static uint64_t slot_check(const uint8_t *slot)
{
	struct digest d;

	digest_init(&d, slot + AT_SEED);
	return digest_check(&d, slot, AT_CHECK);
}

void map_header_put(uint8_t slot[MAP_SLOT_BYTES], const struct map_header *h)
{
	_Static_assert(AT_END <= AT_CHECK, "a slot holds its header");
	memset(slot, 0, MAP_SLOT_BYTES);
	memcpy(slot + AT_MAGIC, MAGIC, 8);
	put_le32(slot + AT_VERSION, VERSION);
	put_le32(slot + AT_PASS, h->pass);
	put_le64(slot + AT_SEQUENCE, h->sequence);
	put_le64(slot + AT_LENGTH, h->subject.length);
	put_le64(slot + AT_STAMP, h->stamp);
	put_le32(slot + AT_FLAGS, (h->pass_ended ? F_PASS_ENDED : 0u) | (h->doubt ? F_DOUBT : 0u) |
					  (h->content ? F_CONTENT : 0u));
	memcpy(slot + AT_SEED, h->seed, DIGEST_SEED_BYTES);
	memcpy(slot + AT_SOURCE, h->subject.source, MAP_IDENTITY_LEN);
	memcpy(slot + AT_TARGET, h->subject.target, MAP_IDENTITY_LEN);
	put_le64(slot + AT_CHECK, slot_check(slot));
}

int map_header_take(const uint8_t slot[MAP_SLOT_BYTES], struct map_header *ret)
{
	struct map_header h = { 0 };
	uint32_t flags;

	if (memcmp(slot + AT_MAGIC, MAGIC, 8) != 0 || get_le32(slot + AT_VERSION) != VERSION ||
	    get_le64(slot + AT_CHECK) != slot_check(slot))
		return -EBADMSG;
	if (!memchr(slot + AT_SOURCE, 0, MAP_IDENTITY_LEN) ||
	    !memchr(slot + AT_TARGET, 0, MAP_IDENTITY_LEN))
		return -EBADMSG;
	flags = get_le32(slot + AT_FLAGS);
	h.pass = get_le32(slot + AT_PASS);
	h.sequence = get_le64(slot + AT_SEQUENCE);
	h.stamp = get_le64(slot + AT_STAMP);
	h.pass_ended = flags & F_PASS_ENDED;
	h.doubt = flags & F_DOUBT;
	h.content = flags & F_CONTENT;
	h.subject.length = get_le64(slot + AT_LENGTH);
	memcpy(h.seed, slot + AT_SEED, DIGEST_SEED_BYTES);
	memcpy(h.subject.source, slot + AT_SOURCE, MAP_IDENTITY_LEN);
	memcpy(h.subject.target, slot + AT_TARGET, MAP_IDENTITY_LEN);
	*ret = h;
	return 0;
}

int map_header_newest(const uint8_t *slots, struct map_header *ret)
{
	struct map_header h[2];
	int r0 = map_header_take(slots, &h[0]);
	int r1 = map_header_take(slots + MAP_SLOT_BYTES, &h[1]);

	if (r0 < 0 && r1 < 0)
		return -EBADMSG;
	if (r0 < 0 || r1 < 0)
		*ret = h[r0 < 0];
	else
		*ret = h[h[1].sequence > h[0].sequence];
	return 0;
}

char *map_file_path(const char *dir, const char *target)
{
	static const uint8_t seed[DIGEST_SEED_BYTES];
	char hex[2 * DIGEST_BYTES + 1], *path;
	uint8_t name[DIGEST_BYTES];
	struct digest d;

	digest_init(&d, seed);
	digest_bytes(&d, target, strlen(target), name);
	for (unsigned i = 0; i < DIGEST_BYTES; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", name[i]);
	return asprintf(&path, "%s/%s.map", dir, hex) < 0 ? NULL : path;
}

/* The folder and those above it; the last one for us alone. */
static int make_dir(const char *dir)
{
	_cleanup_free_ char *path = strdup(dir);

	if (!path)
		return -ENOMEM;
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Who may write there can put another map, or another file, in the place of ours. */
static int check_dir(const char *dir, char *err)
{
	struct stat st;

	if (stat(dir, &st) < 0) {
		snprintf(err, MAP_ERRLEN, "%.200s: %s", dir, strerror(errno));
		return -errno;
	}
	if ((st.st_uid == 0 || st.st_uid == geteuid()) && !(st.st_mode & S_IWOTH))
		return 0;
	snprintf(err, MAP_ERRLEN,
		 "%.200s: others may write there; the state needs a folder of its own", dir);
	return -EPERM;
}

/* 1: it is locked and still what the path leads to. 0: try again. */
static int lock(int fd, const char *path)
{
	struct stat a, b;

	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	if (fstat(fd, &a) < 0)
		return -errno;
	if (!S_ISREG(a.st_mode))
		return -EINVAL;
	/* Whoever had it before may have removed it. */
	return stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int open_and_lock(const char *path, int *ret_fd)
{
	for (unsigned i = 0; i < TRIES; i++) {
		int r, fd = open(path,
				 O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
				 0600);

		if (fd < 0)
			return -errno;
		r = lock(fd, path);
		if (r == 1) {
			*ret_fd = fd;
			return 0;
		}
		close(fd);
		if (r < 0)
			return r;
	}
	return -EAGAIN;
}

int map_file_open(const char *dir, const char *path, int *ret_fd, char *err)
{
	int r = make_dir(dir);

	if (r < 0) {
		snprintf(err, MAP_ERRLEN, "%.200s: cannot be made: %s", dir, strerror(-r));
		return r;
	}
	r = check_dir(dir, err);
	if (r < 0)
		return r;
	r = open_and_lock(path, ret_fd);
	if (r == -EBUSY)
		snprintf(err, MAP_ERRLEN, "%.300s: another transfer to this target is running",
			 path);
	else if (r < 0)
		snprintf(err, MAP_ERRLEN, "%.300s: %s", path, strerror(-r));
	return r;
}

uint64_t map_file_bytes(uint64_t length)
{
	return MAP_HEADER_BYTES + frame_chunks(length) * DIGEST_BYTES;
}

int map_file_read(int fd, uint64_t at, void *buf, size_t len)
{
	uint8_t *p = buf;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0) {
			memset(p, 0, len);
			return 0;
		}
		p += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

int map_file_write(int fd, uint64_t at, const void *buf, size_t len)
{
	return io_pwrite_all(fd, buf, len, at);
}

int map_file_wipe(int fd, uint64_t length)
{
	if (ftruncate(fd, MAP_HEADER_BYTES) < 0 ||
	    ftruncate(fd, (off_t)map_file_bytes(length)) < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

int map_file_put_header(int fd, struct map_header *h)
{
	uint8_t slot[MAP_SLOT_BYTES];
	int r;

	h->sequence++;
	map_header_put(slot, h);
	r = map_file_write(fd, h->sequence % 2 * MAP_SLOT_BYTES, slot, sizeof(slot));
	if (r < 0)
		return r;
	return fdatasync(fd) < 0 ? -errno : 0;
}

static int sync_dir(const char *dir)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int map_file_make(int fd, const char *dir, const struct map_subject *s, struct map_header *ret)
{
	struct map_header h = { .subject = *s };
	int r;

	if (getrandom(h.seed, sizeof(h.seed), 0) != sizeof(h.seed))
		return -errno;
	if (ftruncate(fd, 0) < 0)
		return -errno;
	r = map_file_wipe(fd, s->length);
	if (r == 0)
		r = map_file_put_header(fd, &h);
	if (r == 0)
		r = sync_dir(dir);
	if (r == 0)
		*ret = h;
	return r;
}

int map_file_get_header(int fd, struct map_header *ret)
{
	uint8_t slots[MAP_HEADER_BYTES];
	int r = map_file_read(fd, 0, slots, sizeof(slots));

	return r < 0 ? r : map_header_newest(slots, ret);
}
