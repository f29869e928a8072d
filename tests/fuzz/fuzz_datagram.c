/*
 * Datagrams of strangers, to a node with one session that is up and one that is being called.
 * Input: one byte of options, then the datagram. Nothing that comes may change the
 * session, and no answer may be longer than the question.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/util.h"
#include "l2tund/session/cookie.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/session_pair.h"

#define OPT_INDEX 0x03 /* put in the index of: 1 the session, 2 the call; 3 the response's place */
#define OPT_MAC1 0x04  /* make mac1 right */
#define OPT_LOAD 0x08  /* the node is under load */
#define OPT_PEER 0x10  /* from the peer's address */

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void prepare(struct session_pair *p, uint8_t options, uint8_t *dgram, size_t len)
{
	struct sessions *ss = p->nodes[0].ss;
	uint32_t call = p->nodes[0].silent->call.index;
	struct cookie_maker maker = { .keys = ss->checker.keys };

	if (len >= 16 && (options & OPT_INDEX) == 1)
		put_le32(dgram + 4, p->nodes[0].s->cur->index);
	if (len >= 16 && (options & OPT_INDEX) == 2)
		put_le32(dgram + 4, call);
	if (len >= 16 && (options & OPT_INDEX) == 3)
		put_le32(dgram + 8, call);
	if (len >= COOKIE_MACS_BYTES && options & OPT_MAC1)
		must(cookie_stamp(&maker, ss->c, dgram, len, p->now_us) == 0);
	ss->load.until_us = options & OPT_LOAD ? p->now_us + 1 : 0;
	ss->load.count = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct session_pair *p;
	static uint8_t dgram[SESSION_DGRAM_MAX + 1];

	if (!p) {
		p = session_pair_new();
		p->deaf = true;
	}
	if (size < 1 || size - 1 > sizeof(dgram))
		return 0;
	size_t len = size - 1;
	memcpy(dgram, data + 1, len);
	prepare(p, data[0], dgram, len);

	struct pair_node *n = &p->nodes[0];
	struct session before = *n->s;
	uint64_t rx = counter_get(&n->s->lane->rx_datagrams);
	struct path from = { n->addr, n->addr, 0 };
	if (data[0] & OPT_PEER)
		from.remote = p->nodes[1].addr;
	else
		must(addr_parse("198.51.100.7:7", &from.remote) == 0);
	p->sent = 0;
	p->sent_max = 0;
	n->records = 0;
	sessions_input(n->ss, &from, dgram, len, p->now_us);

	must(n->s->state == SESSION_UP && n->s->cur == before.cur && n->s->prev == before.prev &&
	     n->s->fresh == before.fresh && counter_get(&n->s->lane->rx_datagrams) == rx);
	must(addr_equal(&n->s->path.remote, &before.path.remote));
	must(n->s->hello.echoed_us == before.hello.echoed_us);
	must(n->records == 0 && p->sent <= 1 && p->sent_max <= len);
	must(n->silent->state == SESSION_HANDSHAKE && !n->silent->cur);
	return 0;
}
