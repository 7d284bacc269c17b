/* The strings that every restart group begins with, looked up but never copied. Built once, then only read. */
#ifndef TZ_PRESET_H
#define TZ_PRESET_H

#include "tables.h"

typedef struct Preset {
    Tables t; /* only strings, def_strings and string_index are used */
} Preset;

/* `packed`: the strings, each a varint length and its bytes. NULL for want of memory. `seed` is that of all hash
 * tables of the encoders and decoders that use it. */
Preset *preset_new(const u8 *packed, size_t n, u64 seed);
void preset_free(Preset *p);

#endif
