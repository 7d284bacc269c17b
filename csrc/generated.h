/* Ids that a generator drew: which one, and how far from the last. FORMAT.md, "Generated ids". */
#ifndef TZ_GENERATED_H
#define TZ_GENERATED_H

#include "recent.h"

enum { FROM_OTHER = 3 }; /* not the generator of one of the neighbours, of which there are so many */

/* Whose id it is. */
enum { ROLE_OWN, ROLE_PARENT, ROLE_TRACE };

static void process_unlink(State *s, u32 g) {
    const Generator *x = &s->generators.v[g];
    Process *p = &s->processes.v[x->process];
    *(x->before ? &s->generators.v[x->before - 1].after : &p->least) = x->after;
    *(x->after ? &s->generators.v[x->after - 1].before : &p->latest) = x->before;
}

static void process_latest(State *s, u32 g) {
    Generator *x = &s->generators.v[g];
    Process *p = &s->processes.v[x->process];
    x->before = p->latest;
    x->after = 0;
    *(p->latest ? &s->generators.v[p->latest - 1].after : &p->least) = g + 1;
    p->latest = g + 1;
}

/* A generator that no neighbour has: its process, and in that how many were used less recently. */
static u32 code_other_generator(State *s, Coder *c, u32 role, u32 path, u32 g) {
    u32 n = (u32)s->processes.n, rank = 0;
    if (!n)
        tz_fail(&s->t.env, TZ_CORRUPT, "structure");
    u32 process = code_choice(c, context(&s->x, F_PROCESS, role, path, PAIR_CELLS), n,
                              TZ_ENCODING ? s->generators.v[g].process : 0, "structure");
    const Process *p = &s->processes.v[process];
    for (u32 at = p->least; TZ_ENCODING && at != g + 1; at = s->generators.v[at - 1].after)
        rank++;
    rank = code_choice(c, context(&s->x, F_GENERATOR_RANK, process, 0, PAIR_CELLS), p->n, rank, "structure");
    for (g = p->least; rank; rank--)
        g = s->generators.v[g - 1].after;
    return g - 1;
}

/* The id of 64 bits at a place, or both halves of a trace's. */
static void origin_ids(State *s, Origin v, u32 n_ids, u64 *hi, u64 *lo) {
    Generator *g = &s->generators.v[v.generator - 1];
    u64 first = generator_id(&s->t.env, g, v.position), second;
    *lo = first;
    if (n_ids == 1)
        return;
    second = generator_id(&s->t.env, g, other_half(g->kind, v.position));
    *hi = g->kind == GENERATOR_MT19937 ? second : first;
    *lo = g->kind == GENERATOR_MT19937 ? first : second;
}

static Cell *from_context(State *s, u32 role, u32 path) {
    if (role == ROLE_TRACE)
        return context(&s->x, F_FROM, role, path, NIBBLE_CELLS);
    return kept_context(&s->x, &s->x.of_path.v[(size_t)path * PATH_CONTEXTS + AT_FROM + role], F_FROM, role, path,
                        NIBBLE_CELLS);
}

static Cell *position_context(State *s, u32 role, u32 from, u32 path) {
    u32 name = role << 2 | from;
    if (role == ROLE_TRACE)
        return context(&s->x, F_POSITION, name, path, PAIR_CELLS);
    return kept_context(&s->x, &s->x.of_path.v[(size_t)path * PATH_CONTEXTS + AT_POSITION + name], F_POSITION, name,
                        path, PAIR_CELLS);
}

/* How many values more than those of what was told before an id, or two halves of one, needs. */
static u64 values_needed(const Generator *g, u64 position, u32 n_ids) {
    u64 end = position + (u64)n_ids * values_of_id(g->kind);
    return g->kind == GENERATOR_SPLITMIX || end <= g->extent ? 0 : end - g->extent;
}

/* Do the values of an id lie within the limit of a restart group? */
static int position_is_allowed(const State *s, const Generator *g, u64 position, u32 n_ids) {
    return g->kind == GENERATOR_SPLITMIX ||
           (position <= TZ_MAX_VALUES && s->n_values + values_needed(g, position, n_ids) <= TZ_MAX_VALUES);
}

#if TZ_ENCODING
/* Is an id, upper half and lower if it is a trace's, what the generator draws there? */
static int origin_holds(State *s, Origin v, u64 hi, u64 id, u32 n_ids) {
    if (!v.generator || !position_is_allowed(s, &s->generators.v[v.generator - 1], v.position, n_ids))
        return 0;
    u64 drawn[2] = {0, 0};
    origin_ids(s, v, n_ids, &drawn[0], &drawn[1]);
    return drawn[0] == hi && drawn[1] == id;
}
#endif

/* The generator and the position of an id. `near`: those of its neighbours, the likeliest first. */
static Origin code_origin(State *s, Coder *c, u32 role, u32 path, const Origin *near, u32 n_ids, Origin v) {
    u32 from = 0;
    while (from < FROM_OTHER && (!near[from].generator || near[from].generator != v.generator))
        from++;
    from = code_nibble(c, from_context(s, role, path), from);
    if (from > FROM_OTHER || (from < FROM_OTHER && !near[from].generator))
        tz_fail(&s->t.env, TZ_CORRUPT, "structure");
    u32 at = from < FROM_OTHER ? near[from].generator - 1 : code_other_generator(s, c, role, path, v.generator - 1);
    Generator *g = &s->generators.v[at];
    u64 base = from < FROM_OTHER ? near[from].position : g->last;
    u64 position = base + code_number(c, position_context(s, role, from, path), v.position - base);
    if (!position_is_allowed(s, g, position, n_ids))
        tz_fail(&s->t.env, TZ_CORRUPT, "ids");
    u64 more = values_needed(g, position, n_ids);
    s->n_values += more;
    g->extent += more;
    g->last = position;
    process_unlink(s, at);
    process_latest(s, at);
    return (Origin){at + 1, position};
}

#endif
