"""LMDB: the state at the durable version, and the one thread that may change it.

Owns the environment, the read transaction that GET uses, and every write. All is called from the worker's loop; writing itself
happens in a thread of its own, because a commit waits for the disk. One write at a time.

A write is one LMDB transaction with the record (stored.py) inside, so data and version can never disagree. It fails whole:
LMDB keeps what it had, and the write may be tried again as it is. The map grows when it is full. Opened after the fork only:
an LMDB environment must not be carried over one.
"""

import asyncio
import errno
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import lmdb

from foreman.core.data_errors import StorageFault
from foreman.workers.storage.long_keys import CHUNK, ROOT, KeyTree
from foreman.workers.storage.settling import Point, Settled
from foreman.workers.storage.snapshot import Pair
from foreman.workers.storage.stored import Stored, decode_stored

FILE_NAME: Final = "store.mdb"
FIRST_MAP_BYTES: Final = 64 << 20
"""The map to begin with: address space, not memory and not disk (the file is as long as what was written)."""

LARGEST_STEP_BYTES: Final = 16 << 30
FATAL: Final = frozenset({"PanicError", "CorruptedError", "PageNotFoundError"})
"""Names of faults after which the open store is of no use (LMDB's own; all others are errno's and may pass)."""

_RECORD: Final = b"stored"
_LEAST_FREE_BYTES: Final = 1 << 20


class Engine:
    """The open store. ``stored`` is what is durable; ``get`` and ``scan`` read the state at ``stored.durable_version``."""

    def __init__(self, directory: str) -> None:
        """Opens, or makes. Raises UnreadableStore, or StorageFault."""
        self.path = os.path.join(directory, FILE_NAME)
        self._thread = ThreadPoolExecutor(1, "lmdb-writer")
        self._one_write = asyncio.Lock()
        try:
            self._env = self._open(directory)
            self.data = self._env.open_db(b"data")
            self._meta = self._env.open_db(b"meta")
        except lmdb.Error as error:
            raise storage_fault(error, self.path) from error
        self._read: lmdb.Transaction | None = None
        self._tree: KeyTree
        self.get: Callable[[bytes], bytes | None]
        self.lookup: Callable[[bytes, None, Any], bytes | None]
        """LMDB's own get in ``data``, for its own keys (long_keys.py)."""
        self.stored = decode_stored(self._begin_reading().get(_RECORD, None, self._meta))

    def _open(self, directory: str) -> lmdb.Environment:
        size = os.stat(self.path).st_size if os.path.exists(self.path) else 0
        env = lmdb.open(self.path, _map_size_for(size), subdir=False, max_dbs=2, max_readers=16, max_spare_txns=2, mode=0o600)
        env.reader_check()  # a killed predecessor's reader would keep old pages for ever
        return env

    def scan(self, begin: bytes, end: bytes | None, *, reverse: bool) -> Iterator[Pair]:
        return self._tree.scan(begin, end, reverse=reverse)

    def first_keys(self, begin: bytes, end: bytes | None, at_most: int, at_most_bytes: int) -> tuple[list[bytes], bytes | None]:
        """The first keys of a range whose values are not more than ``at_most_bytes``, one at least; and the key after them.

        Raises StorageFault.
        """
        keys: list[bytes] = []
        size = 0
        try:
            for key, value in self.scan(begin, end, reverse=False):
                if keys and (len(keys) >= at_most or size + len(value) > at_most_bytes):
                    return keys, key
                keys.append(key)
                size += len(value)
        except lmdb.Error as error:
            raise storage_fault(error, self.path) from error
        return keys, None

    @property
    def keys(self) -> int:
        """How many keys there are at the durable version."""
        return self._entries() - self.stored.nodes

    def _entries(self) -> int:
        assert self._read is not None
        return int(self._read.stat(self.data)["entries"])

    @property
    def size_bytes(self) -> int:
        """What the file takes on disk."""
        return os.stat(self.path).st_blocks * 512

    @property
    def map_bytes(self) -> int:
        return int(self._env.info()["map_size"])

    async def write(
        self,
        transactions: Sequence[Settled],
        change: Callable[[Stored], Stored],
        then: Callable[[], None] = lambda: None,
        *,
        drop: bool = False,
    ) -> None:
        """Apply ``transactions`` and the changed record in one durable LMDB transaction; ``drop``: all data goes first.

        ``then`` runs in the loop, in the same step in which reads begin to see it. Not to be cancelled. Raises StorageFault:
        nothing of it happened.
        """
        async with self._one_write:
            target = change(self.stored)
            while (stored := await self._try_to_commit(transactions, target, drop=drop)) is None:
                self._grow()
            self._begin_reading()
            self.stored = stored
            then()

    async def _try_to_commit(self, transactions: Sequence[Settled], target: Stored, *, drop: bool) -> Stored | None:
        """What is durable now; None when the map is too small."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._commit, transactions, target, drop)
        except lmdb.MapFullError:
            return None
        except lmdb.Error as error:
            raise storage_fault(error, self.path) from error

    def close(self) -> None:
        self._thread.shutdown()
        self._stop_reading()
        self._env.close()

    def _begin_reading(self) -> Any:
        """From what is durable now."""
        self._stop_reading()
        self._read = self._env.begin()
        self._tree = KeyTree(self._read, self.data)
        self.get, self.lookup = self._tree.get, self._read.get
        return self._read

    def _stop_reading(self) -> None:
        if self._read is not None:
            self._read.abort()
            self._read = None

    def _commit(self, transactions: Sequence[Settled], target: Stored, drop: bool) -> Stored:  # noqa: FBT001 - an executor passes no names
        """In the writer's thread."""
        with self._env.begin(write=True) as txn:
            if drop:
                txn.drop(self.data, delete=False)
                target = replace(target, nodes=0)
            tree = KeyTree(txn, self.data, nodes=target.nodes, next_node=target.next_node)
            for transaction in _merged(transactions):
                for begin, end in transaction.ranges:
                    tree.clear(begin, end)
                self._put_all(txn, tree, transaction.points)
            target = replace(target, nodes=tree.nodes, next_node=tree.next_node)
            txn.put(_RECORD, target.encode(), db=self._meta)
        return target

    def _put_all(self, txn: lmdb.Transaction, tree: KeyTree, points: Iterable[Point]) -> None:
        """In the order of the keys: LMDB then touches each page once."""
        short: list[Pair] = []
        for key, value in sorted(points):
            if value is None:
                tree.delete(key)
            elif len(key) < CHUNK:
                short.append((ROOT + key, value))
            else:
                tree.put(key, value)
        txn.cursor(self.data).putmulti(short)

    def _grow(self) -> None:
        """Double the map, in steps of at most LARGEST_STEP_BYTES. Reads begin anew: the memory moves."""
        self._stop_reading()
        size = self.map_bytes
        try:
            self._env.set_mapsize(size + min(size, LARGEST_STEP_BYTES))
        except (lmdb.Error, OSError) as error:
            raise storage_fault(error, self.path) from error
        finally:
            self._begin_reading()


def _merged(transactions: Sequence[Settled]) -> Iterator[Settled]:
    """The same end in fewer steps: of a run without ranges only each key's last value is written."""
    points: dict[bytes, bytes | None] = {}
    for transaction in transactions:
        if transaction.ranges:
            yield Settled((), tuple(points.items()))
            yield Settled(transaction.ranges, ())
            points = {}
        points.update(transaction.points)
    yield Settled((), tuple(points.items()))


def _map_size_for(file_bytes: int) -> int:
    size = FIRST_MAP_BYTES
    while size < 2 * file_bytes:
        size += min(size, LARGEST_STEP_BYTES)
    return size


def storage_fault(error: lmdb.Error | OSError, path: str) -> StorageFault:
    """What failed, as errno.h names it. LMDB reports a write that was cut short for want of space as EIO, so space is looked at."""
    if type(error).__name__ in FATAL:
        return StorageFault(type(error).__name__, path)
    number = getattr(error, "code", None) or getattr(error, "errno", None) or errno.EIO
    if number == errno.EIO:
        space = os.statvfs(os.path.dirname(path) or ".")
        if space.f_bavail * space.f_frsize < _LEAST_FREE_BYTES:
            number = errno.ENOSPC
    return StorageFault(errno.errorcode.get(number, type(error).__name__), path)
