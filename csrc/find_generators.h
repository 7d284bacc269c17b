/* Which ids of a block come out of which generator: the writer looks, the reader is told. FORMAT.md, "Generators".
 *
 * A finder lives as long as its stream and remembers generators, also across restart groups. What it finds depends on
 * the rows alone, and not on hashes: the reference finds the same. Every id that it names was compared.
 *
 * Work is paid for, in about nanoseconds: each row earns a little and each id found more; looking in vain costs, and so
 * does making values ahead. Whoever has no generators pays what the rows earn, at most.
 *
 * Memory: little before a generator is found. Then up to 6 MiB for the table while it grows, and 2 for its values; 7
 * for draws for MT19937 and Go, 2 for the search for the one and 1, during it, for that for the other; at most 8 while
 * there are very many threads, 1 for all else: 27 MiB; and 52 bytes for each row of the largest block. */
#ifndef TZ_FIND_GENERATORS_H
#define TZ_FIND_GENERATORS_H

#include "generator.h"
#include "hash.h"

typedef struct {
    u32 generator; /* a number that is never used again; or NO_GENERATOR */
    u64 position;
} Found;
#define NO_GENERATOR 0xffffffffu
typedef VEC(Found) FoundRows;

/* The spans of a block, in order. Absent ids are 0; so no parent marks a root. */
typedef struct {
    const u64 *id, *parent, *hi, *lo, *start;
    const u32 *resource; /* a small number that stays the same while the finder lives */
    size_t n;
} IdRows;

/* A thread of a JVM. With the usual step all threads are places of one sequence, of seed 0. */
typedef struct {
    u64 seed, step, inverse; /* of a step of its own */
    u64 last;                /* a position that was met */
    u32 number, resource;
    u32 thread; /* what makes the step; 0 is the usual step */
    u32 next;   /* with steps of their own: another one of the resource, + 1 */
    u8 met;     /* since threads were last forgotten */
} Thread;

/* V8, MT19937 and Go: the ids of a stretch of values are in the table. */
typedef struct {
    u8 kind, met; /* since the table was begun */
    u32 number, resource;
    u32 from, highest; /* places in the table: of values.v[0], and the furthest that was met */
    u32 ahead;         /* how many values are made at a time */
    u64 base;          /* position = base + place in the table */
    V8 low, high;      /* V8: before the first value and after the last one */
    u32 seed;          /* Go: or 0 if it was not found */
    u64 drawn;         /* Go with a seed: words that the process drew before the first value */
    U32s values; /* V8: whole refills, in the order in which they are handed out; MT19937: tempered; Go: batches */
} Stream;

typedef struct {
    u32 tag, at; /* of the id's hash; (stream + 1) << PLACE_BITS | place, or 0 */
} Slot;
typedef VEC(Slot) Slots;

typedef struct {
    u64 start, id;
    u32 order; /* among those that start together */
} Draw;
typedef VEC(Draw) Draws;

/* What is known of a resource, which as a rule is a process. */
typedef struct {
    u32 first, last, n;                 /* its rows in this block that no generator explains, + 1 */
    u32 failed;                         /* how often in a row nothing was found */
    u64 again;                          /* the block before which it is not looked at */
    u32 own_steps;                      /* its threads with a step of their own, + 1, */
    u32 n_own_steps;                    /* so many */
    Draws draws;                        /* for MT19937 and Go, of several blocks */
    u32 n_searches_failed, least_draws; /* draws without which there is no search, or no other one */
    u64 search_again;                   /* the block before which no draws are kept */
    u8 suspected;                       /* the kind for which a search is worth it; or 0 */
} Source;

/* What one generator drew: how far from another draw. */
typedef struct {
    u32 up; /* another one of its group, or itself */
    i64 off;
} GroupLink;

typedef struct {
    VEC(GroupLink) links;
    U32s size; /* of each group, by its root */
} Groups;

/* A word of which the top bit and the others may be known. */
typedef struct {
    u32 x;
    u8 top, low;
} MtKnown;

/* What the search for MT19937 uses. */
typedef struct {
    U32s x;      /* words, untempered */
    U64s filter; /* a bit for some bits of each word */
    Map place;   /* word -> its number + 1 */
    Groups groups;
    VEC(MtKnown) known;
    u32 near;  /* how many words apart a partner was last */
    u32 group; /* the one that is placed, */
    i64 low;   /* and its first word */
} MtSearch;

/* What the search for Go uses. Positions are bytes of the sequence, counted from the first draw of a group. */
typedef struct {
    u32 n_bytes;   /* of a word */
    Bytes drawn;   /* the bytes of all draws, in their order */
    U64s filter;   /* two bits for each word that begins there */
    Groups groups; /* of draws */
    i64 near;      /* how many draws too many, or missing, there were last between the first two words of three */
    Bytes begins;  /* where in each draw the first of three words begins: a bit for each place */
    U64s y;        /* words in a row, */
    Bytes known;   /* which bytes of each are known: a bit for each */
} GoSearch;

typedef struct {
    u32 level;
    u32 halvings;  /* of the sizes below, for a writer with little memory */
    u32 n_numbers; /* of generators, so far */
    u64 block;
    struct {
        i64 looks, probes, searches, values;
    } credit;
    VEC(Thread) threads;
    Map of_range; /* usual step: a position's range -> thread + 1 */
    VEC(Stream) streams;
    Slots table, other_table;            /* the other one is there while it grows */
    u32 n_entered;                       /* ids in it */
    u8 full;                             /* it must be begun anew */
    u8 has_upper_first, has_lower_first; /* streams, by the half of a trace id that they draw first */
    VEC(Source) sources;
    U32s touched;         /* sources with rows that nothing explains */
    U32s next;            /* the next such row of the same resource, + 1 */
    u32 n_sampling;       /* sources of which draws are kept */
    Draws sample;         /* of the rows of a source */
    Map seen;             /* for one search */
    U32s scratch;         /* for one stretch of values */
    VEC(V8Solver) digits; /* made when first needed: those for each place of a refill's end */
    MtSearch mt;
    GoSearch go;
    U32s row_of_id, row_of_trace; /* a row with such an id or trace, + 1, by their last bits */
    FoundRows own, parent, trace; /* of each row of the block */
    size_t n_blank;               /* so many of each are as if nothing were known */
} Finder;

/* Level: 1 (fastest) to 9 (smallest); browsers are looked for from 5 on, and Go's seeds further back. Halvings: how
 * often the table, and what is kept for MT19937, is halved; with any, memory for searches is let go after each. */
void finder_init(Finder *f, u32 level, u32 halvings); /* of several threads one at a time */
void finder_free(Finder *f);
size_t finder_held(const Finder *f); /* the memory it holds, bytes */

/* Fills own, parent and trace. A trace's position is that of the half that was drawn first. After a failure the finder
 * can only be freed. */
void finder_block(Finder *f, Env *env, const IdRows *rows);
int finder_try(Finder *f, const IdRows *rows); /* the same by itself, for tests: TZ_OK or TZ_NO_MEMORY */

/* The resource that used a generator first. The generator was found in the last block, also below. */
u32 finder_resource(const Finder *f, u32 generator);

/* The generator's state somewhat before this position, or at it; and where: a reader counts positions from there. */
u64 finder_origin(Finder *f, u32 generator, u64 position, GeneratorState *state);

#endif
