"""Which segments nobody needs any more. Pure.

A reader says with each pull how far it is durable itself (SUBSCRIBER id durable_version). What every reader has may go, a whole segment
at a time, never the one that is written. A log that no reader ever subscribed to keeps everything. A reader may fall back (it was
rebuilt); its word counts as it was said last.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from foreman.core.data_errors import InvalidCommand
from foreman.core.mutations import Version

MAX_SUBSCRIBERS: Final = 1024
SUBSCRIBERS_FILE: Final = "subscribers.json"


class Subscribers:
    """``unsaved``: somebody is new or fell back since it was last written down; that must be durable before anything is recycled."""

    def __init__(self, durable: Mapping[str, Version]) -> None:
        self._durable = dict(durable)
        self.unsaved = False

    def hear(self, subscriber: str, durable_version: Version) -> None:
        """Raises InvalidCommand when there are too many."""
        before = self._durable.get(subscriber)
        if before == durable_version:
            return
        if before is None and len(self._durable) >= MAX_SUBSCRIBERS:
            raise InvalidCommand(f"there are {MAX_SUBSCRIBERS} subscribers already")
        self._durable[subscriber] = durable_version
        self.unsaved = self.unsaved or before is None or durable_version < before

    def minimum(self) -> Version | None:
        return min(self._durable.values(), default=None)

    def encode(self) -> bytes:
        """What is to be written down now."""
        self.unsaved = False
        return json.dumps(self._durable, sort_keys=True).encode() + b"\n"

    def clear(self) -> None:
        """The log begins anew; who reads it will say so."""
        self._durable = {}
        self.unsaved = True

    def __len__(self) -> int:
        return len(self._durable)


def decode_subscribers(data: bytes) -> dict[str, Version]:
    """Raises ValueError: without their word nothing may be recycled."""
    found = json.loads(data)
    if not isinstance(found, dict) or not all(type(version) is int for version in found.values()):
        raise ValueError(f"{SUBSCRIBERS_FILE} cannot be read")
    return found


def count_unneeded(lasts: Sequence[Version], minimum: Version | None) -> int:
    """How many of the first sealed segments, with these last versions, every subscriber has."""
    if minimum is None:
        return 0
    return next((number for number, last in enumerate(lasts) if last > minimum), len(lasts))
