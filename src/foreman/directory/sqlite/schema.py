"""The file: its tables, how it is opened, how one that is damaged or somebody else's is told.

``live`` is what stands now; ``history`` every change since ``compacted``, and for each key its last change before that, so that any
kept revision can be read. Both are written in one SQLite transaction.
"""

import contextlib
import os
import secrets
import sqlite3
import time
from typing import Final

APPLICATION_ID: Final = 0x466F7265
"""In the file's header: "Fore"."""
FORMAT: Final = 1
_BUSY_AGAIN_S: Final = 0.005

_TABLES: Final = """
CREATE TABLE facts(
    one INTEGER PRIMARY KEY CHECK (one = 1), directory TEXT NOT NULL, revision INTEGER NOT NULL, compacted INTEGER NOT NULL
) STRICT;
CREATE TABLE live(
    key BLOB PRIMARY KEY, value BLOB NOT NULL, lease INTEGER, create_revision INTEGER NOT NULL, mod_revision INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX live_lease ON live(lease) WHERE lease IS NOT NULL;
CREATE TABLE history(
    key BLOB NOT NULL, revision INTEGER NOT NULL, position INTEGER NOT NULL, value BLOB, lease INTEGER, create_revision INTEGER NOT NULL,
    PRIMARY KEY (key, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX history_order ON history(revision, position);
CREATE TABLE leases(
    id INTEGER PRIMARY KEY, ttl_s REAL NOT NULL, boot TEXT NOT NULL, expires_at REAL NOT NULL
) STRICT;
"""


class NotOurs(sqlite3.DatabaseError):
    """The file is a database, but no directory this version can read."""


def connect(path: str, busy_timeout_s: float) -> sqlite3.Connection:
    """A connection to the directory at ``path``, which is made when there is none. Raises OSError, sqlite3.Error, NotOurs."""
    _make_private(path)
    connection = sqlite3.connect(path, timeout=busy_timeout_s, isolation_level=None)
    deadline = time.monotonic() + busy_timeout_s
    try:
        while not _prepared(connection, deadline):
            time.sleep(_BUSY_AGAIN_S)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _prepared(connection: sqlite3.Connection, deadline: float) -> bool:
    """False: others make the file at this moment; to be tried again, because SQLite does not wait where two could wait for one another."""
    try:
        _prepare(connection)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= deadline:
            raise
        return False
    return True


def _make_private(path: str) -> None:
    """Only the owner reads what is in it. SQLite gives its -wal and -shm the same mode.

    Never opens a file that is there: closing a second descriptor would drop the POSIX locks another connection of this process holds.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))


def _prepare(connection: sqlite3.Connection) -> None:
    application = _pragma(connection, "application_id")
    if application == 0:
        if not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
            connection.execute("PRAGMA journal_mode = WAL")
            _make_tables(connection)
        application = _pragma(connection, "application_id")  # also another process may have made them since
    if application != APPLICATION_ID:
        raise NotOurs("it is a database of another program")
    if _pragma(connection, "user_version") != FORMAT:
        raise NotOurs(f"it has format {_pragma(connection, 'user_version')}, this version of foreman reads format {FORMAT}")
    damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if damage != "ok":
        raise NotOurs(f"it is damaged: {damage}")


def _make_tables(connection: sqlite3.Connection) -> None:
    """Several processes may find the empty file at once; one makes the tables, the others find them."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        if not connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute("INSERT INTO facts VALUES (1, ?, 1, 0)", (secrets.token_hex(16),))
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
    except BaseException:  # whatever it was, half-made tables must not stay open in a transaction
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
