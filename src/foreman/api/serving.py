"""Serves the application on its listeners with uvicorn's protocol, on the loop that is already running.

uvicorn's own Server is left out on purpose: it takes over signals, which are the node's, and wakes up ten times a second,
which a sleeping node must not. Owns accepting, the peer check, and a close that lets answers finish in bounded time.
"""

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, cast

import structlog
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from foreman.api.app import end_streams
from foreman.api.doors import App, with_token
from foreman.api.listeners import BACKLOG, Listener
from foreman.api.problems import problem, problem_of, too_large
from foreman.api.wire import PROBLEM_JSON, encode
from foreman.core.errors import InvalidRequest, NotAuthorized
from foreman.kernel.tls_accepting import TlsAccepting

log = structlog.get_logger("foreman.api")

CLOSE_GRACE_S: Final = 5.0
KEEP_ALIVE_S: Final = 120
HEAD_WITHIN_S: Final = 20.0
BODY_WITHIN_S: Final = 60.0
LARGEST_HEAD_BYTES: Final = 64 * 1024
LARGEST_REQUEST_BYTES: Final = 8 << 20
"""As it comes on the wire: a body in the smallest chunks is seven times as long as what it holds."""
MOST_CONNECTIONS: Final = 2048
"""On one listener: whoever fills a TCP address cannot shut out who comes by the Unix socket."""
_PEER: Final = struct.Struct("3i")


class _Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds: whose connection, how many, how large a head, and how long it may take."""

    _head_bytes = 0
    _wire_bytes = 0
    _in_head = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base
        super().connection_made(transport)
        refusal = self._refusal(transport)
        if refusal is not None:
            self._answer(refusal)
            return
        self._set_deadline(HEAD_WITHIN_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._wire_bytes += len(data)
        super().data_received(data)
        served: Any = self.cycle  # None before the first request, whatever uvicorn declares
        if self._deadline is None and served is not None and served.response_complete:
            self._set_deadline(HEAD_WITHIN_S)  # empty lines between requests begin none, and uvicorn has stopped its own clock
        # The parser keeps a header that does not end to itself, so what it was fed is counted too.
        if self._wire_bytes > (LARGEST_HEAD_BYTES if self._in_head else LARGEST_REQUEST_BYTES) and not self.transport.is_closing():
            self._answer(self._too_much())

    def on_message_begin(self) -> None:
        self._head_bytes, self._in_head = 0, True
        self._set_deadline(HEAD_WITHIN_S)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name + value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._wire_bytes, self._in_head = 0, False
        self._set_deadline(BODY_WITHIN_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._wire_bytes = 0
        self._unset_deadline()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        too_much = self._head_bytes > LARGEST_HEAD_BYTES
        self._answer(self._too_much() if too_much else {**problem_of(InvalidRequest(["this is not HTTP/1.1"])), "status": 400})

    def _too_much(self) -> dict[str, Any]:
        if not self._in_head:
            return too_large(LARGEST_REQUEST_BYTES)
        return {**problem_of(InvalidRequest([f"the head of the request is larger than {LARGEST_HEAD_BYTES} bytes"])), "status": 431}

    def _count(self, more: bytes) -> None:
        self._head_bytes += len(more)
        if self._head_bytes > LARGEST_HEAD_BYTES:
            raise ValueError("head too large")  # ends the parser, which leads to send_400_response

    def _refusal(self, transport: asyncio.Transport) -> dict[str, Any] | None:
        if len(self.connections) > MOST_CONNECTIONS:
            return problem("too_many_connections", 503, f"{MOST_CONNECTIONS} connections are open already; try again later")
        peer = transport.get_extra_info("socket")
        if peer is None or peer.family != socket.AF_UNIX or _is_ours(peer):
            return None
        return problem_of(NotAuthorized("this socket belongs to another user"))

    def _answer(self, body: dict[str, Any]) -> None:
        content = encode(body)
        head = STATUS_LINE[body["status"]] + b"content-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
        self.transport.write(head % (PROBLEM_JSON.encode(), len(content)) + content)
        self.transport.close()

    def _set_deadline(self, within_s: float) -> None:
        """For the whole of what comes next, so that a byte now and then does not help."""
        self._unset_deadline()
        self._deadline = self.loop.call_later(within_s, self.transport.close)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _is_ours(peer: socket.socket) -> bool:
    """Whether the process at the other end runs as this user, or as root, from whom nothing can be kept anyway."""
    _, uid, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return uid in {os.geteuid(), 0}


@asynccontextmanager
async def serving(app: FastAPI, listeners: Sequence[Listener], *, close_grace_s: float = CLOSE_GRACE_S) -> AsyncIterator[None]:
    """Serve ``app`` on each listener while the block runs.

    On leaving: no new connection is accepted, streams end, requests under way have ``close_grace_s`` to finish, then they are
    cancelled. The sockets are closed; the file of a Unix socket is left to whoever bound it.
    """
    states = [ServerState() for _ in listeners]
    servers: list[asyncio.Server | TlsAccepting] = []
    try:
        for listener, state in zip(listeners, states, strict=True):
            servers.append(await _serve_on(app, listener, state))  # one by one: what is open must be known when the next fails
        yield
    finally:
        for server in servers:
            if isinstance(server, TlsAccepting):
                await server.close()
            else:
                server.close()
        for listener in listeners:
            listener.sock.close()
        end_streams(app)
        await asyncio.gather(*(_drain(state, close_grace_s) for state in states))


async def _serve_on(app: FastAPI, listener: Listener, state: ServerState) -> asyncio.Server | TlsAccepting:
    guarded = app if listener.token is None else with_token(cast("App", app), listener.token)
    config = uvicorn.Config(
        cast("Any", guarded),
        http=_Connection,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="error",  # not a line for each stranger who speaks no HTTP
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    config.load()
    loop = asyncio.get_running_loop()

    def connection() -> _Connection:
        return _Connection(config, state, {}, loop)

    if listener.sock.family == socket.AF_UNIX:
        return await loop.create_unix_server(connection, sock=listener.sock, backlog=BACKLOG)
    if listener.tls is not None:
        return TlsAccepting(listener.sock, listener.tls, connection, log.warning)
    return await loop.create_server(connection, sock=listener.sock, backlog=BACKLOG)


async def _drain(state: ServerState, grace_s: float) -> None:
    for connection in list(state.connections):
        connection.shutdown()
    if state.tasks:
        _, late = await asyncio.wait(set(state.tasks), timeout=grace_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    for connection in list(state.connections):
        if connection.transport is not None:
            connection.transport.close()
