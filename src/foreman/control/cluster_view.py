"""What the directory says about the whole cluster, as values: folded from snapshots and changes. Pure.

A record that cannot be read is left out and named in ``unreadable``: one bad record costs what it spoke of and nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from foreman.directory.errors import InvalidRecord
from foreman.directory.health_record import HealthRecord
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Changes, Deleted, KeyValue, Snapshot
from foreman.directory.records import (
    ClusterSpec,
    DrainRecord,
    EpochRecord,
    IdentityRecord,
    Layout,
    LeaderRecord,
    NodeRecord,
    Placement,
    Record,
    ServiceRecord,
    StatusRecord,
    StoryRecord,
    decode,
)
from foreman.directory.worker_request import WorkerRequest

Fingerprint = tuple[object, ...]
_SINGLE: Final = {
    "leader": LeaderRecord, "epoch": EpochRecord, "spec": ClusterSpec, "layout": Layout, "status": StatusRecord, "story": StoryRecord,
    "identity": IdentityRecord,
}  # fmt: skip
_NAMED: Final = {"nodes": NodeRecord, "health": HealthRecord, "draining": DrainRecord, "requests": WorkerRequest}


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The cluster at one revision of its directory. ``revisions``: when each single record was last changed; absent: 0."""

    revision: int = 0
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    services: Mapping[Placement, ServiceRecord] = field(default_factory=dict)
    health: Mapping[str, HealthRecord] = field(default_factory=dict)
    draining: frozenset[str] = frozenset()
    requests: Mapping[str, WorkerRequest] = field(default_factory=dict)
    leader: LeaderRecord | None = None
    epoch: int = 0
    spec: ClusterSpec | None = None
    layout: Layout | None = None
    status: StatusRecord | None = None
    story: StoryRecord = field(default_factory=lambda: StoryRecord(()))
    identity: str | None = None
    revisions: Mapping[bytes, int] = field(default_factory=dict)
    unreadable: tuple[str, ...] = ()

    def capable(self, capability: str) -> list[NodeRecord]:
        """The nodes that may be asked for workers of this kind, by id: there, able, and not being drained."""
        return [node for id, node in sorted(self.nodes.items()) if capability in node.capabilities and id not in self.draining]

    def fingerprint(self) -> Fingerprint:
        """All that a recovery depends on: it is of no use to try a failed one again before this has changed."""
        nodes = tuple((id, node.capabilities, node.fault_domain, node.incarnation) for id, node in sorted(self.nodes.items()))
        services = tuple(sorted((place.node, place.id) for place in self.services))
        return (nodes, services, tuple(sorted(self.draining)), self.spec)


class ClusterFold:
    """Keeps the decoded records; each change costs what it changed."""

    def __init__(self, keys: ClusterKeys) -> None:
        self._keys = keys
        self._prefix = keys.everything.begin
        self._records: dict[bytes, Record] = {}
        self._revisions: dict[bytes, int] = {}
        self._bad: dict[bytes, str] = {}
        self._revision = 0

    def see(self, news: Snapshot | Changes) -> ClusterView:
        """The view after a whole snapshot (which replaces all that was known) or some changes."""
        if isinstance(news, Snapshot):
            self._records, self._revisions, self._bad = {}, {}, {}
            self._take(news.entries)
        else:
            self._take(news.events)
        self._revision = news.revision
        return self._view()

    def _take(self, events: Iterable[KeyValue | Deleted]) -> None:
        for event in events:
            self._bad.pop(event.key, None)
            self._records.pop(event.key, None)
            self._revisions.pop(event.key, None)
            if isinstance(event, KeyValue):
                self._revisions[event.key] = event.mod_revision
                try:
                    if (record := self._decode(event)) is not None:
                        self._records[event.key] = record
                except InvalidRecord as error:
                    self._bad[event.key] = str(error)

    def _decode(self, event: KeyValue) -> Record | None:
        """The record; None for a key of a later version of this program."""
        parts = event.key.removeprefix(self._prefix).decode("utf-8", "replace").split("/")
        match parts:
            case [name] if name in _SINGLE:
                return decode(_SINGLE[name], event.key, event.value)
            case [folder, _] if folder in _NAMED:
                return decode(_NAMED[folder], event.key, event.value)
            case ["services", node, _]:
                service = decode(ServiceRecord, event.key, event.value)
                if service.node != node:
                    raise InvalidRecord(repr(event.key), f"it speaks of node {service.node}")
                return service
            case _:
                return None

    def _view(self) -> ClusterView:
        keys, records = self._keys, self._records
        every = records.values()
        leader, epoch, spec = records.get(keys.leader), records.get(keys.epoch), records.get(keys.spec)
        identity = records.get(keys.identity)
        layout, status, story = records.get(keys.layout), records.get(keys.status), records.get(keys.story)
        return ClusterView(
            revision=self._revision,
            nodes={record.id: record for record in every if isinstance(record, NodeRecord)},
            services={Placement(record.id, record.node): record for record in every if isinstance(record, ServiceRecord)},
            health={record.node: record for record in every if isinstance(record, HealthRecord)},
            requests={record.id: record for record in every if isinstance(record, WorkerRequest)},
            draining=frozenset(record.node for record in every if isinstance(record, DrainRecord)),
            leader=leader if isinstance(leader, LeaderRecord) else None,
            epoch=epoch.epoch if isinstance(epoch, EpochRecord) else 0,
            spec=spec if isinstance(spec, ClusterSpec) else None,
            layout=layout if isinstance(layout, Layout) else None,
            status=status if isinstance(status, StatusRecord) else None,
            story=story if isinstance(story, StoryRecord) else StoryRecord(()),
            identity=identity.id if isinstance(identity, IdentityRecord) else None,
            revisions=dict(self._revisions),
            unreadable=tuple(why for _, why in sorted(self._bad.items())),
        )


def view_of(keys: ClusterKeys, snapshot: Snapshot) -> ClusterView:
    """The view of one reading of the whole directory."""
    return ClusterFold(keys).see(snapshot)
