/*
 * One data connection: a stream of bytes, plain or in TLS 1.3 with a pre-shared key (RFC 8446,
 * section 2.2; the key came over ssh, is random and used for one transfer). Blocking; one thread
 * may write while another one reads only on plain connections, so each has one thread for both.
 */
#ifndef BRIDGECTL_TRANSFER_CONN_H
#define BRIDGECTL_TRANSFER_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define CONN_KEY_BYTES 32
#define CONN_ERRLEN 256
#define CONN_TIMEOUT_MS 30000 /* nothing acknowledged for so long: the network is cut */
#define CONN_REKEY_BYTES (UINT64_C(64) << 30) /* RFC 8446, section 5.5 allows 388 GB */

struct conn;

/*
 * Takes the connected socket over, also on failure. `key` NULL: plain. With a key it does the
 * handshake; both ends prove that they have the key. NULL and a sentence in `err` (CONN_ERRLEN).
 */
struct conn *conn_new(int fd, const uint8_t *key, bool server, char *err);
/* The same with another timeout than CONN_TIMEOUT_MS. */
struct conn *conn_new_within(int fd, const uint8_t *key, bool server, unsigned timeout_ms,
			     char *err);
/* Ends TLS in order when `orderly`, closes, frees. NULL is fine. */
void conn_free(struct conn *c, bool orderly);
/* From another thread: whoever is blocked on it returns with -ECONNABORTED. */
void conn_abort(struct conn *c);

/*
 * All bytes or an error, which stays: -ECONNRESET (the other end is gone, also in an orderly way),
 * -ETIMEDOUT (the network is cut), -ECONNABORTED, -EBADMSG (not what TLS had sent). No SIGPIPE.
 */
int conn_read(struct conn *c, void *buf, size_t len);
/* May keep bytes back until conn_flush(). */
int conn_write(struct conn *c, const struct iovec *iov, unsigned n);
int conn_flush(struct conn *c);

uint64_t conn_sent_bytes(const struct conn *c); /* on the wire, without TCP and below */

/*
 * Listening and calling. Addresses are numeric, "192.0.2.1:4656" or "[2001:db8::1]:4656", or a
 * path of a Unix socket, which begins with '/'. Port 0: the kernel chooses.
 */
int conn_listen(const char *address, unsigned backlog, int *ret_fd, char *err);
/* Where it listens, as conn_connect() takes it: the port that was chosen. */
int conn_local_port(int fd, uint16_t *ret_port);
/* shutdown(fd, SHUT_RDWR) from another thread ends the waiting with -EINVAL. */
int conn_accept(int fd, int timeout_ms, int *ret_fd, char *err);
int conn_connect(const char *address, int timeout_ms, int *ret_fd, char *err);

#endif
