/* Which traces a unit of an archive may hold. FORMAT.md, "Filter". */
#ifndef TZ_FILTER_H
#define TZ_FILTER_H

#include "base.h"

enum { FILTER_HIGH_BITS = 24, FILTER_LOW_BITS = 12, FILTER_PLACE_BITS = 4 }; /* at most */

typedef struct {
    u32 high_bits, low_bits, place_bits;
} FilterBits;

/* The fingerprint of each hash, and below it the place of its trace's last row, which is row[i] + before of n_spans.
 * 0 if a row is none of these spans. */
int filter_keys(const FilterBits *b, const u64 *hash, const u32 *row, size_t n, u64 before, u64 n_spans, u64 *keys);

/* Sorts n keys, and leaves each fingerprint once, with the last of its places. Returns how many there are then; they
 * stand in `keys`. `room` is for as many. */
size_t filter_sort(const FilterBits *b, u64 *keys, u64 *room, size_t n);

size_t filter_size(const FilterBits *b, size_t n_keys);
/* Writes the filter of sorted keys; `to` has room for filter_size bytes. */
void filter_write(const FilterBits *b, const u64 *keys, size_t n, u8 *to);

/* The place of a hash in a filter of n_keys keys, which may be any n bytes, + 1; 0 if it is not there. */
u32 filter_find(const FilterBits *b, const u8 *p, size_t n, u64 n_keys, u64 hash);

#endif
