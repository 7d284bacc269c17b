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
#define PROBABILITY_ONE  (1u << PROBABILITY_BITS)

/* start[i]: the probability of a value below i, in units of 2^-15; start[0] would be 0, and counts what was seen. */
typedef struct {
    u16 start[16];
} Nibble;

enum { NIBBLE_LIMIT = 62, NIBBLE_FLOOR = 4 };

/* Where value v of a nibble begins when nothing but one value is ever seen: row `seen`; and how far one value moves it
 * there, in units of 2^-16: row n, how many were seen. The count moves with the others: by one, whatever it is. */
static u16 nibble_goal[16][16], nibble_rate[NIBBLE_LIMIT + 1][16];
enum { COUNT_GOAL = 1 << 14, COUNT_RATE = 5 };

/* All ones but for value 0, where start[] has the count. */
static const u32 nibble_mask[16] = {0, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u};

static void nibble_tables_fill(void) {
    if (nibble_goal[0][0]) /* coders at work in other threads read them */
        return;
    for (u32 n = 0; n <= NIBBLE_LIMIT; n++)
        for (u32 i = 0; i < 16; i++)
            nibble_rate[n][i] = (u16)(!i ? (n < NIBBLE_LIMIT ? COUNT_RATE : 0) : n ? 65536u / (n + 2) : 32767);
    for (u32 v = 0; v < 16; v++)
        for (u32 i = 16; i--;)
            nibble_goal[v][i] = (u16)(!i       ? COUNT_GOAL
                                      : i <= v ? i * NIBBLE_FLOOR
                                               : PROBABILITY_ONE - (16 - i) * NIBBLE_FLOOR);
}

/* The first n values are as probable as each other, the others hardly. */
static inline void nibble_begin(Nibble *m, u32 n) {
    u32 each = (PROBABILITY_ONE - (16 - n) * NIBBLE_FLOOR) / n;
    for (u32 i = 0; i < 16; i++)
        m->start[i] = (u16)(i < n ? i * each : PROBABILITY_ONE - (16 - i) * NIBBLE_FLOOR);
}

/* v from 0 to 15. No branches: which value it is cannot be foretold. */
TZ_INLINE u32 nibble_start(const Nibble *m, u32 v) { return m->start[v] & nibble_mask[v]; }

/* How probable v is, whose part begins at `start`. That of 15 ends at 2^15, which is 0 modulo 2^15. */
TZ_INLINE u32 nibble_frequency(const Nibble *m, u32 v, u32 start) {
    return (nibble_start(m, (v + 1) & 15) - start) & (PROBABILITY_ONE - 1);
}

#ifdef __SSE2__

TZ_INLINE void nibble_adapt(Nibble *m, u32 v) {
    __m128i *at = (__m128i *)m->start;
    const __m128i *goal = (const __m128i *)nibble_goal[v], *rate = (const __m128i *)nibble_rate[m->start[0]];
    for (u32 i = 0; i < 2; i++) {
        __m128i start = _mm_loadu_si128(at + i), gap = _mm_sub_epi16(_mm_loadu_si128(goal + i), start);
        _mm_storeu_si128(at + i, _mm_add_epi16(start, _mm_mulhi_epi16(gap, _mm_loadu_si128(rate + i))));
    }
}

/* The value whose part of the probabilities holds `slot`. */
TZ_INLINE u32 nibble_find(const Nibble *m, u32 slot) {
    const __m128i *at = (const __m128i *)m->start;
    __m128i x = _mm_set1_epi16((i16)slot);
    u32 above = (u32)_mm_movemask_epi8(
        _mm_packs_epi16(_mm_cmpgt_epi16(_mm_loadu_si128(at), x), _mm_cmpgt_epi16(_mm_loadu_si128(at + 1), x)));
    return (u32)__builtin_ctz((above & 0xfffe) | 0x10000) - 1;
}

#else

TZ_INLINE void nibble_adapt(Nibble *m, u32 v) {
    const u16 *goal = nibble_goal[v], *rate = nibble_rate[m->start[0]];
    for (u32 i = 0; i < 16; i++)
        m->start[i] = (u16)(m->start[i] + ((((i32)goal[i] - m->start[i]) * rate[i]) >> 16));
}

/* The value whose part of the probabilities holds `slot`. */
TZ_INLINE u32 nibble_find(const Nibble *m, u32 slot) {
    u32 v = 0;
    for (u32 i = 1; i < 16; i++)
        v += m->start[i] <= slot;
    return v;
}

#endif

#endif
