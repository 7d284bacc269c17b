/* Sections to columns: one block. FORMAT.md, "Block". */
#define TZ_ENCODING 0
#include "decode.h"

#include "check.h"
#include "define.h"
#include "state_copy.h"

struct Decoder {
    State s;
    Writer w;
    Plan none;
    U32s room;   /* for looking at rows */
    u64 n_bytes; /* of the block last read */
    const Preset *preset;
};

static const char *const coder_names[N_CODERS] = {"tree", "envelope", "structure", "paths", "times", "values"};
static const char *const stream_names[N_STREAMS] = {"text", "ids", "binary", "literals", "prefixes"};

Decoder *decoder_new(const Preset *preset) {
    Decoder *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    adapt_rates_fill();
    nibble_tables_fill();
    d->preset = preset;
    d->w.t = &d->s.t;
    if (decoder_reset(d, NULL) == TZ_OK)
        return d;
    decoder_free(d);
    return NULL;
}

int decoder_reset(Decoder *d, const Decoder *like) {
    if (setjmp(d->s.t.env.out))
        return d->s.t.env.code;
    state_begin(&d->s, d->preset);
    if (like)
        state_copy(&d->s, &like->s);
    writer_reset(&d->w);
    return TZ_OK;
}

void decoder_free(Decoder *d) {
    if (!d)
        return;
    writer_free(&d->w);
    VEC_FREE(d->room);
    state_free(&d->s);
    free(d);
}

size_t decoder_held(const Decoder *d) { return sizeof *d + state_held(&d->s) + writer_held(&d->w) + VEC_HELD(d->room); }

static void open_sections(State *s, const Input *in) {
    for (int i = 0; i < N_CODERS; i++) {
        const Input *x = &in[i ? i + 1 : 0];
        coder_begin(&s->coders[i], &s->t.env, coder_names[i], x->p, x->n);
    }
    for (int i = 0; i < N_STREAMS; i++) {
        const Input *x = &in[i ? i + N_CODERS : 1];
        s->streams[i].p = x->p;
        s->streams[i].end = x->p + x->n;
        s->streams[i].name = stream_names[i];
    }
}

static void close_sections(State *s) {
    for (int i = 0; i < N_STREAMS; i++)
        if (s->streams[i].p != s->streams[i].end)
            tz_fail(&s->t.env, TZ_CORRUPT, stream_names[i]);
    for (int i = 0; i < N_CODERS; i++)
        if (!coder_is_done(&s->coders[i]))
            tz_fail(&s->t.env, TZ_CORRUPT, coder_names[i]);
}

/* At most so many cells would belong to contexts that only skipped sections ask for. */
static u64 skipped_cells(const State *s) {
    const Tables *t = &s->t;
    u64 of_path = 0, of_hole = 0, others = 0;
    if (s->skips & SKIP_TIMES) {
        of_path = (N_BASES + N_LENGTHS + N_EVENT_BASES) * PAIR_CELLS;
        others = 2 * 2 * 10 * NIBBLE_CELLS; /* grains */
    }
    if (s->skips & SKIP_VALUES) {
        of_hole = 3 * PAIR_CELLS;
        others += (t->def_classes.n + 1) * (BIT_CELLS + 2 * PAIR_CELLS) + SLOT_CONTEXTS * NIBBLE_CELLS * s->n_slots;
        others += s->skeletons.n * MAX_SKELETON_FIELDS * (2 * PAIR_CELLS + SMALL_CELLS + NIBBLE_CELLS);
        others += PAIR_CELLS + 2 * NIBBLE_CELLS; /* UUIDs */
    }
    return of_path * t->paths.n + of_hole * t->hole_slots.n + others;
}

u32 decoder_skipped(const Decoder *d) { return d->s.skips; }

/* Contexts are shared once there are too many, and which ones depends on the order in which all sections ask. */
int decoder_is_sure(const Decoder *d) {
    return !d->s.skips || d->s.x.cells.n + skipped_cells(&d->s) <= TZ_MAX_CONTEXT_CELLS;
}

int decoder_read(Decoder *d, const Input sections[11], u64 n_bytes, u64 most_spans, Skips skips, const char **where) {
    State *s = &d->s;
    if (setjmp(s->t.env.out)) {
        *where = s->t.env.where;
        if (s->t.env.code != TZ_ENOUGH)
            return s->t.env.code;
        batch_end(&s->b);
        return TZ_OK;
    }
    s->block++;
    batch_clear(&s->b);
    d->n_bytes = n_bytes;
    s->most_spans = most_spans;
    s->skips = skips.skips;
    s->budget += TZ_BUDGET_OF_BYTE * n_bytes;
    open_sections(s, sections);
    code_definitions(s, &d->none);
    for (size_t i = 0; i < skips.n_asked; i++)
        if (!paths_tell(&s->t, &skips.asked[i]))
            s->skips &= ~(u32)SKIP_VALUES;
    code_rows(s, 0);
    if (!s->skips)
        close_sections(s);
    return TZ_OK;
}

/* Runs what follows it; whatever fails there is what the function returns. */
#define DECODER_TRY(d, where)                                                                                          \
    if (setjmp((d)->s.t.env.out)) {                                                                                    \
        *(where) = (d)->s.t.env.where;                                                                                 \
        return (d)->s.t.env.code;                                                                                      \
    }

int decoder_measure(Decoder *d, const char **where) {
    DECODER_TRY(d, where)
    if (writer_measure(&d->w, &d->s.b) != d->n_bytes)
        tz_fail(&d->s.t.env, TZ_CORRUPT, "size");
    return TZ_OK;
}

int decoder_write(Decoder *d, u8 *const *to, const char **where) {
    DECODER_TRY(d, where)
    writer_write(&d->w, &d->s.b, to);
    return TZ_OK;
}

size_t decoder_messages(const Decoder *d) { return d->s.b.messages.n; }

void decoder_message(const Decoder *d, size_t i, u64 *n_bytes, int *continues) {
    *n_bytes = d->w.message_size.v[i];
    *continues = (int)d->s.b.messages.v[i].continues;
}

void decoder_counts(const Decoder *d, u64 *counts) { state_counts(&d->s, counts); }

Batch *decoder_batch(Decoder *d) { return &d->s.b; }

RowReader decoder_rows(Decoder *d) { return (RowReader){&d->s.t, &d->s.b, &d->w, &d->room, d->s.skips & SKIP_VALUES}; }
