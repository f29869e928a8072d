/*
 * Key slots. Both ends must send with the same keys even when both called at once:
 * handshakes are ordered by the epoch that they agreed on, then by their initiator's
 * (incarnation, public key). Both ends see the same order, so both settle on the same one,
 * and the loser stays in `prev`, from which datagrams are still taken.
 * Invariants: a keypair is in at most one slot; its index is in the table as long as it lives;
 * `cur` is proven.
 */

#include <string.h>

#include "common/util.h"
#include "l2tund/session/peer.h"

static int derive_generation(struct sessions *ss, const struct noise *n, uint64_t *ret)
{
	static const char label[] = "l2tund generation";
	struct crypto_buf in[] = { { label, sizeof(label) - 1 }, { n->h, 32 } };
	uint8_t out[CRYPTO_HASH_BYTES];
	int r = crypto_sha256(ss->c, in, 2, out);

	if (r == 0)
		*ret = get_le64(out) ? get_le64(out) : 1;
	return r;
}

static int init_seal(struct keypair *kp, struct sessions *ss, struct noise *n,
		     const struct payload *terms)
{
	uint8_t i2r[32], r2i[32];
	int r = noise_split(n, i2r, r2i);

	if (r == 0)
		r = seal_init(&kp->seal, ss->c, terms->mode, terms->cipher,
			      n->initiator ? i2r : r2i, n->initiator ? r2i : i2r, ss->p.lanes);
	crypto_wipe(i2r, sizeof(i2r));
	crypto_wipe(r2i, sizeof(r2i));
	return r;
}

struct keypair *keypair_new(struct session *s, struct noise *n, const struct payload *terms,
			    const struct payload *far, uint32_t index, uint32_t far_index,
			    uint64_t now_us)
{
	struct keypair *kp = calloc(1, sizeof(*kp));

	if (!kp)
		return NULL;
	kp->index = index;
	kp->far_index = far_index;
	kp->initiator = n->initiator;
	kp->epoch = terms->epoch;
	kp->generation = terms->generation;
	kp->born_us = now_us;
	kp->far_incarnation = far->incarnation;
	memcpy(kp->far_name, far->name, sizeof(kp->far_name));
	if (!kp->generation && derive_generation(s->ss, n, &kp->generation) < 0)
		goto fail;
	if (init_seal(kp, s->ss, n, terms) < 0)
		goto fail;
	return kp;
fail:
	free(kp);
	return NULL;
}

void keypair_free(struct session *s, struct keypair *kp)
{
	if (!kp)
		return;
	index_remove(&s->ss->indexes, kp->index);
	seal_fini(&kp->seal);
	free(kp);
}

static void drop(struct session *s, struct keypair **slot)
{
	keypair_free(s, *slot);
	*slot = NULL;
}

void keys_drop(struct session *s)
{
	drop(s, &s->prev);
	drop(s, &s->cur);
	drop(s, &s->fresh);
}

struct keypair *keys_find(const struct session *s, uint32_t index)
{
	struct keypair *const slots[] = { s->cur, s->fresh, s->prev };

	for (unsigned i = 0; i < ARRAY_SIZE(slots); i++)
		if (slots[i] && slots[i]->index == index)
			return slots[i];
	return NULL;
}

void keys_set_fresh(struct session *s, struct keypair *kp)
{
	drop(s, &s->fresh);
	s->fresh = kp;
}

/* Whether our initiations come before the peer's when epochs are equal. */
static bool we_rank_higher(const struct session *s, const struct keypair *kp)
{
	const struct sessions *ss = s->ss;

	if (ss->p.incarnation != kp->far_incarnation)
		return ss->p.incarnation > kp->far_incarnation;
	return memcmp(ss->public_key.b, s->p.public_key.b, KEY_BYTES) > 0;
}

static bool supersedes(const struct session *s, const struct keypair *kp, const struct keypair *old)
{
	if (!old || kp->epoch != old->epoch)
		return !old || kp->epoch > old->epoch;
	if (kp->initiator == old->initiator)
		return true;
	return kp->initiator == we_rank_higher(s, kp);
}

void keys_take(struct session *s, struct keypair *kp, uint64_t now_us)
{
	if (kp == s->cur || kp == s->prev)
		return;
	if (kp == s->fresh)
		s->fresh = NULL;
	drop(s, &s->prev);
	if (!supersedes(s, kp, s->cur)) {
		s->prev = kp;
		return;
	}
	s->prev = s->cur;
	s->cur = kp;
	s->epoch = kp->epoch;
	/* A restarted peer has forgotten the old keys: whoever uses them is not it. */
	if (s->prev && s->prev->far_incarnation != kp->far_incarnation)
		drop(s, &s->prev);
	if (kp->generation != s->generation)
		session_establish(s, kp, now_us);
}

static bool too_old(const struct session *s, const struct keypair *kp, uint64_t now_us)
{
	return kp && now_us - kp->born_us >= s->ss->tune.reject_us;
}

void keys_expire(struct session *s, uint64_t now_us)
{
	if (too_old(s, s->prev, now_us))
		drop(s, &s->prev);
	if (too_old(s, s->fresh, now_us))
		drop(s, &s->fresh);
	if (too_old(s, s->cur, now_us))
		session_down(s, now_us, "keys expired: no new handshake succeeded");
}

uint64_t keys_expire_at(const struct session *s)
{
	const struct keypair *const slots[] = { s->prev, s->cur, s->fresh };
	uint64_t at_us = NEVER;

	for (unsigned i = 0; i < ARRAY_SIZE(slots); i++)
		if (slots[i])
			at_us = MIN(at_us, slots[i]->born_us + s->ss->tune.reject_us);
	return at_us;
}

uint64_t keys_replace_at(const struct session *s)
{
	const struct tunables *t = &s->ss->tune;
	const struct keypair *kp = s->cur;

	if (!kp || !s->p.has_host)
		return NEVER;
	if (s->call.forced)
		return 0;
	/* A peer can count as fast as it likes, and make us calculate: not without a pause. */
	if (kp->initiator && (counter_get(&kp->seal.tx_counter) >= t->rekey_datagrams ||
			      seal_received(&kp->seal) >= t->rekey_datagrams))
		return kp->born_us + t->retry_us;
	return kp->born_us + t->rekey_us + (kp->initiator ? 0 : t->rekey_late_us);
}
