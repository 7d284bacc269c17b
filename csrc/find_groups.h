/* Draws of which it is known how far apart they are in the sequence, in groups: for the searches for MT19937 and Go. */
#ifndef TZ_FIND_GROUPS_H
#define TZ_FIND_GROUPS_H

#include "find_generators.h"

static inline void groups_begin(Env *env, Groups *g, u32 n) {
    VEC_RESIZE(env, g->links, n);
    for (u32 i = 0; i < n; i++)
        g->links.v[i] = (GroupLink){i, 0};
}

/* The root of the group of i, and how far from it i is. */
static inline u32 group_of(Groups *g, u32 i, i64 *off) {
    GroupLink *l = g->links.v;
    i64 sum = 0, more;
    u32 root = i;
    for (; l[root].up != root; root = l[root].up)
        sum += l[root].off;
    *off = sum;
    for (u32 next; l[i].up != i; i = next, sum = more) { /* the next time is shorter */
        next = l[i].up;
        more = sum - l[i].off;
        l[i].up = root;
        l[i].off = sum;
    }
    return root;
}

/* j comes `apart` after i. What contradicts an earlier finding is passed over. */
static inline void groups_join(Groups *g, u32 i, u32 j, i64 apart) {
    i64 of_i, of_j;
    u32 a = group_of(g, i, &of_i), b = group_of(g, j, &of_j);
    if (a != b)
        g->links.v[b] = (GroupLink){a, of_i + apart - of_j};
}

/* The root of the group of most members (the first such one), and where these lie. */
static inline u32 groups_largest(Env *env, Groups *g, i64 *low, i64 *high) {
    u32 n = (u32)g->links.n, best = 0;
    i64 off;
    g->size.n = 0;
    VEC_RESIZE(env, g->size, n);
    for (u32 i = 0; i < n; i++)
        g->size.v[group_of(g, i, &off)]++;
    for (u32 i = 0; i < n; i++)
        best = g->size.v[i] > g->size.v[best] ? i : best;
    *low = *high = 0;
    for (u32 i = 0; i < n; i++)
        if (group_of(g, i, &off) == best) {
            *low = off < *low ? off : *low;
            *high = off > *high ? off : *high;
        }
    return best;
}

static inline u32 group_size(Groups *g, u32 root) {
    u32 n = 0;
    i64 off;
    for (u32 i = 0; i < g->links.n; i++)
        n += group_of(g, i, &off) == root;
    return n;
}

static inline void groups_free(Groups *g) {
    VEC_FREE(g->links);
    VEC_FREE(g->size);
}

static inline size_t groups_held(const Groups *g) { return VEC_HELD(g->links) + VEC_HELD(g->size); }

#endif
