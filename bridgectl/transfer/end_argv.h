/*
 * The command line of an end: words for execvp(3), or one line for the shell that sshd starts on
 * the other host. Pure.
 */
#ifndef BRIDGECTL_TRANSFER_END_ARGV_H
#define BRIDGECTL_TRANSFER_END_ARGV_H

#include <stdbool.h>
#include <stdint.h>

/* What to start and where. Strings are the caller's and must outlive the end. */
struct end_spec {
	const char *role; /* "source" or "target" */
	const char *host; /* as ssh takes it; NULL: here */
	const char *path;
	unsigned partition; /* 0: all of it */
	bool overwrite;
	unsigned timeout_s;    /* of silence on the network, 0: the usual */
	const char *state_dir; /* NULL: the agent's own choice */
	const char *program;   /* bridgectl there; NULL: "bridgectl" there, this program here */
	const char *ssh;       /* "ssh -p 22 -i FILE", split at spaces; NULL: "ssh" */
};

/* Words after "agent", NULL behind the last; they live as long as `s` and `buf` (32 bytes). */
#define END_WORDS_MAX 12
void end_words(const struct end_spec *s, char *buf, const char *words[END_WORDS_MAX]);

/*
 * The whole argument list, one block to be freed: `program agent WORDS` here, or
 * `ssh OPTIONS -- HOST 'program agent WORDS'`. NULL: no memory.
 */
char **end_argv(const struct end_spec *s, const char *const words[]);

/* A host that ssh would take as something else (an option, an empty word) is false. */
bool end_host_valid(const char *host);

#endif
