"""The arithmetic of generators of ids, forwards and backwards. FORMAT.md, "Generators".

The twin of csrc/splitmix.h, csrc/v8.h and csrc/mt.h.
"""

from __future__ import annotations

M32, M64 = (1 << 32) - 1, (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
REFILL = 64
MT_N, MT_M = 624, 397


def unmix(z: int) -> int:
    z = (z ^ z >> 33) * 0x9CB4B2F8129337DB & M64
    z = (z ^ z >> 33) * 0x4F74430C22A54005 & M64
    return z ^ z >> 33


def v8_step(state: tuple[int, int]) -> tuple[int, int]:
    a, b = state
    a ^= a << 23 & M64
    a ^= a >> 17
    return b, a ^ b ^ b >> 26


def v8_back(state: tuple[int, int]) -> tuple[int, int]:
    b, a = state
    a ^= b ^ b >> 26
    a ^= a >> 17 ^ a >> 34 ^ a >> 51
    return a ^ a << 23 & M64 ^ a << 46 & M64, b


def temper(y: int) -> int:
    y ^= y >> 11
    y ^= y << 7 & 0x9D2C5680
    y ^= y << 15 & 0xEFC60000
    return y ^ y >> 18


def untemper(y: int) -> int:
    y ^= y >> 18
    y ^= y << 15 & 0xEFC60000
    t = y
    for _ in range(4):
        t = y ^ t << 7 & 0x9D2C5680
    return t ^ t >> 11 ^ t >> 22


def mt_id(first: int, second: int, of_bytes: bool) -> int:
    """The id of two words as they are drawn, or as their bytes are: so Ruby's SDK draws ids."""
    return int.from_bytes((first | second << 32).to_bytes(8, "little"), "big" if of_bytes else "little")


def twist(a: int, b: int) -> int:
    """What x[n] (its top bit) and x[n + 1] (the others) add to x[n + 397] for x[n + 624]."""
    y = a & 0x80000000 | b & 0x7FFFFFFF
    return y >> 1 ^ (0x9908B0DF if y & 1 else 0)


def untwist(f: int) -> int:
    return (f ^ 0x9908B0DF) << 1 & M32 | 1 if f & 0x80000000 else f << 1
