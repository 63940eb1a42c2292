"""The cluster in words: each line of its status, and all that is known about one node or worker. Pure.

What :func:`status_lines` and :func:`about` say is ready to be read; all else speaks of nodes by id until it is (control/naming.py).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from foreman.control.attempt import origin_of
from foreman.control.cluster_view import ClusterView
from foreman.control.named import by_node
from foreman.control.naming import counted_on, introduced_nodes, known_nodes, meant_by, shown_nodes, with_names
from foreman.core.errors import AmbiguousNode
from foreman.directory.health_record import AilingWorker
from foreman.directory.records import ClusterSpec, ClusterStoryLine, Joiner, Layout, Placement
from foreman.directory.worker_request import MADE, WorkerRequest

NOBODY_WISHED: Final = "nobody has said what the cluster should be: foreman cluster configure --logs N --storage-replicas M"
MOST_NAMES: Final = 5
ROLES: Final = {"log": "is a log of the layout", "member": "is in a storage team", "joining": "is to join a storage team"}

Line = tuple[str, str]
"""What, and how it is."""


def status_lines(view: ClusterView) -> list[Line]:
    """Everything, worth reading from top to bottom. Times are left to who shows them."""
    lines: list[Line] = [("wish", NOBODY_WISHED if view.spec is None else wish(view.spec))]
    lines.append(("leader", "nobody" if view.leader is None else f"{view.leader.node} at {view.leader.address}"))
    if view.status is not None:
        lines.append(("director", doing(view)))
        lines += [("why", view.status.why)] if view.status.why else []
        lines += [("missing", each) for each in view.status.missing]
    lines += layout_lines(view.layout, view) if view.layout is not None else [("layout", "none yet")]
    services, named = by_node(view.services), by_node(named_by(view.layout))
    lines += [("node", _node_words(id, view, services.get(id, ()), named.get(id, ()))) for id in sorted(view.nodes)]
    lines += [("node", f"{id} is not there{_names_on(named.get(id, ()))}") for id in sorted(counted_on(view) - view.nodes.keys())]
    lines += _ailing_lines(view)
    lines += [("worker", request_words(request, view)) for _, request in sorted(view.requests.items())]
    lines += [("unreadable", each) for each in view.unreadable]
    return _named(lines, view)


def _named(lines: Iterable[Line], view: ClusterView) -> list[Line]:
    """Ready to be read: nodes by their names, and in a line about a node its id too."""
    shown, introduced = shown_nodes(view), introduced_nodes(view)
    return [(what, with_names(how, introduced if what == "node" else shown)) for what, how in lines]


def doing(view: ClusterView) -> str:
    """What the director does."""
    told = view.status
    if told is None:
        return "nobody directs"
    return f"epoch {told.epoch}, {told.state}" + (f" ({told.phase})" if told.phase else "")


def wish(spec: ClusterSpec) -> str:
    """What the cluster should be."""
    cuts = f", cut at {', '.join(map(shown_key, spec.splits))}" if spec.splits else ""
    return f"{spec.logs} logs and {len(spec.splits) + 1} storage teams of {spec.storage_replicas}{cuts}"


def shown_key(key: bytes) -> str:
    """A key of the key space, for people."""
    return key.decode("utf-8", "backslashreplace")


def layout_lines(layout: Layout, view: ClusterView) -> list[Line]:
    """Its logs and its teams, and where they are."""
    lines = [("layout", f"epoch {layout.epoch}, versions after {layout.durable_version}"), ("logs", _where(layout.logs, view))]
    for team in layout.teams:
        joining = ", ".join(_where([joiner.worker], view) + _other_keys(joiner) for joiner in team.joining)
        whole = _where(team.members, view) + (f"; joining: {joining}" if joining else "")
        lines.append(("team", f"{_keys(team.begin, team.end)}: {whole}"))
    return lines


def _keys(begin: bytes, end: bytes | None) -> str:
    return f"from {shown_key(begin) or 'the first key'} " + ("on" if end is None else f"to {shown_key(end)}")


def _other_keys(joiner: Joiner) -> str:
    """What it is to hold, where that is not its team's range: the keys are being cut anew."""
    return "" if joiner.keys is None else f", to hold the keys {_keys(*joiner.keys)}"


def _where(workers: Iterable[Placement], view: ClusterView) -> str:
    return ", ".join(f"{worker.id} on {worker.node}" + ("" if worker in view.services else " (away)") for worker in workers)


def _node_words(id: str, view: ClusterView, services: Sequence[Placement], named: Sequence[Placement]) -> str:
    """A node that is there, with these services; the layout names these workers on it."""
    node, health = view.nodes[id], view.health.get(id)
    how = "" if health is None else f" is {health.health}"
    drained = f", is being drained: {len(named)} of the layout still on it" if named else ", is drained"
    words = f"{id} at {node.address}{how}, {len(services)} services, {', '.join(node.capabilities)}"
    return words + (drained if id in view.draining else "")


def _ailing_lines(view: ClusterView) -> list[Line]:
    """Those given up first: they are the cluster's to do something about."""
    every = [(worker, id) for id, health in sorted(view.health.items()) for worker in health.workers]
    lines = [("given up" if worker.given_up else "ailing", ailing_words(worker, id)) for worker, id in every]
    lines.sort(key=lambda line: line[0] != "given up")
    return lines + [("ailing", f"{health.more} more on node {id}") for id, health in sorted(view.health.items()) if health.more]


def ailing_words(worker: AilingWorker, node: str) -> str:
    """One worker that is not ok."""
    return f"{worker.id} ({worker.kind}) on node {node} is {worker.health}, {worker.state}"


def request_words(request: WorkerRequest, view: ClusterView) -> str:
    """A worker that somebody asked the cluster for."""
    where = f" on node {request.node}" if request.node else ""
    away = request.state == MADE and Placement(request.id, request.node) not in view.services if request.node else False
    state = "made, away" if away else request.state
    why = request.problem or str(request.error.get("detail", ""))
    return f"{request.id} ({request.kind}){where}: {state}" + (f"; {why}" if why else "")


def named_by(layout: Layout | None) -> dict[Placement, str]:
    """Each worker that a layout names, and as what: one of ROLES."""
    if layout is None:
        return {}
    joining = {joiner.worker: "joining" for team in layout.teams for joiner in team.joining}
    members = {worker: "member" for team in layout.teams for worker in team.members}
    return joining | members | dict.fromkeys(layout.logs, "log")


def _names_on(named: Iterable[Placement]) -> str:
    names = sorted(worker.id for worker in named)
    return f"; the layout has {few(names)} on it" if names else ""


def few(names: list[str]) -> str:
    """The first of many."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def about(text: str, view: ClusterView) -> tuple[list[Line], list[ClusterStoryLine]]:
    """What is known of a node, by its id or name, or of a worker, and the lines of the story that speak of it, as they are written.

    Both empty when nothing is. Raises AmbiguousNode: no worker is meant, and more than one node.
    """
    nodes, lines = meant_by(text, view), _about_worker(text, view)
    if len(nodes) > 1 and not lines:
        raise AmbiguousNode(text, nodes)
    name = nodes[0] if len(nodes) == 1 else text
    if name in known_nodes(view):
        lines = _about_node(name, view) + lines
    word = re.compile(rf"(?<![a-z0-9_-]){re.escape(name)}(?![a-z0-9_-])")
    return _named(lines, view), [line for line in view.story.lines if word.search(line.what) or word.search(line.reason)]


def told_of(lines: Iterable[ClusterStoryLine], view: ClusterView) -> list[ClusterStoryLine]:
    """Lines of the story, ready to be read."""
    shown = shown_nodes(view)
    return [replace(line, what=with_names(line.what, shown), reason=with_names(line.reason, shown)) for line in lines]


def _about_node(id: str, view: ClusterView) -> list[Line]:
    services, named = sorted(by_node(view.services).get(id, ())), by_node(named_by(view.layout)).get(id, ())
    lines = [("node", _node_words(id, view, services, named) if id in view.nodes else f"{id} is not there")]
    lines += [("runs", f"{place.id} ({view.services[place].kind})") for place in services]
    return lines + [("ailing", ailing_words(worker, id)) for worker in ailing_on(id, view)]


def _about_worker(id: str, view: ClusterView) -> list[Line]:
    healthy = [(place.node, view.services[place]) for place in sorted(view.services) if place.id == id]
    ailing = [(node, worker) for node in sorted(view.health) for worker in ailing_on(node, view) if worker.id == id]
    lines = [("service", f"{id} ({service.kind}) is healthy on node {node}") for node, service in healthy]
    lines += [("ailing", ailing_words(worker, node)) for node, worker in ailing]
    for worker, role in named_by(view.layout).items():
        if worker.id == id:
            here = "" if worker in view.services else "; it is not healthy there, or its node is away"
            lines.append(("layout", f"{id} on node {worker.node} {ROLES[role]}{here}"))
    lines += [("asked for", request_words(view.requests[id], view))] if id in view.requests else []
    origin = origin_of(id)
    if lines and origin is not None:
        lines.append(("made by", f"the director of epoch {origin.epoch}"))
    nodes = sorted({node for node, _ in (*healthy, *ailing) if node in view.nodes})
    return lines + [("its own story", f"foreman --address {view.nodes[node].address} why {id}") for node in nodes]


def ailing_on(node: str, view: ClusterView) -> tuple[AilingWorker, ...]:
    """The workers of a node that are not ok, as far as it tells them."""
    return view.health[node].workers if node in view.health else ()
