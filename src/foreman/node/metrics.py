"""What Prometheus is shown: workers by state, restarts, health transitions, and how long starts and recoveries take.

Fed by the server with the events it publishes and the durations it measured; the states themselves are read from the Foreman
when they are asked for, so they cannot drift. Owns a registry of its own: two nodes in one process do not mix.
"""

from collections import Counter as Tally
from collections.abc import Iterable
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from foreman.core.lifecycle import State
from foreman.core.views import HealthChanged, NodeEvent, WorkerChanged, WorkerInfo, WorkerRemoved

_SECONDS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)
_ASKED_TO_END: Final = frozenset({State.STOPPING, State.STOPPED, State.FINISHED, State.FAILED, State.REMOVING})


class Metrics:
    """The counters of one node's server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._workers = Gauge("foreman_workers", "Workers by kind and state.", ("kind", "state"), registry=self.registry)
        self._restarts = Counter(
            "foreman_worker_restarts", "Starts of a worker after its process ended unasked.", ("kind",), registry=self.registry
        )
        self._removed = Counter("foreman_workers_removed", "Workers removed.", ("kind",), registry=self.registry)
        self._health = Counter("foreman_health_transitions", "Changes of the node's aggregate health.", ("status",), registry=self.registry)
        self._start = self._histogram("foreman_worker_start_seconds", "From the request to start a worker to its readiness.")
        self._recovery = self._histogram("foreman_worker_crash_to_ready_seconds", "From a worker's crash to its replacement's readiness.")
        self._incarnations: dict[str, str] = {}
        self._asked: set[str] = set()

    def observe_event(self, event: NodeEvent) -> None:
        """Count one published event. Each exactly once, in order."""
        match event:
            case WorkerChanged():
                self._observe_worker(event)
            case WorkerRemoved():
                self._incarnations.pop(event.id, None)
                self._asked.discard(event.id)
                self._removed.labels(event.kind).inc()
            case HealthChanged():
                self._health.labels(event.health.status.value).inc()

    def start_seconds(self, kind: str, seconds: float) -> None:
        """A worker of ``kind`` became ready ``seconds`` after its start was asked for."""
        self._start.labels(kind).observe(seconds)

    def crash_to_ready_seconds(self, kind: str, seconds: float) -> None:
        """A worker of ``kind`` was ready again ``seconds`` after it had crashed."""
        self._recovery.labels(kind).observe(seconds)

    def render(self, workers: Iterable[WorkerInfo]) -> tuple[bytes, str]:
        """The text for Prometheus and its content type. ``workers``: all there are now."""
        self._workers.clear()
        for (kind, state), count in sorted(Tally((info.kind, info.state) for info in workers).items()):
            self._workers.labels(kind, state).set(count)
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _observe_worker(self, event: WorkerChanged) -> None:
        """A restart is an incarnation after another that nobody asked to end. States alone do not tell: the first is immediate."""
        if event.state in _ASKED_TO_END:
            self._asked.add(event.id)
        elif event.state == State.BACKING_OFF:
            self._asked.discard(event.id)
        if event.incarnation is None or event.incarnation == self._incarnations.get(event.id):
            return
        if event.id in self._incarnations and event.id not in self._asked:
            self._restarts.labels(event.kind).inc()
        self._incarnations[event.id] = event.incarnation
        self._asked.discard(event.id)

    def _histogram(self, name: str, sentence: str) -> Histogram:
        return Histogram(name, sentence, ("kind",), registry=self.registry, buckets=_SECONDS)
