"""A log at work: the commands, and what they do to its parts.

Owns LOCK, RECOVER, recycling, health and INFO. Everything that changes what is beside the segments (the standing) goes through one
lock, one after another; pushes and pulls do not wait for it, they are refused or go on.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from foreman.core.data_errors import DataPlaneError, Locked, NotReady, StorageFault
from foreman.core.health import Health
from foreman.kernel.files import atomic_write, errno_name
from foreman.workers.host import Host
from foreman.workers.log.commands import RecoverCommand, parse_lock, parse_pull, parse_recover
from foreman.workers.log.committing import Committer
from foreman.workers.log.copying import copy_from
from foreman.workers.log.disk_thread import DiskThread
from foreman.workers.log.informing import answer_info
from foreman.workers.log.locking import check_holder, locked_by
from foreman.workers.log.params import LogParams
from foreman.workers.log.parking import Parking
from foreman.workers.log.pulling import check_mode
from foreman.workers.log.readers import Readers
from foreman.workers.log.recent import Recent
from foreman.workers.log.recovering import AlreadyDone, BeginAnew, GoOn, begins_after, finished, plan_recovery
from foreman.workers.log.recycling import SUBSCRIBERS_FILE, Subscribers, count_unneeded
from foreman.workers.log.segment import is_full_disk
from foreman.workers.log.segments import Segments
from foreman.workers.log.standing import STANDING_FILE, Standing
from foreman.workers.log.taking import Taking
from foreman.workers.log.writer import Writer
from foreman.workers.wire import Command, Pending, RespConnection, replies

_LOCKED: Final = Locked()
_NOT_READY: Final = NotReady()


class LogService:
    """``fault`` is set when the disk has failed for good: the process must end."""

    def __init__(self, host: Host, params: LogParams, segments: Segments, standing: Standing, subscribers: Subscribers) -> None:
        self.host, self.params, self.segments, self.subscribers = host, params, segments, subscribers
        self._disk = DiskThread("write")
        limits = (params.segment_bytes, params.max_queued_bytes)
        self.committer = Committer(self._disk, segments)
        self.writer = Writer(self.committer, segments, Recent(0, params.recent_bytes), limits, self._durable, self._faulted)
        self.readers = Readers(segments, self.writer, params.max_blocked_pulls)
        self.taking = Taking(self.writer, self.readers, Parking(params.max_parked, params.max_parked_bytes), standing)
        self.taking.save = self._save
        self.health = Health.ok()
        self.fault: asyncio.Future[StorageFault] = asyncio.get_running_loop().create_future()
        self._recovery: asyncio.Task[bytes] | None = None
        self._recycling = False
        self.started = time.monotonic()
        self._tasks: set[asyncio.Task[None]] = set()

    def commands(self) -> dict[bytes, Command]:
        return {
            b"PUSH": Command(self.taking.push, 4, 4),
            b"PULL": Command(self._pull, 1, 12),
            b"LOCK": Command(lambda connection, words: self._later(connection, self._lock(*parse_lock(words))), 2, 2),
            b"RECOVER": Command(lambda connection, words: self._later(connection, self._recover(parse_recover(words))), 4, 7),
            b"INFO": Command(lambda _, words: answer_info(self, words[1:]), 0, 64),
        }

    @property
    def standing(self) -> Standing:
        return self.taking.standing

    # Readers.

    def _pull(self, connection: RespConnection, words: list[bytes]) -> bytes | Pending:
        command = parse_pull(words)
        check_mode(command.pull, locked=self.standing.locked, recovering=self._recovery is not None)
        if command.subscriber is not None:
            self.subscribers.hear(*command.subscriber)
            self._consider_recycling()
        return self.readers.pull(connection, command.pull)

    def _consider_recycling(self) -> None:
        """Write down who reads when that matters; let go of segments that all of them have."""
        if self._recycling:
            return
        quiet = time.monotonic() - self.started < self.params.quiet_s
        sealed = self.segments.all[:-1]
        count = 0 if quiet else count_unneeded([segment.last for segment in sealed], self.subscribers.minimum())
        if not count and not self.subscribers.unsaved:
            return
        self._recycling = True
        saved = self.subscribers.encode() if self.subscribers.unsaved else None
        self._disk.submit(partial(self._recycle, count, saved), self._recycled)

    def _recycle(self, count: int, saved: bytes | None) -> None:
        """In the disk's thread. In this order: what readers said is durable before anything is let go of because of it."""
        if saved is not None:
            atomic_write(self._path(SUBSCRIBERS_FILE), saved)
        self.segments.recycle(count)

    def _recycled(self, result: Exception | None) -> None:
        self._recycling = False
        if result is not None:
            self.subscribers.unsaved = True  # tried again with the next pull
            print(f"recycling: {result}", file=sys.stderr, flush=True)  # noqa: T201 - stderr is the worker's output log
        elif self.subscribers.unsaved:
            self._consider_recycling()  # somebody spoke meanwhile

    # Recovery.

    async def _lock(self, generation: int, recovery_id: str) -> bytes:
        if locked_by(self.standing, generation, recovery_id) != self.standing:  # a deposed director changes nothing, nor does a retry
            await self._begin_lock(generation, recovery_id)
        minimum = self.subscribers.minimum()
        facts = {
            "kind": replies.bulk(b"log"),
            "oldest_version": replies.integer(self.segments.oldest),
            "last_version": replies.integer(self.writer.durable),
            "minimum_durable_version": replies.NULL if minimum is None else replies.integer(minimum),
        }
        return replies.mapping(facts, 2)

    async def _begin_lock(self, generation: int, recovery_id: str) -> None:
        if self._recovery is not None:
            self._recovery.cancel()
        async with self.taking.changing:
            wanted = locked_by(self.standing, generation, recovery_id)
            self.taking.closed = _LOCKED
            try:
                self.taking.refuse_parked(_LOCKED)
                self.readers.refuse_all(_NOT_READY)
                await self.writer.quiet()
                await self._save(wanted)
            finally:
                self.taking.closed = None

    async def _recover(self, command: RecoverCommand) -> bytes:
        async with self.taking.changing:
            self._recovery = asyncio.ensure_future(self._copy(command))
            try:
                return await self._recovery
            except asyncio.CancelledError:
                raise Locked from None  # a newer LOCK ended it
            finally:
                self._recovery = None

    async def _copy(self, command: RecoverCommand) -> bytes:
        if command.lock is not None:
            check_holder(self.standing, *command.lock)
        wanted, has_source = command.recovery, command.source is not None
        oldest, last = self.segments.oldest, self.writer.durable
        match plan_recovery(self.standing, wanted, has_source=has_source, oldest=oldest, last=last):
            case AlreadyDone():
                return replies.OK
            case BeginAnew(standing):
                await self._save(standing)
                self.subscribers.clear()
                await self._on_disk(partial(self.segments.begin_anew, begins_after(wanted, has_source=has_source)))
                self.writer.reset()
            case GoOn():
                pass
        if command.source is not None:
            await copy_from(command.source, self.writer, wanted.last, self.host.environment.params)
        await self._save(finished(self.standing))
        return replies.OK

    async def _save(self, standing: Standing) -> None:
        """Make it durable, then let it be in force. Raises StorageFault."""
        await self._on_disk(partial(atomic_write, self._path(STANDING_FILE), standing.encode()))
        self.taking.put_in_force(standing)

    async def _on_disk(self, work: Callable[[], None]) -> None:
        try:
            await self._disk.do(work)
        except OSError as error:
            fault = StorageFault(errno_name(error.errno or 0), str(error.filename))
            self._faulted(fault, not is_full_disk(error))
            raise fault from error

    # Health.

    def _durable(self) -> None:
        if not self.health.is_ok:
            self._set_health(Health.ok())
        self.readers.news()

    def _faulted(self, fault: StorageFault, final: bool) -> None:  # noqa: FBT001 - called with the fault's nature, by the writer
        self._set_health(Health.error(str(fault)))
        if final and not self.fault.done():
            self.fault.set_result(fault)

    def _set_health(self, health: Health) -> None:
        if health != self.health:
            self.health = health
            self.host.notify.health(health)
            self.host.notify.status(f"last version {self.writer.durable}" if health.is_ok else f"takes no pushes: {health.reason}")

    # The end.

    async def stop(self) -> None:
        """Take no more; return when all that was taken is durable and answered."""
        self.taking.closed = _NOT_READY
        if self._recovery is not None:
            self._recovery.cancel()
        self.taking.refuse_parked(_NOT_READY)
        self.readers.refuse_all(_NOT_READY)
        await self.writer.quiet()
        if self.subscribers.unsaved:
            await self._on_disk(partial(atomic_write, self._path(SUBSCRIBERS_FILE), self.subscribers.encode()))
        self.close()

    def close(self) -> None:
        """Nothing more is written or read. What the disk's thread has been given is still done."""
        self.committer.close()
        self._disk.close()
        self.readers.close()

    def _path(self, name: str) -> str:
        return f"{self.segments.directory}/{name}"

    def _later(self, connection: RespConnection, work: Coroutine[Any, Any, bytes]) -> Pending:
        pending = connection.later()

        async def run() -> None:
            try:
                pending.resolve(await work)
            except DataPlaneError as problem:
                pending.resolve(replies.error(problem))

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return pending
