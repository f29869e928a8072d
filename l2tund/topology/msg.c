/*
 * Codec of topology messages. Pure translation: what a message means is decided in flood.c.
 */
#include "l2tund/topology/msg.h"

#include <errno.h>
#include <string.h>

#include "common/tlv.h"
#include "common/util.h"

static void put_version(struct tlv_writer *w, struct version v)
{
	tlv_put_u64(w, v.incarnation);
	tlv_put_u32(w, v.seq);
}

static struct version get_version(struct tlv_reader *r)
{
	struct version v = { .incarnation = tlv_get_u64(r) };

	v.seq = tlv_get_u32(r);
	return v;
}

static void get_bytes(struct tlv_reader *r, uint8_t *ret, size_t len)
{
	const uint8_t *p = tlv_get_bytes(r, len);

	if (p)
		memcpy(ret, p, len);
}

static void put_page(struct tlv_writer *w, const struct msg_page *p)
{
	tlv_put_u8(w, p->page);
	tlv_put_bytes(w, p->node, sizeof(p->node));
	put_version(w, p->version);
	tlv_put_u8(w, p->pages);
	tlv_put_bytes(w, p->bytes, p->len);
}

static void put_sync(struct tlv_writer *w, const struct msg_sync *s)
{
	tlv_put_bytes(w, s->node, sizeof(s->node));
	put_version(w, s->sync.version);
	tlv_put_bytes(w, s->sync.digest, sizeof(s->sync.digest));
	tlv_put_bytes(w, s->sync.key, sizeof(s->sync.key));
}

static void put_have(struct tlv_writer *w, const struct msg_have *h)
{
	tlv_put_bytes(w, h->node, sizeof(h->node));
	put_version(w, h->lsa);
	put_version(w, h->sync);
}

size_t msg_build(const struct msg *m, uint8_t buf[TOPO_MSG_MAX])
{
	struct tlv_writer w = tlv_writer(buf, TOPO_MSG_MAX);

	tlv_put_u8(&w, (uint8_t)m->kind);
	if (m->kind == MSG_LSA) {
		put_page(&w, &m->page);
		return w.len;
	}
	tlv_put_u8(&w, (uint8_t)m->n);
	for (unsigned i = 0; i < m->n; i++) {
		if (m->kind == MSG_SYNC)
			put_sync(&w, &m->syncs[i]);
		else
			put_have(&w, &m->haves[i]);
	}
	return w.len;
}

static int parse_page(struct tlv_reader *r, struct msg_page *ret)
{
	ret->page = tlv_get_u8(r);
	get_bytes(r, ret->node, sizeof(ret->node));
	ret->version = get_version(r);
	ret->pages = tlv_get_u8(r);
	ret->len = r->left;
	ret->bytes = tlv_get_bytes(r, r->left);
	if (r->bad || !ret->version.incarnation || ret->pages > MSG_PAGES ||
	    ret->page >= ret->pages || ret->len > MSG_PAGE_BYTES)
		return -EBADMSG;
	return ret->page + 1 < ret->pages && ret->len != MSG_PAGE_BYTES ? -EBADMSG : 0;
}

static int parse_syncs(struct tlv_reader *r, struct msg *ret)
{
	ret->n = tlv_get_u8(r);
	if (ret->n > MSG_SYNCS)
		return -EBADMSG;
	for (unsigned i = 0; i < ret->n; i++) {
		struct msg_sync *s = &ret->syncs[i];

		get_bytes(r, s->node, sizeof(s->node));
		s->sync.version = get_version(r);
		get_bytes(r, s->sync.digest, sizeof(s->sync.digest));
		get_bytes(r, s->sync.key, sizeof(s->sync.key));
		if (!s->sync.version.incarnation)
			return -EBADMSG;
	}
	return r->bad ? -EBADMSG : 0;
}

static int parse_haves(struct tlv_reader *r, struct msg *ret)
{
	ret->n = tlv_get_u8(r);
	if (ret->n > MSG_HAVES)
		return -EBADMSG;
	for (unsigned i = 0; i < ret->n; i++) {
		struct msg_have *h = &ret->haves[i];

		get_bytes(r, h->node, sizeof(h->node));
		h->lsa = get_version(r);
		h->sync = get_version(r);
	}
	return r->bad ? -EBADMSG : 0;
}

int msg_parse(const uint8_t *buf, size_t len, struct msg *ret)
{
	struct tlv_reader r = tlv_reader(buf, len);

	ret->kind = (enum msg_kind)tlv_get_u8(&r);
	ret->n = 0;
	switch (ret->kind) {
	case MSG_LSA:
		return parse_page(&r, &ret->page);
	case MSG_SYNC:
		return parse_syncs(&r, ret);
	case MSG_HAVE:
		return parse_haves(&r, ret);
	}
	return r.bad ? -EBADMSG : -ENOTSUP;
}
