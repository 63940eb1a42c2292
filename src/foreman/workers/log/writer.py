"""Group commit: every push that arrives while one write goes to the disk shares the next one.

Owns what the log has taken (``last``), what of it is durable, and the answers in between. One write is out at a time. When the disk is
full the pushes that could not be written are refused and the log is where it was before them; any other fault of the disk is final,
because after a failed fsync nobody knows what it holds.
"""

import asyncio
import traceback
from collections.abc import Callable
from functools import partial
from time import monotonic

from foreman.core.data_errors import StorageFault, TooManyParked
from foreman.core.mutations import Version
from foreman.kernel.files import errno_name
from foreman.workers.log.committing import Committer
from foreman.workers.log.gathering import Gathering
from foreman.workers.log.recent import Recent
from foreman.workers.log.records import HEADER_BYTES, encode_record
from foreman.workers.log.segment import is_full_disk
from foreman.workers.log.segment_form import DATA_START, INDEX_EVERY_BYTES, SegmentHeader
from foreman.workers.log.segments import Batch, Segments, next_header
from foreman.workers.wire import Pending, replies, resolve_all

Ack = tuple[Pending, bytes]


class Writer:
    """``on_durable``: more is durable, the disk works. ``on_fault``: with the fault, and whether it is final."""

    def __init__(
        self,
        committer: Committer,
        segments: Segments,
        recent: Recent,
        limits: tuple[int, int],
        on_durable: Callable[[], None],
        on_fault: Callable[[StorageFault, bool], None],
    ) -> None:
        self._committer, self._segments, self.recent = committer, segments, recent
        self._segment_bytes, self._max_queued_bytes = limits
        self._on_durable, self._on_fault = on_durable, on_fault
        self._loop = asyncio.get_running_loop()
        self._waiters: list[tuple[Version, Pending]] = []
        self._quiet: list[asyncio.Future[None]] = []
        self._busy = self._scheduled = False
        self._gathering = Gathering()
        self.failed: StorageFault | None = None
        self.writes = 0
        self.reset()

    def reset(self) -> None:
        """Take up after what the disk has. Only while nothing is being written."""
        segment = self._segments.current
        self.last = self.durable = segment.last
        self.recent.clear(segment.last)
        self._aim()

    def _aim(self) -> None:
        """The next record goes behind what the disk has."""
        segment = self._segments.current
        self._into: SegmentHeader | None = None
        self._header, self._offset = segment.header, segment.end
        self._indexed_at = segment.index.offsets[-1] if segment.index.offsets else -INDEX_EVERY_BYTES
        self._turn_over_if_full()
        self._begin_batch()

    def _turn_over_if_full(self) -> None:
        """Where the segment has its size, what comes next goes into a new one."""
        if self._offset >= self._segment_bytes:
            self._header = self._into = next_header(self._header)
            self._offset, self._indexed_at = DATA_START, -INDEX_EVERY_BYTES

    def _begin_batch(self) -> None:
        self._pieces: list[bytes] = []
        self._places: list[tuple[Version, int]] = []
        self._acks: list[Ack] = []
        self._batch_start = self._offset

    def append(self, version: Version, transaction: bytes, ack: Ack | None) -> None:
        """Take it as the next one after ``last``; its answer follows when it is durable. Raises TooManyParked, StorageFault."""
        offset = self._offset
        if offset - self._batch_start + len(transaction) > self._max_queued_bytes and ack is not None and self._acks:
            raise TooManyParked(len(self._acks))
        if self.failed is not None:
            raise self.failed
        self._pieces += encode_record(self._header.marker, self._batch_start, version, self.last, transaction)
        if offset - self._indexed_at >= INDEX_EVERY_BYTES:
            self._places.append((version, offset))
            self._indexed_at = offset
        self._offset = offset + HEADER_BYTES + len(transaction)
        if ack is not None:
            self._acks.append(ack)
        self.recent.add(version, transaction)
        self.last = version
        if not self._busy and not self._scheduled:
            self._gather()

    def answer_when_durable(self, version: Version, pending: Pending) -> None:
        """OK to a retry of something that may still be on its way."""
        if version <= self.durable:
            pending.resolve(replies.OK)
        else:
            self._waiters.append((version, pending))

    async def quiet(self) -> None:
        """Until nothing is queued or being written."""
        if self._busy or self._pieces:
            future: asyncio.Future[None] = self._loop.create_future()
            self._quiet.append(future)
            await future

    def _gather(self) -> None:
        """There is something to write. Turn by turn of the loop, which reads what comes meanwhile: is the group whole?"""
        self._scheduled = True
        self._gathering.begin(monotonic())
        self._loop.call_soon(self._commit_if_whole)

    def _commit_if_whole(self) -> None:
        if self._quiet or self._gathering.is_whole(len(self._acks), monotonic()):
            self._commit()
        else:
            self._loop.call_soon(self._commit_if_whole)

    def _commit(self) -> None:
        self._scheduled = False
        batch, acks = Batch(self._pieces, self._places, self.last, self._offset - self._batch_start, self._into), self._acks
        self._into = None
        self._busy = True
        self.writes += 1
        self._committer.commit(batch, partial(self._written, batch, acks))
        self._turn_over_if_full()
        self._begin_batch()

    def _written(self, batch: Batch, acks: list[Ack], error: Exception | None) -> None:
        self._busy = False
        if error is not None:
            self._refuse(acks, error)
            return
        self.durable = batch.last
        self.recent.now_durable(batch.last)
        self._gathering.answered(len(acks), len(self._acks))
        if self._pieces:
            self._gather()
        else:
            self._tell_quiet()
        resolve_all(acks)
        if self._waiters:
            self._answer_waiters()
        self._on_durable()

    def _answer_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for version, pending in waiters:
            self.answer_when_durable(version, pending)

    def _refuse(self, acks: list[Ack], error: Exception) -> None:
        """Nothing that was not durable has been taken. What is no fault of the disk is one of the program: as final, and told in full."""
        if isinstance(error, OSError):
            fault, final = StorageFault(errno_name(error.errno or 0), str(error.filename)), not is_full_disk(error)
        else:
            traceback.print_exception(error)
            fault, final = StorageFault(f"{type(error).__name__}: {error}", self._segments.current.path), True
        if final:
            self.failed = fault
        line = replies.error(fault)
        for pending, _ in [*acks, *self._acks]:
            pending.resolve(line)
        for _, pending in self._waiters:
            pending.resolve(line)
        self._waiters = []
        self.last = self.durable
        self.recent.drop_after(self.durable)
        self._aim()
        self._tell_quiet()
        self._on_fault(fault, final)

    def _tell_quiet(self) -> None:
        waiting, self._quiet = self._quiet, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
