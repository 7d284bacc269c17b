/* What every kernel shares: integer types, growable arrays, and the one way out on failure.
 *
 * Kernels know nothing of Python. All memory belongs to an encoder or decoder object, so a kernel may leave
 * from any depth through `tz_fail`: whoever called the entry point gets the code and frees or resets the object. */
#ifndef TZ_BASE_H
#define TZ_BASE_H

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int16_t i16;
typedef int32_t i32;
typedef int64_t i64;

/* TZ_ENOUGH is no failure, but the way out of the rows for a reader that needs no more of them. */
enum { TZ_OK = 0, TZ_NO_MEMORY = 1, TZ_CORRUPT = 2, TZ_LIMIT = 3, TZ_ENOUGH = 4 };

typedef struct {
    jmp_buf out;
    int code;          /* TZ_* */
    const char *where; /* the section, or the table, that was being read */
} Env;

_Noreturn static inline void tz_fail(Env *env, int code, const char *where) {
    env->code = code;
    env->where = where;
    longjmp(env->out, 1);
}

/* For the few functions that run several times for each span. */
#if defined(__GNUC__)
#define TZ_INLINE    static inline __attribute__((always_inline))
#define TZ_LIKELY(x) __builtin_expect(x, 1)
#else
#define TZ_INLINE    static inline
#define TZ_LIKELY(x) (x)
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the kernels read and write numbers as they lie in memory: little-endian processors only"
#endif

/* A growable array. `n` elements are in use; reserved memory beyond them is undefined. */
#define VEC(T)                                                                                                         \
    struct {                                                                                                           \
        T *v;                                                                                                          \
        size_t n, cap;                                                                                                 \
    }

static inline void *tz_grow(Env *env, void *v, size_t *cap, size_t need, size_t size) {
    size_t cap2 = *cap * 2 > need ? *cap * 2 : need;
    if (cap2 < 16)
        cap2 = 16;
    if (cap2 > SIZE_MAX / 2 / size)
        tz_fail(env, TZ_NO_MEMORY, "memory");
    void *grown = realloc(v, cap2 * size);
    if (!grown)
        tz_fail(env, TZ_NO_MEMORY, "memory");
    *cap = cap2;
    return grown;
}

#define VEC_RESERVE(env, vec, more)                                                                                    \
    do {                                                                                                               \
        if ((vec).n + (more) > (vec).cap)                                                                              \
            (vec).v = tz_grow((env), (vec).v, &(vec).cap, (vec).n + (more), sizeof *(vec).v);                          \
    } while (0)
#define VEC_PUSH(env, vec, x)                                                                                          \
    do {                                                                                                               \
        VEC_RESERVE((env), (vec), 1);                                                                                  \
        (vec).v[(vec).n++] = (x);                                                                                      \
    } while (0)
/* Sets the length to `len`; new elements are zero. */
#define VEC_RESIZE(env, vec, len)                                                                                      \
    do {                                                                                                               \
        size_t len_ = (len);                                                                                           \
        if (len_ > (vec).n) {                                                                                          \
            VEC_RESERVE((env), (vec), len_ - (vec).n);                                                                 \
            memset((void *)((vec).v + (vec).n), 0, (len_ - (vec).n) * sizeof *(vec).v);                                \
        }                                                                                                              \
        (vec).n = len_;                                                                                                \
    } while (0)
#define VEC_FREE(vec)                                                                                                  \
    do {                                                                                                               \
        free((vec).v);                                                                                                 \
        (vec).v = NULL;                                                                                                \
        (vec).n = (vec).cap = 0;                                                                                       \
    } while (0)

/* The memory that a growable array holds, or a hash table; bytes, as of all functions named so. */
#define VEC_HELD(vec) ((vec).cap * sizeof *(vec).v)

typedef VEC(u8) Bytes;
typedef VEC(u32) U32s;
typedef VEC(u64) U64s;

static inline void bytes_append(Env *env, Bytes *b, const void *p, size_t n) {
    if (!n)
        return;
    VEC_RESERVE(env, *b, n);
    memcpy(b->v + b->n, p, n);
    b->n += n;
}

/* Memory that only grows until it is all let go at once; pointers into it stay valid. Chunks are kept for reuse. */
typedef struct {
    u8 *p;
    size_t size;
} Chunk;

typedef struct {
    VEC(Chunk) chunks;
    size_t at, used; /* the chunk in use, and what is used of it */
} Arena;

/* So many bytes behind the end of what an arena holds may be read, whatever they are. */
enum { ARENA_CHUNK = 262144, ARENA_SLACK = 32 };

static inline u8 *arena_take_more(Env *env, Arena *a, size_t n) {
    while (++a->at < a->chunks.n)
        if (a->chunks.v[a->at].size >= n)
            break;
    if (a->at >= a->chunks.n) {
        size_t size = a->chunks.n ? ARENA_CHUNK : ARENA_CHUNK / 4;
        if (size < n)
            size = n;
        VEC_RESERVE(env, a->chunks, 1);
        u8 *chunk = malloc(size + ARENA_SLACK);
        if (!chunk)
            tz_fail(env, TZ_NO_MEMORY, "memory");
        a->at = a->chunks.n;
        a->chunks.v[a->chunks.n++] = (Chunk){chunk, size};
    }
    a->used = n;
    return a->chunks.v[a->at].p;
}

static inline u8 *arena_take(Env *env, Arena *a, size_t n) {
    if (a->at >= a->chunks.n || a->chunks.v[a->at].size - a->used < n)
        return arena_take_more(env, a, n);
    u8 *p = a->chunks.v[a->at].p + a->used;
    a->used += n;
    return p;
}

static inline u8 *arena_copy(Env *env, Arena *a, const void *p, size_t n) {
    u8 *to = arena_take(env, a, n);
    if (n)
        memcpy(to, p, n);
    return to;
}

static inline void arena_free(Arena *a) {
    for (size_t i = 0; i < a->chunks.n; i++)
        free(a->chunks.v[i].p);
    VEC_FREE(a->chunks);
    a->at = a->used = 0;
}

static inline size_t arena_held(const Arena *a) {
    size_t n = VEC_HELD(a->chunks);
    for (size_t i = 0; i < a->chunks.n; i++)
        n += a->chunks.v[i].size;
    return n;
}

/* Lets everything go, but keeps the memory of chunks of the usual size. */
static inline void arena_clear(Arena *a) {
    size_t n = 0;
    for (size_t i = 0; i < a->chunks.n; i++) {
        if (a->chunks.v[i].size <= ARENA_CHUNK)
            a->chunks.v[n++] = a->chunks.v[i];
        else
            free(a->chunks.v[i].p);
    }
    a->chunks.n = n;
    a->at = a->used = 0;
}

static inline u32 bit_length(u64 v) { return v ? 64 - (u32)__builtin_clzll(v) : 0; }

#endif
