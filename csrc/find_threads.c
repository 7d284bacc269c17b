/* Threads of a JVM: SplitMix64, of which one id tells the position. */
#include "find_parts.h"

enum {
    RANGE_BITS = 16, /* ids of a thread are closer together than a range or two; threads are further apart */
    RANGES_FULL = 4096,
    STEPS_OF_SOURCE = 32, /* threads with a step of their own; each unknown id of the resource is tried with them */
    MAX_THREAD = 1 << 20,
    MAX_DRAWS = 5, /* Java 17: two ids in which a thread is seen are at most so many draws apart, */
    NEAR_ROWS = 4  /* and so many rows of the sample */
};

static u64 usual_position(u64 id) { return splitmix_unmix(id) * odd_inverse(SPLITMIX_GOLDEN); }

/* --- look-up ------------------------------------------------------------------------------------------------------ */

/* The thread that drew near this place, + 1; the place's range becomes its own as well. */
static u32 near_thread(Finder *f, Env *env, u64 position) {
    u64 range = position >> RANGE_BITS, seed = finder_seed(f);
    u32 at = map_get(&f->of_range, range, seed);
    for (u32 i = 0; !at && i < 2; i++) {
        at = map_get(&f->of_range, i ? range - 1 : range + 1, seed);
        if (at)
            *map_at(env, &f->of_range, range, seed) = at;
    }
    return at;
}

static Found met(Finder *f, u32 thread, u64 position) {
    Thread *t = &f->threads.v[thread];
    earn_found(f);
    t->met = 1;
    t->last = position;
    return (Found){t->number, position};
}

/* A thread of the resource with a step of its own, + 1, and the position. */
static u32 own_step(const Finder *f, u64 id, u32 resource, u64 *position) {
    u32 at = resource < f->sources.n ? f->sources.v[resource].own_steps : 0;
    for (; at; at = f->threads.v[at - 1].next) {
        const Thread *t = &f->threads.v[at - 1];
        *position = splitmix_position(id, t->seed, t->inverse);
        if (*position - t->last + (1u << RANGE_BITS) < 2u << RANGE_BITS)
            return at;
    }
    return 0;
}

Found threads_find(Finder *f, Env *env, u64 id, u32 resource) {
    u64 position = 0;
    u32 at = 0;
    if (f->of_range.n)
        at = near_thread(f, env, position = usual_position(id));
    if (!at)
        at = own_step(f, id, resource, &position);
    return at ? met(f, at - 1, position) : NOTHING;
}

/* The upper half is drawn first; some have none. */
Found threads_find_trace(Finder *f, Env *env, u64 hi, u64 lo, u32 resource) {
    if (!hi)
        return threads_find(f, env, lo, resource);
    u64 position = 0;
    u32 at = 0;
    if (f->of_range.n)
        position = usual_position(hi);
    if (f->of_range.n && splitmix_at(0, SPLITMIX_GOLDEN, position + 1) == lo)
        at = near_thread(f, env, position);
    if (!at && (at = own_step(f, hi, resource, &position))) {
        const Thread *t = &f->threads.v[at - 1];
        at = splitmix_at(t->seed, t->step, position + 1) == lo ? at : 0;
    }
    return at ? met(f, at - 1, position) : NOTHING;
}

/* --- the usual step ----------------------------------------------------------------------------------------------- */

static Thread *thread_add(Finder *f, Env *env, u32 resource, u32 thread) {
    Thread t = {.number = f->n_numbers++, .resource = resource, .thread = thread, .met = 1};
    t.step = splitmix_step(thread);
    t.inverse = odd_inverse(t.step);
    VEC_PUSH(env, f->threads, t);
    return &f->threads.v[f->threads.n - 1];
}

/* Two ids that lie close together are of one thread. One alone tells nothing, nor does the same again; so it waits. */
static u32 usual_thread(Finder *f, Env *env, u32 resource, u64 id) {
    u64 position = usual_position(id), range = position >> RANGE_BITS, seed = finder_seed(f);
    if (f->threads.n >= FIND_THREADS || near_thread(f, env, position))
        return 0;
    u32 here = (u32)(position % (1u << RANGE_BITS)) + 1;
    for (u64 near = range - 1; near != range + 2; near++) {
        u32 other = map_get(&f->seen, near, seed);
        if (other && (near != range || other != here)) {
            thread_add(f, env, resource, 0)->last = position;
            *map_at(env, &f->of_range, range, seed) = (u32)f->threads.n;
            return 1;
        }
    }
    *map_at(env, &f->seen, range, seed) = here;
    return 0;
}

/* A thread in the sample is a reason to look at all rows. */
u32 find_threads(Finder *f, Env *env, const IdRows *r, u32 resource) {
    u32 found = 0;
    map_renew(&f->seen, FIND_SAMPLE);
    for (size_t i = 0; i < f->sample.n; i++)
        found += usual_thread(f, env, resource, f->sample.v[i].id);
    if (found)
        for (u32 row = f->sources.v[resource].first; row; row = f->next.v[row - 1])
            found += usual_thread(f, env, resource, r->id[row - 1]);
    return found;
}

/* --- Java 17: steps of their own ---------------------------------------------------------------------------------- */

/* The thread of which two seeds are `n` draws apart; or 0. */
static u32 thread_with_step(u64 apart, u32 n) {
    static const u64 inverse[MAX_DRAWS + 1] = {
        0, 1, 1, 0xaaaaaaaaaaaaaaabu, 1, 0xcccccccccccccccdu}; /* of odd factors */
    u32 twos = (u32)__builtin_ctz(n);
    if (apart & (((u64)1 << twos) - 1))
        return 0;
    u64 step = (apart >> twos) * inverse[n];
    u64 twice = (step - SPLITMIX_GOLDEN) << twos >> twos; /* the top bits are not known */
    return twice & 1 || twice >> 1 >= MAX_THREAD ? 0 : (u32)(twice >> 1);
}

static u32 thread_between(u64 a, u64 b) {
    u32 thread = 0;
    for (u32 draws = 1; draws <= MAX_DRAWS && !thread; draws++) {
        thread = thread_with_step(b - a, draws);
        if (!thread)
            thread = thread_with_step(a - b, draws);
    }
    return thread;
}

static u32 own_step_add(Finder *f, Env *env, u32 resource, u64 seed, u32 thread) {
    Source *s = &f->sources.v[resource];
    if (f->threads.n >= FIND_THREADS || s->n_own_steps >= STEPS_OF_SOURCE)
        return 0;
    Thread *t = thread_add(f, env, resource, thread);
    t->seed = seed;
    t->next = s->own_steps;
    s->own_steps = (u32)f->threads.n;
    s->n_own_steps++;
    return 1;
}

u32 find_own_steps(Finder *f, Env *env, u32 resource) {
    u64 seed[FIND_WINDOW], position;
    u32 found = 0, n = f->sample.n < FIND_WINDOW ? (u32)f->sample.n : FIND_WINDOW;
    for (u32 i = 0; i < n; i++)
        seed[i] = splitmix_unmix(f->sample.v[i].id);
    for (u32 i = 0; i < n; i++) {
        u32 thread = 0;
        if (own_step(f, f->sample.v[i].id, resource, &position))
            continue;
        for (u32 j = i + 1; j < n && j <= i + NEAR_ROWS && !thread; j++)
            thread = thread_between(seed[i], seed[j]);
        if (thread)
            found += own_step_add(f, env, resource, seed[i], thread);
    }
    return found;
}

/* --- forgetting --------------------------------------------------------------------------------------------------- */

static void thread_link(Finder *f, Env *env, u32 thread) {
    Thread *t = &f->threads.v[thread];
    t->met = 0;
    if (!t->thread) {
        *map_at(env, &f->of_range, t->last >> RANGE_BITS, finder_seed(f)) = thread + 1;
        return;
    }
    Source *s = &f->sources.v[t->resource];
    t->next = s->own_steps;
    s->own_steps = thread + 1;
    s->n_own_steps++;
}

/* When there are many, those that were not met since the last time. */
void threads_forget(Finder *f, Env *env) {
    if (f->threads.n < FIND_THREADS && f->of_range.n < RANGES_FULL)
        return;
    size_t n = 0;
    map_clear(&f->of_range);
    for (size_t i = 0; i < f->sources.n; i++)
        f->sources.v[i].own_steps = f->sources.v[i].n_own_steps = 0;
    for (size_t i = 0; i < f->threads.n; i++)
        if (f->threads.v[i].met) {
            f->threads.v[n] = f->threads.v[i];
            thread_link(f, env, (u32)n++);
        }
    f->threads.n = n;
}

const Thread *thread_of(const Finder *f, u32 generator) {
    for (size_t i = f->threads.n; i--;)
        if (f->threads.v[i].number == generator)
            return &f->threads.v[i];
    return NULL;
}

u64 thread_origin(const Thread *t, u64 position, GeneratorState *state) {
    state->kind = GENERATOR_SPLITMIX;
    state->thread = t->thread;
    state->skip = 0;
    state->seed = t->seed + position * t->step;
    return position;
}
