/*
 * Bounded reader and writer. Invariants: never a byte outside [p, p + left) or
 * [p, p + cap); once bad, nothing moves any more.
 */
#include "common/tlv.h"

#include <errno.h>
#include <string.h>

#include "common/util.h"

const uint8_t *tlv_get_bytes(struct tlv_reader *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->bad || len > r->left) {
		r->bad = true;
		return NULL;
	}
	r->p += len;
	r->left -= len;
	return p;
}

uint8_t tlv_get_u8(struct tlv_reader *r)
{
	const uint8_t *p = tlv_get_bytes(r, 1);
	return p ? *p : 0;
}

uint16_t tlv_get_u16(struct tlv_reader *r)
{
	const uint8_t *p = tlv_get_bytes(r, 2);
	return p ? get_le16(p) : 0;
}

uint32_t tlv_get_u32(struct tlv_reader *r)
{
	const uint8_t *p = tlv_get_bytes(r, 4);
	return p ? get_le32(p) : 0;
}

uint64_t tlv_get_u64(struct tlv_reader *r)
{
	const uint8_t *p = tlv_get_bytes(r, 8);
	return p ? get_le64(p) : 0;
}

void tlv_get_text(struct tlv_reader *r, char *ret, size_t size)
{
	size_t len = tlv_get_u8(r);
	const uint8_t *p = tlv_get_bytes(r, len);

	if (!p || len >= size || memchr(p, 0, len)) {
		r->bad = true;
		ret[0] = '\0';
		return;
	}
	memcpy(ret, p, len);
	ret[len] = '\0';
}

int tlv_next(struct tlv_reader *r, uint8_t *ret_type, struct tlv_reader *ret)
{
	if (r->left == 0 && !r->bad)
		return 0;

	uint8_t type = tlv_get_u8(r);
	size_t len = tlv_get_u16(r);
	const uint8_t *p = tlv_get_bytes(r, len);

	if (!p)
		return -EBADMSG;
	*ret_type = type;
	*ret = tlv_reader(p, len);
	return 1;
}

/* Room for `len` more bytes, or NULL and bad. */
static uint8_t *put(struct tlv_writer *w, size_t len)
{
	uint8_t *p = w->p + w->len;

	if (w->bad || len > w->cap - w->len) {
		w->bad = true;
		return NULL;
	}
	w->len += len;
	return p;
}

void tlv_put_u8(struct tlv_writer *w, uint8_t v)
{
	tlv_put_bytes(w, &v, 1);
}

void tlv_put_u16(struct tlv_writer *w, uint16_t v)
{
	uint8_t *p = put(w, 2);
	if (p)
		put_le16(p, v);
}

void tlv_put_u32(struct tlv_writer *w, uint32_t v)
{
	uint8_t *p = put(w, 4);
	if (p)
		put_le32(p, v);
}

void tlv_put_u64(struct tlv_writer *w, uint64_t v)
{
	uint8_t *p = put(w, 8);
	if (p)
		put_le64(p, v);
}

void tlv_put_bytes(struct tlv_writer *w, const void *src, size_t len)
{
	uint8_t *p = put(w, len);
	if (p && len)
		memcpy(p, src, len);
}

void tlv_put_zero(struct tlv_writer *w, size_t len)
{
	uint8_t *p = put(w, len);
	if (p)
		memset(p, 0, len);
}

void tlv_put_text(struct tlv_writer *w, const char *s)
{
	size_t len = strlen(s);

	if (len > UINT8_MAX)
		w->bad = true;
	tlv_put_u8(w, (uint8_t)len);
	tlv_put_bytes(w, s, len);
}

size_t tlv_begin(struct tlv_writer *w, uint8_t type)
{
	tlv_put_u8(w, type);
	tlv_put_u16(w, 0);
	return w->len;
}

void tlv_end(struct tlv_writer *w, size_t begun)
{
	if (w->bad)
		return;
	if (w->len - begun > UINT16_MAX)
		w->bad = true;
	else
		put_le16(w->p + begun - 2, (uint16_t)(w->len - begun));
}
