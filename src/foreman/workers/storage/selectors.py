"""Key selectors: a key found by its place among the others, and ranges that begin and end at such keys.

A selector is the FoundationDB one (https://apple.github.io/foundationdb/developer-guide.html#key-selectors): take the first key
that is greater than (or not less than) a given one, or the last that is less, then step ``offset`` keys on, back if negative.
On the wire: its name, the key, an optional offset (docs/reference of the storage worker; commands.py).
"""

import enum
from dataclasses import dataclass
from itertools import islice
from typing import Final

from foreman.workers.storage.snapshot import Pair, Snapshot

MAX_OFFSET: Final = 100_000
"""Largest distance of an offset. Walking it is work for the loop that serves everybody."""


class Edge(enum.Enum):
    """Where a selector ends that runs off the keys."""

    BEFORE_FIRST = "before the first key"
    AFTER_LAST = "after the last key"


class SelectorName(enum.StrEnum):
    FIRST_GREATER_OR_EQUAL = "first_greater_or_equal"
    FIRST_GREATER_THAN = "first_greater_than"
    LAST_LESS_OR_EQUAL = "last_less_or_equal"
    LAST_LESS_THAN = "last_less_than"


_OR_EQUAL_AND_STEP: Final = {
    SelectorName.FIRST_GREATER_OR_EQUAL: (False, 1),
    SelectorName.FIRST_GREATER_THAN: (True, 1),
    SelectorName.LAST_LESS_OR_EQUAL: (True, 0),
    SelectorName.LAST_LESS_THAN: (False, 0),
}
"""As in FoundationDB: the last key before (or at) the given one, then so many steps on."""


@dataclass(frozen=True, slots=True)
class KeySelector:
    name: SelectorName
    key: bytes
    offset: int = 0


def first_greater_or_equal(key: bytes, offset: int = 0) -> KeySelector:
    """The first key that is ``key`` or after it, then ``offset`` keys on (negative: back)."""
    return KeySelector(SelectorName.FIRST_GREATER_OR_EQUAL, key, offset)


def first_greater_than(key: bytes, offset: int = 0) -> KeySelector:
    """The first key after ``key``, then ``offset`` keys on (negative: back)."""
    return KeySelector(SelectorName.FIRST_GREATER_THAN, key, offset)


def last_less_or_equal(key: bytes, offset: int = 0) -> KeySelector:
    """The last key that is ``key`` or before it, then ``offset`` keys on (negative: back)."""
    return KeySelector(SelectorName.LAST_LESS_OR_EQUAL, key, offset)


def last_less_than(key: bytes, offset: int = 0) -> KeySelector:
    """The last key before ``key``, then ``offset`` keys on (negative: back)."""
    return KeySelector(SelectorName.LAST_LESS_THAN, key, offset)


def resolve(selector: KeySelector, snapshot: Snapshot) -> bytes | Edge:
    """The key it means in this snapshot, or the edge it ran over. Raises WrongKeyRange when the key is not one of those held here."""
    keys = snapshot.keys
    or_equal, step = _OR_EQUAL_AND_STEP[selector.name]
    steps = step + selector.offset
    pivot = selector.key + b"\0" if or_equal else selector.key
    if pivot < keys.begin or (keys.end is not None and pivot > keys.end):
        raise keys.error()
    if steps >= 1:
        pair = next(islice(snapshot.scan(pivot, keys.end), steps - 1, None), None)
        edge, is_known = Edge.AFTER_LAST, keys.end is None
    else:
        pair = next(islice(snapshot.scan(keys.begin, pivot, reverse=True), -steps, None), None)
        edge, is_known = Edge.BEFORE_FIRST, not keys.begin
    if pair is not None:
        return pair[0]
    if not is_known:
        raise keys.error()  # it goes on in a range that others hold
    return edge


@dataclass(frozen=True, slots=True)
class Page:
    """``more``: the range goes on after (with reverse: before) the last pair here."""

    pairs: list[Pair]
    more: bool


def bounds(begin: bytes | KeySelector, end: bytes | KeySelector | None, snapshot: Snapshot) -> tuple[bytes, bytes | None] | None:
    """The plain begin and end of a range; None when it is empty because an end of it lies beyond the keys."""
    first = resolve(begin, snapshot) if isinstance(begin, KeySelector) else begin
    last = resolve(end, snapshot) if isinstance(end, KeySelector) else end
    if first is Edge.AFTER_LAST or last is Edge.BEFORE_FIRST:
        return None
    return b"" if isinstance(first, Edge) else first, None if isinstance(last, Edge) else last


def read_page(snapshot: Snapshot, begin: bytes, end: bytes | None, *, limit: int, max_bytes: int, reverse: bool = False) -> Page:
    """At most ``limit`` pairs and about ``max_bytes``, but one pair at least, so that reading on always gets on."""
    pairs: list[Pair] = []
    size = 0
    scan = snapshot.scan(begin, end, reverse=reverse)
    for pair in scan:
        if len(pairs) >= limit or (pairs and size + len(pair[0]) + len(pair[1]) > max_bytes):
            return Page(pairs, more=True)
        pairs.append(pair)
        size += len(pair[0]) + len(pair[1])
    return Page(pairs, more=False)
