#include "v8.h"

typedef struct {
    u64 of[2]; /* the bits of the state that make a bit */
} Linear;

typedef struct {
    Linear s0[64], s1[64];
} Symbolic; /* bit i of a word is s0[i] */

typedef struct {
    Linear is;
    V8Parity from;
} Equation;

static Linear add(Linear a, Linear b) { return (Linear){{a.of[0] ^ b.of[0], a.of[1] ^ b.of[1]}}; }

static void symbolic_begin(Symbolic *y) {
    memset(y, 0, sizeof *y);
    for (u32 i = 0; i < 64; i++)
        y->s0[i].of[0] = y->s1[i].of[1] = (u64)1 << i;
}

/* v8_step, on what the bits are made of. */
static void symbolic_step(Symbolic *y) {
    Linear a[64];
    for (u32 i = 0; i < 64; i++)
        a[i] = i < 23 ? y->s0[i] : add(y->s0[i], y->s0[i - 23]);
    for (u32 i = 0; i + 17 < 64; i++)
        a[i] = add(a[i], a[i + 17]);
    for (u32 i = 0; i < 64; i++) {
        a[i] = add(a[i], y->s1[i]);
        if (i + 26 < 64)
            a[i] = add(a[i], y->s1[i + 26]);
    }
    memcpy(y->s0, y->s1, sizeof a);
    memcpy(y->s1, a, sizeof a);
}

/* Which of the values of three ids was made `made`-th, counted from the last of the refill; or `n` for none. */
static u32 value_made(u32 made, u32 n, u32 left) {
    u32 i = made < V8_REFILL ? left - 1 - made : left + 2 * V8_REFILL - 1 - made;
    return (made < V8_REFILL) == (i < left) && i < n ? i : n;
}

static void equations(Equation *e, u32 width, u32 left) {
    u32 n = 192 / width;
    Symbolic y;
    if (left > n)
        left = n;
    memset(e, 0, 192 * sizeof *e);
    symbolic_begin(&y);
    for (u32 made = 0, todo = n; todo; made++, symbolic_step(&y)) {
        u32 value = value_made(made, n, left);
        todo -= value < n;
        for (u32 bit = 0; value < n && bit < width; bit++) {
            u32 at = value * width + bit; /* bits of the ids, the most significant one first */
            e[at].is = y.s0[63 - bit];
            e[at].from.of[at / 64] = (u64)1 << (63 - at % 64);
        }
    }
}

static u32 has_bit(const Equation *e, u32 bit) { return e->is.of[bit / 64] >> bit % 64 & 1; }

static void equation_add(Equation *to, const Equation *e) {
    to->is = add(to->is, e->is);
    for (int i = 0; i < 3; i++)
        to->from.of[i] ^= e->from.of[i];
}

/* Gauss and Jordan: afterwards each used equation has one bit of the state, and what is left of the others is 0. */
void v8_solver(V8Solver *s, u32 width, u32 left) {
    Equation e[192];
    u32 used = 0;
    equations(e, width, left);
    memset(s, 0, sizeof *s);
    for (u32 bit = 0; bit < 128; bit++) {
        u32 at = used;
        while (at < 192 && !has_bit(&e[at], bit))
            at++;
        if (at == 192)
            continue; /* nothing depends on it */
        Equation pivot = e[at];
        e[at] = e[used];
        e[used] = pivot;
        for (u32 i = 0; i < 192; i++)
            if (i != used && has_bit(&e[i], bit))
                equation_add(&e[i], &pivot);
        used++;
    }
    for (u32 i = 0; i < used; i++) {
        u32 low = e[i].is.of[0] ? (u32)__builtin_ctzll(e[i].is.of[0]) : 64 + (u32)__builtin_ctzll(e[i].is.of[1]);
        s->state[low] = e[i].from;
    }
    for (u32 i = used; i < 192 && s->n < 64; i++)
        s->even[s->n++] = e[i].from;
}

V8 v8_solve(const V8Solver *s, const u64 *ids) {
    u64 half[2] = {0, 0};
    for (u32 i = 0; i < 128; i++)
        half[i / 64] |= (u64)v8_parity(&s->state[i], ids) << i % 64;
    return (V8){half[0], half[1]};
}
