/* MT19937 out of ids that it drew, other draws between them.
 *
 * Word 2i is the lower half of draw i. Which words come 396 and 623 after another one is what is found; that makes
 * groups of words that know their distances from each other. Then what lies between them is deduced. */
#include "find_groups.h"
#include "find_parts.h"

enum {
    STEP_M = MT_M - 1, /* from the second word of a twist to its others */
    STEP_N = MT_N - 1,
    REACH = 460, /* fewer words are known than were drawn: partners are closer than STEP_M, but for late spans */
    AROUND = 12, /* near where the last one was, first */
    SLACK = 40,  /* how well the first partner tells where the second one is */
    WIDELY = 16, /* words between those that are looked for everywhere */
    PROBED = 16, /* words looked for, */
    PROVEN = 2,  /* and found, for a search to be worth it */
    FILTER_BITS = 17,
    MOST_SPREAD = 8, /* words drawn for each one that is known */
    MOST_ROUNDS = 4, /* of placing and */
    MOST_SWEEPS = 40 /* sweeps of deducing */
};

/* --- partners ----------------------------------------------------------------------------------------------------- */

static u32 filter_bit(u32 x) { return x >> (32 - FILTER_BITS); }

/* The words of draws. */
static void search_begin(Finder *f, Env *env, const Draws *d, u32 n_draws, u32 kind) {
    MtSearch *s = &f->mt;
    s->near = STEP_M;
    s->x.n = s->filter.n = 0;
    VEC_RESIZE(env, s->x, 2 * n_draws);
    VEC_RESIZE(env, s->filter, 1 << FILTER_BITS >> 6);
    map_clear(&s->place);
    for (u32 i = 0; i < s->x.n; i++) {
        u64 id = kind == GENERATOR_MT19937_BYTES ? __builtin_bswap64(d->v[i / 2].id) : d->v[i / 2].id;
        u32 x = s->x.v[i] = mt_untemper((u32)(id >> 32 * (i & 1)));
        u32 *at = map_at(env, &s->place, x, finder_seed(f));
        if (!*at)
            *at = i + 1;
        s->filter.v[filter_bit(x) / 64] |= (u64)1 << filter_bit(x) % 64;
    }
}

static int may_be_known(const MtSearch *s, u32 x) {
    return (int)(s->filter.v[filter_bit(x) / 64] >> filter_bit(x) % 64 & 1);
}

/* The number of a word if it is one of `n` from `from` on; or 0. */
static u32 number_among(const Finder *f, u32 x, u32 from, u32 n) {
    u32 k = may_be_known(&f->mt, x) ? map_get(&f->mt.place, x, finder_seed(f)) : 0;
    return k > from && k - from <= n ? k - 1 : 0;
}

/* The word 623 after word i, if it lies where word i + d, 396 after it, says, nearly; this keeps chance out. Or 0. */
static u32 partner(const Finder *f, u32 x, u32 i, u32 d) {
    u32 from = i + d * STEP_N / STEP_M;
    return number_among(f, x, from > i + d + SLACK ? from - SLACK : i + d + 1, 2 * SLACK);
}

/* The word 623 after word i, if the one 396 after it is among words i + low to i + high: *j. Or 0. The word before the
 * second one of a draw is known, of that before the first one only the top bit matters. */
static u32 partners(const Finder *f, u32 i, u32 low, u32 high, u32 *j) {
    const MtSearch *s = &f->mt;
    u32 tops = i & 1 ? 1 : 2;
    u32 twist[2] = {mt_twist(i & 1 ? s->x.v[i - 1] : 0, s->x.v[i]), mt_twist(MT_TOP, s->x.v[i])};
    for (u32 d = low; d <= high && i + d < s->x.n; d++) {
        u32 k = 0;
        for (u32 top = 0; top < tops && !k; top++)
            if (may_be_known(s, s->x.v[i + d] ^ twist[top]))
                k = partner(f, s->x.v[i + d] ^ twist[top], i, d);
        if (k) {
            *j = i + d;
            return k;
        }
    }
    return 0;
}

static u32 partners_of(Finder *f, u32 i, u32 *j) {
    u32 near = f->mt.near, k = partners(f, i, near > AROUND ? near - AROUND : 1, near + AROUND, j);
    if (!k && i % WIDELY == 1)
        k = partners(f, i, 1, REACH, j);
    if (k)
        f->mt.near = *j - i;
    return k;
}

/* Looks for some words of the first draws. */
static int is_likely(Finder *f, Env *env, const Draws *d, u32 kind) {
    u32 hits = 0, j = 0;
    search_begin(f, env, d, FIND_DRAWS_LEAST, kind);
    for (u32 i = 0; i < PROBED && hits < PROVEN; i++)
        hits += partners_of(f, WIDELY * i + 1, &j) > 0;
    return hits == PROVEN;
}

u32 mt_probe(Finder *f, Env *env, const Draws *d) {
    if (is_likely(f, env, d, GENERATOR_MT19937))
        return GENERATOR_MT19937;
    return is_likely(f, env, d, GENERATOR_MT19937_BYTES) ? GENERATOR_MT19937_BYTES : 0;
}

/* --- groups ------------------------------------------------------------------------------------------------------- */

static void join_all(Finder *f, Env *env) {
    MtSearch *s = &f->mt;
    groups_begin(env, &s->groups, (u32)s->x.n);
    for (u32 i = 0; i < s->x.n; i += 2)
        groups_join(&s->groups, i, i + 1, 1);
    for (u32 i = 0; i < s->x.n; i++) {
        u32 j = 0, k = partners_of(f, i, &j);
        if (k) {
            groups_join(&s->groups, i, j, STEP_M);
            groups_join(&s->groups, i, k, STEP_N);
        }
    }
}

/* --- what lies between -------------------------------------------------------------------------------------------- */

static int whole(const MtKnown *k) { return k->top & k->low; }

/* If a word that was deduced was drawn for an id of the sample, the id's other word is known as well; and in the next
 * round its group. */
static void recognise(Finder *f, u32 at) {
    MtSearch *s = &f->mt;
    u32 expected = (u32)((u64)at * s->x.n / s->known.n), slack = (u32)s->x.n / 8;
    u32 i = number_among(f, s->known.v[at].x, expected > slack ? expected - slack : 1, 2 * slack);
    u32 mate = i & 1 ? at - 1 : at + 1;
    if (!i || mate >= s->known.n || whole(&s->known.v[mate]))
        return;
    groups_join(&s->groups, s->group, i, at + s->low);
    s->known.v[mate] = (MtKnown){s->x.v[i ^ 1], 1, 1};
}

/* One twist: two of its three parts tell the third. */
static u32 deduce(Finder *f, u32 i) {
    MtKnown *k = f->mt.known.v + i;
    int twisted = k[0].top & k[1].low, m = whole(k + MT_M), n = whole(k + MT_N);
    if (m && n && !twisted) {
        u32 y = mt_untwist(k[MT_M].x ^ k[MT_N].x);
        k[0].x = (k[0].x & ~MT_TOP) | (y & MT_TOP);
        k[1].x = (k[1].x & MT_TOP) | (y & ~MT_TOP);
        k[0].top = k[1].low = 1;
        if (whole(k))
            recognise(f, i);
        if (whole(k + 1))
            recognise(f, i + 1);
        return 1;
    }
    if (!twisted || m == n)
        return 0;
    u32 to = m ? MT_N : MT_M, from = m ? MT_M : MT_N;
    k[to] = (MtKnown){k[from].x ^ mt_twist(k[0].x, k[1].x), 1, 1};
    recognise(f, i + to);
    return 1;
}

static void deduce_all(Finder *f) {
    MtSearch *s = &f->mt;
    for (u32 sweep = 0, changed = 1; changed && sweep < MOST_SWEEPS; sweep++) {
        changed = 0;
        for (u32 i = 0; i + MT_N < s->known.n; i++)
            changed += deduce(f, i);
    }
}

/* The last 624 words in a row that are known; or NULL. */
static const MtKnown *last_run(const MtSearch *s) {
    u32 run = 0;
    for (size_t i = s->known.n; i--;) {
        run = whole(&s->known.v[i]) ? run + 1 : 0;
        if (run == MT_N)
            return &s->known.v[i];
    }
    return NULL;
}

/* Places the words of the group; how many are new. */
static u32 place_group(MtSearch *s) {
    u32 placed = 0;
    i64 off;
    for (u32 i = 0; i < s->x.n; i++)
        if (group_of(&s->groups, i, &off) == s->group && off >= s->low && off - s->low < (i64)s->known.n &&
            !whole(&s->known.v[off - s->low])) {
            s->known.v[off - s->low] = (MtKnown){s->x.v[i], 1, 1};
            placed++;
        }
    return placed;
}

/* A group that stays small while there are many draws: too many others lie between them. */
static int hopeless(MtSearch *s) {
    return s->x.n >= 4 * FIND_DRAWS_LEAST && group_size(&s->groups, s->group) < s->x.n / 6;
}

/* Draws in the order of their starts, not necessarily of one process, nor all of them. */
u32 find_mt(Finder *f, Env *env, const Draws *d, u32 kind, u32 resource) {
    MtSearch *s = &f->mt;
    i64 high;
    search_begin(f, env, d, (u32)d->n, kind);
    join_all(f, env);
    s->group = groups_largest(env, &s->groups, &s->low, &high);
    if (high - s->low < MT_N || high - s->low >= (i64)s->x.n * MOST_SPREAD)
        return hopeless(s) ? SEARCH_HOPELESS : SEARCH_NOT_FOUND;
    s->known.n = 0;
    VEC_RESIZE(env, s->known, (size_t)(high - s->low) + 1);
    for (u32 round = 0; round < MOST_ROUNDS && place_group(s); round++)
        deduce_all(f);
    const MtKnown *run = last_run(s);
    if (!run)
        return hopeless(s) ? SEARCH_HOPELESS : SEARCH_NOT_FOUND;
    stream_add_mt(f, env, kind, resource, run, (u32)(s->known.v + s->known.n - run - MT_N));
    return SEARCH_FOUND;
}

void mt_free(MtSearch *s) {
    VEC_FREE(s->x);
    VEC_FREE(s->filter);
    groups_free(&s->groups);
    VEC_FREE(s->known);
    map_free(&s->place);
}

size_t mt_held(const MtSearch *s) {
    size_t n = VEC_HELD(s->x) + VEC_HELD(s->filter) + groups_held(&s->groups);
    return n + VEC_HELD(s->known) + VEC_HELD(s->place);
}
