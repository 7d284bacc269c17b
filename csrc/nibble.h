/* An adaptive nibble: how probable each of 16 values is. FORMAT.md, "Adaptive nibble".
 *
 * 16 numbers of 16 bits, so that all of them are compared, or moved, by two vector instructions. */
#ifndef TZ_NIBBLE_H
#define TZ_NIBBLE_H

#include "base.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define PROBABILITY_BITS 15
#define PROBABILITY_ONE  (1 << PROBABILITY_BITS)

/* below[v]: 2^15 less than the probability of values up to v, in units of 2^-15; so all of these are negative. That of
 * 15 would be 0, and counts what was seen. */
typedef struct {
    i16 below[16];
} Nibble;

enum { NIBBLE_LIMIT = 62, NIBBLE_FLOOR = 4, NIBBLE_COUNT = 15 };

/* Where the part of value v ends when nothing but one value is ever seen: row `seen`; and how far one value moves it
 * there, in units of 2^-16: row n, how many were seen. The count moves with the others: by one, whatever it is. */
static i16 nibble_goal[16][16], nibble_rate[NIBBLE_LIMIT + 1][16];
enum { COUNT_GOAL = 1 << 14, COUNT_RATE = 5 };

/* All ones but for the count. */
static const u32 nibble_mask[16] = {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0};

static void nibble_tables_fill(void) {
    if (nibble_goal[15][NIBBLE_COUNT]) /* coders at work in other threads read them */
        return;
    for (i32 n = 0; n <= NIBBLE_LIMIT; n++) {
        for (i32 v = 0; v < NIBBLE_COUNT; v++)
            nibble_rate[n][v] = (i16)(n ? 65536 / (n + 2) : 32767);
        nibble_rate[n][NIBBLE_COUNT] = n < NIBBLE_LIMIT ? COUNT_RATE : 0;
    }
    for (i32 seen = 0; seen < 16; seen++) {
        for (i32 v = 0; v < NIBBLE_COUNT; v++)
            nibble_goal[seen][v] = (i16)(v < seen ? (v + 1) * NIBBLE_FLOOR - PROBABILITY_ONE : (v - 15) * NIBBLE_FLOOR);
        nibble_goal[seen][NIBBLE_COUNT] = COUNT_GOAL;
    }
}

/* The first n values are as probable as each other, the others hardly. */
static inline void nibble_begin(Nibble *m, u32 n) {
    i32 each = (PROBABILITY_ONE - (16 - (i32)n) * NIBBLE_FLOOR) / (i32)n;
    for (i32 v = 0; v < NIBBLE_COUNT; v++)
        m->below[v] = (i16)(v + 1 < (i32)n ? (v + 1) * each - PROBABILITY_ONE : (v - 15) * NIBBLE_FLOOR);
    m->below[NIBBLE_COUNT] = 0;
}

/* Where the part of value v ends, less 2^15. No branches: which value it is cannot be foretold. */
TZ_INLINE i32 nibble_below(const Nibble *m, u32 v) { return m->below[v] & (i32)nibble_mask[v]; }

/* Where it starts. */
TZ_INLINE u32 nibble_start(const Nibble *m, u32 v) {
    return (u32)(nibble_below(m, (v - 1) & 15) + PROBABILITY_ONE) & (PROBABILITY_ONE - 1);
}

/* How probable v is, whose part begins at `start`. */
TZ_INLINE u32 nibble_frequency(const Nibble *m, u32 v, u32 start) {
    return (u32)(nibble_below(m, v) + PROBABILITY_ONE) - start;
}

#ifdef __SSE2__

TZ_INLINE void nibble_adapt(Nibble *m, u32 v) {
    __m128i *at = (__m128i *)m->below;
    const __m128i *goal = (const __m128i *)nibble_goal[v], *rate = (const __m128i *)nibble_rate[m->below[NIBBLE_COUNT]];
    for (u32 i = 0; i < 2; i++) {
        __m128i below = _mm_loadu_si128(at + i), gap = _mm_sub_epi16(_mm_loadu_si128(goal + i), below);
        _mm_storeu_si128(at + i, _mm_add_epi16(below, _mm_mulhi_epi16(gap, _mm_loadu_si128(rate + i))));
    }
}

/* The first value whose part ends behind `slot`, which is less 2^15: the count is more than any. */
TZ_INLINE u32 nibble_find(const Nibble *m, i32 slot) {
    const __m128i *at = (const __m128i *)m->below;
    __m128i x = _mm_set1_epi16((i16)slot);
    return (u32)__builtin_ctz((u32)_mm_movemask_epi8(
        _mm_packs_epi16(_mm_cmpgt_epi16(_mm_loadu_si128(at), x), _mm_cmpgt_epi16(_mm_loadu_si128(at + 1), x))));
}

#else

TZ_INLINE void nibble_adapt(Nibble *m, u32 v) {
    const i16 *goal = nibble_goal[v], *rate = nibble_rate[m->below[NIBBLE_COUNT]];
    for (u32 i = 0; i < 16; i++)
        m->below[i] = (i16)(m->below[i] + ((((i32)goal[i] - m->below[i]) * rate[i]) >> 16));
}

/* The first value whose part ends behind `slot`, which is less 2^15. */
TZ_INLINE u32 nibble_find(const Nibble *m, i32 slot) {
    u32 v = 0;
    for (u32 i = 0; i < NIBBLE_COUNT; i++)
        v += m->below[i] <= slot;
    return v;
}

#endif

#endif
