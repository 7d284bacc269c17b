/* MT19937, CPython's `random`, as its SDK draws ids: 64 bits are two words, the low one first.
 * FORMAT.md, "Generators". Positions count words; other code of the process draws words in between. */
#ifndef TZ_MT_H
#define TZ_MT_H

#include "base.h"

enum { MT_N = 624, MT_M = 397 };
#define MT_TOP   0x80000000u
#define MT_TWIST 0x9908b0dfu

/* The last 624 words, untempered; x[at] is the oldest. */
typedef struct {
    u32 x[MT_N];
    u32 at;
} Mt;

static inline u32 mt_temper(u32 y) {
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
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

static inline u32 mt_word(const Mt *m, u32 i) { return m->x[(m->at + i) % MT_N]; }

/* The word after the newest, tempered. */
static inline u32 mt_next(Mt *m) {
    u32 v = mt_word(m, MT_M) ^ mt_twist(mt_word(m, 0), mt_word(m, 1));
    m->x[m->at] = v;
    m->at = (m->at + 1) % MT_N;
    return mt_temper(v);
}

/* Takes the newest word away and puts the one before the oldest in its place; this one, tempered. */
static inline u32 mt_back(Mt *m) {
    u32 top = mt_untwist(mt_word(m, MT_N - 1) ^ mt_word(m, MT_M - 1)) & MT_TOP;
    u32 low = mt_untwist(mt_word(m, MT_N - 2) ^ mt_word(m, MT_M - 2)) & ~MT_TOP;
    m->at = (m->at + MT_N - 1) % MT_N;
    m->x[m->at] = top | low;
    return mt_temper(top | low);
}

#endif
