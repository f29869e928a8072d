/*
 * Compression of what travels: zstd level 1, one frame for the bytes of one DATA. One for each
 * thread, with its memory kept. In the automatic mode it compresses only when that makes the link
 * faster: it is told how long sending takes, and measures itself.
 */
#ifndef BRIDGECTL_TRANSFER_CODEC_H
#define BRIDGECTL_TRANSFER_CODEC_H

#include <stddef.h>
#include <stdint.h>

enum codec_mode { CODEC_AUTO, CODEC_NEVER, CODEC_ALWAYS };

struct codec;

/*
 * For one of `n` connections that are alike. Not thread safe, to be freed. NULL: no memory (about
 * 1 MiB when it is used).
 */
struct codec *codec_new(enum codec_mode mode, unsigned n);
void codec_free(struct codec *c);

/* So many bytes, as they are on the wire, were handed to the connection in so long. */
void codec_sent(struct codec *c, uint64_t wire_bytes, uint64_t us);

/*
 * Compresses `len` bytes, at most a span, into `dst`, which has room for `len`. The number of
 * bytes there, less than `len`; 0: send them as they are.
 */
size_t codec_compress(struct codec *c, const void *src, size_t len, void *dst);

/* One zstd frame of `n` bytes into exactly `len`: 0, -EBADMSG or -ENOMEM. */
int codec_decompress(struct codec *c, const void *src, size_t n, void *dst, size_t len);

#endif
