/* The binary range coder and the adaptive bits it codes. FORMAT.md, "Range coder".
 *
 * Included twice, by the encoder with TZ_ENCODING 1 and by the decoder with 0, so that everything built on it exists
 * once: each `code_*` takes the value when it writes and returns it in both directions. */
#ifndef TZ_CODER_H
#define TZ_CODER_H

#include "base.h"

#ifndef TZ_ENCODING
#error "define TZ_ENCODING before including this"
#endif

/* An adaptive bit: the probability of a 1 in units of 2^-22 above, the number of bits seen below. */
typedef u32 Bit;
#define BIT_START        ((u32)1 << 31)
#define BIT_LIMIT        63u
#define PROBABILITY_BITS 15

/* How far one bit moves the probability: 65536 / (seen + 1.5), filled once. */
static u16 adapt_rate[BIT_LIMIT + 1];

static void adapt_rates_fill(void) {
    for (u32 n = 0; n <= BIT_LIMIT; n++)
        adapt_rate[n] = (u16)(131072u / (2 * n + 3));
}

static inline u32 bit_probability(Bit b) {
    u32 p = b >> (32 - PROBABILITY_BITS);
    return p ? p : 1;
}

static inline Bit bit_adapt(Bit b, u32 one) {
    u32 n = b & 1023, p = b >> 10;
    i64 gap = (i64)((0 - one) & 0x3fffff) - (i64)p;
    p = (u32)((i64)p + ((gap * adapt_rate[n]) >> 16));
    return p << 10 | (n < BIT_LIMIT ? n + 1 : n);
}

#if TZ_ENCODING

typedef struct {
    Env *env;
    Bytes out;
    u32 low, range;
} Coder;

static void coder_begin(Coder *c, Env *env) {
    c->env = env;
    c->out.n = 0;
    c->low = 0;
    c->range = 0xffffffffu;
}

/* A carry goes into the bytes that were written last; there is always one that takes it. */
static void coder_carry(Coder *c) {
    size_t i = c->out.n;
    while (i-- && !++c->out.v[i]) {
    }
}

TZ_INLINE void coder_add(Coder *c, u32 *low, u32 more) {
    *low += more;
    if (*low < more)
        coder_carry(c);
}

TZ_INLINE void coder_shift(Coder *c, u32 *low, u32 *range) {
    while (*range < (1u << 24)) {
        VEC_PUSH(c->env, c->out, (u8)(*low >> 24));
        *low <<= 8;
        *range <<= 8;
    }
}

/* Ends with the shortest byte string that decodes to what was coded; zeros at its end are left out. */
static void coder_end(Coder *c) {
    u64 low = c->low, top = low + c->range - 1;
    for (u32 keep = 0; keep <= 32; keep += 8) {
        u64 mask = ((u64)1 << (32 - keep)) - 1, v = (low + mask) & ~mask;
        if (v > top)
            continue;
        coder_add(c, &c->low, (u32)(v - low));
        break;
    }
    for (int i = 24; i >= 0; i -= 8)
        VEC_PUSH(c->env, c->out, (u8)(c->low >> i));
    while (c->out.n && !c->out.v[c->out.n - 1])
        c->out.n--;
}

/* The state of a coder, held in registers while several bits are coded. */
#define CODER_HOLD(c)        u32 low_ = (c)->low, range_ = (c)->range
#define CODER_DROP(c)        ((c)->low = low_, (c)->range = range_)
#define CODER_BIT(c, b, one) bit_step((c), &low_, &range_, (b), (one))

TZ_INLINE u32 bit_step(Coder *c, u32 *low, u32 *range, Bit *b, u32 one) {
    /* No branch: half of these bits cannot be foretold, by the processor neither. */
    u32 bound = (*range >> PROBABILITY_BITS) * bit_probability(*b), zero = one - 1;
    coder_add(c, low, bound & zero);
    *range = bound + ((*range - 2 * bound) & zero);
    *b = bit_adapt(*b, one);
    coder_shift(c, low, range);
    return one;
}

/* `n` bits that nothing predicts, at most 16. */
static inline u32 code_raw16(Coder *c, u32 n, u32 v) {
    CODER_HOLD(c);
    range_ >>= n;
    coder_add(c, &low_, range_ * v);
    coder_shift(c, &low_, &range_);
    CODER_DROP(c);
    return v;
}

#else

typedef struct {
    Env *env;
    const char *name;
    const u8 *p, *end;
    u32 code, range;
} Coder;

/* Zeros at the end of a section are left out when it is written. */
static inline u32 coder_byte(Coder *c) { return c->p < c->end ? *c->p++ : 0; }

static void coder_begin(Coder *c, Env *env, const char *name, const u8 *p, size_t n) {
    *c = (Coder){.env = env, .name = name, .p = p, .end = p + n, .range = 0xffffffffu};
    for (int i = 0; i < 4; i++)
        c->code = c->code << 8 | coder_byte(c);
}

TZ_INLINE void coder_fill(Coder *c, u32 *code, u32 *range) {
    while (*range < (1u << 24)) {
        *code = *code << 8 | coder_byte(c);
        *range <<= 8;
    }
}

/* The state of a coder, held in registers while several bits are coded. */
#define CODER_HOLD(c)        u32 code_ = (c)->code, range_ = (c)->range
#define CODER_DROP(c)        ((c)->code = code_, (c)->range = range_)
#define CODER_BIT(c, b, one) bit_step((c), &code_, &range_, (b))

TZ_INLINE u32 bit_step(Coder *c, u32 *code, u32 *range, Bit *b) {
    u32 bound = (*range >> PROBABILITY_BITS) * bit_probability(*b), one = *code < bound, zero = one - 1;
    *code -= bound & zero;
    *range = bound + ((*range - 2 * bound) & zero);
    *b = bit_adapt(*b, one);
    coder_fill(c, code, range);
    return one;
}

static inline u32 code_raw16(Coder *c, u32 n, u32 v) {
    CODER_HOLD(c);
    range_ >>= n;
    v = code_ / range_;
    if (v >> n)
        tz_fail(c->env, TZ_CORRUPT, c->name);
    code_ -= v * range_;
    coder_fill(c, &code_, &range_);
    CODER_DROP(c);
    return v;
}

#endif

TZ_INLINE u32 code_bit(Coder *c, Bit *b, u32 one) {
    CODER_HOLD(c);
    one = CODER_BIT(c, b, one);
    CODER_DROP(c);
    return one;
}

static inline u64 code_raw(Coder *c, u32 n, u64 v) {
    u64 r = 0;
    for (; n > 16; n -= 16)
        r = r << 16 | code_raw16(c, 16, (u32)(v >> (n - 16)) & 0xffff);
    return n ? r << n | code_raw16(c, n, (u32)v & ((1u << n) - 1)) : r;
}

#endif
