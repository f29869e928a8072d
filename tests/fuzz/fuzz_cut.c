/*
 * Cutting any frame: room u16, bytes of the first part u16, virtio header, frame. Pieces fit the
 * room, are whole packets, and hold as much payload as there was.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/datapath/cut.h"
#include "tests/fuzz/fuzz.h"

#define PREFIX (4 + VNET_HDR_BYTES)

static void must(bool ok)
{
	if (!ok)
		abort();
}

static uint8_t *copy_of(const uint8_t *from, size_t len)
{
	uint8_t *buf = malloc(len ? len : 1);

	must(buf);
	memcpy(buf, from, len);
	return buf;
}

static void cut_all(struct cut *c, size_t room)
{
	size_t payload = c->left, size;

	while ((size = cut_size(c)) != 0) {
		uint8_t *piece = malloc(size);
		struct headers h;
		struct vnet v;

		must(piece && size <= room);
		cut_next(c, piece, &v);
		must(v.csum && !v.gso && vnet_valid(&v, size));
		must(headers_parse(piece, size, size, &h) == 0 && h.end == size);
		must(v.csum_start == h.l4 && h.end > h.payload);
		must(payload >= h.end - h.payload);
		payload -= h.end - h.payload;
		free(piece);
	}
	must(payload == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < PREFIX)
		return 0;

	size_t room = get_le16(data), len = size - PREFIX;
	size_t first = MIN(get_le16(data + 2), len);
	struct iovec iov[2] = { { copy_of(data + PREFIX, first), first },
				{ copy_of(data + PREFIX + first, len - first), len - first } };
	struct parts parts = { iov, 2, len };
	struct vnet v;
	struct cut c;

	if (vnet_parse(data + 4, len, &v) == 0 && cut_init(&c, &v, &parts, room) == 0)
		cut_all(&c, room);
	free(iov[0].iov_base);
	free(iov[1].iov_base);
	return 0;
}
