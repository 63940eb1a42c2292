"""One worker as the machine knows it."""

import enum
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from foreman.core.health import Health
from foreman.core.ids import BatchId, Incarnation, RequestId, WorkerId
from foreman.core.lifecycle import State
from foreman.core.manifest import Desired
from foreman.core.restarting import RestartHistory
from foreman.core.views import LastExit, StoryLine, WorkerInfo, WorkerRef


class Purpose(enum.Enum):
    """What follows the end of a worker that is being stopped. A greater one overrides a smaller one."""

    RETRY = 1
    """It was late or hung; its restart policy decides."""
    RESTART = 2
    STOP = 3
    SHUTDOWN = 4
    REMOVE = 5


@dataclass(slots=True)
class Process:
    """The current incarnation. Exists exactly in the states of lifecycle.HAS_PROCESS.

    ``named``: the directory may name it: this server has advertised it once, or an earlier server may have.
    """

    incarnation: Incarnation
    asked_at: float
    deadline: float
    pid: int | None = None
    ready_at: float | None = None
    holds_slot: bool = True
    purpose: Purpose | None = None
    withdrawing: bool = False
    signalled: bool = False
    silent: bool = False
    named: bool = False
    reported: Health | None = None
    status_text: str | None = None
    endpoint: str | None = None
    errno: int | None = None


@dataclass(slots=True)
class Worker:
    """The record. Changed only through a Turn.

    ``creations``: requests that wait until it is ok. ``stops``: requests that wait until it is stopped. ``removals``: batches that
    want it gone. ``requested_at``: when its coming up was asked for; ``crashed_at``: when it last went down unasked (both for the
    histograms). ``shown``: state and health as last published.
    """

    id: WorkerId
    kind: str
    params: dict[str, Any]
    ref: WorkerRef
    created_at: float
    desired: Desired
    state: State | None = None
    batch: BatchId | None = None
    process: Process | None = None
    history: RestartHistory = field(default_factory=RestartHistory)
    first_time: bool = True
    start_failure: str | None = None
    busy_directory: bool = False
    note: str = ""
    requested_at: float | None = None
    crashed_at: float | None = None
    starts: int = 0
    started_at: float | None = None
    last_exit: LastExit | None = None
    creations: set[RequestId] = field(default_factory=set)
    stops: set[RequestId] = field(default_factory=set)
    removals: set[BatchId] = field(default_factory=set)
    recording: Desired | None = None
    judging: bool = False
    story: deque[StoryLine] = field(default_factory=deque)
    shown: tuple[State | None, Health, str | None] | None = None
    view: WorkerInfo | None = None

    @property
    def incarnation(self) -> Incarnation | None:
        return self.process.incarnation if self.process else None


def health_of(worker: Worker) -> Health:
    """A worker's health: total over all states. A start that failed stays visible until one succeeds."""
    process = worker.process
    match worker.state:
        case State.RUNNING:
            return _running_health(process)
        case State.UNUSABLE | State.FAILED:
            return Health.failed_to_start(worker.start_failure or worker.note)
        case State.STOPPED | State.FINISHED | State.REMOVING | None:
            return Health.stopped()
        case State.STOPPING if process is not None and process.purpose not in (Purpose.RETRY, Purpose.RESTART):
            return Health.stopped()
        case State.STOPPING if process is not None and process.silent:
            return Health.unknown()
        case State.PREPARING | State.WAITING | State.STARTING | State.BACKING_OFF | State.STOPPING:
            return Health.failed_to_start(worker.start_failure) if worker.start_failure else Health.starting()


def _running_health(process: Process | None) -> Health:
    if process is None or process.silent:
        return Health.unknown()
    return process.reported or Health.ok()
