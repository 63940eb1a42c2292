"""What goes wrong, by seed: several at once, each for a while. Nothing here loses data beyond what ``redundancy`` allows.

Each fault is a method that begins it, waits, and ends it. :meth:`Faults.peace` ends them all.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextvars import copy_context
from typing import Any, Final

from foreman.directory.port import Delete, KeyRange, Put
from foreman.directory.records import DrainRecord, encode
from foreman.testing.cluster_simulator.network import DIRECTORY, LATEST_S, Weather
from foreman.testing.cluster_simulator.promises import KEYS
from foreman.testing.cluster_simulator.redundancy import Redundancy
from foreman.testing.cluster_simulator.simulated_nodes import SimulatedNode
from foreman.testing.cluster_simulator.stage import Stage, both_ways
from foreman.testing.cluster_simulator.virtual_time import the_loop
from foreman.testing.cluster_simulator.wishes import another_wish, wish_for

LEASE_S: Final = 3.0
FAR_S: Final = 8.0
TRAPS: Final = ("crash", "lose its server", "stop", "be heard late")


class Faults:
    def __init__(self, stage: Stage) -> None:
        self._stage, self._chance = stage, stage.chance
        self._redundancy = Redundancy(stage.nodes, stage.wishes)
        self._context = copy_context()
        self._active: dict[asyncio.Task[None], str] = {}
        self._cuts: list[set[tuple[str, str]]] = []
        self.late_until_s = 0.0
        harmless = (self._lease, self._usurp, self._compact, self._directory_down, self._directory_stopped, self._trap, self._server)
        harmful = (self._machine, self._stop, self._worker, self._cut, self._half, self._deaf, self._split, self._weather, self._drain)
        self._harmless: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = harmless
        self._all: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (*harmless, *harmful, self._disk, self._disk, self._wish)

    async def chaos(self, episodes: int) -> None:
        """Several faults at once, again and again."""
        for _ in range(episodes):
            await asyncio.sleep(self._chance.uniform(0.0, 5.0))
            for _ in range(self._chance.choice((1, 1, 2, 3))):
                tender = self._redundancy.is_tender(self._stage.layout)
                self.begin(self._chance.choice(self._harmless if tender else self._all))

    def begin(self, fault: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = the_loop().create_task(fault(), context=self._context.copy())  # a trap springs in the context of its host
        self._active[task] = fault.__name__
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._active.pop(task, None)
        if not task.cancelled():
            task.result()

    async def peace(self) -> None:
        """Every fault ends now."""
        stage = self._stage
        for node in stage.nodes.values():
            node.control.trap = None
        while self._active:
            active = list(self._active)
            for task in active:
                task.cancel()
            await asyncio.gather(*active, return_exceptions=True)
        stage.network.weather = Weather()
        stage.store.transact([], [Delete(KeyRange.of_prefix(KEYS.draining("")))])
        for node in stage.nodes.values():
            await self._revive(node)
        stage.say("", "peace")

    # --- ways to say what happens ---

    def _node(self) -> SimulatedNode:
        return self._stage.nodes[self._chance.choice(sorted(self._stage.nodes))]

    def _leader(self) -> SimulatedNode:
        leader = self._stage.leader
        return self._node() if leader is None else self._stage.nodes[leader]

    async def _while(self, what: str, seconds: float, end: Callable[[], object]) -> None:
        self._stage.say("fault", f"{what} for {seconds:.1f} s")
        try:
            await asyncio.sleep(seconds)
        finally:
            end()
            self._stage.say("fault", f"over: {what}")

    async def _cut_off(self, what: str, pairs: Iterable[tuple[str, str]]) -> None:
        cut = set(pairs)
        self._cuts.append(cut)
        self._draw_cuts()
        await self._while(what, self._chance.uniform(0.5, FAR_S), lambda: self._mend_cut(cut))

    def _mend_cut(self, cut: set[tuple[str, str]]) -> None:
        self._cuts.remove(cut)
        self._draw_cuts()

    def _draw_cuts(self) -> None:
        self._stage.network.cut = set().union(*self._cuts)

    def _everybody(self) -> list[str]:
        return [*sorted(self._stage.nodes), DIRECTORY, "client"]

    async def _revive(self, node: SimulatedNode) -> None:
        node.go_on()
        for id in sorted(node.not_running):
            node.start_worker(id)
        if not node.up:
            await node.ended()
            node.start(LEASE_S)
        elif not node.serves:
            await node.ended()
            node.start_server(LEASE_S)

    # --- machines, servers, workers ---

    async def _machine(self) -> None:
        node = self._node()
        if node.up:
            node.crash()
            await self._down(node, f"machine {node.id} down", FAR_S)

    async def _server(self) -> None:
        node = self._node()
        if node.serves and not node.stopped:
            node.kill_server()
            await self._down(node, f"server of {node.id} killed", 4.0)

    async def _down(self, node: SimulatedNode, what: str, at_most_s: float) -> None:
        life = node.lives
        self._stage.say("fault", what)
        await asyncio.sleep(self._chance.uniform(0.3, at_most_s))
        await node.ended()
        if node.lives == life:
            self._stage.say("fault", f"over: {what}")
            await self._revive(node)

    async def _stop(self) -> None:
        node = self._node() if self._chance.random() < 0.5 else self._leader()
        if node.up and not node.stopped:
            node.stop()
            await self._while(f"all of {node.id} stopped", self._chance.uniform(1.0, 3.0) * LEASE_S, node.go_on)

    async def _trap(self) -> None:
        """Something happens to the leader between two steps of its program, and there is something for it to do."""
        self.set_trap(self._chance.choice(TRAPS), self._chance.randint(1, 40), after=self._chance.random() < 0.5)
        if self._chance.random() < 0.7:
            await self.kill_log()

    def set_trap(self, what: str, steps: int, *, after: bool) -> None:
        """For the leader of now. ``what``: of TRAPS. Before its message number ``steps`` from now is sent, or after its answer came."""
        node = self._leader()
        springs = {"crash": self._crash_machine, "lose its server": self._crash_server, "stop": self._halt, "be heard late": self._lag}
        spring = springs[what]
        self._stage.say("fault", f"{node.id} will {what} {'after' if after else 'before'} message {steps} from now")
        node.control.set_trap(steps, lambda: spring(node), after=after)

    async def kill_log(self) -> None:
        """One of the layout's; it comes back."""
        layout = self._stage.layout
        if layout is not None:
            log = self._chance.choice(layout.logs)
            await self._kill_worker(self._stage.nodes[log.node], log.id)

    def _crash_machine(self, node: SimulatedNode) -> None:
        node.crash()
        self.begin(lambda: self._down(node, f"machine {node.id} crashed in the trap", 4.0))

    def _crash_server(self, node: SimulatedNode) -> None:
        node.kill_server()
        self.begin(lambda: self._down(node, f"server of {node.id} crashed in the trap", 4.0))

    def _halt(self, node: SimulatedNode) -> None:
        node.stop()
        seconds = self._chance.uniform(1.0, 3.0) * LEASE_S
        self.begin(lambda: self._while(f"all of {node.id} stopped in the trap", seconds, node.go_on))

    def _lag(self, node: SimulatedNode) -> None:
        """Another one leads, and what this one said last is still on its way."""
        host, seconds = node.control, self._chance.uniform(1.0, FAR_S)
        host.lag_s = seconds
        self.late_until_s = max(self.late_until_s, asyncio.get_running_loop().time() + 2 * seconds)
        self.begin(self._lease)
        self.begin(lambda: self._while(f"{node.id} heard late", seconds, lambda: setattr(host, "lag_s", 0.0)))

    async def _worker(self) -> None:
        node = self._node()
        ids = [id for id in sorted(node.workers) if id not in node.not_running]
        if ids:
            await self._kill_worker(node, self._chance.choice(ids))

    async def _kill_worker(self, node: SimulatedNode, id: str) -> None:
        if node.up and not node.stopped and id in node.workers and id not in node.not_running:
            node.kill_worker(id)
            await self._while(f"{id} on {node.id} killed", self._chance.uniform(0.2, 6.0), lambda: node.start_worker(id))

    async def _disk(self) -> None:
        """A worker's disk is lost, and it comes back empty."""
        layout, node = self._stage.layout, self._node()
        ids = [id for id in sorted(node.workers) if id not in node.not_running]
        if layout is None or not node.up or node.stopped or not ids:
            return
        id = self._chance.choice(ids)
        now = asyncio.get_running_loop().time()
        calm = len(self._active) <= 1 and now > self.late_until_s and self._stage.is_watched
        if self._redundancy.may_lose(node.id, id, layout, calm=calm):
            self.lose_disk(node, id)
            await self._while(f"{id} on {node.id} lost its disk", self._chance.uniform(0.2, 3.0), lambda: node.start_worker(id))

    def lose_disk(self, node: SimulatedNode, id: str) -> None:
        """It comes back when somebody starts it."""
        node.lose_disk(id)
        self._stage.promises.emptied(f"{node.id}/{id}")

    # --- the network ---

    async def _cut(self) -> None:
        id = self._node().id
        await self._cut_off(f"{id} cut off", both_ways([id], self._everybody()))

    async def _deaf(self) -> None:
        id = self._node().id
        await self._cut_off(f"{id} cut off from the directory", both_ways([id], [DIRECTORY]))

    async def _half(self) -> None:
        """One way only."""
        id, others = self._node().id, [each for each in self._everybody() if self._chance.random() < 0.6]
        if self._chance.random() < 0.5:
            await self._cut_off(f"{id} not heard by {', '.join(others)}", {(id, other) for other in others if other != id})
        else:
            await self._cut_off(f"{id} does not hear {', '.join(others)}", {(other, id) for other in others if other != id})

    async def _split(self) -> None:
        here = [each for each in self._everybody() if self._chance.random() < 0.5]
        await self._cut_off(f"{', '.join(here)} split off", both_ways(here, [each for each in self._everybody() if each not in here]))

    async def _weather(self) -> None:
        network, draw = self._stage.network, self._chance.random
        network.weather = Weather(0.1 * draw(), 0.2 * draw(), 0.3 * draw())
        until_s = self._chance.uniform(1.0, FAR_S)
        self.late_until_s = asyncio.get_running_loop().time() + until_s + LATEST_S
        await self._while(f"{network.weather}", until_s, lambda: setattr(network, "weather", Weather()))

    # --- the directory, and who leads ---

    async def _lease(self) -> None:
        """The leader's lease ends before its time: it has not heard of it when the next one leads."""
        leader = self._stage.store.entries.get(KEYS.leader)
        if leader is not None and leader.lease is not None:
            self._stage.say("fault", "the leader's lease is taken away")
            self._stage.store.revoke(leader.lease)

    async def _usurp(self) -> None:
        """Two directors at once: the old one neither renews nor hears of it, and its fence stands open still."""
        leader = self._leader().id
        await self._lease()
        await self._cut_off(f"{leader} deaf while another leads", both_ways([leader], [DIRECTORY]))

    async def _compact(self) -> None:
        self._stage.say("fault", "the directory forgets its history")
        self._stage.store.compact(self._stage.store.revision)

    async def _directory_down(self) -> None:
        store = self._stage.store
        if not store.stands_still:
            store.stand_still()
            pairs = both_ways([DIRECTORY], self._everybody())
            try:
                await self._cut_off("directory down", pairs)
            finally:
                store.go_on(prolong=True)

    async def _directory_stopped(self) -> None:
        """What it was asked meanwhile it does afterwards, when nobody waits for the answer any more."""
        store, network = self._stage.store, self._stage.network
        if store.stands_still:
            return
        store.stand_still()
        network.stop_host(DIRECTORY)

        def end() -> None:
            store.go_on(prolong=False)
            network.continue_host(DIRECTORY)

        await self._while("directory stopped", self._chance.uniform(0.5, FAR_S), end)

    # --- people ---

    async def _wish(self) -> None:
        wish_for(self._stage, another_wish(self._stage.wishes[-1], self._chance))

    async def _drain(self) -> None:
        node, store = self._node().id, self._stage.store
        if any(KEYS.draining(id) in store.entries for id in self._stage.nodes):
            return
        store.transact([], [Put(KEYS.draining(node), encode(DrainRecord(node, 0.0)))])
        take_back = [Delete.key(KEYS.draining(node))]
        await self._while(f"{node} drained", self._chance.uniform(1.0, 10.0), lambda: store.transact([], take_back))
