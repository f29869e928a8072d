/* Of every state with every reason: a cause in one sentence, and what ends it in another. Pure. */
#ifndef L2TUND_WHY_TEXT_H
#define L2TUND_WHY_TEXT_H

#include <stddef.h>

#include "common/names.h"

struct why_text {
	const char *cause, *remedy; /* never empty; `{tunnel}` and `{peer}` stand for names */
};

struct why_text why_text(enum tunnel_state s, enum tunnel_reason r);
/* Puts the names in; gives `buf`. */
const char *why_fill(const char *text, const char *tunnel, const char *peer, char *buf,
		     size_t size);
/* `text` holds all commands in backquotes that `remedy` has, and there is one: it is said. */
bool why_is_told(const char *text, const char *remedy);

#endif
