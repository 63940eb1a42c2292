"""One run: a cluster of nodes with their real coordinators, a client that pushes, faults by seed, and at the end peace.

What must hold is looked at after each step (``promises``); when the faults stop, the cluster must become what was wished for, with
everything that was acknowledged and nothing else running. Owns the run; ``faults`` says what goes wrong.
"""

import asyncio
import gc
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from foreman.control.cluster_view import ClusterView, view_of
from foreman.control.coordinator import Coordinator, World
from foreman.control.named import names_of
from foreman.control.settings import ControlSettings
from foreman.directory.port import Put
from foreman.directory.records import ClusterSpec, Layout, LeaderRecord, Placement, decode, encode
from foreman.testing.cluster_simulator import virtual_time
from foreman.testing.cluster_simulator.client import Client
from foreman.testing.cluster_simulator.faults import LEASE_S, Faults
from foreman.testing.cluster_simulator.network import Host, Network
from foreman.testing.cluster_simulator.promises import KEYS, BrokenPromise, Promises
from foreman.testing.cluster_simulator.reach import Reach
from foreman.testing.cluster_simulator.simulated_directory import SimulatedDirectory, Store
from foreman.testing.cluster_simulator.simulated_nodes import SimulatedNode
from foreman.testing.cluster_simulator.simulated_workers import SimulatedStorage
from foreman.testing.cluster_simulator.transcript import Line, Transcript, shown
from foreman.testing.cluster_simulator.wishes import splits_by
from foreman.workers.storage.key_range import KeyRange

EPISODES: Final = (1, 2, 3, 5)
PEACE_S: Final = 120.0
LOOK_S: Final = 0.5
STEP_S: Final = 0.2
SETTINGS: Final = ControlSettings(lease_s=LEASE_S, settle_s=2.0, avoid_s=3.0, recruit_timeout_s=5.0, command_timeout_s=3.0)
REPLACE_AFTER_S: Final = 6.0


@dataclass(frozen=True, slots=True)
class Told:
    """What a run came to. ``revisions``: writes to the directory, all told."""

    seed: int
    epochs: int
    layouts: int
    acknowledged: int
    revisions: int
    messages: int
    seconds: float
    transcript: tuple[Line, ...]


Script = Callable[["Simulation"], Awaitable[None]]
"""What happens to a cluster that has just begun; after it comes peace."""


async def by_chance(simulation: "Simulation") -> None:
    """Faults by seed."""
    await simulation.faults.chaos(simulation.chance.choice(EPISODES))


def between_steps(what: str, steps: int, *, after: bool) -> Script:
    """A log is lost, and in the recovery something happens to the leader (``faults.TRAPS``) between two steps of its program."""

    async def script(simulation: "Simulation") -> None:
        await simulation.until(lambda: simulation.is_watched)
        await asyncio.sleep(1.0)  # what stands beside the recovery is over
        simulation.faults.set_trap(what, steps, after=after)
        await simulation.faults.kill_log()
        await asyncio.sleep(LEASE_S)

    return script


class Simulation:
    """``count`` nodes, each a fault domain by itself. ``wish`` None: by seed. ``coordinators``: on so many of them; None: on all."""

    def __init__(
        self,
        seed: int,
        count: int = 4,
        wish: ClusterSpec | None = None,
        *,
        coordinators: int | None = None,
        settings: ControlSettings = SETTINGS,
    ) -> None:
        self.seed, self.chance, self.transcript = seed, random.Random(seed), Transcript()
        self.network = Network(self.chance)
        self.nodes: dict[str, SimulatedNode] = {}
        self.reaches: list[Reach] = []
        self._settings = settings
        self.promises = Promises(self.nodes, self.say, self._published)
        self.store = Store(self.promises.written)
        self.promises.lease_ends = self.store.lease_ends
        for number in range(count):
            mind = self._coordinate if coordinators is None or number < coordinators else None
            self.nodes[f"n{number}"] = SimulatedNode(
                f"n{number}", f"d{number}", self.store, self.network, self.nodes, mind=mind, on_made=self.promises.made
            )
        drawn = ClusterSpec(self.chance.randint(1, 3), self.chance.randint(2, 3), splits_by(self.chance), REPLACE_AFTER_S)
        self.wishes = [wish or drawn]
        self.client = Client(Reach(Host("client"), self.nodes, self.network, self.promises), self.chance)
        self.faults = Faults(self)

    async def run(self, script: Script = by_chance) -> Told:
        beside = [asyncio.create_task(self.client.run()), asyncio.create_task(self._follow())]
        self.begin()
        main = asyncio.ensure_future(script(self))
        await asyncio.wait([main, *beside], return_when=asyncio.FIRST_COMPLETED)
        self._check(beside)
        await main
        await self.faults.peace()
        await self._converge()
        self._check(beside)
        now = asyncio.get_running_loop().time()
        layouts, acknowledged, lines = len(self.promises.layouts), len(self.promises.acknowledged), tuple(self.transcript.lines)
        return Told(self.seed, self.promises.epoch, layouts, acknowledged, self.store.revision, self.network.messages, now, lines)

    def begin(self) -> None:
        """Every node starts, and the first wish is written."""
        for node in self.nodes.values():
            node.start(self._settings.lease_s)
        self.store.transact([], [Put(KEYS.spec, encode(self.wishes[0]))])

    def _check(self, beside: "list[asyncio.Task[None]]") -> None:
        """Raises what any program of the run failed with."""
        self.promises.check()
        for task in beside:
            if task.done():
                task.result()
        for node in self.nodes.values():
            node.check()

    def say(self, who: str, what: str) -> None:
        self.transcript.say(who, what)

    @property
    def layout(self) -> Layout | None:
        return self.promises.layout

    @property
    def leader(self) -> str | None:
        entry = self.store.entries.get(KEYS.leader)
        return None if entry is None else decode(LeaderRecord, entry.key, entry.value).node

    @property
    def is_watched(self) -> bool:
        return self.view().watched is not None

    def view(self) -> ClusterView:
        return view_of(KEYS, self.store.read(KEYS.everything))

    async def until(self, holds: Callable[[], bool], within_s: float = PEACE_S) -> None:
        """Raises BrokenPromise."""
        until_s = asyncio.get_running_loop().time() + within_s
        while not holds():
            if asyncio.get_running_loop().time() > until_s:
                raise BrokenPromise(f"after {within_s:g} s it is not so")
            await asyncio.sleep(STEP_S)

    def _published(self, layout: Layout) -> None:
        self.client.hear(layout)

    async def _coordinate(self, node: SimulatedNode, host: Host) -> None:
        """The coordinator of one life of a server."""
        directory = SimulatedDirectory(self.store, self.network, host)
        reach, clock = Reach(host, self.nodes, self.network, self.promises), asyncio.get_running_loop().time
        self.reaches.append(reach)
        world = World(
            directory, "sim", LeaderRecord(node.id, node.id), reach.connect, reach, self._settings, clock=clock, wall=clock,
            fresh_id=lambda: f"{self.chance.getrandbits(32):08x}", chance=self.chance.random,
        )  # fmt: skip
        await Coordinator(world).run()

    async def _follow(self) -> None:
        """The storage workers follow the logs."""
        while True:
            await asyncio.sleep(STEP_S)
            for node in self.nodes.values():
                if node.up and not node.stopped:
                    node.step()

    # --- peace ---

    async def _converge(self) -> None:
        """Also after the last late message has come."""
        clock = asyncio.get_running_loop().time
        until_s = max(clock(), self.faults.late_until_s) + PEACE_S
        while (wrong := self._wrong()) is not None or clock() < self.faults.late_until_s:
            for node in self.nodes.values():
                node.check()
            if clock() > until_s:
                raise BrokenPromise(f"after {PEACE_S:g} s of peace {wrong}; {self.view().status}")
            await asyncio.sleep(LOOK_S)
        self.promises.check()

    def _wrong(self) -> str | None:
        view, wish = self.view(), self.wishes[-1]
        layout = view.watched
        if layout is None:
            return "there is no layout that is watched over"
        if len(layout.logs) != wish.logs or [team.begin for team in layout.teams] != [b"", *wish.splits]:
            return "the layout is not what was wished for"
        if any(len(team.members) != wish.storage_replicas or team.joining for team in layout.teams):
            return "a team is not whole"
        running = {Placement(id, node.id) for node in self.nodes.values() for id in node.workers}
        if running != names_of(layout):
            return f"what runs is not what the layout names: {running ^ names_of(layout)}"
        held = [
            (KeyRange(team.begin, team.end), self.nodes[member.node].workers[member.id]) for team in layout.teams for member in team.members
        ]
        if any(isinstance(each, SimulatedStorage) and each.keys != keys for keys, each in held):
            return "a member holds other keys than its team's"
        behind = [each for _, each in held if isinstance(each, SimulatedStorage) and each.latest < self.promises.newest - 5]
        return "a member is behind" if behind or self.promises.newest <= layout.last_version else None


def simulate(seed: int, count: int = 4, script: Script = by_chance, wish: ClusterSpec | None = None) -> Told:
    """Raises BrokenPromise, with the transcript."""
    simulation = Simulation(seed, count, wish)
    before, collects = random.getstate(), gc.isenabled()
    gc.disable()  # a tenth of the time; what a run leaves is little, and collected after it
    random.seed(seed)  # what waits between tries draws from there
    try:
        with simulation.transcript.listening():
            return virtual_time.run(simulation.run(script))
    except BrokenPromise as broken:
        raise BrokenPromise(f"{shown(simulation.transcript.lines)}\nseed {seed}: {broken}") from None
    finally:
        random.setstate(before)
        if collects:
            gc.enable()
