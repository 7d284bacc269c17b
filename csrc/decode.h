#ifndef TZ_DECODE_H
#define TZ_DECODE_H

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
/* Begins a restart group, with what `like` knows, if it is given: that must outlive it. */
int decoder_reset(Decoder *d, const Decoder *like);
/* Reads one block of `n_bytes` decoded bytes: its sections, in order. TZ_OK or an error; after an error the decoder is
 * only good for freeing, and *where names the section. */
int decoder_read(Decoder *d, const Input sections[11], u64 n_bytes, const char **where);
/* Writes the messages that were read: message i to to[i]. */
int decoder_write(Decoder *d, u8 *const *to, const char **where);
size_t decoder_messages(const Decoder *d);
void decoder_message(const Decoder *d, size_t i, u64 *n_bytes, int *continues);
/* N_COUNTS numbers, see state_counts.h. */
void decoder_counts(const Decoder *d, u64 *counts);

#endif
