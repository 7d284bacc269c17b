/* Columns to wire bytes. FORMAT.md, "Records to bytes".
 *
 * Two passes: the first one finds every length, so that the second only copies. */
#include "write.h"

#include "format_limits.h"
#include "wire.h"

enum { STEP_BYTES, STEP_HOLE, STEP_COLUMN, STEP_CHILDREN, STEP_OPEN, STEP_CLOSE };

void writer_free(Writer *w) {
    VEC_FREE(w->steps);
    VEC_FREE(w->run);
    VEC_FREE(w->programs);
    map_free(&w->index);
    for (int k = 0; k < N_KINDS; k++) {
        VEC_FREE(w->size[k]);
        VEC_FREE(w->program[k]);
    }
    VEC_FREE(w->message_size);
}

size_t writer_held(const Writer *w) {
    size_t n = VEC_HELD(w->steps) + VEC_HELD(w->run) + VEC_HELD(w->programs) + VEC_HELD(w->index);
    for (int k = 0; k < N_KINDS; k++)
        n += VEC_HELD(w->size[k]) + VEC_HELD(w->program[k]);
    return n + VEC_HELD(w->message_size);
}

void writer_reset(Writer *w) {
    w->steps.n = w->programs.n = 0;
    map_clear(&w->index);
}

/* --- programs ----------------------------------------------------------------------------------------------------- */

/* Constant bytes gather in `run` until something else follows. */
static void step_bytes(Writer *w, Program *g, const u8 *p, u32 n) {
    g->fixed += n;
    bytes_append(&w->t->env, &w->run, p, n);
}

static void end_run(Writer *w, Program *g) {
    Env *env = &w->t->env;
    if (!w->run.n)
        return;
    Step s = {.kind = STEP_BYTES, .n = (u32)w->run.n, .p = arena_copy(env, &w->t->arena, w->run.v, w->run.n)};
    VEC_PUSH(env, w->steps, s);
    g->n++;
    w->run.n = 0;
}

static void step_plain(Writer *w, Program *g, u8 kind, u8 op, u32 tag) {
    end_run(w, g);
    Step s = {.kind = kind, .op = op, .n = tag};
    VEC_PUSH(&w->t->env, w->steps, s);
    g->n++;
    if (kind == STEP_COLUMN)
        g->fixed += op == OP_TRACE_ID ? 16 : 8;
    if (kind == STEP_OPEN)
        g->has_open = 1;
}

static void step_class(Writer *w, Program *g, u32 cls, u32 atom) {
    Tables *t = w->t;
    u8 op = t->classes.v[cls].op;
    u32 tag = t->classes.v[cls].tag;
    if (t->classes.v[cls].value != VALUE_NONE) {
        if (atom == NO_SLOT)
            step_plain(w, g, STEP_HOLE, op, 0);
        else
            step_bytes(w, g, t->atoms.v[atom].enc, t->atoms.v[atom].enc_n);
    } else if (op == OP_CHILDREN) {
        step_plain(w, g, STEP_CHILDREN, op, tag);
    } else if (op == OP_OPEN || op == OP_CLOSE) {
        step_plain(w, g, op == OP_OPEN ? STEP_OPEN : STEP_CLOSE, op, tag);
    } else {
        u32 a = atom_add(t, cls, 0);
        step_bytes(w, g, t->atoms.v[a].enc, t->atoms.v[a].enc_n);
        if (op < OP_CHILDREN)
            step_plain(w, g, STEP_COLUMN, op, tag);
    }
}

static u32 program_at(Writer *w, u32 shape, u32 path) {
    Tables *t = w->t;
    u32 *at = map_at(&t->env, &w->index, (u64)shape << 32 | (u32)(path + 1), t->seed);
    if (*at)
        return *at - 1;
    const Shape s = t->shapes.v[shape];
    const u32 *cls = schema_classes(t, s.schema);
    Program g = {.first = (u32)w->steps.n};
    for (u32 i = 0; i < t->schemas.v[s.schema].n; i++) {
        u32 place = t->places.v[s.place + i];
        u32 atom = place == NO_SLOT || path == NO_SLOT ? NO_SLOT : t->path_atoms.v[t->paths.v[path].atoms + place];
        step_class(w, &g, cls[t->perms.v[s.perm + i]], atom);
    }
    end_run(w, &g);
    VEC_PUSH(&t->env, w->programs, g);
    *at = (u32)w->programs.n;
    return *at - 1;
}

/* Holes of a record stand in slot order, its steps in the order of the fields. */
static void number_holes(Writer *w, u32 program, u32 shape, u32 path) {
    const Tables *t = w->t;
    const Shape *s = &t->shapes.v[shape];
    const Schema *q = &t->schemas.v[s->schema];
    const u32 *atoms = path == NO_SLOT ? NULL : t->path_atoms.v + t->paths.v[path].atoms;
    Step *step = w->steps.v + w->programs.v[program].first;
    u32 hole[TZ_MAX_FIELDS], n = 0;
    for (u32 i = 0; i < q->n_valued; i++)
        hole[i] = atoms && atoms[i] != NO_SLOT ? NO_SLOT : n++;
    for (u32 i = 0; i < q->n; i++) {
        u32 place = t->places.v[s->place + i];
        if (place == NO_SLOT || hole[place] == NO_SLOT)
            continue;
        while (step->kind != STEP_HOLE)
            step++;
        step++->n = hole[place];
    }
}

/* --- measuring ---------------------------------------------------------------------------------------------------- */

typedef struct {
    size_t at[N_KINDS];
} Cursor;

static u64 field_size(u64 body) { return 1 + varint_size(body) + body; }

/* Bytes between an OPEN and its CLOSE. */
static u64 nested_size(const Writer *w, const Step *s, const u32 *holes) {
    u64 n = 0;
    for (s++; s->kind != STEP_CLOSE; s++)
        n += s->kind == STEP_BYTES ? s->n : w->t->atoms.v[holes[s->n]].enc_n;
    return n;
}

static u64 record_size(const Writer *w, const Program *g, const u32 *holes) {
    u64 n = g->fixed;
    const Step *s = w->steps.v + g->first, *end = s + g->n;
    for (; s < end; s++) {
        if (s->kind == STEP_HOLE)
            n += w->t->atoms.v[holes[s->n]].enc_n;
        if (s->kind == STEP_OPEN)
            n += 1 + varint_size(nested_size(w, s, holes));
    }
    return n;
}

static u64 measure(Writer *w, const Batch *b, u32 kind, Cursor *c);

static u64 measure_children(Writer *w, const Batch *b, u32 kind, size_t row, Cursor *c) {
    u64 n = 0;
    u32 count = 0, child = kind + 1;
    switch (kind) {
        case KIND_RESOURCE_SPANS: count = b->n_scopes.v[row]; break;
        case KIND_SCOPE_SPANS: count = b->n_spans.v[row]; break;
        case KIND_SPAN:
            for (u32 i = 0; i < b->n_events.v[row]; i++)
                n += field_size(measure(w, b, KIND_EVENT, c));
            count = b->n_links.v[row];
            child = KIND_LINK;
            break;
        default: return 0;
    }
    for (u32 i = 0; i < count; i++)
        n += field_size(measure(w, b, child, c));
    return n;
}

/* A record without its children. */
static u64 measure_own(Writer *w, const Batch *b, u32 kind, size_t row) {
    const Records *r = &b->kinds[kind];
    u32 shape = r->shape.v[row], path = r->path.n ? r->path.v[row] : NO_SLOT;
    size_t known = w->programs.n;
    u32 program = program_at(w, shape, path);
    if (program == known)
        number_holes(w, program, shape, path);
    w->program[kind].v[row] = program;
    u64 n = record_size(w, &w->programs.v[program], b->atoms.v + r->values.v[row]);
    w->generated += n;
    if (w->generated > TZ_MAX_GENERATED)
        tz_fail(&w->t->env, TZ_LIMIT, "size");
    return n;
}

static u64 measure(Writer *w, const Batch *b, u32 kind, Cursor *c) {
    size_t row = c->at[kind]++;
    u64 n = measure_own(w, b, kind, row);
    n += measure_children(w, b, kind, row, c);
    w->size[kind].v[row] = n;
    return n;
}

static void make_room(Writer *w, const Batch *b) {
    w->generated = 0;
    for (u32 k = 0; k < N_KINDS; k++) {
        VEC_RESIZE(&w->t->env, w->size[k], b->kinds[k].shape.n);
        VEC_RESIZE(&w->t->env, w->program[k], b->kinds[k].shape.n);
    }
}

/* Goes on to a later span, and to its children. */
static void cursor_to(const Batch *b, Cursor *c, size_t row) {
    for (; c->at[KIND_SPAN] < row; c->at[KIND_SPAN]++) {
        c->at[KIND_EVENT] += b->n_events.v[c->at[KIND_SPAN]];
        c->at[KIND_LINK] += b->n_links.v[c->at[KIND_SPAN]];
    }
}

void writer_measure_rows(Writer *w, const Batch *b, u32 kind, const u32 *rows, size_t n, u64 *n_bytes) {
    Cursor c = {{0}};
    make_room(w, b);
    for (size_t i = 0; i < n; i++) {
        if (kind == KIND_SPAN)
            cursor_to(b, &c, rows[i]);
        n_bytes[i] = kind == KIND_SPAN ? measure(w, b, kind, &c) : measure_own(w, b, kind, rows[i]);
    }
}

u64 writer_measure(Writer *w, const Batch *b) {
    Env *env = &w->t->env;
    Cursor c = {{0}};
    u64 total = 0, generated = 0;
    make_room(w, b);
    VEC_RESIZE(env, w->message_size, b->messages.n);
    for (size_t i = 0; i < b->messages.n; i++) {
        const MessageRow *m = &b->messages.v[i];
        u64 n = 0;
        for (u32 k = 0; k < m->n_resources; k++)
            n += field_size(measure(w, b, KIND_RESOURCE_SPANS, &c));
        generated += n;
        if (generated > TZ_MAX_GENERATED)
            tz_fail(env, TZ_LIMIT, "size");
        if (m->skip > n)
            tz_fail(env, TZ_CORRUPT, "envelope");
        w->message_size.v[i] = m->prefix_n + n - m->skip;
        total += w->message_size.v[i];
    }
    return total;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static u8 *put_be(u8 *p, u64 v) {
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
    return p + 8;
}

static u8 *put_column(const Batch *b, u32 kind, u8 op, size_t row, u8 *p) {
    u64 v = 0;
    switch (op) {
        case OP_TRACE_ID:
            p = put_be(p, kind == KIND_LINK ? b->link_hi.v[row] : b->trace_hi.v[row]);
            return put_be(p, kind == KIND_LINK ? b->link_lo.v[row] : b->trace_lo.v[row]);
        case OP_SPAN_ID: return put_be(p, kind == KIND_LINK ? b->link_span.v[row] : b->span_id.v[row]);
        case OP_PARENT_ID: return put_be(p, b->parent_id.v[row]);
        case OP_START: v = kind == KIND_EVENT ? b->event_time.v[row] : b->start.v[row]; break;
        default: v = b->end.v[row];
    }
    memcpy(p, &v, 8);
    return p + 8;
}

static u8 *put_record(Writer *w, const Batch *b, u32 kind, u8 tag, Cursor *c, u8 *p);

static u8 *put_children(Writer *w, const Batch *b, u32 kind, u8 tag, size_t row, Cursor *c, u8 *p) {
    u32 count, child = kind + 1;
    if (kind == KIND_RESOURCE_SPANS)
        count = b->n_scopes.v[row];
    else if (kind == KIND_SCOPE_SPANS)
        count = b->n_spans.v[row];
    else if (tag == 0x5a)
        count = b->n_events.v[row];
    else
        count = b->n_links.v[row], child = KIND_LINK;
    for (u32 i = 0; i < count; i++)
        p = put_record(w, b, child, tag, c, p);
    return p;
}

/* Without a cursor: but for the children. */
static u8 *put_body(Writer *w, const Batch *b, u32 kind, size_t row, Cursor *c, u8 *p) {
    const Program *g = &w->programs.v[w->program[kind].v[row]];
    const u32 *holes = b->atoms.v + b->kinds[kind].values.v[row];
    const Step *s = w->steps.v + g->first, *end = s + g->n;
    for (; s < end; s++) {
        switch (s->kind) {
            case STEP_BYTES:
                memcpy(p, s->p, s->n);
                p += s->n;
                break;
            case STEP_COLUMN: p = put_column(b, kind, s->op, row, p); break;
            case STEP_HOLE: {
                const Atom *a = &w->t->atoms.v[holes[s->n]];
                memcpy(p, a->enc, a->enc_n);
                p += a->enc_n;
                break;
            }
            case STEP_CHILDREN: p = c ? put_children(w, b, kind, (u8)s->n, row, c, p) : p; break;
            case STEP_OPEN:
                *p++ = (u8)s->n;
                p = varint_put(p, nested_size(w, s, holes));
                break;
            default: break;
        }
    }
    return p;
}

static u8 *put_record(Writer *w, const Batch *b, u32 kind, u8 tag, Cursor *c, u8 *p) {
    size_t row = c->at[kind]++;
    *p++ = tag;
    return put_body(w, b, kind, row, c, varint_put(p, w->size[kind].v[row]));
}

void writer_write_rows(Writer *w, const Batch *b, u32 kind, const u32 *rows, size_t n, u8 *const *to) {
    Cursor c = {{0}};
    for (size_t i = 0; i < n; i++) {
        if (kind == KIND_SPAN)
            cursor_to(b, &c, rows[i]);
        put_body(w, b, kind, rows[i], kind == KIND_SPAN ? &c : NULL, to[i]);
        c.at[KIND_SPAN] += kind == KIND_SPAN;
    }
}

/* What is generated is longer than what is kept: it is written aside. Cutting a message is rare. */
static void write_kept(Writer *w, const Batch *b, const MessageRow *m, u64 n, Cursor *c, u8 *to) {
    u8 *aside = malloc(n + m->skip), *p = aside;
    if (!aside)
        tz_fail(&w->t->env, TZ_NO_MEMORY, "memory");
    for (u32 k = 0; k < m->n_resources; k++)
        p = put_record(w, b, KIND_RESOURCE_SPANS, 0x0a, c, p);
    if (n)
        memcpy(to, aside + m->skip, n);
    free(aside);
}

void writer_write(Writer *w, const Batch *b, u8 *const *to) {
    Cursor c = {{0}};
    const u8 *prefix = b->prefixes.v;
    for (size_t i = 0; i < b->messages.n; i++) {
        const MessageRow *m = &b->messages.v[i];
        u8 *p = to[i] + m->prefix_n;
        if (m->prefix_n)
            memcpy(to[i], prefix, m->prefix_n);
        prefix += m->prefix_n;
        if (m->skip)
            write_kept(w, b, m, w->message_size.v[i] - m->prefix_n, &c, p);
        else
            for (u32 k = 0; k < m->n_resources; k++)
                p = put_record(w, b, KIND_RESOURCE_SPANS, 0x0a, &c, p);
    }
}
