/* The announcement frame, byte by byte as RFC 903 lays it out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "l2tund/topology/rarp.h"

static void test_known_frame(void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0xab, 0xcd, 0xef };
	static const uint8_t want[RARP_FRAME_BYTES] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff,		/* to all */
		0x52, 0x54, 0x00, 0xab, 0xcd, 0xef,		/* from it */
		0x80, 0x35,					/* RARP */
		0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x03, /* request reverse */
		0x52, 0x54, 0x00, 0xab, 0xcd, 0xef, 0,	  0,	0, 0,
		0x52, 0x54, 0x00, 0xab, 0xcd, 0xef, 0,	  0,	0, 0,
	};
	uint8_t frame[RARP_FRAME_BYTES + 1];

	(void)state;
	memset(frame, 0xaa, sizeof(frame));
	rarp_build(mac, frame);
	assert_memory_equal(frame, want, sizeof(want));
	assert_int_equal(frame[RARP_FRAME_BYTES], 0xaa);
}

/* The tag stands between source and EtherType; the rest is the same. */
static void test_tagged_frame(void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0xab, 0xcd, 0xef };
	static const uint8_t tag[4] = { 0x81, 0x00, 0x0f, 0xfe };
	uint8_t plain[RARP_FRAME_BYTES], frame[RARP_TAGGED_BYTES + 1];

	(void)state;
	memset(frame, 0xaa, sizeof(frame));
	rarp_build(mac, plain);
	rarp_build_tagged(mac, 4094, frame);
	assert_memory_equal(frame, plain, 12);
	assert_memory_equal(frame + 12, tag, sizeof(tag));
	assert_memory_equal(frame + 16, plain + 12, RARP_FRAME_BYTES - 12);
	assert_int_equal(frame[RARP_TAGGED_BYTES], 0xaa);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_frame),
		cmocka_unit_test(test_tagged_frame),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
