/*
 * Inside the configuration reader. The way of a file:
 *
 *   config_scan.c   finds the statements, reports whatever is not one, and joins what is
 *                   good (includes in their place) into one text with the same lines
 *   libconfuse      parses that text: strings, escapes, lists, sections
 *   config_build.c  values -> struct config, each option by itself
 *   config_check.c  what objects say about each other
 *
 * libconfuse stops at its first error, counts a comment as three lines and keeps its
 * lexer's state after an unclosed string; so it never gets to see such text.
 *
 * A place in the joined text is its line, from 1: `pos`. It maps to file and line, and
 * sorting by it puts findings into the order of the file.
 */
#ifndef L2TUND_CONFIG_PRIVATE_H
#define L2TUND_CONFIG_PRIVATE_H

#include <confuse.h>

#include "l2tund/config.h"
#include "l2tund/config_hooks.h"

#define CONF_TOTAL_MAX_BYTES (4 * CONF_FILE_MAX_BYTES)
#define CONF_FILES_MAX 256
#define CONF_DEPTH_MAX 8
#define CONF_VALUE_MAX 1024
#define CONF_OBJECTS_MAX 4096 /* of each kind */
#define CONF_FINDINGS_MAX 10000
#define CONF_TITLE "title"   /* a section's title travels as this option, which nobody can write */
#define CONF_BROKEN "broken" /* likewise: options that are there, but with a mistake */

void config_node_fini(struct config_node *n);

/* What each value of libconfuse's tree is: the text, and where it stood. */
struct conf_value {
	char *text;
	unsigned pos;
};

/* Joined lines from `start` on are lines of files[file] from `line` on. */
struct conf_part {
	unsigned start;
	unsigned file;
	unsigned line;
};

struct conf_finding {
	unsigned pos;
	unsigned seq;
	bool error;
	char *text;
};

/* One load. Owned by config_load(). */
struct conf {
	const struct config_hooks *hooks;
	char *dir; /* absolute folder of the main file: relative key paths start here */

	char **files;
	unsigned n_files;
	struct conf_part *parts;
	unsigned n_parts;

	char *text; /* joined */
	size_t text_len, text_size;
	unsigned text_pos; /* line that is being written */
	size_t total_bytes;

	struct conf_finding *findings;
	unsigned n_findings, n_errors;

	cfg_t *tree;
	struct config *c; /* being built */
	bool oom;
};

/* The tables of all options; freed by nobody. */
cfg_opt_t *conf_options(void);
bool conf_is_for_users(const cfg_opt_t *o);
/* NULL when there is none of this name, or when it is not for users. */
cfg_opt_t *conf_find_option(cfg_opt_t *opts, const char *name, size_t len);

/* "bridge br0: option: …" about one value (NULL: about the option or, without it, the section). */
void conf_opt_add(struct conf *k, bool error, cfg_t *sec, const char *option,
		  const struct conf_value *v, const char *fmt, ...) _printf_(6, 7);
#define conf_opt_error(k, ...) conf_opt_add(k, true, __VA_ARGS__)
#define conf_opt_warn(k, ...) conf_opt_add(k, false, __VA_ARGS__)
void conf_error(struct conf *k, unsigned pos, const char *fmt, ...) _printf_(3, 4);
void conf_warn(struct conf *k, unsigned pos, const char *fmt, ...) _printf_(3, 4);
/* Where `pos` is; never fails. */
const char *conf_file_at(const struct conf *k, unsigned pos, unsigned *ret_line);

/* Scans a text and what it includes. Findings are the only result. */
void conf_scan(struct conf *k, const char *name, const char *text, size_t len);
/* Gives the joined text to libconfuse: k->tree, or a finding. */
void conf_parse(struct conf *k);
/* What libconfuse makes of one string token; NULL when out of memory. Owned by the caller. */
char *conf_decode(const char *token, size_t len);

void conf_build(struct conf *k);
/* The `count` sections `offload` of the tree; a second one is an error. */
void conf_build_offload(struct conf *k, unsigned count);
void conf_check(struct conf *k);

/* yes, no, on, off; `otherwise` when it is not given. */
bool conf_get_bool(struct conf *k, cfg_t *sec, const char *option, bool otherwise);
/* The last value of an option in a section, or NULL when it is not given. */
const struct conf_value *conf_get(cfg_t *sec, const char *option);
unsigned conf_count(cfg_t *sec, const char *option);
const struct conf_value *conf_get_nth(cfg_t *sec, const char *option, unsigned i);
/* Where the option or, without it, the section begins. */
unsigned conf_pos(cfg_t *sec, const char *option);

#endif
