/*
 * Path MTU search. First 1500 and 9000, the sizes that are likely; then between what is
 * known to pass (mtu) and known to fail (ceiling), first the usual sizes of tunnels and
 * lines, then by halves. A size fails when several probes of it in a row are not answered,
 * so that ordinary loss is not taken for a limit. When the present size fails its regular
 * check, the path is a black hole for it (RFC 8899 section 4.3): back to the base at once.
 * Invariant: PMTU_BASE <= mtu < ceiling <= max + 1.
 */
#include "l2tund/session/pmtu.h"

#include "common/util.h"

#define GRAIN 8 /* stop searching when so few bytes are in question */

const struct pmtu_tunables pmtu_defaults = {
	.tries = 6,
	.wait_us = 100 * US_PER_MS,
	.confirm_us = 10 * US_PER_S,
	.raise_us = 600 * US_PER_S,
};

static const unsigned usual[] = {
	1280, 1400, 1420, 1440, 1450, 1460, 1472, 1480, 1492, 1500, 9000
};

void pmtu_init(struct pmtu *p, const struct pmtu_tunables *tune, unsigned max, uint64_t now_us)
{
	*p = (struct pmtu){
		.tune = tune,
		.mtu = PMTU_BASE,
		.max = max,
		.ceiling = max + 1,
		.id = p->id,
		.due_us = now_us,
		.confirm_at = NEVER,
		.raise_at = NEVER,
	};
}

/* The middle one of the usual sizes that are in question, or 0. */
static unsigned usual_between(unsigned low, unsigned high)
{
	unsigned first = 0, n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(usual); i++) {
		if (usual[i] <= low || usual[i] >= high)
			continue;
		if (n++ == 0)
			first = i;
	}
	return n ? usual[first + n / 2] : 0;
}

/* Next size to try, or 0 when the search is over. */
static unsigned next_size(const struct pmtu *p)
{
	if (p->mtu < 1500 && 1500 < p->ceiling)
		return 1500;
	if (p->mtu < 9000 && 9000 < p->ceiling)
		return 9000;

	unsigned size = usual_between(p->mtu, p->ceiling);
	if (size)
		return size;
	return p->ceiling - p->mtu > GRAIN ? p->mtu + (p->ceiling - p->mtu) / 2 : 0;
}

static void probe_size(struct pmtu *p, unsigned size, uint64_t now_us)
{
	p->probing = size;
	p->tries = 0;
	p->due_us = now_us;
}

/* Between two probes: search on, or wait for the next check. */
static void choose(struct pmtu *p, uint64_t now_us)
{
	unsigned size = next_size(p);

	if (size) {
		p->raise_at = NEVER;
		probe_size(p, size, now_us);
		return;
	}
	p->probing = 0;
	if (p->raise_at == NEVER)
		p->raise_at = now_us + p->tune->raise_us;
	p->due_us = MIN(p->confirm_at, p->raise_at);
}

static void size_failed(struct pmtu *p, unsigned size, uint64_t now_us)
{
	p->ceiling = MAX(MIN(p->ceiling, size), (unsigned)PMTU_BASE + 1);
	if (p->mtu >= p->ceiling) {
		p->mtu = PMTU_BASE;
		p->confirm_at = NEVER;
	}
	choose(p, now_us);
}

/* Nothing is being probed and something is due. False when it was not. */
static bool wake(struct pmtu *p, uint64_t now_us)
{
	if (now_us >= p->raise_at) {
		p->raise_at = NEVER;
		p->ceiling = p->max + 1;
		choose(p, now_us);
	} else if (now_us >= p->confirm_at) {
		p->confirm_at = now_us + p->tune->confirm_us;
		probe_size(p, p->mtu, now_us);
	} else {
		choose(p, now_us);
	}
	return p->probing != 0;
}

bool pmtu_tick(struct pmtu *p, uint64_t rtt_us, uint64_t now_us, unsigned *ret_size,
	       uint32_t *ret_id)
{
	if (now_us < p->due_us)
		return false;
	if (p->probing && p->tries >= p->tune->tries)
		size_failed(p, p->probing, now_us);
	if (!p->probing && !wake(p, now_us))
		return false;

	p->tries++;
	p->due_us = now_us + MAX(p->tune->wait_us, 2 * rtt_us + p->tune->wait_us / 2);
	*ret_size = p->probing;
	*ret_id = ++p->id;
	return true;
}

void pmtu_acked(struct pmtu *p, uint32_t id, unsigned size, uint64_t now_us)
{
	/* Any of the tries will do; the ids of one size follow each other. */
	if (!p->probing || size != p->probing || p->id - id >= p->tries)
		return;
	if (size > p->mtu)
		p->mtu = size;
	p->confirm_at = now_us + p->tune->confirm_us;
	choose(p, now_us);
}

void pmtu_too_big(struct pmtu *p, unsigned size, uint64_t now_us)
{
	if (size > PMTU_BASE && size < p->ceiling)
		size_failed(p, size, now_us);
}

void pmtu_suspect(struct pmtu *p, uint64_t now_us)
{
	if (p->mtu > PMTU_BASE && !p->probing) {
		p->confirm_at = now_us;
		p->due_us = now_us;
	}
}
