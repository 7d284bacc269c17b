#ifndef TZ_PARSE_H
#define TZ_PARSE_H

#include "batch.h"

/* Appends one message to the columns. A message that does not fit them becomes a prefix.
 * `prefix`, `skip`, `continues`: see MessageRow. Returns 0, and appends nothing, if it may have more spans than
 * `most_spans`, as count_spans counts them. Fails only for want of memory. */
int parse_message(Tables *t, Batch *b, const u8 *p, size_t n, const u8 *prefix, size_t prefix_n, u64 skip,
                  u32 continues, u64 most_spans);

#endif
