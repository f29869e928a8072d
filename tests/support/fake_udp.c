/*
 * The fake kernel's UDP sockets, the underlay between hosts, and the name service.
 *
 * Every host reaches every address. A datagram looks for its receiver twice: when it leaves, to
 * find the path that it takes, and when it arrives, because addresses may have changed
 * meanwhile. What has arrived waits in the socket like in the kernel's receive buffer: data and
 * all other types apart, so that a flood of data displaces nothing else.
 */
#include <errno.h>

#include "l2tund/session/dgram.h"
#include "tests/support/fake_private.h"

#define RESOLVE_US 1000
#define UDP_MAX 65507

struct os_udp {
	TAILQ_ENTRY(os_udp) link;
	struct fake_host *host;
	struct addr bound;
	unsigned socket, offload;
	const struct os_udp_ops *ops;
	void *arg;
	struct fake_event read_ev;
	struct fake_queue control, data;
	bool busy, dead; /* inside its own callback; closed there */
};

struct os_query {
	struct fake_host *host;
	struct fake_event ev;
	struct fake_name_entry answer;
	void (*fn)(void *arg, const struct addr *addrs, unsigned n, const char *error);
	void *arg;
};

struct dgram {
	struct fake_event ev;
	struct fake_net *net;
	struct fake_path *path; /* NULL: forged */
	struct addr from, to;
	struct fake_buf *buf;
};

/* ---- addresses ---- */

bool literal_parse(const char *ip, uint16_t port, struct addr *ret)
{
	char text[ADDR_HOST_STRLEN + 3];

	snprintf(text, sizeof(text), strchr(ip, ':') && *ip != '[' ? "[%s]" : "%s", ip);
	if (addr_parse(text, ret) < 0)
		return false;
	addr_set_port(ret, port);
	return true;
}

static struct addr literal(const char *ip)
{
	struct addr a;

	fake_must(literal_parse(ip, 0, &a), "not an address literal");
	return a;
}

static bool host_has(const struct fake_host *h, const struct addr *a)
{
	for (unsigned i = 0; i < h->n_addrs; i++)
		if (addr_same_host(&h->addrs[i], a))
			return true;
	return false;
}

void fake_addr_add(struct fake_host *h, const char *ip)
{
	fake_must(h->n_addrs < FAKE_ADDRS, "too many addresses");
	h->addrs[h->n_addrs++] = literal(ip);
}

void fake_addr_del(struct fake_host *h, const char *ip)
{
	struct addr a = literal(ip);

	for (unsigned i = 0; i < h->n_addrs; i++)
		if (addr_same_host(&h->addrs[i], &a))
			h->addrs[i--] = h->addrs[--h->n_addrs];
}

static unsigned common_prefix(const struct addr *a, const struct addr *b)
{
	bool v4 = a->sa.sa_family == AF_INET;
	const uint8_t *x = v4 ? (const void *)&a->in.sin_addr : (const void *)&a->in6.sin6_addr;
	const uint8_t *y = v4 ? (const void *)&b->in.sin_addr : (const void *)&b->in6.sin6_addr;
	unsigned n = 0;

	while (n < (v4 ? 32 : 128) && (x[n / 8] ^ y[n / 8]) >> (7 - n % 8) == 0)
		n++;
	return n;
}

/* The one with the longest common prefix, RFC 6724 section 5, rule 8. */
static const struct addr *source_for(const struct fake_host *h, const struct addr *remote)
{
	const struct addr *best = NULL;

	for (unsigned i = 0; i < h->n_addrs; i++) {
		const struct addr *a = &h->addrs[i];
		if (a->sa.sa_family != remote->sa.sa_family)
			continue;
		if (!best || common_prefix(a, remote) > common_prefix(best, remote))
			best = a;
	}
	return best;
}

static bool is_wildcard(const struct addr *a)
{
	return a->sa.sa_family == AF_INET ? a->in.sin_addr.s_addr == htonl(INADDR_ANY) :
					    IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

/* ---- the wire ---- */

struct fake_path *fake_path(struct fake_host *from, struct fake_host *to)
{
	return &from->net->paths[from->number][to->number];
}

void fake_host_cut(struct fake_host *h, bool cut)
{
	h->cut = cut;
}

void fake_host_set_mtu(struct fake_host *h, unsigned mtu)
{
	h->mtu = mtu;
}

void fake_nat(struct fake_host *h, const char *outside)
{
	h->nat = (struct addr){ 0 };
	h->nat_inside = (struct addr){ 0 };
	if (outside)
		fake_must(addr_parse(outside, &h->nat) == 0, "not an address literal");
}

void fake_filter(struct fake_net *net, fake_filter_fn fn, void *arg)
{
	net->filter = fn;
	net->filter_arg = arg;
}

/* The host that `to` leads to, and the address that it has there behind its NAT. */
static struct fake_host *route(struct fake_net *net, const struct addr *to, struct addr *ret_inside)
{
	for (unsigned i = 0; i < net->n_hosts; i++) {
		struct fake_host *h = net->hosts[i];
		if (addr_is_set(&h->nat) && addr_equal(&h->nat, to)) {
			*ret_inside = h->nat_inside;
			return addr_is_set(&h->nat_inside) ? h : NULL;
		}
		/* Behind a NAT nobody reaches the inner address. */
		if (!addr_is_set(&h->nat) && host_has(h, to)) {
			*ret_inside = *to;
			return h;
		}
	}
	return NULL;
}

static struct os_udp *socket_at(struct fake_host *h, const struct addr *to)
{
	struct os_udp *u;

	TAILQ_FOREACH(u, &h->udps, link) {
		if (u->bound.sa.sa_family != to->sa.sa_family ||
		    addr_port(&u->bound) != addr_port(to))
			continue;
		if (is_wildcard(&u->bound) || addr_same_host(&u->bound, to))
			return u;
	}
	return NULL;
}

static void dgram_free(struct fake_event *ev)
{
	struct dgram *d = container_of(ev, struct dgram, ev);

	free(d->buf);
	free(d);
}

static struct fake_queue *queue_for(struct os_udp *u, const struct fake_buf *b)
{
	bool data = b->len && (b->bytes[0] == DGRAM_DATA || b->bytes[0] == DGRAM_PLAIN);

	return data ? &u->data : &u->control;
}

static void dgram_arrive(struct fake_event *ev)
{
	struct dgram *d = container_of(ev, struct dgram, ev);
	struct addr inside;
	struct fake_host *h = route(d->net, &d->to, &inside);
	struct os_udp *u = h && !h->cut ? socket_at(h, &inside) : NULL;
	struct fake_queue *q = u ? queue_for(u, d->buf) : NULL;

	if (q && q->n < FAKE_RCVBUF) {
		d->buf->path.remote = d->from;
		d->buf->path.local = inside;
		d->buf->path.socket = u->socket;
		queue_put(q, steal(d->buf));
		event_soon(d->net, &u->read_ev);
		if (d->path)
			d->path->arrived++;
	}
	dgram_free(ev);
}

static struct dgram *dgram_new(struct fake_net *net, struct fake_path *path,
			       const struct addr *from, const struct addr *to, const void *buf,
			       size_t len)
{
	struct dgram *d = calloc(1, sizeof(*d));

	fake_must(d, "no memory");
	*d = (struct dgram){ .ev = { .fn = dgram_arrive, .discard = dgram_free },
			     .net = net,
			     .path = path,
			     .from = *from,
			     .to = *to,
			     .buf = buf_new(buf, len) };
	return d;
}

void fake_forge(struct fake_net *net, const struct addr *from, const struct addr *to,
		const void *buf, size_t len)
{
	event_at(net, &dgram_new(net, NULL, from, to, buf, len)->ev, net->now_us);
}

static bool chance(struct fake_net *net, unsigned permille)
{
	return permille && prng_below(&net->prng, 1000) < permille;
}

static unsigned outer_len(const struct addr *a, size_t len)
{
	return (unsigned)len + (a->sa.sa_family == AF_INET ? 20 + 8 : 40 + 8);
}

/* One copy on its way. */
static void wire_carry(struct fake_net *net, struct fake_path *p, const struct addr *from,
		       const struct addr *to, const void *buf, size_t len)
{
	struct dgram *d = dgram_new(net, p, from, to, buf, len);
	uint64_t delay_us = p->delay_us + (p->jitter_us ? prng_below(&net->prng, p->jitter_us) : 0);

	if (len > 0 && chance(net, p->corrupt_permille))
		d->buf->bytes[prng_below(&net->prng, len)] ^=
			(uint8_t)(1u << prng_below(&net->prng, 8));
	event_at(net, &d->ev, net->now_us + delay_us);
}

static void wire_send(struct fake_host *h, const struct addr *from, const struct addr *to,
		      const void *buf, size_t len)
{
	struct fake_net *net = h->net;
	struct addr inside;
	struct fake_host *dest = route(net, to, &inside);

	if (net->filter && !net->filter(net->filter_arg, from, to, buf, len))
		return;
	if (!dest)
		return;
	struct fake_path *p = fake_path(h, dest);
	p->sent++;
	if (h->cut || dest->cut || p->cut || chance(net, p->loss_permille) ||
	    (p->mtu && outer_len(to, len) > p->mtu))
		return;
	wire_carry(net, p, from, to, buf, len);
	if (chance(net, p->duplicate_permille))
		wire_carry(net, p, from, to, buf, len);
}

/* ---- sockets ---- */

static void udp_destroy(struct os_udp *u)
{
	queue_fini(&u->control);
	queue_fini(&u->data);
	free(u);
}

static void udp_read(struct fake_event *ev)
{
	struct os_udp *u = container_of(ev, struct os_udp, read_ev);
	struct fake_queue batch;
	struct fake_buf *b;

	queue_init(&batch);
	u->busy = true;
	/* With lanes a batch is of one socket only. */
	bool control = u->control.n > 0, apart = u->host->os.lanes > 1;
	unsigned lane = control ? 0 : fake_lane(u->host);
	while (batch.n < FAKE_BUDGET && !u->dead &&
	       ((b = queue_take(&u->control)) ||
		(!(apart && control) && (b = queue_take(&u->data))))) {
		queue_put(&batch, b);
		u->ops->datagram(u->arg, lane, &b->path, b->bytes, b->len);
	}
	if (!u->dead && u->ops->drained)
		u->ops->drained(u->arg, lane);
	queue_fini(&batch);
	u->busy = false;
	if (u->dead)
		udp_destroy(u);
	else if (u->control.n + u->data.n > 0)
		event_soon(u->host->net, &u->read_ev);
}

static uint16_t unused_port(struct fake_host *h, const struct addr *a)
{
	struct addr probe = *a;

	for (uint16_t port = 32768; port < 60999; port++) {
		addr_set_port(&probe, port);
		if (!socket_at(h, &probe))
			return port;
	}
	return 0;
}

static int udp_open(struct os *os, const struct addr *listen, unsigned socket, unsigned offload,
		    const struct os_udp_ops *ops, void *arg, struct os_udp **ret)
{
	struct fake_host *h = host_of(os);
	int r = fault_check(h, FAKE_UDP_OPEN);

	if (r < 0)
		return r;
	if (!is_wildcard(listen) && !host_has(h, listen))
		return -EADDRNOTAVAIL;
	if (addr_port(listen) && socket_at(h, listen))
		return -EADDRINUSE;

	struct os_udp *u = calloc(1, sizeof(*u));
	fake_must(u, "no memory");
	*u = (struct os_udp){
		.host = h, .bound = *listen, .socket = socket, .ops = ops, .arg = arg
	};
	u->offload = offload & (1U << OFFLOAD_UDP_SEGMENT | 1U << OFFLOAD_UDP_GRO);
	u->read_ev = (struct fake_event){ .host = h, .fn = udp_read };
	queue_init(&u->control);
	queue_init(&u->data);
	if (!addr_port(listen))
		addr_set_port(&u->bound, unused_port(h, listen));
	TAILQ_INSERT_TAIL(&h->udps, u, link);
	h->open++;
	*ret = u;
	return 0;
}

static int send_datagram(struct os *os, struct os_udp *u, const struct path *path, const void *buf,
			 size_t len)
{
	struct fake_host *h = host_of(os);
	const struct addr *local = &path->local;
	int r = fault_check(h, FAKE_UDP_SEND);

	if (r < 0)
		return r;
	if (path->remote.sa.sa_family != u->bound.sa.sa_family)
		return -EAFNOSUPPORT;
	if (!addr_is_set(local))
		local = is_wildcard(&u->bound) ? source_for(h, &path->remote) : &u->bound;
	if (!local)
		return -ENETUNREACH;
	if (!host_has(h, local)) /* the address went: fib_lookup refuses it */
		return -EINVAL;
	if (len > UDP_MAX || outer_len(local, len) > h->mtu)
		return -EMSGSIZE;

	struct addr from = *local;
	addr_set_port(&from, addr_port(&u->bound));
	if (addr_is_set(&h->nat) && h->nat.sa.sa_family == from.sa.sa_family) {
		h->nat_inside = from;
		from = h->nat;
	}
	wire_send(h, &from, &path->remote, buf, len);
	return 0;
}

/* A run in one call, if the kernel can: it makes no difference but to who looks at faults. */
static void send_run(struct fake_host *h, const struct os_udp *u)
{
	if (!offload_on(u->offload, OFFLOAD_UDP_SEGMENT) || h->refused[OFFLOAD_UDP_SEGMENT])
		return;
	if (fault_check(h, FAKE_UDP_SEGMENT) < 0)
		fake_offload_refuse(h, OFFLOAD_UDP_SEGMENT, "the device refused a run");
}

static int udp_send(struct os *os, struct os_udp *u, unsigned lane, const struct path *path,
		    const void *buf, size_t len, size_t size)
{
	const uint8_t *p = buf;

	(void)lane;
	if (!size)
		return -EINVAL;
	if (len > size)
		send_run(host_of(os), u);
	for (; len > size; p += size, len -= size) {
		int r = send_datagram(os, u, path, p, size);
		if (r < 0)
			return r;
	}
	return send_datagram(os, u, path, p, len);
}

static void udp_offloads(struct os *os, const struct os_udp *u, struct offloads *ret)
{
	offloads_tell(host_of(os), u->offload, ret);
}

static void udp_close(struct os *os, struct os_udp *u)
{
	struct fake_host *h = host_of(os);

	TAILQ_REMOVE(&h->udps, u, link);
	event_cancel(h->net, &u->read_ev);
	h->open--;
	u->dead = true;
	if (!u->busy)
		udp_destroy(u);
}

/* ---- names ---- */

static struct fake_name_entry *name_find(struct fake_net *net, const char *name)
{
	for (unsigned i = 0; i < net->n_names; i++)
		if (strcmp(net->names[i].name, name) == 0)
			return &net->names[i];
	return NULL;
}

void fake_name(struct fake_net *net, const char *name, const char *const *ips, unsigned n,
	       const char *error)
{
	struct fake_name_entry *e = name_find(net, name);

	fake_must(n <= ARRAY_SIZE(e->addrs), "too many addresses for a name");
	if (!e) {
		fake_must(net->n_names < FAKE_NAMES, "too many names");
		e = &net->names[net->n_names++];
	}
	snprintf(e->name, sizeof(e->name), "%s", name);
	snprintf(e->error, sizeof(e->error), "%s", error ? error : "");
	e->n = n;
	for (unsigned i = 0; i < n; i++)
		e->addrs[i] = literal(ips[i]);
}

static void query_answer(struct fake_event *ev)
{
	struct os_query *q = container_of(ev, struct os_query, ev);

	q->host->open--;
	q->fn(q->arg, q->answer.addrs, q->answer.n, q->answer.n ? NULL : q->answer.error);
	free(q);
}

static int resolve(struct os *os, const char *host, uint16_t port,
		   void (*fn)(void *arg, const struct addr *addrs, unsigned n, const char *error),
		   void *arg, struct os_query **ret)
{
	struct fake_host *h = host_of(os);
	const struct fake_name_entry *e = name_find(h->net, host);
	int r = fault_check(h, FAKE_RESOLVE);

	if (r < 0)
		return r;
	struct os_query *q = calloc(1, sizeof(*q));
	fake_must(q, "no memory");
	*q = (struct os_query){
		.host = h, .ev = { .host = h, .fn = query_answer }, .fn = fn, .arg = arg
	};
	if (literal_parse(host, port, &q->answer.addrs[0]))
		q->answer.n = 1;
	else if (e)
		q->answer = *e;
	else
		snprintf(q->answer.error, sizeof(q->answer.error), "Name or service not known");
	for (unsigned i = 0; i < q->answer.n; i++)
		addr_set_port(&q->answer.addrs[i], port);
	event_at(h->net, &q->ev, h->net->now_us + RESOLVE_US);
	h->open++;
	*ret = q;
	return 0;
}

static void resolve_cancel(struct os *os, struct os_query *q)
{
	event_cancel(host_of(os)->net, &q->ev);
	host_of(os)->open--;
	free(q);
}

/* ---- */

void udp_init(struct fake_host *h)
{
	h->mtu = 1500;
	TAILQ_INIT(&h->udps);
	h->os.udp_open = udp_open;
	h->os.udp_send = udp_send;
	h->os.udp_offloads = udp_offloads;
	h->os.udp_close = udp_close;
	h->os.resolve = resolve;
	h->os.resolve_cancel = resolve_cancel;
}

void udp_fini(struct fake_host *h)
{
	struct os_udp *u;

	while ((u = TAILQ_FIRST(&h->udps)))
		udp_close(&h->os, u);
}
