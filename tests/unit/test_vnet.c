/* Virtio headers of TAP frames: what is taken over, what is refused, what comes back the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <string.h>

#include "l2tund/datapath/vnet.h"

static int parse(struct virtio_net_hdr h, size_t len, struct vnet *ret)
{
	uint8_t raw[VNET_HDR_BYTES];

	memcpy(raw, &h, sizeof(raw));
	return vnet_parse(raw, len, ret);
}

static void plain_frame(void **state)
{
	struct vnet v = { .csum = true, .csum_start = 1, .csum_offset = 1 };

	(void)state;
	assert_int_equal(parse((struct virtio_net_hdr){ 0 }, 60, &v), 0);
	assert_false(v.csum);
	assert_int_equal(v.csum_start, 0);
	assert_int_equal(v.csum_offset, 0);
}

static void data_valid_is_no_request(void **state)
{
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_DATA_VALID, .csum_start = 9000 };
	struct vnet v;

	(void)state;
	assert_int_equal(parse(h, 60, &v), 0);
	assert_false(v.csum);
	assert_true(v.verified);
	h.flags |= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h.csum_start = 34;
	assert_int_equal(parse(h, 60, &v), 0);
	assert_true(v.csum);
	assert_false(v.verified); /* what is not finished cannot have been checked */
}

static void checksum_request_comes_back(void **state)
{
	struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				    .hdr_len = 54,
				    .csum_start = 34,
				    .csum_offset = 16 };
	uint8_t raw[VNET_HDR_BYTES];
	struct virtio_net_hdr back;
	struct vnet v;

	(void)state;
	assert_int_equal(parse(h, 60, &v), 0);
	assert_true(v.csum);
	assert_int_equal(v.csum_start, 34);
	assert_int_equal(v.csum_offset, 16);

	vnet_format(&v, raw);
	memcpy(&back, raw, sizeof(back));
	assert_int_equal(back.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(back.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_int_equal(back.csum_start, 34);
	assert_int_equal(back.csum_offset, 16);
}

static void format_without_request_is_zero(void **state)
{
	static const uint8_t zero[VNET_HDR_BYTES];
	uint8_t raw[VNET_HDR_BYTES];

	(void)state;
	memset(raw, 0xff, sizeof(raw));
	vnet_format(&(struct vnet){ .csum = false, .csum_start = 34, .csum_offset = 16 }, raw);
	assert_memory_equal(raw, zero, sizeof(raw));
}

/* A TCP super-frame as the kernel hands it over; tests change a field. */
static const struct virtio_net_hdr tso = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					   .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
					   .hdr_len = 66,
					   .gso_size = 1448,
					   .csum_start = 34,
					   .csum_offset = 16 };

static void unknown_kinds_are_refused(void **state)
{
	static const uint8_t types[] = {
		2, VIRTIO_NET_HDR_GSO_UDP, VIRTIO_NET_HDR_GSO_ECN, 6, 0x25, 0x7f, 0xff
	};
	struct vnet v = { .csum = true, .csum_start = 77, .csum_offset = 88 };
	struct virtio_net_hdr h = tso;

	(void)state;
	for (size_t i = 0; i < sizeof(types); i++) {
		h.gso_type = types[i];
		assert_int_equal(parse(h, 9000, &v), -EOPNOTSUPP);
	}
	assert_int_equal(v.csum_start, 77); /* untouched on failure */
}

static void super_frames_come_back(void **state)
{
	static const struct {
		uint8_t type;
		uint16_t start, offset, hdr_len;
	} rows[] = {
		{ VIRTIO_NET_HDR_GSO_TCPV4, 34, 16, 54 },
		{ VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN, 42, 16, 62 },
		{ VIRTIO_NET_HDR_GSO_TCPV6, 54, 16, 74 },
		{ VNET_GSO_UDP, 34, 6, 42 },
		{ VNET_GSO_UDP, 62, 6, 70 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct virtio_net_hdr h = tso, back;
		uint8_t raw[VNET_HDR_BYTES];
		struct vnet v;

		h.gso_type = rows[i].type;
		h.csum_start = rows[i].start;
		h.csum_offset = rows[i].offset;
		h.hdr_len = rows[i].hdr_len;
		assert_int_equal(parse(h, rows[i].hdr_len - 1U, &v), -EBADMSG);
		assert_int_equal(parse(h, rows[i].hdr_len, &v), 0);
		assert_int_equal(v.gso_size, 1448);
		assert_int_equal(v.ecn, rows[i].type >> 7);
		vnet_format(&v, raw);
		memcpy(&back, raw, sizeof(back));
		assert_memory_equal(&back, &h, sizeof(back));
	}
}

static void bad_super_frames(void **state)
{
	static const struct vnet good = { .csum = true,
					  .csum_start = 34,
					  .csum_offset = 16,
					  .gso = VNET_GSO_TCP4,
					  .gso_size = 1448 };
	struct vnet v[10];

	(void)state;
	for (size_t i = 0; i < 10; i++)
		v[i] = good;
	v[0].csum = false;
	v[1].gso_size = 0;
	v[2].gso_size = 65535;
	v[3].csum_start = 33;
	v[4].csum_start = 65535;
	v[5].csum_offset = 6;
	v[6].gso = VNET_GSO_TCP6; /* its TCP header cannot begin there */
	v[7].gso = 3;
	v[8].gso = VNET_GSO_UDP;
	v[9].gso = VNET_GSO_NONE; /* and yet of a size */
	assert_true(vnet_valid(&good, 70000));
	for (size_t i = 0; i < 10; i++)
		assert_false(vnet_valid(&v[i], 70000));
	v[8].csum_offset = 6;
	assert_true(vnet_valid(&v[8], 70000));
	v[8].ecn = true;
	assert_false(vnet_valid(&v[8], 70000));
}

static void hint_bounds(void **state)
{
	static const struct {
		uint16_t start, offset;
		size_t len;
		bool ok;
	} rows[] = {
		{ 34, 16, 52, true },
		{ 34, 16, 51, false },
		{ 14, 0, 16, true },
		{ 14, 0, 15, false },
		{ 13, 0, 1500, false },
		{ 0, 0, 1500, false },
		{ 65535, 65535, 65550, false },
		{ 14, 65535, 65550, false },
		{ 14, 65534, 65550, true },
		{ 65535, 13, 65550, true },
		{ 65535, 14, 65550, false },
		{ 34, 6, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct virtio_net_hdr h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
					    .csum_start = rows[i].start,
					    .csum_offset = rows[i].offset };
		struct vnet v = { .csum = true,
				  .csum_start = rows[i].start,
				  .csum_offset = rows[i].offset };

		assert_int_equal(vnet_valid(&v, rows[i].len), rows[i].ok);
		assert_int_equal(parse(h, rows[i].len, &v), rows[i].ok ? 0 : -EBADMSG);
	}
	assert_true(vnet_valid(
		&(struct vnet){ .csum = false, .csum_start = 65535, .csum_offset = 65535 }, 14));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_frame),
		cmocka_unit_test(data_valid_is_no_request),
		cmocka_unit_test(checksum_request_comes_back),
		cmocka_unit_test(format_without_request_is_zero),
		cmocka_unit_test(unknown_kinds_are_refused),
		cmocka_unit_test(super_frames_come_back),
		cmocka_unit_test(bad_super_frames),
		cmocka_unit_test(hint_bounds),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
