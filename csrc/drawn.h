/* Generators of ids that were told, and the ids that they draw. FORMAT.md, "Generators". */
#ifndef TZ_DRAWN_H
#define TZ_DRAWN_H

#include "generator.h"

typedef struct {
    u8 kind;
    u32 process;
    u32 before, after; /* neighbours among those of the process, by last use: numbers + 1 */
    u64 seed, step;    /* SplitMix */
    V8 next;           /* V8: before the refill that comes next is made */
    GoRand *go;        /* Go: before the batch that comes next is made */
    U32s values;       /* V8, Go: from position 0 on; MT19937: words, untempered */
    u64 last;          /* the position that was told last */
    u64 extent;        /* values that were needed for what was told */
    u64 origin;        /* writer: position 0 among the finder's */
} Generator;

static void go_begin(Env *env, Generator *g, const GeneratorState *told) {
    g->go = malloc(sizeof *g->go);
    if (!g->go)
        tz_fail(env, TZ_NO_MEMORY, "memory");
    g->go->at = 0;
    memcpy(g->go->y, told->words.go, sizeof g->go->y);
    if (told->seed) {
        go_seed(g->go, (u32)told->seed);
        go_skip(g->go, told->skip * GO_BATCH);
    }
}

static void generator_begin(Env *env, Generator *g, const GeneratorState *told) {
    *g = (Generator){.kind = told->kind, .seed = told->seed, .step = splitmix_step(told->thread), .next = told->v8};
    if (is_go(g->kind))
        go_begin(env, g, told);
    if (!is_mt(g->kind))
        return;
    VEC_RESERVE(env, g->values, MT_N);
    memcpy(g->values.v, told->words.mt, sizeof told->words.mt);
    g->values.n = MT_N;
}

static void generator_free(Generator *g) {
    free(g->go);
    VEC_FREE(g->values);
}

static size_t generator_held(const Generator *g) { return VEC_HELD(g->values) + (g->go ? sizeof *g->go : 0); }

static void mt_more(Generator *g) {
    const u32 *x = g->values.v + g->values.n - MT_N;
    g->values.v[g->values.n++] = x[MT_M] ^ mt_twist(x[0], x[1]);
}

/* Makes values until there are `n`. */
static void generator_make(Env *env, Generator *g, size_t n) {
    if (g->values.n >= n)
        return;
    VEC_RESERVE(env, g->values, n - g->values.n + V8_REFILL);
    while (g->values.n < n) {
        if (is_mt(g->kind)) {
            mt_more(g);
        } else if (is_go(g->kind)) {
            go_values(g->go, bytes_of_word(g->kind), g->values.v + g->values.n);
            g->values.n += bytes_of_word(g->kind);
        } else {
            v8_refill(&g->next, g->values.v + g->values.n);
            g->values.n += V8_REFILL;
        }
    }
}

/* The id at a position; of all kinds but SplitMix it must be below 2^32. */
static u64 generator_id(Env *env, Generator *g, u64 position) {
    if (g->kind == GENERATOR_SPLITMIX)
        return splitmix_at(g->seed, g->step, position);
    generator_make(env, g, (size_t)position + values_of_id(g->kind));
    const u32 *at = g->values.v + position;
    if (is_mt(g->kind))
        return mt_id(mt_temper(at[0]), mt_temper(at[1]), g->kind == GENERATOR_MT19937_BYTES);
    return v8_id(at, g->kind == GENERATOR_V8_DIGITS ? V8_DIGIT : V8_WORD);
}

/* Where the half of a trace id stands that is drawn second. */
static inline u64 other_half(u32 kind, u64 position) {
    return position + (kind == GENERATOR_SPLITMIX ? 1 : values_of_id(kind));
}

#endif
