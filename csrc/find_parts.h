/* What the files of the finder share. */
#ifndef TZ_FIND_PARTS_H
#define TZ_FIND_PARTS_H

#include "find_generators.h"

enum {
    FIND_SAMPLE = 192,     /* rows of a resource that are looked at */
    FIND_WINDOW = 48,      /* of these, rows that are tried against each other */
    FIND_LEAST = 4,        /* rows without which nothing is looked for */
    FIND_DIGITS_LEVEL = 5, /* browsers are looked for from this level on */
    FIND_THREADS = 1024,
    FIND_STREAMS = 512,
    FIND_SOURCES = 4096,   /* resources that are looked at; ids of others are only looked up */
    FIND_MT_SAMPLING = 32, /* resources of which draws are kept at the same time */
    FIND_MT_LEAST = 700,   /* draws with which MT19937 is tried first, */
    FIND_MT_MOST = 5120    /* and last */
};

/* Three accounts: for looking, for searches for MT19937, and for making values of generators that are known. */
enum {
    LOOKS_FIRST = 200000,
    LOOKS_MOST = 1000000,
    EARNED_LOOKS = 4,      /* each row, */
    EARNED_DIGITS = 6,     /* and this, where browsers are looked for */
    COST_LOOK = 2500,      /* at a resource, */
    COST_LOOK_ROW = 25,    /* and for each row of its sample */
    COST_PLACE = 10,       /* a place of a refill's end tried with a browser's root */
    COST_MT_PROBE = 50000, /* is a search for MT19937 worth it? It needs to leave */
    LOOKS_KEPT = 100000,

    MT_MOST = 4000000, /* at first, too: where there is no MT19937, nothing is searched */
    EARNED_MT = 10,    /* each id that was found */
    COST_MT_DRAW = 350,

    VALUES_FIRST = 2000000,
    VALUES_MOST = 4000000,
    EARNED_VALUES = 64, /* each id that was found */
    COST_VALUE = 5      /* made and entered in the table */
};

static inline int pay(i64 *account, i64 cost) {
    if (*account < cost)
        return 0;
    *account -= cost;
    return 1;
}

static inline void earn_found(Finder *f) {
    f->credit.mt += EARNED_MT;
    f->credit.values += EARNED_VALUES;
}

/* Time depends on the hashes' seed, what is found does not. */
static inline u64 finder_seed(const Finder *f) { return (u64)(uintptr_t)f; }

static inline u32 halved(const Finder *f, u32 n, u32 least) {
    return n >> f->halvings > least ? n >> f->halvings : least;
}

/* Draws for MT19937 that are kept of a resource, and resources of which they are. */
static inline u32 mt_most(const Finder *f) { return halved(f, FIND_MT_MOST, 2 * FIND_MT_LEAST); }
static inline u32 mt_sampling(const Finder *f) { return halved(f, FIND_MT_SAMPLING, 1); }

static const Found NOTHING = {NO_GENERATOR, 0};

/* find_generators.c: looks up the rows of a resource that nothing explained, again */
void explain(Finder *f, Env *env, const IdRows *r, u32 resource);

/* find_draws.c */
void sort_draws(Draws *d);
void mt_look(Finder *f, Env *env, const IdRows *r, u32 resource);

/* find_values.c: `n` more values of a stream, for V8 a whole number of refills */
void values_after(Finder *f, Env *env, Stream *g, u32 n);
void values_before(Finder *f, Env *env, Stream *g, u32 n);

/* find_streams.c */
void streams_prefetch(const Finder *f, u64 id);
Found streams_find(Finder *f, Env *env, u64 id);
Found streams_find_trace(Finder *f, Env *env, u64 hi, u64 lo);
void stream_add_v8(Finder *f, Env *env, u32 kind, u32 resource, V8 state);
void stream_add_mt(Finder *f, Env *env, u32 resource, const MtKnown *words, u32 more);
void streams_forget(Finder *f);
void streams_free(Finder *f);
size_t streams_held(const Finder *f);
const Stream *stream_of(const Finder *f, u32 generator);
u64 stream_origin(const Stream *g, u64 position, GeneratorState *state);

/* find_threads.c */
Found threads_find(Finder *f, Env *env, u64 id, u32 resource);
Found threads_find_trace(Finder *f, Env *env, u64 hi, u64 lo, u32 resource);
u32 find_threads(Finder *f, Env *env, const IdRows *r, u32 resource);
u32 find_own_steps(Finder *f, Env *env, u32 resource);
void threads_forget(Finder *f, Env *env);
const Thread *thread_of(const Finder *f, u32 generator);
u64 thread_origin(const Thread *t, u64 position, GeneratorState *state);

/* find_words.c: tables, filled once */
void find_words_fill(void);

/* find_words.c, find_digits.c: look at the sample; how many generators were found */
u32 find_words(Finder *f, Env *env, const IdRows *r, u32 resource);
u32 find_digits(Finder *f, Env *env, const IdRows *r, u32 resource);
int all_even(const V8Solver *s, const u64 *ids);

/* find_mt.c: is a search worth it; and a search: found, not found, nor worth another one with more draws */
enum { MT_FOUND, MT_NOT_FOUND, MT_HOPELESS };
int mt_probe(Finder *f, Env *env, const Draws *d);
u32 find_mt(Finder *f, Env *env, const Draws *d, u32 resource);
void mt_free(MtSearch *s);
size_t mt_held(const MtSearch *s);

#endif
