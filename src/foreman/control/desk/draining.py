"""How far the draining of a node has come: what is still on it, and why it may not get on. Pure."""

from foreman.control.cluster_view import ClusterView
from foreman.control.desk.words import ROLES, ailing_on, named_by
from foreman.core.generations import is_directed


def left_on(node: str, view: ClusterView) -> dict[str, str]:
    """Worker → why it is still on the node: the layout names it, or it is about to be removed. Empty: the node can be taken away.

    Workers that a director did not make are not the layout's; they stay until somebody removes them.
    """
    named = {worker.id: ROLES[role] for worker, role in named_by(view.layout).items() if worker.node == node}
    there = [place.id for place in view.services if place.node == node] + [worker.id for worker in ailing_on(node, view)]
    spent = filter(is_directed, there)
    return dict.fromkeys(spent, "is about to be removed") | named


def staying_on(node: str, view: ClusterView) -> list[str]:
    """Workers that no drain touches: a director did not make them."""
    return sorted(place.id for place in view.services if place.node == node and not is_directed(place.id))


def hindrances(node: str, view: ClusterView) -> list[str]:
    """Why the director may not be able to move what is there."""
    kinds = {"log" if role == "log" else "storage" for worker, role in named_by(view.layout).items() if worker.node == node}
    nowhere = [f"no other node has the capability {kind}" for kind in sorted(kinds) if not view.capable(kind)]
    told = view.status
    if told is None:
        return [*nowhere, "nobody directs the cluster"]
    return [*nowhere, *([f"the director is stalled: {told.why}"] if told.state == "stalled" else [])]


def is_drained(node: str, view: ClusterView) -> bool:
    """Whether nothing of the layout is there, nor can come there any more, when the node was being drained before ``view`` was read.

    A recovery takes its epoch before it reads what it plans with. So one that could still place something there, because it has not seen
    the drain, has an epoch above the layout's already.
    """
    settled = view.spec is None or (view.layout is not None and view.epoch == view.layout.epoch)
    return settled and not left_on(node, view)
