"""Following the logs: one is pulled from, the others stand by and are told how far we are durably.

Owns a task and a connection for each log. Nothing is polled: every connection waits inside a PULL with BLOCK, which also tells
the log our durable version, so that it can recycle what all its readers have. A transaction comes from whichever log is current; what
is here already is skipped, so a change of logs neither loses nor doubles anything. While a copy from a replica is under way nothing is
taken, but the logs are told where we will go on, so that they keep it.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from random import uniform
from typing import Any, Final

from foreman.core.data_errors import DataPlaneError, InvalidCommand, NotReady, VersionTooNew, VersionTooOld
from foreman.core.mutations import Version
from foreman.workers.storage.finding import Finder
from foreman.workers.storage.settling import settle
from foreman.workers.storage.sources import Sources
from foreman.workers.storage.store import Store
from foreman.workers.wire.link import Link
from foreman.workers.wire.transactions import decode_wire

BLOCK_S: Final = 10.0
ANSWER_IN_S: Final = 5.0
"""Beyond BLOCK_S: a log that is silent for longer hangs."""

HOLD_S: Final = 5.0
"""How often a log hears, while a copy is under way, where we will go on."""

SHOWN_LAG_S: Final = 0.1
"""Being level again after less is not worth a word."""

LIMIT: Final = 10_000
BEHIND_S: Final = 1.0
"""How long another log may be ahead of the current one before it takes its place."""

FIRST_RETRY_S: Final = 0.05
LAST_RETRY_S: Final = 2.0
_TURN_S: Final = 0.002
"""How long transactions are applied in one turn of the loop: readers are served in between."""


class Puller:
    """``on_change`` is called when something worth showing has changed; ``on_ended`` hears of each task that ends, for whatever reason."""

    def __init__(
        self,
        me: str,
        store: Store,
        finder: Finder,
        security: Mapping[str, Any],
        on_change: Callable[[], None],
        on_ended: Callable[[asyncio.Task[None]], None],
    ) -> None:
        self._me, self._store, self._finder, self._security = me.encode(), store, finder, security
        self._on_change, self._on_ended = on_change, on_ended
        self.sources = Sources(())
        self.lost_to_us: set[str] = set()
        """Logs that no longer have what we need (VERSIONTOOOLD)."""
        self.oldest: dict[str, Version] = {}
        """Of those: the version after which they can be read."""
        self.behind_us: set[str] = set()
        """Logs that end before what we have (VERSIONTOONEW)."""
        self._tasks: list[asyncio.Task[None]] = []
        self._tries: dict[str, int] = {}
        self._switched, self._copied = asyncio.Event(), asyncio.Event()
        self._is_level = False
        self._level_at: float | None = None

    @property
    def all_lost(self) -> bool:
        """No log has what we need; not: none can be reached."""
        return self.sources.all_failed and self.lost_to_us == set(self.sources.failures)

    def lag_s(self) -> float | None:
        """How long ago we had all that the current log had, seconds; 0 while it has no more for us; None: never yet."""
        if self._is_level:
            return 0.0
        return None if self._level_at is None else asyncio.get_running_loop().time() - self._level_at

    def follow(self, logs: Sequence[str]) -> None:
        """Begin to follow these, and only these."""
        self.leave()
        self.sources, self.lost_to_us, self.behind_us, self.oldest, self._tries = Sources(logs), set(), set(), {}, {}
        self._copied = asyncio.Event()
        self._tasks = [asyncio.create_task(self._follow(log), name=f"follow {log}") for log in logs]
        for task in self._tasks:
            task.add_done_callback(self._on_ended)

    def leave(self) -> None:
        """Follow no log any more."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []
        self.sources = Sources(())
        self._is_level = False

    async def _follow(self, log: str) -> None:
        while True:
            try:
                async with Link.to(await self._finder.endpoint_of(log), self._security) as link:
                    await self._use(log, link)
            except (OSError, TimeoutError, DataPlaneError, ValueError, TypeError) as error:
                self._failed(log, error)
            await asyncio.sleep(min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(10, self._tries[log])) * uniform(0.5, 1.0))

    async def _use(self, log: str, link: Link) -> None:
        """Until the log fails, which is raised."""
        while True:
            if self._store.copying:
                await self._hold(log, link)
            elif self.sources.current == log:
                await self._pull(log, link)
            else:
                await self._stand_by(log, link)

    async def _hold(self, log: str, link: Link) -> None:
        """While a copy is under way: say now and again where we will go on, and hear whether the log still has it."""
        await self._answered(log, self._ask(log, link, self._store.durable, 1))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOLD_S):
                await self._copied.wait()

    def copied(self) -> None:
        """The copy is there: go on with the logs."""
        self._copied.set()

    async def _pull(self, log: str, link: Link) -> None:
        """While ``log`` is current: ask for the next transactions while the last ones are applied."""
        store = self._store
        answer = self._ask(log, link, store.latest, LIMIT)
        while True:
            transactions = await self._answered(log, answer)
            await store.wait_for_room()
            is_current = self.sources.current == log
            if is_current:
                answer = self._ask(log, link, max(store.latest, transactions[-1][0] if transactions else 0), LIMIT)
            await self._apply(transactions)
            if not is_current:
                return
            self._level(is_level=not answer.done())

    async def _stand_by(self, log: str, link: Link) -> None:
        """While another is current: wait for news here too, and see whether the other brings them in time."""
        transactions = await self._answered(log, self._ask(log, link, self._store.latest, 1))
        if self.sources.current != log and transactions:
            with contextlib.suppress(TimeoutError):  # waits even when all is well: so that no log is asked all the time
                async with asyncio.timeout(BEHIND_S):
                    await self._switched.wait()
            if transactions[-1][0] > self._store.latest and self._store.has_room():
                self._change(lambda: self.sources.is_ahead(log))
        if self.sources.current == log:
            await self._apply(transactions)

    async def _answered(self, log: str, answer: "asyncio.Future[Any]") -> list[tuple[Version, bytes]]:
        async with asyncio.timeout(BLOCK_S + ANSWER_IN_S):
            transactions = _transactions(await answer)
        self._tries[log] = 0
        self._store.prove()
        if log in self.sources.failures:
            self.lost_to_us.discard(log)
            self.behind_us.discard(log)
            self._change(lambda: self.sources.works(log))
        return transactions

    def _ask(self, log: str, link: Link, start_after: Version, limit: int) -> "asyncio.Future[Any]":
        """Waits for news, unless that there is an answer at all is news: a log that failed before works as soon as it has given one."""
        durable = b"%d" % self._store.durable
        at_once = self._store.unproven or self._store.copying or log in self.sources.failures
        block = b"1" if at_once else b"%d" % int(BLOCK_S * 1000)
        return link.send(b"PULL", b"%d" % start_after, b"LIMIT", b"%d" % limit, b"SUBSCRIBER", self._me, durable, b"BLOCK", block)

    async def _apply(self, transactions: Sequence[tuple[Version, bytes]]) -> None:
        store, clock = self._store, asyncio.get_running_loop().time
        turn_ends = clock() + _TURN_S
        for version, encoded in transactions:
            if version > store.latest:
                if not store.apply(version, settle(decode_wire(encoded))):
                    raise NotReady  # it must be asked for again: what comes after it would leave a hole
                if not store.has_room():
                    store.on_applied()
                    await store.wait_for_room()
            if clock() > turn_ends:
                store.on_applied()
                await asyncio.sleep(0)
                turn_ends = clock() + _TURN_S
        if transactions:
            store.on_applied()

    def _level(self, *, is_level: bool) -> None:
        lag_s = self.lag_s()
        if is_level or self._is_level:
            self._level_at = asyncio.get_running_loop().time()
        self._is_level = is_level
        if is_level and (lag_s is None or lag_s > SHOWN_LAG_S):
            self._on_change()  # nothing else may come for long: an empty log gives nothing to apply

    def _failed(self, log: str, error: Exception) -> None:
        self._tries[log] = self._tries.get(log, 0) + 1
        if isinstance(error, VersionTooOld):
            self.lost_to_us.add(log)
            self.oldest[log] = error.oldest
        if isinstance(error, VersionTooNew) and error.newest < self._store.durable:
            self.behind_us.add(log)
        if log == self.sources.current:
            self._level(is_level=False)
        self._change(lambda: self.sources.fails(log, f"{type(error).__name__}: {error}"))

    def _change(self, change: Callable[[], None]) -> None:
        """Change the sources; who stands by notices at once when it is another's turn."""
        before = self.sources.current
        change()
        if self.sources.current != before:
            self._switched.set()
            self._switched = asyncio.Event()
        self._on_change()


def _transactions(answer: object) -> list[tuple[Version, bytes]]:
    """What a PULL answers: ``[[version, transaction], …]``, ascending."""
    if not isinstance(answer, list):
        raise InvalidCommand("a PULL was answered with no list")
    return [(int(version), encoded) for version, encoded in answer]
