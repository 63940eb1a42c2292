"""The view as plain JSON values, and back: what programs get, and what a client over HTTP makes the same view of again. Pure."""

from typing import Any

import msgspec

from foreman.control.cluster_view import ClusterView
from foreman.directory.health_record import HealthRecord
from foreman.directory.records import (
    ClusterSpec,
    Layout,
    LeaderRecord,
    NodeRecord,
    Placement,
    ServiceRecord,
    StatusRecord,
    StoryRecord,
)
from foreman.directory.worker_request import WorkerRequest


def plain_of(view: ClusterView) -> dict[str, Any]:
    """What stands in the directory; keys of the key space in base64."""
    single = {name: getattr(view, name) for name in ("spec", "leader", "status", "layout", "story")}
    return {
        "revision": view.revision,
        **{name: None if record is None else msgspec.to_builtins(record) for name, record in single.items()},
        "epoch": view.epoch,
        "nodes": [msgspec.to_builtins(node) for _, node in sorted(view.nodes.items())],
        "health": [msgspec.to_builtins(health) for _, health in sorted(view.health.items())],
        "services": [
            msgspec.to_builtins(view.services[place]) for place in sorted(view.services, key=lambda place: (place.node, place.id))
        ],
        "draining": sorted(view.draining),
        "requests": [msgspec.to_builtins(request) for _, request in sorted(view.requests.items())],
        "unreadable": list(view.unreadable),
    }


class _Plain(msgspec.Struct):
    revision: int
    spec: ClusterSpec | None
    leader: LeaderRecord | None
    status: StatusRecord | None
    layout: Layout | None
    story: StoryRecord
    epoch: int
    nodes: list[NodeRecord]
    health: list[HealthRecord]
    services: list[ServiceRecord]
    draining: list[str]
    requests: list[WorkerRequest]
    unreadable: list[str]


def view_from(plain: dict[str, Any]) -> ClusterView:
    """The view that :func:`plain_of` was made of, without its revisions. Raises msgspec.ValidationError: it was made of none."""
    told = msgspec.convert(plain, _Plain)
    return ClusterView(
        revision=told.revision,
        nodes={node.id: node for node in told.nodes},
        services={Placement(service.id, service.node): service for service in told.services},
        health={health.node: health for health in told.health},
        draining=frozenset(told.draining),
        requests={request.id: request for request in told.requests},
        leader=told.leader,
        epoch=told.epoch,
        spec=told.spec,
        layout=told.layout,
        status=told.status,
        story=told.story,
        unreadable=tuple(told.unreadable),
    )
