/* Names of contexts. FORMAT.md, "Contexts", has the same list. */
#ifndef TZ_FAMILIES_H
#define TZ_FAMILIES_H

#include "base.h"

/* Those with a kind added take N_KINDS places. */
enum {
    F_PATH = 0,
    F_ANY_PATH = 5,
    F_RECENT2 = 10,
    F_RECENT1 = 15,
    F_TRACE = 20,
    F_TRACE_BACK,
    F_OWN,
    F_OWN_RANK,
    F_PARENT,
    F_PARENT_SEEN,
    F_PARENT_RANK,
    F_LINK_TRACE,
    F_LINK_BACK,
    F_LINK_KNOWN,
    F_LINK_SEEN,
    F_LINK_RANK,
    F_GRAIN,
    F_START,
    F_EVENT_TIME,
    F_LENGTH,
    F_OF_TRACE,
    F_OF_PATH,
    F_OF_VALUE,
    F_HOLE,
    F_CHOICE,
    F_NUMBER,
    F_NUMBER_STEP,
    F_ORDER,
    F_EVENTS,
    F_LINKS,
    F_SPANS,
    F_SCOPES,
    F_MESSAGE,
    F_TEXT,
    F_TEXT_LENGTH,
    F_SKELETON,
    F_FIELD,
    F_FIELD_STEP,
    F_FIELD_WIDTH,
    F_UUID,
    F_COUNT,
    F_STRING_KNOWN,
    F_STRING,
    F_CLASS,
    F_CLASS_NEW,
    F_SLOT_MODE,
    F_SLOT_CONDITION,
    F_SHAPE,
    F_SCHEMA,
    F_SAME,
    F_ATOM_KNOWN,
    F_ATOM,
    F_VALUE,
    F_GENERATOR,
    F_TRACE_ID,
    F_FROM,
    F_PROCESS,
    F_GENERATOR_RANK,
    F_POSITION,
    N_FAMILIES
};

/* How many values the nibbles of a family have, where that is less than 16. */
static const u8 n_values[N_FAMILIES] = {
    [F_PATH] = 5,      [F_PATH + 1] = 5, [F_PATH + 2] = 5,  [F_PATH + 3] = 5, [F_PATH + 4] = 5,
    [F_GRAIN] = 10,    [F_HOLE] = 4,     [F_FIELD] = 3,     [F_CLASS] = 4,    [F_CLASS_NEW] = 11,
    [F_SLOT_MODE] = 3, [F_SCHEMA] = 5,   [F_GENERATOR] = 4, [F_TRACE_ID] = 4, [F_FROM] = 4,
};

#endif
