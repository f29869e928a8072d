/*
 * Control messages of an authenticated peer that has gone mad: hellos, lists of segments,
 * probes, close. The bytes are the records of one sealed datagram. Whatever they say, the
 * lease stays within the dead time, the tables within their limits, and what is sent
 * back stays small.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/names.h"
#include "common/util.h"
#include "l2tund/session/peer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/session_pair.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_lists(const struct session *s)
{
	unsigned n;
	const struct segment *far = session_far_segments(s, &n);

	must(n <= SESSION_SEGMENTS_MAX && (far || n == 0));
	for (unsigned i = 0; i < n; i++) {
		must(name_valid(far[i].bridge, SESSION_BRIDGE_MAX));
		must(name_valid(far[i].want, SESSION_BRIDGE_MAX));
		must(i == 0 || far[i - 1].id < far[i].id);
		session_far_open(s, far[i].id);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct session_pair *p;
	static struct session *snapshot;
	struct session *s;

	if (!p) {
		snapshot = malloc(sizeof(*snapshot));
		must(snapshot != NULL);
		p = session_pair_new();
		p->deaf = true;
		*snapshot = *p->nodes[0].s;
	}
	s = p->nodes[0].s;
	*s = *snapshot;
	p->sent = 0;
	p->sent_max = 0;
	uint64_t lease_us = session_lease_us(s);
	session_control_input(s, data, size, p->now_us);

	must(session_lease_us(s) <= MAX(lease_us, p->now_us + s->p.dead_us));
	must(s->pmtu.mtu >= PMTU_BASE && s->pmtu.mtu <= SESSION_PACKET_MAX);
	must(p->sent <= size / RECORD_HDR_BYTES && p->sent_max <= 64);
	check_lists(s);
	if (s->cur != snapshot->cur) { /* closed: its keys are gone */
		must(s->state != SESSION_UP);
		session_pair_free(p);
		p = NULL;
		free(snapshot);
		return 0;
	}
	must(s->state == SESSION_UP);
	sessions_tick(p->nodes[0].ss, p->now_us + 1); /* answers, within reason */
	return 0;
}
