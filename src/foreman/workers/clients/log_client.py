"""LogClient: pushes to one log, pulls from it, locks and recovers it.

    async with LogClient.connect(endpoint) as log:            # "unix:/path", "host:port", or (foreman, "log_1")
        await log.push(version, previous_version, [Set(b"k", b"v")], epoch=0)
        [(version, mutations), …] = await log.pull(start_after, limit=1000, block=1.0)

Repeats by itself, with growing pauses until ``timeout``, what may be repeated: every call here may be, except :meth:`LogClient.push_next`.
A log that restarts, is not ready yet or has too much waiting is therefore only slow. What a log answers otherwise is raised as its class.
"""

import asyncio
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from foreman.core.data_errors import NotReady, TooManyParked
from foreman.core.mutations import Mutation, Version
from foreman.workers.clients.replica import Replica, Unreachable, Where
from foreman.workers.wire.info import read_info
from foreman.workers.wire.transactions import decode_transaction, encode_transaction

FIRST_PAUSE_S: Final = 0.02
LAST_PAUSE_S: Final = 0.5
RECOVER_TIMEOUT_S: Final = 600.0
MAX_CONNECTIONS: Final = 900
"""Calls of one client at once; a worker takes 1,000 connections. Pushes that came early each hold one until their turn."""

_AGAIN: Final = (Unreachable, NotReady, TooManyParked)


class LogLocked(NamedTuple):
    """What a log answers to LOCK. ``oldest_version``: reading may start after it; ``minimum_durable_version``: None without subscribers."""

    kind: str
    oldest_version: Version
    last_version: Version
    minimum_durable_version: Version | None


class LogClient:
    """One client serves many tasks at once, each call on a connection of its own."""

    def __init__(self, replica: Replica, *, timeout: float) -> None:
        self._replica, self._timeout_s = replica, timeout

    @classmethod
    def connect(cls, where: Where, *, timeout: float = 5.0, security: Mapping[str, Any] | None = None, **options: Any) -> Self:
        """Connects when first used. ``timeout``: seconds for one call with all its retries.

        ``security``: the params ``tls`` and ``auth_file`` of a worker, to be used as the client's own; used for TCP only. ``options``
        are redis-py's (``password``, ``ssl``, …).
        """
        options = {"max_connections": MAX_CONNECTIONS, **options}
        return cls(Replica(where, timeout_s=timeout, security=security, options=options), timeout=timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    @property
    def name(self) -> str:
        """The endpoint or the worker's id."""
        return self._replica.name

    async def close(self) -> None:
        await self._replica.close()

    # Writing.

    async def push(self, version: Version, previous_version: Version, mutations: Sequence[Mutation], *, epoch: int = 0) -> None:
        """Durable when it returns. Waits, within ``timeout``, for the push of ``previous_version`` when it comes before that.

        Raises TransactionOutOfOrder, Locked, NewerEpochExists, TooLarge, TooManyParked, StorageFault, Unreachable (it may have been taken).
        """
        await self.push_encoded(version, previous_version, encode_transaction(mutations), epoch=epoch)

    async def push_encoded(self, version: Version, previous_version: Version, transaction: bytes, *, epoch: int = 0) -> None:
        """As :meth:`push`, with a transaction that :func:`encode_transaction` made."""
        await self._call(b"PUSH", epoch, version, previous_version, transaction)

    async def push_next(self, mutations: Sequence[Mutation], *, epoch: int = 0) -> Version:
        """Push as the next version, whatever it is, and return it. Never repeated: after Unreachable it may or may not have been taken."""
        return int(await self._replica.call(b"PUSH", epoch, b"*", b"*", encode_transaction(mutations)))

    # Reading.

    async def pull(
        self,
        start_after: Version,
        *,
        limit: int = 1000,
        block: float | None = None,
        last: Version | None = None,
        recovery: bool = False,
        subscriber: tuple[str, Version] | None = None,
    ) -> list[tuple[Version, list[Mutation]]]:
        """Transactions after ``start_after`` in order, through ``last``; fewer than ``limit`` when they are many bytes.

        ``block``: seconds to wait when there is none; none came: an empty list. ``subscriber``: who pulls and how far it is durable
        itself; the log recycles what all its subscribers have. Raises VersionTooOld, VersionTooNew, NotReady, NotLocked, Unreachable.
        """
        found = await self.pull_encoded(start_after, limit=limit, block=block, last=last, recovery=recovery, subscriber=subscriber)
        return [(version, decode_transaction(transaction)) for version, transaction in found]

    async def pull_encoded(
        self,
        start_after: Version,
        *,
        limit: int = 1000,
        block: float | None = None,
        last: Version | None = None,
        recovery: bool = False,
        subscriber: tuple[str, Version] | None = None,
    ) -> list[tuple[Version, bytes]]:
        """As :meth:`pull`, with the transactions as they are."""
        words: list[bytes | int] = [b"PULL", start_after, b"LIMIT", limit]
        words += [] if last is None else [b"LAST", last]
        words += [b"RECOVERY"] if recovery else []
        words += [] if subscriber is None else [b"SUBSCRIBER", subscriber[0].encode(), subscriber[1]]
        clock = asyncio.get_running_loop().time
        until = clock() + (block or 0.0)
        while True:
            wait_s = max(0.0, min(until - clock(), self._timeout_s / 2))  # below the time after which a silent log is given up
            blocking: list[bytes | int] = [b"BLOCK", int(wait_s * 1000)] if block else []
            found = await self._call(*words, *blocking)
            if found or clock() >= until:
                return [(int(version), transaction) for version, transaction in found]

    async def info(self, *facts: str) -> dict[str, Any]:
        """What the log tells about itself, all or just these facts; numbers as int, None where nothing is known."""
        told = read_info(await self._call(b"INFO", *(fact.encode() for fact in facts)))
        return {name: int(value) if value.isdecimal() and name not in {"id", "cluster"} else value or None for name, value in told.items()}

    # Recovery.

    async def lock(self, generation: int, recovery_id: str) -> LogLocked:
        """Stop pushes for recovery ``(generation, recovery_id)``, durably. Raises NewerLockExists, StorageFault, Unreachable."""
        answer = await self._call(b"LOCK", generation, recovery_id.encode())
        facts = dict(zip(answer[::2], answer[1::2], strict=True))
        minimum = facts[b"minimum_durable_version"]
        kind, oldest, last = facts[b"kind"].decode(), int(facts[b"oldest_version"]), int(facts[b"last_version"])
        return LogLocked(kind, oldest, last, None if minimum is None else int(minimum))

    async def recover_from(
        self,
        source: str | None,
        first: Version,
        last: Version,
        *,
        lock: tuple[int, str] | None = None,
        timeout: float = RECOVER_TIMEOUT_S,
    ) -> None:
        """Fill the locked log with what ``source`` (an endpoint, locked too) has after ``first`` through ``last``, and unlock it.

        None: nothing to copy; the log begins empty after ``last``. The same call again goes on where it was. ``lock``: generation and
        recovery id of the lock under which this is asked. Raises NotLocked, NewerLockExists (it is not), Locked (a newer lock ended it),
        InvalidCommand (the source cannot be read), StorageFault, VersionTooOld, VersionTooNew (of the source).
        """
        under: tuple[bytes | int, ...] = () if lock is None else (b"LOCK", lock[0], lock[1].encode())
        await self._call(b"RECOVER", b"FROM", b"NONE" if source is None else source.encode(), first, last, *under, timeout=timeout)

    async def _call(self, *words: bytes | int, timeout: float | None = None) -> Any:
        pause_s, clock = FIRST_PAUSE_S, asyncio.get_running_loop().time
        deadline = clock() + (self._timeout_s if timeout is None else timeout)
        while True:
            try:
                return await self._replica.call(*words)
            except _AGAIN:
                if clock() + pause_s >= deadline:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(LAST_PAUSE_S, 2 * pause_s)
