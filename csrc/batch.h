/* The columns of the messages of one block: no object per span, one row per record.
 *
 * Records of a kind stand in the order in which they came; a record's children are the next ones of theirs. */
#ifndef TZ_BATCH_H
#define TZ_BATCH_H

#include "tables.h"

/* A message is its prefix, kept as it is, and then the bytes of its records but for the first `skip`.
 * Most messages have an empty prefix; one that does not fit the columns is all prefix. */
typedef struct {
    u64 prefix_n, skip;
    u32 n_resources, continues;
} MessageRow;

typedef struct {
    U32s shape;  /* the record's shape */
    U32s values; /* where its atoms start in `atoms`: one for each valued slot (or, once read, each hole) */
    U32s path;   /* filled by the plan, or read */
} Records;

typedef struct {
    VEC(MessageRow) messages;
    Bytes prefixes;
    Records kinds[N_KINDS];
    U32s atoms;
    U32s n_scopes, n_spans, n_events, n_links; /* children of resource spans, scope spans, spans */
    U64s trace_hi;                             /* spans, big-endian numbers */
    U64s trace_lo;
    U64s span_id;
    U64s parent_id;
    U64s start; /* ns */
    U64s end;   /* ns */
    U64s event_time;
    U64s link_hi;
    U64s link_lo;
    U64s link_span;
} Batch;

/* Records of all kinds. */
static inline size_t batch_rows(const Batch *b) {
    size_t n = 0;
    for (int k = 0; k < N_KINDS; k++)
        n += b->kinds[k].shape.n;
    return n;
}

static inline void batch_clear(Batch *b) {
    b->messages.n = b->prefixes.n = b->atoms.n = 0;
    for (int k = 0; k < N_KINDS; k++)
        b->kinds[k].shape.n = b->kinds[k].values.n = b->kinds[k].path.n = 0;
    b->n_scopes.n = b->n_spans.n = b->n_events.n = b->n_links.n = 0;
    b->trace_hi.n = b->trace_lo.n = b->span_id.n = b->parent_id.n = b->start.n = b->end.n = 0;
    b->event_time.n = b->link_hi.n = b->link_lo.n = b->link_span.n = 0;
}

/* Of a list of how many children each record has: as many as there are, where the last ones were not read. */
static inline void counts_end(u32 *counts, size_t n, size_t n_children) {
    for (size_t i = 0; i < n; i++) {
        counts[i] = counts[i] < n_children ? counts[i] : (u32)n_children;
        n_children -= counts[i];
    }
}

/* Makes the rows of a block whole that was read only up to some span. */
static inline void batch_end(Batch *b) {
    size_t n_resources = b->kinds[KIND_RESOURCE_SPANS].path.n;
    counts_end(b->n_spans.v, b->n_spans.n, b->kinds[KIND_SPAN].path.n);
    counts_end(b->n_scopes.v, b->n_scopes.n, b->kinds[KIND_SCOPE_SPANS].path.n);
    for (size_t i = 0; i < b->messages.n; i++) {
        counts_end(&b->messages.v[i].n_resources, 1, n_resources);
        n_resources -= b->messages.v[i].n_resources;
    }
}

static inline void batch_free(Batch *b) {
    VEC_FREE(b->messages);
    VEC_FREE(b->prefixes);
    VEC_FREE(b->atoms);
    for (int k = 0; k < N_KINDS; k++) {
        VEC_FREE(b->kinds[k].shape);
        VEC_FREE(b->kinds[k].values);
        VEC_FREE(b->kinds[k].path);
    }
    VEC_FREE(b->n_scopes);
    VEC_FREE(b->n_spans);
    VEC_FREE(b->n_events);
    VEC_FREE(b->n_links);
    VEC_FREE(b->trace_hi);
    VEC_FREE(b->trace_lo);
    VEC_FREE(b->span_id);
    VEC_FREE(b->parent_id);
    VEC_FREE(b->start);
    VEC_FREE(b->end);
    VEC_FREE(b->event_time);
    VEC_FREE(b->link_hi);
    VEC_FREE(b->link_lo);
    VEC_FREE(b->link_span);
}

static inline size_t batch_held(const Batch *b) {
    size_t n = VEC_HELD(b->messages) + VEC_HELD(b->prefixes) + VEC_HELD(b->atoms);
    for (int k = 0; k < N_KINDS; k++)
        n += VEC_HELD(b->kinds[k].shape) + VEC_HELD(b->kinds[k].values) + VEC_HELD(b->kinds[k].path);
    n += VEC_HELD(b->n_scopes) + VEC_HELD(b->n_spans) + VEC_HELD(b->n_events) + VEC_HELD(b->n_links);
    n += VEC_HELD(b->trace_hi) + VEC_HELD(b->trace_lo) + VEC_HELD(b->span_id) + VEC_HELD(b->parent_id);
    n += VEC_HELD(b->start) + VEC_HELD(b->end) + VEC_HELD(b->event_time);
    return n + VEC_HELD(b->link_hi) + VEC_HELD(b->link_lo) + VEC_HELD(b->link_span);
}

#endif
