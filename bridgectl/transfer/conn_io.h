/*
 * The socket below a connection, with a buffer for each direction, so that small things share
 * a system call and large ones need few. Plain connections read and write here; TLS has it
 * as its BIO. The first error stays.
 */
#ifndef BRIDGECTL_TRANSFER_CONN_IO_H
#define BRIDGECTL_TRANSFER_CONN_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct conn;

struct conn_io {
	int fd; /* owned */
	bool tcp;
	_Atomic bool aborted;
	int error;	     /* the first one, negative errno */
	unsigned timeout_ms; /* nothing heard for so long while something is due */
	unsigned stalled_ms;
	uint64_t deadline_us; /* CLOCK_MONOTONIC, of the handshake; 0: none */
	uint8_t *in, *out;
	size_t in_begin, in_end, out_len;
	uint64_t sent;
};

/* Takes the socket over, also on failure. -ENOMEM or what the socket said. */
int conn_io_init(struct conn_io *io, int fd, unsigned timeout_ms);
void conn_io_fini(struct conn_io *io);
/* Fails everything with -ETIMEDOUT when it is not called with 0 within so long. */
void conn_io_set_deadline(struct conn_io *io, unsigned timeout_ms);
void conn_io_abort(struct conn_io *io);

/* At least one byte and at most `len`: their number, or negative errno. */
int conn_io_some(struct conn_io *io, void *buf, size_t len, size_t *ret_len);
int conn_io_read(struct conn_io *io, void *buf, size_t len);
int conn_io_write(struct conn_io *io, const struct iovec *iov, unsigned n);
int conn_io_flush(struct conn_io *io);

/* For tests: TLS with another limit than the usual one. */
void conn_set_rekey(struct conn *c, uint64_t rekey_bytes);
/* The TLS cipher's name, or "plain". */
const char *conn_cipher(const struct conn *c);

#endif
