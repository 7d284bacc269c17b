/* Contexts, and how numbers become bits in them. FORMAT.md, "Contexts" and "Numbers".
 *
 * A context is named by a family and two numbers and is a handful of adaptive nibbles and bits, made when first asked
 * for. */
#ifndef TZ_MODEL_H
#define TZ_MODEL_H

#include "coder.h"
#include "hash.h"
#include "families.h"
#include "format_limits.h"

typedef struct {
    Env *env;
    u64 seed;
    Map index;
    VEC(Cell) cells;
    u32 of_family[256];      /* where the context (family, 0, 0) is, + 1, so that it needs no look-up */
    u32 of_run[5][33];       /* the same for (PATH + kind, how often the last path came) */
    U32s of_schema, of_slot; /* the same for (ORDER, schema), and for SLOT_CONTEXTS contexts of each valued slot */
    U32s of_path; /* PATH_CONTEXTS places for each path: where some contexts are, + 1, so that they need no look-up */
} Contexts;

enum { PATH_CONTEXTS = 32, SLOT_CONTEXTS = 4 };

static size_t contexts_held(const Contexts *x) {
    return VEC_HELD(x->index) + VEC_HELD(x->cells) + VEC_HELD(x->of_path) + VEC_HELD(x->of_schema) +
           VEC_HELD(x->of_slot);
}

static void contexts_free(Contexts *x) {
    map_free(&x->index);
    VEC_FREE(x->cells);
    VEC_FREE(x->of_path);
    VEC_FREE(x->of_schema);
    VEC_FREE(x->of_slot);
}

/* Sizes of contexts, in cells of 32 bits: one bit; a nibble; two; two levels of them; a nibble, and one for each group
 * of sizes, and then a bit for the signs in each. */
enum { SIGNED_GROUPS = 9 };
enum { BIT_CELLS = 1, NIBBLE_CELLS = 8, SMALL_CELLS = 16, PAIR_CELLS = 17 * 8, SIGNED_CELLS = 8 + SIGNED_GROUPS * 9 };

static void cells_begin(Cell *cells, u32 family, u32 n) {
    if (n == NIBBLE_CELLS) {
        nibble_begin((Nibble *)cells, family < N_FAMILIES && n_values[family] ? n_values[family] : 16);
        return;
    }
    u32 nibbles = n == SIGNED_CELLS ? 1 + SIGNED_GROUPS : n / NIBBLE_CELLS;
    for (u32 i = 0; i < nibbles; i++)
        nibble_begin((Nibble *)(cells + (size_t)i * NIBBLE_CELLS), 16);
    for (u32 i = nibbles * NIBBLE_CELLS; i < n; i++)
        cells[i] = BIT_START;
}

/* The cells of a context; the pointer holds until the next call. */
static inline Cell *context(Contexts *x, u32 family, u32 a, u32 b, u32 n) {
    u64 name = (u64)family << 56 | (u64)a << 28 | b;
    if (x->cells.n + n > TZ_MAX_CONTEXT_CELLS && !map_get(&x->index, name, x->seed))
        name = (u64)family << 56 | (u64)0xfffffff << 28 | n; /* one for all of this family and size */
    u32 *at = map_at(x->env, &x->index, name, x->seed);
    if (!*at) {
        size_t first = x->cells.n;
        VEC_RESERVE(x->env, x->cells, n);
        cells_begin(x->cells.v + first, family, n);
        x->cells.n += n;
        *at = (u32)first + 1;
    }
    return x->cells.v + *at - 1;
}

/* The same for a context whose place, + 1, is kept in *at once it is known; 0 until then. */
static inline Cell *kept_context(Contexts *x, u32 *at, u32 family, u32 a, u32 b, u32 n) {
    if (!*at) {
        Cell *cells = context(x, family, a, b, n); /* may move the others */
        *at = (u32)(cells - x->cells.v) + 1;
    }
    return x->cells.v + *at - 1;
}

static inline Cell *family_context(Contexts *x, u32 family, u32 n) {
    return kept_context(x, &x->of_family[family], family, 0, 0, n);
}

/* The same for a context that is named by a path and a small number; `place` is its own among those of the path. */
static inline Cell *path_context(Contexts *x, u32 place, u32 family, u32 path, u32 b, u32 n) {
    return kept_context(x, &x->of_path.v[(size_t)path * PATH_CONTEXTS + place], family, path, b, n);
}

/* --- numbers ------------------------------------------------------------------------------------------------------ */

/* 8 bits: the upper four, then the lower ones in the context of the upper. */
TZ_INLINE u32 code_pair(Coder *c, Cell *cells, u32 v) {
    u32 high = code_digit(c, cells, v >> 4);
    return high << 4 | code_digit(c, cells + (size_t)(1 + high) * NIBBLE_CELLS, v & 15);
}

/* Numbers that are often 0 and never large. */
static u32 code_small(Coder *c, Cell *cells, u32 v) {
    u32 r = code_digit(c, cells, v < 15 ? v : 15);
    if (r < 15)
        return r;
    u32 n = code_nibble(c, cells + NIBBLE_CELLS, TZ_ENCODING ? bit_length(v - 14) - 1 : 0);
    return ((u32)1 << n | (u32)code_raw(c, n, (v - 14) & ((1u << n) - 1))) + 14;
}

/* A number below 4, or its three leading digits and how many follow: a byte for every 64-bit number. */
static inline u32 number_head(u64 v) {
    u32 n = bit_length(v | 1);
    return n < 3 ? (u32)v : (n - 2) << 2 | ((u32)(v >> (n - 3)) & 3);
}

static inline u64 code_number_tail(Coder *c, u32 head, u64 v) {
    u32 n = head < 8 ? 0 : (head >> 2) - 1;
    if (head < 4)
        return head;
    u64 top = 4 | (head & 3);
    return n ? top << n | code_raw(c, n, v & (((u64)1 << n) - 1)) : top;
}

static u64 code_wide(Coder *c, Cell *cells, u64 v) {
    u32 head = code_pair(c, cells, number_head(v));
    if (head >= 252)
        tz_fail(c->env, TZ_CORRUPT, "number");
    return code_number_tail(c, head, v);
}

/* How a difference is told: one of less than 4 by a symbol. Else by the group of its size, which is four lengths, and
 * then by which of these it is and the two digits below the leading one; or, in the last group, by which pair of
 * lengths it is. */
enum { SIGNED_SMALL = 7, SIGNED_LONG = 35, SIGNED_LAST = SIGNED_SMALL + SIGNED_GROUPS - 1 };

static inline u32 signed_symbol(u64 size, u32 minus) {
    u32 n = bit_length(size);
    if (n < 3)
        return size ? 2 * (u32)size - 1 + minus : 0;
    return n < SIGNED_LONG ? SIGNED_SMALL + (n - 3) / 4 : SIGNED_LAST;
}

static inline u32 signed_digit(u64 size) {
    u32 n = bit_length(size);
    return n < SIGNED_LONG ? ((n - 3) & 3) << 2 | ((u32)(size >> (n - 3)) & 3) : (n - SIGNED_LONG) / 2;
}

/* The size of one in the last group. */
static u64 code_signed_long(Coder *c, u32 digit, u64 size) {
    if (digit == 15)
        tz_fail(c->env, TZ_CORRUPT, "number");
    u32 n = SIGNED_LONG - 1 + 2 * digit;
    n += (u32)code_raw(c, 1, TZ_ENCODING ? bit_length(size) - 1 - n : 0);
    return (u64)1 << n | code_raw(c, n, size & (((u64)1 << n) - 1));
}

/* A difference modulo 2^64. */
static u64 code_signed(Coder *c, Cell *cells, u64 v) {
    u64 size = v >> 63 ? 0 - v : v;
    u32 told = code_nibble(c, cells, TZ_ENCODING ? signed_symbol(size, (u32)(v >> 63)) : 0);
    if (told < SIGNED_SMALL) {
        size = (told + 1) / 2;
        return told & 1 ? size : 0 - size;
    }
    u32 group = told - SIGNED_SMALL;
    u32 digit = code_digit(c, cells + (size_t)(1 + group) * NIBBLE_CELLS, TZ_ENCODING ? signed_digit(size) : 0);
    u32 minus = code_bit(c, cells + (1 + SIGNED_GROUPS) * NIBBLE_CELLS + group, (u32)(v >> 63));
    u32 n = 4 * group + (digit >> 2);
    if (told == SIGNED_LAST)
        size = code_signed_long(c, digit, size);
    else
        size = (u64)(4 | (digit & 3)) << n | code_raw(c, n, size & (((u64)1 << n) - 1));
    return minus ? 0 - size : size;
}

/* One of n: up to 8 leading bits of its number adapt. */
static u32 code_choice(Coder *c, Cell *cells, u32 n, u32 v, const char *where) {
    if (n < 2)
        return 0;
    u32 bits = bit_length(n - 1), top = bits < 8 ? bits : 8, rest = bits - top;
    u32 r = top > 4 ? code_pair(c, cells, v >> rest) : code_digit(c, cells + NIBBLE_CELLS, v);
    if (rest)
        r = r << rest | (u32)code_raw(c, rest, v & ((1u << rest) - 1));
    if (r >= n)
        tz_fail(c->env, TZ_CORRUPT, where);
    return r;
}

#endif
