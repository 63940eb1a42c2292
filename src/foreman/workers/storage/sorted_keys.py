"""The window's keys in order, for ranges: cheap to add to, sorted only when somebody reads a range.

Owns nothing but an order: which keys are alive is decided by the mapping it looks at. A key is added when it comes to life and
may be discarded when it dies; dead keys that are still here are skipped when read and thrown out when things are put in order.
A worker that catches up with nobody reading ranges never sorts at all.
"""

from bisect import bisect_left, insort
from collections.abc import Container, Iterable, Iterator
from typing import Final

_CHUNK: Final = 512
"""Keys in one chunk after a rebuild; a chunk is split at twice that. Small enough that an insertion moves little memory."""


class SortedKeys:
    """A sorted set of byte strings over ``alive``. Never mutate it while one of its iterators is in use."""

    def __init__(self, alive: Container[bytes]) -> None:
        self._alive = alive
        self._chunks: list[list[bytes]] = []
        self._lasts: list[bytes] = []
        self._fresh: list[bytes] = []
        self._size = 0

    def add(self, key: bytes) -> None:
        """``key`` came to life. Twice is harmless."""
        self._fresh.append(key)

    def discard(self, keys: Iterable[bytes]) -> None:
        """``keys`` died. Those not put in order yet are thrown out once they are the greater part."""
        unseen = sum(not self._remove(key) for key in keys)
        if unseen * 2 > len(self._fresh):
            alive = self._alive
            self._fresh = [key for key in self._fresh if key in alive]

    def clear(self) -> None:
        self._chunks, self._lasts, self._fresh, self._size = [], [], [], 0

    def between(self, begin: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[bytes]:
        """Living keys with begin <= key < end (None: no end), ascending, or descending with ``reverse``."""
        self._settle()
        return self._descending(begin, end) if reverse else self._ascending(begin, end)

    def _ascending(self, begin: bytes, end: bytes | None) -> Iterator[bytes]:
        alive = self._alive
        first = bisect_left(self._lasts, begin)
        for number in range(first, len(self._chunks)):
            chunk = self._chunks[number]
            start = bisect_left(chunk, begin) if number == first else 0
            for position in range(start, len(chunk)):
                key = chunk[position]
                if end is not None and key >= end:
                    return
                if key in alive:
                    yield key

    def _descending(self, begin: bytes, end: bytes | None) -> Iterator[bytes]:
        alive = self._alive
        last = len(self._chunks) - 1 if end is None else min(bisect_left(self._lasts, end), len(self._chunks) - 1)
        for number in range(last, -1, -1):
            chunk = self._chunks[number]
            stop = bisect_left(chunk, end) if end is not None and number == last else len(chunk)
            for position in range(stop - 1, -1, -1):
                key = chunk[position]
                if key < begin:
                    return
                if key in alive:
                    yield key

    def _settle(self) -> None:
        """Put what is fresh in order: all anew when that is much, one by one when it is little beside what stands."""
        if not self._fresh:
            return
        alive = self._alive
        fresh = {key for key in self._fresh if key in alive}
        self._fresh = []
        if len(fresh) * 8 > self._size:
            self._rebuild(fresh)
            return
        for key in fresh:
            self._insert(key)

    def _rebuild(self, fresh: set[bytes]) -> None:
        alive = self._alive
        fresh.update(key for chunk in self._chunks for key in chunk if key in alive)
        keys = sorted(fresh)
        self._chunks = [keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK)]
        self._lasts = [chunk[-1] for chunk in self._chunks]
        self._size = len(keys)

    def _insert(self, key: bytes) -> None:
        number = min(bisect_left(self._lasts, key), len(self._chunks) - 1)
        chunk = self._chunks[number]
        position = bisect_left(chunk, key)
        if position < len(chunk) and chunk[position] == key:
            return
        insort(chunk, key)
        self._size += 1
        self._lasts[number] = chunk[-1]
        if len(chunk) > 2 * _CHUNK:
            self._chunks[number : number + 1] = [chunk[:_CHUNK], chunk[_CHUNK:]]
            self._lasts[number : number + 1] = [chunk[_CHUNK - 1], chunk[-1]]

    def _remove(self, key: bytes) -> bool:
        number = bisect_left(self._lasts, key)
        if number == len(self._chunks):
            return False
        chunk = self._chunks[number]
        position = bisect_left(chunk, key)
        if chunk[position] != key:
            return False
        del chunk[position]
        self._size -= 1
        if chunk:
            self._lasts[number] = chunk[-1]
        else:
            del self._chunks[number]
            del self._lasts[number]
        return True
