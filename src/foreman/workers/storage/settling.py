"""What a transaction comes to: nobody can look into the middle of one, so only its end counts.

Pure. The order of mutations inside a transaction is resolved here, once: afterwards it is a set of disjoint ranges that it
clears, and then values for single keys. So everything behind this needs one number, the version, to order all there is, and a
transaction made of a million overlapping clears costs what their union costs.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from foreman.workers.storage.key_range import KeyRange
from foreman.workers.wire.transactions import WireClear, WireClearRange, WireMutation, WireSet

Point = tuple[bytes, bytes | None]
"""A key and its value; None clears it."""


@dataclass(frozen=True, slots=True)
class Settled:
    """First the ``ranges`` are cleared, then the ``points`` hold. Ranges are disjoint and ascending, [begin, end)."""

    ranges: Sequence[tuple[bytes, bytes]]
    points: Sequence[Point]


def settle(mutations: Sequence[WireMutation]) -> Settled:
    """The end of ``mutations`` applied in order. Points may name a key twice when no range is cleared: the later holds."""
    points: list[Point] = []
    for mutation in mutations:
        if isinstance(mutation, WireSet):
            points.append((mutation.key, mutation.value))
        elif isinstance(mutation, WireClear):
            points.append((mutation.key, None))
        else:
            return _settle_backwards(mutations)
    return Settled((), points)


def clipped(settled: Settled, keys: KeyRange) -> Settled:
    """What of it falls into ``keys``."""
    if keys.is_all:
        return settled
    ranges = [part for begin, end in settled.ranges if (part := keys.clip(begin, end)) is not None]
    return Settled(ranges, [point for point in settled.points if keys.contains(point[0])])


def _settle_backwards(mutations: Sequence[WireMutation]) -> Settled:
    """From the last mutation to the first: a key counts if nothing later touched it."""
    union = _Union()
    points: dict[bytes, bytes | None] = {}
    for mutation in reversed(mutations):
        if isinstance(mutation, WireClearRange):
            union.add(mutation.begin, mutation.end)
        elif mutation.key not in points and not union.covers(mutation.key):
            points[mutation.key] = mutation.value if isinstance(mutation, WireSet) else None
    return Settled(tuple(union), tuple(reversed(points.items())))


class _Union:
    """Disjoint ranges. Each addition swallows what it touches, so all additions together cost O(n log n) comparisons."""

    def __init__(self) -> None:
        self._begins: list[bytes] = []
        self._ends: list[bytes] = []

    def add(self, begin: bytes, end: bytes) -> None:
        if begin >= end:
            return
        first, last = bisect_left(self._ends, begin), bisect_right(self._begins, end)
        if first < last:
            begin, end = min(begin, self._begins[first]), max(end, self._ends[last - 1])
            del self._begins[first:last]
            del self._ends[first:last]
        insort(self._begins, begin)
        insort(self._ends, end)

    def covers(self, key: bytes) -> bool:
        number = bisect_right(self._begins, key) - 1
        return number >= 0 and key < self._ends[number]

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return zip(self._begins, self._ends, strict=True)
