"""What befalls the demo's cluster while it is written to, one after the other, each until the cluster is well again.

Owns what is killed and what is waited for. Nothing here helps the cluster.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final

from foreman.api.client import RemoteForeman
from foreman.cli.demo.machines import Machine, Machines
from foreman.cli.demo.pushing import Pushing
from foreman.cli.demo.telling import Told
from foreman.control.cluster_view import ClusterView
from foreman.control.feed import Feed
from foreman.control.named import names_of
from foreman.control.naming import shown_nodes
from foreman.core.errors import ForemanTimeout
from foreman.core.views import WorkerInfo
from foreman.directory.records import Layout, Placement
from foreman.workers.clients import ClusterClient

CALM_S: Final = 0.5
"""Between two misfortunes: so that each is seen to begin from a cluster that works."""

AWAY_S: Final = 3.0
"""Longer than a lease: when etcd goes on, all that it knows of who is there has run out."""

LOOK_S: Final = 0.02
HEALED_S: Final = 45.0
REPLICAS: Final = 2


def is_whole(view: ClusterView, replicas: int) -> bool:
    """Whether a layout serves with all whom it names and full teams."""
    layout = view.watched
    if layout is None:
        return False
    return names_of(layout) <= view.services.keys() and all(len(team.members) == replicas for team in layout.teams)


class Outcome:
    """What a misfortune came to; ``how`` is set by who waited for it."""

    how = ""


class Misfortunes:
    """``say``: a line for people, at once."""

    def __init__(
        self, machines: Machines, client: ClusterClient, feed: Feed, pushing: Pushing, told: Told, say: Callable[[str], None]
    ) -> None:
        self._machines, self._client, self._feed, self._pushing = machines, client, feed, pushing
        self._told, self._say = told, say

    async def run(self) -> None:
        """All of them, in order."""
        for misfortune in self._all():
            await self.whole()
            await asyncio.sleep(CALM_S)
            await misfortune()

    def _all(self) -> list[Callable[[], Coroutine[None, None, None]]]:
        every = [self._lose_a_log, self._lose_the_leader, self._lose_a_storage_worker]
        return every if self._machines.etcd is None else [*every, self._lose_the_directory]

    async def whole(self) -> Layout:
        """The layout, once one serves with all its logs and full teams."""
        if not await self._feed.until(lambda view: is_whole(view, REPLICAS), HEALED_S):
            raise ForemanTimeout("a layout with all its logs and full storage teams", HEALED_S)
        assert self._feed.view.layout is not None
        return self._feed.view.layout

    # --- each of them ---

    async def _lose_a_log(self) -> None:
        layout = await self.whole()
        log = layout.logs[0]
        async with self._misfortune(f"SIGKILL a log worker, on {self._name(log.node)}") as outcome:
            await self._kill(log)
            outcome.how = await self._until_another(layout.epoch)

    async def _lose_the_leader(self) -> None:
        """Its machine goes; then it comes back."""
        layout, leader = await self.whole(), self._feed.view.leader
        assert leader is not None, "somebody watches"
        machine = self._machines.by_id(leader.node)
        async with self._misfortune(f"{machine.name}, the leader's machine, pulled out") as outcome:
            await machine.remember()
            await machine.pull_out()
            outcome.how = f"{await self._until_another(layout.epoch)}; {self._leader()} leads"
        async with self._misfortune(f"{machine.name} comes back, with its disk") as outcome:
            await machine.start()
            await self.whole()
            outcome.how = await self._removed_on(machine)

    async def _lose_a_storage_worker(self) -> None:
        layout = await self.whole()
        member = layout.teams[0].members[0]
        async with self._misfortune(f"SIGKILL a storage worker, on {self._name(member.node)}") as outcome:
            before = await self._kill(member)
            after = await self._until_renewed(member, before)
            changed = "layout unchanged" if (await self.whole()).epoch == layout.epoch else f"layout {self._epoch()}"
            outcome.how = f"restarted, pid {before.pid} → {after.pid}; {changed}"

    async def _lose_the_directory(self) -> None:
        layout, etcd = await self.whole(), self._machines.etcd
        assert etcd is not None
        async with self._misfortune(f"etcd stopped for {AWAY_S:g} s, then continued") as outcome:
            version = self._client.acknowledged
            etcd.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(AWAY_S)
            finally:
                etcd.signal(signal.SIGCONT)
            written = self._client.acknowledged - version
            await self._until_all_registered()
            now = await self.whole()
            outcome.how = f"{written} acknowledged meanwhile; layout {layout.epoch} → {now.epoch}"

    # --- how it goes on ---

    @asynccontextmanager
    async def _misfortune(self, what: str) -> AsyncIterator[Outcome]:
        self._say(what)
        began, outcome = time.monotonic(), Outcome()
        yield outcome
        await self._pushing.acknowledged_after(self._client.acknowledged)
        self._told.add(what, began, outcome.how, self._pushing.longest_wait_s(began))

    async def _until_another(self, epoch: int) -> str:
        """Until a transaction is acknowledged by a layout of a later epoch."""
        layout = await self._client.layout(after=epoch)
        await self._pushing.acknowledged_after(layout.last_version)
        return f"layout {epoch} → {layout.epoch}, all {layout.last_version:,} versions kept"

    async def _kill(self, worker: Placement) -> WorkerInfo:
        async with RemoteForeman.connect(self._machines.by_id(worker.node).data) as foreman:
            info = await foreman.info(worker.id)
        assert info.pid is not None, "it served a moment ago"
        os.kill(info.pid, signal.SIGKILL)
        return info

    async def _until_renewed(self, worker: Placement, before: WorkerInfo) -> WorkerInfo:
        async with asyncio.timeout(HEALED_S), RemoteForeman.connect(self._machines.by_id(worker.node).data) as foreman:
            while True:
                info = await foreman.info(worker.id)
                if info.incarnation != before.incarnation and info.health.is_ok:
                    return info
                await asyncio.sleep(LOOK_S)

    async def _until_all_registered(self) -> None:
        async with asyncio.timeout(HEALED_S):
            for machine in self._machines.nodes.values():
                async with RemoteForeman.connect(machine.data) as foreman:
                    while not (await foreman.node()).directory_reachable:  # noqa: ASYNC110 (it is in another process)
                        await asyncio.sleep(LOOK_S)

    async def _removed_on(self, machine: Machine) -> str:
        """Until it has only workers that the layout names."""
        async with asyncio.timeout(HEALED_S), RemoteForeman.connect(machine.data) as foreman:
            while True:
                layout = await self.whole()
                named = {worker.id for worker in names_of(layout)}
                here = {worker.id for worker in await foreman.all()}
                if here <= named:
                    return f"old workers gone, {len(here)} of layout {layout.epoch} there; teams full"
                await self._feed.after(self._feed.view)

    def _name(self, node: str) -> str:
        return shown_nodes(self._feed.view).get(node, node)

    def _leader(self) -> str:
        leader = self._feed.view.leader
        return self._name(leader.node) if leader is not None else "nobody yet"

    def _epoch(self) -> int:
        layout = self._feed.view.layout
        return 0 if layout is None else layout.epoch
