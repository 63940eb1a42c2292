"""Disk effects, in threads of their own, each answered by what came of it.

Directories that are asked for together are made together and share their fsyncs; changes of manifests keep their order; a large
directory that takes a minute to delete delays only other deletions. Whatever a thread raises becomes the failure of that effect.
"""

import asyncio
import errno
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar, assert_never

import structlog

from foreman.core.effects import (
    ClearJournal,
    DeleteTrash,
    DiskEffect,
    JudgeDirectory,
    MoveToTrash,
    PrepareDirectories,
    RecordDesired,
    WriteJournal,
)
from foreman.core.errors import DiskFault, ForemanError, WorkerDirectoryBusy
from foreman.core.events import (
    DesiredRecorded,
    DirectoryFailed,
    DirectoryJudged,
    DirectoryPrepared,
    JournalCleared,
    JournalWritten,
    TrashDeleted,
    Trashed,
    TrashFailed,
)
from foreman.core.ids import WorkerId
from foreman.core.manifest import Manifest
from foreman.node.inbox import Inbox
from foreman.node.interpreter.lane import Lane
from foreman.node.journal import clear_record, write_record
from foreman.node.run_directory import remove_worker_run_directory, worker_run_directory
from foreman.node.working_directory import WorkingDirectories

log = structlog.get_logger("foreman.disk")

THREADS: Final = 4
FIRST_LOCK_PAUSE_S: Final = 0.005
LOCK_PATIENCE_S: Final = 5.0
Found = TypeVar("Found")
Prepared = dict[WorkerId, ForemanError | None]
Judge = Callable[[WorkerId], Manifest | str]


class Disk:
    """``judge``: looks at one directory again (node/scan.py)."""

    def __init__(self, inbox: Inbox, directories: WorkingDirectories, run: Path, judge: Judge) -> None:
        self._inbox = inbox
        self._directories = directories
        self._layout = directories.layout
        self._run = run
        self._judge = judge
        self._prepare: Lane[Manifest, Prepared] = Lane("prepare", self._make, self._prepared, threads=THREADS)
        self._record: Lane[RecordDesired, list[ForemanError | None]] = Lane("record", self._write_desired, self._recorded)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="foreman-disk")
        self._deleting = ThreadPoolExecutor(1, thread_name_prefix="foreman-delete")
        self._tasks: set[asyncio.Task[None]] = set()

    def do(self, effect: DiskEffect) -> None:
        match effect:
            case PrepareDirectories(manifests):
                for manifest in manifests:
                    self._prepare.add(manifest)
            case RecordDesired():
                self._record.add(effect)
            case JudgeDirectory(id):
                self._begin(self._judge_again(id))
            case MoveToTrash(id):
                self._begin(self._trash(id))
            case DeleteTrash(id, path):
                self._begin(self._delete(id, path))
            case WriteJournal():
                self._begin(self._write_journal(effect))
            case ClearJournal():
                self._begin(self._clear_journal(effect))
            case _:
                assert_never(effect)

    def delete_leftovers(self, leftovers: Iterable[tuple[WorkerId | None, Path]]) -> None:
        """What an earlier server had moved into trash and not deleted."""
        for id, path in leftovers:
            self._begin(self._delete_leftover(id or WorkerId(path.name), str(path)))

    async def close(self) -> None:
        """What a thread is doing is finished; what has not begun is left for the next start, which finds it."""
        await self._prepare.close()
        await self._record.close()
        for task in tuple(self._tasks):
            task.cancel()
        for pool in (self._pool, self._deleting):
            pool.shutdown(wait=False, cancel_futures=True)

    # --- made together ---

    def _make(self, manifests: Sequence[Manifest]) -> Prepared:
        """With their run directories. Each start makes its own again, because /run does not outlive the machine; but that is in the event
        loop, where a new directory would wait for the file system's journal and everything else with it.
        """
        results = self._directories.create_many(manifests)
        with suppress(OSError):  # then the start meets it too, and says so
            for id in [id for id, error in results.items() if error is None]:
                worker_run_directory(self._run, id)
        return results

    def _prepared(self, manifests: Sequence[Manifest], outcome: Prepared | Exception) -> None:
        for manifest in manifests:
            error = _fault(outcome, manifest.id) if isinstance(outcome, Exception) else outcome[manifest.id]
            self._answer_prepared(manifest.id, error)

    def _answer_prepared(self, id: WorkerId, error: ForemanError | None) -> None:
        if error is None:
            self._inbox.put(lambda at: DirectoryPrepared(at, id))
        else:
            self._inbox.put(lambda at: DirectoryFailed(at, id, error))

    def _write_desired(self, changes: Sequence[RecordDesired]) -> list[ForemanError | None]:
        results: list[ForemanError | None] = []
        for change in changes:
            try:
                self._directories.set_desired(change.id, change.desired)
            except ForemanError as error:
                results.append(error)
            else:
                results.append(None)
        return results

    def _recorded(self, changes: Sequence[RecordDesired], outcome: list[ForemanError | None] | Exception) -> None:
        for place, change in enumerate(changes):
            error = _fault(outcome, change.id) if isinstance(outcome, Exception) else outcome[place]
            self._answer_recorded(change.id, error)

    def _answer_recorded(self, id: WorkerId, error: ForemanError | None) -> None:
        self._inbox.put(lambda at: DesiredRecorded(at, id, error))

    # --- each by itself ---

    async def _judge_again(self, id: WorkerId) -> None:
        found = await self._in(self._pool, id, lambda: self._judge(id))
        verdict = str(found) if isinstance(found, ForemanError) else found
        self._inbox.put(lambda at: DirectoryJudged(at, id, verdict))

    async def _trash(self, id: WorkerId) -> None:
        """A lock that is still held is waited for: after its supervisor's death the kernel, or the next supervisor, is just ending it."""
        patience = asyncio.get_running_loop().time() + LOCK_PATIENCE_S
        pause_s = FIRST_LOCK_PAUSE_S
        while True:
            moved = await self._in(self._pool, id, lambda: self._move_away(id))
            if not isinstance(moved, WorkerDirectoryBusy) or asyncio.get_running_loop().time() > patience:
                break
            await asyncio.sleep(pause_s)
            pause_s *= 2
        if isinstance(moved, ForemanError):
            self._inbox.put(lambda at: TrashFailed(at, id, moved))
        else:
            self._inbox.put(lambda at: Trashed(at, id, moved))

    def _move_away(self, id: WorkerId) -> str:
        path = self._directories.trash(id)
        remove_worker_run_directory(self._run, id)
        return path

    async def _delete(self, id: WorkerId, path: str) -> None:
        left = await self._in(self._deleting, id, lambda: self._directories.delete_trash(id, path))
        self._inbox.put(lambda at: TrashDeleted(at, id, path, left))

    async def _delete_leftover(self, id: WorkerId, path: str) -> None:
        left = await self._in(self._deleting, id, lambda: self._directories.delete_trash(id, path))
        if left is not None:
            log.warning("something in trash cannot be deleted; it is tried again at the next start", path=path, reason=str(left))

    async def _write_journal(self, effect: WriteJournal) -> None:
        batch = effect.record.batch
        error = await self._in(self._pool, batch, lambda: write_record(self._layout, effect.record))
        self._inbox.put(lambda at: JournalWritten(at, batch, error))

    async def _clear_journal(self, effect: ClearJournal) -> None:
        error = await self._in(self._pool, effect.batch, lambda: clear_record(self._layout, effect.batch))
        self._inbox.put(lambda at: JournalCleared(at, effect.batch, error))

    async def _in(self, pool: Executor, what: str, work: Callable[[], Found]) -> Found | ForemanError:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except ForemanError as error:
            return error
        except Exception as error:  # the edge of a thread: the machine must get an answer, whatever it was
            return _fault(error, what)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _fault(error: Exception, what: str) -> ForemanError:
    log.error("a disk operation failed in a way nobody foresaw", what=what, error=repr(error), exc_info=error)
    if isinstance(error, OSError):
        number = error.errno or errno.EIO
        return DiskFault(number, errno.errorcode.get(number, str(number)), str(error.filename or what))
    return ForemanError(f"internal error on disk: {error!r}; please report it")
