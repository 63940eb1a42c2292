"""A Foreman in memory: every method works at once, nothing is started. For testing programs that use a Foreman.

Workers become healthy when created, unless the kind is ``broken`` (its workers fail to start) or ``slow`` (they stay starting, so
that waiting for them times out). ``fail_next`` makes the next call of a method raise what is given, so that each error can be seen.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from foreman.core.cluster import ClusterInterface
from foreman.core.errors import (
    BatchFailed,
    FailedToStart,
    ForemanError,
    ForemanTimeout,
    InvalidRequest,
    UnknownKind,
    WorkerExists,
    WorkerNotFound,
    WorkersUnhealthy,
)
from foreman.core.health import Health, HealthStatus, aggregate
from foreman.core.ids import parse_worker_id
from foreman.core.interface import ForemanInterface, NewWorkerItem
from foreman.core.views import (
    HealthChanged,
    NodeEvent,
    NodeInfo,
    ServiceInfo,
    StoryLine,
    WorkerChanged,
    WorkerInfo,
    WorkerRef,
    WorkerRemoved,
)
from foreman.node.event_stream import EventStream
from foreman.testing.fake_cluster import FakeCluster

KINDS: Final = ("broken", "log", "redis", "slow", "storage")
EPOCH_S: Final = 1_700_000_000.0
"""The moment at which everything here happens."""


class FakeForeman(ForemanInterface):
    """``outputs``: what :meth:`output` gives for each id. ``down``: set by :meth:`shutdown`."""

    def __init__(self, cluster: str = "demo") -> None:
        self.cluster_name = cluster
        self.whole_cluster = FakeCluster()
        self.outputs: dict[str, list[bytes]] = {}
        self.stream = EventStream()
        self.down = asyncio.Event()
        self._workers: dict[str, WorkerInfo] = {}
        self._stories: dict[str, list[StoryLine]] = {}
        self._failures: dict[str, ForemanError] = {}
        self._health = Health.ok()
        self._pid = 1000

    def fail_next(self, method: str, error: ForemanError) -> None:
        """The next call of ``method`` raises ``error`` and does nothing."""
        self._failures[method] = error

    @property
    def cluster(self) -> ClusterInterface:
        return self.whole_cluster

    # --- creating ---

    async def new_worker(self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = 30.0) -> WorkerRef:
        self._fail("new_worker")
        worker = parse_worker_id(id)
        if kind not in KINDS:
            raise UnknownKind(kind, KINDS)
        there = self._workers.get(worker)
        if there is not None and (there.kind, dict(there.params)) != (kind, dict(params or {})):
            raise WorkerExists(worker)
        if there is None:
            self._add(worker, kind, dict(params or {}))
        self._started(worker, timeout)
        return WorkerRef(worker, kind, f"{self.cluster_name}_{worker}")

    def _add(self, worker: str, kind: str, params: Mapping[str, Any]) -> None:
        self._pid += 1
        health = {"broken": Health.failed_to_start("exit 1"), "slow": Health.starting()}.get(kind, Health.ok())
        info = WorkerInfo(
            worker, kind, f"{self.cluster_name}_{worker}", "preparing", health, params, self._pid, f"{self._pid:016x}", 0, EPOCH_S,
            f"/data/workers/{worker}", f"unix:/run/{worker}/resp.sock", "serving", None,
        )  # fmt: skip
        self._put(info, {"broken": "failed", "slow": "starting"}.get(kind, "running"), health, "it says that it is ready")

    def _started(self, worker: str, timeout: float) -> None:
        health = self._workers[worker].health
        if health.status is HealthStatus.FAILED_TO_START:
            raise FailedToStart(worker, health.reason or "")
        if health.status is HealthStatus.STARTING:
            raise ForemanTimeout(f"start of {worker}", timeout, {worker: "starting"})

    async def new_workers(self, items: Iterable[NewWorkerItem], *, timeout: float = 60.0) -> list[WorkerRef]:
        self._fail("new_workers")
        made: list[WorkerRef] = []
        for item in items:
            try:
                made.append(await self.new_worker(*item, timeout=timeout))
            except FailedToStart as error:
                for id in [*(ref.id for ref in made), error.id]:
                    await self.remove_worker(id)
                raise BatchFailed({error.id: error.reason}) from error
        return made

    # --- looking ---

    async def all(self) -> list[WorkerRef]:
        return await self.workers()

    async def workers(self, *, kind: str | None = None) -> list[WorkerRef]:
        return [WorkerRef(info.id, info.kind, info.name) for info in await self.infos(kind=kind)]

    async def info(self, id: str) -> WorkerInfo:
        self._fail("info")
        worker = parse_worker_id(id)
        if worker not in self._workers:
            raise WorkerNotFound(worker)
        return self._workers[worker]

    async def infos(self, *, kind: str | None = None) -> list[WorkerInfo]:
        self._fail("infos")
        return [info for _, info in sorted(self._workers.items()) if kind is None or info.kind == kind]

    async def health(self) -> Health:
        return aggregate(info.health for info in self._workers.values())

    async def get_all_running_services(self) -> list[ServiceInfo]:
        return [ServiceInfo(info.id, info.kind, info.name) for info in await self.infos() if info.health.is_ok]

    async def why(self, id: str) -> list[StoryLine]:
        return list(self._stories[(await self.info(id)).id])

    async def node(self) -> NodeInfo:
        return NodeInfo(
            node_id="0123456789abcdef", cluster=self.cluster_name, data="/data", address="unix:/run/foreman.sock", version="0", pid=1,
            supervisor_pid=2, uptime=60.0, kinds=KINDS, capabilities=("log", "storage"), directory_reachable=True,
            health=await self.health(), workers=len(self._workers), name="north",
        )  # fmt: skip

    # --- health ---

    async def wait_for_healthy(self, *, timeout: float = 30.0) -> None:
        self._fail("wait_for_healthy")
        bad = {info.id: info.health for info in self._workers.values() if info.health.status not in {HealthStatus.OK, HealthStatus.STOPPED}}
        told = {id: str(health) for id, health in bad.items()}
        if any(health.status is HealthStatus.FAILED_TO_START for health in bad.values()):
            raise WorkersUnhealthy(told)
        if bad:
            raise ForemanTimeout("wait_for_healthy", timeout, told)

    async def report_health(self, id: str, health: Health) -> None:
        if health.status not in {HealthStatus.OK, HealthStatus.ERROR}:
            raise InvalidRequest(["a report of health is ok, or error with a reason"])
        info = await self.info(id)
        self._put(info, info.state, health, "it reported its health")

    # --- running ---

    async def restart_worker(self, id: str, *, timeout: float = 30.0) -> None:
        info = await self.info(id)
        self._put(replace(info, restarts=info.restarts + 1), "running", Health.ok(), "somebody asked to restart it")

    async def stop_worker(self, id: str, *, timeout: float = 30.0) -> None:
        self._fail("stop_worker")
        self._put(replace(await self.info(id), pid=None), "stopped", Health.stopped(), "somebody asked to stop it")

    async def start_worker(self, id: str, *, timeout: float = 30.0) -> None:
        self._put(await self.info(id), "running", Health.ok(), "somebody asked to start it")

    # --- removing ---

    async def remove_worker(self, id: str, *, timeout: float = 30.0) -> None:
        self._fail("remove_worker")
        info = await self.info(id)
        del self._workers[info.id], self._stories[info.id]
        self.stream.publish(lambda sequence: WorkerRemoved(sequence, EPOCH_S, info.id, info.kind))
        await self._observe_health()

    async def remove_workers(self, ids: Sequence[str], *, timeout: float = 30.0) -> dict[str, ForemanError | None]:
        self._fail("remove_workers")
        results: dict[str, ForemanError | None] = {}
        for id in [parse_worker_id(id) for id in ids]:
            try:
                await self.remove_worker(id)
                results[id] = None
            except ForemanError as error:
                results.setdefault(id, error)
        return results

    # --- watching ---

    def events(self, *, after: int | None = None) -> AsyncIterator[NodeEvent]:
        return self.stream.watch(after)

    async def output(self, id: str, *, follow: bool = False) -> AsyncIterator[bytes]:
        for chunk in self.outputs.get((await self.info(id)).id, []):
            yield chunk
        if follow:
            await self.down.wait()

    async def shutdown(self) -> None:
        self.down.set()
        self.stream.close()

    # --- inside ---

    def _fail(self, method: str) -> None:
        error = self._failures.pop(method, None)
        if error is not None:
            raise error

    def _put(self, before: WorkerInfo, state: str, health: Health, reason: str) -> None:
        info = replace(before, state=state, health=health)
        self._workers[info.id] = info
        self._stories.setdefault(info.id, []).append(StoryLine(EPOCH_S, state, f"health {health}", reason))
        self.stream.publish(
            lambda sequence: WorkerChanged(
                sequence, EPOCH_S, info.id, info.kind, state, before.state, health, info.pid, info.incarnation, reason
            )
        )
        self._publish_health(aggregate(one.health for one in self._workers.values()))

    async def _observe_health(self) -> None:
        self._publish_health(await self.health())

    def _publish_health(self, health: Health) -> None:
        previous, self._health = self._health, health
        if health != previous:
            self.stream.publish(lambda sequence: HealthChanged(sequence, EPOCH_S, health, previous))
