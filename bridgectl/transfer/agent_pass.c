/*
 * Passes as the agent's methods, and what is told about them. Tracking: as soon as events were
 * lost, the next pass compares all of the disk, whatever kind it was asked for.
 */
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#include "bridgectl/transfer/agent_private.h"

#define SHA_BYTES 32

/* --- Tracking --- */

static json_t *start_tracking(struct agent *a)
{
	char why[TRACK_ERRLEN] = "no memory";
	struct dirty *d = dirty_new(a->window.length);
	struct track *t;

	t = d ? track_start(a->target.fd, a->window.offset, a->window.length, d, why) : NULL;
	if (!t) {
		dirty_free(d);
		return json_pack("{s:b, s:s}", "on", 0, "why", why);
	}
	pthread_mutex_lock(&a->lock);
	a->dirty = d;
	a->track = t;
	a->lost_pending = false;
	pthread_mutex_unlock(&a->lock);
	return json_pack("{s:b, s:s}", "on", 1, "why", "");
}

static void stop_tracking(struct agent *a)
{
	struct track *t;
	struct dirty *d;

	pthread_mutex_lock(&a->lock);
	t = steal(a->track);
	d = steal(a->dirty);
	pthread_mutex_unlock(&a->lock);
	track_stop(t);
	dirty_free(d);
}

json_t *agent_track(struct agent *a, const struct agent_params *p, struct fail *f)
{
	if (!a->opened) {
		fail_set(f, FAIL_PROTOCOL, "nothing is open");
		return NULL;
	}
	stop_tracking(a);
	return p->on ? start_tracking(a) : json_pack("{s:b, s:s}", "on", 0, "why", "");
}

/* With the lock. All that was written before is marked afterwards. */
static void sync_tracking(struct agent *a)
{
	if (!a->track || track_sync(a->track))
		return;
	a->lost++;
	a->lost_pending = true;
	dirty_mark_all(a->dirty);
}

static uint64_t dirty_bytes(const struct agent *a)
{
	return a->dirty ? MIN(dirty_chunks(a->dirty) * CHUNK_BYTES, a->window.length) : 0;
}

json_t *agent_dirty(struct agent *a, const struct agent_params *p, struct fail *f)
{
	json_t *result;

	(void)p;
	(void)f;
	pthread_mutex_lock(&a->lock);
	sync_tracking(a);
	result = json_pack("{s:I, s:I, s:I}", "bytes", (json_int_t)dirty_bytes(a), "lost",
			   (json_int_t)a->lost, "events",
			   (json_int_t)(a->track ? track_events(a->track) : 0));
	pthread_mutex_unlock(&a->lock);
	return result;
}

json_t *agent_rate(struct agent *a, const struct agent_params *p, struct fail *f)
{
	(void)f;
	pthread_mutex_lock(&a->lock);
	a->rate = p->bytes_per_s;
	if (a->sender)
		sender_rate(a->sender, a->rate);
	pthread_mutex_unlock(&a->lock);
	return json_object();
}

/* --- The source's pass --- */

static json_t *offsets(const uint64_t *list, unsigned n)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(array, json_integer((json_int_t)list[i]));
	return array;
}

/* With the lock. */
static json_t *pass_counts(struct agent *a)
{
	struct sender_counts c;

	sender_counts(a->sender, &c);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I}", "covered_bytes",
			 (json_int_t)c.covered, "total_bytes", (json_int_t)c.total, "read_bytes",
			 (json_int_t)c.read, "sent_bytes", (json_int_t)c.sent, "wire_bytes",
			 (json_int_t)c.wire, "zero_bytes", (json_int_t)c.zero, "same_bytes",
			 (json_int_t)c.same, "dirty_bytes", (json_int_t)dirty_bytes(a), "lost",
			 (json_int_t)a->lost, "mismatches", offsets(c.mismatches, c.n_mismatches),
			 "mismatched_bytes", (json_int_t)c.mismatched);
}

json_t *agent_pass(struct agent *a, const struct agent_params *p, struct fail *f)
{
	struct sender_pass pass = { .kind = (enum pass_kind)p->kind,
				    .compress = (enum pass_compress)p->compress };
	json_t *result;

	if (agent_need_connections(a, f) < 0)
		return NULL;
	pthread_mutex_lock(&a->lock);
	sync_tracking(a);
	pass.dirty = a->dirty;
	pass.lost = a->lost_pending;
	/* Losses from now on are of this pass, and for the next one. */
	if (pass.kind != PASS_VERIFY)
		a->lost_pending = false;
	pthread_mutex_unlock(&a->lock);
	if (pass.kind == PASS_DIRTY && !pass.dirty) {
		fail_set(f, FAIL_PROTOCOL, "nothing has been tracked");
		return NULL;
	}
	if (sender_run(a->sender, &pass, f) < 0)
		return NULL;
	pthread_mutex_lock(&a->lock);
	sync_tracking(a);
	result = pass_counts(a);
	pthread_mutex_unlock(&a->lock);
	return result;
}

/* --- The target's pass --- */

json_t *agent_begin(struct agent *a, const struct agent_params *p, struct fail *f)
{
	if (agent_need_connections(a, f) < 0 ||
	    receiver_begin(a->receiver, (uint32_t)p->pass, (enum pass_kind)p->kind, f) < 0)
		return NULL;
	return json_object();
}

json_t *agent_settle(struct agent *a, const struct agent_params *p, struct fail *f)
{
	struct receiver_counts c;

	if (!a->receiver) {
		fail_set(f, FAIL_PROTOCOL, "no pass has begun");
		return NULL;
	}
	if (receiver_settle(a->receiver, (uint32_t)p->pass, f) < 0)
		return NULL;
	receiver_counts(a->receiver, &c);
	return json_pack("{s:I, s:I, s:o, s:I}", "written_bytes", (json_int_t)c.written,
			 "verified_bytes", (json_int_t)c.verified, "mismatches",
			 offsets(c.mismatches, c.n_mismatches), "mismatched_bytes",
			 (json_int_t)c.mismatched);
}

/* --- sha256 --- */

static int hash_window(struct agent *a, EVP_MD_CTX *md, uint64_t length, struct fail *f)
{
	_cleanup_free_ uint8_t *buf = window_buffer(SPAN_BYTES);

	if (!buf || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		return fail_set(f, FAIL_INTERNAL, "no memory");
	for (uint64_t at = 0; at < length;) {
		size_t n = (size_t)MIN(SPAN_BYTES, length - at);
		/* Of what was written the disk is asked, not the cache. */
		int r = a->o->role == AGENT_TARGET ? window_reread(&a->window, at, buf, n) :
						     window_read(&a->window, at, buf, n);

		if (atomic_load(&a->stop))
			return fail_set(f, FAIL_STOPPED, "stopped");
		if (r < 0)
			return fail_set(f, FAIL_IO, "cannot read %s at byte %llu: %s",
					a->target.path, (unsigned long long)(a->window.offset + at),
					strerror(-r));
		if (EVP_DigestUpdate(md, buf, n) != 1)
			return fail_set(f, FAIL_INTERNAL, "SHA-256 failed");
		at += n;
		atomic_store(&a->hashed, at);
	}
	return 0;
}

json_t *agent_sha256(struct agent *a, const struct agent_params *p, struct fail *f)
{
	uint8_t digest[SHA_BYTES];
	char text[2 * SHA_BYTES + 1];
	uint64_t length = p->length ? p->length : a->window.length;
	EVP_MD_CTX *md;
	int r;

	atomic_store(&a->hashed, 0);
	if (!a->opened || length > a->window.length) {
		fail_set(f, FAIL_USAGE, "it is not open, or not so long");
		return NULL;
	}
	md = EVP_MD_CTX_new();
	r = md ? hash_window(a, md, length, f) : fail_set(f, FAIL_INTERNAL, "no memory");
	if (r == 0 && EVP_DigestFinal_ex(md, digest, NULL) != 1)
		r = fail_set(f, FAIL_INTERNAL, "SHA-256 failed");
	EVP_MD_CTX_free(md);
	if (r < 0)
		return NULL;
	for (unsigned i = 0; i < SHA_BYTES; i++)
		snprintf(text + 2 * (size_t)i, 3, "%02x", digest[i]);
	return json_pack("{s:s}", "sha256", text);
}

/* --- Progress --- */

static json_t *settle_progress(struct agent *a)
{
	struct receiver_counts c;

	receiver_counts(a->receiver, &c);
	return json_pack("{s:I, s:I, s:I}", "verified_bytes", (json_int_t)c.verified, "total_bytes",
			 (json_int_t)c.to_verify, "written_bytes", (json_int_t)c.written);
}

json_t *agent_progress(struct agent *a, enum agent_method m)
{
	json_t *line = NULL;

	pthread_mutex_lock(&a->lock);
	if (m == METHOD_PASS && a->sender)
		line = pass_counts(a);
	else if (m == METHOD_SETTLE && a->receiver)
		line = settle_progress(a);
	else if (m == METHOD_SHA256)
		line = json_pack("{s:I, s:I}", "covered_bytes", (json_int_t)atomic_load(&a->hashed),
				 "total_bytes", (json_int_t)a->window.length);
	pthread_mutex_unlock(&a->lock);
	return line;
}
