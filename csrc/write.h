#ifndef TZ_WRITE_H
#define TZ_WRITE_H

#include "batch.h"

/* How the records of one shape and path become bytes: what is constant between holes is one run of bytes, in which the
 * values of columns have their places. */
typedef struct {
    u8 kind; /* STEP_* */
    u8 has;  /* STEP_BYTES: a bit for each op whose column has its place in it */
    u32 n;   /* STEP_BYTES: how many; STEP_HOLE: which; STEP_OPEN, STEP_CHILDREN: the tag */
    const u8 *p;
    u32 at[OP_CHILDREN]; /* STEP_BYTES: where the column of each op stands; behind it if it has none */
} Step;

typedef struct {
    u32 first, n, n_holes, has_open;
    u32 fixed; /* bytes that every record has */
} Program;

/* The program of the last record of a path, + 1. */
typedef struct {
    u32 shape, program1;
} LastProgram;

typedef struct {
    Tables *t;
    VEC(Step) steps;
    Bytes run;
    Step columns; /* of the run that is being gathered */
    VEC(Program) programs;
    Map index;              /* shape, path -> program */
    VEC(LastProgram) last;  /* of each path */
    VEC(u64) size[N_KINDS]; /* body of each record, bytes */
    U32s program[N_KINDS];
    VEC(u64) message_size;
    u64 generated; /* bytes of the records measured so far */
} Writer;

void writer_free(Writer *w);
size_t writer_held(const Writer *w);
void writer_reset(Writer *w); /* when the tables begin anew */

/* Lays out all messages of the columns and returns their bytes in total. `message_size` then has each one's. */
u64 writer_measure(Writer *w, const Batch *b);

/* Writes what was measured: message i to to[i], which has room for it. */
void writer_write(Writer *w, const Batch *b, u8 *const *to);

/* Some records of a kind, in ascending order: their sizes, bytes, and then their bytes. Spans are whole, resource spans
 * and scope spans without their children. */
void writer_measure_rows(Writer *w, const Batch *b, u32 kind, const u32 *rows, size_t n, u64 *n_bytes);
void writer_write_rows(Writer *w, const Batch *b, u32 kind, const u32 *rows, size_t n, u8 *const *to);

#endif
