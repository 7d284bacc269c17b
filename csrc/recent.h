/* Which path comes next: what came last in the same place. FORMAT.md, "Recents" and "Paths of rows". */
#ifndef TZ_RECENT_H
#define TZ_RECENT_H

#include "text.h"

/* Places of path_context. A path is of one kind, so starts of spans and times of events may share theirs. */
enum {
    AT_TRACE,
    AT_OWN,
    AT_PARENT,
    AT_COUNT,
    AT_COUNT_LINKS,
    AT_START,
    AT_LENGTH = AT_START + N_BASES,
    AT_RECENT = AT_LENGTH + N_LENGTHS,
    AT_FROM = AT_RECENT + 3,
    AT_POSITION = AT_FROM + 2
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

/* No branches: whether it is the same again cannot be foretold. */
static void recent_learn(State *s, u32 number, u32 v) {
    Recent *r = &s->recents.v[number];
    u32 again = 0 - (u32)(r->first == v), run = r->run + (r->run < 15);
    r->second = (r->second & again) | (r->first & ~again);
    r->first = v;
    r->run = run & again;
}

/* How a path is told: it is one of the two that came last in the same place, or in nearly the same, or any. */
enum { PATH_FIRST, PATH_SECOND, PATH_FIRST_AFTER, PATH_SECOND_AFTER, PATH_ANY };

static u32 path_symbol(const Recent *two, const Recent *one, u32 v) {
    return v == two->first    ? PATH_FIRST
           : v == two->second ? PATH_SECOND
           : v == one->first  ? PATH_FIRST_AFTER
           : v == one->second ? PATH_SECOND_AFTER
                              : PATH_ANY;
}

/* The path of a record of some kind: after `a` and `b`, after `a`, or any. */
static u32 code_path(State *s, u32 kind, u32 a, u32 b, u32 v) {
    Coder *c = &s->coders[kind < KIND_SPAN ? ENVELOPE : PATHS];
    u32 two = recent(s, F_RECENT2 + kind, a, b), one = recent_of(s, kind, a);
    const Recent pair = s->recents.v[two], single = s->recents.v[one];
    u32 seen = pair.first != NONE ? pair.run : 16 + (single.first != NONE ? single.run : 16);
    u32 told = code_nibble(c, kept_context(&s->x, &s->x.of_run[kind][seen], F_PATH + kind, seen, 0, NIBBLE_CELLS),
                           path_symbol(&pair, &single, v));
    const u32 recents[PATH_ANY] = {pair.first, pair.second, single.first, single.second};
    u32 r = told < PATH_ANY ? recents[told] : NONE;
    if (told == PATH_ANY && s->t.def_paths[kind].n) {
        const U32s *all = &s->t.def_paths[kind];
        u32 number = TZ_ENCODING ? s->t.paths.v[v].def - 1 : 0;
        r = all->v[code_choice(c, family_context(&s->x, F_ANY_PATH + kind, PAIR_CELLS), (u32)all->n, number, "paths")];
    }
    if (r == NONE)
        tz_fail(&s->t.env, TZ_CORRUPT, "paths");
    recent_learn(s, two, r);
    recent_learn(s, one, r);
    return r;
}

#endif
