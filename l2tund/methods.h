/* The control methods: what bridgectl can ask of the daemon (doc/protocol.md, "Control socket"). */
#ifndef L2TUND_METHODS_H
#define L2TUND_METHODS_H

#include "l2tund/control/server.h"

/* The rows for ctl_server_new(); their ctx is the struct daemon. */
const struct ctl_method *methods_rows(size_t *ret_n);

#endif
