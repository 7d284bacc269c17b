/* Which records have which field, found once for each path. FORMAT.md, "Classes, atoms, schemas, shapes, paths". */
#include "lookup.h"

/* What is known of a path, or of a schema: an atom + 1, FIELD_NONE, FIELD_MANY, or one of these. */
#define OPEN_QUESTION 0x7fffffffu
#define A_HOLE        0x80000000u /* + where it stands among the atoms that the record itself has */

/* A slot of a schema that has the field without a value. */
#define SLOT_EMPTY 0xfffffffeu

static u32 kind_of_place(u32 place) {
    return place == KIND_RESOURCE ? KIND_RESOURCE_SPANS : place == KIND_SCOPE ? KIND_SCOPE_SPANS : place;
}

size_t rows_of(const RowReader *r, u32 place) { return r->b->kinds[kind_of_place(place)].shape.n; }

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

/* Records that were read have a path, and atoms in its holes; those that are to be written have all their atoms. */
static u32 look_at(const Tables *t, u32 schema, const u32 *atoms, const FieldName *f) {
    int many;
    u32 slot = slot_of(t, schema, f, &many), hole = 0;
    if (many)
        return FIELD_MANY;
    if (slot == NO_SLOT || slot == SLOT_EMPTY)
        return FIELD_NONE;
    if (!atoms)
        return A_HOLE + slot;
    if (atoms[slot] != NO_SLOT)
        return atoms[slot] + 1;
    for (u32 i = 0; i < slot; i++)
        hole += atoms[i] == NO_SLOT;
    return A_HOLE + hole;
}

static u32 look_at_path(const Tables *t, u32 path, const FieldName *f) {
    const Path *p = &t->paths.v[path];
    return look_at(t, p->schema, t->path_atoms.v + p->atoms, f);
}

int paths_tell(const Tables *t, const FieldName *f) {
    for (u32 i = 0; i < t->paths.n; i++) {
        if (t->schemas.v[t->paths.v[i].schema].kind != kind_of_place(f->place))
            continue;
        u32 k = look_at_path(t, i, f);
        if (k >= A_HOLE && k != FIELD_MANY)
            return 0;
    }
    return 1;
}

static void find_field(const RowReader *r, const FieldName *f, u32 *to) {
    Tables *t = r->t;
    const Records *q = &r->b->kinds[kind_of_place(f->place)];
    int by_path = q->path.n != 0;
    size_t n = by_path ? t->paths.n : t->schemas.n;
    r->room->n = 0;
    VEC_RESERVE(&t->env, *r->room, n);
    u32 *known = r->room->v;
    for (size_t i = 0; i < n; i++)
        known[i] = OPEN_QUESTION;
    for (size_t row = 0; row < q->shape.n; row++) {
        u32 which = by_path ? q->path.v[row] : t->shapes.v[q->shape.v[row]].schema;
        if (known[which] == OPEN_QUESTION)
            known[which] = by_path ? look_at_path(t, which, f) : look_at(t, which, NULL, f);
        u32 k = known[which];
        if (r->lacks_values && k >= A_HOLE && k != FIELD_MANY)
            tz_fail(&t->env, TZ_ENOUGH, "");
        to[row] = k < A_HOLE || k == FIELD_MANY ? k : r->b->atoms.v[q->values.v[row] + k - A_HOLE] + 1;
    }
}

int rows_field(const RowReader *r, const FieldName *f, u32 *to) {
    if (setjmp(r->t->env.out))
        return r->t->env.code;
    find_field(r, f, to);
    return TZ_OK;
}

void rows_atom(const RowReader *r, u32 atom, const u8 **p, size_t *n) {
    *p = NULL;
    if (atom >= r->t->atoms.n)
        return;
    *p = r->t->atoms.v[atom].enc;
    *n = r->t->atoms.v[atom].enc_n;
}

int rows_measure(const RowReader *r, u32 kind, const u32 *rows, size_t n, u64 *n_bytes) {
    if (setjmp(r->t->env.out))
        return r->t->env.code;
    writer_measure_rows(r->w, r->b, kind, rows, n, n_bytes);
    return TZ_OK;
}

int rows_write(const RowReader *r, u32 kind, const u32 *rows, size_t n, u8 *const *to) {
    if (setjmp(r->t->env.out))
        return r->t->env.code;
    writer_write_rows(r->w, r->b, kind, rows, n, to);
    return TZ_OK;
}
