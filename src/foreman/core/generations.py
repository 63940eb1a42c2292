"""Which director a command comes from, and so whether a newer one has commanded since. Pure.

A *generation* is the epoch and the attempt of a director, and the identity of the directory that gave the epoch: epochs only mean
something within one directory, and one that was emptied begins to count anew. Directors send theirs with everything they ask of a node;
people send none.
"""

import re
from dataclasses import dataclass
from typing import Final

from foreman.core.errors import InvalidRequest

HEADER: Final = "foreman-generation"
DIRECTED: Final = re.compile(r"(log|storage)-([0-9]{1,19})-([0-9a-f]{8})-([0-9]{1,5})-([0-9a-f]{8})", re.ASCII)
"""The names of workers that directors make: role, epoch, recovery id, slot, node (control/attempt.py)."""
_TEXT: Final = re.compile(r"([0-9]{1,19})-([0-9a-f]{8})-([0-9a-f]{16})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Generation:
    """``recovery_id``: 8 hex digits. ``directory``: the identity of the directory, 16 hex digits."""

    epoch: int
    recovery_id: str
    directory: str

    def __str__(self) -> str:
        return f"{self.epoch}-{self.recovery_id}-{self.directory}"

    def is_older_than(self, other: "Generation") -> bool:
        """Of one directory. An epoch is given once; should it ever be given twice, only the first attempt that was seen counts."""
        return self.epoch < other.epoch or (self.epoch == other.epoch and self.recovery_id != other.recovery_id)


def parse_generation(text: str) -> Generation:
    """What ``str`` of a generation wrote. Raises InvalidRequest."""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise InvalidRequest([f"{HEADER} must be EPOCH-RECOVERY-DIRECTORY, with 8 and 16 hex digits, not {text[:80]!r}"])
    return Generation(int(found[1]), found[2], found[3])


def is_directed(id: str) -> bool:
    """Whether a director made the worker of this name."""
    return DIRECTED.fullmatch(id) is not None
