/*
 * TLS 1.3 with an external key (RFC 8446, section 4.2.11) and nothing else that TLS can do: no
 * certificates, no tickets, no early data, no older version. The key exchange is still done with
 * fresh X25519 keys, so a key that leaks later opens no recorded transfer. OpenSSL would accept
 * a server with a certificate in place of the key: the client asks for a chain that ends nowhere,
 * and both look whether the key was really used.
 *
 * Records of 16 KiB are collected and read in pieces of 256 KiB (conn_io.c), as one system
 * call for each would cost more than the cipher.
 */
#include "bridgectl/transfer/conn.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#include "bridgectl/transfer/conn_io.h"
#include "common/util.h"

#define IDENTITY "l2tund-disk"
/* Both have SHA-256, as the key of one must fit the hash of the other. */
#define AES "TLS_AES_128_GCM_SHA256"
#define CHACHA "TLS_CHACHA20_POLY1305_SHA256"

struct conn {
	struct conn_io io;
	uint8_t key[CONN_KEY_BYTES]; /* only during the handshake */
	SSL_CTX *ctx;
	SSL *ssl; /* NULL: plain */
	BIO_METHOD *method;
	uint64_t rekey_bytes, since_rekey;
};

/* --- The socket as a BIO ------------------------------------------------------------------ */

static int bio_write(BIO *b, const char *data, size_t len, size_t *ret_len)
{
	struct conn *c = BIO_get_data(b);
	struct iovec iov = { (void *)data, len };

	if (conn_io_write(&c->io, &iov, 1) < 0)
		return 0;
	*ret_len = len;
	return 1;
}

static int bio_read(BIO *b, char *data, size_t len, size_t *ret_len)
{
	struct conn *c = BIO_get_data(b);

	return conn_io_some(&c->io, data, len, ret_len) == 0;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	struct conn *c = BIO_get_data(b);

	(void)num;
	(void)ptr;
	return cmd == BIO_CTRL_FLUSH && conn_io_flush(&c->io) == 0;
}

static BIO *bio_new(struct conn *c)
{
	BIO *b;

	c->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "connection");
	if (!c->method || BIO_meth_set_write_ex(c->method, bio_write) != 1 ||
	    BIO_meth_set_read_ex(c->method, bio_read) != 1 ||
	    BIO_meth_set_ctrl(c->method, bio_ctrl) != 1)
		return NULL;
	b = BIO_new(c->method);
	if (!b)
		return NULL;
	BIO_set_data(b, c);
	BIO_set_init(b, 1);
	return b;
}

/* --- The key ------------------------------------------------------------------------------ */

static SSL_SESSION *session_of_key(SSL *ssl)
{
	static const unsigned char aes[] = { 0x13, 0x01 }; /* RFC 8446, appendix B.4 */
	const struct conn *c = SSL_get_app_data(ssl);
	SSL_SESSION *s = SSL_SESSION_new();

	if (s && SSL_SESSION_set1_master_key(s, c->key, sizeof(c->key)) == 1 &&
	    SSL_SESSION_set_cipher(s, SSL_CIPHER_find(ssl, aes)) == 1 &&
	    SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION) == 1)
		return s;
	SSL_SESSION_free(s);
	return NULL;
}

static int key_for_server(SSL *ssl, const EVP_MD *md, const unsigned char **ret_id, size_t *ret_len,
			  SSL_SESSION **ret)
{
	SSL_SESSION *s;

	if (md && !EVP_MD_is_a(md, "SHA256"))
		return 0;
	s = session_of_key(ssl);
	if (!s)
		return 0;
	*ret = s;
	*ret_id = (const unsigned char *)IDENTITY;
	*ret_len = strlen(IDENTITY);
	return 1;
}

static int key_of_client(SSL *ssl, const unsigned char *id, size_t len, SSL_SESSION **ret)
{
	*ret = NULL;
	if (len == strlen(IDENTITY) && memcmp(id, IDENTITY, len) == 0)
		*ret = session_of_key(ssl);
	return 1;
}

/* --- The handshake ------------------------------------------------------------------------ */

/* As the kernel says, in words that are the same on x86 and ARM. */
static bool processor_has_aes(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/cpuinfo", "re");
	char line[4096];

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "flags", 5) != 0 && strncmp(line, "Features", 8) != 0)
			continue;
		line[strcspn(line, "\n")] = ' ';
		if (strstr(line, " aes "))
			return true;
	}
	return false;
}

static bool context_new(struct conn *c, bool server)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

	c->ctx = ctx;
	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, processor_has_aes() ? AES ":" CHACHA : CHACHA ":" AES) !=
		    1 ||
	    SSL_CTX_set_num_tickets(ctx, 0) != 1 || SSL_CTX_set_max_early_data(ctx, 0) != 1)
		return false;
	/* AES needs both: whoever has it slow puts the other first, and is heard. */
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (server) {
		SSL_CTX_set_psk_find_session_callback(ctx, key_of_client);
	} else {
		SSL_CTX_set_psk_use_session_callback(ctx, key_for_server);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	}
	return true;
}

static bool ssl_new(struct conn *c, bool server)
{
	BIO *b;

	if (!context_new(c, server))
		return false;
	c->ssl = SSL_new(c->ctx);
	b = c->ssl ? bio_new(c) : NULL;
	if (!b)
		return false;
	SSL_set_bio(c->ssl, b, b);
	SSL_set_app_data(c->ssl, c);
	return true;
}

static const char *why(const struct conn *c)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	if (c->io.error < 0)
		return strerror(-c->io.error);
	return reason ? reason : "no memory";
}

static bool handshake(struct conn *c, bool server, unsigned timeout_ms, char *err)
{
	bool ok;

	ERR_clear_error();
	conn_io_set_deadline(&c->io, timeout_ms);
	ok = ssl_new(c, server) && (server ? SSL_accept(c->ssl) : SSL_connect(c->ssl)) == 1;
	OPENSSL_cleanse(c->key, sizeof(c->key));
	conn_io_set_deadline(&c->io, 0);
	if (!ok) {
		snprintf(err, CONN_ERRLEN, "TLS with the other end failed: %s", why(c));
	} else if (!SSL_session_reused(c->ssl)) {
		snprintf(err, CONN_ERRLEN, "the other end did not use the key of this transfer");
		ok = false;
	}
	ERR_clear_error();
	return ok;
}

struct conn *conn_new_within(int fd, const uint8_t *key, bool server, unsigned timeout_ms,
			     char *err)
{
	struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		close(fd);
		snprintf(err, CONN_ERRLEN, "no memory");
		return NULL;
	}
	c->rekey_bytes = CONN_REKEY_BYTES;
	r = conn_io_init(&c->io, fd, timeout_ms);
	if (r < 0) {
		snprintf(err, CONN_ERRLEN, "connection: %s", strerror(-r));
		conn_free(c, false);
		return NULL;
	}
	if (key)
		memcpy(c->key, key, sizeof(c->key));
	if (key && !handshake(c, server, timeout_ms, err)) {
		conn_free(c, false);
		return NULL;
	}
	return c;
}

struct conn *conn_new(int fd, const uint8_t *key, bool server, char *err)
{
	return conn_new_within(fd, key, server, CONN_TIMEOUT_MS, err);
}

void conn_free(struct conn *c, bool orderly)
{
	if (!c)
		return;
	if (orderly && c->ssl && c->io.error == 0)
		SSL_shutdown(c->ssl);
	if (orderly)
		conn_io_flush(&c->io);
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	BIO_meth_free(c->method);
	conn_io_fini(&c->io);
	ERR_clear_error();
	free(c);
}

void conn_abort(struct conn *c)
{
	conn_io_abort(&c->io);
}

/* --- Bytes -------------------------------------------------------------------------------- */

/* What a call into TLS ended with; stays, as the records after it make no sense. */
static int tls_error(struct conn *c, int result)
{
	int e = SSL_get_error(c->ssl, result);

	if (c->io.error == 0)
		c->io.error = e == SSL_ERROR_SSL ? -EBADMSG : -ECONNRESET;
	ERR_clear_error();
	return c->io.error;
}

int conn_read(struct conn *c, void *buf, size_t len)
{
	uint8_t *p = buf;
	size_t n;

	if (!c->ssl)
		return conn_io_read(&c->io, buf, len);
	if (c->io.error < 0)
		return c->io.error;
	for (; len; p += n, len -= n) {
		int r = SSL_read_ex(c->ssl, p, len, &n);

		if (r != 1)
			return tls_error(c, r);
	}
	return 0;
}

/* A new key in this direction, before the old one has encrypted too much. */
static int rekey(struct conn *c, size_t len)
{
	c->since_rekey += len;
	if (c->since_rekey < c->rekey_bytes)
		return 1;
	c->since_rekey = 0;
	return SSL_key_update(c->ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
}

int conn_write(struct conn *c, const struct iovec *iov, unsigned n)
{
	size_t done;

	if (!c->ssl)
		return conn_io_write(&c->io, iov, n);
	if (c->io.error < 0)
		return c->io.error;
	for (; n; iov++, n--) {
		int r = rekey(c, iov->iov_len);

		if (r == 1 && iov->iov_len)
			r = SSL_write_ex(c->ssl, iov->iov_base, iov->iov_len, &done);
		if (r != 1)
			return tls_error(c, r);
	}
	return 0;
}

int conn_flush(struct conn *c)
{
	return conn_io_flush(&c->io);
}

uint64_t conn_sent_bytes(const struct conn *c)
{
	return c->io.sent;
}

const char *conn_cipher(const struct conn *c)
{
	return c->ssl ? SSL_get_cipher_name(c->ssl) : "plain";
}

void conn_set_rekey(struct conn *c, uint64_t rekey_bytes)
{
	c->rekey_bytes = rekey_bytes;
}
