"""One connection to a log or a storage worker: words out, answers in, in order.

Owns a socket and a parser. Over TCP it shows a certificate and says AUTH, as it is told to; a Unix socket's owner is proof enough. Lean
on purpose (no redis-py): a worker that catches up spends its time in its own store, and one that recovers has none to load libraries.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, cast

import hiredis

from foreman.core.data_errors import data_error_from_wire
from foreman.workers.wire.secret import read_secret
from foreman.workers.wire.tls import client_context

CONNECT_IN_S: Final = 2.0
_NEED_MORE: Final = object()


class LinkLost(ConnectionError):
    """The other side hung up, or talks nonsense."""


class Link(asyncio.Protocol):
    """Several requests may be under way; answers come in their order."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(notEnoughData=_NEED_MORE)
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self._lost: Exception | None = None

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, endpoint: str, security: Mapping[str, Any]) -> "AsyncIterator[Link]":
        """Connect to ``unix:/path`` or ``host:port``; closed at the end. ``security``: ``tls`` and ``auth_file`` for TCP, read anew each
        time, so that they can be replaced. Raises OSError, TimeoutError, ValueError (no password there), DataPlaneError (a wrong one).
        """
        is_tcp = not endpoint.startswith("unix:")
        async with asyncio.timeout(CONNECT_IN_S):
            link = await (cls._connect_tcp(endpoint, security) if is_tcp else cls._connect_unix(endpoint))
        try:
            secret = read_secret(security) if is_tcp else None
            if secret is not None:
                await link.call(b"AUTH", secret, timeout_s=CONNECT_IN_S)
            yield link
        finally:
            link.close()

    @classmethod
    async def _connect_unix(cls, endpoint: str) -> "Link":
        _, link = await asyncio.get_running_loop().create_unix_connection(cls, endpoint.removeprefix("unix:"))
        return link

    @classmethod
    async def _connect_tcp(cls, endpoint: str, security: Mapping[str, Any]) -> "Link":
        host, _, port = endpoint.rpartition(":")
        context = client_context(security["tls"]) if "tls" in security else None
        _, link = await asyncio.get_running_loop().create_connection(cls, host.strip("[]"), int(port), ssl=context)
        return link

    def send(self, *words: bytes) -> "asyncio.Future[Any]":
        """Ask; the future has the answer. A DataPlaneError answer is raised from it, and LinkLost when there is none."""
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._transport is None:
            future.set_exception(self._lost or LinkLost("not connected"))
        else:
            self._waiting.append(future)
            self._transport.write(hiredis.pack_command(words))  # type: ignore[arg-type] # its stub means a tuple of any length
        return future

    async def call(self, *words: bytes, timeout_s: float) -> Any:
        async with asyncio.timeout(timeout_s):
            return await self.send(*words)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by descent

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _NEED_MORE:
                self._answer(reply)
        except hiredis.ProtocolError as error:
            self._lost = LinkLost(str(error))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost = self._lost or LinkLost(str(exc or "it hung up"))
        for future in self._waiting:
            if not future.done():
                future.set_exception(self._lost)
                future.exception()  # an answer that was asked for ahead and is waited for no more is no error to report
        self._waiting.clear()

    def _answer(self, reply: Any) -> None:
        if not self._waiting:
            raise hiredis.ProtocolError("an answer that nobody asked for")
        future = self._waiting.popleft()
        if future.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            future.set_exception(data_error_from_wire(str(reply)))
        else:
            future.set_result(reply)
