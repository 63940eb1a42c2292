"""LogPipe: one connection to one log, on which a writer's pushes follow one another without waiting for answers.

Owns the connection, made when first used and again after it failed; asks the foreman for the address each time when it was given an id.
Repeats nothing: who pushes decides. Lean (no redis-py), because what a new layout costs a writer is to connect to its logs.
"""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any

from foreman.core.mutations import Version
from foreman.workers.clients.replica import Unreachable, Where, endpoint_of
from foreman.workers.wire.info import read_info
from foreman.workers.wire.link import Link


class LogPipe:
    """``security``: as LogClient's. ``timeout_s``: after which a log that is silent is given up, and the connection with it."""

    def __init__(self, where: Where, security: Mapping[str, Any] | None, timeout_s: float) -> None:
        self._where, self._security, self._timeout_s = where, security or {}, timeout_s
        self._link: Link | None = None
        self._open = AsyncExitStack()
        self._connecting = asyncio.Lock()
        self._closed = False

    @property
    def name(self) -> str:
        return self._where if isinstance(self._where, str) else self._where[1]

    async def push(self, version: Version, previous_version: Version, transaction: bytes, *, epoch: int) -> None:
        """Raises what the log answered, or Unreachable: it may have been taken."""
        await self._call(b"PUSH", b"%d" % epoch, b"%d" % version, b"%d" % previous_version, transaction)

    async def last_version(self) -> Version:
        return int(read_info(await self._call(b"INFO", b"last_version"))["last_version"])

    async def pull(self, start_after: Version, last: Version) -> list[tuple[Version, bytes]]:
        """Some of the transactions after ``start_after``, through ``last``, in order."""
        found = await self._call(b"PULL", b"%d" % start_after, b"LAST", b"%d" % last)
        return [(int(version), transaction) for version, transaction in found]

    async def close(self) -> None:
        """Calls under way raise Unreachable, and all that come."""
        self._closed = True
        await self._hang_up()

    async def _hang_up(self) -> None:
        self._link = None
        await self._open.aclose()

    async def _call(self, *words: bytes) -> Any:
        link: Link | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                link = await self._connected()
                return await link.send(*words)
        except (OSError, TimeoutError, ValueError) as error:
            if link is not None and link is self._link:
                await self._hang_up()
            raise Unreachable(self.name, str(error) or type(error).__name__) from error

    async def _connected(self) -> Link:
        async with self._connecting:
            if self._link is None:
                self._link = await self._open.enter_async_context(Link.to(await endpoint_of(self._where), self._security))
            if self._closed:  # meanwhile
                await self._hang_up()
                raise ConnectionError("this client is closed")
            return self._link
