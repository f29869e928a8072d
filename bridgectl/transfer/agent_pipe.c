/*
 * `bridgectl agent pipe`: what ssh runs for one data connection with --via-ssh. A thread for
 * each direction; the end of one is handed on, and the other one goes on until its own end.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

#include "bridgectl/transfer/agent.h"
#include "bridgectl/transfer/conn.h"

#include "common/io.h"

#define BUFFER_BYTES (256u << 10)
#define CALL_MS 15000

struct direction {
	int from, to;
	bool to_socket;
	uint8_t *buf; /* not the thread's own: it may be cancelled */
	int r;
};

static int copy(const struct direction *d)
{
	for (;;) {
		ssize_t n = read(d->from, d->buf, BUFFER_BYTES);
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		r = io_write_all(d->to, d->buf, (size_t)n);
		if (r < 0)
			return r;
	}
}

static void *direction_main(void *arg)
{
	struct direction *d = arg;

	d->r = copy(d);
	if (d->to_socket)
		shutdown(d->to, SHUT_WR);
	else
		close(d->to);
	/* Nobody takes it any more: then nothing should come. */
	if (d->r < 0)
		shutdown(d->to_socket ? d->to : d->from, SHUT_RDWR);
	return NULL;
}

int agent_pipe(int in, int out, const char *socket, char *err)
{
	_cleanup_free_ uint8_t *bufs = malloc((size_t)2 * BUFFER_BYTES);
	struct direction to = { .from = in, .to_socket = true, .buf = bufs };
	struct direction back = { .to = out, .buf = bufs + BUFFER_BYTES };
	pthread_t thread;
	int fd = -1, r = bufs ? conn_connect(socket, CALL_MS, &fd, err) : -ENOMEM;

	if (!bufs)
		snprintf(err, CONN_ERRLEN, "no memory");
	if (r < 0)
		return r;
	signal(SIGPIPE, SIG_IGN);
	to.to = back.from = fd;
	r = pthread_create(&thread, NULL, direction_main, &to);
	if (r == 0) {
		direction_main(&back);
		/* The socket's end is the end: standard input may never come to one. */
		pthread_cancel(thread);
		pthread_join(thread, NULL);
	}
	close(fd);
	snprintf(err, CONN_ERRLEN, "the data connection broke");
	return r ? -r : back.r;
}
