/*
 * Lists of arguments. ssh joins what follows the host with spaces and hands it to the user's
 * shell there, so a path must be quoted for that shell; what ssh itself takes comes as words and
 * never meets a shell here.
 */
#include "bridgectl/transfer/end_argv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/disk/quote.h"
#include "common/util.h"

#define ARGV_MAX 64

#define ALIVE_S 15 /* three questions of ssh: a network that is cut is noticed within a minute */

bool end_host_valid(const char *host)
{
	if (!*host || *host == '-')
		return false;
	for (; *host; host++)
		if (*host <= ' ' && *host >= 0)
			return false;
	return true;
}

void end_words(const struct end_spec *s, char *buf, const char *words[END_WORDS_MAX])
{
	unsigned n = 0;

	words[n++] = s->role;
	if (s->partition) {
		snprintf(buf, 32, "%u", s->partition);
		words[n++] = "--partition";
		words[n++] = buf;
	}
	if (s->overwrite)
		words[n++] = "--overwrite";
	if (s->state_dir) {
		words[n++] = "--state-dir";
		words[n++] = s->state_dir;
	}
	/* A path may begin with a dash. */
	words[n++] = "--";
	words[n++] = s->path;
	words[n] = NULL;
}

/* "bridgectl agent WORDS" for a shell. */
static char *remote_line(const struct end_spec *s, const char *const words[])
{
	char *line = NULL;
	size_t size;
	FILE *f = open_memstream(&line, &size);

	if (!f)
		return NULL;
	quote_word(f, s->program ? s->program : "bridgectl");
	fputs(" agent", f);
	for (; *words; words++) {
		fputc(' ', f);
		quote_word(f, *words);
	}
	if (fclose(f) == 0)
		return line;
	free(line);
	return NULL;
}

/* One block: the pointers, then the bytes of the words. */
static char **block_of(const char *const words[], unsigned n)
{
	size_t size = (n + 1) * sizeof(char *);
	char **argv, *p;

	for (unsigned i = 0; i < n; i++)
		size += strlen(words[i]) + 1;
	argv = malloc(size);
	if (!argv)
		return NULL;
	p = (char *)(argv + n + 1);
	for (unsigned i = 0; i < n; i++) {
		argv[i] = p;
		p = stpcpy(p, words[i]) + 1;
	}
	argv[n] = NULL;
	return argv;
}

static bool is_ssh(const char *word)
{
	const char *slash = strrchr(word, '/');

	return !strcmp(slash ? slash + 1 : word, "ssh");
}

/* After the user's own, since ssh takes the first of each. */
static unsigned ssh_options(const struct end_spec *s, char alive[40], const char **argv)
{
	unsigned every_s = s->timeout_s ? MAX(s->timeout_s / 2, 1u) : ALIVE_S, n = 0;

	snprintf(alive, 40, "-oServerAliveInterval=%u", every_s);
	argv[n++] = "-T";
	argv[n++] = "-x";
	argv[n++] = alive;
	argv[n++] = "-oServerAliveCountMax=3";
	return n;
}

static char **remote_argv(const struct end_spec *s, const char *const words[])
{
	_cleanup_free_ char *line = remote_line(s, words);
	_cleanup_free_ char *ssh = strdup(s->ssh ? s->ssh : "ssh");
	const char *argv[ARGV_MAX];
	char *save, alive[40];
	unsigned n = 0;

	if (!line || !ssh)
		return NULL;
	for (char *w = strtok_r(ssh, " ", &save); w && n < ARGV_MAX - 8;
	     w = strtok_r(NULL, " ", &save))
		argv[n++] = w;
	if (!n)
		argv[n++] = "ssh";
	if (is_ssh(argv[0]))
		n += ssh_options(s, alive, argv + n);
	argv[n++] = "--";
	argv[n++] = s->host;
	argv[n++] = line;
	return block_of(argv, n);
}

char **end_argv(const struct end_spec *s, const char *const words[])
{
	const char *argv[END_WORDS_MAX + 3];
	unsigned n = 0;

	if (s->host)
		return remote_argv(s, words);
	argv[n++] = s->program ? s->program : "bridgectl";
	argv[n++] = "agent";
	for (unsigned i = 0; words[i] && n < ARRAY_SIZE(argv); i++)
		argv[n++] = words[i];
	return block_of(argv, n);
}
