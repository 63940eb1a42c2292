"""A worker's TCP port: the one it had before, if it is still to be had, else the first that is.

Who follows a worker knows it by host and port, so it comes back where it was. Owns one small file in the run directory, which says where
that was; what stands there is only a first guess.
"""

import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, Final

from foreman.kernel.files import read_bounded
from foreman.kernel.lost_peers import notice_lost_peers

PORT_FILE: Final = "port"
_MAX_DIGITS: Final = 5

Where = tuple[int, tuple[Any, ...]]
"""A family and its socket address, as getaddrinfo(3) gives them."""


def bind_tcp(where: Where, ports: range, run: str) -> socket.socket:
    """A socket bound to ``where`` on one of ``ports`` (0: any). Raises OSError: none is free, or the address is not ours."""
    family, address = where
    refused: OSError | None = None
    for port in _in_order(ports, _remembered(run)):
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            notice_lost_peers(bound)  # accepted connections inherit it
            bound.setblocking(False)
            bound.bind((address[0], port, *address[2:]))
        except OSError as error:
            bound.close()
            refused = error
            if error.errno != errno.EADDRINUSE:
                break
        else:
            _remember(run, bound.getsockname()[1])
            return bound
    assert refused is not None, "a range of ports is not empty"
    raise refused


def shown_host(host: str, bound: socket.socket) -> str:
    """By what name others reach it: as it was given (certificates are for names); the machine's when it stands for all addresses."""
    if ip_address(bound.getsockname()[0]).is_unspecified:
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _in_order(ports: range, remembered: int | None) -> Iterator[int]:
    if remembered is not None and (remembered in ports or ports == range(1)):
        yield remembered
    yield from (port for port in ports if port != remembered)


def _remembered(run: str) -> int | None:
    try:
        text = read_bounded(f"{run}/{PORT_FILE}", _MAX_DIGITS + 1)
    except OSError:
        return None
    return int(text) if text.isdigit() and 0 < int(text) < 1 << 16 else None


def _remember(run: str, port: int) -> None:
    """Best effort: without it the worker comes back elsewhere, and is found there."""
    with contextlib.suppress(OSError):
        temporary = f"{run}/{PORT_FILE}.new"
        with open(temporary, "w", encoding="ascii") as file:
            file.write(str(port))
        os.replace(temporary, f"{run}/{PORT_FILE}")
