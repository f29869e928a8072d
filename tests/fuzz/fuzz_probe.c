/*
 * Probes: anybody on a joined bridge can send frames that claim to be ones. What
 * parses has a harmless name and one form only: built again it is the same up to the MAC. The
 * fuzzer cannot guess a MAC, so with a good one in its place the frame must be proven, with any
 * bit of it turned over not.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/names.h"
#include "l2tund/topology/probe.h"
#include "tests/fuzz/fuzz.h"

#define AT_BODY 12 /* behind the addresses */
#define AT_MAC (PROBE_FRAME_BYTES - 16)

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[PROBE_KEY_BYTES] = "fuzzer's own key";
	uint8_t frame[PROBE_FRAME_BYTES];
	struct probe_body b, again;
	int r = probe_parse(data, size, &b);

	must(r == 0 || r == -EBADMSG);
	probe_verify(data, size, key);
	if (r < 0)
		return 0;
	must(probe_is(data, size) && size >= PROBE_FRAME_BYTES);
	must(b.kind == PROBE_L || b.kind == PROBE_W);
	must(name_valid(b.bridge, TOPO_BRIDGE_MAX));

	must(probe_build(&b, key, frame) == 0);
	must(memcmp(frame + AT_BODY, data + AT_BODY, AT_MAC - AT_BODY) == 0);
	must(probe_parse(frame, sizeof(frame), &again) == 0);
	must(memcmp(&b, &again, sizeof(b)) == 0);
	must(probe_verify(frame, sizeof(frame), key));
	frame[data[0] % PROBE_FRAME_BYTES] ^= (uint8_t)(1u << data[1] % 8);
	must(!probe_verify(frame, sizeof(frame), key));
	return 0;
}
