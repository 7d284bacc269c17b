/* Which path comes next: what came last in the same place. FORMAT.md, "Recents" and "Paths of rows". */
#ifndef TZ_RECENT_H
#define TZ_RECENT_H

#include "text.h"

/* Places of path_context. A path is of one kind, so starts of spans and times of events may share theirs. */
enum {
    AT_TRACE_SAME,
    AT_ID_OF_TRACE,
    AT_OWN_AWAITED,
    AT_OWN_RANK,
    AT_PARENT_KNOWN,
    AT_PARENT_SEEN,
    AT_PARENT_RANK,
    AT_PARENT_RANK_SEEN,
    AT_COUNT,
    AT_COUNT_LINKS,
    AT_START,
    AT_LENGTH = AT_START + N_BASES,
    AT_RECENT = AT_LENGTH + N_LENGTHS
};

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
    if (kind < KIND_SPAN || a >= s->t.paths.n)
        return recent(s, F_RECENT1 + kind, a, 0);
    at = &s->x.of_path.v[(size_t)a * PATH_CONTEXTS + AT_RECENT + kind - KIND_SPAN];
    if (!*at)
        *at = recent(s, F_RECENT1 + kind, a, 0) + 1;
    return *at - 1;
}

static void recent_learn(State *s, u32 number, u32 v) {
    Recent *r = &s->recents.v[number];
    if (r->first == v) {
        if (r->run < 15)
            r->run++;
        return;
    }
    r->second = r->first;
    r->first = v;
    r->run = 0;
}

static inline Bit *recent_bits(State *s, u32 family, u32 a) {
    return a ? context(&s->x, family, a, 0, 32) : family_context(&s->x, family, 32);
}

/* Is it one of the two that came last? NONE if not. */
TZ_INLINE u32 code_recent(State *s, Coder *c, u32 number, u32 family, u32 a, u32 v, u32 not1, u32 not2) {
    const Recent *r = &s->recents.v[number];
    if (r->first != NONE && r->first != not1 && r->first != not2)
        if (code_bit(c, recent_bits(s, family, a) + r->run, v == r->first))
            return r->first;
    if (r->second != NONE && r->second != not1 && r->second != not2)
        if (code_bit(c, recent_bits(s, family, a) + 16 + r->run, v == r->second))
            return r->second;
    return NONE;
}

/* The path of a record of some kind: after `a` and `b`, after `a`, or any. */
static u32 code_path(State *s, u32 kind, u32 a, u32 b, u32 v) {
    Coder *c = &s->coders[kind < KIND_SPAN ? ENVELOPE : PATHS];
    u32 two = recent(s, F_RECENT2 + kind, a, b), one = recent_of(s, kind, a);
    u32 r = code_recent(s, c, two, F_PATH2 + kind, 0, v, NONE, NONE);
    if (r == NONE)
        r = code_recent(s, c, one, F_PATH1 + kind, 0, v, s->recents.v[two].first, s->recents.v[two].second);
    if (r == NONE) {
        const U32s *all = &s->t.def_paths[kind];
        if (!all->n)
            tz_fail(&s->t.env, TZ_CORRUPT, "paths");
        u32 number = TZ_ENCODING ? s->t.paths.v[v].def - 1 : 0;
        r = all->v[code_choice(c, family_context(&s->x, F_PATH0 + kind, CHOICE_BITS), (u32)all->n, number, "paths")];
    }
    recent_learn(s, two, r);
    recent_learn(s, one, r);
    return r;
}

#endif
