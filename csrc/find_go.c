/* Go's math/rand out of ids that it drew.
 *
 * Three words, of which the sum of the first two is the third, know how far apart they are; that makes groups of draws.
 * Draws between two of a group that just fit in are taken for the ones that are missing there. Then words that follow
 * from two others are deduced. */
#include "find_groups.h"
#include "find_parts.h"

enum {
    AROUND = 12, /* draws too many, or missing, near as many as last time */
    REACH = 300, /* and of a word in each WIDELY-th draw */
    BEYOND = 60, /* there may be more missing than there are too many */
    WIDELY = 16,
    SLACK = 40,  /* how well the second of three words tells where the third is */
    PROBES = 16, /* draws that are tried, */
    PROBE_STEP = 5,
    PROVEN = 2, /* and three words found, for a search to be worth it */
    SIGNS = 8,  /* ids of which none has its top bit set, for them to be Int63's */
    FILTER_BITS = 19,
    MOST_SPREAD = 8, /* words drawn for each one that is known */
    MOST_SWEEPS = 40,
    DRAW = 8, /* bytes */
    ENOUGH = 3,
    SEED_NEAR = 1 << 22, /* words drawn before those that were found, among which the seed is looked for; */
    SEED_FAR = 1 << 25   /* and from FIND_DIGITS_LEVEL on */
};

/* --- words -------------------------------------------------------------------------------------------------------- */

static u64 word_at(const GoSearch *s, i64 at) {
    u64 word;
    memcpy(&word, s->drawn.v + at, 8);
    return word & go_mask(s->n_bytes);
}

/* Where a word may begin within a draw. Words of Int63 are draws. */
static u32 n_offsets(const GoSearch *s) { return s->n_bytes == 8 ? 1 : DRAW; }

static i64 n_words(const GoSearch *s) { return (i64)s->drawn.n - 2 * DRAW + 1; }

/* Two bits of a filter; both are set if a word is there. */
static u32 filter_bit(u64 word, u32 which) {
    return (u32)(word * 0x9e3779b97f4a7c15u >> (which ? 64 - 2 * FILTER_BITS : 64 - FILTER_BITS)) &
           ((1u << FILTER_BITS) - 1);
}

static int may_be_there(const GoSearch *s, u64 word) {
    u32 a = filter_bit(word, 0), b = filter_bit(word, 1);
    return (int)(s->filter.v[a / 64] >> a % 64 & s->filter.v[b / 64] >> b % 64 & 1);
}

/* The bytes of these draws, as Read gave them, or as words lie in memory; and another 8 for the last word. */
static void search_begin(Finder *f, Env *env, const Draws *d, u32 n, u32 kind) {
    GoSearch *s = &f->go;
    s->n_bytes = bytes_of_word(kind);
    s->near = 0;
    s->drawn.n = s->filter.n = 0;
    VEC_RESIZE(env, s->drawn, (size_t)(n + 1) * DRAW);
    VEC_RESIZE(env, s->filter, (1u << FILTER_BITS) / 64);
    for (u32 i = 0; i < n; i++) {
        u64 id = s->n_bytes == 8 ? d->v[i].id : __builtin_bswap64(d->v[i].id);
        memcpy(s->drawn.v + (size_t)i * DRAW, &id, DRAW);
    }
    for (i64 at = 0; at < n_words(s); at += DRAW / n_offsets(s))
        for (u32 which = 0; which < 2; which++) {
            u32 bit = filter_bit(word_at(s, at), which);
            s->filter.v[bit / 64] |= (u64)1 << bit % 64;
        }
}

/* --- three words -------------------------------------------------------------------------------------------------- */

/* The first place near `expected`, a whole number of draws away, at which this word begins; or 0. */
static i64 third_near(const GoSearch *s, u64 word, i64 expected, i64 after) {
    i64 at = expected - SLACK * DRAW, end = expected + SLACK * DRAW;
    for (; at <= end && at < n_words(s); at += DRAW)
        if (at > after && word_at(s, at) == word)
            return at;
    return 0;
}

/* The word that GO_FAR words after the one at `at` gives, with it, the one GO_N after it; if there are `low` to `high`
 * more draws in between than there should be, or fewer if these are negative. And where the third one is, or 0. */
static i64 three_words(GoSearch *s, i64 at, i64 low, i64 high, i64 *second) {
    u64 word = word_at(s, at);
    for (i64 more = low; more <= high; more++) {
        i64 m = at + GO_FAR * s->n_bytes + more * DRAW;
        if (m <= at || m >= n_words(s))
            continue;
        u64 sum = (word + word_at(s, m)) & go_mask(s->n_bytes);
        if (!may_be_there(s, sum))
            continue;
        i64 third = third_near(s, sum, m + GO_M * s->n_bytes + more * GO_M / GO_FAR * DRAW, m);
        if (third) {
            *second = m;
            s->near = more;
            return third;
        }
    }
    return 0;
}

static i64 three_words_of(GoSearch *s, i64 at, int widely, i64 *second) {
    i64 third = three_words(s, at, s->near - AROUND, s->near + AROUND, second);
    return third || !widely ? third : three_words(s, at, -REACH, BEYOND, second);
}

static int all_positive(const Draws *d) {
    for (u32 i = 0; i < SIGNS; i++)
        if (d->v[i].id >> 63)
            return 0;
    return 1;
}

u32 go_probe(Finder *f, Env *env, const Draws *d) {
    GoSearch *s = &f->go;
    u32 kind = all_positive(d) ? GENERATOR_GO_INT63 : GENERATOR_GO_READ, hits = 0;
    i64 second;
    search_begin(f, env, d, FIND_DRAWS_LEAST, kind);
    for (u32 i = 0; i < PROBES && hits < PROVEN; i++)
        for (u32 off = 0; off < n_offsets(s); off++)
            hits +=
                three_words_of(s, i * PROBE_STEP * DRAW + off, kind == GENERATOR_GO_INT63 || i % 4 == 0, &second) > 0;
    return hits >= PROVEN ? kind : 0;
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

/* A word may lie in two draws: it is of those that have ENOUGH bytes of it, as fewer may be right by chance. */
static u32 draw_of(const GoSearch *s, i64 at) {
    return (u32)(at / DRAW) + (s->n_bytes < DRAW && DRAW - at % DRAW < ENOUGH);
}

/* The words at these places are so many bytes apart. */
static void join_words(GoSearch *s, i64 a, i64 b, i64 apart) {
    u32 i = draw_of(s, a), j = draw_of(s, b);
    groups_join(&s->groups, i, j, a - (i64)i * DRAW + apart - (b - (i64)j * DRAW));
    if (b >= (i64)j * DRAW && b + s->n_bytes - (i64)(j + 1) * DRAW >= ENOUGH)
        groups_join(&s->groups, j, j + 1, DRAW);
}

/* Three words, and the three before them: if these are neighbours of theirs, and more than every second draw is here,
 * then nothing lies between. */
static void join_neighbours(GoSearch *s, const i64 *before, const i64 *three) {
    u32 n = 0;
    for (u32 k = 0; k < 3; k++)
        n += before[k] >= 0 && three[k] - before[k] == s->n_bytes;
    for (u32 k = 0; k < 3 && n == 3 && 2 * (three[1] - three[0]) > GO_FAR * s->n_bytes; k++)
        join_words(s, before[k], three[k], s->n_bytes);
}

static void join_all(GoSearch *s, Env *env) {
    u32 n = (u32)s->drawn.n / DRAW - 1;
    i64 last[DRAW][3]; /* three words, by where the first one began */
    memset(last, -1, sizeof last);
    groups_begin(env, &s->groups, n);
    s->begins.n = 0;
    VEC_RESIZE(env, s->begins, n);
    for (u32 i = 0; i < n; i++)
        for (u32 off = 0; off < n_offsets(s) && i * DRAW + off < n_words(s); off++) {
            i64 three[3] = {i * DRAW + off, 0, 0}, *before = last[three[0] % s->n_bytes];
            three[2] = three_words_of(s, three[0], i % WIDELY == 0, &three[1]);
            if (!three[2])
                continue;
            join_words(s, three[0], three[0], 0);
            join_words(s, three[0], three[1], GO_FAR * s->n_bytes);
            join_words(s, three[0], three[2], GO_N * s->n_bytes);
            join_neighbours(s, before, three);
            memcpy(before, three, sizeof three);
            if (draw_of(s, three[0]) == i)
                s->begins.v[i] |= (u8)(1u << off);
        }
}

/* --- words in a row ----------------------------------------------------------------------------------------------- */

/* Where the first whole word begins in the bytes from `low` on. Three words that do not begin where Go's do add up as
 * well, unless a carry is in the way; so it is where most of them begin. */
static u32 first_word(GoSearch *s, u32 group, i64 low) {
    u32 n[8] = {0}, best = 0;
    i64 at;
    for (u32 i = 0; i < s->begins.n; i++)
        for (u32 off = 0; off < DRAW && group_of(&s->groups, i, &at) == group; off++)
            n[(at + off - low) % s->n_bytes] += s->begins.v[i] >> off & 1;
    for (u32 i = 0; i < s->n_bytes; i++)
        best = n[i] > n[best] ? i : best;
    return best;
}

static void place_byte(GoSearch *s, i64 at, u8 byte) {
    if (at < 0 || at / s->n_bytes >= (i64)s->y.n)
        return;
    size_t word = (size_t)at / s->n_bytes, in_word = (size_t)at % s->n_bytes;
    if (s->known.v[word] >> in_word & 1)
        return;
    s->known.v[word] |= (u8)(1u << in_word);
    s->y.v[word] |= (u64)byte << 8 * in_word;
}

static void place_draw(GoSearch *s, u32 i, i64 at) {
    for (u32 k = 0; k < DRAW; k++)
        place_byte(s, at + k, s->drawn.v[(size_t)i * DRAW + k]);
}

/* The draws of the group, and those between two of them that fit in, if wanted. `first` is the place of the first word.
 */
static void place_group(GoSearch *s, u32 group, i64 first, int between) {
    u32 last = 0;
    i64 last_at = 0, at;
    for (u32 i = 0; i < s->groups.links.n; i++) {
        if (group_of(&s->groups, i, &at) != group)
            continue;
        for (u32 k = last; between && k && k < i && at - last_at == (i64)(i + 1 - last) * DRAW; k++)
            place_draw(s, k, last_at + (i64)(k + 1 - last) * DRAW - first);
        place_draw(s, i, at - first);
        last = i + 1;
        last_at = at;
    }
}

static int is_known(const GoSearch *s, size_t word) { return s->known.v[word] == (1u << s->n_bytes) - 1; }

static void know(GoSearch *s, size_t word, u64 y) {
    s->y.v[word] = y & go_mask(s->n_bytes);
    s->known.v[word] = (u8)((1u << s->n_bytes) - 1);
}

/* Two words of three tell the other one. */
static u32 deduce(GoSearch *s, size_t i) {
    size_t m = i + GO_FAR, third = i + GO_N;
    if (is_known(s, i) + is_known(s, m) + is_known(s, third) != 2)
        return 0;
    if (!is_known(s, i))
        know(s, i, s->y.v[third] - s->y.v[m]);
    else if (!is_known(s, m))
        know(s, m, s->y.v[third] - s->y.v[i]);
    else
        know(s, third, s->y.v[i] + s->y.v[m]);
    return 1;
}

static void deduce_all(GoSearch *s) {
    for (u32 sweep = 0, changed = 1; changed && sweep < MOST_SWEEPS; sweep++) {
        changed = 0;
        for (size_t i = 0; i + GO_N < s->y.n; i++)
            changed += deduce(s, i);
    }
}

/* Where the last GO_N words in a row that are known begin, of which the first begins where a value may; or none. */
static size_t last_run(const GoSearch *s, u32 first) {
    u32 run = 0;
    for (size_t i = s->y.n; i--;) {
        run = is_known(s, i) ? run + 1 : 0;
        if (run >= GO_N && (first + i * s->n_bytes) % 4 == 0)
            return i;
    }
    return s->y.n;
}

static int hopeless(GoSearch *s, u32 group) {
    u32 n = (u32)s->groups.links.n;
    return n >= 4 * FIND_DRAWS_LEAST && group_size(&s->groups, group) < n / 6;
}

/* What was drawn may not begin where Read gave a value, as it does if all reads are for ids: then the seed is no use.
 */
static void find_seed(const Finder *f, u32 kind, GoWords *words) {
    u32 n, far = f->level < FIND_DIGITS_LEVEL ? SEED_NEAR : SEED_FAR;
    u32 seed = go_find_seed(words->y, bytes_of_word(kind), far, &n);
    if (!seed || n < GO_N || (kind == GENERATOR_GO_READ && (n - GO_N) % GO_BATCH))
        return;
    words->seed = seed;
    words->drawn = n - GO_N;
}

/* Draws that just fit in may be others in truth: they are taken only for what is not known without them, and if a seed
 * proves them right. */
static int find_words_of_go(Finder *f, u32 kind, u32 group, i64 low, u32 first, GoWords *words, u32 *before) {
    GoSearch *s = &f->go;
    for (int between = 0; between < 2; between++) {
        place_group(s, group, low + first, between);
        deduce_all(s);
        size_t run = last_run(s, first);
        if (run == s->y.n)
            continue;
        *words = (GoWords){s->y.v + run, 0, 0};
        *before = (u32)run;
        find_seed(f, kind, words);
        return words->seed || !between;
    }
    return 0;
}

/* Draws in the order of their starts, not necessarily of one process, nor all of them. */
u32 find_go(Finder *f, Env *env, const Draws *d, u32 kind, u32 resource) {
    GoSearch *s = &f->go;
    GoWords words;
    i64 low, high;
    u32 before;
    search_begin(f, env, d, (u32)d->n, kind);
    join_all(s, env);
    u32 group = groups_largest(env, &s->groups, &low, &high);
    i64 n_bytes = high + DRAW - low;
    if (n_bytes < GO_N * s->n_bytes || n_bytes >= (i64)d->n * DRAW * MOST_SPREAD)
        return hopeless(s, group) ? SEARCH_HOPELESS : SEARCH_NOT_FOUND;
    u32 first = first_word(s, group, low);
    s->y.n = s->known.n = 0;
    VEC_RESIZE(env, s->y, (size_t)(n_bytes - first) / s->n_bytes);
    VEC_RESIZE(env, s->known, s->y.n);
    if (!find_words_of_go(f, kind, group, low, first, &words, &before))
        return hopeless(s, group) ? SEARCH_HOPELESS : SEARCH_NOT_FOUND;
    stream_add_go(f, env, kind, resource, &words, before, (u32)s->y.n - before - GO_N);
    return SEARCH_FOUND;
}

void go_free(GoSearch *s) {
    VEC_FREE(s->drawn);
    VEC_FREE(s->filter);
    groups_free(&s->groups);
    VEC_FREE(s->begins);
    VEC_FREE(s->y);
    VEC_FREE(s->known);
}

size_t go_held(const GoSearch *s) {
    size_t n = VEC_HELD(s->drawn) + VEC_HELD(s->filter) + groups_held(&s->groups) + VEC_HELD(s->begins);
    return n + VEC_HELD(s->y) + VEC_HELD(s->known);
}
