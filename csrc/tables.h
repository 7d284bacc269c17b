/* The tables of the Span Retrieval Tree: strings, classes, atoms, schemas, shapes and paths.
 *
 * class   what a field is: where it stands, its tag, and for an attribute its key and the type of its value
 * atom    a class with one value, that is one encoded field; equal fields of equal classes are one atom
 * schema  the classes of a record in canonical order (the attributes of a run sorted by key)
 * shape   a schema with the order in which its fields came
 * path    a schema with a value, or a hole, in each slot: a root-to-leaf path of the tree
 *
 * `def` fields number a thing in the order of its definition in the stream, counted from 1; 0 is "not defined yet". */
#ifndef TZ_TABLES_H
#define TZ_TABLES_H

#include "hash.h"

/* The messages a record can be. RESOURCE and SCOPE are part of the records around them. */
enum {
    KIND_RESOURCE_SPANS,
    KIND_SCOPE_SPANS,
    KIND_SPAN,
    KIND_EVENT,
    KIND_LINK,
    N_KINDS,
    KIND_RESOURCE = N_KINDS,
    KIND_SCOPE,
    N_PLACES
};

/* What a field is to the codec. The first ones have columns of their own. */
enum {
    OP_TRACE_ID,
    OP_SPAN_ID,
    OP_PARENT_ID,
    OP_START,
    OP_END,
    OP_CHILDREN,
    OP_OPEN,
    OP_CLOSE,
    OP_FIELD,
    OP_ATTRIBUTE,
    OP_RAW,
    N_OPS
};

/* What the value of a class is. */
enum { VALUE_NONE, VALUE_BYTES, VALUE_VARINT, VALUE_FIXED64, VALUE_FIXED32 };

/* Types of an attribute's value: the tag inside its AnyValue, or one of these. */
enum { ANY_ABSENT = 0, ANY_EMPTY = 1 };

enum { NO_SLOT = 0xffffffffu };

typedef struct {
    const u8 *p;
    u32 n, def;
    u32 uses;     /* as a value, since the restart */
    u32 skeleton; /* encoder: number of its skeleton + 1, 0 if it has none, NO_SLOT before it was looked for */
} String;

typedef struct {
    u8 place, op, any, value;
    u32 tag, key; /* key: a string */
    u32 def;
    U32s atoms; /* the defined ones, in order of definition */
} Class;

typedef struct {
    const u8 *enc; /* the field's bytes; for ids and times only those before the payload */
    u64 value;     /* a string, or the number */
    u32 enc_n, cls;
    u32 def;    /* within its class */
    u32 serial; /* among all defined atoms, from 1 */
    u32 uses;   /* since the restart */
    u8 place;   /* of its class; N_PLACES if it is a raw record */
    u8 is_text; /* the value is a string */
} Atom;

typedef struct {
    u32 first, n; /* slots: classes in `slot_cls` from first on */
    u32 n_valued; /* slots that have a value */
    u32 def, kind;
    u8 has[OP_CHILDREN]; /* which of the ops with columns of their own are there */
    u8 children[2];      /* events, links; for the outer kinds only the first */
    u32 n_orders;        /* shapes defined */
    U32s orders;
    u32 modes; /* first of n_valued entries in `modes`, `conds` */
    u32 name;  /* number of its first valued slot among all that were defined */
    u32 last_path;
    u32 rows, n_paths, decided;
} Schema;

typedef struct {
    u32 schema, order; /* order: number among the defined shapes of the schema */
    u32 perm;          /* for each field as it came: its slot; n entries in `perms` */
    u32 place;         /* for each field as it came: its valued slot or NO_SLOT; n entries in `places` */
    u32 def, identity;
    u32 came;   /* encoder: the classes of the fields as they came; n entries in `came` */
    u32 valued; /* encoder: for each valued slot: where its field came; n_valued entries in `valued` */
} Shape;

typedef struct {
    u32 schema, atoms; /* n_valued entries in `path_atoms`: an atom, or NO_SLOT for a hole */
    u32 n_holes, def;
    u32 holes; /* first of n_holes slots in `hole_slots`, each with its class */
} Path;

typedef struct {
    u32 slot, cls;
} Hole;

enum { RECENT_BITS = 12, RECENT_ATOMS = 1 << RECENT_BITS };

/* The classes without a value that the encoder finds by number: those of the ops up to OP_CLOSE, and links. */
enum { MARK_LINKS = OP_CLOSE + 1, N_MARKS };

typedef struct Tables {
    Env env;
    u64 seed;
    const struct Tables *preset; /* strings that are there from the start, or NULL */
    Arena arena;
    VEC(String) strings;
    Index string_index;
    VEC(Class) classes;
    Index class_index;
    VEC(Atom) atoms;
    Index atom_index;
    u32 recent[RECENT_ATOMS];     /* encoder: the atoms last looked up, each in a place that its ends tell, or 0 */
    u32 marks[N_PLACES][N_MARKS]; /* encoder: their atoms, or 0 */
    U32s slot_cls,
        slot_rank; /* for each slot of each schema: its class; its number among those with a value, or NO_SLOT */
    U32s perms, places, came, valued;
    VEC(u8) modes;
    VEC(u8) conds;
    VEC(Schema) schemas;
    Index schema_index;
    VEC(Shape) shapes;
    Index shape_index;
    VEC(Path) paths;
    U32s path_atoms;
    VEC(Hole) hole_slots;
    Index path_index;
    /* numbered by definition: entry def - 1 */
    U32s def_strings, def_classes, def_schemas, def_paths[N_KINDS];
} Tables;

void tables_free(Tables *t);
void tables_clear(Tables *t); /* keeps the memory */
size_t tables_held(const Tables *t);

u32 string_intern(Tables *t, const u8 *p, size_t n);
u32 string_add(Tables *t, const u8 *p, size_t n); /* without looking for an equal one */
u32 class_intern(Tables *t, u8 place, u8 op, u32 tag, u32 key, u8 any);
u32 atom_intern(Tables *t, u32 cls, u64 value, const u8 *enc, size_t enc_n, u32 hash);
u32 atom_add(Tables *t, u32 cls, u64 value); /* builds the bytes, does not look for an equal one */
u32 mark_make(Tables *t, u8 place, u32 mark, u8 op, u32 tag);
/* The shape of fields of these classes, of which there are at most TZ_MAX_FIELDS. */
u32 shape_intern(Tables *t, u32 kind, const u32 *cls, u32 n, u32 hash);
u32 schema_intern(Tables *t, u32 kind, const u32 *cls, u32 n);
u32 shape_add(Tables *t, u32 schema, const u32 *perm, u32 n);
u32 path_intern(Tables *t, u32 schema, const u32 *atoms);

/* The tag of attributes in a place, 0 where there are none. */
static inline u32 attribute_tag(u32 place) {
    static const u8 tags[N_PLACES] = {
        [KIND_SPAN] = 0x4a, [KIND_EVENT] = 0x1a, [KIND_LINK] = 0x22, [KIND_RESOURCE] = 0x0a, [KIND_SCOPE] = 0x1a};
    return tags[place];
}

static inline u32 atom_hash(const Tables *t, u32 place, const u8 *enc, size_t n) {
    return (u32)hash_bytes(enc, n, t->seed + place);
}

/* The atom of a mark, made when it is first needed. */
static inline u32 mark_atom(Tables *t, u8 place, u32 mark, u8 op, u32 tag) {
    u32 a = t->marks[place][mark];
    return a ? a : mark_make(t, place, mark, op, tag);
}

static inline const u32 *schema_classes(const Tables *t, u32 schema) {
    return t->slot_cls.v + t->schemas.v[schema].first;
}
static inline int class_is_text(const Class *c) { return c->value == VALUE_BYTES; }

#endif
