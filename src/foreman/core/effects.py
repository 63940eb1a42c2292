"""Everything the machine can ask for: a closed union. The interpreter does it and puts the answer back as an event.

Each effect may be done twice, because a crash may come at any point: each is idempotent. The order in which the machine asks is
part of the contract and stands in each docstring. Effects of one ``handle`` are begun in their order; those that take time are
tasks, so none waits for another unless its docstring says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foreman.core.batches import JournalRecord
from foreman.core.errors import ForemanError
from foreman.core.events import Timer
from foreman.core.health import Health
from foreman.core.ids import BatchId, Incarnation, RequestId, WorkerId
from foreman.core.kinds import Readiness
from foreman.core.manifest import Desired, Manifest
from foreman.core.views import ServiceInfo, WorkerRef

# --- disk ---


@dataclass(frozen=True, slots=True)
class PrepareDirectories:
    """Make these directories durable. BEFORE any StartWorker of them. Answered by DirectoryPrepared or DirectoryFailed for each."""

    manifests: tuple[Manifest, ...]


@dataclass(frozen=True, slots=True)
class JudgeDirectory:
    """Look again at a directory that was not usable. Answered by DirectoryJudged."""

    id: WorkerId


@dataclass(frozen=True, slots=True)
class RecordDesired:
    """Write running or stopped into the manifest. BEFORE the stop or start it announces. Answered by DesiredRecorded."""

    id: WorkerId
    desired: Desired


@dataclass(frozen=True, slots=True)
class MoveToTrash:
    """Rename the directory into trash. Only AFTER WorkerExited. Answered by Trashed or TrashFailed.

    It takes the worker's lock first, waiting a bounded moment for it: after the supervisor's death the kernel needs that long.
    Idempotent: a directory that is not there any more is Trashed with path "".
    """

    id: WorkerId


@dataclass(frozen=True, slots=True)
class DeleteTrash:
    """Delete what MoveToTrash moved. Answered by TrashDeleted."""

    id: WorkerId
    path: str


@dataclass(frozen=True, slots=True)
class WriteJournal:
    """Make the record durable. BEFORE the first effect of its batch. Answered by JournalWritten."""

    record: JournalRecord


@dataclass(frozen=True, slots=True)
class ClearJournal:
    """Remove the record durably. AFTER the last effect of its batch. Answered by JournalCleared.

    BEFORE the Reply. For a creation this is the commit; a removal's record that cannot be cleared names only what is gone
    (RemovalTarget).
    """

    batch: BatchId


# --- processes ---


@dataclass(frozen=True, slots=True)
class AttachSupervisor:
    """Connect to the supervisor, starting one when there is none. Answered by SupervisorAttached."""


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start one incarnation. Only AFTER DirectoryPrepared. Answered by WorkerStarted or StartRefused; readiness is news of its own."""

    id: WorkerId
    incarnation: Incarnation
    kind: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ProbeReadiness:
    """Find out when a worker that cannot say so is ready (tcp, http, exec). Answered by WorkerReady; ends by itself with the worker."""

    id: WorkerId
    incarnation: Incarnation
    kind: str
    params: Mapping[str, Any]
    readiness: Readiness


@dataclass(frozen=True, slots=True)
class SignalWorker:
    """Send ``signal`` ("TERM") to the worker's leader. AFTER Withdrawn, when it was advertised. Its end is WorkerExited."""

    id: WorkerId
    incarnation: Incarnation
    signal: str


@dataclass(frozen=True, slots=True)
class KillWorker:
    """KILL everything the worker started. Its end is WorkerExited."""

    id: WorkerId
    incarnation: Incarnation


@dataclass(frozen=True, slots=True)
class EndNode:
    """The last effect: the server ends; the supervisor too, unless ``keep_workers``."""

    keep_workers: bool


# --- time ---


@dataclass(frozen=True, slots=True)
class SetTimer:
    """TimerFired at ``at`` (monotonic, s). A timer of the same name is replaced."""

    timer: Timer
    at: float


@dataclass(frozen=True, slots=True)
class CancelTimer:
    timer: Timer


# --- the cluster ---


@dataclass(frozen=True, slots=True)
class Advertise:
    """These are healthy: merge them into the directory. AFTER WorkerReady. Not answered: the gateway keeps the truth and retries."""

    services: tuple[ServiceInfo, ...]


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take these out of the directory. BEFORE SignalWorker. Answered by Withdrawn when ``answer``, in bounded time, come what may."""

    ids: tuple[WorkerId, ...]
    answer: bool


# --- people ---


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request: a value, or an error to raise there."""

    request: RequestId
    outcome: "Outcome"


Outcome = None | ForemanError | tuple[WorkerRef, ...] | dict[str, ForemanError | None]


@dataclass(frozen=True, slots=True)
class PublishChange:
    """A worker's state or health changed. Logged, counted, streamed. The server adds sequence and pid facts from the view."""

    id: WorkerId
    kind: str
    state: str
    previous_state: str | None
    health: Health
    pid: int | None
    incarnation: Incarnation | None
    reason: str
    escalate: bool = False
    """The worker is given up: the cluster should know."""


@dataclass(frozen=True, slots=True)
class PublishRemoval:
    id: WorkerId
    kind: str


@dataclass(frozen=True, slots=True)
class PublishHealth:
    """The aggregate health changed."""

    health: Health
    previous: Health


@dataclass(frozen=True, slots=True)
class Measured:
    """A duration for the histograms: ``what`` "start" (asked to ready) or "recovery" (crash to ready). Seconds."""

    what: str
    kind: str
    seconds: float


DiskEffect = PrepareDirectories | JudgeDirectory | RecordDesired | MoveToTrash | DeleteTrash | WriteJournal | ClearJournal
ProcessEffect = AttachSupervisor | StartWorker | ProbeReadiness | SignalWorker | KillWorker | EndNode
TimeEffect = SetTimer | CancelTimer
ClusterEffect = Advertise | Withdraw
PeopleEffect = Reply | PublishChange | PublishRemoval | PublishHealth | Measured
Effect = DiskEffect | ProcessEffect | TimeEffect | ClusterEffect | PeopleEffect
