/*
 * Lists of segments. They do not fit one datagram and change at a reload, so they travel
 * as numbered pages of a numbered list (its generation), again and again until the peer's hello
 * says that it has that list complete. Invariants: a list is shown to the caller only when
 * it is complete and consistent; a page of an older list never replaces anything.
 */

#include <errno.h>
#include <string.h>

#include "common/util.h"
#include "l2tund/session/peer.h"

void lists_reset(struct session *s)
{
	struct list_state *l = &s->lists;

	l->acked = 0;
	l->due_us = 0;
	l->far_list = 0;
	l->far_n = 0;
	l->stage_list = 0;
	l->stage_mask = 0;
	l->stage_pages = 0;
	l->stage_n = 0;
}

/* Finds where pages begin by writing them once. */
static int paginate(struct session *s)
{
	struct list_state *l = &s->lists;
	unsigned at = 0, taken;

	l->pages = 0;
	do {
		if (l->pages == CONTROL_PAGES_MAX)
			return -E2BIG;
		if (control_build_segments(l->list, 0, 1, l->own + at, l->n - at,
					   s->ss->buf + CONTROL_AT, CONTROL_CAP, &taken) < 0)
			return -E2BIG;
		l->page_at[l->pages++] = (uint16_t)at;
		at += taken;
	} while (at < l->n);
	l->page_at[l->pages] = (uint16_t)l->n;
	return 0;
}

int session_set_segments(struct session *s, const struct segment *segs, unsigned n, uint64_t now_us)
{
	struct list_state *l = &s->lists;
	bool open[SESSION_SEGMENTS_MAX] = { false };

	if (n > SESSION_SEGMENTS_MAX)
		return -E2BIG;
	/* A segment that stays keeps its state. */
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < l->n; j++)
			if (segs[i].id == l->own[j].id)
				open[i] = l->open[j];
	if (n)
		memcpy(l->own, segs, n * sizeof(*segs));
	memcpy(l->open, open, sizeof(open));
	l->n = n;
	l->list++;
	if (!l->list)
		l->list = 1;
	l->due_us = 0;
	int r = paginate(s);
	hello_flush(s, now_us);
	return r;
}

void session_set_open(struct session *s, uint16_t id, bool open, uint64_t now_us)
{
	struct list_state *l = &s->lists;

	for (unsigned i = 0; i < l->n; i++) {
		if (l->own[i].id != id || l->open[i] == open)
			continue;
		l->open[i] = open;
		hello_flush(s, now_us);
	}
}

uint64_t lists_tick(struct session *s, uint64_t now_us)
{
	struct list_state *l = &s->lists;
	unsigned taken;

	if (!s->cur || !l->list || l->acked == l->list)
		return NEVER;
	if (now_us < l->due_us)
		return l->due_us;
	for (unsigned i = 0; i < l->pages; i++) {
		unsigned at = l->page_at[i];
		int len = control_build_segments(l->list, (uint8_t)i, (uint8_t)l->pages,
						 l->own + at, l->page_at[i + 1] - at,
						 s->ss->buf + CONTROL_AT, CONTROL_CAP, &taken);
		if (len > 0)
			session_send_control(s, (size_t)len, now_us);
	}
	l->due_us = now_us + MAX(s->ss->tune.lists_us, 2 * (uint64_t)s->hello.rtt_us);
	return l->due_us;
}

static int by_id(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;
	return (int)x->id - (int)y->id;
}

static void complete(struct session *s, uint64_t now_us)
{
	struct list_state *l = &s->lists;

	l->stage_mask = 0;
	qsort(l->stage, l->stage_n, sizeof(l->stage[0]), by_id);
	for (unsigned i = 1; i < l->stage_n; i++) {
		if (l->stage[i].id == l->stage[i - 1].id) {
			/* Two segments of one number: no use to anybody. */
			session_count_drop(s->lane, -EPROTO);
			l->stage_n = 0;
			return;
		}
	}
	memcpy(l->far, l->stage, l->stage_n * sizeof(l->far[0]));
	l->far_n = l->stage_n;
	l->far_list = l->stage_list;
	hello_flush(s, now_us); /* so that the peer stops sending it */
	if (s->state == SESSION_UP)
		session_event(s, SESSION_EV_SEGMENTS);
}

void lists_input(struct session *s, const uint8_t *msg, size_t len, uint64_t now_us)
{
	struct list_state *l = &s->lists;
	struct segments_page in;

	if (control_parse_segments(msg, len, &in) < 0) {
		session_count_drop(s->lane, -EPROTO);
		return;
	}
	if (in.list == l->far_list)
		return;
	if (l->stage_list && (int32_t)(in.list - l->stage_list) < 0)
		return;
	if (in.list != l->stage_list || in.pages != l->stage_pages) {
		l->stage_list = in.list;
		l->stage_pages = in.pages;
		l->stage_mask = 0;
		l->stage_n = 0;
	}
	if (l->stage_mask & 1u << in.page)
		return;
	if (in.n > SESSION_SEGMENTS_MAX - l->stage_n) {
		session_count_drop(s->lane, -EPROTO);
		return;
	}
	memcpy(l->stage + l->stage_n, in.segs, in.n * sizeof(in.segs[0]));
	l->stage_n += in.n;
	l->stage_mask |= (uint16_t)(1u << in.page);
	if (l->stage_mask == (1u << l->stage_pages) - 1)
		complete(s, now_us);
}

const struct segment *session_far_segments(const struct session *s, unsigned *ret_n)
{
	*ret_n = s->lists.far_n;
	return s->lists.far_list ? s->lists.far : NULL;
}

bool session_far_open(const struct session *s, uint16_t far_id)
{
	for (unsigned i = 0; i < s->hello.n; i++)
		if (s->hello.far[i].id == far_id)
			return s->hello.far[i].flags & HELLO_SEGMENT_OPEN;
	return false;
}
