/*
 * A blocking socket whose calls come back now and then to see whether the network is still there.
 * That is decided by what the kernel knows of the other end's kernel: data that waits to be
 * acknowledged, or questions after a closed window that nobody answers. So a target whose disk is
 * slow may let us wait for as long as it likes, which TCP_USER_TIMEOUT would not allow.
 * While nothing is on its way, keepalives ask (tcp(7)).
 */
#include "bridgectl/transfer/conn_io.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "common/clock.h"
#include "common/util.h"

#define BUFFER_BYTES (256u << 10)
#define DIRECT_BYTES (64u << 10) /* reads from here on pass by the buffer */
#define PARTS_MAX 16
#define TICKS 6 /* so often it looks during one timeout */

static void set_int(int fd, int level, int option, int value)
{
	setsockopt(fd, level, option, &value, sizeof(value));
}

static unsigned tick_ms(const struct conn_io *io)
{
	return MAX(io->timeout_ms / TICKS, 1u);
}

static void set_timeout(struct conn_io *io, unsigned timeout_ms)
{
	struct timeval tv;

	io->timeout_ms = timeout_ms;
	tv.tv_sec = tick_ms(io) / 1000;
	tv.tv_usec = (int)(tick_ms(io) % 1000 * 1000);
	setsockopt(io->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(io->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (!io->tcp)
		return;
	set_int(io->fd, IPPROTO_TCP, TCP_KEEPIDLE, (int)MAX(timeout_ms / 3000, 1u));
	set_int(io->fd, IPPROTO_TCP, TCP_KEEPINTVL, (int)MAX(timeout_ms / 6000, 1u));
	set_int(io->fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
}

void conn_io_set_deadline(struct conn_io *io, unsigned timeout_ms)
{
	io->deadline_us = timeout_ms ? clock_us() + timeout_ms * US_PER_MS : 0;
}

int conn_io_init(struct conn_io *io, int fd, unsigned timeout_ms)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	*io = (struct conn_io){ .fd = fd };
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	io->tcp = ss.ss_family == AF_INET || ss.ss_family == AF_INET6;
	io->in = malloc(BUFFER_BYTES);
	io->out = malloc(BUFFER_BYTES);
	if (!io->in || !io->out)
		return -ENOMEM;
	if (io->tcp) {
		set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
		set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	}
	set_timeout(io, timeout_ms);
	return 0;
}

void conn_io_fini(struct conn_io *io)
{
	free(io->in);
	free(io->out);
	close(io->fd);
}

void conn_io_abort(struct conn_io *io)
{
	atomic_store(&io->aborted, true);
	shutdown(io->fd, SHUT_RDWR);
}

static int fail(struct conn_io *io, int error)
{
	if (atomic_load(&io->aborted))
		error = ECONNABORTED;
	else if (error == EPIPE || error == 0)
		error = ECONNRESET;
	io->error = -error;
	return io->error;
}

/* Whether the other end's kernel owes us an answer for too long. */
static bool network_cut(const struct conn_io *io)
{
	struct tcp_info ti = { 0 };
	socklen_t len = sizeof(ti);

	if (!io->tcp || io->stalled_ms < io->timeout_ms ||
	    getsockopt(io->fd, IPPROTO_TCP, TCP_INFO, &ti, &len) < 0)
		return false;
	/* One question may be on its way just now. */
	return (ti.tcpi_unacked > 0 || ti.tcpi_probes > 1) &&
	       ti.tcpi_last_ack_recv >= io->timeout_ms;
}

/* After a call that did not succeed: 0 to try again. */
static int look(struct conn_io *io, int error)
{
	if (atomic_load(&io->aborted))
		return fail(io, ECONNABORTED);
	if (error == EINTR)
		return 0;
	if (error != EAGAIN)
		return fail(io, error);
	io->stalled_ms += MIN(tick_ms(io), UINT32_MAX - io->stalled_ms);
	if (network_cut(io) || (io->deadline_us && clock_us() >= io->deadline_us))
		return fail(io, ETIMEDOUT);
	return 0;
}

/* What there is, into `buf`; blocks for the first byte. */
static int receive(struct conn_io *io, void *buf, size_t len, size_t *ret_len)
{
	int r = io->error;

	while (r == 0) {
		ssize_t n = recv(io->fd, buf, len, 0);

		/* A byte now and then does not make a handshake. */
		if (n > 0 && io->deadline_us && clock_us() >= io->deadline_us)
			return fail(io, ETIMEDOUT);
		if (n > 0) {
			io->stalled_ms = 0;
			*ret_len = (size_t)n;
			return 0;
		}
		r = n == 0 ? fail(io, 0) : look(io, errno);
	}
	return r;
}

int conn_io_some(struct conn_io *io, void *buf, size_t len, size_t *ret_len)
{
	size_t n;
	int r;

	if (io->in_begin == io->in_end) {
		if (len >= DIRECT_BYTES)
			return receive(io, buf, len, ret_len);
		r = receive(io, io->in, BUFFER_BYTES, &n);
		if (r < 0)
			return r;
		io->in_begin = 0;
		io->in_end = n;
	}
	n = MIN(len, io->in_end - io->in_begin);
	memcpy(buf, io->in + io->in_begin, n);
	io->in_begin += n;
	*ret_len = n;
	return 0;
}

int conn_io_read(struct conn_io *io, void *buf, size_t len)
{
	uint8_t *p = buf;
	size_t n = 0;

	for (; len; p += n, len -= n) {
		int r = conn_io_some(io, p, len, &n);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Sends all; the parts are used up. */
static int send_parts(struct conn_io *io, struct iovec *part, unsigned n_parts)
{
	while (n_parts) {
		struct msghdr msg = { .msg_iov = part, .msg_iovlen = n_parts };
		ssize_t n = sendmsg(io->fd, &msg, MSG_NOSIGNAL);

		if (n < 0) {
			int r = look(io, errno);

			if (r < 0)
				return r;
			continue;
		}
		io->stalled_ms = 0;
		io->sent += (uint64_t)n;
		for (; n_parts && (size_t)n >= part->iov_len; part++, n_parts--)
			n -= (ssize_t)part->iov_len;
		if (n_parts) {
			part->iov_base = (uint8_t *)part->iov_base + n;
			part->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int conn_io_flush(struct conn_io *io)
{
	struct iovec part = { io->out, io->out_len };

	if (io->error < 0 || io->out_len == 0)
		return io->error;
	io->out_len = 0;
	return send_parts(io, &part, 1);
}

static size_t size_of(const struct iovec *iov, unsigned n)
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

static int write_some(struct conn_io *io, const struct iovec *iov, unsigned n)
{
	struct iovec part[PARTS_MAX + 1];

	if (size_of(iov, n) <= BUFFER_BYTES - io->out_len) {
		for (unsigned i = 0; i < n; i++) {
			memcpy(io->out + io->out_len, iov[i].iov_base, iov[i].iov_len);
			io->out_len += iov[i].iov_len;
		}
		return 0;
	}
	/* What waited and what came, in one call and without a copy. */
	part[0] = (struct iovec){ io->out, io->out_len };
	memcpy(part + 1, iov, n * sizeof(*iov));
	io->out_len = 0;
	return send_parts(io, part, n + 1);
}

int conn_io_write(struct conn_io *io, const struct iovec *iov, unsigned n)
{
	int r = io->error;

	for (unsigned k; r == 0 && n; iov += k, n -= k) {
		k = MIN(n, (unsigned)PARTS_MAX);
		r = write_some(io, iov, k);
	}
	return r;
}
