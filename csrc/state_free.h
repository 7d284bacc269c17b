#ifndef TZ_STATE_FREE_H
#define TZ_STATE_FREE_H

#include "preset.h"
#include "state_counts.h"
#include "state.h"

static void generators_clear(State *s) {
    for (size_t i = 0; i < s->generators.n; i++)
        generator_free(&s->generators.v[i]);
    s->generators.n = s->processes.n = 0;
}

static void state_free(State *s) {
    tables_free(&s->t);
    batch_free(&s->b);
    contexts_free(&s->x);
    map_free(&s->recent_index);
    index_free(&s->trace_index);
    VEC_FREE(s->mention_slots);
    map_free(&s->series_index);
    memory_free(&s->memory);
    index_free(&s->skeleton_index);
    VEC_FREE(s->recents);
    VEC_FREE(s->traces);
    VEC_FREE(s->mentions);
    VEC_FREE(s->mention_links);
    VEC_FREE(s->clocks);
    VEC_FREE(s->series);
    VEC_FREE(s->skeletons);
    VEC_FREE(s->def_skeletons);
    VEC_FREE(s->uuids);
    index_free(&s->uuid_index);
    generators_clear(s);
    VEC_FREE(s->generators);
    VEC_FREE(s->processes);
    VEC_FREE(s->own_from);
    VEC_FREE(s->parent_from);
    VEC_FREE(s->trace_from);
    VEC_FREE(s->scratch);
    for (int i = 0; i < N_STREAMS; i++)
        VEC_FREE(s->streams[i].out);
#if TZ_ENCODING
    for (int i = 0; i < N_CODERS; i++) {
        VEC_FREE(s->coders[i].out);
        VEC_FREE(s->coders[i].steps);
    }
#endif
}

static size_t generators_held(const State *s) {
    size_t n = VEC_HELD(s->generators) + VEC_HELD(s->processes);
    for (size_t i = 0; i < s->generators.n; i++)
        n += generator_held(&s->generators.v[i]);
    return n;
}

static size_t state_held(const State *s) {
    size_t n = tables_held(&s->t) + batch_held(&s->b) + contexts_held(&s->x) + generators_held(s);
    n += VEC_HELD(s->recent_index) + VEC_HELD(s->trace_index) + VEC_HELD(s->series_index) + VEC_HELD(s->memory);
    n += VEC_HELD(s->skeleton_index) + VEC_HELD(s->uuid_index) + VEC_HELD(s->mention_slots);
    n += VEC_HELD(s->recents) + VEC_HELD(s->traces) + VEC_HELD(s->mentions) + VEC_HELD(s->mention_links) +
         VEC_HELD(s->clocks) + VEC_HELD(s->series);
    n += VEC_HELD(s->skeletons) + VEC_HELD(s->def_skeletons) + VEC_HELD(s->uuids);
    n += VEC_HELD(s->own_from) + VEC_HELD(s->parent_from) + VEC_HELD(s->trace_from) + VEC_HELD(s->scratch);
    for (int i = 0; i < N_STREAMS; i++)
        n += VEC_HELD(s->streams[i].out);
#if TZ_ENCODING
    for (int i = 0; i < N_CODERS; i++)
        n += VEC_HELD(s->coders[i].out) + VEC_HELD(s->coders[i].steps);
#endif
    return n;
}

/* A table that is much too large for the last group is let go, so that clearing costs no more than filling. */
static void mention_slots_clear(State *s) {
    if (s->mention_slots.n / 16 > s->mentions.n + 256)
        s->mention_slots.n = 0;
    if (s->mention_slots.n)
        memset(s->mention_slots.v, 0, s->mention_slots.n * sizeof *s->mention_slots.v);
}

/* A restart group begins: nothing is known but the preset strings. Memory is kept. */
static void state_begin(State *s, const Preset *preset) {
    Env *env = &s->t.env;
    mention_slots_clear(s);
    tables_clear(&s->t);
    batch_clear(&s->b);
    s->x.env = env;
    s->t.preset = &preset->t;
    s->t.seed = s->x.seed = preset->t.seed;
    s->x.cells.n = s->x.of_path.n = s->x.of_schema.n = s->x.of_slot.n = s->recents.n = s->traces.n = s->mentions.n =
        s->mention_links.n = s->clocks.n = s->series.n = s->skeletons.n = s->def_skeletons.n = 0;
    map_clear(&s->x.index);
    memset(s->x.of_family, 0, sizeof s->x.of_family);
    memset(s->x.of_run, 0, sizeof s->x.of_run);
    map_clear(&s->recent_index);
    index_clear(&s->trace_index);
    map_clear(&s->series_index);
    memory_clear(&s->memory);
    index_clear(&s->skeleton_index);
    s->uuids.n = 0;
    index_clear(&s->uuid_index);
    generators_clear(s);
    s->n_skipped = s->n_values = s->n_fields = s->field_bytes = s->resource_path = 0;
    s->last_trace = s->last_path = s->n_serials = s->n_slots = s->block = 0;
    s->budget = TZ_BUDGET_START;
    s->last_grain[0] = s->last_grain[1] = 0;
    VEC_RESERVE(env, s->t.strings, preset->t.strings.n);
    memcpy(s->t.strings.v, preset->t.strings.v, preset->t.strings.n * sizeof *s->t.strings.v);
    s->t.strings.n = preset->t.strings.n;
    VEC_RESERVE(env, s->t.def_strings, preset->t.def_strings.n);
    if (preset->t.def_strings.n)
        memcpy(s->t.def_strings.v, preset->t.def_strings.v, preset->t.def_strings.n * sizeof *s->t.def_strings.v);
    s->t.def_strings.n = preset->t.def_strings.n;
}

static void state_counts(const State *s, u64 *counts) {
    counts[COUNT_ROWS] = batch_rows(&s->b);
    counts[COUNT_SPANS] = s->b.kinds[KIND_SPAN].shape.n;
    counts[COUNT_MESSAGES] = s->b.messages.n;
    counts[COUNT_TRACES] = s->traces.n ? s->traces.n - 1 : 0;
    counts[COUNT_PATHS] = s->t.paths.n;
    counts[COUNT_SCHEMAS] = s->t.def_schemas.n;
    counts[COUNT_STRINGS] = s->t.def_strings.n - s->t.preset->def_strings.n;
    counts[COUNT_ATOMS] = s->n_serials;
    counts[COUNT_CONTEXTS] = s->x.index.n;
}

#endif
