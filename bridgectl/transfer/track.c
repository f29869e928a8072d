/*
 * The tracefs instance: made for one transfer, named after this process, removed at its end.
 * A thread reads its events ten times a second, which the buffers outlast by far; track_sync()
 * reads what is there at once. Both under one lock, so that lines are put together in order.
 * Invariant: an event is marked, or `lost` is set.
 */
#include "bridgectl/transfer/track.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "bridgectl/transfer/leftover.h"
#include "common/util.h"

#define SECTOR 512u
#define BUFFER_KB "8192" /* per processor: some 80,000 events */
#define DRAIN_MS 100
#define LINE_MAX_BYTES 512
#define CPUS_MAX 4096

static const char *const mounts[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
static const char *const events[] = { "block_bio_queue", "block_bio_complete",
				      "block_rq_complete" };

struct track {
	char dir[128]; /* the instance */
	int pipe;      /* trace_pipe, not blocking */
	struct dirty *dirty;
	uint64_t from, to;    /* window, bytes from the beginning of the whole disk */
	unsigned long missed; /* events that the kernel's counters call lost, so far */
	bool lost;	      /* not told yet */
	_Atomic uint64_t seen;
	char line[LINE_MAX_BYTES];
	size_t len;
	struct track_flights flights;
	bool too_long; /* the rest of this line is thrown away */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
	pthread_t thread;
};

/* The device as the kernel's dev_t has it, and where a partition begins on its disk. */
struct device {
	uint32_t own, disk;
	uint64_t start; /* bytes */
};

static uint32_t kernel_dev(dev_t d)
{
	return (uint32_t)(major(d) << 20 | minor(d));
}

static int put(const char *dir, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static bool get(const char *path, char *buf, size_t size)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[MAX(n, 0)] = '\0';
	return n > 0;
}

/* A partition's requests carry the disk's number and sectors (sysfs-block, "start"). */
static void find_device(dev_t dev, struct device *ret)
{
	unsigned ma = major(dev), mi = minor(dev);
	unsigned long long start;
	char path[128], text[64];

	*ret = (struct device){ .own = kernel_dev(dev), .disk = kernel_dev(dev) };
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/start", ma, mi);
	if (!get(path, text, sizeof(text)) || sscanf(text, "%llu", &start) != 1)
		return;
	ret->start = start * SECTOR;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../dev", ma, mi);
	if (get(path, text, sizeof(text)) && sscanf(text, "%u:%u", &ma, &mi) == 2)
		ret->disk = ma << 20 | mi;
}

/* Kernels before 3.18 know no negation in filters; track_line_parse() leaves reads out then. */
static int filter(const char *dir, const char *event, const struct device *d)
{
	static const char *const reads[] = { " && !(rwbs ~ \"R*\")", "" };
	char name[96], text[160];
	int r = -EINVAL;

	snprintf(name, sizeof(name), "events/block/%s/filter", event);
	for (unsigned i = 0; r < 0 && i < ARRAY_SIZE(reads); i++) {
		snprintf(text, sizeof(text), "(dev == %u || dev == %u) && nr_sector > 0%s", d->own,
			 d->disk, reads[i]);
		r = put(dir, name, text);
	}
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "events/block/%s/enable", event);
	return put(dir, name, "1");
}

static int set_up(const char *dir, const struct device *d)
{
	if (put(dir, "options/context-info", "0") < 0 || put(dir, "tracing_on", "1") < 0)
		return -ENOENT;
	put(dir, "trace_clock", "global"); /* one order for all processors; kept when refused */
	put(dir, "buffer_size_kb", BUFFER_KB);
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
		int r = filter(dir, events[i], d);

		if (r < 0)
			return r; /* half of what is written is worse than nothing */
	}
	return 0;
}

/* What the kernel itself counts as lost, of all processors (Documentation/trace/ftrace.rst). */
static unsigned long count_missed(const struct track *t)
{
	static const char *const words[] = { "overrun: ", "commit overrun: ", "dropped events: " };
	unsigned long sum = 0;
	char path[192], text[1024];

	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
		snprintf(path, sizeof(path), "%s/per_cpu/cpu%u", t->dir, cpu);
		if (access(path, F_OK) < 0 && cpu >= (unsigned)sysconf(_SC_NPROCESSORS_CONF))
			break;
		snprintf(path, sizeof(path), "%s/per_cpu/cpu%u/stats", t->dir, cpu);
		if (!get(path, text, sizeof(text)))
			continue;
		for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
			char *at = strstr(text, words[i]);

			/* "overrun: " is the end of "commit overrun: " too, but stands first. */
			sum += at ? strtoul(at + strlen(words[i]), NULL, 10) : 0;
		}
	}
	return sum;
}

static void mark(struct track *t, const struct track_event *e)
{
	uint64_t from = e->sector * SECTOR, to = from + e->sectors * SECTOR;

	from = MAX(from, t->from);
	to = MIN(to, t->to);
	if (from < to)
		dirty_mark(t->dirty, from - t->from, to - from);
}

static void take_line(struct track *t)
{
	struct track_event e;

	t->line[t->len] = '\0';
	switch (track_line_parse(t->line, &e)) {
	case TRACK_QUEUED:
		mark(t, &e);
		if (!track_flight_begin(&t->flights, &e))
			t->lost = true;
		break;
	case TRACK_WRITE:
		atomic_fetch_add(&t->seen, 1);
		track_flight_end(&t->flights, &e);
		mark(t, &e);
		break;
	case TRACK_LOST:
		t->lost = true;
		break;
	case TRACK_OTHER:
		break;
	}
}

static void take_bytes(struct track *t, const char *p, size_t n)
{
	for (; n; p++, n--) {
		if (*p == '\n') {
			if (t->too_long)
				t->lost = true;
			else
				take_line(t);
			t->len = 0;
			t->too_long = false;
		} else if (t->len < sizeof(t->line) - 1) {
			t->line[t->len++] = *p;
		} else {
			t->too_long = true;
		}
	}
}

/* Until the buffers of all processors are empty. */
static void drain(struct track *t)
{
	char buf[65536];

	for (;;) {
		ssize_t n = read(t->pipe, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			t->lost = true;
		if (n <= 0)
			return;
		take_bytes(t, buf, (size_t)n);
	}
}

static void *watch(void *arg)
{
	struct track *t = arg;

	pthread_mutex_lock(&t->lock);
	while (!t->stop) {
		struct timespec until;

		drain(t);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += DRAIN_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		pthread_cond_timedwait(&t->wake, &t->lock, &until);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

bool track_sync(struct track *t)
{
	pthread_mutex_lock(&t->lock);
	drain(t);
	unsigned long missed = count_missed(t);
	bool all = !t->lost && missed == t->missed;
	t->missed = missed;
	t->lost = false;
	pthread_mutex_unlock(&t->lock);
	return all;
}

uint64_t track_events(const struct track *t)
{
	return atomic_load(&t->seen);
}

/* The first place where tracefs is and takes a new instance. */
static int make_instance(struct track *t)
{
	static _Atomic unsigned number;
	unsigned n = atomic_fetch_add(&number, 1);
	char prefix[32];
	int r = -ENOENT;

	leftover_prefix(prefix, sizeof(prefix));
	for (unsigned i = 0; i < ARRAY_SIZE(mounts); i++) {
		snprintf(t->dir, sizeof(t->dir), "%s/instances", mounts[i]);
		leftover_sweep(t->dir, NULL); /* their buffers would stay for ever */
		snprintf(t->dir, sizeof(t->dir), "%s/instances/%s%u", mounts[i], prefix, n);
		if (mkdir(t->dir, 0700) == 0)
			return 0;
		r = errno == ENOENT ? r : -errno;
	}
	return r;
}

static const char *reason(int r)
{
	switch (r) {
	case -ENOENT:
		return "this kernel has no tracefs at /sys/kernel/tracing, or not these events";
	case -EACCES:
	case -EPERM:
		return "tracefs may be used by root only";
	default:
		return strerror(-r);
	}
}

static int start_thread(struct track *t)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&t->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&t->wake, &attr);
	pthread_condattr_destroy(&attr);
	return -pthread_create(&t->thread, NULL, watch, t);
}

static int open_pipe(struct track *t)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/trace_pipe", t->dir);
	t->pipe = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return t->pipe < 0 ? -errno : 0;
}

static void undo(struct track *t)
{
	if (t->pipe >= 0)
		close(t->pipe);
	if (t->dir[0])
		rmdir(t->dir);
	free(t);
}

struct track *track_start(int fd, uint64_t offset, uint64_t length, struct dirty *d, char *err)
{
	struct track *t;
	struct device device;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode)) {
		snprintf(err, TRACK_ERRLEN, "it is a file: only writes to block devices are seen");
		return NULL;
	}
	t = calloc(1, sizeof(*t));
	if (!t) {
		snprintf(err, TRACK_ERRLEN, "%s", strerror(ENOMEM));
		return NULL;
	}
	find_device(st.st_rdev, &device);
	t->pipe = -1;
	t->dirty = d;
	t->from = device.start + offset;
	t->to = t->from + length;
	r = make_instance(t);
	if (r < 0)
		t->dir[0] = '\0';
	if (r >= 0)
		r = set_up(t->dir, &device);
	if (r >= 0)
		r = open_pipe(t);
	if (r >= 0)
		r = start_thread(t);
	if (r < 0) {
		snprintf(err, TRACK_ERRLEN, "%s", reason(r));
		undo(t);
		return NULL;
	}
	return t;
}

void track_stop(struct track *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	undo(t);
}
