"""One run: a cluster of nodes with their real coordinators, a client that pushes, faults by seed, and at the end peace.

What must hold is checked at every write to the directory and at the end: epochs increase, an epoch has one layout, no layout forgets
what was acknowledged, and when the faults stop the cluster is what was wished for, with nothing else running.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from foreman.control.cluster_view import ClusterView, view_of
from foreman.control.coordinator import Coordinator, World
from foreman.control.recovery.recovery import names_of
from foreman.control.settings import ControlSettings
from foreman.directory.keys import ClusterKeys
from foreman.directory.port import Put, Snapshot
from foreman.directory.records import ClusterSpec, EpochRecord, Layout, LeaderRecord, Placement, decode, encode
from foreman.testing.cluster_simulator import virtual_time
from foreman.testing.cluster_simulator.network import DIRECTORY, Network
from foreman.testing.cluster_simulator.simulated_directory import SimulatedDirectory, Store
from foreman.testing.cluster_simulator.simulated_nodes import Reach, SimulatedNode
from foreman.testing.cluster_simulator.simulated_workers import SimulatedStorage

LEASE_S: Final = 3.0
FAULTS: Final = 12
PEACE_S: Final = 300.0
PUSH_EVERY_S: Final = 0.1
KEYS: Final = ClusterKeys("sim")


class BrokenPromise(AssertionError):
    """What a cluster must never do."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a run came to. ``revisions``: writes to the directory, all told."""

    seed: int
    epochs: int
    layouts: int
    acknowledged: int
    revisions: int
    seconds: float


class Promises:
    """Hears every write, and every acknowledgement."""

    def __init__(self) -> None:
        self.layouts: list[Layout] = []
        self.epoch = 0
        self.acknowledged: dict[int, str] = {}
        self.broken: list[str] = []

    def written(self, key: bytes, value: bytes) -> None:
        if key == KEYS.epoch:
            epoch = decode(EpochRecord, key, value).epoch
            if epoch <= self.epoch:
                self.broken.append(f"epoch {epoch} was taken after {self.epoch}")
            self.epoch = epoch
        elif key == KEYS.layout:
            self._published(decode(Layout, key, value))

    def _published(self, layout: Layout) -> None:
        if self.layouts and layout.epoch <= self.layouts[-1].epoch:
            self.broken.append(f"layout {layout.epoch} was published after {self.layouts[-1].epoch}")
        newest = max(self.acknowledged, default=0)
        if layout.last_version < newest:
            self.broken.append(f"layout {layout.epoch} ends at {layout.last_version}, and {newest} was acknowledged")
        self.layouts.append(layout)

    def acknowledge(self, layout: Layout, version: int, what: str) -> None:
        newest = self.layouts[-1]
        if newest is not layout and version > newest.last_version:
            self.broken.append(f"layout {layout.epoch} acknowledged {version} after layout {newest.epoch} was published without it")
        if self.acknowledged.setdefault(version, what) != what:
            self.broken.append(f"{what} was acknowledged at {version}, as {self.acknowledged[version]} had been")

    def check(self) -> None:
        if self.broken:
            raise BrokenPromise("; ".join(self.broken))


class Simulation:
    """``count`` nodes, each a fault domain by itself."""

    def __init__(self, seed: int, count: int = 4) -> None:
        self.seed, self.chance, self.promises = seed, random.Random(seed), Promises()
        self.network = Network(self.chance)
        self.store = Store(self.promises.written)
        self.nodes: dict[str, SimulatedNode] = {}
        for number in range(count):
            self.nodes[f"n{number}"] = SimulatedNode(f"n{number}", f"d{number}", self.store, self.network, self.nodes)
        self.coordinators: dict[str, asyncio.Task[None]] = {}
        self.wish = ClusterSpec(self.chance.randint(1, 3), self.chance.randint(2, 3), (b"m",) * self.chance.randint(0, 1), 15.0)

    async def run(self) -> Told:
        client = asyncio.create_task(self._push(), name="client")
        try:
            await asyncio.gather(*(self._start(id) for id in self.nodes))
            self.store.transact([], [Put(KEYS.spec, encode(self.wish))])
            for _ in range(FAULTS):
                await asyncio.sleep(self.chance.uniform(0.0, 8.0))
                await self._fault()
            await self._make_peace()
            await self._converge()
        finally:
            for task in (client, *self.coordinators.values()):
                task.cancel()
            await asyncio.gather(client, *self.coordinators.values(), return_exceptions=True)
        self.promises.check()
        self._check_data()
        now = asyncio.get_running_loop().time()
        layouts, acknowledged = len(self.promises.layouts), len(self.promises.acknowledged)
        return Told(self.seed, self.promises.epoch, layouts, acknowledged, self.store.revision, now)

    async def _start(self, id: str) -> None:
        await self.nodes[id].start(LEASE_S)
        directory = SimulatedDirectory(self.store, self.network, id)
        reach, clock = Reach(id, self.nodes, self.network), asyncio.get_running_loop().time
        world = World(
            directory, "sim", LeaderRecord(id, id), reach.connect, reach, ControlSettings(lease_s=LEASE_S), clock=clock, wall=clock,
            fresh_id=lambda: f"{self.chance.getrandbits(32):08x}", chance=self.chance.random,
        )  # fmt: skip
        self.coordinators[id] = asyncio.create_task(Coordinator(world).run())

    # --- faults ---

    async def _fault(self) -> None:
        """Never all copies of anything at once: at most one node is down or cut off at a time."""
        await self._mend()
        id = self.chance.choice(sorted(self.nodes))
        match self.chance.choice(["crash", "cut", "deaf", "lease", "loss", "nothing"]):
            case "crash":
                await self._crash(id)
            case "cut":
                self.network.cut |= {frozenset((id, other)) for other in (*self.nodes, DIRECTORY) if other != id}
            case "deaf":
                self.network.cut.add(frozenset((id, DIRECTORY)))
            case "lease":  # two leaders at once: the old one has not heard of it
                leader = self.store.entries.get(KEYS.leader)
                if leader is not None and leader.lease is not None:
                    self.store.revoke(leader.lease)
            case "loss":
                self.network.loss = 0.1
            case _:
                pass

    async def _crash(self, id: str) -> None:
        """The coordinator has no time to resign."""
        self.network.cut.add(frozenset((id, DIRECTORY)))
        self.coordinators[id].cancel()
        await asyncio.gather(self.coordinators.pop(id), return_exceptions=True)
        await self.nodes[id].crash()

    async def _mend(self) -> None:
        self.network.cut, self.network.loss = set(), 0.0
        for id, node in self.nodes.items():
            if not node.up:
                await self._start(id)

    async def _make_peace(self) -> None:
        await self._mend()
        for id, task in self.coordinators.items():
            if task.done():
                raise BrokenPromise(f"the coordinator of {id} ended: {task.exception()!r}") from task.exception()

    # --- the client ---

    async def _push(self) -> None:
        """As LogSet wants it: what was not acknowledged is repeated, the same at the same version, or left to a recovery."""
        reach, sent = Reach("client", self.nodes, self.network), 0
        while True:
            await asyncio.sleep(PUSH_EVERY_S)
            layout = self.promises.layouts[-1] if self.promises.layouts else None
            version = layout.last_version if layout is not None else 0
            while layout is not None and layout is self.promises.layouts[-1]:
                version, sent = version + 1, sent + 1
                await self._push_one(reach, layout, version, f"{layout.epoch}.{sent}")
                await asyncio.sleep(PUSH_EVERY_S)

    async def _push_one(self, reach: Reach, layout: Layout, version: int, what: str) -> None:
        while layout is self.promises.layouts[-1]:
            pushes = [reach.push(f"{log.node}/{log.id}", layout.epoch, version, what) for log in layout.logs]
            outcomes = await asyncio.gather(*pushes, return_exceptions=True)
            if not any(isinstance(outcome, BaseException) for outcome in outcomes):
                return self.promises.acknowledge(layout, version, what)
            await asyncio.sleep(PUSH_EVERY_S)
        return None

    # --- peace ---

    async def _converge(self) -> None:
        until = asyncio.get_running_loop().time() + PEACE_S
        while (wrong := self._wrong(self._view())) is not None:
            self.promises.check()
            if asyncio.get_running_loop().time() > until:
                raise BrokenPromise(f"after {PEACE_S:g} s of peace {wrong}; {self._view().status}")
            await asyncio.sleep(0.5)

    def _view(self) -> ClusterView:
        entries = tuple(entry for _, entry in sorted(self.store.entries.items()))
        return view_of(KEYS, Snapshot(self.store.revision, entries))

    def _wrong(self, view: ClusterView) -> str | None:
        layout, status = view.layout, view.status
        if layout is None or status is None or status.state != "watching":
            return "there is no layout that is watched over"
        if len(layout.logs) != self.wish.logs or [team.begin for team in layout.teams] != [b"", *self.wish.splits]:
            return "the layout is not what was wished for"
        if any(len(team.members) != self.wish.storage_replicas for team in layout.teams):
            return "a team is not whole"
        if any(
            self._storage(member).latest < max(self.promises.acknowledged, default=0) for team in layout.teams for member in team.members
        ):
            return "a member is behind"
        running = {Placement(id, node.id) for node in self.nodes.values() for id in node.workers}
        return None if running == names_of(layout) else f"what runs is not what the layout names: {running ^ names_of(layout)}"

    def _storage(self, member: Placement) -> SimulatedStorage:
        storage = self.nodes[member.node].workers.get(member.id)
        if not isinstance(storage, SimulatedStorage):
            raise BrokenPromise(f"{member.id} of the layout is not there")
        return storage

    def _check_data(self) -> None:
        for team in self.promises.layouts[-1].teams:
            for member in team.members:
                self._check_member(self._storage(member).data, member)

    def _check_member(self, data: Mapping[int, str], member: Placement) -> None:
        for version, what in self.promises.acknowledged.items():
            if data.get(version) != what:
                raise BrokenPromise(f"{member.id} has {data.get(version)} at {version}, acknowledged was {what}")


def simulate(seed: int, count: int = 4) -> Told:
    """Raises BrokenPromise."""

    async def main() -> Told:
        return await Simulation(seed, count).run()

    before = random.getstate()
    random.seed(seed)  # what waits between tries draws from there
    try:
        return virtual_time.run(main())
    finally:
        random.setstate(before)
