/* Which generators a block defines, and where its ids come from. Nothing here is part of the format.
 *
 * Included by encode.c only. */
#ifndef TZ_PLAN_IDS_H
#define TZ_PLAN_IDS_H

#include "define.h"
#include "find_generators.h"

/* What the writer knows of a generator of the finder in this restart group. */
typedef struct {
    u32 uses;   /* ids that it drew, told or not */
    u32 number; /* + 1 once it is defined */
    u32 first;  /* in this block: the place of its first use among those that are used, + 1 */
    u64 lowest; /* of the positions in this block */
    u64 origin; /* its position 0, of the finder's */
    u32 of_finder, process;
} Candidate;

/* Resources by their bytes, numbered for as long as the finder lives. */
typedef struct {
    VEC(struct {
        const u8 *p;
        size_t n;
    })
    names;
    Index index;
    Arena arena;
    Bytes name;
} Resources;

enum { RECENT_CANDIDATES = 256 };

typedef struct {
    u32 n_users; /* encoders */
    Finder finder;
    Resources resources;
    U32s resource; /* of each span of the block */
    Map candidate_index;
    VEC(Candidate) candidates; /* of the restart group */
    u32 recent[RECENT_CANDIDATES];
    U32s used;                  /* candidates of this block, in order of first use */
    VEC(GeneratorState) states; /* of these, as far as they are described */
    size_t n_described;
    FoundRows own, parent, trace;
} IdDesk;

/* So many ids must come from a generator before it is worth what its definition costs. */
static u32 uses_worth(const GeneratorState *g) {
    if (g->kind == GENERATOR_SPLITMIX)
        return 2;
    return is_mt(g->kind) ? 360 : is_go(g->kind) && !g->seed ? 640 : 3;
}

/* What is kept as long as a stream is bounded: larger names, and later ones, all count as one resource. */
enum { MOST_RESOURCES = 4096, MOST_RESOURCE_BYTES = 4096, STRETCH = 16384 };

static void id_desk_group_begins(IdDesk *d) {
    map_clear(&d->candidate_index);
    d->candidates.n = 0;
}

static IdDesk *id_desk_new(u32 level, u32 halvings) {
    IdDesk *d = calloc(1, sizeof *d);
    if (d)
        finder_init(&d->finder, level, halvings);
    return d;
}

static void id_desk_free(IdDesk *d) {
    finder_free(&d->finder);
    VEC_FREE(d->resources.names);
    index_free(&d->resources.index);
    arena_free(&d->resources.arena);
    VEC_FREE(d->resources.name);
    VEC_FREE(d->resource);
    map_free(&d->candidate_index);
    VEC_FREE(d->candidates);
    VEC_FREE(d->used);
    VEC_FREE(d->states);
    VEC_FREE(d->own);
    VEC_FREE(d->parent);
    VEC_FREE(d->trace);
    free(d);
}

static size_t id_desk_held(const IdDesk *d) {
    size_t n = sizeof *d + finder_held(&d->finder) + VEC_HELD(d->resources.names) + VEC_HELD(d->resources.index);
    n += arena_held(&d->resources.arena) + VEC_HELD(d->resources.name) + VEC_HELD(d->resource);
    n += VEC_HELD(d->candidate_index) + VEC_HELD(d->candidates) + VEC_HELD(d->used) + VEC_HELD(d->states);
    return n + VEC_HELD(d->own) + VEC_HELD(d->parent) + VEC_HELD(d->trace);
}

/* --- resources ---------------------------------------------------------------------------------------------------- */

/* The bytes of a resource's fields. */
static void resource_name(State *s, Resources *r, size_t row) {
    const Records *k = &s->b.kinds[KIND_RESOURCE_SPANS];
    u32 n = s->t.schemas.v[s->t.shapes.v[k->shape.v[row]].schema].n_valued;
    r->name.n = 0;
    for (u32 i = 0; i < n; i++) {
        const Atom *a = &s->t.atoms.v[s->b.atoms.v[k->values.v[row] + i]];
        bytes_append(&s->t.env, &r->name, a->enc, a->enc_n);
    }
}

static u32 resource_number(State *s, Resources *r, size_t row) {
    Env *env = &s->t.env;
    resource_name(s, r, row);
    u32 hash = (u32)hash_bytes(r->name.v, r->name.n, s->t.seed), i;
    for (size_t at = INDEX_FIRST(r->index, hash); (at = index_next(&r->index, at, hash, &i)) != INDEX_END; at++)
        if (r->names.v[i].n == r->name.n && bytes_equal(r->names.v[i].p, r->name.v, r->name.n))
            return i;
    if (r->names.n == MOST_RESOURCES || r->name.n > MOST_RESOURCE_BYTES)
        return MOST_RESOURCES;
    VEC_RESERVE(env, r->names, 1);
    r->names.v[r->names.n].p = arena_copy(env, &r->arena, r->name.v, r->name.n);
    r->names.v[r->names.n++].n = r->name.n;
    index_add(env, &r->index, hash, (u32)r->names.n - 1);
    return (u32)r->names.n - 1;
}

static void number_resources(State *s, IdDesk *d) {
    const Batch *b = &s->b;
    size_t scope = 0;
    d->resource.n = 0;
    VEC_RESERVE(&s->t.env, d->resource, b->span_id.n);
    for (size_t row = 0; row < b->n_scopes.n; row++) {
        u32 number = resource_number(s, &d->resources, row);
        for (u32 i = 0; i < b->n_scopes.v[row]; i++)
            for (u32 n = b->n_spans.v[scope++]; n; n--)
                d->resource.v[d->resource.n++] = number;
    }
}

/* --- generators --------------------------------------------------------------------------------------------------- */

static Candidate *candidate_look_up(State *s, IdDesk *d, Found f) {
    u32 *at = map_at(&s->t.env, &d->candidate_index, f.generator, s->t.seed);
    if (!*at) {
        Candidate fresh = {.of_finder = f.generator};
        VEC_PUSH(&s->t.env, d->candidates, fresh);
        *at = (u32)d->candidates.n;
    }
    return &d->candidates.v[*at - 1];
}

/* Most ids come from the generators of the last few. */
static Candidate *candidate(State *s, IdDesk *d, Found f) {
    u32 *recent = &d->recent[f.generator % RECENT_CANDIDATES];
    if (*recent < d->candidates.n && d->candidates.v[*recent].of_finder == f.generator)
        return &d->candidates.v[*recent];
    Candidate *c = candidate_look_up(s, d, f);
    *recent = (u32)(c - d->candidates.v);
    return c;
}

static void count_use(State *s, IdDesk *d, Found f) {
    if (f.generator == NO_GENERATOR)
        return;
    Candidate *c = candidate(s, d, f);
    if (!c->first) {
        VEC_PUSH(&s->t.env, d->used, (u32)(c - d->candidates.v));
        c->first = (u32)d->used.n;
        c->lowest = f.position;
    }
    c->uses++;
    if (f.position < c->lowest)
        c->lowest = f.position;
}

/* Keeps what has to be told of the generators that were first used since; the finder may forget them. */
static void describe_used(State *s, IdDesk *d) {
    VEC_RESIZE(&s->t.env, d->states, d->used.n);
    for (; d->n_described < d->used.n; d->n_described++) {
        Candidate *c = &d->candidates.v[d->used.v[d->n_described]];
        c->process = finder_resource(&d->finder, c->of_finder);
        if (!c->number)
            c->origin = finder_origin(&d->finder, c->of_finder, c->lowest, &d->states.v[d->n_described]);
    }
}

static void plan_generator(State *s, IdDesk *d, Plan *p, u32 use, u32 *process) {
    Candidate *c = &d->candidates.v[d->used.v[use]];
    PlannedGenerator g = {d->states.v[use], p->generators.n && *process == c->process};
    if (s->n_skipped + p->n_skipped + g.state.skip > TZ_MAX_SKIPPED)
        g.state.seed = g.state.skip = 0;
    if (c->uses < uses_worth(&g.state))
        return;
    p->n_skipped += g.state.skip;
    *process = c->process;
    VEC_PUSH(&s->t.env, p->generators, g);
    c->number = (u32)(s->generators.n + p->generators.n);
}

/* Those that are worth it, in order of first use, but all of a process together. */
static void plan_definitions(State *s, IdDesk *d, Plan *p) {
    u32 process = 0;
    for (u32 i = 0; i < d->used.n; i++) {
        u32 of = d->candidates.v[d->used.v[i]].process;
        for (u32 k = i; k < d->used.n; k++) {
            Candidate *c = &d->candidates.v[d->used.v[k]];
            if (!c->first || c->process != of)
                continue;
            c->first = 0;
            if (!c->number && s->generators.n + p->generators.n < TZ_MAX_GENERATORS)
                plan_generator(s, d, p, k, &process);
        }
    }
}

static Origin origin_of(State *s, IdDesk *d, Found f) {
    if (f.generator == NO_GENERATOR)
        return (Origin){0, 0};
    const Candidate *c = candidate(s, d, f);
    return (Origin){c->number, f.position - c->origin};
}

static void origins_of(State *s, IdDesk *d, const FoundRows *found, Origins *of) {
    VEC_RESERVE(&s->t.env, *of, found->n);
    for (size_t i = 0; i < found->n; i++)
        of->v[of->n++] = origin_of(s, d, found->v[i]);
}

static void append_found(State *s, FoundRows *to, const FoundRows *found) {
    VEC_RESERVE(&s->t.env, *to, found->n);
    if (found->n)
        memcpy(to->v + to->n, found->v, found->n * sizeof *found->v);
    to->n += found->n;
}

/* The finder looks at the spans in stretches: what it finds in one of them explains the ids of the next. */
static void find_stretch(State *s, IdDesk *d, size_t first, size_t n) {
    const Batch *b = &s->b;
    IdRows rows = {b->span_id.v + first,
                   b->parent_id.v + first,
                   b->trace_hi.v + first,
                   b->trace_lo.v + first,
                   b->start.v + first,
                   d->resource.v + first,
                   n};
    finder_block(&d->finder, &s->t.env, &rows);
    for (size_t i = 0; i < n; i++) {
        count_use(s, d, d->finder.own.v[i]);
        count_use(s, d, d->finder.trace.v[i]);
    }
    describe_used(s, d);
    append_found(s, &d->own, &d->finder.own);
    append_found(s, &d->parent, &d->finder.parent);
    append_found(s, &d->trace, &d->finder.trace);
}

static void plan_ids(State *s, IdDesk *d, Plan *p) {
    size_t n = s->b.span_id.n;
    s->own_from.n = s->parent_from.n = s->trace_from.n = d->used.n = p->generators.n = 0;
    p->n_skipped = 0;
    d->own.n = d->parent.n = d->trace.n = d->n_described = 0;
    number_resources(s, d);
    size_t stretch = STRETCH >> d->finder.halvings;
    for (size_t first = 0; first < n; first += stretch)
        find_stretch(s, d, first, n - first < stretch ? n - first : stretch);
    if (!d->candidates.n)
        return;
    plan_definitions(s, d, p);
    origins_of(s, d, &d->own, &s->own_from);
    origins_of(s, d, &d->parent, &s->parent_from);
    origins_of(s, d, &d->trace, &s->trace_from);
}

#endif
