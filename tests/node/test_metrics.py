"""What Prometheus is shown follows from the events and the workers there are."""

from foreman.core.health import Health
from foreman.core.views import HealthChanged, WorkerChanged, WorkerInfo, WorkerRemoved
from foreman.node.metrics import Metrics


def _changed(state: str, previous: str | None) -> WorkerChanged:
    return WorkerChanged(1, 0.0, "log_1", "log", state, previous, Health.ok(), 1, "i", "because")


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


def test_a_restart_is_a_start_after_a_crash() -> None:
    metrics = Metrics()
    for state, previous in [("starting", "waiting"), ("running", "starting"), ("backing_off", "running"), ("waiting", "backing_off")]:
        metrics.observe_event(_changed(state, previous))
    assert 'foreman_worker_restarts_total{kind="log"}' not in _text(metrics)
    metrics.observe_event(_changed("starting", "waiting"))
    metrics.observe_event(_changed("running", "starting"))
    assert 'foreman_worker_restarts_total{kind="log"} 1.0' in _text(metrics)


def test_a_start_by_hand_is_no_restart() -> None:
    metrics = Metrics()
    for state, previous in [("backing_off", "running"), ("stopped", "backing_off"), ("waiting", "stopped"), ("starting", "waiting")]:
        metrics.observe_event(_changed(state, previous))
    assert 'foreman_worker_restarts_total{kind="log"}' not in _text(metrics)


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
