/* Traces, and span ids paid for where they are first mentioned. FORMAT.md, "Traces" and "Ids". */
#ifndef TZ_IDS_H
#define TZ_IDS_H

#include "generated.h"

static u64 code_id(State *s, u64 id) {
    u8 be[8];
    id = __builtin_bswap64(id);
    memcpy(be, &id, 8);
    stream_bytes(s, IDS, be, 8);
    memcpy(&id, be, 8);
    return __builtin_bswap64(id);
}

/* How a trace's id is told. Some tracers make ids of 64 bits. */
enum { TRACE_ID_RAW, TRACE_ID_RAW_HALF, TRACE_ID_GENERATED, TRACE_ID_GENERATED_HALF };

static Origin code_trace_id(State *s, Coder *c, u64 *hi, u64 *lo, Origin from) {
    static const Origin none[FROM_OTHER];
    u32 told = *hi == 0;
#if TZ_ENCODING
    if (origin_holds(s, from, *hi, *lo, *hi ? 2 : 1))
        told |= TRACE_ID_GENERATED;
#endif
    told = code_nibble(c, context(&s->x, F_TRACE_ID, s->resource_path, 0, NIBBLE_CELLS), told);
    if (told > TRACE_ID_GENERATED_HALF)
        tz_fail(&s->t.env, TZ_CORRUPT, "structure");
    u32 n_ids = told & TRACE_ID_RAW_HALF ? 1 : 2;
    if (n_ids == 1)
        *hi = 0;
    if (told >= TRACE_ID_GENERATED) {
        from = code_origin(s, c, ROLE_TRACE, s->resource_path, none, n_ids, from);
        origin_ids(s, from, n_ids, hi, lo);
        return from;
    }
    if (n_ids == 2)
        *hi = code_id(s, *hi);
    *lo = code_id(s, *lo);
    return none[0];
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

/* Writing: the same, but first where it most often is. */
static u32 trace_known(const State *s, u64 hi, u64 lo) {
    const Trace *last = &s->traces.v[s->last_trace];
    return last->lo == lo && last->hi == hi ? s->last_trace : trace_find(s, hi, lo);
}

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
    if (told == TRACE_OLDER) {
        u64 more = code_number(c, family_context(&s->x, F_TRACE_BACK, PAIR_CELLS), (u64)s->traces.n - 1 - v - back);
        back = more < s->traces.n ? back + more : more; /* without going round 2^64 */
    }
    if (back >= s->traces.n)
        tz_fail(&s->t.env, TZ_CORRUPT, "structure");
    return (u32)(s->traces.n - 1 - back);
}

static u32 code_new_trace(State *s, Coder *c, u64 hi, u64 lo, Origin from) {
    from = code_trace_id(s, c, &hi, &lo, from);
    u32 r = trace_add(s, hi, lo);
    s->traces.v[r].from = from;
    if (TZ_ENCODING)
        index_add(&s->t.env, &s->trace_index, (u32)hash_mix(hash_mix(hi, s->t.seed), lo), r);
    return r;
}

static u32 code_trace(State *s, u64 hi, u64 lo, Origin from) {
    Coder *c = &s->coders[STRUCTURE];
    u32 last = s->last_trace, v = TZ_ENCODING ? trace_known(s, hi, lo) : 0, r;
    u32 told = code_nibble(c, path_context(&s->x, AT_TRACE, F_TRACE, s->last_path, 0, NIBBLE_CELLS),
                           TZ_ENCODING ? trace_symbol(s, v) : 0);
    if (told == TRACE_SAME)
        return last;
    if (told == TRACE_NEXT)
        r = s->traces.v[last].next;
    else if (told == TRACE_NEW)
        r = code_new_trace(s, c, hi, lo, from);
    else
        r = code_old_trace(s, c, told, v);
    if (r == NONE)
        tz_fail(&s->t.env, TZ_CORRUPT, "structure");
    s->traces.v[last].next = r;
    return r;
}

static void mention_unlink(State *s, u32 m) {
    const Mention *x = &s->mentions.v[m];
    MentionLinks l = s->mention_links.v[m];
    *(l.before ? &s->mention_links.v[l.before - 1].after : &s->traces.v[x->trace].lists[x->seen]) = l.after;
    if (l.after)
        s->mention_links.v[l.after - 1].before = l.before;
}

static void mention_front(State *s, u32 m) {
    const Mention *x = &s->mentions.v[m];
    u32 *head = &s->traces.v[x->trace].lists[x->seen];
    s->mention_links.v[m] = (MentionLinks){0, *head};
    if (*head)
        s->mention_links.v[*head - 1].before = m + 1;
    *head = m + 1;
}

/* Writing: mentions by id. The id itself is in the mention, and a slot has only some bits of its hash above the
 * mention's number + 1: a small table stays in the cache. */
enum { SLOT_TAG = 18 };
_Static_assert(2 * TZ_MAX_SPANS < 1 << SLOT_TAG, "a slot holds the number of every mention");

static u64 mention_hash(const State *s, u64 id) { return hash_mix(id, s->t.seed); }

static u32 slot_tag(u64 hash) { return (u32)(hash >> 32) >> SLOT_TAG << SLOT_TAG; }

static u32 *mention_slot(const State *s, u64 id, u64 hash) {
    for (size_t at = (size_t)hash;; at++) {
        u32 *x = &s->mention_slots.v[at & (s->mention_slots.n - 1)];
        if (!*x || (*x >> SLOT_TAG << SLOT_TAG == slot_tag(hash) && s->mentions.v[(*x ^ slot_tag(hash)) - 1].id == id))
            return x;
    }
}

/* Both are for a span that comes soon: what its ids are looked up in is in the cache then. First the slot of an id, and
 * when that is there, the mention that it seems to name. */
TZ_INLINE void mention_prefetch_slot(const State *s, u64 id) {
    if (s->mention_slots.n)
        __builtin_prefetch(&s->mention_slots.v[mention_hash(s, id) & (s->mention_slots.n - 1)]);
}

TZ_INLINE void mention_prefetch(const State *s, u64 id) {
    u64 hash = mention_hash(s, id);
    u32 x = s->mention_slots.n ? s->mention_slots.v[hash & (s->mention_slots.n - 1)] : 0;
    if (!x || x >> SLOT_TAG << SLOT_TAG != slot_tag(hash))
        return;
    const Mention *m = &s->mentions.v[(x ^ slot_tag(hash)) - 1];
    __builtin_prefetch(m);
    __builtin_prefetch(&m->last_end);
}

static void mention_slots_grow(State *s) {
    size_t n = s->mention_slots.n ? 2 * s->mention_slots.n : 256;
    s->mention_slots.n = 0;
    VEC_RESIZE(&s->t.env, s->mention_slots, n);
    for (u32 m = 0; m < s->mentions.n; m++) {
        u64 hash = mention_hash(s, s->mentions.v[m].id);
        *mention_slot(s, s->mentions.v[m].id, hash) = slot_tag(hash) | (m + 1);
    }
}

/* Of mentions with the same id the latest counts. */
static void mention_index(State *s, u32 m, u64 id) {
    if (2 * s->mentions.n >= s->mention_slots.n)
        mention_slots_grow(s);
    u64 hash = mention_hash(s, id);
    *mention_slot(s, id, hash) = slot_tag(hash) | (m + 1);
}

static u32 mention_add(State *s, u32 trace, u64 id, u8 seen) {
    Mention x = {.id = id, .trace = trace, .seen = seen};
    MentionLinks none = {0, 0};
    VEC_PUSH(&s->t.env, s->mentions, x);
    VEC_PUSH(&s->t.env, s->mention_links, none);
    u32 m = (u32)s->mentions.n - 1;
    if (TZ_ENCODING)
        mention_index(s, m, id);
    mention_front(s, m);
    return m;
}

/* Writing: the latest mention of an id if it is in this trace, or NONE. */
static u32 mention_find(const State *s, u32 trace, u64 id) {
    if (!s->mention_slots.n)
        return NONE;
    u32 at = *mention_slot(s, id, mention_hash(s, id)) & ((1u << SLOT_TAG) - 1);
    return at && s->mentions.v[at - 1].trace == trace ? at - 1 : NONE;
}

/* Writing: how far down its list a mention is, or NONE if that is too far. */
static u32 mention_rank(const State *s, u32 m) {
    u32 rank = 0;
    for (; s->mention_links.v[m].before; m = s->mention_links.v[m].before - 1)
        if (++rank > TZ_MAX_REACH)
            return NONE;
    return rank;
}

static u32 mention_at(State *s, u32 trace, u8 seen, u64 rank) {
    u32 at = rank > TZ_MAX_REACH ? 0 : s->traces.v[trace].lists[seen];
    for (; at && rank; rank--)
        at = s->mention_links.v[at - 1].after;
    if (!at || rank)
        tz_fail(&s->t.env, TZ_CORRUPT, "structure");
    return at - 1;
}

/* How a span's id or its parent's is told: as new, as the lower half of the trace's id, as a generator's, or as one of
 * those that its trace awaits or has seen, by rank: near ones at once, far ones with a number behind. */
enum { ID_RAW, ID_OF_TRACE, ID_GENERATED, ID_KNOWN, OWN_SEEN = 14, ID_FAR = 15 };
enum { OWN_NEAR = OWN_SEEN - ID_KNOWN, PARENT_NEAR = (ID_FAR - ID_KNOWN) / 2 };

static u32 fresh_symbol(State *s, u32 trace, u64 id, Origin from) {
    if (id == s->traces.v[trace].lo)
        return ID_OF_TRACE;
#if TZ_ENCODING
    if (origin_holds(s, from, 0, id, 1))
        return ID_GENERATED;
#endif
    (void)from;
    return ID_RAW;
}

/* The value of an id that was not mentioned before. */
static void code_fresh_id(State *s, u32 told, u32 role, u32 path, u32 m, const Origin *near, Origin from) {
    u64 id = s->mentions.v[m].id;
    if (told == ID_OF_TRACE) {
        id = s->traces.v[s->mentions.v[m].trace].lo;
        from = s->traces.v[s->mentions.v[m].trace].from;
    } else if (told == ID_RAW) {
        id = code_id(s, id);
        from = (Origin){0, 0};
    } else {
        from = code_origin(s, &s->coders[STRUCTURE], role, path, near, 1, from);
        origin_ids(s, from, 1, NULL, &id);
    }
    s->mentions.v[m].id = id;
    s->mentions.v[m].from = from;
}

static u32 own_symbol(State *s, u32 trace, u64 id, u32 m, u32 rank, Origin from) {
    if (rank == NONE)
        return fresh_symbol(s, trace, id, from);
    if (s->mentions.v[m].seen)
        return OWN_SEEN;
    return rank < OWN_NEAR ? ID_KNOWN + rank : ID_FAR;
}

/* A span's own id: fresh, or awaited because a child named it, or seen because the span was sent before. The value of a
 * fresh one is told later, when the parent is known. Returns its mention. */
static u32 code_own_id(State *s, u32 trace, u32 path, u64 id, Origin from, u32 *symbol) {
    Coder *c = &s->coders[STRUCTURE];
    u32 m = TZ_ENCODING ? mention_find(s, trace, id) : NONE, rank = m == NONE ? NONE : mention_rank(s, m);
    u32 told = TZ_ENCODING ? own_symbol(s, trace, id, m, rank, from) : 0;
    told = *symbol = code_nibble(c, path_context(&s->x, AT_OWN, F_OWN, path, 0, NIBBLE_CELLS), told);
    if (told < ID_KNOWN)
        return mention_add(s, trace, id, 1);
    if (told < OWN_SEEN)
        rank = told - ID_KNOWN;
    else if (told == OWN_SEEN)
        rank = code_small(c, context(&s->x, F_OWN_RANK, path, 1, SMALL_CELLS), rank);
    else
        rank = code_small(c, context(&s->x, F_OWN_RANK, path, 0, SMALL_CELLS), rank - OWN_NEAR) + OWN_NEAR;
    m = mention_at(s, trace, told == OWN_SEEN, rank);
    mention_unlink(s, m);
    s->mentions.v[m].seen = 1;
    mention_front(s, m);
    return m;
}

/* The value of a span's fresh id: near its parent's last child, its parent, or its trace's id. */
static void code_own_value(State *s, u32 told, u32 path, u32 own, u32 parent, Origin from) {
    Origin near[FROM_OTHER] = {{0, 0}, {0, 0}, s->traces.v[s->mentions.v[own].trace].from};
    if (parent != NONE) {
        near[0] = s->mentions.v[parent].child;
        near[1] = s->mentions.v[parent].from;
    }
    code_fresh_id(s, told, ROLE_OWN, path, own, near, from);
}

/* The value of a parent's fresh id: near its child's, that one's last child, or its trace's id. */
static void code_parent_value(State *s, u32 told, u32 path, u32 own, u32 parent, Origin from) {
    Origin near[FROM_OTHER] = {{0, 0}, {0, 0}, s->traces.v[s->mentions.v[parent].trace].from};
    if (own != NONE) {
        near[0] = s->mentions.v[own].from;
        near[1] = s->mentions.v[own].child;
    }
    code_fresh_id(s, told, ROLE_PARENT, path, parent, near, from);
}

/* The rank of a parent that is not among the nearest, and whether it was seen. */
static u32 code_far_parent(State *s, Coder *c, u32 path, u32 rank, u32 *seen) {
    *seen = code_bit(c, context(&s->x, F_PARENT_SEEN, path, 0, BIT_CELLS), *seen);
    return code_small(c, context(&s->x, F_PARENT_RANK, path, *seen, SMALL_CELLS), rank - PARENT_NEAR) + PARENT_NEAR;
}

static u32 parent_symbol(State *s, u32 trace, u64 id, u32 m, u32 rank, Origin from) {
    if (rank == NONE)
        return fresh_symbol(s, trace, id, from);
    return rank < PARENT_NEAR ? ID_KNOWN + (u32)s->mentions.v[m].seen * PARENT_NEAR + rank : ID_FAR;
}

/* A parent's id: that of a span awaited or seen in the trace, which may be the span itself, or fresh. */
static u32 code_parent_id(State *s, u32 trace, u32 path, u64 id, u32 own, Origin from) {
    Coder *c = &s->coders[STRUCTURE];
    u32 m = TZ_ENCODING ? mention_find(s, trace, id) : NONE, rank = m == NONE ? NONE : mention_rank(s, m);
    u32 told = TZ_ENCODING ? parent_symbol(s, trace, id, m, rank, from) : 0,
        seen = rank != NONE && s->mentions.v[m].seen;
    told = code_nibble(c, path_context(&s->x, AT_PARENT, F_PARENT, path, 0, NIBBLE_CELLS), told);
    if (told < ID_KNOWN) {
        m = mention_add(s, trace, id, 0);
        code_parent_value(s, told, path, own, m, from);
        return m;
    }
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
