"""What the directory says about the whole cluster, as values: folded from snapshots and changes. Pure.

A record that cannot be read is left out and named in ``unreadable``: one bad record costs what it spoke of and nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from foreman.core.ids import WorkerId, service_name
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

    @property
    def watched(self) -> Layout | None:
        """The layout, if its director watches over it by now."""
        if self.layout is None or self.status is None or (self.status.state, self.status.epoch) != ("watching", self.layout.epoch):
            return None
        return self.layout

    def capable(self, capability: str) -> list[NodeRecord]:
        """The nodes that may be asked for workers of this kind, by id: there, able, and not being drained."""
        return [node for id, node in sorted(self.nodes.items()) if capability in node.capabilities and id not in self.draining]

    def fingerprint(self) -> Fingerprint:
        """All that a recovery depends on: it is of no use to try a failed one again before this has changed.

        The maps themselves, which two views share when nothing in them changed: to compare them costs nothing then.
        """
        return (self.nodes, self.services, self.draining, self.spec)


class ClusterFold:
    """Keeps the decoded records. A change costs what it changed: views share the maps that it left as they were."""

    def __init__(self, keys: ClusterKeys) -> None:
        self._keys = keys
        self._prefix = keys.everything.begin
        self._forget()

    def _forget(self) -> None:
        self._revision = 0
        self._records: dict[bytes, Record] = {}
        self._bad: dict[bytes, str] = {}
        self._revisions: dict[bytes, int] = {}
        self._nodes: dict[str, NodeRecord] = {}
        self._services: dict[Placement, ServiceRecord] = {}
        self._health: dict[str, HealthRecord] = {}
        self._requests: dict[str, WorkerRequest] = {}
        self._draining: frozenset[str] = frozenset()
        self._shared: set[str] = set()

    def see(self, news: Snapshot | Changes) -> ClusterView:
        """The view after a whole snapshot (which replaces all that was known) or some changes."""
        if isinstance(news, Snapshot):
            self._forget()
            self._take(news.entries)
        else:
            self._take(news.events)
        self._revision = news.revision
        return self._view()

    def _take(self, events: Iterable[KeyValue | Deleted]) -> None:
        self._unshare("_revisions")
        for event in events:
            self._bad.pop(event.key, None)
            self._revisions.pop(event.key, None)
            old = self._records.pop(event.key, None)
            if old is not None:
                self._remove(old)
            if isinstance(event, KeyValue):
                self._revisions[event.key] = event.mod_revision
                try:
                    record = self._decode(event)
                except InvalidRecord as error:
                    self._bad[event.key] = str(error)
                else:
                    if record is not None:
                        self._records[event.key] = record
                        self._add(record)

    def _add(self, record: Record) -> None:
        if isinstance(record, DrainRecord):
            self._draining |= {record.node}
        elif (place := _place_of(record)).map:
            self._unshare(place.map)
            getattr(self, place.map)[place.under] = record

    def _remove(self, record: Record) -> None:
        if isinstance(record, DrainRecord):
            self._draining -= {record.node}
        elif (place := _place_of(record)).map:
            self._unshare(place.map)
            getattr(self, place.map).pop(place.under, None)

    def _unshare(self, name: str) -> None:
        """Before a map is changed: what a view was given stays as it is."""
        if name in self._shared:
            self._shared.discard(name)
            setattr(self, name, dict(getattr(self, name)))

    def _decode(self, event: KeyValue) -> Record | None:
        """The record; None for a key of a later version of this program. Raises InvalidRecord: also when it stands under another's key."""
        parts = event.key.removeprefix(self._prefix).decode("utf-8", "replace").split("/")
        match parts:
            case [name] if name in _SINGLE:
                return decode(_SINGLE[name], event.key, event.value)
            case [folder, name] if folder in _NAMED:
                record: Record = decode(_NAMED[folder], event.key, event.value)
                _check_own(event.key, name, _place_of(record).under)
                return record
            case ["services", node, name]:
                service = decode(ServiceRecord, event.key, event.value)
                _check_own(event.key, (node, name), (service.node, service_name(self._keys.cluster, WorkerId(service.id))))
                return service
            case _:
                return None

    def _view(self) -> ClusterView:
        keys, records = self._keys, self._records
        leader, epoch, spec = records.get(keys.leader), records.get(keys.epoch), records.get(keys.spec)
        identity = records.get(keys.identity)
        layout, status, story = records.get(keys.layout), records.get(keys.status), records.get(keys.story)
        self._shared = {"_nodes", "_services", "_health", "_requests", "_revisions"}
        return ClusterView(
            revision=self._revision,
            nodes=self._nodes,
            services=self._services,
            health=self._health,
            requests=self._requests,
            draining=self._draining,
            leader=leader if isinstance(leader, LeaderRecord) else None,
            epoch=epoch.epoch if isinstance(epoch, EpochRecord) else 0,
            spec=spec if isinstance(spec, ClusterSpec) else None,
            layout=layout if isinstance(layout, Layout) else None,
            status=status if isinstance(status, StatusRecord) else None,
            story=story if isinstance(story, StoryRecord) else StoryRecord(()),
            identity=identity.id if isinstance(identity, IdentityRecord) else None,
            revisions=self._revisions,
            unreadable=tuple(why for _, why in sorted(self._bad.items())),
        )


class _Place(NamedTuple):
    """In which map of the fold a record stands, and under what; ``map`` "": there is one of its kind, found by its key."""

    map: str
    under: str | Placement


def _place_of(record: Record) -> _Place:
    match record:
        case NodeRecord():
            return _Place("_nodes", record.id)
        case ServiceRecord():
            return _Place("_services", Placement(record.id, record.node))
        case HealthRecord():
            return _Place("_health", record.node)
        case WorkerRequest():
            return _Place("_requests", record.id)
        case DrainRecord():
            return _Place("_draining", record.node)
        case LeaderRecord() | EpochRecord() | IdentityRecord() | ClusterSpec() | Layout() | StatusRecord() | StoryRecord():
            return _Place("", "")


def _check_own(key: bytes, stands: object, belongs: object) -> None:
    """So no two records take one place. Raises InvalidRecord."""
    if stands != belongs:
        raise InvalidRecord(repr(key), f"it belongs under {belongs}")


def view_of(keys: ClusterKeys, snapshot: Snapshot) -> ClusterView:
    """The view of one reading of the whole directory."""
    return ClusterFold(keys).see(snapshot)
