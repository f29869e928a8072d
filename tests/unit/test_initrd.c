/*
 * Names in an initramfs: archives made here, packed here or by the programs that make
 * real ones, cut, damaged and hostile ones, in pieces of every size, and under a filter that lets
 * nothing through but what allocation needs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridgectl/fixup/initrd.h"
#include "bridgectl/fixup/initrd_private.h"
#include "common/proc.h"
#include "common/util.h"
#include "tests/support/prng.h"

#define SPACE (256 * 1024)

struct bytes {
	uint8_t b[SPACE];
	size_t len;
};

static struct bytes archive, packed;

static void add(struct bytes *to, const void *data, size_t len)
{
	assert_true(to->len + len <= sizeof(to->b));
	memcpy(to->b + to->len, data, len);
	to->len += len;
}

static void pad(struct bytes *to, size_t multiple)
{
	while (to->len % multiple)
		add(to, "", 1);
}

static void add_header(struct bytes *to, uint32_t mode, uint32_t size, uint32_t name)
{
	char head[CPIO_HEADER + 1];

	snprintf(head, sizeof(head), "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		 1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name, 0);
	add(to, head, CPIO_HEADER);
}

static void add_file(struct bytes *to, const char *name, uint32_t mode, const char *content)
{
	size_t size = strlen(content);

	pad(to, 4);
	add_header(to, mode, (uint32_t)size, (uint32_t)strlen(name) + 1);
	add(to, name, strlen(name) + 1);
	pad(to, 4);
	add(to, content, size);
	pad(to, 4);
}

static void add_trailer(struct bytes *to)
{
	add_file(to, "TRAILER!!!", 0, "");
	pad(to, 512);
}

/* A folder, two files and a link: two names are told. */
static void make_archive(struct bytes *to, const char *first)
{
	add_file(to, "lib", 0040755, "");
	add_file(to, first, 0100644, "content of 070701 no importance");
	add_file(to, "lib64", 0120777, "lib");
	add_file(to, "lib/virtio_blk.ko", 0100644,
		 "\x7f"
		 "ELF");
	add_trailer(to);
}

struct told {
	unsigned n;
	char all[1024]; /* names, each with a blank behind it */
};

static void tell(void *arg, const char *name)
{
	struct told *t = arg;

	t->n++;
	if (strlen(t->all) + strlen(name) + 2 < sizeof(t->all))
		strcat(strcat(t->all, name), " ");
}

static int read_it(const struct bytes *from, struct told *t, char why[INITRD_WHYLEN])
{
	/* Exactly as large as it is, for the sanitizer. */
	_cleanup_free_ uint8_t *copy = malloc(from->len ? from->len : 1);

	memset(t, 0, sizeof(*t));
	memcpy(copy, from->b, from->len);
	return initrd_names(copy, from->len, tell, t, why);
}

static void assert_names(const struct bytes *from, const char *names)
{
	char why[INITRD_WHYLEN];
	struct told t;
	int r = read_it(from, &t, why);

	assert_string_equal(why, "");
	assert_int_equal(r, 0);
	assert_string_equal(t.all, names);
}

static void assert_why(const struct bytes *from, const char *words)
{
	char why[INITRD_WHYLEN];
	struct told t;

	assert_int_equal(read_it(from, &t, why), -EINVAL);
	if (!strstr(why, words))
		fail_msg("\"%s\" is not in \"%s\"", words, why);
}

static void start(struct bytes *b)
{
	b->len = 0;
}

#define TWO "lib/a.ko lib/virtio_blk.ko "

static void test_plain(void **state)
{
	(void)state;
	start(&archive);
	make_archive(&archive, "lib/a.ko");
	assert_names(&archive, TWO);
}

static void test_segments(void **state)
{
	(void)state;
	start(&archive);
	add_file(&archive, "kernel/x86/microcode/GenuineIntel.bin", 0100644, "\1\2\3");
	add_trailer(&archive);
	make_archive(&archive, "lib/a.ko");
	pad(&archive, 4096);
	make_archive(&archive, "lib/b.ko");
	assert_names(&archive,
		     "kernel/x86/microcode/GenuineIntel.bin " TWO "lib/b.ko lib/virtio_blk.ko ");
}

/* Linux reads such ones, too. */
static void test_no_trailer(void **state)
{
	(void)state;
	start(&archive);
	add_file(&archive, "init", 0100755, "");
	assert_names(&archive, "init ");
}

static void test_pieces(void **state)
{
	struct cpio *c = calloc(1, sizeof(*c));
	struct told t;

	(void)state;
	start(&archive);
	make_archive(&archive, "lib/a.ko");
	make_archive(&archive, "lib/b.ko");
	for (size_t piece = 1; piece < 300; piece++) {
		memset(c, 0, sizeof(*c));
		memset(&t, 0, sizeof(t));
		c->fn = tell;
		c->arg = &t;
		for (size_t at = 0; at < archive.len; at += piece) {
			size_t n = MIN(piece, archive.len - at);

			assert_int_equal(cpio_feed(c, archive.b + at, n), n);
		}
		assert_true(cpio_is_whole(c) && c->ended);
		assert_string_equal(t.all, TWO "lib/b.ko lib/virtio_blk.ko ");
	}
	free(c);
}

/* --- Compression --- */

/* Each of these holds bytes as they are, in the frame of its kind. */
static void pack_gzip(struct bytes *to, const struct bytes *from)
{
	uint8_t n[2];
	uint32_t crc = UINT32_MAX;
	uint8_t end[8];

	add(to, "\x1f\x8b\x08\0\0\0\0\0\0\x03\x01", 11);
	put_le16(n, (uint16_t)from->len);
	add(to, n, 2);
	put_le16(n, (uint16_t)~from->len);
	add(to, n, 2);
	add(to, from->b, from->len);
	for (size_t i = 0; i < from->len; i++) {
		crc ^= from->b[i];
		for (unsigned k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	put_le32(end, ~crc);
	put_le32(end + 4, (uint32_t)from->len);
	add(to, end, 8);
}

static void pack_zstd(struct bytes *to, const struct bytes *from)
{
	uint8_t n[4] = { 0 };

	add(to, "\x28\xb5\x2f\xfd\xa0", 5);
	put_le32(n, (uint32_t)from->len);
	add(to, n, 4);
	put_le32(n, (uint32_t)from->len << 3 | 1);
	add(to, n, 3);
	add(to, from->b, from->len);
}

static void pack_lz4(struct bytes *to, const struct bytes *from)
{
	size_t rest = from->len - 15, at;
	uint8_t n[4] = { 0 };

	add(to, "\x02\x21\x4c\x18", 4);
	at = to->len;
	add(to, n, 4);
	add(to, "\xf0", 1);
	for (; rest >= 255; rest -= 255)
		add(to, "\xff", 1);
	n[0] = (uint8_t)rest;
	add(to, n, 1);
	add(to, from->b, from->len);
	put_le32(to->b + at, (uint32_t)(to->len - at - 4));
}

typedef void (*pack_fn)(struct bytes *to, const struct bytes *from);

static const pack_fn packs[] = { pack_gzip, pack_zstd, pack_lz4 };

static void test_packed(void **state)
{
	(void)state;
	start(&archive);
	make_archive(&archive, "lib/a.ko");
	for (size_t i = 0; i < ARRAY_SIZE(packs); i++) {
		start(&packed);
		packs[i](&packed, &archive);
		assert_names(&packed, TWO);
		/* Behind microcode; and with zeros behind. */
		start(&packed);
		add_file(&packed, "kernel/x86/microcode/AuthenticAMD.bin", 0100644, "\1");
		add_trailer(&packed);
		packs[i](&packed, &archive);
		pad(&packed, 512);
		assert_names(&packed, "kernel/x86/microcode/AuthenticAMD.bin " TWO);
		/* And another of each kind behind that. */
		for (size_t k = 0; k < ARRAY_SIZE(packs); k++) {
			size_t len = packed.len;

			packs[k](&packed, &archive);
			assert_names(&packed, "kernel/x86/microcode/AuthenticAMD.bin " TWO TWO);
			packed.len = len;
		}
	}
}

static void test_programs(void **state)
{
	static const char *const argvs[][5] = {
		{ "gzip", "-9c" },
		{ "bzip2", "-c" },
		{ "xz", "-c", "--check=crc32" },
		{ "zstd", "-qc" },
		{ "lzma", "-c" },
		{ "lz4", "-lqc" },
		{ "lz4", "-qc" },
		{ "zstd", "-qc19", "--no-check" },
	};
	unsigned ran = 0;

	(void)state;
	start(&archive);
	make_archive(&archive, "lib/a.ko");
	for (unsigned i = 0; i < 500; i++)
		add_file(&archive, "etc/more", 0040755, "");
	add_trailer(&archive);
	for (size_t i = 0; i < ARRAY_SIZE(argvs); i++) {
		const struct proc_limits limits = { .timeout_ms = 30000, .out_bytes = SPACE };
		struct proc_result p;
		int r = proc_run(argvs[i], &limits, (const char *)archive.b, archive.len, &p);

		if (r == -ENOENT)
			continue;
		assert_int_equal(r, 0);
		start(&packed);
		add(&packed, p.out, p.out_len);
		proc_result_fini(&p);
		assert_names(&packed, TWO);
		ran++;
	}
	print_message("%u of %zu programs are here\n", ran, ARRAY_SIZE(argvs));
}

/* --- What is none --- */

static void test_why(void **state)
{
	(void)state;
	start(&archive);
	assert_why(&archive, "empty");
	add(&archive, "\0\0\0\0", 4);
	assert_why(&archive, "empty");
	add(&archive, "\x89LZO\0\r\n\x1a\n", 9);
	assert_why(&archive, "lzop, which is not read here");
	start(&archive);
	add(&archive, "#!/bin/sh\n", 10);
	assert_why(&archive, "23 21 2f 62, which is no known compression");
	start(&archive);
	add(&archive, "0707", 4);
	assert_why(&archive, "in the middle of a file");
	start(&archive);
	make_archive(&archive, "lib/a.ko");
	start(&packed);
	pack_gzip(&packed, &archive);
	packed.len -= 500;
	assert_why(&packed, "damaged");
	start(&archive);
	add(&archive, "hello, this is no archive at all", 32);
	start(&packed);
	pack_zstd(&packed, &archive);
	assert_why(&packed, "no cpio archive");
}

static void test_headers(void **state)
{
	char why[INITRD_WHYLEN];
	struct told t;

	(void)state;
	start(&archive);
	add_header(&archive, 0100644, 0, 0);
	assert_why(&archive, "no cpio archive");
	start(&archive);
	add_header(&archive, 0100644, 0, INITRD_NAME_MAX + 1);
	assert_why(&archive, "no cpio archive");
	start(&archive);
	add_header(&archive, 0100644, UINT32_MAX, 5);
	add(&archive, "init\0\0", 6);
	assert_int_equal(read_it(&archive, &t, why), -EINVAL);
	assert_string_equal(t.all, "init ");
	start(&archive);
	add_file(&archive, "init", 0100644, "");
	archive.b[20] = 'g';
	assert_why(&archive, "no cpio archive");
	/* A name without its NUL, as long as there may be one. */
	start(&archive);
	add_header(&archive, 0100644, 0, INITRD_NAME_MAX);
	memset(archive.b + archive.len, 'x', INITRD_NAME_MAX);
	archive.len += INITRD_NAME_MAX;
	pad(&archive, 4);
	assert_int_equal(read_it(&archive, &t, why), 0);
	assert_int_equal(t.n, 1);
}

static void test_too_many(void **state)
{
	struct cpio *c = calloc(1, sizeof(*c));
	struct told t = { 0 };
	int64_t r = 0;
	unsigned n;

	(void)state;
	c->fn = tell;
	c->arg = &t;
	start(&archive);
	add_file(&archive, "f", 0100644, "");
	for (n = 0; n <= INITRD_NAMES_MAX + 1 && r >= 0; n++)
		r = cpio_feed(c, archive.b, archive.len);
	assert_int_equal(r, -E2BIG);
	assert_int_equal(n, INITRD_NAMES_MAX + 1);
	free(c);
}

/* A bomb: 5000 blocks of one zero, 128 Ki times (RFC 8878, 3.1.1.2): padding without an end. */
static void test_too_large(void **state)
{
	(void)state;
	start(&packed);
	add(&packed, "\x28\xb5\x2f\xfd\0\x58", 6);
	for (unsigned i = 0; i < 5000; i++) {
		uint8_t block[5];

		put_le32(block, 0x20000U << 3 | 1 << 1 | (i == 4999));
		add(&packed, block, 3);
		add(&packed, "", 1);
	}
	assert_why(&packed, "too large");
}

static void test_random(void **state)
{
	struct prng p = { 7 };
	char why[INITRD_WHYLEN];
	struct told t;

	(void)state;
	start(&archive);
	make_archive(&archive, "lib/a.ko");
	for (unsigned i = 0; i < 6000; i++) {
		start(&packed);
		if (i % 4 == 3)
			add(&packed, archive.b, archive.len);
		else
			packs[i % 4](&packed, &archive);
		for (unsigned k = 0; k <= i % 5; k++)
			packed.b[prng_below(&p, packed.len)] = (uint8_t)prng_next(&p);
		if (i % 7 == 0)
			packed.len = prng_below(&p, packed.len);
		if (read_it(&packed, &t, why) < 0)
			assert_true(why[0]);
	}
}

/* --- Without system calls --- */

static const int allowed[] = { SYS_brk,	     SYS_mmap,	SYS_munmap, SYS_mremap,	    SYS_madvise,
			       SYS_mprotect, SYS_write, SYS_exit,   SYS_exit_group, SYS_futex };

/* Anything else kills this process (prctl(2), SECCOMP_MODE_FILTER = 2). */
static int forbid(void)
{
	struct sock_filter code[ARRAY_SIZE(allowed) + 3] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };
	unsigned n = 1;

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++, n++)
		code[n] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
						       (uint32_t)allowed[i],
						       (uint8_t)(ARRAY_SIZE(allowed) - i), 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0x80000000U); /* kill */
	code[n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0x7fff0000U);	/* allow */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_SET_SECCOMP, 2, &prog) < 0 ? -errno : 0;
}

/* Not under AddressSanitizer, which has system calls of its own. */
__attribute__((unused)) static void test_no_system_calls(void **state)
{
	static struct bytes all[ARRAY_SIZE(packs)];
	int status;
	pid_t pid;

	(void)state;
	start(&archive);
	make_archive(&archive, "lib/a.ko");
	for (size_t i = 0; i < ARRAY_SIZE(packs); i++)
		packs[i](&all[i], &archive);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char why[INITRD_WHYLEN];
		struct told t;
		int r = forbid() < 0 ? 77 : 0;

		for (size_t i = 0; r == 0 && i < ARRAY_SIZE(packs); i++)
			r = read_it(&all[i], &t, why) == 0 && t.n == 2 ? 0 : 1;
		_exit(r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_head(void **state)
{
	char head[6];

	(void)state;
	start(&archive);
	make_archive(&archive, "lib/a.ko");
	start(&packed);
	pack_gzip(&packed, &archive);
	assert_int_equal(initrd_unpack_head(packed.b, packed.len, head, 6), 6);
	assert_memory_equal(head, "070701", 6);
	assert_int_equal(initrd_unpack_head(archive.b, archive.len, head, 6), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_no_trailer),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_programs),
		cmocka_unit_test(test_why),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_random),
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(test_no_system_calls),
#endif

		cmocka_unit_test(test_head),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
