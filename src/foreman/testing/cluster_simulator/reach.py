"""From one program to the others, over the network: foremen by :meth:`Reach.connect`, workers as a DataPlane.

Every command is told to ``heard`` when it has been done, so that what must always hold is looked at after each.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from foreman.control.attempt import Attempt
from foreman.control.ports import Following, LogState, StorageState
from foreman.core.errors import ForemanError, ForemanUnavailable
from foreman.core.generations import Generation
from foreman.core.views import WorkerInfo, WorkerRef
from foreman.testing.cluster_simulator.network import Host, Lost, Network
from foreman.testing.cluster_simulator.simulated_nodes import SimulatedNode
from foreman.testing.cluster_simulator.simulated_workers import SimulatedLog, SimulatedStorage
from foreman.testing.cluster_simulator.virtual_time import the_loop

_Answer = TypeVar("_Answer")
_Kind = TypeVar("_Kind", SimulatedLog, SimulatedStorage)


class Ears(Protocol):
    """Who hears what was done. Called at the worker, right after it."""

    def commanding(self, node: str, now: float) -> None: ...

    def commanded(self, endpoint: str, what: str, by: Attempt | None) -> None: ...

    def pushed(self, endpoint: str, epoch: int, version: int, what: str) -> None: ...

    def removing(self, node: str, ids: Sequence[str]) -> None: ...


class Reach:
    """``me``: the program that asks."""

    def __init__(self, me: Host, nodes: Mapping[str, SimulatedNode], network: Network, ears: Ears) -> None:
        self._me, self._nodes, self._network, self._ears = me, nodes, network, ears
        self.asked = 0

    def connect(self, address: str, generation: Generation | None = None) -> "ReachedNode":
        return ReachedNode(self, address, generation)

    async def foreman(self, node: str, generation: Generation | None, ask: Callable[[SimulatedNode], _Answer]) -> _Answer:
        """There, and back. Raises ForemanUnavailable, whether it was done or not; StaleGeneration."""
        self.asked += 1
        self._commanding()

        def do() -> _Answer:
            there = self._nodes[node]
            if not there.serves:
                raise ForemanUnavailable(node, "it is down")
            there.admit(generation)
            return ask(there)

        return await self._ask(node, do)

    def removing(self, node: str, ids: Sequence[str]) -> None:
        """It is about to be done there."""
        self._ears.removing(node, ids)

    def _commanding(self) -> None:
        self._ears.commanding(self._me.name, the_loop().time())

    async def log_state(self, endpoint: str) -> LogState:
        return await self._log(endpoint, _log_state)

    async def lock_log(self, endpoint: str, attempt: Attempt) -> LogState:
        def lock(log: SimulatedLog) -> LogState:
            log.lock.lock(attempt)
            self._ears.commanded(endpoint, "lock", attempt)
            return _log_state(log)

        self._commanding()
        return await self._log(endpoint, lock)

    async def recover_log(self, endpoint: str, attempt: Attempt, source: str | None, first: int, last: int) -> None:
        def recover(log: SimulatedLog) -> None:
            log.recover(attempt, None if source is None else self._source(endpoint, source), first, last)
            self._ears.commanded(endpoint, f"recover from {source}, {first} to {last}", attempt)

        self._commanding()
        await self._log(endpoint, recover)

    async def push(self, endpoint: str, epoch: int, version: int, what: str) -> None:
        def push(log: SimulatedLog) -> None:
            log.push(epoch, version, version - 1, what)
            self._ears.pushed(endpoint, epoch, version, what)

        await self._log(endpoint, push)

    async def storage_state(self, endpoint: str) -> StorageState:
        return await self._storage(endpoint, _storage_state)

    async def lock_storage(self, endpoint: str, attempt: Attempt) -> StorageState:
        def lock(storage: SimulatedStorage) -> StorageState:
            storage.lock.lock(attempt)
            self._ears.commanded(endpoint, "lock", attempt)
            return _storage_state(storage)

        self._commanding()
        return await self._storage(endpoint, lock)

    async def unlock_storage(self, endpoint: str, attempt: Attempt, version: int, following: Following) -> None:
        def unlock(storage: SimulatedStorage) -> None:
            storage.unlock(attempt, version, following)
            self._ears.commanded(endpoint, f"unlock at {version}{', reset' if following.reset else ''}", attempt)

        self._commanding()
        await self._storage(endpoint, unlock)

    async def close(self) -> None:
        pass

    def _source(self, endpoint: str, source: str) -> SimulatedLog:
        """As the log at ``endpoint`` reaches it."""
        found = self._nodes[endpoint.partition("/")[0]].seen(source)
        if not isinstance(found, SimulatedLog):
            raise ForemanUnavailable(source, "the new log does not reach it")
        return found

    async def _log(self, endpoint: str, ask: Callable[[SimulatedLog], _Answer]) -> _Answer:
        return await self._ask(endpoint.partition("/")[0], lambda: ask(self._the(endpoint, SimulatedLog)))

    async def _storage(self, endpoint: str, ask: Callable[[SimulatedStorage], _Answer]) -> _Answer:
        return await self._ask(endpoint.partition("/")[0], lambda: ask(self._the(endpoint, SimulatedStorage)))

    async def _ask(self, node: str, do: Callable[[], _Answer]) -> _Answer:
        try:
            return await self._network.ask(self._me, node, do)
        except Lost:
            raise ForemanUnavailable(node, "simulated silence") from None

    def _the(self, endpoint: str, kind: type[_Kind]) -> _Kind:
        node, _, id = endpoint.partition("/")
        worker = self._nodes[node].running(id)
        if not isinstance(worker, kind):
            raise ForemanUnavailable(endpoint, "nobody listens there")
        return worker


def _log_state(log: SimulatedLog) -> LogState:
    return LogState(log.lock.generation, log.oldest, log.last, log.recovered is not None)


def _storage_state(storage: SimulatedStorage) -> StorageState:
    return StorageState(storage.layout_epoch, storage.sound_durable, storage.latest, storage.keys)


class ReachedNode:
    """A foreman, as a director sees it."""

    def __init__(self, reach: Reach, node: str, generation: Generation | None) -> None:
        self._reach, self._node, self._generation = reach, node, generation

    async def new_worker(self, id: str, kind: str, params: Mapping[str, Any] | None = None, *, timeout: float = 30.0) -> WorkerRef:
        await self._reach.foreman(self._node, self._generation, lambda node: node.make(id, kind))
        return WorkerRef(id, kind, f"sim_{id}")

    async def infos(self, *, kind: str | None = None) -> list[WorkerInfo]:
        return await self._reach.foreman(self._node, self._generation, lambda node: node.infos())

    async def remove_workers(self, ids: Sequence[str], *, timeout: float = 30.0) -> dict[str, ForemanError | None]:
        def remove(node: SimulatedNode) -> dict[str, ForemanError | None]:
            self._reach.removing(node.id, ids)
            return {id: node.remove(id) for id in ids}

        return await self._reach.foreman(self._node, self._generation, remove)

    async def close(self) -> None:
        pass
