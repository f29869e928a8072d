/*
 * Writes on their way, from their submission (block_bio_queue) to their completion.
 *
 * Completion alone does not tell what was written: device mapper and others cut the front off a
 * bio that crosses a segment, a stripe or a chunk of a snapshot, and what bio_endio() shows of
 * it in the end is the last part only (block/bio.c: chained bios were not traced before 5.14;
 * drivers/md/dm.c: dm_split_and_process_bio() trims the bio since 5.19). Its end stays what it was,
 * and it comes when all parts are done: so by its end it is known which write it was.
 *
 * A request may complete several bios that were merged; then each of their ends is inside it.
 */
#include <string.h>

#include "bridgectl/transfer/track.h"
#include "common/util.h"

static uint64_t end_of(const struct track_event *e)
{
	return e->sector + e->sectors;
}

static void forget(struct track_flights *f, unsigned i)
{
	f->n--;
	memmove(&f->e[i], &f->e[i + 1], (f->n - i) * sizeof(f->e[0]));
}

bool track_flight_begin(struct track_flights *f, const struct track_event *e)
{
	bool room = f->n < TRACK_FLIGHTS_MAX;

	if (!room)
		forget(f, 0);
	f->e[f->n++] = *e;
	return room;
}

void track_flight_end(struct track_flights *f, struct track_event *e)
{
	uint64_t begin = e->sector, from = e->sector, end = end_of(e), last = 0;

	for (unsigned i = 0; i < f->n;) {
		uint64_t its = end_of(&f->e[i]);

		/* Of two writes with one end one is done, the older one as like as not. */
		if (its <= from || its > end || its == last) {
			i++;
			continue;
		}
		begin = MIN(begin, f->e[i].sector);
		last = its;
		forget(f, i);
	}
	/* And what the younger one covers may be it all the same. */
	for (unsigned i = 0; i < f->n; i++)
		if (end_of(&f->e[i]) > from && end_of(&f->e[i]) <= end)
			begin = MIN(begin, f->e[i].sector);
	e->sector = begin;
	e->sectors = end - begin;
}
