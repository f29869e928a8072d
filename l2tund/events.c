/*
 * State changes, told three ways at once so that they never differ: the log for
 * whoever reads it later, the subscribers for whoever watches, and a ring for whoever
 * asks what just happened.
 */
#include "l2tund/events.h"

#include <stdlib.h>
#include <time.h>

#include "common/control.h"
#include "common/jsonline.h"
#include "common/log.h"
#include "common/util.h"

struct events {
	void (*publish)(void *arg, const json_t *event);
	void *arg;
	json_t *ring[CONTROL_EVENTS_KEPT];
	unsigned next;
};

struct events *events_new(void (*publish)(void *arg, const json_t *event), void *arg)
{
	struct events *ev = calloc(1, sizeof(*ev));

	if (!ev)
		return NULL;
	ev->publish = publish;
	ev->arg = arg;
	return ev;
}

void events_free(struct events *ev)
{
	if (!ev)
		return;
	for (unsigned i = 0; i < CONTROL_EVENTS_KEPT; i++)
		json_decref(ev->ring[i]);
	free(ev);
}

/* RFC 3339 in UTC with milliseconds. */
static void time_format(char *buf, size_t size)
{
	struct timespec ts;
	struct tm tm;
	char day[32];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf, size, "%s.%03ldZ", day, ts.tv_nsec / 1000000);
}

static void events_log(const char *kind, const char *name, const char *from, const char *to,
		       const char *reason, const char *detail)
{
	log_notice(LOG_CORE, "%s %s: %s%s%s%s%s%s%s%s", kind, name, from, *from ? " -> " : "", to,
		   *reason ? " (" : "", reason, *reason ? ")" : "", *detail ? ": " : "", detail);
}

void events_change(struct events *ev, const char *kind, const char *name, const char *from,
		   const char *to, const char *reason, const char *detail)
{
	char now[48];

	events_log(kind, name, from, to, reason, detail);
	time_format(now, sizeof(now));
	json_t *event = json_pack("{s:s s:s s:s s:s s:s s:s s:o}", "event", kind, "time", now,
				  "name", name, "from", from, "to", to, "reason", reason, "detail",
				  jsonline_text(detail));
	if (!event)
		return;
	json_decref(ev->ring[ev->next]);
	ev->ring[ev->next] = event;
	ev->next = (ev->next + 1) % CONTROL_EVENTS_KEPT;
	ev->publish(ev->arg, event);
}

json_t *events_last(const struct events *ev)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < CONTROL_EVENTS_KEPT; i++) {
		json_t *e = ev->ring[(ev->next + i) % CONTROL_EVENTS_KEPT];

		if (e)
			json_array_append(list, e);
	}
	return list;
}
