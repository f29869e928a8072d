/*
 * A hostile end of a data connection: bytes of the window u64, a header, its payload. The header is
 * taken as it is, and again with the right check sum; what is taken must lie inside the window,
 * and compressed bytes come out as exactly the length that was said, or not at all.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/transfer/codec.h"
#include "bridgectl/transfer/digest.h"
#include "bridgectl/transfer/frame.h"
#include "common/util.h"
#include "tests/fuzz/fuzz.h"

static struct digest digest;
static struct codec *codec;

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const uint8_t seed[DIGEST_SEED_BYTES] = { 1 };

	(void)argc;
	(void)argv;
	digest_init(&digest, seed);
	codec = codec_new(CODEC_NEVER, 1);
	return 0;
}

static void check_range(const struct frame *f, uint64_t window)
{
	must(f->payload <= FRAME_PAYLOAD_MAX);
	if (f->type < FRAME_DATA || f->type > FRAME_HASHES)
		return;
	must(f->length > 0 && f->length <= window && f->offset <= window - f->length);
	must(f->offset % CHUNK_BYTES == 0);
	must(f->type == FRAME_ZERO || f->length <= SPAN_BYTES);
}

/* As the target does it: digests, then bytes. */
static void unpack(const struct frame *f, const uint8_t *payload)
{
	size_t digests = (size_t)frame_chunks(f->length) * DIGEST_BYTES;
	uint8_t *out = malloc((size_t)f->length);
	uint8_t mine[SPAN_CHUNKS * DIGEST_BYTES];

	must(out && digests < f->payload);
	if (codec_decompress(codec, payload + digests, f->payload - digests, out,
			     (size_t)f->length) == 0)
		digest_chunks(&digest, out, (size_t)f->length, mine);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t header[FRAME_HEADER_BYTES], again[FRAME_HEADER_BYTES];
	struct frame f;
	uint64_t window;

	if (size < 8 + FRAME_HEADER_BYTES)
		return 0;
	window = get_le64(data);
	memcpy(header, data + 8, sizeof(header));
	data += 8 + FRAME_HEADER_BYTES;
	size -= 8 + FRAME_HEADER_BYTES;
	if (frame_take(header, window, &digest, &f) == 0)
		check_range(&f, window);
	put_le64(header + 24, digest_check(&digest, header, 24));
	if (frame_take(header, window, &digest, &f) < 0)
		return 0;
	check_range(&f, window);
	frame_put(again, &f, &digest);
	must(memcmp(again, header, sizeof(header)) == 0);
	if (f.type == FRAME_DATA && f.flags & FRAME_F_ZSTD && f.payload <= size)
		unpack(&f, data);
	return 0;
}
