/* SplitMix64, from which a JVM's ThreadLocalRandom draws: one generator a thread. FORMAT.md, "Generators".
 *
 * The number at a position is mix(seed + position * step). mix is a bijection, so an id tells its seed, and a step is
 * odd, so it tells its position. */
#ifndef TZ_SPLITMIX_H
#define TZ_SPLITMIX_H

#include "base.h"

#define SPLITMIX_GOLDEN 0x9e3779b97f4a7c15u /* the step of every thread up to Java 16; later 2 * thread id more */

static inline u64 splitmix_mix(u64 z) {
    z = (z ^ z >> 33) * 0xff51afd7ed558ccdu;
    z = (z ^ z >> 33) * 0xc4ceb9fe1a85ec53u;
    return z ^ z >> 33;
}

static inline u64 splitmix_unmix(u64 z) {
    z = (z ^ z >> 33) * 0x9cb4b2f8129337dbu;
    z = (z ^ z >> 33) * 0x4f74430c22a54005u;
    return z ^ z >> 33;
}

static inline u64 splitmix_step(u32 thread) { return SPLITMIX_GOLDEN + 2 * (u64)thread; }

static inline u64 splitmix_at(u64 seed, u64 step, u64 position) { return splitmix_mix(seed + position * step); }

/* 1 / odd modulo 2^64: each round doubles the bits that are right, of which there are five at first. */
static inline u64 odd_inverse(u64 odd) {
    u64 x = odd * 3 ^ 2;
    for (int i = 0; i < 4; i++)
        x *= 2 - odd * x;
    return x;
}

/* The position of an id that this generator drew; any number for another id. */
static inline u64 splitmix_position(u64 id, u64 seed, u64 inverse) { return (splitmix_unmix(id) - seed) * inverse; }

#endif
