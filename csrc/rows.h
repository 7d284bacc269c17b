/* One block's rows, written or read. FORMAT.md, "Rows": every function here is one section of it. */
#ifndef TZ_ROWS_H
#define TZ_ROWS_H

#include "values.h"

static u32 code_record_path(State *s, u32 kind, size_t row, u32 a, u32 b) {
    Records *r = &s->b.kinds[kind];
    u32 path = code_path(s, kind, a, b, TZ_ENCODING ? r->path.v[row] : 0);
    u32 shape = code_order(s, &s->coders[kind < KIND_SPAN ? ENVELOPE : PATHS], s->t.paths.v[path].schema,
                           TZ_ENCODING ? r->shape.v[row] : 0);
    if (!TZ_ENCODING) {
        VEC_PUSH(&s->t.env, r->path, path);
        VEC_PUSH(&s->t.env, r->shape, shape);
    }
    return path;
}

/* How many children a run has, at least one. */
static u32 code_count(State *s, Coder *c, u32 family, u32 path, U32s *counts, size_t row, u32 any) {
    u64 n = 0;
    if (any)
        n = code_number(c, path_context(&s->x, AT_COUNT + (family == F_LINKS), family, path, 0, PAIR_CELLS),
                        TZ_ENCODING ? counts->v[row] - 1 : 0);
    if (n >= TZ_MAX_ROWS)
        tz_fail(&s->t.env, TZ_CORRUPT, "envelope");
    n += any;
    if (!TZ_ENCODING)
        VEC_PUSH(&s->t.env, *counts, (u32)n);
    return (u32)n;
}

static void rows_check(State *s) {
    size_t n = 0;
    for (int k = 0; k < N_KINDS; k++)
        n += s->b.kinds[k].path.n;
    if (n > TZ_MAX_ROWS || s->b.kinds[KIND_SPAN].path.n > TZ_MAX_SPANS)
        tz_fail(&s->t.env, TZ_LIMIT, "rows");
}

/* A reader that has seen enough leaves here, between two spans. */
static void rows_end(State *s) {
    if (s->b.kinds[KIND_SPAN].path.n >= s->most_spans)
        tz_fail(&s->t.env, TZ_ENOUGH, "");
}

#define COLUMN(vec, row, x)                                                                                            \
    do {                                                                                                               \
        if (!TZ_ENCODING)                                                                                              \
            VEC_PUSH(&s->t.env, vec, (x));                                                                             \
    } while (0)
#define GIVEN(vec, row) (TZ_ENCODING ? (vec).v[row] : 0)

static void code_event(State *s, size_t row, const Place *span, u64 span_start, u64 span_end, u32 *last_path,
                       u64 *last_time) {
    u32 path = code_record_path(s, KIND_EVENT, row, span->path, *last_path);
    Place at = {.trace = span->trace, .path = path, .own = NONE, .parent = NONE};
    u64 time = GIVEN(s->b.event_time, row);
    Clock *k = &s->clocks.v[path];
    if (s->t.schemas.v[s->t.paths.v[path].schema].has[OP_START] && !SKIPS(s, SKIP_TIMES)) {
        u64 base[N_EVENT_BASES] = {*last_time, span_start, span_end};
        code_grains(s, k, 1);
        time = code_start(s, path, k, F_EVENT_TIME, base, N_EVENT_BASES, *last_path ? 7 : 6, time);
        *last_time = time;
    }
    COLUMN(s->b.event_time, row, time);
    code_values(s, KIND_EVENT, row, &at);
    *last_path = path + 1;
}

static void code_link(State *s, size_t row, const Place *span) {
    Coder *c = &s->coders[STRUCTURE];
    u32 path = code_record_path(s, KIND_LINK, row, span->path, 0);
    Place at = {.trace = span->trace, .path = path, .own = NONE, .parent = NONE};
    const u8 *has = s->t.schemas.v[s->t.paths.v[path].schema].has;
    u64 hi = GIVEN(s->b.link_hi, row), lo = GIVEN(s->b.link_lo, row), id = GIVEN(s->b.link_span, row);
    u32 trace = NONE, m = NONE, rank = NONE;
    u8 has_span = has[OP_SPAN_ID];
    if (has[OP_TRACE_ID]) {
        if (TZ_ENCODING)
            trace = trace_find(s, hi, lo);
        if (code_bit(c, context(&s->x, F_LINK_TRACE, path, 0, BIT_CELLS), trace != NONE)) {
            u64 back = code_number(c, context(&s->x, F_LINK_BACK, path, 0, PAIR_CELLS), (u64)s->traces.n - 1 - trace);
            if (back >= s->traces.n)
                tz_fail(&s->t.env, TZ_CORRUPT, "structure");
            trace = (u32)(s->traces.n - 1 - back);
            hi = s->traces.v[trace].hi;
            lo = s->traces.v[trace].lo;
        } else {
            code_trace_id(s, c, &hi, &lo, (Origin){0, 0});
            trace = NONE;
        }
    }
    if (has_span) {
        if (TZ_ENCODING && trace != NONE)
            m = mention_find(s, trace, id);
        if (m != NONE)
            rank = mention_rank(s, m);
        if (trace != NONE && code_bit(c, context(&s->x, F_LINK_KNOWN, path, 0, BIT_CELLS), rank != NONE)) {
            u32 seen = code_bit(c, context(&s->x, F_LINK_SEEN, path, 0, BIT_CELLS), m != NONE && s->mentions.v[m].seen);
            m = mention_at(s, trace, (u8)seen, code_small(c, context(&s->x, F_LINK_RANK, path, 0, SMALL_CELLS), rank));
            id = s->mentions.v[m].id;
        } else {
            id = code_id(s, id);
        }
    }
    COLUMN(s->b.link_hi, row, hi);
    COLUMN(s->b.link_lo, row, lo);
    COLUMN(s->b.link_span, row, id);
    code_values(s, KIND_LINK, row, &at);
}

typedef struct {
    size_t at[N_KINDS];
} Rows;

/* Writing: where an id comes from, if it is known. */
static Origin origin_given(const Origins *of, size_t row) {
    return TZ_ENCODING && row < of->n ? of->v[row] : (Origin){0, 0};
}

/* Writing: a span needs about as long as two loads from far memory. */
TZ_INLINE void prefetch_ids(const State *s, size_t row) {
    if (row + 4 >= s->b.span_id.n)
        return;
    mention_prefetch_slot(s, s->b.span_id.v[row + 4]);
    mention_prefetch_slot(s, s->b.parent_id.v[row + 4]);
    mention_prefetch(s, s->b.span_id.v[row + 2]);
    mention_prefetch(s, s->b.parent_id.v[row + 2]);
}

enum { ROWS_OF_LINE = 8, ROWS_AHEAD = 24 };

/* Writing: the columns of spans are more streams than a processor follows by itself. */
TZ_INLINE void prefetch_columns(const State *s, size_t row) {
    const Batch *b = &s->b;
    size_t ahead = row + ROWS_AHEAD;
    if (row % ROWS_OF_LINE || ahead + ROWS_OF_LINE > b->span_id.n)
        return;
    __builtin_prefetch(&b->trace_hi.v[ahead]);
    __builtin_prefetch(&b->trace_lo.v[ahead]);
    __builtin_prefetch(&b->span_id.v[ahead]);
    __builtin_prefetch(&b->parent_id.v[ahead]);
    __builtin_prefetch(&b->start.v[ahead]);
    __builtin_prefetch(&b->end.v[ahead]);
    if (!s->own_from.n)
        return;
    for (size_t i = ahead; i < ahead + ROWS_OF_LINE; i += ROWS_OF_LINE / 2) {
        __builtin_prefetch(&s->own_from.v[i]);
        __builtin_prefetch(&s->parent_from.v[i]);
        __builtin_prefetch(&s->trace_from.v[i]);
    }
}

static void code_span(State *s, Rows *rows, u32 scope_path, u32 first) {
    Batch *b = &s->b;
    size_t row = rows->at[KIND_SPAN]++;
    if (TZ_ENCODING) {
        prefetch_columns(s, row);
        prefetch_ids(s, row);
    }
    Place at = {.own = NONE, .parent = NONE, .again = 0};
    u64 hi = GIVEN(b->trace_hi, row), lo = GIVEN(b->trace_lo, row), own = GIVEN(b->span_id, row),
        parent = GIVEN(b->parent_id, row);
    u64 start = GIVEN(b->start, row), end = GIVEN(b->end, row);
    const u8 *given = TZ_ENCODING ? s->t.schemas.v[s->t.paths.v[b->kinds[KIND_SPAN].path.v[row]].schema].has : NULL;
    if (TZ_ENCODING && !given[OP_TRACE_ID])
        hi = s->traces.v[s->last_trace].hi, lo = s->traces.v[s->last_trace].lo;
    at.trace = code_trace(s, hi, lo, origin_given(&s->trace_from, row));
    at.path = code_record_path(s, KIND_SPAN, row, first ? 1u << 27 | scope_path : s->last_path,
                               s->traces.v[at.trace].last_path);
    prefetch_values(s, &at);
    const Schema *q = &s->t.schemas.v[s->t.paths.v[at.path].schema];
    u32 told = 0;
    u8 has[OP_CHILDREN], children[2] = {q->children[0], q->children[1]};
    memcpy(has, q->has, sizeof has);
    if (has[OP_SPAN_ID])
        at.own = code_own_id(s, at.trace, at.path, own, origin_given(&s->own_from, row), &told);
    if (has[OP_PARENT_ID])
        at.parent = code_parent_id(s, at.trace, at.path, parent, at.own, origin_given(&s->parent_from, row));
    if (at.own != NONE && told < ID_KNOWN)
        code_own_value(s, told, at.path, at.own, at.parent, origin_given(&s->own_from, row));
    if (at.own != NONE && at.parent != NONE)
        origin_copy(&s->mentions.v[at.parent].child, &s->mentions.v[at.own].from);
    at.again = at.own != NONE && told == OWN_SEEN;
    if (!SKIPS(s, SKIP_TIMES)) {
        code_span_times(s, &at, has, &start, &end);
        learn_span_times(s, &at, start, end);
        COLUMN(b->start, row, start);
        COLUMN(b->end, row, end);
    }
    s->traces.v[at.trace].last_path = at.path + 1;
    s->last_trace = at.trace;
    s->last_path = at.path;
    COLUMN(b->trace_hi, row, has[OP_TRACE_ID] ? s->traces.v[at.trace].hi : 0);
    COLUMN(b->trace_lo, row, has[OP_TRACE_ID] ? s->traces.v[at.trace].lo : 0);
    COLUMN(b->span_id, row, at.own != NONE ? s->mentions.v[at.own].id : 0);
    COLUMN(b->parent_id, row, at.parent != NONE ? s->mentions.v[at.parent].id : 0);
    code_values(s, KIND_SPAN, row, &at);
    u32 n = code_count(s, &s->coders[PATHS], F_EVENTS, at.path, &b->n_events, row, children[0]), last = 0;
    u64 time = start;
    for (u32 i = 0; i < n; i++)
        code_event(s, rows->at[KIND_EVENT]++, &at, start, end, &last, &time);
    n = code_count(s, &s->coders[PATHS], F_LINKS, at.path, &b->n_links, row, children[1]);
    for (u32 i = 0; i < n; i++)
        code_link(s, rows->at[KIND_LINK]++, &at);
    if (!TZ_ENCODING) {
        rows_check(s);
        rows_end(s);
    }
}

static u32 code_scope(State *s, Rows *rows, u32 resource_path, u32 last) {
    size_t row = rows->at[KIND_SCOPE_SPANS]++;
    Place at = {.trace = NONE, .own = NONE, .parent = NONE};
    at.path = code_record_path(s, KIND_SCOPE_SPANS, row, resource_path, last);
    code_values(s, KIND_SCOPE_SPANS, row, &at);
    u32 n = code_count(s, &s->coders[ENVELOPE], F_SPANS, at.path, &s->b.n_spans, row,
                       s->t.schemas.v[s->t.paths.v[at.path].schema].children[0]);
    for (u32 i = 0; i < n; i++)
        code_span(s, rows, at.path, !i);
    if (!TZ_ENCODING)
        rows_check(s);
    return at.path + 1;
}

static u32 code_resource(State *s, Rows *rows, u32 last) {
    size_t row = rows->at[KIND_RESOURCE_SPANS]++;
    Place at = {.trace = NONE, .own = NONE, .parent = NONE};
    u32 scope = 0;
    at.path = code_record_path(s, KIND_RESOURCE_SPANS, row, last, 0);
    s->resource_path = at.path;
    code_values(s, KIND_RESOURCE_SPANS, row, &at);
    u32 n = code_count(s, &s->coders[ENVELOPE], F_SCOPES, at.path, &s->b.n_scopes, row,
                       s->t.schemas.v[s->t.paths.v[at.path].schema].children[0]);
    for (u32 i = 0; i < n; i++)
        scope = code_scope(s, rows, at.path, scope);
    if (!TZ_ENCODING)
        rows_check(s);
    return at.path + 1;
}

static void code_message(State *s, Rows *rows, size_t row, u32 *last) {
    Coder *c = &s->coders[ENVELOPE];
    MessageRow m = {0};
    if (TZ_ENCODING)
        m = s->b.messages.v[row];
    m.continues = code_bit(c, context(&s->x, F_MESSAGE, 0, 0, BIT_CELLS), m.continues);
    m.prefix_n = code_number(c, context(&s->x, F_MESSAGE, 1, 0, PAIR_CELLS), m.prefix_n);
    m.skip = code_number(c, context(&s->x, F_MESSAGE, 2, 0, PAIR_CELLS), m.skip);
    code_prefix(s, m.prefix_n);
    u64 n = code_number(c, context(&s->x, F_MESSAGE, 3, 0, PAIR_CELLS), m.n_resources);
    if (n > TZ_MAX_ROWS)
        tz_fail(&s->t.env, TZ_CORRUPT, "envelope");
    m.n_resources = (u32)n;
    if (!TZ_ENCODING)
        VEC_PUSH(&s->t.env, s->b.messages, m);
    for (u32 i = 0; i < m.n_resources; i++)
        *last = code_resource(s, rows, *last);
}

static void code_rows(State *s, size_t n_messages) {
    Rows rows = {{0}};
    u32 last = 0;
    n_messages = (size_t)code_number(&s->coders[ENVELOPE], context(&s->x, F_MESSAGE, 4, 0, PAIR_CELLS), n_messages);
    if (n_messages > TZ_MAX_MESSAGES)
        tz_fail(&s->t.env, TZ_LIMIT, "envelope");
    if (!s->traces.n)
        trace_add(s, 0, 0);
    VEC_RESIZE(&s->t.env, s->clocks, s->t.paths.n);
    VEC_RESIZE(&s->t.env, s->x.of_schema, s->t.def_schemas.n + 1);
    VEC_RESIZE(&s->t.env, s->x.of_slot, ((size_t)s->n_slots + 1) * SLOT_CONTEXTS);
    VEC_RESIZE(&s->t.env, s->x.of_path, (s->t.paths.n + 1) * PATH_CONTEXTS);
    for (size_t i = 0; i < n_messages; i++)
        code_message(s, &rows, i, &last);
}

#endif
