/*
 * The line of a running copy.
 *
 * What matters most comes first, and what does not fit is left out whole; the bar takes what room
 * is left. Only on a terminal is there a control character at all.
 */
#include "bridgectl/cmd/progress.h"

#include <stdlib.h>
#include <string.h>

#include "bridgectl/cmd/cmds.h"
#include "bridgectl/transfer/predict.h"
#include "common/clock.h"
#include "common/jsonline.h"

#define LINE_EVERY_MS 10000
#define JSON_EVERY_MS 1000
#define BAR_MAX 24u
#define BAR_MIN 8u
#define WIDTH_FOR_BAR 36u
#define PARTS_MAX 8
#define PART_LEN 96

/* --- The line --- */

static const char *doing(const struct conduct_state *st, char *buf)
{
	static const char *const words[] = {
		[PHASE_START] = "starting",	[PHASE_OPEN] = "opening",
		[PHASE_CONNECT] = "connecting", [PHASE_PASS] = "",
		[PHASE_SETTLE] = "verifying",	[PHASE_WAIT] = "waiting for disk finish",
		[PHASE_SHA256] = "SHA-256",	[PHASE_DONE] = "completing",
	};
	const char *kind = st->kind ?: "";

	if (st->phase != PHASE_PASS)
		return words[st->phase];
	if (st->final)
		return "last pass";
	if (!strcmp(kind, "dirty"))
		snprintf(buf, PART_LEN, "pass %u", st->pass);
	else
		strcpy(buf, !strcmp(kind, "full") ? "copying" : "comparing");
	return buf;
}

static unsigned copy_parts(const struct conduct_state *st, char parts[][PART_LEN], unsigned n)
{
	double part = st->total ? (double)st->covered / (double)st->total : 1;
	char a[UNIT_LEN];

	/* 100 % is for what is complete. */
	part = part > 1 ? 1 : part > 0.99 && st->covered < st->total ? 0.99 : part;
	snprintf(parts[n++], PART_LEN, "%3.0f %%", part * 100);
	if (st->eta_s < PREDICT_UNKNOWN && st->covered < st->total)
		snprintf(parts[n++], PART_LEN, "%s left", unit_duration_s(st->eta_s + 0.5, a));
	if (st->rate > 0)
		snprintf(parts[n++], PART_LEN, "%s/s", unit_bytes(st->rate, a));
	return n;
}

static unsigned byte_parts(const struct conduct_state *st, char parts[][PART_LEN], unsigned n)
{
	char a[UNIT_LEN], b[UNIT_LEN];

	snprintf(parts[n++], PART_LEN, "%s of %s", unit_bytes((double)st->covered, a),
		 unit_bytes((double)st->total, b));
	return n;
}

static unsigned warm_parts(const struct conduct_state *st, char parts[][PART_LEN], unsigned n)
{
	char a[UNIT_LEN], b[UNIT_LEN];

	if (st->tracking && st->dirty_rate >= 0)
		snprintf(parts[n++], PART_LEN, "dirty %s (+%s/s)", unit_bytes((double)st->dirty, a),
			 unit_bytes(st->dirty_rate, b));
	else if (st->tracking)
		snprintf(parts[n++], PART_LEN, "dirty %s", unit_bytes((double)st->dirty, a));
	if (st->downtime_s < PREDICT_UNKNOWN)
		snprintf(parts[n++], PART_LEN, "downtime %.1f s", st->downtime_s);
	return n;
}

static void draw_bar(const struct conduct_state *st, unsigned width, bool utf8, char *buf)
{
	double part = st->total ? (double)st->covered / (double)st->total : 1;
	unsigned full = (unsigned)(MIN(part, 1.0) * width);

	*buf = '\0';
	for (unsigned i = 0; i < width; i++)
		strcat(buf, i < full ? utf8 ? "█" : "#" : utf8 ? "░" : ".");
}

const char *progress_line(const struct conduct_state *st, unsigned width, bool utf8, char *buf)
{
	char parts[PARTS_MAX][PART_LEN], what[PART_LEN], bar[3 * BAR_MAX + 1] = "";
	bool copies = st->phase == PHASE_PASS, draws = copies && width >= WIDTH_FOR_BAR;
	unsigned n = 0, used, room = width ? width : PROGRESS_LINE_LEN / 4;

	if (copies)
		n = copy_parts(st, parts, n);
	if (st->phase == PHASE_SETTLE && st->verified)
		unit_bytes((double)st->verified, parts[n++]);
	if (st->warm)
		n = warm_parts(st, parts, n);
	if (copies)
		n = byte_parts(st, parts, n);
	snprintf(buf, PROGRESS_LINE_LEN, "%.*s", (int)room, doing(st, what));
	used = out_columns(buf) + (draws ? BAR_MIN + 2 : 0);
	for (unsigned i = 0; i < n; i++) {
		unsigned more = 2 + out_columns(parts[i]);

		if (used + more > room)
			continue;
		strcat(strcat(buf, "  "), parts[i]);
		used += more;
	}
	if (!draws)
		return buf;
	/* Behind the first word. */
	draw_bar(st, MIN(room - used + BAR_MIN, BAR_MAX), utf8, bar);
	used = (unsigned)strlen(doing(st, what));
	memmove(buf + used + 2 + strlen(bar), buf + used, strlen(buf + used) + 1);
	memcpy(buf + used, "  ", 2);
	memcpy(buf + used + 2, bar, strlen(bar));
	return buf;
}

/* --- Where it goes --- */

void progress_init(struct progress *p, struct out *out)
{
	const char *term = getenv("TERM");

	*p = (struct progress){ .out = out };
	p->live = out->width && !out->json && term && *term && strcmp(term, "dumb") != 0;
}

void progress_clear(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", p->out->f);
	p->drawn = false;
}

static void json_event(struct progress *p, const char *event, json_t *j)
{
	json_object_set_new(j, "event", json_string(event));
	out_json(p->out, j, true);
	json_decref(j);
	fflush(p->out->f);
}

static void show(void *arg, const struct conduct_state *st)
{
	struct progress *p = arg;
	char line[PROGRESS_LINE_LEN];
	uint64_t ms = clock_ms(), every = p->out->json ? JSON_EVERY_MS :
					  p->live      ? 0 :
							 LINE_EVERY_MS;

	if (p->out->quiet || st->phase == PHASE_START)
		return;
	if (!p->then_ms)
		p->then_ms = p->out->json ? 0 : ms;
	if (ms - p->then_ms < every && (p->phase == st->phase || !p->out->json))
		return;
	p->then_ms = ms;
	p->phase = st->phase;
	if (p->out->json) {
		json_event(p, "progress", conduct_state_json(st));
		return;
	}
	/* The last column stays free: some terminals wrap when it is written to. */
	progress_line(st, p->out->width ? p->out->width - 1 : 0, p->out->utf8, line);
	if (!p->live) {
		out_line(p->out, STYLE_NONE, "%s", line);
	} else {
		progress_clear(p);
		out_text(p->out, STYLE_NONE, "%s", line);
		p->drawn = true;
	}
	fflush(p->out->f);
}

static void say(void *arg, const char *sentence)
{
	struct progress *p = arg;

	if (p->out->json) {
		json_event(p, "note", json_pack("{so}", "text", jsonline_text(sentence)));
		return;
	}
	if (p->out->quiet)
		return;
	progress_clear(p);
	if (p->out->width)
		out_wrapped(p->out, 0, sentence);
	else
		out_line(p->out, STYLE_NONE, "%s", sentence);
	fflush(p->out->f);
}

struct conduct_ui progress_ui(struct progress *p)
{
	return (struct conduct_ui){ p, show, say };
}
