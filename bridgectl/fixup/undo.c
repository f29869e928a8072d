/*
 * The file: magic, version, time, disks, records, and the SHA-256 of all of it; integers are little
 * endian. It has the bytes before and after: whoever undoes it can tell them from what came later.
 */
#include "bridgectl/fixup/undo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

#include "bridgectl/disk/fail.h"
#include "bridgectl/domain/mem.h"
#include "common/util.h"

#define MAGIC "l2t-undo"
#define VERSION 1
#define VERSION_FILES 2 /* with the length of packed files, and these, behind the records */
#define SUM_LEN 32
#define RECORDS_MAX 100000U
#define RECORD_MAX (4U << 20)
#define NAME_MAX_LEN 64

#define fail(err, r, ...) disk_fail(err, UNDO_ERRLEN, r, __VA_ARGS__)

/* A stream whose bytes are summed up on their way; once it is bad it stays so. */
struct stream {
	FILE *f;
	EVP_MD_CTX *sum;
	bool bad;
};

static bool stream_begin(struct stream *s, FILE *f)
{
	*s = (struct stream){ .f = f, .sum = EVP_MD_CTX_new() };
	return s->sum && EVP_DigestInit_ex(s->sum, EVP_sha256(), NULL) == 1;
}

static void stream_end(struct stream *s)
{
	EVP_MD_CTX_free(s->sum);
}

static void put(struct stream *s, const void *bytes, size_t len)
{
	if (!s->bad &&
	    (fwrite(bytes, 1, len, s->f) != len || EVP_DigestUpdate(s->sum, bytes, len) != 1))
		s->bad = true;
}

static void put32(struct stream *s, uint32_t v)
{
	unsigned char b[4];

	put_le32(b, v);
	put(s, b, sizeof(b));
}

static void put64(struct stream *s, uint64_t v)
{
	unsigned char b[8];

	put_le64(b, v);
	put(s, b, sizeof(b));
}

static void get(struct stream *s, void *bytes, size_t len)
{
	if (!s->bad &&
	    (fread(bytes, 1, len, s->f) != len || EVP_DigestUpdate(s->sum, bytes, len) != 1))
		s->bad = true;
	if (s->bad)
		memset(bytes, 0, len);
}

static uint32_t get32(struct stream *s)
{
	unsigned char b[4];

	get(s, b, sizeof(b));
	return get_le32(b);
}

static uint64_t get64(struct stream *s)
{
	unsigned char b[8];

	get(s, b, sizeof(b));
	return get_le64(b);
}

/* --- Writing --- */

static void put_files(struct stream *s, const struct undo *u)
{
	size_t len;
	_cleanup_free_ char *bytes = trust_files_pack(u->files, u->n_files, &len);

	put32(s, (uint32_t)len);
	put(s, bytes, len);
}

static bool put_all(FILE *f, const struct undo *u)
{
	unsigned char sum[SUM_LEN];
	struct stream s;

	if (!stream_begin(&s, f))
		return false;
	put(&s, MAGIC, strlen(MAGIC));
	put32(&s, u->n_files ? VERSION_FILES : VERSION);
	put64(&s, u->time);
	put32(&s, u->n_disks);
	for (unsigned i = 0; i < u->n_disks; i++) {
		put32(&s, (uint32_t)strlen(u->disks[i].path));
		put(&s, u->disks[i].path, strlen(u->disks[i].path));
		put64(&s, u->disks[i].bytes);
	}
	put32(&s, u->n);
	for (unsigned i = 0; i < u->n; i++) {
		const struct undo_record *r = &u->records[i];

		put32(&s, r->disk);
		put64(&s, r->offset);
		put32(&s, (uint32_t)r->len);
		put(&s, r->before, r->len);
		put(&s, r->after, r->len);
	}
	if (u->n_files)
		put_files(&s, u);
	if (EVP_DigestFinal_ex(s.sum, sum, NULL) != 1 || fwrite(sum, 1, SUM_LEN, f) != SUM_LEN)
		s.bad = true;
	stream_end(&s);
	return !s.bad && fflush(f) == 0 && fsync(fileno(f)) == 0;
}

static int sync_dir(const char *dir)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* A folder that is there after a power cut, too. */
static int make_one(const char *path, mode_t mode)
{
	_cleanup_free_ char *above = mem_strdup(path);
	char *slash;

	if (mkdir(path, mode) < 0)
		return errno == EEXIST ? 0 : -errno;
	slash = strrchr(above, '/');
	if (slash)
		slash[slash == above] = '\0';
	return sync_dir(slash ? above : ".");
}

/* mkdir -p, the last one for root only. */
static int make_dir(const char *dir)
{
	_cleanup_free_ char *path = mem_strdup(dir);

	for (char *p = path + 1; *p; p++) {
		int r;

		if (*p != '/')
			continue;
		*p = '\0';
		r = make_one(path, 0755);
		if (r < 0)
			return r;
		*p = '/';
	}
	return make_one(path, 0700);
}

/* The last part of the first disk's path, as far as it can be in a file name. */
static void short_name(const struct undo *u, char *buf)
{
	const char *slash = strrchr(u->disks[0].path, '/');

	snprintf(buf, NAME_MAX_LEN, "%.60s", slash ? slash + 1 : u->disks[0].path);
	for (char *p = buf; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			*p = '_';
}

/* A new file that nobody has, empty; its path in `path`. */
static int new_file(const char *dir, const struct undo *u, char path[PATH_MAX])
{
	char name[NAME_MAX_LEN], when[32];
	time_t t = (time_t)u->time;
	struct tm tm;
	int fd = -1;

	short_name(u, name);
	gmtime_r(&t, &tm);
	strftime(when, sizeof(when), "%Y%m%dT%H%M%SZ", &tm);
	for (unsigned i = 0; fd < 0 && i < 100; i++) {
		if (snprintf(path, PATH_MAX, "%s/%s-%s-%02u.undo", dir, name, when, i) >= PATH_MAX)
			return -ENAMETOOLONG;
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 && errno != EEXIST)
			return -errno;
	}
	return fd < 0 ? -EEXIST : close(fd);
}

static int write_file(const char *path, const struct undo *u)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), r;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	r = put_all(f, u) ? 0 : errno ? -errno : -EIO;
	return fclose(f) < 0 ? -errno : r;
}

/*
 * The name is taken by an empty file, which is about no disk, until the whole one takes its place:
 * what a kill leaves here keeps nobody from undoing what older files have.
 */
int undo_write(const char *dir, const struct undo *u, char ret_path[PATH_MAX], char *err)
{
	char path[PATH_MAX], part[PATH_MAX + sizeof(".part")];
	int r = make_dir(dir);

	if (r == 0)
		r = new_file(dir, u, path);
	if (r < 0)
		return fail(err, r, "nothing was written: no undo file can be made in %s: %s", dir,
			    strerror(-r));
	snprintf(part, sizeof(part), "%s.part", path);
	r = write_file(part, u);
	if (r == 0)
		r = rename(part, path) < 0 ? -errno : sync_dir(dir);
	if (r < 0) {
		unlink(part);
		unlink(path);
		return fail(err, r, "nothing was written: %s cannot be written: %s", path,
			    strerror(-r));
	}
	strcpy(ret_path, path);
	return 0;
}

/* --- Reading --- */

static void get_disks(struct stream *s, struct undo *u)
{
	u->n_disks = get32(s);
	if (u->n_disks > UNDO_DISKS_MAX)
		s->bad = true;
	for (unsigned i = 0; !s->bad && i < u->n_disks; i++) {
		uint32_t len = get32(s);

		if (len >= sizeof(u->disks[i].path))
			s->bad = true;
		else
			get(s, u->disks[i].path, len);
		u->disks[i].bytes = get64(s);
	}
}

static void get_record(struct stream *s, const struct undo *u, struct undo_record *r)
{
	r->disk = get32(s);
	r->offset = get64(s);
	r->len = get32(s);
	if (!r->len || r->len > RECORD_MAX || r->disk >= u->n_disks ||
	    r->len > u->disks[r->disk].bytes || r->offset > u->disks[r->disk].bytes - r->len) {
		s->bad = true;
		return;
	}
	r->before = mem_must(malloc(r->len));
	r->after = mem_must(malloc(r->len));
	get(s, r->before, r->len);
	get(s, r->after, r->len);
}

static void get_files(struct stream *s, struct undo *u)
{
	_cleanup_free_ char *bytes = NULL;
	uint32_t len = get32(s);

	if (s->bad || len > TRUST_FILES_BYTES) {
		s->bad = true;
		return;
	}
	bytes = mem_must(malloc(len + 1));
	get(s, bytes, len);
	if (s->bad || trust_files_unpack(bytes, len, &u->files, &u->n_files) < 0)
		s->bad = true;
	for (unsigned i = 0; i < u->n_files; i++) {
		const struct trust_mount *m = &u->files[i].where;

		if (m->disk >= u->n_disks || m->bytes > u->disks[m->disk].bytes ||
		    m->start > u->disks[m->disk].bytes - m->bytes)
			s->bad = true;
	}
}

static bool get_head(struct stream *s, struct undo *u, bool *ret_files)
{
	char magic[sizeof(MAGIC)] = "";
	uint32_t version;

	get(s, magic, strlen(MAGIC));
	version = get32(s);
	*ret_files = version == VERSION_FILES;
	if (strcmp(magic, MAGIC) != 0 || (version != VERSION && version != VERSION_FILES))
		s->bad = true;
	u->time = get64(s);
	get_disks(s, u);
	return !s->bad;
}

static bool get_all(FILE *f, struct undo *u)
{
	unsigned char sum[SUM_LEN], there[SUM_LEN];
	struct stream s;
	bool files;
	uint32_t n;

	if (!stream_begin(&s, f))
		return false;
	get_head(&s, u, &files);
	n = get32(&s);
	if (n > RECORDS_MAX)
		s.bad = true;
	while (!s.bad && u->n < n)
		get_record(&s, u, mem_push(u->records, u->n));
	if (files)
		get_files(&s, u);
	if (EVP_DigestFinal_ex(s.sum, sum, NULL) != 1 || fread(there, 1, SUM_LEN, f) != SUM_LEN ||
	    memcmp(sum, there, SUM_LEN) != 0 || getc(f) != EOF)
		s.bad = true;
	stream_end(&s);
	return !s.bad;
}

int undo_read(const char *path, struct undo *ret, char *err)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");

	memset(ret, 0, sizeof(*ret));
	if (!f)
		return fail(err, -errno, "%s: %s", path, strerror(errno));
	if (!get_all(f, ret)) {
		undo_fini(ret);
		return fail(err, -EUCLEAN, "%s is damaged, or no undo file", path);
	}
	return 0;
}

void undo_fini(struct undo *u)
{
	for (unsigned i = 0; i < u->n; i++) {
		free(u->records[i].before);
		free(u->records[i].after);
	}
	free(u->records);
	u->records = NULL;
	u->n = 0;
	trust_files_free(u->files, u->n_files);
	u->files = NULL;
	u->n_files = 0;
}

/* --- Finding --- */

/* Names of devices are kept as they were given; where they lead to is asked for anew. */
static bool is_about(const char *file, const char *disk, uint64_t *ret_time)
{
	_cleanup_fclose_ FILE *f = fopen(file, "re");
	char path[PATH_MAX];
	struct undo u = { 0 };
	struct stream s;
	bool yes = false, files;

	if (!f || !stream_begin(&s, f))
		return false;
	if (get_head(&s, &u, &files))
		for (unsigned i = 0; i < u.n_disks; i++)
			yes |= realpath(u.disks[i].path, path) && strcmp(path, disk) == 0;
	stream_end(&s);
	*ret_time = u.time;
	return yes;
}

struct found {
	uint64_t time;
	char *path;
};

/* Newest first; of one second, by name. */
static int by_time(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? 1 : -1;
	return -strcmp(x->path, y->path);
}

char **undo_list(const char *dir, const char *path)
{
	DIR *d = opendir(dir);
	struct found *v = NULL;
	const struct dirent *e;
	char **list = NULL;
	unsigned n = 0;

	while (d && (e = readdir(d))) {
		size_t len = strlen(e->d_name);
		char file[PATH_MAX];
		uint64_t when;

		if (len < 5 || strcmp(e->d_name + len - 5, ".undo") != 0 ||
		    snprintf(file, sizeof(file), "%s/%s", dir, e->d_name) >= PATH_MAX)
			continue;
		if (is_about(file, path, &when))
			*mem_push(v, n) = (struct found){ when, mem_strdup(file) };
	}
	if (d)
		closedir(d);
	if (n) {
		qsort(v, n, sizeof(*v), by_time);
		list = mem_new((n + 1) * sizeof(*list));
	}
	for (unsigned i = 0; i < n; i++)
		list[i] = v[i].path;
	free(v);
	return list;
}

void undo_list_free(char **list)
{
	for (char **p = list; p && *p; p++)
		free(*p);
	free(list);
}
