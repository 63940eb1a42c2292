"""What a storage worker knows about itself that must survive: one record in LMDB, written with the data it speaks of.

Pure. The record is JSON, so that `mdb_dump` can be read by people. Its ``format`` is what a later program checks first.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import msgspec

from foreman.core.data_errors import DurableVersionAhead, InvalidCommand, NewerLockExists
from foreman.core.mutations import Version
from foreman.workers.storage.key_range import ALL_KEYS, KeyRange
from foreman.workers.storage.layout import Layout

FORMAT: Final = 2
_READABLE: Final = frozenset({1, 2})
"""1 knew neither ranges nor refills: it reads as all keys, complete."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The newest recovery that locked this worker."""

    generation: int
    recovery_id: str


@dataclass(frozen=True, slots=True)
class Refill:
    """The data is being copied from a replica, or was and is not whole yet.

    Pages are read one after the other, and not all at one version: each at some version from ``first`` through ``through``. The logs
    from ``first`` on, applied on top, make them agree from ``through`` on (refilling.py says why). ``next``: the first key that is
    still to be copied; None: all are. ``keys`` and ``size_bytes``: how many came, for people.
    """

    first: Version
    through: Version
    next: bytes | None
    keys: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Stored:
    """The record.

    ``durable_version``: the version LMDB's data is at. ``locked``: a recovery is under way, nothing is pulled. ``lock``: the
    newest there ever was; older ones stay refused after the unlock. ``layout``: what the last unlock gave; it names the logs.
    ``key_range``: what is held. ``refill``: None when the data is whole; else it is no data to answer with, and ``durable_version`` only
    says from where the logs go on. ``leftover``: what was held before and may still have data. ``nodes`` and ``next_node``: see
    long_keys.py.
    """

    durable_version: int = 0
    locked: bool = False
    lock: Lock | None = None
    layout: Mapping[str, Any] | None = None
    key_range: KeyRange = ALL_KEYS
    refill: Refill | None = None
    leftover: tuple[KeyRange, ...] = ()
    nodes: int = 0
    next_node: int = 1
    format: int = FORMAT

    @property
    def is_fresh(self) -> bool:
        """Nothing was ever written or told."""
        return self.durable_version == 0 and self.layout is None and self.refill is None

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
        if raw.get("format") not in _READABLE:
            raise UnreadableStore(f"the store has format {raw.get('format')!r}; this program knows {FORMAT}")
        return replace(msgspec.convert(raw, Stored), format=FORMAT)
    except (msgspec.MsgspecError, AttributeError) as error:
        raise UnreadableStore(f"the store's own record cannot be read: {error}") from error


def locked_by(stored: Stored, lock: Lock) -> Stored | None:
    """The record once ``lock`` holds; None when a newer one does (then the caller is deposed).

    The same lock again is a retry while it holds; once its recovery has unlocked this it is spent, so one that comes late does nothing. Of
    two recoveries in one generation the first to come holds: ids have no order.
    """
    held = stored.lock
    if held is not None and lock.generation <= held.generation and not (held == lock and stored.locked):
        return None
    return replace(stored, locked=True, lock=lock)


@dataclass(frozen=True, slots=True)
class Unlocking:
    """What an unlock comes to. ``drop``: all data goes."""

    stored: Stored
    drop: bool


def unlocked(stored: Stored, version: Version, raw: Mapping[str, Any], layout: Layout) -> Unlocking:
    """The record once the recovery is over. Raises DurableVersionAhead, InvalidCommand, NewerLockExists.

    What is durable cannot be rolled back. Data beyond ``version`` is right all the same if the layout's logs hold it, which is what its
    ``last_version`` says; beyond that it is data that the cluster does not have, and must not stay.
    """
    _check_holder(stored, raw)
    keys = stored.key_range if layout.key_range is None else layout.key_range
    target = replace(stored, locked=False, layout=raw, key_range=keys)
    last = max(version, layout.last_version or 0)
    if layout.reset:
        return Unlocking(_emptied(target), drop=True)
    if stored.refill is not None and (keys != stored.key_range or max(stored.refill.through, stored.durable_version) > last):
        return Unlocking(_emptied(target), drop=True)  # it was not whole anyway; the copy begins anew
    if stored.durable_version > last:
        raise DurableVersionAhead(stored.durable_version, last)
    if stored.durable_version and not stored.key_range.covers(keys.begin, keys.end):
        raise InvalidCommand("the layout's key_range is wider than what this worker holds; it needs reset, and replicas to copy from")
    if keys != stored.key_range:
        target = replace(target, leftover=keys.outside())
    return Unlocking(target, drop=False)


def _check_holder(stored: Stored, raw: Mapping[str, Any]) -> None:
    """That a director who says who it is (in the layout) is who locked this: its UNLOCK may come late, after a newer one's LOCK."""
    who, lock = (raw.get("epoch"), raw.get("recovery_id")), stored.lock
    if lock is not None and None not in who and who != (lock.generation, lock.recovery_id):
        raise NewerLockExists(lock.generation, lock.recovery_id)


def _emptied(stored: Stored) -> Stored:
    return replace(stored, durable_version=0, refill=None, leftover=())


def cleared_up_to(stored: Stored, part: KeyRange, next_key: bytes | None) -> Stored:
    """The record when ``part``, the first leftover range, has nothing before ``next_key`` any more; None: nothing at all."""
    if stored.leftover[:1] != (part,):
        return stored  # the range was changed meanwhile, and what is left over with it
    rest = () if next_key is None else (KeyRange(next_key, part.end),)
    return replace(stored, leftover=(*rest, *stored.leftover[1:]))


def refill_begun(stored: Stored, first: Version) -> Stored:
    """The record when a copy begins: all data is dropped with it."""
    return replace(stored, durable_version=first, refill=Refill(first, first, stored.key_range.begin), leftover=())


def page_copied(stored: Stored, keys: int, size_bytes: int, next_key: bytes | None, through: Version) -> Stored:
    """The record with one page more; whole when it was the last, and none is newer than where the logs go on."""
    refill = stored.refill
    assert refill is not None
    newest = max(through, refill.through)
    if next_key is None and newest <= refill.first:
        return replace(stored, refill=None)
    return replace(stored, refill=Refill(refill.first, newest, next_key, refill.keys + keys, refill.size_bytes + size_bytes))


def flushed_through(stored: Stored, version: Version) -> Stored:
    """The record when LMDB's data reaches ``version``: a copy is whole when that is past its newest page."""
    refill = stored.refill
    whole = refill is None or (refill.next is None and refill.through <= version)
    return replace(stored, durable_version=version, refill=None if whole else refill)
