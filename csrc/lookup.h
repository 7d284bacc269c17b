#ifndef TZ_LOOKUP_H
#define TZ_LOOKUP_H

#include "write.h"

/* A field that records may have: an attribute by its key, another field by its tag. */
typedef struct {
    u32 place, tag; /* tag: of attributes theirs */
    const u8 *key;  /* NULL: it is no attribute */
    size_t key_n;
} FieldName;

/* What a row has of a field: its atom + 1, or one of these. */
enum { FIELD_NONE = 0 };
#define FIELD_MANY 0xffffffffu /* it came more than once, or within something that only its bytes can tell */

/* Records of an encoder that are pending, or of a decoder that were read last, and who can make bytes of them. */
typedef struct {
    Tables *t;
    const Batch *b;
    Writer *w;
    U32s *room;       /* to work in */
    u32 lacks_values; /* only what paths tell is there */
} RowReader;

/* All return TZ_OK or an error; after an error the owner is only good for freeing. */

/* Records of the kind in which a place is; place < N_PLACES. */
size_t rows_of(const RowReader *r, u32 place);
/* What each of these rows has of a field. `to` has room for all of them. TZ_ENOUGH: that was not read. */
int rows_field(const RowReader *r, const FieldName *f, u32 *to);
/* Whether the paths of a block tell this field, of all records that have it. */
int paths_tell(const Tables *t, const FieldName *f);
/* The bytes of an atom, which is an encoded field; *p is NULL if there is none of this number. */
void rows_atom(const RowReader *r, u32 atom, const u8 **p, size_t *n);
/* Sizes of records of a kind, in bytes, and then their bytes: record rows[i] to to[i]. The rows ascend, and are there.
 * Spans are whole, resource spans and scope spans without their children. */
int rows_measure(const RowReader *r, u32 kind, const u32 *rows, size_t n, u64 *n_bytes);
int rows_write(const RowReader *r, u32 kind, const u32 *rows, size_t n, u8 *const *to);

#endif
