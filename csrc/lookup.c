/* Which records have which field, found once for each path. FORMAT.md, "Classes, atoms, schemas, shapes, paths". */
#include "lookup.h"

/* What is known of a path: an atom + 1, FIELD_NONE, FIELD_MANY, or one of these. */
#define OPEN_QUESTION 0x7fffffffu
#define A_HOLE        0x80000000u /* + its number among the holes of the path */

/* A slot of a schema that has the field without a value. */
#define SLOT_EMPTY 0xfffffffeu

void lookup_free(Lookup *l) { VEC_FREE(l->of_path); }

static u32 kind_of_place(u32 place) {
    return place == KIND_RESOURCE ? KIND_RESOURCE_SPANS : place == KIND_SCOPE ? KIND_SCOPE_SPANS : place;
}

size_t lookup_rows(const Batch *b, u32 place) { return b->kinds[kind_of_place(place)].path.n; }

static int is_field(const Tables *t, const Class *c, const FieldName *f) {
    if (!f->key)
        return c->op == OP_FIELD && c->tag == f->tag;
    if (c->op != OP_ATTRIBUTE)
        return 0;
    const String *key = &t->strings.v[c->key];
    return key->n == f->key_n && !memcmp(key->p, f->key, f->key_n);
}

/* Something that only the bytes of the record can tell: all of it raw, an odd attribute, a second resource or scope. */
static int is_odd(const Class *c, const FieldName *f, u32 *n_open) {
    if (c->op == OP_RAW || (f->key && c->op == OP_FIELD && c->place == f->place && c->tag == f->tag))
        return 1;
    return c->op == OP_OPEN && f->place >= N_KINDS && ++*n_open > 1;
}

/* The valued slot of a field in a schema; NO_SLOT, SLOT_EMPTY; or FIELD_MANY, with *many set. */
static u32 slot_of(const Tables *t, u32 schema, const FieldName *f, int *many) {
    const Schema *q = &t->schemas.v[schema];
    const u32 *cls = schema_classes(t, schema);
    u32 slot = NO_SLOT, n = 0, n_open = 0;
    *many = 0;
    for (u32 i = 0; i < q->n && !*many; i++) {
        const Class *c = &t->classes.v[cls[i]];
        if (c->place == f->place && is_field(t, c, f)) {
            u32 rank = t->slot_rank.v[q->first + i];
            slot = rank == NO_SLOT ? SLOT_EMPTY : rank;
            *many = ++n > 1;
        } else {
            *many = is_odd(c, f, &n_open);
        }
    }
    return slot;
}

static u32 look_at_path(const Tables *t, u32 path, const FieldName *f) {
    const Path *p = &t->paths.v[path];
    int many;
    u32 slot = slot_of(t, p->schema, f, &many), hole = 0;
    if (many)
        return FIELD_MANY;
    if (slot == NO_SLOT || slot == SLOT_EMPTY)
        return FIELD_NONE;
    const u32 *atoms = t->path_atoms.v + p->atoms;
    if (atoms[slot] != NO_SLOT)
        return atoms[slot] + 1;
    for (u32 i = 0; i < slot; i++)
        hole += atoms[i] == NO_SLOT;
    return A_HOLE + hole;
}

void lookup_field(Lookup *l, Tables *t, const Batch *b, const FieldName *f, u32 *to) {
    const Records *r = &b->kinds[kind_of_place(f->place)];
    l->of_path.n = 0;
    VEC_RESERVE(&t->env, l->of_path, t->paths.n);
    for (size_t i = 0; i < t->paths.n; i++)
        l->of_path.v[i] = OPEN_QUESTION;
    for (size_t row = 0; row < r->path.n; row++) {
        u32 *known = &l->of_path.v[r->path.v[row]];
        if (*known == OPEN_QUESTION)
            *known = look_at_path(t, r->path.v[row], f);
        to[row] = *known < A_HOLE || *known == FIELD_MANY ? *known : b->atoms.v[r->values.v[row] + *known - A_HOLE] + 1;
    }
}
