/* How many spans a message has, before it is parsed: what is too large for a block is cut first. */
#include "count.h"

enum { SPANS_LEVEL = 2, TAG_BYTES = 5, VARINT_BYTES = 10, AHEAD = 1024 };

static u64 could_begin(const u8 *p, const u8 *end) {
    u64 n = 0;
    for (; p < end; p++)
        n += *p == 0x12 || *p == 0x92;
    return n;
}

/* Any varint, shortest or not; NULL if it does not end in time. A number beyond 64 bits becomes the largest one. */
static const u8 *loose_varint(const u8 *p, const u8 *end, u32 most, u64 *v) {
    *v = 0;
    for (u32 i = 0; i < most && p < end; i++) {
        u64 bits = *p & 0x7f;
        if (i == 9 && bits > 1)
            *v = UINT64_MAX;
        else if (*v != UINT64_MAX)
            *v |= bits << (7 * i);
        if (*p++ < 0x80)
            return p;
    }
    return NULL;
}

/* The end of the value behind a tag, NULL if it cannot be known; `value` is where its bytes begin. */
static const u8 *value_end(const u8 *p, const u8 *end, u32 type, const u8 **value) {
    u64 n;
    *value = p;
    switch (type) {
        case 0: return loose_varint(p, end, VARINT_BYTES, &n);
        case 1: n = 8; break;
        case 5: n = 4; break;
        case 2:
            if (!(*value = p = loose_varint(p, end, VARINT_BYTES, &n)))
                return NULL;
            break;
        default: return NULL;
    }
    return n <= (u64)(end - p) ? p + n : NULL;
}

u64 count_spans(const u8 *p, size_t n, u32 level) {
    static const u64 unit[] = {0x0a, 0x12, 0x12};
    const u8 *end = p + n;
    u64 spans = 0;
    while (p < end) {
        u64 tag;
        const u8 *value, *after, *at = loose_varint(p, end, TAG_BYTES, &tag);
        if (!at || !(after = value_end(at, end, (u32)tag & 7, &value)))
            break;
        if (end - after > 2 * AHEAD) { /* it only looks at the beginnings, and would wait for each */
            __builtin_prefetch(after + AHEAD);
            __builtin_prefetch(after + 2 * AHEAD);
        }
        if (tag == unit[level])
            spans += level == SPANS_LEVEL ? 1 : count_spans(value, (size_t)(after - value), level + 1);
        p = after;
    }
    return spans + could_begin(p, end);
}

size_t other_fields(const u8 *p, size_t n, u64 tag, u64 *places, size_t most) {
    const u8 *begin = p, *end = p + n;
    size_t found = 0;
    while (p < end && found <= most) {
        u64 its_tag;
        const u8 *value, *after, *at = loose_varint(p, end, TAG_BYTES, &its_tag);
        if (!at || !(after = value_end(at, end, (u32)its_tag & 7, &value)))
            break;
        if (its_tag != tag && ++found <= most) {
            places[2 * found - 2] = (u64)(p - begin);
            places[2 * found - 1] = (u64)(after - begin);
        }
        p = after;
    }
    return found;
}

size_t run_end(const u8 *p, size_t n, size_t most) {
    const u8 *begin = p, *end = p + n;
    while (p < end) {
        u64 tag;
        const u8 *value, *after, *at = loose_varint(p, end, TAG_BYTES, &tag);
        if (!at || !(after = value_end(at, end, (u32)tag & 7, &value)) || (p > begin && (size_t)(after - begin) > most))
            break;
        p = after;
    }
    return (size_t)(p - begin);
}
