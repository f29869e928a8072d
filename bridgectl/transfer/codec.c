/*
 * When compressing pays: sending `len` bytes as they are takes len/link; compressing them first
 * takes len/processor and then ratio*len/link. The processor's rate and the ratio come out of what
 * was compressed, the sample of 64 KiB at first; the link's rate is what the sender measured. All
 * are rates of this thread, so other connections and other work on the machine are in it.
 */
#include "bridgectl/transfer/codec.h"

#include <errno.h>
#include <stdbool.h>
#include <time.h>
#include <zstd.h>

#include "bridgectl/transfer/frame.h"
#include "common/util.h"

#define LEVEL 1
#define SAMPLE_BYTES 65536u
#define WORTH_NUM 4 /* of 5: it must shrink by more than 20 % */
#define WORTH_DEN 5
#define MEMORY_US 500000.0 /* of the link's rate */
#define SLOW_LINK 150.0	   /* bytes per microsecond */
#define CPU_FIRST 400.0	   /* bytes per microsecond, until measured */

struct codec {
	enum codec_mode mode;
	unsigned n; /* connections that share the link */
	ZSTD_CCtx *cctx;
	ZSTD_DCtx *dctx;
	double link; /* bytes per microsecond; 0: not known */
	double cpu;
};

struct codec *codec_new(enum codec_mode mode, unsigned n)
{
	struct codec *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->mode = mode;
	c->n = n;
	c->cpu = CPU_FIRST;
	return c;
}

void codec_free(struct codec *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->cctx);
	ZSTD_freeDCtx(c->dctx);
	free(c);
}

/* Moves `mean` towards `rate`, by as much as the time it was measured in weighs. */
static void learn(double *mean, double bytes, double us)
{
	double weight = us / (us + MEMORY_US);

	if (us <= 0)
		return;
	*mean = *mean > 0 ? *mean + (bytes / us - *mean) * weight : bytes / us;
}

void codec_sent(struct codec *c, uint64_t wire_bytes, uint64_t us)
{
	/* Small ones measure the buffers in between, not the link. */
	if (wire_bytes >= SAMPLE_BYTES)
		learn(&c->link, (double)wire_bytes, (double)MAX(us, (uint64_t)1));
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* 0: does not fit into `room`, or no memory. */
static size_t squeeze(struct codec *c, const void *src, size_t len, void *dst, size_t room)
{
	double begin = now_us();
	size_t n;

	if (!c->cctx)
		c->cctx = ZSTD_createCCtx();
	if (!c->cctx)
		return 0;
	n = ZSTD_compressCCtx(c->cctx, dst, room, src, len, LEVEL);
	learn(&c->cpu, (double)len, now_us() - begin);
	return ZSTD_isError(n) ? 0 : n;
}

/*
 * Whether the bytes are faster at the other end when they shrink to `ratio`. On a faster link than
 * gigabit Ethernet never: what one thread sees as a slow link are the others that share its
 * processor, and a host full of guests has better use for these.
 */
static bool pays(const struct codec *c, double ratio)
{
	if (c->link * c->n > SLOW_LINK)
		return false;
	return c->link > 0 && 1 / c->cpu + ratio / c->link < 0.9 / c->link;
}

size_t codec_compress(struct codec *c, const void *src, size_t len, void *dst)
{
	size_t worth = len / WORTH_DEN * WORTH_NUM, sample = MIN(len, SAMPLE_BYTES), n;

	if (c->mode == CODEC_NEVER || worth == 0)
		return 0;
	/* On a fast link not even the best ratio would help, and nothing is tried. */
	if (c->mode == CODEC_AUTO && !pays(c, 0))
		return 0;
	n = squeeze(c, src, sample, dst, sample / WORTH_DEN * WORTH_NUM);
	if (n == 0 || sample == len)
		return n;
	if (c->mode == CODEC_AUTO && !pays(c, (double)n / (double)sample))
		return 0;
	return squeeze(c, src, len, dst, worth);
}

int codec_decompress(struct codec *c, const void *src, size_t n, void *dst, size_t len)
{
	/* One frame, nothing behind it, and it says itself how long it will be. */
	if (n == 0 || ZSTD_findFrameCompressedSize(src, n) != n ||
	    ZSTD_getFrameContentSize(src, n) != len)
		return -EBADMSG;
	if (!c->dctx)
		c->dctx = ZSTD_createDCtx();
	if (!c->dctx)
		return -ENOMEM;
	return ZSTD_decompressDCtx(c->dctx, dst, len, src, n) == len ? 0 : -EBADMSG;
}
