/*
 * Keys as text and files. Parsing decodes and encodes again: only the one canonical
 * text of a key is accepted, so that a mistyped last character cannot pass. Secret
 * bytes are wiped from every buffer that this file uses.
 */
#include "common/key.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include "common/io.h"

#define TEXT_LEN (KEY_STRLEN - 1)
#define FILE_MAX_BYTES 64 /* one key, its newline, and room to see that there is more */

int key_parse(const char *s, struct key *ret)
{
	/* EVP_DecodeBlock writes whole groups: 33 bytes, the last one for the padding. */
	uint8_t raw[TEXT_LEN / 4 * 3];
	char again[KEY_STRLEN];
	struct key k;
	size_t n = strnlen(s, TEXT_LEN + 2);
	int r = -EINVAL;

	if (n == TEXT_LEN + 1 && s[TEXT_LEN] == '\n')
		n--;
	if (n != TEXT_LEN)
		return -EINVAL;
	if (EVP_DecodeBlock(raw, (const uint8_t *)s, TEXT_LEN) == (int)sizeof(raw)) {
		memcpy(k.b, raw, KEY_BYTES);
		key_format(&k, again);
		if (CRYPTO_memcmp(again, s, TEXT_LEN) == 0) {
			*ret = k;
			r = 0;
		}
		key_wipe(&k);
		OPENSSL_cleanse(again, sizeof(again));
	}
	OPENSSL_cleanse(raw, sizeof(raw));
	return r;
}

const char *key_format(const struct key *k, char *buf)
{
	EVP_EncodeBlock((uint8_t *)buf, k->b, KEY_BYTES);
	return buf;
}

int key_generate_psk(struct key *ret)
{
	struct key k;

	if (RAND_priv_bytes(k.b, KEY_BYTES) != 1)
		return -EIO;
	*ret = k;
	key_wipe(&k);
	return 0;
}

int key_generate_private(struct key *ret)
{
	int r = key_generate_psk(ret);

	if (r < 0)
		return r;
	ret->b[0] &= 248;
	ret->b[31] &= 127;
	ret->b[31] |= 64;
	return 0;
}

int key_derive_public(const struct key *priv, struct key *ret)
{
	EVP_PKEY *p = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, priv->b, KEY_BYTES);
	struct key pub;
	size_t n = KEY_BYTES;
	int r = -EINVAL;

	if (p && EVP_PKEY_get_raw_public_key(p, pub.b, &n) == 1 && n == KEY_BYTES) {
		*ret = pub;
		r = 0;
	}
	EVP_PKEY_free(p);
	ERR_clear_error(); /* the errno says it all */
	return r;
}

int key_check_public(const struct key *pub)
{
	/* Any clamped scalar is a multiple of the cofactor, so it takes each such point to zero. */
	static const uint8_t scalar[KEY_BYTES] = { [0] = 8, [31] = 64 };
	EVP_PKEY *a = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, scalar, KEY_BYTES);
	EVP_PKEY *b = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, pub->b, KEY_BYTES);
	EVP_PKEY_CTX *ctx = a ? EVP_PKEY_CTX_new(a, NULL) : NULL;
	uint8_t secret[KEY_BYTES];
	size_t n = sizeof(secret);
	int r = -EINVAL;

	/* OpenSSL fails here when the secret is all zero. */
	if (ctx && b && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer(ctx, b) == 1 &&
	    EVP_PKEY_derive(ctx, secret, &n) == 1)
		r = 0;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(a);
	EVP_PKEY_free(b);
	ERR_clear_error();
	return r;
}

/* All complaints have the form "path: what; what to do". */
static int check_stat(const struct stat *st, const char *path, char *err)
{
	if (!S_ISREG(st->st_mode)) {
		snprintf(err, KEY_ERRLEN, "%s: not a regular file; give the path of a key file",
			 path);
		return -EINVAL;
	}
	if (st->st_mode & 077) {
		snprintf(err, KEY_ERRLEN,
			 "%s: others can get at this key (mode %04o); chmod 600 it, and make a "
			 "new key if it may have been read",
			 path, (unsigned)(st->st_mode & 07777));
		return -EACCES;
	}
	return 0;
}

int key_read_file(const char *path, struct key *ret, char *err)
{
	char text[FILE_MAX_BYTES + 1] = "";
	struct stat st;
	ssize_t n;
	int r;
	/* O_NONBLOCK: a FIFO in this place must not hang us before fstat() tells. */
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) < 0) {
		r = -errno;
		snprintf(err, KEY_ERRLEN, "%s: %s; %s", path, strerror(-r),
			 r == -ENOENT ? "`bridgectl keygen --init` makes a private key, "
					"`bridgectl genpsk` a preshared one" :
					"check the path and its permissions");
		return r;
	}
	r = check_stat(&st, path, err);
	if (r < 0)
		return r;
	n = io_read_all(fd, text, FILE_MAX_BYTES);
	if (n < 0) {
		snprintf(err, KEY_ERRLEN, "%s: cannot be read: %s; check the disk", path,
			 strerror((int)-n));
		return (int)n;
	}
	/* A NUL inside would hide what follows it from key_parse(). */
	r = strlen(text) == (size_t)n ? key_parse(text, ret) : -EINVAL;
	OPENSSL_cleanse(text, sizeof(text));
	if (r < 0)
		snprintf(err, KEY_ERRLEN,
			 "%s: not one key in base64 (44 characters); make one with bridgectl "
			 "keygen or genpsk",
			 path);
	return r;
}

/* So that the name survives a power cut too; some file systems cannot do it, and that is fine. */
static void sync_folder_of(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	int fd;

	if (!slash)
		snprintf(dir, sizeof(dir), ".");
	else
		snprintf(dir, sizeof(dir), "%.*s", (int)MAX(slash - path, 1), path);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

static int write_key(int fd, const struct key *k)
{
	char text[KEY_STRLEN + 1];
	ssize_t n;
	int r = 0;

	key_format(k, text);
	text[TEXT_LEN] = '\n';
	n = write(fd, text, TEXT_LEN + 1);
	if (n != TEXT_LEN + 1)
		r = n < 0 ? -errno : -ENOSPC;
	OPENSSL_cleanse(text, sizeof(text));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

int key_write_file(const char *path, const struct key *k)
{
	char tmp[PATH_MAX];
	int fd, r;

	if (snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	fd = mkostemp(tmp, O_CLOEXEC); /* mode 0600 */
	if (fd < 0)
		return -errno;
	r = write_key(fd, k);
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && link(tmp, path) < 0)
		r = -errno;
	unlink(tmp);
	if (r == 0)
		sync_folder_of(path);
	return r;
}

void key_wipe(struct key *k)
{
	OPENSSL_cleanse(k, sizeof(*k));
}
