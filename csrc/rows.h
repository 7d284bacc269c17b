/* One block's rows, written or read. FORMAT.md, "Rows": every function here is one section of it. */
#ifndef TZ_ROWS_H
#define TZ_ROWS_H

#include "text.h"

/* Places of path_context. A path is of one kind, so starts of spans and times of events may share theirs. */
enum { AT_TRACE_SAME, AT_ID_OF_TRACE, AT_OWN_AWAITED, AT_OWN_RANK, AT_PARENT_KNOWN, AT_PARENT_SEEN, AT_PARENT_RANK, AT_PARENT_RANK_SEEN, AT_COUNT, AT_COUNT_LINKS,
       AT_START, AT_LENGTH = AT_START + N_BASES, AT_RECENT = AT_LENGTH + N_LENGTHS };

/* --- what came last ------------------------------------------------------------------------------------------------ */

static u32 recent(State *s, u32 family, u32 a, u32 b) {
    u32 *at = map_at(&s->t.env, &s->recent_index, (u64)family << 56 | (u64)a << 28 | b, s->t.seed);
    if (!*at) {
        Recent fresh = {NONE, NONE, 0};
        VEC_PUSH(&s->t.env, s->recents, fresh);
        *at = (u32)s->recents.n;
    }
    return *at - 1;
}

/* (RECENT1, a) of a kind; where a is a path, it is kept beside the path's contexts. */
static u32 recent_of(State *s, u32 kind, u32 a) {
    u32 *at;
    if (kind < KIND_SPAN || a >= s->t.paths.n) return recent(s, F_RECENT1 + kind, a, 0);
    at = &s->x.of_path.v[(size_t)a * PATH_CONTEXTS + AT_RECENT + kind - KIND_SPAN];
    if (!*at) *at = recent(s, F_RECENT1 + kind, a, 0) + 1;
    return *at - 1;
}

static void recent_learn(State *s, u32 number, u32 v) {
    Recent *r = &s->recents.v[number];
    if (r->first == v) {
        if (r->run < 15) r->run++;
        return;
    }
    r->second = r->first;
    r->first = v;
    r->run = 0;
}

static inline Bit *recent_bits(State *s, u32 family, u32 a) { return a ? context(&s->x, family, a, 0, 32) : family_context(&s->x, family, 32); }

/* Is it one of the two that came last? NONE if not. */
TZ_INLINE u32 code_recent(State *s, Coder *c, u32 number, u32 family, u32 a, u32 v, u32 not1, u32 not2) {
    const Recent *r = &s->recents.v[number];
    if (r->first != NONE && r->first != not1 && r->first != not2)
        if (code_bit(c, recent_bits(s, family, a) + r->run, v == r->first)) return r->first;
    if (r->second != NONE && r->second != not1 && r->second != not2)
        if (code_bit(c, recent_bits(s, family, a) + 16 + r->run, v == r->second)) return r->second;
    return NONE;
}

/* The path of a record of some kind: after `a` and `b`, after `a`, or any. */
static u32 code_path(State *s, u32 kind, u32 a, u32 b, u32 v) {
    Coder *c = &s->coders[kind < KIND_SPAN ? ENVELOPE : PATHS];
    u32 two = recent(s, F_RECENT2 + kind, a, b), one = recent_of(s, kind, a);
    u32 r = code_recent(s, c, two, F_PATH2 + kind, 0, v, NONE, NONE);
    if (r == NONE) r = code_recent(s, c, one, F_PATH1 + kind, 0, v, s->recents.v[two].first, s->recents.v[two].second);
    if (r == NONE) {
        const U32s *all = &s->t.def_paths[kind];
        if (!all->n) tz_fail(&s->t.env, TZ_CORRUPT, "paths");
        u32 number = TZ_ENCODING ? s->t.paths.v[v].def - 1 : 0;
        r = all->v[code_choice(c, family_context(&s->x, F_PATH0 + kind, CHOICE_BITS), (u32)all->n, number, "paths")];
    }
    recent_learn(s, two, r);
    recent_learn(s, one, r);
    return r;
}

/* --- ids ----------------------------------------------------------------------------------------------------------- */

static u64 code_id(State *s, u64 id) {
    u8 be[8];
    id = __builtin_bswap64(id);
    memcpy(be, &id, 8);
    stream_bytes(s, IDS, be, 8);
    memcpy(&id, be, 8);
    return __builtin_bswap64(id);
}

static void code_trace_id(State *s, Coder *c, u64 *hi, u64 *lo) {
    if (code_bit(c, family_context(&s->x, F_TRACE_HALF, 1), *hi == 0)) *hi = 0;
    else *hi = code_id(s, *hi);
    *lo = code_id(s, *lo);
}

static u32 trace_add(State *s, u64 hi, u64 lo) {
    Trace t = {.hi = hi, .lo = lo, .next = NONE};
    VEC_PUSH(&s->t.env, s->traces, t);
    return (u32)s->traces.n - 1;
}

/* Writing: the number of a trace, or NONE. */
static u32 trace_find(const State *s, u64 hi, u64 lo) {
    u32 hash = (u32)hash_mix(hash_mix(hi, s->t.seed), lo), i;
    for (size_t at = INDEX_FIRST(s->trace_index, hash); (at = index_next(&s->trace_index, at, hash, &i)) != INDEX_END; at++)
        if (s->traces.v[i].hi == hi && s->traces.v[i].lo == lo) return i;
    return NONE;
}

/* The trace of the next span: that of the span before, the one that followed it last time, a new one, or another. */
static u32 code_trace(State *s, u64 hi, u64 lo) {
    Coder *c = &s->coders[STRUCTURE];
    u32 last = s->last_trace, v = TZ_ENCODING ? trace_find(s, hi, lo) : 0, r;
    u32 next = s->traces.v[last].next;
    if (code_bit(c, path_context(&s->x, AT_TRACE_SAME, F_TRACE_SAME, s->last_path, 0, 1), v == last)) return last;
    if (next != NONE && code_bit(c, family_context(&s->x, F_TRACE_NEXT, 1), v == next)) {
        r = next;
    } else if (code_bit(c, context(&s->x, F_TRACE_NEW, next != NONE, 0, 1), v == NONE)) {
        code_trace_id(s, c, &hi, &lo);
        r = trace_add(s, hi, lo);
        if (TZ_ENCODING) index_add(&s->t.env, &s->trace_index, (u32)hash_mix(hash_mix(hi, s->t.seed), lo), r);
    } else {
        u64 back = code_wide(c, family_context(&s->x, F_TRACE_BACK, WIDE_BITS), (u64)s->traces.n - 1 - v);
        if (back >= s->traces.n) tz_fail(&s->t.env, TZ_CORRUPT, "structure");
        r = (u32)(s->traces.n - 1 - back);
    }
    s->traces.v[last].next = r;
    return r;
}

static void mention_unlink(State *s, u32 m) {
    Mention *x = &s->mentions.v[m];
    if (x->before) s->mentions.v[x->before - 1].after = x->after;
    else s->traces.v[x->trace].lists[x->seen] = x->after;
    if (x->after) s->mentions.v[x->after - 1].before = x->before;
}

static void mention_front(State *s, u32 m) {
    Mention *x = &s->mentions.v[m];
    u32 *head = &s->traces.v[x->trace].lists[x->seen];
    x->before = 0;
    x->after = *head;
    if (*head) s->mentions.v[*head - 1].before = m + 1;
    *head = m + 1;
}

static u32 mention_add(State *s, u32 trace, u64 id, u8 seen) {
    Mention x = {.id = id, .trace = trace, .seen = seen};
    VEC_PUSH(&s->t.env, s->mentions, x);
    u32 m = (u32)s->mentions.n - 1;
    if (TZ_ENCODING) *map_at(&s->t.env, &s->mention_index, id, s->t.seed) = m + 1;
    mention_front(s, m);
    return m;
}

/* Writing: the latest mention of an id if it is in this trace, or NONE. */
static u32 mention_find(const State *s, u32 trace, u64 id) {
    u32 at = map_get(&s->mention_index, id, s->t.seed);
    return at && s->mentions.v[at - 1].trace == trace ? at - 1 : NONE;
}

/* Writing: how far down its list a mention is, or NONE if that is too far. */
static u32 mention_rank(const State *s, u32 m) {
    u32 rank = 0;
    for (; s->mentions.v[m].before; m = s->mentions.v[m].before - 1)
        if (++rank > TZ_MAX_REACH) return NONE;
    return rank;
}

static u32 mention_at(State *s, u32 trace, u8 seen, u64 rank) {
    u32 at = rank > TZ_MAX_REACH ? 0 : s->traces.v[trace].lists[seen];
    for (; at && rank; rank--) at = s->mentions.v[at - 1].after;
    if (!at || rank) tz_fail(&s->t.env, TZ_CORRUPT, "structure");
    return at - 1;
}

/* An id that was not mentioned before. Some roots take the lower half of their trace id. */
static u64 code_fresh_id(State *s, u32 trace, u32 path, u64 id) {
    u64 lo = s->traces.v[trace].lo;
    if (code_bit(&s->coders[STRUCTURE], path_context(&s->x, AT_ID_OF_TRACE, F_ID_OF_TRACE, path, 0, 1), id == lo)) return lo;
    return code_id(s, id);
}

/* A span's own id: awaited, because a child named it, or fresh. */
static u32 code_own_id(State *s, u32 trace, u32 path, u64 id) {
    Coder *c = &s->coders[STRUCTURE];
    u32 m = NONE, rank = NONE;
    if (TZ_ENCODING) m = mention_find(s, trace, id);
    if (m != NONE && !s->mentions.v[m].seen) rank = mention_rank(s, m);
    if (s->traces.v[trace].lists[0] && code_bit(c, path_context(&s->x, AT_OWN_AWAITED, F_OWN_AWAITED, path, 0, 1), rank != NONE)) {
        m = mention_at(s, trace, 0, code_small(c, path_context(&s->x, AT_OWN_RANK, F_OWN_RANK, path, 0, SMALL_BITS), rank));
        mention_unlink(s, m);
        s->mentions.v[m].seen = 1;
        mention_front(s, m);
        return m;
    }
    return mention_add(s, trace, code_fresh_id(s, trace, path, id), 1);
}

/* A parent's id: that of a span awaited or seen in the trace, or fresh. `own` is not its own parent's number. */
static u32 code_parent_id(State *s, u32 trace, u32 path, u64 id) {
    Coder *c = &s->coders[STRUCTURE];
    u32 m = NONE, rank = NONE, seen;
    if (TZ_ENCODING) m = mention_find(s, trace, id);
    if (m != NONE) rank = mention_rank(s, m);
    if (!code_bit(c, path_context(&s->x, AT_PARENT_KNOWN, F_PARENT_KNOWN, path, 0, 1), rank != NONE))
        return mention_add(s, trace, code_fresh_id(s, trace, path, id), 0);
    seen = code_bit(c, path_context(&s->x, AT_PARENT_SEEN, F_PARENT_SEEN, path, 0, 1), m != NONE && s->mentions.v[m].seen);
    m = mention_at(s, trace, (u8)seen, code_small(c, path_context(&s->x, AT_PARENT_RANK + seen, F_PARENT_RANK + seen, path, 0, SMALL_BITS), rank));
    mention_unlink(s, m);
    mention_front(s, m);
    return m;
}

/* --- times --------------------------------------------------------------------------------------------------------- */

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

/* The granularity of a path's clocks, told when the path is first met in a block. */
static void code_grains(State *s, u32 path, Clock *k, u32 n) {
    if (k->stamp == s->block) return;
    k->stamp = s->block;
    Coder *c = &s->coders[TIMES];
    for (u32 i = 0; i < n; i++) {
        u8 guess = k->known ? k->grain[i] : s->last_grain[i];
        u32 g = TREE(c, context(&s->x, F_GRAIN, i, (u32)guess << 1 | k->known, 16), 4, k->next_grain[i]);
        if (g > 9) tz_fail(&s->t.env, TZ_CORRUPT, "times");
        k->grain[i] = s->last_grain[i] = (u8)g;
    }
    k->known = 1;
    (void)path;
}

static u64 code_start(State *s, u32 path, Clock *k, u32 family, u64 *base, u32 available, u64 v) {
    u32 g = k->grain[0];
    for (u32 i = 0; i < N_BASES; i++) base[i] = in_grains(base[i], g);
    u32 at = cheapest(k->start_cost, available, N_BASES);
    v = base[at] + code_signed(&s->coders[TIMES], path_context(&s->x, AT_START + at, family, path, at, SIGNED_BITS), in_grains(v, g) - base[at]);
    learn_costs(k->start_cost, base, available, N_BASES, v);
    return v * grains[g];
}

/* A length of time, signed, modulo 2^64. */
static u64 code_length(State *s, u32 path, Clock *k, u64 *base, u32 available, u64 v) {
    u32 g = k->grain[1];
    for (u32 i = 0; i < N_LENGTHS; i++) base[i] = in_grains_floor(base[i], g);
    u32 at = cheapest(k->length_cost, available, N_LENGTHS);
    u64 d = in_grains_floor(v, g) - base[at];
    v = base[at] + code_signed(&s->coders[TIMES], path_context(&s->x, AT_LENGTH + at, F_LENGTH, path, at, SIGNED_BITS), d);
    learn_costs(k->length_cost, base, available, N_LENGTHS, v);
    return v * grains[g];
}

typedef struct {
    u32 trace, path, own, parent; /* own, parent: mentions or NONE */
} Place;

static void code_span_times(State *s, const Place *at, const u8 *has, u64 *start, u64 *end) {
    Clock *k = &s->clocks.v[at->path];
    const Mention *own = at->own == NONE ? NULL : &s->mentions.v[at->own], *up = at->parent == NONE ? NULL : &s->mentions.v[at->parent];
    code_grains(s, at->path, k, 2);
    if (has[OP_START]) {
        u64 base[N_BASES] = {k->last_start, s->traces.v[at->trace].last_start};
        u32 available = 3;
        if (up && up->seen) base[2] = up->start, available |= 4;
        if (up && up->has_children) base[3] = up->child_end, base[4] = up->child_start, available |= 24;
        if (own && own->has_children) base[5] = own->first_start, available |= 32;
        *start = code_start(s, at->path, k, F_START, base, available, *start);
        k->last_start = *start;
    }
    if (has[OP_END]) {
        u64 base[N_LENGTHS] = {0, k->last_length};
        u32 available = 3;
        if (own && own->has_children) base[2] = own->child_end - *start, available |= 4;
        k->last_length = code_length(s, at->path, k, base, available, *end - *start);
        *end = *start + k->last_length;
    }
}

static void learn_span_times(State *s, const Place *at, u64 start, u64 end) {
    s->traces.v[at->trace].last_start = start;
    s->traces.v[at->trace].last_path = at->path + 1;
    if (at->own != NONE) {
        Mention *own = &s->mentions.v[at->own];
        own->start = start;
        own->end = end;
        own->path = at->path;
    }
    if (at->parent == NONE) return;
    Mention *up = &s->mentions.v[at->parent];
    if (!up->has_children) up->first_start = start;
    up->has_children = 1;
    up->child_start = start;
    up->child_end = end;
}

/* --- values -------------------------------------------------------------------------------------------------------- */

static u32 slot_name(const State *s, u32 schema, u32 slot) { return s->t.schemas.v[schema].name + slot; }

static inline Bit *slot_context(State *s, u32 place, u32 family, u32 name, u32 b) {
    return kept_context(&s->x, &s->x.of_slot.v[(size_t)name * SLOT_CONTEXTS + place], family, name, b, 1);
}

static u64 memory_name(u32 family, u32 a, u32 b) { return (u64)family << 56 | (u64)a << 28 | b; }

static u32 recall(const State *s, u64 name) { return map_get(&s->memory, name, s->t.seed); }

static void remember(State *s, u64 name, u32 atom) { *map_at(&s->t.env, &s->memory, name, s->t.seed) = atom + 1; }

/* A value that no dictionary has. Reading: an atom for this block only. */
static u32 code_new_value(State *s, Coder *c, u32 cls, u32 name, u32 path, u32 v) {
    Tables *t = &s->t;
    u64 value = TZ_ENCODING ? t->atoms.v[v].value : 0;
    if (class_is_text(&t->classes.v[cls])) value = code_text(s, c, LITERALS, t->classes.v[cls].def, (u32)value);
    else value = code_series(s, c, F_NUMBER, name, path, value);
#if !TZ_ENCODING
    v = atom_read(s, cls, value);
#endif
    return v;
}

/* The value of a hole, as an atom. */
static u32 code_value(State *s, u32 schema, u32 slot, u32 cls, const Place *at, u32 condition, u32 v) {
    Coder *c = &s->coders[VALUES];
    Tables *t = &s->t;
    u32 name = slot_name(s, schema, slot), class_def = t->classes.v[cls].def, r = NONE;
    u64 of_trace = memory_name(F_OF_TRACE, class_def, at->trace);
    u64 of_slot = condition == NONE ? memory_name(F_OF_PATH, name, at->path) : memory_name(F_OF_VALUE, name, condition);
    u32 m1 = at->trace == NONE ? 0 : recall(s, of_trace), m2 = recall(s, of_slot);
    if (m1 && code_bit(c, slot_context(s, 0, F_HIT1, name, 0), v + 1 == m1)) r = m1 - 1;
    if (r == NONE && m2 && m2 != m1 && code_bit(c, slot_context(s, 1 + (m1 != 0), F_HIT2, name, m1 != 0), v + 1 == m2)) r = m2 - 1;
    if (r == NONE) {
        u32 n = (u32)t->classes.v[cls].atoms.n, number = TZ_ENCODING ? t->atoms.v[v].def : 0;
        if (n && code_bit(c, slot_context(s, 3, F_KNOWN, name, 0), number != 0))
            r = t->classes.v[cls].atoms.v[code_choice(c, context(&s->x, F_CHOICE, class_def, 0, CHOICE_BITS), n, number - 1, "values")];
        else
            return code_new_value(s, c, cls, name, at->path, v);
    }
    if (at->trace != NONE) remember(s, of_trace, r);
    remember(s, of_slot, r);
    return r;
}

/* The value of the slot that a hole's value depends on, as the number of a defined atom; NONE if there is none. */
static u32 condition_of(const State *s, const Path *p, u32 slot, const u32 *known) {
    const Tables *t = &s->t;
    u32 on = t->conds.v[t->schemas.v[p->schema].modes + slot];
    if (!on) return NONE;
    u32 fixed = t->path_atoms.v[p->atoms + on - 1], a = fixed == NO_SLOT ? known[on - 1] : fixed;
    return t->atoms.v[a].serial ? t->atoms.v[a].serial : NONE;
}

/* All holes of a record, in slot order. */
static void code_values(State *s, u32 kind, size_t row, const Place *at) {
    Tables *t = &s->t;
    Batch *b = &s->b;
    const Path p = t->paths.v[at->path];
    u32 known[TZ_MAX_FIELDS], from = TZ_ENCODING ? b->kinds[kind].values.v[row] : 0;
    if (!TZ_ENCODING) VEC_PUSH(&t->env, b->kinds[kind].values, (u32)b->atoms.n);
    for (u32 i = 0; i < p.n_holes; i++) {
        const Hole hole = t->hole_slots.v[p.holes + i];
        u32 a = TZ_ENCODING ? b->atoms.v[from + hole.slot] : 0;
        budget_spend(s, 1);
        if (t->modes.v[t->schemas.v[p.schema].modes + hole.slot] == MODE_NUMBER)
            a = code_new_value(s, &s->coders[VALUES], hole.cls, slot_name(s, p.schema, hole.slot), at->path, a);
        else
            a = code_value(s, p.schema, hole.slot, hole.cls, at, condition_of(s, &p, hole.slot, known), a);
        known[hole.slot] = a;
        if (!TZ_ENCODING) VEC_PUSH(&t->env, b->atoms, a);
    }
}

/* The order of the fields, where a schema has come in more than one. Returns the shape. */
static u32 code_order(State *s, Coder *c, u32 schema, u32 shape) {
    const Schema *q = &s->t.schemas.v[schema];
    u32 n = (u32)q->orders.n;
    if (!n) tz_fail(&s->t.env, TZ_CORRUPT, "paths");
    u32 number = TZ_ENCODING ? s->t.shapes.v[shape].order : 0;
    if (n == 1) return q->orders.v[0];
    u32 r = code_choice(c, kept_context(&s->x, &s->x.of_schema.v[q->def], F_ORDER, q->def, 0, CHOICE_BITS), n, number, "paths");
    return s->t.schemas.v[schema].orders.v[r];
}

/* --- records ------------------------------------------------------------------------------------------------------- */

static u32 code_record_path(State *s, u32 kind, size_t row, u32 a, u32 b) {
    Records *r = &s->b.kinds[kind];
    u32 path = code_path(s, kind, a, b, TZ_ENCODING ? r->path.v[row] : 0);
    u32 shape = code_order(s, &s->coders[kind < KIND_SPAN ? ENVELOPE : PATHS], s->t.paths.v[path].schema, TZ_ENCODING ? r->shape.v[row] : 0);
    if (!TZ_ENCODING) {
        VEC_PUSH(&s->t.env, r->path, path);
        VEC_PUSH(&s->t.env, r->shape, shape);
    }
    return path;
}

/* How many children a run has, at least one. */
static u32 code_count(State *s, Coder *c, u32 family, u32 path, U32s *counts, size_t row, u32 any) {
    u64 n = TZ_ENCODING ? counts->v[row] : 0;
    if (any) n = code_wide(c, path_context(&s->x, AT_COUNT + (family == F_LINKS), family, path, 0, WIDE_BITS), n - 1);
    if (n >= TZ_MAX_ROWS) tz_fail(&s->t.env, TZ_CORRUPT, "envelope");
    n += any;
    if (!TZ_ENCODING) VEC_PUSH(&s->t.env, *counts, (u32)n);
    return (u32)n;
}

static void rows_check(State *s) {
    size_t n = 0;
    for (int k = 0; k < N_KINDS; k++) n += s->b.kinds[k].path.n;
    if (n > TZ_MAX_ROWS || s->b.kinds[KIND_SPAN].path.n > TZ_MAX_SPANS) tz_fail(&s->t.env, TZ_LIMIT, "rows");
}

#define COLUMN(vec, row, x)                              \
    do {                                                 \
        if (!TZ_ENCODING) VEC_PUSH(&s->t.env, vec, (x)); \
    } while (0)
#define GIVEN(vec, row) (TZ_ENCODING ? (vec).v[row] : 0)

static void code_event(State *s, size_t row, const Place *span, u64 span_start, u64 span_end, u32 *last_path, u64 *last_time) {
    u32 path = code_record_path(s, KIND_EVENT, row, span->path, *last_path);
    Place at = {.trace = span->trace, .path = path, .own = NONE, .parent = NONE};
    u64 time = GIVEN(s->b.event_time, row);
    Clock *k = &s->clocks.v[path];
    if (s->t.schemas.v[s->t.paths.v[path].schema].has[OP_START]) {
        u64 base[N_BASES] = {*last_time, span_start, span_end};
        code_grains(s, path, k, 1);
        time = code_start(s, path, k, F_EVENT_TIME, base, *last_path ? 7 : 6, time);
        *last_time = time;
    }
    COLUMN(s->b.event_time, row, time);
    code_values(s, KIND_EVENT, row, &at);
    *last_path = path + 1;
}

static void code_link(State *s, size_t row, const Place *span) {
    Coder *c = &s->coders[STRUCTURE];
    u32 path = code_record_path(s, KIND_LINK, row, span->path, 0);
    Place at = {.trace = span->trace, .path = path, .own = NONE, .parent = NONE};
    const u8 *has = s->t.schemas.v[s->t.paths.v[path].schema].has;
    u64 hi = GIVEN(s->b.link_hi, row), lo = GIVEN(s->b.link_lo, row), id = GIVEN(s->b.link_span, row);
    u32 trace = NONE, m = NONE, rank = NONE;
    u8 has_span = has[OP_SPAN_ID];
    if (has[OP_TRACE_ID]) {
        if (TZ_ENCODING) trace = trace_find(s, hi, lo);
        if (code_bit(c, context(&s->x, F_LINK_TRACE, path, 0, 1), trace != NONE)) {
            u64 back = code_wide(c, context(&s->x, F_LINK_BACK, path, 0, WIDE_BITS), (u64)s->traces.n - 1 - trace);
            if (back >= s->traces.n) tz_fail(&s->t.env, TZ_CORRUPT, "structure");
            trace = (u32)(s->traces.n - 1 - back);
            hi = s->traces.v[trace].hi;
            lo = s->traces.v[trace].lo;
        } else {
            code_trace_id(s, c, &hi, &lo);
            trace = NONE;
        }
    }
    if (has_span) {
        if (TZ_ENCODING && trace != NONE) m = mention_find(s, trace, id);
        if (m != NONE) rank = mention_rank(s, m);
        if (trace != NONE && code_bit(c, context(&s->x, F_LINK_KNOWN, path, 0, 1), rank != NONE)) {
            u32 seen = code_bit(c, context(&s->x, F_LINK_SEEN, path, 0, 1), m != NONE && s->mentions.v[m].seen);
            m = mention_at(s, trace, (u8)seen, code_small(c, context(&s->x, F_LINK_RANK, path, 0, SMALL_BITS), rank));
            id = s->mentions.v[m].id;
        } else {
            id = code_id(s, id);
        }
    }
    COLUMN(s->b.link_hi, row, hi);
    COLUMN(s->b.link_lo, row, lo);
    COLUMN(s->b.link_span, row, id);
    code_values(s, KIND_LINK, row, &at);
}

typedef struct {
    size_t at[N_KINDS];
} Rows;

static void code_span(State *s, Rows *rows, u32 scope_path, u32 first) {
    Batch *b = &s->b;
    size_t row = rows->at[KIND_SPAN]++;
    Place at = {.own = NONE, .parent = NONE};
    u64 hi = GIVEN(b->trace_hi, row), lo = GIVEN(b->trace_lo, row), own = GIVEN(b->span_id, row), parent = GIVEN(b->parent_id, row);
    u64 start = GIVEN(b->start, row), end = GIVEN(b->end, row);
    const u8 *given = TZ_ENCODING ? s->t.schemas.v[s->t.paths.v[b->kinds[KIND_SPAN].path.v[row]].schema].has : NULL;
    if (TZ_ENCODING && !given[OP_TRACE_ID]) hi = s->traces.v[s->last_trace].hi, lo = s->traces.v[s->last_trace].lo;
    at.trace = code_trace(s, hi, lo);
    at.path = code_record_path(s, KIND_SPAN, row, first ? 1u << 27 | scope_path : s->last_path, s->traces.v[at.trace].last_path);
    const Schema *q = &s->t.schemas.v[s->t.paths.v[at.path].schema];
    u8 has[OP_CHILDREN], children[2] = {q->children[0], q->children[1]};
    memcpy(has, q->has, sizeof has);
    if (has[OP_SPAN_ID]) at.own = code_own_id(s, at.trace, at.path, own);
    if (has[OP_PARENT_ID]) at.parent = code_parent_id(s, at.trace, at.path, parent);
    code_span_times(s, &at, has, &start, &end);
    learn_span_times(s, &at, start, end);
    s->last_trace = at.trace;
    s->last_path = at.path;
    COLUMN(b->trace_hi, row, has[OP_TRACE_ID] ? s->traces.v[at.trace].hi : 0);
    COLUMN(b->trace_lo, row, has[OP_TRACE_ID] ? s->traces.v[at.trace].lo : 0);
    COLUMN(b->span_id, row, at.own != NONE ? s->mentions.v[at.own].id : 0);
    COLUMN(b->parent_id, row, at.parent != NONE ? s->mentions.v[at.parent].id : 0);
    COLUMN(b->start, row, start);
    COLUMN(b->end, row, end);
    code_values(s, KIND_SPAN, row, &at);
    u32 n = code_count(s, &s->coders[PATHS], F_EVENTS, at.path, &b->n_events, row, children[0]), last = 0;
    u64 time = start;
    for (u32 i = 0; i < n; i++) code_event(s, rows->at[KIND_EVENT]++, &at, start, end, &last, &time);
    n = code_count(s, &s->coders[PATHS], F_LINKS, at.path, &b->n_links, row, children[1]);
    for (u32 i = 0; i < n; i++) code_link(s, rows->at[KIND_LINK]++, &at);
    if (!TZ_ENCODING) rows_check(s);
}

static u32 code_scope(State *s, Rows *rows, u32 resource_path, u32 last) {
    size_t row = rows->at[KIND_SCOPE_SPANS]++;
    Place at = {.trace = NONE, .own = NONE, .parent = NONE};
    at.path = code_record_path(s, KIND_SCOPE_SPANS, row, resource_path, last);
    code_values(s, KIND_SCOPE_SPANS, row, &at);
    u32 n = code_count(s, &s->coders[ENVELOPE], F_SPANS, at.path, &s->b.n_spans, row, s->t.schemas.v[s->t.paths.v[at.path].schema].children[0]);
    for (u32 i = 0; i < n; i++) code_span(s, rows, at.path, !i);
    if (!TZ_ENCODING) rows_check(s);
    return at.path + 1;
}

static u32 code_resource(State *s, Rows *rows, u32 last) {
    size_t row = rows->at[KIND_RESOURCE_SPANS]++;
    Place at = {.trace = NONE, .own = NONE, .parent = NONE};
    u32 scope = 0;
    at.path = code_record_path(s, KIND_RESOURCE_SPANS, row, last, 0);
    code_values(s, KIND_RESOURCE_SPANS, row, &at);
    u32 n = code_count(s, &s->coders[ENVELOPE], F_SCOPES, at.path, &s->b.n_scopes, row, s->t.schemas.v[s->t.paths.v[at.path].schema].children[0]);
    for (u32 i = 0; i < n; i++) scope = code_scope(s, rows, at.path, scope);
    if (!TZ_ENCODING) rows_check(s);
    return at.path + 1;
}

static void code_message(State *s, Rows *rows, size_t row, u32 *last) {
    Coder *c = &s->coders[ENVELOPE];
    MessageRow m = {0};
    if (TZ_ENCODING) m = s->b.messages.v[row];
    m.continues = code_bit(c, context(&s->x, F_MESSAGE, 0, 0, 1), m.continues);
    m.prefix_n = code_wide(c, context(&s->x, F_MESSAGE, 1, 0, WIDE_BITS), m.prefix_n);
    m.skip = code_wide(c, context(&s->x, F_MESSAGE, 2, 0, WIDE_BITS), m.skip);
    code_prefix(s, m.prefix_n);
    u64 n = code_wide(c, context(&s->x, F_MESSAGE, 3, 0, WIDE_BITS), m.n_resources);
    if (n > TZ_MAX_ROWS) tz_fail(&s->t.env, TZ_CORRUPT, "envelope");
    m.n_resources = (u32)n;
    if (!TZ_ENCODING) VEC_PUSH(&s->t.env, s->b.messages, m);
    for (u32 i = 0; i < m.n_resources; i++) *last = code_resource(s, rows, *last);
}

static void code_rows(State *s, size_t n_messages) {
    Rows rows = {{0}};
    u32 last = 0;
    n_messages = (size_t)code_wide(&s->coders[ENVELOPE], context(&s->x, F_MESSAGE, 4, 0, WIDE_BITS), n_messages);
    if (n_messages > TZ_MAX_MESSAGES) tz_fail(&s->t.env, TZ_LIMIT, "envelope");
    if (!s->traces.n) trace_add(s, 0, 0);
    VEC_RESIZE(&s->t.env, s->clocks, s->t.paths.n);
    VEC_RESIZE(&s->t.env, s->x.of_schema, s->t.def_schemas.n + 1);
    VEC_RESIZE(&s->t.env, s->x.of_slot, ((size_t)s->n_slots + 1) * SLOT_CONTEXTS);
    VEC_RESIZE(&s->t.env, s->x.of_path, (s->t.paths.n + 1) * PATH_CONTEXTS);
    for (size_t i = 0; i < n_messages; i++) code_message(s, &rows, i, &last);
}

#endif
