"""A RespServer in this process on a real socket, with commands that show how answers are kept in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from foreman.workers.wire import Command, Limits, Listening, Pending, RespConnection, RespServer, listen, replies


class Serving:
    """``HOLD`` answers when ``release`` is called, ``BIG n`` with n bytes, ``SET``/``GET`` as Redis does."""

    def __init__(self, limits: Limits, secret: bytes | None = None) -> None:
        self.held: list[Pending] = []
        self.abandoned = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.values: dict[bytes, bytes] = {}
        commands = {
            b"HOLD": Command(self._hold, 0, 0),
            b"BIG": Command(lambda _, words: replies.bulk(bytes(int(words[1]))), 1, 1),
            b"SET": Command(self._set, 2, 2),
            b"GET": Command(lambda _, words: replies.bulk(self.values[words[1]]) if words[1] in self.values else replies.NULL, 1, 1),
        }
        self.server = RespServer(commands, limits=limits, secret=secret, settings={b"save": b""})
        self.listening: Listening

    def _hold(self, connection: RespConnection, words: list[bytes]) -> Pending:
        pending = connection.later()
        pending.on_abandoned = self._abandon
        self.held.append(pending)
        return pending

    def _abandon(self) -> None:
        self.abandoned += 1

    def _set(self, connection: RespConnection, words: list[bytes]) -> bytes:
        self.values[words[1]] = words[2]
        return replies.OK

    def release(self) -> None:
        held, self.held = self.held, []
        for pending in reversed(held):
            pending.resolve(replies.simple("RELEASED"))

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(self.listening.unix_endpoint.removeprefix("unix:"))
        self.writers.append(writer)
        return reader, writer

    async def hang_up(self) -> None:
        """All who connected."""
        for writer in self.writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


@asynccontextmanager
async def serving(
    run: Path, limits: Limits | None = None, secret: bytes | None = None, params: dict[str, Any] | None = None
) -> AsyncIterator[Serving]:
    served = Serving(limits or Limits(), secret)
    served.listening = await listen(served.server, run=str(run), params=params or {})
    try:
        yield served
    finally:
        await served.hang_up()
        await served.listening.close(0.1)
