/*
 * 32-byte X25519 keys and preshared keys as text and files, as `wg` writes them:
 * base64, 44 characters, one line. Both programs read and make them.
 */
#ifndef COMMON_KEY_H
#define COMMON_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "common/util.h"

#define KEY_BYTES 32
#define KEY_STRLEN 45 /* 44 characters and NUL */
#define KEY_ERRLEN 256

struct key {
	uint8_t b[KEY_BYTES];
};

/* -EINVAL unless `s` is exactly the canonical base64 of 32 bytes (one trailing newline allowed). */
int key_parse(const char *s, struct key *ret);
const char *key_format(const struct key *k, char *buf);

/* Fresh keys from the system's generator. The private one is clamped as RFC 7748 section 5 says. */
int key_generate_private(struct key *ret);
int key_generate_psk(struct key *ret);
/* -EINVAL when OpenSSL refuses the key. */
int key_derive_public(const struct key *priv, struct key *ret);
/* -EINVAL for a low-order point: every secret would come out as zero (RFC 7748 section 6.1). */
int key_check_public(const struct key *pub);

/*
 * Reads a secret key file. Refuses what others can read (mode & 077), what is
 * not a regular file and what is not one key; `err` (KEY_ERRLEN) then says what and
 * what to do, starting with the path.
 */
int key_read_file(const char *path, struct key *ret, char *err);

/* Writes mode 0600 under a temporary name, fsync, link: never over an existing file (-EEXIST). */
int key_write_file(const char *path, const struct key *k);

void key_wipe(struct key *k);

#endif
