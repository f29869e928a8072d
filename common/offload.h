/*
 * The switches of the data path, and what became of them: each can be wanted or not by the
 * configuration (`offload { … }`), and each that is wanted can still be refused by the
 * kernel, which is then told with its reason (`bridgectl tunnel show`).
 */
#ifndef COMMON_OFFLOAD_H
#define COMMON_OFFLOAD_H

#include <stdbool.h>

enum offload {
	OFFLOAD_CHECKSUM,    /* the bridge hands over frames whose L4 checksum is unfinished */
	OFFLOAD_TSO,	     /* and TCP super-frames of up to 64 KiB; needs checksum */
	OFFLOAD_USO,	     /* and UDP super-frames; needs checksum, Linux 6.2 */
	OFFLOAD_UDP_SEGMENT, /* runs of datagrams leave in one call, udp(7) */
	OFFLOAD_UDP_GRO,     /* and come in one call */
	OFFLOAD_JOIN,	     /* what came in pieces goes to the bridge as one super-frame */
	OFFLOAD_COALESCE,    /* frames of one flow from the bridge become one super-frame */
	OFFLOAD_PACK,	     /* frames that wait together share a datagram */
	OFFLOADS,
};

#define OFFLOAD_ALL ((1U << OFFLOADS) - 1)
#define OFFLOAD_WHY_MAX 96

/* Some of the switches, as sets of bits 1 << enum offload. */
struct offloads {
	unsigned active;
	char why[OFFLOADS][OFFLOAD_WHY_MAX]; /* of those not active; "" when just switched off */
};

/* "tso": in the configuration and in JSON. */
const char *offload_name(enum offload o);

static inline bool offload_on(unsigned set, enum offload o)
{
	return set >> o & 1;
}

/* Takes `o` out of what is active and says why; the first reason stays. */
void offload_refuse(struct offloads *os, enum offload o, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Adds another's part: what it has active, and its reasons for what it has not. */
void offload_add(struct offloads *os, const struct offloads *part);

#endif
