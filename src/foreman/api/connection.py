"""HTTP/1.1 to a node, and nothing more: one connection, one request at a time, with httptools' parser on asyncio.

Why not httpx: measured, it adds 90 ms to each start of the command line and 0.5 ms to each call over a Unix socket, where the
call itself takes 0.15 ms. What is left out is what a node never asks of its client: redirects, cookies, proxies, compression.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, cast

import httptools

HIGH_WATER_BYTES: Final = 1 << 20


class ConnectionBrokenError(ConnectionError):
    """The connection ended before the answer did. ``answered``: something of the answer had come."""

    def __init__(self, *, answered: bool) -> None:
        super().__init__("the connection broke before the whole answer had come")
        self.answered = answered


class Connection(asyncio.Protocol):
    """Not for two requests at the same time: whoever holds it has it alone."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._begin()
        self.closed = False
        self.reusable = False

    def _begin(self) -> None:
        self.status = 0
        self.content_type = ""
        self._head_done = False
        self._complete = False
        self._answered = False
        self._chunks: list[bytes] = []
        self._waiting_bytes = 0
        self._waiter: asyncio.Future[None] | None = None

    # --- what a caller does ---

    async def request(self, head: bytes, body: bytes) -> None:
        """Send a request and return when the head of its answer is there: ``status`` and ``content_type``."""
        if self.closed or self._transport is None:
            raise ConnectionBrokenError(answered=False)
        self._begin()
        self.reusable = False
        self._parser = httptools.HttpResponseParser(self)
        self._transport.write(head + body)
        while not self._head_done:
            await self._news()

    async def body(self) -> bytes:
        """The rest of the answer, whole."""
        return b"".join([chunk async for chunk in self.stream()])

    async def stream(self) -> AsyncIterator[bytes]:
        """The rest of the answer as it comes."""
        while True:
            chunks, self._chunks = self._chunks, []
            self._waiting_bytes = 0
            if self._transport is not None and not self.closed:
                self._transport.resume_reading()
            for chunk in chunks:
                yield chunk
            if self._chunks:
                continue
            if self._complete:
                return
            await self._news()

    def close(self) -> None:
        """What is on its way is of no use to anybody, so TLS is not taken leave of: that waits for the other side."""
        if self._transport is not None:
            self._transport.abort()
        self.closed = True

    async def _news(self) -> None:
        if self.closed:
            raise ConnectionBrokenError(answered=self._answered)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # --- what the transport tells ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it

    def data_received(self, data: bytes) -> None:
        self._answered = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close()
        if self._waiting_bytes > HIGH_WATER_BYTES and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self.closed = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- what the parser finds ---

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"content-type":
            self.content_type = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._head_done = self.status >= 200

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._waiting_bytes += len(body)

    def on_message_complete(self) -> None:
        if self._head_done:
            self._complete = True
            self.reusable = self._parser.should_keep_alive()
