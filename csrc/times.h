/* Clocks: starts and lengths from what is known of neighbours. FORMAT.md, "Times". */
#ifndef TZ_TIMES_H
#define TZ_TIMES_H

#include "ids.h"

static const u64 grains[10] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

/* v / 10^k. The granularities that clocks have are constants to the compiler: a division by a variable is slow. */
static inline u64 in_grains(u64 v, u32 k) {
    switch (k) {
        case 0: return v;
        case 3: return v / 1000;
        case 6: return v / 1000000;
        case 9: return v / 1000000000;
        default: return v / grains[k];
    }
}

/* The same for a signed number, rounded down. */
static inline u64 in_grains_floor(u64 v, u32 k) { return v >> 63 ? ~in_grains(~v, k) : in_grains(v, k); }

TZ_INLINE void bases_in_grains(u64 *base, u32 n, u32 k) {
    for (u32 i = 0; k && i < n; i++)
        base[i] = in_grains(base[i], k);
}

/* The granularity of a path's clocks, told when the path is first met in a block. */
static void code_grains(State *s, Clock *k, u32 n) {
    if (k->stamp == s->block)
        return;
    k->stamp = s->block;
    Coder *c = &s->coders[TIMES];
    for (u32 i = 0; i < n; i++) {
        u8 guess = k->known ? k->grain[i] : s->last_grain[i];
        u32 g = code_nibble(c, context(&s->x, F_GRAIN, i, (u32)guess << 1 | k->known, NIBBLE_CELLS), k->next_grain[i]);
        if (g > 9)
            tz_fail(&s->t.env, TZ_CORRUPT, "times");
        k->grain[i] = s->last_grain[i] = (u8)g;
    }
    k->known = 1;
}

/* n: how many bases there may be, a constant to the compiler. */
TZ_INLINE u64 code_start(State *s, u32 path, Clock *k, u32 family, u64 *base, u32 n, u32 available, u64 v) {
    u32 g = k->grain[0];
    bases_in_grains(base, n, g);
    u32 at = cheapest(k->start_cost, available, n);
    v = base[at] + code_number(&s->coders[TIMES], path_context(&s->x, AT_START + at, family, path, at, PAIR_CELLS),
                               in_grains(v, g) - base[at]);
    learn_costs(k->start_cost, base, available, n, v);
    return v * grains[g];
}

/* A length of time, signed, modulo 2^64. */
static u64 code_length(State *s, u32 path, Clock *k, u64 *base, u32 available, u64 v) {
    u32 g = k->grain[1];
    for (u32 i = 0; g && i < N_LENGTHS; i++)
        base[i] = in_grains_floor(base[i], g);
    u32 at = cheapest(k->length_cost, available, N_LENGTHS);
    u64 d = in_grains_floor(v, g) - base[at];
    v = base[at] +
        code_number(&s->coders[TIMES], path_context(&s->x, AT_LENGTH + at, F_LENGTH, path, at, PAIR_CELLS), d);
    learn_costs(k->length_cost, base, available, N_LENGTHS, v);
    return v * grains[g];
}

typedef struct {
    u32 trace, path, own, parent; /* own, parent: mentions or NONE */
    u8 again;                     /* the span was sent before */
} Place;

static void code_span_times(State *s, const Place *at, const u8 *has, u64 *start, u64 *end) {
    Clock *k = &s->clocks.v[at->path];
    const Mention *own = at->own == NONE ? NULL : &s->mentions.v[at->own],
                  *up = at->parent == NONE ? NULL : &s->mentions.v[at->parent];
    code_grains(s, k, 2);
    if (has[OP_START]) {
        u64 base[N_BASES] = {k->last_start, s->traces.v[at->trace].last_start};
        u32 available = s->traces.v[at->trace].last_path ? 3 : 1;
        if (up && up->seen)
            base[2] = up->start, available |= 4;
        if (up && up->has_children)
            base[3] = up->child_end, base[4] = up->child_start, available |= 24;
        if (own && own->has_children)
            base[5] = own->first_start, available |= 32;
        if (at->again)
            base[6] = own->start, available |= 64;
        *start = code_start(s, at->path, k, F_START, base, N_BASES, available, *start);
        k->last_start = *start;
    }
    if (has[OP_END]) {
        u64 base[N_LENGTHS] = {0, k->last_length};
        u32 available = 3;
        if (own && own->has_children)
            base[2] = own->last_end - *start, available |= 4;
        if (at->again)
            base[3] = own->length, available |= 8;
        k->last_length = code_length(s, at->path, k, base, available, *end - *start);
        *end = *start + k->last_length;
    }
}

static void learn_span_times(State *s, const Place *at, u64 start, u64 end) {
    s->traces.v[at->trace].last_start = start;
    if (at->own != NONE) {
        Mention *own = &s->mentions.v[at->own];
        own->start = start;
        own->length = end - start;
    }
    if (at->parent == NONE)
        return;
    Mention *up = &s->mentions.v[at->parent];
    if (!up->has_children)
        up->first_start = start;
    up->has_children = 1;
    up->child_start = start;
    up->child_end = end;
    if (!up->last_end || (i64)(end - up->last_end) > 0)
        up->last_end = end;
}

#endif
