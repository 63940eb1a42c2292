"""Health of one worker and of all together: a total, order-free fold.

Source of the states: the mission's "Worker Health States"; of the order: the contract. The aggregate of many is decided by the
worst rank alone, so no order of workers can change it.
"""

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


class HealthStatus(enum.StrEnum):
    OK = "ok"
    STARTING = "starting"
    UNKNOWN = "unknown"
    FAILED_TO_START = "failed_to_start"
    ERROR = "error"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Health:
    """A worker's health, or the aggregate of many. ``reason`` is set for failed_to_start and error, and only there."""

    status: HealthStatus
    reason: str | None = None

    @classmethod
    def ok(cls) -> "Health":
        return _OK

    @classmethod
    def starting(cls) -> "Health":
        return _STARTING

    @classmethod
    def unknown(cls) -> "Health":
        """No news yet, or news overdue."""
        return _UNKNOWN

    @classmethod
    def failed_to_start(cls, reason: str) -> "Health":
        return cls(HealthStatus.FAILED_TO_START, reason)

    @classmethod
    def error(cls, reason: str) -> "Health":
        return cls(HealthStatus.ERROR, reason)

    @classmethod
    def stopped(cls) -> "Health":
        """Stopped on request, or ended normally by itself. Does not count in the aggregate."""
        return _STOPPED

    @property
    def is_ok(self) -> bool:
        return self.status is HealthStatus.OK

    def __str__(self) -> str:
        return self.status.value if self.reason is None else f"{self.status.value}({self.reason})"


_OK: Final = Health(HealthStatus.OK)
_STARTING: Final = Health(HealthStatus.STARTING)
_UNKNOWN: Final = Health(HealthStatus.UNKNOWN)
_STOPPED: Final = Health(HealthStatus.STOPPED)

AT_LEAST_ONE_FAILED: Final = "at_least_one_failed_to_start"

_WORST_FIRST: Final = (
    (HealthStatus.FAILED_TO_START, Health.failed_to_start(AT_LEAST_ONE_FAILED)),
    (HealthStatus.ERROR, Health.error("at_least_one_reports_an_error")),
    (HealthStatus.UNKNOWN, _UNKNOWN),
    (HealthStatus.STARTING, _STARTING),
)


def aggregate(healths: Iterable[Health]) -> Health:
    """The health of all together: the worst that any has; ok when there is none, or all are ok or stopped."""
    seen = {health.status for health in healths}
    return next((combined for status, combined in _WORST_FIRST if status in seen), _OK)
