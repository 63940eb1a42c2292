"""Keys of any length in LMDB's order, though LMDB takes no key longer than 511 bytes.

Owns the mapping of our keys to LMDB's, and the number of nodes in it. A key is cut into chunks of CHUNK bytes. A short key is
one incomplete chunk and stands under the root. A long key's first chunk is an entry that holds, instead of a value, the number
of a *node*; the rest of the key goes on under that node, as in directories:

    0x00 + key                            → value           key shorter than CHUNK: nearly all keys, one lookup
    0x00 + chunk                          → node number     the first CHUNK bytes of longer keys
    0x01 + node number (8 bytes) + rest   → value           rest shorter than CHUNK
    0x01 + node number (8 bytes) + chunk  → node number

An entry of exactly CHUNK bytes is always a node's, so no mark is needed, and the depth-first order of this tree is the order of
the keys: a shorter key sorts before the chunk it is a beginning of, and everything under a chunk before what comes after it.
Nodes that become empty are removed at once. Ten thousand bytes are at most twenty levels.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import lmdb

from foreman.workers.storage.snapshot import Pair

CHUNK: Final = 502
ROOT: Final = b"\x00"
_NODE: Final = b"\x01"
_CLEARED_AT_ONCE: Final = 1_000


def _after(prefix: bytes) -> bytes:
    """The first byte string after all that begin with ``prefix`` (which is no run of 0xff)."""
    return (int.from_bytes(prefix) + 1).to_bytes(len(prefix))


class KeyTree:
    """Our keys in one LMDB database, within one transaction."""

    def __init__(self, txn: lmdb.Transaction, db: Any, *, nodes: int = 0, next_node: int = 1) -> None:
        self._txn: Any = txn  # its stubs also allow for memoryviews, which only `buffers=True` gives
        self._db = db
        self.nodes = nodes
        """How many nodes there are; entries less nodes are the keys."""
        self.next_node = next_node

    def get(self, key: bytes) -> bytes | None:
        prefix = ROOT
        while len(key) >= CHUNK:
            node = self._txn.get(prefix + key[:CHUNK], None, self._db)
            if node is None:
                return None
            prefix, key = _NODE + node, key[CHUNK:]
        value: bytes | None = self._txn.get(prefix + key, None, self._db)
        return value

    def put(self, key: bytes, value: bytes) -> None:
        prefix = ROOT
        while len(key) >= CHUNK:
            at, key = prefix + key[:CHUNK], key[CHUNK:]
            node = self._txn.get(at, None, self._db)
            if node is None:
                node = self.next_node.to_bytes(8)
                self.next_node += 1
                self.nodes += 1
                self._txn.put(at, node, db=self._db)
            prefix = _NODE + node
        self._txn.put(prefix + key, value, db=self._db)

    def delete(self, key: bytes) -> None:
        prefix, above = ROOT, []
        while len(key) >= CHUNK:
            at, key = prefix + key[:CHUNK], key[CHUNK:]
            node = self._txn.get(at, None, self._db)
            if node is None:
                return
            above.append(at)
            prefix = _NODE + node
        if not self._txn.delete(prefix + key, db=self._db):
            return
        while above and self._is_empty(prefix):
            at = above.pop()
            self._txn.delete(at, db=self._db)
            self.nodes -= 1
            prefix = at[:1] if at[:1] == ROOT else at[:9]

    def clear(self, begin: bytes, end: bytes) -> None:
        """Delete begin <= key < end."""
        while keys := [key for key, _ in islice(self.scan(begin, end, reverse=False), _CLEARED_AT_ONCE)]:
            for key in keys:
                self.delete(key)

    def scan(self, begin: bytes, end: bytes | None, *, reverse: bool) -> Iterator[Pair]:
        walk = self._backward if reverse else self._forward
        return walk(ROOT, b"", begin, end)

    def _forward(self, prefix: bytes, trail: bytes, begin: bytes, end: bytes | None) -> Iterator[Pair]:
        start, stop = _span(prefix, begin, end)
        skip, whole = len(prefix), len(prefix) + CHUNK
        cursor = self._txn.cursor(self._db)
        if not cursor.set_range(start):
            return
        for at, value in cursor:
            if at >= stop:
                return
            if len(at) < whole:
                yield trail + at[skip:], value
            else:
                yield from self._forward(*_below(at[skip:], value, trail, begin, end))

    def _backward(self, prefix: bytes, trail: bytes, begin: bytes, end: bytes | None) -> Iterator[Pair]:
        start, stop = _span(prefix, begin, end)
        skip, whole = len(prefix), len(prefix) + CHUNK
        cursor = self._txn.cursor(self._db)
        if not (cursor.prev() if cursor.set_range(stop) else cursor.last()):
            return
        for at, value in cursor.iterprev():
            if at < start:
                return
            if len(at) < whole:
                yield trail + at[skip:], value
            else:
                yield from self._backward(*_below(at[skip:], value, trail, begin, end))

    def _is_empty(self, prefix: bytes) -> bool:
        cursor = self._txn.cursor(self._db)
        return not (cursor.set_range(prefix) and cursor.key().startswith(prefix))


def _span(prefix: bytes, begin: bytes, end: bytes | None) -> tuple[bytes, bytes]:
    """LMDB's keys under ``prefix`` that may matter: start <= key < stop. The chunk that a longer ``end`` goes through is in."""
    if end is None:
        return prefix + begin[:CHUNK], _after(prefix)
    return prefix + begin[:CHUNK], prefix + end[:CHUNK] + (b"\0" if len(end) > CHUNK else b"")


def _below(chunk: bytes, node: bytes, trail: bytes, begin: bytes, end: bytes | None) -> tuple[bytes, bytes, bytes, bytes | None]:
    """The same range as seen from the node under ``chunk``."""
    rest_begin = begin[CHUNK:] if begin[:CHUNK] == chunk else b""
    rest_end = end[CHUNK:] if end is not None and end[:CHUNK] == chunk else None
    return _NODE + node, trail + chunk, rest_begin, rest_end
