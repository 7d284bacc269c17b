/* What a reader checks of the classes, schemas and shapes it is told, so that columns and records fit together. */
#ifndef TZ_CHECK_H
#define TZ_CHECK_H

#include "state.h"

static int class_is_possible(const Class *c) {
    u32 place = c->place, tag = c->tag;
    switch (c->op) {
        case OP_TRACE_ID: return (place == KIND_SPAN || place == KIND_LINK) && tag == 0x0a;
        case OP_SPAN_ID: return (place == KIND_SPAN || place == KIND_LINK) && tag == 0x12;
        case OP_PARENT_ID: return place == KIND_SPAN && tag == 0x22;
        case OP_START: return (place == KIND_SPAN && tag == 0x39) || (place == KIND_EVENT && tag == 0x09);
        case OP_END: return place == KIND_SPAN && tag == 0x41;
        case OP_CHILDREN:
            return (place < KIND_SPAN && tag == 0x12) || (place == KIND_SPAN && (tag == 0x5a || tag == 0x6a));
        case OP_OPEN:
        case OP_CLOSE: return place < KIND_SPAN && tag == 0x0a;
        case OP_FIELD: return tag >= 8 && ((tag & 7) <= 2 || (tag & 7) == 5);
        case OP_ATTRIBUTE:
            return tag && tag == attribute_tag(place) &&
                   (c->any < 2 || (c->any >= 8 && c->any < 0x80 && ((c->any & 7) <= 2 || (c->any & 7) == 5)));
        case OP_RAW: return place >= KIND_SPAN && place < N_KINDS && tag == 0;
        default: return 0;
    }
}

static void class_check(State *s, const Class *c) {
    if (!class_is_possible(c) || (c->op != OP_ATTRIBUTE && c->any))
        tz_fail(&s->t.env, TZ_CORRUPT, "tree");
}

/* The fields of a record, in some order: each column once, what is opened is closed, nothing beside raw bytes. */
static void fields_check(State *s, u32 kind, const u32 *cls, const u32 *perm, u32 n) {
    const Tables *t = &s->t;
    u32 seen = 0, open = 0, inner = kind == KIND_RESOURCE_SPANS ? KIND_RESOURCE : KIND_SCOPE;
    for (u32 i = 0; i < n; i++) {
        const Class *c = &t->classes.v[cls[perm ? perm[i] : i]];
        u32 bit = c->op < OP_CHILDREN ? c->op : c->op == OP_CHILDREN ? OP_CHILDREN + (c->tag == 0x6a) : 31;
        int fits = c->op == OP_CLOSE ? open == 1 : open ? c->place == inner && c->op >= OP_FIELD : c->place == kind;
        if (!fits || (bit < 31 && seen >> bit & 1) || (c->op == OP_RAW && n != 1))
            tz_fail(&s->t.env, TZ_CORRUPT, "tree");
        if (bit < 31)
            seen |= 1u << bit;
        if (c->op == OP_OPEN)
            open = 1;
        if (c->op == OP_CLOSE)
            open = 0;
    }
    if (open)
        tz_fail(&s->t.env, TZ_CORRUPT, "tree");
}

#define schema_check(s, kind, cls, n) fields_check((s), (kind), (cls), NULL, (n))

#endif
