/* Generators of ids, as a reader has them: what it is told of one, and the id at a position. FORMAT.md, "Generators".
 */
#ifndef TZ_GENERATOR_H
#define TZ_GENERATOR_H

#include "mt.h"
#include "splitmix.h"
#include "v8.h"

enum { GENERATOR_SPLITMIX, GENERATOR_V8_WORDS, GENERATOR_V8_DIGITS, GENERATOR_MT19937 };

/* Values that an id of 64 bits is made of; those of SplitMix are not kept. */
static inline u32 values_of_id(u32 kind) {
    return kind == GENERATOR_SPLITMIX ? 0 : kind == GENERATOR_V8_DIGITS ? 64 / V8_DIGIT : 64 / V8_WORD;
}

/* What is told: of SplitMix the seed of position 0 and the thread that its step depends on; of V8 the state before the
 * refill that begins at position 0; of MT19937 the first 624 words, untempered. */
typedef struct {
    u8 kind;
    u32 thread;
    u64 seed;
    V8 v8;
    u32 words[MT_N];
} GeneratorState;

#endif
