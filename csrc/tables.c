#include "tables.h"

#include "format_limits.h"
#include "wire.h"

void tables_free(Tables *t) {
    for (size_t i = 0; i < t->classes.n; i++)
        VEC_FREE(t->classes.v[i].atoms);
    for (size_t i = 0; i < t->schemas.n; i++)
        VEC_FREE(t->schemas.v[i].orders);
    for (size_t i = 0; i < N_KINDS; i++)
        VEC_FREE(t->def_paths[i]);
    arena_free(&t->arena);
    VEC_FREE(t->strings);
    VEC_FREE(t->classes);
    VEC_FREE(t->atoms);
    VEC_FREE(t->slot_cls);
    VEC_FREE(t->slot_rank);
    VEC_FREE(t->perms);
    VEC_FREE(t->places);
    VEC_FREE(t->came);
    VEC_FREE(t->valued);
    VEC_FREE(t->modes);
    VEC_FREE(t->conds);
    VEC_FREE(t->schemas);
    VEC_FREE(t->shapes);
    VEC_FREE(t->paths);
    VEC_FREE(t->path_atoms);
    VEC_FREE(t->hole_slots);
    VEC_FREE(t->def_strings);
    VEC_FREE(t->def_classes);
    VEC_FREE(t->def_schemas);
    index_free(&t->string_index);
    index_free(&t->atom_index);
    index_free(&t->schema_index);
    index_free(&t->path_index);
    index_free(&t->class_index);
    index_free(&t->shape_index);
}

size_t tables_held(const Tables *t) {
    size_t n = arena_held(&t->arena);
    for (size_t i = 0; i < t->classes.n; i++)
        n += VEC_HELD(t->classes.v[i].atoms);
    for (size_t i = 0; i < t->schemas.n; i++)
        n += VEC_HELD(t->schemas.v[i].orders);
    for (size_t i = 0; i < N_KINDS; i++)
        n += VEC_HELD(t->def_paths[i]);
    n += VEC_HELD(t->strings) + VEC_HELD(t->classes) + VEC_HELD(t->atoms) + VEC_HELD(t->schemas) + VEC_HELD(t->shapes);
    n += VEC_HELD(t->slot_cls) + VEC_HELD(t->slot_rank) + VEC_HELD(t->modes) + VEC_HELD(t->conds);
    n += VEC_HELD(t->perms) + VEC_HELD(t->places) + VEC_HELD(t->came) + VEC_HELD(t->valued);
    n += VEC_HELD(t->paths) + VEC_HELD(t->path_atoms) + VEC_HELD(t->hole_slots);
    n += VEC_HELD(t->def_strings) + VEC_HELD(t->def_classes) + VEC_HELD(t->def_schemas);
    n += VEC_HELD(t->string_index) + VEC_HELD(t->atom_index) + VEC_HELD(t->schema_index) + VEC_HELD(t->path_index);
    return n + VEC_HELD(t->class_index) + VEC_HELD(t->shape_index);
}

void tables_clear(Tables *t) {
    for (size_t i = 0; i < t->classes.n; i++)
        VEC_FREE(t->classes.v[i].atoms);
    for (size_t i = 0; i < t->schemas.n; i++)
        VEC_FREE(t->schemas.v[i].orders);
    for (size_t i = 0; i < N_KINDS; i++)
        t->def_paths[i].n = 0;
    arena_clear(&t->arena);
    t->strings.n = t->classes.n = t->atoms.n = t->slot_cls.n = t->slot_rank.n = t->perms.n = t->places.n = 0;
    t->came.n = t->valued.n = 0;
    t->modes.n = t->conds.n = t->schemas.n = t->shapes.n = t->paths.n = t->path_atoms.n = t->hole_slots.n = 0;
    t->def_strings.n = t->def_classes.n = t->def_schemas.n = 0;
    index_clear(&t->string_index);
    index_clear(&t->atom_index);
    index_clear(&t->schema_index);
    index_clear(&t->path_index);
    index_clear(&t->class_index);
    index_clear(&t->shape_index);
    memset(t->marks, 0, sizeof t->marks);
    memset(t->recent, 0, sizeof t->recent);
}

u32 string_add(Tables *t, const u8 *p, size_t n) {
    u8 *copy = arena_take(&t->env, &t->arena, n + 1); /* a zero behind it ends the digits of its last field */
    if (n)
        memcpy(copy, p, n);
    copy[n] = 0;
    String s = {.p = copy, .n = (u32)n, .skeleton = NO_SLOT};
    VEC_PUSH(&t->env, t->strings, s);
    return (u32)t->strings.n - 1;
}

static u32 string_find(const Tables *t, const u8 *p, size_t n, u32 hash) {
    u32 i;
    for (size_t at = INDEX_FIRST(t->string_index, hash); (at = index_next(&t->string_index, at, hash, &i)) != INDEX_END;
         at++)
        if (t->strings.v[i].n == n && !memcmp(t->strings.v[i].p, p, n))
            return i;
    return NO_SLOT;
}

u32 string_intern(Tables *t, const u8 *p, size_t n) {
    u32 hash = (u32)hash_bytes(p, n, t->seed), i = string_find(t, p, n, hash);
    if (i == NO_SLOT && t->preset)
        i = string_find(t->preset, p, n, hash);
    if (i != NO_SLOT)
        return i;
    i = string_add(t, p, n);
    index_add(&t->env, &t->string_index, hash, i);
    return i;
}

static u8 class_value(u8 op, u32 tag, u8 any) {
    static const u8 of_wire[8] = {VALUE_VARINT, VALUE_FIXED64, VALUE_BYTES, 0, 0, VALUE_FIXED32, 0, 0};
    if (op == OP_RAW)
        return VALUE_BYTES;
    if (op == OP_FIELD)
        return of_wire[tag & 7];
    if (op == OP_ATTRIBUTE && any > ANY_EMPTY)
        return of_wire[any & 7];
    return VALUE_NONE;
}

u32 class_intern(Tables *t, u8 place, u8 op, u32 tag, u32 key, u8 any) {
    u32 hash = (u32)hash_mix(hash_mix((u64)tag << 32 | key, t->seed), (u64)any << 16 | (u64)place << 8 | op), i;
    for (size_t at = INDEX_FIRST(t->class_index, hash); (at = index_next(&t->class_index, at, hash, &i)) != INDEX_END;
         at++) {
        const Class *c = &t->classes.v[i];
        if (c->place == place && c->op == op && c->any == any && c->tag == tag && c->key == key)
            return i;
    }
    Class c = {.place = place, .op = op, .any = any, .value = class_value(op, tag, any), .tag = tag, .key = key};
    VEC_PUSH(&t->env, t->classes, c);
    index_add(&t->env, &t->class_index, hash, (u32)t->classes.n - 1);
    return (u32)t->classes.n - 1;
}

static void atom_push(Tables *t, u32 cls, u64 value, const u8 *enc, size_t enc_n) {
    const Class *c = &t->classes.v[cls];
    Atom a = {.enc = enc,
              .enc_n = (u32)enc_n,
              .cls = cls,
              .place = c->op == OP_RAW ? N_PLACES : c->place,
              .is_text = c->value == VALUE_BYTES,
              .value = value};
    VEC_PUSH(&t->env, t->atoms, a);
}

u32 atom_intern(Tables *t, u32 cls, u64 value, const u8 *enc, size_t enc_n, u32 hash) {
    atom_push(t, cls, value, arena_copy(&t->env, &t->arena, enc, enc_n), enc_n);
    index_add(&t->env, &t->atom_index, hash, (u32)t->atoms.n - 1);
    return (u32)t->atoms.n - 1;
}

u32 mark_make(Tables *t, u8 place, u32 mark, u8 op, u32 tag) {
    atom_push(t, class_intern(t, place, op, tag, 0, 0), 0, NULL, 0);
    return t->marks[place][mark] = (u32)t->atoms.n - 1;
}

/* Bytes of a value as it stands behind its tag. */
static size_t value_size(const Tables *t, const Class *c, u64 value) {
    switch (c->value) {
        case VALUE_BYTES: return varint_size(t->strings.v[value].n) + t->strings.v[value].n;
        case VALUE_VARINT: return varint_size(value);
        case VALUE_FIXED64: return 8;
        case VALUE_FIXED32: return 4;
        default: return 0;
    }
}

static u8 *value_put(const Tables *t, const Class *c, u64 value, u8 *p) {
    const String *s;
    u32 small = (u32)value;
    switch (c->value) {
        case VALUE_BYTES:
            s = &t->strings.v[value];
            p = varint_put(p, s->n);
            if (s->n)
                memcpy(p, s->p, s->n);
            return p + s->n;
        case VALUE_VARINT: return varint_put(p, value);
        case VALUE_FIXED64: memcpy(p, &value, 8); return p + 8;
        case VALUE_FIXED32: memcpy(p, &small, 4); return p + 4;
        default: return p;
    }
}

static u8 *attribute_put(const Tables *t, const Class *c, u64 value, u8 *p, size_t any_n, size_t kv_n) {
    const String *key = &t->strings.v[c->key];
    p = varint_put(p, kv_n);
    *p++ = 0x0a;
    p = varint_put(p, key->n);
    if (key->n)
        memcpy(p, key->p, key->n);
    p += key->n;
    if (c->any == ANY_ABSENT)
        return p;
    *p++ = 0x12;
    p = varint_put(p, any_n);
    if (c->any == ANY_EMPTY)
        return p;
    *p++ = c->any;
    return value_put(t, c, value, p);
}

u32 atom_add(Tables *t, u32 cls, u64 value) {
    const Class *c = &t->classes.v[cls];
    size_t body = value_size(t, c, value), key_n = t->strings.n ? t->strings.v[c->key].n : 0;
    size_t any_n = c->any > ANY_EMPTY ? 1 + body : 0;
    size_t kv_n = 1 + varint_size(key_n) + key_n + (c->any == ANY_ABSENT ? 0 : 1 + varint_size(any_n) + any_n);
    u8 *enc = arena_take(&t->env, &t->arena, 16 + (c->op == OP_ATTRIBUTE ? kv_n : body)), *p = enc;
    switch (c->op) {
        case OP_ATTRIBUTE: p = attribute_put(t, c, value, varint_put(p, c->tag), any_n, kv_n); break;
        case OP_FIELD: p = value_put(t, c, value, varint_put(p, c->tag)); break;
        case OP_RAW:
            memcpy(p, t->strings.v[value].p, t->strings.v[value].n);
            p += t->strings.v[value].n;
            break;
        case OP_OPEN:
        case OP_CLOSE:
        case OP_CHILDREN: break;
        default:
            p = varint_put(p, c->tag);
            if ((c->tag & 7) == WIRE_BYTES)
                *p++ = c->op == OP_TRACE_ID ? 16 : 8;
    }
    atom_push(t, cls, value, enc, (size_t)(p - enc));
    return (u32)t->atoms.n - 1;
}

/* --- schemas and shapes ------------------------------------------------------------------------------------------- */

/* Attributes of one run are ordered by key, then type; equal ones keep their order. */
static int attribute_before(const Tables *t, u32 a, u32 b) {
    const Class *x = &t->classes.v[a], *y = &t->classes.v[b];
    const String *kx = &t->strings.v[x->key], *ky = &t->strings.v[y->key];
    u32 n = kx->n < ky->n ? kx->n : ky->n;
    int order = n ? memcmp(kx->p, ky->p, n) : 0;
    if (order)
        return order < 0;
    if (kx->n != ky->n)
        return kx->n < ky->n;
    return x->any < y->any;
}

/* A stable merge sort: a record may have a thousand attributes. */
static void sort_attributes(const Tables *t, const u32 *cls, u32 *by, u32 n) {
    if (n < 2)
        return;
    u32 half = n / 2, left[TZ_MAX_FIELDS / 2], i = 0, j = half, k = 0;
    sort_attributes(t, cls, by, half);
    sort_attributes(t, cls, by + half, n - half);
    memcpy(left, by, half * sizeof *left);
    while (i < half)
        by[k++] = j < n && attribute_before(t, cls[by[j]], cls[left[i]]) ? by[j++] : left[i++];
}

/* The canonical order of fields: by[slot] is the place at which the slot's field came. */
static void canonical_order(const Tables *t, const u32 *cls, u32 n, u32 *by) {
    for (u32 i = 0; i < n; i++)
        by[i] = i;
    for (u32 i = 0; i < n;) {
        u32 j = i;
        while (j < n && t->classes.v[cls[j]].op == OP_ATTRIBUTE && t->classes.v[cls[j]].tag == t->classes.v[cls[i]].tag)
            j++;
        if (j > i + 1)
            sort_attributes(t, cls, by + i, j - i);
        i = j > i ? j : i + 1;
    }
}

static void schema_describe(Tables *t, Schema *s) {
    for (u32 i = 0; i < s->n; i++) {
        const Class *c = &t->classes.v[t->slot_cls.v[s->first + i]];
        if (c->op < OP_CHILDREN)
            s->has[c->op] = 1;
        if (c->op == OP_CHILDREN)
            s->children[s->kind == KIND_SPAN && c->tag == 0x6a] = 1;
        VEC_PUSH(&t->env, t->slot_rank, c->value != VALUE_NONE ? s->n_valued : NO_SLOT);
        s->n_valued += c->value != VALUE_NONE;
    }
}

u32 schema_intern(Tables *t, u32 kind, const u32 *cls, u32 n) {
    u32 hash = (u32)hash_bytes((const u8 *)cls, n * sizeof *cls, t->seed + kind), i;
    for (size_t at = INDEX_FIRST(t->schema_index, hash); (at = index_next(&t->schema_index, at, hash, &i)) != INDEX_END;
         at++) {
        const Schema *s = &t->schemas.v[i];
        if (s->kind == kind && s->n == n && (!n || !memcmp(schema_classes(t, i), cls, n * sizeof *cls)))
            return i;
    }
    Schema s = {.first = (u32)t->slot_cls.n, .n = n, .kind = kind, .modes = (u32)t->modes.n, .last_path = NO_SLOT};
    VEC_RESERVE(&t->env, t->slot_cls, n);
    for (u32 k = 0; k < n; k++)
        t->slot_cls.v[t->slot_cls.n++] = cls[k];
    schema_describe(t, &s);
    VEC_RESIZE(&t->env, t->modes, t->modes.n + s.n_valued);
    VEC_RESIZE(&t->env, t->conds, t->conds.n + s.n_valued);
    VEC_PUSH(&t->env, t->schemas, s);
    index_add(&t->env, &t->schema_index, hash, (u32)t->schemas.n - 1);
    return (u32)t->schemas.n - 1;
}

u32 shape_add(Tables *t, u32 schema, const u32 *perm, u32 n) {
    Shape s = {.schema = schema, .perm = (u32)t->perms.n, .place = (u32)t->places.n, .identity = 1};
    VEC_RESIZE(&t->env, t->perms, t->perms.n + n);
    VEC_RESIZE(&t->env, t->places, t->places.n + n);
    u32 *place = t->places.v + s.place;
    for (u32 i = 0; i < n; i++) {
        t->perms.v[s.perm + i] = perm[i];
        s.identity &= perm[i] == i;
    }
    const u32 *rank = t->slot_rank.v + t->schemas.v[schema].first;
    for (u32 i = 0; i < n; i++)
        place[i] = rank[perm[i]];
    VEC_PUSH(&t->env, t->shapes, s);
    return (u32)t->shapes.n - 1;
}

static u32 shape_make(Tables *t, u32 kind, const u32 *cls, u32 n) {
    u32 sorted[TZ_MAX_FIELDS], by[TZ_MAX_FIELDS], perm[TZ_MAX_FIELDS];
    canonical_order(t, cls, n, by);
    for (u32 i = 0; i < n; i++) {
        sorted[i] = cls[by[i]];
        perm[by[i]] = i;
    }
    u32 v = shape_add(t, schema_intern(t, kind, sorted, n), perm, n);
    Shape *s = &t->shapes.v[v];
    s->came = (u32)t->came.n;
    s->valued = (u32)t->valued.n;
    VEC_RESERVE(&t->env, t->came, n);
    VEC_RESERVE(&t->env, t->valued, n);
    for (u32 i = 0; i < n; i++) {
        t->came.v[t->came.n++] = cls[i];
        if (t->classes.v[sorted[i]].value != VALUE_NONE)
            t->valued.v[t->valued.n++] = by[i];
    }
    return v;
}

u32 shape_intern(Tables *t, u32 kind, const u32 *cls, u32 n, u32 hash) {
    u32 i;
    for (size_t at = INDEX_FIRST(t->shape_index, hash); (at = index_next(&t->shape_index, at, hash, &i)) != INDEX_END;
         at++) {
        const Schema *q = &t->schemas.v[t->shapes.v[i].schema];
        if (q->n == n && q->kind == kind &&
            bytes_equal((const u8 *)(t->came.v + t->shapes.v[i].came), (const u8 *)cls, n * sizeof *cls))
            return i;
    }
    i = shape_make(t, kind, cls, n);
    index_add(&t->env, &t->shape_index, hash, i);
    return i;
}

u32 path_intern(Tables *t, u32 schema, const u32 *atoms) {
    u32 n = t->schemas.v[schema].n_valued, i;
    u32 hash = (u32)hash_bytes((const u8 *)atoms, n * sizeof *atoms, t->seed + schema);
    for (size_t at = INDEX_FIRST(t->path_index, hash); (at = index_next(&t->path_index, at, hash, &i)) != INDEX_END;
         at++)
        if (t->paths.v[i].schema == schema &&
            (!n || !memcmp(t->path_atoms.v + t->paths.v[i].atoms, atoms, n * sizeof *atoms)))
            return i;
    const Schema *q = &t->schemas.v[schema];
    Path p = {.schema = schema, .atoms = (u32)t->path_atoms.n, .holes = (u32)t->hole_slots.n};
    VEC_RESERVE(&t->env, t->path_atoms, n);
    if (n)
        memcpy(t->path_atoms.v + t->path_atoms.n, atoms, n * sizeof *atoms);
    t->path_atoms.n += n;
    for (u32 k = 0; k < q->n; k++) {
        Hole hole = {t->slot_rank.v[q->first + k], t->slot_cls.v[q->first + k]};
        if (hole.slot != NO_SLOT && atoms[hole.slot] == NO_SLOT)
            VEC_PUSH(&t->env, t->hole_slots, hole);
    }
    p.n_holes = (u32)t->hole_slots.n - p.holes;
    VEC_PUSH(&t->env, t->paths, p);
    index_add(&t->env, &t->path_index, hash, (u32)t->paths.n - 1);
    t->schemas.v[schema].n_paths++;
    return (u32)t->paths.n - 1;
}
