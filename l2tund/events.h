/*
 * What happened: one notice line in the log, one event to subscribers, and the last
 * ones kept for `bridgectl events`.
 */
#ifndef L2TUND_EVENTS_H
#define L2TUND_EVENTS_H

#include <jansson.h>
#include <stdint.h>

struct events;

/* `publish` sends an event on; it borrows the reference. NULL when out of memory. */
struct events *events_new(void (*publish)(void *arg, const json_t *event), void *arg);
void events_free(struct events *ev);

/*
 * One state change of an object: kind is tunnel, peer, bridge or topology. `reason` and
 * `detail` may be empty, and so may `from` when something has happened and nothing changed.
 */
void events_change(struct events *ev, const char *kind, const char *name, const char *from,
		   const char *to, const char *reason, const char *detail);

/* The last CONTROL_EVENTS_KEPT, oldest first; a new reference. */
json_t *events_last(const struct events *ev);

#endif
