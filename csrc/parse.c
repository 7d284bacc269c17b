/* Wire bytes to columns, in one pass. FORMAT.md, "Records to bytes".
 *
 * A record is walked field by field. What has a column is known by its tag; any other field is an atom that is looked
 * up by all its bytes, just as they lie. Only one that was never met is parsed. */
#include "parse.h"

#include "count.h"
#include "format_limits.h"
#include "wire.h"

typedef struct {
    Tables *t;
    Batch *b;
    u32 atom[TZ_MAX_FIELDS], cls[TZ_MAX_FIELDS];
    size_t first_row; /* rows that the batch had before this message */
} Walk;

/* The fields of one record, or of a message within it, read so far. */
typedef struct {
    u32 *atom, *cls;
    u64 *column; /* TRACE_ID takes the one behind the others too, for its upper half */
    u32 n, most; /* most: how many atoms that are not marks there may be */
    u32 seen;    /* columns */
    u64 hash;    /* of the classes */
} Fields;

/* What a tag of one byte is in a place: a plain field, a column (its op + 1), or a message that is walked itself. */
enum { ROLE_PLAIN = 0, ROLE_INNER = OP_CHILDREN + 1 };
static const u8 roles[N_PLACES][256] = {
    [KIND_RESOURCE_SPANS] = {[0x0a] = ROLE_INNER, [0x12] = ROLE_INNER},
    [KIND_SCOPE_SPANS] = {[0x0a] = ROLE_INNER, [0x12] = ROLE_INNER},
    [KIND_SPAN] = {[0x0a] = 1 + OP_TRACE_ID,
                   [0x12] = 1 + OP_SPAN_ID,
                   [0x22] = 1 + OP_PARENT_ID,
                   [0x39] = 1 + OP_START,
                   [0x41] = 1 + OP_END,
                   [0x5a] = ROLE_INNER,
                   [0x6a] = ROLE_INNER},
    [KIND_EVENT] = {[0x09] = 1 + OP_START},
    [KIND_LINK] = {[0x0a] = 1 + OP_TRACE_ID, [0x12] = 1 + OP_SPAN_ID},
};

static u64 load_be(const u8 *p) { return __builtin_bswap64(load64(p)); }

/* --- new atoms ---------------------------------------------------------------------------------------------------- */

/* Reads a value that must fill p to end: a number, or a text. */
static int read_value(const u8 *p, const u8 *end, u32 type, u64 *number, const u8 **text) {
    size_t n = (size_t)(end - p);
    switch (type) {
        case WIRE_VARINT: return varint_get(p, end, number) == end;
        case WIRE_FIXED64: *number = n == 8 ? load64(p) : 0; return n == 8;
        case WIRE_FIXED32: *number = n == 4 ? load32(p) : 0; return n == 4;
        case WIRE_BYTES: *text = length_get(p, end, &n); return *text && *text + n == end;
        default: return 0;
    }
}

/* Parses a KeyValue of one key and at most one value. 0 if it is anything else. */
static int parse_attribute(Tables *t, u8 place, u32 tag, const u8 *p, const u8 *end, u32 *cls, u64 *value) {
    size_t key_n, any_n;
    if (p == end || *p != 0x0a || !(p = length_get(p + 1, end, &key_n)))
        return 0;
    const u8 *key = p, *text = NULL;
    u8 any = ANY_ABSENT;
    p += key_n;
    if (p < end) {
        if (*p != 0x12 || !(p = length_get(p + 1, end, &any_n)) || any_n != (size_t)(end - p))
            return 0;
        any = any_n ? *p : ANY_EMPTY;
        if (any_n && (any < 8 || any >= 0x80 || !read_value(p + 1, end, any & 7, value, &text)))
            return 0;
    }
    *cls = class_intern(t, place, OP_ATTRIBUTE, tag, string_intern(t, key, key_n), any);
    if (text)
        *value = string_intern(t, text, (size_t)(end - text));
    return 1;
}

/* The atom of a canonical field that was never met. */
static u32 new_atom(Tables *t, u8 place, const u8 *field, const u8 *end, u32 hash) {
    u32 tag = 0, cls;
    u64 value = 0;
    size_t n = (size_t)(end - field);
    const u8 *p = tag_get(field, end, &tag), *text = NULL;
    read_value(p, end, tag & 7, &value, &text);
    if (tag == attribute_tag(place) && parse_attribute(t, place, tag, text, end, &cls, &value))
        return atom_intern(t, cls, value, field, n, hash);
    cls = class_intern(t, place, OP_FIELD, tag, 0, 0);
    if (text)
        value = string_intern(t, text, (size_t)(end - text));
    return atom_intern(t, cls, value, field, n, hash);
}

/* --- fields ------------------------------------------------------------------------------------------------------- */

/* The end of the field at p, or NULL if it is not canonical. */
static inline const u8 *field_end(const u8 *p, const u8 *end) {
    u32 tag;
    u64 n;
    if (end - p > 1 && *p > 7 && (*p & 0x87) == WIRE_BYTES && p[1] < 0x80) /* nearly all of them */
        return p[1] <= end - p - 2 ? p + 2 + p[1] : NULL;
    if (!(p = tag_get(p, end, &tag)))
        return NULL;
    switch (tag & 7) {
        case WIRE_VARINT: return varint_get(p, end, &n);
        case WIRE_FIXED64: n = 8; break;
        case WIRE_FIXED32: n = 4; break;
        default:
            if (!(p = varint_get(p, end, &n)))
                return NULL;
    }
    return n <= (u64)(end - p) ? p + n : NULL;
}

static inline int atom_is(const Atom *a, u8 place, const u8 *p, size_t n) {
    return a->enc_n == n && a->place == place && bytes_equal(a->enc, p, n);
}

static u32 find_atom(Tables *t, u8 place, const u8 *p, const u8 *end) {
    size_t n = (size_t)(end - p);
    u32 hash = atom_hash(t, place, p, n), i;
    for (size_t at = INDEX_FIRST(t->atom_index, hash); (at = index_next(&t->atom_index, at, hash, &i)) != INDEX_END;
         at++)
        if (atom_is(&t->atoms.v[i], place, p, n))
            return i;
    return new_atom(t, place, p, end, hash);
}

/* Nearly all fields are among those looked up last: two words tell where, and need not be a good hash. */
static inline u32 field_atom(Tables *t, u8 place, const u8 *p, const u8 *end) {
    size_t n = (size_t)(end - p);
    u64 head, tail;
    load_ends(p, n, &head, &tail);
    u32 *at = &t->recent[hash_fold(head ^ t->seed, (tail + place) ^ 0x9e3779b97f4a7c15u) >> (64 - RECENT_BITS)];
    if (!atom_is(&t->atoms.v[*at], place, p, n))
        *at = find_atom(t, place, p, end);
    return *at;
}

static inline void push_atom(const Tables *t, Fields *f, u32 a) {
    u32 cls = t->atoms.v[a].cls;
    f->atom[f->n] = a;
    f->cls[f->n++] = cls;
    f->hash = hash_fold(f->hash ^ cls, 0x9e3779b97f4a7c15u);
}

/* Takes the payload of a column's field; NULL if it is not of the usual size, or came before. */
static inline const u8 *take_column(Fields *f, u32 op, const u8 *p, const u8 *end) {
    u32 head = op < OP_START ? 2 : 1, n = op == OP_TRACE_ID ? 16 : 8;
    if ((size_t)(end - p) < head + n || f->seen >> op & 1 || (op < OP_START && p[1] != n))
        return NULL;
    f->seen |= 1u << op;
    p += head;
    if (op == OP_TRACE_ID)
        f->column[OP_CHILDREN] = load_be(p);
    f->column[op] = op < OP_START ? load_be(p + n - 8) : load64(p);
    return p + n;
}

/* Reads fields up to one that is walked itself; NULL if one is not canonical, or there are too many. */
static inline const u8 *walk_fields(Walk *w, u8 place, Fields *f, const u8 *p, const u8 *end) {
    Tables *t = w->t;
    for (const u8 *next; p < end; p = next) {
        u8 role = roles[place][*p];
        if (role == ROLE_INNER)
            break;
        if (f->n >= f->most)
            return NULL;
        if (role != ROLE_PLAIN && (next = take_column(f, role - 1u, p, end)))
            push_atom(t, f, mark_atom(t, place, role - 1u, (u8)(role - 1), *p));
        else if ((next = field_end(p, end)))
            push_atom(t, f, field_atom(t, place, p, next));
        else
            return NULL;
    }
    return p;
}

/* --- records ------------------------------------------------------------------------------------------------------ */

static Fields fields_begin(const Walk *w, u32 kind, u32 *atom, u32 *cls, u64 *column, u32 most) {
    return (Fields){.atom = atom, .cls = cls, .column = column, .most = most, .hash = w->t->seed + kind};
}

static void push_record(Walk *w, u32 kind, const Fields *f) {
    Tables *t = w->t;
    Batch *b = w->b;
    u32 shape = shape_intern(t, kind, f->cls, f->n, (u32)f->hash);
    const Shape *s = &t->shapes.v[shape];
    VEC_PUSH(&t->env, b->kinds[kind].shape, shape);
    VEC_PUSH(&t->env, b->kinds[kind].values, (u32)b->atoms.n);
    u32 n_valued = t->schemas.v[s->schema].n_valued;
    VEC_RESERVE(&t->env, b->atoms, n_valued);
    u32 *to = b->atoms.v + b->atoms.n;
    const u32 *from = t->valued.v + s->valued;
    for (u32 i = 0; i < n_valued; i++)
        to[i] = f->atom[from[i]];
    b->atoms.n += n_valued;
}

static void push_raw(Walk *w, u32 kind, const u8 *p, size_t n) {
    Tables *t = w->t;
    u32 cls = class_intern(t, (u8)kind, OP_RAW, 0, 0, 0), text = string_intern(t, p, n);
    u32 hash = atom_hash(t, N_PLACES + 1 + kind, p, n), i, atom = NO_SLOT;
    for (size_t at = INDEX_FIRST(t->atom_index, hash); (at = index_next(&t->atom_index, at, hash, &i)) != INDEX_END;
         at++)
        if (t->atoms.v[i].cls == cls && t->atoms.v[i].value == text)
            atom = i;
    if (atom == NO_SLOT)
        atom = atom_intern(t, cls, text, p, n, hash);
    u32 one[2];
    Fields f = fields_begin(w, kind, &one[0], &one[1], NULL, 1);
    push_atom(t, &f, atom);
    push_record(w, kind, &f);
}

/* Events and links. One that is not canonical becomes a raw record; their order is kept, so nothing can fail. */
static void walk_leaf(Walk *w, u32 kind, const u8 *p, const u8 *end) {
    Env *env = &w->t->env;
    u32 atom[TZ_MAX_LEAF_FIELDS], cls[TZ_MAX_LEAF_FIELDS];
    u64 column[OP_CHILDREN + 1] = {0};
    Fields f = fields_begin(w, kind, atom, cls, column, TZ_MAX_LEAF_FIELDS);
    if (walk_fields(w, (u8)kind, &f, p, end)) {
        push_record(w, kind, &f);
    } else {
        memset(column, 0, sizeof column);
        push_raw(w, kind, p, (size_t)(end - p));
    }
    if (kind == KIND_EVENT) {
        VEC_PUSH(env, w->b->event_time, column[OP_START]);
    } else {
        VEC_PUSH(env, w->b->link_hi, column[OP_CHILDREN]);
        VEC_PUSH(env, w->b->link_lo, column[OP_TRACE_ID]);
        VEC_PUSH(env, w->b->link_span, column[OP_SPAN_ID]);
    }
}

/* Where a batch can be cut back to. */
typedef struct {
    size_t events, links, atoms;
} SpanMark;

static SpanMark span_mark(const Batch *b) { return (SpanMark){b->event_time.n, b->link_hi.n, b->atoms.n}; }

static void records_cut(Records *r, size_t n) { r->shape.n = r->values.n = n; }

static void span_cut(Batch *b, SpanMark m) {
    b->event_time.n = m.events;
    b->link_hi.n = b->link_lo.n = b->link_span.n = m.links;
    records_cut(&b->kinds[KIND_EVENT], m.events);
    records_cut(&b->kinds[KIND_LINK], m.links);
    b->atoms.n = m.atoms;
}

/* A run of children `tag length body`, at least one. */
static const u8 *walk_leaves(Walk *w, u32 kind, u8 tag, const u8 *p, const u8 *end, u32 *count) {
    while (p < end && *p == tag) {
        size_t n;
        if (!(p = length_get(p + 1, end, &n)))
            return NULL;
        if (++*count > TZ_MAX_RUN)
            return NULL;
        walk_leaf(w, kind, p, p + n);
        p += n;
    }
    return p;
}

static const u8 *walk_span_fields(Walk *w, Fields *f, const u8 *p, const u8 *end, u32 count[2]) {
    while ((p = walk_fields(w, KIND_SPAN, f, p, end)) && p < end) {
        u8 tag = *p;
        int is_link = tag == 0x6a;
        if (count[is_link])
            return NULL; /* a second run */
        p = walk_leaves(w, is_link ? KIND_LINK : KIND_EVENT, tag, p, end, &count[is_link]);
        if (!p || f->n == f->most)
            return NULL;
        push_atom(w->t, f, mark_atom(w->t, KIND_SPAN, is_link ? MARK_LINKS : OP_CHILDREN, OP_CHILDREN, tag));
    }
    return p;
}

/* All of a span's columns grow together. */
static void push_span_columns(Walk *w, const u64 *column, const u32 count[2]) {
    Env *env = &w->t->env;
    Batch *b = w->b;
    VEC_PUSH(env, b->n_events, count[0]);
    VEC_PUSH(env, b->n_links, count[1]);
    VEC_PUSH(env, b->trace_hi, column[OP_CHILDREN]);
    VEC_PUSH(env, b->trace_lo, column[OP_TRACE_ID]);
    VEC_PUSH(env, b->span_id, column[OP_SPAN_ID]);
    VEC_PUSH(env, b->parent_id, column[OP_PARENT_ID]);
    VEC_PUSH(env, b->start, column[OP_START]);
    VEC_PUSH(env, b->end, column[OP_END]);
}

static void walk_span(Walk *w, const u8 *p, const u8 *end) {
    u64 column[OP_CHILDREN + 1] = {0};
    u32 count[2] = {0, 0};
    Fields f = fields_begin(w, KIND_SPAN, w->atom, w->cls, column, TZ_MAX_FIELDS);
    SpanMark mark = span_mark(w->b);
    if (walk_span_fields(w, &f, p, end, count)) {
        push_record(w, KIND_SPAN, &f);
    } else {
        span_cut(w->b, mark);
        memset(column, 0, sizeof column);
        count[0] = count[1] = 0;
        push_raw(w, KIND_SPAN, p, (size_t)(end - p));
    }
    push_span_columns(w, column, count);
}

/* Resource or scope: a message within the record, between OPEN and CLOSE. */
static const u8 *walk_nested(Walk *w, Fields *f, u8 place, u8 inner, const u8 *p, const u8 *end) {
    size_t n;
    u8 tag = *p;
    if (!(p = length_get(p + 1, end, &n)))
        return NULL;
    push_atom(w->t, f, mark_atom(w->t, place, OP_OPEN, OP_OPEN, tag));
    if (!walk_fields(w, inner, f, p, p + n))
        return NULL;
    push_atom(w->t, f, mark_atom(w->t, place, OP_CLOSE, OP_CLOSE, tag));
    return p + n;
}

static int walk_group(Walk *w, u8 kind, const u8 *p, const u8 *end);

/* The run of a group's children, at least one. */
static const u8 *walk_children(Walk *w, u8 kind, const u8 *p, const u8 *end, u32 *count) {
    while (p < end && *p == 0x12) {
        size_t n;
        if (!(p = length_get(p + 1, end, &n)) || batch_rows(w->b) - w->first_row > TZ_MAX_PART_ROWS)
            return NULL;
        if (kind == KIND_SCOPE_SPANS)
            walk_span(w, p, p + n);
        else if (!walk_group(w, KIND_SCOPE_SPANS, p, p + n))
            return NULL;
        p += n;
        ++*count;
    }
    return p;
}

static const u8 *walk_group_fields(Walk *w, u8 kind, Fields *f, const u8 *p, const u8 *end, u32 *count) {
    while ((p = walk_fields(w, kind, f, p, end)) && p < end) {
        if (f->n >= f->most || (*p == 0x12 && *count))
            return NULL;
        if (*p == 0x0a) {
            p = walk_nested(w, f, kind, kind == KIND_RESOURCE_SPANS ? KIND_RESOURCE : KIND_SCOPE, p, end);
        } else if ((p = walk_children(w, kind, p, end, count))) {
            push_atom(w->t, f, mark_atom(w->t, kind, OP_CHILDREN, OP_CHILDREN, 0x12));
        }
        if (!p)
            return NULL;
    }
    return p;
}

/* ResourceSpans and ScopeSpans: nested messages, fields, and one run of children at most. */
static int walk_group(Walk *w, u8 kind, const u8 *p, const u8 *end) {
    Env *env = &w->t->env;
    Batch *b = w->b;
    u32 atom[TZ_MAX_GROUP_FIELDS + 8], cls[TZ_MAX_GROUP_FIELDS + 8], count = 0;
    u64 column[OP_CHILDREN + 1];
    Fields f = fields_begin(w, kind, atom, cls, column, TZ_MAX_GROUP_FIELDS + 1);
    size_t row = b->kinds[kind].shape.n;
    U32s *counts = kind == KIND_RESOURCE_SPANS ? &b->n_scopes : &b->n_spans;
    /* The record stands before its children: keep its place. */
    VEC_PUSH(env, b->kinds[kind].shape, 0);
    VEC_PUSH(env, b->kinds[kind].values, 0);
    VEC_PUSH(env, *counts, 0);
    if (!walk_group_fields(w, kind, &f, p, end, &count))
        return 0;
    counts->v[row] = count;
    push_record(w, kind, &f);
    Records *r = &b->kinds[kind];
    r->shape.v[row] = r->shape.v[--r->shape.n];
    r->values.v[row] = r->values.v[--r->values.n];
    return 1;
}

typedef struct {
    SpanMark span;
    size_t resources, scopes, spans;
} MessageMark;

static void message_cut(Batch *b, MessageMark m) {
    span_cut(b, m.span);
    records_cut(&b->kinds[KIND_RESOURCE_SPANS], m.resources);
    records_cut(&b->kinds[KIND_SCOPE_SPANS], m.scopes);
    records_cut(&b->kinds[KIND_SPAN], m.spans);
    b->n_scopes.n = m.resources;
    b->n_spans.n = m.scopes;
    b->n_events.n = b->n_links.n = m.spans;
    b->trace_hi.n = b->trace_lo.n = b->span_id.n = b->parent_id.n = b->start.n = b->end.n = m.spans;
}

/* Atom 0, and with it class 0, stands for "none". */
static void tables_begin(Tables *t) {
    if (t->atoms.n)
        return;
    string_intern(t, (const u8 *)"", 0);
    Atom a = {.cls = class_intern(t, N_PLACES, OP_CLOSE, 0, 0, 0), .place = N_PLACES};
    VEC_PUSH(&t->env, t->atoms, a);
}

/* Walks a message that is all ResourceSpans; returns how many, or -1 if it does not fit the columns. */
static i64 walk_message(Walk *w, const u8 *p, const u8 *end) {
    i64 n_resources = 0;
    while (p < end) {
        size_t length;
        if (*p != 0x0a || !(p = length_get(p + 1, end, &length)) || !walk_group(w, KIND_RESOURCE_SPANS, p, p + length))
            return -1;
        p += length;
        n_resources++;
    }
    return n_resources;
}

int parse_message(Tables *t, Batch *b, const u8 *p, size_t n, const u8 *prefix, size_t prefix_n, u64 skip,
                  u32 continues, u64 most_spans) {
    tables_begin(t);
    Walk w;
    w.t = t;
    w.b = b;
    w.first_row = batch_rows(b);
    MessageMark mark = {span_mark(b), b->kinds[KIND_RESOURCE_SPANS].shape.n, b->kinds[KIND_SCOPE_SPANS].shape.n,
                        b->trace_hi.n};
    MessageRow row = {.prefix_n = prefix_n, .skip = skip, .continues = continues};
    i64 n_resources = walk_message(&w, p, p + n);
    u64 n_spans = b->trace_hi.n - mark.spans;
    if (n_resources < 0 && most_spans < n / 2) /* a span has two bytes at least */
        n_spans = count_spans(p, n, 0);
    if (n_resources < 0 || n_spans > most_spans)
        message_cut(b, mark);
    if (n_spans > most_spans)
        return 0;
    bytes_append(&t->env, &b->prefixes, prefix, prefix_n);
    if (n_resources < 0) {
        bytes_append(&t->env, &b->prefixes, p + skip, n - (size_t)skip);
        row.prefix_n += n - (size_t)skip;
        row.skip = 0;
    } else {
        row.n_resources = (u32)n_resources;
    }
    VEC_PUSH(&t->env, b->messages, row);
    return 1;
}
