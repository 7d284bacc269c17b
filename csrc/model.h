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

/* Sizes of contexts, in cells of 32 bits: one bit; a nibble; two; one and another for each of its values. */
enum { BIT_CELLS = 1, NIBBLE_CELLS = 8, SMALL_CELLS = 16, PAIR_CELLS = 17 * 8 };

static void cells_begin(Cell *cells, u32 family, u32 n) {
    if (n == NIBBLE_CELLS) {
        nibble_begin((Nibble *)cells, family < N_FAMILIES && n_values[family] ? n_values[family] : 16);
        return;
    }
    if (n == BIT_CELLS)
        *cells = BIT_START;
    for (u32 i = 0; i < n / NIBBLE_CELLS; i++)
        nibble_begin((Nibble *)(cells + (size_t)i * NIBBLE_CELLS), 16);
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

/* How a number begins: as 0, or with its sign and how many times four bits it has; or as one of more bits. */
enum { NUMBER_LONG = 15, SHORT_BITS = 28 };

static inline u32 number_class(u32 n, u32 minus) {
    return !n ? 0 : n > SHORT_BITS ? NUMBER_LONG : 1 + ((n - 1) >> 2) * 2 + minus;
}

/* The number that begins with `top`, n bits before its end. */
static inline u64 code_number_rest(Coder *c, u64 top, u32 n, u64 v) {
    return top << n | code_raw(c, n, v & (((u64)1 << n) - 1));
}

/* One of n bits, more than SHORT_BITS: sign and how many times eight, then the rest of its length and one digit. */
static u64 code_long_number(Coder *c, Cell *cells, u32 n, u32 minus, u64 size) {
    u32 more = TZ_ENCODING ? n - SHORT_BITS - 1 : 0;
    u32 told = code_nibble(c, cells + NIBBLE_CELLS, more >> 3 << 1 | minus);
    u32 fine =
        code_nibble(c, cells + 16 * NIBBLE_CELLS, TZ_ENCODING ? (more & 7) << 1 | ((u32)(size >> (n - 2)) & 1) : 0);
    n = SHORT_BITS + 1 + (told >> 1) * 8 + (fine >> 1);
    if (n > 64)
        tz_fail(c->env, TZ_CORRUPT, "number");
    size = code_number_rest(c, 2 | (fine & 1), n - 2, size);
    return told & 1 ? 0 - size : size;
}

/* Any number of 64 bits, seen as a difference: small ones of either sign are short. */
static u64 code_number(Coder *c, Cell *cells, u64 v) {
    u32 minus = (u32)(v >> 63);
    u64 size = minus ? 0 - v : v;
    u32 n = bit_length(size), told = code_nibble(c, cells, TZ_ENCODING ? number_class(n, minus) : 0);
    if (!told)
        return 0;
    if (told == NUMBER_LONG)
        return code_long_number(c, cells, n, minus, size);
    Cell *of_class = cells + (1 + told) * NIBBLE_CELLS;
    if (told < 3) {
        size = code_digit(c, of_class, (u32)size);
        if (!size)
            tz_fail(c->env, TZ_CORRUPT, "number");
    } else {
        u32 fine = code_digit(c, of_class, TZ_ENCODING ? ((n - 1) & 3) << 2 | ((u32)(size >> (n - 3)) & 3) : 0);
        size = code_number_rest(c, 4 | (fine & 3), ((told - 1) >> 1) * 4 - 2 + (fine >> 2), size);
    }
    return told & 1 ? size : 0 - size;
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
