/*
 * Handshake payloads: what a peer that has our key (though perhaps no right to call) can
 * make us parse. What is accepted must come back the same when it is built and parsed again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/names.h"
#include "common/util.h"
#include "l2tund/session/payload.h"
#include "tests/fuzz/fuzz.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint32_t ours[CIPHERS] = { 0, 1000, 500 };
	struct payload p, again;
	uint8_t buf[1024];

	if (payload_parse(data, size, &p) < 0)
		return 0;
	must(name_valid(p.name, SESSION_NAME_MAX));
	must(p.version_min <= p.version_max);
	must(memchr(p.text, 0, sizeof(p.text)) != NULL);
	for (const char *c = p.text; *c; c++)
		must(*c >= 0x20 && *c < 0x7f);
	int mode = payload_pick_mode(7, p.modes);
	must(mode < 0 || (p.modes & 1u << mode && mode < DATA_MODES));
	int cipher = payload_pick_cipher(ours, p.mbps);
	must(cipher < 0 || p.mbps[cipher] > 0);

	int n = payload_build(&p, buf, sizeof(buf), 0);
	must(n > 0);
	must(payload_parse(buf, (size_t)n, &again) == 0);
	again.unknown = p.unknown; /* items of others are not written */
	if (!p.refusal)
		memcpy(again.text, p.text, sizeof(p.text));
	if (!p.chosen) {
		again.version = p.version;
		again.mode = p.mode;
		again.cipher = p.cipher;
	}
	must(memcmp(&p, &again, sizeof(p)) == 0);
	return 0;
}
