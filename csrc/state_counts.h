/* Counts that both directions report. */
#ifndef TZ_STATE_COUNTS_H
#define TZ_STATE_COUNTS_H

/* Of the pending, or last, block: rows, spans, messages. Of the restart group: the others. */
enum {
    COUNT_ROWS,
    COUNT_SPANS,
    COUNT_MESSAGES,
    COUNT_TRACES,
    COUNT_PATHS,
    COUNT_SCHEMAS,
    COUNT_STRINGS,
    COUNT_ATOMS,
    COUNT_CONTEXTS,
    N_COUNTS
};

#endif
