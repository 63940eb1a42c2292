"""Those who pull: answered from memory, from the disk in a thread of its own, or when there is news.

Owns the blocked pulls and their bound. Decides nothing: pulling.py does. An answer is an array of ``[version, transaction]``, at most
4 MiB of it, so that one reader that is far behind neither fills the memory nor holds up the others.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from itertools import islice

from foreman.core.data_errors import DataPlaneError, StorageFault, TooManyParked
from foreman.core.mutations import Version
from foreman.kernel.files import errno_name
from foreman.workers.log.disk_thread import DiskThread
from foreman.workers.log.pulling import Answer, Pull, judge_pull
from foreman.workers.log.segments import Segments
from foreman.workers.log.writer import Writer
from foreman.workers.wire import Pending, RespConnection, replies

MAX_REPLY_BYTES = 4 << 20


@dataclass(eq=False, slots=True)
class Blocked:
    pull: Pull
    pending: Pending
    timer: asyncio.TimerHandle


class Readers:
    """``oldest``: reading may start after this version. Changed by what recycles."""

    def __init__(self, segments: Segments, writer: Writer, max_blocked: int) -> None:
        self._segments, self._writer, self._max_blocked = segments, writer, max_blocked
        self._disk = DiskThread("read")
        self._blocked: set[Blocked] = set()

    @property
    def blocked_count(self) -> int:
        return len(self._blocked)

    def pull(self, connection: RespConnection, pull: Pull) -> bytes | Pending:
        """Raises VersionTooOld, VersionTooNew, TooManyParked."""
        time_left = bool(pull.block_ms)
        match judge_pull(pull, self._segments.oldest, self._writer.durable, time_left=time_left):
            case Answer.SOME:
                return self._some(connection.later(), pull)
            case Answer.NONE:
                return replies.EMPTY
            case Answer.WAIT:
                return self._block(connection.later(), pull)

    def _some(self, pending: Pending, pull: Pull) -> Pending | bytes:
        through = self._writer.durable if pull.through is None else min(pull.through, self._writer.durable)
        recent = self._writer.recent
        if pull.start_after >= recent.base:
            return encode_transactions(_bounded(recent.after(pull.start_after), through, pull.limit))
        read = partial(self._segments.read_after, pull.start_after, through, pull.limit, MAX_REPLY_BYTES)
        self._disk.submit(lambda: encode_transactions((record.version, record.transaction) for record in read()), partial(_answer, pending))
        return pending

    def _block(self, pending: Pending, pull: Pull) -> Pending:
        if len(self._blocked) >= self._max_blocked:
            raise TooManyParked(self._max_blocked)
        assert pull.block_ms is not None
        blocked = Blocked(pull, pending, asyncio.get_running_loop().call_later(pull.block_ms / 1000, self._give_up, pending))
        self._blocked.add(blocked)
        pending.on_abandoned = partial(self._forget, blocked)
        return pending

    def _give_up(self, pending: Pending) -> None:
        """Its time is over."""
        for blocked in [blocked for blocked in self._blocked if blocked.pending is pending]:
            self._forget(blocked)
            self._try(blocked, time_left=False)

    def _forget(self, blocked: Blocked) -> None:
        blocked.timer.cancel()
        self._blocked.discard(blocked)

    def news(self) -> None:
        """More is durable."""
        for blocked in list(self._blocked):
            if self._try(blocked, time_left=True):
                self._forget(blocked)

    def _try(self, blocked: Blocked, *, time_left: bool) -> bool:
        """Whether it has its answer, or will have it from the disk."""
        try:
            answer = judge_pull(blocked.pull, self._segments.oldest, self._writer.durable, time_left=time_left)
            if answer is Answer.WAIT:
                return False
            reply = self._some(blocked.pending, blocked.pull) if answer is Answer.SOME else replies.EMPTY
        except DataPlaneError as problem:
            reply = replies.error(problem)
        if isinstance(reply, bytes):
            blocked.pending.resolve(reply)
        return True

    def refuse_all(self, problem: DataPlaneError) -> None:
        """The log is locked: nobody waits for news any more."""
        for blocked in list(self._blocked):
            self._forget(blocked)
            blocked.pending.resolve(replies.error(problem))

    async def find(self, version: Version) -> tuple[Version, bytes] | None:
        """The version before it and the transaction that the log has at ``version``. Raises VersionTooOld, StorageFault."""
        recent = self._writer.recent
        if version > recent.base:
            return recent.find(version)
        try:
            return await self._disk.do(partial(self._segments.find, version))
        except OSError as error:
            raise _fault(error) from error

    def close(self) -> None:
        self._disk.close()


def encode_transactions(transactions: Iterable[tuple[Version, bytes]]) -> bytes:
    """``[[version, transaction], …]``."""
    items = [b"*2\r\n%b$%d\r\n%b\r\n" % (replies.integer(version), len(data), data) for version, data in transactions]
    return replies.array(items)


def _bounded(transactions: Iterable[tuple[Version, bytes]], through: Version, limit: int) -> Iterable[tuple[Version, bytes]]:
    size = 0
    for version, transaction in islice(transactions, limit):
        if version > through or (size and size + len(transaction) > MAX_REPLY_BYTES):
            return
        size += len(transaction)
        yield version, transaction


def _answer(pending: Pending, result: bytes | Exception) -> None:
    match result:
        case bytes():
            pending.resolve(result)
        case DataPlaneError():
            pending.resolve(replies.error(result))
        case OSError():
            pending.resolve(replies.error(_fault(result)))
        case _:
            raise result


def _fault(error: OSError) -> StorageFault:
    return StorageFault(errno_name(error.errno or 0), str(error.filename))
