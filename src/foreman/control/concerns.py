"""What a director who watches finds wrong: the first reason for another epoch, or none. Pure.

A lost log is a reason at once: nobody can write any more. Everything else leaves the cluster working, so it waits until it can be made
better: a plan is made as a recovery would make it, with those that are only away for a moment taken for present, and there is a reason
when that plan differs from the layout.
"""

from collections.abc import Collection
from dataclasses import dataclass

from foreman.control.absences import Absences
from foreman.control.cluster_view import ClusterView
from foreman.control.placement import Place, domain_of, is_crowded
from foreman.control.recovery.recovery import joiners_of, storage_of
from foreman.control.teams import Holder, NoMember, plan_teams, ranges_of
from foreman.directory.records import ClusterSpec, Layout, NodeRecord, Placement


@dataclass(frozen=True, slots=True)
class Watched:
    """What the judgement stands on. ``settled``: nodes that have been there for a while. ``spent``: joiners of no use any more.

    ``ready``: joiners that hold the data now. ``filling``: some other is on its way, and soon there.
    """

    view: ClusterView
    layout: Layout
    spec: ClusterSpec
    absences: Absences
    now: float
    settled: frozenset[str]
    ready: frozenset[Placement] = frozenset()
    spent: frozenset[Placement] = frozenset()
    filling: bool = False

    def places(self, capability: str) -> list[Place]:
        """Where workers could be moved to."""
        return [Place(node.id, domain_of(node)) for node in self.view.capable(capability) if node.id in self.settled]

    def domain(self, node: str) -> str:
        return domain_of(self.view.nodes.get(node, NodeRecord(node, "")))


def lost_log(view: ClusterView, layout: Layout) -> str | None:
    """Why the cluster takes no writes."""
    lost = [log.id for log in layout.logs if log not in view.services]
    return f"{', '.join(lost)} lost" if lost else None


def improvement(watched: Watched) -> str | None:
    """Why another layout would be better than this one, and can be had."""
    return _of_logs(watched) or _of_ranges(watched) or _of_storage(watched) or _of_joiners(watched)


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


def _of_ranges(watched: Watched) -> str | None:
    there = [(team.begin, team.end) for team in watched.layout.teams]
    return None if there == ranges_of(watched.spec) else "the key space is to be cut elsewhere"


def _of_storage(watched: Watched) -> str | None:
    plan = plan_teams(watched.spec, _holders(watched), watched.places("storage"), _nobody_yet, replay_fills=False)
    if isinstance(plan, NoMember):
        return None
    if any(team.recruits for team in plan):
        return "a storage team has too few workers, or not where they should be"
    kept = {worker for each in plan for worker in (*each.team.members, *(joiner.worker for joiner in each.team.joining))}
    members = {worker for team in watched.layout.teams for worker in team.members}
    dropped = sorted(worker.id for worker in members - kept)
    return f"{', '.join(dropped)} is not needed any more" if dropped else None


def _of_joiners(watched: Watched) -> str | None:
    ready = sorted(worker.id for worker in watched.ready)
    return f"{', '.join(ready)} can join" if ready and not watched.filling else None


def _holders(watched: Watched) -> list[Holder]:
    """All that count: members, unless they are given up; joiners, which take their seats and serve nobody."""
    joiners = joiners_of(watched.layout)
    replace_after_s = watched.spec.replace_after_s
    holders: list[Holder] = []
    for worker, home in storage_of(watched.layout).items():
        leaving = worker.node in watched.view.draining
        gone = watched.absences.since(worker) is not None and (
            leaving or watched.absences.is_given_up(worker, replace_after_s, watched.now)
        )
        if not gone and worker not in watched.spent:
            away = worker in joiners and worker not in watched.ready
            holders.append(Holder(worker, watched.domain(worker.node), home, leaving=leaving, away=away))
    return holders


def _nobody_yet(slot: int, node: str) -> Placement:
    """Only whether there would be recruits matters here."""
    return Placement(f"recruit-{slot}", node)


def still_filling(layout: Layout, present: Collection[Placement], ready: frozenset[Placement], spent: frozenset[Placement]) -> bool:
    """Whether a joiner that is there is neither ready nor spent: it is worth waiting for, so that both join in one epoch."""
    return any(worker not in ready and worker not in spent for worker in joiners_of(layout) if worker in present)
