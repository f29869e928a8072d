/*
 * Bounded reading and writing of little-endian fields. A reader or writer that ran
 * over its end stays bad: check once, at the end; bad reads give zeros.
 */
#ifndef COMMON_TLV_H
#define COMMON_TLV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLV_HDR_BYTES 3 /* type u8, length u16 */
#define TLV_MANDATORY 0x80

struct tlv_reader {
	const uint8_t *p;
	size_t left;
	bool bad;
};

struct tlv_writer {
	uint8_t *p;
	size_t len, cap;
	bool bad;
};

static inline struct tlv_reader tlv_reader(const void *p, size_t len)
{
	return (struct tlv_reader){ p, len, false };
}

static inline struct tlv_writer tlv_writer(void *p, size_t cap)
{
	return (struct tlv_writer){ p, 0, cap, false };
}

uint8_t tlv_get_u8(struct tlv_reader *r);
uint16_t tlv_get_u16(struct tlv_reader *r);
uint32_t tlv_get_u32(struct tlv_reader *r);
uint64_t tlv_get_u64(struct tlv_reader *r);
/* `len` bytes in place, or NULL. */
const uint8_t *tlv_get_bytes(struct tlv_reader *r, size_t len);
/* A length u8 and as many characters into `ret` of `size`; too long or with a NUL is bad. */
void tlv_get_text(struct tlv_reader *r, char *ret, size_t size);
/* Next item: 1 with *ret over its value, 0 at the end, -EBADMSG when it is not whole. */
int tlv_next(struct tlv_reader *r, uint8_t *ret_type, struct tlv_reader *ret);

void tlv_put_u8(struct tlv_writer *w, uint8_t v);
void tlv_put_u16(struct tlv_writer *w, uint16_t v);
void tlv_put_u32(struct tlv_writer *w, uint32_t v);
void tlv_put_u64(struct tlv_writer *w, uint64_t v);
void tlv_put_bytes(struct tlv_writer *w, const void *p, size_t len);
void tlv_put_zero(struct tlv_writer *w, size_t len);
void tlv_put_text(struct tlv_writer *w, const char *s);
/* Opens an item; tlv_end() with the value given back writes its length. */
size_t tlv_begin(struct tlv_writer *w, uint8_t type);
void tlv_end(struct tlv_writer *w, size_t begun);

#endif
