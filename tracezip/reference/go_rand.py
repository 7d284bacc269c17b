"""The arithmetic of Go's math/rand, forwards and backwards. FORMAT.md, "Generators".

The twin of csrc/go_rand.h and csrc/go_rand.c. No id has more than 63 bits of a word. Python adds many words at once as
the lanes of one number: 64 bits each, of which the uppermost is free.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Sequence

GO_N, GO_M = 607, 273
GO_FAR = GO_N - GO_M
GO_BATCH = 4
"""Words that end where a value does."""
GO_SEED_MOST = (1 << 31) - 2
M63 = (1 << 63) - 1

_LCG, _LCG_MODULUS = 48271, (1 << 31) - 1
_COOKED_AFTER = 7_800_000_000_000


def go_mask(n_bytes: int) -> int:
    """Bytes that a word gives: 7 to Read, 8 to Int63, which clears the top bit."""
    return M63 >> (7 if n_bytes == 7 else 0)


# --- lanes ------------------------------------------------------------------------------------------------------------


def _lanes(words: Sequence[int]) -> int:
    return int.from_bytes(struct.pack(f"<{len(words)}Q", *words), "little")


def _words(lanes: int, n: int) -> tuple[int, ...]:
    return struct.unpack(f"<{n}Q", lanes.to_bytes(8 * n, "little"))


@functools.cache
def _every(lane: int, n: int) -> int:
    return _lanes([lane] * n)


def _forth(x: int) -> int:
    """A round of all words, which become the next ones in their places."""
    first = x + (x >> 64 * GO_FAR) & _every(M63, GO_M)
    second = (x >> 64 * GO_M) + first & _every(M63, GO_M)
    third = (x >> 64 * 2 * GO_M) + second & _every(M63, GO_N - 2 * GO_M)
    return first | second << 64 * GO_M | third << 64 * 2 * GO_M


def _back(x: int) -> int:
    """The GO_FAR words before these GO_N ones."""
    return (x >> 64 * GO_M | _every(1 << 63, GO_FAR)) - (x & _every(M63, GO_FAR)) & _every(M63, GO_FAR)


def go_forth(words: Sequence[int], n: int) -> list[int]:
    """So many words after the last GO_N of these."""
    made = list(words[-GO_N:])
    for at in range(n):
        made.append(made[at] + made[at + GO_FAR] & M63)
    return made[GO_N:]


def go_back(words: Sequence[int], n: int) -> list[int]:
    """So many words before the first GO_N of these."""
    made: list[int] = []
    x = _lanes(words[:GO_N])
    while len(made) < n:
        before = _back(x)
        made[:0] = _words(before, GO_FAR)
        x = before | (x & _every(M63, GO_M)) << 64 * GO_FAR
    return made[len(made) - n :]


def go_skip(words: Sequence[int], n: int) -> list[int]:
    """The last GO_N words when so many more have been made."""
    x = _lanes(words)
    for _ in range(n // GO_N):
        x = _forth(x)
    last = _words(x, GO_N)
    return [*last, *go_forth(last, n % GO_N)][-GO_N:]


# --- values -----------------------------------------------------------------------------------------------------------


def go_values(words: Iterable[int], n_bytes: int) -> tuple[int, ...]:
    """What whole batches of words give."""
    masked = [y & go_mask(n_bytes) for y in words]
    drawn = b"".join([y.to_bytes(7, "little") if n_bytes == 7 else y.to_bytes(8, "big") for y in masked])
    return struct.unpack(f">{len(drawn) // 4}I", drawn)


def go_words(values: Sequence[int], n_bytes: int) -> list[int]:
    drawn = struct.pack(f">{len(values)}I", *values)
    parts = [drawn[at : at + n_bytes] for at in range(0, len(drawn), n_bytes)]
    return [int.from_bytes(part, "little") if n_bytes == 7 else int.from_bytes(part, "big") for part in parts]


# --- seeds ------------------------------------------------------------------------------------------------------------


def _place(i: int) -> int:
    """Where the register's place i lies in the sequence: word -607 + place."""
    return (333 - i) % GO_N


def _register(seed: int, shift: int, mixed: Sequence[int]) -> list[int]:
    words, x = [0] * GO_N, seed * pow(_LCG, 20, _LCG_MODULUS) % _LCG_MODULUS
    for i, other in enumerate(mixed):
        first = x * _LCG % _LCG_MODULUS
        second = first * _LCG % _LCG_MODULUS
        x = second * _LCG % _LCG_MODULUS
        words[_place(i)] = (first << 2 * shift ^ second << shift ^ x ^ other) & (1 << 64) - 1
    return words


def go_seeded(seed: int) -> list[int]:
    """The words before the first one that is drawn."""
    return [word & M63 for word in _register(seed, 20, go_cooked())]


@functools.cache
def go_cooked() -> tuple[int, ...]:
    """What Go mixes into every seed."""
    first = _register(1, 10, [0] * GO_N)
    for at in range(GO_N):
        first.append(first[at] + first[at + GO_FAR])
    power = _power_of_x(_COOKED_AFTER)
    last = [sum(map(int.__mul__, power, first[k : k + GO_N])) & (1 << 64) - 1 for k in range(GO_N)]
    return tuple([last[(333 - _COOKED_AFTER - i) % GO_N] for i in range(GO_N)])


def _power_of_x(exponent: int) -> list[int]:
    """x to this power modulo x^607 - x^334 - 1 and 2^64: the coefficients, that of x^0 first."""
    n_bytes = 18  # of a sum of GO_N products
    power = [1]
    for bit in f"{exponent:b}":
        packed = int.from_bytes(b"".join([c.to_bytes(n_bytes, "little") for c in power]), "little")
        square = (packed * packed).to_bytes(2 * len(power) * n_bytes, "little")
        power = [int.from_bytes(square[at : at + 8], "little") for at in range(0, len(square) - n_bytes, n_bytes)]
        power = [0, *power] if bit == "1" else power
        for at in range(len(power) - 1, GO_N - 1, -1):
            power[at - GO_N] += power[at]
            power[at - GO_M] += power[at]
        power = [c & (1 << 64) - 1 for c in power[:GO_N]]
    return power


_APART, _NEAR, _FAR, _X_BITS = 429, 2542, 111, 20
"""_NEAR * x(i + _APART) = _FAR * x(i) + t * (2^31 - 1) for a t between -_FAR and _NEAR; see csrc/go_rand.c."""
_PROVED = 3
_STRETCH = 4096


def go_find_seed(words: Sequence[int], n_bytes: int, most: int) -> tuple[int, int] | None:
    """The seed of a process, and how many words of it come before these, if not more than `most`."""
    w = list(words[:GO_N])
    for n in range(1, most + 1, _STRETCH):
        w = go_back(w, _STRETCH) + w
        for at in _beginnings(w):
            seed = _seed_of(w[at : at + GO_N], go_mask(n_bytes))
            if seed:
                return seed, n + _STRETCH - 1 - at
        del w[GO_N:]
    return None


def _small(near: int, far: int, i: int) -> bool:
    t = _FAR * (far ^ go_cooked()[i]) - _NEAR * (near ^ go_cooked()[i + _APART])
    return (t + _FAR) % (1 << _X_BITS) < _NEAR + _FAR


def _beginnings(w: Sequence[int]) -> list[int]:
    """Where a register may begin, of the first words, the last one first."""
    near, far = w[_place(_APART) :], w[_place(0) :]
    mix_near, mix_far, mask, bound = go_cooked()[_APART], go_cooked()[0], (1 << _X_BITS) - 1, _NEAR + _FAR
    found = [
        at
        for at, (n, f) in enumerate(zip(near[:_STRETCH], far[:_STRETCH], strict=True))
        if (_FAR * (f ^ mix_far) - _NEAR * (n ^ mix_near) + _FAR) & mask < bound
    ]
    return [
        at
        for at in reversed(found)
        if all(_small(w[at + _place(i + _APART)], w[at + _place(i)], i) for i in range(1, _PROVED))
    ]


def _seed_of(register: Sequence[int], mask: int) -> int:
    """The seed of a register; 0 if none makes it."""
    before = pow(_LCG, -1, _LCG_MODULUS)
    mixed = (register[_place(0)] ^ go_cooked()[0]) & mask
    for high in range(1 << 31 - _X_BITS):
        third = high << _X_BITS | mixed & (1 << _X_BITS) - 1
        second = third * before % _LCG_MODULUS
        first = second * before % _LCG_MODULUS
        if 0 < third < _LCG_MODULUS and (first << 40 ^ second << 20 ^ third) & mask == mixed:
            seed = third * pow(before, 23, _LCG_MODULUS) % _LCG_MODULUS
            if not any((x ^ y) & mask for x, y in zip(register, go_seeded(seed), strict=True)):
                return seed
    return 0
