/*
 * main() of a fuzz target that is not linked with libFuzzer: gives every file of
 * its corpus to LLVMFuzzerTestOneInput once and reports each in TAP. fuzz_NAME
 * reads $srcdir/tests/fuzz/corpus/NAME, or the files and folders named as arguments.
 * A crash ends the program before its "ok" line, which the TAP driver counts as a
 * failure; so does an empty corpus.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/util.h"
#include "tests/fuzz/fuzz.h"

static int n_done;
static int n_bad;

static void result(int ok, const char *path, const char *why)
{
	n_done++;
	n_bad += !ok;
	printf("%sok %d - %s%s%s\n", ok ? "" : "not ", n_done, path, why ? ": " : "",
	       why ? why : "");
	fflush(stdout);
}

static void replay_file(const char *path, size_t size)
{
	/* Exactly as large as the input, so that the sanitizer sees a read past its end. */
	uint8_t *data = malloc(size ? size : 1);
	FILE *f = fopen(path, "rbe");

	if (!data || !f || fread(data, 1, size, f) != size) {
		result(0, path, strerror(errno));
	} else {
		LLVMFuzzerTestOneInput(data, size);
		result(1, path, NULL);
	}
	if (f)
		fclose(f);
	free(data);
}

static void replay(const char *path)
{
	struct dirent **entry;
	struct stat st;
	int n;

	if (stat(path, &st) < 0) {
		result(0, path, strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		replay_file(path, (size_t)st.st_size);
		return;
	}
	n = scandir(path, &entry, NULL, alphasort);
	if (n < 0) {
		result(0, path, strerror(errno));
		return;
	}
	for (int i = 0; i < n; i++) {
		char *sub = NULL;

		if (entry[i]->d_name[0] != '.' &&
		    asprintf(&sub, "%s/%s", path, entry[i]->d_name) >= 0) {
			replay(sub);
			free(sub);
		}
		free(entry[i]);
	}
	free(entry);
}

int main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir");
	const char *name = strstr(argv[0], "fuzz_");
	char *corpus = NULL;

	if (LLVMFuzzerInitialize)
		LLVMFuzzerInitialize(&argc, &argv);
	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			replay(argv[i]);
	} else if (name && asprintf(&corpus, "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".",
				    name + strlen("fuzz_")) >= 0) {
		replay(corpus);
		free(corpus);
	}
	if (n_done == 0)
		result(0, argv[0], "no corpus");
	printf("1..%d\n", n_done);
	return n_bad > 0;
}
