/* What stands in a tunnel's way, as one state with one reason and one sentence. */
#ifndef L2TUND_VERDICT_H
#define L2TUND_VERDICT_H

#include "l2tund/tunnel.h"

struct verdict {
	enum tunnel_state state;
	enum tunnel_reason reason;
	char detail[sizeof(((struct tunnel *)0)->detail)];
};

/* Judges by the facts as they are now; `t->state` counts only for how the last step is called. */
void verdict_of(const struct tunnel *t, struct verdict *ret);

#endif
