/* Texts that differ in their numbers only have one skeleton. FORMAT.md, "Texts". */
#ifndef TZ_SKELETON_H
#define TZ_SKELETON_H

#include "base.h"

/* Bytes that stand for a field in a skeleton. A text that has one of them has no skeleton. */
enum {
    FIELD_UUID = 1,
    FIELD_HEX = 2,
    FIELD_DECIMAL = 3,
    FIELD_PADDED = 4,
    FIELD_FIRST = FIELD_UUID,
    FIELD_LAST = FIELD_PADDED
};
enum { MAX_SKELETON_FIELDS = 16 }; /* a text with more of them is better told whole */
enum { MIN_HEX = 8, MAX_HEX = 128, MAX_DIGITS = 19 };

/* Writes the skeleton of a text to `out` (room for n bytes). Returns its length, or 0 if there is no field or a byte
 * that stands for one. */
size_t skeleton_of(const u8 *p, size_t n, u8 *out, u32 *n_fields);

/* What starts at p, which is followed by a byte that is no digit. */
u32 hex_length(const u8 *p);
u32 digits_length(const u8 *p);
u64 digits_number(const u8 *p, u32 n);
void digits_put(u8 *p, u32 n, u64 v);
u32 decimal_width(u64 v);
void hex_pack(const u8 *digits, u32 n, u8 *out);
void hex_unpack(const u8 *in, u32 n, u8 *digits);
void uuid_pack(const u8 *text, u8 *digits); /* 36 characters to 32 digits */
void uuid_unpack(const u8 *digits, u8 *text);

#endif
