"""How much a peer may ask of a worker before it is told no. Every queue and buffer of the wire has its bound here."""

from dataclasses import dataclass
from typing import Final

from foreman.core.mutations import MAX_TRANSACTION_BYTES

MEBIBYTE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds.

    The memory that peers can make the wire hold is bounded by ``connections * (write_high + reply_held)`` plus ``partial_total``; replies
    of more than ``write_high`` go out one at a time.
    """

    connections: int = 1000
    frame_bytes: int = MAX_TRANSACTION_BYTES + 2 * MEBIBYTE
    """One command. More is answered with TOOLARGE, and the connection is closed."""
    frame_bytes_before_auth: int = 4096
    elements: int = 20_000
    """Arguments of one command (MGET takes many)."""
    pipeline: int = 4096
    """Commands of one connection that wait for their answer; beyond, nothing more is read from it."""
    partial_total_bytes: int = 256 * MEBIBYTE
    """Half-received commands of all connections together."""
    reply_held_bytes: int = 8 * MEBIBYTE
    """Answers of one connection that are ready but wait for an earlier one; beyond, nothing more is read from it."""
    write_high_bytes: int = MEBIBYTE
    """Unsent answers of one connection; beyond, nothing more is read from it."""
    slow_reader_s: float = 30.0
    """How long a peer may leave its answers unread before it is cut off."""
    linger_s: float = 1.0
    """How long a refused peer may still read its error before the connection goes."""
