/* Keys: RFC 7748 vectors, the one canonical text, and which files are refused. */
#include "common/key.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

/* RFC 7748 section 6.1, Alice's pair. */
static const char alice_priv[] = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=";
static const char alice_pub[] = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=";

static char dir[] = "/tmp/test_key.XXXXXX";
static char path[64];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/k", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void write_file(const char *text, mode_t mode)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void text(void **state)
{
	struct key k = { { 0 } }, zero = { { 0 } };
	char buf[KEY_STRLEN], line[64];

	(void)state;
	assert_int_equal(key_parse(alice_priv, &k), 0);
	assert_int_equal(k.b[0], 0x77);
	assert_int_equal(k.b[31], 0x2a);
	assert_string_equal(key_format(&k, buf), alice_priv);
	snprintf(line, sizeof(line), "%s\n", alice_priv);
	assert_int_equal(key_parse(line, &k), 0);
	assert_int_equal(key_parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", &k), 0);
	assert_memory_equal(&k, &zero, sizeof(k));
}

static void not_keys(void **state)
{
	static const char *const t[] = {
		"",
		"\n",
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo",	/* no padding */
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCp=", /* bits behind the end */
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n\n",
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo= ",
		" wdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=",
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCoq", /* 33 bytes */
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC==", /* 31 bytes */
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25L-_=", /* the other base64 */
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=dwdtCnMYpX08",
	};
	struct key k = { { 7 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		if (key_parse(t[i], &k) != -EINVAL)
			fail_msg("`%s` was accepted", t[i]);
	}
	assert_int_equal(k.b[0], 7); /* untouched */
}

static void derive(void **state)
{
	struct key priv, pub;
	char buf[KEY_STRLEN];

	(void)state;
	assert_int_equal(key_parse(alice_priv, &priv), 0);
	assert_int_equal(key_derive_public(&priv, &pub), 0);
	assert_string_equal(key_format(&pub, buf), alice_pub);
	assert_int_equal(key_check_public(&pub), 0);
}

static void low_order(void **state)
{
	/* All points of order 1, 2, 4 and 8, and one value above the prime. */
	static const uint8_t t[][KEY_BYTES] = {
		{ 0 },
		{ 1 },
		{ 0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
		  0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
		  0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00 },
		{ 0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
		  0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
		  0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57 },
		{ 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
		{ 0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		  0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct key k;

		memcpy(k.b, t[i], KEY_BYTES);
		assert_int_equal(key_check_public(&k), -EINVAL);
	}
}

static void generate(void **state)
{
	struct key a, b, pub;

	(void)state;
	for (int i = 0; i < 50; i++) {
		assert_int_equal(key_generate_private(&a), 0);
		assert_int_equal(a.b[0] & 7, 0);
		assert_int_equal(a.b[31] & 0xc0, 0x40);
		assert_int_equal(key_derive_public(&a, &pub), 0);
	}
	assert_int_equal(key_generate_psk(&a), 0);
	assert_int_equal(key_generate_psk(&b), 0);
	assert_memory_not_equal(&a, &b, sizeof(a));
	key_wipe(&a);
	assert_true(a.b[0] == 0 && a.b[31] == 0);
}

static void good_file(void **state)
{
	char line[64], err[KEY_ERRLEN] = "";
	struct key k, want;

	(void)state;
	key_parse(alice_priv, &want);
	snprintf(line, sizeof(line), "%s\n", alice_priv);
	write_file(line, 0600);
	assert_int_equal(key_read_file(path, &k, err), 0);
	assert_memory_equal(&k, &want, sizeof(k));
	write_file(alice_priv, 0400);
	assert_int_equal(key_read_file(path, &k, err), 0);
	assert_string_equal(err, "");
}

static void open_to_others(void **state)
{
	static const mode_t modes[] = { 0640, 0604, 0620, 0602, 0610, 0601, 0666, 0777 };
	char err[KEY_ERRLEN];
	struct key k = { { 9 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		write_file(alice_priv, modes[i]);
		*err = '\0';
		assert_int_equal(key_read_file(path, &k, err), -EACCES);
		assert_int_equal(strncmp(err, path, strlen(path)), 0);
		assert_non_null(strstr(err, "chmod 600"));
	}
	assert_int_equal(k.b[0], 9);
}

/* Root reads the key of the user that a daemon will run as: private to its owner is enough. */
static void owned_by_the_service_user(void **state)
{
	char err[KEY_ERRLEN] = "";
	struct key k;

	(void)state;
	if (geteuid() != 0)
		skip();
	write_file(alice_priv, 0600);
	assert_int_equal(chown(path, 12345, 0), 0);
	assert_int_equal(key_read_file(path, &k, err), 0);
	assert_int_equal(chmod(path, 0640), 0);
	assert_int_equal(key_read_file(path, &k, err), -EACCES);
	assert_non_null(strstr(err, "0640"));
}

static void bad_content(void **state)
{
	static const char *const t[] = {
		"",
		"hello\n",
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n# more\n",
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\r\n",
		"# dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n",
	};
	char err[KEY_ERRLEN];
	struct key k;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		write_file(t[i], 0600);
		*err = '\0';
		assert_int_equal(key_read_file(path, &k, err), -EINVAL);
		assert_non_null(strstr(err, "44 characters"));
	}
}

/* A NUL behind a good key must not make the rest of the file invisible. */
static void nul_in_file(void **state)
{
	char err[KEY_ERRLEN];
	struct key k;
	int fd;

	(void)state;
	write_file(alice_priv, 0600);
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "\0x", 2), 2);
	close(fd);
	assert_int_equal(key_read_file(path, &k, err), -EINVAL);
}

static void not_a_file(void **state)
{
	char err[KEY_ERRLEN] = "";
	struct key k;

	(void)state;
	unlink(path);
	assert_int_equal(key_read_file(path, &k, err), -ENOENT);
	assert_non_null(strstr(err, "keygen"));
	assert_int_equal(key_read_file(dir, &k, err), -EINVAL);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(key_read_file(path, &k, err), -EINVAL); /* and does not hang */
	assert_non_null(strstr(err, "regular file"));
}

static void write_key(void **state)
{
	char err[KEY_ERRLEN] = "";
	struct key a, b, c;
	struct stat st;

	(void)state;
	unlink(path);
	key_generate_private(&a);
	key_generate_private(&b);
	umask(0);
	assert_int_equal(key_write_file(path, &a), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 45);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(key_write_file(path, &b), -EEXIST);
	assert_int_equal(key_read_file(path, &c, err), 0);
	assert_memory_equal(&a, &c, sizeof(a));
	assert_int_equal(key_write_file("/nonexistent/k", &a), -ENOENT);
	/* Nothing is left beside it: rmdir() in teardown would fail. */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text),		  cmocka_unit_test(not_keys),
		cmocka_unit_test(derive),	  cmocka_unit_test(low_order),
		cmocka_unit_test(generate),	  cmocka_unit_test(good_file),
		cmocka_unit_test(open_to_others), cmocka_unit_test(owned_by_the_service_user),
		cmocka_unit_test(bad_content),	  cmocka_unit_test(nul_in_file),
		cmocka_unit_test(not_a_file),	  cmocka_unit_test(write_key),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("key", tests, setup, teardown);
}
