/*
 * Lines of trace_pipe, as kernels from 3.10 to 6.18 print them (include/trace/events/block.h):
 *
 *	block_bio_queue: 253,4 W 2048 + 8 [qemu]
 *	block_bio_complete: 253,4 W 2048 + 8 [0]
 *	block_rq_complete: 7,0 WS () 1280 + 128 be,0,4 [0]
 *	CPU:1 [LOST 42 EVENTS]
 *
 * The kernel filters reads out where it can; older ones cannot, so reads are left out here too.
 */
#include <stdio.h>
#include <string.h>

#include "bridgectl/transfer/track.h"

/* Behind the flags: a command in brackets where the event has one. It may hold any text. */
static const char *skip_command(const char *p)
{
	const char *end;

	if (*p != '(')
		return p;
	/* What follows the last bracket cannot contain one. */
	end = strrchr(p, ')');
	return end ? end + 1 : p;
}

/* Whether the text from `from` to `to` ends with this word. */
static bool ends_with(const char *from, const char *to, const char *word)
{
	size_t n = strlen(word);

	return (size_t)(to - from) >= n && !memcmp(to - n, word, n);
}

enum track_line track_line_parse(const char *line, struct track_event *ret)
{
	struct track_event e;
	char flags[16];
	int n = 0;

	if (strstr(line, "[LOST "))
		return TRACK_LOST;
	/* The first colon ends the event's name; a program's name behind it may be anything. */
	const char *p = strstr(line, ": ");
	bool queued = p && ends_with(line, p, "_queue");
	if (!p || (!queued && !ends_with(line, p, "_complete")) ||
	    sscanf(p, ": %u,%u %15s %n", &e.major, &e.minor, flags, &n) != 3 || !n)
		return TRACK_OTHER;
	if (flags[0] == 'R')
		return TRACK_OTHER;
	p = skip_command(p + n);
	unsigned long long sector, sectors;
	if (sscanf(p, " %llu + %llu", &sector, &sectors) != 2 || !sectors)
		return TRACK_OTHER;
	e.sector = sector;
	e.sectors = sectors;
	*ret = e;
	return queued ? TRACK_QUEUED : TRACK_WRITE;
}
