"""What people and programs ask for. Each is answered by exactly one Reply with its request id."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foreman.core.health import Health
from foreman.core.ids import RequestId, WorkerId
from foreman.core.moment import Moment


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
