/*
 * What both ends of the control protocol must agree on (doc/protocol.md, "Control
 * socket"): where it is, how long a line may be and how deep its JSON may go.
 */
#ifndef COMMON_CONTROL_H
#define COMMON_CONTROL_H

#define CONTROL_VERSION 1
#define CONTROL_SOCKET "/run/l2tund/control.sock"
#define CONTROL_LINE_MAX 65536		    /* bytes of one request without its newline */
#define CONTROL_REPLY_MAX (4 * 1024 * 1024) /* bytes of one reply that a client must take */
#define CONTROL_DEPTH_MAX 16		    /* arrays and objects inside each other, both ways */
#define CONTROL_EVENTS_KEPT 256		    /* what `events` answers at most */

#endif
