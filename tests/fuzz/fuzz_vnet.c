/*
 * Virtio headers in front of TAP frames: frame length u32, then the header. What is taken must
 * point inside the frame and come back unchanged.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/util.h"
#include "l2tund/datapath/vnet.h"
#include "tests/fuzz/fuzz.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t hdr[VNET_HDR_BYTES];
	struct vnet v, again;

	if (size < 4 + VNET_HDR_BYTES)
		return 0;
	size_t len = get_le32(data) % 70000;
	if (vnet_parse(data + 4, len, &v) < 0)
		return 0;
	must(vnet_valid(&v, len));
	if (v.csum)
		must(v.csum_start >= 14 && (size_t)v.csum_start + v.csum_offset + 2 <= len);
	vnet_format(&v, hdr);
	must(vnet_parse(hdr, len, &again) == 0);
	must(again.csum == v.csum && again.csum_start == v.csum_start &&
	     again.csum_offset == v.csum_offset && again.gso == v.gso &&
	     again.gso_size == v.gso_size && again.ecn == v.ecn);
	return 0;
}
