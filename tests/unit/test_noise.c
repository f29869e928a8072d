/*
 * The handshake against published vectors, message by message and byte by byte; and
 * what must fail: altered bytes, another preshared key, low-order points.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/util.h"
#include "l2tund/session/noise.h"
#include "tests/unit/noise_vectors.h"

static size_t unhex(const char *hex, uint8_t *ret)
{
	size_t n = strlen(hex) / 2;
	unsigned v;

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
		ret[i] = (uint8_t)v;
	}
	return n;
}

static void assert_hex(const uint8_t *got, size_t len, const char *hex)
{
	uint8_t want[512];

	assert_int_equal(len, unhex(hex, want));
	assert_memory_equal(got, want, len);
}

struct pair {
	struct crypto *c;
	struct noise i, r;
	uint8_t psk[32], ie[32], re[32];
};

static void pair_init(struct pair *p, const struct noise_vector *v)
{
	uint8_t prologue[64], is[32], rs[32], ipub[32], rpub[32];
	size_t n = unhex(v->prologue, prologue);

	memset(p, 0, sizeof(*p));
	p->c = crypto_new();
	assert_non_null(p->c);
	unhex(v->init_static, is);
	unhex(v->resp_static, rs);
	unhex(v->init_ephemeral, p->ie);
	unhex(v->resp_ephemeral, p->re);
	if (v->psk)
		unhex(v->psk, p->psk);
	assert_int_equal(crypto_x25519_public(is, ipub), 0);
	assert_int_equal(crypto_x25519_public(rs, rpub), 0);
	assert_hex(rpub, 32, v->resp_public);
	assert_int_equal(noise_init(&p->i, p->c, true, v->psk, prologue, n, is, ipub, rpub), 0);
	assert_int_equal(noise_init(&p->r, p->c, false, v->psk, prologue, n, rs, rpub, NULL), 0);
}

static void pair_fini(struct pair *p)
{
	noise_wipe(&p->i);
	noise_wipe(&p->r);
	crypto_free(p->c);
}

static void transport(struct pair *p, const struct noise_vector *v)
{
	uint8_t keys[2][32], check[2][32], buf[256];
	struct aead seal[2], open[2];

	assert_int_equal(noise_split(&p->i, keys[0], keys[1]), 0);
	assert_int_equal(noise_split(&p->r, check[0], check[1]), 0);
	assert_memory_equal(keys, check, sizeof(keys));
	for (unsigned d = 0; d < 2; d++) {
		assert_int_equal(aead_init(&seal[d], p->c, CIPHER_CHACHAPOLY, keys[d], true), 0);
		assert_int_equal(aead_init(&open[d], p->c, CIPHER_CHACHAPOLY, keys[d], false), 0);
	}
	for (unsigned m = 2; m < 6; m++) {
		size_t n = unhex(v->messages[m].payload, buf);
		unsigned d = m % 2;

		assert_int_equal(aead_seal(&seal[d], m / 2 - 1, NULL, 0, buf, n, buf + n), 0);
		assert_hex(buf, n + 16, v->messages[m].ciphertext);
		assert_int_equal(aead_open(&open[d], m / 2 - 1, NULL, 0, buf, n, buf + n), 0);
		assert_hex(buf, n, v->messages[m].payload);
	}
	for (unsigned d = 0; d < 2; d++) {
		aead_fini(&seal[d]);
		aead_fini(&open[d]);
	}
}

static void run_vector(const struct noise_vector *v)
{
	uint8_t payload[256], msg[256], got[256];
	struct pair p;

	pair_init(&p, v);
	size_t n = unhex(v->messages[0].payload, payload);
	int len = noise_write_1(&p.i, p.ie, payload, n, msg);
	assert_true(len > 0);
	assert_hex(msg, (size_t)len, v->messages[0].ciphertext);
	assert_int_equal(noise_read_1(&p.r, msg, (size_t)len, got), n);
	assert_memory_equal(got, payload, n);
	assert_memory_equal(p.r.rs, p.i.s_pub, 32);

	n = unhex(v->messages[1].payload, payload);
	len = noise_write_2(&p.r, p.re, p.psk, payload, n, msg);
	assert_true(len > 0);
	assert_hex(msg, (size_t)len, v->messages[1].ciphertext);
	assert_int_equal(noise_read_2(&p.i, p.psk, msg, (size_t)len, got), n);
	assert_memory_equal(got, payload, n);

	assert_hex(p.i.h, 32, v->handshake_hash);
	assert_hex(p.r.h, 32, v->handshake_hash);
	transport(&p, v);
	pair_fini(&p);
}

static void test_vectors(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(noise_vectors); i++)
		run_vector(&noise_vectors[i]);
}

/* Every byte of both messages counts. */
static void test_altered(void **state)
{
	uint8_t m1[256], m2[256], got[256];
	struct pair p;
	(void)state;

	pair_init(&p, &noise_vectors[0]);
	int n1 = noise_write_1(&p.i, p.ie, (const uint8_t *)"hello", 5, m1);
	for (int at = 0; at < n1; at++) {
		struct noise copy = p.r;
		m1[at] ^= 4;
		assert_true(noise_read_1(&copy, m1, (size_t)n1, got) < 0);
		m1[at] ^= 4;
	}
	for (int len = 0; len < n1; len++) {
		struct noise copy = p.r;
		assert_true(noise_read_1(&copy, m1, (size_t)len, got) < 0);
	}
	assert_int_equal(noise_read_1(&p.r, m1, (size_t)n1, got), 5);
	int n2 = noise_write_2(&p.r, p.re, p.psk, (const uint8_t *)"world", 5, m2);
	for (int at = 0; at < n2; at++) {
		struct noise copy = p.i;
		m2[at] ^= 4;
		assert_true(noise_read_2(&copy, p.psk, m2, (size_t)n2, got) < 0);
		m2[at] ^= 4;
	}
	assert_int_equal(noise_read_2(&p.i, p.psk, m2, (size_t)n2, got), 5);
	pair_fini(&p);
}

static void test_wrong_psk(void **state)
{
	uint8_t m1[256], m2[256], got[256];
	struct pair p;
	(void)state;

	pair_init(&p, &noise_vectors[ARRAY_SIZE(noise_vectors) - 1]);
	assert_true(p.i.psk2);
	int n = noise_write_1(&p.i, p.ie, NULL, 0, m1);
	assert_int_equal(noise_read_1(&p.r, m1, (size_t)n, got), 0);
	n = noise_write_2(&p.r, p.re, p.psk, NULL, 0, m2);
	p.psk[31] ^= 1;
	assert_int_equal(noise_read_2(&p.i, p.psk, m2, (size_t)n, got), -EBADMSG);
	pair_fini(&p);
}

/* Points of order 1, 2, 4 and 8 and their twins not below p (RFC 7748, section 6.1). */
static const char *const low_order[] = {
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
};

static void test_low_order(void **state)
{
	uint8_t priv[32], pub[32], out[32];
	(void)state;

	memset(priv, 0x42, sizeof(priv));
	for (unsigned i = 0; i < ARRAY_SIZE(low_order); i++) {
		unhex(low_order[i], pub);
		assert_int_equal(crypto_x25519(priv, pub, out), -EINVAL);
	}
	unhex(noise_vectors[0].resp_public, pub);
	assert_int_equal(crypto_x25519(priv, pub, out), 0);
}

/* HMAC and HKDF against RFC 4231 case 2 and RFC 5869 case 3's extract step. */
static void test_hash(void **state)
{
	struct crypto *c = crypto_new();
	uint8_t out[32];
	struct crypto_buf in[] = { { "what do ya want ", 16 }, { "for nothing?", 12 } };
	struct crypto_buf abc[] = { { "a", 1 }, { "bc", 2 } };
	(void)state;

	assert_int_equal(crypto_hmac(c, "Jefe", 4, in, 2, out), 0);
	assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	assert_int_equal(crypto_sha256(c, abc, 2, out), 0);
	assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	crypto_free(c);
}

/* AES-256-GCM with a counter: test case 13 and 14 of the GCM specification (zero key and nonce). */
static void test_gcm(void **state)
{
	struct crypto *c = crypto_new();
	uint8_t key[32] = { 0 }, buf[32] = { 0 };
	struct aead a;
	(void)state;

	assert_int_equal(aead_init(&a, c, CIPHER_AES256GCM, key, true), 0);
	assert_int_equal(aead_seal(&a, 0, NULL, 0, buf, 0, buf), 0);
	assert_hex(buf, 16, "530f8afbc74536b9a963b4f1c4cb738b");
	memset(buf, 0, sizeof(buf));
	assert_int_equal(aead_seal(&a, 0, NULL, 0, buf, 16, buf + 16), 0);
	assert_hex(buf, 32, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
	aead_fini(&a);
	crypto_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),	  cmocka_unit_test(test_altered),
		cmocka_unit_test(test_wrong_psk), cmocka_unit_test(test_low_order),
		cmocka_unit_test(test_hash),	  cmocka_unit_test(test_gcm),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
