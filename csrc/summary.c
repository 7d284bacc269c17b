/* The rows of a batch, summed up. FORMAT.md, "Index".
 *
 * What a schema holds is found out once, and each span then costs a few loads. Wherever the bytes leave it open what a
 * reader of OTLP would make of them, the whole block is said to be unknown. */
#include "summary.h"

#include "splitmix.h"
#include "wire.h"

enum { TAG_TRACE_ID = 0x0a, TAG_SPAN_ID = 0x12, TAG_NAME = 0x2a, TAG_START = 0x39, TAG_END = 0x41, TAG_STATUS = 0x7a };
enum { TAG_CODE = 0x18, STATUS_ERROR = 2 };
enum { TAG_RESOURCE_ATTRIBUTE = 0x0a, ANY_STRING = 0x0a };
enum { SLOT_SERVICE = 0, SLOT_NAME = 0, SLOT_STATUS = 1, SLOT_TRACE_ID = 2 };

static const u8 service_key[] = "service.name";
enum { MIN_TRACE_SLOTS = 1024 };
enum { EMPTY_STRING = 0 }; /* the number of the string without bytes, see preset.c */
enum { SERVICE_KEY_BYTES = sizeof service_key - 1 };

void summary_free(Summary *s) {
    VEC_FREE(s->pairs);
    VEC_FREE(s->strings);
    VEC_FREE(s->trace_hash);
    VEC_FREE(s->last_row);
    VEC_FREE(s->failures);
    VEC_FREE(s->facts);
    VEC_FREE(s->pair_service);
    VEC_FREE(s->string_facts);
    map_free(&s->pair_index);
    VEC_FREE(s->trace_slots);
}

size_t summary_held(const Summary *s) {
    size_t n = VEC_HELD(s->pairs) + VEC_HELD(s->strings) + VEC_HELD(s->trace_hash) + VEC_HELD(s->last_row);
    n += VEC_HELD(s->facts) + VEC_HELD(s->pair_service) + VEC_HELD(s->string_facts) + VEC_HELD(s->failures);
    return n + VEC_HELD(s->pair_index) + VEC_HELD(s->trace_slots);
}

static void summary_begin(Summary *s, Tables *t) {
    s->is_unknown = 0;
    s->pairs.n = s->strings.n = s->trace_hash.n = s->last_row.n = s->facts.n = s->string_facts.n = 0;
    s->pair_service.n = s->trace_slots.n = s->failures.n = 0;
    s->last_trace = s->is_vague = 0;
    VEC_RESIZE(&t->env, s->facts, t->schemas.n);
    VEC_RESIZE(&t->env, s->string_facts, t->strings.n);
    map_renew(&s->pair_index, t->schemas.n);
}

/* --- schemas ------------------------------------------------------------------------------------------------------ */

static int is_service_key(const Tables *t, u32 key) {
    const String *k = &t->strings.v[key];
    return k->n == SERVICE_KEY_BYTES && !memcmp(k->p, service_key, SERVICE_KEY_BYTES);
}

/* Notes the slot of a field that may stand there once. */
static void facts_take(const Tables *t, SchemaFacts *f, const Schema *q, u32 i, u32 which) {
    f->odd |= f->slot[which] != NO_SLOT;
    f->slot[which] = t->slot_rank.v[q->first + i];
}

static void facts_of_span(const Tables *t, SchemaFacts *f, const Schema *q, u32 i, const Class *c) {
    if (c->op == OP_RAW)
        f->odd = 1;
    if (c->op != OP_FIELD)
        return;
    switch (c->tag) {
        case TAG_NAME: facts_take(t, f, q, i, SLOT_NAME); break;
        case TAG_STATUS: facts_take(t, f, q, i, SLOT_STATUS); break;
        case TAG_TRACE_ID:
            facts_take(t, f, q, i, SLOT_TRACE_ID);
            f->odd |= q->has[OP_TRACE_ID];
            break;
        case TAG_SPAN_ID: f->in_columns = 0; break;
        case TAG_START:
        case TAG_END: f->odd = 1; /* a second one */
        default:;
    }
}

static void facts_of_resource(const Tables *t, SchemaFacts *f, const Schema *q, u32 i, const Class *c) {
    if (c->op == OP_RAW)
        f->odd = 1;
    if (c->place != KIND_RESOURCE)
        return;
    if (c->op == OP_FIELD && c->tag == TAG_RESOURCE_ATTRIBUTE)
        f->odd = 1; /* an attribute that could not be parsed */
    if (c->op == OP_ATTRIBUTE && is_service_key(t, c->key)) {
        f->odd |= c->any != ANY_STRING;
        facts_take(t, f, q, i, SLOT_SERVICE);
    }
}

static const SchemaFacts *facts_make(Summary *s, const Tables *t, u32 schema) {
    SchemaFacts *f = &s->facts.v[schema];
    const Schema *q = &t->schemas.v[schema];
    *f = (SchemaFacts){.known = 1, .has_trace_id = q->has[OP_TRACE_ID], .slot = {NO_SLOT, NO_SLOT, NO_SLOT}};
    f->in_columns = q->has[OP_TRACE_ID] && q->has[OP_SPAN_ID] && q->has[OP_START] && q->has[OP_END];
    for (u32 i = 0; i < q->n; i++) {
        const Class *c = &t->classes.v[t->slot_cls.v[q->first + i]];
        if (q->kind == KIND_SPAN)
            facts_of_span(t, f, q, i, c);
        else
            facts_of_resource(t, f, q, i, c);
    }
    return f;
}

static inline const SchemaFacts *facts_of(Summary *s, const Tables *t, u32 schema) {
    return s->facts.v[schema].known ? &s->facts.v[schema] : facts_make(s, t, schema);
}

static int has_resource(const Tables *t, u32 schema) {
    const Schema *q = &t->schemas.v[schema];
    for (u32 i = 0; i < q->n; i++)
        if (t->classes.v[t->slot_cls.v[q->first + i]].op == OP_OPEN)
            return 1;
    return 0;
}

/* --- values ------------------------------------------------------------------------------------------------------- */

/* What the spans are read from: nothing of it moves while a batch is summed up. */
typedef struct {
    const u32 *shape, *values, *record_atoms;
    const Shape *shapes;
    const Schema *schemas;
    const Atom *atoms;
    const String *strings;
} View;

static View view_of(const Tables *t, const Batch *b, u32 kind) {
    const Records *r = &b->kinds[kind];
    return (View){.shape = r->shape.v,
                  .values = r->values.v,
                  .record_atoms = b->atoms.v,
                  .shapes = t->shapes.v,
                  .schemas = t->schemas.v,
                  .atoms = t->atoms.v,
                  .strings = t->strings.v};
}

static inline u32 record_schema(const View *v, size_t row) { return v->shapes[v->shape[row]].schema; }

/* The string of a record's field, that without bytes if it has none. */
static inline u32 record_string(const View *v, size_t row, u32 slot) {
    return slot == NO_SLOT ? EMPTY_STRING : (u32)v->atoms[v->record_atoms[v->values[row] + slot]].value;
}

/* Whether a Status says ERROR: 0, 1, or -1 if that cannot be told. */
static int status_is_error(const String *status) {
    const u8 *p = status->p, *end = p + status->n;
    u32 tag, code = 0;
    u64 v;
    size_t n;
    while (p < end) {
        if (!(p = tag_get(p, end, &tag)))
            return -1;
        if ((tag & 7) == WIRE_VARINT && (p = varint_get(p, end, &v)))
            code = tag == TAG_CODE ? (u32)v : code;
        else if (p && (tag & 7) == WIRE_BYTES && (p = length_get(p, end, &n)))
            p += n;
        else
            return -1;
    }
    return code == STATUS_ERROR;
}

/* FORMAT.md, "Index": the hash of an id. */
static u64 hash_of_id(const u8 *id, size_t n) {
    u64 h = n;
    for (; n; n -= n < 8 ? n : 8, id += 8) {
        u8 word[8] = {0};
        memcpy(word, id, n < 8 ? n : 8);
        h = splitmix_mix(h ^ __builtin_bswap64(load64(word)));
    }
    return h;
}

/* --- what is counted ---------------------------------------------------------------------------------------------- */

static u32 string_number(Summary *s, Tables *t, u32 string) {
    u32 *number = &s->string_facts.v[string].number;
    if (!*number) {
        VEC_PUSH(&t->env, s->strings, string);
        *number = (u32)s->strings.n;
    }
    return *number - 1;
}

static u32 find_pair(Summary *s, Tables *t, u32 service, u32 name) {
    u32 *number = map_at(&t->env, &s->pair_index, (u64)service << 32 | name, t->seed);
    if (!*number) {
        Pair pair = {.service = string_number(s, t, service)};
        pair.name = string_number(s, t, name);
        VEC_PUSH(&t->env, s->pairs, pair);
        VEC_PUSH(&t->env, s->pair_service, service);
        *number = (u32)s->pairs.n;
    }
    return *number;
}

static inline Pair *pair_of(Summary *s, Tables *t, u32 service, u32 name) {
    u32 *number = &s->string_facts.v[name].pair;
    if (!*number || s->pair_service.v[*number - 1] != service)
        *number = find_pair(s, t, service, name);
    return &s->pairs.v[*number - 1];
}

/* The slots are half empty at most, and a hash is as good as random: it needs no other. */
static void trace_slots_grow(Summary *s, Tables *t) {
    size_t n = s->trace_slots.n ? s->trace_slots.n * 2 : MIN_TRACE_SLOTS;
    s->trace_slots.n = 0;
    VEC_RESIZE(&t->env, s->trace_slots, n);
    for (size_t i = 0; i < s->trace_hash.n; i++) {
        size_t at = (size_t)s->trace_hash.v[i] & (n - 1);
        while (s->trace_slots.v[at])
            at = (at + 1) & (n - 1);
        s->trace_slots.v[at] = (u32)i + 1;
    }
}

static u32 find_trace(Summary *s, Tables *t, u64 hash) {
    if (s->trace_hash.n * 2 >= s->trace_slots.n)
        trace_slots_grow(s, t);
    size_t last = s->trace_slots.n - 1, at = (size_t)hash & last;
    for (; s->trace_slots.v[at]; at = (at + 1) & last)
        if (s->trace_hash.v[s->trace_slots.v[at] - 1] == hash)
            return s->trace_slots.v[at];
    VEC_PUSH(&t->env, s->trace_hash, hash);
    VEC_PUSH(&t->env, s->last_row, 0);
    return s->trace_slots.v[at] = (u32)s->trace_hash.n;
}

/* Of a trace id with a column of its own: most spans have the one of the span before. */
static inline u32 find_usual_trace(Summary *s, Tables *t, u64 hi, u64 lo) {
    if (!s->last_trace || hi != s->last_hi || lo != s->last_lo) {
        s->last_trace = find_trace(s, t, splitmix_mix(splitmix_mix(16 ^ hi) ^ lo));
        s->last_hi = hi;
        s->last_lo = lo;
    }
    return s->last_trace;
}

static u32 find_odd_trace(Summary *s, Tables *t, u32 id) {
    return find_trace(s, t, hash_of_id(t->strings.v[id].p, t->strings.v[id].n));
}

static inline u64 larger(u64 a, u64 b) { return a > b ? a : b; }
static inline u64 smaller(u64 a, u64 b) { return a < b ? a : b; }
static inline u64 span_duration(u64 start, u64 end) { return end > start ? end - start : 0; }

static void find_bounds(Summary *s, const Batch *b) {
    u64 first = UINT64_MAX, last = 0, least = UINT64_MAX, largest = 0;
    for (size_t i = 0; i < b->start.n; i++) {
        u64 start = b->start.v[i], end = b->end.v[i], duration = span_duration(start, end);
        first = smaller(first, start);
        last = larger(last, end);
        least = smaller(least, duration);
        largest = larger(largest, duration);
    }
    s->min_start = first;
    s->max_end = last;
    s->min_duration = least;
    s->max_duration = largest;
}

static void note_failure(Summary *s, Tables *t, const Batch *b, size_t row, const SchemaFacts *f, const Pair *pair) {
    u64 start = b->start.v[row], end = b->end.v[row];
    s->is_vague |= !f->in_columns || end < start;
    if (s->is_vague)
        return;
    Failure failure = {b->trace_hi.v[row], b->trace_lo.v[row], b->span_id.v[row],
                       end - start,        (u32)row,           (u32)(pair - s->pairs.v)};
    VEC_PUSH(&t->env, s->failures, failure);
}

static void count_pair(Summary *s, Tables *t, const Batch *b, const View *v, size_t row, const SchemaFacts *f,
                       u32 service) {
    u64 ns = span_duration(b->start.v[row], b->end.v[row]);
    Pair *pair = pair_of(s, t, service, record_string(v, row, f->slot[SLOT_NAME]));
    pair->n_spans++;
    pair->max_duration = larger(pair->max_duration, ns);
    if (f->slot[SLOT_STATUS] == NO_SLOT)
        return;
    const String *status = &v->strings[record_string(v, row, f->slot[SLOT_STATUS])];
    int is_error = status->n ? status_is_error(status) : 0;
    if (!is_error)
        return;
    s->is_unknown |= is_error < 0;
    pair->n_errors++;
    pair->max_error_duration = larger(pair->max_error_duration, ns);
    note_failure(s, t, b, row, f, pair);
}

/* The spans of one scope: `n` from `row` on. */
static void count_spans_of(Summary *s, Tables *t, const Batch *b, const View *v, size_t row, u32 n, u32 service) {
    for (size_t end = row + n; row < end; row++) {
        u32 schema = record_schema(v, row);
        const SchemaFacts *f = facts_of(s, t, schema);
        s->is_unknown |= f->odd;
        count_pair(s, t, b, v, row, f, service);
        u32 trace = f->has_trace_id ? find_usual_trace(s, t, b->trace_hi.v[row], b->trace_lo.v[row])
                                    : find_odd_trace(s, t, record_string(v, row, f->slot[SLOT_TRACE_ID]));
        s->last_row.v[trace - 1] = (u32)row;
    }
}

typedef struct {
    View resources, spans;
    size_t resource, scope, span; /* the next rows */
} Walk;

static void count_resource(Summary *s, Tables *t, const Batch *b, Walk *w, u32 is_wrapped) {
    u32 schema = record_schema(&w->resources, w->resource);
    const SchemaFacts *f = facts_of(s, t, schema);
    u32 service = record_string(&w->resources, w->resource, f->slot[SLOT_SERVICE]);
    s->is_unknown |= f->odd || (is_wrapped && !has_resource(t, schema)); /* one that was too large to be repeated */
    for (u32 n = b->n_scopes.v[w->resource++]; n; n--) {
        u32 n_spans = b->n_spans.v[w->scope++];
        count_spans_of(s, t, b, &w->spans, w->span, n_spans, service);
        w->span += n_spans;
    }
}

void summarize(Summary *s, Tables *t, const Batch *b) {
    Walk w = {.resources = view_of(t, b, KIND_RESOURCE_SPANS), .spans = view_of(t, b, KIND_SPAN)};
    summary_begin(s, t);
    find_bounds(s, b);
    for (size_t i = 0; i < b->messages.n && !s->is_unknown; i++) {
        const MessageRow *m = &b->messages.v[i];
        s->is_unknown |= m->prefix_n && !m->n_resources;
        for (u32 n = m->n_resources; n; n--)
            count_resource(s, t, b, &w, m->prefix_n || m->skip);
    }
}
