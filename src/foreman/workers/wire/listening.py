"""Where a worker is reached: its private Unix socket always, TCP when its params say so, and then with TLS or AUTH.

Owns the sockets. The Unix socket is bound under another name, made 0600 and only then renamed to ``resp.sock``, so that no other user
can connect in between and a left-over of a killed incarnation is replaced, not an obstacle.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from foreman.core.endpoints import write_endpoints
from foreman.workers.wire.listen_params import split_listen
from foreman.workers.wire.server import RespServer
from foreman.workers.wire.tcp_port import bind_tcp, shown_host
from foreman.workers.wire.tls import server_context

SOCKET_NAME: Final = "resp.sock"
_BACKLOG: Final = 512


class Listening:
    """``endpoint`` is what clients connect to: ``host:port`` when the worker listens on TCP, else ``unix:/path``.

    ``said``: that, and the Unix socket beside it, as X_FOREMAN_ENDPOINT says both.
    """

    def __init__(self, server: RespServer, listeners: list[asyncio.Server], unix_path: str, tcp: str | None) -> None:
        self._server, self._listeners, self._unix_path = server, listeners, unix_path
        self.unix_endpoint = f"unix:{unix_path}"
        self.endpoint = tcp if tcp is not None else self.unix_endpoint
        self.said = write_endpoints(self.endpoint, self.unix_endpoint)

    def stop_accepting(self) -> None:
        for listener in self._listeners:
            listener.close()

    async def close(self, grace_s: float) -> None:
        """Accept no more, let open connections go within ``grace_s`` seconds, then cut them."""
        self.stop_accepting()
        for connection in list(self._server.connections):
            connection.finish()
        await self._server.wait_empty(grace_s)
        for connection in list(self._server.connections):
            connection.abort()


async def listen(server: RespServer, *, run: str, params: Mapping[str, Any]) -> Listening:
    """Open the sockets. ``params`` have passed :func:`~foreman.workers.wire.listen_params.check_listen_params`.

    Raises OSError (a port in use, an unreadable certificate), with a sentence as its ``strerror``.
    """
    loop = asyncio.get_running_loop()
    path = f"{run}/{SOCKET_NAME}"
    context = server_context(params["tls"]) if "tls" in params else None
    with contextlib.ExitStack() as undo:
        bound, tcp = await _bind(params["listen"], run) if "listen" in params else (None, None)
        if bound is not None:
            undo.callback(bound.close)
        listeners = [await loop.create_unix_server(server.protocol, sock=_private_socket(path), backlog=_BACKLOG)]
        undo.callback(listeners[0].close)
        if bound is not None:
            factory = partial(server.protocol, authenticated="auth_file" not in params)
            listeners.append(await loop.create_server(factory, sock=bound, ssl=context, backlog=_BACKLOG))
        undo.pop_all()
    return Listening(server, listeners, path, tcp)


async def _bind(listen: str, run: str) -> tuple[socket.socket, str]:
    """The socket, and the endpoint it is."""
    host, ports = split_listen(listen)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        bound = bind_tcp((found[0][0], found[0][4]), ports, run)
    except OSError as error:
        raise OSError(error.errno, f"{listen}: {error.strerror or error}") from error
    return bound, f"{shown_host(host, bound)}:{bound.getsockname()[1]}"


def read_secret(params: Mapping[str, Any]) -> bytes | None:
    """The password in ``auth_file``, without white space around it. Raises OSError; ValueError when the file is empty."""
    if "auth_file" not in params:
        return None
    with open(params["auth_file"], "rb") as file:
        secret = file.read(4096).strip()
    if not secret:
        raise ValueError(f"{params['auth_file']} holds no password")
    return secret


def _private_socket(path: str) -> socket.socket:
    temporary = f"{path}.new"
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        bound.bind(temporary)
        os.chmod(temporary, 0o600)
        os.rename(temporary, path)
    except OSError:
        bound.close()
        raise
    bound.setblocking(False)
    return bound
