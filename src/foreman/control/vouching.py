"""Whether the workers of the layout still have what it made of them. One that lost its disk comes back as if nothing had happened.

Runs beside the watch: each log and each member is asked once, and again whenever it comes back (its service is written anew). One that does
not remember the layout is *lost*: another epoch must begin, which replaces it; until then it would answer with nothing, or take nothing.
Those that do not answer are asked again; whether they are away is not a matter of this.
"""

import asyncio
from collections.abc import Mapping
from typing import Final

from foreman.control.cluster_view import ClusterView
from foreman.control.named import by_node
from foreman.control.recovery.recovery import Tools
from foreman.core.errors import ForemanError
from foreman.directory.records import Layout, Placement
from foreman.kernel.together import together

TIMEOUT_S: Final = 5.0
ALL_AGAIN_S: Final = 30.0
"""A worker may come back so soon, or while the directory is away, that nobody sees it go."""


def lost_data(lost: frozenset[Placement]) -> str | None:
    """Why another epoch must begin."""
    return f"{', '.join(sorted(worker.id for worker in lost))} lost the data" if lost else None


class Vouching:
    """``lost`` only grows; the feed's waiters are woken when it did. ``endpoints``: where some of them were found to listen."""

    def __init__(self, tools: Tools, layout: Layout, endpoints: Mapping[Placement, str]) -> None:
        self._tools, self._layout = tools, layout
        self._logs = frozenset(layout.logs)
        self._workers = self._logs | {member for team in layout.teams for member in team.members}
        self._asked: dict[Placement, int] = {}
        self._endpoints = dict(endpoints)
        self._all_again_s = float("-inf")
        self.lost: frozenset[Placement] = frozenset()

    async def run(self) -> None:
        """Without end."""
        feed, clock = self._tools.feed, self._tools.clock
        while True:
            if clock() >= self._all_again_s:
                self._asked, self._all_again_s = {}, clock() + ALL_AGAIN_S
            news, seen = feed.news, feed.view
            back = {worker: at for worker in self._workers if (at := self._since(seen, worker)) and self._asked.get(worker) != at}
            asked = sorted(by_node(sorted(back)).items())
            answered = await together(self._ask(seen, node, workers) for node, workers in asked)
            self._asked |= {worker: back[worker] for some in answered for worker in some}
            silent = sum(map(len, answered)) < len(back)
            await feed.beyond(news, self._tools.settings.again_cap_s if silent else max(0.0, self._all_again_s - clock()))

    def _since(self, view: ClusterView, worker: Placement) -> int:
        """The revision at which it came; 0: it is not there."""
        service = view.services.get(worker)
        return 0 if service is None else view.revisions.get(self._tools.keys.service(worker.node, service.name), 0)

    async def _ask(self, view: ClusterView, node: str, workers: list[Placement]) -> list[Placement]:
        """Those that answered. The foreman is only asked where they listen when that is not known, or nobody answers there."""
        answered = [worker for worker in workers if worker in self._endpoints and await self._vouch(worker, self._endpoints[worker])]
        record, rest = view.nodes.get(node), [worker for worker in workers if worker not in answered]
        if record is None or not rest:
            return answered
        try:
            infos = await self._tools.foremen.infos(record)
        except ForemanError:
            return answered
        for worker in rest:
            info = infos.get(worker.id)
            if info is not None and info.endpoint is not None and info.pid is not None:
                self._endpoints[worker] = info.endpoint
                if await self._vouch(worker, info.endpoint):
                    answered.append(worker)
        return answered

    async def _vouch(self, worker: Placement, endpoint: str) -> bool:
        """Whether it answered."""
        data = self._tools.data
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if worker in self._logs:
                    epoch = (await data.log_state(endpoint)).generation
                else:
                    epoch = (await data.storage_state(endpoint)).layout_epoch
        except (ForemanError, TimeoutError):
            return False
        if epoch < self._layout.epoch and worker not in self.lost:
            self.lost |= {worker}
            self._tools.tell(f"{worker.id} has lost its data", f"it remembers epoch {epoch}")
            self._tools.feed.wake()
        return True
