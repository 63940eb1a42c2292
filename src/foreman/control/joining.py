"""Bring in the storage workers that a layout names as joining: those that come back, and new ones that must be filled.

Runs beside the watch. Each is unlocked for the layout's logs, after what it has beyond what it was vouched for is dropped; what the logs do
not go back to it copies by itself from the members that hold it, of one team after the other when its range is one of several of now.
When it is level with all of them it is *ready*: the next epoch's recovery finds it holding the data, and makes it a member. Until then it
serves nobody. Nobody is made narrower here.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from foreman.control.attempt import Attempt
from foreman.control.errands import Errands
from foreman.control.holders import held_by, overlap
from foreman.control.named import joiners_of
from foreman.control.ports import Following, StorageState
from foreman.control.recovery.recovery import Tools
from foreman.control.versions import quorum_durable
from foreman.core.errors import ForemanError, ForemanUnavailable
from foreman.directory.records import Joiner, Layout, Placement, StorageTeam
from foreman.workers.storage.key_range import KeyRange

TRIES: Final = 20
"""Of one worker in one epoch; then it is spent and another takes its place."""


class Joining:
    """``ready`` and ``spent`` only grow; the feed's waiters are woken when they did. ``filling``: those that were heard of a moment ago."""

    def __init__(self, tools: Tools, attempt: Attempt, layout: Layout, storage_replicas: int) -> None:
        self._tools, self._attempt, self._layout, self._replicas = tools, attempt, layout, storage_replicas
        self._held = held_by(layout)
        self.ready: frozenset[Placement] = frozenset()
        self.spent: frozenset[Placement] = frozenset()
        self.filling: frozenset[Placement] = frozenset()
        self._tries: Counter[Placement] = Counter()
        self._errands = Errands[Placement](tools.feed)

    async def run(self) -> None:
        """Without end; each joiner in a task of its own while its node is there. Cancelling ends them."""
        joiners = sorted(joiners_of(self._layout).items())
        await self._errands.run(lambda: self._consider(joiners))

    def _consider(self, joiners: Sequence[tuple[Placement, Joiner]]) -> None:
        present = self._tools.feed.view.nodes
        for worker, joiner in joiners:
            is_under_way = self._errands.is_under_way(worker)
            if worker.node not in present and is_under_way:
                self._errands.drop(worker)
                self.filling -= {worker}
            elif worker.node in present and not is_under_way and worker not in self.ready | self.spent:
                self._errands.begin(worker, self._bring_in(worker, joiner))

    async def _bring_in(self, worker: Placement, joiner: Joiner) -> None:
        """Until it is ready or spent."""
        while worker not in self.ready | self.spent:
            try:
                await self._try(worker, joiner)
            except (ForemanError, TimeoutError) as error:
                self.filling -= {worker}
                self._tries[worker] += not isinstance(error, ForemanUnavailable)
                if self._tries[worker] >= TRIES:
                    self._give_up(worker, f"it could not be brought in: {error}")
                await asyncio.sleep(self._tools.settings.again_s)

    async def _try(self, worker: Placement, joiner: Joiner) -> None:
        tools = self._tools
        endpoint = await self._endpoint(worker)
        if (await tools.data.storage_state(endpoint)).layout_epoch < self._layout.epoch:
            tools.fence.check()
            state = await tools.data.lock_storage(endpoint, self._attempt)
            following = await self._following(worker, joiner, state)
            tools.fence.check()
            await tools.data.unlock_storage(endpoint, self._attempt, 0 if following.reset else state.durable, following)
            tools.tell(f"{worker.id} is being brought in", "it is to join the team of its range")
        await self._wait_until_level(worker, endpoint)
        self.filling -= {worker}
        self.ready |= {worker}
        tools.tell(f"{worker.id} holds the data", "it can become a member")
        self._tools.feed.wake()

    async def _following(self, worker: Placement, joiner: Joiner, state: StorageState) -> Following:
        """Raises ForemanUnavailable: a log, or every member that it would have to copy some keys from, is away."""
        logs = {log.id: await self._endpoint(log) for log in self._layout.logs}
        keys = self._held[worker]
        reset = state.durable == 0 or state.durable > joiner.through or not state.keys.covers(keys.begin, keys.end)
        replicas: dict[str, None] = {}  # in their order, each once
        for team in self._teams(worker):
            found = [endpoint for member in team.members if (endpoint := await self._endpoint_if_any(member)) is not None]
            if not found and (reset or state.durable < self._layout.durable_version):
                raise ForemanUnavailable(worker.id, "no member can be asked for its data")
            replicas |= dict.fromkeys(found)
        return Following(logs, max(self._layout.last_version, state.durable), tuple(replicas), keys, reset=reset)

    async def _wait_until_level(self, worker: Placement, endpoint: str) -> None:
        """Until a recovery would keep it: it is at most as far behind a quorum of each team that it copies as that is behind the logs."""
        while True:
            state = await self._tools.data.storage_state(endpoint)
            if state.layout_epoch < self._layout.epoch:
                raise ForemanUnavailable(worker.id, "it has lost its data since it was unlocked")
            self.filling |= {worker}
            if all([await self._is_level(state, team) for team in self._teams(worker)]):
                return
            await asyncio.sleep(self._tools.settings.look_s)

    async def _is_level(self, state: StorageState, team: StorageTeam) -> bool:
        there = [member for member in team.members if member in self._tools.feed.view.services]
        members = [await self._tools.data.storage_state(await self._endpoint(member)) for member in there]
        if not members:
            return False
        quorum = quorum_durable([member.durable for member in members], self._replicas)
        newest = max(member.latest for member in members)
        return state.durable >= quorum - (max(newest, quorum) - quorum) and (state.durable > 0 or not quorum)

    async def _endpoint(self, worker: Placement) -> str:
        node = self._tools.feed.view.nodes.get(worker.node)
        if node is None:
            raise ForemanUnavailable(worker.node, "its node is not there")
        info = (await self._tools.foremen.infos(node)).get(worker.id)
        if info is None or info.endpoint is None:
            raise ForemanUnavailable(worker.id, "it has told no endpoint yet")
        return info.endpoint

    async def _endpoint_if_any(self, worker: Placement) -> str | None:
        try:
            return await self._endpoint(worker)
        except ForemanError:
            return None

    def _teams(self, worker: Placement) -> list[StorageTeam]:
        """Those that have any of its keys."""
        return [team for team in self._layout.teams if overlap(KeyRange(team.begin, team.end), self._held[worker])]

    def _give_up(self, worker: Placement, why: str) -> None:
        self.spent |= {worker}
        self._tools.tell(f"{worker.id} is of no use any more", why)
        self._tools.feed.wake()
