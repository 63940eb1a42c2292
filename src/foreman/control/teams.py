"""Who is in which storage team: keep what holds data, fill only the gaps. Pure.

Every storage worker follows the logs whole, so each that holds data holds all keys and may serve any range; where it served before it
stays if it can. A team is made of *seats*, as many as there are to be replicas:

- a holder that is to stay takes a seat and serves;
- one that is away for a while takes a seat too and joins when it is back;
- for each empty seat a new worker is recruited, which joins when it is filled.

While seats are not all served, holders that are to go (their node is drained, or they crowd a fault domain) serve on. Nobody serves who
does not hold the data.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from foreman.control.placement import Place, place
from foreman.core.mutations import Version
from foreman.directory.records import ClusterSpec, Joiner, Placement, StorageTeam

Recruit = Callable[[int, str], Placement]
"""(slot, node) → the worker that is to be made there."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A storage worker that holds data, or did when it was last seen. ``home``: where the range it served begins; None: new.

    ``durable``: what it has and is good. ``leaving``: nothing is to stay on its node. ``away``: it does not answer, and is waited for.
    """

    worker: Placement
    domain: str
    home: bytes | None
    durable: Version = 0
    leaving: bool = False
    away: bool = False

    @property
    def place(self) -> Place:
        return Place(self.worker.node, self.domain)


@dataclass(frozen=True, slots=True)
class TeamPlan:
    """``recruits``: those of ``team`` that are to be made."""

    team: StorageTeam
    recruits: tuple[Placement, ...]


@dataclass(frozen=True, slots=True)
class NoMember:
    """The team of the range beginning at ``begin`` would have nobody who holds its data."""

    begin: bytes


def ranges_of(spec: ClusterSpec) -> list[tuple[bytes, bytes | None]]:
    """The key ranges of the teams, ascending."""
    return list(zip((b"", *spec.splits), (*spec.splits, None), strict=True))


def plan_teams(
    spec: ClusterSpec, holders: Sequence[Holder], places: Sequence[Place], recruit: Recruit, *, replay_fills: bool
) -> list[TeamPlan] | NoMember:
    """``places``: where workers may be recruited. ``replay_fills``: what the new logs will hold is all there ever was, so even an
    empty worker may serve when nobody else can.
    """
    ranges = ranges_of(spec)
    homes = _at_home(ranges, holders, spec.storage_replicas)
    load = Counter(holder.worker.node for holder in holders if not holder.leaving)
    plans: list[TeamPlan] = []
    for number, (begin, end) in enumerate(ranges):
        seats = _seat(homes[begin], places, spec.storage_replicas)
        beside = [holder.place for holder in seats]
        nodes = place(spec.storage_replicas - len(seats), places, beside=beside, load=load)
        load.update(nodes)
        recruits = tuple(recruit(number * spec.storage_replicas + slot, node) for slot, node in enumerate(nodes))
        plan = _team((begin, end), homes[begin], seats, recruits, spec.storage_replicas)
        if plan is None:
            plan = _borrow((begin, end), seats, recruits, holders, replay_fills=replay_fills)
        if plan is None:
            return NoMember(begin)
        plans.append(plan)
    return plans


def _at_home(ranges: Iterable[tuple[bytes, bytes | None]], holders: Sequence[Holder], replicas: int) -> dict[bytes, list[Holder]]:
    """Each holder in one team: where it served; else where somebody is needed most."""
    homes: dict[bytes, list[Holder]] = {begin: [] for begin, _ in ranges}
    homeless: list[Holder] = []
    for holder in sorted(holders, key=_best_first):
        if holder.home in homes:
            homes[holder.home].append(holder)
        else:
            homeless.append(holder)
    for begin, team in homes.items():  # a team has more than it needs: others may need them
        useful = _seat(team, (), replicas)
        homeless += [holder for holder in team if holder not in useful and not (holder.leaving or holder.away)]
        homes[begin] = [holder for holder in team if holder not in homeless]
    for holder in homeless:
        poorest = min(homes, key=lambda begin: (sum(not each.leaving for each in homes[begin]), begin))
        homes[poorest].append(holder)
    return homes


def _best_first(holder: Holder) -> tuple[bool, bool, int, str, str]:
    return (holder.leaving, holder.away, -holder.durable, holder.worker.id, holder.worker.node)


def _seat(team: Sequence[Holder], places: Iterable[Place], replicas: int) -> list[Holder]:
    """Those that stay. A second one on a fault domain stays only while no place of another domain is free."""
    staying = sorted((holder for holder in team if not holder.leaving), key=_best_first)
    seated: list[Holder] = []
    doubles: list[Holder] = []
    for holder in staying:
        (doubles if any(holder.domain == each.domain for each in seated) else seated).append(holder)
    free = {each.domain for each in places} - {holder.domain for holder in seated}
    wanted = max(0, replicas - len(seated[:replicas]) - len(free))
    return seated[:replicas] + doubles[:wanted]


def _team(
    keys: tuple[bytes, bytes | None], holders: Sequence[Holder], seats: Sequence[Holder], recruits: tuple[Placement, ...], replicas: int
) -> TeamPlan | None:
    """None: nobody there can serve."""
    serving = [holder.worker for holder in seats if not holder.away]
    waited_for = [Joiner(holder.worker, holder.durable) for holder in seats if holder.away]
    interim = [holder.worker for holder in sorted(holders, key=_best_first) if not holder.away and holder.worker not in serving]
    members = (*serving, *interim[: replicas - len(serving)])
    if not members:
        return None
    return TeamPlan(StorageTeam(*keys, members, (*waited_for, *map(Joiner, recruits))), recruits)


def _borrow(
    keys: tuple[bytes, bytes | None],
    seats: Sequence[Holder],
    recruits: tuple[Placement, ...],
    holders: Sequence[Holder],
    *,
    replay_fills: bool,
) -> TeamPlan | None:
    """A member of another team serves this range too until its own are filled; without any, the recruits serve if the logs fill them."""
    waited_for = tuple(Joiner(holder.worker, holder.durable) for holder in seats)
    here = [holder for holder in holders if not holder.away]
    if here:
        lender = min(here, key=_best_first)
        return TeamPlan(StorageTeam(*keys, (lender.worker,), (*waited_for, *map(Joiner, recruits))), recruits)
    if replay_fills and recruits:
        return TeamPlan(StorageTeam(*keys, recruits, waited_for), recruits)
    return None


def without_recruits(plan: TeamPlan, failed: frozenset[Placement]) -> TeamPlan:
    """The plan when some recruits could not be made; its members must remain."""
    team = plan.team
    joining = tuple(joiner for joiner in team.joining if joiner.worker not in failed)
    members = tuple(worker for worker in team.members if worker not in failed)
    return TeamPlan(replace(team, members=members, joining=joining), tuple(each for each in plan.recruits if each not in failed))
