/* The evidence behind a tunnel's state, in sentences for the person who asks. */
#ifndef L2TUND_WHY_H
#define L2TUND_WHY_H

#include <jansson.h>

struct tunnel;

/* {"name", "state", "reason", "sentences": […]}; a new reference. */
json_t *why_json(const struct tunnel *t);

#endif
