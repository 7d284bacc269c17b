/* What the files of the finder share. */
#ifndef TZ_FIND_PARTS_H
#define TZ_FIND_PARTS_H

#include "find_generators.h"

enum {
    FIND_SAMPLE = 192,     /* rows of a resource that are looked at */
    FIND_WINDOW = 64,      /* of these, rows that are tried against each other */
    FIND_LEAST = 4,        /* rows without which nothing is looked for */
    FIND_DIGITS_LEVEL = 5, /* browsers are looked for from this level on */
    FIND_THREADS = 1024,
    FIND_STREAMS = 512,
    FIND_SOURCES = 4096,   /* resources that are looked at; ids of others are only looked up */
    FIND_MT_SAMPLING = 32, /* resources of which draws are kept at the same time */
    FIND_MT_LEAST = 700,   /* draws with which MT19937 is tried first, */
    FIND_MT_MOST = 8192    /* and last */
};

/* The account. */
enum {
    EARNED_ROW = 5,
    EARNED_FOUND = 64,
    COST_LOOK = 3000,      /* at a resource, */
    COST_LOOK_ROW = 50,    /* and for each row of its sample */
    COST_VALUE = 5,        /* made ahead and entered in the table */
    COST_PLACE = 10,       /* a place of a refill's end tried with a browser's root */
    COST_MT_PROBE = 25000, /* MT19937: is it worth a search? */
    COST_MT_DRAW = 200,    /* for each draw of a search */
    CREDIT_FIRST = 200000,
    CREDIT_MOST = 4000000,
    OVERDRAFT = 2000000 /* only to make values of generators that are known */
};

static inline int pay(Finder *f, i64 cost, i64 overdraft) {
    if (f->credit + overdraft < cost)
        return 0;
    f->credit -= cost;
    return 1;
}

/* Time depends on the hashes' seed, what is found does not. */
static inline u64 finder_seed(const Finder *f) { return (u64)(uintptr_t)f; }

static const Found NOTHING = {NO_GENERATOR, 0};

/* find_streams.c */
Found streams_find(Finder *f, Env *env, u64 id);
Found streams_find_trace(Finder *f, Env *env, u64 hi, u64 lo);
void stream_add_v8(Finder *f, Env *env, u32 kind, u32 resource, V8 state);
void stream_add_mt(Finder *f, Env *env, u32 resource, const MtKnown *words, u32 more);
void streams_forget(Finder *f);
void streams_free(Finder *f);
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

/* find_words.c, find_digits.c: look at the sample; how many generators were found */
u32 find_words(Finder *f, Env *env, const IdRows *r, u32 resource);
u32 find_digits(Finder *f, Env *env, const IdRows *r, u32 resource);
int all_even(const V8Solver *s, const u64 *ids);

/* find_mt.c: is it worth it; and a search */
int mt_probe(Finder *f, Env *env, const Draws *d);
u32 find_mt(Finder *f, Env *env, const Draws *d, u32 resource);
void mt_free(MtSearch *s);

#endif
