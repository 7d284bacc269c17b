/* Columns to wire bytes. FORMAT.md, "Records to bytes".
 *
 * Two passes: the first one finds every length, so that the second only copies. Runs of bytes are short, and copying
 * them is most of the second pass: it copies whole pieces, and so writes up to WRITE_SLACK bytes behind what it means
 * to. What follows overwrites them. Where that is not so, near the end of a message, it goes byte by byte. */
#include "write.h"

#include "format_limits.h"
#include "wire.h"

enum { STEP_BYTES, STEP_HOLE, STEP_CHILDREN, STEP_OPEN, STEP_CLOSE };

#define PIECE       32
#define WRITE_SLACK PIECE
_Static_assert(WRITE_SLACK <= ARENA_SLACK, "pieces are read behind the end of what stands in an arena");

void writer_free(Writer *w) {
    VEC_FREE(w->steps);
    VEC_FREE(w->run);
    VEC_FREE(w->programs);
    map_free(&w->index);
    VEC_FREE(w->last);
    for (int k = 0; k < N_KINDS; k++) {
        VEC_FREE(w->size[k]);
        VEC_FREE(w->program[k]);
    }
    VEC_FREE(w->message_size);
}

size_t writer_held(const Writer *w) {
    size_t n = VEC_HELD(w->steps) + VEC_HELD(w->run) + VEC_HELD(w->programs) + VEC_HELD(w->index) + VEC_HELD(w->last);
    for (int k = 0; k < N_KINDS; k++)
        n += VEC_HELD(w->size[k]) + VEC_HELD(w->program[k]);
    return n + VEC_HELD(w->message_size);
}

void writer_reset(Writer *w) {
    w->steps.n = w->programs.n = w->last.n = 0;
    map_clear(&w->index);
}

/* Whole pieces: up to WRITE_SLACK bytes behind the n are written and read, too. */
TZ_INLINE u8 *put_pieces(u8 *to, const u8 *p, u32 n) {
    for (u32 i = 0; i < n; i += PIECE)
        memcpy(to + i, p + i, PIECE);
    return to + n;
}

/* --- programs ----------------------------------------------------------------------------------------------------- */

/* Constant bytes gather in `run` until something else follows. */
static void step_bytes(Writer *w, Program *g, const u8 *p, u32 n) {
    VEC_RESERVE(&w->t->env, w->run, n + WRITE_SLACK);
    put_pieces(w->run.v + w->run.n, p, n);
    w->run.n += n;
    g->fixed += n;
}

/* The place of a column in the run, behind its tag. */
static void step_column(Writer *w, Program *g, u8 op, u32 tag) {
    u32 n = op == OP_TRACE_ID ? 16 : 8, start = (u32)w->run.n;
    VEC_RESERVE(&w->t->env, w->run, 10 + 1 + 16);
    u8 *p = varint_put(w->run.v + start, tag);
    if ((tag & 7) == WIRE_BYTES)
        *p++ = (u8)n;
    w->columns.has |= (u8)(1u << op);
    w->columns.at[op] = (u32)(p - w->run.v);
    memset(p, 0, n);
    w->run.n = w->columns.at[op] + n;
    g->fixed += (u32)w->run.n - start;
}

static void end_run(Writer *w, Program *g) {
    Env *env = &w->t->env;
    Step s = w->columns;
    if (!w->run.n)
        return;
    s.kind = STEP_BYTES;
    s.n = (u32)w->run.n;
    s.p = arena_copy(env, &w->t->arena, w->run.v, w->run.n);
    for (u32 op = 0; op < OP_CHILDREN; op++)
        if (!(s.has >> op & 1))
            s.at[op] = s.n;
    VEC_PUSH(env, w->steps, s);
    g->n++;
    w->run.n = 0;
    w->columns.has = 0;
}

static void step_plain(Writer *w, Program *g, u8 kind, u32 n) {
    end_run(w, g);
    Step s = {.kind = kind, .n = n};
    VEC_PUSH(&w->t->env, w->steps, s);
    g->n++;
    g->n_holes += kind == STEP_HOLE;
    g->has_open |= kind == STEP_OPEN;
}

static void step_class(Writer *w, Program *g, u32 cls, u32 atom) {
    Tables *t = w->t;
    u8 op = t->classes.v[cls].op;
    u32 tag = t->classes.v[cls].tag;
    if (t->classes.v[cls].value != VALUE_NONE) {
        if (atom == NO_SLOT)
            step_plain(w, g, STEP_HOLE, 0);
        else
            step_bytes(w, g, t->atoms.v[atom].enc, t->atoms.v[atom].enc_n);
    } else if (op == OP_CHILDREN) {
        step_plain(w, g, STEP_CHILDREN, tag);
    } else if (op == OP_OPEN || op == OP_CLOSE) {
        step_plain(w, g, op == OP_OPEN ? STEP_OPEN : STEP_CLOSE, tag);
    } else if (op < OP_CHILDREN) {
        step_column(w, g, op, tag);
    } else {
        u32 a = atom_add(t, cls, 0);
        step_bytes(w, g, t->atoms.v[a].enc, t->atoms.v[a].enc_n);
    }
}

/* Holes of a record stand in slot order, its steps in the order of the fields. */
static void number_holes(Writer *w, const Program *g, u32 shape, const u32 *atoms) {
    const Tables *t = w->t;
    const Shape *s = &t->shapes.v[shape];
    const Schema *q = &t->schemas.v[s->schema];
    Step *step = w->steps.v + g->first;
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

static Program program_make(Writer *w, u32 shape, u32 path) {
    Tables *t = w->t;
    const Shape s = t->shapes.v[shape];
    const u32 *cls = schema_classes(t, s.schema), *atoms = NULL;
    Program g = {.first = (u32)w->steps.n};
    if (path != NO_SLOT)
        atoms = t->path_atoms.v + t->paths.v[path].atoms;
    w->run.n = 0;
    w->columns = (Step){0};
    for (u32 i = 0; i < t->schemas.v[s.schema].n; i++) {
        u32 place = t->places.v[s.place + i];
        step_class(w, &g, cls[t->perms.v[s.perm + i]], place == NO_SLOT || !atoms ? NO_SLOT : atoms[place]);
    }
    end_run(w, &g);
    if (g.n_holes)
        number_holes(w, &g, shape, atoms);
    return g;
}

static u32 program_find(Writer *w, u32 shape, u32 path) {
    Tables *t = w->t;
    u32 *at = map_at(&t->env, &w->index, (u64)shape << 32 | (u32)(path + 1), t->seed);
    if (!*at) {
        Program g = program_make(w, shape, path);
        VEC_PUSH(&t->env, w->programs, g);
        *at = (u32)w->programs.n;
    }
    return *at - 1;
}

/* The same for records of a path: most have the shape of the one before. */
TZ_INLINE u32 program_of_path(Writer *w, u32 shape, u32 path) {
    if (w->last.v[path].shape != shape || !w->last.v[path].program1)
        w->last.v[path] = (LastProgram){shape, program_find(w, shape, path) + 1};
    return w->last.v[path].program1 - 1;
}

/* --- measuring ---------------------------------------------------------------------------------------------------- */

typedef struct {
    size_t at[N_KINDS];
} Cursor;

TZ_INLINE u64 field_size(u64 body) { return 1 + varint_size(body) + body; }

/* Bytes between an OPEN and its CLOSE. */
static u64 nested_size(const Writer *w, const Step *s, const u32 *holes) {
    u64 n = 0;
    for (s++; s->kind != STEP_CLOSE; s++)
        n += s->kind == STEP_BYTES ? s->n : w->t->atoms.v[holes[s->n]].enc_n;
    return n;
}

/* What the lengths of resources and scopes need. */
static u64 opens_size(const Writer *w, const Program *g, const u32 *holes) {
    u64 n = 0;
    const Step *s = w->steps.v + g->first, *end = s + g->n;
    for (; s < end; s++)
        if (s->kind == STEP_OPEN)
            n += 1 + varint_size(nested_size(w, s, holes));
    return n;
}

/* A record without its children. */
TZ_INLINE u64 measure_own(Writer *w, const Batch *b, u32 kind, size_t row) {
    const Records *r = &b->kinds[kind];
    u32 shape = r->shape.v[row], program;
    program = r->path.n ? program_of_path(w, shape, r->path.v[row]) : program_find(w, shape, NO_SLOT);
    w->program[kind].v[row] = program;
    const Program *g = &w->programs.v[program];
    const u32 *holes = b->atoms.v + r->values.v[row];
    u64 n = g->fixed;
    for (u32 i = 0; i < g->n_holes; i++)
        n += w->t->atoms.v[holes[i]].enc_n;
    if (g->has_open)
        n += opens_size(w, g, holes);
    w->generated += n;
    if (w->generated > TZ_MAX_GENERATED)
        tz_fail(&w->t->env, TZ_LIMIT, "size");
    return n;
}

static u64 measure_leaf(Writer *w, const Batch *b, u32 kind, Cursor *c) {
    size_t row = c->at[kind]++;
    return w->size[kind].v[row] = measure_own(w, b, kind, row);
}

static u64 measure_span(Writer *w, const Batch *b, Cursor *c) {
    size_t row = c->at[KIND_SPAN]++;
    u64 n = measure_own(w, b, KIND_SPAN, row);
    for (u32 i = 0; i < b->n_events.v[row]; i++)
        n += field_size(measure_leaf(w, b, KIND_EVENT, c));
    for (u32 i = 0; i < b->n_links.v[row]; i++)
        n += field_size(measure_leaf(w, b, KIND_LINK, c));
    return w->size[KIND_SPAN].v[row] = n;
}

static u64 measure_scope(Writer *w, const Batch *b, Cursor *c) {
    size_t row = c->at[KIND_SCOPE_SPANS]++;
    u64 n = measure_own(w, b, KIND_SCOPE_SPANS, row);
    for (u32 i = 0; i < b->n_spans.v[row]; i++)
        n += field_size(measure_span(w, b, c));
    return w->size[KIND_SCOPE_SPANS].v[row] = n;
}

static u64 measure_resource(Writer *w, const Batch *b, Cursor *c) {
    size_t row = c->at[KIND_RESOURCE_SPANS]++;
    u64 n = measure_own(w, b, KIND_RESOURCE_SPANS, row);
    for (u32 i = 0; i < b->n_scopes.v[row]; i++)
        n += field_size(measure_scope(w, b, c));
    return w->size[KIND_RESOURCE_SPANS].v[row] = n;
}

static void make_room(Writer *w, const Batch *b) {
    w->generated = 0;
    VEC_RESIZE(&w->t->env, w->last, w->t->paths.n);
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
        n_bytes[i] = kind == KIND_SPAN ? measure_span(w, b, &c) : measure_own(w, b, kind, rows[i]);
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
            n += field_size(measure_resource(w, b, &c));
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

TZ_INLINE u8 *put_bytes(u8 *to, const u8 *p, u32 n, int has_slack) {
    if (has_slack)
        return put_pieces(to, p, n);
    if (n)
        memcpy(to, p, n);
    return to + n;
}

TZ_INLINE void put_be(u8 *p, u64 v) {
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

TZ_INLINE void put_le(u8 *p, u64 v) { memcpy(p, &v, 8); }

/* The columns of a run that stands at p. A column that it has not is put behind it if there is slack. */
TZ_INLINE void put_columns(const Batch *b, u32 kind, const Step *s, size_t row, u8 *p, int has_slack) {
    u32 has = has_slack ? ~0u : s->has;
    if (kind == KIND_EVENT) {
        if (has >> OP_START & 1)
            put_le(p + s->at[OP_START], b->event_time.v[row]);
        return;
    }
    int is_link = kind == KIND_LINK;
    if (has >> OP_TRACE_ID & 1) {
        put_be(p + s->at[OP_TRACE_ID], is_link ? b->link_hi.v[row] : b->trace_hi.v[row]);
        put_be(p + s->at[OP_TRACE_ID] + 8, is_link ? b->link_lo.v[row] : b->trace_lo.v[row]);
    }
    if (has >> OP_SPAN_ID & 1)
        put_be(p + s->at[OP_SPAN_ID], is_link ? b->link_span.v[row] : b->span_id.v[row]);
    if (is_link)
        return;
    if (has >> OP_PARENT_ID & 1)
        put_be(p + s->at[OP_PARENT_ID], b->parent_id.v[row]);
    if (has >> OP_START & 1)
        put_le(p + s->at[OP_START], b->start.v[row]);
    if (has >> OP_END & 1)
        put_le(p + s->at[OP_END], b->end.v[row]);
}

/* Where the bytes go, and how many of them there may be. */
typedef struct {
    u8 *end;
    Cursor c;
} Target;

static u8 *put_children(Writer *w, const Batch *b, u32 kind, u8 tag, size_t row, Target *to, u8 *p);

/* Without a target: but for the children. */
TZ_INLINE u8 *put_body(Writer *w, const Batch *b, u32 kind, size_t row, Target *to, u8 *p, int has_slack) {
    const Program *g = &w->programs.v[w->program[kind].v[row]];
    const u32 *holes = b->atoms.v + b->kinds[kind].values.v[row];
    const Step *s = w->steps.v + g->first, *end = s + g->n;
    for (; s < end; s++) {
        if (s->kind == STEP_BYTES) {
            u8 *run = p;
            p = put_bytes(p, s->p, s->n, has_slack);
            if (s->has)
                put_columns(b, kind, s, row, run, has_slack);
        } else if (s->kind == STEP_HOLE) {
            const Atom *a = &w->t->atoms.v[holes[s->n]];
            p = put_bytes(p, a->enc, a->enc_n, has_slack);
        } else if (s->kind == STEP_CHILDREN) {
            p = to ? put_children(w, b, kind, (u8)s->n, row, to, p) : p;
        } else if (s->kind == STEP_OPEN) {
            *p++ = (u8)s->n;
            p = varint_put(p, nested_size(w, s, holes));
        }
    }
    return p;
}

TZ_INLINE u8 *put_record(Writer *w, const Batch *b, u32 kind, u8 tag, Target *to, u8 *p) {
    size_t row = to->c.at[kind]++;
    u64 n = w->size[kind].v[row];
    *p++ = tag;
    p = varint_put(p, n);
    if (n + WRITE_SLACK <= (size_t)(to->end - p))
        return put_body(w, b, kind, row, to, p, 1);
    return put_body(w, b, kind, row, to, p, 0);
}

static u8 *put_children(Writer *w, const Batch *b, u32 kind, u8 tag, size_t row, Target *to, u8 *p) {
    if (kind == KIND_RESOURCE_SPANS)
        for (u32 i = 0; i < b->n_scopes.v[row]; i++)
            p = put_record(w, b, KIND_SCOPE_SPANS, tag, to, p);
    else if (kind == KIND_SCOPE_SPANS)
        for (u32 i = 0; i < b->n_spans.v[row]; i++)
            p = put_record(w, b, KIND_SPAN, tag, to, p);
    else if (tag == 0x5a)
        for (u32 i = 0; i < b->n_events.v[row]; i++)
            p = put_record(w, b, KIND_EVENT, tag, to, p);
    else
        for (u32 i = 0; i < b->n_links.v[row]; i++)
            p = put_record(w, b, KIND_LINK, tag, to, p);
    return p;
}

void writer_write_rows(Writer *w, const Batch *b, u32 kind, const u32 *rows, size_t n, u8 *const *to) {
    Target span = {0};
    for (size_t i = 0; i < n; i++) {
        if (kind == KIND_SPAN)
            cursor_to(b, &span.c, rows[i]);
        span.end = to[i] + w->size[kind].v[rows[i]];
        put_body(w, b, kind, rows[i], kind == KIND_SPAN ? &span : NULL, to[i], 0);
        span.c.at[KIND_SPAN] += kind == KIND_SPAN;
    }
}

static u8 *write_resources(Writer *w, const Batch *b, u32 n, Target *to, u8 *p) {
    for (u32 i = 0; i < n; i++)
        p = put_record(w, b, KIND_RESOURCE_SPANS, 0x0a, to, p);
    return p;
}

/* What is generated is longer than what is kept: it is written aside. Cutting a message is rare. */
static void write_kept(Writer *w, const Batch *b, const MessageRow *m, u64 n, Target *to, u8 *p) {
    u8 *aside = malloc(n + m->skip);
    if (!aside)
        tz_fail(&w->t->env, TZ_NO_MEMORY, "memory");
    to->end = aside + n + m->skip;
    write_resources(w, b, m->n_resources, to, aside);
    if (n)
        memcpy(p, aside + m->skip, n);
    free(aside);
}

void writer_write(Writer *w, const Batch *b, u8 *const *to) {
    Target target = {0};
    const u8 *prefix = b->prefixes.v;
    for (size_t i = 0; i < b->messages.n; i++) {
        const MessageRow *m = &b->messages.v[i];
        u8 *p = to[i] + m->prefix_n;
        if (m->prefix_n)
            memcpy(to[i], prefix, m->prefix_n);
        prefix += m->prefix_n;
        target.end = to[i] + w->message_size.v[i];
        if (m->skip)
            write_kept(w, b, m, w->message_size.v[i] - m->prefix_n, &target, p);
        else
            write_resources(w, b, m->n_resources, &target, p);
    }
}
