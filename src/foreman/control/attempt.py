"""One attempt of one director, and the names it gives. Pure.

Every worker that a director makes is named after the attempt that wanted it: a retry asks for the same worker and makes no stray, two
directors never ask for the same one, and whoever finds a worker knows which epoch made it.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from zlib import crc32

from foreman.core.generations import DIRECTED
from foreman.core.ids import WorkerId, parse_worker_id


@dataclass(frozen=True, slots=True)
class Attempt:
    """What every command of this director carries. ``epoch`` is the generation of its locks; ``recovery_id``: 8 hex digits."""

    epoch: int
    recovery_id: str

    def worker(self, role: str, slot: int, node: str) -> WorkerId:
        """``role``: log or storage. ``slot``: which one of the wanted, counted from 0. Placed elsewhere it is another worker."""
        return parse_worker_id(f"{role}-{self.epoch}-{self.recovery_id}-{slot}-{crc32(node.encode()):08x}")


@dataclass(frozen=True, slots=True)
class Origin:
    """Which attempt made a worker, and what for."""

    role: str
    epoch: int
    recovery_id: str
    slot: int


def origin_of(id: str) -> Origin | None:
    """None: no director made it, so none may touch it."""
    found = DIRECTED.fullmatch(id)
    return None if found is None else Origin(found[1], int(found[2]), found[3], int(found[4]))


def is_spent(id: str, layout_epoch: int, named: AbstractSet[str]) -> bool:
    """Whether a director made this worker and no layout, now or ever again, can name it.

    The layout of ``layout_epoch`` names ``named``. Each recovery after it keeps only what its predecessor's layout named, and makes the
    rest under a higher epoch; so what is as old as this layout, and not in it, is spent for good, whoever leads by now.
    """
    origin = origin_of(id)
    return origin is not None and origin.epoch <= layout_epoch and id not in named
