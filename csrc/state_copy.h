/* A restart group that begins with what another one knows: a dictionary's. FORMAT.md, "Dictionaries".
 *
 * Strings and encoded fields are not copied: they stay in the other's arena, which must outlive the copy. */
#ifndef TZ_STATE_COPY_H
#define TZ_STATE_COPY_H

#include "state_free.h"

#define VEC_COPY(env, to, from)                                                                                        \
    do {                                                                                                               \
        (to).n = 0;                                                                                                    \
        VEC_RESERVE((env), (to), (from).n);                                                                            \
        if ((from).n)                                                                                                  \
            memcpy((void *)(to).v, (from).v, (from).n * sizeof *(to).v);                                               \
        (to).n = (from).n;                                                                                             \
    } while (0)

/* Of hash tables all places are copied. */
#define TABLE_COPY(env, to, from)                                                                                      \
    do {                                                                                                               \
        if ((to).cap != (from).cap) {                                                                                  \
            free((to).v);                                                                                              \
            (to).cap = (to).n = 0;                                                                                     \
            (to).v = NULL;                                                                                             \
            if ((from).cap && !((to).v = malloc((from).cap * sizeof *(to).v)))                                         \
                tz_fail((env), TZ_NO_MEMORY, "memory");                                                                \
            (to).cap = (from).cap;                                                                                     \
        }                                                                                                              \
        if ((from).cap)                                                                                                \
            memcpy((to).v, (from).v, (from).cap * sizeof *(to).v);                                                     \
        (to).n = (from).n;                                                                                             \
    } while (0)

/* The same for things that have a list of their own: none may share the other's. */
#define VEC_COPY_WITH(env, to, from, list)                                                                             \
    do {                                                                                                               \
        VEC_COPY((env), (to), (from));                                                                                 \
        for (size_t i = 0; i < (to).n; i++)                                                                            \
            memset(&(to).v[i].list, 0, sizeof(to).v[i].list);                                                          \
        for (size_t i = 0; i < (to).n; i++)                                                                            \
            VEC_COPY((env), (to).v[i].list, (from).v[i].list);                                                         \
    } while (0)

static void tables_copy(Tables *to, const Tables *from) {
    Env *env = &to->env;
    VEC_COPY(env, to->strings, from->strings);
    TABLE_COPY(env, to->string_index, from->string_index);
    VEC_COPY_WITH(env, to->classes, from->classes, atoms);
    TABLE_COPY(env, to->class_index, from->class_index);
    VEC_COPY(env, to->atoms, from->atoms);
    TABLE_COPY(env, to->atom_index, from->atom_index);
    memcpy(to->recent, from->recent, sizeof to->recent);
    memcpy(to->marks, from->marks, sizeof to->marks);
    VEC_COPY(env, to->slot_cls, from->slot_cls);
    VEC_COPY(env, to->slot_rank, from->slot_rank);
    VEC_COPY(env, to->perms, from->perms);
    VEC_COPY(env, to->places, from->places);
    VEC_COPY(env, to->came, from->came);
    VEC_COPY(env, to->valued, from->valued);
    VEC_COPY(env, to->modes, from->modes);
    VEC_COPY(env, to->conds, from->conds);
    VEC_COPY_WITH(env, to->schemas, from->schemas, orders);
    TABLE_COPY(env, to->schema_index, from->schema_index);
    VEC_COPY(env, to->shapes, from->shapes);
    TABLE_COPY(env, to->shape_index, from->shape_index);
    VEC_COPY(env, to->paths, from->paths);
    VEC_COPY(env, to->path_atoms, from->path_atoms);
    VEC_COPY(env, to->hole_slots, from->hole_slots);
    TABLE_COPY(env, to->path_index, from->path_index);
    VEC_COPY(env, to->def_strings, from->def_strings);
    VEC_COPY(env, to->def_classes, from->def_classes);
    VEC_COPY(env, to->def_schemas, from->def_schemas);
    for (int i = 0; i < N_KINDS; i++)
        VEC_COPY(env, to->def_paths[i], from->def_paths[i]);
}

static void contexts_copy(Env *env, Contexts *to, const Contexts *from) {
    TABLE_COPY(env, to->index, from->index);
    VEC_COPY(env, to->cells, from->cells);
    memcpy(to->of_family, from->of_family, sizeof to->of_family);
    memcpy(to->of_run, from->of_run, sizeof to->of_run);
    VEC_COPY(env, to->of_schema, from->of_schema);
    VEC_COPY(env, to->of_slot, from->of_slot);
    VEC_COPY(env, to->of_path, from->of_path);
}

/* After state_begin with the same preset. What is about single traces stays empty: traces and mentions, memories,
 * generators. */
static void state_copy(State *to, const State *from) {
    Env *env = &to->t.env;
    tables_copy(&to->t, &from->t);
    contexts_copy(env, &to->x, &from->x);
    TABLE_COPY(env, to->recent_index, from->recent_index);
    VEC_COPY(env, to->recents, from->recents);
    VEC_COPY(env, to->clocks, from->clocks);
    TABLE_COPY(env, to->series_index, from->series_index);
    VEC_COPY(env, to->series, from->series);
    VEC_COPY(env, to->skeletons, from->skeletons);
    TABLE_COPY(env, to->skeleton_index, from->skeleton_index);
    VEC_COPY(env, to->def_skeletons, from->def_skeletons);
    VEC_COPY(env, to->uuids, from->uuids);
    TABLE_COPY(env, to->uuid_index, from->uuid_index);
    to->n_serials = from->n_serials;
    to->n_slots = from->n_slots;
    to->n_fields = from->n_fields;
    to->field_bytes = from->field_bytes;
    to->last_path = from->last_path;
    memcpy(to->last_grain, from->last_grain, sizeof to->last_grain);
    to->block = from->block;
}

#endif
