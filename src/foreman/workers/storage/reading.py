"""GET, MGET, RANGE and GETKEY: from a command to its answer, now or when its version comes.

Owns the shape of these answers and how long a version that is too new is waited for. Runs on the loop; a page bounds each answer.
"""

from collections.abc import Callable, Sequence

from foreman.core.data_errors import DataPlaneError, TooLarge, VersionTooNew
from foreman.workers.storage.commands import MAX_BYTES, Get, GetKey, GetMany, GetRange, Read
from foreman.workers.storage.selectors import Edge, Page, bounds, read_page, resolve
from foreman.workers.storage.snapshot import Snapshot
from foreman.workers.storage.store import Store
from foreman.workers.storage.waiting import WaitingReads
from foreman.workers.wire import Pending, RespConnection, replies


class Reader:
    def __init__(self, store: Store, waiting: WaitingReads, version_wait_s: float) -> None:
        self._store, self._waiting, self._version_wait_s = store, waiting, version_wait_s

    def answer(self, connection: RespConnection, command: Read) -> bytes | Pending:
        """The reply, or its place when the version is yet to come. Raises VersionTooOld, VersionTooNew, TooManyParked, TooLarge."""
        try:
            snapshot = self._store.snapshot(command.at.version)
        except VersionTooNew:
            wait_s = self._version_wait_s if command.at.wait_s is None else command.at.wait_s
            if not wait_s:
                raise
            return self._later(connection, command, wait_s)
        return read(snapshot, command)

    def _later(self, connection: RespConnection, command: Read, wait_s: float) -> Pending:
        pending = connection.later()
        assert command.at.version is not None
        self._waiting.add(command.at.version, pending, self._again(command), wait_s, lambda: self._store.latest)
        return pending

    def _again(self, command: Read) -> Callable[[], bytes]:
        def now() -> bytes:
            try:
                return read(self._store.snapshot(command.at.version), command)
            except DataPlaneError as error:
                return replies.error(error)

        return now


def read(snapshot: Snapshot, command: Read) -> bytes:
    """The reply to ``command`` in this state."""
    match command:
        case Get(key):
            return _value(snapshot.get(key))
        case GetMany(keys):
            return _values(snapshot, keys)
        case GetKey(selector):
            key_or_edge = resolve(selector, snapshot)
            return replies.NULL if isinstance(key_or_edge, Edge) else replies.bulk(key_or_edge)
        case GetRange():
            return _page(snapshot, command)


def _page(snapshot: Snapshot, command: GetRange) -> bytes:
    plain = bounds(command.begin, command.end, snapshot)
    page = Page([], more=False)
    if plain is not None:
        page = read_page(snapshot, *plain, limit=command.limit, max_bytes=command.max_bytes, reverse=command.reverse)
    flat = replies.array([replies.bulk(data) for pair in page.pairs for data in pair])
    return replies.array([flat, replies.integer(page.more)])


def _values(snapshot: Snapshot, keys: Sequence[bytes]) -> bytes:
    """Raises TooLarge: unlike a range, these cannot be answered in part."""
    values, size = [], 0
    for key in keys:
        values.append(_value(snapshot.get(key)))
        size += len(values[-1])
        if size > MAX_BYTES:
            raise TooLarge("answer", size, MAX_BYTES)
    return replies.array(values)


def _value(value: bytes | None) -> bytes:
    return replies.NULL if value is None else replies.bulk(value)
