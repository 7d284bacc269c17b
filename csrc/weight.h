/* What the tables of a restart group take as they grow, by counts that the reference has as well: a writer that ends
 * groups by it writes the same with both. Not less than the kernels hold, but for what every group has. */
#ifndef TZ_WEIGHT_H
#define TZ_WEIGHT_H

#include "state.h"

/* Bytes of each, where arrays are half full and hash tables a quarter. */
enum {
    WEIGHT_MENTION = 240,
    WEIGHT_TRACE = 144,
    WEIGHT_MEMORY = 48,
    WEIGHT_CONTEXT = 96,
    WEIGHT_CELL = 8,
    WEIGHT_PATH = 512,
    WEIGHT_FIELD = 208, /* different ones that records have; and each byte of them and of their texts */
    WEIGHT_VALUE = 8    /* of a generator */
};

static u64 state_weight(const State *s) {
    u64 n = (u64)s->mentions.n * WEIGHT_MENTION + s->traces.n * WEIGHT_TRACE + s->memory.n * WEIGHT_MEMORY;
    n += (u64)s->x.index.n * WEIGHT_CONTEXT + s->x.cells.n * WEIGHT_CELL + s->t.paths.n * WEIGHT_PATH;
    return n + s->n_fields * WEIGHT_FIELD + s->field_bytes + s->n_values * WEIGHT_VALUE;
}

#endif
