/* V8, MT19937 and Go: values made ahead, and a table of the ids in them. */
#include "find_parts.h"

enum {
    PLACE_BITS = 22,
    PLACE_FIRST = 1 << 21, /* where streams begin */
    SLOTS_FIRST = 1 << 12,
    ENTERED_MOST = 1 << 18, /* ids in the table, */
    ENTERED_FULL = 3 << 16, /* with which it is time to begin anew, */
    ENTERED_KEPT = 1 << 17, /* and that are kept then */
    BATCH = 32
};

/* Values made at a time: the first time, and at most. A web page's life is short. */
enum { AHEAD_FIRST = 1024, AHEAD_MOST = 2048, AHEAD_DIGITS = 512, AHEAD_GO = 1792 };

/* How much earlier than an id a reader's generator begins. */
enum { ORIGIN_BACK = 1024 };

static u32 stream_to(const Stream *g) { return g->from + (u32)g->values.n; }

static u64 stream_id(const Stream *g, u32 place) {
    const u32 *v = g->values.v + (place - g->from);
    if (is_mt(g->kind))
        return mt_id(v[0], v[1], g->kind == GENERATOR_MT19937_BYTES);
    return v8_id(v, g->kind == GENERATOR_V8_DIGITS ? V8_DIGIT : V8_WORD);
}

/* Values between places at which ids may begin; and values that are made, and dropped, together. */
static u32 places_apart(const Stream *g) { return g->kind == GENERATOR_GO_INT63 ? 2 : 1; }

static u32 made_together(const Stream *g) { return is_go(g->kind) ? bytes_of_word(g->kind) : V8_REFILL; }

/* --- the table ---------------------------------------------------------------------------------------------------- */

static u64 hash_of(const Finder *f, u64 id) { return hash_mix(id, finder_seed(f)); }

static const Stream *stream_at(const Finder *f, u32 at) { return &f->streams.v[(at >> PLACE_BITS) - 1]; }

static u32 place_at(u32 at) { return at & ((1u << PLACE_BITS) - 1); }

/* Where an id of this hash stands; 0 there if it is not in the table. */
static u32 *table_at(Finder *f, u64 id, u64 hash) {
    u32 tag = (u32)(hash >> 32), mask = (u32)f->table.n - 1, at = (u32)hash & mask;
    for (;; at = (at + 1) & mask) {
        Slot *s = &f->table.v[at];
        if (!s->at) {
            s->tag = tag;
            return &s->at;
        }
        if (s->tag == tag && stream_id(stream_at(f, s->at), place_at(s->at)) == id)
            return &s->at;
    }
}

void streams_prefetch(const Finder *f, u64 id) {
    __builtin_prefetch(&f->table.v[(u32)hash_of(f, id) & (f->table.n - 1)]);
}

static void table_move(Finder *f, const Slots *old) {
    for (size_t i = 0; i < old->n; i++) {
        u32 at = old->v[i].at;
        if (!at)
            continue;
        u64 id = stream_id(stream_at(f, at), place_at(at));
        *table_at(f, id, hash_of(f, id)) = at;
    }
}

/* Room for more ids: the table stays at most half full. */
static void table_reserve(Finder *f, Env *env, u32 more) {
    size_t n = f->table.n ? f->table.n : SLOTS_FIRST;
    while (2 * ((size_t)f->n_entered + more) > n)
        n *= 2;
    if (n == f->table.n)
        return;
    VEC_RESIZE(env, f->other_table, n);
    Slots old = f->table;
    f->table = f->other_table;
    f->other_table = old;
    table_move(f, &old);
    VEC_FREE(f->other_table);
}

/* The ids that begin at `n` values from this place on, some at a time. The first one of an id stays. */
static void enter(Finder *f, u32 stream, u32 place, u32 n) {
    const Stream *g = &f->streams.v[stream];
    u32 apart = places_apart(g), end = place + n;
    u64 id[BATCH], hash[BATCH];
    place += (place - g->from) % apart;
    while (place < end) {
        u32 m = (end - place + apart - 1) / apart;
        m = m < BATCH ? m : BATCH;
        for (u32 i = 0; i < m; i++) {
            id[i] = stream_id(g, place + i * apart);
            hash[i] = hash_of(f, id[i]);
            __builtin_prefetch(&f->table.v[(u32)hash[i] & (f->table.n - 1)], 1);
        }
        for (u32 i = 0; i < m; i++, place += apart) {
            u32 *at = table_at(f, id[i], hash[i]);
            if (!*at) {
                *at = (stream + 1) << PLACE_BITS | place;
                f->n_entered++;
            }
        }
    }
}

static int may_make(Finder *f, const Stream *g, u32 n) {
    if (f->n_entered + n > halved(f, ENTERED_MOST, 0) || stream_to(g) + n >= 1u << PLACE_BITS || g->from < n) {
        f->full = 1;
        return 0;
    }
    return pay(&f->credit.values, (i64)n * COST_VALUE);
}

/* --- values ------------------------------------------------------------------------------------------------------- */

static void make_after(Finder *f, Env *env, u32 stream, u32 n) {
    Stream *g = &f->streams.v[stream];
    u32 entered = g->values.n ? (u32)g->values.n - (values_of_id(g->kind) - 1) : 0;
    values_after(f, env, g, n);
    table_reserve(f, env, (u32)g->values.n - entered);
    enter(f, stream, g->from + entered, (u32)g->values.n - (values_of_id(g->kind) - 1) - entered);
}

static void make_before(Finder *f, Env *env, u32 stream, u32 n) {
    Stream *g = &f->streams.v[stream];
    values_before(f, env, g, n);
    g->from -= n;
    table_reserve(f, env, n);
    enter(f, stream, g->from, n);
}

/* So many values, or as many as the process drew before those that are there, which is known with a seed. */
static u32 values_left(const Stream *g, u32 n) {
    u64 left = g->drawn / GO_BATCH * made_together(g);
    return g->seed && left < n ? (u32)left : n;
}

/* --- look-up ------------------------------------------------------------------------------------------------------ */

/* An id was met here: values are kept ready beyond it. */
static Found met(Finder *f, Env *env, u32 stream, u32 place) {
    Stream *g = &f->streams.v[stream];
    Found found = {g->number, g->base + place};
    g->met = 1;
    earn_found(f);
    if (place > g->highest)
        g->highest = place;
    if (place + g->ahead / 2 > stream_to(g) && may_make(f, g, g->ahead)) {
        make_after(f, env, stream, g->ahead);
        if (g->ahead == AHEAD_FIRST)
            g->ahead = AHEAD_MOST;
    }
    if (place < g->from + g->ahead / 8 && values_left(g, g->ahead / 4) && may_make(f, g, values_left(g, g->ahead / 4)))
        make_before(f, env, stream, values_left(g, g->ahead / 4));
    return found;
}

static int table_find(Finder *f, u64 id, u32 *stream, u32 *place) {
    u32 at = id && f->n_entered ? *table_at(f, id, hash_of(f, id)) : 0;
    if (!at)
        return 0;
    *stream = (at >> PLACE_BITS) - 1;
    *place = place_at(at);
    return 1;
}

Found streams_find(Finder *f, Env *env, u64 id) {
    u32 stream, place;
    return table_find(f, id, &stream, &place) ? met(f, env, stream, place) : NOTHING;
}

/* Is `first` an id of a stream of this sort, and `second` the id drawn next? */
static int trace_at(Finder *f, u64 first, u64 second, int lower_first, u32 *stream, u32 *place) {
    if (!table_find(f, first, stream, place))
        return 0;
    const Stream *g = &f->streams.v[*stream];
    u32 next = *place + values_of_id(g->kind);
    return lower_half_first(g->kind) == lower_first && next + values_of_id(g->kind) <= stream_to(g) &&
           stream_id(g, next) == second;
}

/* JavaScript draws the upper half first, Python the lower one. Some have no upper half. */
Found streams_find_trace(Finder *f, Env *env, u64 hi, u64 lo) {
    u32 stream, place;
    if (!hi)
        return streams_find(f, env, lo);
    if ((f->has_upper_first && trace_at(f, hi, lo, 0, &stream, &place)) ||
        (f->has_lower_first && trace_at(f, lo, hi, 1, &stream, &place)))
        return met(f, env, stream, place);
    return NOTHING;
}

/* --- streams ------------------------------------------------------------------------------------------------------ */

static void stream_has(Finder *f, const Stream *g) {
    if (lower_half_first(g->kind))
        f->has_lower_first = 1;
    else
        f->has_upper_first = 1;
}

static u32 stream_add(Finder *f, Env *env, u32 kind, u32 resource) {
    Stream g = {.kind = (u8)kind, .met = 1, .number = f->n_numbers++, .resource = resource};
    g.from = g.highest = PLACE_FIRST;
    g.ahead = kind == GENERATOR_V8_DIGITS ? AHEAD_DIGITS : is_go(kind) ? AHEAD_GO : AHEAD_FIRST;
    VEC_PUSH(env, f->streams, g);
    stream_has(f, &g);
    return (u32)f->streams.n - 1;
}

/* `state` is that at a refill's beginning. */
void stream_add_v8(Finder *f, Env *env, u32 kind, u32 resource, V8 state) {
    u32 stream = stream_add(f, env, kind, resource);
    Stream *g = &f->streams.v[stream];
    g->low = g->high = state;
    if (may_make(f, g, g->ahead + g->ahead / 2)) {
        make_after(f, env, stream, g->ahead);
        make_before(f, env, stream, g->ahead / 2);
    }
}

/* 624 words in a row; a word that was drawn lies `more` words after the last one. */
void stream_add_mt(Finder *f, Env *env, u32 kind, u32 resource, const MtKnown *words, u32 more) {
    u32 stream = stream_add(f, env, kind, resource);
    Stream *g = &f->streams.v[stream];
    if (!may_make(f, g, MT_N + more + g->ahead))
        return;
    VEC_RESIZE(env, g->values, MT_N);
    for (u32 i = 0; i < MT_N; i++)
        g->values.v[i] = mt_temper(words[i].x);
    table_reserve(f, env, MT_N);
    enter(f, stream, g->from, MT_N - 1);
    make_after(f, env, stream, more + g->ahead);
}

/* `before` more words before these and `after` more after them belong to what was looked at. */
void stream_add_go(Finder *f, Env *env, u32 kind, u32 resource, const GoWords *words, u32 before, u32 after) {
    u32 stream = stream_add(f, env, kind, resource);
    Stream *g = &f->streams.v[stream];
    GoRand state = {.at = 0};
    memcpy(state.y, words->y, sizeof state.y);
    g->seed = words->seed;
    g->drawn = words->drawn;
    before -= before % GO_BATCH;
    if (g->seed) { /* whole batches before them */
        before = g->drawn < before ? (u32)g->drawn : before;
        before += (u32)(g->drawn - before) % GO_BATCH;
        g->drawn -= before;
    }
    u32 n = (before + GO_N + after + g->ahead) / GO_BATCH * made_together(g);
    if (!may_make(f, g, n))
        return;
    for (u32 i = 0; i < GO_N + before; i++)
        go_back(&state);
    VEC_RESIZE(env, g->values, n);
    for (u32 i = 0; i < n; i += made_together(g))
        go_values(&state, bytes_of_word(kind), g->values.v + i);
    table_reserve(f, env, n);
    enter(f, stream, g->from, n - 1);
}

/* Drops the values well before the furthest that was met. */
static void stream_begin_anew(Stream *g) {
    u32 drop = g->highest > g->from + g->ahead ? g->highest - g->ahead - g->from : 0;
    drop = drop / made_together(g) * made_together(g);
    g->drawn += drop / made_together(g) * GO_BATCH;
    if (g->kind == GENERATOR_V8_WORDS || g->kind == GENERATOR_V8_DIGITS)
        for (u32 i = 0; i < drop; i++)
            v8_step(&g->low);
    g->values.n -= drop;
    memmove(g->values.v, g->values.v + drop, g->values.n * sizeof(u32));
    g->base += (u64)g->from + drop - PLACE_FIRST;
    g->highest = g->highest - g->from - drop + PLACE_FIRST;
    g->from = PLACE_FIRST;
    g->met = 0;
}

static int keeps(const Finder *f, const Stream *g) {
    u32 kept = stream_to(g) - g->highest + 2 * g->ahead;
    return g->met && g->values.n && f->n_entered + kept <= halved(f, ENTERED_KEPT, 0);
}

/* The table is begun anew, with the values around the last ids of those that were met since it was begun last. */
static void table_begin_anew(Finder *f) {
    size_t n = 0;
    memset(f->table.v, 0, f->table.n * sizeof *f->table.v);
    f->n_entered = f->full = f->has_upper_first = f->has_lower_first = 0;
    for (size_t i = 0; i < f->streams.n; i++) {
        Stream *g = &f->streams.v[i], s = *g;
        if (!keeps(f, g)) {
            VEC_FREE(g->values);
            continue;
        }
        stream_begin_anew(&s);
        f->streams.v[i].values = f->streams.v[n].values;
        f->streams.v[n] = s;
        stream_has(f, &s);
        enter(f, (u32)n++, s.from, (u32)s.values.n - (values_of_id(s.kind) - 1));
    }
    f->streams.n = n;
}

void streams_forget(Finder *f) {
    if (f->full || f->n_entered > halved(f, ENTERED_FULL, 0) || f->streams.n >= FIND_STREAMS)
        table_begin_anew(f);
}

void streams_free(Finder *f) {
    for (size_t i = 0; i < f->streams.n; i++)
        VEC_FREE(f->streams.v[i].values);
    VEC_FREE(f->streams);
    VEC_FREE(f->table);
    VEC_FREE(f->other_table);
}

size_t streams_held(const Finder *f) {
    size_t n = VEC_HELD(f->streams) + VEC_HELD(f->table) + VEC_HELD(f->other_table);
    for (size_t i = 0; i < f->streams.n; i++)
        n += VEC_HELD(f->streams.v[i].values);
    return n;
}

const Stream *stream_of(const Finder *f, u32 generator) {
    for (size_t i = f->streams.n; i--;)
        if (f->streams.v[i].number == generator)
            return &f->streams.v[i];
    return NULL;
}

/* A batch at this value or before it, and what is told of the generator there. */
static u32 go_origin(const Stream *g, u32 back, GeneratorState *state) {
    GoRand before;
    u32 together = made_together(g), last = (u32)g->values.n / together - (GO_N + GO_BATCH) / GO_BATCH;
    u32 batch = back / together < last ? back / together : last;
    go_before_values(&before, bytes_of_word(g->kind), g->values.v + batch * together);
    for (u32 i = 0; i < GO_N; i++)
        state->words.go[i] = before.y[i] & go_mask(bytes_of_word(g->kind));
    state->seed = g->seed;
    state->skip = g->seed ? g->drawn / GO_BATCH + batch : 0;
    return batch * together;
}

u64 stream_origin(const Stream *g, u64 position, GeneratorState *state) {
    u32 n = (u32)(position - g->base) - g->from, back = n > ORIGIN_BACK ? n - ORIGIN_BACK : 0;
    state->kind = g->kind;
    state->skip = 0;
    if (is_go(g->kind)) {
        back = go_origin(g, back, state);
    } else if (is_mt(g->kind)) {
        back = back + MT_N > g->values.n ? (u32)g->values.n - MT_N : back;
        for (u32 i = 0; i < MT_N; i++)
            state->words.mt[i] = mt_untemper(g->values.v[back + i]);
    } else {
        back = back / V8_REFILL * V8_REFILL;
        state->v8 = g->low;
        for (u32 i = 0; i < back; i++)
            v8_step(&state->v8);
    }
    return g->base + g->from + back;
}
