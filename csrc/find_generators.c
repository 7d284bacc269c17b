/* The finder's rounds: ids are looked up; rows that nothing explains are looked at, resource by resource. */
#include "find_parts.h"

enum {
    CACHED_ROWS = 1 << 14, /* rows that are known by the last bits of an id */
    AHEAD_ROWS = 8,        /* rows for which the table is fetched before */
    ROUNDS = 8,            /* looks at a resource in one block */
    MOST_FAILED = 10       /* each look in vain doubles the blocks until the next one */
};

void finder_init(Finder *f, u32 level, u32 halvings) {
    find_words_fill();
    memset(f, 0, sizeof *f);
    f->level = level;
    f->halvings = halvings;
    f->credit.looks = LOOKS_FIRST;
    f->credit.probes = PROBES_FIRST;
    f->credit.searches = SEARCHES_MOST;
    f->credit.values = VALUES_FIRST;
}

void finder_free(Finder *f) {
    for (size_t i = 0; i < f->sources.n; i++)
        VEC_FREE(f->sources.v[i].draws);
    streams_free(f);
    mt_free(&f->mt);
    go_free(&f->go);
    map_free(&f->of_range);
    map_free(&f->seen);
    VEC_FREE(f->threads);
    VEC_FREE(f->sources);
    VEC_FREE(f->touched);
    VEC_FREE(f->next);
    VEC_FREE(f->sample);
    VEC_FREE(f->scratch);
    VEC_FREE(f->digits);
    VEC_FREE(f->row_of_id);
    VEC_FREE(f->row_of_trace);
    VEC_FREE(f->own);
    VEC_FREE(f->parent);
    VEC_FREE(f->trace);
}

size_t finder_held(const Finder *f) {
    size_t n = streams_held(f) + mt_held(&f->mt) + go_held(&f->go) + VEC_HELD(f->of_range) + VEC_HELD(f->seen);
    n += VEC_HELD(f->sources);
    for (size_t i = 0; i < f->sources.n; i++)
        n += VEC_HELD(f->sources.v[i].draws);
    n += VEC_HELD(f->threads) + VEC_HELD(f->touched) + VEC_HELD(f->next) + VEC_HELD(f->sample) + VEC_HELD(f->scratch);
    n += VEC_HELD(f->digits) + VEC_HELD(f->row_of_id) + VEC_HELD(f->row_of_trace);
    return n + VEC_HELD(f->own) + VEC_HELD(f->parent) + VEC_HELD(f->trace);
}

u32 finder_resource(const Finder *f, u32 generator) {
    const Thread *t = thread_of(f, generator);
    return t ? t->resource : stream_of(f, generator)->resource;
}

u64 finder_origin(Finder *f, u32 generator, u64 position, GeneratorState *state) {
    const Thread *t = thread_of(f, generator);
    return t ? thread_origin(t, position, state) : stream_origin(stream_of(f, generator), position, state);
}

static int knows_any(const Finder *f) { return f->threads.n || f->streams.n; }

static Found find(Finder *f, Env *env, u64 id, u32 resource) {
    Found found = f->streams.n ? streams_find(f, env, id) : NOTHING;
    return found.generator == NO_GENERATOR && f->threads.n && id ? threads_find(f, env, id, resource) : found;
}

static Found find_trace(Finder *f, Env *env, u64 hi, u64 lo, u32 resource) {
    Found found = f->streams.n ? streams_find_trace(f, env, hi, lo) : NOTHING;
    return found.generator == NO_GENERATOR && f->threads.n && (hi || lo) ? threads_find_trace(f, env, hi, lo, resource)
                                                                         : found;
}

/* --- rows that nothing explains ----------------------------------------------------------------------------------- */

static void chain_add(Finder *f, Env *env, u32 resource, u32 row) {
    if (resource >= f->sources.n)
        return;
    Source *s = &f->sources.v[resource];
    if (!s->n++) {
        VEC_PUSH(env, f->touched, resource);
        s->first = row + 1;
    } else {
        f->next.v[s->last - 1] = row + 1;
    }
    s->last = row + 1;
    f->next.v[row] = 0;
}

/* The rows of a resource that are still not explained, in a chain. */
void explain(Finder *f, Env *env, const IdRows *r, u32 resource) {
    u32 row = f->sources.v[resource].first, last = 0, n = 0;
    u32 *link = &f->sources.v[resource].first;
    for (; row; row = f->next.v[row - 1]) {
        f->own.v[row - 1] = find(f, env, r->id[row - 1], resource);
        if (f->own.v[row - 1].generator != NO_GENERATOR)
            continue;
        *link = last = row;
        link = &f->next.v[row - 1];
        n++;
    }
    *link = 0;
    f->sources.v[resource].last = last;
    f->sources.v[resource].n = n;
}

static void take_sample(Finder *f, Env *env, const IdRows *r, const Source *s) {
    f->sample.n = 0;
    for (u32 row = s->first; row && f->sample.n < FIND_SAMPLE; row = f->next.v[row - 1]) {
        Draw x = {r->start[row - 1], r->id[row - 1], row - 1};
        VEC_PUSH(env, f->sample, x);
    }
    sort_draws(&f->sample);
}

/* --- looking ------------------------------------------------------------------------------------------------------ */

static u32 look_once(Finder *f, Env *env, const IdRows *r, u32 resource) {
    take_sample(f, env, r, &f->sources.v[resource]);
    u32 found = find_threads(f, env, r, resource);
    if (!found)
        found = find_words(f, env, r, resource);
    if (!found)
        found = find_own_steps(f, env, resource);
    if (!found && f->level >= FIND_DIGITS_LEVEL)
        found = find_digits(f, env, r, resource);
    return found;
}

static i64 look_cost(const Source *s) {
    return COST_LOOK + COST_LOOK_ROW * (i64)(s->n < FIND_SAMPLE ? s->n : FIND_SAMPLE);
}

/* What is left after something was found says nothing of the next block. */
static void look(Finder *f, Env *env, const IdRows *r, u32 resource) {
    Source *s = &f->sources.v[resource];
    u32 found = 0;
    for (u32 round = 0; round < ROUNDS && s->n >= FIND_LEAST && pay(&f->credit.looks, look_cost(s)); round++) {
        i64 cost = look_cost(s);
        u32 more = look_once(f, env, r, resource);
        found += more;
        if (!more && !found) {
            s->failed += s->failed < MOST_FAILED;
            s->again = f->block + (s->n < FIND_WINDOW ? 2 : 1u << s->failed);
        }
        if (!more)
            return;
        f->credit.looks += cost;
        s->failed = 0;
        explain(f, env, r, resource);
    }
}

/* --- a block ------------------------------------------------------------------------------------------------------ */

static void earn(i64 *account, i64 more, i64 most) { *account = *account + more < most ? *account + more : most; }

static void earn_rows(Finder *f, i64 n) {
    earn(&f->credit.looks, n * (EARNED_LOOKS + (f->level < FIND_DIGITS_LEVEL ? 0 : EARNED_DIGITS)), LOOKS_MOST);
    earn(&f->credit.probes, n * EARNED_PROBES, PROBES_MOST);
    earn(&f->credit.searches, 0, SEARCHES_MOST);
    earn(&f->credit.values, 0, VALUES_MOST);
}

static void block_begin(Finder *f, Env *env, const IdRows *r) {
    u32 top = (u32)f->sources.n;
    for (size_t i = 0; i < r->n; i++)
        top = r->resource[i] >= top ? r->resource[i] + 1 : top;
    VEC_RESIZE(env, f->sources, top < FIND_SOURCES ? top : FIND_SOURCES);
    for (size_t i = 0; i < f->touched.n; i++) {
        Source *s = &f->sources.v[f->touched.v[i]];
        s->first = s->last = s->n = 0;
    }
    f->touched.n = 0;
    VEC_RESIZE(env, f->next, r->n);
    f->block++;
    earn_rows(f, (i64)r->n);
    streams_forget(f);
    threads_forget(f, env);
}

static void blank(Env *env, FoundRows *rows, size_t n) {
    VEC_RESIZE(env, *rows, n);
    for (size_t i = 0; i < n; i++)
        rows->v[i] = NOTHING;
}

/* Where nothing is known, this is done once. */
static void blank_all(Finder *f, Env *env, size_t n) {
    if (n > f->n_blank) {
        blank(env, &f->own, n);
        blank(env, &f->parent, n);
        blank(env, &f->trace, n);
    }
    f->own.n = f->parent.n = f->trace.n = n;
    f->n_blank = n > f->n_blank ? n : f->n_blank;
}

static void own_ids(Finder *f, Env *env, const IdRows *r) {
    VEC_RESIZE(env, f->own, r->n);
    VEC_RESIZE(env, f->parent, r->n);
    VEC_RESIZE(env, f->trace, r->n);
    for (u32 row = 0; row < r->n; row++) {
        if (f->streams.n && row + AHEAD_ROWS < r->n)
            streams_prefetch(f, r->id[row + AHEAD_ROWS]);
        f->own.v[row] = find(f, env, r->id[row], r->resource[row]);
        if (f->own.v[row].generator == NO_GENERATOR && r->id[row])
            chain_add(f, env, r->resource[row], row);
    }
}

static void no_ids(Finder *f, Env *env, const IdRows *r) {
    blank_all(f, env, r->n);
    for (u32 row = 0; row < r->n; row++)
        if (r->id[row])
            chain_add(f, env, r->resource[row], row);
}

/* The row of the block with this key seen last, + 1, is kept by the key's last bits. */
static u32 *cached(U32s *rows, u64 key) { return &rows->v[key % CACHED_ROWS]; }

static void cache_begin(Env *env, U32s *rows) {
    rows->n = 0;
    VEC_RESIZE(env, *rows, CACHED_ROWS);
}

/* Most parents are rows of the block, or were asked for before. */
static void parent_ids(Finder *f, Env *env, const IdRows *r) {
    cache_begin(env, &f->row_of_id);
    for (u32 row = 0; row < r->n; row++)
        *cached(&f->row_of_id, r->id[row]) = row + 1;
    for (u32 row = 0; row < r->n; row++) {
        u64 id = r->parent[row];
        u32 at = *cached(&f->row_of_id, id);
        if (row && id == r->parent[row - 1])
            f->parent.v[row] = f->parent.v[row - 1];
        else if (at && r->id[at - 1] == id)
            f->parent.v[row] = f->own.v[at - 1];
        else
            f->parent.v[row] = id ? find(f, env, id, r->resource[row]) : NOTHING;
    }
}

static void trace_ids(Finder *f, Env *env, const IdRows *r) {
    cache_begin(env, &f->row_of_trace);
    for (u32 row = 0; row < r->n; row++) {
        u32 *at = cached(&f->row_of_trace, r->lo[row]);
        if (*at && r->lo[*at - 1] == r->lo[row] && r->hi[*at - 1] == r->hi[row])
            f->trace.v[row] = f->trace.v[*at - 1];
        else
            f->trace.v[row] = find_trace(f, env, r->hi[row], r->lo[row], r->resource[row]);
        *at = row + 1;
    }
}

/* A generator that was found knows the ids around those that it was found with, and with each that is met more: so the
 * last ones come first. */
static void own_ids_again(Finder *f, Env *env, const IdRows *r) {
    for (size_t row = r->n; row--;)
        if (f->own.v[row].generator == NO_GENERATOR && r->id[row])
            f->own.v[row] = find(f, env, r->id[row], r->resource[row]);
}

void finder_block(Finder *f, Env *env, const IdRows *r) {
    u32 n_numbers = f->n_numbers;
    block_begin(f, env, r);
    if (knows_any(f))
        own_ids(f, env, r);
    else
        no_ids(f, env, r);
    for (size_t i = 0; i < f->touched.n; i++) {
        u32 resource = f->touched.v[i];
        if (f->block >= f->sources.v[resource].again)
            look(f, env, r, resource);
        look_at_draws(f, env, r, resource);
    }
    if (f->n_numbers != n_numbers)
        own_ids_again(f, env, r);
    if (knows_any(f)) {
        parent_ids(f, env, r);
        trace_ids(f, env, r);
        f->n_blank = 0;
    }
}

int finder_try(Finder *f, const IdRows *r) {
    Env env;
    if (setjmp(env.out))
        return env.code;
    finder_block(f, &env, r);
    return TZ_OK;
}
