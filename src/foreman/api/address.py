"""Where a node answers: a data directory, ``unix:PATH``, or ``https://HOST:PORT``. Looks at links, connects to nothing."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from foreman.core.errors import InvalidRequest

SOCKET_NAME: Final = "foreman.sock"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """``tls``: https. Plain http is for a token on loopback only; the node itself refuses to listen otherwise."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


Address = UnixAddress | TcpAddress


def resolve_address(target: str | Path) -> Address:
    """The address behind what a user gives. Raises InvalidRequest for what can be none."""
    text = str(target)
    if not text or "\0" in text:
        raise InvalidRequest(["an address is a data directory, unix:PATH or https://HOST:PORT"])
    if text.startswith("unix:"):
        return UnixAddress(text.removeprefix("unix:").removeprefix("//"))
    if text.startswith(("http://", "https://")):
        return _tcp(text)
    return UnixAddress(str(socket_of(Path(text))))


def socket_of(data: Path) -> Path:
    """The Unix socket of the node on ``data``. DATA/run may be a link to a short path, because socket names are short."""
    return Path(os.path.realpath(data / "run")) / SOCKET_NAME


def _tcp(url: str) -> TcpAddress:
    parts = urlsplit(url) if url.isprintable() else urlsplit("")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.path.strip("/") or parts.query or parts.username is not None:
        raise InvalidRequest([f"{url[:200]!r} is no address of a node: https://HOST:PORT"])
    return TcpAddress(host, port or (443 if parts.scheme == "https" else 80), parts.scheme == "https")
