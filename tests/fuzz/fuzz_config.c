/*
 * l2tund.conf from memory. Files, keys, users and groups are made up, so that nothing
 * outside is touched; the input may include itself. What is accepted must print, the
 * print must be accepted and print the same; what is refused must say why, in order.
 */
#include <assert.h>
#include <errno.h>

#include "l2tund/config_private.h"
#include "tests/fuzz/fuzz.h"

static const uint8_t *input;
static size_t input_len;

static int no_file(const char *path, char **ret, size_t *ret_len)
{
	if (!strstr(path, "self"))
		return -ENOENT;
	*ret = malloc(input_len + 1);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, input, input_len);
	(*ret)[input_len] = '\0';
	*ret_len = input_len;
	return 0;
}

/* Twice itself, under two names. */
static int list(const char *pattern, char ***ret, unsigned *ret_n)
{
	char **paths = calloc(2, sizeof(*paths));
	unsigned n = 0;

	(void)pattern;
	for (; paths && n < 2; n++) {
		if (asprintf(&paths[n], "self%u", n) < 0)
			break;
	}
	*ret = paths;
	*ret_n = n;
	return 0;
}

static int no_key(const char *path, struct key *ret, char *err)
{
	if (strstr(path, "bad")) {
		snprintf(err, KEY_ERRLEN, "%s: bad", path);
		return -EINVAL;
	}
	memset(ret, (int)strlen(path), sizeof(*ret));
	return 0;
}

static int host_name(char *buf, size_t size)
{
	snprintf(buf, size, "%.8s", input_len > 8 ? (const char *)input : "host");
	return 0;
}

static bool name_exists(const char *name)
{
	return name[0] != 'x';
}

static const struct config_hooks hooks = {
	.read_file = no_file,
	.list = list,
	.read_key = no_key,
	.host_name = host_name,
	.user_exists = name_exists,
	.group_exists = name_exists,
};

/* The end of the report that means: the scan let through what libconfuse cannot read. */
#define BUG "; simplify what is written here"

/* At the end, because text from the input may stand anywhere else. */
static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && strcmp(s + n - m, end) == 0;
}

static void check_report(const struct config_report *r, int result)
{
	assert((result == 0) == (r->n_errors == 0));
	assert(r->n <= CONF_FINDINGS_MAX + 1);
	for (unsigned i = 0; i < r->n; i++) {
		assert(strchr(r->lines[i], ':'));
		assert(!strchr(r->lines[i], '\n'));
		assert(!ends_with(r->lines[i], BUG));
	}
}

/* NULL when the text is refused. */
static char *load_and_print(const char *name, const char *text, size_t len)
{
	struct config_report report = { 0 };
	struct config *c = NULL;
	char *out = NULL;
	size_t out_len;
	int r = config_load_buffer(&hooks, name, text, len, &c, &report);

	check_report(&report, r);
	if (r == 0) {
		FILE *f = open_memstream(&out, &out_len);

		config_print(c, f);
		fclose(f);
	}
	config_free(c);
	config_report_fini(&report);
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *first, *second;

	if (size > 64 * 1024)
		return 0;
	input = data;
	input_len = size;
	first = load_and_print("/etc/main.conf", (const char *)data, size);
	if (first) {
		second = load_and_print("/etc/printed.conf", first, strlen(first));
		assert(second && strcmp(first, second) == 0);
		free(second);
	}
	free(first);
	return 0;
}
