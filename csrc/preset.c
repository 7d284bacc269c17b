#include "preset.h"

#include "wire.h"

static int preset_fill(Preset *p, const u8 *packed, size_t n) {
    const u8 *end = packed + n;
    size_t length;
    if (setjmp(p->t.env.out))
        return p->t.env.code;
    string_intern(&p->t, end, 0);
    while (packed < end && (packed = length_get(packed, end, &length))) {
        u32 v = string_intern(&p->t, packed, length);
        packed += length;
        if (p->t.strings.v[v].def)
            continue;
        VEC_PUSH(&p->t.env, p->t.def_strings, v);
        p->t.strings.v[v].def = (u32)p->t.def_strings.n;
    }
    return TZ_OK;
}

Preset *preset_new(const u8 *packed, size_t n, u64 seed) {
    Preset *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->t.seed = seed;
    if (preset_fill(p, packed, n) == TZ_OK)
        return p;
    preset_free(p);
    return NULL;
}

void preset_free(Preset *p) {
    if (!p)
        return;
    tables_free(&p->t);
    free(p);
}
