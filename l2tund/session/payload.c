/*
 * Handshake payload codec and the two choices that are made from it. Invariant: what
 * payload_parse() accepts has every item that a decision needs, none of them twice, and texts
 * that are safe to print.
 */
#include "l2tund/session/payload.h"

#include <errno.h>
#include <string.h>

#include "common/names.h"
#include "common/tlv.h"
#include "common/util.h"

enum item {
	ITEM_PAD = 0x00,
	ITEM_NAME = 0x01,
	ITEM_VERSIONS = 0x81,
	ITEM_IDENTITY = 0x82,
	ITEM_MODES = 0x83,
	ITEM_CIPHERS = 0x84,
	ITEM_ESTABLISHMENT = 0x85,
	ITEM_CHOICE = 0x86,
	ITEM_REFUSE = 0x87,
};

static void put_common(struct tlv_writer *w, const struct payload *p)
{
	size_t at = tlv_begin(w, ITEM_VERSIONS);
	tlv_put_u8(w, p->version_min);
	tlv_put_u8(w, p->version_max);
	tlv_end(w, at);

	at = tlv_begin(w, ITEM_IDENTITY);
	tlv_put_u64(w, p->incarnation);
	tlv_put_u64(w, p->counter);
	tlv_end(w, at);

	at = tlv_begin(w, ITEM_NAME);
	tlv_put_bytes(w, p->name, strlen(p->name));
	tlv_end(w, at);

	at = tlv_begin(w, ITEM_MODES);
	tlv_put_u8(w, p->modes);
	tlv_end(w, at);

	at = tlv_begin(w, ITEM_CIPHERS);
	for (unsigned i = CIPHER_NONE + 1; i < CIPHERS; i++) {
		if (!p->mbps[i])
			continue;
		tlv_put_u8(w, (uint8_t)i);
		tlv_put_u32(w, p->mbps[i]);
	}
	tlv_end(w, at);

	at = tlv_begin(w, ITEM_ESTABLISHMENT);
	tlv_put_u64(w, p->generation);
	tlv_put_u32(w, p->epoch);
	tlv_end(w, at);
}

static void put_choice(struct tlv_writer *w, const struct payload *p)
{
	size_t at = tlv_begin(w, ITEM_CHOICE);

	tlv_put_u8(w, p->version);
	tlv_put_u8(w, p->mode);
	tlv_put_u8(w, p->cipher);
	tlv_end(w, at);
}

static void put_refuse(struct tlv_writer *w, const struct payload *p)
{
	size_t at = tlv_begin(w, ITEM_REFUSE);

	tlv_put_u8(w, p->refusal);
	tlv_put_bytes(w, p->text, strlen(p->text));
	tlv_end(w, at);
}

int payload_build(const struct payload *p, uint8_t *buf, size_t cap, size_t pad_to)
{
	struct tlv_writer w = tlv_writer(buf, cap);

	put_common(&w, p);
	if (p->chosen)
		put_choice(&w, p);
	if (p->refusal)
		put_refuse(&w, p);
	if (!w.bad && w.len + TLV_HDR_BYTES <= pad_to) {
		size_t at = tlv_begin(&w, ITEM_PAD);
		tlv_put_zero(&w, pad_to - at);
		tlv_end(&w, at);
	}
	return w.bad ? -ENOBUFS : (int)w.len;
}

static void get_ciphers(struct tlv_reader *v, struct payload *p)
{
	memset(p->mbps, 0, sizeof(p->mbps));
	while (v->left && !v->bad) {
		uint8_t id = tlv_get_u8(v);
		uint32_t mbps = tlv_get_u32(v);

		if (id > CIPHER_NONE && id < CIPHERS)
			p->mbps[id] = mbps; /* others are ciphers of the future */
	}
}

/* Text for an administrator's eyes: printable ASCII, anything else becomes '?'. */
static void get_printable(struct tlv_reader *v, char *ret, size_t size)
{
	size_t n = MIN(v->left, size - 1);
	const uint8_t *b = tlv_get_bytes(v, n);

	for (size_t i = 0; b && i < n; i++)
		ret[i] = b[i] >= 0x20 && b[i] < 0x7f ? (char)b[i] : '?';
	ret[b ? n : 0] = '\0';
	tlv_get_bytes(v, v->left);
}

static void get_name(struct tlv_reader *v, struct payload *p)
{
	size_t n = v->left;
	const uint8_t *b = tlv_get_bytes(v, n);

	if (!b || n > SESSION_NAME_MAX) {
		v->bad = true;
		return;
	}
	memcpy(p->name, b, n);
	p->name[n] = '\0';
	if (strlen(p->name) != n || !name_valid(p->name, SESSION_NAME_MAX))
		v->bad = true;
}

/* False when the type is not one of ours. */
static bool get_item(uint8_t type, struct tlv_reader *v, struct payload *p)
{
	switch (type) {
	case ITEM_PAD:
		tlv_get_bytes(v, v->left);
		return true;
	case ITEM_NAME:
		get_name(v, p);
		return true;
	case ITEM_VERSIONS:
		p->version_min = tlv_get_u8(v);
		p->version_max = tlv_get_u8(v);
		return true;
	case ITEM_IDENTITY:
		p->incarnation = tlv_get_u64(v);
		p->counter = tlv_get_u64(v);
		return true;
	case ITEM_MODES:
		p->modes = tlv_get_u8(v);
		return true;
	case ITEM_CIPHERS:
		get_ciphers(v, p);
		return true;
	case ITEM_ESTABLISHMENT:
		p->generation = tlv_get_u64(v);
		p->epoch = tlv_get_u32(v);
		return true;
	case ITEM_CHOICE:
		p->version = tlv_get_u8(v);
		p->mode = tlv_get_u8(v);
		p->cipher = tlv_get_u8(v);
		p->chosen = true;
		return true;
	case ITEM_REFUSE:
		p->refusal = tlv_get_u8(v);
		get_printable(v, p->text, sizeof(p->text));
		return true;
	}
	return false;
}

static const uint8_t required[] = {
	ITEM_NAME, ITEM_VERSIONS, ITEM_IDENTITY, ITEM_MODES, ITEM_CIPHERS, ITEM_ESTABLISHMENT,
};

int payload_parse(const uint8_t *buf, size_t len, struct payload *ret)
{
	struct tlv_reader r = tlv_reader(buf, len), v;
	struct payload p = { 0 };
	bool seen[256] = { false };
	uint8_t type;
	int more;

	while ((more = tlv_next(&r, &type, &v)) > 0) {
		bool known = get_item(type, &v, &p);

		/* A value that is longer than we know belongs to another format. */
		if (known && (v.bad || v.left || seen[type]))
			return -EBADMSG;
		if (!known && type & TLV_MANDATORY && !p.unknown)
			p.unknown = type;
		seen[type] = true;
	}
	if (more < 0)
		return more;
	for (unsigned i = 0; i < ARRAY_SIZE(required); i++)
		if (!seen[required[i]])
			return -EBADMSG;
	if (p.version_min > p.version_max || (seen[ITEM_REFUSE] && !p.refusal))
		return -EBADMSG;
	*ret = p;
	return 0;
}

int payload_pick_mode(unsigned ours, unsigned theirs)
{
	for (int m = 0; m < DATA_MODES; m++)
		if (ours & theirs & 1u << m)
			return m;
	return -ENOENT;
}

int payload_pick_cipher(const uint32_t ours[CIPHERS], const uint32_t theirs[CIPHERS])
{
	uint32_t best = 0;
	int pick = -ENOENT;

	for (int i = CIPHER_NONE + 1; i < CIPHERS; i++) {
		uint32_t mbps = MIN(ours[i], theirs[i]);
		if (mbps > best) {
			best = mbps;
			pick = i;
		}
	}
	return pick;
}
