"""The node in this process: the Foreman's methods, straight to the server's inbox and off the machine's cached views.

The door: ids, kinds, params and time-outs are parsed here, before any event, so that inside everything is known to be right.
Questions are answered from what the machine keeps, without an event. Never decides and never does I/O of its own, except to read
the output that a worker left.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from itertools import islice
from typing import Any, Final

from foreman.core.cluster import ClusterInterface
from foreman.core.errors import ForemanError, InvalidParams, InvalidRequest, InvalidWorkerId
from foreman.core.events import (
    NewWorkers,
    RemoveWorkers,
    ReportHealth,
    RestartWorkerRequested,
    ShutdownRequested,
    StartWorkerRequested,
    StopWorkerRequested,
    WaitForHealthy,
)
from foreman.core.health import Health, HealthStatus
from foreman.core.ids import WorkerId, parse_worker_id
from foreman.core.interface import (
    DEFAULT_BATCH_TIMEOUT_S,
    DEFAULT_NEW_TIMEOUT_S,
    DEFAULT_REMOVE_TIMEOUT_S,
    DEFAULT_WAIT_TIMEOUT_S,
    ForemanInterface,
    NewWorkerItem,
)
from foreman.core.kinds import Kinds
from foreman.core.manifest import params_problems
from foreman.core.timeouts import checked_timeout
from foreman.core.views import NodeEvent, NodeInfo, ServiceInfo, StoryLine, WorkerInfo, WorkerRef
from foreman.node.event_stream import EventStream
from foreman.node.server import Server

MAX_BATCH: Final = 10_000
MAX_REASON_CHARACTERS: Final = 1_000

Item = tuple[WorkerId, str, Mapping[str, Any]]


class LocalForeman(ForemanInterface):
    """``output_of``, ``node_info`` and ``cluster`` are what the node knows and the machine does not."""

    def __init__(
        self,
        server: Server,
        kinds: Callable[[], Kinds],
        stream: EventStream,
        *,
        output_of: Callable[[WorkerId, bool], AsyncIterator[bytes]],
        node_info: Callable[[], NodeInfo],
        cluster: Callable[[], ClusterInterface],
    ) -> None:
        self._server = server
        self._kinds = kinds
        self._stream = stream
        self._output_of = output_of
        self._node_info = node_info
        self._cluster = cluster

    @property
    def cluster(self) -> ClusterInterface:
        return self._cluster()

    # --- creating ---

    async def new_worker(
        self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = DEFAULT_NEW_TIMEOUT_S
    ) -> WorkerRef:
        item = self._item(id, kind, params)
        within_s = checked_timeout(timeout)
        made = await self._server.ask(lambda at, request: NewWorkers(at, request, (item,), within_s, atomic=False))
        assert isinstance(made, tuple)  # the machine's promise for NewWorkers
        return made[0]

    async def new_workers(self, items: Iterable[NewWorkerItem], *, timeout: float = DEFAULT_BATCH_TIMEOUT_S) -> list[WorkerRef]:
        checked = self._items(items)
        within_s = checked_timeout(timeout)
        if not checked:
            return []
        made = await self._server.ask(lambda at, request: NewWorkers(at, request, checked, within_s, atomic=True))
        assert isinstance(made, tuple)
        return list(made)

    # --- looking ---

    async def all(self) -> list[WorkerRef]:
        return list(self._server.machine.refs())

    async def workers(self, *, kind: str | None = None) -> list[WorkerRef]:
        return list(self._server.machine.refs(kind))

    async def info(self, id: str) -> WorkerInfo:
        return self._server.machine.info(parse_worker_id(id))

    async def infos(self, *, kind: str | None = None) -> list[WorkerInfo]:
        return list(self._server.machine.infos(kind))

    async def health(self) -> Health:
        return self._server.machine.health

    async def get_all_running_services(self) -> list[ServiceInfo]:
        return list(self._server.machine.services())

    async def why(self, id: str) -> list[StoryLine]:
        return list(self._server.machine.story(parse_worker_id(id)))

    async def node(self) -> NodeInfo:
        return self._node_info()

    def events(self, *, after: int | None = None) -> AsyncIterator[NodeEvent]:
        if after is not None and after < 0:
            raise InvalidRequest([f"after must be the number of an event, not {after}"])
        return self._stream.watch(after)

    def output(self, id: str, *, follow: bool = False) -> AsyncIterator[bytes]:
        return self._output_of(self._known(id), follow)

    # --- health ---

    async def wait_for_healthy(self, *, timeout: float = DEFAULT_WAIT_TIMEOUT_S) -> None:
        within_s = checked_timeout(timeout)
        await self._server.ask(lambda at, request: WaitForHealthy(at, request, within_s))

    async def report_health(self, id: str, health: Health) -> None:
        worker = parse_worker_id(id)
        told = checked_report(health)
        await self._server.ask(lambda at, request: ReportHealth(at, request, worker, told))

    # --- starting and stopping ---

    async def restart_worker(self, id: str, *, timeout: float = DEFAULT_NEW_TIMEOUT_S) -> None:
        worker, within_s = parse_worker_id(id), checked_timeout(timeout)
        await self._server.ask(lambda at, request: RestartWorkerRequested(at, request, worker, within_s))

    async def stop_worker(self, id: str, *, timeout: float = DEFAULT_REMOVE_TIMEOUT_S) -> None:
        worker, within_s = parse_worker_id(id), checked_timeout(timeout)
        await self._server.ask(lambda at, request: StopWorkerRequested(at, request, worker, within_s))

    async def start_worker(self, id: str, *, timeout: float = DEFAULT_NEW_TIMEOUT_S) -> None:
        worker, within_s = parse_worker_id(id), checked_timeout(timeout)
        await self._server.ask(lambda at, request: StartWorkerRequested(at, request, worker, within_s))

    async def shutdown(self) -> None:
        self._server.tell(lambda at: ShutdownRequested(at, request=None))

    # --- removing ---

    async def remove_worker(self, id: str, *, timeout: float = DEFAULT_REMOVE_TIMEOUT_S) -> None:
        worker = parse_worker_id(id)
        error = (await self._remove((worker,), checked_timeout(timeout)))[worker]
        if error is not None:
            raise error

    async def remove_workers(self, ids: Sequence[str], *, timeout: float = DEFAULT_REMOVE_TIMEOUT_S) -> dict[str, ForemanError | None]:
        results: dict[str, ForemanError | None] = {}
        for id in checked_ids(ids):
            try:
                results[parse_worker_id(id)] = None
            except InvalidWorkerId as error:
                results[id] = error
        workers = tuple(WorkerId(id) for id, error in results.items() if error is None)
        within_s = checked_timeout(timeout)
        return results | await self._remove(workers, within_s) if workers else results

    async def _remove(self, workers: tuple[WorkerId, ...], within_s: float) -> dict[str, ForemanError | None]:
        results = await self._server.ask(lambda at, request: RemoveWorkers(at, request, workers, within_s))
        assert isinstance(results, dict)  # the machine's promise for RemoveWorkers
        return results

    # --- the door ---

    def _known(self, id: str) -> WorkerId:
        """Raises InvalidWorkerId, WorkerNotFound."""
        worker = parse_worker_id(id)
        self._server.machine.info(worker)
        return worker

    def _item(self, id: object, kind: object, params: Mapping[str, Any] | None = None) -> Item:
        worker = parse_worker_id(id)
        wanted = {} if params is None else params
        spec = self._kinds().check(kind, wanted)
        problems = params_problems(wanted)
        if problems:
            raise InvalidParams(spec.name, problems)
        return worker, spec.name, deepcopy(dict(wanted))  # the caller may go on changing what is its own

    def _items(self, items: Iterable[NewWorkerItem]) -> tuple[Item, ...]:
        checked: dict[WorkerId, Item] = {}
        for item in items:
            parts: Any = item  # whoever calls may not heed the types
            if not isinstance(parts, tuple | list) or len(parts) not in {2, 3}:
                raise InvalidRequest([f"each item must be (id, kind) or (id, kind, params), not {repr(item)[:80]}"])
            one = self._item(*parts)
            if one[0] in checked:
                raise InvalidRequest([f"{one[0]} is named twice"])
            checked[one[0]] = one
            if len(checked) > MAX_BATCH:
                raise InvalidRequest([f"at most {MAX_BATCH} workers in one batch"])
        return tuple(checked.values())


def checked_report(health: object) -> Health:
    """A worker reports ok or error; everything else is the Foreman's own to find out."""
    if not isinstance(health, Health) or health.status not in {HealthStatus.OK, HealthStatus.ERROR}:
        raise InvalidRequest(["a report of health is ok, or error with a reason"])
    if health.status is HealthStatus.OK:
        return Health.ok()
    return Health.error((health.reason or "no reason given")[:MAX_REASON_CHARACTERS])


def checked_ids(ids: object) -> list[str]:
    """A list of texts, and not one text, which is a sequence too."""
    if isinstance(ids, str | bytes) or not isinstance(ids, Iterable):
        raise InvalidRequest([f"ids must be a list of worker ids, not {repr(ids)[:80]}"])
    listed = list(islice(ids, MAX_BATCH + 1))
    if len(listed) > MAX_BATCH:
        raise InvalidRequest([f"at most {MAX_BATCH} workers in one batch"])
    if not all(isinstance(id, str) for id in listed):
        raise InvalidRequest(["each id must be text"])
    return listed
