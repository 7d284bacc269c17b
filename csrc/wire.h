/* The protobuf wire format, as far as it is canonical: shortest varints, no groups.
 * https://protobuf.dev/programming-guides/encoding/ */
#ifndef TZ_WIRE_H
#define TZ_WIRE_H

#include "base.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static inline u32 varint_size(u64 v) { return (bit_length(v | 1) + 6) / 7; }

static inline u8 *varint_put(u8 *p, u64 v) {
    for (; v >= 0x80; v >>= 7)
        *p++ = (u8)(v | 0x80);
    *p++ = (u8)v;
    return p;
}

/* Reads a varint in its shortest form; NULL if there is none before `end`. */
static inline const u8 *varint_get(const u8 *p, const u8 *end, u64 *v) {
    if (p < end && *p < 0x80) {
        *v = *p;
        return p + 1;
    }
    u64 r = 0;
    for (u32 shift = 0; p < end && shift < 64; shift += 7) {
        u8 b = *p++;
        if (shift == 63 && b > 1)
            return NULL;
        r |= (u64)(b & 0x7f) << shift;
        if (b < 0x80) {
            if (b == 0)
                return NULL; /* a longer form than needed */
            *v = r;
            return p;
        }
    }
    return NULL;
}

/* Reads a length and checks that as many bytes follow. */
static inline const u8 *length_get(const u8 *p, const u8 *end, size_t *n) {
    u64 v;
    p = varint_get(p, end, &v);
    if (!p || v > (u64)(end - p))
        return NULL;
    *n = (size_t)v;
    return p;
}

/* Reads a tag: field number from 1 to 2^29 - 1 and a wire type we know. */
static inline const u8 *tag_get(const u8 *p, const u8 *end, u32 *tag) {
    u64 v;
    p = varint_get(p, end, &v);
    if (!p || v > 0xffffffffu || v < 8)
        return NULL;
    u32 type = (u32)v & 7;
    if (type != WIRE_VARINT && type != WIRE_FIXED64 && type != WIRE_BYTES && type != WIRE_FIXED32)
        return NULL;
    *tag = (u32)v;
    return p;
}

#endif
