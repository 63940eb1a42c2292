"""The director of one epoch: recovers the cluster, then watches it until another epoch must begin.

Owns the walk through the phases, its repetition while it stalls, and the watch. An epoch publishes one layout at most, so whatever
another layout is needed for ends this director, with the reason; the coordinator begins the next one with a higher epoch.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from foreman.control.answering import Answering
from foreman.control.attempt import Attempt
from foreman.control.cluster_view import ClusterView, view_of
from foreman.control.concerns import Watched, improvement, lost_log, still_filling
from foreman.control.errors import Overtaken
from foreman.control.joining import Joining
from foreman.control.keeping_clean import keep_clean
from foreman.control.memory import Memory
from foreman.control.named import absent_nodes, joiners_of, named_nodes
from foreman.control.recovery.initialising import no_wish
from foreman.control.recovery.outcome import Completed, Stalled, Superseded
from foreman.control.recovery.recovery import Recovery, Tools
from foreman.control.recovery.table import walk
from foreman.control.telling import Teller
from foreman.control.vouching import Vouching, lost_data
from foreman.directory.errors import DirectoryUnavailable
from foreman.directory.records import Layout

LOOK_AGAIN_S: Final = 60.0
"""Only for what nobody thought of: every reason is looked at when it comes."""

LOOK_AFTER_S: Final = 0.05


class Director:
    """``stalled`` is told of each stall; :meth:`go_on` ends one."""

    def __init__(self, attempt: Attempt, tools: Tools, memory: Memory, teller: Teller, stalled: Callable[[Stalled], None]) -> None:
        self._attempt, self._tools, self._memory, self._teller, self._on_stalled = attempt, tools, memory, teller, stalled
        self._go_on = asyncio.Event()
        self._phase = ""
        self._entered: list[tuple[str, float]] = []
        self._has_regrouped = False

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
                case Recovery():
                    return await self._watch(end)

    async def _recover(self) -> Superseded | Stalled | Recovery:
        """One walk, from the directory as it is now."""
        tools = self._tools
        self._entered = [("reading", tools.clock())]
        try:
            view = await self._read()
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
                return recovery
            case (Stalled() | Superseded()) as end:
                return end

    async def _read(self) -> ClusterView:
        """How it is now. Most nodes of the layout are hardly lost at once: rather the directory was away, and lost sight of them all.

        Then those that come back in a moment are waited for, once an epoch. Raises DirectoryUnavailable.
        """
        tools = self._tools
        view = view_of(tools.keys, await tools.directory.read(tools.keys.everything))
        if self._has_regrouped or 2 * len(absent_nodes(view)) <= len(named_nodes(view)):
            return view
        self._has_regrouped = True
        self._enter("regrouping")
        tools.tell("nodes are waited for", f"{len(absent_nodes(view))} of the {len(named_nodes(view))} that the layout names are not there")
        await tools.feed.until(lambda now: not absent_nodes(now), tools.settings.regroup_s)
        return view_of(tools.keys, await tools.directory.read(tools.keys.everything))

    def _enter(self, phase: str) -> None:
        self._phase = phase
        self._entered.append((phase, self._tools.clock()))
        self._teller.status("recovering", phase)

    def _times(self) -> str:
        """How long each phase took."""
        ends = [at for _, at in self._entered[1:]] + [self._tools.clock()]
        return ", ".join(f"{phase} {1000 * (end - at):.0f} ms" for (phase, at), end in zip(self._entered, ends, strict=True))

    async def _watch(self, recovery: Recovery) -> Superseded:
        layout = recovery.layout
        assert layout is not None
        self._teller.status("watching", "")
        self._teller.tell(f"the cluster serves by layout {layout.epoch}", f"the recovery is complete: {self._times()}")
        joining = Joining(self._tools, self._attempt, layout, recovery.spec.storage_replicas)
        vouching = Vouching(self._tools, layout, recovery.endpoints)
        works = (joining.run(), vouching.run(), keep_clean(self._tools, layout), Answering(self._tools).run())
        beside: list[asyncio.Task[None]] = [asyncio.create_task(work) for work in works]
        watching = asyncio.create_task(self._until_concern(layout, joining, vouching))
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

    async def _until_concern(self, layout: Layout, joining: Joining, vouching: Vouching) -> str:
        """What stops the cluster ends this at once. Whether it could be better is looked at a little later, once for many changes."""
        feed, clock, look_at_s = self._tools.feed, self._tools.clock, float("-inf")
        looked_at: tuple[object, ...] = ()
        while True:
            now, news, seen = clock(), feed.news, feed.view
            stops = lost_log(seen, layout) or lost_data(vouching.lost)
            if stops is not None:
                return stops
            stands_on = (seen.fingerprint(), joining.ready, joining.spent, joining.filling)
            if now >= look_at_s:
                self._memory.see(seen, now, joining.filling)
                better = self._improvement(layout, joining, now)
                if better is not None and self._memory.may_improve(better, now):
                    return better
                looked_at, look_at_s = stands_on, self._next_look(seen, now)
            elif stands_on != looked_at:
                looked_at, look_at_s = stands_on, min(look_at_s, now + LOOK_AFTER_S)
            await feed.beyond(news, max(0.0, look_at_s - now))

    def _next_look(self, view: ClusterView, now: float) -> float:
        """When time itself may be a reason: somebody is given up, a node has been there long enough, patience ends."""
        memory, settings = self._memory, self._tools.settings
        times = [memory.next_settled(settings.settle_s), memory.next_patience(now), self._tools.foremen.next_trusted(now)]
        if view.spec is not None:
            times.append(memory.absences.next_end(view.spec.replace_after_s, now))
        return min([now + LOOK_AGAIN_S, *(max(at, now + LOOK_AFTER_S) for at in times if at is not None)])

    def _improvement(self, layout: Layout, joining: Joining, now: float) -> str | None:
        view, memory = self._tools.feed.view, self._memory
        if view.spec is None:
            return None
        settled = memory.settled(now, self._tools.settings.settle_s) - self._tools.foremen.avoided()
        present = joining.filling | {worker for worker in joiners_of(layout) if worker in view.services}
        filling = still_filling(layout, present, joining.ready, joining.spent)
        watched = Watched(view, layout, view.spec, memory.absences, now, settled, joining.ready, joining.spent, filling)
        return improvement(watched)
