#ifndef TZ_DECODE_H
#define TZ_DECODE_H

#include "lookup.h"
#include "preset.h"
#include "write.h"

typedef struct Decoder Decoder;

typedef struct {
    const u8 *p;
    size_t n;
} Input;

/* A new decoder, or NULL for want of memory. `preset` must outlive it. */
Decoder *decoder_new(const Preset *preset);
void decoder_free(Decoder *d);
/* Begins a restart group. */
int decoder_reset(Decoder *d);
/* Reads the rows of one block of `n_bytes` decoded bytes: its sections, in order. TZ_OK or an error, here and below;
 * after an error the decoder is only good for freeing, and *where names the section.
 *
 * It stops after `most_spans` rows of spans and leaves the rest unread and unchecked; then no other block of the
 * restart group can be read, and no messages are there. */
int decoder_read(Decoder *d, const Input sections[11], u64 n_bytes, u64 most_spans, const char **where);
/* Lays out the messages of the rows that were read, and checks their size. Before decoder_message and decoder_write. */
int decoder_measure(Decoder *d, const char **where);
/* Writes the messages that were measured: message i to to[i]. */
int decoder_write(Decoder *d, u8 *const *to, const char **where);
size_t decoder_messages(const Decoder *d);
void decoder_message(const Decoder *d, size_t i, u64 *n_bytes, int *continues);
/* N_COUNTS numbers, see state_counts.h. */
void decoder_counts(const Decoder *d, u64 *counts);

/* --- rows without messages ---------------------------------------------------------------------------------------- */

Batch *decoder_batch(Decoder *d);
/* Rows of the records in which a place is. */
size_t decoder_rows(const Decoder *d, u32 place);
/* What each of them has of a field: its atom + 1, FIELD_NONE or FIELD_MANY. */
int decoder_field(Decoder *d, const FieldName *f, u32 *to, const char **where);
/* The bytes of an atom, which is an encoded field; *p is NULL if there is none of this number. */
void decoder_atom(const Decoder *d, u32 atom, const u8 **p, size_t *n);
/* Sizes of records of a kind, in bytes, and then their bytes: record rows[i] to to[i]. The rows ascend, and are there.
 * Spans are whole, resource spans and scope spans without their children. */
int decoder_measure_rows(Decoder *d, u32 kind, const u32 *rows, size_t n, u64 *n_bytes, const char **where);
int decoder_write_rows(Decoder *d, u32 kind, const u32 *rows, size_t n, u8 *const *to, const char **where);

#endif
