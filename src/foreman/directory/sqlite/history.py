"""Reading the directory as it was, telling what changed since, and forgetting what is old. Inside an open SQLite transaction."""

import sqlite3
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from foreman.directory.errors import Compacted, FutureRevision
from foreman.directory.port import Changes, Deleted, KeyRange, KeyValue, Snapshot

STRETCH_REVISIONS: Final = 200
"""A watch reads so many revisions at once, so that one far behind holds neither the thread nor much memory."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The changes in the revisions up to ``reached``; the directory ``directory`` is at ``head``."""

    directory: str
    changes: tuple[Changes, ...]
    reached: int
    head: int


def read(connection: sqlite3.Connection, keys: KeyRange, revision: int | None, limit: int | None) -> Snapshot:
    """See the port. The state at the head comes from ``live``, an older one from the history."""
    _directory, head, compacted = _facts(connection)
    if revision is not None:
        _check_kept(revision, head, compacted)
    within, bounds = _within(keys)
    most = -1 if limit is None else limit + 1
    if revision is None or revision == head:
        query = f"SELECT key, value, create_revision, mod_revision, lease FROM live WHERE {within} ORDER BY key LIMIT ?"  # noqa: S608 - no values
        rows = connection.execute(query, (*bounds, most)).fetchall()
    else:
        query = (
            "SELECT key, value, create_revision, revision, lease FROM history AS then_ "  # noqa: S608 - no values in it
            f"WHERE {within} AND value IS NOT NULL AND revision = "
            "(SELECT max(revision) FROM history WHERE key = then_.key AND revision <= ?) ORDER BY key LIMIT ?"
        )
        rows = connection.execute(query, (*bounds, revision, most)).fetchall()
    more = limit is not None and len(rows) > limit
    return Snapshot(head if revision is None else revision, tuple(KeyValue(*row) for row in (rows[:limit] if more else rows)), more)


def changes(connection: sqlite3.Connection, keys: KeyRange, after: int) -> Stretch:
    """What changed after ``after``, as far as one stretch reaches. Raises Compacted, FutureRevision."""
    directory, head, compacted = _facts(connection)
    _check_kept(after, head, compacted)
    reached = min(head, after + STRETCH_REVISIONS)
    within, bounds = _within(keys)
    rows = connection.execute(
        "SELECT revision, key, value, create_revision, lease FROM history INDEXED BY history_order "  # noqa: S608 - no values in it
        f"WHERE revision > ? AND revision <= ? AND {within} ORDER BY revision, position",
        (after, reached, *bounds),
    )
    told = [Changes(revision, tuple(_event(*row) for row in group)) for revision, group in groupby(rows, key=lambda row: int(row[0]))]
    return Stretch(directory, tuple(told), reached, head)


def compact(connection: sqlite3.Connection, revision: int) -> None:
    """Keep, of what was before or at ``revision``, only what still stood then."""
    if revision <= _facts(connection)[2]:
        return
    connection.execute(
        "DELETE FROM history WHERE revision <= ?1 AND (value IS NULL OR revision < "
        "(SELECT max(later.revision) FROM history AS later WHERE later.key = history.key AND later.revision <= ?1))",
        (revision,),
    )
    connection.execute("UPDATE facts SET compacted = ?", (revision,))


def _facts(connection: sqlite3.Connection) -> tuple[str, int, int]:
    row: tuple[str, int, int] = connection.execute("SELECT directory, revision, compacted FROM facts").fetchone()
    return row


def _check_kept(revision: int, head: int, compacted: int) -> None:
    if revision > head:
        raise FutureRevision(revision, head)
    if revision < compacted:
        raise Compacted(revision, compacted)


def _within(keys: KeyRange) -> tuple[str, tuple[bytes, ...]]:
    if keys.end is None:
        return "key >= ?", (keys.begin,)
    return "key >= ? AND key < ?", (keys.begin, keys.end)


def _event(revision: int, key: bytes, value: bytes | None, created: int, lease: int | None) -> KeyValue | Deleted:
    if value is None:
        return Deleted(key, revision)
    return KeyValue(key, value, created, revision, lease)  # type: ignore[arg-type]
