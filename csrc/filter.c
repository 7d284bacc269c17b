/* The filter of trace ids. A sort by digits, so that no choice of ids makes it slow. FORMAT.md, "Filter". */
#include "filter.h"

#include "hash.h"

enum { DIGIT_BITS = 11, N_DIGITS = 1 << DIGIT_BITS };

int filter_keys(const FilterBits *b, const u64 *hash, const u32 *row, size_t n, u64 before, u64 n_spans, u64 *keys) {
    u32 n_bits = b->high_bits + b->low_bits;
    for (size_t i = 0; i < n; i++) {
        u64 at = before + row[i];
        if (at >= n_spans)
            return 0;
        keys[i] = (n_bits ? hash[i] >> (64 - n_bits) : 0) << b->place_bits | (at << b->place_bits) / n_spans;
    }
    return 1;
}

static void sort_by_digit(const u64 *from, u64 *to, size_t n, u32 shift) {
    size_t at[N_DIGITS] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++)
        at[from[i] >> shift & (N_DIGITS - 1)]++;
    for (u32 d = 0; d < N_DIGITS; d++) {
        size_t n_of_digit = at[d];
        at[d] = sum;
        sum += n_of_digit;
    }
    for (size_t i = 0; i < n; i++)
        to[at[from[i] >> shift & (N_DIGITS - 1)]++] = from[i];
}

size_t filter_sort(const FilterBits *b, u64 *keys, u64 *room, size_t n) {
    u64 *sorted = keys, *other = room;
    for (u32 shift = 0; shift < b->high_bits + b->low_bits + b->place_bits; shift += DIGIT_BITS) {
        sort_by_digit(sorted, other, n, shift);
        u64 *swapped = sorted;
        sorted = other;
        other = swapped;
    }
    size_t n_left = 0;
    for (size_t i = 0; i < n; i++)
        if (i + 1 == n || sorted[i] >> b->place_bits != sorted[i + 1] >> b->place_bits)
            keys[n_left++] = sorted[i];
    return n_left;
}

static size_t bytes_of(size_t n_bits) { return (n_bits + 7) / 8; }

size_t filter_size(const FilterBits *b, size_t n_keys) {
    return bytes_of(n_keys + ((size_t)1 << b->high_bits)) + bytes_of(n_keys * (b->low_bits + b->place_bits));
}

void filter_write(const FilterBits *b, const u64 *keys, size_t n, u8 *to) {
    u32 width = b->low_bits + b->place_bits, n_bits = 0;
    u64 bits = 0;
    memset(to, 0, filter_size(b, n));
    for (size_t i = 0; i < n; i++) {
        size_t at = (size_t)(keys[i] >> width) + i;
        to[at >> 3] |= (u8)(1 << (at & 7));
    }
    to += bytes_of(n + ((size_t)1 << b->high_bits));
    for (size_t i = 0; i < n; i++) {
        bits |= (keys[i] & (((u64)1 << width) - 1)) << n_bits;
        for (n_bits += width; n_bits >= 8; n_bits -= 8, bits >>= 8)
            *to++ = (u8)bits;
    }
    if (n_bits)
        *to = (u8)bits;
}

/* The bit behind the first n zeros; the number of all bits if there are not so many. */
static u64 behind_zeros(const u8 *p, u64 n_bits, u64 n) {
    u64 at = 0;
    for (; at + 64 <= n_bits; at += 64) {
        u64 n_zeros = 64 - (u64)__builtin_popcountll(load64(p + at / 8));
        if (n_zeros >= n)
            break;
        n -= n_zeros;
    }
    for (; n && at < n_bits; at++)
        n -= !(p[at >> 3] >> (at & 7) & 1);
    return at;
}

static u32 bits_at(const u8 *p, u64 at, u32 n_bits) {
    u64 bits = 0;
    for (u32 i = 0; i * 8 < n_bits + (at & 7); i++)
        bits |= (u64)p[(at >> 3) + i] << 8 * i;
    return (u32)(bits >> (at & 7)) & ((1u << n_bits) - 1);
}

u32 filter_find(const FilterBits *b, const u8 *p, size_t n, u64 n_keys, u64 hash) {
    u32 width = b->low_bits + b->place_bits, n_bits = b->high_bits + b->low_bits;
    if (n_keys > 8 * (u64)n || filter_size(b, (size_t)n_keys) != n)
        return 0;
    u64 print = n_bits ? hash >> (64 - n_bits) : 0, high = print >> b->low_bits,
        low = print & ((1u << b->low_bits) - 1);
    u64 n_unary = n_keys + ((u64)1 << b->high_bits);
    const u8 *values = p + bytes_of((size_t)n_unary);
    for (u64 at = behind_zeros(p, n_unary, high); at < n_unary && at - high < n_keys; at++) {
        if (!(p[at >> 3] >> (at & 7) & 1))
            return 0;
        u32 value = bits_at(values, (at - high) * width, width);
        if (value >> b->place_bits == low)
            return (value & ((1u << b->place_bits) - 1)) + 1;
    }
    return 0;
}
