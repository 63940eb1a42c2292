"""News of processes: what the supervisor, the readiness probes and the timers tell. Each names its incarnation."""

import enum
from dataclasses import dataclass

from foreman.core.health import Health
from foreman.core.ids import Incarnation, WorkerId
from foreman.core.moment import Moment


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
