/* The entropy coder (rANS) and the models it codes by: adaptive bits and adaptive nibbles. FORMAT.md, "Entropy coder".
 *
 * Included twice, by the encoder with TZ_ENCODING 1 and by the decoder with 0, so that everything built on it exists
 * once: each `code_*` takes the value when it writes and returns it in both directions. */
#ifndef TZ_CODER_H
#define TZ_CODER_H

#include "nibble.h"

#ifndef TZ_ENCODING
#error "define TZ_ENCODING before including this"
#endif

/* An adaptive bit: the probability of a 1 in units of 2^-22 above, the number of bits seen below. */
typedef u32 Cell;
#define BIT_START ((u32)1 << 31)
#define BIT_LIMIT 63u

/* How far one bit moves the probability: 65536 / (seen + 1.5), filled once. */
static u16 adapt_rate[BIT_LIMIT + 1];

static void adapt_rates_fill(void) {
    if (adapt_rate[0]) /* coders at work in other threads read it */
        return;
    for (u32 n = 0; n <= BIT_LIMIT; n++)
        adapt_rate[n] = (u16)(131072u / (2 * n + 3));
}

static inline u32 bit_probability(Cell b) {
    u32 p = b >> (32 - PROBABILITY_BITS);
    return p ? p : 1;
}

static inline Cell bit_adapt(Cell b, u32 one) {
    u32 n = b & 1023, p = b >> 10;
    i64 gap = (i64)((0 - one) & 0x3fffff) - (i64)p;
    p = (u32)((i64)p + ((gap * adapt_rate[n]) >> 16));
    return p << 10 | (n < BIT_LIMIT ? n + 1 : n);
}

#if TZ_ENCODING

/* rANS codes backwards: what is coded is noted, and put into bytes when the section ends. */
typedef struct {
    Env *env;
    U64s steps; /* start << 32 | bits of the probability << 16 | frequency; raw bits are one of 2^n of frequency 1 */
    Bytes out;
} Coder;

static void coder_begin(Coder *c, Env *env) {
    c->env = env;
    c->steps.n = 0;
}

TZ_INLINE void coder_note(Coder *c, u32 start, u32 n, u32 freq) {
    VEC_PUSH(c->env, c->steps, (u64)start << 32 | n << 16 | freq);
}

/* A coder that goes backwards through its steps. */
typedef struct {
    const u64 *step; /* the one that comes next is before it */
    u8 *out;         /* what is written stands from here on */
    u32 x;
} Backwards;

static Backwards backwards_begin(Coder *c) {
    size_t room = 4 + 2 * c->steps.n;
    c->out.n = 0;
    VEC_RESERVE(c->env, c->out, room);
    return (Backwards){c->steps.v + c->steps.n, c->out.v + room, 0};
}

TZ_INLINE void backwards_step(Backwards *k) {
    u64 step = *--k->step;
    u32 x = k->x, start = (u32)(step >> 32), n = (u32)step >> 16, freq = (u32)step & 0xffff;
    if ((u64)x >= (u64)freq << (32 - n)) {
        u16 word = (u16)x;
        memcpy(k->out -= 2, &word, 2);
        x >>= 16;
    }
    k->x = ((x / freq) << n) + x % freq + start;
}

/* The section: the state, without zeros above it, and then the 16-bit words that a reader takes in. */
static void backwards_end(Coder *c, Backwards *k) {
    for (int i = 24; i >= 0; i -= 8)
        if (k->x >> i)
            *--k->out = (u8)(k->x >> i);
    c->out.n = (size_t)(c->out.v + 4 + 2 * c->steps.n - k->out);
    memmove(c->out.v, k->out, c->out.n);
}

/* Ends two sections side by side: a step waits for the one before it in its own section, not in the other. */
static void coders_end(Coder *a, Coder *b) {
    Backwards one = backwards_begin(a), two = backwards_begin(b);
    size_t both = a->steps.n < b->steps.n ? a->steps.n : b->steps.n;
    for (size_t i = 0; i < both; i++) {
        backwards_step(&one);
        backwards_step(&two);
    }
    while (one.step > a->steps.v)
        backwards_step(&one);
    while (two.step > b->steps.v)
        backwards_step(&two);
    backwards_end(a, &one);
    backwards_end(b, &two);
}

/* `n` bits that nothing predicts, at most 16. */
TZ_INLINE u32 code_raw16(Coder *c, u32 n, u32 v) {
    coder_note(c, v, n, 1);
    return v;
}

TZ_INLINE u32 code_bit(Coder *c, Cell *b, u32 one) {
    u32 p = bit_probability(*b);
    coder_note(c, one ? 0 : p, PROBABILITY_BITS, one ? p : PROBABILITY_ONE - p);
    *b = bit_adapt(*b, one);
    return one;
}

/* One of 16, by an adaptive nibble. */
TZ_INLINE u32 code_nibble(Coder *c, Cell *cells, u32 v) {
    Nibble *m = (Nibble *)cells;
    u32 start = nibble_start(m, v);
    coder_note(c, start, PROBABILITY_BITS, nibble_frequency(m, v, start));
    nibble_adapt(m, v);
    return v;
}

#else

typedef struct {
    Env *env;
    const char *name;
    const u8 *p, *end;
    u32 x;
} Coder;

static void coder_begin(Coder *c, Env *env, const char *name, const u8 *p, size_t n) {
    *c = (Coder){.env = env, .name = name, .p = p, .end = p + n};
    for (u32 i = 0; i < 4 && c->p < c->end && !(i == 3 && n > 4 && n % 2); i++)
        c->x |= (u32)*c->p++ << 8 * i;
}

/* After the last symbol of a section the state is 0, and nothing is left to take in. */
static int coder_is_done(const Coder *c) { return c->p == c->end && !c->x; }

TZ_INLINE void coder_set(Coder *c, u32 x) {
    if (x < (1u << 16) && c->p < c->end) {
        u16 word;
        memcpy(&word, c->p, 2);
        c->p += 2;
        x = x << 16 | word;
    }
    c->x = x;
}

TZ_INLINE u32 code_raw16(Coder *c, u32 n, u32 v) {
    u32 x = c->x;
    v = x & ((1u << n) - 1);
    coder_set(c, x >> n);
    return v;
}

TZ_INLINE u32 code_bit(Coder *c, Cell *b, u32 one) {
    u32 p = bit_probability(*b), slot = c->x & (PROBABILITY_ONE - 1);
    one = slot < p;
    u32 zero = one - 1, freq = p + ((PROBABILITY_ONE - 2 * p) & zero);
    coder_set(c, freq * (c->x >> PROBABILITY_BITS) + slot - (p & zero));
    *b = bit_adapt(*b, one);
    return one;
}

/* Value v has come, whose part goes from `start` to `end`. */
TZ_INLINE u32 coder_take(Coder *c, Nibble *m, u32 v, i32 slot, i32 start, i32 end) {
    coder_set(c, (u32)(end - start) * (c->x >> PROBABILITY_BITS) + (u32)(slot - start));
    nibble_adapt(m, v);
    return v;
}

/* One of 16. The first ones are looked for one by one: a branch that is foreseen lets the processor go on with what
 * depends on the value, and does not wait as it must for one that is found among all. */
TZ_INLINE u32 code_nibble_early(Coder *c, Nibble *m, u32 n_early) {
    i32 slot = (i32)(c->x & (PROBABILITY_ONE - 1)) - PROBABILITY_ONE, start = -PROBABILITY_ONE;
#pragma GCC unroll 8
    for (u32 v = 0; v < n_early; v++) {
        i32 end = m->below[v];
        if (TZ_LIKELY(slot < end))
            return coder_take(c, m, v, slot, start, end);
        start = end;
    }
    u32 v = nibble_find(m, slot);
    return coder_take(c, m, v, slot, m->below[v - 1], nibble_below(m, v));
}

/* By an adaptive nibble: what decides what comes next, and what is only a digit of a number. */
TZ_INLINE u32 code_nibble(Coder *c, Cell *cells, u32 v) {
    (void)v;
    return code_nibble_early(c, (Nibble *)cells, 5);
}

TZ_INLINE u32 code_digit(Coder *c, Cell *cells, u32 v) {
    (void)v;
    return code_nibble_early(c, (Nibble *)cells, 1);
}

#endif

#if TZ_ENCODING
#define code_digit code_nibble
#endif

static inline u64 code_raw(Coder *c, u32 n, u64 v) {
    u64 r = 0;
    for (; n > 16; n -= 16)
        r = r << 16 | code_raw16(c, 16, (u32)(v >> (n - 16)) & 0xffff);
    return n ? r << n | code_raw16(c, n, (u32)v & ((1u << n) - 1)) : r;
}

#endif
