/*
 * The log sink. Lines go to syslog or to standard error (with systemd's <N> level
 * prefixes when the journal reads it). Pure code never logs: it returns, and the
 * caller who decides what to do says so, once.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/util.h"

/* Values are those of syslog(3) priorities. */
enum log_level {
	LOGL_ERR = 3,
	LOGL_WARN = 4,
	LOGL_NOTICE = 5,
	LOGL_INFO = 6,
	LOGL_DEBUG = 7,
};

enum log_area {
	LOG_CORE,
	LOG_CONFIG,
	LOG_SESSION,
	LOG_TOPOLOGY,
	LOG_DATAPATH,
	LOG_KERNEL,
	LOG_CONTROL,
	LOG_AREAS,
};

enum log_sink { LOG_TO_STDERR, LOG_TO_SYSLOG };

/* `ident` must outlive the log. Level starts at notice in every area. */
void log_init(enum log_sink sink, const char *ident);
void log_set_level(enum log_level level);
void log_set_area_level(enum log_area area, enum log_level level);
bool log_enabled(enum log_area area, enum log_level level);

/* "notice" -> LOGL_NOTICE; a negative errno when the word is none of ours. */
int log_level_parse(const char *word, enum log_level *ret);
int log_area_parse(const char *word, enum log_area *ret);
const char *log_level_name(enum log_level level);
const char *log_area_name(enum log_area area);

void log_write(enum log_area area, enum log_level level, const char *fmt, ...) _printf_(3, 4);

#define log_err(area, ...) log_write(area, LOGL_ERR, __VA_ARGS__)
#define log_warn(area, ...) log_write(area, LOGL_WARN, __VA_ARGS__)
#define log_notice(area, ...) log_write(area, LOGL_NOTICE, __VA_ARGS__)
#define log_info(area, ...) log_write(area, LOGL_INFO, __VA_ARGS__)
#define log_debug(area, ...) log_write(area, LOGL_DEBUG, __VA_ARGS__)

/* Floods become one line with a count: at most one line per `interval_us`. */
struct log_limit {
	uint64_t next_us;
	uint64_t suppressed;
};

/* True when the caller may log now; *ret_suppressed is how many it kept back since. */
bool log_limit_pass(struct log_limit *l, uint64_t now_us, uint64_t interval_us,
		    uint64_t *ret_suppressed);

#endif
