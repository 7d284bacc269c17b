/* Values of holes: memories, dictionaries, new values. FORMAT.md, "Values". */
#ifndef TZ_VALUES_H
#define TZ_VALUES_H

#include "times.h"

static u32 slot_name(const State *s, u32 schema, u32 slot) { return s->t.schemas.v[schema].name + slot; }

/* Names of memories: what they are of, and which slot, or class, of it. */
#define OF_PATH  ((u32)1 << 30) /* the others: of a trace, and of a class */
#define OF_VALUE ((u32)2 << 30)

/* A value that no dictionary has. Reading: an atom for this block only. */
static u32 code_new_value(State *s, Coder *c, u32 cls, u32 name, u32 path, u32 v) {
    Tables *t = &s->t;
    u64 value = TZ_ENCODING ? t->atoms.v[v].value : 0;
    if (class_is_text(&t->classes.v[cls]))
        value = code_text(s, c, LITERALS, t->classes.v[cls].def, (u32)value);
    else
        value = code_series(s, c, F_NUMBER, name, path, value);
#if !TZ_ENCODING
    v = atom_read(s, cls, value);
#endif
    return v;
}

/* How a value is told: as the one remembered of the trace, as that of the path or of another value, by its number in
 * its class, or anew. */
enum { HOLE_OF_TRACE, HOLE_OF_PATH, HOLE_KNOWN, HOLE_NEW };

static u32 hole_symbol(const State *s, u32 of_trace, u32 of_path, u32 v) {
    return v + 1 == of_trace     ? HOLE_OF_TRACE
           : v + 1 == of_path    ? HOLE_OF_PATH
           : s->t.atoms.v[v].def ? HOLE_KNOWN
                                 : HOLE_NEW;
}

/* The value of a hole, as an atom. */
static u32 code_value(State *s, u32 schema, u32 slot, u32 cls, const Place *at, u32 condition, u32 v) {
    Coder *c = &s->coders[VALUES];
    Tables *t = &s->t;
    u32 name = slot_name(s, schema, slot), class_def = t->classes.v[cls].def;
    u32 of = condition == NONE ? at->path : condition, slot2 = name | (condition == NONE ? OF_PATH : OF_VALUE);
    memory_reserve(&t->env, &s->memory, t->seed);
    MemoryEntry *one = memory_place(&s->memory, at->trace, class_def, t->seed),
                *two = memory_place(&s->memory, of, slot2, t->seed);
    u32 m1 = at->trace == NONE ? 0 : one->atom1, m2 = two->atom1;
    u32 there = (u32)(m1 != 0) | (u32)(m2 && m2 != m1) << 1, n = (u32)t->classes.v[cls].atoms.n, r;
    u32 told = code_nibble(
        c,
        kept_context(&s->x, &s->x.of_slot.v[(size_t)name * SLOT_CONTEXTS + there], F_HOLE, name, there, NIBBLE_CELLS),
        TZ_ENCODING ? hole_symbol(s, m1, m2, v) : 0);
    if (told == HOLE_NEW)
        return code_new_value(s, c, cls, name, at->path, v);
    if (told == HOLE_KNOWN && n)
        r = t->classes.v[cls].atoms.v[code_choice(c, context(&s->x, F_CHOICE, class_def, at->path + 1, PAIR_CELLS), n,
                                                  TZ_ENCODING ? t->atoms.v[v].def - 1 : 0, "values")];
    else if (told == HOLE_OF_TRACE && m1)
        r = m1 - 1;
    else if (told == HOLE_OF_PATH && m2)
        r = m2 - 1;
    else
        tz_fail(&t->env, TZ_CORRUPT, "values");
    if (at->trace != NONE)
        memory_put(&s->memory, one, at->trace, class_def, r);
    if (two == one) /* both were new and had the same home */
        two = memory_place(&s->memory, of, slot2, t->seed);
    memory_put(&s->memory, two, of, slot2, r);
    return r;
}

/* The value of the slot that a hole's value depends on, as the serial of a defined atom; NONE if there is none. */
static u32 condition_of(const State *s, const Path *p, u32 slot, const u32 *known) {
    const Tables *t = &s->t;
    u32 on = t->conds.v[t->schemas.v[p->schema].modes + slot];
    if (!on)
        return NONE;
    u32 fixed = t->path_atoms.v[p->atoms + on - 1], a = fixed == NO_SLOT ? known[on - 1] : fixed;
    return t->atoms.v[a].serial ? t->atoms.v[a].serial : NONE;
}

/* For a record whose holes come soon: what its trace remembers of them is in the cache then. */
TZ_INLINE void prefetch_values(const State *s, const Place *at) {
    if (SKIPS(s, SKIP_VALUES))
        return;
    const Tables *t = &s->t;
    const Path *p = &t->paths.v[at->path];
    const Hole *hole = t->hole_slots.v + p->holes;
    for (u32 i = 0; i < p->n_holes; i++)
        memory_prefetch(&s->memory, at->trace, t->classes.v[hole[i].cls].def, t->seed);
}

/* All holes of a record, in slot order. */
static void code_values(State *s, u32 kind, size_t row, const Place *at) {
    if (SKIPS(s, SKIP_VALUES))
        return;
    Tables *t = &s->t;
    Batch *b = &s->b;
    const Path p = t->paths.v[at->path];
    u32 known[TZ_MAX_FIELDS], from = TZ_ENCODING ? b->kinds[kind].values.v[row] : 0;
    if (!TZ_ENCODING)
        VEC_PUSH(&t->env, b->kinds[kind].values, (u32)b->atoms.n);
    for (u32 i = 0; i < p.n_holes; i++) {
        const Hole hole = t->hole_slots.v[p.holes + i];
        u32 a = TZ_ENCODING ? b->atoms.v[from + hole.slot] : 0;
        budget_spend(s, 1);
        if (t->modes.v[t->schemas.v[p.schema].modes + hole.slot] == MODE_NUMBER)
            a = code_new_value(s, &s->coders[VALUES], hole.cls, slot_name(s, p.schema, hole.slot), at->path, a);
        else
            a = code_value(s, p.schema, hole.slot, hole.cls, at, condition_of(s, &p, hole.slot, known), a);
        known[hole.slot] = a;
        if (!TZ_ENCODING)
            VEC_PUSH(&t->env, b->atoms, a);
    }
}

/* The order of the fields, where a schema has come in more than one. Returns the shape. */
static u32 code_order(State *s, Coder *c, u32 schema, u32 shape) {
    const Schema *q = &s->t.schemas.v[schema];
    u32 n = (u32)q->orders.n;
    if (!n)
        tz_fail(&s->t.env, TZ_CORRUPT, "paths");
    u32 number = TZ_ENCODING ? s->t.shapes.v[shape].order : 0;
    if (n == 1)
        return q->orders.v[0];
    u32 r = code_choice(c, kept_context(&s->x, &s->x.of_schema.v[q->def], F_ORDER, q->def, 0, PAIR_CELLS), n, number,
                        "paths");
    return s->t.schemas.v[schema].orders.v[r];
}

#endif
