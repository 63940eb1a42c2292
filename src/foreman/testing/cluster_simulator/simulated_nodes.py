"""A node: its workers, its real gateway, and its foreman and its workers as others reach them over the network.

Owns what survives a crash (the workers' data) and what does not (the gateway, what was only in memory).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from foreman.control.attempt import Attempt
from foreman.control.ports import Following, LogState, StorageState
from foreman.core.errors import ForemanError, ForemanUnavailable, StaleGeneration, WorkerNotFound
from foreman.core.generations import Generation
from foreman.core.health import Health
from foreman.core.views import ServiceInfo, WorkerInfo, WorkerRef
from foreman.directory.records import NodeRecord
from foreman.node.gateway import Gateway
from foreman.testing.cluster_simulator.network import Lost, Network
from foreman.testing.cluster_simulator.simulated_directory import SimulatedDirectory, Store
from foreman.testing.cluster_simulator.simulated_workers import SimulatedLog, SimulatedStorage, SimulatedWorker

_Answer = TypeVar("_Answer")
STEP_S: Final = 0.05
DURABLE_AFTER: Final = 5
"""Storage workers are so many versions behind with their disk, as by the real one's window."""


class SimulatedNode:
    def __init__(self, id: str, domain: str, store: Store, network: Network, nodes: "Mapping[str, SimulatedNode]") -> None:
        self.id, self.domain = id, domain
        self._store, self._network, self._nodes = store, network, nodes
        self.workers: dict[str, SimulatedWorker] = {}
        self.up = False
        self._heard: Generation | None = None
        self._gateway: Gateway | None = None
        self._following: asyncio.Task[None] | None = None
        self._lives = 0

    async def start(self, lease_s: float) -> None:
        self.up, self._lives = True, self._lives + 1
        record = NodeRecord(self.id, self.id, ("log", "storage", "coordination"), self.domain, f"{self._lives:016x}")
        self._gateway = Gateway(SimulatedDirectory(self._store, self._network, self.id), "sim", record, lease_s=lease_s)
        await self._gateway.start(self._services())
        self._following = asyncio.create_task(self._follow())

    async def crash(self) -> None:
        self.up = False
        for worker in self.workers.values():
            worker.crash()
        if self._following is not None:
            self._following.cancel()
        if self._gateway is not None:
            await self._gateway.stop(leave=False)

    def admit(self, generation: Generation) -> None:
        """What a node heard outlasts its crashes. Raises StaleGeneration."""
        if self._heard is not None and generation.is_older_than(self._heard):
            raise StaleGeneration(generation.epoch, self._heard.epoch)
        self._heard = generation

    def make(self, id: str, kind: str) -> None:
        """As new_worker: the same one again is the same one."""
        if id not in self.workers:
            self.workers[id] = SimulatedLog() if kind == "log" else SimulatedStorage()
        assert self._gateway is not None
        self._gateway.advertise(self._services())

    def remove(self, id: str) -> ForemanError | None:
        if self.workers.pop(id, None) is None:
            return WorkerNotFound(id)
        assert self._gateway is not None
        self._gateway.withdraw([id]).close()
        return None

    def infos(self) -> list[WorkerInfo]:
        return [
            WorkerInfo(
                id, _kind(worker), f"sim_{id}", "running", Health.ok(), {}, 1, "1", 0, 0.0, "", f"{self.id}/{id}", None, None
            )
            for id, worker in sorted(self.workers.items())
        ]  # fmt: skip

    def _services(self) -> list[ServiceInfo]:
        return [ServiceInfo(id, _kind(worker), f"sim_{id}") for id, worker in sorted(self.workers.items())]

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(STEP_S)
            for worker in self.workers.values():
                if isinstance(worker, SimulatedStorage) and not worker.lock.held and worker.logs:
                    self._step(worker)

    def _step(self, storage: SimulatedStorage) -> None:
        logs = [log for endpoint in storage.logs if isinstance(log := self.seen(endpoint), SimulatedLog) and not log.lock.held]
        able = [log for log in logs if log.oldest <= storage.latest]
        if able and storage.whole:
            storage.follow(max(able, key=lambda log: log.last))
            storage.durable = max(storage.durable, storage.latest - DURABLE_AFTER)
        elif logs:
            storage.whole = False
            for endpoint in storage.replicas:
                replica = self.seen(endpoint)
                if isinstance(replica, SimulatedStorage) and replica.whole and replica.latest >= min(log.oldest for log in logs):
                    storage.copy(replica)
                    return

    def seen(self, endpoint: str) -> SimulatedWorker | None:
        """The worker there, if this node can reach it now."""
        node, _, id = endpoint.partition("/")
        other = self._nodes[node]
        return other.workers.get(id) if other.up and (node == self.id or self._network.hears(self.id, node)) else None


def _kind(worker: SimulatedWorker) -> str:
    return "log" if isinstance(worker, SimulatedLog) else "storage"


class Reach:
    """From node ``me`` to others: foremen by :meth:`connect`, workers as a DataPlane."""

    def __init__(self, me: str, nodes: Mapping[str, SimulatedNode], network: Network) -> None:
        self._me, self._nodes, self._network = me, nodes, network

    def connect(self, address: str, generation: Generation) -> "ReachedNode":
        return ReachedNode(self, address, generation)

    async def ask(self, node: str, ask: Callable[[SimulatedNode], _Answer]) -> _Answer:
        """There, and back. Raises ForemanUnavailable, whether it was done or not."""
        try:
            await self._network.go(self._me, node)
            if not self._nodes[node].up:
                raise ForemanUnavailable(node, "it is down")
            answer = ask(self._nodes[node])
            await self._network.back(node, self._me)
        except Lost:
            raise ForemanUnavailable(node, "simulated silence") from None
        return answer

    async def _log(self, endpoint: str, ask: Callable[[SimulatedLog], _Answer]) -> _Answer:
        return await self.ask(endpoint.partition("/")[0], lambda node: ask(_the(node, endpoint, SimulatedLog)))

    async def _storage(self, endpoint: str, ask: Callable[[SimulatedStorage], _Answer]) -> _Answer:
        return await self.ask(endpoint.partition("/")[0], lambda node: ask(_the(node, endpoint, SimulatedStorage)))

    async def log_state(self, endpoint: str) -> LogState:
        return await self._log(endpoint, _log_state)

    async def lock_log(self, endpoint: str, attempt: Attempt) -> LogState:
        def lock(log: SimulatedLog) -> LogState:
            log.lock.lock(attempt)
            return _log_state(log)

        return await self._log(endpoint, lock)

    async def recover_log(self, endpoint: str, source: str | None, first: int, last: int) -> None:
        old = None if source is None else await self._log(source, lambda log: log)
        await self._log(endpoint, lambda log: log.recover(old, first, last))

    async def push(self, endpoint: str, epoch: int, version: int, what: str) -> None:
        await self._log(endpoint, lambda log: log.push(epoch, version, version - 1, what))

    async def storage_state(self, endpoint: str) -> StorageState:
        return await self._storage(endpoint, _storage_state)

    async def lock_storage(self, endpoint: str, attempt: Attempt) -> StorageState:
        def lock(storage: SimulatedStorage) -> StorageState:
            storage.lock.lock(attempt)
            return _storage_state(storage)

        return await self._storage(endpoint, lock)

    async def unlock_storage(self, endpoint: str, attempt: Attempt, version: int, following: Following) -> None:
        await self._storage(endpoint, lambda storage: storage.unlock(attempt, version, following))

    async def close(self) -> None:
        pass


_Kind = TypeVar("_Kind", SimulatedLog, SimulatedStorage)


def _the(node: SimulatedNode, endpoint: str, kind: type[_Kind]) -> _Kind:
    worker = node.workers.get(endpoint.partition("/")[2])
    if not isinstance(worker, kind):
        raise ForemanUnavailable(endpoint, "nobody listens there")
    return worker


def _log_state(log: SimulatedLog) -> LogState:
    return LogState(log.lock.generation, log.oldest, log.last)


def _storage_state(storage: SimulatedStorage) -> StorageState:
    return StorageState(storage.layout_epoch, storage.sound_durable, storage.latest)


class ReachedNode:
    """A foreman, as a director sees it."""

    def __init__(self, reach: Reach, node: str, generation: Generation) -> None:
        self._reach, self._node, self._generation = reach, node, generation

    async def _ask(self, ask: Callable[[SimulatedNode], _Answer]) -> _Answer:
        def admitted(node: SimulatedNode) -> _Answer:
            node.admit(self._generation)
            return ask(node)

        return await self._reach.ask(self._node, admitted)

    async def new_worker(self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = 30.0) -> WorkerRef:
        await self._ask(lambda node: node.make(id, kind))
        return WorkerRef(id, kind, f"sim_{id}")

    async def infos(self, *, kind: str | None = None) -> list[WorkerInfo]:
        return await self._ask(lambda node: node.infos())

    async def remove_workers(self, ids: Sequence[str], *, timeout: float = 30.0) -> dict[str, ForemanError | None]:
        return await self._ask(lambda node: {id: node.remove(id) for id in ids})

    async def close(self) -> None:
        pass
