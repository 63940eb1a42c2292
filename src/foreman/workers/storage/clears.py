"""Which ranges of keys were cleared in the window, and when: the overlay that hides what LMDB still holds.

Owns a partition of all keys into segments, each with the versions of the clears that covered it, oldest first. What a clear
costs in work it leaves behind in memory, so the window's bound on memory bounds the work too.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final

NEVER: Final = -1
"""Before every version."""


class Clears:
    def __init__(self) -> None:
        self._bounds: list[bytes] = [b""]
        self._versions: list[list[int]] = [[]]
        self.empty = True
        """Nothing is cleared anywhere: readers need not ask."""

    def add(self, begin: bytes, end: bytes, version: int) -> int:
        """Clear begin <= key < end at ``version``, not lower than any before. Returns how many numbers it left behind."""
        if begin >= end:
            return 0
        self.empty = False
        first, left = self._cut(begin)
        last, left_too = self._cut(end)
        for versions in self._versions[first:last]:
            versions.append(version)
        return last - first + left + left_too

    def covering(self, key: bytes, version: int) -> int:
        """The last clear at or before ``version`` that covers ``key``; NEVER when there is none."""
        versions = self._versions[bisect_right(self._bounds, key) - 1]
        number = bisect_right(versions, version)
        return versions[number - 1] if number else NEVER

    def gaps(self, begin: bytes, end: bytes | None, version: int) -> Iterator[tuple[bytes, bytes | None]]:
        """The parts of begin <= key < end that no clear at or before ``version`` covers, ascending, as large as possible."""
        start: bytes | None = None
        for number in range(bisect_right(self._bounds, begin) - 1, len(self._bounds)):
            bound = self._bounds[number]
            if end is not None and bound >= end:
                break
            versions = self._versions[number]
            if versions and versions[0] <= version:
                if start is not None:
                    yield start, bound
                start = None
            elif start is None:
                start = max(begin, bound)
        if start is not None and (end is None or start < end):
            yield start, end

    def forget_through(self, version: int) -> None:
        """Clears up to ``version`` are done elsewhere now."""
        if not self.empty:
            for versions in self._versions:
                del versions[: bisect_right(versions, version)]
            self._join()

    def forget_after(self, version: int) -> None:
        """Clears after ``version`` never happened."""
        if not self.empty:
            for versions in self._versions:
                del versions[bisect_right(versions, version) :]
            self._join()

    def _cut(self, key: bytes) -> tuple[int, int]:
        """The number of the segment that begins exactly at ``key``, made if need be; and how many numbers that left behind."""
        number = bisect_left(self._bounds, key)
        if number < len(self._bounds) and self._bounds[number] == key:
            return number, 0
        copied = self._versions[number - 1].copy()
        self._bounds.insert(number, key)
        self._versions.insert(number, copied)
        return number, len(copied)

    def _join(self) -> None:
        """Neighbours with the same versions are one segment."""
        bounds, kept = [b""], [self._versions[0]]
        for bound, versions in zip(self._bounds[1:], self._versions[1:], strict=True):
            if versions != kept[-1]:
                bounds.append(bound)
                kept.append(versions)
        self._bounds, self._versions = bounds, kept
        self.empty = len(bounds) == 1 and not kept[0]
