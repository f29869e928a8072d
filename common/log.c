/*
 * The log sink: the only file-scope mutable state of the project. One call is one
 * line: control characters of a message become '?', so that text from a peer cannot
 * forge a line, and the line leaves in one write(), so that lines of several processes
 * on one terminal do not mix.
 *
 * On standard error: "<4>text" when the journal reads it (sd-daemon(3)), otherwise
 * "l2tund: warning: text", with the time of day once debug messages are on.
 */
#include "common/log.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>

#define LINE_BYTES 2048

static struct {
	const char *ident;
	enum log_sink sink;
	bool journal;
	bool stamps;
	enum log_level level[LOG_AREAS];
} state = {
	.sink = LOG_TO_STDERR,
	.level = { LOGL_NOTICE, LOGL_NOTICE, LOGL_NOTICE, LOGL_NOTICE, LOGL_NOTICE, LOGL_NOTICE,
		   LOGL_NOTICE },
};

static const char *const level_names[] = {
	[LOGL_ERR] = "err",   [LOGL_WARN] = "warn",   [LOGL_NOTICE] = "notice",
	[LOGL_INFO] = "info", [LOGL_DEBUG] = "debug",
};

/* What people call them too, and what a line on a terminal says. Notices need no label. */
static const char *const level_labels[] = {
	[LOGL_ERR] = "error", [LOGL_WARN] = "warning", [LOGL_NOTICE] = "",
	[LOGL_INFO] = "info", [LOGL_DEBUG] = "debug",
};

static const char *const area_names[LOG_AREAS] = {
	[LOG_CORE] = "core",	     [LOG_CONFIG] = "config",	  [LOG_SESSION] = "session",
	[LOG_TOPOLOGY] = "topology", [LOG_DATAPATH] = "datapath", [LOG_KERNEL] = "kernel",
	[LOG_CONTROL] = "control",
};

/*
 * JOURNAL_STREAM holds device and inode of the journal's end, systemd.exec(5): it may be
 * inherited while standard error has long been sent elsewhere.
 */
static bool stderr_is_journal(void)
{
	const char *s = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return s && sscanf(s, "%llu:%llu", &dev, &ino) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == dev && st.st_ino == ino;
}

void log_init(enum log_sink sink, const char *ident)
{
	state.ident = ident;
	state.sink = sink;
	state.journal = sink == LOG_TO_STDERR && stderr_is_journal();
	log_set_level(LOGL_NOTICE);
	if (sink == LOG_TO_SYSLOG)
		openlog(ident, LOG_PID, LOG_DAEMON);
	else
		closelog();
}

static void note_stamps(void)
{
	state.stamps = false;
	for (int i = 0; i < LOG_AREAS; i++)
		state.stamps |= state.level[i] == LOGL_DEBUG;
}

void log_set_level(enum log_level level)
{
	for (int i = 0; i < LOG_AREAS; i++)
		state.level[i] = level;
	note_stamps();
}

void log_set_area_level(enum log_area area, enum log_level level)
{
	state.level[area] = level;
	note_stamps();
}

bool log_enabled(enum log_area area, enum log_level level)
{
	return level <= state.level[area];
}

int log_level_parse(const char *word, enum log_level *ret)
{
	for (int i = LOGL_ERR; i <= LOGL_DEBUG; i++) {
		if (strcmp(word, level_names[i]) == 0 ||
		    (level_labels[i][0] && strcmp(word, level_labels[i]) == 0)) {
			*ret = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

int log_area_parse(const char *word, enum log_area *ret)
{
	for (int i = 0; i < LOG_AREAS; i++) {
		if (strcmp(word, area_names[i]) == 0) {
			*ret = (enum log_area)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	return level >= LOGL_ERR && level <= LOGL_DEBUG ? level_names[level] : "?";
}

const char *log_area_name(enum log_area area)
{
	return (unsigned)area < LOG_AREAS ? area_names[area] : "?";
}

/* Everything in front of the message, for standard error. Never longer than LINE_BYTES / 2. */
static size_t put_prefix(char *buf, enum log_level level)
{
	const char *ident = state.ident ? state.ident : program_invocation_short_name;
	const char *label = level_labels[level];
	char stamp[32] = "";
	struct timespec ts;
	struct tm tm;

	if (state.journal)
		return (size_t)snprintf(buf, LINE_BYTES / 2, "<%d>", level);
	if (state.stamps && clock_gettime(CLOCK_REALTIME, &ts) == 0 &&
	    localtime_r(&ts.tv_sec, &tm)) {
		size_t n = strftime(stamp, sizeof(stamp), "%H:%M:%S", &tm);

		snprintf(stamp + n, sizeof(stamp) - n, ".%03ld ", ts.tv_nsec / 1000000);
	}
	return (size_t)snprintf(buf, LINE_BYTES / 2, "%.64s: %s%s%s", ident, stamp, label,
				*label ? ": " : "");
}

/* UTF-8 passes: its bytes are all above 0x7f. */
static void sanitise(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
	}
}

static void write_line(const char *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nobody is left to be told */
		buf += n;
		len -= (size_t)n;
	}
}

void log_write(enum log_area area, enum log_level level, const char *fmt, ...)
{
	int saved_errno = errno;
	char buf[LINE_BYTES];
	size_t head = 0, n;
	va_list ap;

	if (!log_enabled(area, level))
		return;
	if (state.sink == LOG_TO_STDERR)
		head = put_prefix(buf, level);
	n = head;
	if (level == LOGL_DEBUG)
		n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s: ", area_names[area]);
	va_start(ap, fmt);
	errno = saved_errno; /* for %m */
	/* Two bytes are kept for the newline that replaces the NUL. */
	vsnprintf(buf + n, sizeof(buf) - n - 1, fmt, ap);
	va_end(ap);
	sanitise(buf + head);

	if (state.sink == LOG_TO_SYSLOG) {
		syslog((int)level, "%s", buf);
	} else {
		n = strlen(buf);
		buf[n++] = '\n';
		write_line(buf, n);
	}
	errno = saved_errno;
}

bool log_limit_pass(struct log_limit *l, uint64_t now_us, uint64_t interval_us,
		    uint64_t *ret_suppressed)
{
	if (now_us < l->next_us) {
		l->suppressed++;
		return false;
	}
	*ret_suppressed = l->suppressed;
	l->suppressed = 0;
	l->next_us = now_us + interval_us;
	return true;
}
