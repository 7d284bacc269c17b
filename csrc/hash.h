/* Hash tables of the kernels. What is written never depends on a hash value, only on what was found,
 * so the seed may be random (crafted collisions) and the reference may use dicts. */
#ifndef TZ_HASH_H
#define TZ_HASH_H

#include "base.h"

static inline u64 load64(const u8 *p) {
    u64 v;
    memcpy(&v, p, 8);
    return v;
}

static inline u32 load32(const u8 *p) {
    u32 v;
    memcpy(&v, p, 4);
    return v;
}

/* Not 0 if the n bytes, 8 to 16, are not the same. */
static inline u64 words_differ(const u8 *a, const u8 *b, size_t n) {
    return (load64(a) ^ load64(b)) | (load64(a + n - 8) ^ load64(b + n - 8));
}

/* memcmp for the short strings of which there are many: few branches, and no reads beyond them. */
static inline int bytes_equal(const u8 *a, const u8 *b, size_t n) {
    if (n > 64)
        return !memcmp(a, b, n);
    if (n > 32)
        return !(words_differ(a, b, 16) | words_differ(a + 16, b + 16, 16) | words_differ(a + n - 32, b + n - 32, 16) |
                 words_differ(a + n - 16, b + n - 16, 16));
    if (n > 16)
        return !(words_differ(a, b, 16) | words_differ(a + n - 16, b + n - 16, 16));
    if (n >= 8)
        return !words_differ(a, b, n);
    if (n >= 4)
        return !((load32(a) ^ load32(b)) | (load32(a + n - 4) ^ load32(b + n - 4)));
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return 0;
    return 1;
}

/* The first eight of n bytes and the last eight, or all of them if they are fewer. */
static inline void load_ends(const u8 *p, size_t n, u64 *head, u64 *tail) {
    *head = *tail = 0;
    if (n >= 8) {
        *head = load64(p);
        *tail = load64(p + n - 8);
    } else if (n >= 4) {
        *head = load32(p);
        *tail = load32(p + n - 4);
    } else {
        while (n--)
            *tail = *tail << 8 | p[n];
    }
}

static inline u64 hash_fold(u64 a, u64 b) {
    __uint128_t m = (__uint128_t)a * b;
    return (u64)m ^ (u64)(m >> 64);
}

static inline u64 hash_mix(u64 a, u64 b) { return hash_fold(a ^ 0x9e3779b97f4a7c15u, b ^ 0xd1342543de82ef95u); }

/* Sixteen bytes at a time, the last ones perhaps twice. The seed is in both factors, so that no input makes one zero.
 */
static inline u64 hash_bytes(const u8 *p, size_t n, u64 seed) {
    u64 h = seed ^ (n * 0xff51afd7ed558ccdu), head, tail;
    const u8 *end = p + n;
    for (; end - p > 16; p += 16)
        h = hash_fold(h ^ load64(p), seed ^ load64(p + 8));
    load_ends(n < 16 ? p : end - 16, n < 16 ? n : 16, &head, &tail);
    return hash_fold(h ^ head, seed ^ tail);
}

/* u64 key -> u32 value, open addressing, linear probing. A value of 0 marks an empty place. */
typedef struct {
    u64 key;
    u32 value;
} MapEntry;

typedef struct {
    MapEntry *v;
    size_t n, cap; /* cap is 0 or a power of two */
} Map;

static inline void map_free(Map *m) {
    free(m->v);
    m->v = NULL;
    m->n = m->cap = 0;
}

static inline void map_clear(Map *m) {
    if (m->n)
        memset(m->v, 0, m->cap * sizeof *m->v);
    m->n = 0;
}

/* Empties a table for about `n` entries; a much larger one is let go, so that clearing costs no more than filling. */
static inline void map_renew(Map *m, size_t n) {
    if (m->cap / 16 > n + 64)
        map_free(m);
    else
        map_clear(m);
}

static inline size_t map_home(const Map *m, u64 key, u64 seed) { return (size_t)hash_mix(key, seed) & (m->cap - 1); }

static inline void map_rehash(Env *env, Map *m, u64 seed) {
    Map old = *m;
    m->cap = old.cap ? old.cap * 2 : 64;
    m->v = calloc(m->cap, sizeof *m->v);
    if (!m->v) {
        *m = old;
        tz_fail(env, TZ_NO_MEMORY, "memory");
    }
    for (size_t i = 0; i < old.cap; i++) {
        if (!old.v[i].value)
            continue;
        size_t at = map_home(m, old.v[i].key, seed);
        while (m->v[at].value)
            at = (at + 1) & (m->cap - 1);
        m->v[at] = old.v[i];
    }
    free(old.v);
}

/* The place of `key`: its value is 0 if the key is new, and the caller then stores a value that is not. */
static inline u32 *map_at(Env *env, Map *m, u64 key, u64 seed) {
    if (m->n * 2 >= m->cap)
        map_rehash(env, m, seed);
    size_t at = map_home(m, key, seed);
    while (m->v[at].value && m->v[at].key != key)
        at = (at + 1) & (m->cap - 1);
    if (!m->v[at].value) {
        m->v[at].key = key;
        m->n++;
    }
    return &m->v[at].value;
}

static inline u32 map_get(const Map *m, u64 key, u64 seed) {
    if (!m->cap)
        return 0;
    size_t at = map_home(m, key, seed);
    while (m->v[at].value && m->v[at].key != key)
        at = (at + 1) & (m->cap - 1);
    return m->v[at].value;
}

/* A set of things found by hash and compared by the caller: hash -> index + 1, several per hash. */
typedef struct {
    u32 hash, index1;
} IndexEntry;

typedef struct {
    IndexEntry *v;
    size_t n, cap;
} Index;

static inline void index_free(Index *x) {
    free(x->v);
    x->v = NULL;
    x->n = x->cap = 0;
}

static inline void index_clear(Index *x) {
    if (x->n)
        memset(x->v, 0, x->cap * sizeof *x->v);
    x->n = 0;
}

static inline void index_add(Env *env, Index *x, u32 hash, u32 index) {
    if (x->n * 2 >= x->cap) {
        Index old = *x;
        x->cap = old.cap ? old.cap * 2 : 64;
        x->v = calloc(x->cap, sizeof *x->v);
        if (!x->v) {
            *x = old;
            tz_fail(env, TZ_NO_MEMORY, "memory");
        }
        for (size_t i = 0; i < old.cap; i++) {
            if (!old.v[i].index1)
                continue;
            size_t at = old.v[i].hash & (x->cap - 1);
            while (x->v[at].index1)
                at = (at + 1) & (x->cap - 1);
            x->v[at] = old.v[i];
        }
        free(old.v);
    }
    size_t at = hash & (x->cap - 1);
    while (x->v[at].index1)
        at = (at + 1) & (x->cap - 1);
    x->v[at].hash = hash;
    x->v[at].index1 = index + 1;
    x->n++;
}

/* for (size_t at = INDEX_FIRST(x, hash); (at = index_next(x, at, hash, &i)) != INDEX_END; at++) ... compare i ... */
#define INDEX_END         SIZE_MAX
#define INDEX_FIRST(x, h) ((x).cap ? (size_t)(h) : 0)
static inline size_t index_next(const Index *x, size_t at, u32 hash, u32 *index) {
    if (!x->cap)
        return INDEX_END;
    for (;; at++) {
        const IndexEntry *e = &x->v[at & (x->cap - 1)];
        if (!e->index1)
            return INDEX_END;
        if (e->hash == hash) {
            *index = e->index1 - 1;
            return at;
        }
    }
}

#endif
