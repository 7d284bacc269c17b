/* Draws of a resource, for MT19937 and Go: of several blocks, in the order of their starts; and when to search among
 * them. */
#include "find_parts.h"

enum {
    MOST_FAILED = 10, /* each search in vain doubles the blocks until the next one, */
    WAIT = 8          /* from so many on */
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

/* From row `at` of the chain on, which is given back where it ends. A root draws its trace first; traces of 64 bits may
 * have its id. */
static u32 take_draws(Finder *f, Env *env, const IdRows *r, Draws *d, u32 at, u32 most) {
    for (; at && d->n < most; at = f->next.v[at - 1]) {
        u64 start = r->start[at - 1], id = r->id[at - 1], hi = r->hi[at - 1], lo = r->lo[at - 1];
        if (!r->parent[at - 1] && hi)
            draw_add(env, d, start, hi);
        if (!r->parent[at - 1] && lo != id)
            draw_add(env, d, start, lo);
        draw_add(env, d, start, id);
    }
    return at;
}

static void drop_draws(Finder *f, Source *s) {
    VEC_FREE(s->draws);
    f->n_sampling--;
}

static void search_failed(Finder *f, Source *s) {
    drop_draws(f, s);
    s->search_again = f->block + ((u64)WAIT << s->n_searches_failed);
    s->n_searches_failed += s->n_searches_failed < MOST_FAILED;
}

/* The last draws that were made. */
static Draws last_draws(const Draws *d, u32 n) { return (Draws){d->v + (d->n - n), n, 0}; }

static u32 find_suspected(Finder *f, Env *env, const Draws *d, u32 kind, u32 resource) {
    u32 result = is_mt(kind) ? find_mt(f, env, d, kind, resource) : find_go(f, env, d, kind, resource);
    if (f->halvings)
        mt_free(&f->mt);
    go_free(&f->go);
    return result;
}

/* Is another search worth it, with more draws? That for MT19937 is dear, and begins with few; that for Go takes all. */
static int search(Finder *f, Env *env, const IdRows *r, u32 resource) {
    Source *s = &f->sources.v[resource];
    u32 n = is_mt(s->suspected) ? s->least_draws : (u32)s->draws.n, most = most_draws(f);
    Draws last = last_draws(&s->draws, n < most ? n : most);
    i64 cost = COST_DRAW * (i64)last.n;
    if (f->streams.n >= FIND_STREAMS || f->credit.searches < cost)
        return 0;
    u32 result = find_suspected(f, env, &last, s->suspected, resource);
    if (result == SEARCH_FOUND) {
        s->n_searches_failed = 0;
        drop_draws(f, s);
        explain(f, env, r, resource);
        return 0;
    }
    f->credit.searches -= cost;
    if (result == SEARCH_HOPELESS || last.n == most) {
        search_failed(f, s);
        return 0;
    }
    n = is_mt(s->suspected) ? 2 * n : n + n / 2;
    s->least_draws = n < most ? n : most;
    return 1;
}

static u32 suspect(Finder *f, Env *env, const Draws *d) {
    u32 kind = go_probe(f, env, d);
    return kind ? kind : mt_probe(f, env, d);
}

/* Is a search worth it? */
static int search_is_worth(Finder *f, Env *env, Source *s) {
    Draws last = last_draws(&s->draws, FIND_DRAWS_LEAST);
    if (!pay(&f->credit.probes, COST_PROBE))
        return 0;
    sort_draws(&s->draws);
    s->suspected = (u8)suspect(f, env, &last);
    if (!s->suspected)
        search_failed(f, s);
    return s->suspected;
}

/* Is this source sampled? Draws of old blocks do not lead to those of this one, so a full sample begins anew. */
static int is_sampled(Finder *f, Source *s) {
    if (!s->n || f->block < s->search_again || (!s->draws.n && f->n_sampling >= most_sampling(f)) ||
        (!s->suspected && f->credit.probes < COST_PROBE))
        return 0;
    if (!s->draws.n) {
        f->n_sampling++;
        s->least_draws = FIND_DRAWS_LEAST;
        s->suspected = 0;
    } else if (s->draws.n >= most_draws(f)) {
        s->draws.n = 0;
    }
    return 1;
}

void look_at_draws(Finder *f, Env *env, const IdRows *r, u32 resource) {
    Source *s = &f->sources.v[resource];
    if (!is_sampled(f, s))
        return;
    u32 at = take_draws(f, env, r, &s->draws, s->first, s->suspected ? most_draws(f) : FIND_DRAWS_LEAST);
    if (s->draws.n < s->least_draws || (!s->suspected && !search_is_worth(f, env, s)))
        return;
    take_draws(f, env, r, &s->draws, at, most_draws(f));
    sort_draws(&s->draws);
    while (s->draws.n >= s->least_draws && search(f, env, r, resource))
        ;
}
