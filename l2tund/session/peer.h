/* What session.c does for the other files of this folder. */
#ifndef L2TUND_SESSION_PEER_H
#define L2TUND_SESSION_PEER_H

#include "common/util.h"
#include "l2tund/session/state.h"

void session_event(struct session *s, enum session_event ev);
/* Sets the detail; an event follows when it is new. */
void session_note(struct session *s, const char *fmt, ...) _printf_(2, 3);
/* The same of a peer that was heard: what the two do not agree on. */
void session_differ(struct session *s, const char *fmt, ...) _printf_(2, 3);
/* The end of an establishment: event when it was up, keys gone, calls again. `fmt`: why. */
void session_down(struct session *s, uint64_t now_us, const char *fmt, ...) _printf_(3, 4);
/* Keys of another generation became current. */
void session_establish(struct session *s, struct keypair *kp, uint64_t now_us);
void session_settle(struct session *s, uint64_t now_us); /* works out `state` */
/* Seals and sends the message of `len` bytes at ss->buf + CONTROL_AT. 0, -EMSGSIZE or -ENOKEY. */
int session_send_control(struct session *s, size_t len, uint64_t now_us);
/* Ends what is over at `now_us`: lease, keys. */
void session_expire(struct session *s, uint64_t now_us);
uint64_t session_tick(struct session *s, uint64_t now_us);
/* IP and UDP headers on the present path. */
unsigned session_ip_overhead(const struct session *s);
void session_wake(struct session *s); /* something is due at once */
/* The sum over all lanes of the counter at this offset of struct session_lane. */
uint64_t session_sum(const struct session *s, size_t member);
/* `error` is seal_in()'s; -EPROTO is also whatever else is malformed. */
void session_count_drop(struct session_lane *l, int error);
/* What an authenticated peer makes us read: the records of a control datagram. */
void session_control_input(struct session *s, const uint8_t *p, size_t len, uint64_t now_us);
void session_take_path(struct session *s, const struct path *from, uint64_t now_us);

#endif
