/* What the writer decides before it writes a block. Nothing here is part of the format: a reader does not need it, and
 * another writer may decide otherwise. Only integers decide, so that every writer of this project agrees.
 *
 * Included by encode.c only. */
#ifndef TZ_PLAN_H
#define TZ_PLAN_H

#include "define.h"

/* A path costs about as much as telling a value this many times. */
enum { PATH_COST = 12, NEW_PATHS_FREE = 8, CONDITIONS_TRIED = 4 };

typedef struct {
    U32s rows, part, refined; /* of one schema in this block; rows: where their atoms start */
    U32s group, group_path;   /* of each row of a kind: the rows with its path have its number; and that path + 1 */
    Map pairs;
    VEC(u64) mark; /* of each atom: round << 32 | a number */
    u32 round;
    U32s touched, first_row, next_row; /* schemas of this block, and their rows as lists */
} Desk;

static void desk_free(Desk *d) {
    VEC_FREE(d->rows);
    VEC_FREE(d->part);
    VEC_FREE(d->refined);
    VEC_FREE(d->group);
    VEC_FREE(d->group_path);
    VEC_FREE(d->mark);
    VEC_FREE(d->touched);
    VEC_FREE(d->first_row);
    VEC_FREE(d->next_row);
    map_free(&d->pairs);
}

static size_t desk_held(const Desk *d) {
    size_t n = VEC_HELD(d->rows) + VEC_HELD(d->part) + VEC_HELD(d->refined) + VEC_HELD(d->group);
    n += VEC_HELD(d->group_path) + VEC_HELD(d->mark) + VEC_HELD(d->touched) + VEC_HELD(d->first_row);
    return n + VEC_HELD(d->next_row) + VEC_HELD(d->pairs);
}

/* Marks name atoms of the group before. */
static void desk_reset(Desk *d) {
    d->mark.n = 0;
    d->round = 0;
}

static u32 row_schema(const State *s, u32 kind, size_t row) {
    return s->t.shapes.v[s->b.kinds[kind].shape.v[row]].schema;
}

static int atom_is_text(const State *s, u32 a) { return s->t.atoms.v[a].is_text; }

/* Strings seen too rarely are told where they occur and not remembered. */
static int atom_is_eligible(const State *s, u32 a) {
    const Atom *x = &s->t.atoms.v[a];
    if (x->def)
        return 1;
    if (atom_is_text(s, a))
        return s->t.strings.v[x->value].uses >= s->threshold;
    return x->uses >= 2;
}

static void count_uses(State *s) {
    Tables *t = &s->t;
    for (size_t i = 0; i < s->b.atoms.n; i++) {
        Atom *a = &t->atoms.v[s->b.atoms.v[i]];
        String *text = a->is_text ? &t->strings.v[a->value] : NULL;
        if (!a->uses++) {
            s->n_fields++;
            s->field_bytes += a->enc_n + (text && !text->uses ? text->n : 0);
        }
        if (text)
            text->uses++;
    }
}

/* Lists the rows of one kind by schema. */
static void list_rows(State *s, Desk *d, u32 kind) {
    Env *env = &s->t.env;
    size_t n = s->b.kinds[kind].shape.n;
    d->touched.n = 0;
    VEC_RESIZE(env, d->first_row, 0);
    VEC_RESIZE(env, d->first_row, s->t.schemas.n);
    VEC_RESIZE(env, d->next_row, n);
    for (size_t row = n; row-- > 0;) {
        u32 schema = row_schema(s, kind, row);
        if (!d->first_row.v[schema])
            VEC_PUSH(env, d->touched, schema);
        d->next_row.v[row] = d->first_row.v[schema];
        d->first_row.v[schema] = (u32)row + 1;
    }
}

static void gather_rows(State *s, Desk *d, u32 kind, u32 schema) {
    d->rows.n = 0;
    for (u32 row = d->first_row.v[schema]; row; row = d->next_row.v[row - 1])
        VEC_PUSH(&s->t.env, d->rows, s->b.kinds[kind].values.v[row - 1]);
}

static void next_round(State *s, Desk *d) {
    d->round++;
    if (d->mark.n < s->t.atoms.n)
        VEC_RESIZE(&s->t.env, d->mark, s->t.atoms.n);
}

/* How many different atoms a slot has in the first rows, and whether all of them may be remembered. */
static u32 count_distinct(State *s, Desk *d, u32 slot, size_t n_rows, int *eligible) {
    u32 n = 0, last = NO_SLOT;
    next_round(s, d);
    *eligible = 1;
    for (size_t i = 0; i < n_rows; i++) {
        u32 a = s->b.atoms.v[d->rows.v[i] + slot];
        if (a == last)
            continue;
        last = a;
        if (d->mark.v[a] >> 32 == d->round)
            continue;
        d->mark.v[a] = (u64)d->round << 32;
        n++;
        if (atom_is_text(s, a) && !atom_is_eligible(s, a))
            *eligible = 0;
    }
    return n;
}

/* Splits the parts by a slot's atoms; returns how many parts there are then. */
static u32 refine(State *s, Desk *d, u32 slot) {
    u32 n = 0;
    map_renew(&d->pairs, d->rows.n);
    VEC_RESIZE(&s->t.env, d->refined, d->rows.n);
    for (size_t i = 0; i < d->rows.n; i++) {
        u64 pair = (u64)d->part.v[i] << 32 | s->b.atoms.v[d->rows.v[i] + slot];
        u32 *at = map_at(&s->t.env, &d->pairs, pair, s->t.seed);
        if (!*at)
            *at = ++n;
        d->refined.v[i] = *at - 1;
    }
    return n;
}

/* How often the last value seen with the same key is wrong. Keys: the atoms of a slot, or the parts. */
static u32 count_misses(State *s, Desk *d, u32 slot, u32 by) {
    u32 n = 0;
    map_renew(&d->pairs, d->rows.n);
    for (size_t i = 0; i < d->rows.n; i++) {
        u32 a = s->b.atoms.v[d->rows.v[i] + slot], key = by == NO_SLOT ? d->part.v[i] : s->b.atoms.v[d->rows.v[i] + by];
        u32 *at = map_at(&s->t.env, &d->pairs, key, s->t.seed);
        n += *at != a + 1;
        *at = a + 1;
    }
    return n;
}

/* The slot whose value tells this hole's best, + 1; 0 if the path does. */
static u32 choose_condition(State *s, Desk *d, const u8 *mode, u32 slot) {
    u32 best = count_misses(s, d, slot, NO_SLOT), at = 0, tried = 0, n = (u32)d->rows.n;
    if (best <= n / 32 || n < 8)
        return 0;
    best -= n / 32;
    for (u32 i = slot; i-- > 0 && tried < CONDITIONS_TRIED;) {
        if (mode[i] != MODE_DICTIONARY || i >= 255)
            continue;
        u32 misses = count_misses(s, d, slot, i);
        tried++;
        if (misses < best)
            best = misses, at = i + 1;
    }
    return at;
}

/* By number of values, then by place: a stable merge sort. */
static void sort_slots(const u32 *distinct, u32 *order, u32 n) {
    if (n < 2)
        return;
    u32 half = n / 2, left[TZ_MAX_FIELDS / 2], i = 0, j = half, k = 0;
    sort_slots(distinct, order, half);
    sort_slots(distinct, order + half, n - half);
    memcpy(left, order, half * sizeof *left);
    while (i < half)
        order[k++] = j < n && distinct[order[j]] < distinct[left[i]] ? order[j++] : left[i++];
}

/* Takes slots into the path, those with the fewest values first, as long as that makes few paths. */
static void choose_path_slots(State *s, Desk *d, u32 schema, const u32 *distinct, u8 *mode) {
    u32 n = (u32)d->rows.n, parts = 1, n_valued = s->t.schemas.v[schema].n_valued, order[TZ_MAX_FIELDS];
    d->part.n = 0;
    VEC_RESIZE(&s->t.env, d->part, n);
    for (u32 i = 0; i < n_valued; i++)
        order[i] = i;
    sort_slots(distinct, order, n_valued);
    for (u32 i = 0; i < n_valued; i++) {
        u32 best = order[i];
        if (mode[best] != N_MODES)
            continue;
        mode[best] = MODE_DICTIONARY;
        if (distinct[best] == 1) {
            mode[best] = MODE_PATH;
            continue;
        }
        if ((u64)distinct[best] * PATH_COST > (u64)n + PATH_COST * NEW_PATHS_FREE)
            continue;
        u32 refined = refine(s, d, best);
        if ((u64)(refined - parts) * PATH_COST > (u64)n)
            continue;
        mode[best] = MODE_PATH;
        parts = refined;
        memcpy(d->part.v, d->refined.v, n * sizeof *d->part.v);
    }
}

/* Which slots do not have the same atom in all rows: varies[slot] is not 0. */
static void find_varying(const State *s, const Desk *d, u32 n_valued, u32 *varies) {
    const u32 *first = s->b.atoms.v + d->rows.v[0];
    memset(varies, 0, n_valued * sizeof *varies);
    for (size_t i = 1; i < d->rows.n; i++) {
        const u32 *row = s->b.atoms.v + d->rows.v[i];
        for (u32 k = 0; k < n_valued; k++)
            varies[k] |= row[k] ^ first[k];
    }
}

/* Decides each slot of a schema from its rows in this block. Once a hole, always a hole. */
static void decide_modes(State *s, Desk *d, u32 schema) {
    Tables *t = &s->t;
    const Schema q = t->schemas.v[schema];
    u8 *mode = t->modes.v + q.modes, *cond = t->conds.v + q.modes;
    u32 distinct[TZ_MAX_FIELDS] = {0}, varies[TZ_MAX_FIELDS];
    find_varying(s, d, q.n_valued, varies);
    for (u32 i = 0; i < q.n_valued; i++) {
        int eligible;
        distinct[i] = count_distinct(s, d, i, varies[i] ? d->rows.n : 1, &eligible);
        if (q.decided && mode[i] != MODE_PATH)
            continue;
        mode[i] = eligible ? N_MODES : MODE_DICTIONARY;
    }
    choose_path_slots(s, d, schema, distinct, mode);
    for (u32 i = 0; i < q.n_valued; i++) {
        u32 cls = 0;
        cond[i] = 0;
        if (mode[i] == MODE_PATH)
            continue;
        cls = t->atoms.v[s->b.atoms.v[d->rows.v[0] + i]].cls;
        if (!class_is_text(&t->classes.v[cls]))
            mode[i] = (u64)distinct[i] * 2 > d->rows.n ? MODE_NUMBER : MODE_DICTIONARY;
        if (mode[i] == MODE_DICTIONARY)
            cond[i] = (u8)choose_condition(s, d, mode, i);
    }
}

static void row_path_atoms(const State *s, u32 kind, u32 schema, size_t row, u32 *atoms) {
    const Schema *q = &s->t.schemas.v[schema];
    const u32 *from = s->b.atoms.v + s->b.kinds[kind].values.v[row];
    const u8 *mode = s->t.modes.v + q->modes;
    for (u32 i = 0; i < q->n_valued; i++)
        atoms[i] = mode[i] == MODE_PATH ? from[i] : NO_SLOT;
}

/* Do the modes that a schema has serve this block's rows as well? */
static int modes_serve(State *s, Desk *d, u32 schema) {
    const Schema q = s->t.schemas.v[schema];
    const u8 *mode = s->t.modes.v + q.modes;
    u32 fresh = 0;
    for (u32 i = 0; i < q.n_valued; i++) {
        if (mode[i] != MODE_PATH)
            continue;
        next_round(s, d);
        for (size_t k = 0; k < d->rows.n; k++) {
            u32 a = s->b.atoms.v[d->rows.v[k] + i];
            if (s->t.atoms.v[a].def || d->mark.v[a] >> 32 == d->round)
                continue;
            d->mark.v[a] = (u64)d->round << 32;
            fresh++;
            if (atom_is_text(s, a) && !atom_is_eligible(s, a))
                return 0;
        }
    }
    return (u64)fresh * PATH_COST <= d->rows.n + (u64)PATH_COST * NEW_PATHS_FREE;
}

/* Numbers the parts that the schema's rows fell into: all rows of a part have one path. */
static void group_rows(State *s, Desk *d, u32 schema) {
    u32 base = (u32)d->group_path.n, most = 0;
    size_t i = 0;
    for (u32 row = d->first_row.v[schema]; row; row = d->next_row.v[row - 1]) {
        u32 part = d->part.v[i++];
        if (part >= most)
            most = part + 1;
        d->group.v[row - 1] = base + part;
    }
    VEC_RESIZE(&s->t.env, d->group_path, base + most);
}

static void plan_modes(State *s, Desk *d, Plan *p, u32 kind) {
    list_rows(s, d, kind);
    d->group_path.n = d->group.n = 0;
    VEC_RESIZE(&s->t.env, d->group_path, 1); /* 0: a row of no group */
    VEC_RESIZE(&s->t.env, d->group, s->b.kinds[kind].shape.n);
    for (size_t i = d->touched.n; i-- > 0;) {
        u32 schema = d->touched.v[i];
        Schema *q = &s->t.schemas.v[schema];
        gather_rows(s, d, kind, schema);
        if (!q->decided)
            VEC_PUSH(&s->t.env, p->schemas, schema);
        else if (modes_serve(s, d, schema))
            continue;
        else
            VEC_PUSH(&s->t.env, p->changed, schema);
        decide_modes(s, d, schema);
        s->t.schemas.v[schema].decided = 1;
        group_rows(s, d, schema);
    }
}

static u32 row_path(State *s, Plan *p, u32 kind, u32 schema, size_t row) {
    u32 atoms[TZ_MAX_FIELDS];
    row_path_atoms(s, kind, schema, row, atoms);
    size_t known = s->t.paths.n;
    u32 path = path_intern(&s->t, schema, atoms);
    if (path == known)
        VEC_PUSH(&s->t.env, p->paths, path);
    return path;
}

static void plan_paths(State *s, Desk *d, Plan *p, u32 kind) {
    Tables *t = &s->t;
    Records *r = &s->b.kinds[kind];
    VEC_RESIZE(&t->env, r->path, r->shape.n);
    for (size_t row = 0; row < r->shape.n; row++) {
        u32 shape = r->shape.v[row], *of_group = &d->group_path.v[d->group.v[row]];
        if (!t->shapes.v[shape].def) {
            t->shapes.v[shape].def = 1;
            VEC_PUSH(&t->env, p->shapes, shape);
        }
        r->path.v[row] = *of_group ? *of_group - 1 : row_path(s, p, kind, t->shapes.v[shape].schema, row);
        if (d->group.v[row])
            *of_group = r->path.v[row] + 1;
    }
}

static u32 skeleton_intern(State *s, const u8 *p, u32 n, u32 n_fields) {
    Env *env = &s->t.env;
    u32 hash = (u32)hash_bytes(p, n, s->t.seed), i;
    for (size_t at = INDEX_FIRST(s->skeleton_index, hash);
         (at = index_next(&s->skeleton_index, at, hash, &i)) != INDEX_END; at++)
        if (s->skeletons.v[i].n == n && !memcmp(s->skeletons.v[i].p, p, n))
            return i;
    Skeleton k = {.p = arena_copy(env, &s->t.arena, p, n), .n = n, .n_fields = n_fields};
    VEC_PUSH(env, s->skeletons, k);
    index_add(env, &s->skeleton_index, hash, (u32)s->skeletons.n - 1);
    return (u32)s->skeletons.n - 1;
}

/* Looks for the skeleton of a text that this block tells. One that two texts have is worth defining. */
static void note_text(State *s, Plan *p, u32 v) {
    Tables *t = &s->t;
    u32 n_fields, n = t->strings.v[v].n;
    if (t->strings.v[v].skeleton != NO_SLOT)
        return;
    t->strings.v[v].skeleton = 0;
    s->scratch.n = 0;
    VEC_RESERVE(&t->env, s->scratch, n);
    n = (u32)skeleton_of(t->strings.v[v].p, n, s->scratch.v, &n_fields);
    if (!n)
        return;
    u32 k = skeleton_intern(s, s->scratch.v, n, n_fields);
    t->strings.v[v].skeleton = k + 1;
    if (++s->skeletons.v[k].uses == 2 && !s->skeletons.v[k].def)
        VEC_PUSH(&t->env, p->skeletons, k);
}

static void note_atom(State *s, Plan *p, u32 a) {
    if (atom_is_text(s, a) && !s->t.strings.v[s->t.atoms.v[a].value].def)
        note_text(s, p, (u32)s->t.atoms.v[a].value);
}

/* Marks what the new paths define, so that the holes' atoms are only those that are left. */
static void plan_path_atoms(State *s, Desk *d, Plan *p) {
    Tables *t = &s->t;
    next_round(s, d);
    for (size_t i = 0; i < p->paths.n; i++) {
        const Path *q = &t->paths.v[p->paths.v[i]];
        for (u32 k = 0; k < t->schemas.v[q->schema].n_valued; k++) {
            u32 a = t->path_atoms.v[q->atoms + k];
            if (a == NO_SLOT || t->atoms.v[a].def || d->mark.v[a] >> 32 == d->round)
                continue;
            d->mark.v[a] = (u64)d->round << 32;
            note_atom(s, p, a);
        }
    }
}

static void plan_hole_atoms(State *s, Desk *d, Plan *p, u32 kind) {
    Tables *t = &s->t;
    const Records *r = &s->b.kinds[kind];
    for (size_t row = 0; row < r->path.n; row++) {
        const Path *q = &t->paths.v[r->path.v[row]];
        const u8 *mode = t->modes.v + t->schemas.v[q->schema].modes;
        for (u32 k = 0; k < q->n_holes; k++) {
            u32 slot = t->hole_slots.v[q->holes + k].slot, a = s->b.atoms.v[r->values.v[row] + slot];
            if (t->atoms.v[a].def || d->mark.v[a] >> 32 == d->round)
                continue;
            note_atom(s, p, a);
            if (mode[slot] == MODE_NUMBER || !atom_is_eligible(s, a))
                continue;
            d->mark.v[a] = (u64)d->round << 32;
            VEC_PUSH(&t->env, p->atoms, a);
        }
    }
}

/* The largest power of ten, up to 10^9, that divides v and is at most 10^most. */
static u8 grain_of(u64 v, u8 most) {
    while (most && v != in_grains(v, most) * grains[most])
        most--;
    return most;
}

static void plan_grain(State *s, u32 path, u64 start, u64 length) {
    Clock *k = &s->clocks.v[path];
    if (k->plan != s->block) {
        k->plan = s->block;
        k->next_grain[0] = k->next_grain[1] = 9;
    }
    k->next_grain[0] = grain_of(start, k->next_grain[0]);
    k->next_grain[1] = grain_of(length >> 63 ? 0 - length : length, k->next_grain[1]);
}

static void plan_grains(State *s) {
    const Batch *b = &s->b;
    VEC_RESIZE(&s->t.env, s->clocks, s->t.paths.n);
    for (size_t i = 0; i < b->start.n; i++)
        plan_grain(s, b->kinds[KIND_SPAN].path.v[i], b->start.v[i], b->end.v[i] - b->start.v[i]);
    for (size_t i = 0; i < b->event_time.n; i++)
        plan_grain(s, b->kinds[KIND_EVENT].path.v[i], b->event_time.v[i], 0);
}

static void plan_clear(Plan *p) {
    p->skeletons.n = p->schemas.n = p->changed.n = p->shapes.n = p->paths.n = p->atoms.n = 0;
}

static void plan_block(State *s, Desk *d, Plan *p) {
    plan_clear(p);
    count_uses(s);
    for (u32 kind = 0; kind < N_KINDS; kind++) {
        plan_modes(s, d, p, kind);
        plan_paths(s, d, p, kind);
    }
    plan_path_atoms(s, d, p);
    for (u32 kind = 0; kind < N_KINDS; kind++)
        plan_hole_atoms(s, d, p, kind);
    plan_grains(s);
}

#endif
