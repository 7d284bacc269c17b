/* Traces, and span ids paid for where they are first mentioned. FORMAT.md, "Traces" and "Ids". */
#ifndef TZ_IDS_H
#define TZ_IDS_H

#include "recent.h"

static u64 code_id(State *s, u64 id) {
    u8 be[8];
    id = __builtin_bswap64(id);
    memcpy(be, &id, 8);
    stream_bytes(s, IDS, be, 8);
    memcpy(&id, be, 8);
    return __builtin_bswap64(id);
}

static void code_trace_id(State *s, Coder *c, u64 *hi, u64 *lo) {
    if (code_bit(c, family_context(&s->x, F_TRACE_HALF, BIT_CELLS), *hi == 0))
        *hi = 0;
    else
        *hi = code_id(s, *hi);
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
    for (size_t at = INDEX_FIRST(s->trace_index, hash); (at = index_next(&s->trace_index, at, hash, &i)) != INDEX_END;
         at++)
        if (s->traces.v[i].hi == hi && s->traces.v[i].lo == lo)
            return i;
    return NONE;
}

/* How a trace is told: as that of the span before, as the one that followed it last time, as new, or how far back. */
enum { TRACE_SAME, TRACE_NEXT, TRACE_NEW, TRACE_OLD, TRACE_OLDER = 15 };

static u32 trace_symbol(const State *s, u32 v) {
    if (v == s->last_trace)
        return TRACE_SAME;
    if (v == NONE)
        return TRACE_NEW;
    if (v == s->traces.v[s->last_trace].next)
        return TRACE_NEXT;
    u32 back = (u32)s->traces.n - 1 - v;
    return back < TRACE_OLDER - TRACE_OLD ? TRACE_OLD + back : TRACE_OLDER;
}

/* A trace that was told before, by how many came since. */
static u32 code_old_trace(State *s, Coder *c, u32 told, u32 v) {
    u64 back = told - TRACE_OLD;
    if (told == TRACE_OLDER)
        back += code_wide(c, family_context(&s->x, F_TRACE_BACK, PAIR_CELLS), (u64)s->traces.n - 1 - v - back);
    if (back >= s->traces.n)
        tz_fail(&s->t.env, TZ_CORRUPT, "structure");
    return (u32)(s->traces.n - 1 - back);
}

static u32 code_new_trace(State *s, Coder *c, u64 hi, u64 lo) {
    code_trace_id(s, c, &hi, &lo);
    u32 r = trace_add(s, hi, lo);
    if (TZ_ENCODING)
        index_add(&s->t.env, &s->trace_index, (u32)hash_mix(hash_mix(hi, s->t.seed), lo), r);
    return r;
}

static u32 code_trace(State *s, u64 hi, u64 lo) {
    Coder *c = &s->coders[STRUCTURE];
    u32 last = s->last_trace, v = TZ_ENCODING ? trace_find(s, hi, lo) : 0, r;
    u32 told = code_nibble(c, path_context(&s->x, AT_TRACE, F_TRACE, s->last_path, 0, NIBBLE_CELLS),
                           TZ_ENCODING ? trace_symbol(s, v) : 0);
    if (told == TRACE_SAME)
        return last;
    if (told == TRACE_NEXT)
        r = s->traces.v[last].next;
    else if (told == TRACE_NEW)
        r = code_new_trace(s, c, hi, lo);
    else
        r = code_old_trace(s, c, told, v);
    if (r == NONE)
        tz_fail(&s->t.env, TZ_CORRUPT, "structure");
    s->traces.v[last].next = r;
    return r;
}

static void mention_unlink(State *s, u32 m) {
    Mention *x = &s->mentions.v[m];
    if (x->before)
        s->mentions.v[x->before - 1].after = x->after;
    else
        s->traces.v[x->trace].lists[x->seen] = x->after;
    if (x->after)
        s->mentions.v[x->after - 1].before = x->before;
}

static void mention_front(State *s, u32 m) {
    Mention *x = &s->mentions.v[m];
    u32 *head = &s->traces.v[x->trace].lists[x->seen];
    x->before = 0;
    x->after = *head;
    if (*head)
        s->mentions.v[*head - 1].before = m + 1;
    *head = m + 1;
}

static u32 mention_add(State *s, u32 trace, u64 id, u8 seen) {
    Mention x = {.id = id, .trace = trace, .seen = seen};
    VEC_PUSH(&s->t.env, s->mentions, x);
    u32 m = (u32)s->mentions.n - 1;
    if (TZ_ENCODING)
        *map_at(&s->t.env, &s->mention_index, id, s->t.seed) = m + 1;
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
        if (++rank > TZ_MAX_REACH)
            return NONE;
    return rank;
}

static u32 mention_at(State *s, u32 trace, u8 seen, u64 rank) {
    u32 at = rank > TZ_MAX_REACH ? 0 : s->traces.v[trace].lists[seen];
    for (; at && rank; rank--)
        at = s->mentions.v[at - 1].after;
    if (!at || rank)
        tz_fail(&s->t.env, TZ_CORRUPT, "structure");
    return at - 1;
}

/* How a span's id or its parent's is told: as new, as the lower half of the trace's id, or as one of those that its
 * trace awaits or has seen, by rank: near ones at once, far ones with a number behind. */
enum { ID_RAW, ID_OF_TRACE, ID_KNOWN = 3, OWN_SEEN = 14, ID_FAR = 15 };
enum { OWN_NEAR = OWN_SEEN - ID_KNOWN, PARENT_NEAR = (ID_FAR - ID_KNOWN) / 2 };

static u64 code_fresh_id(State *s, u32 told, u32 trace, u64 id) {
    if (told == ID_OF_TRACE)
        return s->traces.v[trace].lo;
    if (told != ID_RAW)
        tz_fail(&s->t.env, TZ_CORRUPT, "structure");
    return code_id(s, id);
}

static u32 fresh_symbol(const State *s, u32 trace, u64 id) {
    return id == s->traces.v[trace].lo ? ID_OF_TRACE : ID_RAW;
}

static u32 own_symbol(const State *s, u32 trace, u64 id, u32 m, u32 rank) {
    if (rank == NONE)
        return fresh_symbol(s, trace, id);
    if (s->mentions.v[m].seen)
        return OWN_SEEN;
    return rank < OWN_NEAR ? ID_KNOWN + rank : ID_FAR;
}

/* A span's own id: fresh, or awaited because a child named it, or seen because the span was sent before: *again. */
static u32 code_own_id(State *s, u32 trace, u32 path, u64 id, u8 *again) {
    Coder *c = &s->coders[STRUCTURE];
    u32 m = TZ_ENCODING ? mention_find(s, trace, id) : NONE, rank = m == NONE ? NONE : mention_rank(s, m);
    u32 told = TZ_ENCODING ? own_symbol(s, trace, id, m, rank) : 0;
    told = code_nibble(c, path_context(&s->x, AT_OWN, F_OWN, path, 0, NIBBLE_CELLS), told);
    if (told < ID_KNOWN)
        return mention_add(s, trace, code_fresh_id(s, told, trace, id), 1);
    *again = told == OWN_SEEN;
    if (told < OWN_SEEN)
        rank = told - ID_KNOWN;
    else if (*again)
        rank = code_small(c, context(&s->x, F_OWN_RANK, path, 1, SMALL_CELLS), rank);
    else
        rank = code_small(c, context(&s->x, F_OWN_RANK, path, 0, SMALL_CELLS), rank - OWN_NEAR) + OWN_NEAR;
    m = mention_at(s, trace, *again, rank);
    mention_unlink(s, m);
    s->mentions.v[m].seen = 1;
    mention_front(s, m);
    return m;
}

/* The rank of a parent that is not among the nearest, and whether it was seen. */
static u32 code_far_parent(State *s, Coder *c, u32 path, u32 rank, u32 *seen) {
    *seen = code_bit(c, context(&s->x, F_PARENT_SEEN, path, 0, BIT_CELLS), *seen);
    return code_small(c, context(&s->x, F_PARENT_RANK, path, *seen, SMALL_CELLS), rank - PARENT_NEAR) + PARENT_NEAR;
}

/* A parent's id: that of a span awaited or seen in the trace, or fresh. `own` is not its own parent's number. */
static u32 code_parent_id(State *s, u32 trace, u32 path, u64 id) {
    Coder *c = &s->coders[STRUCTURE];
    u32 m = TZ_ENCODING ? mention_find(s, trace, id) : NONE, rank = m != NONE ? mention_rank(s, m) : NONE,
        seen = rank != NONE && s->mentions.v[m].seen, told = ID_FAR;
    if (rank == NONE)
        told = fresh_symbol(s, trace, id);
    else if (rank < PARENT_NEAR)
        told = ID_KNOWN + seen * PARENT_NEAR + rank;
    told = code_nibble(c, path_context(&s->x, AT_PARENT, F_PARENT, path, 0, NIBBLE_CELLS), told);
    if (told < ID_KNOWN)
        return mention_add(s, trace, code_fresh_id(s, told, trace, id), 0);
    if (told == ID_FAR) {
        rank = code_far_parent(s, c, path, rank, &seen);
    } else {
        seen = told - ID_KNOWN >= PARENT_NEAR;
        rank = told - ID_KNOWN - seen * PARENT_NEAR;
    }
    m = mention_at(s, trace, (u8)seen, rank);
    mention_unlink(s, m);
    mention_front(s, m);
    return m;
}

#endif
