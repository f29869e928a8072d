/*
 * Lanes of the made-up kernel: no threads, but batches come as from lanes by turns of chance,
 * and what a lane posts is worked off later, in another event. So a daemon that acts in
 * a lane where it should have told the main thread behaves differently here, too.
 */
#include "tests/support/fake_private.h"

#define POSTS_MAX 256

struct fake_post {
	TAILQ_ENTRY(fake_post) link;
	void (*fn)(void *arg, void *data, size_t len);
	void *arg;
	size_t len;
	uint8_t data[] __attribute__((aligned(16)));
};

static bool lane_post(struct os *os, void (*fn)(void *arg, void *data, size_t len), void *arg,
		      const struct iovec *iov, unsigned n)
{
	struct fake_host *h = host_of(os);
	size_t len = 0;

	if (h->n_posts == POSTS_MAX)
		return false;
	for (unsigned i = 0; i < n; i++)
		len += iov[i].iov_len;
	struct fake_post *p = calloc(1, sizeof(*p) + len);
	fake_must(p, "out of memory");
	p->fn = fn;
	p->arg = arg;
	for (unsigned i = 0; i < n; i++) {
		if (iov[i].iov_len)
			memcpy(p->data + p->len, iov[i].iov_base, iov[i].iov_len);
		p->len += iov[i].iov_len;
	}
	TAILQ_INSERT_TAIL(&h->posts, p, link);
	h->n_posts++;
	event_soon(h->net, &h->post_ev);
	return true;
}

static void posts_read(struct fake_event *ev)
{
	struct fake_host *h = container_of(ev, struct fake_host, post_ev);
	struct fake_post *p;
	TAILQ_HEAD(, fake_post) done = TAILQ_HEAD_INITIALIZER(done);

	while ((p = TAILQ_FIRST(&h->posts))) {
		TAILQ_REMOVE(&h->posts, p, link);
		h->n_posts--;
		/* What it holds stays until all is worked off, as in the mailbox. */
		TAILQ_INSERT_TAIL(&done, p, link);
		p->fn(p->arg, p->data, p->len);
	}
	if (h->posted_fn)
		h->posted_fn(h->posted_arg);
	while ((p = TAILQ_FIRST(&done))) {
		TAILQ_REMOVE(&done, p, link);
		free(p);
	}
}

static void lane_posted(struct os *os, void (*fn)(void *arg), void *arg)
{
	struct fake_host *h = host_of(os);

	h->posted_fn = fn;
	h->posted_arg = arg;
}

static void lane_forget(struct os *os, const void *arg)
{
	struct fake_host *h = host_of(os);
	struct fake_post *p = TAILQ_FIRST(&h->posts), *next;

	for (; p; p = next) {
		next = TAILQ_NEXT(p, link);
		if (p->arg != arg)
			continue;
		TAILQ_REMOVE(&h->posts, p, link);
		h->n_posts--;
		free(p);
	}
}

unsigned fake_lane(struct fake_host *h)
{
	return h->os.lanes > 1 ? 1 + (unsigned)prng_below(&h->prng, h->os.lanes - 1) : 0;
}

void fake_host_workers(struct fake_host *h, unsigned workers)
{
	h->os.lanes = workers > 1 ? 1 + workers : 1;
}

void lanes_init(struct fake_host *h)
{
	TAILQ_INIT(&h->posts);
	h->post_ev = (struct fake_event){ .host = h, .fn = posts_read };
	h->os.lane_post = lane_post;
	h->os.lane_posted = lane_posted;
	h->os.lane_forget = lane_forget;
	fake_host_workers(h, 1);
}

void lanes_fini(struct fake_host *h)
{
	struct fake_post *p;

	while ((p = TAILQ_FIRST(&h->posts))) {
		TAILQ_REMOVE(&h->posts, p, link);
		free(p);
	}
}
