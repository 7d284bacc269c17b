"""Draws of which it is known how far apart they are in the sequence, in groups. The twin of csrc/find_groups.h."""

from __future__ import annotations


class Groups:
    def __init__(self, n: int) -> None:
        self._up, self._off = list(range(n)), [0] * n

    def of(self, i: int) -> tuple[int, int]:
        """The root of the group of i, and how far from it i is."""
        way, off = [], 0
        while self._up[i] != i:
            way.append(i)
            i = self._up[i]
        for member in reversed(way):
            off += self._off[member]
            self._up[member], self._off[member] = i, off
        return i, off

    def join(self, i: int, j: int, apart: int) -> None:
        """j comes `apart` after i. What contradicts an earlier finding is passed over."""
        (a, of_i), (b, of_j) = self.of(i), self.of(j)
        if a != b:
            self._up[b], self._off[b] = a, of_i + apart - of_j

    def largest(self) -> tuple[int, int, int]:
        """The root of the group of most members, the first such one, and where its first and last ones lie."""
        groups = [self.of(i) for i in range(len(self._up))]
        size = [0] * len(groups)
        for root, _ in groups:
            size[root] += 1
        best = size.index(max(size))
        offs = [off for root, off in groups if root == best]
        return best, min(offs), max(offs)

    def members(self, root: int) -> list[tuple[int, int]]:
        """Each member of a group, and how far from the root it is."""
        groups = [self.of(i) for i in range(len(self._up))]
        return [(i, off) for i, (other, off) in enumerate(groups) if other == root]
