#include "skeleton.h"

enum { DIGIT = 1, HEX = 2, WORD = 4, RESERVED = 8 };

/* What a byte is. */
#define FIGURE     (DIGIT | HEX | WORD)
#define LETTER_HEX (HEX | WORD)
static const u8 kind_of[256] = {
    [FIELD_UUID... FIELD_PADDED] = RESERVED,
    ['0' ... '9'] = FIGURE,
    ['a' ... 'f'] = LETTER_HEX,
    ['g' ... 'z'] = WORD,
    ['A' ... 'Z'] = WORD,
};

static int is_digit(u8 c) { return kind_of[c] & DIGIT; }
static int is_hex(u8 c) { return kind_of[c] & HEX; }
static int is_word(u8 c) { return kind_of[c] & WORD; }

static int is_dash(u32 i) { return i == 8 || i == 13 || i == 18 || i == 23; }

static int is_uuid(const u8 *p, size_t n) {
    if (n < 36 || (n > 36 && is_word(p[36])))
        return 0;
    for (u32 i = 0; i < 36; i++)
        if (is_dash(i) ? p[i] != '-' : !is_hex(p[i]))
            return 0;
    return 1;
}

/* A word of MIN_HEX to MAX_HEX hexadecimal digits, letters and figures among them. */
static size_t hex_word(const u8 *p, size_t n) {
    size_t i = 0;
    int letter = 0, figure = 0;
    for (; i < n && i <= MAX_HEX && is_hex(p[i]); i++)
        is_digit(p[i]) ? (figure = 1) : (letter = 1);
    return i >= MIN_HEX && i <= MAX_HEX && letter && figure && !(i < n && is_word(p[i])) ? i : 0;
}

size_t skeleton_of(const u8 *p, size_t n, u8 *out, u32 *n_fields) {
    u8 *o = out;
    *n_fields = 0;
    for (size_t i = 0; i < n;) {
        size_t length = 0;
        u8 kind = 0;
        if (!(kind_of[p[i]] & (HEX | RESERVED))) {
            *o++ = p[i++];
            continue;
        }
        if (kind_of[p[i]] & RESERVED)
            return 0;
        if (is_hex(p[i]) && !(i && is_word(p[i - 1]))) {
            if (is_uuid(p + i, n - i))
                kind = FIELD_UUID, length = 36;
            else if ((length = hex_word(p + i, n - i)))
                kind = FIELD_HEX;
        }
        if (!kind && is_digit(p[i])) {
            for (length = 0; i + length < n && is_digit(p[i + length]);)
                length++;
            if (length <= MAX_DIGITS)
                kind = p[i] == '0' && length > 1 ? FIELD_PADDED : FIELD_DECIMAL;
        }
        if (kind) {
            if (++*n_fields > MAX_SKELETON_FIELDS)
                return 0;
            *o++ = kind;
            i += length;
        } else {
            if (!length)
                length = 1;
            memcpy(o, p + i, length);
            o += length;
            i += length;
        }
    }
    return *n_fields ? (size_t)(o - out) : 0;
}

u32 hex_length(const u8 *p) {
    u32 n = 0;
    while (is_hex(p[n]))
        n++;
    return n;
}

u32 digits_length(const u8 *p) {
    u32 n = 0;
    while (is_digit(p[n]))
        n++;
    return n;
}

u64 digits_number(const u8 *p, u32 n) {
    u64 v = 0;
    for (u32 i = 0; i < n; i++)
        v = v * 10 + (u64)(p[i] - '0');
    return v;
}

void digits_put(u8 *p, u32 n, u64 v) {
    for (; n; v /= 10)
        p[--n] = (u8)('0' + v % 10);
}

u32 decimal_width(u64 v) {
    u32 n = 1;
    while (v >= 10)
        v /= 10, n++;
    return n;
}

static u8 digit_value(u8 c) { return (u8)(is_digit(c) ? c - '0' : c - 'a' + 10); }

void hex_pack(const u8 *digits, u32 n, u8 *out) {
    u32 odd = n & 1;
    if (odd)
        *out++ = digit_value(*digits++);
    for (u32 i = 0; i + 1 < n + 1 - odd; i += 2)
        *out++ = (u8)(digit_value(digits[i]) << 4 | digit_value(digits[i + 1]));
}

void hex_unpack(const u8 *in, u32 n, u8 *digits) {
    static const char figures[] = "0123456789abcdef";
    if (n & 1)
        *digits++ = (u8)figures[*in++ & 15];
    for (u32 i = 0; i < n / 2; i++) {
        *digits++ = (u8)figures[in[i] >> 4];
        *digits++ = (u8)figures[in[i] & 15];
    }
}

void uuid_pack(const u8 *text, u8 *digits) {
    for (u32 i = 0; i < 36; i++)
        if (!is_dash(i))
            *digits++ = text[i];
}

void uuid_unpack(const u8 *digits, u8 *text) {
    for (u32 i = 0; i < 36; i++)
        text[i] = is_dash(i) ? '-' : *digits++;
}
