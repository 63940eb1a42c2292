"""A node: its machine, the server on it with its real gateway, and its workers.

Owns what survives a crash (the workers' data) and what does not. Three things fail by themselves: the machine with all that is on it, the
server alone (the workers go on), a worker alone (it is started again). A worker's disk may be lost too: then it comes back empty.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextvars import Context, copy_context
from typing import Any, Final

from foreman.core.errors import ForemanError, StaleGeneration, WorkerNotFound
from foreman.core.generations import Generation
from foreman.core.health import Health
from foreman.core.views import ServiceInfo, WorkerInfo
from foreman.directory.records import NodeRecord
from foreman.node.gateway import Gateway
from foreman.testing.cluster_simulator.network import Host, Network
from foreman.testing.cluster_simulator.simulated_directory import SimulatedDirectory, Store
from foreman.testing.cluster_simulator.simulated_workers import SimulatedLog, SimulatedStorage, SimulatedWorker
from foreman.testing.cluster_simulator.virtual_time import WHO, the_loop

DURABLE_AFTER: Final = 5
"""Storage workers are so many versions behind with their disk, as by the real one's window."""
CAPABILITIES: Final = ("log", "storage", "coordination")

Mind = Callable[["SimulatedNode", Host], Coroutine[Any, Any, None]]
"""What runs beside the gateway: a coordinator."""


class SimulatedNode:
    """``mind`` is run anew in each life of the server. ``on_made`` hears the id of each new worker."""

    def __init__(
        self,
        id: str,
        domain: str,
        store: Store,
        network: Network,
        nodes: "Mapping[str, SimulatedNode]",
        *,
        mind: Mind | None = None,
        on_made: Callable[[str, str], None] = lambda _id, _node: None,
    ) -> None:
        self.id, self.domain = id, domain
        self._store, self._network, self._nodes, self._mind, self._on_made = store, network, nodes, mind, on_made
        self.workers: dict[str, SimulatedWorker] = {}
        self.not_running: set[str] = set()
        self.up = self.serves = self.stopped = False
        self.lives = 0
        self._newest: Generation | None = None
        self.control = Host(id, alive=False)
        self._hosts: tuple[Host, ...] = ()
        self._gateway: Gateway | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._context: Context = copy_context()
        self._context.run(WHO.set, id)
        self._shown: set[str] = set()

    # --- the machine and the server ---

    def start(self, lease_s: float) -> None:
        """The machine, with all its workers, and the server."""
        self.up = True
        self.not_running.clear()
        self.start_server(lease_s)

    def start_server(self, lease_s: float) -> None:
        self.serves, self.lives = True, self.lives + 1
        for_gateway, self.control = Host(self.id), Host(self.id)
        self._hosts = (for_gateway, self.control)
        capabilities = CAPABILITIES if self._mind is not None else CAPABILITIES[:2]
        record = NodeRecord(self.id, self.id, capabilities, self.domain, f"{self.lives:016x}")
        gateway = Gateway(SimulatedDirectory(self._store, self._network, for_gateway), "sim", record, lease_s=lease_s)
        self._gateway = gateway
        self._tasks = [self.begin(gateway.start(self._services()))]
        if self._mind is not None:
            self._tasks.append(self.begin(self._mind(self, self.control)))

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """As a program of this node."""
        return the_loop().create_task(work, context=self._context.copy())

    def kill_server(self) -> None:
        """At once: it says nothing to anybody any more. The workers go on."""
        self.go_on()  # a stopped process can be killed
        self.serves = False
        for host in self._hosts:
            host.alive = False
        gateway, self._gateway = self._gateway, None
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()  # a coordinator never ends by itself: its fault is the run's
            task.cancel()
        if gateway is not None:
            self._tasks.append(self.begin(gateway.stop(leave=False)))

    async def ended(self) -> None:
        """After :meth:`kill_server`: until nothing of it is left."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> None:
        """Raises what the coordinator failed with."""
        for task in self._tasks:
            if self.serves and task.done() and not task.cancelled():
                task.result()

    def crash(self) -> None:
        """The machine is gone, and every worker with it."""
        self.kill_server()
        self.up = False
        for worker in self.workers.values():
            worker.crash()

    def stop(self) -> None:
        """All its processes, as by SIGSTOP."""
        self.stopped = True
        the_loop().stop_host(self.id)
        self._network.stop_host(self.id)

    def go_on(self) -> None:
        if self.stopped:
            self.stopped = False
            the_loop().continue_host(self.id)
            self._network.continue_host(self.id)

    def admit(self, generation: Generation | None) -> None:
        """It is remembered over every crash. Raises StaleGeneration."""
        if generation is not None:
            if self._newest is not None and generation.is_older_than(self._newest):
                raise StaleGeneration(generation.epoch, self._newest.epoch)
            self._newest = generation

    # --- workers ---

    def make(self, id: str, kind: str) -> None:
        """As new_worker: the same one again is the same one."""
        if id not in self.workers:
            self.workers[id] = SimulatedLog() if kind == "log" else SimulatedStorage()
            self._on_made(id, self.id)
        self.show()

    def remove(self, id: str) -> ForemanError | None:
        if self.workers.pop(id, None) is None:
            return WorkerNotFound(id)
        self.not_running.discard(id)
        self.show()
        return None

    def kill_worker(self, id: str) -> None:
        self.workers[id].crash()
        self.not_running.add(id)
        self.show()

    def start_worker(self, id: str) -> None:
        self.not_running.discard(id)
        self.show()

    def lose_disk(self, id: str) -> None:
        """It ends; started again it is the same worker with nothing in it."""
        self.kill_worker(id)
        self.workers[id] = SimulatedLog() if isinstance(self.workers[id], SimulatedLog) else SimulatedStorage()

    def show(self) -> None:
        """What runs, and nothing else, stands in the directory."""
        if self._gateway is not None:
            services = self._services()
            there = {service.id for service in services}
            self._gateway.advertise(services)
            self._gateway.withdraw(self._shown - there).close()
            self._shown = there

    def running(self, id: str) -> SimulatedWorker | None:
        return self.workers.get(id) if self.up and not self.stopped and id not in self.not_running else None

    def infos(self) -> list[WorkerInfo]:
        return [self._info(id, worker) for id, worker in sorted(self.workers.items())]

    def _info(self, id: str, worker: SimulatedWorker) -> WorkerInfo:
        runs = id not in self.not_running
        return WorkerInfo(
            id, kind_of(worker), f"sim_{id}", "running" if runs else "starting", Health.ok() if runs else Health.starting(), {},
            1 if runs else None, "1", 0, 0.0, "", f"{self.id}/{id}" if runs else None, None, None,
        )  # fmt: skip

    def _services(self) -> list[ServiceInfo]:
        return [ServiceInfo(id, kind_of(worker), f"sim_{id}") for id, worker in sorted(self.workers.items()) if id not in self.not_running]

    # --- following the logs ---

    def step(self) -> None:
        """Every storage worker takes what it can get."""
        for id, worker in self.workers.items():
            if isinstance(worker, SimulatedStorage) and not worker.lock.held and worker.logs and id not in self.not_running:
                self._step(worker)

    def _step(self, storage: SimulatedStorage) -> None:
        logs = [log for endpoint in storage.logs if isinstance(log := self.seen(endpoint), SimulatedLog) and not log.lock.held]
        able = [log for log in logs if log.oldest <= storage.latest]
        if able and storage.whole:
            storage.follow(max(able, key=lambda log: log.last))
            storage.durable = max(storage.durable, storage.latest - DURABLE_AFTER)
        elif logs:
            storage.whole = False
            replicas = [replica for endpoint in storage.replicas if isinstance(replica := self.seen(endpoint), SimulatedStorage)]
            storage.copy(replicas, min(log.oldest for log in logs))

    def seen(self, endpoint: str) -> SimulatedWorker | None:
        """The worker there, if one of this node can reach it now."""
        node, _, id = endpoint.partition("/")
        return self._nodes[node].running(id) if self._network.both_ways(self.id, node) else None


def kind_of(worker: SimulatedWorker) -> str:
    """As foremen call it."""
    return "log" if isinstance(worker, SimulatedLog) else "storage"
