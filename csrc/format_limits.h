/* Every limit of the kernels. tracezip/reference/format_limits.py and FORMAT.md, "Limits of a block", give the same
 * numbers; a test compares them. */
#ifndef TZ_LIMITS_H
#define TZ_LIMITS_H

#define TZ_MAX_FIELDS        1024       /* fields of one record; a record with more is kept raw */
#define TZ_MAX_CONTEXT_CELLS (1u << 23) /* size of all contexts of one restart group, 4 bytes each */
#define TZ_MAX_REACH         255        /* how far down a trace's list of ids a reference looks */
#define TZ_MAX_ROWS          (1u << 20) /* records of all kinds in one block */
#define TZ_MAX_PART_ROWS     (1u << 19) /* records of one message; one with more is kept as it is */
#define TZ_MAX_RUN           (1u << 17) /* events, or links, of one span; one with more is kept raw */
#define TZ_MAX_GROUP_FIELDS  250        /* fields of resource spans or scope spans */
#define TZ_MAX_LEAF_FIELDS   64         /* fields of an event or a link */
#define TZ_MAX_SLOTS         (1u << 26) /* slots with values of all schemas of one restart group */
#define TZ_MAX_PATHS         (1u << 24) /* paths of one restart group */
#define TZ_MAX_GENERATORS    1023       /* generators of ids of one restart group */
#define TZ_MAX_VALUES        (1u << 22) /* values of all of them that ids are made of */
#define TZ_MAX_SKIPPED       (1u << 23) /* and batches that generators of Go skip, all of them together */
#define TZ_MAX_GENERATED     (1u << 28) /* bytes that a block's records make */
#define TZ_BUDGET_START      (1u << 21) /* what a reader lets a restart group ask for: at its beginning, */
#define TZ_BUDGET_OF_BYTE    8          /* and for each byte of its messages */
#define TZ_MAX_MESSAGES      65536      /* messages, or parts of them, in one block */
#define TZ_MAX_SPANS         65536      /* spans of one block */

#endif
