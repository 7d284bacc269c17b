/* Node.js: two values of V8's Math.random an id. Three ids in a row tell the state. */
#include "find_parts.h"

enum { PARITIES = 32, NEAR_ROWS = 8, BUCKETS = 256 };

/* Values made around a state, to see where refills end. */
enum { PHASE_BACK = 1024, PHASE_VALUES = 4096, PHASE_ACROSS = 2 * V8_REFILL - 1, PHASE_FAR = 1 << 16 };

int all_even(const V8Solver *s, const u64 *ids) {
    for (u32 i = 0; i < s->n; i++)
        if (v8_parity(&s->even[i], ids))
            return 0;
    return 1;
}

/* The same for all finders: how the state follows from three ids, and for each of these and each of its bytes its part
 * of the parities. */
static V8Solver words;
static u32 parity_table[3][8][256];

static void fill_byte(u32 of, u32 byte) {
    u32 *t = parity_table[of][byte];
    for (u32 bit = 0; bit < 8; bit++)
        for (u32 p = 0; p < PARITIES; p++)
            t[1 << bit] |= (u32)(words.even[p].of[of] >> (8 * byte + bit) & 1) << p;
    for (u32 v = 1; v < 256; v++)
        t[v] = t[v & (v - 1)] ^ t[v & -v];
}

void find_words_fill(void) {
    if (words.n)
        return;
    v8_solver(&words, V8_WORD, V8_REFILL);
    for (u32 of = 0; of < 3; of++)
        for (u32 byte = 0; byte < 8; byte++)
            fill_byte(of, byte);
}

static u32 parities(u32 of, u64 id) {
    u32 p = 0;
    for (u32 byte = 0; byte < 8; byte++)
        p ^= parity_table[of][byte][id >> 8 * byte & 255];
    return p;
}

/* --- where a refill ends ------------------------------------------------------------------------------------------ */

/* Of the ids of the sample: which value their first one is, and how many lie across an end at each place. */
typedef struct {
    u32 made[FIND_SAMPLE], n, across[V8_REFILL];
} Phase;

static void phase_values(Finder *f, Env *env, V8 v) {
    VEC_RESIZE(env, f->scratch, PHASE_VALUES);
    for (u32 i = 0; i < PHASE_BACK; i++)
        v8_back(&v);
    map_renew(&f->seen, PHASE_VALUES);
    for (u32 i = 0; i < PHASE_VALUES; i++, v8_step(&v)) {
        f->scratch.v[i] = (u32)(v.s0 >> 32);
        *map_at(env, &f->seen, f->scratch.v[i], finder_seed(f)) = i + 1;
    }
}

static void phase_of_sample(const Finder *f, Phase *p) {
    const u32 *value = f->scratch.v;
    memset(p, 0, sizeof *p);
    for (u32 i = 0; i < f->sample.n; i++) {
        u64 id = f->sample.v[i].id;
        u32 at = map_get(&f->seen, id >> 32, finder_seed(f)), second = (u32)id;
        if (at > 1 && value[at - 2] == second)
            p->made[p->n++] = at - 1;
        else if (at && at - 1 + PHASE_ACROSS < PHASE_VALUES && value[at - 1 + PHASE_ACROSS] == second)
            p->across[(at - 1) % V8_REFILL]++;
    }
}

/* The way from id to id, if refills end here: back is far, and no id may lie across the end. */
static u64 phase_way(const Phase *p, u32 end) {
    u64 way = (u64)(FIND_SAMPLE - p->across[end]) << 32;
    u32 before = 0;
    for (u32 i = 0; i < p->n; i++) {
        u32 made = p->made[i] + V8_REFILL - end, position = v8_made(made), gap = position - before;
        if (i)
            way += gap < PHASE_FAR ? gap : PHASE_FAR;
        if (made % V8_REFILL == 0)
            way += 16 * PHASE_FAR;
        before = position;
    }
    return way;
}

/* How many steps on a refill begins, below V8_REFILL.
 *
 * An id across the end of a refill tells it: its values are made 127 steps apart, not one after the other. Without
 * such an id: a process draws nearly in the order of its starts, and the right end makes for the shortest way. */
static u32 words_phase(Finder *f, Env *env, V8 v) {
    Phase p;
    u32 best = 0;
    u64 least = UINT64_MAX;
    phase_values(f, env, v);
    phase_of_sample(f, &p);
    for (u32 end = 0; end < V8_REFILL; end++) {
        u64 way = phase_way(&p, end);
        if (way < least)
            least = way, best = end;
    }
    return best; /* PHASE_BACK is a whole number of refills */
}

/* --- three ids in a row ------------------------------------------------------------------------------------------- */

static u32 solved(Finder *f, Env *env, u32 resource, u64 first, u64 second, u64 third) {
    u64 ids[3] = {first, second, third};
    if (f->streams.n >= FIND_STREAMS || !all_even(&words, ids))
        return 0;
    V8 v = v8_solve(&words, ids);
    if (!(v.s0 | v.s1))
        return 0;
    for (u32 steps = words_phase(f, env, v); steps--;)
        v8_step(&v);
    stream_add_v8(f, env, GENERATOR_V8_WORDS, resource, v);
    return 1;
}

/* The parities of each id of the window at each place of three; and lists of those that may be third. */
typedef struct {
    u32 n, of[3][FIND_WINDOW];
    u8 home[BUCKETS], after[FIND_WINDOW];
} Window;

static void window_fill(const Finder *f, Window *w) {
    memset(w->home, 0, sizeof w->home);
    w->n = f->sample.n < FIND_WINDOW ? (u32)f->sample.n : FIND_WINDOW;
    for (u32 i = 0; i < w->n; i++) {
        for (u32 of = 0; of < 3; of++)
            w->of[of][i] = parities(of, f->sample.v[i].id);
        u8 *home = &w->home[w->of[2][i] % BUCKETS];
        w->after[i] = *home;
        *home = (u8)(i + 1);
    }
}

/* The parities of the first two tell those of the third. */
static u32 find_third(Finder *f, Env *env, u32 resource, const Window *w, u32 i, u32 j) {
    const Draw *x = f->sample.v;
    u32 p = w->of[0][i] ^ w->of[1][j];
    for (u32 k = w->home[p % BUCKETS]; k; k = w->after[k - 1])
        if (w->of[2][k - 1] == p)
            return solved(f, env, resource, x[i].id, x[j].id, x[k - 1].id);
    return 0;
}

/* A root draws its own id and then its trace's. Else any three, of which the first two start near each other. */
u32 find_words(Finder *f, Env *env, const IdRows *r, u32 resource) {
    Window w;
    window_fill(f, &w);
    for (u32 i = 0; i < w.n; i++) {
        u32 row = f->sample.v[i].order;
        if (!r->parent[row] && w.of[0][i] == (parities(1, r->hi[row]) ^ parities(2, r->lo[row])) &&
            solved(f, env, resource, r->id[row], r->hi[row], r->lo[row]))
            return 1;
        for (u32 j = i > NEAR_ROWS ? i - NEAR_ROWS : 0; j < w.n && j <= i + NEAR_ROWS; j++)
            if (i != j && find_third(f, env, resource, &w, i, j))
                return 1;
    }
    return 0;
}
