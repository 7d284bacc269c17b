/* Contexts, and how numbers become bits in them. FORMAT.md, "Contexts" and "Numbers".
 *
 * A context is named by a family and two numbers and is a handful of adaptive bits, made when first asked for. */
#ifndef TZ_MODEL_H
#define TZ_MODEL_H

#include "coder.h"
#include "hash.h"
#include "format_limits.h"

typedef struct {
    Env *env;
    u64 seed;
    Map index;
    VEC(Bit) bits;
    u32 of_family[256];      /* where the context (family, 0, 0) is, + 1, so that it needs no look-up */
    U32s of_schema, of_slot; /* the same for (ORDER, schema), and for SLOT_CONTEXTS contexts of each valued slot */
    U32s of_path; /* PATH_CONTEXTS places for each path: where some contexts are, + 1, so that they need no look-up */
} Contexts;

enum { PATH_CONTEXTS = 32, SLOT_CONTEXTS = 4 };

static void contexts_free(Contexts *x) {
    map_free(&x->index);
    VEC_FREE(x->bits);
    VEC_FREE(x->of_path);
    VEC_FREE(x->of_schema);
    VEC_FREE(x->of_slot);
}

/* The bits of a context; the pointer holds until the next call. */
static inline Bit *context(Contexts *x, u32 family, u32 a, u32 b, u32 n) {
    u64 name = (u64)family << 56 | (u64)a << 28 | b;
    if (x->bits.n + n > TZ_MAX_CONTEXT_BITS && !map_get(&x->index, name, x->seed))
        name = (u64)family << 56 | (u64)0xfffffff << 28 | n; /* one for all of this family and size */
    u32 *at = map_at(x->env, &x->index, name, x->seed);
    if (!*at) {
        size_t first = x->bits.n;
        VEC_RESERVE(x->env, x->bits, n);
        for (u32 i = 0; i < n; i++)
            x->bits.v[first + i] = BIT_START;
        x->bits.n += n;
        *at = (u32)first + 1;
    }
    return x->bits.v + *at - 1;
}

/* The same for a context whose place, + 1, is kept in *at once it is known; 0 until then. */
static inline Bit *kept_context(Contexts *x, u32 *at, u32 family, u32 a, u32 b, u32 n) {
    if (!*at) {
        Bit *bits = context(x, family, a, b, n); /* may move the others */
        *at = (u32)(bits - x->bits.v) + 1;
    }
    return x->bits.v + *at - 1;
}

static inline Bit *family_context(Contexts *x, u32 family, u32 n) {
    return kept_context(x, &x->of_family[family], family, 0, 0, n);
}

/* The same for a context that is named by a path and a small number; `place` is its own among those of the path. */
static inline Bit *path_context(Contexts *x, u32 place, u32 family, u32 path, u32 b, u32 n) {
    return kept_context(x, &x->of_path.v[(size_t)path * PATH_CONTEXTS + place], family, path, b, n);
}

/* --- numbers ------------------------------------------------------------------------------------------------------ */

/* `n` bits, each in the context of those before it, after a leading 1. 2^n adaptive bits. */
TZ_INLINE u32 code_tree(Coder *c, Bit *b, u32 n, u32 v) {
    (void)v; /* nothing to read it for when reading */
    CODER_HOLD(c);
    u32 node = 1;
    while (n--)
        node = node << 1 | CODER_BIT(c, &b[node], v >> n & 1);
    CODER_DROP(c);
    return node;
}
#define TREE(c, b, n, v) (code_tree((c), (b), (n), (v)) & ((1u << (n)) - 1))

/* Small numbers, often 0: the length in unary, then its bits. */
enum { SMALL_BITS = 64 };
static u64 code_small(Coder *c, Bit *b, u64 v) {
    u32 e = bit_length(v + 1) - 1, i = 0;
    while (i < 32 && code_bit(c, &b[i], i < e))
        i++;
    if (i == 32)
        tz_fail(c->env, TZ_CORRUPT, "number");
    if (i <= 4)
        return code_tree(c, b + 32, i, (u32)(v + 1 - ((u64)1 << i))) - 1;
    return ((u64)1 << i | code_raw(c, i, v + 1 - ((u64)1 << i))) - 1;
}

/* Any number: the length through a tree, then the first bits below the leading one in the context of the length. */
enum { MANTISSA = 2, WIDE_BITS = 64 + (64 << MANTISSA), SIGNED_BITS = WIDE_BITS + 64 };
static u64 code_wide(Coder *c, Bit *b, u64 v) {
    u32 e = bit_length(v) < 63 ? bit_length(v) : 63;
    e = TREE(c, b, 6, e);
    if (e == 63)
        return code_raw(c, 64, v);
    if (e < 2)
        return e;
    u32 rest = e - 1, top = rest < MANTISSA ? rest : MANTISSA;
    rest -= top;
    u64 r = code_tree(c, b + 64 + (e << MANTISSA), top, (u32)(v >> rest) & ((1u << top) - 1));
    return rest ? r << rest | code_raw(c, rest, v & (((u64)1 << rest) - 1)) : r;
}

/* A difference modulo 2^64: size, then sign. */
static u64 code_signed(Coder *c, Bit *b, u64 v) {
    u64 size = v >> 63 ? 0 - v : v;
    size = code_wide(c, b, size);
    if (!size)
        return 0;
    u32 e = bit_length(size);
    return code_bit(c, &b[WIDE_BITS + (e < 63 ? e : 63)], (u32)(v >> 63)) ? 0 - size : size;
}

/* One of n: up to 8 leading bits of its number adapt. */
enum { CHOICE_BITS = 256 };
static u32 code_choice(Coder *c, Bit *b, u32 n, u32 v, const char *where) {
    if (n < 2)
        return 0;
    u32 bits = bit_length(n - 1), top = bits < 8 ? bits : 8;
    u32 r = TREE(c, b, top, v >> (bits - top));
    if (bits > top)
        r = r << (bits - top) | (u32)code_raw(c, bits - top, v & ((1u << (bits - top)) - 1));
    if (r >= n)
        tz_fail(c->env, TZ_CORRUPT, where);
    return r;
}

#endif
