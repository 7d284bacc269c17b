/* Math.random of V8 (Node.js, browsers): xorshift128+, whose values are linear in the 128 bits of its state.
 * FORMAT.md, "Generators".
 *
 * A refill makes 64 values, which are handed out last first. An id takes the top bits of several: 2 values of 32 bits
 * in Node.js, 16 of 4 bits in a browser. Positions count values in the order in which they are handed out; position 0
 * is the first of a refill. */
#ifndef TZ_V8_H
#define TZ_V8_H

#include "base.h"

enum { V8_REFILL = 64, V8_WORD = 32, V8_DIGIT = 4 };

typedef struct {
    u64 s0, s1;
} V8;

static inline void v8_step(V8 *v) {
    u64 a = v->s0, b = v->s1;
    a ^= a << 23;
    a ^= a >> 17;
    v->s0 = b;
    v->s1 = a ^ b ^ b >> 26;
}

static inline void v8_back(V8 *v) {
    u64 b = v->s0, a = v->s1 ^ b ^ b >> 26;
    a ^= a >> 17 ^ a >> 34 ^ a >> 51;
    v->s0 = a ^ a << 23 ^ a << 46;
    v->s1 = b;
}

/* The values of one refill in the order in which they are handed out, top 32 bits each; `v` moves to the next. */
static inline void v8_refill(V8 *v, u32 *values) {
    for (u32 i = V8_REFILL; i--;) {
        values[i] = (u32)(v->s0 >> 32);
        v8_step(v);
    }
}

/* The id of 64 bits that these values give, `width` bits each. */
static inline u64 v8_id(const u32 *values, u32 width) {
    u64 id = 0;
    for (u32 i = 0; i < 64 / width; i++)
        id = id << width | values[i] >> (32 - width);
    return id;
}

/* Where the value at a position lies in the order in which the values are made. */
static inline u32 v8_made(u32 position) { return position ^ (V8_REFILL - 1); }

/* What three ids in a row (192 bits) say of the state (128 bits): 64 parities that hold whatever the state was, and
 * each bit of the state as a parity. `left` values of the refill are not handed out before the first id; the state is
 * that at the end of this refill (its value handed out last). If left is at least the number of values, then at the
 * value of theirs that was made first. */
typedef struct {
    u64 of[3];
} V8Parity; /* the bits of the three ids that count */

typedef struct {
    u32 n; /* parities that must be even: 64 */
    V8Parity even[64], state[128];
} V8Solver;

static inline u32 v8_parity(const V8Parity *p, const u64 *ids) {
    return (u32)__builtin_parityll((ids[0] & p->of[0]) ^ (ids[1] & p->of[1]) ^ (ids[2] & p->of[2]));
}

void v8_solver(V8Solver *s, u32 width, u32 left);
V8 v8_solve(const V8Solver *s, const u64 *ids);

#endif
