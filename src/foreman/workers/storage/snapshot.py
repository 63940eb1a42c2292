"""The whole state at one version: the window laid over what LMDB holds.

Owns nothing; a snapshot is used at once and thrown away. The base is whatever can look up and scan (LMDB, or a dict in tests).
"""

from collections.abc import Iterator
from itertools import chain
from typing import Protocol

from foreman.core.mutations import Version
from foreman.workers.storage.key_range import ALL_KEYS, KeyRange
from foreman.workers.storage.window import Unknown, Window

Pair = tuple[bytes, bytes]


class Base(Protocol):
    """The state at the window's durable version."""

    def get(self, key: bytes) -> bytes | None: ...

    def scan(self, begin: bytes, end: bytes | None, *, reverse: bool) -> Iterator[Pair]:
        """Pairs with begin <= key < end (None: no end), ascending, or descending with ``reverse``."""


class Snapshot:
    """``version`` lies in the window: durable <= version <= latest. ``keys``: what is held; asking beyond raises WrongKeyRange."""

    def __init__(self, window: Window, base: Base, version: Version, keys: KeyRange = ALL_KEYS) -> None:
        self._window, self._base, self._version, self.keys = window, base, version, keys

    def get(self, key: bytes) -> bytes | None:
        if not self.keys.contains(key):
            raise self.keys.error()
        found = self._window.find(key, self._version)
        return self._base.get(key) if isinstance(found, Unknown) else found

    def scan(self, begin: bytes, end: bytes | None, *, reverse: bool = False) -> Iterator[Pair]:
        """Pairs of the range in order. Not to be held across a change of the window or the base."""
        if end is not None and begin >= end:
            return iter(())
        if not self.keys.covers(begin, end):
            raise self.keys.error()
        gaps = list(self._window.gaps(begin, end, self._version))
        below = chain.from_iterable(self._base.scan(b, e, reverse=reverse) for b, e in (reversed(gaps) if reverse else gaps))
        above = self._window.changed(begin, end, self._version, reverse=reverse)
        return _laid_over(above, below, reverse=reverse)


def _laid_over(above: Iterator[tuple[bytes, bytes | None]], below: Iterator[Pair], *, reverse: bool) -> Iterator[Pair]:
    """Merge two ordered streams; of a key in both, ``above`` decides, and None there hides it."""
    lower = next(below, None)
    for key, value in above:
        while lower is not None and lower[0] != key and (lower[0] > key if reverse else lower[0] < key):
            yield lower
            lower = next(below, None)
        if lower is not None and lower[0] == key:
            lower = next(below, None)
        if value is not None:
            yield key, value
    if lower is not None:
        yield lower
        yield from below
