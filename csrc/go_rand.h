/* Go's seeded math/rand, an additive lagged Fibonacci generator, as SDKs draw ids from it: bytes of Read, or Int63.
 * FORMAT.md, "Generators". Positions count values of 4 bytes. */
#ifndef TZ_GO_RAND_H
#define TZ_GO_RAND_H

#include "base.h"

enum { GO_N = 607, GO_M = 273, GO_FAR = GO_N - GO_M };
enum { GO_BATCH = 4 };                  /* words that end where a value does */
enum { GO_SEED_MOST = (1u << 31) - 2 }; /* there is no seed 0 */

/* The last 607 words, the first of them at `at`. */
typedef struct {
    u64 y[GO_N];
    u32 at;
} GoRand;

static inline u64 go_next(GoRand *g) {
    u32 m = g->at + GO_FAR < GO_N ? g->at + GO_FAR : g->at + GO_FAR - GO_N;
    u64 y = g->y[g->at] += g->y[m];
    g->at = g->at + 1 < GO_N ? g->at + 1 : 0;
    return y;
}

static inline void go_back(GoRand *g) {
    g->at = g->at ? g->at - 1 : GO_N - 1;
    g->y[g->at] -= g->y[g->at + GO_FAR < GO_N ? g->at + GO_FAR : g->at + GO_FAR - GO_N];
}

/* Bytes that a word gives: 7 to Read, 8 to Int63, which clears the top bit. */
static inline u64 go_mask(u32 n_bytes) { return UINT64_MAX >> (n_bytes == 7 ? 8 : 1); }

/* GO_BATCH words as values; so many are `n_bytes`. */
static inline void go_values(GoRand *g, u32 n_bytes, u32 *to) {
    u8 bytes[GO_BATCH * 8 + 1];
    for (u32 i = 0; i < GO_BATCH; i++) {
        u64 y = go_next(g) & go_mask(n_bytes);
        y = n_bytes == 8 ? __builtin_bswap64(y) : y;
        memcpy(bytes + i * n_bytes, &y, 8);
    }
    for (u32 i = 0; i < n_bytes; i++) {
        memcpy(&to[i], bytes + 4 * i, 4);
        to[i] = __builtin_bswap32(to[i]);
    }
}

void go_seed(GoRand *g, u32 seed);
void go_skip(GoRand *g, u64 n); /* n words */

/* Back again, from words in a row that came out as values: the state before the first of them. */
void go_before_values(GoRand *g, u32 n_bytes, const u32 *values);

/* How many words of a process come before these 607, if not more than `most`, and its seed; 0: neither was found. */
u32 go_find_seed(const u64 *words, u32 n_bytes, u32 most, u32 *n_before);

#endif
