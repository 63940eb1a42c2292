"""StorageClient: reads from one storage worker or from any of several that hold the same data.

Owns the choice among replicas. A read goes to the replica that answered last; when it does not answer within a short delay, a second one
is asked too, and the first good answer counts (a *hedged* read, Dean & Barroso, "The Tail at Scale", 2013). A replica that is
unreachable, or has not the version asked for, is passed over for the next.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, cast

import msgspec

from foreman.core.data_errors import DataPlaneError, NotReady, TooManyParked, VersionTooNew, VersionTooOld, WrongKeyRange
from foreman.core.errors import ForemanError, InvalidRequest
from foreman.core.mutations import Version
from foreman.workers.clients.replica import Replica, Unreachable, Where
from foreman.workers.storage.selectors import KeySelector
from foreman.workers.wire.info import read_info

FIRST_PAUSE_S: Final = 0.02
LAST_PAUSE_S: Final = 0.5

_OPTIONS: Final = frozenset({b"AT", b"WAIT"})

Pairs = list[tuple[bytes, bytes]]
_ANOTHER_MAY: Final = (Unreachable, NotReady, TooManyParked, VersionTooNew, VersionTooOld, WrongKeyRange)
"""Answers after which another replica is worth asking."""


class StorageLocked(NamedTuple):
    """What a storage worker answers to LOCK."""

    kind: str
    durable_version: Version
    oldest_durable_version: Version


class StorageClient:
    """Use as ``async with StorageClient.connect(…) as storage``. One client serves many tasks at once."""

    def __init__(self, replicas: Sequence[Replica], *, timeout: float, hedge_after: float) -> None:
        if not replicas:
            raise InvalidRequest(["a client needs one endpoint at least"])
        self._replicas = list(replicas)
        self._timeout_s, self._hedge_after_s = timeout, hedge_after
        self._first = 0
        self._asking: set[asyncio.Task[Any]] = set()
        self._closed = False

    @classmethod
    def connect(
        cls,
        where: Where | Sequence[Where],
        *,
        timeout: float = 5.0,
        hedge_after: float = 0.02,
        security: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Self:
        """A client of one worker or of several replicas: endpoints, or (foreman, id).

        ``timeout``: seconds for one call with all its retries. ``hedge_after``: seconds after which a second replica is asked too.
        ``security``: the params ``tls`` and ``auth_file`` of a worker, to be used as the client's own; used for TCP only. ``options``
        are redis-py's (``password``, ``ssl``, …). Connects when first used.
        """
        replicas = [Replica(one, timeout_s=timeout, security=security, options=options) for one in _each(where)]
        return cls(replicas, timeout=timeout, hedge_after=hedge_after)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop all connections; calls under way fail."""
        self._closed = True
        for task in list(self._asking):
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        for replica in self._replicas:
            await replica.close()

    # Reading.

    async def get(self, key: bytes, *, version: Version | None = None) -> bytes | None:
        """The value at ``version``, or at the latest. Raises VersionTooOld, VersionTooNew, TooLarge, Unreachable."""
        value: bytes | None = await self._read(b"GET", key, *_at(version))
        return value

    async def get_many(self, keys: Sequence[bytes], *, version: Version | None = None) -> list[bytes | None]:
        """The values in the order of the keys, all at the same version."""
        if not keys:
            return []
        # The last keys may look like an option (AT, 5); then the first of them again, which no number follows, ends the search for options.
        ends_it = keys[-2:-1] if len(keys) > 1 and keys[-2].upper() in _OPTIONS and keys[-1].isdigit() else ()
        values: list[bytes | None] = await self._read(b"MGET", *keys, *ends_it, *_at(version))
        return values[: len(keys)]

    async def get_range(
        self,
        begin: bytes | KeySelector,
        end: bytes | KeySelector | None = None,
        *,
        version: Version | None = None,
        limit: int = 1000,
        reverse: bool = False,
    ) -> tuple[Pairs, bool]:
        r"""One page of begin <= key < end (None: through the last key), from its end with ``reverse``; and whether there is more.

        A page ends early when it has many bytes. The next one begins after the last key here (``last + b"\0"``), or with ``reverse``
        ends at it; name the same ``version`` to see the same state.
        """
        words: list[bytes | int] = [_key(begin), b"" if end is None else _key(end), *_at(version), b"LIMIT", limit]
        words += [b"REV"] if reverse else []
        words += [b"END", b"LAST"] if end is None else _meant(b"END", end)
        words += _meant(b"BEGIN", begin)
        flat, more = await self._read(b"RANGE", *words)
        return list(zip(flat[::2], flat[1::2], strict=True)), bool(more)

    async def get_key(self, selector: KeySelector, *, version: Version | None = None) -> bytes | None:
        """The key that ``selector`` means; None when it runs off either end."""
        found: bytes | None = await self._read(b"GETKEY", selector.name.encode(), selector.key, b"OFFSET", selector.offset, *_at(version))
        return found

    async def info(self, *facts: str) -> dict[str, Any]:
        """What the worker tells about itself, all or just these facts, as JSON values."""
        told = read_info(await self._read(b"INFO", *(fact.encode() for fact in facts)))
        return {name: _value(value) for name, value in told.items()}

    # Recovery. Both may be repeated, so both are, until they are answered.

    async def lock(self, generation: int, recovery_id: str) -> StorageLocked:
        """Stop the worker from following logs. Raises NewerLockExists, StorageFault."""
        replica = self._only()
        answer = await self._until_answered(lambda: replica.call(b"LOCK", generation, recovery_id.encode()))
        facts = dict(zip(answer[::2], answer[1::2], strict=True))
        return StorageLocked(facts[b"kind"].decode(), int(facts[b"durable_version"]), int(facts[b"oldest_durable_version"]))

    async def unlock(self, durable_version: Version, layout: Mapping[str, Any]) -> None:
        """Let the worker drop what is above ``durable_version`` and follow the logs of ``layout`` (workers/storage/layout.py says
        what may stand there). Raises NotLocked, DurableVersionAhead, InvalidCommand, StorageFault.
        """
        replica, encoded = self._only(), msgspec.json.encode(layout)
        await self._until_answered(lambda: replica.call(b"UNLOCK", durable_version, encoded))

    def _only(self) -> Replica:
        if len(self._replicas) != 1:
            raise InvalidRequest(["a lock is for one worker: connect to its endpoint alone"])
        return self._replicas[0]

    async def _read(self, *words: bytes | int) -> Any:
        """The first good answer of any replica."""
        return await self._until_answered(lambda: self._race(words))

    async def _until_answered(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """What is asked for; it is asked again, with pauses, while nobody can be reached."""
        pause_s, deadline = FIRST_PAUSE_S, asyncio.get_running_loop().time() + self._timeout_s
        while True:
            try:
                return await ask()
            except Unreachable:
                if self._closed or asyncio.get_running_loop().time() + pause_s >= deadline:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(LAST_PAUSE_S, 2 * pause_s)

    async def _race(self, words: Sequence[bytes | int]) -> Any:
        """Ask one replica; the next one as well when it fails or is slow."""
        if len(self._replicas) == 1:
            return await self._replicas[0].call(*words)
        left = [(self._first + step) % len(self._replicas) for step in range(len(self._replicas))]
        running: dict[asyncio.Task[Any], int] = {}
        failures: list[ForemanError] = []
        while left or running:
            if left and len(running) < 2:
                number = left.pop(0)
                running[self._ask(number, words)] = number
            may_hedge = bool(left) and len(running) < 2
            done, _ = await asyncio.wait(running, timeout=self._hedge_after_s if may_hedge else None, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                number = running.pop(task)
                if task.cancelled():
                    raise Unreachable(self._replicas[number].name, "this client is closed")
                error = task.exception()
                if error is None:
                    self._first = number
                    return task.result()
                if not isinstance(error, _ANOTHER_MAY):
                    raise error
                failures.append(error)
        raise _most_telling(failures)

    def _ask(self, number: int, words: Sequence[bytes | int]) -> asyncio.Task[Any]:
        """A call that may be left alone once another has answered: to cut it off would cost its connection."""
        task = asyncio.create_task(self._replicas[number].call(*words))
        self._asking.add(task)
        task.add_done_callback(self._asked)
        return task

    def _asked(self, task: asyncio.Task[Any]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            task.exception()  # seen; nobody waits for a loser


def _each(where: Where | Sequence[Where]) -> Sequence[Where]:
    """One place or several: a tuple is one (foreman, id) unless all of it are places themselves."""
    if isinstance(where, str):
        return [where]
    if isinstance(where, tuple) and not all(isinstance(one, str | tuple) for one in where):
        return [cast("Where", where)]
    return cast("Sequence[Where]", where)


def _most_telling(failures: Sequence[ForemanError]) -> ForemanError:
    """What a replica answered says more than that another did not."""
    return next((error for error in failures if isinstance(error, DataPlaneError)), failures[-1])


def _at(version: Version | None) -> tuple[bytes | int, ...]:
    return () if version is None else (b"AT", version)


def _key(bound: bytes | KeySelector) -> bytes:
    return bound.key if isinstance(bound, KeySelector) else bound


def _meant(option: bytes, bound: bytes | KeySelector) -> list[bytes | int]:
    return [option, bound.name.encode(), bound.offset] if isinstance(bound, KeySelector) else []


def _value(text: str) -> Any:
    """A fact as a JSON value: a number, a list, a map, or text; None when it is not known."""
    if not text:
        return None
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
