"""What a storage worker knows about itself that must survive: one record in LMDB, written with the data it speaks of.

Pure. The record is JSON, so that `mdb_dump` can be read by people. Its ``format`` is what a later program checks first.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import msgspec

FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Lock:
    """The newest recovery that locked this worker."""

    generation: int
    recovery_id: str


@dataclass(frozen=True, slots=True)
class Stored:
    """The record.

    ``durable_version``: the version LMDB's data is at. ``locked``: a recovery is under way, nothing is pulled. ``lock``: the
    newest there ever was; older ones stay refused after the unlock. ``layout``: what the last unlock gave; it names the logs.
    ``nodes`` and ``next_node``: see long_keys.py.
    """

    durable_version: int = 0
    locked: bool = False
    lock: Lock | None = None
    layout: Mapping[str, Any] | None = None
    nodes: int = 0
    next_node: int = 1
    format: int = FORMAT

    def encode(self) -> bytes:
        return msgspec.json.encode(asdict(self))


class UnreadableStore(Exception):
    """The record is not one of ours, or of a format this program does not know. The data is left as it is."""


def decode_stored(data: bytes | None) -> Stored:
    """The record, or a fresh one where there is none yet."""
    if data is None:
        return Stored()
    try:
        raw = msgspec.json.decode(data)
        if raw.get("format") != FORMAT:
            raise UnreadableStore(f"the store has format {raw.get('format')!r}; this program knows {FORMAT}")
        return msgspec.convert(raw, Stored)
    except (msgspec.MsgspecError, AttributeError) as error:
        raise UnreadableStore(f"the store's own record cannot be read: {error}") from error


def locked_by(stored: Stored, lock: Lock) -> Stored | None:
    """The record once ``lock`` holds; None when a newer one does (then the caller is deposed).

    The same lock again is a retry and holds. Of two recoveries in one generation the first to come holds: ids have no order.
    """
    held = stored.lock
    if held is not None and (lock.generation < held.generation or (lock.generation == held.generation and lock != held)):
        return None
    return replace(stored, locked=True, lock=lock)


def unlocked(stored: Stored, layout: Mapping[str, Any]) -> Stored:
    """The record once the recovery is over."""
    return replace(stored, locked=False, layout=layout)
