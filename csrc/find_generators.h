/* Which ids of a block come from a generator: the writer looks, the reader is told. FORMAT.md, "Generators".
 *
 * A finder lives as long as its encoder and remembers generators, also across restart groups. What it finds depends
 * on the rows only: samples are the first rows, ties go to the lower number, and no table is walked by its hashes. */
#ifndef TZ_FIND_GENERATORS_H
#define TZ_FIND_GENERATORS_H

#include "hash.h"
#include "splitmix.h"
#include "v8.h"
#include "generator.h"
#define Generator FGenerator


enum {
    FIND_SAMPLE = 192,     /* ids of a resource that are looked at */
    FIND_WINDOW = 64,      /* of these, ids that are tried against each other, in the order of their starts */
    FIND_NEAR = 16,        /* how far apart in it the first two of three draws in a row may be */
    FIND_LEAST = 4,        /* ids without which nothing is tried, and that prove a generator */
    FIND_CHUNK = 4096,     /* values made beyond the furthest position that was met */
    FIND_GENERATORS = 1000 /* at most */
};

/* Positions in the table begin near this one, whenever the table is made anew. */
#define FIND_ORIGIN (1u << 21)

typedef struct {
    u8 kind;
    u8 met; /* V8: since the table began */
    u32 resource;
    u32 next;            /* + 1, of the same resource; SplitMix with a step of its own only */
    u64 base;            /* V8: added to positions of the table; SplitMix: a position that was met */
    u64 seed, step;      /* SplitMix: the seed of position 0 */
    u64 inverse;         /* of step */
    V8 low, high;        /* V8: states before the values at `from` and `to` are made */
    u32 from, to;        /* V8: positions that are in the table, whole refills */
    u32 lowest, highest; /* V8: positions met */
} Generator;

typedef struct {
    u32 generator; /* NO_GENERATOR: none */
    u64 position;  /* modulo 2^64, from anywhere, but always from the same place */
} Found;
enum { NO_GENERATOR = 0xffffffffu };

/* What is known of a resource. */
typedef struct {
    u32 n, sample;    /* rows that nothing explains, in this block; where the first of them are */
    u32 failed, wait; /* how often nothing was found, and for how many more blocks not to look */
    u32 found;        /* anything, in this block */
    u32 looked;       /* the round in which it was looked at */
    u32 own_step;     /* its first generator with a step of its own, + 1 */
} Source;

typedef struct {
    u64 id, hi, lo, start;
    u32 row;
    u8 root;
} Sample;

typedef struct {
    Env *env;
    u64 seed;
    VEC(Generator) generators;
    VEC(Source) sources; /* by number of the resource */
    Map of_id;           /* V8: id -> (generator + 1) << 22 | position */
    Map of_range;        /* SplitMix with the usual step: position / 2^16 -> generator + 1 */
    VEC(Sample) samples; /* FIND_SAMPLE for each resource with any */
    VEC(Found) parent; VEC(Found) trace; VEC(Found) own;      /* of the rows of the block that was looked at last: their own ids */
    U32s missing;        /* rows that nothing explains */
    Map seen;            /* used while threads are told apart */
    V8Solver words;      /* made when first needed, as are the next ones */
    u32 *table;          /* of the parities of `words` */
    V8Solver *digits;    /* for each place of the refill's end, the last one first */
    u32 places;          /* how many of them are made */
    u32 forgot;          /* how often all generators were forgotten: their numbers begin anew */
    u64 credit;          /* work that may be done, about nanoseconds */
} Finder;

typedef struct {
    const u64 *id, *parent, *hi, *lo, *start; /* parent 0: a root */
    const u32 *resource;
    size_t n;
} IdRows;

void finder_init0(Finder *f, Env *env, u64 seed);static inline void finder_init(Finder*f,u32 level){(void)level;finder_init0(f,0,0);}
void finder_free(Finder *f);
void finder_block0(Finder *f, const IdRows *rows);void finder_block(Finder *f,Env*env, const IdRows *rows);u32 finder_resource(const Finder*f,u32 g);u64 finder_origin(Finder*f,u32 g,u64 p,GeneratorState*o);   /* before the block's rows are written */
Found finder_find(Finder *f, u64 id, u32 resource); /* any id; the resource only helps */
V8 finder_state(const Generator *g, u64 position);  /* V8: before the refill of a position in the table is made */

#undef Generator
#endif
