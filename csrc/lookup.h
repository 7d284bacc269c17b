#ifndef TZ_LOOKUP_H
#define TZ_LOOKUP_H

#include "batch.h"

/* A field that records may have: an attribute by its key, another field by its tag. */
typedef struct {
    u32 place, tag; /* tag: of attributes theirs */
    const u8 *key;  /* NULL: it is no attribute */
    size_t key_n;
} FieldName;

/* What a row has of a field: its atom + 1, or one of these. */
enum { FIELD_NONE = 0 };
#define FIELD_MANY 0xffffffffu /* it came more than once, or within something that only its bytes can tell */

/* Room to work in; all zero at the beginning. */
typedef struct {
    U32s of_path;
} Lookup;

void lookup_free(Lookup *l);
/* Records of the kind in which a place is; place < N_PLACES. */
size_t lookup_rows(const Batch *b, u32 place);
/* What each of these rows has of a field. `to` has room for all of them. */
void lookup_field(Lookup *l, Tables *t, const Batch *b, const FieldName *f, u32 *to);

#endif
