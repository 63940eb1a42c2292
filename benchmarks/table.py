"""The rows of the comparison: what each means, its unit, and what Foreman is to reach, measured against the baseline of the same run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

Target = Callable[[Mapping[str, Mapping[str, float]]], float]
"""From all values of the run (peer → row → value) to the limit for Foreman."""


@dataclass(frozen=True)
class Row:
    """``scale`` turns the measured value into the unit shown. ``at_most`` False: more is better."""

    key: str
    title: str
    scale: float = 1.0
    at_most: bool = True
    target: Target | None = None
    target_says: str = ""


def _times_fork(row: str, factor: float) -> Target:
    return lambda values: factor * values["fork"][row]


def _fixed(limit: float) -> Target:
    return lambda _values: limit


ROWS: Final = (
    Row("create_s", "create one, idle node: call to ready, ms", 1000, target=_times_fork("create_s", 2), target_says="2 × fork"),
    Row("create_per_s", "create many at once: workers ready per second", at_most=False, target=_times_fork("create_per_s", 0.6),
        target_says="at least 0.6 × fork"),
    Row("crash_s", "kill -9 of one of many: to its replacement ready, ms", 1000, target=_times_fork("crash_s", 2), target_says="2 × fork"),
    Row("list_s", "list all with state, ms", 1000, target=_fixed(0.0015), target_says="1.5"),
    Row("remove_s", "stop and forget all, s", target=_fixed(0.4), target_says="0.4"),
    Row("worker_mb", "memory of one worker (PSS), MB", target=_times_fork("worker_mb", 2), target_says="2 × fork"),
    Row("manager_mb", "the manager itself (PSS), MB", target=_fixed(60), target_says="60"),
    Row("asleep_ms_per_s", "manager asleep: CPU ms per s", target=_fixed(0.5), target_says="0.5"),
    Row("native_create_s", "a native worker: create one, ms", 1000, target=_fixed(0.008), target_says="8"),
    Row("native_crash_s", "a native worker: kill -9 to ready, ms", 1000, target=_fixed(0.006), target_says="6"),
)  # fmt: skip
WORDS: Final = {"manager_killed": "manager killed with SIGKILL and started again"}


def shown(row: Row, value: float | None) -> str:
    if value is None:
        return "–"
    return three_figures(value * row.scale)


def three_figures(value: float) -> str:
    """They are enough, and all that such a measurement bears."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def reached(row: Row, values: Mapping[str, Mapping[str, float]]) -> bool | None:
    """Whether Foreman keeps within the row's target; None when the run cannot say."""
    mine = values.get("foreman", {}).get(row.key)
    if row.target is None or mine is None:
        return None
    try:
        limit = row.target(values)
    except KeyError:
        return None
    return mine <= limit if row.at_most else mine >= limit
