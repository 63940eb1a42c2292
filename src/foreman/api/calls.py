"""Calls to one node: connections taken from a pool, deadlines, and answers that are errors raised as what they are.

Owns the connections. Knows HTTP and problems, and no operation of the Foreman.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from foreman.api.address import Address, TcpAddress, UnixAddress
from foreman.api.connection import Connection, ConnectionBrokenError
from foreman.api.problems import error_of_answer
from foreman.api.wire import JSON, encode
from foreman.core.errors import ForemanTimeout, ForemanUnavailable
from foreman.kernel.lost_peers import notice_lost_peers

CONNECT_WITHIN_S: Final = 10.0
MOST_AT_ONCE: Final = 128
MOST_IDLE: Final = 16


class Calls:
    """``token`` is sent as a bearer token; ``tls`` is the context for https (the system's authorities when not given).

    ``headers``: sent with every request.
    """

    def __init__(self, address: Address, token: str | None, tls: ssl.SSLContext | None, headers: Mapping[str, str] | None = None) -> None:
        self.address = address
        self._tls = tls
        self._idle: list[Connection] = []
        self._room = asyncio.Semaphore(MOST_AT_ONCE)
        self._closed = False
        host = "foreman" if isinstance(address, UnixAddress) else str(address).partition("://")[2]
        authorization = f"authorization: Bearer {token}\r\n" if token else ""
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        self._always = f"host: {host}\r\naccept: */*\r\n{authorization}{more}".encode("latin-1")

    async def call(self, method: str, path: str, body: Any = None, *, within_s: float, what: str, also: int | None = None) -> bytes:
        """The body of a successful answer. ``also``: one more status that counts as success, when its body is no problem.

        Raises the ForemanError that the answer is, ForemanUnavailable, or ForemanTimeout after ``within_s``.
        """
        try:
            async with asyncio.timeout(within_s), self._room:
                try:
                    return await self._attempt(method, path, body, also)
                except ConnectionBrokenError as broken:
                    if method != "GET" or broken.answered:
                        raise
                    return await self._attempt(method, path, body, also)  # an idle connection that the node had closed
        except TimeoutError as late:
            if isinstance(late, ForemanTimeout):
                raise
            raise ForemanTimeout(what, within_s) from late
        except ConnectionBrokenError as broken:
            raise self.broken(broken) from broken

    async def _attempt(self, method: str, path: str, body: Any, also: int | None) -> bytes:
        connection = await self._take()
        try:
            await connection.request(*self._request(method, path, body))
            answer = await connection.body()
        except BaseException:  # cancelled or broken: what is on its way belongs to nobody, so the connection goes
            connection.close()
            raise
        self._give_back(connection)
        if connection.status < 300 or (connection.status == also and connection.content_type.startswith(JSON)):
            return answer
        raise error_of_answer(connection.status, answer)

    @asynccontextmanager
    async def streaming(self, path: str, **headers: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """A GET whose answer is read as it comes, on a connection of its own. Raises as ``call`` does."""
        connection = await self.open()
        try:
            yield await self.begin_stream(connection, path, **headers)
        except ConnectionBrokenError as broken:
            raise self.broken(broken) from broken
        finally:
            connection.close()

    async def begin_stream(self, connection: Connection, path: str, **headers: str) -> AsyncIterator[bytes]:
        """Send the GET and return when the node has accepted it. Header names have _ for -."""
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        await connection.request(f"GET {path} HTTP/1.1\r\n{more}".encode() + self._always + b"\r\n", b"")
        if connection.status >= 300:
            raise error_of_answer(connection.status, await connection.body())
        return connection.stream()

    async def open(self) -> Connection:
        """A fresh connection. Raises ForemanUnavailable."""
        if self._closed:
            raise self.unavailable("this client is closed")
        try:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                return await self._connect()
        except TimeoutError as late:
            raise self.unavailable(f"no connection within {CONNECT_WITHIN_S:g} s") from late
        except OSError as error:
            raise self.unavailable(_reason(error)) from error

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        match self.address:
            case UnixAddress(path):
                return (await loop.create_unix_connection(Connection, path))[1]
            case TcpAddress(host, port, secure):
                context = (self._tls or ssl.create_default_context()) if secure else None
                transport, connection = await loop.create_connection(Connection, host, port, ssl=context)
                notice_lost_peers(transport.get_extra_info("socket"))  # an event stream would wait for ever
                return connection

    def unavailable(self, reason: str) -> ForemanUnavailable:
        return ForemanUnavailable(str(self.address), reason)

    def broken(self, broken: ConnectionBrokenError) -> ForemanUnavailable:
        """With TLS 1.3 a client is through its handshake before the node has judged its certificate; what follows tells nothing."""
        if isinstance(self.address, TcpAddress) and self.address.tls and not broken.answered:
            return self.unavailable("it ended the connection without an answer, as it does when it wants another client certificate")
        return self.unavailable(str(broken))

    async def close(self) -> None:
        self._closed = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        await asyncio.sleep(0)  # let the transports finish closing

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return await self.open()

    def _give_back(self, connection: Connection) -> None:
        if connection.reusable and not connection.closed and not self._closed and len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def _request(self, method: str, path: str, body: Any) -> tuple[bytes, bytes]:
        head = f"{method} {path} HTTP/1.1\r\n".encode() + self._always
        if body is None:
            return head + b"\r\n", b""
        content = encode(body)
        return head + f"content-type: {JSON}\r\ncontent-length: {len(content)}\r\n\r\n".encode(), content


def _reason(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no socket"
        case ConnectionRefusedError():
            return "nobody listens there"
        case ssl.SSLError():
            return f"TLS: {error.reason or error}"
        case _:
            return error.strerror or str(error)
