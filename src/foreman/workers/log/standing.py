"""What a log knows about itself besides its transactions: the epoch, the lock, a recovery under way. Kept beside the segments.

Pure: values and their JSON form. Written by the disk with fsync and rename before anybody is answered.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

from foreman.core.mutations import Version

FORMAT: Final = 1
STANDING_FILE: Final = "standing.json"


class UnreadableStanding(ValueError):
    """The file is not one of ours. Nothing is guessed: a log that forgot its lock would let a deposed writer in."""


@dataclass(frozen=True, slots=True)
class Lock:
    """The newest recovery that ever locked this log; ``held`` until a recovery has filled the log."""

    generation: int
    recovery_id: str
    held: bool


@dataclass(frozen=True, slots=True)
class Recovery:
    """``first`` and ``last`` of the newest RECOVER: it copies what is after ``first``, through ``last``."""

    first: Version
    last: Version


@dataclass(frozen=True, slots=True)
class Standing:
    """``epoch``: pushes of an older one are refused."""

    epoch: int = 0
    lock: Lock | None = None
    recovery: Recovery | None = None

    @property
    def locked(self) -> bool:
        return self.lock is not None and self.lock.held

    def encode(self) -> bytes:
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True).encode() + b"\n"


def decode_standing(data: bytes) -> Standing:
    """Raises UnreadableStanding."""
    try:
        fields = json.loads(data)
        if fields.pop("format") != FORMAT:
            raise UnreadableStanding(f"{STANDING_FILE} has a format that this program does not know")
        lock, recovery = fields["lock"], fields["recovery"]
        return Standing(_integer(fields["epoch"]), _lock(lock) if lock else None, _recovery(recovery) if recovery else None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableStanding(f"{STANDING_FILE} cannot be read: {error}") from None


def _lock(fields: dict[str, Any]) -> Lock:
    return Lock(_integer(fields["generation"]), str(fields["recovery_id"]), bool(fields["held"]))


def _recovery(fields: dict[str, Any]) -> Recovery:
    return Recovery(_integer(fields["first"]), _integer(fields["last"]))


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no integer")
    return value
