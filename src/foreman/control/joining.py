"""Bring in the storage workers that a layout names as joining: those that come back, and new ones that must be filled.

Runs beside the watch. A worker that has what the logs begin after, and nothing beyond what it was vouched for, is unlocked for them; an
empty one is filled from a member first; one that is neither is spent. When it is level with the members it is *ready*: the next
epoch's recovery finds it holding the data, and makes it a member. Until then it serves nobody.
"""

import asyncio
from collections import Counter
from typing import Final

from foreman.control.attempt import Attempt
from foreman.control.recovery.recovery import Tools, joiners_of
from foreman.control.refilling import CannotFill, Filling, pin, refill
from foreman.control.versions import quorum_durable
from foreman.core.data_errors import VersionTooOld
from foreman.core.errors import ForemanError, ForemanUnavailable
from foreman.core.mutations import Version
from foreman.directory.records import Joiner, Layout, Placement, StorageTeam

TRIES: Final = 20
"""Of one worker in one epoch; then it is spent and another takes its place."""


class Joining:
    """``ready`` and ``spent`` only grow; ``changed`` is set when they did. ``seeds``: ids in use that no layout names."""

    def __init__(self, tools: Tools, attempt: Attempt, layout: Layout, storage_replicas: int) -> None:
        self._tools, self._attempt, self._layout, self._replicas = tools, attempt, layout, storage_replicas
        self.ready: frozenset[Placement] = frozenset()
        self.spent: frozenset[Placement] = frozenset()
        self.seeds: set[str] = set()
        self.changed = asyncio.Event()
        self._tries: Counter[Placement] = Counter()
        self._tasks: dict[Placement, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """For ever; each joiner in a task of its own while its service is there. Cancelling it ends them."""
        joiners = joiners_of(self._layout)
        try:
            while True:
                seen = self._tools.feed.view
                for worker in sorted(joiners, key=lambda worker: (worker.id, worker.node)):
                    self._consider(worker, joiners[worker])
                await self._tools.feed.after(seen)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _consider(self, worker: Placement, joiner: Joiner) -> None:
        task = self._tasks.get(worker)
        present = worker in self._tools.feed.view.services
        if task is not None and task.done():
            task.result()  # only what ends the whole director is raised here
        if present and worker not in self.ready | self.spent and (task is None or task.done()):
            self._tasks[worker] = asyncio.create_task(self._bring_in(worker, joiner))
        elif not present and task is not None:
            task.cancel()
            del self._tasks[worker]

    async def _bring_in(self, worker: Placement, joiner: Joiner) -> None:
        """Until it is ready or spent."""
        while worker not in self.ready | self.spent:
            try:
                await self._try(worker, joiner)
            except (ForemanError, TimeoutError) as error:
                self._tries[worker] += not isinstance(error, CannotFill)
                if self._tries[worker] >= TRIES:
                    self._give_up(worker, f"it could not be brought in: {error}")
                await asyncio.sleep(self._tools.settings.again_s)

    async def _try(self, worker: Placement, joiner: Joiner) -> None:
        tools = self._tools
        endpoint = await self._endpoint(worker)
        state = await tools.data.storage_state(endpoint)
        if state.layout_epoch < self._layout.epoch:
            if state.latest > joiner.through or state.durable > joiner.through:
                return self._give_up(worker, f"it has version {max(state.durable, state.latest)}, good through {joiner.through}")
            tools.fence.check()
            state = await tools.data.lock_storage(endpoint, self._attempt)
            if state.durable > joiner.through:
                return self._give_up(worker, f"it has version {state.durable}, good through {joiner.through}")
            if not await self._follow(worker, endpoint, state.durable):
                return None
        await self._wait_until_level(worker, endpoint)
        self.ready |= {worker}
        tools.tell(f"{worker.id} holds the data", "it can become a member")
        self.changed.set()
        return None

    async def _follow(self, worker: Placement, endpoint: str, durable: Version) -> bool:
        """Unlock it for the logs, after it was filled if need be. False: it is spent."""
        tools = self._tools
        logs = {log.id: await self._endpoint(log) for log in self._layout.logs}
        try:
            await pin(tools, worker.id, durable, list(logs.values()))
        except VersionTooOld:
            if durable > 0:
                self._give_up(worker, f"the logs do not go back to version {durable}")
                return False
            durable = await self._fill(worker, endpoint, logs)
            tools.fence.check()
            await tools.data.lock_storage(endpoint, self._attempt)
        tools.fence.check()
        await tools.data.unlock_storage(endpoint, self._attempt, durable, logs, trusted=True)
        return True

    async def _fill(self, worker: Placement, endpoint: str, logs: dict[str, str]) -> Version:
        tools, node = self._tools, self._tools.feed.view.nodes.get(worker.node)
        peer = next((member for member in self._team(worker).members if member in tools.feed.view.services), None)
        if peer is None or node is None:
            raise CannotFill("no member of its team is there to fill it from")
        slot = sorted(joiners_of(self._layout), key=lambda each: (each.id, each.node)).index(worker)
        seed = self._attempt.worker("seed", slot, worker.node)
        self.seeds.add(seed)
        tools.tell(f"{worker.id} is filled from {peer.id}", "the logs do not go back to the beginning")
        await tools.foremen.new_worker(node, seed, "log", tools.log_params, tools.settings.recruit_timeout_s)
        seed_endpoint = await self._endpoint(Placement(seed, worker.node))
        try:
            return await refill(tools, self._attempt, Filling(worker.id, endpoint, await self._endpoint(peer), seed, seed_endpoint, logs))
        finally:
            self.seeds.discard(seed)  # the clean-up removes it

    async def _wait_until_level(self, worker: Placement, endpoint: str) -> None:
        """Until a recovery would keep it: it is at most as far behind a quorum of its team as that is behind the logs."""
        tools, team = self._tools, self._team(worker)
        while True:
            state = await tools.data.storage_state(endpoint)
            members = [await self._state_of(member) for member in team.members if member in tools.feed.view.services]
            if members:
                quorum = quorum_durable([durable for durable, _ in members], self._replicas)
                newest = max(latest for _, latest in members)
                if state.durable >= quorum - (max(newest, quorum) - quorum):
                    return
            await asyncio.sleep(tools.settings.look_s)

    async def _state_of(self, member: Placement) -> tuple[Version, Version]:
        state = await self._tools.data.storage_state(await self._endpoint(member))
        return state.durable, state.latest

    async def _endpoint(self, worker: Placement) -> str:
        node = self._tools.feed.view.nodes.get(worker.node)
        if node is None:
            raise ForemanUnavailable(worker.node, "its node is not there")
        info = (await self._tools.foremen.infos(node)).get(worker.id)
        if info is None or info.endpoint is None:
            raise ForemanUnavailable(worker.id, "it has told no endpoint yet")
        return info.endpoint

    def _team(self, worker: Placement) -> StorageTeam:
        return next(team for team in self._layout.teams if any(joiner.worker == worker for joiner in team.joining))

    def _give_up(self, worker: Placement, why: str) -> None:
        self.spent |= {worker}
        self._tools.tell(f"{worker.id} is of no use any more", why)
        self.changed.set()
