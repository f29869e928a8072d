/*
 * Frames over a struct conn. The first byte of an ERROR's text is the code of the failure, so
 * that the other end answers with the same one.
 *
 * Whoever is greeted proves that he has the transfer's key before anything is said to him. The
 * proof covers the role, so it cannot be sent back to the one it came from, and the number,
 * which is taken once: one that was overheard is of no use.
 */
#include "bridgectl/transfer/wire.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#define PROOF_LABEL "bridgectl disk transfer 1"
#define PROOF_BYTES 32
#define PROOF_AT 16

_Static_assert(PROOF_AT + PROOF_BYTES == FRAME_HELLO_BYTES, "HELLO as in frame.h");

static int broken(struct fail *f, int r)
{
	switch (r) {
	case -ETIMEDOUT:
		return fail_set(f, FAIL_CONNECTION,
				"the other end does not answer any more; the network seems to be "
				"cut");
	case -ECONNABORTED:
		return fail_set(f, FAIL_STOPPED, "stopped");
	case -EBADMSG:
		return fail_set(f, FAIL_CONNECTION, "damaged bytes came in a TLS connection");
	case -ECONNRESET:
	case -EPIPE:
		return fail_set(f, FAIL_CONNECTION, "the other end has closed a data connection");
	default:
		return fail_set(f, FAIL_CONNECTION, "a data connection broke: %s", strerror(-r));
	}
}

int wire_send(struct wire *w, const struct frame *frame, struct iovec *iov, unsigned n,
	      struct fail *f)
{
	uint8_t header[FRAME_HEADER_BYTES];
	int r;

	frame_put(header, frame, w->digest);
	iov[0] = (struct iovec){ header, sizeof(header) };
	r = conn_write(w->conn, iov, n);
	return r < 0 ? broken(f, r) : 0;
}

int wire_send_bare(struct wire *w, enum frame_type type, uint8_t flags, uint64_t offset,
		   uint64_t length, struct fail *f)
{
	struct frame frame = { .type = type, .flags = flags, .offset = offset, .length = length };
	struct iovec iov;

	return wire_send(w, &frame, &iov, 1, f);
}

int wire_flush(struct wire *w, struct fail *f)
{
	int r = conn_flush(w->conn);

	return r < 0 ? broken(f, r) : 0;
}

int wire_read(struct wire *w, void *buf, size_t len, struct fail *f)
{
	int r = conn_read(w->conn, buf, len);

	return r < 0 ? broken(f, r) : 0;
}

/* What the other end says went wrong there. Its text is data: control characters go. */
static int take_error(struct wire *w, const struct frame *frame, struct fail *f)
{
	char text[FRAME_TEXT_MAX + 1];
	enum fail_code code = FAIL_PROTOCOL;
	int r = wire_read(w, text, MIN(frame->payload, FRAME_TEXT_MAX), f);

	if (r < 0)
		return r;
	text[MIN(frame->payload, FRAME_TEXT_MAX)] = '\0';
	for (char *p = text + 1; frame->payload && *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	if (frame->payload && text[0] > FAIL_NONE && text[0] < FAIL_CODES)
		code = (enum fail_code)text[0];
	return fail_set(f, code, "the other end says: %s", frame->payload ? text + 1 : "");
}

int wire_take(struct wire *w, struct frame *ret, struct fail *f)
{
	uint8_t header[FRAME_HEADER_BYTES];
	struct frame frame;
	int r = wire_read(w, header, sizeof(header), f);

	if (r < 0)
		return r;
	r = frame_take(header, w->window, w->digest, &frame);
	if (r < 0)
		return fail_set(f, FAIL_PROTOCOL, "%s came on a data connection",
				r == -EBADMSG ? "a damaged frame" : "a frame that makes no sense");
	if (frame.type == FRAME_ERROR)
		return take_error(w, &frame, f);
	*ret = frame;
	return 0;
}

void wire_send_error(struct wire *w, const struct fail *why)
{
	struct frame frame = { .type = FRAME_ERROR };
	char text[FRAME_TEXT_MAX];
	struct iovec iov[2];
	struct fail ignored;

	text[0] = (char)why->code;
	snprintf(text + 1, sizeof(text) - 1, "%.*s", (int)sizeof(text) - 2, why->text);
	frame.payload = (uint32_t)(1 + strlen(text + 1));
	iov[1] = (struct iovec){ text, frame.payload };
	if (wire_send(w, &frame, iov, 2, &ignored) == 0)
		conn_flush(w->conn);
}

/* --- The greeting --- */

static void proof(const struct wire_setup *s, enum wire_role role, const uint8_t *payload,
		  uint8_t *ret)
{
	uint8_t text[sizeof(PROOF_LABEL) + 1 + PROOF_AT + 8];
	unsigned len = PROOF_BYTES;

	memcpy(text, PROOF_LABEL, sizeof(PROOF_LABEL));
	text[sizeof(PROOF_LABEL)] = (uint8_t)role;
	memcpy(text + sizeof(PROOF_LABEL) + 1, payload, PROOF_AT);
	put_le64(text + sizeof(PROOF_LABEL) + 1 + PROOF_AT, s->window);
	if (!HMAC(EVP_sha256(), s->key, CONN_KEY_BYTES, text, sizeof(text), ret, &len))
		abort(); /* SHA-256 is always there, and there is nothing to allocate */
}

static int send_hello(struct wire *w, const struct wire_setup *s, struct fail *f)
{
	struct frame frame = { .type = FRAME_HELLO,
			       .payload = FRAME_HELLO_BYTES,
			       .offset = s->window,
			       .length = WIRE_VERSION };
	uint8_t payload[FRAME_HELLO_BYTES] = { 0 };
	struct iovec iov[2] = { { 0 }, { payload, sizeof(payload) } };
	int r;

	put_le32(payload, w->number);
	put_le64(payload + 8, s->role == WIRE_TARGET ? s->known_bytes : 0);
	proof(s, s->role, payload, payload + PROOF_AT);
	r = wire_send(w, &frame, iov, 2, f);
	return r < 0 ? r : wire_flush(w, f);
}

static int take_hello(struct wire *w, const struct wire_setup *s, struct fail *f)
{
	enum wire_role other = s->role == WIRE_SOURCE ? WIRE_TARGET : WIRE_SOURCE;
	uint8_t payload[FRAME_HELLO_BYTES], wanted[PROOF_BYTES];
	struct frame frame;
	int r = wire_take(w, &frame, f);

	if (r < 0)
		return r;
	if (frame.type != FRAME_HELLO || frame.payload != sizeof(payload))
		return fail_set(f, FAIL_PROTOCOL,
				"a data connection did not begin with a greeting");
	r = wire_read(w, payload, sizeof(payload), f);
	if (r < 0)
		return r;
	proof(s, other, payload, wanted);
	if (CRYPTO_memcmp(wanted, payload + PROOF_AT, PROOF_BYTES) != 0)
		return fail_set(f, FAIL_PROTOCOL,
				"a stranger called: the key is not that of this transfer");
	if (frame.offset != s->window || frame.length != WIRE_VERSION)
		return fail_set(f, FAIL_PROTOCOL,
				"the two ends do not agree on what is copied, or are of versions "
				"that do not fit");
	w->number = get_le32(payload);
	w->known_bytes = other == WIRE_TARGET ? get_le64(payload + 8) : s->known_bytes;
	return 0;
}

int wire_greet(struct wire *ret, struct conn *c, const struct wire_setup *s, unsigned number,
	       struct fail *f)
{
	struct wire w = { .conn = c, .digest = &s->digest, .window = s->window, .number = number };
	int r = send_hello(&w, s, f);

	if (r < 0)
		return r;
	r = take_hello(&w, s, f);
	if (r < 0)
		return r;
	if (w.number != number)
		return fail_set(f, FAIL_PROTOCOL, "the other end takes one connection for another");
	*ret = w;
	return 0;
}

int wire_hear(struct wire *ret, struct conn *c, const struct wire_setup *s, struct fail *f)
{
	struct wire w = { .conn = c, .digest = &s->digest, .window = s->window };
	int r = take_hello(&w, s, f);

	if (r == 0)
		*ret = w;
	return r;
}

int wire_answer(struct wire *w, const struct wire_setup *s, struct fail *f)
{
	return send_hello(w, s, f);
}
