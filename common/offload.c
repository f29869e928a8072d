/*
 * Names and reasons of the data path's switches. A switch that is not active has a reason, or
 * was never wanted: nobody has to guess why a tunnel is slow.
 */
#include "common/offload.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *offload_name(enum offload o)
{
	static const char *const names[OFFLOADS] = {
		[OFFLOAD_CHECKSUM] = "checksum", [OFFLOAD_TSO] = "tso",
		[OFFLOAD_USO] = "uso",		 [OFFLOAD_UDP_SEGMENT] = "udp-segment",
		[OFFLOAD_UDP_GRO] = "udp-gro",	 [OFFLOAD_JOIN] = "join",
		[OFFLOAD_COALESCE] = "coalesce", [OFFLOAD_PACK] = "pack",
	};
	return names[o];
}

void offload_refuse(struct offloads *os, enum offload o, const char *fmt, ...)
{
	va_list ap;

	if (!offload_on(os->active, o))
		return;
	os->active &= ~(1U << o);
	va_start(ap, fmt);
	vsnprintf(os->why[o], OFFLOAD_WHY_MAX, fmt, ap);
	va_end(ap);
}

void offload_add(struct offloads *os, const struct offloads *part)
{
	os->active |= part->active;
	for (unsigned o = 0; o < OFFLOADS; o++) {
		if (part->why[o][0])
			memcpy(os->why[o], part->why[o], OFFLOAD_WHY_MAX);
	}
}
