/* Draws of a resource, for MT19937: of several blocks, in the order of their starts; and when to search among them. */
#include "find_parts.h"

enum {
    MOST_FAILED = 10, /* each search in vain doubles the blocks until the next one, */
    MT_WAIT = 8       /* from so many on */
};

static int draw_before(const Draw *a, const Draw *b) {
    return a->start < b->start || (a->start == b->start && a->order < b->order);
}

/* Shell's sort, with Knuth's gaps. */
void sort_draws(Draws *d) {
    size_t gap = 1;
    while (gap < d->n / 9)
        gap = 3 * gap + 1;
    for (; gap; gap /= 3)
        for (size_t i = gap; i < d->n; i++) {
            Draw x = d->v[i];
            size_t j = i;
            for (; j >= gap && draw_before(&x, &d->v[j - gap]); j -= gap)
                d->v[j] = d->v[j - gap];
            d->v[j] = x;
        }
}

static void draw_add(Env *env, Draws *d, u64 start, u64 id) {
    Draw x = {start, id, (u32)d->n};
    VEC_PUSH(env, *d, x);
}

/* From row `at` of the chain on, which is given back where it ends. A root draws its trace first, the lower half of it
 * before the upper one. */
static u32 take_draws(Finder *f, Env *env, const IdRows *r, Draws *d, u32 at, u32 most) {
    for (; at && d->n < most; at = f->next.v[at - 1]) {
        u64 start = r->start[at - 1];
        if (!r->parent[at - 1]) {
            draw_add(env, d, start, r->lo[at - 1]);
            draw_add(env, d, start, r->hi[at - 1]);
        }
        draw_add(env, d, start, r->id[at - 1]);
    }
    return at;
}

static void drop_draws(Finder *f, Source *s) {
    VEC_FREE(s->draws);
    f->n_sampling--;
}

static void mt_failed(Finder *f, Source *s) {
    drop_draws(f, s);
    s->mt_again = f->block + ((u64)MT_WAIT << s->mt_failed);
    s->mt_failed += s->mt_failed < MOST_FAILED;
}

/* The last draws that were made. */
static Draws last_draws(const Draws *d, u32 n) { return (Draws){d->v + (d->n - n), n, 0}; }

/* Is another search worth it, with more draws? */
static int mt_search(Finder *f, Env *env, const IdRows *r, u32 resource) {
    Source *s = &f->sources.v[resource];
    Draws last = last_draws(&s->draws, s->mt_least);
    i64 cost = COST_MT_DRAW * (i64)last.n;
    if (f->streams.n >= FIND_STREAMS || f->credit.mt < cost)
        return 0;
    u32 result = find_mt(f, env, &last, resource);
    if (f->halvings)
        mt_free(&f->mt);
    if (result == MT_FOUND) {
        s->mt_failed = 0;
        drop_draws(f, s);
        explain(f, env, r, resource);
        return 0;
    }
    f->credit.mt -= cost;
    if (result == MT_HOPELESS || s->mt_least == mt_most(f)) {
        mt_failed(f, s);
        return 0;
    }
    s->mt_least = 2 * s->mt_least < mt_most(f) ? 2 * s->mt_least : mt_most(f);
    return 1;
}

/* Is a search worth it? */
static int mt_worth(Finder *f, Env *env, Source *s) {
    Draws last = last_draws(&s->draws, FIND_MT_LEAST);
    if (f->credit.looks < COST_MT_PROBE + LOOKS_KEPT)
        return 0;
    f->credit.looks -= COST_MT_PROBE;
    sort_draws(&s->draws);
    s->mt_probed = (u8)mt_probe(f, env, &last);
    if (!s->mt_probed)
        mt_failed(f, s);
    return s->mt_probed;
}

/* Is this source sampled? Draws of old blocks do not lead to those of this one, so a full sample begins anew. */
static int mt_sampled(Finder *f, Source *s) {
    if (!s->n || f->block < s->mt_again || (!s->draws.n && f->n_sampling >= mt_sampling(f)) ||
        (!s->mt_probed && f->credit.looks < COST_MT_PROBE + LOOKS_KEPT))
        return 0;
    if (!s->draws.n) {
        f->n_sampling++;
        s->mt_least = FIND_MT_LEAST;
        s->mt_probed = 0;
    } else if (s->draws.n >= mt_most(f)) {
        s->draws.n = 0;
    }
    return 1;
}

void mt_look(Finder *f, Env *env, const IdRows *r, u32 resource) {
    Source *s = &f->sources.v[resource];
    if (!mt_sampled(f, s))
        return;
    u32 at = take_draws(f, env, r, &s->draws, s->first, s->mt_probed ? mt_most(f) : FIND_MT_LEAST);
    if (s->draws.n < s->mt_least || (!s->mt_probed && !mt_worth(f, env, s)))
        return;
    take_draws(f, env, r, &s->draws, at, mt_most(f));
    sort_draws(&s->draws);
    while (s->draws.n >= s->mt_least && mt_search(f, env, r, resource))
        ;
}
