"""A cluster in views, for the tests of the desk."""

from dataclasses import replace
from typing import Final

from foreman.control.cluster_view import ClusterView
from foreman.directory.health_record import AilingWorker, HealthRecord
from foreman.directory.records import (
    ClusterSpec,
    ClusterStoryLine,
    Joiner,
    Layout,
    LeaderRecord,
    NodeRecord,
    Placement,
    ServiceRecord,
    StatusRecord,
    StorageTeam,
    StoryRecord,
)

LOG: Final = Placement("log-4-0a0b0c0d-0-00000001", "a")
MEMBER: Final = Placement("storage-4-0a0b0c0d-0-00000001", "a")
JOINER: Final = Placement("storage-4-0a0b0c0d-1-00000002", "b")
REDIS: Final = Placement("redis_1", "b")


def service(place: Placement, kind: str) -> ServiceRecord:
    return ServiceRecord(place.id, kind, f"demo_{place.id}", place.node)


WHOLE: Final = ClusterView(
    revision=10,
    nodes={id: NodeRecord(id, f"unix:/{id}", ("log", "storage", "redis"), "", "i") for id in ("a", "b")},
    services={LOG: service(LOG, "log"), MEMBER: service(MEMBER, "storage"), REDIS: service(REDIS, "redis")},
    health={id: HealthRecord(id, "ok") for id in ("a", "b")},
    leader=LeaderRecord("a", "unix:/a"),
    epoch=4,
    spec=ClusterSpec(1, 2, (b"g\xff",)),
    layout=Layout(
        4, "0a0b0c0d", 7, (LOG,), (StorageTeam(b"", b"g\xff", (MEMBER,), (Joiner(JOINER),)), StorageTeam(b"g\xff", None, (MEMBER,)))
    ),
    status=StatusRecord(4, "0a0b0c0d", "a", "watching", "", "", (), 1.0),
    story=StoryRecord((ClusterStoryLine(1.0, 4, f"{LOG.id} was recruited on node a", "the layout needs it"),)),
)


def ailing(id: str, state: str, status: str, reason: str = "") -> AilingWorker:
    return AilingWorker(id, "redis", state, status, reason)


def with_health(view: ClusterView, *workers: AilingWorker, status: str = "ok", more: int = 0) -> ClusterView:
    """Node b's."""
    return replace(view, health={**view.health, "b": HealthRecord("b", status, "", workers, more)})
