"""Where a worker is reached: its private Unix socket always, TCP when its params say so, and then with TLS or AUTH.

Owns the sockets. The Unix socket is bound under another name, made 0600 and only then renamed to ``resp.sock``, so that no other user
can connect in between and a left-over of a killed incarnation is replaced, not an obstacle. TLS handshakes are bounded in number and
time, so that strangers on the network take neither descriptors nor turns.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from foreman.core.endpoints import write_endpoints
from foreman.kernel.tls_accepting import TlsAccepting
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

    def __init__(self, server: RespServer, unix: asyncio.Server, unix_path: str, tcp: "_Tcp | None", endpoint: str | None) -> None:
        self._server, self._unix, self._tcp = server, unix, tcp
        self.unix_endpoint = f"unix:{unix_path}"
        self.endpoint = endpoint if endpoint is not None else self.unix_endpoint
        self.said = write_endpoints(self.endpoint, self.unix_endpoint)

    def stop_accepting(self) -> None:
        self._unix.close()
        if self._tcp is not None:
            self._tcp.stop()

    async def close(self, grace_s: float) -> None:
        """Accept no more, let open connections go within ``grace_s`` seconds, then cut them."""
        self.stop_accepting()
        if self._tcp is not None:
            await self._tcp.close()
        for connection in list(self._server.connections):
            connection.finish()
        await self._server.wait_empty(grace_s)
        for connection in list(self._server.connections):
            connection.abort()


class _Tcp:
    """The TCP socket, accepting with TLS or without."""

    def __init__(self, bound: socket.socket, accepting: "asyncio.Server | TlsAccepting") -> None:
        self._bound, self._accepting = bound, accepting

    def stop(self) -> None:
        accepting = self._accepting
        accepting.stop() if isinstance(accepting, TlsAccepting) else accepting.close()

    async def close(self) -> None:
        if isinstance(self._accepting, TlsAccepting):
            await self._accepting.close()
        self._bound.close()


async def listen(server: RespServer, *, run: str, params: Mapping[str, Any]) -> Listening:
    """Open the sockets. ``params`` have passed :func:`~foreman.workers.wire.listen_params.check_listen_params`.

    Raises OSError (a port in use, an unreadable certificate), with a sentence as its ``strerror``.
    """
    loop = asyncio.get_running_loop()
    path = f"{run}/{SOCKET_NAME}"
    context = server_context(params["tls"]) if "tls" in params else None
    with contextlib.ExitStack() as undo:
        bound, endpoint = await _bind(params["listen"], run) if "listen" in params else (None, None)
        if bound is not None:
            undo.callback(bound.close)
        unix = await loop.create_unix_server(server.protocol, sock=_private_socket(path), backlog=_BACKLOG)
        undo.callback(unix.close)
        make = partial(server.protocol, authenticated="auth_file" not in params)
        tcp = None if bound is None else _Tcp(bound, await _accept(bound, context, make))
        undo.pop_all()
    return Listening(server, unix, path, tcp, endpoint)


async def _accept(
    bound: socket.socket, context: ssl.SSLContext | None, make: Callable[[], asyncio.Protocol]
) -> "asyncio.Server | TlsAccepting":
    if context is None:
        return await asyncio.get_running_loop().create_server(make, sock=bound, backlog=_BACKLOG)
    bound.listen(_BACKLOG)
    return TlsAccepting(bound, context, make, _tell)


def _tell(what: str, *, reason: str, others: int = 0) -> None:
    beside = f" ({others} more)" if others else ""
    print(f"{what}: {reason}{beside}", file=sys.stderr, flush=True)  # noqa: T201 - stderr is the worker's output log


async def _bind(listen: str, run: str) -> tuple[socket.socket, str]:
    """The socket, and the endpoint it is."""
    host, ports = split_listen(listen)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        bound = bind_tcp((found[0][0], found[0][4]), ports, run)
    except OSError as error:
        raise OSError(error.errno, f"{listen}: {error.strerror or error}") from error
    return bound, f"{shown_host(host, bound)}:{bound.getsockname()[1]}"


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
