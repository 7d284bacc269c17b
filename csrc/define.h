/* The definitions a block begins with: skeletons, schemas, modes, shapes, paths, atoms. FORMAT.md, "Definitions". */
#ifndef TZ_DEFINE_H
#define TZ_DEFINE_H

#include "rows.h"

typedef struct {
    GeneratorState state;
    u32 same_process; /* as the one before */
} PlannedGenerator;

/* What a block defines, in order; the writer fills it (plan.c), the reader only needs the counts. */
typedef struct {
    U32s skeletons, schemas, changed, shapes, paths, atoms; /* changed: schemas whose modes are told again */
    VEC(PlannedGenerator) generators;
} Plan;

static u32 code_count_of(State *s, u32 which, size_t n) {
    u64 r = code_number(&s->coders[TREE_SECTION], context(&s->x, F_COUNT, which, 0, PAIR_CELLS), n);
    if (r > TZ_MAX_ROWS)
        tz_fail(&s->t.env, TZ_LIMIT, "tree");
    return (u32)r;
}

static void define_skeleton(State *s, u32 v) {
    Skeleton k = {0};
    if (TZ_ENCODING)
        k = s->skeletons.v[v];
    u64 n = code_number(&s->coders[TREE_SECTION], context(&s->x, F_TEXT_LENGTH, 0, 1, PAIR_CELLS), k.n);
#if TZ_ENCODING
    (void)n;
    bytes_append(&s->t.env, &s->streams[TEXT].out, k.p, k.n);
#else
    budget_spend(s, n);
    const u8 *p = stream_take(s, TEXT, n);
    k.p = arena_copy(&s->t.env, &s->t.arena, p, (size_t)n);
    k.n = (u32)n;
    for (u32 i = 0; i < k.n; i++)
        k.n_fields += k.p[i] >= FIELD_FIRST && k.p[i] <= FIELD_LAST;
    if (!k.n_fields || k.n_fields > MAX_SKELETON_FIELDS)
        tz_fail(&s->t.env, TZ_CORRUPT, "tree");
    v = (u32)s->skeletons.n;
    VEC_PUSH(&s->t.env, s->skeletons, k);
#endif
    VEC_PUSH(&s->t.env, s->def_skeletons, v);
    s->skeletons.v[v].def = (u32)s->def_skeletons.n;
}

/* A string, known or told here. */
static u32 define_string(State *s, u32 family, u32 cls, u32 v) {
    Coder *c = &s->coders[TREE_SECTION];
    Tables *t = &s->t;
    u32 def = TZ_ENCODING ? t->strings.v[v].def : 0;
    if (code_bit(c, context(&s->x, F_STRING_KNOWN, family, cls, BIT_CELLS), def != 0)) {
        u64 number = code_number(c, context(&s->x, F_STRING, family, 0, PAIR_CELLS), def - 1);
        if (number >= t->def_strings.n)
            tz_fail(&t->env, TZ_CORRUPT, "tree");
        return t->def_strings.v[number];
    }
    v = code_text(s, c, TEXT, family ? cls : 0, v);
    VEC_PUSH(&t->env, t->def_strings, v);
    t->strings.v[v].def = (u32)t->def_strings.n;
    return v;
}

static u32 define_class(State *s, u32 v) {
    Coder *c = &s->coders[TREE_SECTION];
    Tables *t = &s->t;
    Class k = {0};
    if (TZ_ENCODING)
        k = t->classes.v[v];
    budget_spend(s, 4);
    k.place = (u8)code_nibble(c, context(&s->x, F_CLASS_NEW, 0, 0, NIBBLE_CELLS), k.place);
    k.op = (u8)code_nibble(c, context(&s->x, F_CLASS_NEW, 1, k.place, NIBBLE_CELLS), k.op);
    u64 tag = code_number(c, context(&s->x, F_CLASS_NEW, 2, (u32)k.place << 8 | k.op, PAIR_CELLS), k.tag);
    k.tag = (u32)tag;
    if (k.place >= N_PLACES || k.op >= N_OPS || tag >> 32)
        tz_fail(&t->env, TZ_CORRUPT, "tree");
    if (k.op == OP_ATTRIBUTE) {
        k.key = define_string(s, 0, 0, k.key);
        k.any = (u8)code_pair(c, context(&s->x, F_CLASS_NEW, 3, k.place, PAIR_CELLS), k.any);
    }
#if !TZ_ENCODING
    class_check(s, &k);
    v = class_intern(t, k.place, k.op, k.tag, k.key, k.any);
    if (t->classes.v[v].def)
        tz_fail(&t->env, TZ_CORRUPT, "tree");
#endif
    VEC_PUSH(&t->env, t->def_classes, v);
    t->classes.v[v].def = (u32)t->def_classes.n;
    return v;
}

/* A class, after the one before it in the schema. */
static u32 code_class(State *s, u32 last, u32 v) {
    Coder *c = &s->coders[TREE_SECTION];
    Tables *t = &s->t;
    u32 one = recent(s, F_CLASS, last, 0);
    u32 def = TZ_ENCODING ? t->classes.v[v].def : 0, n = (u32)t->def_classes.n;
    const Recent last_two = s->recents.v[one];
    u32 told = def && def == last_two.first ? 0 : def && def == last_two.second ? 1 : def ? 2 : 3, r = NONE;
    told = code_nibble(c, context(&s->x, F_CLASS, last_two.run, 0, NIBBLE_CELLS), told);
    if (told == 0)
        r = last_two.first;
    else if (told == 1)
        r = last_two.second;
    else if (told == 2 && n)
        r = code_choice(c, context(&s->x, F_CLASS, 16, 0, PAIR_CELLS), n, def - 1, "tree") + 1;
    else if (told == 3)
        v = define_class(s, v), r = t->classes.v[v].def;
    if (r == NONE)
        tz_fail(&t->env, TZ_CORRUPT, "tree");
    recent_learn(s, one, r);
    return t->def_classes.v[r - 1];
}

static void code_modes(State *s, u32 schema) {
    Coder *c = &s->coders[TREE_SECTION];
    Tables *t = &s->t;
    const Schema q = t->schemas.v[schema];
    u8 *mode = t->modes.v + q.modes, *cond = t->conds.v + q.modes;
    for (u32 i = 0; i < q.n_valued; i++) {
        mode[i] = (u8)code_nibble(c, context(&s->x, F_SLOT_MODE, 0, 0, NIBBLE_CELLS), mode[i]);
        if (mode[i] >= N_MODES)
            tz_fail(&t->env, TZ_CORRUPT, "tree");
        if (mode[i] != MODE_DICTIONARY)
            continue;
        u64 told = code_small(c, context(&s->x, F_SLOT_CONDITION, 0, 0, SMALL_CELLS), cond[i]);
        if (told > i || told > 255)
            tz_fail(&t->env, TZ_CORRUPT, "tree");
        cond[i] = (u8)told;
    }
}

static void define_schema(State *s, u32 v) {
    Coder *c = &s->coders[TREE_SECTION];
    Tables *t = &s->t;
    u32 cls[TZ_MAX_FIELDS], last = 0;
    Schema q = {0};
    if (TZ_ENCODING) {
        q = t->schemas.v[v];
        if (q.n)
            memcpy(cls, schema_classes(t, v), q.n * sizeof *cls);
    }
    budget_spend(s, 4);
    u32 kind = code_nibble(c, context(&s->x, F_SCHEMA, 0, 0, NIBBLE_CELLS), q.kind);
    u64 n = code_small(c, context(&s->x, F_SCHEMA, 1, kind, SMALL_CELLS), q.n);
    if (kind >= N_KINDS || n > TZ_MAX_FIELDS)
        tz_fail(&t->env, TZ_CORRUPT, "tree");
    budget_spend(s, n);
    for (u32 i = 0; i < n; i++) {
        cls[i] = code_class(s, last, cls[i]);
        last = t->classes.v[cls[i]].def;
    }
#if !TZ_ENCODING
    schema_check(s, kind, cls, (u32)n);
    v = schema_intern(t, kind, cls, (u32)n);
    if (t->schemas.v[v].def)
        tz_fail(&t->env, TZ_CORRUPT, "tree");
#endif
    VEC_PUSH(&t->env, t->def_schemas, v);
    t->schemas.v[v].def = (u32)t->def_schemas.n;
    t->schemas.v[v].name = s->n_slots;
    s->n_slots += t->schemas.v[v].n_valued;
    if (s->n_slots > TZ_MAX_SLOTS)
        tz_fail(&t->env, TZ_LIMIT, "tree");
    code_modes(s, v);
}

static u32 code_schema(State *s, u32 which, u32 v) {
    Tables *t = &s->t;
    u32 n = (u32)t->def_schemas.n;
    if (!n)
        tz_fail(&t->env, TZ_CORRUPT, "tree");
    return t->def_schemas.v[code_choice(&s->coders[TREE_SECTION], context(&s->x, F_SHAPE, which, 1, PAIR_CELLS), n,
                                        TZ_ENCODING ? t->schemas.v[v].def - 1 : 0, "tree")];
}

/* A schema with an order of its fields: the first one of a schema often is the schema's own. */
static void define_shape(State *s, u32 v) {
    Coder *c = &s->coders[TREE_SECTION];
    Tables *t = &s->t;
    u32 schema = code_schema(s, 0, TZ_ENCODING ? t->shapes.v[v].schema : 0), n = t->schemas.v[schema].n;
    u32 perm[TZ_MAX_FIELDS], left[TZ_MAX_FIELDS];
    budget_spend(s, 4 + n);
    for (u32 i = 0; i < n; i++)
        left[i] = perm[i] = i;
    if (TZ_ENCODING && n)
        memcpy(perm, t->perms.v + t->shapes.v[v].perm, n * sizeof *perm);
    if (!code_bit(c, context(&s->x, F_SHAPE, 1, 0, BIT_CELLS), TZ_ENCODING && t->shapes.v[v].identity)) {
        for (u32 i = 0; i < n; i++) {
            u32 at = 0;
            while (TZ_ENCODING && left[at] != perm[i])
                at++;
            u64 told = code_small(c, context(&s->x, F_SHAPE, 2, 0, SMALL_CELLS), at);
            if (told >= n - i)
                tz_fail(&t->env, TZ_CORRUPT, "tree");
            at = (u32)told;
            perm[i] = left[at];
            memmove(left + at, left + at + 1, (n - i - 1 - at) * sizeof *left);
        }
    }
#if !TZ_ENCODING
    fields_check(s, t->schemas.v[schema].kind, schema_classes(t, schema), perm, n);
    v = shape_add(t, schema, perm, n);
#endif
    VEC_PUSH(&t->env, t->schemas.v[schema].orders, v);
    t->shapes.v[v].order = (u32)t->schemas.v[schema].orders.n - 1;
}

/* A new atom of a class: its value. */
static u32 define_atom(State *s, u32 cls, u32 v) {
    Coder *c = &s->coders[TREE_SECTION];
    Tables *t = &s->t;
    u64 value = TZ_ENCODING ? t->atoms.v[v].value : 0;
    u32 class_def = t->classes.v[cls].def;
    if (class_is_text(&t->classes.v[cls]))
        value = define_string(s, 1, class_def, (u32)value);
    else
        value = code_number(c, context(&s->x, F_VALUE, class_def, 0, PAIR_CELLS), value);
#if !TZ_ENCODING
    v = atom_read(s, cls, value);
#endif
    VEC_PUSH(&t->env, t->classes.v[cls].atoms, v);
    t->atoms.v[v].def = (u32)t->classes.v[cls].atoms.n;
    t->atoms.v[v].serial = ++s->n_serials;
    return v;
}

static u32 code_path_atom(State *s, u32 cls, u32 v) {
    Coder *c = &s->coders[TREE_SECTION];
    Tables *t = &s->t;
    u32 n = (u32)t->classes.v[cls].atoms.n, def = TZ_ENCODING ? t->atoms.v[v].def : 0,
        class_def = t->classes.v[cls].def;
    if (!n || !code_bit(c, context(&s->x, F_ATOM_KNOWN, class_def, 0, BIT_CELLS), def != 0))
        return define_atom(s, cls, v);
    return t->classes.v[cls]
        .atoms.v[code_choice(c, context(&s->x, F_ATOM, class_def, 0, PAIR_CELLS), n, def - 1, "tree")];
}

static void define_path(State *s, u32 v) {
    Coder *c = &s->coders[TREE_SECTION];
    Tables *t = &s->t;
    u32 schema = code_schema(s, 1, TZ_ENCODING ? t->paths.v[v].schema : 0), atoms[TZ_MAX_FIELDS], slot = 0;
    const Schema q = t->schemas.v[schema];
    u32 last = q.last_path;
    budget_spend(s, 4 + q.n_valued);
    for (u32 i = 0; i < q.n; i++) {
        if (t->slot_rank.v[q.first + i] == NO_SLOT)
            continue;
        u32 a = TZ_ENCODING ? t->path_atoms.v[t->paths.v[v].atoms + slot] : 0;
        u32 before = last == NO_SLOT ? NO_SLOT : t->path_atoms.v[t->paths.v[last].atoms + slot];
        if (t->modes.v[q.modes + slot] != MODE_PATH)
            a = NO_SLOT;
        else if (before != NO_SLOT && code_bit(c, context(&s->x, F_SAME, q.def, slot, BIT_CELLS), a == before))
            a = before;
        else
            a = code_path_atom(s, t->slot_cls.v[q.first + i], a);
        atoms[slot++] = a;
    }
    if (!TZ_ENCODING) {
        size_t n = t->paths.n;
        v = path_intern(t, schema, atoms);
        if (v != n)
            tz_fail(&t->env, TZ_CORRUPT, "tree");
    }
    if (t->paths.n > TZ_MAX_PATHS)
        tz_fail(&t->env, TZ_LIMIT, "tree");
    t->schemas.v[schema].last_path = v;
    VEC_PUSH(&t->env, t->def_paths[q.kind], v);
    t->paths.v[v].def = (u32)t->def_paths[q.kind].n;
}

/* An atom that only holes have. */
static void define_hole_atom(State *s, u32 *last, u32 v) {
    Tables *t = &s->t;
    u32 cls = code_class(s, *last, TZ_ENCODING ? t->atoms.v[v].cls : 0);
    *last = t->classes.v[cls].def;
    if (t->classes.v[cls].value == VALUE_NONE)
        tz_fail(&t->env, TZ_CORRUPT, "tree");
    define_atom(s, cls, v);
}

static void code_words(State *s, u32 *words) {
    for (u32 i = 0; i < MT_N; i += 2) {
        u64 two = code_id(s, (u64)words[i] << 32 | words[i + 1]);
        words[i] = (u32)(two >> 32);
        words[i + 1] = (u32)two;
    }
}

static void code_generator_state(State *s, GeneratorState *g) {
    Coder *c = &s->coders[TREE_SECTION];
    g->kind = (u8)code_nibble(c, context(&s->x, F_GENERATOR, 0, 0, NIBBLE_CELLS), g->kind);
    u64 thread;
    switch (g->kind) {
        case GENERATOR_SPLITMIX:
            thread = code_number(c, context(&s->x, F_GENERATOR, 1, 0, PAIR_CELLS), g->thread);
            if (thread >> 32)
                tz_fail(&s->t.env, TZ_CORRUPT, "tree");
            g->thread = (u32)thread;
            g->seed = code_id(s, g->seed);
            return;
        case GENERATOR_V8_WORDS:
        case GENERATOR_V8_DIGITS:
            g->v8.s0 = code_id(s, g->v8.s0);
            g->v8.s1 = code_id(s, g->v8.s1);
            return;
        case GENERATOR_MT19937: code_words(s, g->words); return;
        default: tz_fail(&s->t.env, TZ_CORRUPT, "tree");
    }
}

/* The first generator of all begins a process; each of the others may be of the same process as the one before. */
static void define_generator(State *s, PlannedGenerator *p) {
    u32 at = (u32)s->generators.n, same = 0;
    if (at == TZ_MAX_GENERATORS)
        tz_fail(&s->t.env, TZ_LIMIT, "tree");
    if (at)
        same = code_bit(&s->coders[TREE_SECTION], context(&s->x, F_GENERATOR, 2, 0, BIT_CELLS), p->same_process);
    code_generator_state(s, &p->state);
    if (!same)
        VEC_PUSH(&s->t.env, s->processes, ((Process){0, 0, 0}));
    VEC_RESERVE(&s->t.env, s->generators, 1);
    generator_begin(&s->t.env, &s->generators.v[at], &p->state);
    s->generators.n++;
    s->generators.v[at].process = (u32)s->processes.n - 1;
    s->processes.v[s->processes.n - 1].n++;
    process_latest(s, at);
}

static void code_generators(State *s, Plan *p) {
    u32 n = code_count_of(s, 6, p->generators.n);
    PlannedGenerator told = {0};
    for (u32 i = 0; i < n; i++) {
        if (TZ_ENCODING)
            told = p->generators.v[i];
        define_generator(s, &told);
    }
}

static void code_definitions(State *s, Plan *p) {
    u32 n = code_count_of(s, 0, p->skeletons.n), last = 0;
    for (u32 i = 0; i < n; i++)
        define_skeleton(s, GIVEN(p->skeletons, i));
    n = code_count_of(s, 1, p->schemas.n);
    for (u32 i = 0; i < n; i++)
        define_schema(s, GIVEN(p->schemas, i));
    n = code_count_of(s, 2, p->changed.n);
    for (u32 i = 0; i < n; i++) {
        u32 schema = code_schema(s, 2, GIVEN(p->changed, i));
        budget_spend(s, s->t.schemas.v[schema].n_valued);
        code_modes(s, schema);
    }
    n = code_count_of(s, 3, p->shapes.n);
    for (u32 i = 0; i < n; i++)
        define_shape(s, GIVEN(p->shapes, i));
    n = code_count_of(s, 4, p->paths.n);
    for (u32 i = 0; i < n; i++)
        define_path(s, GIVEN(p->paths, i));
    n = code_count_of(s, 5, p->atoms.n);
    for (u32 i = 0; i < n; i++)
        define_hole_atom(s, &last, GIVEN(p->atoms, i));
    code_generators(s, p);
}

#endif
