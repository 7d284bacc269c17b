#ifndef TZ_ENCODE_H
#define TZ_ENCODE_H

#include "lookup.h"
#include "parse.h"
#include "preset.h"
#include "summary.h"

enum { N_SECTIONS = 11 };

typedef struct Encoder Encoder;

typedef struct {
    const u8 *p;
    size_t n;
} Section;

/* A new encoder, or NULL for want of memory. `preset` must outlive it. `of_same_stream`: another encoder, with which it
 * shares what is known of generators of ids, or NULL. `halvings`: see finder_init. */
Encoder *encoder_new(const Preset *preset, u32 threshold, u32 level, const Encoder *of_same_stream, u32 halvings);
void encoder_free(Encoder *e);
/* The memory it holds, bytes; of what it shares with others of its stream, its share. */
size_t encoder_held(const Encoder *e);
u64 encoder_weight(const Encoder *e); /* of what its restart group knows, see weight.h */
/* Lets go the memory of tables and buffers, with all that is in them; encoder_reset must follow. */
void encoder_trim(Encoder *e);
/* All functions below return TZ_OK or an error; after an error the encoder is only good for freeing. */
/* Begins a restart group, with what `like` knows, if it is given: that must outlive it. Pending messages are dropped.
 */
int encoder_reset(Encoder *e, const Encoder *like);
/* *added is 0 if the message may have more spans than `most_spans`, see parse_message. */
int encoder_add(Encoder *e, const u8 *p, size_t n, const u8 *prefix, size_t prefix_n, u64 skip, u32 continues,
                u64 most_spans, int *added);
/* Finds out where the ids of the pending spans come from, which encoder_encode does otherwise. Of encoders of a stream
 * one may do this at a time, in the order of their blocks; they may encode at the same time. */
int encoder_plan_ids(Encoder *e);
/* Writes the pending messages as one block; `sections` hold until the next call. */
int encoder_encode(Encoder *e, Section sections[N_SECTIONS]);
/* Sums up what is pending; *summary holds until the next call. */
int encoder_summarize(Encoder *e, const Summary **summary);
/* The string that a Pair of it names by number. */
const String *encoder_summary_string(const Encoder *e, u32 number);
Batch *encoder_batch(Encoder *e);
/* The pending rows. */
RowReader encoder_rows(Encoder *e);
/* N_COUNTS numbers, see state_counts.h. */
void encoder_counts(const Encoder *e, u64 *counts);

#endif
