/*
 * Policer and recirculation table. Both see every flooded frame, so neither divides nor
 * allocates. What they know is counted from the caller's clock; when that stands still or
 * goes back, the policer gives no credit and the table begins a new window.
 *
 * Credit is counted in millionths of a frame: a microsecond is worth `rate` of them, exactly.
 */
#include "l2tund/topology/storm.h"

#include <string.h>

#include "common/util.h"

#define FRAME_CREDIT UINT64_C(1000000)
#define BURST_CREDIT (STORM_BURST * FRAME_CREDIT)
/* Fills the burst at any rate; more would only overflow. */
#define IDLE_MAX_US BURST_CREDIT

_Static_assert((STORM_SLOTS & (STORM_SLOTS - 1)) == 0, "a mask picks the slot");

void policer_init(struct policer *p, unsigned rate, uint64_t now_us)
{
	memset(p, 0, sizeof(*p));
	p->rate = rate;
	p->credit = BURST_CREDIT;
	p->last_us = now_us;
}

static void policer_earn(struct policer *p, uint64_t span_us, unsigned rate)
{
	p->credit = MIN(BURST_CREDIT, p->credit + MIN(span_us, IDLE_MAX_US) * rate);
}

static void policer_refill(struct policer *p, uint64_t now_us)
{
	if (now_us <= p->last_us)
		return;
	if (p->last_us < p->early_until_us) {
		uint64_t end_us = MIN(now_us, p->early_until_us);

		policer_earn(p, end_us - p->last_us, MIN(p->rate, STORM_EARLY_RATE));
		p->last_us = end_us;
	}
	policer_earn(p, now_us - p->last_us, p->rate);
	p->last_us = now_us;
}

/* The credit stays as it is: a gate that flaps must not get a burst each time. */
void policer_open(struct policer *p, uint64_t now_us)
{
	policer_refill(p, now_us);
	p->early_until_us = now_us + STORM_EARLY_US;
}

bool policer_pass_many(struct policer *p, uint64_t n, uint64_t now_us)
{
	uint64_t price = MIN(n, (uint64_t)STORM_BURST) * FRAME_CREDIT;

	policer_refill(p, now_us);
	if (p->credit < price)
		return false;
	p->credit -= price;
	return true;
}

bool policer_pass(struct policer *p, uint64_t now_us)
{
	return policer_pass_many(p, 1, now_us);
}

/* SipHash (Aumasson, Bernstein, 2012) with one round per word and three at the end. */

static uint64_t rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
}

/* The key is the seed and its complement. */
static uint64_t frame_hash(uint64_t seed, const uint8_t *frame, size_t len)
{
	uint64_t v[4] = {
		seed ^ UINT64_C(0x736f6d6570736575),
		~seed ^ UINT64_C(0x646f72616e646f6d),
		seed ^ UINT64_C(0x6c7967656e657261),
		~seed ^ UINT64_C(0x7465646279746573),
	};
	uint8_t rest[8] = { 0 };
	size_t whole = len & ~(size_t)7;

	for (size_t i = 0; i < whole; i += 8)
		sip_word(v, get_le64(frame + i));
	if (len > whole)
		memcpy(rest, frame + whole, len - whole);
	rest[7] = (uint8_t)len;
	sip_word(v, get_le64(rest));
	v[2] ^= 0xff;
	for (unsigned i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void recirculation_init(struct recirculation *r, uint64_t seed)
{
	memset(r, 0, sizeof(*r));
	r->seed = seed;
}

/*
 * A window begins with the first copy seen and is not moved, so a loop that begins late in one
 * may need up to twice the copies. A frame that has come again keeps its slot to
 * the end of its window: else, on a busy bridge, others would push it out before it is counted.
 */
bool recirculation_storm(struct recirculation *r, const uint8_t *frame, size_t len, uint64_t now_us)
{
	uint64_t hash = frame_hash(r->seed, frame, len);
	struct recirculation_slot *s = &r->slot[hash & (STORM_SLOTS - 1)];
	bool current = s->count > 0 && now_us - s->since_us <= STORM_WINDOW_US;

	if (current && s->hash == hash)
		return ++s->count >= STORM_REPEATS;
	if (current && s->count > 1)
		return false;
	*s = (struct recirculation_slot){ .hash = hash, .since_us = now_us, .count = 1 };
	return false;
}
