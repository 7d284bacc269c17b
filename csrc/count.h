#ifndef TZ_COUNT_H
#define TZ_COUNT_H

#include "base.h"

/* The spans in p[0..n): fields of a message (level 0), of a ResourceSpans (1) or of a ScopeSpans (2). Of what cannot be
 * walked it counts the bytes that could begin a span, so that the number is never too small. */
u64 count_spans(const u8 *p, size_t n, u32 level);

#endif
