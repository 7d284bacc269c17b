/* What writer and reader of a restart group both know. FORMAT.md, "State". It changes only in rows.h and define.h,
 * which both of them run, so that neither can learn something at another moment than the other. */
#ifndef TZ_STATE_H
#define TZ_STATE_H

#include "batch.h"
#include "drawn.h"
#include "memory.h"
#include "model.h"

enum { NONE = 0xffffffffu };

/* The two things that came last in some context. */
typedef struct {
    u32 first, second; /* or NONE */
    u32 run;           /* how often `first` came in a row, at most 15 */
} Recent;

/* Where an id comes from. */
typedef struct {
    u32 generator; /* number + 1, 0 if it comes from none */
    u64 position;
} Origin;
typedef VEC(Origin) Origins;

/* Part by part: one that was just stored so is not yet there as a whole. */
TZ_INLINE void origin_copy(Origin *to, const Origin *from) {
    to->generator = from->generator;
    to->position = from->position;
}

/* The generators of one process, by last use: numbers + 1. */
typedef struct {
    u32 n, least, latest;
} Process;

/* The neighbours of a mention in its trace's list of awaited or of seen ids: their numbers + 1, 0 for none. They stand
 * apart, so that a list that is walked through lies in few cache lines. */
typedef struct {
    u32 before, after;
} MentionLinks;

/* A span id that was mentioned, as a span's own or as a parent's. */
typedef struct {
    u64 id;
    u32 trace;
    u8 seen; /* its span has come */
    u8 has_children;
    Origin from, child;                                /* of the id, and of that of its last child */
    u64 start, length;                                 /* of its span, ns */
    u64 first_start, child_start, child_end, last_end; /* of its first and its last child so far, ns */
} Mention;

typedef struct {
    u64 hi, lo;
    u32 lists[2];   /* most recently used mention + 1: awaited, seen */
    u32 next;       /* the trace that last followed it, or NONE */
    u32 last_path;  /* of its last span, + 1 */
    u64 last_start; /* of its last span, ns */
    Origin from;    /* of its id */
} Trace;

enum { N_BASES = 7, N_EVENT_BASES = 3, N_LENGTHS = 4 };

/* What the clocks of a path's spans or events did so far. */
typedef struct {
    u64 last_start, last_length;
    u32 start_cost[N_BASES], length_cost[N_LENGTHS]; /* running size of the difference to each base, bits * 16 */
    u8 grain[2];                                     /* of starts and lengths: a power of ten */
    u8 next_grain[2];                                /* encoder: what this block's rows allow */
    u32 stamp, plan;                                 /* the block it was last met in, and planned for */
    u8 known;
} Clock;

typedef struct {
    u64 last;
    u32 cost[2];
} Series;

/* A text with places for fields: a placeholder byte (FIELD_*) stands for each. */
typedef struct {
    const u8 *p;
    u32 n, n_fields, def;
    u32 uses; /* encoder: new texts of this block that have it */
} Skeleton;

/* What the slots of a schema do: their value is in the path, or in a column, in this manner. */
enum { MODE_PATH, MODE_DICTIONARY, MODE_NUMBER, N_MODES };

typedef struct {
    u8 digits[16];
} Uuid;

/* Bytes that are copied as they are: written, or read and checked against their end. */
typedef struct {
    Bytes out;
    const u8 *p, *end;
    const char *name;
} Plain;

enum { TREE_SECTION, ENVELOPE, STRUCTURE, PATHS, TIMES, VALUES, N_CODERS };
enum { TEXT, IDS, BINARY, LITERALS, PREFIXES, N_STREAMS };

/* Reading: sections that a query does not need. What is read of the others does not depend on them. */
enum { SKIP_TIMES = 1, SKIP_VALUES = 2 };
#define SKIPS(s, what) (!TZ_ENCODING && (s)->skips & (what))

typedef struct {
    Tables t;
    Batch b;
    Contexts x;
    Coder coders[N_CODERS];
    Plain streams[N_STREAMS];
    Map recent_index;
    VEC(Recent) recents;
    VEC(Trace) traces;
    VEC(Mention) mentions;
    VEC(MentionLinks) mention_links; /* of each */
    Index trace_index;               /* this and the next: used when writing only */
    U32s mention_slots;              /* a power of two */
    VEC(Clock) clocks;               /* of each path */
    Map series_index;
    VEC(Series) series;
    Memory memory; /* of values */
    VEC(Skeleton) skeletons;
    Index skeleton_index;
    U32s def_skeletons;
    VEC(Uuid) uuids; /* of fields, in the order in which they were told */
    Index uuid_index;
    VEC(Generator) generators;
    VEC(Process) processes;
    u64 n_values;      /* of all generators that were needed */
    u64 n_skipped;     /* by all generators of Go together, batches */
    u32 resource_path; /* of the resource spans around */
    Origins own_from;  /* writer: where the ids of the block's spans come from; of all spans, or of none */
    Origins parent_from, trace_from;
    u32 n_serials;             /* atoms defined */
    u32 n_slots;               /* slots with values, of defined schemas */
    u64 n_fields, field_bytes; /* encoder: different ones that the records of its blocks have, with their texts */
    u32 threshold, level;
    u32 last_trace, last_path;
    u8 last_grain[2];
    u32 block;      /* number of the block in its restart group, from 1 */
    u64 prefix_at;  /* encoder: bytes of the batch's prefixes written */
    u64 budget;     /* decoder: what the restart group may still ask for, see budget_spend */
    u64 most_spans; /* decoder: after so many rows of spans it needs no more of the block */
    u32 skips;      /* decoder: what it does not need of the block */
    Bytes scratch;
} State;

#endif
