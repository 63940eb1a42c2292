"""What stands in the directory, as values that cannot be wrong.

Each record is a frozen dataclass, written as JSON. :func:`decode` believes nothing: another program, an older version or an attacker may
have written the bytes. Fields it does not know are let pass, so that a node of the next version can be read by one of this; wrong
types, missing fields, bad names and sizes beyond the bound are InvalidRecord.
"""

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import msgspec

from foreman.core.ids import MAX_ID_LENGTH
from foreman.core.views import ServiceInfo
from foreman.directory.checks import MAX_TEXT, check, check_epoch, check_id, check_name, check_text
from foreman.directory.errors import InvalidRecord
from foreman.directory.health_record import HealthRecord
from foreman.directory.port import KeyValue
from foreman.directory.worker_request import WorkerRequest

MAX_RECORD_BYTES: Final = 1 << 20
MAX_CAPABILITIES: Final = 64
MAX_MEMBERS: Final = 10_000
MAX_STORY_LINES: Final = 200
MAX_STORY_NAMES: Final = 1_000
_IDENTITY: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
DEFAULT_REPLACE_AFTER_S: Final = 60.0
MAX_REPLACE_AFTER_S: Final = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node that is there. ``address``: where its HTTP API listens. ``incarnation``: fresh at each start of it. ``name``: for people.

    Never two workers of one team on one ``fault_domain`` while another is free; "" means that the node is one by itself.
    """

    id: str
    address: str
    capabilities: tuple[str, ...] = ()
    fault_domain: str = ""
    incarnation: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        check_id(self.id, "id")
        check_name(self.name)
        check(len(self.capabilities) <= MAX_CAPABILITIES, f"more than {MAX_CAPABILITIES} capabilities")
        for text in (self.address, self.fault_domain, self.incarnation, *self.capabilities):
            check_text(text)


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """A healthy worker. ``name`` is what the cluster calls it, ``node`` where it runs."""

    id: str
    kind: str
    name: str
    node: str

    def __post_init__(self) -> None:
        check_id(self.id, "id")
        check_id(self.node, "node")
        check_text(self.kind)
        check(0 < len(self.name) <= 2 * MAX_ID_LENGTH + 1 and "/" not in self.name, "name is no service name")

    @classmethod
    def of(cls, service: ServiceInfo, node: str) -> "ServiceRecord":
        return cls(service.id, service.kind, service.name, node)

    @property
    def info(self) -> ServiceInfo:
        return ServiceInfo(self.id, self.kind, self.name)


@dataclass(frozen=True, slots=True)
class LeaderRecord:
    """Who leads. ``address``: where its HTTP API listens."""

    node: str
    address: str

    def __post_init__(self) -> None:
        check_id(self.node, "node")
        check_text(self.address)


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """The highest epoch given to a director so far, and who got it. Only ever raised, by compare and set."""

    epoch: int
    node: str

    def __post_init__(self) -> None:
        check_epoch(self.epoch)
        check_id(self.node, "node")


@dataclass(frozen=True, slots=True)
class IdentityRecord:
    """A random name (16 hex digits) that the first director gives the directory. Another name: it was emptied or replaced since."""

    id: str

    def __post_init__(self) -> None:
        check(_IDENTITY.fullmatch(self.id) is not None, "id is no identity")


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """What the cluster should be. ``splits``: the keys at which the key space is cut, ascending: one storage team more than splits.

    ``replace_after_s``: a storage worker that is away for longer is given up and another one filled in its place.
    """

    logs: int
    storage_replicas: int
    splits: tuple[bytes, ...] = ()
    replace_after_s: float = DEFAULT_REPLACE_AFTER_S

    def __post_init__(self) -> None:
        check(1 <= self.logs <= MAX_MEMBERS, "logs is out of bounds")
        check(1 <= self.storage_replicas <= MAX_MEMBERS, "storage_replicas is out of bounds")
        check(len(self.splits) < MAX_MEMBERS and all(self.splits), "splits are too many, or one is empty")
        check(all(a < b for a, b in zip(self.splits, self.splits[1:], strict=False)), "splits do not ascend")
        check(0 <= self.replace_after_s <= MAX_REPLACE_AFTER_S, "replace_after_s is out of bounds")


@dataclass(frozen=True, slots=True, order=True)
class Placement:
    """A worker on a node. They are ordered by id, then node."""

    id: str
    node: str

    def __post_init__(self) -> None:
        check_id(self.id, "id")
        check_id(self.node, "node")


@dataclass(frozen=True, slots=True)
class Joiner:
    """A storage worker that is to become a member. What it has through version ``through`` is good; beyond, it may differ.

    ``keys``: [begin, end) that it holds, or is being filled with; None: the range of its team. They differ while ranges are cut anew.
    """

    worker: Placement
    through: int = 0
    keys: tuple[bytes, bytes | None] | None = None

    def __post_init__(self) -> None:
        check(0 <= self.through < 2**64, "through is out of bounds")
        check(self.keys is None or self.keys[1] is None or self.keys[0] < self.keys[1], "a joiner's range is empty")


@dataclass(frozen=True, slots=True)
class StorageTeam:
    """Who holds the keys ``begin <= key < end``; ``end`` None: to the last key.

    ``members`` serve reads. ``joining`` are to become members: they are away for a while, or still being filled, and serve nobody.
    Each stands in the team that its keys begin in. While ranges are cut anew a worker may be a member of several teams.
    """

    begin: bytes
    end: bytes | None
    members: tuple[Placement, ...]
    joining: tuple[Joiner, ...] = ()

    def __post_init__(self) -> None:
        check(self.end is None or self.begin < self.end, "a team's range is empty")
        check(0 < len(self.members) <= MAX_MEMBERS, "a team has no members, or too many")
        check(len(self.joining) <= MAX_MEMBERS, "too many join a team")


@dataclass(frozen=True, slots=True)
class Layout:
    """Which workers are the cluster's data plane, as recovery ``recovery_id`` of the director of ``epoch`` published it.

    The logs begin after ``durable_version``, which every member of every team has, and were filled through ``last_version``: the first
    push of this epoch names it as its predecessor.
    """

    epoch: int
    recovery_id: str
    durable_version: int
    logs: tuple[Placement, ...]
    teams: tuple[StorageTeam, ...]
    last_version: int = 0

    def __post_init__(self) -> None:
        check_epoch(self.epoch)
        check_text(self.recovery_id)
        check(0 <= self.durable_version < 2**64 and 0 <= self.last_version < 2**64, "a version is out of bounds")
        check(0 < len(self.logs) <= MAX_MEMBERS and 0 < len(self.teams) <= MAX_MEMBERS, "it has no logs or no teams, or too many")
        check(self.teams[0].begin == b"" and self.teams[-1].end is None, "the teams do not cover the key space")
        check(all(a.end == b.begin for a, b in zip(self.teams, self.teams[1:], strict=False)), "the teams leave gaps or overlap")


@dataclass(frozen=True, slots=True)
class DrainRecord:
    """Somebody wants nothing of the cluster to run on this node any more. ``since``: Unix time, s, for people."""

    node: str
    since: float

    def __post_init__(self) -> None:
        check_id(self.node, "node")


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """What the director of ``epoch`` does now. ``state``: recovering, stalled or watching. ``missing``: what it waits for.

    ``since``: when this began, Unix time in seconds, for people.
    """

    epoch: int
    recovery_id: str
    node: str
    state: str
    phase: str
    why: str
    missing: tuple[str, ...]
    since: float

    def __post_init__(self) -> None:
        check_epoch(self.epoch)
        check_id(self.node, "node")
        for text in (self.recovery_id, self.state, self.phase):
            check_text(text)


@dataclass(frozen=True, slots=True)
class ClusterStoryLine:
    """At ``when`` (Unix time, s) the director of ``epoch`` did ``what``, because of ``reason``."""

    when: float
    epoch: int
    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class StoryRecord:
    """The newest lines, oldest first. ``names``: id → what nodes that may be gone by now were called."""

    lines: tuple[ClusterStoryLine, ...]
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(len(self.lines) <= MAX_STORY_LINES, "the story is too long")
        check(len(self.names) <= MAX_STORY_NAMES, "the story has too many names")
        for id, name in self.names.items():
            check_id(id, "names")
            check_name(name)


Record = (
    NodeRecord
    | ServiceRecord
    | HealthRecord
    | LeaderRecord
    | EpochRecord
    | IdentityRecord
    | ClusterSpec
    | Layout
    | DrainRecord
    | WorkerRequest
    | StatusRecord
    | StoryRecord
)
_Record = TypeVar("_Record", bound=Record)


def encode(record: Record) -> bytes:
    """As JSON; byte strings in base64."""
    return msgspec.json.encode(record)


def decode(kind: type[_Record], key: bytes, value: bytes) -> _Record:
    """The record in ``value``, or InvalidRecord that names ``key``."""
    if len(value) > MAX_RECORD_BYTES:
        raise InvalidRecord(repr(key), f"it has {len(value)} bytes, at most {MAX_RECORD_BYTES}")
    try:
        return msgspec.json.decode(value, type=kind, strict=True)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRecord(repr(key), str(error)[:MAX_TEXT]) from None


def readable(kind: type[_Record], there: KeyValue | None) -> _Record | None:
    """The record that stands there; None: there is none, or none that can be read."""
    with contextlib.suppress(InvalidRecord):
        return None if there is None else decode(kind, there.key, there.value)
    return None
