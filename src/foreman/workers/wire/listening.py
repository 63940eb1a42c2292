"""Where a worker is reached: its private Unix socket always, TCP when its params say so, and then with TLS or AUTH.

Owns the sockets. The Unix socket is bound under another name, made 0600 and only then renamed to ``resp.sock``, so that no other user
can connect in between and a left-over of a killed incarnation is replaced, not an obstacle.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from foreman.workers.wire.listen_params import split_address
from foreman.workers.wire.server import RespServer

SOCKET_NAME: Final = "resp.sock"
_BACKLOG: Final = 512


class Listening:
    """``endpoint`` is what clients connect to: ``host:port`` when the worker listens on TCP, else ``unix:/path``."""

    def __init__(self, server: RespServer, listeners: list[asyncio.Server], unix_path: str, tcp: str | None) -> None:
        self._server, self._listeners, self._unix_path = server, listeners, unix_path
        self.unix_endpoint = f"unix:{unix_path}"
        self.endpoint = tcp if tcp is not None else self.unix_endpoint

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

    Raises OSError (a port in use, an unreadable certificate) and ssl.SSLError.
    """
    loop = asyncio.get_running_loop()
    path = f"{run}/{SOCKET_NAME}"
    listeners = [await loop.create_unix_server(server.protocol, sock=_private_socket(path), backlog=_BACKLOG)]
    tcp = None
    if "listen" in params:
        host, port = split_address(params["listen"])
        context = _tls_context(params["tls"]) if "tls" in params else None
        factory = partial(server.protocol, authenticated="auth_file" not in params)
        listeners.append(await loop.create_server(factory, host, port, ssl=context, backlog=_BACKLOG))
        tcp = f"{params['listen'].rpartition(':')[0]}:{listeners[1].sockets[0].getsockname()[1]}"
    return Listening(server, listeners, path, tcp)


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


def _tls_context(tls: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tls["certificate"], tls["key"])
    context.load_verify_locations(tls["client_ca"])
    context.verify_mode = ssl.CERT_REQUIRED
    return context
