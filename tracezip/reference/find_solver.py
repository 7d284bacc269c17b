"""What three ids in a row say of V8's state, whose bits they are sums of. The twin of csrc/v8.c."""

from __future__ import annotations

from tracezip.reference.generators import M64, REFILL

_Symbolic = list[int]
"""Of each bit of a word: which of the 128 bits of the state are added up to it."""


def _at(word: _Symbolic, bit: int) -> int:
    return word[bit] if 0 <= bit < 64 else 0


def _step(s0: _Symbolic, s1: _Symbolic) -> tuple[_Symbolic, _Symbolic]:
    a = [s0[i] ^ _at(s0, i - 23) for i in range(64)]
    a = [a[i] ^ _at(a, i + 17) for i in range(64)]
    return s1, [a[i] ^ s1[i] ^ _at(s1, i + 26) for i in range(64)]


def _value_made(made: int, n: int, left: int) -> int | None:
    """Which of the values of three ids was made `made`-th, counted from the last of the refill."""
    i = left - 1 - made if made < REFILL else left + 2 * REFILL - 1 - made
    return i if (made < REFILL) == (i < left) and 0 <= i < n else None


class Solver:
    """`left` values of the refill are not handed out before the first id. Ids are 192 bits, the first id lowest."""

    def __init__(self, width: int, left: int) -> None:
        equations = self._equations(width, min(left, 192 // width))
        used = 0
        for bit in range(128):
            at = next((i for i in range(used, 192) if equations[i][0] >> bit & 1), None)
            if at is None:
                continue
            pivot = equations[at]
            equations[at] = equations[used]
            equations[used] = pivot
            for i in range(192):
                if i != used and equations[i][0] >> bit & 1:
                    equations[i] = equations[i][0] ^ pivot[0], equations[i][1] ^ pivot[1]
            used += 1
        self.state = [0] * 128
        for of, ids in equations[:used]:
            self.state[(of & -of).bit_length() - 1] = ids
        self.even = [ids for _, ids in equations[used:]][:64]

    @staticmethod
    def _equations(width: int, left: int) -> list[tuple[int, int]]:
        """For each of the 192 bits, the most significant one first: bits of the state, and the bit of the ids."""
        n = 192 // width
        s0, s1 = [1 << i for i in range(64)], [1 << i for i in range(64, 128)]
        equations = [(0, 0)] * 192
        made = todo = 0
        while todo < n:
            value = _value_made(made, n, left)
            if value is not None:
                todo += 1
                for bit in range(width):
                    at = value * width + bit
                    equations[at] = s0[63 - bit], 1 << at // 64 * 64 + 63 - at % 64
            made += 1
            s0, s1 = _step(s0, s1)
        return equations

    def parities(self, ids: int, n: int) -> int:
        return sum(((ids & even).bit_count() & 1) << p for p, even in enumerate(self.even[:n]))

    def all_even(self, ids: tuple[int, int, int]) -> bool:
        bits = ids[0] | ids[1] << 64 | ids[2] << 128
        return not any((bits & even).bit_count() & 1 for even in self.even)

    def solve(self, ids: tuple[int, int, int]) -> tuple[int, int]:
        bits = ids[0] | ids[1] << 64 | ids[2] << 128
        state = sum(((bits & of).bit_count() & 1) << i for i, of in enumerate(self.state))
        return state & M64, state >> 64
