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
    FIND_SOURCES = 4096,    /* resources that are looked at; ids of others are only looked up */
    FIND_SAMPLING = 32,     /* resources of which draws are kept at the same time */
    FIND_DRAWS_LEAST = 700, /* draws with which MT19937 and Go are tried first, */
    FIND_DRAWS_MOST = 5120  /* and last */
};

/* Four accounts: for looking, for seeing whether a search among draws is worth it, for such searches, and for making
 * values of generators that are known. */
enum {
    LOOKS_FIRST = 200000,
    LOOKS_MOST = 1000000,
    EARNED_LOOKS = 4,   /* each row, */
    EARNED_DIGITS = 6,  /* and this, where browsers are looked for */
    COST_LOOK = 2500,   /* at a resource, */
    COST_LOOK_ROW = 25, /* and for each row of its sample */
    COST_PLACE = 10,    /* a place of a refill's end tried with a browser's root */

    PROBES_FIRST = 500000,
    PROBES_MOST = 1000000,
    EARNED_PROBES = 12,  /* each row */
    COST_PROBE = 100000, /* for MT19937 and for Go */

    SEARCHES_MOST = 12000000, /* at first, too: where nothing is suspected, nothing is searched */
    EARNED_SEARCHES = 10,     /* each id that was found */
    COST_DRAW = 350,

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
    f->credit.searches += EARNED_SEARCHES;
    f->credit.values += EARNED_VALUES;
}

/* Time depends on the hashes' seed, what is found does not. */
static inline u64 finder_seed(const Finder *f) { return (u64)(uintptr_t)f; }

static inline u32 halved(const Finder *f, u32 n, u32 least) {
    return n >> f->halvings > least ? n >> f->halvings : least;
}

/* Draws that are kept of a resource, and resources of which they are. */
static inline u32 most_draws(const Finder *f) { return halved(f, FIND_DRAWS_MOST, 2 * FIND_DRAWS_LEAST); }
static inline u32 most_sampling(const Finder *f) { return halved(f, FIND_SAMPLING, 1); }

static const Found NOTHING = {NO_GENERATOR, 0};

/* find_generators.c: looks up the rows of a resource that nothing explained, again */
void explain(Finder *f, Env *env, const IdRows *r, u32 resource);

/* find_draws.c */
void sort_draws(Draws *d);
void look_at_draws(Finder *f, Env *env, const IdRows *r, u32 resource);

/* find_values.c: `n` more values of a stream, for V8 a whole number of refills, for Go of batches */
void values_after(Finder *f, Env *env, Stream *g, u32 n);
void values_before(Finder *f, Env *env, Stream *g, u32 n);

/* GO_N words in a row, of which the first begins where a value does. */
typedef struct {
    const u64 *y;
    u32 seed, drawn; /* the process's, or 0, and how many words it drew before these */
} GoWords;

/* find_streams.c */
void streams_prefetch(const Finder *f, u64 id);
Found streams_find(Finder *f, Env *env, u64 id);
Found streams_find_trace(Finder *f, Env *env, u64 hi, u64 lo);
void stream_add_v8(Finder *f, Env *env, u32 kind, u32 resource, V8 state);
void stream_add_mt(Finder *f, Env *env, u32 kind, u32 resource, const MtKnown *words, u32 more);
void stream_add_go(Finder *f, Env *env, u32 kind, u32 resource, const GoWords *words, u32 before, u32 after);
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

/* find_mt.c, find_go.c: is a search worth it; and a search: found, not found, nor worth another one with more draws */
enum { SEARCH_FOUND, SEARCH_NOT_FOUND, SEARCH_HOPELESS };
u32 mt_probe(Finder *f, Env *env, const Draws *d); /* the kind, or 0 */
u32 find_mt(Finder *f, Env *env, const Draws *d, u32 kind, u32 resource);
void mt_free(MtSearch *s);
size_t mt_held(const MtSearch *s);
u32 go_probe(Finder *f, Env *env, const Draws *d);
u32 find_go(Finder *f, Env *env, const Draws *d, u32 kind, u32 resource);
void go_free(GoSearch *s);
size_t go_held(const GoSearch *s);

#endif
