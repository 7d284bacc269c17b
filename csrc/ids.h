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
    if (code_bit(c, family_context(&s->x, F_TRACE_HALF, 1), *hi == 0))
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

/* The trace of the next span: that of the span before, the one that followed it last time, a new one, or another. */
static u32 code_trace(State *s, u64 hi, u64 lo) {
    Coder *c = &s->coders[STRUCTURE];
    u32 last = s->last_trace, v = TZ_ENCODING ? trace_find(s, hi, lo) : 0, r;
    u32 next = s->traces.v[last].next;
    if (code_bit(c, path_context(&s->x, AT_TRACE_SAME, F_TRACE_SAME, s->last_path, 0, 1), v == last))
        return last;
    if (next != NONE && code_bit(c, family_context(&s->x, F_TRACE_NEXT, 1), v == next)) {
        r = next;
    } else if (code_bit(c, context(&s->x, F_TRACE_NEW, next != NONE, 0, 1), v == NONE)) {
        code_trace_id(s, c, &hi, &lo);
        r = trace_add(s, hi, lo);
        if (TZ_ENCODING)
            index_add(&s->t.env, &s->trace_index, (u32)hash_mix(hash_mix(hi, s->t.seed), lo), r);
    } else {
        u64 back = code_wide(c, family_context(&s->x, F_TRACE_BACK, WIDE_BITS), (u64)s->traces.n - 1 - v);
        if (back >= s->traces.n)
            tz_fail(&s->t.env, TZ_CORRUPT, "structure");
        r = (u32)(s->traces.n - 1 - back);
    }
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

/* An id that was not mentioned before. Some roots take the lower half of their trace id. */
static u64 code_fresh_id(State *s, u32 trace, u32 path, u64 id) {
    u64 lo = s->traces.v[trace].lo;
    if (code_bit(&s->coders[STRUCTURE], path_context(&s->x, AT_ID_OF_TRACE, F_ID_OF_TRACE, path, 0, 1), id == lo))
        return lo;
    return code_id(s, id);
}

/* A span's own id: awaited, because a child named it, or fresh. */
static u32 code_own_id(State *s, u32 trace, u32 path, u64 id) {
    Coder *c = &s->coders[STRUCTURE];
    u32 m = NONE, rank = NONE;
    if (TZ_ENCODING)
        m = mention_find(s, trace, id);
    if (m != NONE && !s->mentions.v[m].seen)
        rank = mention_rank(s, m);
    if (s->traces.v[trace].lists[0] &&
        code_bit(c, path_context(&s->x, AT_OWN_AWAITED, F_OWN_AWAITED, path, 0, 1), rank != NONE)) {
        m = mention_at(s, trace, 0,
                       code_small(c, path_context(&s->x, AT_OWN_RANK, F_OWN_RANK, path, 0, SMALL_BITS), rank));
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
    if (TZ_ENCODING)
        m = mention_find(s, trace, id);
    if (m != NONE)
        rank = mention_rank(s, m);
    if (!code_bit(c, path_context(&s->x, AT_PARENT_KNOWN, F_PARENT_KNOWN, path, 0, 1), rank != NONE))
        return mention_add(s, trace, code_fresh_id(s, trace, path, id), 0);
    seen =
        code_bit(c, path_context(&s->x, AT_PARENT_SEEN, F_PARENT_SEEN, path, 0, 1), m != NONE && s->mentions.v[m].seen);
    m = mention_at(
        s, trace, (u8)seen,
        code_small(c, path_context(&s->x, AT_PARENT_RANK + seen, F_PARENT_RANK + seen, path, 0, SMALL_BITS), rank));
    mention_unlink(s, m);
    mention_front(s, m);
    return m;
}

#endif
