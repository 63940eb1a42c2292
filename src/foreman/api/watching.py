"""An event stream of a remote node, its own or the cluster's, as an iterator that survives the node's restart.

It comes back with Last-Event-ID, so nothing that the node still keeps is missed; when the node stays away for longer than
``AWAY_S`` it ends with ForemanUnavailable.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final, Generic, TypeVar

from foreman.api.calls import Calls
from foreman.api.connection import Connection, ConnectionBrokenError
from foreman.api.sse import Message, Parser
from foreman.core.errors import ForemanUnavailable

AWAY_S: Final = 15.0
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0

Opened = tuple[Connection, AsyncIterator[bytes]]
_Event = TypeVar("_Event")


class Subscription(Generic[_Event]):
    """One watcher. Its place in the stream is taken as soon as ``opening`` is done, before the first event is asked for.

    ``decode``: a message's event, or None for one that this client does not know.
    """

    def __init__(self, calls: Calls, path: str, after: int | None, decode: Callable[[Message], _Event | None]) -> None:
        self._calls, self._path, self._decode = calls, path, decode
        self._parser = Parser(last_id="" if after is None else str(after))
        self.opening: asyncio.Task[Opened] = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> Opened:
        connection = await self._calls.open()
        headers = {"last_event_id": self._parser.last_id} if self._parser.last_id else {}
        try:
            return connection, await self._calls.begin_stream(connection, self._path, **headers)
        except ConnectionBrokenError as broken:
            connection.close()
            raise self._calls.broken(broken) from broken
        except BaseException:  # refused or cancelled: the connection has no other owner yet
            connection.close()
            raise

    async def events(self) -> AsyncGenerator[_Event, None]:
        connection, chunks = await self.opening
        while True:
            try:
                async for chunk in chunks:
                    for message in self._parser.feed(chunk):
                        event = self._decode(message)
                        if event is not None:
                            yield event
            except ConnectionBrokenError:
                pass  # the node went away; so it is looked for
            finally:
                connection.close()
            self._parser = Parser(last_id=self._parser.last_id)  # half a message is none
            connection, chunks = await self._reopen()

    async def _reopen(self) -> Opened:
        loop = asyncio.get_running_loop()
        deadline, pause_s = loop.time() + AWAY_S, _FIRST_PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)
            try:
                return await self._open()
            except ForemanUnavailable:
                if loop.time() + pause_s > deadline:
                    raise

    def abandon(self) -> None:
        """Nobody will iterate any more."""
        if not self.opening.cancel() and not self.opening.cancelled() and self.opening.exception() is None:
            self.opening.result()[0].close()
