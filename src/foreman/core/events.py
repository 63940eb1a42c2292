"""Everything that can happen to the Foreman: a closed union of frozen facts.

Each carries ``at``: when it was taken from the inbox, and fresh randomness, so that the machine itself needs neither clock nor
chance. News of a process names its incarnation; if that is not the current one, the news is stale and is dropped.
"""

from dataclasses import dataclass

from foreman.core.batches import JournalRecord
from foreman.core.commands import (
    Command,
    NewWorkers,
    RemoveWorkers,
    ReportHealth,
    RequestAbandoned,
    RestartWorkerRequested,
    ShutdownRequested,
    StartWorkerRequested,
    StopWorkerRequested,
    WaitForHealthy,
)
from foreman.core.errors import ForemanError
from foreman.core.health import Health
from foreman.core.ids import BatchId, Incarnation, WorkerId
from foreman.core.manifest import Manifest
from foreman.core.moment import Moment
from foreman.core.news import (
    News,
    RefusalReason,
    StartRefused,
    Timer,
    TimerFired,
    TimerKind,
    WorkerExited,
    WorkerReady,
    WorkerSaid,
    WorkerSilent,
    WorkerStarted,
)

__all__ = [
    "Answer",
    "Command",
    "DesiredRecorded",
    "DirectoryFailed",
    "DirectoryJudged",
    "DirectoryPrepared",
    "Event",
    "JournalCleared",
    "JournalWritten",
    "Moment",
    "NewWorkers",
    "News",
    "NodeScanned",
    "RefusalReason",
    "RemoveWorkers",
    "ReportHealth",
    "RequestAbandoned",
    "RestartWorkerRequested",
    "RunningWorker",
    "ShutdownRequested",
    "StartRefused",
    "StartWorkerRequested",
    "StopWorkerRequested",
    "SupervisorAttached",
    "SupervisorLost",
    "Timer",
    "TimerFired",
    "TimerKind",
    "TrashDeleted",
    "TrashFailed",
    "Trashed",
    "Unusable",
    "WaitForHealthy",
    "Withdrawn",
    "WorkerExited",
    "WorkerReady",
    "WorkerSaid",
    "WorkerSilent",
    "WorkerStarted",
]

# --- the start of the node ---


@dataclass(frozen=True, slots=True)
class Unusable:
    """A directory with a worker's name that is not a worker of ours. ``kind`` "" when nobody can say."""

    id: WorkerId
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class NodeScanned:
    """What was found on disk when the node started, after staging and trash were resolved. The first event of every server."""

    at: Moment
    mine: tuple[Manifest, ...]
    unusable: tuple[Unusable, ...]
    journal: tuple[JournalRecord, ...]


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """A process the supervisor already has: what a new server adopts. ``age_s``: since its start, for people."""

    id: WorkerId
    incarnation: Incarnation
    pid: int
    ready: bool
    status_text: str | None
    endpoint: str | None
    health: Health | None
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SupervisorAttached:
    """A supervisor is connected; ``running`` are the processes it has (none, when it is a fresh one)."""

    at: Moment
    running: tuple[RunningWorker, ...]


@dataclass(frozen=True, slots=True)
class SupervisorLost:
    """The supervisor died, and the kernel killed its workers with it."""

    at: Moment
    reason: str


# --- answers to effects ---


@dataclass(frozen=True, slots=True)
class DirectoryPrepared:
    at: Moment
    id: WorkerId


@dataclass(frozen=True, slots=True)
class DirectoryFailed:
    """The directory could not be made; nothing of it is left. ``error`` is what the caller gets."""

    at: Moment
    id: WorkerId
    error: ForemanError


@dataclass(frozen=True, slots=True)
class DirectoryJudged:
    """The answer to JudgeDirectory: the manifest when it is in order now, else why not."""

    at: Moment
    id: WorkerId
    verdict: Manifest | str


@dataclass(frozen=True, slots=True)
class DesiredRecorded:
    """The manifest now says running or stopped; or could not be written (``error``), and nothing was stopped or started."""

    at: Moment
    id: WorkerId
    error: ForemanError | None


@dataclass(frozen=True, slots=True)
class Trashed:
    """The worker's directory is out of the way at ``path``, and not yet deleted."""

    at: Moment
    id: WorkerId
    path: str


@dataclass(frozen=True, slots=True)
class TrashFailed:
    at: Moment
    id: WorkerId
    error: ForemanError


@dataclass(frozen=True, slots=True)
class TrashDeleted:
    """The directory is gone; or something of it is left (``error``), to be finished later."""

    at: Moment
    id: WorkerId
    path: str
    error: ForemanError | None


@dataclass(frozen=True, slots=True)
class JournalWritten:
    """The record is durable; or could not be written (``error``): a creation ends there; a removal, which frees space, goes on."""

    at: Moment
    batch: BatchId
    error: ForemanError | None


@dataclass(frozen=True, slots=True)
class JournalCleared:
    """The record is gone; or could not be removed (``error``), and is tried again at the next start."""

    at: Moment
    batch: BatchId
    error: ForemanError | None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The directory names these no more; or it is away (``confirmed`` False), and the gateway will see to it when it is back."""

    at: Moment
    ids: tuple[WorkerId, ...]
    confirmed: bool


Answer = (
    DirectoryPrepared
    | DirectoryFailed
    | DirectoryJudged
    | DesiredRecorded
    | Trashed
    | TrashFailed
    | TrashDeleted
    | JournalWritten
    | JournalCleared
    | Withdrawn
)
Event = Command | NodeScanned | SupervisorAttached | SupervisorLost | Answer | News | TimerFired
