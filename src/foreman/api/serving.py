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

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from foreman.api.app import end_streams
from foreman.api.doors import App, with_token
from foreman.api.listeners import BACKLOG, Listener
from foreman.api.problems import problem, problem_of
from foreman.api.wire import PROBLEM_JSON, encode
from foreman.core.errors import InvalidRequest, NotAuthorized

CLOSE_GRACE_S: Final = 5.0
KEEP_ALIVE_S: Final = 120
HEAD_WITHIN_S: Final = 20.0
LARGEST_HEAD_BYTES: Final = 64 * 1024
MOST_CONNECTIONS: Final = 2048
_PEER: Final = struct.Struct("3i")


class _Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds: whose connection, how many, how large a head, and how long it may take."""

    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base
        super().connection_made(transport)
        refusal = self._refusal(transport)
        if refusal is not None:
            self._answer(refusal)
            return
        self._deadline = self.loop.call_later(HEAD_WITHIN_S, transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unset_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if not self.transport.is_closing():
            super().data_received(data)

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(name + value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unset_deadline()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        too_much = self._head_bytes > LARGEST_HEAD_BYTES
        why = f"the head of the request is larger than {LARGEST_HEAD_BYTES} bytes" if too_much else "this is not HTTP/1.1"
        self._answer({**problem_of(InvalidRequest([why])), "status": 431 if too_much else 400})

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
    state = ServerState()
    servers: list[asyncio.Server] = []
    try:
        for listener in listeners:
            servers.append(await _serve_on(app, listener, state))  # noqa: PERF401 (what is open must be known when the next fails)
        yield
    finally:
        for server in servers:
            server.close()
        for listener in listeners:
            listener.sock.close()
        end_streams(app)
        await _drain(state, close_grace_s)


async def _serve_on(app: FastAPI, listener: Listener, state: ServerState) -> asyncio.Server:
    guarded = app if listener.token is None else with_token(cast("App", app), listener.token)
    config = uvicorn.Config(
        cast("Any", guarded),
        http=_Connection,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
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
    return await loop.create_server(connection, sock=listener.sock, ssl=listener.tls, backlog=BACKLOG)


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
