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
size_t decoder_held(const Decoder *d); /* the memory it holds, bytes */
/* Begins a restart group, with what `like` knows, if it is given: that must outlive it. */
int decoder_reset(Decoder *d, const Decoder *like);
/* Reads the rows of one block of `n_bytes` decoded bytes: its sections, in order. TZ_OK or an error, here and below;
 * after an error the decoder is only good for freeing, and *where names the section.
 *
 * It stops after `most_spans` rows of spans and leaves the rest unread and unchecked; then no other block of the
 * restart group can be read, and no messages are there. */
/* What a query does not need of a block: SKIP_TIMES, SKIP_VALUES. Values are only skipped if paths tell the fields that
 * are asked for. */
typedef struct {
    u32 skips;
    const FieldName *asked;
    size_t n_asked;
} Skips;

/* Skips are for the first block after a reset; then too no other block and no messages can be had. What was skipped is
 * not there: starts, ends, values of fields that paths do not tell. */
int decoder_read(Decoder *d, const Input sections[11], u64 n_bytes, u64 most_spans, Skips skips, const char **where);
u32 decoder_skipped(const Decoder *d);
/* 0: because something was skipped, the rows that were read, or an error, may be wrong. */
int decoder_is_sure(const Decoder *d);
/* Lays out the messages of the rows that were read, and checks their size. Before decoder_message and decoder_write. */
int decoder_measure(Decoder *d, const char **where);
/* Writes the messages that were measured: message i to to[i]. */
int decoder_write(Decoder *d, u8 *const *to, const char **where);
size_t decoder_messages(const Decoder *d);
void decoder_message(const Decoder *d, size_t i, u64 *n_bytes, int *continues);
/* N_COUNTS numbers, see state_counts.h. */
void decoder_counts(const Decoder *d, u64 *counts);

Batch *decoder_batch(Decoder *d);
/* The rows that were read. */
RowReader decoder_rows(Decoder *d);

#endif
