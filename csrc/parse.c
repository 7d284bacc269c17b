/* Wire bytes to columns, in one pass. FORMAT.md, "Records to bytes".
 *
 * A record is walked field by field. Each field is an atom; the guess that it is the atom which followed the last one
 * before costs one memcmp, and only where the guess fails a field is parsed and looked up. */
#include "parse.h"

#include "format_limits.h"
#include "wire.h"

typedef struct {
    Tables *t;
    Batch *b;
    u32 atom[TZ_MAX_FIELDS];
    u64 column[OP_CHILDREN + 1]; /* TRACE_ID takes the last one too, for its upper half */
    size_t first_row;            /* rows that the batch had before this message */
} Walk;

/* The fields of one record, or of a message within it, read so far. */
typedef struct {
    u32 n, node, last, seen;
} Fields;

static u64 load_be(const u8 *p) { return __builtin_bswap64(load64(p)); }

static u32 payload_of(u32 op) { return op == OP_TRACE_ID ? 16 : op < OP_CHILDREN ? 8 : 0; }

/* Ops of the fields that have columns, by place and tag. */
static u8 column_op(u32 place, u32 tag, size_t length) {
    if (place == KIND_SPAN) {
        if (tag == 0x0a && length == 16)
            return OP_TRACE_ID;
        if (tag == 0x12 && length == 8)
            return OP_SPAN_ID;
        if (tag == 0x22 && length == 8)
            return OP_PARENT_ID;
        if (tag == 0x39)
            return OP_START;
        if (tag == 0x41)
            return OP_END;
    }
    if (place == KIND_EVENT && tag == 0x09)
        return OP_START;
    if (place == KIND_LINK) {
        if (tag == 0x0a && length == 16)
            return OP_TRACE_ID;
        if (tag == 0x12 && length == 8)
            return OP_SPAN_ID;
    }
    return OP_FIELD;
}

/* The kind of the records that a tag holds in a place, or N_KINDS. */
static u32 child_kind(u32 place, u32 tag) {
    if (place == KIND_RESOURCE_SPANS && tag == 0x12)
        return KIND_SCOPE_SPANS;
    if (place == KIND_SCOPE_SPANS && tag == 0x12)
        return KIND_SPAN;
    if (place == KIND_SPAN && tag == 0x5a)
        return KIND_EVENT;
    if (place == KIND_SPAN && tag == 0x6a)
        return KIND_LINK;
    return N_KINDS;
}

/* Parses a KeyValue of one key and at most one value. 0 if it is anything else. */
static int parse_attribute(Walk *w, u8 place, u32 tag, const u8 *p, const u8 *end, u32 *cls, u64 *value) {
    size_t key_n, any_n;
    if (p == end || *p != 0x0a || !(p = length_get(p + 1, end, &key_n)))
        return 0;
    const u8 *key = p;
    u8 any = ANY_ABSENT;
    p += key_n;
    const u8 *body = p;
    u64 number = 0;
    size_t text_n = 0;
    if (p < end) {
        if (*p != 0x12 || !(p = length_get(p + 1, end, &any_n)) || any_n != (size_t)(end - p))
            return 0;
        any = ANY_EMPTY;
        if (any_n) {
            any = *p++;
            if (any < 8 || any >= 0x80)
                return 0;
            switch (any & 7) {
                case WIRE_VARINT: p = varint_get(p, end, &number); break;
                case WIRE_FIXED64:
                    if (end - p != 8)
                        return 0;
                    number = load64(p);
                    p = end;
                    break;
                case WIRE_FIXED32: {
                    u32 v;
                    if (end - p != 4)
                        return 0;
                    memcpy(&v, p, 4);
                    number = v;
                    p = end;
                    break;
                }
                case WIRE_BYTES:
                    p = length_get(p, end, &text_n);
                    body = p;
                    if (p)
                        p += text_n;
                    break;
                default: return 0;
            }
            if (p != end)
                return 0;
        }
    }
    *cls = class_intern(w->t, place, OP_ATTRIBUTE, tag, string_intern(w->t, key, key_n), any);
    *value = w->t->classes.v[*cls].value == VALUE_BYTES ? string_intern(w->t, body, text_n) : number;
    return 1;
}

/* Finds or makes the atom of the field at p. Sets *next behind the field, or returns NO_SLOT if it is not canonical. */
static u32 parse_field(Walk *w, u8 place, const u8 *p, const u8 *end, u32 seen, const u8 **next) {
    Tables *t = w->t;
    const u8 *field = p;
    u32 tag, small;
    u64 number = 0;
    size_t length = 0;
    if (!(p = tag_get(p, end, &tag)))
        return NO_SLOT;
    switch (tag & 7) {
        case WIRE_VARINT: p = varint_get(p, end, &number); break;
        case WIRE_FIXED64:
            if (end - p < 8)
                return NO_SLOT;
            number = load64(p);
            p += 8;
            break;
        case WIRE_FIXED32:
            if (end - p < 4)
                return NO_SLOT;
            memcpy(&small, p, 4);
            number = small;
            p += 4;
            break;
        default:
            p = length_get(p, end, &length);
            if (p)
                p += length;
    }
    if (!p)
        return NO_SLOT;
    *next = p;
    u8 op = column_op(place, tag, length), again = 0;
    if (op < OP_CHILDREN && seen >> op & 1)
        again = (u8)(op + 1), op = OP_FIELD;
    size_t enc_n = (size_t)(p - field) - payload_of(op);
    u32 hash = atom_hash(t, place, field, enc_n), i;
    for (size_t at = INDEX_FIRST(t->atom_index, hash); (at = index_next(&t->atom_index, at, hash, &i)) != INDEX_END;
         at++) {
        const Atom *a = &t->atoms.v[i];
        if (a->enc_n == enc_n && a->place == place && a->op != OP_RAW && (a->op < OP_CHILDREN) == (op < OP_CHILDREN) &&
            bytes_equal(a->enc, field, enc_n))
            return i;
    }
    u32 cls;
    u64 value = number;
    if (op == OP_FIELD && tag == attribute_tag(place) && parse_attribute(w, place, tag, p - length, p, &cls, &value))
        return atom_intern(t, cls, value, field, enc_n, hash);
    cls = class_intern(t, place, op, tag, 0, 0);
    if (t->classes.v[cls].value == VALUE_BYTES)
        value = string_intern(t, p - length, length);
    if (op < OP_CHILDREN)
        value = 0;
    i = atom_intern(t, cls, value, field, enc_n, hash);
    t->atoms.v[i].again = again;
    return i;
}

/* The atom of a class that has neither value nor bytes: OPEN, CLOSE, CHILDREN. */
static u32 mark_atom(Tables *t, u8 place, u8 op, u32 tag) {
    u8 name[3] = {op, (u8)tag, place};
    u32 hash = atom_hash(t, N_PLACES, name, sizeof name), i;
    for (size_t at = INDEX_FIRST(t->atom_index, hash); (at = index_next(&t->atom_index, at, hash, &i)) != INDEX_END;
         at++) {
        const Class *c = &t->classes.v[t->atoms.v[i].cls];
        if (c->place == place && c->op == op && c->tag == tag)
            return i;
    }
    u32 cls = class_intern(t, place, op, tag, 0, 0);
    return atom_intern(t, cls, 0, name, 0, hash);
}

static inline int push_field(Walk *w, Fields *f, u32 *atom, u32 a) {
    if (f->n == TZ_MAX_FIELDS)
        return 0;
    Tables *t = w->t;
    atom[f->n++] = a;
    f->node = trie_step(t, f->node, t->atoms.v[a].cls);
    Atom *last = &t->atoms.v[f->last];
    if (last->next != a) {
        last->next2 = last->next;
        last->next = a;
    }
    f->last = a;
    return 1;
}

static void push_record(Walk *w, u32 kind, u32 node, const u32 *atom, u32 n) {
    Tables *t = w->t;
    Batch *b = w->b;
    u32 shape = shape_at(t, node, kind, atom, n);
    const Shape *s = &t->shapes.v[shape];
    const u32 *place = t->places.v + s->place;
    VEC_PUSH(&t->env, b->kinds[kind].shape, shape);
    VEC_PUSH(&t->env, b->kinds[kind].values, (u32)b->atoms.n);
    u32 n_valued = t->schemas.v[s->schema].n_valued;
    VEC_RESERVE(&t->env, b->atoms, n_valued);
    u32 *to = b->atoms.v + b->atoms.n;
    for (u32 i = 0; i < n; i++)
        if (place[i] != NO_SLOT)
            to[place[i]] = atom[i];
    b->atoms.n += n_valued;
}

static void push_raw(Walk *w, u32 kind, const u8 *p, size_t n) {
    Tables *t = w->t;
    u32 cls = class_intern(t, (u8)kind, OP_RAW, 0, 0, 0), text = string_intern(t, p, n);
    u32 hash = atom_hash(t, (u8)(N_PLACES + 1 + kind), p, n), i, atom = NO_SLOT;
    for (size_t at = INDEX_FIRST(t->atom_index, hash); (at = index_next(&t->atom_index, at, hash, &i)) != INDEX_END;
         at++)
        if (t->atoms.v[i].cls == cls && t->atoms.v[i].value == text)
            atom = i;
    if (atom == NO_SLOT)
        atom = atom_intern(t, cls, text, p, n, hash);
    push_record(w, kind, trie_step(t, 1 + kind, cls), &atom, 1);
}

static inline int take_column(Fields *f, u64 *column, u32 op, const u8 **p, const u8 *end) {
    u32 n = payload_of(op);
    if ((size_t)(end - *p) < n || f->seen >> op & 1)
        return 0;
    f->seen |= 1u << op;
    if (op == OP_TRACE_ID) {
        column[OP_CHILDREN] = load_be(*p);
        column[OP_TRACE_ID] = load_be(*p + 8);
    } else {
        column[op] = op < OP_START ? load_be(*p) : load64(*p);
    }
    *p += n;
    return 1;
}

static const u8 *walk_new_field(Walk *w, u8 place, Fields *f, u32 *atom, u64 *column, const u8 *p, const u8 *end) {
    const u8 *next;
    u32 a = parse_field(w, place, p, end, f->seen, &next);
    if (a == NO_SLOT)
        return NULL;
    u32 op = w->t->atoms.v[a].op;
    if (op < OP_CHILDREN) {
        next = p + w->t->atoms.v[a].enc_n;
        if (!take_column(f, column, op, &next, end))
            return NULL;
    }
    return push_field(w, f, atom, a) ? next : NULL;
}

/* Is this atom what stands at p? */
static inline int guess_holds(const Atom *a, u8 place, u32 seen, const u8 *p, const u8 *end) {
    if (a->place != place || !a->enc_n || a->enc_n > (size_t)(end - p))
        return 0;
    if (a->enc_n >= 8 ? load64(p) != a->head || !bytes_equal(a->enc + 8, p + 8, a->enc_n - 8)
                      : !bytes_equal(a->enc, p, a->enc_n))
        return 0;
    return !a->again || seen >> (a->again - 1) & 1;
}

/* Reads fields as long as the guesses hold, until there are `most`: nearly all of them, so all that is needed is held
 * in registers. */
static const u8 *walk_known(Walk *w, u8 place, Fields *f, u32 most, u32 *atom, u64 *column, const u8 *p,
                            const u8 *end) {
    Tables *t = w->t;
    Atom *atoms = t->atoms.v;
    u32 n = f->n, node = f->node, last = f->last;
    while (p < end && n < most) {
        u32 a = atoms[last].next;
        if (!guess_holds(&atoms[a], place, f->seen, p, end)) {
            a = atoms[last].next2;
            if (!guess_holds(&atoms[a], place, f->seen, p, end))
                break;
            atoms[last].next2 = atoms[last].next;
            atoms[last].next = a;
        }
        const u8 *next = p + atoms[a].enc_n;
        if (atoms[a].op < OP_CHILDREN && !take_column(f, column, atoms[a].op, &next, end))
            break;
        node = trie_step(t, node, atoms[a].cls);
        atom[n++] = last = a;
        p = next;
    }
    f->n = n;
    f->node = node;
    f->last = last;
    return p;
}

/* Reads fields that are neither children nor messages within the record: first by guesses, then one in earnest. */
static inline const u8 *walk_fields(Walk *w, u8 place, Fields *f, u32 most, u32 *atom, u64 *column, const u8 *p,
                                    const u8 *end) {
    const u8 *known = walk_known(w, place, f, most, atom, column, p, end);
    return known > p ? known : walk_new_field(w, place, f, atom, column, p, end);
}

/* Events and links. One that is not canonical becomes a raw record; their order is kept, so nothing can fail. */
static void walk_leaf(Walk *w, u32 kind, const u8 *p, const u8 *end) {
    Env *env = &w->t->env;
    u32 atom[TZ_MAX_LEAF_FIELDS + 1];
    u64 column[OP_CHILDREN + 1] = {0};
    Fields f = {.node = 1 + kind, .last = 1 + kind};
    const u8 *body = p;
    while (p && p < end && f.n < TZ_MAX_LEAF_FIELDS)
        p = walk_fields(w, (u8)kind, &f, TZ_MAX_LEAF_FIELDS, atom, column, p, end);
    if (p != end) {
        memset(column, 0, sizeof column);
        push_raw(w, kind, body, (size_t)(end - body));
    } else {
        push_record(w, kind, f.node, atom, f.n);
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
    while (p && p < end) {
        u32 kind = child_kind(KIND_SPAN, *p);
        if (kind == N_KINDS) {
            p = walk_fields(w, KIND_SPAN, f, TZ_MAX_FIELDS, w->atom, w->column, p, end);
            continue;
        }
        u8 tag = *p;
        u32 *n = &count[kind == KIND_LINK];
        if (*n)
            return NULL; /* a second run */
        p = walk_leaves(w, kind, tag, p, end, n);
        if (!p || !push_field(w, f, w->atom, mark_atom(w->t, KIND_SPAN, OP_CHILDREN, tag)))
            return NULL;
    }
    return p;
}

static void walk_span(Walk *w, const u8 *p, const u8 *end) {
    Env *env = &w->t->env;
    Batch *b = w->b;
    Fields f = {.node = 1 + KIND_SPAN, .last = 1 + KIND_SPAN};
    u32 count[2] = {0, 0};
    SpanMark mark = span_mark(b);
    memset(w->column, 0, sizeof w->column);
    if (walk_span_fields(w, &f, p, end, count)) {
        push_record(w, KIND_SPAN, f.node, w->atom, f.n);
    } else {
        span_cut(b, mark);
        memset(w->column, 0, sizeof w->column);
        count[0] = count[1] = 0;
        push_raw(w, KIND_SPAN, p, (size_t)(end - p));
    }
    VEC_PUSH(env, b->n_events, count[0]);
    VEC_PUSH(env, b->n_links, count[1]);
    VEC_PUSH(env, b->trace_hi, w->column[OP_CHILDREN]);
    VEC_PUSH(env, b->trace_lo, w->column[OP_TRACE_ID]);
    VEC_PUSH(env, b->span_id, w->column[OP_SPAN_ID]);
    VEC_PUSH(env, b->parent_id, w->column[OP_PARENT_ID]);
    VEC_PUSH(env, b->start, w->column[OP_START]);
    VEC_PUSH(env, b->end, w->column[OP_END]);
}

/* Resource or scope: a message within the record, between OPEN and CLOSE. */
static const u8 *walk_nested(Walk *w, Fields *f, u32 *atom, u8 place, u8 inner, const u8 *p, const u8 *end) {
    size_t n;
    u8 tag = *p;
    if (!(p = length_get(p + 1, end, &n)) || !push_field(w, f, atom, mark_atom(w->t, place, OP_OPEN, tag)))
        return NULL;
    end = p + n;
    while (p && p < end && f->n <= TZ_MAX_GROUP_FIELDS)
        p = walk_fields(w, inner, f, TZ_MAX_GROUP_FIELDS + 1, atom, w->column, p, end);
    if (p != end || !push_field(w, f, atom, mark_atom(w->t, place, OP_CLOSE, tag)))
        return NULL;
    return end;
}

/* ResourceSpans and ScopeSpans: one nested message or more, fields, and one run of children. */
static int walk_group(Walk *w, u8 kind, const u8 *p, const u8 *end) {
    Env *env = &w->t->env;
    Batch *b = w->b;
    Fields f = {.node = 1 + kind, .last = 1u + kind};
    u32 atom[TZ_MAX_GROUP_FIELDS + 8], count = 0;
    size_t row = b->kinds[kind].shape.n;
    U32s *counts = kind == KIND_RESOURCE_SPANS ? &b->n_scopes : &b->n_spans;
    /* The record stands before its children: keep its place. */
    VEC_PUSH(env, b->kinds[kind].shape, 0);
    VEC_PUSH(env, b->kinds[kind].values, 0);
    VEC_PUSH(env, *counts, 0);
    while (p && p < end) {
        if (f.n > TZ_MAX_GROUP_FIELDS)
            return 0;
        if (*p == 0x0a) {
            p = walk_nested(w, &f, atom, kind, kind == KIND_RESOURCE_SPANS ? KIND_RESOURCE : KIND_SCOPE, p, end);
            continue;
        }
        if (*p != 0x12) {
            p = walk_fields(w, kind, &f, TZ_MAX_GROUP_FIELDS + 1, atom, w->column, p, end);
            continue;
        }
        if (count)
            return 0;
        while (p < end && *p == 0x12) {
            size_t n;
            if (!(p = length_get(p + 1, end, &n)) || batch_rows(b) - w->first_row > TZ_MAX_PART_ROWS)
                return 0;
            if (kind == KIND_SCOPE_SPANS)
                walk_span(w, p, p + n);
            else if (!walk_group(w, KIND_SCOPE_SPANS, p, p + n))
                return 0;
            p += n;
            count++;
        }
        if (!push_field(w, &f, atom, mark_atom(w->t, kind, OP_CHILDREN, 0x12)))
            return 0;
    }
    if (!p)
        return 0;
    counts->v[row] = count;
    push_record(w, kind, f.node, atom, f.n);
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

/* The atoms and trie nodes 1 + kind are where records of a kind begin; node and atom 0 stand for "none". */
static void tables_begin(Tables *t) {
    if (t->trie.n)
        return;
    VEC_RESIZE(&t->env, t->trie, 1 + N_KINDS);
    string_intern(t, (const u8 *)"", 0);
    u32 none = class_intern(t, N_PLACES, OP_CLOSE, 0, 0, 0);
    Atom a = {.cls = none, .op = OP_CLOSE, .place = N_PLACES};
    for (int i = 0; i < 1 + N_KINDS; i++)
        VEC_PUSH(&t->env, t->atoms, a);
}

void parse_message(Tables *t, Batch *b, const u8 *p, size_t n, const u8 *prefix, size_t prefix_n, u64 skip,
                   u32 continues) {
    tables_begin(t);
    Walk w;
    w.t = t;
    w.b = b;
    w.first_row = batch_rows(b);
    MessageMark mark = {span_mark(b), b->kinds[KIND_RESOURCE_SPANS].shape.n, b->kinds[KIND_SCOPE_SPANS].shape.n,
                        b->trace_hi.n};
    MessageRow row = {.prefix_n = prefix_n, .skip = skip, .continues = continues};
    const u8 *body = p, *end = p + n;
    bytes_append(&t->env, &b->prefixes, prefix, prefix_n);
    while (p < end) {
        size_t length;
        if (*p != 0x0a || !(p = length_get(p + 1, end, &length)) ||
            !walk_group(&w, KIND_RESOURCE_SPANS, p, p + length)) {
            message_cut(b, mark);
            bytes_append(&t->env, &b->prefixes, body + skip, n - (size_t)skip);
            row.prefix_n += n - (size_t)skip;
            row.n_resources = 0;
            row.skip = 0;
            break;
        }
        p += length;
        row.n_resources++;
    }
    VEC_PUSH(&t->env, b->messages, row);
}
