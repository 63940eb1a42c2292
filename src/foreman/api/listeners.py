"""Where the application is served: the node's Unix socket, always; TCP addresses only behind certificates or a token.

Owns binding, and who may connect at all. Refuses to open an address that anybody could use.
"""

import os
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from foreman.api.address import TcpAddress
from foreman.core.errors import InvalidConfiguration
from foreman.kernel.lost_peers import notice_lost_peers
from foreman.node.configuration import NodeSection
from foreman.node.configuration.forms import host_and_port

BACKLOG: Final = 1024
SHORTEST_TOKEN: Final = 16
LONGEST_TOKEN_FILE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket and what it demands. A Unix socket demands this user's (or root's) peer credentials by itself."""

    sock: socket.socket
    tls: ssl.SSLContext | None = None
    token: str | None = None

    def __post_init__(self) -> None:
        certificates = self.tls is not None and self.tls.verify_mode is ssl.CERT_REQUIRED
        if self.sock.family != socket.AF_UNIX and not certificates and not self.token:
            raise InvalidConfiguration(["a TCP address needs TLS with client certificates or a token; nothing was opened"])

    @property
    def address(self) -> str:
        """As a client writes it: ``unix:PATH`` or ``https://HOST:PORT``."""
        name = self.sock.getsockname()
        if self.sock.family == socket.AF_UNIX:
            return f"unix:{name}"
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"{'http' if self.tls is None else 'https'}://{host}:{name[1]}"


def bind_unix(path: Path) -> socket.socket:
    """A Unix socket at ``path``, mode 0600 from its first moment. A left-over of a dead server is replaced: DATA/lock is held."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(sock.fileno(), 0o600)  # Linux gives the file the mode of the descriptor
        path.unlink(missing_ok=True)
        sock.bind(str(path))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def open_listeners(node: NodeSection, socket_path: Path) -> list[Listener]:
    """Every listener of a node: its Unix socket, then its TCP addresses. Raises InvalidConfiguration, naming what cannot be opened."""
    with ExitStack() as undo:
        listeners = [Listener(bind_unix(socket_path))]
        undo.callback(listeners[0].sock.close)
        if node.listen:
            tls = _tls_context(node)
            token = None if node.token_file is None else read_token(node.token_file)
            listeners += [Listener(_bind_tcp(address, undo.callback), tls, token) for address in node.listen]
        undo.pop_all()
    return listeners


def reached_at(node: NodeSection, listeners: Sequence[Listener]) -> str:
    """Where other nodes reach this one: its first TCP address, by the name it was given there (certificates are for names), else the
    Unix socket. An address that stands for all of the machine's is called by the machine's host name.
    """
    parts = host_and_port(node.listen[0]) if node.listen else None
    if parts is None or len(listeners) < 2:
        return listeners[0].address
    address, port = listeners[1].sock.getsockname()[:2]
    host = socket.gethostname() if ip_address(address).is_unspecified else parts[0]
    return str(TcpAddress(host, port, tls=listeners[1].tls is not None))


def _tls_context(node: NodeSection) -> ssl.SSLContext | None:
    try:
        return None if node.tls is None else node.tls.context()
    except (OSError, ssl.SSLError) as error:
        raise InvalidConfiguration([f"[node] tls: {error.strerror or error}"]) from error


def _bind_tcp(address: str, undo: Callable[[Callable[[], None]], object]) -> socket.socket:
    parts = host_and_port(address)
    if parts is None:
        raise InvalidConfiguration([f"[node] listen: {address} is not HOST:PORT"])
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(*parts, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(family, kind, protocol)
        undo(sock.close)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        notice_lost_peers(sock)  # accepted connections inherit it
        sock.bind(where)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        raise InvalidConfiguration([f"[node] listen: {address}: {error.strerror or error}"]) from error
    return sock


def read_token(path: Path) -> str:
    """The token in a file that only its owner can read. Raises InvalidConfiguration; the token itself is never in a message."""
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode & 0o777
            token = stream.read(LONGEST_TOKEN_FILE_BYTES + 1).strip()
    except OSError as error:
        raise InvalidConfiguration([f"{path}: cannot be read: {error.strerror}"]) from error
    if mode & 0o077:
        raise InvalidConfiguration([f"{path}: others can read this token (mode {mode:04o}); `chmod 600 {path}`"])
    if not SHORTEST_TOKEN <= len(token) <= LONGEST_TOKEN_FILE_BYTES or not token.isascii() or any(byte <= 32 for byte in token):
        raise InvalidConfiguration([f"{path}: a token is one line of {SHORTEST_TOKEN} or more visible ASCII characters"])
    return token.decode("ascii")
