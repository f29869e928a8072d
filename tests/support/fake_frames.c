/*
 * The fake kernel's frames: TAPs, packet sockets, and bridges as hubs between ports.
 *
 * What the daemon writes to a TAP enters the bridge at the TAP's port, if that forwards, and what
 * the bridge sends out of that port is what the daemon reads. A frame larger than a
 * port's MTU is lost there silently, as in the kernel.
 */
#include <errno.h>

#include "l2tund/datapath/cut.h"
#include "tests/support/fake_private.h"
#include "tests/support/packet.h"

#define ETHERNET_BYTES 14
#define TAG_BYTES 4

struct os_tap {
	struct fake_host *host;
	struct fake_link *link; /* NULL: the device is gone */
	int ifindex;
	unsigned offload;
	const struct os_tap_ops *ops;
	void *arg;
	struct fake_event read_ev;
	struct fake_event lost_ev;
	struct fake_queue queue;
	bool away; /* in another network namespace: `link` is NULL, but calls succeed */
	bool busy, dead;
};

#define FAKE_FRAME_MAX 65600
#define FAKE_BATCH_BYTES 65536 /* of a TAP, before drained() */
#define TAP_PART \
	(1U << OFFLOAD_CHECKSUM | 1U << OFFLOAD_TSO | 1U << OFFLOAD_USO | 1U << OFFLOAD_JOIN)

/* ---- bridges ---- */

/* A super-frame always does: its segments are what counts (is_skb_forwardable()). */
static bool fits(const struct fake_link *l, const struct vnet *v, const uint8_t *frame, size_t len)
{
	size_t header = ETHERNET_BYTES;

	if (v && v->gso)
		return true;
	if (len >= header && frame[12] == 0x81 && frame[13] == 0x00)
		header += TAG_BYTES;
	return len <= l->pub.mtu + header;
}

static struct fake_buf *frame_buf(const struct vnet *v, int ifindex, const uint8_t *frame,
				  size_t len)
{
	struct fake_buf *b = buf_new(frame, len);

	if (v)
		b->vnet = *v;
	b->ifindex = ifindex;
	return b;
}

static void queue_frame(struct fake_queue *q, unsigned limit, struct fake_buf *b)
{
	if (q->n < limit)
		queue_put(q, b);
	else
		free(b);
}

static bool has(const struct os_tap *t, enum offload o)
{
	return offload_on(t->offload, o) && !t->host->refused[o];
}

static void tap_queue(struct os_tap *t, struct fake_buf *b)
{
	if (!has(t, OFFLOAD_CHECKSUM) && b->vnet.csum) {
		packet_finish(b->bytes, b->len, &b->vnet);
		b->vnet = (struct vnet){ 0 };
	}
	queue_frame(&t->queue, FAKE_TXQUEUE, b);
	event_soon(t->host->net, &t->read_ev);
}

/* What the kernel does with a super-frame for a device without its offload. */
static void tap_cut(struct os_tap *t, const struct vnet *v, const uint8_t *frame, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)frame, len };
	struct parts whole = { &iov, 1, len };
	struct cut c;
	size_t n;

	if (cut_init(&c, v, &whole, t->link->pub.mtu + ETHERNET_BYTES) < 0)
		return;
	while ((n = cut_size(&c))) {
		struct fake_buf *b = buf_new(frame, n);

		cut_next(&c, b->bytes, &b->vnet);
		b->ifindex = t->ifindex;
		tap_queue(t, b);
	}
}

static void port_out(struct fake_link *l, const struct vnet *v, const uint8_t *frame, size_t len)
{
	enum offload needs = v && v->gso == VNET_GSO_UDP ? OFFLOAD_USO : OFFLOAD_TSO;

	if (!l->tap)
		queue_frame(&l->out, FAKE_COLLECT, frame_buf(v, l->pub.index, frame, len));
	else if (v && v->gso && !has(l->tap, needs))
		tap_cut(l->tap, v, frame, len);
	else
		tap_queue(l->tap, frame_buf(v, l->pub.index, frame, len));
}

static void packets_hear(struct fake_host *h, int ifindex, const uint8_t *frame, size_t len)
{
	struct os_packet *p;

	TAILQ_FOREACH(p, &h->packets, link) {
		if (p->ifindex != ifindex || len < ETHERNET_BYTES ||
		    (frame[12] << 8 | frame[13]) != p->ethertype)
			continue;
		queue_frame(&p->queue, FAKE_RCVBUF, frame_buf(NULL, ifindex, frame, len));
		event_soon(h->net, &p->read_ev);
	}
}

/* Out of all forwarding ports but `from` (NULL: from the host), and up to the host. */
static void bridge_flood(struct fake_host *h, int bridge, const struct fake_link *from,
			 const struct vnet *v, const uint8_t *frame, size_t len)
{
	const struct fake_link *br = link_find(h, bridge);
	struct fake_link *l;

	TAILQ_FOREACH(l, &h->links, link) {
		if (l->pub.master != bridge || l == from || !l->forwarding)
			continue;
		if (from && from->pub.isolated && l->pub.isolated)
			continue;
		if (fits(l, v, frame, len))
			port_out(l, v, frame, len);
	}
	if (from && (frame[0] & 1 || memcmp(frame, br->pub.mac, 6) == 0))
		packets_hear(h, bridge, frame, len);
}

/* ---- the test's side ---- */

int fake_send(struct fake_host *h, const char *port, const struct vnet *v, const void *frame,
	      size_t len)
{
	struct fake_link *l = link_find_name(h, port);

	if (!l)
		return -ENODEV;
	if (!l->forwarding)
		return -ENETDOWN;
	if (!l->tap)
		bridge_flood(h, l->pub.master, l, v, frame, len);
	else if (fits(l, v, frame, len))
		port_out(l, v, frame, len);
	return 0;
}

bool fake_recv(struct fake_host *h, const char *port, struct fake_frame *ret)
{
	struct fake_link *l = link_find_name(h, port);

	return l && queue_show(&l->out, ret);
}

unsigned fake_tap_dropped(struct fake_host *h, const char *name)
{
	const struct fake_link *l = link_find_name(h, name);

	return l ? l->tap_dropped : 0;
}

bool fake_packet_sent(struct fake_host *h, int *ret_ifindex, struct fake_frame *ret)
{
	if (!queue_show(&h->packets_sent, ret))
		return false;
	*ret_ifindex = h->packets_sent.last->ifindex;
	return true;
}

void fake_packet_heard(struct fake_host *h, const char *name, const void *frame, size_t len)
{
	const struct fake_link *l = link_find_name(h, name);

	if (l)
		packets_hear(h, l->pub.index, frame, len);
}

/* ---- TAPs ---- */

static void tap_destroy(struct os_tap *t)
{
	queue_fini(&t->queue);
	free(t);
}

static void tap_read(struct fake_event *ev)
{
	struct os_tap *t = container_of(ev, struct os_tap, read_ev);
	struct fake_queue batch;
	struct fake_buf *b;
	unsigned lane = fake_lane(t->host);
	size_t bytes = 0;

	queue_init(&batch);
	t->busy = true;
	while (batch.n < FAKE_BUDGET && bytes < FAKE_BATCH_BYTES && !t->dead &&
	       (b = queue_take(&t->queue))) {
		queue_put(&batch, b);
		bytes += b->len;
		t->ops->frame(t->arg, lane, &b->vnet, b->bytes, b->len);
	}
	if (!t->dead && t->ops->drained)
		t->ops->drained(t->arg, lane);
	queue_fini(&batch);
	t->busy = false;
	if (t->dead)
		tap_destroy(t);
	else if (t->queue.n > 0)
		event_soon(t->host->net, &t->read_ev);
}

static void tap_lost(struct fake_event *ev)
{
	struct os_tap *t = container_of(ev, struct os_tap, lost_ev);

	t->ops->lost(t->arg, -EBADFD); /* may close it */
}

void tap_orphan(struct os_tap *t)
{
	struct fake_buf *b;

	t->link = NULL;
	event_cancel(t->host->net, &t->read_ev);
	while ((b = queue_take(&t->queue)))
		free(b);
	event_soon(t->host->net, &t->lost_ev);
}

void tap_leave(struct os_tap *t)
{
	t->link = NULL;
	t->away = true;
}

static int tap_open(struct os *os, const struct os_tap_params *p, const struct os_tap_ops *ops,
		    void *arg, struct os_tap **ret)
{
	struct fake_host *h = host_of(os);
	const struct fake_link *old = link_find_name(h, p->name);
	int r = fault_check(h, FAKE_TAP_OPEN);

	if (r < 0)
		return r;
	if (old)
		return old->pub.kind == OS_LINK_TUN ? -EBUSY : -EEXIST;
	if (p->mtu < 68 || p->mtu > 65535 - ETHERNET_BYTES)
		return -EINVAL;

	struct os_tap *t = calloc(1, sizeof(*t));
	fake_must(t, "no memory");
	*t = (struct os_tap){ .host = h, .ops = ops, .arg = arg };
	t->offload = p->offload & TAP_PART;
	t->read_ev = (struct fake_event){ .host = h, .fn = tap_read };
	t->lost_ev = (struct fake_event){ .host = h, .fn = tap_lost };
	queue_init(&t->queue);
	t->link = link_new(h, p->name, OS_LINK_TUN);
	t->link->tap = t;
	t->link->pub.mtu = p->mtu;
	memcpy(t->link->pub.mac, p->mac, 6);
	t->ifindex = t->link->pub.index;
	h->open++;
	*ret = t;
	return 0;
}

static int tap_ifindex(struct os *os, struct os_tap *t)
{
	(void)os;
	return t->ifindex;
}

static int tap_carrier(struct os *os, struct os_tap *t, bool on)
{
	int r = fault_check(host_of(os), FAKE_TAP_CARRIER);

	if (r < 0)
		return r;
	if (t->away)
		return 0;
	if (!t->link)
		return -EBADFD;
	t->link->carrier_wanted = on;
	link_update_carrier(host_of(os), t->link);
	return 0;
}

static size_t gather(uint8_t frame[FAKE_FRAME_MAX], const struct iovec *iov, unsigned n)
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++) {
		fake_must(len + iov[i].iov_len <= FAKE_FRAME_MAX, "frame too large");
		memcpy(frame + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return len;
}

static int tap_write(struct os *os, struct os_tap *t, unsigned lane, const struct vnet *v,
		     const struct iovec *iov, unsigned n)
{
	uint8_t frame[FAKE_FRAME_MAX];
	struct fake_host *h = host_of(os);
	struct fake_link *l = t->link;
	int r = fault_check(h, FAKE_TAP_WRITE);

	(void)lane;
	if (r < 0)
		return r;
	if (t->away)
		return 0;
	if (!l)
		return -EBADFD;
	if (!l->pub.up)
		return -EIO;
	if (v->gso && (!has(t, OFFLOAD_JOIN) || (v->gso == VNET_GSO_UDP && !has(t, OFFLOAD_USO))))
		return -EOPNOTSUPP;
	size_t len = gather(frame, iov, n);
	if (len < ETHERNET_BYTES || !vnet_valid(v, len))
		return -EINVAL;
	if (!l->pub.carrier || !l->forwarding) {
		l->tap_dropped++;
		return 0;
	}
	queue_frame(&l->out, FAKE_COLLECT, frame_buf(v, l->pub.index, frame, len));
	bridge_flood(h, l->pub.master, l, v, frame, len);
	return 0;
}

static void tap_offloads(struct os *os, const struct os_tap *t, struct offloads *ret)
{
	offloads_tell(host_of(os), t->offload, ret);
}

static void tap_close(struct os *os, struct os_tap *t)
{
	struct fake_host *h = host_of(os);
	struct fake_link *l = t->link;

	if (l) {
		l->tap = NULL;
		link_delete(h, l);
	}
	event_cancel(h->net, &t->read_ev);
	event_cancel(h->net, &t->lost_ev);
	h->open--;
	t->dead = true;
	if (!t->busy)
		tap_destroy(t);
}

/* ---- packet sockets ---- */

static void packet_destroy(struct os_packet *p)
{
	queue_fini(&p->queue);
	free(p);
}

static void packet_read(struct fake_event *ev)
{
	struct os_packet *p = container_of(ev, struct os_packet, read_ev);
	struct fake_buf *b;

	p->busy = true;
	while (!p->dead && (b = queue_take(&p->queue))) {
		p->ops->frame(p->arg, b->bytes, b->len);
		free(b);
	}
	p->busy = false;
	if (p->dead)
		packet_destroy(p);
}

static int packet_open(struct os *os, int ifindex, uint16_t ethertype,
		       const struct os_packet_ops *ops, void *arg, struct os_packet **ret)
{
	struct fake_host *h = host_of(os);
	int r = fault_check(h, FAKE_PACKET_OPEN);

	if (r < 0)
		return r;
	if (!link_find(h, ifindex))
		return -ENODEV;
	struct os_packet *p = calloc(1, sizeof(*p));
	fake_must(p, "no memory");
	*p = (struct os_packet){
		.host = h, .ifindex = ifindex, .ethertype = ethertype, .ops = ops, .arg = arg
	};
	p->read_ev = (struct fake_event){ .host = h, .fn = packet_read };
	queue_init(&p->queue);
	TAILQ_INSERT_TAIL(&h->packets, p, link);
	h->open++;
	*ret = p;
	return 0;
}

static int packet_send(struct os *os, struct os_packet *p, const uint8_t *frame, size_t len)
{
	struct fake_host *h = host_of(os);
	const struct fake_link *l = link_find(h, p->ifindex);
	int r = fault_check(h, FAKE_PACKET_SEND);

	if (r < 0)
		return r;
	if (!l)
		return -ENXIO;
	if (!l->pub.up)
		return -ENETDOWN;
	if (len < ETHERNET_BYTES)
		return -EINVAL;
	if (!fits(l, NULL, frame, len))
		return -EMSGSIZE;
	queue_frame(&h->packets_sent, FAKE_COLLECT, frame_buf(NULL, p->ifindex, frame, len));
	if (l->pub.kind == OS_LINK_BRIDGE)
		bridge_flood(h, p->ifindex, NULL, NULL, frame, len);
	return 0;
}

static void packet_close(struct os *os, struct os_packet *p)
{
	struct fake_host *h = host_of(os);

	TAILQ_REMOVE(&h->packets, p, link);
	event_cancel(h->net, &p->read_ev);
	h->open--;
	p->dead = true;
	if (!p->busy)
		packet_destroy(p);
}

/* ---- */

void frames_init(struct fake_host *h)
{
	TAILQ_INIT(&h->packets);
	queue_init(&h->packets_sent);
	h->os.tap_open = tap_open;
	h->os.tap_ifindex = tap_ifindex;
	h->os.tap_carrier = tap_carrier;
	h->os.tap_write = tap_write;
	h->os.tap_offloads = tap_offloads;
	h->os.tap_close = tap_close;
	h->os.packet_open = packet_open;
	h->os.packet_send = packet_send;
	h->os.packet_close = packet_close;
}

/* TAPs that were never closed go with their links. */
void frames_fini(struct fake_host *h)
{
	struct os_packet *p;
	struct fake_link *l;

	while ((p = TAILQ_FIRST(&h->packets)))
		packet_close(&h->os, p);
	queue_fini(&h->packets_sent);
	do {
		TAILQ_FOREACH(l, &h->links, link)
			if (l->tap)
				break;
		if (l)
			tap_close(&h->os, l->tap);
	} while (l);
}
