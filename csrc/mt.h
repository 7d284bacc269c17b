/* MT19937, CPython's `random`, as its SDK draws ids: 64 bits are two words, the low one first; and Ruby's, byte by
 * byte. FORMAT.md, "Generators". Positions count words; other code of the process draws words in between. */
#ifndef TZ_MT_H
#define TZ_MT_H

#include "base.h"

enum { MT_N = 624, MT_M = 397 };
#define MT_TOP   0x80000000u
#define MT_TWIST 0x9908b0dfu

static inline u32 mt_temper(u32 y) {
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
}

/* The id of two words as they are drawn, or as their bytes are: so Ruby's SDK draws ids. */
static inline u64 mt_id(u32 first, u32 second, int of_bytes) {
    u64 id = first | (u64)second << 32;
    return of_bytes ? __builtin_bswap64(id) : id;
}

static inline u32 mt_untemper(u32 y) {
    y ^= y >> 18;
    y ^= y << 15 & 0xefc60000u;
    u32 t = y;
    for (int i = 0; i < 4; i++)
        t = y ^ (t << 7 & 0x9d2c5680u);
    return t ^ t >> 11 ^ t >> 22;
}

/* What x[n] (its top bit) and x[n + 1] (the others) add to x[n + 397] for x[n + 624], and back again. */
static inline u32 mt_twist(u32 a, u32 b) {
    u32 y = (a & MT_TOP) | (b & ~MT_TOP);
    return y >> 1 ^ (MT_TWIST & (0 - (y & 1)));
}
static inline u32 mt_untwist(u32 f) { return f & MT_TOP ? (f ^ MT_TWIST) << 1 | 1 : f << 1; }

/* The word before 624 words in a row, which are x[1] to x[624]; all untempered. */
static inline u32 mt_before_word(const u32 *x) {
    u32 top = mt_untwist(x[MT_N] ^ x[MT_M]), low = mt_untwist(x[MT_N - 1] ^ x[MT_M - 1]);
    return (top & MT_TOP) | (low & ~MT_TOP);
}

#endif
