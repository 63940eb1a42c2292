"""One connection to the directory file: every reading and writing of it, synchronous, in one thread.

Owns the meaning of the tables and the clock of leases: CLOCK_BOOTTIME, which no one can set and which counts while the machine sleeps,
together with the boot it belongs to; a lease of another boot has run out, because its holder ended with that boot.

Durability. What stands under a lease need not survive a loss of power: after it every lease is void. So a transaction that
touches leased keys alone commits with ``synchronous = NORMAL`` (no fsync; safe against the death of any process), and one that puts or
deletes a lasting key (wish, epoch, layout) with FULL, which also makes all before it durable.
"""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foreman.directory.errors import FutureRevision, LeaseExpired
from foreman.directory.port import Committed, Comparison, KeyRange, Lease, LeaseId, Operation, Put, Snapshot, check_transaction
from foreman.directory.sqlite import history, schema
from foreman.directory.sqlite.bell import ringing
from foreman.directory.sqlite.writing import LastingKeyTouched, Writing, holds

COMPACT_EVERY: Final = 500
"""Revisions between two looks at whether there is too much history."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Where the directory is: its own name, its revision, and when (CLOCK_BOOTTIME) the next lease runs out."""

    directory: str
    revision: int
    next_expiry: float | None


class Store:
    def __init__(self, path: str, clock: Callable[[], float], boot: str, *, busy_timeout_s: float, keep_revisions: int) -> None:
        """Raises OSError, sqlite3.Error."""
        self.path = path
        self._clock, self._boot, self._keep_revisions = clock, boot, keep_revisions
        self._connection = schema.connect(path, busy_timeout_s)
        self._file = _identity(path)
        self._synchronous = ""

    def is_replaced(self) -> bool:
        """The name stands for another file, or none: what is written here, nobody else would see."""
        return _identity(self.path) != self._file

    def close(self) -> None:
        self._connection.close()

    # --- reading ---

    def pulse(self) -> Pulse:
        row = self._connection.execute(
            "SELECT directory, revision, (SELECT min(CASE boot WHEN ? THEN expires_at ELSE 0.0 END) FROM leases) FROM facts", (self._boot,)
        ).fetchone()
        return Pulse(*row)

    def read(self, keys: KeyRange, revision: int | None, limit: int | None) -> Snapshot:
        with self._reading():
            return history.read(self._connection, keys, revision, limit)

    def changes(self, keys: KeyRange, after: int) -> history.Stretch:
        with self._reading():
            return history.changes(self._connection, keys, after)

    # --- writing ---

    def transact(self, comparisons: Sequence[Comparison], operations: Sequence[Operation]) -> Committed:
        check_transaction(comparisons, operations)
        lasting = any(isinstance(operation, Put) and operation.lease is None for operation in operations)
        try:
            return self._transact(comparisons, operations, lasting=lasting)
        except LastingKeyTouched:
            return self._transact(comparisons, operations, lasting=True)

    def grant_lease(self, ttl_s: float) -> Lease:
        id = LeaseId(secrets.randbits(62) + 1)
        with self._writing(lasting=False, rings=True):
            self._connection.execute("INSERT INTO leases VALUES (?, ?, ?, ?)", (id, ttl_s, self._boot, self._clock() + ttl_s))
        return Lease(id, ttl_s)

    def keep_alive(self, lease: LeaseId) -> float:
        """Rings nobody: the lease runs longer, and whoever waits for its end finds that when he looks."""
        with self._writing(lasting=False):
            row = self._connection.execute(
                "UPDATE leases SET expires_at = ? + ttl_s WHERE id = ? RETURNING ttl_s", (self._clock(), lease)
            ).fetchone()
        if row is None:
            raise LeaseExpired(lease)
        return float(row[0])

    def revoke_lease(self, lease: LeaseId) -> None:
        with self._writing(lasting=False) as writing:
            writing.end_lease(lease)

    def expire(self) -> None:
        """End the leases whose time is over. Every writing does it first; this is for when nobody writes."""
        with self._writing(lasting=False):
            pass

    def compact(self, revision: int) -> None:
        with self._writing(lasting=False) as writing:
            if revision > writing.revision:
                raise FutureRevision(revision, writing.revision)
            history.compact(self._connection, revision)

    def _transact(self, comparisons: Sequence[Comparison], operations: Sequence[Operation], *, lasting: bool) -> Committed:
        with self._writing(lasting=lasting) as writing:
            before = writing.revision
            if not all(holds(self._connection, comparison) for comparison in comparisons):
                return Committed(succeeded=False, revision=before)
            writing.apply(operations, lasting=lasting)
            if writing.revision // COMPACT_EVERY > before // COMPACT_EVERY and writing.revision > self._keep_revisions:
                history.compact(self._connection, writing.revision - self._keep_revisions)
            return Committed(succeeded=True, revision=writing.revision)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """One state of the file for all that is read within."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    @contextmanager
    def _writing(self, *, lasting: bool, rings: bool = False) -> Iterator[Writing]:
        """Commit what is done within, or nothing when it raises. Leases that have run out end first.

        Others are rung when there is a new revision, or (``rings``) a new lease whose end they may have to bring about.
        """
        self._be_durable("FULL" if lasting else "NORMAL")
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            writing = Writing(connection, self._boot)
            before = writing.revision
            writing.end_leases_due(self._clock())
            yield writing
            if rings or writing.revision > before:
                with ringing(self.path + "-bell"):
                    connection.execute("COMMIT")
            else:
                connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    def _be_durable(self, synchronous: str) -> None:
        if synchronous != self._synchronous:
            self._connection.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
