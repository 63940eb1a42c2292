"""The directory port on SQLite: one file, any number of processes on one machine, nothing to install or start.

Owns a thread that does all work on the file, the bell that tells of other processes' commits, and a timer for the next lease to run
out: whoever is alive brings that about, so a killed node's entries go although nobody serves the file. Nothing polls. All times of
leases are CLOCK_BOOTTIME.

Not for a network file system: WAL needs shared memory, and the bell one kernel.
"""

import asyncio
import functools
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from foreman.directory.errors import DirectoryCorrupt, DirectoryUnavailable, FutureRevision
from foreman.directory.port import Changes, Committed, Comparison, Directory, KeyRange, Lease, LeaseId, Operation, Snapshot
from foreman.directory.sqlite.bell import BellListener
from foreman.directory.sqlite.schema import NotOurs
from foreman.directory.sqlite.store import Pulse, Store

DEFAULT_TIMEOUT_S: Final = 2.0
DEFAULT_KEEP_REVISIONS: Final = 10_000
MOST_CALLS_WAITING: Final = 1_000
CLOSED: Final = "it was closed here"
LOOK_AGAIN_S: Final = 1.0
"""After a failure to bring about the end of leases (a full disk), try again so much later."""

_BUSY_SHARE: Final = 0.75
_KEEPS_CONNECTION: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_LOCKED}
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_Answer = TypeVar("_Answer")


def boot_time() -> float:
    """Seconds since this boot, those asleep too; nobody can set it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Another at each boot of the machine; the same in every container on it (random(4))."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


class SqliteDirectory(Directory):
    """``clock`` and ``boot`` are for tests; ``keep_revisions`` bounds the history and so how far behind a watch may resume."""

    def __init__(
        self,
        path: str | Path,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        keep_revisions: int = DEFAULT_KEEP_REVISIONS,
        clock: Callable[[], float] = boot_time,
        boot: str | None = None,
    ) -> None:
        self._path = str(path)
        self._timeout_s, self._clock = timeout_s, clock
        self._open_store = functools.partial(
            Store, self._path, clock, boot or boot_id(), busy_timeout_s=timeout_s * _BUSY_SHARE, keep_revisions=keep_revisions
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="directory")
        self._store: Store | None = None  # of the thread alone
        self._waiting = 0
        self._closed = False
        self._listener: BellListener | None = None
        self._pulse: Pulse | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        self._watchers: set[asyncio.Future[None]] = set()

    @property
    def url(self) -> str:
        return f"sqlite:{self._path}"

    async def read(self, keys: KeyRange, *, revision: int | None = None, limit: int | None = None) -> Snapshot:
        return await self._call(lambda store: store.read(keys, revision, limit))

    async def transact(self, comparisons: Sequence[Comparison], operations: Sequence[Operation]) -> Committed:
        return await self._answer_and_pulse(lambda store: store.transact(comparisons, operations))

    async def grant_lease(self, ttl_s: float) -> Lease:
        return await self._answer_and_pulse(lambda store: store.grant_lease(ttl_s))

    async def keep_alive(self, lease: LeaseId) -> float:
        return await self._answer_and_pulse(lambda store: store.keep_alive(lease))

    async def revoke_lease(self, lease: LeaseId) -> None:
        await self._answer_and_pulse(lambda store: store.revoke_lease(lease))

    async def compact(self, revision: int) -> None:
        await self._answer_and_pulse(lambda store: store.compact(revision))

    async def watch(self, keys: KeyRange, *, after: int) -> AsyncGenerator[Changes, None]:
        """See the port. A directory file that was replaced meanwhile ends the watch with FutureRevision."""
        directory = ""
        while True:
            stretch = await self._answer_and_pulse(functools.partial(Store.changes, keys=keys, after=after))
            directory = directory or stretch.directory
            if stretch.directory != directory:
                raise FutureRevision(after, stretch.head)
            for changes in stretch.changes:
                yield changes
            after = stretch.reached
            await self._wait_beyond(directory, after)

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._stop_listening()
        if self._timer is not None:
            self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()
        self._wake(DirectoryUnavailable(self.url, CLOSED))
        # Not waited for beyond the time-out: a disk that hangs must not keep the program from ending.
        closing = asyncio.get_running_loop().run_in_executor(self._thread, self._close_store)
        await asyncio.wait({closing}, timeout=self._timeout_s)
        self._thread.shutdown(wait=False)

    # --- calls to the thread ---

    async def _call(self, work: Callable[[Store], _Answer]) -> _Answer:
        if self._closed:
            raise DirectoryUnavailable(self.url, CLOSED)
        if self._waiting >= MOST_CALLS_WAITING:
            raise DirectoryUnavailable(self.url, f"{self._waiting} calls are waiting already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work)
        except TimeoutError:
            raise DirectoryUnavailable(self.url, f"no answer within {self._timeout_s:g} s") from None
        finally:
            self._waiting -= 1
        self._listen()
        return answer

    async def _answer_and_pulse(self, work: Callable[[Store], _Answer]) -> _Answer:
        answer, pulse = await self._call(lambda store: (work(store), store.pulse()))
        self._learn(pulse)
        return answer

    def _work(self, work: Callable[[Store], _Answer]) -> _Answer:
        """In the thread. A connection that failed is not used again, but for what is known to leave it whole."""
        try:
            return work(self._current_store())
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            if code not in _KEEPS_CONNECTION:
                self._close_store()
            damaged = code in _DAMAGED or isinstance(error, NotOurs)
            raise (DirectoryCorrupt if damaged else DirectoryUnavailable)(self.url, str(error)) from error
        except OSError as error:
            raise DirectoryUnavailable(self.url, str(error)) from error

    def _current_store(self) -> Store:
        if self._store is not None and self._store.is_replaced():
            self._close_store()
        if self._store is None:
            self._store = self._open_store()
        return self._store

    def _close_store(self) -> None:
        if self._store is not None:
            store, self._store = self._store, None
            store.close()

    # --- news: of this process, and through the bell ---

    def _listen(self) -> None:
        """From the first call on. Raises DirectoryUnavailable: without the bell a watch would miss what others do."""
        if self._listener is not None or self._closed:
            return
        try:
            self._listener = BellListener(self._path + "-bell")
        except OSError as error:
            raise DirectoryUnavailable(self.url, f"inotify: {error}") from error
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._rung)
        self._look()  # what others did before the ear was there

    def _stop_listening(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None

    def _rung(self) -> None:
        assert self._listener is not None
        try:
            heard = self._listener.heard()
        except OSError as error:
            self._stop_listening()
            self._wake(DirectoryUnavailable(self.url, f"inotify: {error}"))
            return
        if heard:
            self._look()

    def _look(self) -> None:
        """Ask the file where it is: one question at a time; what happens meanwhile is one more afterwards."""
        if self._closed:
            return
        self._look_again = True
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._ask())

    async def _ask(self) -> None:
        """Also brings about the end of leases that are due; a lease was often kept alive meanwhile, so that looking is enough."""
        while self._look_again:
            self._look_again = False
            try:
                pulse = await self._call(Store.pulse)
                if pulse.next_expiry is not None and pulse.next_expiry <= self._clock():
                    await self._answer_and_pulse(Store.expire)
                else:
                    self._learn(pulse)
            except DirectoryUnavailable as error:
                self._wake(error)
                self._look_in(LOOK_AGAIN_S)

    def _learn(self, pulse: Pulse) -> None:
        known, self._pulse = self._pulse, pulse
        if known is None or (pulse.directory, pulse.revision) != (known.directory, known.revision):
            self._wake(None)
        if pulse.next_expiry is not None:
            self._look_in(pulse.next_expiry - self._clock())

    def _look_in(self, delay_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._closed:
            self._timer = asyncio.get_running_loop().call_later(max(delay_s, 0.0), self._look)

    async def _wait_beyond(self, directory: str, revision: int) -> None:
        """Until the file is at a later revision, or is another file. Raises DirectoryUnavailable when it cannot be looked at."""
        while self._pulse is not None and self._pulse.directory == directory and self._pulse.revision <= revision:
            if self._closed:
                raise DirectoryUnavailable(self.url, CLOSED)
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watchers.add(waiter)
            try:
                await waiter
            finally:
                self._watchers.discard(waiter)

    def _wake(self, error: DirectoryUnavailable | None) -> None:
        waiters, self._watchers = self._watchers, set()
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
                waiter.exception()  # a watch that is cancelled now will not ask for it
