/* The lists of segments: ours to the peer, page by page until it has all, and the peer's. */
#ifndef L2TUND_SESSION_LISTS_H
#define L2TUND_SESSION_LISTS_H

#include "l2tund/session/control.h"
#include "l2tund/session/session.h"

struct list_state {
	uint32_t list;	/* generation of ours; 0: never set */
	uint32_t acked; /* of ours that the peer has complete */
	uint64_t due_us;
	unsigned n, pages;
	uint16_t page_at[CONTROL_PAGES_MAX + 1];
	struct segment own[SESSION_SEGMENTS_MAX];
	bool open[SESSION_SEGMENTS_MAX];
	uint32_t far_list; /* complete here; 0: none */
	unsigned far_n;
	struct segment far[SESSION_SEGMENTS_MAX];
	uint32_t stage_list; /* being received */
	uint16_t stage_mask;
	uint8_t stage_pages;
	unsigned stage_n;
	struct segment stage[SESSION_SEGMENTS_MAX];
};

/* For a new establishment: nothing is known to be at the other end, nor here. */
void lists_reset(struct session *s);
uint64_t lists_tick(struct session *s, uint64_t now_us);
void lists_input(struct session *s, const uint8_t *msg, size_t len, uint64_t now_us);

#endif
