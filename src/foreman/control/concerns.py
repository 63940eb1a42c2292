"""What a director who watches finds wrong: the first reason for another epoch, or none. Pure.

A lost log is a reason at once: nobody can write any more. Everything else leaves the cluster working, so it waits until it can be made
better: a plan is made as a recovery would make it, with those that are only away for a moment taken for present, and there is a reason
when that plan differs from the layout. A plan made on its own result is the same (teams.py), so this comes to an end.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from foreman.control.absences import Absences
from foreman.control.cluster_view import ClusterView
from foreman.control.holders import Holder, held_by
from foreman.control.named import joiners_of, storage_of
from foreman.control.placement import Place, domain_at, domain_of, is_crowded
from foreman.control.teams import NoMember, plan_teams
from foreman.directory.records import ClusterSpec, Joiner, Layout, Placement, StorageTeam
from foreman.workers.storage.key_range import KeyRange


@dataclass(frozen=True, slots=True)
class Watched:
    """What the judgement stands on. ``settled``: nodes that have been there for a while. ``spent``: joiners of no use any more.

    ``ready``: joiners that hold the data now. ``filling``: others that are on their way.
    """

    view: ClusterView
    layout: Layout
    spec: ClusterSpec
    absences: Absences
    now: float
    settled: frozenset[str]
    ready: frozenset[Placement] = frozenset()
    spent: frozenset[Placement] = frozenset()
    filling: frozenset[Placement] = frozenset()

    def places(self, capability: str) -> list[Place]:
        """Where workers could be moved to."""
        return [Place(node.id, domain_of(node)) for node in self.view.capable(capability) if node.id in self.settled]

    def domain(self, node: str) -> str:
        return domain_at(node, self.view.nodes)


def lost_log(view: ClusterView, layout: Layout) -> str | None:
    """Why the cluster takes no writes."""
    lost = [log.id for log in layout.logs if log not in view.services]
    return f"{', '.join(lost)} lost" if lost else None


def improvement(watched: Watched) -> str | None:
    """Why another layout would be better than this one, and can be had."""
    return _of_logs(watched) or _of_storage(watched)


def _of_logs(watched: Watched) -> str | None:
    logs, places = watched.layout.logs, watched.places("log")
    if not places:
        return None
    if len(logs) != watched.spec.logs:
        return f"{len(logs)} logs, {watched.spec.logs} are wanted"
    drained = [log for log in logs if log.node in watched.view.draining]
    if drained:
        return f"{drained[0].id} is on node {drained[0].node}, which is drained"
    if is_crowded([watched.domain(log.node) for log in logs], [place.domain for place in places]):
        return "two logs share a fault domain, and another is free"
    return None


def _of_storage(watched: Watched) -> str | None:
    """What a plan would make otherwise. While workers that it wants are being filled only a gap is a reason: another epoch begins their
    copies anew.
    """
    plan = plan_teams(watched.spec, _holders(watched), watched.places("storage"), _nobody_yet, replay_fills=False)
    if isinstance(plan, NoMember):
        return None
    if plan.recruits:
        return "a storage team has too few workers, or not where they should be"
    layout = watched.layout
    planned, there = _members(plan.teams), _members(layout.teams)
    wanted = {joiner.worker for team in plan.teams for joiner in team.joining}
    if watched.filling & wanted:
        return None
    if planned - there:
        return f"{_ids(planned - there)} can join"
    dropped = storage_of(layout) - planned - wanted - watched.spent
    if dropped:
        return f"{_ids(dropped)} is not needed any more"
    cut = [(team.begin, team.end, set(team.members)) for team in plan.teams]
    return None if cut == [(team.begin, team.end, set(team.members)) for team in layout.teams] else "the keys can be divided anew"


def _members(teams: Iterable[StorageTeam]) -> set[Placement]:
    return {worker for team in teams for worker in team.members}


def _ids(workers: Iterable[Placement]) -> str:
    return ", ".join(sorted(worker.id for worker in workers))


def _holders(watched: Watched) -> list[Holder]:
    """As a recovery would find them (recruiting_storage.py): members are there unless they are given up; joiners when they are ready."""
    joiners = joiners_of(watched.layout)
    holders = (_holder(watched, worker, keys, joiners.get(worker)) for worker, keys in held_by(watched.layout).items())
    return [holder for holder in holders if holder is not None]


def _holder(watched: Watched, worker: Placement, keys: KeyRange, joiner: Joiner | None) -> Holder | None:
    """``joiner`` None: a member."""
    leaving = worker.node in watched.view.draining
    is_gone = watched.absences.since(worker) is not None and worker not in watched.ready
    given_up = is_gone and (leaving or watched.absences.is_given_up(worker, watched.spec.replace_after_s, watched.now))
    away = given_up if joiner is None else worker not in watched.ready
    through = 1 if joiner is None or not away else joiner.through
    if worker in watched.spent or (given_up and not through):
        return None
    return Holder(worker, watched.domain(worker.node), keys, through, joiner is None, leaving, away, given_up)


def _nobody_yet(slot: int, node: str) -> Placement:
    """Only whether there would be recruits matters here."""
    return Placement(f"recruit-{slot}", node)


def still_filling(
    layout: Layout, present: Collection[Placement], ready: frozenset[Placement], spent: frozenset[Placement]
) -> frozenset[Placement]:
    """The joiners that are there and neither ready nor spent: worth waiting for, so that all join in one epoch."""
    return frozenset(worker for worker in joiners_of(layout) if worker in present and worker not in ready | spent)
