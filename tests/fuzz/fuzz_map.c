/*
 * The head of a map's file that somebody made: two slots, each as it is and again with the right
 * check sum. What is taken has strings that end, and is the same when it is put and taken again.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bridgectl/transfer/map_file.h"
#include "common/util.h"
#include "tests/fuzz/fuzz.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check(const struct map_header *h)
{
	uint8_t slot[MAP_SLOT_BYTES], slot_again[MAP_SLOT_BYTES];
	struct map_header again;

	must(memchr(h->subject.source, 0, MAP_IDENTITY_LEN));
	must(memchr(h->subject.target, 0, MAP_IDENTITY_LEN));
	map_header_put(slot, h);
	must(map_header_take(slot, &again) == 0);
	map_header_put(slot_again, &again);
	must(memcmp(slot, slot_again, sizeof(slot)) == 0);
	must(again.sequence == h->sequence && again.subject.length == h->subject.length);
}

/* The seed stands at 48, and makes the secret of the check sum in the last 8 bytes. */
static void seal(uint8_t *slot)
{
	struct digest d;

	digest_init(&d, slot + 48);
	put_le64(slot + MAP_SLOT_BYTES - 8, digest_check(&d, slot, MAP_SLOT_BYTES - 8));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t slots[MAP_HEADER_BYTES] = { 0 };
	struct map_header h;

	memcpy(slots, data, MIN(size, sizeof(slots)));
	if (map_header_newest(slots, &h) == 0)
		check(&h);
	seal(slots);
	if (map_header_newest(slots, &h) == 0)
		check(&h);
	seal(slots + MAP_SLOT_BYTES);
	if (map_header_newest(slots, &h) == 0)
		check(&h);
	return 0;
}
