"""What Prometheus is shown follows from the events and the workers there are."""

import pytest

from foreman.core.health import Health
from foreman.core.views import HealthChanged, WorkerChanged, WorkerInfo, WorkerRemoved
from foreman.node.metrics import Metrics


def _changed(state: str, incarnation: str | None) -> WorkerChanged:
    return WorkerChanged(1, 0.0, "log_1", "log", state, None, Health.ok(), 1, incarnation, "because")


def _restarts(*seen: tuple[str, str | None]) -> float:
    metrics = Metrics()
    for state, incarnation in seen:
        metrics.observe_event(_changed(state, incarnation))
    return metrics.registry.get_sample_value("foreman_worker_restarts_total", {"kind": "log"}) or 0.0


def _info(id: str, state: str) -> WorkerInfo:
    return WorkerInfo(id, "log", id, state, Health.ok(), {}, 1, "i", 0, 0.0, "/d", None, None, None)


def _text(metrics: Metrics, *infos: WorkerInfo) -> str:
    return metrics.render(infos)[0].decode()


def test_workers_are_counted_by_kind_and_state_as_they_are_now() -> None:
    metrics = Metrics()
    assert 'foreman_workers{kind="log",state="running"} 2.0' in _text(metrics, _info("a", "running"), _info("b", "running"))
    text = _text(metrics, _info("a", "failed"))
    assert 'foreman_workers{kind="log",state="failed"} 1.0' in text
    assert "running" not in text


@pytest.mark.parametrize(
    ("seen", "restarts"),
    [
        ([("starting", "1"), ("running", "1")], 0),
        ([("starting", "1"), ("running", "1"), ("starting", "2"), ("running", "2")], 1),
        ([("running", "1"), ("backing_off", None), ("starting", "2"), ("backing_off", None), ("starting", "3")], 2),
        ([("running", "1"), ("stopping", "1"), ("starting", "2"), ("running", "2")], 0),
        ([("running", "1"), ("stopping", "1"), ("backing_off", None), ("starting", "2")], 1),
        ([("running", "1"), ("backing_off", None), ("failed", None), ("starting", "2")], 0),
        ([("running", "1"), ("waiting", None), ("starting", "2")], 1),
    ],
    ids=["first start", "immediate", "backed off", "restarted by hand", "hung", "given up and started by hand", "supervisor lost"],
)
def test_a_restart_is_a_start_that_follows_an_end_nobody_asked_for(seen: list[tuple[str, str | None]], restarts: int) -> None:
    assert _restarts(*seen) == restarts


def test_durations_health_and_removals_are_counted() -> None:
    metrics = Metrics()
    metrics.start_seconds("log", 0.015)
    metrics.crash_to_ready_seconds("log", 0.3)
    metrics.observe_event(HealthChanged(1, 0.0, Health.unknown(), Health.ok()))
    metrics.observe_event(WorkerRemoved(2, 0.0, "a", "log"))
    text = _text(metrics)
    assert 'foreman_worker_start_seconds_bucket{kind="log",le="0.02"} 1.0' in text
    assert 'foreman_worker_crash_to_ready_seconds_count{kind="log"} 1.0' in text
    assert 'foreman_health_transitions_total{status="unknown"} 1.0' in text
    assert 'foreman_workers_removed_total{kind="log"} 1.0' in text
