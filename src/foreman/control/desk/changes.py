"""What is different from one view of the cluster to the next, in sentences, and in the order in which one thing leads to another. Pure.

A word for programs with each, and the node (its id) or worker it is about. What a node brings or takes with it is told with the node.
"""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final, NamedTuple

from foreman.control.cluster_view import ClusterView
from foreman.control.desk.words import NOBODY_WISHED, ailing_words, doing, few, layout_lines, request_words, status_lines, wish
from foreman.control.named import by_node
from foreman.control.naming import shown_nodes, with_names
from foreman.core.health import HealthStatus
from foreman.directory.health_record import AilingWorker, HealthRecord
from foreman.directory.records import Placement
from foreman.directory.worker_request import ASKED, MADE


class Change(NamedTuple):
    what: str
    about: str
    sentence: str


WORDS: Final = {
    "state": "how it is now: one for each line of `foreman cluster status`, before anything else",
    "wish_changed": "somebody said what the cluster should be",
    "drain_began": "a node is to be drained",
    "drain_ended": "a node is taken back",
    "node_came": "a node is there, with all its services",
    "node_left": "a node is gone, with all its services: it ended, or its lease ran out",
    "node_changed": "a node began anew, or has another name, address, capability or fault domain",
    "service_came": "a worker is healthy",
    "service_left": "a worker is not healthy any more, or is about to be stopped",
    "worker_ails": "a worker is not ok, and why",
    "worker_given_up": "its node does not try to start it any more",
    "worker_recovered": "a worker that ailed is ok again, or gone",
    "health_changed": "the health of a node, all its workers together",
    "leader_changed": "another node leads, or none",
    "told": "a line of the directors' story",
    "layout_published": "where logs and storage are from now on",
    "layout_lost": "somebody deleted the layout",
    "director": "what the director does, and what it waits for",
    "worker_asked_for": "somebody asked the cluster for a worker; or where it is placed, or what it waits for",
    "worker_made": "a worker that was asked for is healthy",
    "worker_failed": "a worker that was asked for could not be made",
    "worker_removing": "somebody asked for it to be removed",
    "worker_removed": "a worker that was asked for is gone",
    "unreadable": "a record that this program cannot read",
}
"""Every word there is, and what it says."""


def state(view: ClusterView) -> list[Change]:
    """How it is now."""
    return [Change("state", "", f"{what}: {how}") for what, how in status_lines(view)]


def changes(old: ClusterView, new: ClusterView) -> list[Change]:
    """All that is different, in order; nothing when nothing is that people would be told."""
    found = [change for differs in _IN_ORDER for change in differs(old, new)]
    shown = shown_nodes(replace(new, nodes={**old.nodes, **new.nodes})) if found else {}  # also of those that left
    return [change._replace(sentence=with_names(change.sentence, shown)) for change in found]


def _wish(old: ClusterView, new: ClusterView) -> Iterable[Change]:
    if old.spec != new.spec:
        yield Change("wish_changed", "", NOBODY_WISHED if new.spec is None else f"the cluster is to have {wish(new.spec)}")


def _drains(old: ClusterView, new: ClusterView) -> Iterable[Change]:
    for node in sorted(new.draining - old.draining):
        yield Change("drain_began", node, f"node {node} is to be drained")
    for node in sorted(old.draining - new.draining):
        yield Change("drain_ended", node, f"node {node} is taken back: it is not drained any more")


def _nodes(old: ClusterView, new: ClusterView) -> Iterable[Change]:
    came, left = new.nodes.keys() - old.nodes.keys(), old.nodes.keys() - new.nodes.keys()
    for id, brought in _with_services(came, new):
        yield Change("node_came", id, f"node {id} came, at {new.nodes[id].address}" + (f", with {few(brought)}" if brought else ""))
    for id, taken in _with_services(left, old):
        yield Change("node_left", id, f"node {id} left" + (f", and with it {few(taken)}" if taken else ""))
    for id in sorted(old.nodes.keys() & new.nodes.keys()):
        if old.nodes[id] != new.nodes[id]:
            yield Change("node_changed", id, f"node {id} began anew, at {new.nodes[id].address}")


def _with_services(nodes: AbstractSet[str], view: ClusterView) -> list[tuple[str, list[str]]]:
    there = by_node(view.services) if nodes else {}
    return [(id, sorted(place.id for place in there.get(id, ()))) for id in sorted(nodes)]


def _services(old: ClusterView, new: ClusterView) -> Iterable[Change]:
    stayed = old.nodes.keys() & new.nodes.keys()
    for place in _ordered(new.services.keys() - old.services.keys()):
        if place.node in stayed:
            yield Change("service_came", place.id, f"{place.id} ({new.services[place].kind}) on node {place.node} is healthy")
    for place in _ordered(old.services.keys() - new.services.keys()):
        if place.node in stayed:
            yield Change("service_left", place.id, f"{place.id} ({old.services[place].kind}) on node {place.node} is no service any more")


def _ordered(places: Iterable[Placement]) -> list[Placement]:
    return sorted(places, key=lambda place: (place.node, place.id))


def _health(old: ClusterView, new: ClusterView) -> Iterable[Change]:
    for node, now in sorted(new.health.items()):
        before = old.health.get(node, HealthRecord(node, HealthStatus.OK))
        if now != before:
            yield from _workers_health(before, now, new)
            if (now.status, now.reason) != (before.status, before.reason):
                yield Change("health_changed", node, f"node {node} is {now.health}; it was {before.health}")


def _workers_health(before: HealthRecord, now: HealthRecord, view: ClusterView) -> Iterable[Change]:
    """What is over in a moment, a start, is not told."""
    known = {worker.id: worker for worker in before.workers}
    for worker in now.workers:
        was = known.pop(worker.id, None)
        if worker.given_up and not (was is not None and was.given_up):
            yield Change("worker_given_up", worker.id, f"{ailing_words(worker, now.node)}: its node has given it up")
        elif worker != was and not _is_starting(worker):
            yield Change("worker_ails", worker.id, ailing_words(worker, now.node))
    for worker in known.values():
        if now.more == 0 and not _is_starting(worker):
            well = Placement(worker.id, now.node) in view.services
            how = "is ok again" if well else "does not ail any more: it was stopped or removed"
            yield Change("worker_recovered", worker.id, f"{worker.id} ({worker.kind}) on node {now.node} {how}")


def _is_starting(worker: AilingWorker) -> bool:
    return worker.status in {HealthStatus.STARTING, HealthStatus.UNKNOWN}


def _leader(old: ClusterView, new: ClusterView) -> Iterable[Change]:
    if old.leader != new.leader:
        node = "" if new.leader is None else new.leader.node
        yield Change("leader_changed", node, f"node {node} leads" if node else "nobody leads")


def _director(old: ClusterView, new: ClusterView) -> Iterable[Change]:
    before, now = old.status, new.status
    if now is None or (before is not None and (before.epoch, before.state, before.phase) == (now.epoch, now.state, now.phase)
                       and (before.why, before.missing) == (now.why, now.missing)):  # fmt: skip
        return
    more = "; ".join(text for text in (now.why, *now.missing) if text)
    yield Change("director", now.node, f"director: {doing(new)}" + (f": {more}" if more else ""))


def _story(old: ClusterView, new: ClusterView) -> Iterable[Change]:
    known = set(old.story.lines)
    for line in new.story.lines:
        if line not in known:
            yield Change("told", "", f"epoch {line.epoch}: {line.what} ({line.reason})")


def _layout(old: ClusterView, new: ClusterView) -> Iterable[Change]:
    if old.layout == new.layout:
        return
    if new.layout is None:
        yield Change("layout_lost", "", "there is no layout any more")
    else:
        lines = "; ".join(f"{what} {how}" for what, how in layout_lines(new.layout, new)[1:])
        yield Change("layout_published", "", f"layout {new.layout.epoch} is published: {lines}")


def _requests(old: ClusterView, new: ClusterView) -> Iterable[Change]:
    for id in sorted(old.requests.keys() | new.requests.keys()):
        before, now = old.requests.get(id), new.requests.get(id)
        if now == before:
            continue
        if now is None:
            yield Change("worker_removed", id, f"{id}, which was asked for, is removed")
        else:
            what = {ASKED: "worker_asked_for", MADE: "worker_made"}.get(now.state, f"worker_{now.state}")
            yield Change(what, id, request_words(now, new))


def _unreadable(old: ClusterView, new: ClusterView) -> Iterable[Change]:
    for each in new.unreadable:
        if each not in old.unreadable:
            yield Change("unreadable", "", f"a record cannot be read: {each}")


_IN_ORDER: Final[tuple[Callable[[ClusterView, ClusterView], Iterable[Change]], ...]] = (
    _wish, _drains, _nodes, _services, _health, _leader, _story, _layout, _director, _requests, _unreadable,
)  # fmt: skip
