"""What happens inside one SQLite write transaction: comparisons, puts, deletions, the end of leases, and the revisions they make."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import assert_never

from foreman.directory.errors import LeaseExpired
from foreman.directory.port import Absent, Comparison, Delete, KeyRange, LeaseId, Operation, Present, Put, Unchanged

Row = tuple[bytes, int | None, int]
"""Key, lease, create_revision of a live key."""


class LastingKeyTouched(Exception):
    """A key without lease would be deleted in a transaction that is not made durable. It is done again, durably."""


def holds(connection: sqlite3.Connection, comparison: Comparison) -> bool:
    """Whether it holds, in the transaction that is open."""
    row = connection.execute("SELECT mod_revision FROM live WHERE key = ?", (comparison.key,)).fetchone()
    match comparison:
        case Unchanged(mod_revision=revision):
            return row is not None and row[0] == revision
        case Absent():
            return row is None
        case Present():
            return row is not None
    assert_never(comparison)


class Writing:
    """The transaction that is open on ``connection``."""

    def __init__(self, connection: sqlite3.Connection, boot: str) -> None:
        self._connection, self._boot = connection, boot
        self.revision: int = connection.execute("SELECT revision FROM facts").fetchone()[0]

    def apply(self, operations: Sequence[Operation], *, lasting: bool) -> None:
        """All in one revision, which there is only when something changed. Raises LeaseExpired, LastingKeyTouched."""
        self._check_leases({op.lease for op in operations if isinstance(op, Put) and op.lease is not None})
        revision, position = self.revision + 1, 0
        for operation in operations:
            match operation:
                case Put(key=key, value=value, lease=lease):
                    self._check_durable(self._find(KeyRange.of_key(key)), lasting=lasting)
                    self._put(key, value, lease, revision, position)
                    position += 1
                case Delete(keys=keys):
                    found = self._find(keys)
                    self._check_durable(found, lasting=lasting)
                    position += self._delete(found, revision, position)
                case _ as never:
                    assert_never(never)
        if position:
            self._turn_to(revision)

    def end_leases_due(self, now: float) -> None:
        """One revision for each lease with keys."""
        due = self._connection.execute(
            "SELECT id FROM leases WHERE boot <> ? OR expires_at <= ? ORDER BY expires_at, id", (self._boot, now)
        ).fetchall()
        for (lease,) in due:
            self.end_lease(lease)

    def end_lease(self, lease: int) -> None:
        found = self._connection.execute("SELECT key, lease, create_revision FROM live WHERE lease = ? ORDER BY key", (lease,)).fetchall()
        if self._delete(found, self.revision + 1, 0):
            self._turn_to(self.revision + 1)
        self._connection.execute("DELETE FROM leases WHERE id = ?", (lease,))

    def _check_leases(self, leases: Iterable[LeaseId]) -> None:
        for lease in leases:
            if not self._connection.execute("SELECT 1 FROM leases WHERE id = ?", (lease,)).fetchone():
                raise LeaseExpired(lease)

    def _check_durable(self, found: Sequence[Row], *, lasting: bool) -> None:
        if not lasting and any(lease is None for _key, lease, _created in found):
            raise LastingKeyTouched

    def _find(self, keys: KeyRange) -> list[Row]:
        if keys.end is None:
            query, bounds = "SELECT key, lease, create_revision FROM live WHERE key >= ? ORDER BY key", (keys.begin,)
            return self._connection.execute(query, bounds).fetchall()
        query = "SELECT key, lease, create_revision FROM live WHERE key >= ? AND key < ? ORDER BY key"
        return self._connection.execute(query, (keys.begin, keys.end)).fetchall()

    def _put(self, key: bytes, value: bytes, lease: LeaseId | None, revision: int, position: int) -> None:
        (created,) = self._connection.execute(
            "INSERT INTO live(key, value, lease, create_revision, mod_revision) VALUES (?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
            "SET value = excluded.value, lease = excluded.lease, mod_revision = excluded.mod_revision RETURNING create_revision",
            (key, value, lease, revision, revision),
        ).fetchone()
        self._connection.execute("INSERT INTO history VALUES (?, ?, ?, ?, ?, ?)", (key, revision, position, value, lease, created))

    def _delete(self, found: Sequence[Row], revision: int, position: int) -> int:
        self._connection.executemany("DELETE FROM live WHERE key = ?", ((key,) for key, _lease, _created in found))
        self._connection.executemany(
            "INSERT INTO history VALUES (?, ?, ?, NULL, NULL, ?)",
            ((key, revision, position + step, created) for step, (key, _lease, created) in enumerate(found)),
        )
        return len(found)

    def _turn_to(self, revision: int) -> None:
        self._connection.execute("UPDATE facts SET revision = ?", (revision,))
        self.revision = revision
