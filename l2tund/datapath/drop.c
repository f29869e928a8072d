/*
 * The reasons for lost frames: their names, and the errors that they come from. An
 * error that has no row is the socket's.
 */
#include "l2tund/datapath/drop.h"

#include <errno.h>
#include <stddef.h>

#include "common/util.h"

const char *drop_name(enum drop d)
{
	static const char *const names[DROPS] = {
		[DROP_MALFORMED] = "malformed", [DROP_NO_KEY] = "no-key",
		[DROP_NO_ROOM] = "no-room",	[DROP_PATH_MTU] = "path-mtu",
		[DROP_LEASE] = "lease",		[DROP_FULL] = "socket-full",
		[DROP_SOCKET] = "socket",	[DROP_TAP] = "tap",
	};
	return names[d];
}

enum drop drop_reason(int err)
{
	static const struct {
		int err;
		enum drop drop;
	} rows[] = {
		{ -EBADMSG, DROP_MALFORMED }, { -ENETDOWN, DROP_NO_KEY },
		{ -ENOKEY, DROP_NO_KEY },     { -E2BIG, DROP_NO_ROOM },
		{ -EMSGSIZE, DROP_PATH_MTU }, { -ETIME, DROP_LEASE },
		{ -EAGAIN, DROP_FULL },	      { -ENOBUFS, DROP_FULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].err == err)
			return rows[i].drop;
	}
	return DROP_SOCKET;
}

uint64_t drop_sum(const uint64_t drops[DROPS])
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DROPS; i++)
		sum += drops[i];
	return sum;
}
