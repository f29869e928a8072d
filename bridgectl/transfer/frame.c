/*
 * Headers of frames. What one of them may say is a row of a table, so that whoever takes a header
 * from here can use its numbers: ranges lie inside the window and on chunks, and the payload fits
 * its type and range.
 */
#include "bridgectl/transfer/frame.h"

#include <errno.h>

#include "bridgectl/transfer/digest.h"
#include "common/util.h"

#define CHECKED_BYTES (FRAME_HEADER_BYTES - 8)

enum payload { NOTHING, PROOF, DIGESTS, BYTES, TEXT };

struct rule {
	bool known;
	bool range;	     /* offset and length are one; otherwise they are free */
	uint64_t length_max; /* of the range */
	uint8_t flags;	     /* allowed */
	enum payload payload;
};

static const struct rule rules[FRAME_TYPES] = {
	[FRAME_HELLO] = { .known = true, .payload = PROOF },
	[FRAME_DATA] = { true, true, SPAN_BYTES, FRAME_F_ZSTD, BYTES },
	[FRAME_ZERO] = { true, true, UINT64_MAX, 0, NOTHING },
	[FRAME_ASK] = { true, true, SPAN_BYTES, FRAME_F_REREAD, NOTHING },
	[FRAME_HASHES] = { true, true, SPAN_BYTES, 0, DIGESTS },
	[FRAME_END] = { .known = true },
	[FRAME_DONE] = { .known = true },
	[FRAME_ERROR] = { .known = true, .payload = TEXT },
};

void frame_put(uint8_t *buf, const struct frame *f, const struct digest *d)
{
	buf[0] = (uint8_t)f->type;
	buf[1] = f->flags;
	put_le16(buf + 2, 0);
	put_le32(buf + 4, f->payload);
	put_le64(buf + 8, f->offset);
	put_le64(buf + 16, f->length);
	put_le64(buf + 24, digest_check(d, buf, CHECKED_BYTES));
}

static bool range_ok(const struct frame *f, uint64_t window, uint64_t length_max)
{
	if (f->length == 0 || f->length > length_max || f->offset % CHUNK_BYTES)
		return false;
	if (f->offset > window || f->length > window - f->offset)
		return false;
	return f->length % CHUNK_BYTES == 0 || f->offset + f->length == window;
}

static bool payload_ok(const struct frame *f, enum payload kind)
{
	uint64_t digests;

	switch (kind) {
	case NOTHING:
		return f->payload == 0;
	case PROOF:
		return f->payload == FRAME_HELLO_BYTES;
	case TEXT:
		return f->payload <= FRAME_TEXT_MAX;
	case DIGESTS:
		return f->payload == frame_chunks(f->length) * DIGEST_BYTES;
	case BYTES:
		digests = frame_chunks(f->length) * DIGEST_BYTES;
		if (f->flags & FRAME_F_ZSTD)
			return f->payload > digests && f->payload <= digests + f->length;
		return f->payload == digests + f->length;
	}
	return false;
}

int frame_take(const uint8_t *buf, uint64_t window, const struct digest *d, struct frame *ret)
{
	struct frame f = { .type = buf[0], .flags = buf[1] };
	const struct rule *r;

	if (get_le64(buf + CHECKED_BYTES) != digest_check(d, buf, CHECKED_BYTES))
		return -EBADMSG;
	if (buf[0] >= FRAME_TYPES || !rules[buf[0]].known || get_le16(buf + 2) != 0)
		return -EPROTO;
	r = &rules[buf[0]];
	f.payload = get_le32(buf + 4);
	f.offset = get_le64(buf + 8);
	f.length = get_le64(buf + 16);
	if (f.flags & ~r->flags || (r->range && !range_ok(&f, window, r->length_max)) ||
	    !payload_ok(&f, r->payload))
		return -EPROTO;
	*ret = f;
	return 0;
}
