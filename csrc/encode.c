/* Columns to sections: one block. FORMAT.md, "Block". */
#define TZ_ENCODING 1
#include "encode.h"

#include "plan.h"
#include "plan_ids.h"
#include "state_copy.h"
#include "weight.h"

struct Encoder {
    State s;
    Desk desk;
    IdDesk *id_desk; /* shared by the encoders of a stream */
    u8 has_planned_ids;
    Plan plan;
    const Preset *preset;
    Writer w;  /* for single records */
    U32s room; /* for looking at rows */
    Summary summary;
};

static u32 skeleton_worth(const State *s, u32 v) {
    u32 k = s->t.strings.v[v].skeleton;
    return k && k != NO_SLOT && s->skeletons.v[k - 1].def ? k - 1 : NONE;
}

Encoder *encoder_new(const Preset *preset, u32 threshold, u32 level, const Encoder *of_same_stream, u32 halvings) {
    Encoder *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->id_desk = of_same_stream ? of_same_stream->id_desk : id_desk_new(level, halvings);
    if (!e->id_desk) {
        free(e);
        return NULL;
    }
    e->id_desk->n_users++;
    adapt_rates_fill();
    nibble_tables_fill();
    e->preset = preset;
    e->w.t = &e->s.t;
    e->s.threshold = threshold;
    e->s.level = level;
    if (encoder_reset(e, NULL) == TZ_OK)
        return e;
    encoder_free(e);
    return NULL;
}

int encoder_reset(Encoder *e, const Encoder *like) {
    if (setjmp(e->s.t.env.out))
        return e->s.t.env.code;
    state_begin(&e->s, e->preset);
    if (like)
        state_copy(&e->s, &like->s);
    desk_reset(&e->desk);
    id_desk_group_begins(e->id_desk);
    e->has_planned_ids = 0;
    writer_reset(&e->w);
    return TZ_OK;
}

void encoder_trim(Encoder *e) {
    for (int i = 0; i < 6; i++)
        VEC_FREE((&e->plan.skeletons)[i]);
    VEC_FREE(e->plan.generators);
    desk_free(&e->desk);
    writer_free(&e->w);
    VEC_FREE(e->room);
    summary_free(&e->summary);
    state_free(&e->s);
}

void encoder_free(Encoder *e) {
    if (!e)
        return;
    encoder_trim(e);
    if (!--e->id_desk->n_users)
        id_desk_free(e->id_desk);
    free(e);
}

size_t encoder_held(const Encoder *e) {
    size_t n = sizeof *e + state_held(&e->s) + desk_held(&e->desk) + writer_held(&e->w) + summary_held(&e->summary);
    for (int i = 0; i < 6; i++)
        n += VEC_HELD((&e->plan.skeletons)[i]);
    n += VEC_HELD(e->plan.generators) + VEC_HELD(e->room);
    return n + id_desk_held(e->id_desk) / e->id_desk->n_users;
}

u64 encoder_weight(const Encoder *e) { return state_weight(&e->s); }

int encoder_add(Encoder *e, const u8 *p, size_t n, const u8 *prefix, size_t prefix_n, u64 skip, u32 continues,
                u64 most_spans, int *added) {
    if (setjmp(e->s.t.env.out))
        return e->s.t.env.code;
    *added = parse_message(&e->s.t, &e->s.b, p, n, prefix, prefix_n, skip, continues, most_spans);
    return TZ_OK;
}

int encoder_plan_ids(Encoder *e) {
    if (setjmp(e->s.t.env.out))
        return e->s.t.env.code;
    plan_ids(&e->s, e->id_desk, &e->plan);
    e->has_planned_ids = 1;
    return TZ_OK;
}

int encoder_encode(Encoder *e, Section sections[N_SECTIONS]) {
    State *s = &e->s;
    if (setjmp(s->t.env.out))
        return s->t.env.code;
    s->block++;
    plan_block(s, &e->desk, &e->plan);
    if (!e->has_planned_ids)
        plan_ids(s, e->id_desk, &e->plan);
    e->has_planned_ids = 0;
    for (int i = 0; i < N_CODERS; i++)
        coder_begin(&s->coders[i], &s->t.env);
    for (int i = 0; i < N_STREAMS; i++)
        s->streams[i].out.n = 0;
    s->prefix_at = 0;
    code_definitions(s, &e->plan);
    code_rows(s, s->b.messages.n);
    coders_end(&s->coders[TIMES], &s->coders[STRUCTURE]); /* those that are about as long as each other */
    coders_end(&s->coders[PATHS], &s->coders[VALUES]);
    coders_end(&s->coders[TREE_SECTION], &s->coders[ENVELOPE]);
    for (int i = 0; i < N_CODERS; i++)
        sections[i ? i + 1 : 0] = (Section){s->coders[i].out.v, s->coders[i].out.n};
    for (int i = 0; i < N_STREAMS; i++)
        sections[i ? i + N_CODERS : 1] = (Section){s->streams[i].out.v, s->streams[i].out.n};
    batch_clear(&s->b);
    return TZ_OK;
}

int encoder_summarize(Encoder *e, const Summary **summary) {
    if (setjmp(e->s.t.env.out))
        return e->s.t.env.code;
    summarize(&e->summary, &e->s.t, &e->s.b);
    *summary = &e->summary;
    return TZ_OK;
}

const String *encoder_summary_string(const Encoder *e, u32 number) {
    return &e->s.t.strings.v[e->summary.strings.v[number]];
}

Batch *encoder_batch(Encoder *e) { return &e->s.b; }

RowReader encoder_rows(Encoder *e) { return (RowReader){&e->s.t, &e->s.b, &e->w, &e->room, 0}; }

void encoder_counts(const Encoder *e, u64 *counts) { state_counts(&e->s, counts); }
