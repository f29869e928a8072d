/*
 * Codec of control messages. Pure translation: what a message means is decided in hello.c,
 * lists.c and session.c. Invariant: what a parse function accepts is within the limits of
 * the struct, and names in it are safe to use as interface names and to print.
 */
#include "l2tund/session/control.h"

#include <errno.h>
#include <string.h>

#include "common/names.h"
#include "common/tlv.h"
#include "common/util.h"

#define SEGMENT_F_MESH 0x01
#define SEGMENT_F_USABLE 0x02

static int done(const struct tlv_writer *w)
{
	return w->bad ? -ENOBUFS : (int)w->len;
}

int control_build_hello(const struct hello *h, uint8_t *buf, size_t cap)
{
	struct tlv_writer w = tlv_writer(buf, cap);

	tlv_put_u8(&w, CONTROL_HELLO);
	tlv_put_u8(&w, h->flags);
	tlv_put_u16(&w, h->n);
	tlv_put_u32(&w, h->list);
	tlv_put_u32(&w, h->list_seen);
	tlv_put_u64(&w, h->sent_us);
	tlv_put_u64(&w, h->echo_us);
	tlv_put_u32(&w, h->held_us);
	tlv_put_u64(&w, h->tx);
	tlv_put_u64(&w, h->echo_tx);
	tlv_put_u64(&w, h->echo_rx);
	for (unsigned i = 0; i < h->n; i++) {
		tlv_put_u16(&w, h->segs[i].id);
		tlv_put_u8(&w, h->segs[i].flags);
	}
	return done(&w);
}

int control_parse_hello(const uint8_t *buf, size_t len, struct hello *ret)
{
	struct tlv_reader r = tlv_reader(buf, len);

	tlv_get_u8(&r);
	ret->flags = tlv_get_u8(&r);
	ret->n = tlv_get_u16(&r);
	ret->list = tlv_get_u32(&r);
	ret->list_seen = tlv_get_u32(&r);
	ret->sent_us = tlv_get_u64(&r);
	ret->echo_us = tlv_get_u64(&r);
	ret->held_us = tlv_get_u32(&r);
	ret->tx = tlv_get_u64(&r);
	ret->echo_tx = tlv_get_u64(&r);
	ret->echo_rx = tlv_get_u64(&r);
	if (r.bad || ret->n > SESSION_SEGMENTS_MAX || ret->sent_us == 0)
		return -EBADMSG;
	for (unsigned i = 0; i < ret->n; i++) {
		ret->segs[i].id = tlv_get_u16(&r);
		ret->segs[i].flags = tlv_get_u8(&r);
	}
	return r.bad ? -EBADMSG : 0;
}

static void put_segment(struct tlv_writer *w, const struct segment *s)
{
	tlv_put_u16(w, s->id);
	tlv_put_bytes(w, s->mac, sizeof(s->mac));
	tlv_put_u16(w, s->mtu);
	tlv_put_u16(w, s->priority);
	tlv_put_u8(w,
		   (uint8_t)((s->mesh ? SEGMENT_F_MESH : 0) | (s->usable ? SEGMENT_F_USABLE : 0)));
	tlv_put_text(w, s->bridge);
	tlv_put_text(w, s->want);
}

int control_build_segments(uint32_t list, uint8_t page, uint8_t pages, const struct segment *segs,
			   unsigned n, uint8_t *buf, size_t cap, unsigned *ret_taken)
{
	struct tlv_writer w = tlv_writer(buf, MIN(cap, (size_t)CONTROL_BYTES_MAX));
	unsigned taken = 0;

	tlv_put_u8(&w, CONTROL_SEGMENTS);
	tlv_put_u8(&w, page);
	tlv_put_u8(&w, pages);
	tlv_put_u8(&w, 0);
	tlv_put_u32(&w, list);
	while (taken < n && w.cap - w.len >= CONTROL_SEGMENT_MAX)
		put_segment(&w, &segs[taken++]);
	if (w.bad)
		return -ENOBUFS;
	buf[3] = (uint8_t)taken;
	*ret_taken = taken;
	return (int)w.len;
}

static bool get_segment(struct tlv_reader *r, struct segment *s)
{
	memset(s, 0, sizeof(*s));
	s->id = tlv_get_u16(r);
	const uint8_t *mac = tlv_get_bytes(r, sizeof(s->mac));
	if (mac)
		memcpy(s->mac, mac, sizeof(s->mac));
	s->mtu = tlv_get_u16(r);
	s->priority = tlv_get_u16(r);
	uint8_t flags = tlv_get_u8(r);
	s->mesh = flags & SEGMENT_F_MESH;
	s->usable = flags & SEGMENT_F_USABLE;
	tlv_get_text(r, s->bridge, sizeof(s->bridge));
	tlv_get_text(r, s->want, sizeof(s->want));
	return !r->bad && name_valid(s->bridge, SESSION_BRIDGE_MAX) &&
	       name_valid(s->want, SESSION_BRIDGE_MAX);
}

int control_parse_segments(const uint8_t *buf, size_t len, struct segments_page *ret)
{
	struct tlv_reader r = tlv_reader(buf, len);

	tlv_get_u8(&r);
	ret->page = tlv_get_u8(&r);
	ret->pages = tlv_get_u8(&r);
	ret->n = tlv_get_u8(&r);
	ret->list = tlv_get_u32(&r);
	if (r.bad || ret->list == 0 || ret->pages == 0 || ret->pages > CONTROL_PAGES_MAX ||
	    ret->page >= ret->pages || ret->n > ARRAY_SIZE(ret->segs))
		return -EBADMSG;
	for (unsigned i = 0; i < ret->n; i++)
		if (!get_segment(&r, &ret->segs[i]))
			return -EBADMSG;
	return 0;
}

static void put_probe(struct tlv_writer *w, uint8_t kind, const struct probe *p)
{
	tlv_put_u8(w, kind);
	tlv_put_u8(w, 0);
	tlv_put_u16(w, p->size);
	tlv_put_u32(w, p->id);
}

int control_build_probe(const struct probe *p, size_t len, uint8_t *buf, size_t cap)
{
	struct tlv_writer w = tlv_writer(buf, cap);

	put_probe(&w, CONTROL_PROBE, p);
	if (!w.bad && len > w.len)
		tlv_put_zero(&w, len - w.len);
	return done(&w);
}

int control_build_probe_ack(const struct probe *p, uint8_t *buf, size_t cap)
{
	struct tlv_writer w = tlv_writer(buf, cap);

	put_probe(&w, CONTROL_PROBE_ACK, p);
	return done(&w);
}

int control_parse_probe(const uint8_t *buf, size_t len, struct probe *ret)
{
	struct tlv_reader r = tlv_reader(buf, len);

	tlv_get_u8(&r);
	tlv_get_u8(&r);
	ret->size = tlv_get_u16(&r);
	ret->id = tlv_get_u32(&r);
	return r.bad ? -EBADMSG : 0;
}

int control_build_close(uint8_t *buf, size_t cap)
{
	struct tlv_writer w = tlv_writer(buf, cap);

	tlv_put_u8(&w, CONTROL_CLOSE);
	tlv_put_u8(&w, 0);
	return done(&w);
}

int control_build_topology(const uint8_t *msg, size_t len, uint8_t *buf, size_t cap)
{
	struct tlv_writer w = tlv_writer(buf, MIN(cap, (size_t)CONTROL_BYTES_MAX));

	tlv_put_u8(&w, CONTROL_TOPOLOGY);
	tlv_put_bytes(&w, msg, len);
	return done(&w);
}

const uint8_t *control_parse_topology(const uint8_t *buf, size_t len, size_t *ret_len)
{
	*ret_len = len - 1;
	return buf + 1;
}

int control_kind(const uint8_t *buf, size_t len)
{
	return len ? buf[0] : -EBADMSG;
}
