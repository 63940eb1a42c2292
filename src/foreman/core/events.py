"""Everything that can happen to the Foreman: a closed union of frozen facts.

Each carries ``at``: when it was taken from the inbox, and fresh randomness, so that the machine itself needs neither clock nor
chance. News of a process names its incarnation; if that is not the current one, the news is stale and is dropped.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foreman.core.batches import JournalRecord
from foreman.core.errors import ForemanError
from foreman.core.health import Health
from foreman.core.ids import BatchId, Incarnation, RequestId, WorkerId
from foreman.core.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Moment:
    """``monotonic`` (s) decides; ``wall`` (Unix s) is only shown; ``entropy`` is 64 fresh random bits."""

    monotonic: float
    wall: float
    entropy: int


# --- what people and programs ask for. Each is answered by exactly one Reply with its request id. ---


@dataclass(frozen=True, slots=True)
class NewWorkers:
    """``items``: (id, kind, params), checked at the door. ``atomic``: all or none (new_workers); else there is one item (new_worker)."""

    at: Moment
    request: RequestId
    items: tuple[tuple[WorkerId, str, Mapping[str, Any]], ...]
    timeout_s: float
    atomic: bool


@dataclass(frozen=True, slots=True)
class RemoveWorkers:
    """Answered with a dict id → ForemanError | None. ``ids`` has no repetition."""

    at: Moment
    request: RequestId
    ids: tuple[WorkerId, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class StartWorkerRequested:
    at: Moment
    request: RequestId
    id: WorkerId
    timeout_s: float


@dataclass(frozen=True, slots=True)
class StopWorkerRequested:
    at: Moment
    request: RequestId
    id: WorkerId
    timeout_s: float


@dataclass(frozen=True, slots=True)
class RestartWorkerRequested:
    at: Moment
    request: RequestId
    id: WorkerId
    timeout_s: float


@dataclass(frozen=True, slots=True)
class WaitForHealthy:
    at: Moment
    request: RequestId
    timeout_s: float


@dataclass(frozen=True, slots=True)
class ReportHealth:
    """Health told through the API. Only ok and error get past the door."""

    at: Moment
    request: RequestId
    id: WorkerId
    health: Health


@dataclass(frozen=True, slots=True)
class ShutdownRequested:
    """``keep_workers``: only the server ends; workers and supervisor go on and are adopted by the next server."""

    at: Moment
    request: RequestId | None
    keep_workers: bool = False


@dataclass(frozen=True, slots=True)
class RequestAbandoned:
    """The caller went away. What it asked for goes on; only the answer is not wanted any more."""

    at: Moment
    request: RequestId


Command = (
    NewWorkers
    | RemoveWorkers
    | StartWorkerRequested
    | StopWorkerRequested
    | RestartWorkerRequested
    | WaitForHealthy
    | ReportHealth
    | ShutdownRequested
    | RequestAbandoned
)

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
    """A process the supervisor already has: what a new server adopts."""

    id: WorkerId
    incarnation: Incarnation
    pid: int
    ready: bool
    status_text: str | None
    endpoint: str | None
    health: Health | None


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


# --- news of processes ---


class RefusalReason(enum.StrEnum):
    BUSY = "busy"
    """Somebody holds the worker's lock."""
    FAILED = "failed"
    """The program could not be run (not found, not executable, no process to be had …)."""


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    at: Moment
    id: WorkerId
    incarnation: Incarnation
    pid: int


@dataclass(frozen=True, slots=True)
class StartRefused:
    """No process of this incarnation exists. ``detail``: one sentence."""

    at: Moment
    id: WorkerId
    incarnation: Incarnation
    reason: RefusalReason
    detail: str


@dataclass(frozen=True, slots=True)
class WorkerReady:
    """READY=1, or its readiness probe succeeded."""

    at: Moment
    id: WorkerId
    incarnation: Incarnation


@dataclass(frozen=True, slots=True)
class WorkerSaid:
    """What else a worker says of itself. None: not said now."""

    at: Moment
    id: WorkerId
    incarnation: Incarnation
    status_text: str | None = None
    endpoint: str | None = None
    health: Health | None = None
    extend_s: float | None = None
    stopping: bool = False
    errno: int | None = None


@dataclass(frozen=True, slots=True)
class WorkerSilent:
    """It promised WATCHDOG=1 and has not kept it in time."""

    at: Moment
    id: WorkerId
    incarnation: Incarnation


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """Proof of exit: it was reaped, its session is empty, its lock free. ``code`` (exit) or ``signal``, or neither when unknown."""

    at: Moment
    id: WorkerId
    incarnation: Incarnation
    code: int | None
    signal: str | None


class TimerKind(enum.StrEnum):
    BACK_OFF = "back_off"
    START_DEADLINE = "start_deadline"
    START_SLOT = "start_slot"
    STOP_GRACE = "stop_grace"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Timer:
    """A name for one timer. ``key``: the worker's id, or the request's number."""

    kind: TimerKind
    key: str


@dataclass(frozen=True, slots=True)
class TimerFired:
    at: Moment
    timer: Timer


News = WorkerStarted | StartRefused | WorkerReady | WorkerSaid | WorkerSilent | WorkerExited
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
