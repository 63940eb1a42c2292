"""TCP connections whose other end is gone without a word (a machine pulled out, a cable cut) end by themselves: see tcp(7)."""

import socket
from typing import Any, Final

SILENT_FOR_S: Final = 10
PROBE_EVERY_S: Final = 5
UNREAD_FOR_S: Final = 60
"""How long a probe or what was sent may stay unacknowledged, or the other end may refuse to take any more."""


def notice_lost_peers(sock: Any) -> None:
    """Let the kernel ask a silent peer, and give up one that takes nothing. ``sock``: a TCP socket, or a loop's stand-in for it."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENT_FOR_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, PROBE_EVERY_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_FOR_S * 1000)
