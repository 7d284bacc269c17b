/* The values of a V8, MT19937 or Go after those that are there, and before them. */
#include "find_parts.h"

static void v8_after(Stream *g, u32 *to, u32 n) {
    for (u32 i = 0; i < n; i += V8_REFILL)
        v8_refill(&g->high, to + i);
}

static void mt_after(const Stream *g, u32 *x, u32 n) {
    const u32 *last = g->values.v + g->values.n - MT_N;
    for (u32 i = 0; i < MT_N; i++)
        x[i] = mt_untemper(last[i]);
    for (u32 i = 0; i < n; i++)
        x[i + MT_N] = x[i + MT_M] ^ mt_twist(x[i], x[i + 1]);
    for (u32 i = 0; i < n; i++)
        x[i + MT_N] = mt_temper(x[i + MT_N]);
}

static void go_after(const Stream *g, u32 *to, u32 n) {
    u32 n_bytes = bytes_of_word(g->kind), known = (GO_N + GO_BATCH) / GO_BATCH * n_bytes;
    GoRand state;
    go_before_values(&state, n_bytes, g->values.v + g->values.n - known);
    go_skip(&state, GO_N + 1);
    for (u32 i = 0; i < n; i += n_bytes)
        go_values(&state, n_bytes, to + i);
}

void values_after(Finder *f, Env *env, Stream *g, u32 n) {
    VEC_RESERVE(env, g->values, n);
    if (is_mt(g->kind)) {
        VEC_RESIZE(env, f->scratch, n + MT_N);
        mt_after(g, f->scratch.v, n);
        memcpy(g->values.v + g->values.n, f->scratch.v + MT_N, n * sizeof(u32));
    } else if (is_go(g->kind)) {
        go_after(g, g->values.v + g->values.n, n);
    } else {
        v8_after(g, g->values.v + g->values.n, n);
    }
    g->values.n += n;
}

static void v8_before(Stream *g, u32 *to, u32 n) {
    for (u32 i = 0; i < n; i++)
        v8_back(&g->low);
    V8 v = g->low;
    for (u32 i = 0; i < n; i += V8_REFILL)
        v8_refill(&v, to + i);
}

static void mt_before(const Stream *g, u32 *x, u32 n) {
    for (u32 i = 0; i < MT_N; i++)
        x[n + i] = mt_untemper(g->values.v[i]);
    for (u32 i = n; i--;)
        x[i] = mt_before_word(x + i);
    for (u32 i = 0; i < n; i++)
        x[i] = mt_temper(x[i]);
}

static void go_before(Stream *g, u32 *to, u32 n) {
    u32 n_bytes = bytes_of_word(g->kind), n_words = n / n_bytes * GO_BATCH;
    GoRand state;
    go_before_values(&state, n_bytes, g->values.v);
    for (u32 i = 0; i < n_words; i++)
        go_back(&state);
    g->drawn -= n_words;
    for (u32 i = 0; i < n; i += n_bytes)
        go_values(&state, n_bytes, to + i);
}

void values_before(Finder *f, Env *env, Stream *g, u32 n) {
    VEC_RESIZE(env, f->scratch, n + MT_N);
    if (is_mt(g->kind))
        mt_before(g, f->scratch.v, n);
    else if (is_go(g->kind))
        go_before(g, f->scratch.v, n);
    else
        v8_before(g, f->scratch.v, n);
    VEC_RESERVE(env, g->values, n);
    memmove(g->values.v + n, g->values.v, g->values.n * sizeof(u32));
    memcpy(g->values.v, f->scratch.v, n * sizeof(u32));
    g->values.n += n;
}
