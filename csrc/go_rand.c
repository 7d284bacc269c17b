#include "go_rand.h"

#include "go_cooked.h"

enum { LCG = 48271, LCG_MODULUS = 0x7fffffff };

static u32 lcg(u32 x) { return (u32)((u64)x * LCG % LCG_MODULUS); }

static u32 lcg_power(u32 exponent) {
    u64 power = 1, square = LCG;
    for (; exponent; exponent >>= 1, square = square * square % LCG_MODULUS)
        if (exponent & 1)
            power = power * square % LCG_MODULUS;
    return (u32)power;
}

/* Where the register's place i lies in the sequence: word -607 + place. */
static u32 place_of(u32 i) { return (333 + GO_N - i) % GO_N; }

static u64 of_three(u32 x, u32 second, u32 third) { return (u64)x << 40 ^ (u64)second << 20 ^ third; }

void go_seed(GoRand *g, u32 seed) {
    u32 x = seed;
    for (u32 i = 0; i < 20; i++)
        x = lcg(x);
    g->at = 0;
    for (u32 i = 0; i < GO_N; i++) {
        u32 first = lcg(x), second = lcg(first);
        x = lcg(second);
        g->y[place_of(i)] = of_three(first, second, x) ^ go_cooked[i];
    }
}

/* A round of all words, which become the next ones in their places; and back. */
static void forth(u64 *y) {
    for (u32 i = 0; i < GO_M; i++)
        y[i] += y[i + GO_FAR];
    for (u32 i = GO_M; i < GO_N; i++)
        y[i] += y[i - GO_M];
}

static void back(u64 *y) {
    for (u32 i = GO_N; i-- > GO_M;)
        y[i] -= y[i - GO_M];
    for (u32 i = GO_M; i--;)
        y[i] -= y[i + GO_FAR];
}

static void go_back_by(GoRand *g, u64 n) {
    for (; g->at && n; n--)
        go_back(g);
    for (; n >= GO_N; n -= GO_N)
        back(g->y);
    for (; n; n--)
        go_back(g);
}

void go_skip(GoRand *g, u64 n) {
    for (; g->at && n; n--)
        go_next(g);
    for (; n >= GO_N; n -= GO_N)
        forth(g->y);
    for (; n; n--)
        go_next(g);
}

void go_before_values(GoRand *g, u32 n_bytes, const u32 *values) {
    u8 bytes[(GO_N + GO_BATCH) * 8];
    for (u32 i = 0; i < (GO_N + GO_BATCH) / GO_BATCH * n_bytes; i++) {
        u32 value = __builtin_bswap32(values[i]);
        memcpy(bytes + 4 * i, &value, 4);
    }
    for (u32 i = 0; i < GO_N; i++) {
        memcpy(&g->y[i], bytes + i * n_bytes, 8);
        g->y[i] = n_bytes == 8 ? __builtin_bswap64(g->y[i]) : g->y[i] & go_mask(n_bytes);
    }
    g->at = 0;
    back(g->y);
}

/* --- the seed ----------------------------------------------------------------------------------------------------- */

/* Before a process drew anything, the third x of place i and that of place i + APART were
 *
 *     NEAR * x(i + APART) = FAR * x(i) + t * (2^31 - 1), -FAR < t < NEAR,
 *
 * and the lower 20 bits of a register are those of x, mixed: so t is known modulo 2^20, and seldom that small. */
enum { APART = 429, NEAR = 2542, FAR = 111, X_BITS = 20, X_MASK = (1 << X_BITS) - 1 };
enum { PROVED = 3 }; /* places that must agree before the other bits are tried */

enum { STRETCH = 4096, TOGETHER = 32 }; /* words that are looked at together */

/* Is t small for place i of the register that begins with w? Only the lower bits of words are used. */
static inline u32 is_small(const u32 *w, u32 i) {
    u32 near = w[place_of(i + APART)] ^ (u32)go_cooked[i + APART], far = w[place_of(i)] ^ (u32)go_cooked[i];
    return ((FAR * far - NEAR * near + FAR) & X_MASK) < NEAR + FAR;
}

/* Is it for any of these? Most often not, and that is known without a jump. */
static u32 any_is_small(const u32 *w) {
    u32 any = 0;
    for (u32 k = 0; k < TOGETHER; k++)
        any |= is_small(w + k, 0);
    return any;
}

static int may_begin(const u32 *w) {
    u32 small = 1;
    for (u32 i = 0; small && i < PROVED; i++)
        small = is_small(w, i);
    return (int)small;
}

/* The seed of a register; 0 if none makes it. */
static u32 seed_of(const u64 *y, u64 mask) {
    u32 before = lcg_power(LCG_MODULUS - 2); /* 1 / LCG */
    u64 mixed = (y[place_of(0)] ^ go_cooked[0]) & mask;
    for (u32 high = 0; high < 1u << (31 - X_BITS); high++) {
        u32 third = high << X_BITS | (u32)(mixed & X_MASK);
        u32 second = (u32)((u64)third * before % LCG_MODULUS), first = (u32)((u64)second * before % LCG_MODULUS);
        if (third < 1 || third >= LCG_MODULUS || (of_three(first, second, third) & mask) != mixed)
            continue;
        u32 seed = (u32)((u64)third * lcg_power(LCG_MODULUS - 1 - 23) % LCG_MODULUS);
        GoRand made;
        go_seed(&made, seed);
        u32 same = 0;
        while (same < GO_N && !((made.y[same] ^ y[same]) & mask))
            same++;
        if (same == GO_N)
            return seed;
    }
    return 0;
}

static u32 seed_before(const u64 *words, u32 n, u64 mask) {
    GoRand g = {.at = 0};
    memcpy(g.y, words, sizeof g.y);
    go_back_by(&g, n);
    u64 y[GO_N];
    for (u32 i = 0; i < GO_N; i++)
        y[i] = g.y[(g.at + i) % GO_N];
    return seed_of(y, mask);
}

/* Among the registers that begin with one of TOGETHER words from w on, the last one first. */
static u32 seed_among(const u32 *w, const u64 *words, u32 n_before, u64 mask, u32 *n) {
    for (u32 k = any_is_small(w) ? TOGETHER : 0; k--;) {
        *n = n_before + TOGETHER - 1 - k;
        u32 seed = may_begin(w + k) ? seed_before(words, *n, mask) : 0;
        if (seed)
            return seed;
    }
    return 0;
}

u32 go_find_seed(const u64 *words, u32 n_bytes, u32 most, u32 *n_before) {
    u32 w[STRETCH + GO_N];
    for (u32 i = 0; i < GO_N; i++)
        w[STRETCH + i] = (u32)words[i];
    for (u32 n = 1; n <= most; n += STRETCH) {
        for (u32 i = STRETCH; i--;)
            w[i] = w[i + GO_N] - w[i + GO_FAR];
        for (u32 i = 0; i < STRETCH; i += TOGETHER) {
            u32 seed = seed_among(w + STRETCH - TOGETHER - i, words, n + i, go_mask(n_bytes), n_before);
            if (seed)
                return seed;
        }
        memmove(w + STRETCH, w, GO_N * sizeof *w);
    }
    return 0;
}
