/* Atoms that were met last in some context. FORMAT.md, "Values".
 *
 * A table like Map, but names that differ a little in their second part stand near each other: the holes of a record
 * ask one after the other for memories of the same trace, and of the same path, and then find them in few cache lines.
 */
#ifndef TZ_MEMORY_H
#define TZ_MEMORY_H

#include "hash.h"

typedef struct {
    u32 of, slot; /* the trace, path or serial that it is of; family and slot, or class */
    u32 atom1;    /* + 1, 0: nothing is remembered */
} MemoryEntry;

typedef struct {
    MemoryEntry *v;
    size_t n, cap; /* cap is 0 or a power of two */
} Memory;

static inline void memory_free(Memory *m) {
    free(m->v);
    *m = (Memory){NULL, 0, 0};
}

static inline void memory_clear(Memory *m) {
    if (m->n)
        memset(m->v, 0, m->cap * sizeof *m->v);
    m->n = 0;
}

static inline size_t memory_home(const Memory *m, u32 of, u32 slot, u64 seed) {
    return ((size_t)hash_mix((u64)(slot >> 4) << 32 | of, seed) + (slot & 15)) & (m->cap - 1);
}

TZ_INLINE void memory_prefetch(const Memory *m, u32 of, u32 slot, u64 seed) {
    if (m->cap)
        __builtin_prefetch(&m->v[memory_home(m, of, slot, seed)]);
}

/* Where a memory is, or would be. Only names that share all but four bits stand near each other: many slots of one
 * trace must not make one long row that every search walks through. */
static inline MemoryEntry *memory_place(const Memory *m, u32 of, u32 slot, u64 seed) {
    for (size_t at = memory_home(m, of, slot, seed);; at++) {
        MemoryEntry *e = &m->v[at & (m->cap - 1)];
        if (!e->atom1 || (e->of == of && e->slot == slot))
            return e;
    }
}

static inline void memory_grow(Env *env, Memory *m, u64 seed) {
    Memory old = *m;
    m->cap = old.cap ? old.cap * 2 : 256;
    m->v = calloc(m->cap, sizeof *m->v);
    if (!m->v) {
        *m = old;
        tz_fail(env, TZ_NO_MEMORY, "memory");
    }
    for (size_t i = 0; i < old.cap; i++)
        if (old.v[i].atom1)
            *memory_place(m, old.v[i].of, old.v[i].slot, seed) = old.v[i];
    free(old.v);
}

/* Room for two more, so that places stay where they are. */
static inline void memory_reserve(Env *env, Memory *m, u64 seed) {
    if ((m->n + 2) * 2 >= m->cap)
        memory_grow(env, m, seed);
}

static inline void memory_put(Memory *m, MemoryEntry *at, u32 of, u32 slot, u32 atom) {
    m->n += !at->atom1;
    *at = (MemoryEntry){of, slot, atom + 1};
}

#endif
