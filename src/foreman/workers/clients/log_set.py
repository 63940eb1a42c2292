"""LogSet: all logs of a layout as one. A push is done when every log has it durably.

Owns a LogClient for each. What fails on one log is raised after the others have answered: the logs may then differ by that push, which
is repeated with the same version (harmless where it succeeded) or left to a recovery.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from foreman.core.errors import InvalidRequest
from foreman.core.mutations import Mutation, Version
from foreman.workers.clients.log_client import LogClient
from foreman.workers.clients.replica import Where
from foreman.workers.wire.transactions import encode_transaction


class LogSet:
    """Use as ``async with LogSet.connect([endpoint, (foreman, "log_2")]) as logs``."""

    def __init__(self, logs: Sequence[LogClient]) -> None:
        if not logs:
            raise InvalidRequest(["a set of logs needs one log at least"])
        self.logs = tuple(logs)

    @classmethod
    def connect(cls, wheres: Iterable[Where], *, timeout: float = 5.0, **options: Any) -> Self:
        """As :meth:`LogClient.connect`, for each."""
        return cls([LogClient.connect(where, timeout=timeout, **options) for where in wheres])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        for log in self.logs:
            await log.close()

    async def push(self, version: Version, previous_version: Version, mutations: Sequence[Mutation], *, epoch: int = 0) -> None:
        """To all logs at once; returns when all have it. Raises what the first log that refused said (see LogClient.push)."""
        transaction = encode_transaction(mutations)
        await on_all(log.push_encoded(version, previous_version, transaction, epoch=epoch) for log in self.logs)

    async def last_version(self) -> Version:
        """The newest version that every log has."""
        infos = await asyncio.gather(*(log.info("last_version") for log in self.logs))
        return min(int(info["last_version"]) for info in infos)


async def on_all(pushes: Iterable[Coroutine[Any, Any, None]]) -> None:
    """All at once. Raises what the first log that refused said, after the others have answered."""
    for outcome in await asyncio.gather(*pushes, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
