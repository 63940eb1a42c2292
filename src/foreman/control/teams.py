"""Who is in which storage team, and who holds which keys: keep what holds data, fill only the gaps, never lose the last copy. Pure.

The wish cuts the key space into ranges. For each there are *seats*, as many as there are to be replicas, and only who holds all of a range
takes one of its seats (seating.py); one that is away for a while keeps its own; for each empty seat a worker is recruited, that copies the
range from those who hold it and joins when it is filled.

**Nobody gives up a key before the new order is whole.** Ranges that some holder straddles change together: a cut, a merge and a cut that
moves are the same thing. While not all their seats are taken by workers that are there and hold the data, *everybody* who holds data serves
all that it holds, by the ranges that this makes; who is away with data is waited for, even beyond its seat. When all seats are taken, those
who sit serve, each narrowed to its range, and the others go. So a key never has fewer holders than before, unless it has as many as are
wished for; and a plan made on its own result is the same plan.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from foreman.control.holders import Holder, best_first, by_piece, fits, hull, ranges_of
from foreman.control.placement import Place, place
from foreman.control.seating import seat
from foreman.directory.records import ClusterSpec, Joiner, Placement, StorageTeam
from foreman.workers.storage.key_range import KeyRange

Recruit = Callable[[int, str], Placement]
"""(slot, node) → the worker that is to be made there."""


@dataclass(frozen=True, slots=True)
class StoragePlan:
    """``recruits``: those of ``teams`` that are to be made. ``keys``: what each member is to hold from now on. It holds all of that
    already, except for recruits, which the logs fill.
    """

    teams: tuple[StorageTeam, ...]
    recruits: tuple[Placement, ...] = ()
    keys: Mapping[Placement, KeyRange] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoMember:
    """Nobody is there who holds the keys from ``begin`` on."""

    begin: bytes


@dataclass(slots=True)
class _Part:
    """Ranges that are decided together, and all who hold any of their keys."""

    ranges: list[KeyRange] = field(default_factory=list)
    holders: list[Holder] = field(default_factory=list)
    first_slot: int = 0


def plan_teams(
    spec: ClusterSpec, holders: Sequence[Holder], places: Sequence[Place], recruit: Recruit, *, replay_fills: bool
) -> StoragePlan | NoMember:
    """``places``: where workers may be recruited. ``replay_fills``: what the new logs will hold is all there ever was, so even an
    empty worker may serve when nobody else can.
    """
    load = Counter(holder.worker.node for holder in holders if holder.may_sit)
    domains = frozenset(each.domain for each in places)
    plans: list[StoragePlan] = []
    for part in _parts(spec, holders):
        seated = seat([holder for holder in part.holders if holder.may_sit], part.ranges, spec.storage_replicas, domains)
        planned = _plan_part(part, seated, spec.storage_replicas, places, recruit, load, replay_fills=replay_fills)
        if isinstance(planned, NoMember):
            return planned
        plans.append(planned)
    return StoragePlan(
        tuple(team for plan in plans for team in plan.teams),
        tuple(worker for plan in plans for worker in plan.recruits),
        {worker: keys for plan in plans for worker, keys in plan.keys.items()},
    )


def _parts(spec: ClusterSpec, holders: Sequence[Holder]) -> list[_Part]:
    """The key space cut at those of the wished cuts that no holder straddles. Who is being filled with what nobody wants is left out."""
    ranges = ranges_of(spec)
    useful = [each for each in holders if not each.fills or fits(each.keys, ranges)]
    waiting = sorted(useful, key=lambda holder: holder.keys.begin)
    parts: list[_Part] = []
    part, at = _Part(), 0
    for number, keys in enumerate(ranges):
        part.ranges.append(keys)
        while at < len(waiting) and (keys.end is None or waiting[at].keys.begin < keys.end):
            part.holders.append(waiting[at])
            at += 1
        if keys.end is None or not any(holder.keys.end is None or holder.keys.end > keys.end for holder in part.holders):
            part.holders.sort(key=best_first)
            parts.append(part)
            part = _Part(first_slot=(number + 1) * spec.storage_replicas)
    return parts


def _plan_part(
    part: _Part,
    seated: Sequence[Sequence[Holder]],
    replicas: int,
    places: Sequence[Place],
    recruit: Recruit,
    load: "Counter[str]",
    *,
    replay_fills: bool,
) -> StoragePlan | NoMember:
    """``seated``: for each range of the part, who sits there."""
    if all(len(there) == replicas and not any(holder.away for holder in there) for there in seated):
        return _whole(part.ranges, seated)
    recruits: list[list[Placement]] = []
    for number, there in enumerate(seated):
        nodes = place(replicas - len(there), places, beside=[holder.place for holder in there], load=load)
        load.update(nodes)
        recruits.append([recruit(part.first_slot + number * replicas + slot, node) for slot, node in enumerate(nodes)])
    joiners = _joiners(part, seated, recruits)
    teams = _all_that_is_held(part)
    if isinstance(teams, NoMember):
        return _by_replay(part.ranges, seated, recruits, joiners) if replay_fills and any(recruits) else teams
    told = {holder.worker: holder.keys for holder in part.holders if not holder.away}
    return StoragePlan(_with_joiners(teams, joiners), _flat(recruits), told)


def _whole(ranges: Sequence[KeyRange], seated: Sequence[Sequence[Holder]]) -> StoragePlan:
    """The new order: who sits serves its range and holds nothing else."""
    teams = [StorageTeam(keys.begin, keys.end, _names(there)) for keys, there in zip(ranges, seated, strict=True)]
    return StoragePlan(tuple(teams), keys={holder.worker: keys for keys, there in zip(ranges, seated, strict=True) for holder in there})


def _joiners(part: _Part, seated: Sequence[Sequence[Holder]], recruits: Sequence[Sequence[Placement]]) -> list[tuple[KeyRange, Joiner]]:
    """All that are to become members, with what they are to hold then."""
    sitting = {holder.worker for there in seated for holder in there}
    away = [holder for holder in part.holders if holder.away and (holder.worker in sitting or not holder.fills)]
    waited_for = [(holder.keys, Joiner(holder.worker, holder.through)) for holder in away]
    new = [(keys, Joiner(worker)) for keys, there in zip(part.ranges, recruits, strict=True) for worker in there]
    return waited_for + new


def _all_that_is_held(part: _Part) -> list[StorageTeam] | NoMember:
    """Everybody who is there serves what it holds. Cut wherever the keys of one of them begin or end."""
    members = by_piece(hull(part.ranges), [(holder.keys, holder.worker) for holder in part.holders if not holder.away])
    unheld = next((keys for keys, there in members if not there), None)
    if unheld is not None:
        return NoMember(unheld.begin)
    return [StorageTeam(keys.begin, keys.end, tuple(there)) for keys, there in members]


def _by_replay(
    ranges: Sequence[KeyRange],
    seated: Sequence[Sequence[Holder]],
    recruits: Sequence[Sequence[Placement]],
    joiners: Sequence[tuple[KeyRange, Joiner]],
) -> StoragePlan | NoMember:
    """Who sits serves, and where nobody does the recruits, which the logs fill."""
    teams: list[StorageTeam] = []
    told: dict[Placement, KeyRange] = {}
    for keys, there, new in zip(ranges, seated, recruits, strict=True):
        members = _names(holder for holder in there if not holder.away) or tuple(new)
        if not members:
            return NoMember(keys.begin)
        told |= dict.fromkeys(members, keys)
        teams.append(StorageTeam(keys.begin, keys.end, members))
    still = [(keys, joiner) for keys, joiner in joiners if joiner.worker not in told]
    return StoragePlan(_with_joiners(teams, still), _flat(recruits), told)


def _with_joiners(teams: Sequence[StorageTeam], joiners: Sequence[tuple[KeyRange, Joiner]]) -> tuple[StorageTeam, ...]:
    """Each joiner stands in the team that its keys begin in; its keys are named where they are not the team's."""
    joining: list[list[Joiner]] = [[] for _ in teams]
    for keys, joiner in joiners:
        number = bisect_right(teams, keys.begin, key=lambda team: team.begin) - 1
        is_own = keys == KeyRange(teams[number].begin, teams[number].end)
        joining[number].append(joiner if is_own else replace(joiner, keys=(keys.begin, keys.end)))
    return tuple(replace(team, joining=tuple(there)) for team, there in zip(teams, joining, strict=True))


def _names(holders: Iterable[Holder]) -> tuple[Placement, ...]:
    return tuple(holder.worker for holder in holders)


def _flat(several: Iterable[Iterable[Placement]]) -> tuple[Placement, ...]:
    return tuple(worker for each in several for worker in each)


def without_recruits(plan: StoragePlan, failed: frozenset[Placement]) -> StoragePlan:
    """The plan when some recruits could not be made; its members must remain."""
    teams = [
        replace(
            team,
            members=tuple(worker for worker in team.members if worker not in failed),
            joining=tuple(joiner for joiner in team.joining if joiner.worker not in failed),
        )
        for team in plan.teams
    ]
    return StoragePlan(
        tuple(teams),
        tuple(each for each in plan.recruits if each not in failed),
        {worker: keys for worker, keys in plan.keys.items() if worker not in failed},
    )
