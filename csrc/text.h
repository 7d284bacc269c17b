/* Streams of plain bytes, and texts: whole, or as a skeleton and its fields. FORMAT.md, "Texts". */
#ifndef TZ_TEXT_H
#define TZ_TEXT_H

#include "skeleton.h"
#include "state.h"
#include "wire.h"

/* --- plain bytes ---------------------------------------------------------------------------------------------------
 */

/* Copies `n` bytes to the stream when writing, from it when reading. */
static void stream_bytes(State *s, u32 stream, u8 *p, size_t n) {
    Plain *q = &s->streams[stream];
#if TZ_ENCODING
    bytes_append(&s->t.env, &q->out, p, n);
#else
    if (n > (size_t)(q->end - q->p))
        tz_fail(&s->t.env, TZ_CORRUPT, q->name);
    if (n)
        memcpy(p, q->p, n);
    q->p += n;
#endif
}

#if !TZ_ENCODING
/* The next `n` bytes of a stream, where they lie. */
static const u8 *stream_take(State *s, u32 stream, u64 n) {
    Plain *q = &s->streams[stream];
    if (n > (u64)(q->end - q->p))
        tz_fail(&s->t.env, TZ_CORRUPT, q->name);
    q->p += n;
    return q->p - n;
}
#endif

static void code_prefix(State *s, u64 n) {
    if (!n)
        return;
#if TZ_ENCODING
    bytes_append(&s->t.env, &s->streams[PREFIXES].out, s->b.prefixes.v + s->prefix_at, (size_t)n);
    s->prefix_at += n;
#else
    bytes_append(&s->t.env, &s->b.prefixes, stream_take(s, PREFIXES, n), (size_t)n);
#endif
}

/* --- the budget -----------------------------------------------------------------------------------------------------
 */

#if TZ_ENCODING
#define budget_spend(s, n) ((void)0)
#else
/* What an honest block tells is bounded by its messages' bytes. FORMAT.md, "Budget". */
static void budget_spend(State *s, u64 n) {
    if (n > s->budget)
        tz_fail(&s->t.env, TZ_LIMIT, "text");
    s->budget -= n;
}
#endif

/* --- series of numbers ---------------------------------------------------------------------------------------------
 */

/* Each base has a running cost; the cheapest available one is used. */
TZ_INLINE u32 cheapest(const u32 *cost, u32 available, u32 n) {
    u32 best = NONE;
    for (u32 i = 0; i < n; i++) { /* no branch: which bases there are cannot be foretold */
        u32 key = cost[i] << 4 | i | (available >> i & 1 ? 0 : 1u << 31);
        best = key < best ? key : best;
    }
    return best & 15;
}

TZ_INLINE void learn_costs(u32 *cost, const u64 *base, u32 available, u32 n, u64 v) {
    for (u32 i = 0; i < n; i++) {
        u64 d = v - base[i];
        i32 bits = (i32)(16 * bit_length(d >> 63 ? 0 - d : d)), move = (bits - (i32)cost[i]) >> 3;
        cost[i] += available >> i & 1 ? (u32)move : 0;
    }
}

static Series *series(State *s, u32 family, u32 a, u32 b) {
    u32 *at = map_at(&s->t.env, &s->series_index, (u64)family << 56 | (u64)a << 28 | b, s->t.seed);
    if (!*at) {
        Series fresh = {0};
        VEC_PUSH(&s->t.env, s->series, fresh);
        *at = (u32)s->series.n;
    }
    return &s->series.v[*at - 1];
}

/* A number that no dictionary has: itself, or its difference to the last one of its series. `family` and the next one
 * are the contexts of the two. */
static u64 code_series(State *s, Coder *c, u32 family, u32 a, u32 b, u64 v) {
    Series *q = series(s, family, a, b);
    u64 base[2] = {0, q->last};
    u32 at = cheapest(q->cost, 3, 2);
    v = base[at] + code_number(c, context(&s->x, family + at, a, b, PAIR_CELLS), v - base[at]);
    learn_costs(q->cost, base, 3, 2, v);
    q->last = v;
    return v;
}

/* --- texts ---------------------------------------------------------------------------------------------------------
 */

/* Which skeleton a text has, or NONE. */
static u32 code_skeleton(State *s, Coder *c, u32 cls, u32 v) {
    u32 n = (u32)s->def_skeletons.n;
    if (!code_bit(c, context(&s->x, F_TEXT, cls, 0, BIT_CELLS), v != NONE))
        return NONE;
    if (!n)
        tz_fail(&s->t.env, TZ_CORRUPT, "text");
    return s->def_skeletons.v[code_choice(c, context(&s->x, F_SKELETON, cls, 0, PAIR_CELLS), n,
                                          TZ_ENCODING ? s->skeletons.v[v].def - 1 : 0, "text")];
}

/* Hexadecimal digits, two a byte; the first one alone if their number is odd. */
static void code_hex(State *s, u8 *digits, u32 n) {
    u8 packed[(MAX_HEX + 1) / 2], *out = digits;
    u32 n_bytes = (n + 1) / 2;
    if (TZ_ENCODING)
        hex_pack(digits, n, packed);
    stream_bytes(s, BINARY, packed, n_bytes);
    if (!TZ_ENCODING)
        hex_unpack(packed, n, out);
}

static u32 code_width(State *s, Coder *c, u32 name, u32 i, u32 n, u32 least, u32 most) {
    u64 more = code_small(c, context(&s->x, F_FIELD_WIDTH, name, i, SMALL_CELLS), n - least);
    if (more > most - least)
        tz_fail(&s->t.env, TZ_CORRUPT, "text");
    return (u32)more + least;
}

/* How a UUID is told: anew, as the last one of the same field, or by its number. */
enum { UUID_NEW, UUID_AGAIN, UUID_KNOWN };

static u32 uuid_find(State *s, const Uuid *v) {
    u32 hash = (u32)hash_bytes(v->digits, sizeof v->digits, s->t.seed), i;
    for (size_t at = INDEX_FIRST(s->uuid_index, hash); (at = index_next(&s->uuid_index, at, hash, &i)) != INDEX_END;
         at++)
        if (!memcmp(s->uuids.v[i].digits, v->digits, sizeof v->digits))
            return i;
    return NONE;
}

static u32 uuid_add(State *s, const Uuid *v) {
    VEC_PUSH(&s->t.env, s->uuids, *v);
    if (TZ_ENCODING)
        index_add(&s->t.env, &s->uuid_index, (u32)hash_bytes(v->digits, sizeof v->digits, s->t.seed),
                  (u32)s->uuids.n - 1);
    return (u32)s->uuids.n - 1;
}

/* A UUID that was not told before. The digits of its version and variant take few values; the others are packed. */
static void code_new_uuid(State *s, Coder *c, Uuid *v) {
    u8 packed[15], *d = v->digits;
    u8 version = d[6] >> 4, variant = d[8] >> 4;
    if (TZ_ENCODING) {
        memcpy(packed, d, 6);
        packed[6] = (u8)(d[6] << 4 | (d[8] & 15));
        packed[7] = d[7];
        memcpy(packed + 8, d + 9, 7);
    }
    version = (u8)code_nibble(c, context(&s->x, F_UUID, 1, 0, NIBBLE_CELLS), version);
    variant = (u8)code_nibble(c, context(&s->x, F_UUID, 2, 0, NIBBLE_CELLS), variant);
    stream_bytes(s, BINARY, packed, sizeof packed);
    if (!TZ_ENCODING) {
        memcpy(d, packed, 6);
        d[6] = (u8)(version << 4 | packed[6] >> 4);
        d[7] = packed[7];
        d[8] = (u8)(variant << 4 | (packed[6] & 15));
        memcpy(d + 9, packed + 8, 7);
    }
}

/* A UUID of a field, by its number among those told. */
static void code_uuid(State *s, Coder *c, u32 name, u32 i, Uuid *v) {
    Series *field = series(s, F_FIELD, name, i);
    u32 n = (u32)s->uuids.n, last = field->last ? (u32)field->last - 1 : NONE, r = TZ_ENCODING ? uuid_find(s, v) : NONE;
    u32 told = r == NONE ? UUID_NEW : r == last ? UUID_AGAIN : UUID_KNOWN;
    told = code_nibble(c, context(&s->x, F_FIELD, name, i, NIBBLE_CELLS), told);
    if (told == UUID_NEW) {
        code_new_uuid(s, c, v);
        r = uuid_add(s, v);
    } else if (told == UUID_AGAIN) {
        r = last;
    } else if (told == UUID_KNOWN && n) {
        r = code_choice(c, family_context(&s->x, F_UUID, PAIR_CELLS), n, r, "text");
    }
    if (r == NONE)
        tz_fail(&s->t.env, TZ_CORRUPT, "text");
    series(s, F_FIELD, name, i)->last = (u64)r + 1;
    *v = s->uuids.v[r];
}

/* One field at p; returns the end of its text. */
static u8 *code_field(State *s, Coder *c, u32 skeleton, u32 i, u8 kind, u8 *p) {
    u32 n, name = s->skeletons.v[skeleton].def;
    u64 number = 0;
    u8 digits[32];
    Uuid uuid = {{0}};
    switch (kind) {
        case FIELD_UUID:
            if (TZ_ENCODING) {
                uuid_pack(p, digits);
                hex_pack(digits, 32, uuid.digits);
            }
            code_uuid(s, c, name, i, &uuid);
            if (!TZ_ENCODING) {
                hex_unpack(uuid.digits, 32, digits);
                uuid_unpack(digits, p);
            }
            return p + 36;
        case FIELD_HEX:
            n = code_width(s, c, name, i, TZ_ENCODING ? hex_length(p) : 0, MIN_HEX, MAX_HEX);
            code_hex(s, p, n);
            return p + n;
        case FIELD_PADDED:
            n = code_width(s, c, name, i, TZ_ENCODING ? digits_length(p) : 0, 1, MAX_DIGITS);
            if (TZ_ENCODING)
                number = digits_number(p, n);
            number = code_series(s, c, F_FIELD, name, i, number);
            if (!TZ_ENCODING)
                digits_put(p, n, number);
            return p + n;
        default:
            n = TZ_ENCODING ? digits_length(p) : 0;
            if (TZ_ENCODING)
                number = digits_number(p, n);
            number = code_series(s, c, F_FIELD, name, i, number);
            if (!TZ_ENCODING)
                digits_put(p, n = decimal_width(number), number);
            return p + n;
    }
}

/* Writing: codes the fields found in a text. Reading: makes the text in `out`, which has room, and returns its end. */
static u8 *code_fields(State *s, Coder *c, u32 skeleton, u8 *out) {
    const Skeleton k = s->skeletons.v[skeleton];
    u32 field = 0;
    for (u32 i = 0; i < k.n; i++) {
        if (k.p[i] >= FIELD_FIRST && k.p[i] <= FIELD_LAST) {
            out = code_field(s, c, skeleton, field++, k.p[i], out);
        } else {
            if (!TZ_ENCODING)
                *out = k.p[i];
            out++;
        }
    }
    return out;
}

#if !TZ_ENCODING
/* A new atom. */
static u32 atom_read(State *s, u32 cls, u64 value) {
    const Tables *t = &s->t;
    const Class *c = &t->classes.v[cls];
    if (c->value == VALUE_FIXED32 && value >> 32)
        tz_fail(&s->t.env, TZ_CORRUPT, "values");
    budget_spend(s, 8u + t->strings.v[c->key].n + (c->value == VALUE_BYTES ? t->strings.v[value].n : 0));
    return atom_add(&s->t, cls, value);
}
#endif

#if TZ_ENCODING
/* The defined skeleton of a text, or NONE. */
static u32 skeleton_worth(const State *s, u32 v);
#endif

/* A text that was not defined before. Its whole bytes go to `stream`. Returns the string. */
static u32 code_text(State *s, Coder *c, u32 stream, u32 cls, u32 v) {
    Tables *t = &s->t;
#if TZ_ENCODING
    String text = t->strings.v[v];
    u32 k = skeleton_worth(s, v);
    k = code_skeleton(s, c, cls, k);
    if (k != NONE) {
        code_fields(s, c, k, (u8 *)(uintptr_t)text.p); /* not written to */
        return v;
    }
    code_number(c, context(&s->x, F_TEXT_LENGTH, cls, 0, PAIR_CELLS), text.n);
    bytes_append(&t->env, &s->streams[stream].out, text.p, text.n);
    return v;
#else
    u32 k = code_skeleton(s, c, cls, v);
    if (k == NONE) {
        u64 n = code_number(c, context(&s->x, F_TEXT_LENGTH, cls, 0, PAIR_CELLS), 0);
        budget_spend(s, n);
        return string_add(t, stream_take(s, stream, n), (size_t)n);
    }
    const Skeleton *q = &s->skeletons.v[k];
    s->scratch.n = 0;
    VEC_RESERVE(&t->env, s->scratch, q->n + (size_t)q->n_fields * MAX_HEX);
    u8 *end = code_fields(s, c, k, s->scratch.v);
    budget_spend(s, (u64)(end - s->scratch.v));
    return string_add(t, s->scratch.v, (size_t)(end - s->scratch.v));
#endif
}

#endif
