"""Whom a layout names, and on which nodes. Pure."""

from collections.abc import Iterable

from foreman.control.cluster_view import ClusterView
from foreman.directory.records import Joiner, Layout, Placement


def storage_of(layout: Layout) -> frozenset[Placement]:
    """All storage workers that a layout names, members and those that join."""
    members = frozenset(member for team in layout.teams for member in team.members)
    return members | frozenset(joiner.worker for team in layout.teams for joiner in team.joining)


def joiners_of(layout: Layout) -> dict[Placement, Joiner]:
    """Those that only join, in no team members."""
    members = {worker for team in layout.teams for worker in team.members}
    return {joiner.worker: joiner for team in layout.teams for joiner in team.joining if joiner.worker not in members}


def names_of(layout: Layout) -> frozenset[Placement]:
    """All workers that a layout names."""
    return frozenset(layout.logs) | storage_of(layout)


def by_node(workers: Iterable[Placement]) -> dict[str, list[Placement]]:
    """Node → those of them that are there, in their order."""
    there: dict[str, list[Placement]] = {}
    for worker in workers:
        there.setdefault(worker.node, []).append(worker)
    return there


def named_nodes(view: ClusterView) -> frozenset[str]:
    """The nodes on which the layout has workers."""
    return frozenset() if view.layout is None else frozenset(worker.node for worker in names_of(view.layout))


def absent_nodes(view: ClusterView) -> frozenset[str]:
    """Those of them that the directory does not show."""
    return named_nodes(view) - view.nodes.keys()
