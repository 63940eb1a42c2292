"""The director of one epoch: recovers the cluster, then watches it until another epoch must begin.

Owns the walk through the phases, its repetition while it stalls, and the watch. An epoch publishes one layout at most, so whatever
another layout is needed for ends this director, with the reason; the coordinator begins the next one with a higher epoch.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from foreman.control.absences import Absences
from foreman.control.answering import Answering
from foreman.control.attempt import Attempt
from foreman.control.cluster_view import ClusterView, view_of
from foreman.control.concerns import Watched, improvement, lost_log, still_filling
from foreman.control.errors import Overtaken
from foreman.control.joining import Joining
from foreman.control.recovery.cleaning_up import remove_spent
from foreman.control.recovery.initialising import no_wish
from foreman.control.recovery.outcome import Completed, Stalled, Superseded
from foreman.control.recovery.recovery import Recovery, Tools, storage_of
from foreman.control.recovery.table import walk
from foreman.control.telling import Teller
from foreman.core.errors import ForeignGeneration
from foreman.directory.errors import DirectoryUnavailable
from foreman.directory.records import ClusterSpec, Layout, Placement

LOOK_AGAIN_S: Final = 1.0
FIRST_PATIENCE_S: Final = 1.0
LAST_PATIENCE_S: Final = 120.0


@dataclass(slots=True)
class Memory:
    """What a leader knows over all its epochs, by its own clock: who is away since when, which nodes have been there for how long.

    ``patience_s``: the same improvement again is waited for longer each time, so that one that cannot be had does not become a loop.
    """

    absences: Absences = field(default_factory=Absences)
    seen_since: dict[tuple[str, str], float] = field(default_factory=dict)
    improved_at: float = float("-inf")
    improved_for: str = ""
    patience_s: float = FIRST_PATIENCE_S

    def see(self, view: ClusterView, now: float, filling: frozenset[Placement] = frozenset()) -> None:
        """Nodes by id and incarnation: one that restarted is a new one. ``filling``: there, but not healthy before it holds the data."""
        there = [(id, node.incarnation) for id, node in view.nodes.items()]
        self.seen_since = {key: self.seen_since.get(key, now) for key in there}
        if view.layout is not None:
            self.absences.see(storage_of(view.layout), view.services.keys() | filling, now)

    def settled(self, now: float, settle_s: float) -> frozenset[str]:
        """Nodes that have been there for a while."""
        return frozenset(id for (id, _), since in self.seen_since.items() if now - since >= settle_s)

    def may_improve(self, why: str, now: float) -> bool:
        """Whether the last attempt at this is long enough ago; if so, this is the next."""
        same = why == self.improved_for
        if same and now - self.improved_at < self.patience_s:
            return False
        self.patience_s = min(LAST_PATIENCE_S, 2 * self.patience_s) if same else FIRST_PATIENCE_S
        self.improved_at, self.improved_for = now, why
        return True


class Director:
    """``stalled`` is told of each stall; :meth:`go_on` ends one."""

    def __init__(self, attempt: Attempt, tools: Tools, memory: Memory, teller: Teller, stalled: Callable[[Stalled], None]) -> None:
        self._attempt, self._tools, self._memory, self._teller, self._on_stalled = attempt, tools, memory, teller, stalled
        self._go_on = asyncio.Event()
        self._phase = ""
        self._entered: list[tuple[str, float]] = []

    def go_on(self) -> None:
        """Something that the recovery depends on has changed."""
        self._go_on.set()

    async def run(self) -> Superseded:
        """Returns when another epoch must begin; cancelled when the leader is none any more. Raises Deposed."""
        try:
            return await self._run()
        except Overtaken as newer:
            self._teller.tell(f"epoch {self._attempt.epoch} ends", str(newer))
            return Superseded(newer.epoch, str(newer))

    async def _run(self) -> Superseded:
        while True:
            end = await self._recover()
            match end:
                case Superseded():
                    return end
                case Stalled(why, missing):
                    self._teller.status("stalled", self._phase, why=why, missing=missing)
                    self._teller.tell(f"the recovery stalled in {self._phase}", "; ".join((why, *missing)))
                    self._go_on.clear()
                    self._on_stalled(end)
                    await self._go_on.wait()
                case (layout, spec):
                    return await self._watch(layout, spec)

    async def _recover(self) -> Superseded | Stalled | tuple[Layout, ClusterSpec]:
        """One walk, from the directory as it is now."""
        tools = self._tools
        self._entered = [("reading", tools.clock())]
        try:
            view = view_of(tools.keys, await tools.directory.read(tools.keys.everything))
        except DirectoryUnavailable as error:
            return Stalled("the directory does not answer", (str(error),), tools.settings.again_s)
        unreadable = [why for why in view.unreadable if repr(tools.keys.layout) in why or repr(tools.keys.spec) in why]
        if unreadable:  # to take it for absent would begin an empty cluster over a full one
            return Stalled("the directory holds what this program cannot read", tuple(unreadable))
        if view.spec is None:
            self._enter("initialising")
            return await no_wish(tools, self._attempt, view)
        self._memory.see(view, tools.clock())
        recovery = Recovery(self._attempt, tools, view, view.spec)
        match await walk(recovery, self._enter):
            case Completed():
                assert recovery.layout is not None
                return recovery.layout, view.spec
            case (Stalled() | Superseded()) as end:
                return end

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._entered.append((phase, self._tools.clock()))
        self._teller.status("recovering", phase)

    def _times(self) -> str:
        """How long each phase took."""
        ends = [at for _, at in self._entered[1:]] + [self._tools.clock()]
        return ", ".join(f"{phase} {1000 * (end - at):.0f} ms" for (phase, at), end in zip(self._entered, ends, strict=True))

    async def _watch(self, layout: Layout, spec: ClusterSpec) -> Superseded:
        self._teller.status("watching", "")
        self._teller.tell(f"the cluster serves by layout {layout.epoch}", f"the recovery is complete: {self._times()}")
        joining = Joining(self._tools, self._attempt, layout, spec.storage_replicas)
        works = (joining.run(), self._keep_clean(layout), Answering(self._tools).run())
        beside: list[asyncio.Task[None]] = [asyncio.create_task(work) for work in works]
        watching = asyncio.create_task(self._until_concern(layout, joining))
        try:
            await asyncio.wait([watching, *beside], return_when=asyncio.FIRST_COMPLETED)
            for task in beside:
                if task.done():
                    task.result()
            why = await watching
        finally:
            for each in (watching, *beside):
                each.cancel()
            await asyncio.gather(watching, *beside, return_exceptions=True)
        self._teller.tell(f"epoch {layout.epoch} ends", why)
        return Superseded(layout.epoch, why)

    async def _until_concern(self, layout: Layout, joining: Joining) -> str:
        feed = self._tools.feed
        while True:
            now, seen = self._tools.clock(), feed.view
            self._memory.see(seen, now, joining.filling)
            lost = lost_log(seen, layout)
            if lost is not None:
                return lost
            better = self._improvement(layout, joining, now)
            if better is not None and self._memory.may_improve(better, now):
                return better
            await self._next_look(joining, seen)

    def _improvement(self, layout: Layout, joining: Joining, now: float) -> str | None:
        view, memory = self._tools.feed.view, self._memory
        if view.spec is None:
            return None
        settled = memory.settled(now, self._tools.settings.settle_s) - self._tools.foremen.avoided()
        filling = still_filling(layout, view.services.keys() | joining.filling, joining.ready, joining.spent)
        watched = Watched(view, layout, view.spec, memory.absences, now, settled, joining.ready, joining.spent, filling)
        return improvement(watched)

    async def _next_look(self, joining: Joining, seen: ClusterView) -> None:
        """When the cluster or the joiners changed, and now and then, because time itself is a reason (absences, patience)."""
        news = [asyncio.create_task(self._tools.feed.after(seen)), asyncio.create_task(joining.changed.wait())]
        try:
            await asyncio.wait(news, timeout=LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in news:
                task.cancel()
            joining.changed.clear()  # who calls looks at all of it next

    async def _keep_clean(self, layout: Layout) -> None:
        """Remove spent workers of nodes that come back, and of nodes that could not do it before."""
        tools, clean, told = self._tools, set[tuple[str, str]](), set[str]()
        while True:
            seen = tools.feed.view
            nodes = [node for node in seen.nodes.values() if (node.id, node.incarnation) not in clean]
            if nodes:
                left = await remove_spent(tools, layout, nodes)
                clean |= {(node.id, node.incarnation) for node in nodes if node.id not in left}
                for node, why in left.items():
                    if isinstance(why, ForeignGeneration) and node not in told:
                        told.add(node)
                        tools.tell(f"node {node} is left alone", str(why))
                if left:
                    await asyncio.sleep(tools.settings.again_cap_s)
                    continue
            await tools.feed.after(seen)
