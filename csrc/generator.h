/* Generators of ids, as a reader has them: what it is told of one, and the id at a position. FORMAT.md, "Generators".
 */
#ifndef TZ_GENERATOR_H
#define TZ_GENERATOR_H

#include "go_rand.h"
#include "mt.h"
#include "splitmix.h"
#include "v8.h"

enum {
    GENERATOR_SPLITMIX,
    GENERATOR_V8_WORDS,
    GENERATOR_V8_DIGITS,
    GENERATOR_MT19937,
    GENERATOR_GO_READ,
    GENERATOR_GO_INT63,
    GENERATOR_MT19937_BYTES
};

/* Values that an id of 64 bits is made of; those of SplitMix are not kept. */
static inline u32 values_of_id(u32 kind) {
    return kind == GENERATOR_SPLITMIX ? 0 : kind == GENERATOR_V8_DIGITS ? 64 / V8_DIGIT : 64 / V8_WORD;
}

static inline int is_mt(u32 kind) { return kind == GENERATOR_MT19937 || kind == GENERATOR_MT19937_BYTES; }

static inline int is_go(u32 kind) { return kind == GENERATOR_GO_READ || kind == GENERATOR_GO_INT63; }

/* Go: bytes of a word. */
static inline u32 bytes_of_word(u32 kind) { return kind == GENERATOR_GO_READ ? 7 : 8; }

/* Which half of a trace id is drawn first. */
static inline int lower_half_first(u32 kind) { return kind == GENERATOR_MT19937 || kind == GENERATOR_GO_INT63; }

/* What is told: of SplitMix the seed of position 0 and the thread that its step depends on; of V8 the state before the
 * refill that begins at position 0; of MT19937 the first 624 words, untempered; of Go its seed, or 0, and how many
 * words / GO_BATCH were drawn before position 0, or else the 607 words before that. */
typedef struct {
    u8 kind;
    u32 thread;
    u64 seed; /* SplitMix; Go, or 0 */
    u64 skip; /* 0 of all other kinds, and without a seed */
    V8 v8;
    union {
        u32 mt[MT_N];
        u64 go[GO_N];
    } words;
} GeneratorState;

#endif
