#include "find_generators.h"
#define Generator FGenerator

enum { PARITIES = 32, DIGIT_PLACES = 48, RANGE = 16, MAX_BACKOFF = 10 };
enum {
    MAX_THREAD = 1 << 20,
    MAX_DRAWS = 6,
    NEAR_DRAWS = 4
}; /* Java 17: thread ids, and how many draws apart two ids may be */
enum { POSITION_BITS = 22 };

void finder_init0(Finder *f, Env *env, u64 seed) {
    memset(f, 0, sizeof *f);
    f->env = env;
    f->seed = seed;
}

void finder_free(Finder *f) {
    VEC_FREE(f->generators);
    VEC_FREE(f->sources);
    VEC_FREE(f->samples);
    VEC_FREE(f->missing);
    VEC_FREE(f->own);
    map_free(&f->of_id);
    map_free(&f->of_range);
    map_free(&f->seen);
    free(f->table);
    free(f->digits);
    f->table = NULL;
    f->digits = NULL;
}

/* A full list is a sign that most of it is old. */
static void finder_forget(Finder *f) {
    f->generators.n = 0;
    f->forgot++;
    map_clear(&f->of_id);
    map_clear(&f->of_range);
    for (u32 i = 0; i < f->sources.n; i++)
        f->sources.v[i].own_step = 0;
}

/* --- V8: positions in the table ----------------------------------------------------------------------------------- */

static u32 v8_width(const Generator *g) { return g->kind == GENERATOR_V8_WORDS ? V8_WORD : V8_DIGIT; }

/* Enters the ids at `n` positions from `first`; values has those of the ids and what follows. The first id wins. */
static void v8_enter(Finder *f, u32 at, u32 first, const u32 *values, u32 n) {
    u32 width = v8_width(&f->generators.v[at]);
    u64 id = v8_id(values, width);
    for (u32 i = 0; i < n; i++) {
        u32 *to = map_at(f->env, &f->of_id, id, f->seed);
        if (!*to)
            *to = (at + 1) << POSITION_BITS | (first + i);
        id = id << width | values[i + 64 / width] >> (32 - width);
    }
}

/* Makes the refills after those in the table until `to`. */
static void v8_forwards(Finder *f, u32 at, u32 to) {
    u32 values[2 * V8_REFILL + 1] = {0};
    Generator *g = &f->generators.v[at];
    V8 next = g->high;
    v8_refill(&next, values);
    for (; g->to < to && g->to + 2 * V8_REFILL < 1u << POSITION_BITS; g->to += V8_REFILL) {
        g->high = next;
        v8_refill(&next, values + V8_REFILL);
        v8_enter(f, at, g->to, values, V8_REFILL);
        memcpy(values, values + V8_REFILL, V8_REFILL * sizeof *values);
    }
}

static void v8_backwards(Finder *f, u32 at, u32 from) {
    u32 values[2 * V8_REFILL + 1] = {0};
    Generator *g = &f->generators.v[at];
    while (g->from > from && g->from >= 2 * V8_REFILL) {
        V8 v;
        for (u32 i = 0; i < V8_REFILL; i++)
            v8_back(&g->low);
        v = g->low;
        v8_refill(&v, values);
        v8_refill(&v, values + V8_REFILL);
        g->from -= V8_REFILL;
        v8_enter(f, at, g->from, values, V8_REFILL);
    }
}

/* How many values are made beyond the furthest position that was met. A page's life is short. */
static u32 chunk(const Generator *g) { return g->kind == GENERATOR_V8_WORDS ? FIND_CHUNK : FIND_CHUNK / 8; }

static void v8_met(Finder *f, u32 at, u32 position) {
    Generator *g = &f->generators.v[at];
    g->met = 1;
    if (position > g->highest)
        g->highest = position;
    if (position < g->lowest)
        g->lowest = position;
    if (position + chunk(g) / 2 > g->to)
        v8_forwards(f, at, position + chunk(g));
    if (position < g->from + chunk(g) / 8)
        v8_backwards(f, at, position - chunk(g) / 4);
}

static V8 v8_state(const Generator *g, u32 position) {
    V8 v = g->low;
    for (u32 n = (position - g->from) & ~(V8_REFILL - 1u); n; n--)
        v8_step(&v);
    return v;
}

V8 finder_state(const Generator *g, u64 position) { return v8_state(g, (u32)(position - g->base)); }

enum { TABLE_FULL = 1 << 17 };

static int table_is_full(const Finder *f) {
    if (f->of_id.n > TABLE_FULL)
        return 1;
    for (u32 at = 0; at < f->generators.n; at++)
        if (f->generators.v[at].to > (1u << POSITION_BITS) - (1u << 20))
            return 1;
    return 0;
}

/* The table begins anew with what may come next. Generators that were not met since the last time are let go. */
static void v8_rebase(Finder *f) {
    map_renew(&f->of_id, TABLE_FULL / 2);
    for (u32 at = 0; at < f->generators.n; at++) {
        Generator *g = &f->generators.v[at];
        u32 back = g->highest > g->from + chunk(g) ? (g->highest - chunk(g)) & ~(V8_REFILL - 1u) : g->from;
        if (g->kind == GENERATOR_SPLITMIX || g->to == 0)
            continue;
        if (!g->met) {
            g->from = g->to = 0;
            continue;
        }
        g->low = v8_state(g, back);
        g->base += (u64)back - FIND_ORIGIN;
        g->high = g->low;
        g->highest = g->highest - back + FIND_ORIGIN;
        g->from = g->to = FIND_ORIGIN;
        g->lowest = g->highest;
        g->met = 0;
        v8_forwards(f, at, g->highest + chunk(g));
    }
}

/* --- look-up ------------------------------------------------------------------------------------------------------ */

static u64 usual_position(u64 id) { return splitmix_unmix(id) * odd_inverse(SPLITMIX_GOLDEN); }

/* A thread with the usual step that drew near this place; the place becomes its own as well. */
static u32 range_find(Finder *f, u64 position) {
    u64 range = position >> RANGE;
    u32 at = map_get(&f->of_range, range, f->seed);
    for (u32 i = 0; !at && i < 2; i++) {
        at = map_get(&f->of_range, i ? range - 1 : range + 1, f->seed);
        if (at)
            *map_at(f->env, &f->of_range, range, f->seed) = at;
    }
    return at;
}

Found finder_find(Finder *f, u64 id, u32 resource) {
    u32 at = map_get(&f->of_id, id, f->seed);
    if (at) {
        u32 generator = (at >> POSITION_BITS) - 1, position = at & ((1u << POSITION_BITS) - 1);
        v8_met(f, generator, position);
        return (Found){generator, f->generators.v[generator].base + position};
    }
    if (f->of_range.n) {
        u64 position = usual_position(id);
        at = range_find(f, position);
        if (at)
            return (Found){at - 1, position};
    }
    if (resource < f->sources.n)
        for (at = f->sources.v[resource].own_step; at; at = f->generators.v[at - 1].next) {
            Generator *g = &f->generators.v[at - 1];
            u64 position = splitmix_position(id, g->seed, g->inverse);
            if (position - g->base + (1u << RANGE) < 2u << RANGE) {
                g->base = position;
                return (Found){at - 1, position};
            }
        }
    return (Found){NO_GENERATOR, 0};
}

static u32 generator_add(Finder *f, u32 kind, u32 resource) {
    Generator g = {.kind = (u8)kind, .resource = resource};
    VEC_PUSH(f->env, f->generators, g);
    return (u32)f->generators.n - 1;
}

/* --- SplitMix ------------------------------------------------------------------------------------------------------
 */

static void thread_add(Finder *f, u32 resource, u64 position) {
    u32 at = generator_add(f, GENERATOR_SPLITMIX, resource);
    f->generators.v[at].base = position; /* positions count from seed 0 */
    f->generators.v[at].step = SPLITMIX_GOLDEN;
    *map_at(f->env, &f->of_range, position >> RANGE, f->seed) = at + 1;
}

/* Threads with the usual step: two ids that lie close together. One id tells nothing, so each waits for another. */
static u32 find_threads(Finder *f, u32 resource, u64 id) {
    u64 position = usual_position(id), range = position >> RANGE;
    if (range_find(f, position) || f->generators.n >= FIND_GENERATORS)
        return 0;
    for (u64 near = range - 1; near != range + 2; near++) {
        u32 other = map_get(&f->seen, near, f->seed);
        if (other && f->generators.n < FIND_GENERATORS) {
            thread_add(f, resource, position);
            return 1;
        }
    }
    *map_at(f->env, &f->seen, range, f->seed) = 1;
    return 0;
}

/* Java 17: a and b are a few draws of one thread apart, n of them; the thread's id, or MAX_THREAD. */
static u32 thread_of(u64 apart, u32 n) {
    static const u64 inverse[8] = {1,
                                   0xaaaaaaaaaaaaaaabu,
                                   0xcccccccccccccccdu,
                                   0x6db6db6db6db6db7u,
                                   0x8e38e38e38e38e39u,
                                   0x2e8ba2e8ba2e8ba3u,
                                   0x4ec4ec4ec4ec4ec5u,
                                   0xeeeeeeeeeeeeeeefu}; /* of 1, 3 to 15 */
    u32 twos = (u32)__builtin_ctz(n);
    if (apart & (((u64)1 << twos) - 1))
        return MAX_THREAD;
    u64 step = (apart >> twos) * inverse[n >> twos >> 1];
    u64 thread = (step - SPLITMIX_GOLDEN) << twos >> twos; /* the top bits are not known */
    return thread & 1 || thread >> 1 >= MAX_THREAD ? MAX_THREAD : (u32)(thread >> 1);
}

static u32 own_step_add(Finder *f, u32 resource, u64 seed, u32 thread) {
    if (!thread || f->generators.n >= FIND_GENERATORS)
        return 0;
    u32 at = generator_add(f, GENERATOR_SPLITMIX, resource);
    Generator *g = &f->generators.v[at];
    g->seed = seed;
    g->step = splitmix_step(thread);
    g->inverse = odd_inverse(g->step);
    g->next = f->sources.v[resource].own_step;
    f->sources.v[resource].own_step = at + 1;
    return 1;
}

static u32 find_own_steps(Finder *f, u32 resource, const Sample *x, u32 n) {
    u64 seed[FIND_WINDOW];
    u32 found = 0;
    for (u32 i = 0; i < n; i++)
        seed[i] = splitmix_unmix(x[i].id);
    for (u32 i = 0; i < n; i++) {
        if (finder_find(f, x[i].id, resource).generator != NO_GENERATOR)
            continue;
        u32 thread = MAX_THREAD;
        for (u32 j = i + 1; j < n && j <= i + NEAR_DRAWS && thread == MAX_THREAD; j++)
            for (u32 draws = 1; draws < MAX_DRAWS && thread == MAX_THREAD; draws++) {
                thread = thread_of(seed[j] - seed[i], draws);
                if (thread == MAX_THREAD)
                    thread = thread_of(seed[i] - seed[j], draws);
            }
        if (thread < MAX_THREAD)
            found += own_step_add(f, resource, seed[i], thread);
    }
    return found;
}

/* --- V8 ------------------------------------------------------------------------------------------------------------
 */

/* For each of three ids and each of its bytes: its part of the parities. */
static void words_table(Finder *f) {
    f->table = calloc(3 * 8 * 256, sizeof *f->table);
    if (!f->table)
        tz_fail(f->env, TZ_NO_MEMORY, "memory");
    v8_solver(&f->words, V8_WORD, V8_REFILL);
    for (u32 of = 0; of < 3; of++)
        for (u32 byte = 0; byte < 8; byte++) {
            u32 *t = f->table + (of * 8 + byte) * 256;
            for (u32 bit = 0; bit < 8; bit++)
                for (u32 p = 0; p < PARITIES; p++)
                    t[1 << bit] |= (u32)(f->words.even[p].of[of] >> (8 * byte + bit) & 1) << p;
            for (u32 v = 1; v < 256; v++)
                t[v] = t[v & (v - 1)] ^ t[v & -v];
        }
}

static u32 parities(const Finder *f, u32 of, u64 id) {
    const u32 *t = f->table + of * 8 * 256;
    u32 p = 0;
    for (u32 byte = 0; byte < 8; byte++)
        p ^= t[byte * 256 + (id >> 8 * byte & 255)];
    return p;
}

static int all_even(const V8Solver *s, const u64 *ids) {
    for (u32 i = 0; i < s->n; i++)
        if (v8_parity(&s->even[i], ids))
            return 0;
    return 1;
}

enum { PHASE_BACK = 1024, PHASE_VALUES = 4096, PHASE_ACROSS = 127 };

/* The first value of a refill, for a state whose values are known: how many steps on, below V8_REFILL.
 *
 * An id across the end of a refill tells it: its values are made 127 steps apart, not one after the other. Without
 * such an id: the draws of a process come nearly in the order of its starts, and the right end makes for the shortest
 * way through them. */
static u32 words_phase(Finder *f, V8 v, const Sample *x, u32 n) {
    u32 value[PHASE_VALUES], made[FIND_SAMPLE], n_made = 0, best = 0, across[V8_REFILL] = {0};
    u64 least = UINT64_MAX;
    for (u32 i = 0; i < PHASE_BACK; i++)
        v8_back(&v);
    for (u32 i = 0; i < PHASE_VALUES; i++, v8_step(&v))
        value[i] = (u32)(v.s0 >> 32);
    map_renew(&f->seen, PHASE_VALUES);
    for (u32 i = 0; i < PHASE_VALUES; i++)
        *map_at(f->env, &f->seen, value[i], f->seed) = i + 1; /* a first word; the second is checked */
    for (u32 i = 0; i < n; i++) {
        u32 at = map_get(&f->seen, x[i].id >> 32, f->seed), second = (u32)x[i].id;
        if (at > 1 && value[at - 2] == second)
            made[n_made++] = at - 1;
        else if (at && at - 1 + PHASE_ACROSS < PHASE_VALUES && value[at - 1 + PHASE_ACROSS] == second)
            across[(at - 1) % V8_REFILL]++;
    }
    for (u32 end = 0; end < V8_REFILL; end++) {
        u64 way = (u64)(FIND_SAMPLE - across[end]) << 32;
        u32 before = 0;
        for (u32 i = 0; i < n_made; i++) {
            u32 position = v8_made(made[i] + V8_REFILL - end), gap = position - before;
            if (i)
                way += gap >> 31 ? 1 << 16 : gap < 1 << 16 ? gap : 1 << 16;
            if ((made[i] + V8_REFILL - end) % V8_REFILL == 0)
                way += 1 << 20; /* this id would lie across the end */
            before = position;
        }
        if (way < least)
            least = way, best = end;
    }
    return best; /* PHASE_BACK is a whole number of refills */
}

/* `v` is the state at the end of a refill (before its values are made). */
static u32 v8_add(Finder *f, u32 kind, u32 resource, V8 v) {
    u32 at = generator_add(f, kind, resource);
    Generator *g = &f->generators.v[at];
    g->low = g->high = v;
    g->from = g->to = g->lowest = g->highest = FIND_ORIGIN;
    v8_forwards(f, at, FIND_ORIGIN + chunk(g));
    v8_backwards(f, at, FIND_ORIGIN - chunk(g) / 2);
    return at;
}

static u32 words_solved(Finder *f, u32 resource, const Sample *x, u32 n, const u64 *ids) {
    V8 v;
    if (!all_even(&f->words, ids))
        return 0;
    v = v8_solve(&f->words, ids);
    if (!(v.s0 | v.s1))
        return 0;
    u32 steps = words_phase(f, v, x, n);
    while (steps--)
        v8_step(&v);
    v8_add(f, GENERATOR_V8_WORDS, resource, v);
    return 1;
}

/* Any three ids drawn in a row, the first two near each other in the sample: the parities of two tell the third's. */
static u32 find_words(Finder *f, u32 resource, const Sample *x, u32 n) {
    u32 first[FIND_WINDOW], second[FIND_WINDOW], third[FIND_WINDOW], w = n < FIND_WINDOW ? n : FIND_WINDOW;
    u8 home[256] = {0}, after[FIND_WINDOW];
    if (!f->table)
        words_table(f);
    for (u32 i = 0; i < w; i++) {
        first[i] = parities(f, 0, x[i].id);
        second[i] = parities(f, 1, x[i].id);
        third[i] = parities(f, 2, x[i].id);
        after[i] = home[third[i] & 255];
        home[third[i] & 255] = (u8)(i + 1);
    }
    for (u32 i = 0; i < w; i++) {
        u64 root[3] = {x[i].id, x[i].hi, x[i].lo};
        if (x[i].root && (first[i] ^ parities(f, 1, x[i].hi) ^ parities(f, 2, x[i].lo)) == 0 &&
            words_solved(f, resource, x, n, root))
            return 1;
        for (u32 j = i > FIND_NEAR ? i - FIND_NEAR : 0; j < w && j <= i + FIND_NEAR; j++) {
            u32 p = first[i] ^ second[j];
            if (i == j)
                continue;
            for (u32 k = home[p & 255]; k; k = after[k - 1])
                if (third[k - 1] == p) {
                    u64 ids[3] = {x[i].id, x[j].id, x[k - 1].id};
                    if (words_solved(f, resource, x, n, ids))
                        return 1;
                }
        }
    }
    return 0;
}

/* How many digits of a root's 48 come before a refill's end: place p stands for 48 - p. */
static const V8Solver *digits_solver(Finder *f, u32 place) {
    if (!f->digits)
        f->digits = malloc(DIGIT_PLACES * sizeof *f->digits);
    if (!f->digits)
        tz_fail(f->env, TZ_NO_MEMORY, "memory");
    for (; f->places <= place; f->places++)
        v8_solver(&f->digits[f->places], V8_DIGIT, DIGIT_PLACES - f->places);
    return &f->digits[place];
}

/* Is one of these roots a browser's? About every fourth lies within a refill, which is one place to try, not 48. */
static int has_digits(Finder *f, const Sample *x, u32 n) {
    for (u32 i = 0; i < n; i++) {
        u64 ids[3] = {x[i].id, x[i].hi, x[i].lo};
        if (x[i].root && all_even(digits_solver(f, 0), ids))
            return 1;
    }
    return 0;
}

/* A root alone: its own id, then its trace's. At place 0 it is not known which value after them ends the refill; so
 * that place is tried when nothing else is left. */
static u32 digits_of_root(Finder *f, u32 resource, const u64 *ids, u32 place, u32 end) {
    for (; place < end; place++) {
        const V8Solver *s = digits_solver(f, place);
        V8 v;
        if (!all_even(s, ids))
            continue;
        v = v8_solve(s, ids);
        if (!(v.s0 | v.s1))
            continue;
        v8_add(f, GENERATOR_V8_DIGITS, resource, v);
        return 1;
    }
    return 0;
}

/* Every page has a state of its own. */
static u32 digits_of_rows(Finder *f, const IdRows *r, u32 resource) {
    u32 found = 0;
    for (u32 last = 0; last < 2; last++)
        for (size_t i = 0; i < f->missing.n; i++) {
            u32 row = f->missing.v[i];
            u64 ids[3] = {r->id[row], r->hi[row], r->lo[row]};
            if (r->resource[row] == resource && !r->parent[row] && f->generators.n < FIND_GENERATORS &&
                !map_get(&f->of_id, ids[0], f->seed))
                found += digits_of_root(f, resource, ids, last ? 0 : 1, last ? 1 : DIGIT_PLACES);
        }
    return found;
}

/* --- a block -------------------------------------------------------------------------------------------------------
 */

static int sample_before(const Sample *a, const Sample *b) {
    return a->start < b->start || (a->start == b->start && a->row < b->row);
}

static void sample_sort(Sample *x, u32 n) {
    for (u32 gap = 121; gap; gap /= 3)
        for (u32 i = gap; i < n; i++) {
            Sample s = x[i];
            u32 j = i;
            for (; j >= gap && sample_before(&s, &x[j - gap]); j -= gap)
                x[j] = x[j - gap];
            x[j] = s;
        }
}

static void sample_add(Finder *f, const IdRows *r, u32 row) {
    u32 resource = r->resource[row];
    Source *s = &f->sources.v[resource];
    if (s->wait)
        return;
    if (!s->n) {
        s->sample = (u32)f->samples.n;
        VEC_RESERVE(f->env, f->samples, FIND_SAMPLE);
        f->samples.n += FIND_SAMPLE;
    }
    if (s->n < FIND_SAMPLE)
        f->samples.v[s->sample + s->n] =
            (Sample){r->id[row], r->hi[row], r->lo[row], r->start[row], row, !r->parent[row]};
    s->n++;
}

/* Keeps the rows that nothing explains, and samples them. */
static void explain(Finder *f, const IdRows *r, const u32 *from, size_t n) {
    size_t kept = 0;
    f->samples.n = 0;
    for (u32 i = 0; i < f->sources.n; i++)
        f->sources.v[i].n = 0;
    for (size_t i = 0; i < n; i++) {
        u32 row = from ? from[i] : (u32)i;
        f->own.v[row] = (Found){NO_GENERATOR, 0};
        if (f->generators.n)
            f->own.v[row] = finder_find(f, r->id[row], r->resource[row]);
        if (f->own.v[row].generator != NO_GENERATOR)
            continue;
        f->missing.v[kept++] = row;
        sample_add(f, r, row);
    }
    f->missing.n = kept;
}

/* Are there two ids of a thread in the sample? */
static int has_threads(const Sample *x, u32 n) {
    u64 home[2 * FIND_SAMPLE];
    memset(home, 0, sizeof home);
    for (u32 i = 0; i < n; i++) {
        u64 range = usual_position(x[i].id) >> RANGE >> 1, at = range & (2 * FIND_SAMPLE - 1);
        for (; home[at]; at = (at + 1) & (2 * FIND_SAMPLE - 1))
            if (home[at] == range)
                return 1;
        home[at] = range;
    }
    return 0;
}

static u32 all_threads(Finder *f, const IdRows *r, u32 resource) {
    u32 found = 0;
    map_renew(&f->seen, 1024);
    for (size_t i = 0; i < f->missing.n; i++)
        if (r->resource[f->missing.v[i]] == resource)
            found += find_threads(f, resource, r->id[f->missing.v[i]]);
    return found;
}

static u32 sample_size(const Source *s) { return s->n < FIND_SAMPLE ? s->n : FIND_SAMPLE; }

static u32 look_at(Finder *f, const IdRows *r, u32 resource) {
    Source *s = &f->sources.v[resource];
    Sample *x = f->samples.v + s->sample;
    u32 n = sample_size(s), w = n < FIND_WINDOW ? n : FIND_WINDOW, found;
    sample_sort(x, n);
    found = find_words(f, resource, x, n);
    if (!found)
        found = find_own_steps(f, resource, x, w);
    if (!found && has_digits(f, x, n))
        found = digits_of_rows(f, r, resource);
    return found;
}

/* What looking at a resource costs, and what a row earns, in ns; one that cost in vain waits twice as long each time.
 */
enum { COST = 12000, EARNED = 10, MAX_CREDIT = 8 * COST, MAX_ROUNDS = 64 };

/* The resource with most rows that nothing explains, and that was not looked at in this round; or none. */
static u32 next_source(const Finder *f, u32 round) {
    u32 best = f->sources.n, most = FIND_LEAST - 1;
    for (u32 i = 0; i < f->sources.n; i++) {
        const Source *s = &f->sources.v[i];
        if (s->n > most && !s->wait && s->looked != round)
            best = i, most = s->n;
    }
    return best;
}

static u32 look_round(Finder *f, const IdRows *r, u32 round) {
    u32 found = 0;
    for (u32 i = 0; i < f->sources.n; i++)
        if (f->sources.v[i].n >= FIND_LEAST &&
            has_threads(f->samples.v + f->sources.v[i].sample, sample_size(&f->sources.v[i])))
            found += all_threads(f, r, i);
    if (found)
        return found;
    for (u32 i; f->generators.n < FIND_GENERATORS && f->credit >= COST && (i = next_source(f, round)) < f->sources.n;) {
        Source *s = &f->sources.v[i];
        u32 more = look_at(f, r, i);
        s->looked = round;
        f->credit -= more ? 0 : COST;
        s->found |= more > 0;
        if (more)
            s->failed = s->wait = 0;
        else if (!s->found) { /* what is left after a find says nothing */
            s->failed += s->failed < MAX_BACKOFF;
            s->wait = s->n < FIND_WINDOW ? 2 : 1u << s->failed;
        }
        found += more;
    }
    return found;
}

void finder_block0(Finder *f, const IdRows *r) {
    u32 top = 0;
    for (size_t i = 0; i < r->n; i++)
        top = r->resource[i] >= top ? r->resource[i] + 1 : top;
    if (top > f->sources.n)
        VEC_RESIZE(f->env, f->sources, top);
    if (r->n > f->missing.n)
        VEC_RESIZE(f->env, f->missing, r->n);
    VEC_RESIZE(f->env, f->own, r->n);
    if (f->generators.n >= FIND_GENERATORS)
        finder_forget(f);
    else if (table_is_full(f))
        v8_rebase(f);
    f->credit += EARNED * r->n;
    if (f->credit > MAX_CREDIT && f->credit > EARNED * r->n)
        f->credit = MAX_CREDIT > EARNED * r->n ? MAX_CREDIT : EARNED * r->n;
    for (u32 i = 0; i < f->sources.n; i++) {
        f->sources.v[i].wait -= f->sources.v[i].wait > 0;
        f->sources.v[i].looked = f->sources.v[i].found = 0;
    }
    explain(f, r, NULL, r->n);
    for (u32 round = 1; round < MAX_ROUNDS && look_round(f, r, round); round++)
        explain(f, r, f->missing.v, f->missing.n);
}

void finder_block(Finder *f,Env*env, const IdRows *r){ f->env=env; finder_block0(f,r); VEC_RESIZE(env,f->parent,r->n);VEC_RESIZE(env,f->trace,r->n);
 for(size_t i=0;i<r->n;i++){ f->parent.v[i]=r->parent[i]?finder_find(f,r->parent[i],r->resource[i]):(Found){NO_GENERATOR,0};
  Found t=finder_find(f,r->hi[i]?r->hi[i]:r->lo[i],r->resource[i]); if(t.generator!=NO_GENERATOR&&r->hi[i]){Found u=finder_find(f,r->lo[i],r->resource[i]); FGenerator*g=&f->generators.v[t.generator]; if(u.generator!=t.generator||u.position!=t.position+(g->kind==0?1:g->kind==1?2:16))t.generator=NO_GENERATOR;} f->trace.v[i]=t; } }
u32 finder_resource(const Finder*f,u32 g){return f->generators.v[g].resource;}
u64 finder_origin(Finder*f,u32 at,u64 p,GeneratorState*o){ FGenerator*g=&f->generators.v[at]; memset(o,0,sizeof*o); o->kind=g->kind; if(g->kind==0){ o->seed=splitmix_unmix(splitmix_mix(g->seed+p*g->step)); o->thread=(u32)((g->step-SPLITMIX_GOLDEN)/2); return p;} u64 q=p-g->base; q=(q&~63ull)-64*(g->kind==1?4:1); o->v8=finder_state(g,q+g->base); return q+g->base; }
