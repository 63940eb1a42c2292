"""All workers of the node with what is asked about them often kept ready: counts, queues, what is advertised.

Every index here is a function of the workers; ``invariants.check`` computes each anew and compares.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from foreman.core.endpoints import read_endpoints
from foreman.core.errors import ForemanError
from foreman.core.events import Command
from foreman.core.health import Health, HealthStatus, aggregate
from foreman.core.ids import BatchId, RequestId, WorkerId
from foreman.core.kinds import Kinds
from foreman.core.lifecycle import COMING_UP, State
from foreman.core.machine.settings import MachineSettings
from foreman.core.machine.worker import Worker
from foreman.core.views import ServiceInfo, WorkerInfo, WorkerRef


@dataclass(slots=True)
class Creation:
    """A request that waits until ``waiting`` is empty: one worker, or with ``batch`` all or none.

    ``made``: the workers this batch made, and alone may undo. ``failures`` not empty: it is being undone. ``committing``: the journal is
    being cleared, and ``refs`` are what the caller gets once it is.
    """

    request: RequestId
    ids: tuple[WorkerId, ...]
    waiting: set[WorkerId]
    timeout_s: float
    what: str
    batch: BatchId | None = None
    made: tuple[WorkerId, ...] = ()
    failures: dict[str, str] = field(default_factory=dict)
    journaled: bool = False
    committing: bool = False
    atomic: bool = False
    refs: tuple[WorkerRef, ...] = ()


@dataclass(slots=True)
class Stop:
    """A request that waits until the worker is stopped."""

    request: RequestId
    id: WorkerId
    timeout_s: float


@dataclass(slots=True)
class Removal:
    """A batch of removals.

    ``left``: workers not yet out of the way or not yet deleted. ``stuck``: those that could not
    be moved. ``undoes``: the creation it undoes. ``clearing``: all is done, its record is being cleared.
    """

    batch: BatchId
    left: set[WorkerId]
    results: dict[str, ForemanError | None]
    request: RequestId | None = None
    timeout_s: float = 0.0
    order: tuple[WorkerId, ...] = ()
    journaled: bool = False
    undoes: Creation | None = None
    stuck: set[WorkerId] = field(default_factory=set)
    clearing: bool = False


@dataclass(slots=True)
class Patience:
    """A wait_for_healthy."""

    request: RequestId
    timeout_s: float


Request = Creation | Stop | Removal | Patience


class Node:
    """The machine's whole state."""

    def __init__(self, settings: MachineSettings, kinds: Kinds, cluster: str) -> None:
        self.settings, self.kinds, self.cluster = settings, kinds, cluster
        self.workers: dict[WorkerId, Worker] = {}
        self.requests: dict[RequestId, Request] = {}
        self.removals: dict[BatchId, Removal] = {}
        self.creations: dict[BatchId, Creation] = {}
        self.deleting: dict[str, tuple[WorkerId, set[BatchId]]] = {}
        self.patient: set[RequestId] = set()
        self.deferred: dict[RequestId, Command] = {}
        self.advertised: dict[WorkerId, ServiceInfo] = {}
        self.states: Counter[State] = Counter()
        self.healths: Counter[HealthStatus] = Counter()
        self.health = Health.ok()
        self.waiting: dict[str, dict[WorkerId, None]] = {}
        self.blocking: dict[str, set[WorkerId]] = {}
        self.slots_used = 0
        self.scanned = self.booted = self.attached = False
        self.ending = self.ended = False
        self.draining: set[WorkerId] | None = None
        self._refs: dict[str | None, tuple[WorkerRef, ...]] = {}
        self._services: tuple[ServiceInfo, ...] | None = None
        self._infos: dict[str | None, tuple[WorkerInfo, ...]] = {}

    def add(self, worker: Worker) -> None:
        self.workers[worker.id] = worker
        self._refs.clear()
        self._infos.clear()

    def forget(self, worker: Worker) -> None:
        del self.workers[worker.id]
        if worker.shown is not None:
            self._count_health(worker.shown[1], -1)
        self._refs.clear()
        self._infos.clear()

    def moved(self, worker: Worker, old: State | None, new: State | None) -> None:
        """Keep the indexes true after a move."""
        if old is not None:
            self._count_state(old, -1)
        if new is not None:
            self._count_state(new, 1)
        if old is State.WAITING:
            self.waiting[worker.kind].pop(worker.id, None)
        if new is State.WAITING:
            self.waiting.setdefault(worker.kind, {})[worker.id] = None
        if new in COMING_UP and worker.first_time:
            self.blocking.setdefault(worker.kind, set()).add(worker.id)
        elif new not in COMING_UP:
            self.unblock(worker)

    def unblock(self, worker: Worker) -> None:
        """Those that start after this worker's kind need not wait for it any more."""
        worker.first_time = False
        self.blocking.get(worker.kind, set()).discard(worker.id)

    def release_slot(self, worker: Worker) -> None:
        if worker.process is not None and worker.process.holds_slot:
            worker.process.holds_slot = False
            self.slots_used -= 1

    def show(self, worker: Worker, health: Health) -> None:
        """Count the worker under the health it has now, and no more under the one it had."""
        if worker.shown is not None:
            self._count_health(worker.shown[1], -1)
        self._count_health(health, 1)
        worker.shown = (worker.state, health, worker.incarnation)
        self.touched(worker)

    def touched(self, worker: Worker) -> None:
        worker.view = None
        self._infos.clear()

    def advertise(self, worker: Worker) -> ServiceInfo:
        assert worker.process is not None
        worker.process.named = True
        service = ServiceInfo(worker.id, worker.kind, worker.ref.name)
        self.advertised[worker.id] = service
        self._services = None
        return service

    def withdraw(self, id: WorkerId) -> None:
        self.advertised.pop(id, None)
        self._services = None

    def aggregate(self) -> Health:
        return aggregate(Health(status) for status in self.healths)

    def hopeless(self) -> bool:
        """Some worker will not become healthy by waiting."""
        return State.FAILED in self.states or State.UNUSABLE in self.states

    def of_kind(self, kind: str | None) -> Iterable[Worker]:
        chosen = (w for w in self.workers.values() if kind is None or w.kind == kind)
        return sorted(chosen, key=lambda worker: worker.id)

    def refs(self, kind: str | None) -> tuple[WorkerRef, ...]:
        if kind not in self._refs:
            self._refs[kind] = tuple(worker.ref for worker in self.of_kind(kind))
        return self._refs[kind]

    def services(self) -> tuple[ServiceInfo, ...]:
        if self._services is None:
            self._services = tuple(sorted(self.advertised.values()))
        return self._services

    def infos(self, kind: str | None) -> tuple[WorkerInfo, ...]:
        if kind not in self._infos:
            self._infos[kind] = tuple(self.info(worker) for worker in self.of_kind(kind))
        return self._infos[kind]

    def info(self, worker: Worker) -> WorkerInfo:
        if worker.view is None:
            worker.view = _info(worker, self.settings.workers_root)
        return worker.view

    def _count_state(self, state: State, by: int) -> None:
        self.states[state] += by
        if not self.states[state]:
            del self.states[state]

    def _count_health(self, health: Health, by: int) -> None:
        self.healths[health.status] += by
        if not self.healths[health.status]:
            del self.healths[health.status]


def _info(worker: Worker, root: str) -> WorkerInfo:
    from_process = worker.process
    endpoint, local_endpoint = read_endpoints(from_process.endpoint if from_process else None)
    return WorkerInfo(
        id=worker.id,
        kind=worker.kind,
        name=worker.ref.name,
        state=worker.state.value if worker.state else "gone",
        health=worker.shown[1] if worker.shown else Health.starting(),
        params=worker.params,
        pid=from_process.pid if from_process else None,
        incarnation=worker.incarnation,
        restarts=max(worker.starts - 1, 0),
        started_at=worker.started_at,
        directory=f"{root}/{worker.id}",
        endpoint=endpoint,
        local_endpoint=local_endpoint,
        status_text=from_process.status_text if from_process else None,
        last_exit=worker.last_exit,
    )
