"""Who holds which keys: the storage workers as planning sees them. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from foreman.control.placement import Place
from foreman.core.mutations import Version
from foreman.directory.records import ClusterSpec, Joiner, Layout, Placement
from foreman.workers.storage.key_range import KeyRange

_Who = TypeVar("_Who")


@dataclass(frozen=True, slots=True)
class Holder:
    """A storage worker that holds all of ``keys``, or did when it was last seen, or (``through`` 0 and away) is being filled with them.

    ``through``: what it has through this version is good. ``serving``: it is a member now. ``leaving``: nothing is to stay on its node.
    ``away``: it does not serve now, and is waited for. ``given_up``: it is away for too long to keep a seat for it; its data would still be
    welcome.
    """

    worker: Placement
    domain: str
    keys: KeyRange
    through: Version = 0
    serving: bool = False
    leaving: bool = False
    away: bool = False
    given_up: bool = False

    @property
    def place(self) -> Place:
        return Place(self.worker.node, self.domain)

    @property
    def fills(self) -> bool:
        """It has no data yet."""
        return self.away and self.through == 0

    @property
    def may_sit(self) -> bool:
        return not (self.leaving or self.given_up)


def best_first(holder: Holder) -> tuple[bool, bool, bool, bool, str, str]:
    """The order in which seats are given. Nothing in it changes while the holder does its work, so that plans are stable."""
    return (holder.leaving, holder.away, holder.fills, not holder.serving, holder.worker.id, holder.worker.node)


def ranges_of(spec: ClusterSpec) -> list[KeyRange]:
    """The key ranges of the teams that are wished for, ascending."""
    return [KeyRange(begin, end) for begin, end in zip((b"", *spec.splits), (*spec.splits, None), strict=True)]


def hull(ranges: Iterable[KeyRange]) -> KeyRange:
    """The smallest range that covers all; there is at least one."""
    several = list(ranges)
    ends = [keys.end for keys in several]
    return KeyRange(min(keys.begin for keys in several), None if None in ends else max(end for end in ends if end is not None))


def overlap(one: KeyRange, other: KeyRange) -> bool:
    """Whether they have keys in common."""
    return (other.end is None or one.begin < other.end) and (one.end is None or other.begin < one.end)


def pieces(within: KeyRange, ranges: Iterable[KeyRange]) -> list[KeyRange]:
    """``within``, cut wherever one of ``ranges`` begins or ends, so that each covers all of a piece or none."""
    cuts = {cut for keys in ranges for cut in (keys.begin, keys.end) if cut is not None and within.contains(cut)}
    begins = sorted(cuts | {within.begin})
    return [KeyRange(begin, end) for begin, end in zip(begins, (*begins[1:], within.end), strict=True)]


def fits(held: KeyRange, ranges: Sequence[KeyRange]) -> range:
    """Which of ``ranges``, which ascend and do not overlap, are held whole."""
    first = bisect_left(ranges, held.begin, key=lambda keys: keys.begin)
    if held.end is None:
        return range(first, len(ranges))
    last = bisect_right(ranges, held.end, key=lambda keys: keys.begin)
    while last > first and not held.covers(ranges[last - 1].begin, ranges[last - 1].end):
        last -= 1
    return range(first, last)


def by_piece(within: KeyRange, held: Sequence[tuple[KeyRange, _Who]]) -> list[tuple[KeyRange, list[_Who]]]:
    """``within``, cut wherever one of the ranges that are held begins or ends, and who holds each piece, in their order."""
    ranges = pieces(within, (keys for keys, _ in held))
    there: list[list[_Who]] = [[] for _ in ranges]
    for keys, who in held:
        for number in fits(keys, ranges):
            there[number].append(who)
    return list(zip(ranges, there, strict=True))


def held_by(layout: Layout) -> dict[Placement, KeyRange]:
    """What each storage worker that a layout names holds by it, or is to hold; a member of several teams holds all from first to last."""
    members: dict[Placement, list[KeyRange]] = {}
    joining: dict[Placement, KeyRange] = {}
    for team in layout.teams:
        for worker in team.members:
            members.setdefault(worker, []).append(KeyRange(team.begin, team.end))
        joining |= {joiner.worker: _keys_of(joiner, KeyRange(team.begin, team.end)) for joiner in team.joining}
    return joining | {worker: hull(ranges) for worker, ranges in members.items()}


def _keys_of(joiner: Joiner, team: KeyRange) -> KeyRange:
    """What a joiner of this team is to hold."""
    return team if joiner.keys is None else KeyRange(*joiner.keys)
