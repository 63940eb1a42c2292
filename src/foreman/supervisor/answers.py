"""What the worker supervisor tells the server: what it has, what it refuses, and news of workers."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Welcome:
    """``start_id``: fresh for each start of a supervisor. ``stopping``: it is on its way out and starts nothing any more."""

    version: int
    pid: int
    start_id: str
    stopping: bool


@dataclass(frozen=True, slots=True)
class RunningWorker:
    """One worker the supervisor has. ``started_at``: monotonic. ``exiting``: its leader has ended, what it left is being ended."""

    id: str
    incarnation: str
    pid: int
    started_at: float
    started: bool
    ready: bool
    stopping: bool
    exiting: bool
    status: str | None
    endpoint: str | None
    health: str | None
    errno: int | None
    output_lost_bytes: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """``code``: busy, already_running, already_ended, not_running, stopping, failed, news_full, invalid, version, replaced."""

    code: str
    detail: str
    errno: int | None = None
    path: str | None = None


class Refused(Exception):
    """A request that was not done."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


# --- news ---


@dataclass(frozen=True, slots=True)
class Started:
    """Its program runs."""

    id: str
    incarnation: str
    pid: int


@dataclass(frozen=True, slots=True)
class StartFailed:
    """Its program could not be run; no process of it exists and its lock is free."""

    id: str
    incarnation: str
    reason: str
    errno: int | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Notified:
    """What a worker said of itself (sd_notify(3)), as far as it changed. None: not said now. ``health``: "ok" or "error:REASON"."""

    id: str
    incarnation: str
    ready: bool = False
    stopping: bool = False
    status: str | None = None
    endpoint: str | None = None
    health: str | None = None
    errno: int | None = None
    extend_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class WatchdogOverdue:
    """It promised WATCHDOG=1 and was silent for longer than ``watchdog_s``."""

    id: str
    incarnation: str


@dataclass(frozen=True, slots=True)
class OutputLost:
    """Output could not be written and was dropped; ``lost_bytes`` so far, in all."""

    id: str
    incarnation: str
    lost_bytes: int
    errno: int


@dataclass(frozen=True, slots=True)
class Exited:
    """Proof of exit: its leader is reaped, nothing it started lives, its lock is free. Either ``code`` or ``signal`` is set."""

    id: str
    incarnation: str
    pid: int
    code: int | None
    signal: int | None
    core_dumped: bool
    cpu_s: float
    max_rss_bytes: int


News = Started | StartFailed | Notified | WatchdogOverdue | OutputLost | Exited

NEWS: Final[dict[str, type[News]]] = {
    "started": Started,
    "start_failed": StartFailed,
    "notified": Notified,
    "watchdog_overdue": WatchdogOverdue,
    "output_lost": OutputLost,
    "exited": Exited,
}
