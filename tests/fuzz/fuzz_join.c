/*
 * Joining any frames: each a length u16, a byte of flags (bit 0: verified, bit 1: flush first) and
 * another for the owner, virtio header, bytes. All bytes of payload come out again, and a
 * super-frame can be cut into as many pieces as it was made of.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/datapath/cut.h"
#include "l2tund/datapath/join.h"
#include "tests/fuzz/fuzz.h"

#define PREFIX (4 + VNET_HDR_BYTES)
#define FRAMES_MAX 256
#define SLOTS 3

struct counts {
	size_t in, out; /* frames */
};

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void out(void *arg, void *owner, const struct vnet *v, const struct iovec *iov, unsigned n,
		size_t len)
{
	struct parts parts = { iov, n, len };
	struct counts *counts = arg;
	static uint8_t piece[70000];
	size_t bytes = 0;
	struct vnet ret;
	struct cut c;

	(void)owner;
	counts->out += n;
	for (unsigned i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	must(bytes == len && vnet_valid(v, len));
	if (n == 1)
		return;
	must(cut_init(&c, v, &parts, sizeof(piece)) == 0);
	for (; cut_size(&c); n--)
		cut_next(&c, piece, &ret);
	must(n == 0);
}

static size_t put_one(struct join *j, const uint8_t *data, size_t size, uint8_t **ret_frame)
{
	size_t len = MIN(get_le16(data), size - PREFIX);
	uint8_t *frame = malloc(len ? len : 1);
	struct vnet v;

	must(frame);
	*ret_frame = frame;
	memcpy(frame, data + PREFIX, len);
	if (data[2] & 2)
		join_flush(j);
	if (vnet_parse(data + 4, len, &v) < 0)
		v = (struct vnet){ .verified = data[2] & 1 };
	join_put(j, (void *)(uintptr_t)(data[3] & 1), &v, frame, len);
	return PREFIX + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *frames[FRAMES_MAX];
	struct counts counts = { 0 };
	struct join *j = join_new(SLOTS, JOIN_TCP | JOIN_UDP, out, &counts);

	must(j);
	for (size_t at = 0; size - at >= PREFIX && counts.in < FRAMES_MAX; counts.in++)
		at += put_one(j, data + at, size - at, &frames[counts.in]);
	join_flush(j);
	must(counts.in == counts.out);
	join_free(j);
	while (counts.in)
		free(frames[--counts.in]);
	return 0;
}
