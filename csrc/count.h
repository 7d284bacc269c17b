#ifndef TZ_COUNT_H
#define TZ_COUNT_H

#include "base.h"

/* The spans in p[0..n): fields of a message (level 0), of a ResourceSpans (1) or of a ScopeSpans (2). Of what cannot be
 * walked it counts the bytes that could begin a span, so that the number is never too small. */
u64 count_spans(const u8 *p, size_t n, u32 level);

/* The fields in p[0..n) that do not have this tag, up to the first that cannot be walked: places[2 * i] is where field
 * i begins, places[2 * i + 1] where it ends. There is room for `most`; returns how many there are, most + 1 if more. */
size_t other_fields(const u8 *p, size_t n, u64 tag, u64 *places, size_t most);

/* How many bytes the first fields in p[0..n) are that together have at most `most`, or the first one if that is larger;
 * 0 if it cannot be walked. */
size_t run_end(const u8 *p, size_t n, size_t most);

#endif
