/* What a block holds, for the index of its archive. FORMAT.md, "Index". */
#ifndef TZ_SUMMARY_H
#define TZ_SUMMARY_H

#include "batch.h"

/* The spans of one service with one name. */
typedef struct {
    u32 service, name; /* numbers in `strings` */
    u32 n_spans, n_errors;
    u64 max_duration, max_error_duration; /* ns; of the spans with status ERROR, 0 if there are none */
} Pair;

/* A span with status ERROR. */
typedef struct {
    u64 trace_hi, trace_lo, span_id, duration; /* ns */
    u32 row, pair;
} Failure;

/* Where a schema has what is asked for. */
typedef struct {
    u8 known, has_trace_id;
    u8 odd;        /* what it says is not for this kernel to decide */
    u8 in_columns; /* ids and times are all there, and nothing but the columns says what they are */
    u32 slot[3];   /* valued slots, or NO_SLOT */
} SchemaFacts;

/* What is known of a string of the tables, in numbers + 1: the last pair that has it as its name; in `strings`. */
typedef struct {
    u32 pair, number;
} StringFacts;

typedef struct {
    u32 is_unknown;                                     /* some spans are not in the columns: nothing else holds then */
    u64 min_start, max_end, min_duration, max_duration; /* ns */
    VEC(Pair) pairs;                                    /* in the order in which they came, as the next three */
    U32s strings;                                       /* strings of the tables */
    U64s trace_hash;                                    /* of each trace id once */
    U32s last_row;                                      /* the last span of each */
    VEC(Failure) failures;                              /* in the order in which they came */
    u32 is_vague;                                       /* some of them are not as Failure can say */
    U32s pair_service;                                  /* of each pair, a string of the tables */
    VEC(SchemaFacts) facts;                             /* by schema */
    VEC(StringFacts) string_facts;                      /* by string of the tables */
    Map pair_index;                                     /* to numbers + 1 */
    U32s trace_slots;                                   /* numbers + 1, found by their hashes; a power of two */
    u64 last_hi, last_lo;                               /* the trace id looked up last */
    u32 last_trace;                                     /* its number + 1, or 0 */
} Summary;

void summary_free(Summary *s);
size_t summary_held(const Summary *s);

/* Fills `s` with what is pending in `b`. Fails only for want of memory. */
void summarize(Summary *s, Tables *t, const Batch *b);

#endif
