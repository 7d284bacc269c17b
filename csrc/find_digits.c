/* Browsers: a value of V8's Math.random for each hexadecimal digit. A root's id and its trace's tell the state. */
#include "find_parts.h"

/* How many of a root's 48 digits come before a refill's end: 48 less the place. */
enum { PLACES = 48 };

static const V8Solver *digits_solver(Finder *f, Env *env, u32 place) {
    while (f->digits.n <= place) {
        u32 next = (u32)f->digits.n;
        VEC_RESIZE(env, f->digits, next + 1);
        v8_solver(&f->digits.v[next], V8_DIGIT, PLACES - next);
    }
    return &f->digits.v[place];
}

/* About every fourth root of a browser lies within a refill, which is one place to try, not 48. */
static int has_digits(Finder *f, Env *env, const IdRows *r) {
    for (size_t i = 0; i < f->sample.n; i++) {
        u32 row = f->sample.v[i].order;
        u64 ids[3] = {r->id[row], r->hi[row], r->lo[row]};
        if (!r->parent[row] && all_even(digits_solver(f, env, 0), ids))
            return 1;
    }
    return 0;
}

static u32 digits_of_root(Finder *f, Env *env, u32 resource, const u64 *ids, u32 place, u32 end) {
    for (; place < end; place++) {
        const V8Solver *s = digits_solver(f, env, place);
        if (!all_even(s, ids))
            continue;
        V8 v = v8_solve(s, ids);
        if (!(v.s0 | v.s1))
            continue;
        stream_add_v8(f, env, GENERATOR_V8_DIGITS, resource, v);
        return 1;
    }
    return 0;
}

static u32 digits_of_rows(Finder *f, Env *env, const IdRows *r, u32 resource, u32 place, u32 end) {
    u32 found = 0;
    for (u32 at = f->sources.v[resource].first; at; at = f->next.v[at - 1]) {
        u64 ids[3] = {r->id[at - 1], r->hi[at - 1], r->lo[at - 1]};
        if (r->parent[at - 1] || f->streams.n >= FIND_STREAMS || streams_find(f, env, ids[0]).generator != NO_GENERATOR)
            continue;
        if (!pay(&f->credit.looks, (end - place) * COST_PLACE))
            break;
        found += digits_of_root(f, env, resource, ids, place, end);
    }
    return found;
}

/* Every page has a state of its own. A root within a refill does not tell which value ends it; so it comes last. */
u32 find_digits(Finder *f, Env *env, const IdRows *r, u32 resource) {
    if (!has_digits(f, env, r))
        return 0;
    u32 found = digits_of_rows(f, env, r, resource, 1, PLACES);
    return found + digits_of_rows(f, env, r, resource, 0, 1);
}
